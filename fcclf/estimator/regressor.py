"""`FCRegressor`: the network and the compiled epoch loop of a run as a scikit-learn regressor."""

from pathlib import Path

import numpy as np
from sklearn.base import RegressorMixin, _fit_context
from sklearn.utils.metaestimators import available_if

from fcclf.errors import RunError
from fcclf.estimator import parameters, samples
from fcclf.estimator.base import FCEstimator, takes_batches
from fcclf.learning.objective import Regression
from fcclf.runs import run_directory
from fcclf.runs.trained import TrainedRun
from fcclf.settings.fit_config import RegressorConfig
from fcclf.settings.run_config import REGRESSION


class FCRegressor(RegressorMixin, FCEstimator):
    """A fully-connected neural network that predicts numbers, one or several for a sample, trained by stochastic
    gradients unless the solver is lbfgs.

    These parameters are those of `sklearn.neural_network.MLPRegressor`: hidden_layer_sizes, alpha,
    batch_size, learning_rate, learning_rate_init, power_t, max_iter, shuffle, random_state, tol, verbose, warm_start,
    momentum, nesterovs_momentum, early_stopping, validation_fraction, beta_1, beta_2, epsilon, n_iter_no_change,
    max_fun.

    Parameters
    ----------
    loss : "squared_error" or "poisson", as in `MLPRegressor`; "absolute_error"; "huber", quadratic up to an error of
        `delta` and linear beyond (Huber 1964). Losses of several outputs are averaged, those of "poisson" summed.
    delta : the error from which the loss "huber" is linear.
    scoring : as in `FCClassifier`; default: R2.
    activation, solver, alpha, warm_start, l1, l2, dropout, batch_norm, kernel_initializer, bias_initializer,
        shuffle_window, dtype, threads, device, logdir : as in `FCClassifier`.

    Attributes
    ----------
    n_features_in_, feature_names_in_, n_layers_, n_outputs_, out_activation_, t_, n_iter_, loss_, best_loss_,
    loss_curve_, validation_scores_, best_validation_score_ : as in `MLPRegressor`; scores are R2.
    coefs_, intercepts_ : as in `FCClassifier`.
    """

    _parameter_constraints: dict = parameters.REGRESSOR_RULES
    _config_class = RegressorConfig
    _task = REGRESSION

    def __init__(
        self,
        loss="squared_error",
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
        max_fun=15000,
        scoring=None,
        l1=0.0,
        l2=0.0,
        dropout=0.0,
        batch_norm=None,
        kernel_initializer="glorot_uniform",
        bias_initializer="uniform",
        delta=1.0,
        shuffle_window=None,
        dtype=None,
        threads=None,
        device="cpu",
        logdir=None,
    ):
        self.loss = loss
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
        self.max_fun = max_fun
        self.scoring = scoring
        self.l1 = l1
        self.l2 = l2
        self.dropout = dropout
        self.batch_norm = batch_norm
        self.kernel_initializer = kernel_initializer
        self.bias_initializer = bias_initializer
        self.delta = delta
        self.shuffle_window = shuffle_window
        self.dtype = dtype
        self.threads = threads
        self.device = device
        self.logdir = logdir

    # ---- the targets

    @available_if(takes_batches)
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, sample_weight=None):
        """Trains on X, [samples, features], and y, [samples] or [samples, outputs], for one epoch; weights and
        optimizer slots are kept between calls. sample_weight: [samples]. Not available with solver="lbfgs"."""
        self._check_partial()
        with self._all_or_nothing():
            self._train_an_epoch(self._given(X, y, sample_weight, fresh=not hasattr(self, "_values")))
        return self

    def _start(self, n_outputs, dtype):
        """Resets the estimator to nothing fitted."""
        self._begin(n_outputs, self._activation(), str(dtype))

    def _activation(self):
        """The function that turns the network's outputs into predictions: "exp" or "identity"."""
        return "exp" if self.loss == "poisson" else "identity"

    def _start_as(self, config):
        """Like `_start`, with the outputs of a run."""
        self._start(config.n_outputs, config.dtype)

    def _objective(self):
        return Regression(self.loss, float(self.delta) if self.loss == "huber" else 1.0, self.n_outputs_)

    def _loss_of_guessing(self, y):
        """The loss of always predicting the mean of y; infinite for losses other than squared_error."""
        return float(np.var(y, axis=0).mean() / 2) if self.loss == "squared_error" else np.inf

    def _given(self, X, y, sample_weight, fresh):
        """The samples of a fit as a `Part`. fresh: forget earlier fits."""
        X, y = self._targets(X, y, reset=fresh)
        if fresh:
            self._start(y.shape[1], X.dtype)
        elif y.shape[1] != self.n_outputs_:
            raise ValueError(
                f"y has {y.shape[1]} outputs, but there were {self.n_outputs_} in the previous call: set "
                "warm_start=False, or bring the same."
            )
        elif self.out_activation_ != self._activation():
            raise ValueError(
                f"loss={self.loss!r} makes another number of the outputs: set warm_start=False, or set it back."
            )
        return samples.measured(X, y, sample_weight)

    def _targets(self, X, y, reset=False):
        """(X, [samples, features]; y, [samples, outputs]), checked."""
        X, y = samples.targeted(self, X, y, reset=reset)
        if self.loss == "poisson" and y.min() < 0:
            raise ValueError("Some value(s) of y are out of the valid range of the loss 'poisson': it takes y >= 0.")
        return X, y

    def _checked(self, X, y, sample_weight):
        """Samples of the same kind as those fitted, as a `Part`."""
        X, y = self._targets(X, y)
        if y.shape[1] != self.n_outputs_:
            raise ValueError(f"y_val has {y.shape[1]} outputs, but y has {self.n_outputs_}.")
        return samples.measured(X, y, sample_weight)

    def _labels(self, y):
        """The user's targets for y of a `Part`."""
        return y[:, 0] if self.n_outputs_ == 1 else y

    def _strata(self, y, smallest):
        """None: a held-out part is not stratified."""

    # ---- runs

    @classmethod
    def from_run(cls, path):
        """A fitted regressor from a run directory, with the weights of the best epoch, if it is known, or the last.

        A fit with a `logdir` gives the regressor as fit left it, which can be trained further. A run of the command
        line gives one for prediction; the outputs of its last layer are in the unit of the labels.
        Raises RunError if there is no run that can be read, it classifies, or some of its columns hold texts or lack
        numbers.
        """
        path = Path(path)
        description = run_directory.read(path)
        if description.config.score != "r2":
            raise RunError(f"{path} is a run that classifies: open it with FCClassifier.from_run.")
        return cls._from_command_line(path) if description.config.loadable else cls._from_fit(path, description)

    @classmethod
    def _from_command_line(cls, path):
        with TrainedRun(path) as run:
            training, facts, values = run.description.config.training, run.description.data, run.weights()
            values = {name: value.astype(np.float64) for name, value in values.items()}  # labels may be far from 0
            values["output/kernel"] = values["output/kernel"] * facts.label_stddev
            values["output/bias"] = values["output/bias"] * facts.label_stddev + facts.label_mean
            opened = cls(training.loss, delta=training.delta)
            opened._set_fitted_run(run, values)
            opened._dtype = "float64"
            opened.out_activation_ = opened._activation()
            return opened

    def _own_config(self, given):
        """{setting: value} that only `RegressorConfig` has."""
        return {"n_outputs": self.n_outputs_}

    def _facts_size(self):
        return self.n_outputs_

    # ---- predicting

    def predict(self, X):
        """The predicted numbers, [samples], or [samples, outputs] if there are several outputs."""
        answers = self._answers(X)
        if self.out_activation_ == "exp":
            answers = np.exp(answers)
        return answers[:, 0] if self.n_outputs_ == 1 else answers
