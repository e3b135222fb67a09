"""The command line, as `python -m fcclf`."""

from fcclf.cli.entry import run

if __name__ == "__main__":
    run()
