"""The parameters of the estimators: their rules, and the network, plan and hyperparameters that follow from them.

These are functions of the parameters and of the shape of the data, so a fit that is repeated gets the same program.
"""

import dataclasses
import os
import warnings
from numbers import Integral, Real

import numpy as np
from sklearn.metrics import get_scorer_names
from sklearn.utils._param_validation import Interval, Options, StrOptions

from fcclf.data.dataset import Part
from fcclf.data.order import BLOCK
from fcclf.learning.loop import EVALUATION_BATCH
from fcclf.learning.objective import LOSSES, Objective
from fcclf.learning.optimizers import Optimizer, Schedule
from fcclf.learning.plan import (
    Hyperparameters,
    Plan,
    Sizes,
    batches_per_epoch,
    fastest_threads,
    kernel_weights,
    places,
    weighted_parts,
)
from fcclf.learning.predictor import chosen_device
from fcclf.learning.rules import rule_of
from fcclf.settings import blocks
from fcclf.settings.blocks import ACTIVATIONS, BIAS_INITIALIZERS, INITIALIZERS, Dropout
from fcclf.settings.fit_config import stopping
from fcclf.settings.model import Model
from fcclf.settings.run_config import DEVICES

SOLVERS = ("adam", "sgd", "rmsprop", "adagrad", "adadelta", "lbfgs")
MOST_IN_BATCH = 200  # where batch_size is "auto"
COMPILED_FROM = 4_000  # work of a fit in small steps: less takes less time than compiling the loop
SMALL_STEP = 10_000_000  # multiplications in its forward pass; more take longer
ADAPTIVE_FACTOR = 0.2  # of the learning rate, as in MLPClassifier
FED_DROPOUT = 0.5  # stands for any rate except 0 in a network: the actual one is fed
THREADS = 1  # of predictions, on any machine: how a sum is split over threads changes its last bits

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
    "max_fun": [Interval(Integral, 1, None, closed="left")],
    "scoring": [StrOptions(set(get_scorer_names())), callable, None],
    "l1": [Interval(Real, 0, None, closed="left")],
    "l2": [Interval(Real, 0, None, closed="left")],
    "dropout": [Interval(Real, 0, 1, closed="left")],
    "batch_norm": [StrOptions({"before", "after"}), "boolean", None],
    "kernel_initializer": [StrOptions(set(INITIALIZERS))],
    "bias_initializer": [StrOptions(set(BIAS_INITIALIZERS))],
    "shuffle_window": [Interval(Integral, BLOCK, None, closed="left"), None],
    "dtype": [StrOptions({"float32", "float64"}), None],
    "threads": [Interval(Integral, 1, 1024, closed="both"), None],
    "device": [StrOptions(set(DEVICES))],
    "logdir": [str, os.PathLike, None],
}
CLASSIFIER_RULES = RULES | {"class_weight": [StrOptions({"balanced"}), dict, None]}
REGRESSOR_RULES = RULES | {
    "loss": [StrOptions(set(LOSSES))],
    "delta": [Interval(Real, 0, None, closed="neither")],
}


def network(parameters, n_outputs: int) -> tuple[tuple[str, blocks.Block], ...]:
    """((scope, block), ...) of the layers. Raises ValueError if one has no units."""
    dropout = FED_DROPOUT if parameters.dropout else 0.0
    return tuple(blocks.named(_model(parameters, dropout).layers, n_outputs).items())


def with_variables(layers) -> list[tuple[str, blocks.Block]]:
    """[(scope, block), ...] of the layers that must stay the same if a fit is continued: all except dropout."""
    return [(name, block) for name, block in layers if not isinstance(block, Dropout)]


def _model(parameters, dropout):
    sizes = parameters.hidden_layer_sizes
    sizes = list(sizes) if np.iterable(sizes) else [sizes]
    if any(size <= 0 for size in sizes):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
    return Model(
        hidden=tuple(sizes),
        activation="sigmoid" if parameters.activation == "logistic" else parameters.activation,
        initializer=parameters.kernel_initializer,
        bias_initializer=parameters.bias_initializer,
        l2=0.0,
        batch_norm={None: "none", False: "none", True: "before"}.get(parameters.batch_norm, parameters.batch_norm),
        dropout=dropout,
    )


