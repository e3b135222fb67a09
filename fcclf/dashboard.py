"""What TensorBoard shows of a run besides its curves: serialized Summaries, made by TensorBoard's own plugins.

`about` is what does not change: the layout of the Custom Scalars tab, the settings as a session of the HParams tab, and
the command, the settings and the data as text. `pr_curves` and `image` are measured again and again.
"""

import struct
import time

import numpy as np
import tensorflow as tf
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import summary as custom_scalar_summary
from tensorboard.plugins.hparams import api as hparams_api
from tensorboard.plugins.pr_curve import summary as pr_curve_summary
from tensorboard.plugins.text import summary as text_summary

from fcclf.run_directory import Description

tf1 = tf.compat.v1

LAYOUT = {  # category: {chart: tag}; a chart shows that tag of every directory of every run
    "learning": {"cross-entropy (nats)": "loss/data", "accuracy": "accuracy", "loss with penalties": "loss/total"},
    "training": {
        "penalties": "loss/penalty",
        "gradient norm, mean over an epoch": "training/gradient_norm",
        "learning rate": "training/learning_rate",
        "epochs per second": "training/epochs_per_second",
    },
}
LARGEST_PART = 20_000  # samples that precision-recall curves are drawn from, at most


def about(description: Description, run_name: str) -> bytes:
    """Layout, session and text of a run."""
    settings = {key.partition(".")[2]: value for key, value in description.config.identity().items()}
    hparams = {name: value if isinstance(value, int | float) else _plain(value) for name, value in settings.items()}
    return _merged(
        custom_scalar_summary.pb(_layout()),
        hparams_api.hparams_pb(hparams, trial_id=run_name, start_time_secs=time.time()),
        text_summary.pb("command", f"    {description.config.command()}"),
        text_summary.pb("settings", _table("setting", "value", settings)),
        text_summary.pb("data and versions", _table("fact", "value", {**description.data, **description.versions})),
    )


def pr_curves(y, probabilities) -> bytes:
    """A precision-recall curve for each class against the others.

    y: int [samples]; probabilities: float [samples, classes].
    """
    y, probabilities = y[:LARGEST_PART], probabilities[:LARGEST_PART]
    return _merged(
        *(
            pr_curve_summary.pb(f"class_{label}", y == label, probabilities[:, label].astype(np.float64))
            for label in range(probabilities.shape[1])
        )
    )


def image(tag: str, png: bytes) -> bytes:
    """A picture, given as the content of its file."""
    width, height = struct.unpack(">II", png[16:24])  # where every PNG has them
    picture = tf1.Summary.Image(width=width, height=height, colorspace=4, encoded_image_string=png)
    return tf1.Summary(value=[tf1.Summary.Value(tag=tag, image=picture)]).SerializeToString()


def _layout():
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
            for category, charts in LAYOUT.items()
        ]
    )


def _table(first, second, rows):
    """Markdown."""
    lines = [f"{name} | {_plain(value)}" for name, value in rows.items()]
    return "\n".join([f"{first} | {second}", "--- | ---", *lines])


def _plain(value):
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _merged(*summaries):
    """One Summary of several: serialized messages add up. (TensorBoard's are of other classes than TensorFlow's.)"""
    return b"".join(summary.SerializeToString() for summary in summaries)
