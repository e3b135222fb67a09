"""FCClassifier and FCRegressor: scikit-learn estimators on the same training core as the command line.

base          what they share: fit, attributes, runs
classifier    FCClassifier: labels, probabilities
regressor     FCRegressor: numbers
samples       the samples given to them, checked
parameters    the rules of their parameters, and the plan that follows from them
fitting       the session loop of a fit
scoring       early stopping by any scorer
lbfgs         a fit with the solver lbfgs
fit_run       a fit as a run directory
exporting     a fit as files for other programs
callbacks     support for scikit-learn's callbacks
"""

from fcclf.estimator.classifier import FCClassifier
from fcclf.estimator.regressor import FCRegressor

__all__ = ["FCClassifier", "FCRegressor"]
