"""A bowl, points in it, and an objective that remembers what it was asked."""

import numpy as np

BOX = [(-3.0, 3.0)] * 3


def bowl(x):
    return float(np.sum([1, 10, 100] * (x - 0.4) ** 2))


def draw(count=60, n=3, fun=bowl, seed=0):
    points = np.random.default_rng(seed).uniform(-3, 3, (count, n))
    return points, np.array([fun(x) for x in points])


class Asked:
    """An objective that remembers."""

    def __init__(self, fun=bowl):
        self.fun, self.points = fun, []

    def __call__(self, x):
        self.points.append(x.copy())
        return self.fun(x)
