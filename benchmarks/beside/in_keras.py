"""Keras: `fit` with its defaults."""

import presets

from beside import in_fcclf
from beside.answering import answer, timed


def begin(workload):
    X, y = workload.samples()
    config, dataset = in_fcclf.given(workload, X, y)
    network = presets.keras_network(config, dataset.shape)
    return timed(lambda n: network.fit(X, y, workload.batch_size, epochs=n, verbose=0), workload.n_batches)


if __name__ == "__main__":
    answer({"fit": begin})
