"""A network in a session: values in, answers out.

How a matrix product is split over threads, and how many rows it has, decides the last bits of its results. So a session
has exactly the threads it asks for, whatever the process did before and however many cores there are; and answers are
computed in blocks of a fixed number of rows, so that a row's answer depends on that row alone.
"""

import contextlib
import functools
import os
import threading
import warnings

import numpy as np
import tensorflow as tf
from scipy.sparse import issparse
from tensorflow.core.protobuf.config_pb2 import CallableOptions
from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig

from fcclf.errors import ConfigError, RunError
from fcclf.network import blockwise
from fcclf.network.layers import Context
from fcclf.network.network import Network, inference
from fcclf.settings.run_config import CPU, GPU

tf1 = tf.compat.v1

MOST_BLOCKS, MOST_NUMBERS = 128, 1 << 24  # most that are fed to the graph at once, but at least one block
PROBED = 16  # threads of the session that tells whether sessions have their own
CALLERS_THREAD = -1  # a pool of TensorFlow's: handing a block to another thread takes a third of the block's time
PLACES = {CPU: None, GPU: "/device:GPU:0"}  # of a network's operations; None: where its session puts them

# Without this the first device of the process decides how many threads all sessions share. Read when a device is made.
OVERRIDE = "TF_OVERRIDE_GLOBAL_THREADPOOL"
os.environ[OVERRIDE] = "1"
_probing = threading.Lock()


def session_config(threads: int, device: str = CPU) -> tf1.ConfigProto:
    """The configuration of a session.

    threads: 1 or more, of the CPU. device: CPU, where results are bit-identical and GPUs are hidden from TensorFlow, or
    GPU, where the session takes the first GPU, and as much of its memory as it needs.
    """
    return tf1.ConfigProto(
        device_count={"GPU": int(device == GPU)},
        allow_soft_placement=True,  # operations that exist only for the CPU, such as the saver's, stay on it
        gpu_options=tf1.GPUOptions(allow_growth=True),
        intra_op_parallelism_threads=threads,
        inter_op_parallelism_threads=threads,
        use_per_session_threads=True,  # between operations too; else all use the first session's
        # XLA optimizes the compiled loop; for the rest, rewriting costs more time than it saves.
        graph_options=tf1.GraphOptions(rewrite_options=RewriterConfig(disable_meta_optimizer=True)),
    )


def without_own_threads(config: tf1.ConfigProto) -> tf1.ConfigProto:
    """Changes a config, and returns it, so that its session shares the threads between operations with others of the
    process or server, as the sessions of a server must."""
    config.use_per_session_threads = False
    return config


def chosen_device(asked: str) -> str:
    """CPU or GPU, as asked for: "auto" is the GPU where TensorFlow sees one. Raises ConfigError if a GPU is asked for
    and there is none."""
    if asked == CPU or (asked == "auto" and not sees_gpu()):
        return CPU
    if not sees_gpu():
        raise ConfigError("device", "is gpu, but TensorFlow sees none on this machine: choose cpu or auto.")
    return GPU


def sees_gpu() -> bool:
    """Whether TensorFlow sees a GPU that it can use."""
    return bool(tf.config.list_physical_devices(GPU.upper()))


def sessions_own_threads() -> bool:
    """Whether a session has the threads it asks for. If not, because the process used TensorFlow before it imported
    this module, it warns, once."""
    with _probing:  # the threads are counted, so no other session may begin or end meanwhile
        return _own_threads()


@functools.cache
def _own_threads():
    # The probe counts the threads inside operations; those between operations are shared.
    few, many = (without_own_threads(session_config(threads)) for threads in (1, PROBED))
    with tf1.Session(graph=tf.Graph(), config=few):  # starts what all sessions share
        before = len(os.listdir("/proc/self/task"))
        with tf1.Session(graph=tf.Graph(), config=many):
            own = len(os.listdir("/proc/self/task")) - before >= PROBED
    if not own:
        warnings.warn(
            "TensorFlow was used before fcclf, so its number of threads counts and results may differ in the last "
            "bits: import from fcclf first, or set TF_OVERRIDE_GLOBAL_THREADPOOL=1 in the environment.",
            stacklevel=4,
        )
    return own


