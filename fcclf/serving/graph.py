"""What a model answers, as tensors: `ServedModel.outputs` in the graph."""

import tensorflow as tf

from fcclf.data.dataset import LARGEST_LOGARITHM
from fcclf.network.network import class_logits
from fcclf.serving.model import ServedModel
from fcclf.settings.run_config import MULTILABEL, REGRESSION


def outputs(served: ServedModel, answers, predicted="float64") -> dict[str, tf.Tensor]:
    """{name: tensor} of the model's outputs, without the texts of `classes`. answers: the network's, [batch, outputs].
    predicted: the type of predictions; those far from 0 need float64."""
    if served.task == REGRESSION:
        return {"predictions": _numbers(served, tf.cast(answers, predicted))}
    if served.task == MULTILABEL:
        ids = tf.cast(answers > 0, tf.int64)
        return {"logits": answers, "probabilities": tf.sigmoid(answers), "class_ids": ids}
    logits, n_classes = class_logits(answers), len(served.schema.classes)
    logits = logits if logits.shape[1] == n_classes else logits[:, :n_classes]  # of a single class
    return {"logits": logits, "probabilities": tf.nn.softmax(logits), "class_ids": tf.argmax(logits, axis=1)}


def _numbers(served, values):
    """The predicted numbers in the unit of the labels, [batch], or [batch, outputs] of several outputs."""
    if served.logarithms:
        values = tf.exp(tf.minimum(values, LARGEST_LOGARITHM))
    if (served.label_mean, served.label_stddev) != (0, 1):
        values = values * served.label_stddev + served.label_mean
    return values[:, 0] if served.n_outputs == 1 else values


def texts(served: ServedModel, class_ids) -> tf.Tensor:
    """The texts of class numbers, string [batch]."""
    return tf.gather(tf.constant(served.schema.classes), class_ids)
