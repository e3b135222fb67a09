"""How often the defaults succeed: test accuracy over many seeds, at noise 0.1, 0.2 and 0.3 (data seed 42).

    python benchmarks/seeds.py                              the defaults, 100 seeds
    python benchmarks/seeds.py --l2 0.01 --seeds 30         other settings of `fcclf train moons`

All runs share one compiled program. Prints one line for each noise.
"""

import argparse
import dataclasses
import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from fcclf import Config, Model, Moons, Session, Training, open_run, train
from fcclf.cli.flags import add_flags, section_from_flags

TARGETS = {0.1: 0.99, 0.2: 0.96, 0.3: 0.91}  # noise: the test accuracy that counts as success
UNSEEN = Session(histogram_every=0, image_every=0)  # nobody looks at these runs


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seeds", type=int, default=100, help="runs for each noise (default: 100)")
    add_flags(parser, Model)
    add_flags(parser, Training)
    arguments = parser.parse_args()
    model, training = section_from_flags(Model, arguments), section_from_flags(Training, arguments)
    for noise, target in TARGETS.items():
        config = Config(Moons(noise=noise), model, training, UNSEEN)
        accuracies = np.array([accuracy(config, seed) for seed in range(arguments.seeds)])
        print(
            f"noise {noise}: {np.sum(accuracies >= target)} of {arguments.seeds} seeds reach {target}; "
            f"accuracy {accuracies.mean():.4f} +- {accuracies.std():.4f}, lowest {accuracies.min():.4f}",
            flush=True,
        )


def accuracy(config, seed):
    """Test accuracy after training with `seed`."""
    config = dataclasses.replace(config, training=dataclasses.replace(config.training, seed=seed))
    with tempfile.TemporaryDirectory() as directory:
        train(config, Path(directory) / "run")
        with open_run(Path(directory) / "run") as run:
            test = run.dataset().test
            return (run.predictions(test.X) == test.y).mean()


if __name__ == "__main__":
    main()
