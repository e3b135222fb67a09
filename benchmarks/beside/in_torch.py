"""PyTorch, eager: a loop over batches in Python, with its fused Adam."""

import functools
import os

from beside.answering import answer, timed


def begin(workload, threads=None):
    """Builds the training. threads: by default one for each core, as in our loop."""
    import torch

    torch.set_num_threads(threads or len(os.sched_getaffinity(0)))
    X, y = map(torch.from_numpy, workload.samples())
    y, network = y.long(), lenet(torch.nn) if workload.lenet else dense(torch.nn, workload)
    optimizer, loss = adam(torch, network, workload), torch.nn.CrossEntropyLoss()

    def train(count):
        for _ in range(count):
            for rows in torch.randperm(len(y)).split(workload.batch_size):
                optimizer.zero_grad()
                loss(network(X[rows]), y[rows]).backward()
                optimizer.step()

    return timed(train, workload.n_batches)


def adam(torch, network, workload):
    """PyTorch's Adam. The penalty is on kernels alone; its gradient is what this Adam calls weight decay."""
    kernels = [each for each in network.parameters() if each.ndim > 1]
    biases = [each for each in network.parameters() if each.ndim == 1]
    groups = [{"params": kernels, "weight_decay": workload.l2}, {"params": biases}]
    return torch.optim.Adam(groups, lr=workload.learning_rate, fused=True)


def dense(nn, workload):
    activation = {"elu": nn.ELU, "relu": nn.ReLU}[workload.activation]
    layers = [layer for width in workload.widths for layer in (nn.Linear(*width), activation())]
    return nn.Sequential(*layers[:-1])


def lenet(nn):
    """The preset's layers."""
    convolutions = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
    features = [layer for each in convolutions for layer in (each, nn.ReLU(), nn.MaxPool2d(2))]
    heads = nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)
    return nn.Sequential(nn.Unflatten(1, (1, 28, 28)), *features, nn.Flatten(), *heads)


if __name__ == "__main__":
    answer({"eager": begin, "one-thread": functools.partial(begin, threads=1)})
