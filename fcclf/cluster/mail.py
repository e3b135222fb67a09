"""What client and worker tell each other before the first step: JSON in two variables on the worker's task.

The client writes an order, again and again until the worker's answer to it is there: so it reaches a worker that is
started again meanwhile. Both know by a token which order an answer is to.

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
    """The worker's side."""

    def __init__(self, target: str, task: int):
        super().__init__(target, task, (task,))
        self.write(self.answer, {})

    def build(self):
        """What is asked of the variables."""
        self.is_ordered, self.read = tf1.is_variable_initialized(self.order), self.order.read_value()

    def ordered(self) -> dict:
        """The order that is there; {} if none."""
        return json.loads(self.session.run(self.read)) if self.session.run(self.is_ordered) else {}

    def reply(self, document: dict):
        """Writes the answer."""
        self.write(self.answer, document)


class Line(_Mailbox):
    """The client's side, to one worker."""

    def __init__(self, target: str, task: int):
        super().__init__(target, task, (0, task))

    def build(self):
        """The worker joins what it gets from here to its answer: both ways are open then."""
        with tf.device(device(0)):
            self.greeting = tf1.placeholder_with_default(tf.constant(""), ())
            sent = tf.identity(self.greeting)
        self.read = tf.strings.join([sent, self.answer.read_value()])

    def send(self, document: dict):
        """Writes the order."""
        self.write(self.order, document)

    def answered(self) -> dict:
        """The answer that is there. Raises `tf.errors.OpError` if the worker cannot be reached."""
        return json.loads(self.session.run(self.read, {self.greeting: b""}))
