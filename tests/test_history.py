"""history.csv: what is written reads back."""

import numpy as np
import pytest

from fcclf.errors import RunError
from fcclf.runs import history

METRICS = {"train_loss": np.float32([0.1, 1 / 3]), "penalty": np.float32([1e-9, 2]), "test_loss": np.float32([3, 4])}


def written(path, rows=2):
    log = history.History(path, tuple(METRICS))
    log.append(1, {name: values[:rows] for name, values in METRICS.items()}, seconds=0.25)
    length = log.commit()
    log.close()
    return length


def test_rows_read_back_as_the_same_float32(tmp_path):
    length = written(tmp_path)
    assert length == (tmp_path / "history.csv").stat().st_size
    columns = history.read(tmp_path)
    assert list(columns) == ["epoch", *METRICS, "seconds"]
    np.testing.assert_array_equal(columns["epoch"], [1, 2])
    for name, values in METRICS.items():
        np.testing.assert_array_equal(columns[name].astype(np.float32), values)
    np.testing.assert_array_equal(columns["seconds"], [0.25, 0.25])


def test_a_second_attempt_appends_without_another_heading(tmp_path):
    written(tmp_path)
    log = history.History(tmp_path, tuple(METRICS))
    log.append(3, METRICS, seconds=0.5)
    log.close()
    np.testing.assert_array_equal(history.read(tmp_path)["epoch"], [1, 2, 3, 4])


def test_a_torn_last_line_is_left_out(tmp_path):
    written(tmp_path)
    with open(tmp_path / "history.csv", "a") as file:
        file.write("3,0.1,0.2")
    assert len(history.read(tmp_path)["epoch"]) == 2


def test_a_rewritten_history_has_the_same_numbers_and_no_times(tmp_path):
    written(tmp_path)
    before = history.read(tmp_path)
    columns = {name: dict(enumerate(values, start=1)) for name, values in METRICS.items()}
    history.rewrite(tmp_path, 2, columns)
    after = history.read(tmp_path)
    for name in ("epoch", *METRICS):
        np.testing.assert_array_equal(after[name], before[name])
    assert np.isnan(after["seconds"]).all()


def test_a_history_with_a_gap_is_not_rewritten(tmp_path):
    written(tmp_path)
    columns = {name: {1: 0.5, 3: 0.5} for name in METRICS}
    with pytest.raises(RunError, match="epoch 2 is not in the events"):
        history.rewrite(tmp_path, 3, columns)
