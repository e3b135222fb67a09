"""How often the defaults succeed: test accuracy over many seeds, at noise 0.1, 0.2 and 0.3 (data seed 42).

    python benchmarks/seeds.py                              the defaults, 100 seeds
    python benchmarks/seeds.py --l2 0.01 --seeds 30         other settings of `fcclf train moons`

One program is built and compiled once; each run feeds it another seed and other data. Prints one line for each noise.
"""

import argparse
import dataclasses
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from fcclf.cli.flags import add_flags, section_from_flags
from fcclf.data import loading
from fcclf.learning.program import Program, borrowed
from fcclf.learning.stretches import stretches
from fcclf.runs import training
from fcclf.settings.config import Config, Model, Training

TARGETS = {0.1: 0.99, 0.2: 0.96, 0.3: 0.91}  # noise: the test accuracy that counts as success


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seeds", type=int, default=100, help="runs for each noise (default: 100)")
    add_flags(parser, Model)
    add_flags(parser, Training)
    arguments = parser.parse_args()
    config = Config(model=section_from_flags(Model, arguments), training=section_from_flags(Training, arguments))
    for noise, target in TARGETS.items():
        dataset = loading.load(dataclasses.replace(config, data=dataclasses.replace(config.data, noise=noise)))
        accuracies = np.array([accuracy(config, dataset, seed) for seed in range(arguments.seeds)])
        print(
            f"noise {noise}: {np.sum(accuracies >= np.float32(target))} of {arguments.seeds} seeds reach {target}; "
            f"accuracy {accuracies.mean():.4f} +- {accuracies.std():.4f}, lowest {accuracies.min():.4f}",
            flush=True,
        )


def accuracy(config, dataset, seed):
    """Test accuracy after training with `seed`."""
    config = dataclasses.replace(config, training=dataclasses.replace(config.training, seed=seed))
    with borrowed(Program, training.plan_on(config, dataset)) as program:
        training.begin(program, config, dataset)
        *_, last = stretches(program, loading.parts(config, dataset), config.training.epochs)
    return last.metrics["test_accuracy"][-1]


if __name__ == "__main__":
    main()
