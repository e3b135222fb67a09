"""`FCClassifier`: the network and the compiled epoch loop of a run as a scikit-learn classifier.

Parameters, attributes, defaults and rules are those of `sklearn.neural_network.MLPClassifier` where it has them. The
fitted state consists of numpy arrays, so a classifier can be pickled and copied. It owns no session:
`fcclf.learning.program` keeps graphs and compiled loops by their plan and lends them to every fit and prediction.

Weights, losses and predictions are float32. Fits with the same `random_state`, an int, are equal bit for bit on one
machine type and one version of the libraries, whatever the process or the number of jobs.
"""

import contextlib
import copy
import warnings
from numbers import Integral
from pathlib import Path

import numpy as np
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import _check_partial_fit_first_call
from sklearn.utils.validation import check_is_fitted

from fcclf.data.dataset import fingerprint
from fcclf.data.facts import Facts
from fcclf.estimator import callbacks, fit_run, parameters, samples
from fcclf.estimator.callbacks import CallbackSupportMixin, Tasks
from fcclf.estimator.fitting import Fit
from fcclf.learning.predictor import Predictor
from fcclf.learning.program import UNSAVED, Program, best_weights, borrowed
from fcclf.runs import run_directory
from fcclf.runs.trained import TrainedRun, newest_values
from fcclf.settings import blocks
from fcclf.settings.blocks import Dense
from fcclf.settings.fit_config import FitConfig
from fcclf.system import durable

GOING_ON = {"best/stopped": False}  # variables of the stopping rule, set in every fit that goes on
NONE_YET = {"best/epoch": 0, "best/wait": 0}  # ... and set too where the rule watches another metric than before


