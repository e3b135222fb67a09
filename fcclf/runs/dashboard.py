"""What TensorBoard shows of a run besides its curves: serialized Summaries, made by TensorBoard's own plugins.

`about` is what does not change: the layout of the Custom Scalars tab, the settings as a session of the HParams tab, and
the command, the settings and the data as text; so is `graph_picture`, the graph simplified to be looked at. `pr_curves`
and `image` are made again and again in the course of training.
"""

import struct
import textwrap
import time

import numpy as np
import tensorflow as tf
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import summary as custom_scalar_summary
from tensorboard.plugins.histogram import summary_v2 as histogram_summary
from tensorboard.plugins.hparams import summary_v2 as hparams_summary  # whose `api` would import Keras
from tensorboard.plugins.pr_curve import summary as pr_curve_summary
from tensorboard.plugins.text import summary as text_summary

from fcclf.runs.run_directory import Description

tf1 = tf.compat.v1

LEARNING = {  # score: {chart: pattern of tags}; a chart shows those of every directory of every run
    "accuracy": {"cross-entropy (nats)": "^loss$", "accuracy": "accuracy", "loss with penalties": "loss/total"},
    "r2": {"loss": "^loss$", "R2": "r2", "loss with penalties": "loss/total"},
}
TRAINING = {
    "penalties": "loss/penalty",
    "gradient norm, mean over an epoch": "training/gradient_norm",
    "learning rate": "training/learning_rate",
    "epochs per second": "training/epochs_per_second",
}
BOOKKEEPING = {
    "blocks",
    "save",
    "hyperparameters",
    "variables",
    "updates",
    "outputs",
}  # scopes that would clutter the picture of the graph
HIDDEN = "full-connect-layer"  # the scope of the operations of hidden layers
LARGEST_PART = 20_000  # largest number of samples that precision-recall curves are drawn from


def about(description: Description, run_name: str) -> bytes:
    """The layout, the HParams session and the texts of a run."""
    settings = description.config.for_display()
    facts = {**description.data.to_dict(), **description.versions}
    hparams = {name: value if isinstance(value, int | float) else _plain(value) for name, value in settings.items()}
    return _merged(
        custom_scalar_summary.pb(_layout(description.config.score)),
        hparams_summary.hparams_pb(hparams, trial_id=run_name, start_time_secs=time.time()),
        text_summary.pb("command", textwrap.indent(description.config.command(), "    ")),
        text_summary.pb("settings", _table("setting", "value", settings)),
        text_summary.pb("data and versions", _table("fact", "value", facts)),
    )


def graph_picture(graph: tf.Graph) -> tf1.GraphDef:
    """The graph for the Graphs tab: each hidden layer's variables inside the box of all layers, what layers do in
    training inside the box of what they do, no bookkeeping, and the epoch loop as one box, without the functions inside
    it. It can be looked at, but not run."""
    definition = graph.as_graph_def(add_shapes=True)
    hidden = {node.name.split("/")[1] for node in definition.node if _scope(node.name) == HIDDEN}
    picture = tf1.GraphDef(versions=definition.versions)
    for node in definition.node:
        if _scope(node.name) not in BOOKKEEPING:
            inputs = [_moved(name, hidden) for name in node.input if _scope(name) not in BOOKKEEPING]
            picture.node.add(
                name=_moved(node.name, hidden), op=node.op, input=inputs, device=node.device, attr=node.attr
            )
    return picture


def pr_curves(y, probabilities, classes: list[str], source: str) -> bytes:
    """A precision-recall curve for each class against the others.

    y: int [samples]; probabilities: float [samples, classes]; classes: their names. source: the name of the data:
    TensorBoard overlays the curves of one tag, and only those of the same data belong together.
    """
    y, probabilities = y[:LARGEST_PART], probabilities[:LARGEST_PART].astype(np.float64)
    curves = (
        pr_curve_summary.pb(f"{source}/class {name}", y == label, probabilities[:, label], display_name=f"class {name}")
        for label, name in enumerate(classes)
    )
    return _merged(*curves)


def histograms(values: dict[str, np.ndarray]) -> bytes:
    """A histogram of each array, by name."""
    return _merged(*(histogram_summary.histogram_pb(name, array) for name, array in values.items()))


def image(tag: str, png: bytes) -> bytes:
    """A picture, given as the content of its file."""
    width, height = struct.unpack(">II", png[16:24])  # where every PNG has them
    picture = tf1.Summary.Image(width=width, height=height, colorspace=4, encoded_image_string=png)
    return tf1.Summary(value=[tf1.Summary.Value(tag=tag, image=picture)]).SerializeToString()


def _scope(name):
    return name.lstrip("^").split("/")[0]


def _moved(name, hidden):
    """The name that a node or an input has in the picture. hidden: the scopes of the hidden layers."""
    bare = name.lstrip("^")
    scope, _, inside = bare.partition("/")
    if scope in hidden:
        bare = f"{HIDDEN}/{bare}"
    elif scope == "best":
        bare = f"state/{bare}"
    elif scope == "in-training":
        step, _, inside = inside.partition("/")
        bare = f"{step}/{scope}/{inside}"
    return name.removesuffix(name.lstrip("^")) + bare


def _layout(score):
    chart = layout_pb2.Chart
    return layout_pb2.Layout(
        category=[
            layout_pb2.Category(
                title=category,
                chart=[
                    chart(title=title, multiline=layout_pb2.MultilineChartContent(tag=[tag]))
                    for title, tag in charts.items()
                ],
            )
            for category, charts in {"learning": LEARNING[score], "training": TRAINING}.items()
        ]
    )


def _table(first, second, rows):
    """A Markdown table of rows, {name: value}."""
    lines = [f"{name} | {_plain(value)}" for name, value in rows.items()]
    return "\n".join([f"{first} | {second}", "--- | ---", *lines])


def _plain(value):
    return " ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def _merged(*summaries):
    """Several summaries as one: serialized messages can be concatenated. (TensorBoard's classes are not
    TensorFlow's.)"""
    return b"".join(summary.SerializeToString() for summary in summaries)
