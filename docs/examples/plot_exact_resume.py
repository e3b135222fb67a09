"""
Exact resume, shown bit by bit
==============================

A run dies between two checkpoints, and the same call resumes it. At the end it has exactly the weights of a run that
was never interrupted, bit for bit.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from fcclf import Config, Moons, Session, Training, open_run, train

temporary = tempfile.TemporaryDirectory()  # gone when the program ends
logs = Path(temporary.name)
config = Config(Moons(noise=0.3), training=Training(epochs=200), session=Session(checkpoint_every=50, image_every=0))
train(config, logs / "untouched")

# %%
# The other run dies after epoch 120 or a little later. What it has done since its last checkpoint is lost.


def die(epoch, metrics):
    if epoch >= 120:
        raise SystemExit


try:
    train(config, logs / "killed", progress=die, longest_stretch=200)
except SystemExit:
    print("checkpoints that are left:", *sorted(path.name for path in (logs / "killed/checkpoints").glob("epoch-*")))

train(config, logs / "killed", say=print)

# %%
# The bits of the output layer's kernel, one row for each of its float32 numbers. The third picture has a dot wherever
# the two runs differ.


def kernel(run_path):
    with open_run(run_path) as run:
        return run.weights()["output/kernel"]


def bits(values):
    return np.unpackbits(values.astype(">f4").view(np.uint8).reshape(values.size, 4), axis=1)


untouched, killed = bits(kernel(logs / "untouched")), bits(kernel(logs / "killed"))
figure, axes = plt.subplots(1, 3, figsize=(9, 2.6), sharey=True, layout="constrained")
titles = ("never interrupted", "killed and resumed", "difference")
for axis, title, image in zip(axes, titles, (untouched, killed, untouched ^ killed), strict=True):
    axis.imshow(image, cmap="Greys", vmin=0, vmax=1, aspect="auto")
    axis.set(title=title, xlabel="bit")
axes[0].set_ylabel("weight")
print("bits that differ:", (untouched ^ killed).sum())

# %%
# This cannot be taken for granted. Here a run takes over the weights after 100 epochs, but not Adam's slots or the
# place in the order of the samples, as programs do that save only the weights. Another 100 epochs give other weights.

weights = logs / "killed/checkpoints/epoch-000100/model.ckpt"
restarted = Training(epochs=100, warm_start=str(weights))
train(Config(config.data, training=restarted, session=config.session), logs / "weights-alone")
difference = bits(kernel(logs / "weights-alone")) ^ untouched
print(f"bits that differ: {difference.sum()} of {difference.size}")