class Predictor:
    """A network in a session.

    layers: (name, block) of the network. threads: of the session. dtype: of the network's numbers, "float32" or
    "float64". device: CPU or GPU. variables: {name: variable} of the graph. failed: whether a run of the session has.
    """

    def __init__(self, layers, n_features: int, threads: int, dtype: str = "float32", device: str = CPU):
        self.layers, self.n_features, self.threads, self.dtype = dict(layers), n_features, threads, dtype
        self.device, self.failed = device, False
        self.loaded, self.calls = {}, {}  # {name: values}; {(chosen, axes of blocks): function}
        with tf.Graph().as_default() as graph, tf1.device(PLACES[device]), tf1.variable_scope("", use_resource=True):
            self.build()
            self.variables = {each.op.name: each for each in tf1.global_variables()}
            self.initializer = tf1.global_variables_initializer()
        sessions_own_threads()
        self.session = self.open_session(graph)

    def open_session(self, graph: tf.Graph) -> tf1.Session:
        """Opens the session of the network."""
        return tf1.Session(graph=graph, config=session_config(self.threads, self.device))

    def build(self):
        """Builds the network in the current graph."""
        self.build_network(seed=0)

    def build_network(self, seed):
        """Builds the network. seed: int32 scalar, for the initial values."""
        self.network = Network(self.layers, self.n_features, seed, self.dtype)

    @functools.cached_property
    def X(self) -> tf.Tensor:  # noqa: N802 - as everywhere
        """Placeholder of samples, [batch, features]."""
        with self._outside_scopes(), tf1.name_scope("input"):
            return tf1.placeholder(self.dtype, (None, self.n_features), "X")

    @functools.cached_property
    def layer_outputs(self) -> dict[str, tf.Tensor]:
        """{scope: output of each block for X}, in prediction."""
        X = self.X
        with self._outside_scopes():
            return inference(X, self.network, Context(self.network.variables, 0))

    @contextlib.contextmanager
    def _outside_scopes(self):
        """Enters the graph outside all name scopes, so that names do not depend on who asks first."""
        with self.session.graph.as_default(), tf1.name_scope(None):
            yield

    def close(self):
        """Closes the session."""
        self.session.close()

    def run(self, fetches, feed=None):
        """Calls `Session.run`. Raises RunError if there is not enough memory."""
        with self._noting_failure():
            return self.session.run(fetches, feed)

    def load(self, values: dict[str, np.ndarray]):
        """Assigns values to variables, by name."""
        self.loaded = {}
        assigns = [self.variables[name].initializer for name in values]
        feeds = {assign.inputs[1]: value for assign, value in zip(assigns, values.values(), strict=True)}
        self.run(assigns, feeds)

    def values(self) -> dict[str, np.ndarray]:
        """{name: values} of every variable."""
        return self.run(self.variables)

    def load_if_other(self, values: dict[str, np.ndarray]):
        """Calls `load` unless these values were the last ones loaded; right only where nothing else changes the
        variables."""
        if not _same_bits(values, self.loaded):
            self.load(values)
            self.loaded = {name: np.array(value) for name, value in values.items()}  # the caller's may change

    def answers(self, X) -> np.ndarray:
        """The network's outputs, [samples, outputs], for X, [samples, features], an array or a sparse one that can be
        sliced by rows. Each row's outputs depend on that row alone."""
        return self._in_blocks(_answers, X)[0]

    def logits(self, X) -> np.ndarray:
        """The logits, [samples, classes], for X, [samples, features]. Each row's logits depend on that row alone."""
        return class_logits(self.answers(X))

    def outputs(self, X) -> dict[str, np.ndarray]:
        """{layer: [samples, units]} for X, [samples, features]; the last layer's outputs are the logits. Each row's
        outputs depend on that row alone."""
        return dict(zip(self.layer_outputs, self._in_blocks(_outputs, X), strict=True))

    def _in_blocks(self, chosen, X):
        """What `chosen` selects from the outputs for X. Zeros fill the last block; there is at least one block, so that
        X without samples gets outputs of the right shape too."""
        X = X if issparse(X) else np.asarray(X, self.dtype)
        if X.shape[0] <= self.block_rows:
            return self._of_block(chosen, X)
        at_once = max(1, min(MOST_BLOCKS, MOST_NUMBERS // (self.block_rows * self.n_features)))
        size = at_once * self.block_rows
        found = [self._of_blocks(chosen, X[first : first + size]) for first in range(0, X.shape[0], size)]
        return [np.concatenate(parts) for parts in zip(*found, strict=True)]

    def _of_block(self, chosen, X):
        """What `_in_blocks` returns, for at most one block: a loop in the graph would take longer than the block."""
        found = self._call(chosen, self._blocks(1, X)[0])
        return [each[: X.shape[0]] for each in found]

    def _of_blocks(self, chosen, X):
        found = self._call(chosen, self._blocks(-(-X.shape[0] // self.block_rows), X))
        return [each.reshape(-1, *each.shape[2:])[: X.shape[0]] for each in found]

    def _blocks(self, count, X):
        """X in `count` blocks, [count, block_rows, features], padded with zeros."""
        blocks = np.zeros((count, self.block_rows, self.n_features), self.dtype)
        blocks.reshape(-1, self.n_features)[: X.shape[0]] = X.toarray() if issparse(X) else X
        return blocks

    @functools.cached_property
    def block_rows(self) -> int:
        """Number of rows in a block."""
        return blockwise.block_rows(self.network)

    def _call(self, chosen, blocks):
        """The arrays that `chosen` selects from the outputs for one block, [rows, ...], or several, [number, rows,
        ...]."""
        key = chosen, blocks.ndim
        if key not in self.calls:
            self.calls[key] = self._prepared_call(chosen, several=blocks.ndim == 3)
        with self._noting_failure():
            return self.calls[key](blocks)

    @contextlib.contextmanager
    def _noting_failure(self):
        """Sets `failed` if a run of the session inside the block raises. Raises RunError if there is not enough
        memory."""
        try:
            with _memory_sufficing():
                yield
        except BaseException:
            self.failed = True
            raise

    def _prepared_call(self, chosen, several):
        """A function of blocks. `Session.run` would take longer to resolve what is fed and fetched than one block takes
        to compute."""
        shape = (self.block_rows, self.n_features)
        with self.session.graph.as_default(), tf1.variable_scope("", use_resource=True), tf1.name_scope("blocks/"):
            X = tf1.placeholder(self.dtype, (None, *shape) if several else shape, "X")
            if several:
                signature = [tf.TensorSpec(None, self.dtype) for _ in chosen(self.layer_outputs)]
                fetched = blockwise.mapped(X, self.network, chosen, signature)
            else:
                fetched = chosen(blockwise.of_block(X, self.network))
        options = CallableOptions(feed=[X.name], fetch=[each.name for each in fetched])
        if not several:
            options.run_options.inter_op_thread_pool = CALLERS_THREAD
        return self.session._make_callable_from_options(options)


def _answers(outputs):
    return [outputs["output"]]


def _outputs(outputs):
    return [*outputs.values()]


def _same_bits(values, others):
    """Whether two {name: array} hold the same values, bit for bit: 0 and -0 differ."""
    return values.keys() == others.keys() and all(
        value.shape == others[name].shape and value.tobytes() == others[name].tobytes()
        for name, value in values.items()
    )


@contextlib.contextmanager
def _memory_sufficing():
    """Raises RunError if there is not enough memory inside the block."""
    try:
        yield
    except (MemoryError, tf.errors.ResourceExhaustedError) as error:
        raise RunError("there is not enough memory for this network and these data: make them smaller.") from error


def class_logits(answers) -> np.ndarray:
    """The logits, [samples, classes], from a network's outputs, [samples, outputs], as
    `fcclf.network.network.class_logits` gives them."""
    return answers if answers.shape[1] > 1 else np.concatenate([np.zeros_like(answers), answers], axis=1)
