"""The samples given to an estimator, checked by scikit-learn's rules, with its messages, and converted to arrays."""

import math

import numpy as np
from scipy.sparse import issparse
from sklearn.model_selection import train_test_split
from sklearn.utils import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels
from sklearn.utils.validation import _check_sample_weight, column_or_1d, validate_data

from fcclf.data.dataset import Part
from fcclf.data.rows import Chosen, gathered, is_mapped
from fcclf.data.schema import Column, Schema
from fcclf.data.sparse import rows_of

SPARSE = ["csr", "csc"]  # the sparse formats that are taken as they are; others become the first


def schema(estimator) -> Schema:
    """The names of a fit's columns, if the samples had distinct names for them, and of its classes."""
    names = [str(name) for name in getattr(estimator, "feature_names_in_", ())]
    names = names if len(set(names)) == len(names) else []
    classes = tuple(map(str, getattr(estimator, "classes_", ())))
    return Schema(tuple(map(Column, names)), named=bool(names), classes=classes)


def features(estimator, X) -> np.ndarray:
    """X, [samples, features], checked, dense or CSR, in the dtype of the fit."""
    if _is_ready(estimator, X):
        return X
    X = validate_data(estimator, X, reset=False, dtype=estimator._dtype, order="C", accept_sparse=SPARSE)
    return X.tocsr() if issparse(X) else X


def _is_ready(estimator, X):
    """Whether scikit-learn's checks would return X as it is. They take longer than predicting a row."""
    return (
        type(X) is np.ndarray
        and X.dtype == estimator._dtype
        and X.flags.c_contiguous
        and X.size > 0
        and X.shape[1:] == (estimator.n_features_in_,)
        and not hasattr(estimator, "feature_names_in_")
        and _is_finite(X)
    )


def _is_finite(X):
    """Whether all numbers are finite; perhaps False if some are so large that their sum is not."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(X.sum()))


def _types(estimator, reset):
    """The dtypes that samples may have; others are converted to the first. reset: the fit does not continue another.
    Raises ValueError if a fit would continue in another dtype."""
    if not reset:
        if estimator.dtype not in (None, estimator._dtype):
            raise ValueError(
                f"dtype is {estimator.dtype}, but the fit that goes on is in {estimator._dtype}: set it back, "
                "or to None, or begin anew with warm_start=False."
            )
        return estimator._dtype
    return estimator.dtype or (np.float64, np.float32)


def _validated(estimator, X, y, reset, **of_y):
    """(X, y) as scikit-learn checks them. of_y: arguments of its check that concern y."""
    given = {"dtype": _types(estimator, reset), "order": "C", "accept_sparse": SPARSE, "multi_output": True}
    return validate_data(estimator, X, y, reset=reset, **given, **of_y)


def labelled(estimator, X, y, *, reset=False):
    """(X, [samples, features]; y, the labels unchanged, [samples], or int32 [samples, labels] of ones and zeros if a
    sample may have several). reset: record dtype, number and names of the features instead of comparing them."""
    X, y = _validated(estimator, X, _plain(y), reset)
    check_classification_targets(y)
    if type_of_target(y) == "multilabel-indicator":
        y = y.toarray() if issparse(y) else y
        if not np.isin(y, (0, 1)).all():
            raise ValueError("y has several columns, so it must say by 1 and 0 which labels a sample has.")
        return X, y.astype(np.int32)
    return X, column_or_1d(y, warn=True)


def _plain(y):
    """The labels; those of numpy's StringDType, which scikit-learn does not support, as fixed-width strings."""
    return np.array(y.tolist()) if getattr(getattr(y, "dtype", None), "kind", "") == "T" else y


def check_known(y, classes):
    """Raises ValueError if a label in y is not one of `classes`."""
    found = unique_labels(y)
    unknown = np.setdiff1d(found, classes)
    if len(unknown):
        raise ValueError(f"`y` has classes not in `self.classes_`. `self.classes_` has {classes}. 'y' has {found}.")


def samples(X, y, classes, sample_weight=None, class_weight=None) -> Part:
    """The samples that `labelled` returned as a `Part`, whose y are indices into `classes`."""
    weights = None if sample_weight is None else _checked_weights(sample_weight, X)
    if class_weight is not None:
        of_class = compute_sample_weight(class_weight, y).astype(X.dtype)
        weights = of_class if weights is None else weights * of_class
    return Part(X, np.searchsorted(classes, y).astype(np.int32), weights)


def _checked_weights(sample_weight, X):
    weights = _check_sample_weight(sample_weight, X, dtype=X.dtype, ensure_non_negative=True)
    if not weights.any():
        raise ValueError("Sample weights must contain at least one non-zero number.")
    return weights


def targeted(estimator, X, y, *, reset=False):
    """(X, [samples, features]; y, [samples, outputs]), of the same dtype. reset: as for `labelled`."""
    X, y = _validated(estimator, X, y, reset, y_numeric=True)
    if y.ndim == 2 and y.shape[1] == 1:
        y = column_or_1d(y, warn=True)
    return X, np.ascontiguousarray(y.reshape(len(y), -1), dtype=X.dtype)


def measured(X, y, sample_weight=None) -> Part:
    """Samples whose targets are numbers, or ones and zeros, as a `Part`."""
    return Part(X, y, None if sample_weight is None else _checked_weights(sample_weight, X))


def prepared(part: Part) -> Part:
    """The part as a program takes it: scipy's sparse X as `rows_of` converts it."""
    return part._replace(X=rows_of(part.X)) if issparse(part.X) else part


def parts(estimator, given: Part, seed: int, X_val, y_val, sample_weight_val) -> dict[str, Part]:
    """{name: part} of a fit: the training part and, with early stopping, the validation part, always with weights."""
    own = [each is not None for each in (X_val, y_val, sample_weight_val)]
    if not estimator.early_stopping:
        if any(own):
            raise ValueError("X_val and y_val are for early stopping: set early_stopping=True.")
        return {"train": given}
    if any(own) and not all(own[:2]):
        raise ValueError("Validation data need both, X_val and y_val.")
    if not any(own):
        train, validation = _held_out(estimator, given, seed)
        return {"train": train, "validation": _with_weights(validation)}
    validation = estimator._checked(X_val, y_val, sample_weight_val)
    return {"train": given, "validation": _with_weights(validation)}


def _held_out(estimator, given, seed):
    """(training part, validation part), with the same share of each of the strata. Raises ValueError if one is too
    small."""
    size, fraction = len(given.y), estimator.validation_fraction
    held_out = math.ceil(size * fraction)  # as scikit-learn counts
    strata = estimator._strata(given.y, min(held_out, size - held_out))
    train, validation = train_test_split(np.arange(size), test_size=fraction, random_state=seed, stratify=strata)
    if len(validation) < 2:
        raise ValueError("The validation set is too small. Increase 'validation_fraction' or the size of your dataset.")
    return tuple(_chosen(given, rows) for rows in (train, validation))


def _chosen(given, rows):
    """Some samples of a part, given by number. X of a memory map are not read yet."""
    part = given._replace(X=Chosen(given.X, rows) if is_mapped(given.X) else given.X[rows], y=given.y[rows])
    return part if given.weights is None else part._replace(weights=given.weights[rows])


def in_memory(part: Part) -> Part:
    """The part with X as an array in memory."""
    if isinstance(part.X, Chosen):
        part = part._replace(X=gathered(part.X, np.arange(len(part.X))))
    return part


def _with_weights(given):
    """The part, with weights of 1 if it has none."""
    return given if given.weights is not None else given._replace(weights=np.ones(len(given.y), given.X.dtype))
