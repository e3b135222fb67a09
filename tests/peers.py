"""scikit-learn's perceptrons beside ours: begun with the same weights, they must learn the same."""

import numpy as np
from sklearn.base import clone


def scikit_learns(peer, mine, X, y, *sample_weight):
    """A fitted `peer`, MLPClassifier or MLPRegressor, with the settings and the initial weights of `mine`."""
    settings = {name: value for name, value in mine.get_params().items() if name in peer().get_params()}
    begun = clone(mine).set_params(learning_rate_init=1e-30, max_iter=1).fit(X, y)
    theirs = peer(**settings).set_params(max_iter=1, warm_start=True).fit(X, y)
    theirs.coefs_ = [each.astype(float) for each in begun.coefs_]
    theirs.intercepts_ = [each.astype(float) for each in begun.intercepts_]
    theirs.loss_curve_, theirs.best_loss_, theirs.t_, theirs._no_improvement_count = [], np.inf, 0, 0
    return theirs.set_params(max_iter=mine.max_iter).fit(X, y, *sample_weight)


def settled(peer, mine, X, y, *sample_weight):
    """The same for the solver lbfgs, which has no learning rate: begun with the initial weights of `mine`, fitted."""
    settings = {name: value for name, value in mine.get_params().items() if name in peer().get_params()}
    begun = clone(mine).set_params(solver="sgd", learning_rate_init=1e-30, max_iter=1).fit(X, y)
    theirs = peer(**settings).set_params(max_iter=1, warm_start=True).fit(X, y)
    theirs.coefs_, theirs.intercepts_ = begun.coefs_, begun.intercepts_
    return theirs.set_params(max_iter=mine.max_iter).fit(X, y, *sample_weight)
