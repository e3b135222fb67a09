"""fcclf beside others that train the same: C, JAX, PyTorch, Keras, scikit-learn, and the loop of the tutorials.

    python benchmarks/peers.py                    everything
    python benchmarks/peers.py moons wide         only these
    python benchmarks/peers.py --rounds 3 --keep found.json --figure docs/peers.png

Each peer is a separate process. They are asked in turn, round after round. Prints Markdown tables of medians and of the
ratio of each peer's time to that of the first in its table, round by round: median (lowest-highest). Install the others
with `pip install -e '.[bench]'`; those that are not installed are left out.
"""

import argparse
import json
from pathlib import Path

from beside import commands, figure
from beside.rounds import Entry, asked, asked_once, asked_sizes, median, ratio, short
from beside.workloads import DEVICES, LENET, MOONS, NETS, ROWS, WIDE

LOOP, FIT = Entry("compiled loop", "in_fcclf", "bare"), Entry("FCClassifier.fit", "in_fcclf", "fit")
ONE_THREAD = Entry("compiled loop, one thread", "in_fcclf", "one-thread")
TRAIN = Entry("everything on", "in_fcclf", "train")
UNSAVED = Entry("everything on, no checkpoints", "in_fcclf", "train-unsaved")
JAX, TORCH = Entry("JAX", "in_jax", "scan"), Entry("PyTorch", "in_torch", "eager")
TORCH_ONE = Entry("PyTorch, one thread", "in_torch", "one-thread")
SKLEARN, KERAS = Entry("MLPClassifier.fit", "in_sklearn", "fit"), Entry("Keras fit", "in_keras", "fit")
C = [Entry("C", "in_c", "exact"), Entry("C, -ffast-math", "in_c", "fast-math")]
CPU, GPU = LOOP._replace(title="CPU"), Entry("GPU", "in_fcclf", "gpu")
TUTORIAL = Entry("fed loop of tutorials", "in_fcclf", "tutorial")
FEW_ROUNDS = 3  # at most, for contests that take long


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("contests", nargs="*", metavar="CONTEST", help=f"of {', '.join(CONTESTS)} (default: all)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each contest (default: 5)")
    parser.add_argument("--keep", type=Path, help="add what is measured to this JSON file")
    parser.add_argument("--figure", type=Path, help="draw moons, wide, rows and nets, measured now or kept, as PNG")
    arguments = parser.parse_args()
    if unknown := set(arguments.contests) - set(CONTESTS):
        parser.error(f"there is no contest {', '.join(sorted(unknown))}; there are {', '.join(CONTESTS)}")
    found = json.loads(arguments.keep.read_text()) if arguments.keep and arguments.keep.exists() else {}
    asked_for = arguments.contests or list(CONTESTS)
    if arguments.figure and (absent := figure.DRAWN - {*found, *asked_for}):
        parser.error(f"the figure needs {', '.join(sorted(absent))} as well")
    for name in asked_for:
        found[name] = CONTESTS[name](arguments.rounds)
        if arguments.keep:
            arguments.keep.write_text(json.dumps(found, indent=1))
    if arguments.figure:
        figure.draw(arguments.figure, found)


# ---- networks --------------------------------------------------------------------------------------------------------


def moons(rounds):
    found = asked([LOOP, TRAIN, UNSAVED, FIT, *C, JAX, TORCH_ONE, KERAS, SKLEARN, TUTORIAL], MOONS, rounds)
    printed("2-6-4-2, batch 64: us a step", found, 1e6)
    saved = {each.title: found[each.title] for each in (UNSAVED, TRAIN)}
    printed("a checkpoint every 50 epochs: us a step", saved, 1e6)
    return found


def wide(rounds):
    found = asked([LOOP, ONE_THREAD, FIT, JAX, TORCH, KERAS, SKLEARN], WIDE, rounds)
    return printed("784-512-512-10, batch 128: s an epoch of 55,000", found, WIDE.n_batches, with_memory=True)


