"""What is trained: a network, its settings and its samples, the same for every peer."""

import json
from typing import NamedTuple

import numpy as np
from sklearn.datasets import make_moons


class Workload(NamedTuple):
    """A network on samples, trained by Adam.

    hidden: units of each hidden layer. lenet: the preset of that name instead, on images. l2: adds l2 / 2 times the
    sum of squares of every kernel to the loss.
    """

    n_rows: int
    n_features: int
    n_classes: int
    hidden: tuple[int, ...]
    batch_size: int
    activation: str = "relu"
    l2: float = 0.0
    learning_rate: float = 1e-3
    lenet: bool = False

    @property
    def n_batches(self) -> int:
        """Number of batches in an epoch, a short last one included."""
        return -(-self.n_rows // self.batch_size)

    @property
    def widths(self) -> list[tuple[int, int]]:
        """(numbers in, numbers out) of each dense layer."""
        return list(zip((self.n_features, *self.hidden), (*self.hidden, self.n_classes), strict=True))

    @property
    def epochs(self) -> int:
        """Number of epochs that take a compiled loop about half a second, at least one."""
        operations = 6 * self.batch_size * sum(n_in * n_out for n_in, n_out in self.widths)
        return 1 if self.lenet else max(1, int(min(50_000, 2e10 / operations)) // self.n_batches)

    def samples(self) -> tuple[np.ndarray, np.ndarray]:
        """(X, y): float32 [rows, features], int32 [rows]. Two features are the moons, more are random numbers."""
        if self.n_features == 2:
            X, y = make_moons(self.n_rows, noise=0.1, random_state=42)
            return X.astype(np.float32), y.astype(np.int32)
        random = np.random.default_rng(0)
        X = random.random((self.n_rows, self.n_features), np.float32)
        return X, random.integers(self.n_classes, size=self.n_rows, dtype=np.int32)

    def words(self) -> str:
        """The workload as JSON, for `from_words`."""
        return json.dumps(self._asdict())

    @classmethod
    def from_words(cls, words: str) -> "Workload":
        """The workload that `words` describes."""
        stored = json.loads(words)
        return cls(**stored | {"hidden": tuple(stored["hidden"])})


MOONS = Workload(1600, 2, 2, (6, 4), 64, "elu", 1e-3, 3e-3)
WIDE = Workload(55_000, 784, 10, (512, 512), 128)
LENET = Workload(2560, 784, 10, (), 128, lenet=True)
ROWS = {f"1e{power}": MOONS._replace(n_rows=10**power) for power in range(3, 8)}
LARGE = WIDE._replace(batch_size=2048)
DEVICES = {
    "moons, 2-6-4-2, batch 64": MOONS,
    "784-512-512-10, batch 128": WIDE,
    "784-512-512-10, batch 2048": LARGE,
    "784-2048-2048-10, batch 2048": LARGE._replace(hidden=(2048, 2048)),
    "LeNet, batch 128": LENET,
    "LeNet, batch 1024": LENET._replace(n_rows=20_480, batch_size=1024),
}
WIDTHS = (6, 4), (32, 16), (128, 64), (512, 512), (2048, 2048)
NETS = {"-".join(map(str, hidden)): Workload(1280, 20, 2, hidden, 128) for hidden in WIDTHS}
