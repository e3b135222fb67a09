"""Draws the figures of a run: the same as `fcclf plot`, with the same flags."""

import sys

from fcclf.cli.entry import run

if __name__ == "__main__":
    run(["plot", *sys.argv[1:]])
