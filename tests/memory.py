"""How many bytes of tensors are alive, and how many there were at most."""

from rlra_torch.functional.memory import LiveBytes, peak_bytes

__all__ = ["LiveBytes", "peak_bytes"]
