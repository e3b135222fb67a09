"""Exports: a version is whole and answers as the run does, or it is not there."""

import contextlib
import json
import random
import shutil
import signal
import time
from pathlib import Path

import models
import numpy as np
import pandas as pd
import pytest
import runs
import tensorflow as tf
from faults import Before, flags
from scipy.sparse import csr_matrix
from sklearn.datasets import load_diabetes, load_iris, load_wine, make_multilabel_classification
from sklearn.exceptions import NotFittedError
from test_cli import run

from fcclf import FCClassifier, FCRegressor
from fcclf.data import loading
from fcclf.data.schema import Schema
from fcclf.errors import RunError
from fcclf.learning.predictor import Predictor
from fcclf.runs import training
from fcclf.runs.run_directory import locked
from fcclf.runs.trained import TrainedRun
from fcclf.serving import converted, export, savedmodel, versions
from fcclf.serving.export import FORMATS, export_run
from fcclf.settings import blocks
from fcclf.settings.run_config import DataShape
from fcclf.settings.sources import Table

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

FILES = {
    *("saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"),
    *("assets/classes.txt", "assets.extra/model.json"),
}


def files(folder):
    """The names of all files in a folder, hidden ones too."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def document(folder):
    """What is in model.json."""
    return json.loads((folder / "assets.extra/model.json").read_text())


def answers(exported, X, format="savedmodel"):
    """What an `Exported` answers, in one thread."""
    return FORMATS[format].answers(exported.path / FORMATS[format].file, X, 1)


# ---- runs ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_command_writes_every_format_and_says_how_far_each_is_from_the_run(finished_run, tmp_path, capsys):
    assert run("export", finished_run, tmp_path / "moons", "--format", *FORMATS) == 0
    printed, folder = capsys.readouterr(), tmp_path / "moons" / "1"
    assert files(folder) == FILES | {"model.onnx", "model.tflite"}
    assert files(tmp_path / "moons") == {f"1/{name}" for name in files(folder)}
    assert printed.err == "fcclf: tested on 20 rows of the test part\n"
    lines = printed.out.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["savedmodel", str(folder)],
        ["onnx", str(folder / "model.onnx")],
        ["tflite", str(folder / "model.tflite")],
    ]
    assert "  largest difference 0 in logits, " in lines[0]
    assert lines[0].endswith(" in probabilities")


@pytest.mark.parametrize("settings", [{}, {"batch_norm": "after", "standardize": "features"}, {"early_stopping": True}])
def test_it_answers_the_bits_of_the_run(tmp_path, settings):
    training.train(runs.config(**settings), tmp_path / "run")
    X = np.random.default_rng(0).standard_normal((500, 2), np.float32)
    with TrainedRun(tmp_path / "run") as opened:
        exported = export_run(opened, tmp_path / "exports")
        found = answers(exported, X)
        np.testing.assert_array_equal(found["logits"], opened.logits(X))
        np.testing.assert_array_equal(found["class_ids"], opened.predictions(X))
        np.testing.assert_allclose(found["probabilities"], opened.probabilities(X), rtol=0, atol=1e-6)
        assert exported.differences["savedmodel"]["logits"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
def test_numbers_are_in_the_unit_of_the_labels(tmp_path, loss):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"age": rng.uniform(0, 100, 200), "rooms": rng.integers(1, 9, 200)})
    table.assign(price=1000 * table.rooms + table.age).to_csv(tmp_path / "houses.csv", index=False)
    source = Table(str(tmp_path / "houses.csv"), label="price", task="regression")
    training.train(runs.config(data=source, loss=loss, standardize="features", epochs=3), tmp_path / "run")
    with TrainedRun(tmp_path / "run") as opened:
        exported, X = export_run(opened, tmp_path / "exports", FORMATS), opened.dataset().test.X
        np.testing.assert_allclose(answers(exported, X)["predictions"], opened.predictions(X), rtol=1e-14)
        if loss == "squared_error":
            np.testing.assert_array_equal(answers(exported, X)["predictions"], opened.predictions(X))
        for format in ("onnx", "tflite"):
            np.testing.assert_allclose(answers(exported, X, format)["predictions"], opened.predictions(X), rtol=1e-4)


def test_model_json_tells_what_the_model_is(finished_run, tmp_path):
    with TrainedRun(finished_run) as opened:
        exported = export_run(opened, tmp_path, ["onnx", "savedmodel"])
        dataset, description = opened.dataset(), opened.description
    told = document(exported.path)
    assert (told["format"], told["task"], told["n_features"]) == (1, "classification", 2)
    assert Schema.from_dict(told["schema"]).classes == ("0", "1")
    assert told["layers"] == blocks.summary(description.config.layers(DataShape(2, 2)), 2)
    assert (told["note"]["epoch"], told["note"]["fingerprint"]) == (6, description.fingerprint)
    assert told["note"]["versions"] == description.versions
    assert told["note"]["differences"] == exported.differences
    np.testing.assert_array_equal(np.float32(told["examples"]["X"]), dataset.test.X[:5])
    np.testing.assert_array_equal(np.float32(told["ranges"])[:, 1], dataset.train.X.max(axis=0))
    assert "    [" in (exported.path / "assets.extra/model.json").read_text()  # a row is one line


@pytest.mark.slow
def test_metrics_are_noted_if_they_are_of_this_epoch(finished_run, tmp_path, capsys):
    path = shutil.copytree(finished_run, tmp_path / "run")
    run("export", path, tmp_path / "exports")
    assert document(tmp_path / "exports/1")["note"]["metrics"] is None
    run("evaluate", path, "--json")
    run("export", path, tmp_path / "exports")
    found = document(tmp_path / "exports/2")["note"]["metrics"]
    assert found == json.loads((path / "metrics.json").read_text())["test"]


@pytest.mark.slow
def test_a_run_whose_data_are_gone_is_tested_on_random_numbers_and_says_so(tmp_path, capsys):
    table = load_iris(as_frame=True).frame
    table.to_csv(tmp_path / "iris.csv", index=False)
    training.train(runs.config(data=Table(str(tmp_path / "iris.csv")), epochs=2), tmp_path / "run")
    (tmp_path / "iris.csv").unlink()
    assert run("export", tmp_path / "run", tmp_path / "exports") == 0
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("fcclf: the export is tested on random numbers, not on the run's data: cannot read")
    assert said[1] == "fcclf: tested on 500 rows of random numbers"
    told = document(tmp_path / "exports/1")
    assert (told["examples"], told["ranges"]) == (None, None)


@pytest.mark.slow
def test_a_run_can_be_exported_while_it_trains(tmp_path):
    path, saved = tmp_path / "run", runs.FORKSERVER.Event()
    writer = runs.start(*flags(path, epochs=10**6, keep=1), faults=[Before("fcclf.runs.checkpoint.prune", saved.set)])
    try:
        assert saved.wait(timeout=60)
        for _ in range(3):
            with TrainedRun(path) as opened:
                exported, X = export_run(opened, tmp_path / "exports"), opened.dataset().test.X
                np.testing.assert_array_equal(answers(exported, X)["logits"], opened.logits(X))
        assert writer.exitcode is None
    finally:
        writer.terminate()
        writer.join()
    epochs = [document(tmp_path / "exports" / str(number))["note"]["epoch"] for number in (1, 2, 3)]
    assert epochs == sorted(epochs)
    assert epochs[0] < epochs[-1]


# ---- the test of an export -------------------------------------------------------------------------------------------


def with_other_logits(path, X, threads):
    found = converted.onnx_answers(path, X, threads)
    return found | {"logits": found["logits"] + 1}


@pytest.mark.slow
@pytest.mark.parametrize("existing", [False, True])
def test_answers_that_differ_too_much_are_not_exported(finished_run, tmp_path, monkeypatch, capsys, existing):
    if existing:
        run("export", finished_run, tmp_path / "exports")
    before = files(tmp_path)
    for name in ("CONVERTED", "ROUNDING"):
        monkeypatch.setattr(export, name, 0.0)
    monkeypatch.setitem(FORMATS, "onnx", FORMATS["onnx"]._replace(answers=with_other_logits))  # on every processor
    capsys.readouterr()
    assert run("export", finished_run, tmp_path / "exports", "--format", "savedmodel", "onnx") == 1
    error = capsys.readouterr().err
    assert "logits of the onnx export differ from the run's by " in error
    assert "but at most 0 is allowed: nothing was exported" in error
    assert files(tmp_path) == before
    assert (tmp_path / "exports").exists() == existing


def test_classes_that_do_not_follow_from_the_logits_are_not_exported(tmp_path, monkeypatch):
    def swapped(path, X, threads):
        found = savedmodel.answers(path, X, threads)
        return found | {"classes": found["classes"][::-1]}

    monkeypatch.setitem(FORMATS, "savedmodel", FORMATS["savedmodel"]._replace(answers=swapped))
    with pytest.raises(RunError, match="classes of the savedmodel export are not those of its logits"):
        export.export_model(models.model("iris"), models.predictor("iris").answers, tmp_path / "exports")
    assert not (tmp_path / "exports").exists()


def test_differences_are_relative_beyond_one_and_infinite_where_a_number_is_missing():
    one = np.array([0.5, 100.0, np.nan, np.inf])
    assert export.difference(one, one) == 0
    assert export.difference(np.array([0.25, 101.0]), one[:2]) == 0.25
    assert export.difference(np.array([0.5, 150.0]), one[:2]) == 0.5
    assert export.difference(np.array([np.nan]), one[:1]) == np.inf
    assert export.difference(one[:1], np.array([np.nan])) == np.inf


@pytest.mark.campaign
def test_a_network_may_be_as_far_from_the_run_as_float32_is_from_float64(tmp_path, monkeypatch):
    X = 1e4 * models.samples("every dense")  # so far from 1 that float32 has no more than some digits
    given, trained = export.given(X, "large numbers", "float32"), models.predictor("every dense").answers
    exported = export.export_model(models.model("every dense"), trained, tmp_path, ["onnx", "tflite"], given)
    largest = [exported.differences[format]["logits"] for format in ("onnx", "tflite")]
    rounding = export._rounding(models.model("every dense"), models.model("every dense").outputs(trained(X)), X)
    assert 1e-5 < max(largest) <= 8 * rounding["logits"]

    def wrong(path, X, threads):
        found = FORMATS["tflite"].answers(path, X, threads)
        return found | {"logits": found["logits"] * 1.001}

    monkeypatch.setitem(FORMATS, "onnx", FORMATS["tflite"]._replace(answers=wrong))
    with pytest.raises(RunError, match="logits of the onnx export differ"):
        export.export_model(models.model("every dense"), trained, tmp_path, ["onnx"], given)


@pytest.mark.slow
@pytest.mark.parametrize("name", runs.some_of(models.MODELS, models.QUICK))
def test_every_kind_of_model_passes(tmp_path, name):
    model = models.model(name)
    formats = [format for format in FORMATS if (format, model.dtype) != ("tflite", "float64")]
    exported = export.export_model(model, models.predictor(name).answers, tmp_path, formats)
    assert list(exported.differences) == formats
    assert exported.tested == "500 rows of random numbers"


# ---- estimators ------------------------------------------------------------------------------------------------------

IRIS = load_iris(as_frame=True)
FAST = {"hidden_layer_sizes": (8,), "max_iter": 20, "random_state": 0}


@pytest.mark.slow
def test_a_classifier_is_exported_with_the_names_of_columns_and_classes(tmp_path):
    X, y = IRIS.data, IRIS.target_names[IRIS.target]
    classifier = FCClassifier(**FAST).fit(X, y)
    exported = classifier.export(tmp_path, X=X)
    assert exported.tested == "150 rows of the samples given"
    given = {name: tf.constant(X[name]) for name in X}
    found = tf.saved_model.load(str(exported.path)).signatures["columns"](**given)
    assert [each.decode() for each in found["classes"].numpy()] == list(classifier.predict(X))
    np.testing.assert_array_equal(found["logits"], classifier.decision_function(X))
    np.testing.assert_allclose(found["probabilities"], classifier.predict_proba(X), rtol=0, atol=1e-15)
    told = document(exported.path)
    assert [column["name"] for column in told["schema"]["columns"]] == list(X)
    assert told["examples"]["X"] == X[:5].to_numpy().tolist()
    assert told["note"]["source"] == "FCClassifier"


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_labels_of_any_kind_become_texts(tmp_path, dtype):
    X = load_wine().data.astype(dtype)
    for number, y in enumerate((load_wine().target + 5, load_wine().target > 0, load_wine().target / 1), start=1):
        classifier = FCClassifier(**FAST).fit(X, y)
        classifier.export(tmp_path, X=X)
        found = savedmodel.answers(tmp_path / str(number), X, 1)
        assert list(found["classes"]) == [str(each) for each in classifier.predict(X)]
        assert found["logits"].dtype == dtype


@pytest.mark.slow
def test_several_labels_a_sample(tmp_path):
    X, y = make_multilabel_classification(n_classes=3, random_state=0)
    classifier = FCClassifier(**FAST).fit(X, y)
    found = answers(classifier.export(tmp_path, X=csr_matrix(X)), X)
    np.testing.assert_array_equal(found["class_ids"], classifier.predict(X))
    np.testing.assert_allclose(found["probabilities"], classifier.predict_proba(X), rtol=0, atol=1e-15)


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["squared_error", runs.campaign("poisson")])
@pytest.mark.parametrize("outputs", [1, runs.campaign(2)])
def test_a_regressor_is_exported(tmp_path, loss, outputs):
    X, y = load_diabetes(return_X_y=True)
    y = y if outputs == 1 else np.column_stack([y, y[::-1]])
    regressor = FCRegressor(loss, **FAST).fit(X.astype(np.float32), y.astype(np.float32))
    exported = regressor.export(tmp_path, FORMATS)
    for format in FORMATS:
        found = answers(exported, X.astype(np.float32), format)["predictions"]
        np.testing.assert_allclose(found, regressor.predict(X.astype(np.float32)), rtol=1e-5, atol=1e-6)


def test_weights_that_a_user_set_are_exported(tmp_path):
    classifier = FCClassifier(**FAST).fit(IRIS.data.to_numpy(), IRIS.target)
    classifier.coefs_ = [2 * each for each in classifier.coefs_]
    found = answers(classifier.export(tmp_path), IRIS.data.to_numpy())
    np.testing.assert_array_equal(found["logits"], classifier.decision_function(IRIS.data.to_numpy()))


def test_columns_of_one_name_are_not_told_apart(tmp_path):
    """Some versions of scikit-learn let them through."""
    classifier = FCClassifier(**FAST).fit(IRIS.data, IRIS.target)
    classifier.feature_names_in_ = np.array(["a", "a", "b", "c"], object)
    assert document(classifier.export(tmp_path).path)["schema"]["columns"] == []


def test_names_that_no_input_can_have_are_told(tmp_path):
    classifier = FCClassifier(**FAST).fit(IRIS.data.set_axis(["class", "a b", "b", "c"], axis=1), IRIS.target)
    with pytest.warns(UserWarning, match=r"no arguments for columns of the names \['class'\]: the SavedModel has no"):
        exported = classifier.export(tmp_path)
    assert set(tf.saved_model.load(str(exported.path)).signatures) == {"serving_default", "classify"}


def test_what_is_not_fitted_is_not_exported(tmp_path):
    with pytest.raises(NotFittedError):
        FCClassifier().export(tmp_path / "exports")
    assert not (tmp_path / "exports").exists()


@pytest.mark.slow
def test_fits_that_are_runs_are_exported_by_the_command(tmp_path, capsys):
    FCClassifier(**FAST, logdir=tmp_path / "fit").fit(IRIS.data, IRIS.target)
    FCRegressor(**FAST, logdir=tmp_path / "numbers").fit(IRIS.data, IRIS.target)
    for name in ("fit", "numbers"):
        assert run("export", tmp_path / name, tmp_path / "exports", "--format", "savedmodel", "onnx") == 0
    assert document(tmp_path / "exports/1")["note"]["source"] == str(tmp_path / "fit")
    assert [document(tmp_path / "exports" / number)["task"] for number in "12"] == ["classification", "regression"]


# ---- folders ---------------------------------------------------------------------------------------------------------


def filled(folder):
    """A folder that is a version."""
    folder.mkdir()
    (folder / "file").write_text("content")
    return folder


def test_versions_are_counted_after_those_there(tmp_path):
    for name in ("3", "0010", "latest", "²", "-7", ".12", "9" * 30):
        (tmp_path / name).mkdir()
    assert versions.numbers(tmp_path) == [3, 10]
    with versions.begun(tmp_path) as folder:
        assert versions.show(filled(folder)) == tmp_path / "11"
    assert versions.numbers(tmp_path / "none") == []


def test_a_number_that_somebody_else_has_taken_meanwhile_is_left_to_him(tmp_path, monkeypatch):
    for name in ("1", "2"):
        filled(tmp_path / name)
    (tmp_path / "3").write_text("a file")
    monkeypatch.setattr(versions, "numbers", lambda directory: [])
    with versions.begun(tmp_path) as folder:
        assert versions.show(filled(folder)) == tmp_path / "4"


def test_what_was_not_shown_is_gone(tmp_path):
    with versions.begun(tmp_path / "new") as folder:
        filled(folder)
    assert not (tmp_path / "new").exists()
    with contextlib.suppress(KeyboardInterrupt), versions.begun(tmp_path) as folder:
        filled(folder)
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_writer_left_is_cleared_but_not_what_is_being_written(tmp_path):
    left, other = tmp_path / f"{versions.HIDDEN}1-a", tmp_path / ".tmp-of-somebody-else"
    for each in (left, other):
        filled(each)
    with versions.begun(tmp_path) as first:
        filled(first)
        with versions.begun(tmp_path) as second:
            assert sorted(tmp_path.iterdir()) == sorted([first.parent, second.parent, other])
            assert versions.show(filled(second)) == tmp_path / "1"
        assert versions.show(first) == tmp_path / "2"


def test_a_writer_whose_directory_was_cleared_at_once_takes_another(tmp_path, monkeypatch):
    tried = []

    def cleared_at_first(path):
        tried.append(path)
        if len(tried) == 1:
            raise RunError("it was moved while it was opened")
        return locked(path)

    monkeypatch.setattr(versions, "locked", cleared_at_first)
    with versions.begun(tmp_path) as folder:
        assert folder.parent == tried[1]


@pytest.mark.slow
def test_exporters_at_the_same_instant_get_a_number_each(finished_run, tmp_path):
    barrier = runs.FORKSERVER.Barrier(3)
    every = [runs.start("export", finished_run, tmp_path / "exports", faults=[barrier.wait]) for _ in range(3)]
    for process in every:
        process.join()
    assert [process.exitcode for process in every] == [0, 0, 0]
    assert sorted(path.name for path in (tmp_path / "exports").iterdir()) == ["1", "2", "3"]
    for number in "123":
        assert files(tmp_path / "exports" / number) == FILES


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--format", "pmml"], 2, "one of savedmodel, onnx, tflite; leave it out for savedmodel."),
        ([], 1, "cannot create "),
    ],
)
def test_what_cannot_be_is_one_sentence(finished_run, tmp_path, capsys, arguments, code, words):
    (tmp_path / "file").write_text("")
    assert run("export", finished_run, tmp_path / "file", *arguments) == code
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_patterns_and_directories_that_are_no_runs_are_refused(finished_run, tmp_path, capsys):
    assert run("export", finished_run, tmp_path / "a*") == 1
    assert "which TensorFlow takes for a pattern" in capsys.readouterr().err
    assert run("export", tmp_path, tmp_path / "exports") == 1
    assert "is not a run directory" in capsys.readouterr().err
    with pytest.raises(RunError, match="formats is \\['pmml'\\], but must be some of savedmodel, onnx, tflite"):
        FCClassifier(**FAST).fit(IRIS.data, IRIS.target).export(tmp_path, ["pmml"])


def test_help_need_not_wait_for_tensorflow():
    program = (
        "import sys; from fcclf.cli import entry\n"
        "try: entry.main(['export', '--help'])\n"
        "except SystemExit: print('tensorflow' in sys.modules)"
    )
    assert runs.python(program).endswith("False\n")


# ---- kills -----------------------------------------------------------------------------------------------------------


def assert_whole(folder):
    """All files are there, and the SavedModel answers what the variables in it say."""
    assert files(folder) == FILES
    stored = tf.train.load_checkpoint(str(folder / "variables/variables"))
    values = {name: stored.get_tensor(name) for name in stored.get_variable_to_shape_map()}
    config = runs.config()
    network = Predictor(tuple(config.layers(DataShape(2, 2)).items()), 2, 1)
    network.load(values)
    X = loading.load(config).test.X
    np.testing.assert_array_equal(savedmodel.answers(folder, X, 1)["logits"], network.logits(X))
    network.close()
    assert document(folder)["note"]["differences"]["savedmodel"]["logits"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("kills", [2, runs.campaign(50)])
def test_an_exporter_killed_at_random_moments_leaves_whole_versions_or_none(tmp_path, kills):
    path, exports, moments = tmp_path / "run", tmp_path / "exports", random.Random(kills)
    saved, shown, killed = runs.FORKSERVER.Event(), 0, 0
    writer = runs.start(*flags(path, epochs=10**6, keep=1), faults=[Before("fcclf.runs.checkpoint.prune", saved.set)])
    try:
        assert saved.wait(timeout=60)
        started = time.monotonic()
        undisturbed = runs.start("export", path, exports)
        undisturbed.join()
        assert undisturbed.exitcode == 0
        longest = time.monotonic() - started
        while killed < kills:
            process = runs.start("export", path, exports)
            process.join(timeout=moments.uniform(0.1, 1) * longest)
            process.kill()
            process.join()
            killed += process.exitcode == -signal.SIGKILL
            assert process.exitcode in (0, -signal.SIGKILL)
            for number in versions.numbers(exports)[shown:]:
                assert_whole(exports / str(number))
            shown = len(versions.numbers(exports))
        assert writer.exitcode is None
    finally:
        writer.terminate()
        writer.join()
    assert run("export", path, exports) == 0
    assert all(each.name.isdecimal() for each in Path(exports).iterdir())
