"""A training loss and a validation loss that part on the way, for the tests of the core."""

import numpy as np

from blackbox import minimize

N = 3
AIM = np.array([3.0, 3.0, 3.0])
TURN = np.array([1.0, 1.0, 1.0])
"""Where the training loss is lowest, and on the way there the validation loss: it overfits."""


def sphere(x):
    return float(np.sum((x - AIM) ** 2))


def slope(x):
    return 2 * (x - AIM)


class Held:
    """The loss on other data: notes each point that it is asked about."""

    def __init__(self, centre=TURN):
        self.centre, self.points = centre, []

    def __call__(self, x):
        self.points.append(x.copy())
        return float(np.sum((x - self.centre) ** 2))

    @property
    def lowest(self):
        return min(self.points, key=lambda x: np.sum((x - self.centre) ** 2))


def descend(fun=sphere, x0=(0.0, 0.0, 0.0), **arguments):
    arguments = {"method": "sgd", "jac": slope, "options": {"lr": 0.02}, "seed": 0} | arguments
    return minimize(fun, x0, **arguments)


def evaluate(points):
    """A validation loss of batches."""
    return np.sum((points - 0.5) ** 2, axis=1)
