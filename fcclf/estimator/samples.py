"""The samples given to an estimator, checked by scikit-learn's rules, in its wording, and made arrays."""

import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.utils import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets, unique_labels
from sklearn.utils.validation import _check_sample_weight, column_or_1d, validate_data

from fcclf.data.dataset import Part


def features(estimator, X, *, reset=False) -> np.ndarray:
    """X as float32 [samples, features]. reset: note number and names of its features instead of comparing them."""
    return validate_data(estimator, X, reset=reset, dtype=np.float32, order="C")


def labelled(estimator, X, y, *, reset=False):
    """(X, float32 [samples, features]; y, [samples], the labels unchanged). reset: as for `features`."""
    X, y = validate_data(estimator, X, y, reset=reset, dtype=np.float32, order="C")
    y = column_or_1d(y, warn=True)
    check_classification_targets(y)
    return X, y


def classes_of(y) -> np.ndarray:
    """The sorted distinct labels. Raises ValueError if there are fewer than two."""
    classes = unique_labels(y)
    if len(classes) < 2:
        raise ValueError(f"The number of classes has to be greater than one; got {len(classes)} class.")
    return classes


def check_known(y, classes):
    """Raises ValueError if a label in y is not one of `classes`."""
    found = unique_labels(y)
    unknown = np.setdiff1d(found, classes)
    if len(unknown):
        raise ValueError(f"`y` has classes not in `self.classes_`. `self.classes_` has {classes}. 'y' has {found}.")


def samples(X, y, classes, sample_weight=None, class_weight=None) -> Part:
    """The samples that `labelled` returned as a `Part`, whose y are places in `classes`."""
    weights = None if sample_weight is None else _checked_weights(sample_weight, X)
    if class_weight is not None:
        of_class = compute_sample_weight(class_weight, y).astype(np.float32)
        weights = of_class if weights is None else weights * of_class
    return Part(X, np.searchsorted(classes, y).astype(np.int32), weights)


def _checked_weights(sample_weight, X):
    weights = _check_sample_weight(sample_weight, X, dtype=np.float32, ensure_non_negative=True)
    if not weights.any():
        raise ValueError("Sample weights must contain at least one non-zero number.")
    return weights


def targeted(estimator, X, y, *, reset=False):
    """(X, float32 [samples, features]; y, float32 [samples, outputs]). reset: as for `features`."""
    X, y = validate_data(estimator, X, y, reset=reset, dtype=np.float32, order="C", multi_output=True, y_numeric=True)
    if y.ndim == 2 and y.shape[1] == 1:
        y = column_or_1d(y, warn=True)
    return X, np.ascontiguousarray(y.reshape(len(y), -1), dtype=np.float32)


def measured(X, y, sample_weight=None) -> Part:
    """The samples that `targeted` returned as a `Part`."""
    return Part(X, y, None if sample_weight is None else _checked_weights(sample_weight, X))


def parts(estimator, given: Part, seed: int, X_val, y_val, sample_weight_val) -> dict[str, Part]:
    """{name: part} of a fit: the training part and, with early stopping, the validation part, which has weights."""
    own = [each is not None for each in (X_val, y_val, sample_weight_val)]
    if not estimator.early_stopping:
        if any(own):
            raise ValueError("X_val and y_val are for early stopping: set early_stopping=True.")
        return {"train": given}
    if any(own) and not all(own[:2]):
        raise ValueError("Validation data need both, X_val and y_val.")
    if not any(own):
        train, validation = _held_out(given, estimator._strata(given.y), estimator.validation_fraction, seed)
        return {"train": train, "validation": _with_weights(validation)}
    validation = estimator._checked(X_val, y_val, sample_weight_val)
    return {"train": given, "validation": _with_weights(validation)}


def _held_out(given, strata, fraction, seed):
    """A training and a validation part, with the same share of each of the strata unless they are None. Raises
    ValueError if one is too small."""
    train, validation = train_test_split(
        np.arange(len(given.y)), test_size=fraction, random_state=seed, stratify=strata
    )
    if len(validation) < 2:
        raise ValueError("The validation set is too small. Increase 'validation_fraction' or the size of your dataset.")
    return tuple(Part(*(None if each is None else each[rows] for each in given)) for rows in (train, validation))


def _with_weights(given):
    """The part with weights of 1 if it has none."""
    return given if given.weights is not None else given._replace(weights=np.ones(len(given.y), np.float32))
