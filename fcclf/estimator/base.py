"""What the estimators share: fitting, resuming a fit, and fits that are runs.

Parameters, attributes, defaults and rules are those of scikit-learn's multi-layer perceptrons where they have them. The
fitted state consists of numpy arrays, so an estimator can be pickled and copied. It owns no session:
`fcclf.learning.program` keeps graphs and compiled loops by their plan and lends them to every fit and prediction.

Weights, losses and predictions have the dtype of the samples, or `dtype` if it is set. Fits with the same
`random_state`, an int, are equal bit for bit on one machine type and one version of the libraries, whatever
the process or the number of jobs.
"""

import contextlib
import copy
import warnings
from numbers import Integral
from pathlib import Path
from typing import ClassVar

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from fcclf.data.dataset import far_apart, fingerprint
from fcclf.data.facts import Facts
from fcclf.errors import RunError
from fcclf.estimator import callbacks, exporting, fit_run, lbfgs, parameters, samples, scoring
from fcclf.estimator.callbacks import CallbackSupportMixin, Tasks
from fcclf.estimator.fitting import DIVERGED, Fit
from fcclf.learning.full_batch import FullBatch
from fcclf.learning.predictor import Predictor
from fcclf.learning.program import UNSAVED, best_weights, borrowed
from fcclf.learning.streaming.program import program_of
from fcclf.runs.trained import newest_values
from fcclf.settings import blocks
from fcclf.settings.blocks import Dense
from fcclf.settings.fit_config import FitConfig
from fcclf.system import durable

GOING_ON = {"best/stopped": False}  # variables of the stopping rule, set in every fit that continues one
LITTLE = 0.9  # share of the loss of guessing above which little was learned
NONE_YET = {"best/epoch": 0, "best/wait": 0}  # ... and set too if the rule watches another metric than before


def takes_batches(estimator) -> bool:
    """Whether the solver trains on some samples at a time, as `partial_fit` does."""
    return estimator.solver != "lbfgs"


