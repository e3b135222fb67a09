"""Packed data, which need not fit into memory. The files on disk:

    train.X.npy  test.X.npy                float32 [samples, features], in the order that a table's parts have
    train.y.npy  test.y.npy                int32 [samples], class numbers; or float64 [samples], unscaled numbers
    train.weights.npy  test.weights.npy    float32 [samples], if the samples have weights
    pack.json                              written last: what the arrays are, their sizes and sha256
    digests.json                           known fingerprints, and the times at which the files were modified

X are views of memory maps, y and weights are in memory. If digests.json does not have the files' times, all of them are
compared with their sha256, once. Nothing is ever unpickled or executed.
"""

import contextlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fcclf.data.dataset import Dataset, Part, aligned_copy, fingerprint
from fcclf.data.schema import Schema
from fcclf.errors import RunError
from fcclf.settings.sources import TASKS
from fcclf.system import durable

FORMAT = 1
DOCUMENT, DIGESTS = "pack.json", "digests.json"
MOST_DIGESTS = 100  # in digests.json


class Pack(NamedTuple):
    """The contents of pack.json. n_classes: number of classes, 1 for numbers. categories, missing: as in `DataShape`.
    files: {name: [length, sha256]}. settings: {name: value} it was made with."""

    task: str
    n_classes: int
    schema: Schema
    categories: tuple[int, ...]
    missing: bool
    files: dict[str, list]
    settings: dict

    def to_dict(self) -> dict:
        """The contents of pack.json, for JSON."""
        return {"format": FORMAT, **self._asdict(), "schema": self.schema.to_dict()}


def file_name(part: str, array: str) -> str:
    """The name of the file of an array, a field of `Part`, of the train or test part."""
    return f"{part}.{array}.npy"


def read(directory: Path) -> Pack:
    """The `Pack` of a directory. Raises RunError if its pack.json is missing or damaged."""
    file = directory / DOCUMENT
    try:
        return durable.read_sealed(file, _parsed)
    except FileNotFoundError:
        raise RunError(f"{directory} is no packed data: it has no {DOCUMENT}: make it with fcclf pack.") from None
    except (ValueError, OSError) as error:
        raise RunError(f"{file} cannot be read ({error}): pack the data again.") from None


def _parsed(document):
    if document.pop("format") != FORMAT:
        raise ValueError(f"it has another format than {FORMAT}, which this fcclf reads")
    pack = Pack(**document)._replace(
        schema=Schema.from_dict(document["schema"]), categories=tuple(document["categories"])
    )
    if pack.task not in TASKS or not all(file_name(part, "X") in pack.files for part in ("train", "test")):
        raise ValueError("it is no such document")
    return pack


def parts(directory: Path, pack: Pack) -> tuple[Part, Part]:
    """The train and the test part. Raises RunError if a file is missing, or not as long as it was packed."""
    found = [
        Part(*(_array(directory, pack, file_name(part, array), array) for array in Part._fields))
        for part in ("train", "test")
    ]
    for part in found:
        if part.X.ndim != 2 or len(part.y) != len(part.X) or part.X.dtype != np.float32:
            raise RunError(f"{directory} has arrays that do not belong together: pack the data again.")
    return tuple(found)


def _array(directory, pack, name, array):
    """X as a view of its file, the others in memory; None for weights that are not there."""
    if name not in pack.files:
        return None
    path = directory / name
    with durable.explained("read", path, *durable.MALFORMED):
        durable.check_file(path)
        if path.stat().st_size != pack.files[name][0]:
            raise RunError(f"{path} is not as long as it was packed: pack the data again.")
        found = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
        return found if array == "X" else aligned_copy(found)


# ---- fingerprints ----------------------------------------------------------------------------------------------------


def digest(directory: Path, pack: Pack, dataset: Dataset) -> str:
    """The fingerprint of a data set that was loaded from a pack, as in `Dataset.facts`. It is computed only if
    digests.json does not have it. Raises RunError if a file is not as it was packed."""
    times = {name: (directory / name).stat().st_mtime_ns for name in pack.files}
    known, key = _known(directory, times), _key(dataset)
    if key in known:
        return known[key]
    if not known:  # a file may have been changed since it was packed
        for name, measured in pack.files.items():
            if durable.measure(directory / name) != measured:
                raise RunError(f"{directory / name} is damaged: pack the data again.")
    known[key] = fingerprint(dataset.arrays)
    kept = dict([*known.items()][-MOST_DIGESTS:])
    with contextlib.suppress(RunError):  # the directory may be read-only
        durable.replace_file(directory / DIGESTS, durable.seal({"times": times, "digests": kept}))
    return known[key]


def _known(directory, times):
    """{key: fingerprint} from digests.json, if the files have the times noted there; else {}."""
    try:
        return durable.read_sealed(
            directory / DIGESTS, lambda document: dict(document["digests"]) if document["times"] == times else {}
        )
    except (ValueError, OSError):
        return {}


def _key(dataset):
    """A key for what the fingerprint depends on besides X: labels and weights, hence also the sizes of the parts."""
    small = [array for part in (dataset.train, dataset.validation, dataset.test) for array in part.arrays[1:]]
    return fingerprint(small)
