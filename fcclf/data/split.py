"""The sizes of the parts of a data set, and checks of the settings before the data are loaded.

The last samples are the test part, those before them the validation part, the rest is trained on. Standard library
only: a usage error must not wait for the data.
"""

from fcclf.errors import ConfigError
from fcclf.settings.config import Config


def check(config: Config):
    """Raises ConfigError if the settings cannot fit their data, as far as the settings alone can tell."""
    known = config.data.known
    if known:
        part_sizes(config, known.samples, known.test_size)
        config.layers(known.shape)


def part_sizes(config: Config, samples: int, test_size: int) -> tuple[int, int, int]:
    """(training, validation, test) sizes out of `samples` samples. Raises ConfigError if one is too small."""
    training, train_size = config.training, samples - test_size
    if not test_size:
        raise ConfigError(
            "test_ratio",
            f"is {config.data.test_ratio:g}, which leaves no test sample out of {samples}: "
            "raise it, or make more samples.",
        )
    validation_size = int(train_size * training.validation_fraction) if training.early_stopping else 0
    if training.early_stopping and not validation_size:
        raise ConfigError(
            "validation_fraction",
            f"is {training.validation_fraction:g}, which leaves no validation sample out of {train_size}: "
            "raise it, or make more samples.",
        )
    return train_size - validation_size, validation_size, test_size
