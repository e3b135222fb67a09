"""FCClassifier, the scikit-learn face: the network, the compiled loop and the run directory under its rules.

classifier    the class: parameters, fit, attributes, predictions
samples       what is given to it, checked
parameters    the rules of its parameters, and what follows from them
program       graphs in sessions, kept by the shape of a fit
fit_loop      the compiled loop of a fit
fitting       the session loop of a fit
fit_run       a fit as a run directory
callbacks     those of scikit-learn
"""

from fcclf.estimator.classifier import FCClassifier

__all__ = ["FCClassifier"]
