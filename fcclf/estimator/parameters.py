"""The parameters of `FCClassifier`: their rules, and what a program has to know of them.

A network, a `Plan` and `Dials` are functions of the parameters and of the shape of the data, so a fit that is repeated
gets the same program.
"""

import os
import warnings
from numbers import Integral, Real

import numpy as np
from sklearn.utils._param_validation import Interval, Options, StrOptions

from fcclf.estimator.fit_loop import Dials
from fcclf.estimator.program import Plan, Solver
from fcclf.learning.epoch_loop import batches_per_epoch
from fcclf.settings import blocks
from fcclf.settings.blocks import ACTIVATIONS, INITIALIZERS
from fcclf.settings.fit_config import FitConfig
from fcclf.settings.model import Model

SOLVERS = ("adam", "sgd", "rmsprop", "adagrad", "adadelta")
MOST_IN_BATCH = 200  # where batch_size is "auto"
COMPILED_FROM = 4_000  # steps of a fit: fewer take less time than compiling the loop
FED_DROPOUT = 0.5  # stands for any rate in a network: the one that counts is fed
MOST_EPOCHS = np.iinfo(np.int64).max

RULES = {
    "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
    "activation": [StrOptions({*ACTIVATIONS, "logistic"})],
    "solver": [StrOptions(set(SOLVERS))],
    "alpha": [Interval(Real, 0, None, closed="left")],
    "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
    "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"})],
    "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
    "power_t": [Interval(Real, 0, None, closed="left")],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "shuffle": ["boolean"],
    "random_state": ["random_state"],
    "tol": [Interval(Real, 0, None, closed="left")],
    "verbose": ["verbose"],
    "warm_start": ["boolean"],
    "momentum": [Interval(Real, 0, 1, closed="both")],
    "nesterovs_momentum": ["boolean"],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "beta_1": [Interval(Real, 0, 1, closed="left")],
    "beta_2": [Interval(Real, 0, 1, closed="left")],
    "epsilon": [Interval(Real, 0, None, closed="neither")],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), Options(Real, {np.inf})],
    "l1": [Interval(Real, 0, None, closed="left")],
    "l2": [Interval(Real, 0, None, closed="left")],
    "dropout": [Interval(Real, 0, 1, closed="left")],
    "batch_norm": [StrOptions({"before", "after"}), "boolean", None],
    "kernel_initializer": [StrOptions(set(INITIALIZERS))],
    "class_weight": [StrOptions({"balanced"}), dict, None],
    "logdir": [str, os.PathLike, None],
}


def network(parameters, n_outputs: int) -> tuple[tuple[str, blocks.Block], ...]:
    """((scope, block), ...) of the layers. Raises ValueError if one has no units."""
    return tuple(blocks.named(_model(parameters, FED_DROPOUT).layers, n_outputs).items())


def _model(parameters, dropout):
    sizes = parameters.hidden_layer_sizes
    sizes = list(sizes) if np.iterable(sizes) else [sizes]
    if any(size <= 0 for size in sizes):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
    return Model(
        hidden=tuple(sizes),
        activation="sigmoid" if parameters.activation == "logistic" else parameters.activation,
        initializer=parameters.kernel_initializer,
        l2=0.0,
        batch_norm={None: "none", False: "none", True: "before"}.get(parameters.batch_norm, parameters.batch_norm),
        dropout=dropout,
    )


def plan(parameters, layers, n_features: int, train, validation, n_epochs: int) -> Plan:
    """What a `Fitter` is made for. train, validation: `Samples`, the latter or None.

    Whether to compile depends on the amount of work alone, never on a clock: it repeats. A run is compiled always, for
    more epochs may follow, and how they are computed must not change then.
    """
    size, batch_size = len(train.y), parameters.batch_size
    if batch_size != "auto" and batch_size > size:
        warnings.warn(f"batch_size is {batch_size}, but there are {size} samples: it is clipped.", stacklevel=5)
    batch_size = min(MOST_IN_BATCH if batch_size == "auto" else int(batch_size), size)
    return Plan(
        layers=layers,
        n_features=n_features,
        solver=_solver(parameters),
        batch_size=batch_size,
        sizes=(size, len(validation.y) if validation else 0),
        weighted=train.weights is not None,
        dropout=parameters.dropout > 0,
        l1=parameters.l1 > 0,
        compiled=parameters.logdir is not None or n_epochs * batches_per_epoch(size, batch_size) >= COMPILED_FROM,
    )


def config(parameters, seed: int, samples: int) -> FitConfig:
    """The settings of a fit on so many `samples`, for its run. parameters: a classifier whose classes are known."""
    given, classes, model = parameters.get_params(), parameters.classes_, _model(parameters, float(parameters.dropout))
    del given["logdir"]
    if not isinstance(given["random_state"], Integral):
        given["random_state"] = None
    if isinstance(given["class_weight"], dict):
        given["class_weight"] = sorted(given["class_weight"].items(), key=str)
    given |= {  # what has several spellings, by one of them
        "hidden_layer_sizes": model.hidden,
        "activation": model.activation,
        "batch_norm": None if model.batch_norm == "none" else model.batch_norm,
    }
    return FitConfig.from_dict(
        {
            "parameters": given,
            "seed": seed,
            "classes": classes.astype(str) if classes.dtype.kind == "M" else classes,  # JSON has no dates
            "class_type": str(classes.dtype),
            "feature_names": getattr(parameters, "feature_names_in_", None),
            "samples": samples,
            "stack": [blocks.to_dict(block) for block in model.layers],
        }
    )


def _solver(parameters):
    return Solver(
        name=parameters.solver,
        schedule=parameters.learning_rate if parameters.solver == "sgd" else "constant",
        momentum=parameters.momentum,
        nesterovs_momentum=parameters.nesterovs_momentum,
        beta_1=parameters.beta_1,
        beta_2=parameters.beta_2,
        epsilon=parameters.epsilon,
    )


def dials(parameters, seed: int, t: int) -> Dials:
    """What is fed. seed: of initial weights, orders and masks; t: samples trained on before."""
    values = {name: getattr(parameters, name) for name in Dials._fields if hasattr(parameters, name)}
    values |= {"seed": seed, "t": t, "n_iter_no_change": min(parameters.n_iter_no_change, MOST_EPOCHS)}
    return Dials(**values)
