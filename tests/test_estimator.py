"""FCClassifier: the rules of scikit-learn's MLPClassifier, from the same steps as a run."""

import copy
import pickle
import signal
import threading
import warnings

import numpy as np
import pandas as pd
import pytest
import runs
from peers import scikit_learns
from sklearn.datasets import make_classification, make_moons
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import accuracy_score
from sklearn.neural_network import MLPClassifier

import fcclf
from fcclf import FCClassifier
from fcclf.data import loading
from fcclf.data.dataset import Part
from fcclf.errors import RunError
from fcclf.estimator import parameters
from fcclf.learning import plan, program, stretches
from fcclf.learning.objective import Classification
from fcclf.learning.program import Program
from fcclf.runs import history, training
from fcclf.runs.trained import TrainedRun
from fcclf.settings.blocks import BatchNorm, Dense, Residual
from fcclf.settings.config import Config, Model, Moons, Session, Training
from fcclf.settings.sources import Table

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, y = make_moons(150, noise=0.2, random_state=0)
SETTINGS = {"hidden_layer_sizes": (5, 4), "activation": "tanh", "batch_size": 32, "max_iter": 30, "random_state": 0}
ENDLESS = {"tol": 0, "n_iter_no_change": np.inf}


def classifier(**settings):
    return FCClassifier(**SETTINGS | settings)


def assert_same(one, other):
    """Both have equal weights, bit for bit, and equal curves."""
    for mine, its in zip([*one.coefs_, *one.intercepts_], [*other.coefs_, *other.intercepts_], strict=True):
        np.testing.assert_array_equal(mine, its)
    assert one.loss_curve_ == other.loss_curve_
    assert (one.t_, one.validation_scores_) == (other.t_, other.validation_scores_)


# ---- the rules of MLPClassifier --------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"alpha": 0.1},
        {"tol": 1e-3, "n_iter_no_change": 3, "learning_rate_init": 0.02, "max_iter": 200},
        {"solver": "sgd", "learning_rate_init": 0.05},
        {"solver": "sgd", "learning_rate_init": 0.05, "nesterovs_momentum": False},
        {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.5, "momentum": 0.0},
        {
            **{"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.5, "momentum": 0.0},
            **{"tol": 1e-3, "n_iter_no_change": 3, "max_iter": 200},
        },
    ],
    ids=["alpha", "tol", "nesterov", "momentum", "invscaling", "adaptive"],
)
def test_it_learns_step_by_step_what_mlpclassifier_learns(settings):
    mine = classifier(shuffle=False, **settings).fit(X, y)
    theirs = scikit_learns(MLPClassifier, mine, X, y)
    assert (mine.n_iter_, mine.t_, mine.n_layers_, mine.n_outputs_) == (theirs.n_iter_, theirs.t_, 4, 1)
    assert mine.out_activation_ == theirs.out_activation_ == "logistic"
    np.testing.assert_allclose(mine.loss_curve_, theirs.loss_curve_, rtol=1e-5)
    for its, weights in zip([*theirs.coefs_, *theirs.intercepts_], [*mine.coefs_, *mine.intercepts_], strict=True):
        np.testing.assert_allclose(weights, its, atol=1e-4)
    np.testing.assert_allclose(mine.predict_proba(X), theirs.predict_proba(X), atol=1e-4)
    assert mine.best_loss_ == min(mine.loss_curve_)


@pytest.mark.slow
def test_three_classes_end_in_a_softmax():
    X, y = make_classification(120, n_informative=4, n_redundant=0, n_features=4, n_classes=3, random_state=0)
    mine = classifier(shuffle=False).fit(X, y)
    theirs = scikit_learns(MLPClassifier, mine, X, y)
    assert (mine.n_outputs_, mine.out_activation_) == (3, "softmax")
    np.testing.assert_allclose(mine.loss_curve_, theirs.loss_curve_, rtol=1e-5)
    np.testing.assert_allclose(mine.predict_log_proba(X), np.log(theirs.predict_proba(X)), atol=1e-4)
    np.testing.assert_array_equal(mine.decision_function(X).argmax(axis=1), mine.predict(X))


