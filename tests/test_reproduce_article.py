"""The study of the tutorial, on few samples and epochs."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import runs

from fcclf.data import loading
from fcclf.runs.trained import TrainedRun
from fcclf.settings.config import Config, Moons

SCRIPT = Path(__file__).parent.parent / "scripts" / "reproduce_article.py"


@pytest.fixture
def article():
    """The script as a module."""
    description = importlib.util.spec_from_file_location(SCRIPT.stem, SCRIPT)
    module = importlib.util.module_from_spec(description)
    description.loader.exec_module(module)
    return module


def test_its_network_is_the_one_that_a_run_trains(article, finished_run):
    dataset = loading.load(runs.config())
    with TrainedRun(finished_run) as run:
        fit = article._network(runs.config())
        fit(runs.config().data, seed=1)
        probabilities = fit(runs.config().data, seed=0)(dataset.test.X)
        np.testing.assert_allclose(probabilities, run.probabilities(dataset.test.X), rtol=1e-6)


def test_the_study_measures_each_seed_on_the_test_part(article):
    source, dataset = Moons(samples=100), loading.load(Config(Moons(samples=100)))

    def fit(source, seed):
        return lambda X: np.eye(2)[np.full(len(X), seed)] * 0.5 + 0.25

    scores = article.study(fit, {0.2: source}, n_seeds=2)
    ones = dataset.test.y.mean()
    expected = [[1 - ones, -ones * np.log(0.25) - (1 - ones) * np.log(0.75)]]
    expected += [[ones, -ones * np.log(0.75) - (1 - ones) * np.log(0.25)]]
    np.testing.assert_allclose(scores[0.2], expected)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")  # one epoch is not enough for it to converge
def test_it_prints_two_tables_and_draws_one_figure(article, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(article, "NOISES", (0.1, 0.3))
    monkeypatch.setattr(article, "networks", lambda epochs: {})
    article.main(["--seeds", "1", "--epochs", "1", "--output", str(tmp_path)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["test", "accuracy", "noise", "0.1", "noise", "0.3"]
    assert lines[1].startswith("logistic regression  0.8975 +- 0.0000")
    assert lines[5].startswith("test loss")
    assert lines[-1] == str(tmp_path / "reproduce_article.png")
    assert (tmp_path / "reproduce_article.png").stat().st_size > 10_000


def test_no_seed_is_a_usage_error(article, capsys):
    with pytest.raises(SystemExit, match="2"):
        article.main(["--seeds", "0"])
    assert "--seeds is 0, but must be at least 1." in capsys.readouterr().err
