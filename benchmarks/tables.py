"""Tables at the defaults of `fcclf train table`, beside scikit-learn's MLPClassifier behind a scaler.

    python benchmarks/tables.py [NAME...]

The data are real and come with scikit-learn: its own sets, and tables of openml.org that its tests hold whole. Each is
written as a CSV file and trained on as a user would, by the command in a separate process; scikit-learn gets the same
split. Prints scores of the test part, seconds from the start of the process to its end, and what the command says.
"""

import gzip
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import pandas as pd
import sklearn.datasets
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.externals import _arff
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

OPENML = Path(sklearn.datasets.__file__).parent / "tests/data/openml"
OWN = {  # name: loader, label
    "iris": ("load_iris", "target"),
    "wine": ("load_wine", "target"),
    "breast_cancer": ("load_breast_cancer", "target"),
    "digits": ("load_digits", "target"),
    "diabetes": ("load_diabetes", "target"),
}
OF_OPENML = {  # name: number, label
    "titanic": (40945, "survived"),
    "chess": (3, "class"),
    "penguins": (42585, "species"),
    "zoo": (62, "type"),
    "glass": (40675, "class"),
    "cpu": (561, "class"),
}
MOST_TEXTS = 0.5  # most different texts of a column, as a share of the rows; others are left out for scikit-learn


def main():
    warnings.simplefilter("ignore")
    print(f"{'':<14}{'rows':>6}{'columns':>9}{'fcclf':>9}{'sklearn':>9}{'seconds':>9}")
    for name in sys.argv[1:] or [*OWN, *OF_OPENML]:
        frame, label = table(name)
        with tempfile.TemporaryDirectory() as directory:
            score, seconds, said = trained(frame, label, Path(directory))
        rows, columns = len(frame), frame.shape[1] - 1
        print(f"{name:<14}{rows:>6}{columns:>9}{score:>9.4f}{peer(frame, label):>9.4f}{seconds:>9.1f}", flush=True)
        print(*(f"    {line}" for line in said), sep="\n", flush=True)


def table(name) -> tuple[pd.DataFrame, str]:
    """A data set and the name of its label."""
    if name in OWN:
        loader, label = OWN[name]
        return getattr(sklearn.datasets, loader)(as_frame=True).frame, label
    number, label = OF_OPENML[name]
    (file,) = (OPENML / f"id_{number}").glob("data-*.arff.gz")
    document = _arff.loads(gzip.decompress(file.read_bytes()).decode())
    return pd.DataFrame(document["data"], columns=[attribute for attribute, _ in document["attributes"]]), label


def trained(frame, label, directory):
    """(score, seconds, the lines it printed) of the command on a CSV file of the frame."""
    frame.to_csv(directory / "table.csv", index=False)
    command = [sys.executable, "-m", "fcclf", "train", "table", "table.csv", "--label", label]
    started = time.perf_counter()
    finished = subprocess.run(command, cwd=directory, capture_output=True, text=True)
    seconds = time.perf_counter() - started
    said = [line for line in finished.stderr.splitlines() if "fcclf: epoch" not in line]
    words = finished.stdout.replace(",", " ").split()
    score = next((words[place + 1] for place, word in enumerate(words) if word in ("accuracy", "R2")), "nan")
    return float(score), seconds, said


def peer(frame, label):
    """The score of MLPClassifier or MLPRegressor on the same split."""
    y = frame[label]
    numbers = y.dtype.kind in "fi" and y.nunique() > 20
    X = frame.drop(columns=label).dropna(axis=1, how="all")
    hardly = [column for column in X if X[column].dtype.kind not in "fib" and X[column].nunique() > MOST_TEXTS * len(X)]
    X_train, X_test, y_train, y_test = train_test_split(
        X.drop(columns=hardly), y, test_size=int(len(y) * 0.2), stratify=None if numbers else y, random_state=42
    )
    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), make_column_selector(dtype_include="number")),
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")),
    )
    network = (MLPRegressor if numbers else MLPClassifier)(random_state=0)
    return make_pipeline(columns, network).fit(X_train, y_train).score(X_test, y_test)


if __name__ == "__main__":
    main()