def test_early_stopping_keeps_the_weights_of_the_best_validation_score():
    fitted = classifier(early_stopping=True, n_iter_no_change=5, max_iter=200).fit(X, y, X_val=X[:60], y_val=y[:60])
    scores = np.array(fitted.validation_scores_)
    assert fitted.n_iter_ == len(scores) < 200
    assert fitted.best_loss_ is None
    assert fitted.best_validation_score_ == scores.max() == fitted.score(X[:60], y[:60])
    cut = scores[: scores.argmax() + 1]
    shorter = classifier(max_iter=len(cut), **ENDLESS).fit(X, y)
    for mine, its in zip(fitted.coefs_, shorter.coefs_, strict=True):
        np.testing.assert_array_equal(mine, its)


def test_a_row_has_the_same_answer_in_any_order_any_company_and_alone():
    fitted, order = classifier(max_iter=20).fit(X, y), np.random.default_rng(0).permutation(len(X))
    whole = fitted.predict_proba(X)
    np.testing.assert_array_equal(fitted.predict_proba(X[order]), whole[order])
    np.testing.assert_array_equal([fitted.predict_proba(X[row : row + 1])[0] for row in range(5)], whole[:5])


def test_early_stopping_names_the_labels_of_classes_with_one_member():
    labels = np.array(["common"] * 10 + ["rare"])
    with pytest.raises(ValueError, match=r"only 1 member.*Classes with too few members are: \['rare'\]"):
        classifier(early_stopping=True).fit(X[:11], labels)


@pytest.mark.slow
def test_early_stopping_holds_out_the_same_share_of_each_class():
    labels = np.repeat(["rare", "usual"], [30, 120])
    fitted = classifier(early_stopping=True, validation_fraction=0.2, max_iter=3).fit(X, labels)
    assert fitted.t_ == 3 * 120
    assert all(round(score * 30, 3).is_integer() for score in fitted.validation_scores_)


def test_a_fit_says_when_it_did_not_converge():
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(2\) reached"):
        classifier(max_iter=2).fit(X, y)


def test_verbose_tells_the_loss_of_each_epoch(capsys):
    fitted = classifier(max_iter=2, verbose=True).fit(X, y)
    lines = [f"Iteration {number}, loss = {loss:.8f}" for number, loss in enumerate(fitted.loss_curve_, 1)]
    assert capsys.readouterr().out.splitlines() == lines


# ---- in parts --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("shuffle", [True, False])
def test_partial_fits_are_the_epochs_of_a_fit(shuffle):
    whole, parts = classifier(shuffle=shuffle, max_iter=8, **ENDLESS).fit(X, y), classifier(shuffle=shuffle)
    for _ in range(8):
        parts.partial_fit(X, y, classes=[0, 1])
    assert_same(parts, whole)


def test_a_warm_start_goes_on_with_weights_and_slots():
    twice = classifier(max_iter=4, warm_start=True, **ENDLESS).fit(X, y).fit(X, y)
    assert_same(twice, classifier(max_iter=8, **ENDLESS).fit(X, y))
    assert twice.n_iter_ == 4


def test_a_fit_goes_on_after_a_pickle():
    half = pickle.loads(pickle.dumps(classifier(max_iter=4, warm_start=True, **ENDLESS).fit(X, y)))
    assert_same(half.fit(X, y), classifier(max_iter=8, **ENDLESS).fit(X, y))


def test_where_a_fit_is_cut_into_stretches_changes_nothing(monkeypatch):
    whole = classifier(max_iter=70).fit(X, y)
    monkeypatch.setattr(stretches, "FIRST_STRETCH", 3)  # steps
    monkeypatch.setattr(stretches, "MOST_GROWTH", 1)
    assert_same(classifier(max_iter=70).fit(X, y), whole)


