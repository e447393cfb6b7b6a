"""A small architecture search on handwritten digits: how wide, how deep, which activation.

    experiments tune results/tuning/digits_architecture.py:train \
        --space results/tuning/architecture.toml --method tpe --fidelity hyperband --steps 600

What promises little is stopped after a few epochs: 600 epochs are 30 whole trainings.
"""

import itertools

import torch
from torch import nn

from experiments.problems import digits

EPOCHS, BATCH = 20, 64
ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU}

images, labels = digits.load()  # in their order: each part is by other writers
train_on, judge_by = slice(0, 898), slice(898, 1347)


def make_model(width, depth, activation):
    """Return an untrained network with so many hidden layers."""
    sizes = [64, *[width] * depth]
    layers = []
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), ACTIVATIONS[activation]()]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], 10))


def train(width, depth, activation, lr):
    """Train one network; tell the validation loss after each epoch."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = make_model(width, depth, activation)
    order = torch.Generator().manual_seed(0)
    loss = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr)
    x, y = images[train_on], labels[train_on]
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x), generator=order).split(BATCH):
            optimizer.zero_grad()
            loss(model(x[rows]), y[rows]).backward()
            optimizer.step()
        with torch.no_grad():
            yield loss(model(images[judge_by]), labels[judge_by]).item()
