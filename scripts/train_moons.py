"""Trains the two moons: the same as `fcclf train moons`, with the same flags."""

import sys

from fcclf.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", "moons", *sys.argv[1:]]))
