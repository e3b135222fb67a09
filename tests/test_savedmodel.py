"""A SavedModel answers, whoever opens it, what the run answers."""

import contextlib
import functools
import sys

import models
import numpy as np
import pytest
import runs
import tensorflow as tf
from models import MODELS

from fcclf.data.schema import Column
from fcclf.serving import savedmodel
from fcclf.serving.savedmodel import CLASSIFY, COLUMNS, DEFAULT, ESCAPES, REGRESS

tf1 = tf.compat.v1


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """name -> the SavedModel of one of `MODELS`."""

    @functools.cache
    def written(name):
        path = tmp_path_factory.mktemp("saved") / "1"
        savedmodel.write(models.model(name), path)
        return path

    return written


def by_session(path, signature, inputs):
    """{output: array}, read as programs of TensorFlow 1 do."""
    with tf.Graph().as_default(), tf1.Session() as session:
        found = tf1.saved_model.load(session, ["serve"], str(path)).signature_def[signature]
        feed = {found.inputs[name].name: values for name, values in inputs.items()}
        return session.run({name: each.name for name, each in found.outputs.items()}, feed)


def by_function(path, signature, inputs):
    """The same, read as programs of TensorFlow 2 do."""
    function = tf.saved_model.load(str(path)).signatures[signature]
    return {name: each.numpy() for name, each in function(**{k: tf.constant(v) for k, v in inputs.items()}).items()}


def by_layer(path, signature, inputs):
    """The same, read as a layer of Keras."""
    import keras

    (X,) = inputs.values()
    layer = keras.layers.TFSMLayer(str(path), call_endpoint=signature, dtype=X.dtype.name)
    return {name: each.numpy() for name, each in layer(X).items()}


def by_command(path, signature, inputs):
    """The same, by saved_model_cli."""
    from tensorflow.python.tools import saved_model_cli

    np.savez(path.parent / "inputs.npz", *inputs.values())
    given = ";".join(f"{name}={path.parent}/inputs.npz[arr_{number}]" for number, name in enumerate(inputs))
    arguments = ["--dir", path, "--tag_set", "serve", "--signature_def", signature, "--inputs", given]
    sys.argv = ["saved_model_cli", "run", *map(str, arguments), "--outdir", str(path.parent / "answers"), "--overwrite"]
    with contextlib.suppress(SystemExit):
        saved_model_cli.main()
    return {file.stem: np.load(file, allow_pickle=True) for file in (path.parent / "answers").iterdir()}


