"""Training on more data than a process may hold, killed and gone on with, beside the same in memory.

    python benchmarks/beyond_memory.py [STEP...] [--rows 12000000] [--features 100] [--limit 1e9] [--directory DIR]

The steps; by default all of them. If some are named, what they make stays in DIR:

    make    X.npy and y.npy of normal numbers
    pack    fcclf pack, which is not limited: for each row it holds the place in the split
    whole   two epochs at once, in a control group (version 1) whose memory, the page cache included, is limited to so
            many bytes; without the right to make one, memory is only measured
    killed  the same, also limited, killed (-9) in the first epoch, in the evaluation after it and in the second epoch,
            and resumed each time; then variables and histories are compared, bit for bit
    speed   rows a second: of the disk, streamed with the limit, and without it
    memory  the same with all files in the page cache, and the loop given all samples at once

Before each command, except those of `memory`, the files are dropped from the page cache. DIR needs room for X twice.
"""

import argparse
import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

GROUPS = Path("/sys/fs/cgroup/memory")  # of version 1
CHUNK = 1 << 17  # rows made at once
WINDOW = 131_072  # rows that are shuffled together
BATCH = 256
TRAINING = [
    "--batch-size",
    str(BATCH),
    "--shuffle-window",
    str(WINDOW),
    "--image-every",
    "0",
    "--no-figures",
    "--quiet",
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("steps", nargs="*", metavar="STEP", help=f"some of {', '.join(STEPS)}")
    parser.add_argument("--rows", type=int, default=12_000_000)
    parser.add_argument("--features", type=int, default=100)
    parser.add_argument("--limit", type=float, default=1e9, help="bytes")
    parser.add_argument("--directory", type=Path, help="where to (default: a temporary one)")
    given = parser.parse_args()
    kept = contextlib.nullcontext(given.directory) if given.steps else tempfile.TemporaryDirectory(dir=given.directory)
    with kept as directory, limited(given.limit) as group:
        os.chdir(directory)
        for step in given.steps or STEPS:
            STEPS[step](given, group)


def make(given, group):
    """Makes X.npy and y.npy in arrays/."""
    Path("arrays").mkdir()
    random = np.random.default_rng(0)
    weights, y = random.standard_normal(given.features, np.float32), np.empty(given.rows, np.int32)
    X = np.lib.format.open_memmap("arrays/X.npy", "w+", np.float32, (given.rows, given.features))
    for first in range(0, given.rows, CHUNK):
        some = random.standard_normal((min(CHUNK, given.rows - first), given.features), np.float32)
        X[first : first + CHUNK] = some
        y[first : first + CHUNK] = some @ weights + 5 * random.standard_normal(len(some), np.float32) > 0
    X.flush()
    np.save("arrays/y.npy", y)
    print(f"{given.rows} x {given.features} float32, {X.nbytes / 1e9:.2f} GB", flush=True)


def pack(given, group):
    """Packs the arrays in large/."""
    report("packed", *command(["pack", "arrays", "large"], None))


def whole(given, group):
    """Trains a run that is never stopped."""
    report("trained at once", *command(train("whole"), group))


def killed(given, group):
    """Trains a run that is killed three times."""
    for reached in (in_epoch(0), in_evaluation, in_epoch(1)):
        process = begun([*train("killed"), "--checkpoint-seconds", "0.5"], group)
        while process.poll() is None and not reached():
            time.sleep(0.02)
        if process.poll() is not None:
            sys.exit("the run ended before it was killed")
        process.send_signal(signal.SIGKILL)
        process.wait()
        print("killed at", newest("killed"), flush=True)
    report("gone on to the end", *command(train("killed"), group))
    print("equal bits:", equal(Path("logs/whole"), Path("logs/killed")), flush=True)


def train(name):
    return ["train", "packed", "large", "--quiet", "--epochs", "2", "--run-name", name, *TRAINING]


# ---- processes with little memory ------------------------------------------------------------------------------------


@contextlib.contextmanager
def limited(limit):
    """Yields the directory of a control group inside our own whose memory is limited; None if none can be made."""
    own = [line.split(":", 2)[2] for line in Path("/proc/self/cgroup").read_text().splitlines() if ":memory:" in line]
    group = GROUPS / own[0].lstrip("/") / f"beyond-memory-{os.getpid()}" if own else None
    try:
        if group:
            group.mkdir()
            (group / "memory.limit_in_bytes").write_text(str(int(limit)))
    except OSError as error:
        print(f"no control group can be made ({error}): memory is measured, not limited")
        group = None
    try:
        yield group
    finally:
        if group:
            group.rmdir()


def begun(arguments, group, cold=True):
    """Starts a process that runs `fcclf ARGUMENTS` in a control group, which is charged for the pages that it reads."""
    if cold:
        drop_pages()
    enter = f"echo $$ > {group}/cgroup.procs; " if group else ""
    program = "import sys; from fcclf.cli import entry; sys.argv[0] = 'fcclf'; sys.orig_argv = sys.argv; entry.run()"
    words = [sys.executable, "-c", program, *arguments]
    return subprocess.Popen(["sh", "-c", f'{enter}exec "$@"', "sh", *words], stdout=subprocess.DEVNULL)


def drop_pages():
    """Drops the data files from the page cache, because pages there would be read without being charged to the
    group."""
    for path in [*Path("arrays").glob("*.npy"), *Path("large").glob("*.npy")]:
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def command(arguments, group, cold=True):
    """(seconds, peak kB of the process's own memory, peak kB with files) of a command that succeeds."""
    started, process = time.perf_counter(), begun(arguments, group, cold)
    own = most = 0
    while process.poll() is None:
        status = fields(process.pid)
        own, most = max(own, status.get("RssAnon", 0)), max(most, status.get("VmHWM", 0))
        time.sleep(0.1)
    if process.returncode:
        sys.exit(f"fcclf {' '.join(arguments)} ended with {process.returncode}")
    return time.perf_counter() - started, own, most


def fields(pid):
    """The numbers, in kB, in /proc/PID/status."""
    with contextlib.suppress(OSError):
        lines = (line.split() for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        return {words[0][:-1]: int(words[1]) for words in lines if words[-1:] == ["kB"]}
    return {}


def report(what, seconds, own, most):
    held = f"own memory {own / 1e6:.2f} GB, with mapped files {most / 1e6:.2f} GB"
    print(f"{what:<20}{seconds:8.1f} s   {held}", flush=True)


def in_epoch(number):
    """A function that tells whether the run to be killed has a checkpoint in the middle of epoch `number`."""
    return lambda: re.fullmatch(rf"epoch-{number:06d}-batch-(?!{last_batch():06d})\d+", newest("killed"))


def in_evaluation():
    """Whether the run has a checkpoint after the last batch of the first epoch, which is not finished."""
    return newest("killed") == f"epoch-000000-batch-{last_batch():06d}"


def last_batch():
    """Number of batches in an epoch."""
    return -(-len(np.load("large/train.y.npy", mmap_mode="r")) // BATCH)


def newest(run):
    """The name of the newest checkpoint of a run; "" if there is none."""
    return max((path.name for path in Path("logs", run, "checkpoints").glob("epoch-*")), default="")


def equal(one, other):
    """{what: whether it is equal in two runs}."""
    import tensorflow as tf

    def variables(path):
        reader = tf.train.load_checkpoint(tf.train.latest_checkpoint(str(path / "checkpoints")))
        return {name: reader.get_tensor(name).tobytes() for name in reader.get_variable_to_shape_map()}

    def history(path):
        return [line.rpartition(",")[0] for line in (path / "history.csv").read_text().splitlines()]

    return {"variables": variables(one) == variables(other), "history": history(one) == history(other)}


# ---- rows a second ---------------------------------------------------------------------------------------------------


def speed(given, group):
    """Prints rows a second of the training part, over an epoch and the evaluation after it; and of the disk, reading a
    file from end to end."""
    drop_pages()
    print(f"the disk: {read('large/train.X.npy') / 4 / given.features / 1e6:.2f} M rows/s")
    print(f"streamed, limited: {rows_a_second('whole'):.2f} M rows/s")
    report("not limited", *command([*train("on"), "--stream", "on"], None))
    print(f"streamed: {rows_a_second('on'):.2f} M rows/s", flush=True)


def memory(given, group):
    """Prints the same with all files in the page cache, and the loop given all samples at once."""
    for path in Path("large").glob("*.X.npy"):
        read(path)
    report("in memory", *command([*train("off"), "--stream", "off"], None, cold=False))
    print(f"in memory: {rows_a_second('off'):.2f} M rows/s")
    print("equal bits:", equal(Path("logs/whole"), Path("logs/off")))


def read(path):
    """Bytes a second of reading a file from end to end."""
    started, size = time.perf_counter(), 0
    with open(path, "rb", buffering=0) as file:
        while block := file.read(1 << 24):
            size += len(block)
    return size / (time.perf_counter() - started)


def rows_a_second(run):
    """Millions of rows a second in the fastest epoch of a run."""
    lines = Path("logs", run, "history.csv").read_text().splitlines()[1:]
    seconds = min(float(line.rpartition(",")[2]) for line in lines)
    return len(np.load("large/train.y.npy", mmap_mode="r")) / seconds / 1e6


STEPS = {"make": make, "pack": pack, "whole": whole, "killed": killed, "speed": speed, "memory": memory}

if __name__ == "__main__":
    main()
