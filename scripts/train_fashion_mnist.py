"""Trains on Fashion-MNIST: the same as `fcclf train images`, with the same flags; --preset names a network."""

import sys

from fcclf.cli.entry import run

if __name__ == "__main__":
    run(["train", "images", *sys.argv[1:]])
