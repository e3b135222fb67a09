"""Ours: the compiled loop alone, `train` with all that it writes, `FCClassifier`; and the tutorials' fed loop."""

import functools

import speed

from beside import in_sklearn
from beside.answering import answer, timed
from fcclf import Config, FCClassifier, Model, Session, Stack, Training
from fcclf.data import loading
from fcclf.data.dataset import split
from fcclf.learning.predictor import sees_gpu


def given(workload, X, y, **session):
    """(settings, data) of a workload. There is no test part, because other peers measure none."""
    model = Stack("lenet") if workload.lenet else Model(workload.hidden, workload.activation, l2=workload.l2)
    training = Training(learning_rate=workload.learning_rate, batch_size=workload.batch_size)
    return Config(model=model, training=training, session=Session(**session)), split(X, y, 0, 0, workload.n_classes)


def bare(workload, **session):
    return timed(
        speed.Bare(*given(workload, *workload.samples(), **session)).train, workload.n_batches, workload.epochs
    )


def on_gpu(workload):
    """The compiled loop on a GPU. Raises ImportError without one, which is answered as missing."""
    if not sees_gpu():
        raise ImportError(name="GPU")
    return bare(workload, device="gpu")


def everything_on(_, **session):
    """`train` on the moons, at defaults except for pictures."""
    config = Config(training=Training(epochs=speed.TRAINED_EPOCHS), session=Session(image_every=0, **session))
    return functools.partial(speed.everything_on, config)


def tutorial(_):
    """The tutorials' loop on the moons."""
    config = Config()
    return functools.partial(speed.fed_loop, config, loading.load(config))


def fit(workload):
    settings = {"activation": workload.activation, "l2": workload.l2}
    return in_sklearn.fit(workload, FCClassifier, workload.epochs, **settings)


if __name__ == "__main__":
    answer(
        {
            "bare": bare,
            "one-thread": functools.partial(bare, threads=1),
            "gpu": on_gpu,
            "train": everything_on,
            "train-unsaved": functools.partial(everything_on, checkpoint_every=0),
            "tutorial": tutorial,
            "fit": fit,
            "row": functools.partial(in_sklearn.row, kind=FCClassifier),
            "grid": functools.partial(in_sklearn.grid, kind=FCClassifier),
        }
    )
