"""The weights of classes as command-line words: "balanced", or LABEL=WEIGHT for some of the classes."""

import math

from fcclf.errors import ConfigError
from fcclf.settings.fields import brief, plain

BALANCED = "balanced"


def as_words(given):
    """The words for a class_weight of scikit-learn: None, "balanced" or {label: weight}. Others are left unchanged."""
    if isinstance(given, dict):
        return tuple(f"{label}={plain(weight)}" for label, weight in given.items())
    return {None: (), BALANCED: (BALANCED,)}.get(given, given) if isinstance(given, str | None) else given


def parsed(words: tuple[str, ...]) -> str | dict[str, float] | None:
    """The class_weight that words stand for: None, "balanced" or {label: weight}. Raises ConfigError for others."""
    if words in ((), (BALANCED,)):
        return words[0] if words else None
    weights = {}
    for word in words:
        label, sign, weight = word.rpartition("=")
        if not (sign and label and _is_weight(weight)) or label in weights:
            raise ConfigError(
                "class_weight",
                f"has {brief(word)}, but must be {BALANCED}, or LABEL=WEIGHT once for each of some classes, with a "
                "weight of at least 0.",
            )
        weights[label] = float(weight)
    return weights


def _is_weight(text):
    try:
        return 0 <= float(text) < math.inf
    except ValueError:
        return False