def lenet(rounds):
    return printed("LeNet, batch 128: ms a step", asked([LOOP, TORCH, TORCH_ONE, JAX, KERAS], LENET, rounds), 1e3)


def rows(rounds):
    slow = SKLEARN._replace(most_rows=10**5)
    found = asked_sizes([LOOP, FIT, JAX, slow], ROWS, min(FEW_ROUNDS, rounds))
    return printed_sizes("rows of 2-6-4-2, batch 64", found)


def nets(rounds):
    found = asked_sizes([LOOP, FIT, JAX, TORCH, SKLEARN], NETS, min(FEW_ROUNDS, rounds))
    return printed_sizes("hidden layers, 20 features, batch 128", found)


def device(rounds):
    return printed_sizes("network", asked_sizes([CPU, GPU], DEVICES, min(FEW_ROUNDS, rounds)))


# ---- the rest --------------------------------------------------------------------------------------------------------


def row(rounds):
    peers = [Entry("MLPClassifier.predict", "in_sklearn", "row"), Entry("FCClassifier.predict", "in_fcclf", "row")]
    return printed("predict of one row: us", asked(peers, MOONS, rounds), 1e6)


def grid(rounds):
    peers = [Entry("FCClassifier", "in_fcclf", "grid"), Entry("MLPClassifier", "in_sklearn", "grid")]
    found = asked_once(peers, MOONS, min(FEW_ROUNDS, rounds))
    return printed("a grid search of 100 fits, 20 epochs each: s", found, 1)


def script(rounds):
    return printed("commands: s", commands.moons(rounds), 1)


def resume(rounds):
    return printed("kill -9 to going on: s", commands.resume(rounds), 1)


def memory(_):
    """Memory of commands on many samples, above that of the same commands on few."""
    found, (few, *many) = commands.memory(), map(str, commands.SIZES)
    print(f"\n| most memory above that of {int(few):,} samples | samples | | of the data |\n|---|---|---|---|")
    for what, sizes in found.items():
        for size in many:
            more, data = sizes[size] - sizes[few], int(size) * commands.BYTES / 2**20
            print(f"| {what} | {int(size):,} | {more:,.0f} MB | {more / data:.1f} times |", flush=True)
    return found


CONTESTS = {each.__name__: each for each in (moons, wide, lenet, rows, nets, device, row, grid, script, resume, memory)}


# ---- tables ----------------------------------------------------------------------------------------------------------


def printed(title, found, scale, with_memory=False):
    """Prints a table of a contest, and returns it."""
    first = next(iter(found))
    print(f"\n| {title} | median | times the first (spread) |{' most memory |' * with_memory}")
    print(f"|---|---|---|{'---|' * with_memory}")
    for name, times in found.items():
        cells = [name, short(scale * median(times)), "" if name == first else ratio(times, found[first])]
        print(f"| {' | '.join([*cells, *([megabytes(times)] if with_memory else [])])} |", flush=True)
    return found


def printed_sizes(title, found):
    """Prints tables of contests at several sizes, with us a step and memory, and returns them."""
    names = list(next(iter(found.values())))
    head = f"| {' | '.join(names)} |\n|---|{'---|' * len(names)}"
    print(f"\n| {title}: us a step, times the first (spread) {head}")
    for size, each in found.items():
        print(f"| {size} | {' | '.join(grown(each, name, names[0]) for name in names)} |", flush=True)
    print(f"\n| {title}: most memory {head}")
    for size, each in found.items():
        print(f"| {size} | {' | '.join(megabytes(each[name]) if name in each else '' for name in names)} |", flush=True)
    return found


def grown(found, name, first):
    if name not in found:
        return ""
    taken = short(1e6 * median(found[name]))
    return taken if name == first else f"{taken}, {ratio(found[name], found[first])}"


def megabytes(times):
    return f"{times['bytes'] / 2**20:,.0f} MB"


if __name__ == "__main__":
    main()