class FCEstimator(CallbackSupportMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """A fully-connected network as a scikit-learn estimator. Its subclasses define what it is trained for:

    _config_class: its `FitConfig`. _task: as in `ServedModel`. _objective(): the objective, once `_start` was called.
    _given, _checked: the samples as a `Part`. _labels(y): y of a `Part` as the user's labels. _strata: labels whose
    shares a held-out part keeps, or None. _own_config(), _facts_size(): what a run records about the targets.
    """

    _config_class: ClassVar[type[FitConfig]]

    # ---- fitting

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None, *, X_val=None, y_val=None, sample_weight_val=None):
        """Trains on X, [samples, features], and y for `max_iter` epochs or until it stops improving.

        sample_weight: [samples]. X_val, y_val, sample_weight_val: with `early_stopping`, the validation data; without
        them it is `validation_fraction` of X, for a classifier with the same share of each class.
        With a `logdir`, raises ConfigError, a ValueError, if the run there is another one, RunError if it is in use or
        cannot be read or written.
        """
        if self.logdir is not None and self.warm_start:
            raise ValueError("With a logdir, fit goes on from its checkpoint by itself: set warm_start=False.")
        tasks = Tasks(self, X, y, sample_weight, self._attributes) if callbacks.wanted(self) else None
        with self._all_or_nothing():
            if not self.warm_start:
                self._forget_weights()
            given = self._given(X, y, sample_weight, fresh=not (self.warm_start and hasattr(self, "_values")))
            if self.solver == "lbfgs":
                lbfgs.check(self, (X_val, y_val, sample_weight_val))
                self._minimize(given)
            else:
                if self.scoring is not None:
                    scoring.check(self)
                parts = samples.parts(self, given, self._seed, X_val, y_val, sample_weight_val)
                self._fit(parts, tasks)
        if tasks:
            tasks.end()
        return self

    def _forget_weights(self):
        """Deletes the weights that a fit, or the user, has set."""
        for name in ("coefs_", "intercepts_"):
            self.__dict__.pop(name, None)

    def _fit(self, parts, tasks):
        fit = self._train(parts, self.max_iter, {"state/learning_rate": self.learning_rate_init}, tasks)
        if self.n_iter_ == self.max_iter and not fit.stopped:
            warnings.warn(
                f"Maximum iterations ({self.max_iter}) reached and the optimization hasn't converged yet.",
                ConvergenceWarning,
                stacklevel=4,
            )
        self._warn_of_units(parts["train"])

    def _warn_of_units(self, given):
        """Warns if little was learned from a `Part`, and the scales of its columns may be why."""
        if self.loss_ <= LITTLE * self._loss_of_guessing(given.y) or not isinstance(given.X, np.ndarray):
            return
        apart = far_apart(given.X)
        if not apart:
            return
        low, high = apart
        remedy = f"put a StandardScaler before, as in make_pipeline(StandardScaler(), {type(self).__name__}())."
        warnings.warn(
            f"Little was learned, and the columns of X have standard deviations from {low:.3g} to {high:.3g}: {remedy}",
            stacklevel=5,
        )

    def _minimize(self, given):
        """Trains by scipy's L-BFGS-B on a `Part`; sets the attributes."""
        layers, given = self._checked_layers(), samples.prepared(given)
        plan = parameters.full_batch_plan(self, self._objective(), layers, self.n_features_in_, given)
        with borrowed(FullBatch, plan) as program:
            program.begin(parameters.hyperparameters(self, plan, self._seed, 0, 0), self._current_values())
            minimum = lbfgs.minimize(self, program, given.as_fed())
            self._set_fitted_weights(program.kept_values())
        self.n_iter_, self.loss_curve_ = minimum.result.nit, [*self.loss_curve_, *minimum.losses]
        self.loss_, self.best_loss_ = self.loss_curve_[-1], min(self.loss_curve_)

    def __sklearn_is_fitted__(self):
        return bool(getattr(self, "_values", None))

    def _check_partial(self):
        """Raises ValueError for parameters that `partial_fit` does not support."""
        if self.scoring is not None:
            raise ValueError("partial_fit has no early stopping, which scoring decides: set scoring=None.")
        if self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        if self.logdir is not None:
            raise ValueError("partial_fit keeps no run: set logdir=None, or call fit.")

    def _train_an_epoch(self, given):
        """Trains one epoch on a `Part`, with the weights and optimizer slots of the previous call."""
        self._train({"train": given}, 1, {} if self._values else {"state/learning_rate": self.learning_rate_init})

    @contextlib.contextmanager
    def _all_or_nothing(self):
        """If the block fails, restores what was fitted before it."""
        before = dict(self.__dict__)
        try:
            yield
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def _begin(self, n_outputs: int, out_activation: str, dtype: str):
        """Resets the estimator to nothing fitted. dtype: of the network's numbers."""
        self.n_outputs_, self.out_activation_, self._dtype = n_outputs, out_activation, dtype
        self._seed = self._drawn_seed()
        self._values, self._layers = {}, parameters.network(self, n_outputs)
        self.t_, self._epochs, self.loss_curve_ = 0, 0, []
        self.best_loss_ = self.best_validation_score_ = None
        self.validation_scores_ = [] if self.early_stopping else None

    def _drawn_seed(self):
        """The seed that random_state gives; a run that is resumed keeps its own unless random_state is an int."""
        begun = self._begun()
        if begun and not isinstance(self.random_state, Integral):
            return begun.config.seed
        return int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))

    def _begun(self):
        """The `Description` of the fit that `logdir` holds already, None if there is none."""
        return None if self.logdir is None else fit_run.begun(Path(self.logdir))

    def _train(self, parts, n_epochs, values, tasks=None) -> Fit:
        """Trains up to `n_epochs` on parts, {name: `Part`}; sets the attributes.

        values: {variable: value} that replace those of the last call.
        """
        layers = self._checked_layers()
        if getattr(self, "_scored_by", self.scoring) != self.scoring:  # scores of another kind do not compare
            self.validation_scores_, self.best_validation_score_ = ([] if self.early_stopping else None), None
        begun = self._begun()
        threads = begun.threads if begun else None
        scored = samples.in_memory(parts["validation"]) if self.scoring is not None and "validation" in parts else None
        parts = {name: samples.prepared(part) for name, part in parts.items() if scored is None or name == "train"}
        plan = parameters.plan(self, self._objective(), layers, self.n_features_in_, parts, n_epochs, threads)
        if not plan.fed_batches:
            parts = {name: samples.in_memory(part).as_fed() for name, part in parts.items()}
        given = parameters.hyperparameters(self, plan, self._seed, self.t_, self._epochs)
        scorer = None if scored is None else scoring.Scoring(self, scored, self._labels(scored.y), given.patience)
        values = self._current_values() | self._standing(plan) | values
        with borrowed(program_of(plan), plan) as program:
            program.begin(given, values, self._epochs)
            with self._run(program, parts) as (recorder, earlier):
                sampling = "shuffle" if self.shuffle else "none"
                fit = Fit(program, parts, sampling, n_epochs, recorder, earlier, scorer, self.shuffle_window)
                fit.train(self.verbose, tasks)
            self._set_fitted(fit)
        if fit.interrupted:
            on = " The same call of fit goes on." if fit.recorder and fit.epochs < n_epochs and not fit.stopped else ""
            warnings.warn(f"Training interrupted by user.{on}", stacklevel=4)
        return fit

    def _checked_layers(self):
        """The layers, with the current dropout. Raises ValueError if others than dropout differ from before."""
        layers = parameters.network(self, self.n_outputs_)
        if parameters.with_variables(layers) != parameters.with_variables(self._layers):
            raise ValueError(
                "The layers differ from those of the previous call: set warm_start=False, or set them back."
            )
        self._layers = layers
        return layers

    def _dense(self):
        """[(scope, {variable: shape}), ...] of the dense layers, in the order of `coefs_`."""
        return [(placed.scope, placed.trained) for placed in self._placed() if isinstance(placed.block, Dense)]

    def _placed(self):
        """Every block of the network, as `Placed`."""
        return blocks.placed(dict(self._layers), (self.n_features_in_,))

    def _current_values(self):
        """{variable: value} that the next call begins with: those of the last one, with the current `coefs_` and
        `intercepts_`. Raises ValueError if these do not fit the layers."""
        values, were_set, dense = dict(self._values), False, self._dense()
        for name, attribute in (("kernel", "coefs_"), ("bias", "intercepts_")):
            given = getattr(self, attribute, ())
            if len(given) not in (0, len(dense)):
                raise ValueError(f"{attribute} has {len(given)} arrays, but there are {len(dense)} layers.")
            for number, (array, (scope, shapes)) in enumerate(zip(given, dense, strict=False)):
                shape = shapes.get(f"{scope}/{name}")
                if shape is None and not np.any(array):
                    continue  # batch_norm="before": zeros stand for the missing bias
                if np.shape(array) != shape:
                    raise ValueError(f"{attribute}[{number}] has shape {np.shape(array)}, but the layer has {shape}.")
                known = values.get(f"{scope}/{name}")
                were_set = were_set or not (array is known or np.array_equal(array, known))
                values[f"{scope}/{name}"] = np.asarray(array, self._dtype)
        if were_set:  # then the best epoch so far had other weights
            values = {name: value for name, value in values.items() if not name.startswith("best/")}
        return values

    def _standing(self, plan):
        """{variable: value} of the stopping rule that this fit must not take over from the last one."""
        if not self._values or not plan.rule:
            return {}
        watched = "best/score" if plan.rule.rising else "best/loss"
        return GOING_ON | ({} if watched in self._values else NONE_YET)

    def _run(self, program, parts):
        """A context manager of (the `Recorder` of `logdir`, or None; the metrics of its earlier epochs)."""
        if self.logdir is None:
            return contextlib.nullcontext((None, {}))
        shared = parameters.config(self, self._seed, program.plan)
        config = self._config_class.from_dict(shared | self._own_config(shared["parameters"]))
        arrays = [array for part in parts.values() for array in part.arrays]
        facts = Facts(fingerprint(arrays), self.n_features_in_, self._facts_size())
        schema, X = samples.schema(self), parts["train"].X
        return fit_run.opened(Path(self.logdir), config, facts, schema, program, X, warnings.warn)

    def _attributes(self, fit):
        """{name: value} of the attributes that this estimator would have if the `Fit` ended now."""
        model = copy.copy(self)
        model._set_fitted(fit)
        return vars(model)

    def _set_fitted(self, fit):
        """Sets the fitted attributes from the variables and the metrics of a `Fit`."""
        self._set_fitted_weights(fit.program.kept_values() | self._best_values(fit))
        self._scored_by = self.scoring
        if not all(np.isfinite(each).all() for each in self.coefs_):  # if there is a best epoch, these are its weights
            raise ValueError(DIVERGED)
        self._set_fitted_curves(fit.metrics, fit.program.plan.sizes.train)

    def _best_values(self, fit):
        """{variable: value} of the network at the epoch that a scorer found best; {} without a scorer."""
        scored = fit.scoring.values if fit.scoring else {}
        return {name: values for name, values in scored.items() if name in fit.program.network.variables}

    def _set_fitted_curves(self, metrics, n_train):
        """Sets the attributes that describe the epochs. metrics: {name: values of the epochs}, as in `Plan.metrics`."""
        self.n_iter_ = len(metrics["train_total"])
        self._epochs += self.n_iter_
        self.t_ += self.n_iter_ * n_train
        self.loss_curve_ = [*self.loss_curve_, *metrics["train_total"]]
        self.loss_ = self.loss_curve_[-1]
        if self.early_stopping:
            scores = metrics[f"validation_{self._config_class.score}"]
            self.validation_scores_ = [*(self.validation_scores_ or []), *scores]
            self.best_validation_score_ = max(self.validation_scores_)
        else:
            self.best_loss_ = min(self.loss_curve_)

    def _set_fitted_weights(self, values):
        """Sets the weights, the best epoch's if these are kept. values: {variable: value}; no array is copied."""
        last = {name: values[name] for placed in self._placed() for name in (*placed.trained, *placed.statistics)}
        self._values = values = values | best_weights(last, values)
        dense = [scope for scope, _ in self._dense()]
        self.coefs_ = [values[f"{name}/kernel"] for name in dense]
        zeros = [np.zeros(kernel.shape[1], kernel.dtype) for kernel in self.coefs_]
        self.intercepts_ = [values.get(f"{name}/bias", zero) for name, zero in zip(dense, zeros, strict=True)]
        self.n_layers_ = len(dense) + 1

    # ---- runs

    @classmethod
    def _from_fit(cls, path, description):
        """The estimator as fit left it, restored from its run."""
        config = description.config
        with durable.explained("read", path / "config.json", *durable.MALFORMED):
            opened = cls(**config.arguments(), logdir=str(path))
            opened._validate_params()
            opened.n_features_in_ = description.data.n_features
            if config.feature_names is not None:
                opened.feature_names_in_ = np.array(config.feature_names, dtype=object)
            opened._start_as(config)
        epoch, values = newest_values(path, description)
        opened._set_fitted_weights({name: value for name, value in values.items() if not name.startswith(UNSAVED)})
        opened._set_fitted_curves(fit_run.earlier_metrics(path, epoch, config.dtype), config.samples)
        return opened

    def _set_fitted_run(self, run, values):
        """Sets the fitted attributes from a command-line run. values: {variable: value} of its weights."""
        (config, facts, *_), schema = run.description, run.description.schema
        if facts.categories or facts.missing:
            raise RunError(
                f"{run.path} was trained on columns that hold texts or lack numbers, which an estimator does not take: "
                "open it with fcclf.open_run."
            )
        if schema.named:
            self.feature_names_in_ = np.array(schema.names, dtype=object)
        self.n_features_in_, self._layers = facts.n_features, tuple(config.layers(facts.shape).items())
        self.n_outputs_ = self._layers[-1][1].units
        self._seed, self._dtype, self.t_ = config.training.seed, config.dtype, 0
        self._epochs, self.loss_curve_ = 0, []
        self._values = {}
        self._set_fitted_weights(values)

    # ---- exports

    def export(self, directory, formats=("savedmodel",), X=None):
        """Writes the model as the next version in `directory`, for programs without fcclf: `fcclf.serving.export`.

        formats: any of "savedmodel", "onnx" and "tflite". X: samples on which the exported model is tested against the
        estimator; without them it is tested on random ones. Returns an `Exported`, with the `path` of the version.
        Raises RunError if a package is missing, the files cannot be written or outputs differ by more than their bound.
        """
        check_is_fitted(self)
        some = None if X is None else samples.features(self, X)
        return exporting.export_estimator(self, directory, formats, some)

    # ---- predicting

    def _answers(self, X) -> np.ndarray:
        """The network's outputs for X: [samples, outputs]."""
        check_is_fitted(self)
        return self._computed(Predictor.answers, X)

    def _computed(self, compute, X):
        """The result of compute(predictor, X), with the weights loaded and X checked."""
        return self._computed_of(compute, samples.features(self, X))

    def _computed_of(self, compute, X):
        """Like `_computed`, for X that is checked already."""
        with borrowed(Predictor, self._layers, self.n_features_in_, parameters.THREADS, self._dtype) as predictor:
            values = self._current_values()
            predictor.load_if_other({name: value for name, value in values.items() if name in predictor.variables})
            return compute(predictor, X)

    def hidden(self, X, layer=-1) -> np.ndarray:
        """The outputs of a hidden layer for X, after its activation and normalisation: [samples, units].

        layer: its index in `hidden_layer_sizes`; default: the last. Raises ValueError if there is no such layer.
        """
        check_is_fitted(self)
        scopes = self._hidden_scopes()
        if not scopes:
            raise ValueError("There is no hidden layer, so nothing is hidden.")
        if not -len(scopes) <= layer < len(scopes):
            raise ValueError(f"layer is {layer}, but there are {len(scopes)} hidden layers, counted from 0.")
        return self._computed(lambda predictor, X: predictor.outputs(X)[scopes[layer]], X)

    def _hidden_scopes(self):
        """The scope of the last block of each hidden layer: the one before the next dense one."""
        names = [name for name, _ in self._layers]
        dense = [number for number, (_, block) in enumerate(self._layers) if isinstance(block, Dense)]
        return [names[number - 1] for number in dense[1:]]

    def transform(self, X) -> np.ndarray:
        """The outputs of the last hidden layer for X, [samples, units]: features that the network has learned."""
        return self.hidden(X)

    @property
    def _n_features_out(self):
        return self.coefs_[-1].shape[0]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"] if self.dtype is None else [self.dtype]
        return tags
