"""Presets: the networks of well-known tutorials, and a residual one of the same depth, by name, each with its layers
and the training settings that belong to them.

They are made for images of 28 x 28 pixels in ten classes. Flags override the training settings of a preset.
"""

from typing import NamedTuple

from fcclf.settings.blocks import (
    Activation,
    AlphaDropout,
    BatchNorm,
    Block,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    MaxPool,
    Reshape,
    Residual,
    Standardize,
)

N_FEATURES, N_CLASSES = 784, 10
SESSION = {"histogram_every": 1, "image_every": 1}  # of every preset, since epochs are few and take seconds


class Preset(NamedTuple):
    """A named network. layers: its stack; training: {setting of `Training`: value} where it is not the default."""

    layers: tuple[Block, ...]
    training: dict


def _deep(*block):
    """A stack: `Standardize`, twenty times the blocks given, and the output."""
    return (Standardize("all"), *(20 * block), _output())


def _output():
    return Dense(None, initializer="glorot_uniform")


def _relu(units):
    return Dense(units, "relu", "glorot_uniform")


PRESETS = {
    "beginner": Preset(
        (_relu(128), Dropout(0.2), _output()),
        {"learning_rate": 1e-3, "batch_size": 32, "epochs": 5},
    ),
    "dropout-mlp": Preset(
        (
            Dropout(0.2),
            *(layer for units in (200, 100, 60) for layer in (_relu(units), Dropout(0.2))),
            _output(),
        ),
        {"optimizer": "sgd", "learning_rate": 0.03, "batch_size": 32, "epochs": 60},
    ),
    "mnist-bn": Preset(
        (
            *(_relu(512), BatchNorm(), Dropout(0.2)),
            *(Dense(512, l2=0.02, use_bias=False), BatchNorm(), Activation("relu"), Dropout(0.2)),
            _output(),
        ),
        {"learning_rate": 3e-4, "batch_size": 128, "epochs": 4},
    ),
    "selu-20": Preset(
        (
            Standardize("all"),
            *(20 * (Dense(100, "selu", "lecun_normal"),)),
            AlphaDropout(0.5),
            _output(),
        ),
        {
            "optimizer": "sgd",
            "learning_rate": 0.003,
            "batch_size": 32,
            "epochs": 10,
            "early_stopping": True,
            "patience": 5,
            "min_delta": 1e-3,
        },
    ),
    "bn-20": Preset(
        _deep(_relu(100), BatchNorm()),
        {"optimizer": "sgd", "learning_rate": 0.1, "batch_size": 128, "epochs": 10},
    ),
    "bn-20-before": Preset(
        _deep(Dense(100, use_bias=False), BatchNorm(), Activation("relu")),
        {"optimizer": "sgd", "learning_rate": 0.1, "batch_size": 128, "epochs": 10},
    ),
    "residual-20": Preset(
        (
            Standardize("all"),
            # The second layer of a block begins small, so that each block begins near its shortcut, however many there
            # are: what batch normalisation does for a deep residual network at first (Zhang et al. 2019, Fixup).
            *(10 * (Residual((Dense(100, "relu"), Dense(100, initializer="truncated_normal"))),)),
            _output(),
        ),
        {  # the rate falls to 0 over its 10 epochs of 469 batches
            "learning_rate": 1e-3,
            "schedule": "cosine",
            "decay_steps": 4690,
            "batch_size": 128,
            "epochs": 10,
        },
    ),
    "lenet": Preset(
        (
            Reshape(28, 28, 1),
            *(Conv2D(6, 5, activation="relu"), MaxPool(2)),
            *(Conv2D(16, 5, padding="valid", activation="relu"), MaxPool(2)),
            Flatten(),
            *(_relu(120), _relu(84)),
            _output(),
        ),
        {"learning_rate": 1e-3, "batch_size": 128, "epochs": 5},
    ),
}