def test_the_samples_seen_are_counted_exactly_beyond_what_a_float_can(monkeypatch):
    """The rate of invscaling is a function of them."""
    settings = {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.5, "warm_start": True}
    fitted = classifier(**settings, max_iter=1).fit(X, y).set_params(max_iter=60)
    fitted.t_ = 2**24
    whole = copy.deepcopy(fitted).fit(X, y)
    monkeypatch.setattr(stretches, "FIRST_STRETCH", 7)
    monkeypatch.setattr(stretches, "MOST_GROWTH", 1)
    assert_same(copy.deepcopy(fitted).fit(X, y), whole)
    np.testing.assert_array_equal(whole._values["state/learning_rate"], 0.5 / np.sqrt(whole.t_ + 1))


def test_an_interrupted_partial_fit_says_so(monkeypatch):
    def interrupted(self, *arguments, advance=Program.advance):
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        return advance(self, *arguments)

    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr(Program, "advance", interrupted)
    with pytest.warns(UserWarning, match=r"Training interrupted by user\.$"):
        classifier().partial_fit(X, y, classes=[0, 1])
    signal.signal(signal.SIGINT, handler)


def test_an_interrupted_fit_keeps_the_model_so_far(monkeypatch):
    def interrupted(self, parts, orders, stop, advance=Program.advance):
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        return advance(self, parts, orders, self.step + 7 * self.plan.n_batches)

    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr(Program, "advance", interrupted)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        stopped = classifier(max_iter=20).fit(X, y)
    signal.signal(signal.SIGINT, handler)
    monkeypatch.undo()
    assert stopped.n_iter_ in (7, 14)  # the thread may have begun another stretch
    assert_same(stopped, classifier(max_iter=stopped.n_iter_).fit(X, y))


# ---- weights of samples and classes ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_weights_count_as_in_mlpclassifier():
    weights = np.random.default_rng(0).uniform(0, 2, len(y))
    mine = classifier(shuffle=False, alpha=0.1).fit(X, y, weights)
    try:
        theirs = scikit_learns(MLPClassifier, mine, X, y, weights)
    except TypeError:
        pytest.skip("this scikit-learn's MLPClassifier takes no weights")
    np.testing.assert_allclose(mine.loss_curve_, theirs.loss_curve_, rtol=1e-5)


@pytest.mark.slow
def test_a_whole_weight_counts_as_so_many_samples():
    weights = np.arange(len(y)) % 3
    settings = {"batch_size": 10_000, "max_iter": 20}
    with pytest.warns(UserWarning, match="it is clipped"):
        weighted = classifier(**settings).fit(X, y, weights)
    with pytest.warns(UserWarning, match="it is clipped"):
        repeated = classifier(**settings).fit(np.repeat(X, weights, axis=0), np.repeat(y, weights))
    np.testing.assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), atol=1e-5)


@pytest.mark.slow
def test_class_weights_multiply_those_of_the_samples():
    labels = np.array(["no", "yes"])[y]
    named = classifier(class_weight={"yes": 3}).fit(X, labels)
    assert_same(named, classifier().fit(X, labels, np.where(y, 3, 1)))
    part = classifier(class_weight="balanced").partial_fit(X[:90], labels[:90], classes=["no", "yes"])
    counts = 90 / 2 / np.bincount(y[:90])
    assert_same(part, classifier().partial_fit(X[:90], labels[:90], counts[y[:90]], ["no", "yes"]))


def test_a_batch_whose_samples_weigh_nothing_changes_only_by_the_penalty():
    weights = np.r_[np.zeros(64), np.ones(86)]
    assert np.isfinite(classifier(shuffle=False).fit(X, y, weights).loss_curve_).all()


# ---- what MLPClassifier lacks ----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("solver", ["rmsprop", "adagrad", "adadelta"])
def test_other_optimizers_lower_the_loss(solver):
    curve = classifier(solver=solver, learning_rate_init=0.05).fit(X, y).loss_curve_
    assert curve[-1] < curve[0]


@pytest.mark.slow
def test_l2_is_alpha_without_the_division_by_the_batch():
    by_alpha = classifier(alpha=3.0, batch_size=30).fit(X, y)
    np.testing.assert_allclose(
        classifier(alpha=0, l2=0.1, batch_size=30).fit(X, y).coefs_[0], by_alpha.coefs_[0], atol=1e-5
    )


