"""Messages between client and worker before the first step: JSON in two variables on the worker's task.

The client writes an order repeatedly until it finds the worker's answer to it, so it reaches a worker that is restarted
meanwhile. A token tells both which order an answer belongs to.

order    {"token": text, "tasks": number, "config": settings, "data": facts}, or {"token": text, "over": true}
answer   {"token": of the order, "versions": ..., "data": facts}, or {"token": ..., "problem": a sentence}
"""

import json

import tensorflow as tf

from fcclf.cluster.server import device, filtered_config

tf1 = tf.compat.v1


def _text(name):
    empty = tf1.constant_initializer("")
    return tf1.get_variable(name, (), tf.string, empty, trainable=False, collections=[], use_resource=True)


class _Mailbox:
    """The two variables, in a graph and a session that reach no other worker. target: of this process's server."""

    def __init__(self, target: str, task: int, tasks: tuple[int, ...]):
        with tf.Graph().as_default() as graph, graph.container("mail"), tf.device(device(task)):
            self.order, self.answer = _text("order"), _text("answer")
            self.build()
        self.session = tf1.Session(target, graph=graph, config=filtered_config(tasks))

    def write(self, variable, document: dict):
        """Writes a document into one of the variables."""
        self.session.run(variable.initializer, {variable.initializer.inputs[1]: json.dumps(document)})


class Desk(_Mailbox):
    """The worker's side of the messages."""

    def __init__(self, target: str, task: int):
        super().__init__(target, task, (task,))
        self.write(self.answer, {})

    def build(self):
        """Makes the operations that read the order."""
        self.is_ordered, self.read = tf1.is_variable_initialized(self.order), self.order.read_value()

    def ordered(self) -> dict:
        """The client's newest order; {} if there is none."""
        return json.loads(self.session.run(self.read)) if self.session.run(self.is_ordered) else {}

    def reply(self, document: dict):
        """Writes the worker's answer, for the client to read."""
        self.write(self.answer, document)


class Line(_Mailbox):
    """The client's side of the messages with one worker."""

    def __init__(self, target: str, task: int):
        super().__init__(target, task, (0, task))

    def build(self):
        """Makes the operation that reads the answer. The worker joins a text from the client to it, so it needs both
        directions of the connection."""
        with tf.device(device(0)):
            self.greeting = tf1.placeholder_with_default(tf.constant(""), ())
            sent = tf.identity(self.greeting)
        self.read = tf.strings.join([sent, self.answer.read_value()])

    def send(self, document: dict):
        """Writes the client's order, for the worker to read."""
        self.write(self.order, document)

    def answered(self) -> dict:
        """The worker's newest answer. Raises `tf.errors.OpError` if the worker cannot be reached."""
        return json.loads(self.session.run(self.read, {self.greeting: b""}))
