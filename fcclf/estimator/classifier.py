"""`FCClassifier`: the network and the compiled epoch loop of a run as a scikit-learn classifier."""

import contextlib
from pathlib import Path

import numpy as np
from scipy.special import expit, softmax, xlogy
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, unique_labels

from fcclf.errors import RunError
from fcclf.estimator import parameters, samples
from fcclf.estimator.base import FCEstimator, takes_batches
from fcclf.learning.objective import Classification, Multilabel
from fcclf.learning.predictor import class_logits
from fcclf.runs import run_directory
from fcclf.runs.trained import TrainedRun
from fcclf.settings.fit_config import ClassifierConfig
from fcclf.settings.run_config import CLASSIFICATION, MULTILABEL


def _labels_of(run):
    """The labels of a command-line run, in the order of its class numbers: those of a table, as numbers if all look
    like numbers; else the class numbers."""
    known = run.description.schema
    if not known.classes or known.image_shape:
        return np.arange(run.description.data.n_classes)
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return np.array([kind(label) for label in known.classes])
    return np.array(known.classes)


class FCClassifier(ClassifierMixin, FCEstimator):
    """A fully-connected neural network that classifies, trained on the cross-entropy, by stochastic gradients unless
    the solver is lbfgs. y is a label for each sample, or a matrix of ones and zeros where a sample may have several.

    These parameters are those of `sklearn.neural_network.MLPClassifier`: hidden_layer_sizes, alpha,
    batch_size, learning_rate, learning_rate_init, power_t, max_iter, shuffle, random_state, tol, verbose, warm_start,
    momentum, nesterovs_momentum, early_stopping, validation_fraction, beta_1, beta_2, epsilon, n_iter_no_change,
    max_fun.

    Parameters
    ----------
    activation : one of `fcclf.settings.blocks.ACTIVATIONS`, or "logistic" for "sigmoid"; of the hidden layers.
    solver : "adam", "sgd", "rmsprop", "adagrad" or "adadelta", of `tf.compat.v1.train`; "lbfgs", scipy's L-BFGS-B,
        without batches, and so without early stopping, dropout, batch_norm, partial_fit and logdir.
    alpha : adds alpha / 2 * sum(W^2), divided by the total weight of the batch's samples, to the loss.
    warm_start : fit continues with the weights and optimizer slots of the last fit.
    scoring : the scorer that early stopping follows, by its name in scikit-learn or a callable; default: accuracy,
        measured in the graph. A fit with one runs epoch by epoch and cannot be kept as a run.
    l1, l2 : add l1 * sum(|W|) and l2 / 2 * sum(W^2) to the loss, whatever the size of a batch.
    dropout : share of each hidden layer's outputs that is dropped in training (Srivastava et al. 2014).
    batch_norm : normalise batches "before" or "after" each hidden activation (Ioffe and Szegedy 2015); True: before.
    kernel_initializer : one of `fcclf.settings.blocks.INITIALIZERS`.
    bias_initializer : "uniform", as in `MLPClassifier`, or "zeros".
    class_weight : {label: weight}, or "balanced" for n_samples / (n_classes * samples of the class); default: 1.
    shuffle_window : number of samples, 4096 at least, that are shuffled together, in blocks of 4096 that come in random
        order, as a disk reads blocks faster; default: all.
    dtype : "float32" or "float64", of weights, losses and predictions; default: that of X where it is one of the two,
        else float64, as in `MLPClassifier`. float32 is about twice as fast for wide layers.
    threads : number of CPU threads of a fit, which decides the last bits of the weights: set it where machines with
        different numbers of cores must agree; default: 1 for a small network, one for each core for a large one.
    device : where fit trains: "cpu", "gpu", or "auto", which is the GPU if TensorFlow sees one. That fits are equal bit
        for bit is promised on the CPU only. Predictions are always computed there.
    logdir : a run directory, for TensorBoard and checkpoints. If it holds this fit already, with the same parameters
        and samples, fit resumes from its last checkpoint, bit for bit as if it had not stopped.

    Attributes
    ----------
    classes_, n_features_in_, feature_names_in_, n_layers_, n_outputs_, out_activation_, t_, n_iter_, loss_, best_loss_,
    loss_curve_, validation_scores_, best_validation_score_ : as in `MLPClassifier`.
    coefs_, intercepts_ : lists of arrays, (inputs, units) and (units,), one for each dense layer, including those
        inside the residual blocks of a run; with batch_norm="before" the hidden layers' intercepts are zeros.
    """

    _parameter_constraints: dict = parameters.CLASSIFIER_RULES
    _config_class = ClassifierConfig

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
        max_fun=15000,
        scoring=None,
        l1=0.0,
        l2=0.0,
        dropout=0.0,
        batch_norm=None,
        kernel_initializer="glorot_uniform",
        bias_initializer="uniform",
        class_weight=None,
        shuffle_window=None,
        dtype=None,
        threads=None,
        device="cpu",
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
        self.max_fun = max_fun
        self.scoring = scoring
        self.l1 = l1
        self.l2 = l2
        self.dropout = dropout
        self.batch_norm = batch_norm
        self.kernel_initializer = kernel_initializer
        self.bias_initializer = bias_initializer
        self.class_weight = class_weight
        self.shuffle_window = shuffle_window
        self.dtype = dtype
        self.threads = threads
        self.device = device
        self.logdir = logdir

    # ---- the labels

    @available_if(takes_batches)
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, sample_weight=None, classes=None):
        """Trains on X, [samples, features], and y for one epoch; weights and optimizer slots are kept between calls.

        y: as in `fit`. sample_weight: [samples]. classes: all labels that any call may have; the first call needs
        them. Not available with solver="lbfgs".
        """
        self._check_partial()
        with self._all_or_nothing():
            first = _check_partial_fit_first_call(self, classes)
            X, y = samples.labelled(self, X, y, reset=first)
            if first:
                self._start(unique_labels(classes), y.ndim == 2, X.dtype)
            self._check_labels(y)
            self._train_an_epoch(self._samples(X, y, sample_weight, self.class_weight))
        return self

    def _start(self, classes, multilabel, dtype):
        """Resets the estimator to nothing fitted. multilabel: a sample may have several of the classes."""
        self.classes_, self._multilabel = classes, multilabel
        several = len(classes) > 2 or multilabel
        activation = "softmax" if several and not multilabel else "logistic"
        self._begin(len(classes) if several else 1, activation, str(dtype))

    def _start_as(self, config):
        """Like `_start`, with the labels of a run."""
        self._start(np.array(config.classes, dtype=config.class_type), config.multilabel, config.dtype)

    @property
    def _task(self):
        return MULTILABEL if self._multilabel else CLASSIFICATION

    def _objective(self):
        return Multilabel(self.n_outputs_) if self._multilabel else Classification()

    def _loss_of_guessing(self, y):
        """The loss of always predicting the shares of the classes in y; infinite for multilabel y."""
        if self._multilabel:
            return np.inf
        shares = np.bincount(y) / len(y)
        return -float(np.sum(xlogy(shares, shares)))

    def _given(self, X, y, sample_weight, fresh):
        """The samples of a fit as a `Part`. fresh: forget earlier fits."""
        X, y = samples.labelled(self, X, y, reset=fresh)
        classes = unique_labels(y)
        if fresh:
            self._start(classes, y.ndim == 2, X.dtype)
        elif not np.array_equal(classes, self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                f"Previously got {self.classes_}, `y` has {classes}"
            )
        self._check_labels(y)
        return self._samples(X, y, sample_weight, self.class_weight)

    def _checked(self, X, y, sample_weight):
        """Samples of the same kind as those fitted, as a `Part`."""
        X, y = samples.labelled(self, X, y)
        self._check_labels(y)
        return self._samples(X, y, sample_weight)

    def _check_labels(self, y):
        """Raises ValueError if y has a label that is not in `classes_`, or differs in being multilabel or not."""
        if (y.ndim == 2) != self._multilabel:
            kinds = ("one label a sample", "several labels a sample, as a matrix of ones and zeros")
            raise ValueError(f"y has {kinds[y.ndim - 1]}, but it was {kinds[self._multilabel]} before.")
        if not self._multilabel:
            samples.check_known(y, self.classes_)
        elif y.shape[1] != len(self.classes_):
            raise ValueError(f"y has {y.shape[1]} labels a sample, but there are {len(self.classes_)} classes.")

    def _samples(self, X, y, sample_weight, class_weight=None):
        """The `Part` of samples whose labels are checked already."""
        if self._multilabel:
            if class_weight is not None:
                raise ValueError("class_weight is for one label a sample: set it to None, or give sample_weight.")
            return samples.measured(X, y, sample_weight)
        return samples.samples(X, y, self.classes_, sample_weight, class_weight)

    def _labels(self, y):
        """The user's labels for y of a `Part`."""
        return y if self._multilabel else self.classes_[y]

    def _strata(self, y, smallest):
        """y, class numbers; None if y is multilabel, or `smallest`, the size of the smaller part, is less than the
        number of classes. Raises ValueError if a class has a single sample, which cannot be in both parts."""
        if self._multilabel or smallest < len(self.classes_):
            return None
        single = self.classes_[np.bincount(y, minlength=len(self.classes_)) == 1]
        if len(single):
            raise ValueError(
                "The least populated classes in y have only 1 member, which is too few for early_stopping: it "
                f"takes one to train and one to validate on. Classes with too few members are: {single.tolist()}"
            )
        return y

    # ---- runs

    @classmethod
    def from_run(cls, path, classes=None):
        """A fitted classifier from a run directory, with the weights of the best epoch, if it is known, or the last.

        path: of any trained run. A fit with a `logdir` gives the classifier as fit left it, which can be trained
        further. A run of the command line gives one for prediction; `fcclf train` trains such a run further.
        classes: the labels in the order of the run's class numbers; default: those the run knows.
        Raises RunError if there is no run that can be read, it predicts numbers or some of its columns hold texts or
        lack numbers, ValueError if the number of labels is not that of its classes.
        """
        path = Path(path)
        description = run_directory.read(path)
        if description.config.score != "accuracy":
            raise RunError(f"{path} is a run that predicts numbers: open it with FCRegressor.from_run.")
        loadable = description.config.loadable
        opened = cls._from_command_line(path) if loadable else cls._from_fit(path, description)
        if classes is not None:
            if len(classes) != len(opened.classes_):
                known = f"The run has {len(opened.classes_)} classes"
                raise ValueError(f"{known}, but {len(classes)} labels were given.")
            opened.classes_ = np.asarray(classes)
        return opened

    @classmethod
    def _from_command_line(cls, path):
        with TrainedRun(path) as run:
            opened = cls()
            opened.classes_, opened._multilabel = _labels_of(run), False
            opened._set_fitted_run(run, run.weights())
            opened.out_activation_ = "logistic" if opened.n_outputs_ == 1 else "softmax"
            return opened

    def _own_config(self, given):
        """{setting: value} that only `ClassifierConfig` has. given: {name: value} of the parameters, in which
        class_weight is replaced by pairs."""
        if isinstance(given["class_weight"], dict):
            given["class_weight"] = sorted(given["class_weight"].items(), key=str)
        texts = self.classes_.dtype.kind == "M"  # JSON has no dates
        return {
            "classes": self.classes_.astype(str) if texts else self.classes_,
            "class_type": str(self.classes_.dtype),
            "multilabel": self._multilabel,
        }

    def _facts_size(self):
        return len(self.classes_)

    # ---- predicting

    def _logits(self, X):
        """The logits of X, [samples, classes]."""
        answers = self._answers(X)
        return answers if self._multilabel else class_logits(answers)[:, : len(self.classes_)]

    def decision_function(self, X):
        """The logits, [samples, classes]; with two classes [samples], those of the second minus those of the first."""
        logits = self._logits(X)
        return logits[:, 1] - logits[:, 0] if len(self.classes_) == 2 and not self._multilabel else logits

    def predict(self, X):
        """The most probable label of each sample, [samples]; if a sample may have several labels, int64 [samples,
        labels], with 1 for those more probable than not."""
        logits = self._logits(X)
        return (logits > 0).astype(np.int64) if self._multilabel else self.classes_[logits.argmax(axis=1)]

    def predict_proba(self, X):
        """Probabilities, [samples, classes], in the order of `classes_`; rows sum to 1 unless a sample may have several
        labels. No probability is 0, so that logarithms are finite."""
        logits = self._logits(X)
        probabilities = expit(logits) if self._multilabel else softmax(logits, axis=1)
        return np.maximum(probabilities, np.finfo(probabilities.dtype).tiny)

    def predict_log_proba(self, X):
        """Logarithms of the probabilities, [samples, classes]."""
        return np.log(self.predict_proba(X))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
