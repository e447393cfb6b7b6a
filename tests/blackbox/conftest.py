"""What the tests of the core share: the table's rows, landscapes, an objective that remembers."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from blackbox import ALGORITHMS, Method, Optimizer, Result, minimize

N = 4
BOX = [(-5.0, 5.0)] * N


class Watched:
    """An objective of one point that remembers what it was asked and what it gave."""

    def __init__(self, fun: Callable[[Any], float]) -> None:
        self.fun = fun
        self.points: list[Any] = []
        self.values: list[float] = []

    def __call__(self, x: Any) -> float:
        self.points.append(x.copy())
        value = self.fun(x)
        self.values.append(value)
        return value

    @property
    def asked(self) -> Any:
        """Every point in order, (calls, n)."""
        return np.array(self.points)


def shifted_sphere(x: Any) -> float:
    return float(np.sum((x - 0.7) ** 2))


def rotated_ellipsoid(condition: float, seed: int = 0) -> Callable[[Any], float]:
    rng = np.random.default_rng(seed)
    rotation, _ = np.linalg.qr(rng.standard_normal((N, N)))
    shift = rng.uniform(-2.5, 2.5, N)
    weights = np.logspace(0, np.log10(condition), N)
    return lambda x: float(weights @ (rotation @ (x - shift)) ** 2)


def small_options(row: Method, size: int = 6) -> dict[str, Any]:
    """A small population, for methods that have one, so that a short run has many batches."""
    return {key: size for key in ("popsize", "swarmsize") if key in row.options()}


def run_row(row: Method, fun: Callable[..., Any], x0: Any = None, **settings: Any) -> Result:
    """Minimize in the common box."""
    settings = {"bounds": BOX, "seed": 0} | settings
    return minimize(fun, x0, method=row.name, **settings)


def open_row(row: Method, x0: Any = None, **settings: Any) -> Optimizer:
    """Open an ask-and-tell run in the common box, with a small population."""
    settings = {"bounds": BOX, "seed": 0} | small_options(row) | settings
    return Optimizer(row.name, x0, **settings)


def tell_all(opt: Optimizer, fun: Callable[[Any], float], rounds: int | None = None) -> list[Any]:
    """Go on for some rounds, or to the end; return the batches that were asked."""
    batches = []
    while not opt.stopped and (rounds is None or len(batches) < rounds):
        batches.append(opt.ask())
        opt.tell([fun(x) for x in batches[-1]])
    return batches


@pytest.fixture(params=list(ALGORITHMS.values()), ids=list(ALGORITHMS))
def row(request: pytest.FixtureRequest) -> Method:
    """Each method of the table in turn."""
    found: Method = request.param
    if not found.installed:
        pytest.skip(f"{found.name} needs {found.requires}, an extra that is not installed")
    return found


@pytest.fixture
def sphere() -> Callable[[Any], float]:
    return shifted_sphere


@pytest.fixture
def ellipsoid() -> Callable[..., Callable[[Any], float]]:
    return rotated_ellipsoid


@pytest.fixture
def watched() -> type[Watched]:
    return Watched


@pytest.fixture
def small() -> Callable[..., dict[str, Any]]:
    return small_options


@pytest.fixture
def search() -> Callable[..., Result]:
    return run_row


@pytest.fixture
def opened() -> Iterator[Callable[..., Optimizer]]:
    """Open ask-and-tell runs that are closed when the test ends."""
    runs: list[Optimizer] = []

    def keep(*args: Any, **settings: Any) -> Optimizer:
        runs.append(open_row(*args, **settings))
        return runs[-1]

    yield keep
    for run in runs:
        run.close()


@pytest.fixture
def finish() -> Callable[..., list[Any]]:
    return tell_all


@pytest.fixture
def no_thread_left() -> Iterator[None]:
    """The test must end with the threads it began with."""
    before = set(threading.enumerate())
    yield
    left = set(threading.enumerate()) - before
    assert not left, f"threads left behind: {left}"
