"""JAX: epochs as one compiled call, `lax.scan` over the epochs and over the batches of each."""

import numpy as np

from beside.answering import answer, timed

EPOCHS = 50  # most in one call


def begin(workload):
    import jax

    X, y = map(jax.numpy.asarray, workload.samples())
    weights = lenet_weights() if workload.lenet else dense_weights(workload)
    zeros = jax.tree.map(np.zeros_like, weights)
    state = weights, zeros, zeros, np.float32(0)
    epochs, random = jax.jit(trainer(workload)), np.random.default_rng(0)
    orders = np.stack([random.permutation(workload.n_rows) for _ in range(calls(workload))]).astype(np.int32)

    def train(count):
        trained = state
        for first in range(0, count, len(orders)):
            trained, losses = epochs(trained, X, y, orders[: count - first])
        losses.block_until_ready()

    return timed(train, workload.n_batches, workload.epochs)


def calls(workload):
    """Number of epochs in one call, the same as ours: fewer if there are many rows."""
    return min(EPOCHS, max(1, 2_000_000 // workload.n_rows))


def trainer(workload):
    """The function (state, X, y, orders) -> (state, last loss of each epoch)."""
    from jax import lax

    step, size = stepper(workload), workload.batch_size
    whole = workload.n_rows // size * size

    def epochs(state, X, y, orders):
        def epoch(state, order):
            xs, ys = X[order], y[order]
            batches = xs[:whole].reshape(-1, size, X.shape[1]), ys[:whole].reshape(-1, size)
            state, losses = lax.scan(step, state, batches)
            if whole < len(order):  # the short last batch
                state, _ = step(state, (xs[whole:], ys[whole:]))
            return state, losses[-1]

        return lax.scan(epoch, state, orders)

    return epochs


def stepper(workload):
    """A step of Adam: (state, (x, y)) -> (state, loss)."""
    import jax
    from jax import numpy as jnp

    logits, penalty = (lenet if workload.lenet else dense(workload.activation)), workload.l2 / 2

    def loss(weights, x, y):
        taken = jnp.take_along_axis(jax.nn.log_softmax(logits(weights, x)), y[:, None], 1)
        return -taken.mean() + penalty * sum((kernel**2).sum() for kernel, _ in weights if penalty)

    def step(state, batch):
        weights, m, v, t = state
        value, gradients = jax.value_and_grad(loss)(weights, *batch)
        t = t + 1
        rate = workload.learning_rate * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, gradients)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, gradients)
        weights = jax.tree.map(lambda w, m, v: w - rate * m / (jnp.sqrt(v) + 1e-8), weights, m, v)
        return (weights, m, v, t), value

    return step


def dense_weights(workload):
    return [drawn((n_in, n_out), n_in) for n_in, n_out in workload.widths]


def lenet_weights():
    shapes = (5, 5, 1, 6), (5, 5, 6, 16), (400, 120), (120, 84), (84, 10)
    return [drawn(shape, np.prod(shape[:-1])) for shape in shapes]


def drawn(shape, fan_in):
    """(kernel, bias), initial values."""
    kernel = np.random.default_rng(0).normal(scale=np.sqrt(2 / fan_in), size=shape).astype(np.float32)
    return kernel, np.zeros(shape[-1], np.float32)


def dense(activation):
    import jax

    activated = getattr(jax.nn, activation)

    def logits(weights, x):
        *hidden, (kernel, bias) = weights
        for each, shift in hidden:
            x = activated(x @ each + shift)
        return x @ kernel + bias

    return logits


def lenet(weights, x):
    """Logits [batch, 10] of images [batch, 784], with the preset's layers."""
    import jax

    *convolutions, first, second, last = weights
    x = x.reshape(-1, 28, 28, 1)
    for (kernel, bias), padding in zip(convolutions, ("SAME", "VALID"), strict=True):
        x = jax.lax.conv_general_dilated(x, kernel, (1, 1), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))
        x = jax.nn.relu(x + bias)
        x = jax.lax.reduce_window(x, -np.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    return dense("relu")([first, second, last], x.reshape(len(x), -1))


if __name__ == "__main__":
    answer({"scan": begin})
