"""Repeats the tutorial's study of noise and regularization on the two moons, beside classifiers of scikit-learn.

    python scripts/reproduce_article.py                     three seeds, 5000 epochs, docs/reproduce_article.png

The network is the tutorial's: ELU layers of 6 and 4 units, Adam at 0.001, batches of 64. Its L2 penalty was never
added to the loss, so there it trained without; here it counts, at 0.001 and at the tutorial's 0.01. All classifiers
learn from the same 1600 samples and are tested on the same 400; MLPClassifier has two layers of 6 and 4 units and its
own defaults, which stop it early. Prints test accuracy and test loss in nats, mean and standard deviation over the
seeds, and draws the decision boundaries of the first seed.
"""

import argparse
import dataclasses
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from scipy.special import softmax
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC

from fcclf.data import loading
from fcclf.errors import ConfigError, RunError
from fcclf.learning.predictor import Predictor
from fcclf.learning.program import Program, borrowed
from fcclf.learning.stretches import stretches
from fcclf.runs import overview, training
from fcclf.settings.config import Config, Model, Moons, Training
from fcclf.views import plots

NOISES = (0.1, 0.2, 0.3)
FLATTENED = "network, L2 0.01"  # the one that is measured but not drawn: its boundary is nearly a straight line


def main(argv=None):
    arguments = _arguments(argv)
    datasets = {noise: loading.load(Config(data=Moons(noise=noise))) for noise in NOISES}
    scores = {}  # {model: {noise: float [seeds, 2], test accuracy and loss}}
    models = {**networks(arguments.epochs), **others(arguments.epochs)}
    figure, columns = _canvas([name for name in models if name != FLATTENED])
    for name, fit in models.items():
        print(f"training {name}", file=sys.stderr, flush=True)
        scores[name] = study(fit, datasets, arguments.seeds, columns.get(name))
    for number, measure in enumerate(("test accuracy", "test loss")):
        print(overview.table(_rows(measure, scores, number)), end="\n\n", flush=True)
    target = Path(arguments.output) / "reproduce_article.png"
    plots.save(figure, target)
    print(target)


def study(fit, datasets, n_seeds, column=None):
    """{noise: float [seeds, 2]}, accuracy and loss on the test part; column: Axes for the first seed's boundaries.

    fit: a function of (dataset, seed) that returns a function of X, the probabilities.
    """
    scores = {}
    for row, (noise, dataset) in enumerate(datasets.items()):
        scores[noise] = np.empty((n_seeds, 2))
        for seed in range(n_seeds):
            probabilities = fit(dataset, seed)
            scores[noise][seed] = _score(dataset, probabilities(dataset.X_test))
            if seed == 0 and column is not None:
                _draw(column[row], dataset, probabilities, noise, accuracy=scores[noise][0, 0])
    return scores


def _score(dataset, probabilities):
    predictions = probabilities.argmax(axis=1)
    return accuracy_score(dataset.y_test, predictions), log_loss(dataset.y_test, probabilities)


# ---- models ----------------------------------------------------------------------------------------------------------


def networks(epochs):
    """{name: fit} of the network with each penalty."""
    return {
        name: _network(Config(model=Model(l2=l2), training=Training(epochs=epochs, learning_rate=1e-3)))
        for name, l2 in (("network, no L2", 0.0), ("network, L2 0.001", 1e-3), (FLATTENED, 0.01))
    }


def _network(config):
    """Its program is compiled once and serves every seed and data set."""

    def fit(dataset, seed):
        seeded = dataclasses.replace(config, training=dataclasses.replace(config.training, seed=seed))
        with borrowed(Program, training.plan_on(seeded, dataset)) as program:
            training.begin(program, seeded, dataset)
            for _ in stretches(program, training.parts_of(dataset), config.training.epochs):
                pass
            weights = {name: values for name, values in program.values().items() if name in program.network.variables}
        return lambda X: _probabilities(program.plan, weights, X)

    return fit


def _probabilities(plan, weights, X):
    with borrowed(Predictor, plan.layers, plan.n_features, plan.threads) as predictor:
        predictor.load(weights)
        return softmax(predictor.logits(X), axis=1)


def others(epochs):
    """{name: fit} of scikit-learn's classifiers; an SVM has probabilities after Platt's scaling."""
    makers = {
        "logistic regression": lambda seed: LogisticRegression(),
        "RBF-SVM": lambda seed: CalibratedClassifierCV(SVC(), ensemble=False),
        "MLPClassifier": lambda seed: MLPClassifier((6, 4), batch_size=64, max_iter=epochs, random_state=seed),
    }
    return {name: _sklearn(make) for name, make in makers.items()}


def _sklearn(make):
    return lambda dataset, seed: make(seed).fit(dataset.X_train, dataset.y_train).predict_proba


# ---- what is printed and drawn ---------------------------------------------------------------------------------------


def _rows(measure, scores, number):
    """For `overview.table`: a row for each model. number: of `measure` in a row of the scores."""
    return [
        {measure: name} | {f"noise {noise}": _mean_and_spread(values[:, number]) for noise, values in by_noise.items()}
        for name, by_noise in scores.items()
    ]


def _mean_and_spread(values):
    return f"{values.mean():.4f} +- {values.std():.4f}"


def _canvas(names):
    """A figure with a column of Axes for each name and a row for each noise; {name: its column}."""
    figure, grid = plots.new_figure(
        "Two moons: boundary and test accuracy, first seed", size=(12, 5.8), nrows=len(NOISES), ncols=len(names)
    )
    for axes, name in zip(grid[0], names, strict=True):
        axes.set_title(name, fontsize="x-large")
    return figure, dict(zip(names, grid.T, strict=True))


def _draw(axes, dataset, probabilities, noise, accuracy):
    plots.draw_boundary(axes, dataset, probabilities, resolution=150)
    axes.set(xticks=[], yticks=[])
    axes.set_xlabel(f"{accuracy:.4f}", fontsize="x-large")
    axes.set_ylabel(f"noise {noise}" if axes.get_subplotspec().is_first_col() else "", fontsize="x-large")


def _arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seeds", type=int, default=3, help="runs of each model (default: 3)")
    parser.add_argument("--epochs", type=int, default=5000, help="of the networks (default: 5000)")
    parser.add_argument("--output", default="docs", metavar="DIR", help="where the figure goes (default: docs)")
    arguments = parser.parse_args(argv)
    if arguments.seeds < 1:
        parser.error(f"--seeds is {arguments.seeds}, but must be at least 1.")
    return arguments


if __name__ == "__main__":
    try:
        main()
    except (ConfigError, RunError) as error:
        sys.exit(f"reproduce_article: error: {error}")