def test_l1_brings_weights_to_zero():
    fitted = classifier(alpha=0, l1=0.1, learning_rate_init=0.01, max_iter=100, **ENDLESS).fit(X, y)
    assert max(abs(kernel).max() for kernel in fitted.coefs_) < 0.05


@pytest.mark.slow
def test_batch_normalisation_and_dropout_are_for_training_only():
    fitted = classifier(batch_norm=True, dropout=0.2).fit(X, y)
    np.testing.assert_array_equal(fitted.predict_proba(X), fitted.predict_proba(X))
    assert [each.tolist() for each in fitted.intercepts_[:2]] == [[0.0] * 5, [0.0] * 4]


@pytest.mark.slow
def test_a_long_fit_is_compiled_and_learns_the_same(monkeypatch):
    plain = classifier(shuffle=False).fit(X, y)
    monkeypatch.setattr("fcclf.estimator.parameters.COMPILED_FROM", 1)
    compiled = classifier(shuffle=False).fit(X, y)
    np.testing.assert_allclose(compiled.loss_curve_, plain.loss_curve_, rtol=1e-5)
    assert_same(compiled, classifier(shuffle=False).fit(X, y))


def planned(estimator, n_epochs, threads=None):
    """The plan of a fit on 200 samples of 100 features."""
    part = Part(np.zeros((200, 100), np.float32), np.zeros(200, np.int32))
    layers = parameters.network(estimator, 1)
    return parameters.plan(estimator, Classification(), layers, 100, {"train": part}, n_epochs, threads)


def test_a_large_network_has_a_thread_for_each_core_and_is_compiled_for_fewer_steps(monkeypatch):
    monkeypatch.setattr(plan, "cores", lambda: 3)
    small, large = FCClassifier((50,)), FCClassifier((500, 500))
    assert [planned(each, 100).threads for each in (small, large)] == [1, 3]
    assert [planned(each, 1000).compiled for each in (small, large)] == [False, True]
    assert [planned(each, 100).compiled for each in (small, large)] == [False, False]


def test_the_threads_that_are_asked_for_count_then_those_that_a_fit_began_with():
    assert planned(FCClassifier((500, 500), threads=3), 1, threads=2).threads == 3
    assert planned(FCClassifier((500, 500)), 1, threads=2).threads == 2


@pytest.mark.slow
def test_a_run_is_compiled_also_where_it_is_short_for_more_epochs_may_follow(tmp_path, monkeypatch):
    monkeypatch.setattr("fcclf.estimator.parameters.COMPILED_FROM", 20)
    classifier(max_iter=3, logdir=tmp_path / "cut").fit(X, y)
    longer = classifier(max_iter=6, logdir=tmp_path / "cut").fit(X, y)
    assert_same(longer, classifier(max_iter=6, logdir=tmp_path / "whole").fit(X, y))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("compiled", "of_fit", "of_run"),
    [
        (True, {}, {}),
        runs.campaign(False, {"class_weight": "balanced"}, {"class_weight": "balanced"}),
        (
            False,
            {"solver": "sgd", "learning_rate": "invscaling", "power_t": 0.3},
            {"optimizer": "nesterov", "schedule": "invscaling", "power_t": 0.3},
        ),
        runs.campaign(
            False,
            {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 1.0, "n_iter_no_change": 1},
            {"optimizer": "nesterov", "schedule": "adaptive", "decay_rate": 0.2, "learning_rate": 1.0, "patience": 2},
        ),
    ],
)
def test_the_same_settings_as_a_run_and_as_a_fit_give_the_same_weights(tmp_path, compiled, of_fit, of_run, monkeypatch):
    """The two faces have one core: bit for bit, also with a short last batch."""
    monkeypatch.setattr("fcclf.estimator.parameters.COMPILED_FROM", 0 if compiled else 10**9)
    network = {"activation": "elu", "l2": 1e-3, "bias_initializer": "uniform"}
    shared = {"learning_rate_init": 0.01, "n_iter_no_change": np.inf} | of_fit
    fitted = FCClassifier((6, 4), **network, alpha=0, batch_size=23, max_iter=30, tol=0, random_state=0, **shared)
    fixed = {"batch_size": 23, "epochs": 30, "loss": "sigmoid", "seed": fitted._drawn_seed(), "min_delta": 0.0}
    config = Config(
        Moons(samples=101),
        Model((6, 4), initializer="glorot_uniform", **network),
        Training(**fixed | {"learning_rate": 0.01} | of_run),
        Session(image_every=0, jit="on" if compiled else "off", threads=1),
    )
    dataset = loading.load(config)
    fitted.fit(dataset.train.X, dataset.train.y)
    training.train(config, tmp_path / "run")
    weights, rates = runs.variables(tmp_path / "run"), history.read(tmp_path / "run")["learning_rate"]
    for number, name in enumerate(("fc1", "fc2", "output")):
        np.testing.assert_array_equal(fitted.coefs_[number], weights[f"{name}/kernel"])
        np.testing.assert_array_equal(fitted.intercepts_[number], weights[f"{name}/bias"])
    assert (len(set(rates)) > 1) == ("learning_rate" in of_fit)


