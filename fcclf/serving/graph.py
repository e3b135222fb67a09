"""What a model answers, as tensors: `ServedModel.outputs` in the graph."""

import tensorflow as tf

from fcclf.data.dataset import LARGEST_LOGARITHM
from fcclf.network.network import class_logits
from fcclf.serving.model import MULTILABEL, REGRESSION, ServedModel


def outputs(model: ServedModel, answers, predicted="float64") -> dict[str, tf.Tensor]:
    """{name: tensor} of what is answered, by the network's answers, [batch, outputs]; without the texts of `classes`.
    predicted: the type of predictions, which those far from 0 need to be float64."""
    if model.task == REGRESSION:
        return {"predictions": _numbers(model, tf.cast(answers, predicted))}
    if model.task == MULTILABEL:
        ids = tf.cast(answers > 0, tf.int64)
        return {"logits": answers, "probabilities": tf.sigmoid(answers), "class_ids": ids}
    logits, n_classes = class_logits(answers), len(model.schema.classes)
    logits = logits if logits.shape[1] == n_classes else logits[:, :n_classes]  # of a single class
    return {"logits": logits, "probabilities": tf.nn.softmax(logits), "class_ids": tf.argmax(logits, axis=1)}


def _numbers(model, values):
    """[batch], or [batch, outputs] of several outputs, in the unit of the labels."""
    if model.logarithms:
        values = tf.exp(tf.minimum(values, LARGEST_LOGARITHM))
    if (model.label_mean, model.label_stddev) != (0, 1):
        values = values * model.label_stddev + model.label_mean
    return values[:, 0] if model.n_outputs == 1 else values


def texts(model: ServedModel, class_ids) -> tf.Tensor:
    """The texts of class numbers, string [batch]."""
    return tf.gather(tf.constant(model.schema.classes), class_ids)