def all_by(reader, paths, inputs):
    """[answers of each SavedModel], read in a process with one thread, as the models have."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    return [reader(path, DEFAULT, each) for path, each in zip(paths, inputs, strict=True)]


def assert_same(found, expected):
    """Equal bits, except in what exponential functions made."""
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert found[name].shape == values.shape
        if name == "classes":
            assert [each.decode() for each in found[name]] == list(values)
        elif name == "probabilities":
            assert found[name].dtype == values.dtype
            np.testing.assert_allclose(found[name], values, rtol=0, atol=16 * np.finfo(values.dtype).eps)
        else:
            assert found[name].dtype == values.dtype
            np.testing.assert_array_equal(found[name], values)


@pytest.mark.slow
@pytest.mark.parametrize("reader", [by_session, *map(runs.campaign, [by_function, by_layer, by_command])])
def test_whoever_opens_it_gets_the_runs_bits(saved, reader):
    names = [name for name in MODELS if name != "logarithms"]
    inputs = [{"X": models.samples(name)} for name in names]
    answers = runs.elsewhere(all_by, reader, [saved(name) for name in names], inputs)
    for name, found in zip(names, answers, strict=True):
        assert_same(found, models.outputs(name))


def test_logarithms_become_numbers_up_to_the_last_bits(saved):
    found = savedmodel.answers(saved("logarithms"), models.samples("logarithms"), threads=1)
    np.testing.assert_allclose(found["predictions"], models.outputs("logarithms")["predictions"], rtol=1e-14)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["iris", "normalised", "convolutions"])
def test_a_row_has_the_same_answer_alone_and_in_any_company(saved, name):
    X, logits = models.samples(name), models.outputs(name)["logits"]
    whole = savedmodel.answers(saved(name), X, 1)
    np.testing.assert_array_equal(whole["logits"], logits)
    for rows in ([7], [3, 3, 3], np.random.default_rng(0).permutation(len(X)), np.arange(481)):
        found = savedmodel.answers(saved(name), X[rows], 1)
        for output, values in whole.items():
            np.testing.assert_array_equal(found[output], values[rows])
    assert by_session(saved(name), DEFAULT, {"X": X[:0]})["logits"].shape == (0, logits.shape[1])


# ---- other signatures ------------------------------------------------------------------------------------------------


def columns(name):
    """{column: values} of the samples of one of `MODELS`, texts where it has categories."""
    model, X = models.model(name), models.samples(name)
    found = {}
    for number, column in enumerate(model.schema.columns):
        texts = np.array([*column.categories, "unheard of"], object)
        found[column.name] = texts[X[:, number].astype(int)] if column.categories else X[:, number]
    return found


def examples(name):
    """The samples of one of `MODELS` as serialized tf.Examples."""
    if not models.model(name).schema.columns:
        return [example({"X": row}) for row in models.samples(name)]
    given = columns(name)
    return [example({name: [values[row]] for name, values in given.items()}) for row in range(1000)]


def example(features):
    made = tf.train.Features()
    for name, values in features.items():
        if isinstance(values[0], str):
            made.feature[name].bytes_list.value.extend(each.encode() for each in values)
        else:
            made.feature[name].float_list.value.extend(values)
    return tf.train.Example(features=made).SerializeToString()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["iris", "categories", "float64", "multilabel", "regression"])
@pytest.mark.parametrize("reader", [by_session, by_function])
def test_columns_are_given_by_their_names(saved, name, reader):
    found, expected = (
        reader(saved(name), COLUMNS, columns(name)),
        reader(saved(name), DEFAULT, {"X": models.samples(name)}),
    )
    assert found.keys() == expected.keys()
    for output, values in expected.items():
        np.testing.assert_array_equal(found[output], values)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["iris", "sigmoid", "one class", "categories", "convolutions"])
def test_examples_are_classified(saved, name):
    found = by_function(saved(name), CLASSIFY, {"inputs": examples(name)})
    labels = models.model(name).schema.classes
    assert found["classes"].shape == (1000, len(labels))
    assert {tuple(each.decode() for each in row) for row in found["classes"]} == {labels}
    expected = by_function(saved(name), DEFAULT, {"X": models.samples(name)})["probabilities"]
    np.testing.assert_array_equal(found["scores"], expected)


@pytest.mark.parametrize("name", ["regression", "logarithms"])
def test_examples_are_answered_by_numbers(saved, name):
    found = by_function(saved(name), REGRESS, {"inputs": examples(name)})["outputs"]
    np.testing.assert_array_equal(found, models.outputs(name)["predictions"].astype(np.float32))


def signatures(path):
    return set(tf.saved_model.load(str(path)).signatures)


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("iris", {DEFAULT, COLUMNS, CLASSIFY}),
        ("sigmoid", {DEFAULT, CLASSIFY}),
        ("multilabel", {DEFAULT, COLUMNS}),
        ("regression", {DEFAULT, COLUMNS, REGRESS}),
        ("outputs", {DEFAULT}),
    ],
)
def test_signatures_are_those_that_make_sense(saved, name, names):
    assert signatures(saved(name)) == names


@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "nameless"),
    [
        (["a b", "größe", "1", "X"], []),
        (["a b", "a_b", "c", "d"], ["a b", "a_b"]),
        (["class", "", "m²", "classes"], ["class", "", "m²"]),
    ],
)
def test_names_that_no_input_can_have_leave_the_signature_out_and_the_rest_open(tmp_path, names, nameless):
    model = models.model("iris")
    schema = model.schema._replace(columns=tuple(map(Column, names)))
    assert savedmodel.nameless(schema) == nameless
    savedmodel.write(model._replace(schema=schema), tmp_path / "1")
    assert signatures(tmp_path / "1") == {DEFAULT, CLASSIFY} | (set() if nameless else {COLUMNS})
    rows = [example({name: [value] for name, value in zip(names, row, strict=True)}) for row in models.samples("iris")]
    found = by_function(tmp_path / "1", CLASSIFY, {"inputs": rows})["scores"]
    np.testing.assert_allclose(found, models.outputs("iris")["probabilities"], rtol=0, atol=2e-6)


@pytest.mark.slow
def test_two_versions_with_other_categories_are_open_side_by_side(saved, tmp_path):
    model = models.model("categories")
    weight, colour, width = model.schema.columns
    other = model.schema._replace(columns=(weight, colour._replace(categories=colour.categories[::-1]), width))
    savedmodel.write(model._replace(schema=other), tmp_path / "2")
    first, second = (
        tf.saved_model.load(str(path)).signatures[COLUMNS] for path in (saved("categories"), tmp_path / "2")
    )
    given = {name: tf.constant(values) for name, values in columns("categories").items()}
    expected = models.outputs("categories")["logits"]
    np.testing.assert_array_equal(first(**given)["logits"], expected)
    assert not np.array_equal(second(**given)["logits"], expected)


# ---- what is in it ---------------------------------------------------------------------------------------------------


def test_labels_of_any_text_are_answered_and_listed(saved):
    answered = savedmodel.answers(saved("odd labels"), models.samples("odd labels"), 1)
    np.testing.assert_array_equal(answered["classes"], np.array(models.ODD)[answered["class_ids"]])
    every = by_function(saved("odd labels"), CLASSIFY, {"inputs": examples("odd labels")[:1]})["classes"]
    assert tuple(each.decode() for each in every[0]) == models.ODD
    lines = (saved("odd labels") / "assets/classes.txt").read_bytes().decode().split("\n")
    assert lines == [*(label.translate(ESCAPES) for label in models.ODD), ""]
    assert lines[3:5] == [r"two\nlines", r"\\n"]


@pytest.mark.slow
def test_it_has_the_networks_variables_and_no_others(saved):
    for name in ("normalised", "residual"):
        stored = tf.train.load_checkpoint(str(saved(name) / "variables/variables"))
        assert set(stored.get_variable_to_shape_map()) == set(models.model(name).values)
        for variable, values in models.model(name).values.items():
            np.testing.assert_array_equal(stored.get_tensor(variable), values.astype(np.float32))


def test_it_does_not_tell_where_it_was_written(saved):
    for file in saved("iris").rglob("*"):
        assert file.is_dir() or str(saved("iris").parent).encode() not in file.read_bytes()


def test_its_assets_are_known_to_tensorflow(saved):
    loaded = tf.saved_model.load(str(saved("iris")))
    (asset,) = loaded.asset_paths if hasattr(loaded, "asset_paths") else loaded.assets
    assert tf.io.read_file(asset.asset_path).numpy() == b"setosa\nversicolor\nvirginica\n"