def test_weights_changed_in_place_count_from_the_next_prediction_on():
    fitted = classifier().fit(X, y)
    before = fitted.predict_proba(X)
    fitted.coefs_[0][:] *= -1
    assert (fitted.predict_proba(X) != before).any()
    fitted.coefs_[0][:] *= -1
    np.testing.assert_array_equal(fitted.predict_proba(X), before)


@pytest.mark.slow
def test_one_program_serves_all_values_of_a_grid(monkeypatch):
    built = []
    program.clear_programs()
    monkeypatch.setattr(Program, "build", lambda self, build=Program.build: (built.append(1), build(self)))
    for alpha, rate, l1, dropout in ((0.01, 1e-3, 1e-5, 0.1), (1, 1e-2, 1e-4, 0.2), (0.1, 0.1, 1e-3, 0.5)):
        classifier(max_iter=2, alpha=alpha, learning_rate_init=rate, l1=l1, dropout=dropout).fit(X, y)
    assert len(built) == 1


# ---- what is given ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("labels", [np.array(["no", "yes"]), np.array([False, True]), np.array([7, -3])])
def test_any_labels_come_back(labels):
    fitted = classifier(max_iter=2).fit(X, labels[y])
    assert fitted.classes_.tolist() == sorted(labels.tolist())
    assert set(fitted.predict(X).tolist()) <= set(labels.tolist())
    assert fitted.score(X, labels[y]) == accuracy_score(labels[y], fitted.predict(X))


def test_float64_is_trained_on_as_float32_where_that_is_asked_for():
    asked = classifier(max_iter=2, dtype="float32").fit(X, y)
    assert_same(asked, classifier(max_iter=2).fit(X.astype(np.float32), y))


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda: classifier().fit(np.where(X > 2, np.nan, X), y), ValueError, "contains NaN"),
        (lambda: classifier().fit(np.where(X > 2, np.inf, X), y), ValueError, "infinity or a value too large"),
        (lambda: classifier().fit(X[:0], y[:0]), ValueError, "0 sample"),
        (lambda: classifier().fit(X[:, 0], y), ValueError, "Expected 2D array"),
        (lambda: classifier().fit(X, y[1:]), ValueError, "inconsistent numbers of samples"),
        (lambda: classifier().fit(X, X[:, 0]), ValueError, "Unknown label type: continuous"),
        (lambda: classifier().fit(X, y, -np.ones(150)), ValueError, "Negative values in data"),
        (lambda: classifier().fit(X, y, np.zeros(150)), ValueError, "at least one non-zero"),
        (lambda: classifier().fit(X, y, X_val=X, y_val=y), ValueError, "set early_stopping=True"),
        (lambda: classifier(early_stopping=True).fit(X, y, y_val=y), ValueError, "need both, X_val and y_val"),
        (lambda: classifier().fit(X, y, sample_weight_val=y), ValueError, "set early_stopping=True"),
        (lambda: classifier(solver="newton").fit(X, y), ValueError, "'solver' parameter of FCClassifier must be"),
        (lambda: classifier(hidden_layer_sizes=(3, 0)).fit(X, y), ValueError, r"must be > 0, got \[3, 0\]"),
        (lambda: classifier(early_stopping=True).partial_fit(X, y, classes=[0, 1]), ValueError, "does not support"),
        (lambda: classifier().partial_fit(X, y), ValueError, "classes must be passed on the first call"),
        (lambda: classifier().partial_fit(X, y + 1, classes=[0, 1]), ValueError, "`y` has classes not in"),
        (lambda: classifier(early_stopping=True, validation_fraction=0.001).fit(X, y), ValueError, "set is too small"),
        (lambda: classifier().predict(X), NotFittedError, "not fitted yet"),
        (lambda: classifier(solver="sgd", learning_rate_init=1e30).fit(X, y), ValueError, "non-finite parameter"),
        (
            lambda: classifier(warm_start=True).fit(X, y).set_params(hidden_layer_sizes=(3,)).fit(X, y),
            ValueError,
            "set warm_start=False",
        ),
        (
            lambda: classifier(warm_start=True, dtype="float32").fit(X, y).set_params(dtype="float64").fit(X, y),
            ValueError,
            "dtype is float64, but the fit that goes on is in float32: set it back, or to None, or begin anew",
        ),
        (
            lambda: classifier(warm_start=True).fit(X, y).fit(X, y + 1),
            ValueError,
            "same classes as in the previous call",
        ),
    ],
)
def test_bad_input_is_refused_in_scikit_learns_words(use, error, message):
    with pytest.raises(error, match=message):
        use()


