"""A run that predicts numbers, from the command line to its figures: exact as any other."""

import json

import numpy as np
import pytest
import runs
from faults import After
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

from fcclf import Config, FCClassifier, FCRegressor, Model, Session, Training, open_run
from fcclf.cli import entry
from fcclf.data import loading
from fcclf.data.dataset import numbers
from fcclf.data.facts import Facts
from fcclf.data.tables import table
from fcclf.errors import ConfigError, RunError
from fcclf.runs import events, history, training, verification
from fcclf.settings.sources import CURVES, Curve, Moons, Table

ROWS = 120
FEATURES = np.random.default_rng(0).uniform(-1, 1, (ROWS, 2))
PRICES = 200_000 + 30_000 * FEATURES[:, 0] - 10_000 * FEATURES[:, 1] ** 2


def config(source=None, loss=None, threads=1, image_every=0, **chosen):
    return Config(
        source or Curve(samples=100),
        Model(hidden=(8, 4)),
        Training(batch_size=16, epochs=6, loss=loss, **chosen),
        Session(jit="off", threads=threads, image_every=image_every),
    )


@pytest.fixture(scope="module")
def curve_run(tmp_path_factory):
    path = tmp_path_factory.mktemp("curve") / "run"
    training.train(config(image_every=3), path)
    return path


@pytest.fixture
def prices(tmp_path):
    """A table whose last column is a number to predict."""
    path = tmp_path / "prices.csv"
    rows = [f"{first},{second},{price:.2f}" for (first, second), price in zip(FEATURES, PRICES, strict=True)]
    path.write_text("\n".join(["width,depth,price", *rows]) + "\n")
    return path


# ---- the data --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", CURVES)
def test_the_points_of_a_curve_have_its_noise(shape):
    clean, noisy = (loading.load(config(Curve(shape, noise=noise, samples=4000))) for noise in (0.0, 0.25))
    np.testing.assert_array_equal(clean.train.X, noisy.train.X)
    errors = noisy.numbers(noisy.train.y) - clean.numbers(clean.train.y)
    assert abs(errors.std() - 0.25) < 0.01
    assert clean.train.X.min() >= -1
    assert clean.train.X.max() <= 1


def test_labels_have_mean_0_and_deviation_1_in_the_training_part_and_can_be_had_back(prices):
    dataset = loading.load(config(Table(str(prices), task="regression")))
    assert dataset.train.y.shape == (96, 1)
    assert abs(dataset.train.y.mean()) < 1e-6
    assert dataset.train.y.std() == pytest.approx(1)
    every = np.concatenate([dataset.numbers(part.y) for part in (dataset.train, dataset.test)])
    np.testing.assert_allclose(np.sort(every), np.sort(PRICES), rtol=1e-6)


def test_a_label_that_is_always_the_same_is_learned(tmp_path):
    np.savez(tmp_path / "same.npz", X=FEATURES, y=np.full(ROWS, 7.5))
    source = Table(str(tmp_path / "same.npz"), task="regression")
    training.train(config(source), tmp_path / "run")
    with open_run(tmp_path / "run") as run:
        assert run.predictions(FEATURES).shape == (ROWS,)


def test_what_looks_like_numbers_is_guessed(tmp_path, prices):
    assert table.different_numbers(Table(str(prices))) == ROWS
    assert table.different_numbers(Table(str(prices), "width")) == ROWS
    labels = {
        "whole": (np.arange(ROWS) % 7, 0),
        "broken": (np.arange(ROWS) % 7 + 0.5, 0),
        "many": (np.arange(ROWS) * 3, ROWS),
        "texts": (np.array([f"kind {row % 90}" for row in range(ROWS)]), 0),
    }
    for name, (y, expected) in labels.items():
        np.savez(tmp_path / f"{name}.npz", X=FEATURES, y=y)
        assert table.different_numbers(Table(str(tmp_path / f"{name}.npz"))) == expected, name


@pytest.mark.parametrize("cell", ["much", "nan", "inf", "1e39", ""])
def test_a_label_that_is_no_number_is_named_with_its_line(prices, cell):
    lines = prices.read_text().splitlines()
    lines[4] = lines[4].rpartition(",")[0] + f",{cell}"
    prices.write_text("\n".join(lines))
    with pytest.raises(RunError, match=r"line 5, 'price' is"):
        loading.load(config(Table(str(prices), task="regression")))


