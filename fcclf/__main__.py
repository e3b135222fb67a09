"""`python -m fcclf`."""

import sys

from fcclf.cli import main

if __name__ == "__main__":
    sys.exit(main())
