"""FCClassifier and FCRegressor, the scikit-learn faces of the one training core.

base          what they share: fit, attributes, runs
classifier    FCClassifier: labels, probabilities
regressor     FCRegressor: numbers
samples       what is given to them, checked
parameters    the rules of their parameters, and the plan that follows from them
fitting       the session loop of a fit
scoring       early stopping by any scorer
lbfgs         a fit with that solver
fit_run       a fit as a run directory
exporting     a fit as files for other programs
callbacks     those of scikit-learn
"""

from fcclf.estimator.classifier import FCClassifier
from fcclf.estimator.regressor import FCRegressor

__all__ = ["FCClassifier", "FCRegressor"]
