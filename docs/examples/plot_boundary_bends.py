"""
Watch the boundary change
=========================

A larger number of epochs continues a finished run. Here the same run is trained up to 3, 10, 100 and 1000 epochs, and
drawn each time.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from fcclf import Config, Moons, Session, Training, load, open_run, train

temporary = tempfile.TemporaryDirectory()  # gone when the program ends
path = Path(temporary.name) / "moons"
data, session = Moons(noise=0.2), Session(image_every=0, checkpoint_every=0)
test = load(Config(data)).test
X1, X2 = np.meshgrid(np.linspace(-1.8, 2.8, 200), np.linspace(-1.4, 1.9, 150))
plane = np.stack([X1.ravel(), X2.ravel()], axis=1)

figure, axes = plt.subplots(2, 2, figsize=(9, 6.5), sharex=True, sharey=True, layout="constrained")
for axis, epochs in zip(axes.flat, (3, 10, 100, 1000), strict=True):
    train(Config(data, training=Training(epochs=epochs), session=session), path)
    with open_run(path) as run:
        probabilities = run.probabilities(plane)[:, 1].reshape(X1.shape)
        accuracy = (run.predictions(test.X) == test.y).mean()
    axis.contourf(X1, X2, probabilities, levels=np.linspace(0, 1, 11), cmap="RdBu_r", alpha=0.5)
    axis.contour(X1, X2, probabilities, levels=[0.5], colors="black")
    axis.scatter(*test.X.T, c=test.y, cmap="RdBu_r", edgecolors="white", linewidths=0.5, s=18)
    axis.set_title(f"{epochs} epochs: accuracy {accuracy:.4f}")

# %%
# ``fcclf train`` records such pictures for TensorBoard as it trains, and ``fcclf plot RUN`` makes an animation of them.
