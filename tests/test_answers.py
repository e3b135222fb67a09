"""`fcclf predict`: what a run answers for the samples of a file."""

import csv
import io
import json

import numpy as np
import pytest
import runs

from fcclf import FCClassifier, FCRegressor, open_run
from fcclf.cli import entry
from fcclf.data import loading
from fcclf.data.tables import csv_file, new_samples
from fcclf.runs import training
from fcclf.settings.sources import Curve, Table

POINTS = loading.load(runs.config()).test


@pytest.fixture
def points(tmp_path):
    """The test part of the runs as a CSV file."""
    path = tmp_path / "points.csv"
    rows = [
        f"p{row},{x!r},{y!r},{label}"
        for row, ((x, y), label) in enumerate(zip(POINTS.X.tolist(), POINTS.y, strict=True))
    ]
    path.write_text("\n".join(["name,x,y,kind", *rows]) + "\n")
    return path


def predict(capfd, *words):
    """(exit code, rows of the output, stderr)."""
    code = entry.main(["predict", *map(str, words)])
    written = capfd.readouterr()
    return code, list(csv.reader(io.StringIO(written.out))), written.err


def test_classes_and_probabilities_are_those_of_the_run(finished_run, points, capfd):
    code, (heading, *rows), told = predict(capfd, finished_run, points, "--id", "name", "--label", "kind", "--proba")
    with open_run(finished_run) as run:
        probabilities, predictions = run.probabilities(POINTS.X), run.predictions(POINTS.X)
    assert (code, heading) == (0, ["name", "class", "probability", "p_0", "p_1"])
    assert [row[:2] for row in rows] == [[f"p{row}", str(number)] for row, number in enumerate(predictions)]
    np.testing.assert_array_equal(np.float32([row[3:] for row in rows]), probabilities)
    np.testing.assert_array_equal(np.float32([row[2] for row in rows]), probabilities.max(axis=1))
    accuracy = np.mean(predictions == POINTS.y)
    assert told == f"fcclf: accuracy {accuracy:.4f} of {len(POINTS.y)} rows with labels\n"


def test_json_lines_say_the_same(finished_run, points, capfd):
    _, (_, *rows), _ = predict(capfd, finished_run, points, "--id", "name", "--label", "kind")
    assert entry.main(["predict", str(finished_run), str(points), "--id", "name", "--label", "4", "--json"]) == 0
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [[line["name"], line["class"], line["probability"]] for line in lines] == [
        [name, number, float(probability)] for name, number, probability in rows
    ]


def test_blocks_change_no_answer(finished_run, points, capfd, monkeypatch):
    _, whole, told = predict(capfd, finished_run, points, "--id", "name", "--label", "kind")
    monkeypatch.setattr(new_samples, "BLOCK", 3)
    assert predict(capfd, finished_run, points, "--id", "name", "--label", "kind") == (0, whole, told)


