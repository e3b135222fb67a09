"""
A table with text columns
=========================

A network is trained on a CSV file with numbers, texts and empty cells as it is, and then predicts for a DataFrame.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from fcclf import Config, Model, Session, Table, Training, open_run, train

generator = np.random.default_rng(0)
fruits = pd.DataFrame(
    {
        "colour": generator.choice(["green", "yellow", "red"], 600),
        "weight": generator.normal(150, 40, 600).round(),
        "origin": generator.choice(["north", "south"], 600),
    }
)
sweet = (fruits.colour == "red") + (fruits.origin == "south") - (fruits.weight - 150) / 80
fruits["taste"] = np.select([sweet > 1.2, sweet > 0.4], ["sweet", "mild"], "sour")
fruits.loc[generator.choice(600, 40, replace=False), "weight"] = np.nan  # some were never weighed

temporary = tempfile.TemporaryDirectory()  # gone when the program ends
folder = Path(temporary.name)
fruits.to_csv(folder / "fruits.csv", index=False)
print((folder / "fruits.csv").read_text()[:120])

# %%
# Texts become one-hot vectors inside the graph, and the mean weight replaces a missing one. Numbers are scaled to mean
# 0 and standard deviation 1.

config = Config(
    data=Table(str(folder / "fruits.csv"), label="taste"),
    model=Model(hidden=(16,)),
    training=Training(epochs=200),
    session=Session(image_every=0),
)
train(config, folder / "run")

# %%
# The run knows its columns by name: their order does not matter, and an unknown text counts as none of the known ones.

questions = pd.DataFrame(
    {
        "weight": [100, 230, np.nan, 150],
        "origin": ["south", "north", "south", "north"],
        "colour": ["red", "green", "red", "purple"],
    }
)
with open_run(folder / "run") as run:
    print(questions.assign(taste=run.labels(questions)))
    weights = np.linspace(60, 240, 100)
    asked = pd.DataFrame({"colour": "red", "weight": weights, "origin": "south"})
    shares, tastes = run.probabilities(asked), run.schema.classes

figure, axis = plt.subplots(figsize=(7, 3.5), layout="constrained")
axis.stackplot(weights, shares.T, labels=tastes, alpha=0.8)
axis.set(xlabel="weight", ylabel="probability", title="red ones from the south", xlim=(60, 240), ylim=(0, 1))
axis.legend(loc="lower left")
