"""Training on a GPU, as far as it can be seen without one: what finds no GPU is computed on the CPU."""

import json
import shutil

import numpy as np
import pytest
import runs
import tensorflow as tf
from sklearn.datasets import make_moons

from fcclf import FCClassifier
from fcclf.cli import entry
from fcclf.errors import ConfigError
from fcclf.learning import plan, predictor
from fcclf.learning.program import Program
from fcclf.runs import run_directory, training, verification
from fcclf.settings.run_config import DataShape
from fcclf.system import durable

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

PLACE = "/device:GPU:0"
MOVED = "the run was trained on the CPU and goes on on the GPU: its bits will differ from those of an untouched run"
REFUSED = "device is gpu, but TensorFlow sees none on this machine: choose cpu or auto."
needs_gpu = pytest.mark.skipif(not predictor.sees_gpu(), reason="TensorFlow sees no GPU")


@pytest.fixture
def gpu(monkeypatch):
    """(whether TensorFlow is to say that it sees a GPU) -> None."""

    def seen(there):
        devices = ["a GPU"] if there else []
        monkeypatch.setattr(predictor.tf.config, "list_physical_devices", lambda kind: devices)

    return seen


@pytest.mark.parametrize(
    ("asked", "there", "chosen"),
    [("cpu", True, "cpu"), ("auto", False, "cpu"), ("auto", True, "gpu"), ("gpu", True, "gpu")],
)
def test_a_device_is_chosen_by_what_is_asked_and_what_is_there(gpu, asked, there, chosen):
    gpu(there)
    assert predictor.chosen_device(asked) == chosen


def test_a_session_for_the_cpu_sees_no_gpu():
    assert dict(predictor.session_config(1).device_count) == {"GPU": 0}
    assert dict(predictor.session_config(1, "gpu").device_count) == {"GPU": 1}


def test_a_gpu_that_is_not_there_is_refused_before_anything_is_made(gpu, tmp_path, capsys):
    gpu(False)
    with pytest.raises(ConfigError) as refused:
        training.train(runs.config(device="gpu"), tmp_path / "run")
    assert str(refused.value) == REFUSED
    assert entry.main(["train", "moons", "--device", "gpu", "--quiet", "--logdir", str(tmp_path)]) == 2
    assert f"--{REFUSED}" in capsys.readouterr().err
    with pytest.raises(ValueError, match=REFUSED):
        FCClassifier(device="gpu").fit(*make_moons(20))
    assert list(tmp_path.iterdir()) == []


def program(device, compiled):
    config = runs.config(jit="on" if compiled else "off", device=device)
    return Program(plan.planned(config, DataShape(2, 2), (80, 0, 20)))


@pytest.mark.slow
@pytest.mark.parametrize("compiled", [False, True])
def test_variables_and_the_loop_have_their_place(gpu, compiled):
    gpu(True)
    for device, place in (("cpu", ""), ("gpu", PLACE)):
        made = program(device, compiled)
        made.close()
        operations = made.session.graph.get_operations()
        loop = [each for each in operations if each.name.startswith("epoch-loop/")]
        # A variable is read where it is.
        assert {each.device for each in loop if each.type != "ReadVariableOp"} == {place}
        assert {each.handle.device for each in made.variables.values()} == {place}


@pytest.fixture
def half(finished_run, tmp_path):
    """The directory of a run with half of its epochs, trained on the CPU."""
    training.train(runs.config(epochs=3), tmp_path / "run")
    return tmp_path / "run"


def test_a_run_that_goes_on_on_another_device_says_so_once_and_notes_it(gpu, half, finished_run):
    gpu(True)
    assert run_directory.read(half).versions["device"] == "cpu"
    said = []
    training.train(runs.config(epochs=4, device="gpu"), half, say=said.append)
    training.train(runs.config(device="gpu"), half, say=said.append)
    assert said == [MOVED, "going on after epoch 3", "going on after epoch 4"]
    assert run_directory.read(half).versions["device"] == "cpu, gpu"
    if not tf.test.is_built_with_cuda():
        runs.assert_same_variables(half, finished_run)


def test_a_finished_run_stays_where_it_was_trained(gpu, finished_run, tmp_path):
    gpu(True)
    path = shutil.copytree(finished_run, tmp_path / "run")
    training.train(runs.config(device="gpu"), path, say=pytest.fail)
    assert run_directory.read(path).versions["device"] == "cpu"


def test_a_run_of_a_release_without_devices_was_trained_on_the_cpu(half, tmp_path):
    stored = json.loads((half / "config.json").read_text())
    del stored["versions"]["device"], stored["config"]["session"]["device"], stored["sha256"]
    (half / "config.json").write_text(durable.seal(stored))
    said = []
    training.train(runs.config(), half, say=said.append)
    assert said == ["going on after epoch 3"]
    assert verification.replay(half) is None


@pytest.mark.slow
def test_replay_tells_where_it_lacks_the_gpu_that_the_run_had(gpu, half):
    gpu(True)
    training.train(runs.config(device="gpu"), half)
    gpu(False)
    said = []
    verification.replay(half, said.append)
    assert said[0] == (
        "the run was trained on a GPU, but TensorFlow sees none here: it is replayed on the CPU, whose bits are others"
    )


def test_a_difference_that_replay_finds_is_laid_to_the_device(gpu, half):
    description = run_directory.read(half)
    trained = description._replace(versions=description.versions | {"device": "gpu"})
    assert run_directory.changed(trained, 1, "cpu") == ["device: gpu -> cpu"]


@pytest.mark.slow
def test_a_fit_that_goes_on_on_another_device_warns(gpu, tmp_path):
    gpu(True)
    X, y = make_moons(40, random_state=0)
    settings = {"hidden_layer_sizes": (3,), "random_state": 0, "logdir": tmp_path / "fit"}
    FCClassifier(**settings, max_iter=1).fit(X, y)
    with pytest.warns(UserWarning, match=MOVED):
        FCClassifier(**settings, max_iter=2, device="gpu").fit(X, y)
    assert FCClassifier.from_run(tmp_path / "fit").device == "gpu"


@needs_gpu
@pytest.mark.parametrize("jit", ["on", "off"])
def test_a_gpu_learns_what_the_cpu_learns_and_its_checkpoint_goes_on_there(tmp_path, finished_run, jit):
    path, said = tmp_path / "run", []
    training.train(runs.config(epochs=3, device="gpu", jit=jit), path)
    training.train(runs.config(jit=jit), path, say=said.append)
    assert said[0] == MOVED.replace("CPU", "?").replace("GPU", "CPU").replace("?", "GPU")
    for name, values in runs.variables(finished_run).items():
        np.testing.assert_allclose(runs.variables(path)[name], values, rtol=1e-2, atol=1e-3, err_msg=name)
