"""The few places where speed is won."""
