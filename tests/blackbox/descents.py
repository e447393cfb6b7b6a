"""Rows that step by gradients, all by one loop: what their tests share."""

import importlib

import numpy as np
import torch

from blackbox import ALGORITHMS
from blackbox.algorithms.descent.habits import HABITS

DESCENTS = [
    name
    for name, row in ALGORITHMS.items()
    if row.library in ("torch", "pytorch-optimizer") and row.many_starts
]
INSTALLED = [name for name in DESCENTS if ALGORITHMS[name].installed]


def rates(name, otherwise=None):
    """Options of the rule alone, with a learning rate that suits problems of the tests' size."""
    if name not in DESCENTS:
        return dict(otherwise or {})
    return {k: v for k, v in ALGORITHMS[name].proof.options.items() if k not in HABITS}


BLOCKS = ((4, 3), (4,), (2, 4), (2,))
SIZES = [int(np.prod(shape)) for shape in BLOCKS]
INPUTS = np.random.default_rng(1).standard_normal((16, 3))
TARGETS = np.random.default_rng(2).standard_normal((16, 2))


def loss_of(tensors, rows=slice(None)):
    """A small perceptron's loss, of its four tensors."""
    hidden, bias, out, offset = tensors
    inputs, targets = (torch.tensor(d, dtype=hidden.dtype)[rows] for d in (INPUTS, TARGETS))
    outputs = torch.tanh(inputs @ hidden.T + bias) @ out.T + offset
    return torch.mean((outputs - targets) ** 2)


class Perceptron:
    """The same as an objective, point by point; remembers what it was asked, batch by batch."""

    batched, blocks, n = True, BLOCKS, sum(SIZES)

    def __init__(self, dtype="float64"):
        self.dtype = np.dtype(dtype)
        self.asked, self.rows = [], slice(None)

    def value_and_gradient(self, points):
        self.asked.append(points.copy())
        told = [self.look(x) for x in points]
        return np.array([value for value, _ in told]), np.array([slope for _, slope in told])

    def look(self, x):
        tensors = tensors_of(x, self.dtype)
        loss = loss_of(tensors, self.rows)
        slopes = torch.autograd.grad(loss, tensors)
        return loss.item(), torch.cat([slope.flatten() for slope in slopes]).double().numpy()

    def __call__(self, points):
        return np.array([self.look(x)[0] for x in points])

    def walk(self, run=0):
        """The points of a run, (steps, n)."""
        return np.array([points[run] for points in self.asked])


class Minibatches(Perceptron):
    """Four rows at a time."""

    def __init__(self, dtype="float64"):
        super().__init__(dtype)
        self.drawn = []

    def begin(self, generation, rng):
        self.rows = rng.choice(len(INPUTS), 4, replace=False)
        self.drawn.append(self.rows)


def tensors_of(x, dtype):
    flat = torch.from_numpy(x.astype(dtype))
    parts = torch.split(flat, SIZES)
    return [
        part.reshape(shape).clone().requires_grad_()
        for part, shape in zip(parts, BLOCKS, strict=True)
    ]


def flat_of(tensors):
    return torch.cat([tensor.detach().flatten() for tensor in tensors]).double().numpy()


def start(seed=0, k=None):
    shape = Perceptron.n if k is None else (k, Perceptron.n)
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32).astype(float)


def torch_class(name):
    kind = ALGORITHMS[name].load()
    return getattr(importlib.import_module(kind.library), kind.rule)


def build(name, tensors, options):
    """The optimizers that a plain training loop would have."""
    if name == "torch":
        return [torch.optim.Adam(tensors, **options.get("arguments", {}))]
    if name != "muon":
        return [torch_class(name)(tensors, **options)]
    own = {key: value for key, value in options.items() if not key.startswith("adamw_")}
    other = {key[6:]: value for key, value in options.items() if key.startswith("adamw_")}
    other = {"lr": own["lr"]} | other
    matrices, rest = ([t for t in tensors if (t.ndim == 2) == flag] for flag in (True, False))
    return [torch.optim.Muon(matrices, **own), torch.optim.AdamW(rest, **other)]


def torch_walk(name, x, dtype, steps, options, treat=None, drawn=None, accumulate=1):
    """A plain training loop on the perceptron; the points before each step, (steps, n)."""
    tensors = tensors_of(x, dtype)
    optimizers, points = build(name, tensors, options), []
    for step in range(steps):
        points.append(flat_of(tensors))
        for optimizer in optimizers:
            optimizer.zero_grad()
        for part in range(accumulate):
            rows = slice(None) if drawn is None else drawn[step * accumulate + part]
            (loss_of(tensors, rows) / accumulate).backward()
        if treat is not None:
            treat(tensors)
        for optimizer in optimizers:
            optimizer.step()
    return np.array(points)
