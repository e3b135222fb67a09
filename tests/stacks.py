"""Stacks of building blocks that the tests train: between them they have every block."""

from fcclf.settings.blocks import (
    Activation,
    AlphaDropout,
    AveragePool,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    MaxPool,
    Reshape,
    Residual,
    Standardize,
)

INNERMOST = Residual((Dense(3, "elu", l1=1e-3), AlphaDropout(0.1)), initializer="glorot_uniform")
PROJECTED = Residual(
    (Dense(5, "relu", l2=1e-3), BatchNorm(), Dropout(0.1), INNERMOST, Dense(4, use_bias=False)), "relu", l2=1e-2
)
PRE_ACTIVATED = Residual((BatchNorm(momentum=0.9), Activation("relu"), Dropout(0.1), Dense(4, l2=1e-3)))
RESIDUAL = (PROJECTED, PRE_ACTIVATED, Dense(None))
EVERY_DENSE = (
    Standardize(),
    Dropout(0.1),
    *(Dense(8, "selu", "lecun_normal", l2=1e-3), BatchNorm(), AlphaDropout(0.1)),
    *(PROJECTED, PRE_ACTIVATED),
    *(Dense(8, use_bias=False), BatchNorm(momentum=0.9, center=False), Activation("relu"), Dropout(0.2)),
    Dense(None),
)
SOME = (Standardize(), Dense(4, "selu"), AlphaDropout(0.1), PRE_ACTIVATED, Dense(None))
COMPILED = (Standardize(), Dense(4, "selu"), BatchNorm(), AlphaDropout(0.1), Dropout(0.1), *RESIDUAL)
CONVOLUTIONAL = (
    Reshape(1, 2, 1),
    *(Conv2D(4, 2, activation="relu", l1=1e-3), BatchNorm(), Dropout(0.1), MaxPool(1), AveragePool(1)),
    Residual((Conv2D(3, 2, strides=2), BatchNorm(), Dropout(0.1)), "relu", l2=1e-3),
    Flatten(),
    Dense(None),
)