def test_a_file_is_written_whole_or_not_at_all(finished_run, points, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(csv_file, "ROWS", 2)
    out, words = tmp_path / "out.csv", (finished_run, points, "--id", "name", "--label", "kind")
    _, rows, _ = predict(capfd, *words)
    assert predict(capfd, *words, "--out", out)[:2] == (0, [])
    assert list(csv.reader(out.open())) == rows
    lines = points.read_text().splitlines()
    points.write_text("\n".join([*lines[:9], "p,1,x,0", *lines[9:]]))
    code, _, told = predict(capfd, *words, "--out", out)
    assert (code, told) == (
        1,
        f"fcclf: error: {points}, line 10, 'y' is 'x', which is no finite number: correct it, or leave the row out.\n",
    )
    assert list(csv.reader(out.open())) == rows
    assert sorted(tmp_path.iterdir()) == sorted([out, points])


@pytest.mark.slow
def test_the_columns_of_a_table_are_found_whatever_their_order(tmp_path, capfd):
    lines = ["fur,age,kind", *(f"{'ab'[row % 2]},{row % 7},{'cd'[row % 2]}at" for row in range(40))]
    (tmp_path / "pets.csv").write_text("\n".join(lines))
    training.train(runs.config(data=Table(str(tmp_path / "pets.csv")), epochs=60, learning_rate=0.1), tmp_path / "run")
    (tmp_path / "new.csv").write_text("age,more,fur\n3,,b\n4,,a\n")
    code, rows, told = predict(capfd, tmp_path / "run", tmp_path / "new.csv")
    assert code == 0
    assert [row[0] for row in rows] == ["class", "dat", "cat"]
    assert told == f"fcclf: {tmp_path / 'new.csv'} has columns that the run does not know: more\n"
    code, _, told = predict(capfd, tmp_path / "run", tmp_path / "pets.csv")
    assert (code, told) == (0, "fcclf: accuracy 1.0000 of 40 rows with labels\n")


@pytest.mark.slow
def test_numbers_are_predicted_in_the_unit_of_the_labels(tmp_path, capfd):
    training.train(runs.config(data=Curve(samples=100)), tmp_path / "run")
    with open_run(tmp_path / "run") as run:
        dataset = run.dataset()
        labels, predictions = dataset.numbers(dataset.test.y), run.predictions(dataset.test.X)
    rows = [f"{x!r},{label!r}" for (x,), label in zip(dataset.test.X.tolist(), labels.tolist(), strict=True)]
    (tmp_path / "curve.csv").write_text("\n".join(rows))
    code, (heading, *rows), told = predict(capfd, tmp_path / "run", tmp_path / "curve.csv", "--label", "2")
    assert (code, heading) == (0, ["prediction"])
    np.testing.assert_array_equal([float(row[0]) for row in rows], predictions)
    r2 = 1 - np.square(predictions - labels).sum() / np.square(labels - labels.mean()).sum()
    assert told.startswith(f"fcclf: R2 {r2:.4f}, mean absolute error {np.abs(predictions - labels).mean():.5g}, ")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Maximum iterations")
def test_a_fit_that_is_kept_answers_as_its_estimator_does(tmp_path, capfd):
    X, y = POINTS.X.astype(np.float64), POINTS.y
    several = np.stack([y, 1 - y, y * 0], axis=1)
    np.save(tmp_path / "X.npy", X)
    settings = {"max_iter": 5, "random_state": 0, "hidden_layer_sizes": (4,), "tol": 0.0}
    one = FCClassifier(**settings, logdir=tmp_path / "one").fit(X, np.array(["no", "yes"])[y])
    code, (heading, *rows), _ = predict(capfd, tmp_path / "one", tmp_path / "X.npy", "--proba")
    assert (code, heading) == (0, ["class", "probability", "p_no", "p_yes"])
    assert [row[0] for row in rows] == one.predict(X).tolist()
    np.testing.assert_array_equal(np.float64([row[2:] for row in rows]), one.predict_proba(X))
    many = FCClassifier(**settings, logdir=tmp_path / "many").fit(X, several)
    _, (heading, *rows), _ = predict(capfd, tmp_path / "many", tmp_path / "X.npy")
    assert heading == ["0", "1", "2"]
    np.testing.assert_array_equal(np.int64(rows), many.predict(X))
    numbers = FCRegressor(**settings, logdir=tmp_path / "numbers").fit(X, several.astype(float))
    _, (heading, *rows), _ = predict(capfd, tmp_path / "numbers", tmp_path / "X.npy")
    assert heading == ["prediction_1", "prediction_2", "prediction_3"]
    np.testing.assert_array_equal(np.float64(rows), numbers.predict(X))


@pytest.mark.slow
def test_any_checkpoint_answers(tmp_path, points, capfd):
    training.train(runs.config(checkpoint_every=2, keep=9, early_stopping=True, patience=99), tmp_path / "run")
    words = (tmp_path / "run", points, "--id", "name", "--label", "kind", "--checkpoint")
    latest, last, second = (predict(capfd, *words, which) for which in ("latest", "epoch-6", "epoch-000002"))
    assert latest == last != second
    code, _, told = predict(capfd, *words, "epoch-7")
    assert code == 1
    assert told.startswith(f"fcclf: error: {tmp_path / 'run'} has no checkpoint 'epoch-7': there are epoch-000000, ")
    with open_run(tmp_path / "run") as run, open_run(tmp_path / "run", "epoch-2") as early:
        best = predict(capfd, *words, "best")[1]
        assert [row[1] for row in best[1:]] == list(map(str, run.predictions(POINTS.X)))
        assert early.epoch == 2


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["nowhere.csv"], 1, "error: cannot read nowhere.csv: No such file or directory."),
        (["/dev/zero"], 1, "error: cannot read /dev/zero: it is not a file."),
        (
            ["points.csv", "--id", "nobody"],
            2,
            "error: --id is 'nobody', but the columns of points.csv are name, x, y, kind",
        ),
        (
            ["points.csv", "--id", "name"],
            1,
            "error: points.csv has 3 columns besides label and id, but the run needs 2",
        ),
        (
            ["points.csv"],
            1,
            "error: points.csv has 4 columns, but the run needs 2, which it knows by their places alone.",
        ),
        (["points.csv", "--id", "1", "--label", "4", "--out", "."], 1, "error: cannot write .: it is not a file."),
        (["points.csv", "--id", "1", "--label", "4", "--out", "no/o.csv"], 1, "error: cannot write no/o.csv: No such"),
    ],
)
def test_what_cannot_be_is_one_sentence(finished_run, points, monkeypatch, capfd, words, code, sentence):
    monkeypatch.chdir(points.parent)
    found, rows, told = predict(capfd, finished_run, *words)
    assert (found, rows) == (code, [])
    assert sentence in told
    assert len(told.splitlines()) == 1