@pytest.mark.parametrize("warm_start", [True, False])
@pytest.mark.parametrize(
    ("change", "weights", "message"),
    [
        ({}, -np.ones(150), "Negative values"),
        ({"early_stopping": True, "validation_fraction": 0.001}, None, "set is too small"),
        ({"hidden_layer_sizes": (0,)}, None, "must be > 0"),
        ({"solver": "sgd", "learning_rate_init": 1e30}, None, "non-finite"),
    ],
)
def test_a_fit_that_fails_loses_nothing(warm_start, change, weights, message):
    fitted = classifier(warm_start=warm_start).fit(X, y)
    expected = fitted.predict_proba(X)
    with pytest.raises(ValueError, match=message):
        fitted.set_params(**change).fit(X[:, ::-1], y, weights)
    np.testing.assert_array_equal(fitted.predict_proba(X), expected)


@pytest.mark.slow
def test_a_warm_start_may_turn_to_early_stopping_and_back():
    fitted = classifier(warm_start=True, n_iter_no_change=3).fit(X, y)
    fitted.set_params(early_stopping=True).fit(X, y, X_val=X, y_val=y)
    assert fitted.best_validation_score_ == max(fitted.validation_scores_)
    fitted.set_params(early_stopping=False, learning_rate_init=0.01).fit(X, y)
    assert fitted.n_iter_ > 4


# ---- beside others ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_fits_in_threads_do_not_disturb_each_other():
    seeds = range(4)
    fitted = [classifier(random_state=seed) for seed in seeds]
    threads = [threading.Thread(target=each.fit, args=(X, y)) for each in fitted]
    with warnings.catch_warnings():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for seed, each in zip(seeds, fitted, strict=True):
        assert_same(each, classifier(random_state=seed).fit(X, y))


def test_a_fit_touches_nothing_global():
    import tensorflow as tf

    before, graph = np.random.get_state()[1].tolist(), tf.compat.v1.get_default_graph()
    classifier(max_iter=2).fit(X, y).predict(X)
    assert np.random.get_state()[1].tolist() == before
    assert tf.compat.v1.get_default_graph() is graph
    assert not graph.get_operations()
    assert graph.seed is None


def probabilities(pickled):
    return pickle.loads(pickled).predict_proba(X)


@pytest.mark.parametrize("values", [(np.nan, 0), (np.inf, 0), (np.inf, -np.inf)])
def test_samples_of_the_right_type_are_checked_too(values):
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        classifier().fit(X, y).predict(np.array([values]))


def test_numbers_whose_sum_is_too_large_are_answered():
    fitted, large = classifier().fit(X, y), np.full((2, 2), 1e308)
    np.testing.assert_array_equal(fitted.predict(large), np.concatenate([fitted.predict(row[None]) for row in large]))