def test_an_npz_label_that_is_no_number_is_named_with_its_place(tmp_path):
    y = np.where(np.arange(ROWS) == 9, np.nan, PRICES)
    np.savez(tmp_path / "nan.npz", X=FEATURES, y=y)
    with pytest.raises(RunError, match=r"has nan at y\[9\], which float32 cannot hold"):
        loading.load(config(Table(str(tmp_path / "nan.npz"), task="regression")))
    np.savez(tmp_path / "texts.npz", X=FEATURES, y=np.array(["a"] * ROWS))
    with pytest.raises(RunError, match="labels to be predicted as numbers must be numbers"):
        loading.load(config(Table(str(tmp_path / "texts.npz"), task="regression")))


# ---- the settings ----------------------------------------------------------------------------------------------------


def test_the_loss_is_that_of_the_task_unless_it_is_chosen():
    assert config().training.loss == "squared_error"
    assert config(Moons()).training.loss == "softmax"
    assert config().run_name() == "curve-samples-100-hidden-8x4-batch-size-16-jit-off"
    assert "loss-huber" in config(loss="huber").run_name()
    assert Config.from_dict(config(loss="huber").to_dict()) == config(loss="huber")


@pytest.mark.parametrize(
    ("source", "settings", "words"),
    [
        (Curve(), {"loss": "sigmoid"}, "is sigmoid, which is for classes, but the labels are numbers"),
        (Moons(), {"loss": "huber"}, "is huber, which is for numbers, but the labels are classes"),
        (Curve(), {"label_smoothing": 0.1}, "is for classes, but the labels are numbers"),
        (Curve(), {"class_weight": ("balanced",)}, "is for classes, but the labels are numbers"),
    ],
)
def test_a_setting_of_the_other_task_is_refused(source, settings, words):
    with pytest.raises(ConfigError, match=words):
        config(source, **settings)


def test_poisson_is_not_for_numbers_below_0(tmp_path):
    np.savez(tmp_path / "below.npz", X=FEATURES, y=FEATURES[:, 0])
    with pytest.raises(ConfigError, match="has labels below 0: use squared_error"):
        loading.load(config(Table(str(tmp_path / "below.npz"), task="regression"), loss="poisson"))


def test_one_test_sample_is_not_enough():
    with pytest.raises(ConfigError, match="leaves one test sample, but R2 needs two"):
        loading.load(config(Curve(samples=60, test_ratio=0.02)))


@pytest.mark.slow
@pytest.mark.parametrize(
    "flags",
    [["--class-weight", "balanced"], *map(runs.campaign, [["--loss", "softmax"], ["--label-smoothing", "0.1"]])],
)
def test_a_flag_for_classes_says_that_labels_are_classes(tmp_path, capsys, flags):
    rows = [f"{row % 7},{row % 11},{row % 110}" for row in range(1320)]
    (tmp_path / "many.csv").write_text("\n".join(rows))
    command = ["train", "table", str(tmp_path / "many.csv"), "--logdir", str(tmp_path), "--epochs", "1", *flags]
    assert entry.main([*command, "--quiet", "--no-figures", "--jit", "off", "--image-every", "0"]) == 0
    assert "predicted as numbers" not in capsys.readouterr().err


# ---- a run -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["huber", *map(runs.campaign, ["squared_error", "absolute_error", "poisson"])])
def test_a_run_goes_on_to_the_same_bits_wherever_it_was_cut(tmp_path, loss):
    np.savez(tmp_path / "counts.npz", X=FEATURES, y=np.round(np.exp(FEATURES[:, 0] + 1)))
    settings = config(Table(str(tmp_path / "counts.npz"), task="regression"), loss=loss, early_stopping=True)
    training.train(settings, tmp_path / "whole")
    for stop in (3, 11, 19):
        training.train(settings, tmp_path / "cut", interrupts=After(stop), longest_stretch=1)
    training.train(settings, tmp_path / "cut")
    runs.assert_same_run(tmp_path / "cut", tmp_path / "whole")
    assert verification.replay(tmp_path / "whole") is None