class FCClassifier(CallbackSupportMixin, ClassifierMixin, BaseEstimator):
    """A fully-connected neural network that classifies, trained on the cross-entropy by stochastic gradients.

    These parameters mean what they mean in `sklearn.neural_network.MLPClassifier`: hidden_layer_sizes, alpha,
    batch_size, learning_rate, learning_rate_init, power_t, max_iter, shuffle, random_state, tol, verbose, warm_start,
    momentum, nesterovs_momentum, early_stopping, validation_fraction, beta_1, beta_2, epsilon, n_iter_no_change.

    Parameters
    ----------
    activation : one of `fcclf.settings.blocks.ACTIVATIONS`, or "logistic" for "sigmoid"; of the hidden layers.
    solver : "adam", "sgd", "rmsprop", "adagrad" or "adadelta", of `tf.compat.v1.train`.
    alpha : adds alpha / 2 * sum(W^2), divided by the samples (their weight) in a batch, to the loss.
    warm_start : fit goes on with the weights, and the optimizer's slots, of the last fit.
    l1, l2 : add l1 * sum(|W|) and l2 / 2 * sum(W^2) to the loss, whatever the size of a batch.
    dropout : share of each hidden layer's outputs that is dropped in training (Srivastava et al. 2014).
    batch_norm : normalise batches "before" or "after" each hidden activation (Ioffe and Szegedy 2015); True: before.
    kernel_initializer : one of `fcclf.settings.blocks.INITIALIZERS`; biases begin at 0.
    class_weight : {label: weight}, or "balanced" for n_samples / (n_classes * samples of the class); default: 1.
    logdir : a run directory, for TensorBoard and checkpoints. Where it holds this fit already, same parameters and
        samples, fit goes on from its last checkpoint, bit for bit as if it had not stopped.

    Attributes
    ----------
    classes_, n_features_in_, feature_names_in_, n_layers_, n_outputs_, out_activation_, t_, n_iter_, loss_, best_loss_,
    loss_curve_, validation_scores_, best_validation_score_ : as in `MLPClassifier`.
    coefs_, intercepts_ : lists of float32 arrays, (inputs, units) and (units,), of each layer, of a run with residual
        blocks of each dense layer inside them too; with batch_norm="before" the hidden layers' intercepts are zeros.
    """

    _parameter_constraints: dict = parameters.RULES

    def __init__(
        self,
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        solver="adam",
        alpha=0.0001,
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=0.001,
        power_t=0.5,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        warm_start=False,
        momentum=0.9,
        nesterovs_momentum=True,
        early_stopping=False,
        validation_fraction=0.1,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        l1=0.0,
        l2=0.0,
        dropout=0.0,
        batch_norm=None,
        kernel_initializer="glorot_uniform",
        class_weight=None,
        logdir=None,
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.l1 = l1
        self.l2 = l2
        self.dropout = dropout
        self.batch_norm = batch_norm
        self.kernel_initializer = kernel_initializer
        self.class_weight = class_weight
        self.logdir = logdir

    # ---- fitting

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None, *, X_val=None, y_val=None, sample_weight_val=None):
        """Trains on X, [samples, features], and y, [samples], for `max_iter` epochs or until it improves no more.

        sample_weight: [samples]. X_val, y_val, sample_weight_val: with `early_stopping`, the validation data; without
        them it is `validation_fraction` of X, with the same share of each class.
        With a `logdir`, raises ConfigError, a ValueError, if the run there is another one, RunError if it is in use or
        cannot be read or written.
        """
        if self.logdir is not None and self.warm_start:
            raise ValueError("With a logdir, fit goes on from its checkpoint by itself: set warm_start=False.")
        tasks = Tasks(self, X, y, sample_weight, self._attributes) if callbacks.wanted(self) else None
        with self._all_or_nothing():
            given = self._given(X, y, sample_weight, fresh=not (self.warm_start and hasattr(self, "_values")))
            parts = samples.parts(self, given, self._seed, X_val, y_val, sample_weight_val)
            fit = self._train(parts, self.max_iter, {"state/learning_rate": self.learning_rate_init}, tasks)
        if tasks:
            tasks.end()
        if self.n_iter_ == self.max_iter and not fit.stopped:
            warnings.warn(
                f"Maximum iterations ({self.max_iter}) reached and the optimization hasn't converged yet.",
                ConvergenceWarning,
                stacklevel=3,
            )
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, sample_weight=None, classes=None):
        """Trains on X, [samples, features], and y, [samples], for one epoch; weights and slots go on from call to call.

        sample_weight: [samples]. classes: all labels that any call may bring; the first call needs them.
        """
        if self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        if self.logdir is not None:
            raise ValueError("partial_fit keeps no run: set logdir=None, or call fit.")
        with self._all_or_nothing():
            first = _check_partial_fit_first_call(self, classes)
            X, y = samples.labelled(self, X, y, reset=first)
            if first:
                self._start(samples.classes_of(classes))
            samples.check_known(y, self.classes_)
            given = samples.samples(X, y, self.classes_, sample_weight, self.class_weight)
            self._train({"train": given}, 1, {} if self._values else {"state/learning_rate": self.learning_rate_init})
        return self

    @contextlib.contextmanager
    def _all_or_nothing(self):
        """If the block fails, what was fitted before it stays as it was."""
        before = dict(self.__dict__)
        try:
            yield
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def _given(self, X, y, sample_weight, fresh):
        """The samples of a fit as a `Part`. fresh: forget the fits before it."""
        X, y = samples.labelled(self, X, y, reset=fresh)
        classes = samples.classes_of(y)
        if fresh:
            self._start(classes)
        elif not np.array_equal(classes, self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                f"Previously got {self.classes_}, `y` has {classes}"
            )
        return samples.samples(X, y, self.classes_, sample_weight, self.class_weight)

    def _start(self, classes):
        """Forgets what was fitted before."""
        self.classes_ = classes
        self.n_outputs_ = 1 if len(classes) == 2 else len(classes)
        self.out_activation_ = "logistic" if len(classes) == 2 else "softmax"
        self._seed = self._drawn_seed()
        self._values, self._layers = {}, parameters.network(self, self.n_outputs_)
        self.t_, self.loss_curve_ = 0, []
        self.best_loss_ = self.best_validation_score_ = None
        self.validation_scores_ = [] if self.early_stopping else None

    def _drawn_seed(self):
        """The seed that random_state gives; a run that goes on keeps its own unless random_state is an int."""
        stored = fit_run.stored(Path(self.logdir)) if self.logdir is not None else None
        if stored and not isinstance(self.random_state, Integral):
            return stored.seed
        return int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))

    def _train(self, parts, n_epochs, values, tasks=None) -> Fit:
        """Trains up to `n_epochs` on parts, {name: `Part`}; sets the attributes.

        values: {variable: value} that count instead of those of the last call.
        """
        layers = parameters.network(self, self.n_outputs_)
        if parameters.with_variables(layers) != parameters.with_variables(self._layers):
            raise ValueError(
                "The layers differ from those of the previous call: set warm_start=False, or set them back."
            )
        self._layers = layers
        plan = parameters.plan(self, layers, self.n_features_in_, parts, n_epochs)
        epochs = len(self.loss_curve_)
        given = parameters.hyperparameters(self, plan, self._seed, self.t_, epochs)
        values = self._values | self._standing(plan) | values
        with borrowed(Program, plan) as program:
            program.begin(given, values, epochs)
            with self._run(program, parts) as (recorder, earlier):
                fit = Fit(program, parts, "shuffle" if self.shuffle else "none", n_epochs, recorder, earlier)
                fit.train(self.verbose, tasks)
            self._set_fitted(fit)
        if fit.interrupted:
            on = " The same call of fit goes on." if fit.recorder and fit.epochs < n_epochs and not fit.stopped else ""
            warnings.warn(f"Training interrupted by user.{on}", stacklevel=4)
        return fit

    def _standing(self, plan):
        """{variable: value} of the stopping rule, where this fit begins with others than the last one left."""
        if not self._values:
            return {}
        watched = "best/score" if plan.rule.rising else "best/loss"
        return GOING_ON | ({} if watched in self._values else NONE_YET)

    def _run(self, program, parts):
        """A context manager of (the `Recorder` of `logdir`, or None; the metrics of its earlier epochs)."""
        if self.logdir is None:
            return contextlib.nullcontext((None, {}))
        config = parameters.config(self, self._seed, program.plan.sizes.train)
        arrays = [array for part in parts.values() for array in part.arrays]
        facts = Facts(fingerprint(arrays), self.n_features_in_, len(self.classes_))
        return fit_run.opened(Path(self.logdir), config, facts, program, parts["train"].X, warnings.warn)

    def _attributes(self, fit):
        """{name: value} of the attributes that this classifier would have if the `Fit` ended now."""
        model = copy.copy(self)
        model._set_fitted(fit)
        return vars(model)

    def _set_fitted(self, fit):
        """Sets the fitted attributes from the variables and the metrics of a `Fit`."""
        self._set_fitted_weights(fit.program.kept_values())
        self._set_fitted_curves(fit.metrics, fit.program.plan.sizes.train)

    def _set_fitted_curves(self, metrics, n_train):
        """Sets the attributes that describe the epochs. metrics: {name: values of the epochs}, as in `Plan.metrics`."""
        self.n_iter_ = len(metrics["train_total"])
        self.t_ += self.n_iter_ * n_train
        self.loss_curve_ = [*self.loss_curve_, *metrics["train_total"]]
        self.loss_ = self.loss_curve_[-1]
        if self.early_stopping:
            self.validation_scores_ = [*(self.validation_scores_ or []), *metrics["validation_accuracy"]]
            self.best_validation_score_ = max(self.validation_scores_)
        else:
            self.best_loss_ = min(self.loss_curve_)

    def _set_fitted_weights(self, values):
        """Sets the weights. values: {variable: value}, the best epoch's where they are kept; no array is copied."""
        network = list(blocks.placed(dict(self._layers), (self.n_features_in_,)))
        last = {name: values[name] for placed in network for name in (*placed.trained, *placed.statistics)}
        self._values = values = values | best_weights(last, values)
        dense = [placed.scope for placed in network if isinstance(placed.block, Dense)]
        self.coefs_ = [values[f"{name}/kernel"] for name in dense]
        zeros = [np.zeros(kernel.shape[1], np.float32) for kernel in self.coefs_]
        self.intercepts_ = [values.get(f"{name}/bias", zero) for name, zero in zip(dense, zeros, strict=True)]
        self.n_layers_ = len(dense) + 1

    @classmethod
    def from_run(cls, path, classes=None):
        """A fitted classifier from a run directory, with the weights that count: the last, or the best.

        path: of any trained run. From a fit with a `logdir` comes the classifier as fit left it, which can be trained
        on. From a run of the command line comes one that predicts; `fcclf train` trains the run on.
        classes: the labels in the order of the run's class numbers; by default those the run knows.
        Raises RunError if there is no run that can be read, ValueError if the labels are not as many as its classes.
        """
        path = Path(path)
        description = run_directory.read(path)
        if description.config.maker == FitConfig.maker:
            opened = cls._from_fit(path, description)
        else:
            opened = cls._from_command_line(path)
        if classes is not None:
            if len(classes) != len(opened.classes_):
                known = f"The run has {len(opened.classes_)} classes"
                raise ValueError(f"{known}, but {len(classes)} labels were given.")
            opened.classes_ = np.asarray(classes)
        return opened

    @classmethod
    def _from_fit(cls, path, description):
        config = description.config
        with durable.explained("read", path / "config.json", *durable.MALFORMED):
            opened = cls(**config.arguments(), logdir=str(path))
            opened._validate_params()
            opened.n_features_in_ = description.data.n_features
            if config.feature_names is not None:
                opened.feature_names_in_ = np.array(config.feature_names, dtype=object)
            opened._start(np.array(config.classes, dtype=config.class_type))
        epoch, values = newest_values(path, description)
        opened._set_fitted_weights({name: value for name, value in values.items() if not name.startswith(UNSAVED)})
        opened._set_fitted_curves(fit_run.earlier_metrics(path, epoch), config.samples)
        return opened

    @classmethod
    def _from_command_line(cls, path):
        with TrainedRun(path) as run:
            values, config, facts = run.weights(), run.description.config, run.description.data
        opened = cls()
        opened.classes_, opened.n_features_in_ = np.arange(facts.n_classes), facts.n_features
        opened._layers = tuple(config.layers(facts.n_features, facts.n_classes).items())
        opened.n_outputs_ = opened._layers[-1][1].units
        opened.out_activation_ = "logistic" if opened.n_outputs_ == 1 else "softmax"
        opened._seed, opened.t_, opened.loss_curve_ = config.training.seed, 0, []
        opened._set_fitted_weights(values)
        return opened

    # ---- predicting

    def _logits(self, X):
        """float32 [samples, classes]."""
        check_is_fitted(self)
        X = samples.features(self, X)
        with borrowed(Predictor, self._layers, self.n_features_in_, parameters.THREADS) as predictor:
            predictor.load({name: value for name, value in self._values.items() if name in predictor.variables})
            return predictor.logits(X)

    def decision_function(self, X):
        """The logits: float32 [samples, classes]; with two classes [samples], of the second against the first."""
        logits = self._logits(X)
        return logits[:, 1] - logits[:, 0] if len(self.classes_) == 2 else logits

    def predict(self, X):
        """The most probable labels, [samples]."""
        logits = self._logits(X)
        return self.classes_[logits.argmax(axis=1)]

    def predict_proba(self, X):
        """Probabilities, float32 [samples, classes], in the order of `classes_`."""
        return softmax(self._logits(X), axis=1)

    def predict_log_proba(self, X):
        """Logarithms of the probabilities, float32 [samples, classes]; finite where those round to 0."""
        return log_softmax(self._logits(X), axis=1)
