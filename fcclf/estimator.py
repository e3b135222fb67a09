"""`FCClassifier`: the network and the compiled epoch loop of a run as a scikit-learn classifier.

Parameters, attributes, defaults and rules are those of `sklearn.neural_network.MLPClassifier` where it has them. What
is fitted is numpy: it pickles, copies and predicts without a session of its own, for `fcclf.program` keeps graphs and
compiled loops by their shape and lends them to whoever fits or predicts.

Weights, losses and predictions are float32. Fits with the same `random_state`, an int, are equal bit for bit on one
machine type and one version of the libraries, whatever the process or the number of jobs.
"""

import contextlib
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import _check_partial_fit_first_call
from sklearn.utils.validation import check_is_fitted

from fcclf import parameters, samples
from fcclf.blocks import Dense
from fcclf.inference import TrainedRun
from fcclf.program import Fitter, Predictor, borrowed

NONE_YET = {"fit/best": np.finfo(np.float32).min, "fit/wait": 0}  # of the variables that decide when a fit is over


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
        with self._all_or_nothing():
            given = self._given(X, y, sample_weight, fresh=not (self.warm_start and hasattr(self, "_values")))
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
    def partial_fit(self, X, y, sample_weight=None, classes=None):
        """Trains on X, [samples, features], and y, [samples], for one epoch; weights and slots go on from call to call.

        sample_weight: [samples]. classes: all labels that any call may bring; the first call needs them.
        """
        if self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        with self._all_or_nothing():
            first = _check_partial_fit_first_call(self, classes)
            X, y = samples.labelled(self, X, y, reset=first)
            if first:
                self._start(samples.classes_of(classes))
            samples.check_known(y, self.classes_)
            given = samples.samples(X, y, self.classes_, sample_weight, self.class_weight)
            self._train(given, None, 1, {} if self._values else {"fit/learning_rate": self.learning_rate_init})
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
        """The `Samples` of a fit, which begins anew if it is `fresh`."""
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
        """Forgets what was fitted."""
        self.classes_ = classes
        self.n_outputs_ = 1 if len(classes) == 2 else len(classes)
        self.out_activation_ = "logistic" if len(classes) == 2 else "softmax"
        self._seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        self._values, self._layers = {}, parameters.network(self, self.n_outputs_)
        self.t_, self.loss_curve_ = 0, []
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
        if parameters.network(self, self.n_outputs_) != self._layers:
            raise ValueError(
                "The layers differ from those of the previous call: set warm_start=False, or set them back."
            )
        plan = parameters.plan(self, self._layers, self.n_features_in_, train, validation, n_epochs)
        dials = parameters.dials(self, self._seed, self.t_)
        arrays = [*train.arrays, *(validation.arrays if validation else [])]
        if bool(validation) != any(name.startswith("fit/best/") for name in self._values):
            values |= NONE_YET  # the best score is no loss to compare with
        with borrowed(Fitter, plan) as fitter:
            fitter.begin(dials, self._values | values, len(self.loss_curve_))
            stretches = self._stretches(fitter, arrays, n_epochs)
            fitted, names = fitter.values(), fitter.network_names
        if not all(np.isfinite(fitted[name]).all() for name in names):
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
            if stretch.stopped:
                return

    def _report(self, before, metrics):
        if self.verbose:
            for number, row in enumerate(metrics, before + 1):
                print(f"Iteration {number}, loss = {row[0]:.8f}")
                if len(row) > 1:
                    print(f"Validation score: {row[1]:.6f}")

    def _note(self, fitted, metrics, n_train):
        """The attributes, from the variables and the metrics of the epochs."""
        self._note_weights(fitted)
        self.n_iter_, self.t_ = len(metrics), self.t_ + len(metrics) * n_train
        self.loss_curve_ = [*self.loss_curve_, *metrics[:, 0].tolist()]
        self.loss_ = self.loss_curve_[-1]
        if self.early_stopping:
            self.validation_scores_ = [*(self.validation_scores_ or []), *metrics[:, 1].tolist()]
            self.best_validation_score_ = max(self.validation_scores_)
        else:
            self.best_loss_ = min(self.loss_curve_)

    def _note_weights(self, values):
        """values: {variable: value}; the attributes share their memory."""
        self._values = values
        dense = [name for name, block in self._layers if isinstance(block, Dense)]
        self.coefs_ = [values[f"{name}/kernel"] for name in dense]
        zeros = [np.zeros(kernel.shape[1], np.float32) for kernel in self.coefs_]
        self.intercepts_ = [values.get(f"{name}/bias", zero) for name, zero in zip(dense, zeros, strict=True)]
        self.n_layers_ = len(dense) + 1

    @classmethod
    def from_run(cls, path, classes=None):
        """A fitted classifier from a run directory, with the weights that `fcclf evaluate` would measure.

        path: of any trained run. classes: the labels in the order of the run's class numbers, by default those numbers.
        It predicts; to train the run on, use `fcclf train`. Raises RunError if there is no run that can be read,
        ValueError if the labels are not as many as its classes.
        """
        with TrainedRun(path) as run:
            values, config, facts = run.weights(), run.description.config, run.description.data
        opened = cls()
        opened.classes_ = np.arange(facts["n_classes"]) if classes is None else np.asarray(classes)
        if len(opened.classes_) != facts["n_classes"]:
            raise ValueError(f"The run has {facts['n_classes']} classes, but {len(opened.classes_)} labels were given.")
        opened.n_features_in_ = facts["n_features"]
        opened._layers = tuple(config.layers(facts["n_features"], facts["n_classes"]).items())
        opened.n_outputs_ = opened._layers[-1][1].units
        opened.out_activation_ = "logistic" if opened.n_outputs_ == 1 else "softmax"
        opened._seed, opened.t_, opened.loss_curve_ = config.training.seed, 0, []
        opened._note_weights(values)
        return opened

    # ---- predicting

    def _logits(self, X):
        """float32 [samples, classes]."""
        check_is_fitted(self)
        X = samples.features(self, X)
        with borrowed(Predictor, self._layers, self.n_features_in_) as predictor:
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
