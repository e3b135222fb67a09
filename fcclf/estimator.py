"""`FCClassifier`: the network and the compiled epoch loop of a run as a scikit-learn classifier.

Parameters, attributes, defaults and rules are those of `sklearn.neural_network.MLPClassifier` where it has them. What
is fitted is numpy: it pickles, copies and predicts without a session of its own, for `fcclf.program` keeps graphs and
compiled loops by their shape and lends them to whoever fits or predicts.

Weights, losses and predictions are float32. Fits with the same `random_state`, an int, are equal bit for bit on one
machine type and one version of the libraries, whatever the process or the number of jobs.
"""

import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from numbers import Integral, Real

import numpy as np
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.multiclass import _check_partial_fit_first_call
from sklearn.utils.validation import check_is_fitted

from fcclf import blocks, samples
from fcclf.blocks import ACTIVATIONS, INITIALIZERS
from fcclf.epoch_loop import batches_per_epoch
from fcclf.fit_loop import Dials
from fcclf.model import Model
from fcclf.program import COMPILED_FROM, Fitter, Plan, Predictor, Solver, borrowed

SOLVERS = ("adam", "sgd", "rmsprop", "adagrad", "adadelta")
FED_DROPOUT = 0.5  # stands for any rate in a plan: the one that counts is fed
MOST_EPOCHS = np.iinfo(np.int64).max


