"""`python -m fcclf`."""

from fcclf.cli import run

if __name__ == "__main__":
    run()
