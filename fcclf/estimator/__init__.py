"""FCClassifier, the scikit-learn face of the one training core.

classifier    the class: parameters, fit, attributes, predictions
samples       what is given to it, checked
parameters    the rules of its parameters, and the plan that follows from them
fitting       the session loop of a fit
fit_run       a fit as a run directory
callbacks     those of scikit-learn
"""

from fcclf.estimator.classifier import FCClassifier

__all__ = ["FCClassifier"]
