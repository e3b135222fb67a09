"""One figure of what `benchmarks/peers.py` measured."""

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from beside.rounds import median, short

DRAWN = {"moons", "wide", "rows", "nets"}  # contests
OURS, OTHERS = "#c1440e", "#8a9aa9"
LINES = {
    **{"compiled loop": OURS, "FCClassifier.fit": "#e8a07d"},
    **{"JAX": "#2b5c8a", "PyTorch": "#7d5ba6", "MLPClassifier.fit": OTHERS},
}
OWN = ("compiled loop", "everything on", "FCClassifier")  # how our titles begin


def draw(path, found):
    """Writes a PNG, 800 pixels wide, of the results {contest: {...}} of moons, wide, rows and nets."""
    chart, axes = plt.subplots(2, 2, figsize=(8, 7.2), layout="constrained")
    bars(axes[0, 0], found["moons"], 1e6, "2-6-4-2, batch 64", "us a step", log=True)
    bars(axes[0, 1], found["wide"], 430, "784-512-512-10, batch 128", "s an epoch", log=False)
    lines(axes[1, 0], found["rows"], "rows of the moons net")
    lines(axes[1, 1], found["nets"], "units of two hidden layers")
    chart.savefig(path, dpi=100)


def bars(axes, contest, scale, title, unit, log):
    """A bar for each peer, the fastest at the top."""
    peers = sorted(contest, key=lambda each: -median(contest[each]))
    values = [scale * median(contest[each]) for each in peers]
    drawn = axes.barh(peers, values, color=[colour(each) for each in peers])
    axes.bar_label(drawn, [short(value) for value in values], padding=3, fontsize=8)
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(unit, fontsize=9)
    axes.set_xscale("log" if log else "linear")
    axes.set_xlim(right=max(values) * (6 if log else 1.2))
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def lines(axes, contest, label):
    """A line for each peer over the sizes of a contest."""
    for title in next(iter(contest.values())):
        sizes = [size for size in contest if title in contest[size]]
        times = [1e6 * median(contest[size][title]) for size in sizes]
        axes.plot(sizes, times, marker="o", markersize=4, label=title, color=LINES[title])
    axes.set_yscale("log")
    axes.set_xlabel(label, fontsize=9)
    axes.set_ylabel("us a step", fontsize=9)
    axes.tick_params(labelsize=7)
    axes.legend(fontsize=7.5, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)


def colour(title):
    return OURS if title.startswith(OWN) else OTHERS
