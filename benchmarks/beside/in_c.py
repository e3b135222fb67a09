"""Hand-written C, compiled by gcc in a temporary directory: the best that the processor could do, on the moons."""

import functools
import subprocess
import tempfile
from pathlib import Path

from beside.answering import answer

FLAGS = ["-O3", "-march=native"]
EPOCHS = 10_000


def begin(workload, *flags):
    directory = tempfile.TemporaryDirectory()  # kept until the measurements end
    program, samples = Path(directory.name) / "moons", Path(directory.name) / "samples"
    X, y = workload.samples()
    samples.write_bytes(X.tobytes() + y.tobytes())
    sizes = {"N": workload.n_rows, "B": workload.batch_size, "RATE": workload.learning_rate, "L2": workload.l2}
    defined = [f"-D{name}={value}" for name, value in sizes.items()]
    source = Path(__file__).with_name("moons.c")
    subprocess.run(["gcc", *FLAGS, *flags, *defined, source, "-o", program, "-lm"], check=True)
    return functools.partial(step, directory, [program, samples, str(EPOCHS)])


def step(_, command):
    """Seconds a step."""
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[0])


if __name__ == "__main__":
    answer({"exact": begin, "fast-math": lambda workload: begin(workload, "-ffast-math")})
