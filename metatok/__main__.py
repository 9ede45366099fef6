"""`python -m metatok` is the command `metatok`."""

import sys

from metatok.cli import main

if __name__ == "__main__":
    sys.exit(main())