def test_a_pickle_predicts_the_same_in_another_process():
    fitted = classifier().fit(X, y)
    there = runs.elsewhere(probabilities, pickle.dumps(fitted))
    np.testing.assert_array_equal(there, fitted.predict_proba(X))


def test_any_run_can_be_opened(finished_run):
    opened = FCClassifier.from_run(finished_run, classes=["lower", "upper"])
    with TrainedRun(finished_run) as run:
        np.testing.assert_array_equal(opened.predict_proba(X), run.probabilities(X))
        assert opened.predict(X).tolist() == [["lower", "upper"][number] for number in run.predictions(X)]
    assert [kernel.shape for kernel in opened.coefs_] == [(2, 6), (6, 4), (4, 2)]
    assert opened.decision_function(X).shape == (150,)
    with pytest.raises(ValueError, match="has 2 classes, but 3 labels"):
        FCClassifier.from_run(finished_run, classes=list("abc"))


@pytest.mark.slow
def test_a_run_with_a_residual_block_can_be_opened_with_its_best_weights(tmp_path):
    layers = (Residual((Dense(3), BatchNorm())), Dense(None))
    training.train(runs.config(layers=layers, early_stopping=True, epochs=2, min_delta=10.0), tmp_path / "run")
    opened = FCClassifier.from_run(tmp_path / "run")
    with TrainedRun(tmp_path / "run") as run:
        np.testing.assert_array_equal(opened.predict_proba(X), run.probabilities(X))
        weights = run.weights()
    kept = runs.variables(tmp_path / "run")
    for name in ("residual1/fc1/bias", "residual1/bn1/moving_mean", "residual1/projection/kernel"):
        np.testing.assert_array_equal(weights[name], kept[f"best/{name}"])
        assert not np.array_equal(weights[name], kept[name])
    dense = ("residual1/fc1", "residual1/projection", "output")
    for coefficients, name in zip(opened.coefs_, dense, strict=True):
        np.testing.assert_array_equal(coefficients, weights[f"{name}/kernel"])


@pytest.mark.slow
@pytest.mark.parametrize(("labels", "known"), [("xy", ["x", "y"]), (["7", "3"], [3, 7]), (["0.5", "1"], [0.5, 1.0])])
def test_a_run_of_a_table_has_its_labels_and_the_names_of_its_columns(tmp_path, labels, known):
    rows = [f"{row},{row % 7},{labels[row % 2]}" for row in range(40)]
    (tmp_path / "table.csv").write_text("\n".join(["left,up,kind", *rows]))
    training.train(runs.config(data=Table(str(tmp_path / "table.csv")), epochs=2), tmp_path / "run")
    opened = FCClassifier.from_run(tmp_path / "run")
    assert opened.classes_.tolist() == known
    assert opened.feature_names_in_.tolist() == ["left", "up"]
    with TrainedRun(tmp_path / "run") as run:
        frame = pd.read_csv(tmp_path / "table.csv")
        assert list(map(str, opened.predict(frame[["left", "up"]]))) == [
            str(type(known[0])(label)) for label in run.labels(frame)
        ]


@pytest.mark.slow
def test_a_run_with_columns_of_texts_is_for_open_run(tmp_path):
    rows = [f"{'ab'[row % 2]},{row % 7},{row % 2}" for row in range(40)]
    (tmp_path / "table.csv").write_text("\n".join(["word,up,kind", *rows]))
    training.train(runs.config(data=Table(str(tmp_path / "table.csv")), epochs=2), tmp_path / "run")
    with pytest.raises(RunError, match=r"hold texts or lack numbers, .*: open it with fcclf\.open_run"):
        FCClassifier.from_run(tmp_path / "run")


def test_the_class_is_a_public_name_of_the_package():
    assert fcclf.FCClassifier is FCClassifier
    assert "FCClassifier" in dir(fcclf)
    with pytest.raises(AttributeError, match="no attribute 'FCTransformer'"):
        fcclf.FCTransformer  # noqa: B018
