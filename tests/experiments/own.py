"""Problems as a user would bring them, for tests; also a file for `path/to/file.py:name`."""

import os
import signal
import sys
import time

import numpy as np


def sphere(x):
    return float(np.sum(x**2))


sphere.bounds = [(-5, 5)] * 3


def unbounded(x):
    return float(np.sum((x - 1) ** 2))


unbounded.x0 = np.zeros(2)


def moody(x):
    if x[0] > 0:
        raise ArithmeticError("not on <this> side")
    return float(np.sum((x + 1) ** 2))


moody.bounds = [(-5, 5)] * 2


def hopeless(x):
    raise ArithmeticError("never")


hopeless.bounds = [(-5, 5)] * 2


def bottomless(x):
    return -np.inf if x[0] < 4 else float(x[0])


bottomless.bounds = [(-5, 5)] * 2


def slow(x):
    time.sleep(0.01)
    return float(np.sum(x**2))


slow.bounds = [(-5, 5)] * 2


def deadly(x):
    os.kill(os.getpid(), signal.SIGKILL)


deadly.bounds = [(-5, 5)] * 2


class Disk:
    """Rosenbrock's function on a disk: the optimum is at (1, 1), on its edge."""

    bounds = ((-1.5, 1.5), (-1.5, 1.5))
    optimum = 0.0
    constraints = ({"type": "ineq", "fun": lambda x: 2 - x[0] ** 2 - x[1] ** 2},)

    def __call__(self, x):
        return float(100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2)


class Logged:
    """The sphere in batches; keeps every batch."""

    batched = True
    bounds = ((-5, 5),) * 3

    def __init__(self):
        self.batches = []

    def __call__(self, points):
        self.batches.append(np.array(points))
        return np.sum(points**2, axis=1)

    @property
    def points(self):
        return np.concatenate(self.batches)


class Sloped:
    """A parabola with a gradient."""

    batched = True
    x0 = np.array([3.0, -2.0])

    def __call__(self, points):
        return np.sum(points**2, axis=1)

    def value_and_gradient(self, points):
        return np.sum(points**2, axis=1), 2 * points


class Validated(Sloped):
    """The parabola, and as data held out one whose optimum is on the way to its own."""

    has_validation = True

    def validate(self, points):
        return np.sum((points - 0.5 * self.x0) ** 2, axis=1)


if "pytest" not in sys.modules and os.environ.get("OWN_FAILS"):
    raise RuntimeError("this file does not import")
