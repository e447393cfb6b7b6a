"""An objective that changes from batch to batch, for the tests of the core."""

import numpy as np

from blackbox import ALGORITHMS, minimize
from tests.blackbox.descents import rates

N = 4
BOX = [(-5.0, 5.0)] * N
STEADY = [name for name, row in ALGORITHMS.items() if row.changing]
OPTIONS = {name: {"lr": 0.1} if name == "adam" else rates(name, {"popsize": 6}) for name in STEADY}


class LeastSquares:
    """Mean squares of residuals over some of the rows; remembers all that was asked.

    The log has (what, generation, points, values) in order.
    """

    batched = True

    def __init__(self, rows=8, noise=0.5):
        rng = np.random.default_rng(3)
        self.inputs = rng.standard_normal((200, N))
        self.targets = self.inputs @ [1.0, -2.0, 0.5, 3.0] + noise * rng.standard_normal(200)
        self.rows, self.drawn, self.generation, self.log = rows, None, None, []

    def begin(self, generation, rng):
        self.generation = generation
        self.drawn = rng.choice(len(self.targets), self.rows, replace=False)
        self.log.append(("begin", generation, None, None))

    def score(self, points, rows=slice(None)):
        return np.mean((points @ self.inputs[rows].T - self.targets[rows]) ** 2, axis=1)

    def note(self, what, points, values):
        self.log.append((what, self.generation, points.copy(), values))
        return values

    def __call__(self, points):
        return self.note("batch", points, self.score(points, self.drawn))

    def full(self, points):
        return self.note("full", points, self.score(points))

    def calls(self, what):
        return [entry for entry in self.log if entry[0] == what]

    def count(self, what):
        return sum(len(points) for _, _, points, _ in self.calls(what))

    @property
    def optimum(self):
        best = np.linalg.lstsq(self.inputs, self.targets)[0]
        return float(self.score(best[None])[0])


class Differentiable(LeastSquares):
    """The same, with gradients."""

    def value_and_gradient(self, points):
        residuals = points @ self.inputs[self.drawn].T - self.targets[self.drawn]
        gradients = 2 * residuals @ self.inputs[self.drawn] / self.rows
        return self(points), gradients


def search(fun, name="cma", x0=None, **arguments):
    arguments = {"bounds": BOX, "seed": 0, "budget": 200, "options": OPTIONS[name]} | arguments
    return minimize(fun, x0, method=name, **arguments)


def at_full_fidelity(fun, result):
    return float(fun.score(result.x[None])[0])
