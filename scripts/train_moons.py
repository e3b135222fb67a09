"""Trains the two moons: the same as `fcclf train moons`, with the same flags."""

import sys

from fcclf.cli.entry import run

if __name__ == "__main__":
    run(["train", "moons", *sys.argv[1:]])
