"""``python -m rlra_torch`` is the same as ``rlra``."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
