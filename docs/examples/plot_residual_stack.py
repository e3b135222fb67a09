"""
Deep networks, with and without shortcuts
=========================================

Some thirty ReLU layers in a plain stack learn nothing. Grouped into residual blocks, each of which adds its output to
its input, they learn.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from fcclf import Config, Session, Spirals, Stack, Training, open_run, train
from fcclf.settings.blocks import Dense, Residual

hidden, output = Dense(8, "relu"), Dense(None)
block = Residual((hidden, hidden, hidden, Dense(8, initializer="truncated_normal")))
stacks = {
    "plain": (hidden, *(32 * (hidden,)), output),
    "residual": (hidden, *(8 * (block,)), output),
}
temporary = tempfile.TemporaryDirectory()  # gone when the program ends
logs = Path(temporary.name)
# Compilation would take longer than it saves in so few epochs.
session = Session(image_every=0, histogram_every=0, checkpoint_every=0, jit="off")
for name, layers in stacks.items():
    config = Config(Spirals(classes=3, samples=1000), Stack(layers=layers), Training(epochs=12), session)
    train(config, logs / name)

# %%
# A run keeps its curves as a CSV file.

figure, axis = plt.subplots(figsize=(8, 4), layout="constrained")
for name in stacks:
    history = pd.read_csv(logs / name / "history.csv")
    axis.plot(history.epoch, history.test_accuracy, label=f"{name}: {history.test_accuracy.iloc[-1]:.4f}")
axis.set(xlabel="epoch", ylabel="accuracy of the test part", ylim=(0, 1.02))
axis.legend(loc="lower right")

# %%
# The names of blocks inside a residual block begin with its name.

with open_run(logs / "residual") as run:
    print(*sorted(run.weights())[:6], "...", sep="\n")