@pytest.mark.slow
def test_the_measures_are_in_the_unit_of_the_labels(tmp_path, prices, capsys):
    command = ["train", "table", str(prices), "--logdir", str(tmp_path), "--run-name", "run", "--epochs", "200"]
    assert entry.main([*command, "--quiet", "--jit", "off"]) == 0
    printed, said = capsys.readouterr()
    assert f"the labels are {ROWS} different numbers: they are predicted as numbers" in said
    kept = json.loads((tmp_path / "run" / "metrics.json").read_text())["test"]
    with open_run(tmp_path / "run") as run:
        dataset = run.dataset()
        labels, predictions = dataset.numbers(dataset.test.y), run.predictions(dataset.test.X)
    assert kept["mae"] == pytest.approx(mean_absolute_error(labels, predictions))
    assert kept["rmse"] == pytest.approx(mean_squared_error(labels, predictions) ** 0.5)
    assert kept["r2"] == pytest.approx(r2_score(labels, predictions))
    assert kept["r2"] == pytest.approx(history.read(tmp_path / "run")["test_r2"][-1], abs=1e-3)
    assert printed.startswith(f"test R2 {kept['r2']:.4f}, mean absolute error {kept['mae']:.5g}")
    figures = {path.stem for path in (tmp_path / "run" / "figures").glob("*.png")}
    assert figures == {"learning_curves", "predictions", "residuals"}


@pytest.mark.slow
def test_it_learns_a_curve(tmp_path):
    settings = Config(Curve(noise=0.1), Model(hidden=(32, 16)), Training(epochs=300, learning_rate=0.01))
    training.train(settings, tmp_path / "run")
    with open_run(tmp_path / "run") as run:
        errors = run.predictions(np.float32([[-0.75], [-0.25], [0.25], [0.75]])) - [1, -1, 1, -1]
    assert np.abs(errors).max() < 0.4


def test_pictures_show_the_fit_over_the_epochs(curve_run):
    assert len(events.read_pictures(curve_run, "pictures/fit")) == 3
    assert ("test", "pictures/predictions") in runs.curves(curve_run)
    assert ("test", "r2") in runs.curves(curve_run)


@pytest.mark.slow
def test_every_figure_that_makes_sense_is_drawn(curve_run, tmp_path, capsys):
    assert entry.main(["plot", str(curve_run), "--output", str(tmp_path / "figures"), "--formats", "png"]) == 0
    drawn = {path.stem for path in (tmp_path / "figures").iterdir()}
    assert drawn == {"learning_curves", "fit", "predictions", "residuals", "weights"}
    assert "confusion_matrix is left out: the run predicts numbers, not classes" in capsys.readouterr().err


def test_figures_of_numbers_are_left_out_of_classes(finished_run, tmp_path, capsys):
    assert entry.main(["plot", str(finished_run), "--output", str(tmp_path), "--only", "fit", "residuals"]) == 0
    assert capsys.readouterr().err.count("the run predicts classes, not numbers") == 2


def test_runs_of_both_tasks_stand_beside_each_other(curve_run, finished_run, tmp_path, capsys):
    assert entry.main(["compare", str(curve_run), str(finished_run), "--output", str(tmp_path / "both.png")]) == 0
    heading = capsys.readouterr().out.splitlines()[0]
    assert "test r2" in heading
    assert "test accuracy" in heading


def test_a_run_of_numbers_has_no_probabilities(curve_run):
    with open_run(curve_run) as run, pytest.raises(RunError, match="predicts numbers, which have no logits"):
        run.probabilities(np.zeros((1, 1)))


def test_answers_beyond_all_numbers_are_large_ones():
    facts = Facts("", n_features=1, n_classes=1)
    assert np.isfinite(numbers(np.float32([[1e6], [0], [-1e6]]), facts, logarithms=True)).all()


# ---- in scikit-learn's form ------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
def test_a_run_can_be_opened_as_a_regressor(tmp_path, loss):
    np.savez(tmp_path / "counts.npz", X=FEATURES, y=np.round(np.exp(FEATURES[:, 0] + 1)))
    training.train(config(Table(str(tmp_path / "counts.npz"), task="regression"), loss=loss), tmp_path / "run")
    opened = FCRegressor.from_run(tmp_path / "run")
    with open_run(tmp_path / "run") as run:
        np.testing.assert_allclose(opened.predict(FEATURES), run.predictions(FEATURES), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_labels_far_from_0_keep_their_digits(tmp_path):
    np.savez(tmp_path / "far.npz", X=FEATURES, y=1.7e9 + PRICES / 1000)
    training.train(config(Table(str(tmp_path / "far.npz"), task="regression")), tmp_path / "run")
    with open_run(tmp_path / "run") as run:
        predicted = run.predictions(FEATURES)
    np.testing.assert_allclose(FCRegressor.from_run(tmp_path / "run").predict(FEATURES), predicted, atol=0.01)


def test_a_run_of_the_other_task_is_refused(curve_run, finished_run):
    with pytest.raises(RunError, match="predicts numbers: open it with FCRegressor"):
        FCClassifier.from_run(curve_run)
    with pytest.raises(RunError, match="classifies: open it with FCClassifier"):
        FCRegressor.from_run(finished_run)