class FCClassifier(ClassifierMixin, BaseEstimator):
    """A fully-connected neural network that classifies, trained on the cross-entropy by stochastic gradients.

    These parameters mean what they mean in `sklearn.neural_network.MLPClassifier`: hidden_layer_sizes, alpha,
    batch_size, learning_rate, learning_rate_init, power_t, max_iter, shuffle, random_state, tol, verbose, warm_start,
    momentum, nesterovs_momentum, early_stopping, validation_fraction, beta_1, beta_2, epsilon, n_iter_no_change.

    Parameters
    ----------
    activation : one of `fcclf.blocks.ACTIVATIONS`, or "logistic" for "sigmoid"; of the hidden layers.
    solver : "adam", "sgd", "rmsprop", "adagrad" or "adadelta", of `tf.compat.v1.train`.
    alpha : adds alpha / 2 * sum(W^2), divided by the samples (their weight) in a batch, to the loss.
    warm_start : fit goes on with the weights, and the optimizer's slots, of the last fit.
    l1, l2 : add l1 * sum(|W|) and l2 / 2 * sum(W^2) to the loss, whatever the size of a batch.
    dropout : share of each hidden layer's outputs that is dropped in training (Srivastava et al. 2014).
    batch_norm : normalise batches "before" or "after" each hidden activation (Ioffe and Szegedy 2015); True: before.
    kernel_initializer : one of `fcclf.blocks.INITIALIZERS`; biases begin at 0.
    class_weight : {label: weight}, or "balanced" for n_samples / (n_classes * samples of the class); default: 1.

    Attributes
    ----------
    classes_, n_features_in_, feature_names_in_, n_layers_, n_outputs_, out_activation_, t_, n_iter_, loss_, best_loss_,
    loss_curve_, validation_scores_, best_validation_score_ : as in `MLPClassifier`.
    coefs_, intercepts_ : lists of float32 arrays, (inputs, units) and (units,), of each layer; with
        batch_norm="before" the hidden layers' intercepts are zeros.
    """

    _parameter_constraints: dict = {  # noqa: RUF012
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
    }

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

    # ---- fitting

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None, *, X_val=None, y_val=None, sample_weight_val=None):
        """Trains on X, [samples, features], and y, [samples], for `max_iter` epochs or until it improves no more.

        sample_weight: [samples]. X_val, y_val, sample_weight_val: with `early_stopping`, the validation data; without
        them it is `validation_fraction` of X, with the same share of each class.
        """
        fresh = not (self.warm_start and hasattr(self, "_values"))
        X, y = samples.labelled(self, X, y, reset=fresh)
        classes = samples.classes_of(y)
        if fresh:
            self._start(classes)
        elif not np.array_equal(classes, self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                f"Previously got {self.classes_}, `y` has {classes}"
            )
        given = samples.samples(X, y, self.classes_, sample_weight, self.class_weight)
        parts = self._parts(given, X_val, y_val, sample_weight_val)
        stopped = self._train(*parts, self.max_iter, {"fit/learning_rate": self.learning_rate_init})
        if self.n_iter_ == self.max_iter and not stopped:
            warnings.warn(
                f"Maximum iterations ({self.max_iter}) reached and the optimization hasn't converged yet.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Trains on X, [samples, features], and y, [samples], for one epoch; weights and slots go on from call to call.

        classes: all labels that any call may bring; the first call needs them.
        """
        if self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        first = _check_partial_fit_first_call(self, classes)
        X, y = samples.labelled(self, X, y, reset=first)
        if first:
            self._start(samples.classes_of(classes))
        samples.check_known(y, self.classes_)
        given = samples.samples(X, y, self.classes_, sample_weight, self.class_weight)
        self._train(given, None, 1, {} if self._values else {"fit/learning_rate": self.learning_rate_init})
        return self

    def _start(self, classes):
        """Forgets what was fitted."""
        self.classes_ = classes
        self.n_outputs_ = 1 if len(classes) == 2 else len(classes)
        self.out_activation_ = "logistic" if len(classes) == 2 else "softmax"
        self._seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        self._values, self._layers, self.t_, self.loss_curve_ = {}, self._network(), 0, []
        self.best_loss_ = self.best_validation_score_ = None
        self.validation_scores_ = [] if self.early_stopping else None

    def _parts(self, given, X_val, y_val, sample_weight_val):
        """The training and the validation samples, None without early stopping."""
        if not self.early_stopping:
            if X_val is not None or y_val is not None:
                raise ValueError("X_val and y_val are for early stopping: set early_stopping=True.")
            return given, None
        if X_val is None and y_val is None:
            train, validation = samples.held_out(given, self.validation_fraction, self._seed)
            return train, samples.with_weights(validation)
        X_val, y_val = samples.labelled(self, X_val, y_val)
        samples.check_known(y_val, self.classes_)
        return given, samples.with_weights(samples.samples(X_val, y_val, self.classes_, sample_weight_val))

    def _train(self, train, validation, n_epochs, values):
        """Up to `n_epochs` on `Samples`; whether it stopped by itself. Notes the attributes.

        values: {variable: value} that count instead of those of the last call.
        """
        if self._network() != self._layers:
            raise ValueError(
                "The layers differ from those of the previous call: set warm_start=False, or set them back."
            )
        plan, arrays = (
            self._plan(train, validation, n_epochs),
            [*train.arrays, *(validation.arrays if validation else [])],
        )
        with borrowed(Fitter, plan) as fitter:
            fitter.begin(self._dials(), self._values | values, len(self.loss_curve_))
            stretches = self._stretches(fitter, arrays, n_epochs)
            fitted, names = fitter.values(), fitter.network_names
        if not all(stretch.finite for stretch in stretches):
            raise ValueError(
                "Solver produced non-finite parameter weights. The input data may contain large values and need to be "
                "preprocessed, or learning_rate_init is too high."
            )
        if validation:
            fitted |= {name: fitted[f"fit/best/{name}"] for name in names}
        self._note(fitted, np.concatenate([stretch.metrics for stretch in stretches]), len(train.y))
        return stretches[-1].stopped

    def _stretches(self, fitter, arrays, n_epochs):
        """Trains in a thread, so that an interrupt loses nothing: the stretch that runs is finished and counts."""
        done, stop = [], threading.Event()
        with ThreadPoolExecutor(max_workers=1) as thread:
            thread.submit(int).result()  # the block waits for the thread only once it has begun
            try:
                thread.submit(self._advance, fitter, arrays, n_epochs, done, stop).result()
            except KeyboardInterrupt:
                stop.set()
        if not done:
            raise KeyboardInterrupt
        if stop.is_set():
            warnings.warn("Training interrupted by user.", stacklevel=5)
        return done

    def _advance(self, fitter, arrays, n_epochs, done, stop):
        """Appends stretches to `done` until the fit is over or `stop` is set."""
        left = n_epochs
        while left and not stop.is_set():
            stretch = fitter.advance(arrays, self.shuffle, min(left, fitter.plan.most_epochs))
            self._report(n_epochs - left, stretch.metrics)
            done.append(stretch)
            left -= len(stretch.metrics)
            if stretch.stopped or not stretch.finite:
                return

    def _report(self, before, metrics):
        if self.verbose:
            for number, row in enumerate(metrics, before + 1):
                print(f"Iteration {number}, loss = {row[0]:.8f}")
                if len(row) > 1:
                    print(f"Validation score: {row[1]:.6f}")

    def _note(self, fitted, metrics, n_train):
        """The attributes, from the variables and the metrics of the epochs."""
        self._values = fitted
        self.coefs_ = [fitted[f"{name}/kernel"] for name, block in self._layers if isinstance(block, blocks.Dense)]
        self.intercepts_ = [
            fitted.get(f"{name}/bias", np.zeros(fitted[f"{name}/kernel"].shape[1], np.float32))
            for name, block in self._layers
            if isinstance(block, blocks.Dense)
        ]
        self.n_layers_, self.n_iter_, self.t_ = len(self.coefs_) + 1, len(metrics), self.t_ + len(metrics) * n_train
        self.loss_curve_ = [*self.loss_curve_, *metrics[:, 0].tolist()]
        self.loss_ = self.loss_curve_[-1]
        if self.early_stopping:
            self.validation_scores_ = [*(self.validation_scores_ or []), *metrics[:, 1].tolist()]
            self.best_validation_score_ = max(self.validation_scores_)
        else:
            self.best_loss_ = min(self.loss_curve_)

    # ---- the program that a fit needs

    def _network(self):
        """((scope, block), ...) of the layers."""
        sizes = self.hidden_layer_sizes if np.iterable(self.hidden_layer_sizes) else [self.hidden_layer_sizes]
        if any(size <= 0 for size in sizes):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {list(sizes)}.")
        model = Model(
            hidden=tuple(sizes),
            activation="sigmoid" if self.activation == "logistic" else self.activation,
            initializer=self.kernel_initializer,
            l2=0.0,
            batch_norm={None: "none", False: "none", True: "before"}.get(self.batch_norm, self.batch_norm),
            dropout=FED_DROPOUT,
        )
        return tuple(blocks.named(model.layers, self.n_outputs_).items())

    def _plan(self, train, validation, n_epochs):
        """What `Fitter` needs to know. Whether to compile depends on the amount of work alone, so it repeats."""
        size = len(train.y)
        if self.batch_size != "auto" and self.batch_size > size:
            warnings.warn(
                f"batch_size is {self.batch_size}, but there are {size} samples: it is clipped.", stacklevel=4
            )
        batch_size = min(200 if self.batch_size == "auto" else self.batch_size, size)
        return Plan(
            layers=self._layers,
            n_features=self.n_features_in_,
            solver=Solver(
                self.solver,
                self.learning_rate if self.solver == "sgd" else "constant",
                *(self.momentum, self.nesterovs_momentum, self.beta_1, self.beta_2, self.epsilon),
            ),
            batch_size=int(batch_size),
            sizes=(size, len(validation.y) if validation else 0),
            weighted=train.weights is not None,
            dropout=self.dropout > 0,
            compiled=n_epochs * batches_per_epoch(size, batch_size) >= COMPILED_FROM,
        )

    def _dials(self):
        """The settings that are fed."""
        return Dials(
            seed=self._seed,
            learning_rate_init=self.learning_rate_init,
            power_t=self.power_t,
            alpha=self.alpha,
            l1=self.l1,
            l2=self.l2,
            dropout=self.dropout,
            tol=self.tol,
            n_iter_no_change=min(self.n_iter_no_change, MOST_EPOCHS),
            t=self.t_,
        )

    # ---- predicting

    def _logits(self, X):
        """float32 [samples, classes]."""
        check_is_fitted(self)
        X = samples.features(self, X)
        with borrowed(Predictor, self._layers, self.n_features_in_) as predictor:
            predictor.load({name: value for name, value in self._values.items() if name in predictor.variables})
            return predictor.logits(X)

    def decision_function(self, X):
        """The logits: float32 [samples, classes]; with two classes [samples], that of the second."""
        logits = self._logits(X)
        return logits[:, 1] if self.n_outputs_ == 1 else logits

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
