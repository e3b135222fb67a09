"""
A grid search with FCClassifier and with MLPClassifier
======================================================

Both have the same parameters, so the same search works with either. Learning rates and penalties are fed to one
compiled program: the search compiles once for each size of fold.
"""

import warnings

import matplotlib.pyplot as plt
from sklearn.datasets import make_moons
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier

from fcclf import FCClassifier

warnings.simplefilter("ignore", ConvergenceWarning)  # 100 epochs are few

X, y = make_moons(600, noise=0.3, random_state=0)
grid = {"learning_rate_init": [0.001, 0.01, 0.1], "alpha": [0.0001, 1, 10]}


def searched(kind):
    return GridSearchCV(kind((16, 8), max_iter=100, random_state=0), grid, cv=3).fit(X, y)


searches = {kind.__name__: searched(kind) for kind in (MLPClassifier, FCClassifier)}
for name, search in searches.items():
    print(f"{name:13}  best {search.best_score_:.4f} with {search.best_params_}")

# %%
# The mean accuracy over the three folds. The two start from different random weights, so they agree only approximately.

figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
for axis, (name, search) in zip(axes, searches.items(), strict=True):
    scores = search.cv_results_["mean_test_score"].reshape(3, 3)  # alpha, learning rate
    axis.imshow(scores, vmin=0.8, vmax=0.92)
    for row, column in ((row, column) for row in range(3) for column in range(3)):
        score = scores[row, column]
        axis.text(column, row, f"{score:.3f}", ha="center", va="center", color="black" if score > 0.86 else "white")
    axis.set(title=name, xlabel="learning_rate_init", xticks=range(3), xticklabels=grid["learning_rate_init"])
axes[0].set(ylabel="alpha", yticks=range(3), yticklabels=grid["alpha"])