def plan(
    parameters,
    objective: Objective,
    layers,
    n_features: int,
    parts: dict[str, Part],
    n_epochs: int,
    threads: int | None = None,
) -> Plan:
    """The plan that the program of a fit is compiled for. parts: as `samples.parts` returns them. threads: those that a
    kept fit began with, used if the parameters ask for none."""
    size = len(parts["train"].y)
    batch_size = _batch_size(parameters, size)
    n_steps, work = n_epochs * batches_per_epoch(size, batch_size), batch_size * kernel_weights(layers, n_features)
    watched = stopping(parameters.get_params(deep=False), objective.score)
    made = Plan(
        layers=layers,
        n_features=n_features,
        sizes=Sizes.of(parts),
        batch_size=batch_size,
        optimizer=_optimizer(parameters),
        objective=objective,
        schedule=_schedule(parameters),
        rule=rule_of(watched) if parameters.scoring is None else None,  # else the scorer decides, outside the graph
        places=places(parts),
        weighted=weighted_parts(parts),
        l1=parameters.l1 > 0,
        l2=parameters.l2 > 0,
        alpha=parameters.alpha > 0,
        fed_dropout=parameters.dropout > 0,
        dtype=str(parts["train"].X.dtype),
        compiled=_is_compiled(parameters, n_steps, work),
        threads=parameters.threads or threads or fastest_threads(layers, n_features, batch_size),
        device=chosen_device(parameters.device),
    )
    return made.that_fits()


def _is_compiled(parameters, n_steps, work):
    """Whether a fit of so many steps is worth compiling. work: multiplications in the forward pass of a step.

    The amount of work alone decides, never a clock, so that it is repeatable. A fit kept as a run is always compiled:
    more epochs may follow, and they must be computed in the same way.
    """
    return parameters.logdir is not None or (1 + work / SMALL_STEP) * n_steps >= COMPILED_FROM


def full_batch_plan(parameters, objective: Objective, layers, n_features: int, given: Part) -> Plan:
    """The plan that the program of a fit with the solver lbfgs is compiled for."""
    made = plan(parameters, objective, layers, n_features, {"train": given}, parameters.max_iter)
    at_once = min(EVALUATION_BATCH, made.batch_size)
    return dataclasses.replace(made, batch_size=at_once, rule=None, compiled=True, fed_batches=0)


def _batch_size(parameters, size):
    """Number of samples in a batch out of `size`."""
    given = parameters.batch_size
    if parameters.solver == "lbfgs":
        return size
    if given != "auto" and given > size:
        warnings.warn(f"batch_size is {given}, but there are {size} samples: it is clipped.", stacklevel=6)
    return min(MOST_IN_BATCH if given == "auto" else int(given), size)


def config(parameters, seed: int, made: Plan) -> dict:
    """{setting: value} of a fit, for its run: the settings that all estimators share. made: its plan."""
    given, model = parameters.get_params(), _model(parameters, float(parameters.dropout))
    del given["logdir"]
    if not isinstance(given["random_state"], Integral):
        given["random_state"] = None
    given |= {  # settings with several spellings, in one of them
        "hidden_layer_sizes": model.hidden,
        "activation": model.activation,
        "batch_norm": None if model.batch_norm == "none" else model.batch_norm,
    }
    return {
        "parameters": given,
        "seed": seed,
        "feature_names": getattr(parameters, "feature_names_in_", None),
        "samples": made.sizes.train,
        "stack": [blocks.to_dict(block) for block in model.layers],
        "dtype": made.dtype,
    }


def _optimizer(parameters):
    """The optimizer, with only the parameters that it uses: others would compile another program."""
    if parameters.solver == "adam":
        return Optimizer("adam", beta_1=parameters.beta_1, beta_2=parameters.beta_2, epsilon=parameters.epsilon)
    if parameters.solver == "sgd" and parameters.momentum:
        return Optimizer("momentum", parameters.momentum, parameters.nesterovs_momentum)
    return Optimizer("sgd" if parameters.solver == "lbfgs" else parameters.solver)  # lbfgs: keeps no slots here


def _schedule(parameters):
    """The schedule of the learning rate: constant unless the solver is "sgd"."""
    name = parameters.learning_rate if parameters.solver == "sgd" else "constant"
    return Schedule(name, factor=ADAPTIVE_FACTOR if name == "adaptive" else 1.0)


def hyperparameters(parameters, made: Plan, seed: int, t: int, epochs: int) -> Hyperparameters:
    """The hyperparameters that are fed to the program of a plan. seed: of initial weights, sample orders and dropout
    masks; t, epochs: numbers of samples and of epochs that earlier calls trained on."""
    kernels = np.ones(len(made.kernels), made.dtype)
    watched = stopping(parameters.get_params(deep=False), made.objective.score)
    return Hyperparameters(
        seed=seed,
        learning_rate=parameters.learning_rate_init,
        l1=parameters.l1 * kernels,
        l2=parameters.l2 * kernels,
        alpha=parameters.alpha,
        dropout=parameters.dropout,
        tolerance=watched.tolerance,
        patience=watched.patience,
        power_t=parameters.power_t,
        samples=t - epochs * made.sizes.train,
    )
