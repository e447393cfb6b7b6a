"""What the tests of the core share: the table's rows, landscapes, an objective that remembers.

The laws: a test that is marked ``law(number)`` is run for each method of the table. The methods of
`EVERY_CASE` meet all cases of it in the fast suite, the others one, which their name picks; the
rest is marked slow. A new row of the table needs no edit here. The rules of gradient descent share
all of their loop: each meets law 1 and its oracles; every test of another law meets two of them,
and all other tests one, which the test's name picks.
"""

import gc
import threading
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from blackbox import ALGORITHMS, Method, Optimizer, Result, minimize
from tests.blackbox.descents import DESCENTS

N = 4
BOX = [(-5.0, 5.0)] * N
EVERY_CASE = {
    "cma",
    "differential_evolution",
    "dual_annealing",
    "l-bfgs-b",
    "nelder-mead",
    "pso",
    "random",
    "slsqp",
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Label the tests of laws for `tests.conformance`, and leave to the fast suite its share."""
    cases: dict[tuple[str, str], list[pytest.Item]] = defaultdict(list)
    for item in items:
        method, laws = method_of(item), laws_of(item)
        if method is not None and not ALGORITHMS[method].installed:
            reason = f"{method} needs {ALGORITHMS[method].requires}, which is not installed"
            item.add_marker(pytest.mark.skip(reason=reason))
        if method is None or not laws:
            continue
        item.user_properties += [("method", method), *(("law", law) for law in laws)]
        if method not in EVERY_CASE and item.get_closest_marker("slow") is None:
            cases[method, item.nodeid.partition("[")[0]].append(item)
    leave_to_a_few(items)
    for key, same in cases.items():
        kept = zlib.crc32(repr(key).encode()) % len(same)
        for item in same[:kept] + same[kept + 1 :]:
            item.add_marker(pytest.mark.slow)


def leave_to_a_few(items: list[pytest.Item]) -> None:
    """Mark tests of the rules of gradient descent slow, but of each test those of two rules."""
    family = [name for name in DESCENTS if name != "adam" and ALGORITHMS[name].installed]
    for item in items:
        params = item.callspec.params if hasattr(item, "callspec") else {}
        method = method_of(item) or params.get("method")
        file, folder = item.path.stem, item.path.parent.name
        own = file.startswith("test_descent")
        if own or (folder != "blackbox" and file != "test_together") or method not in family:
            continue
        if 1 in laws_of(item):
            continue
        first = zlib.crc32(item.nodeid.partition("[")[0].encode())
        picked = [first, first + len(family) // 2][: 2 if laws_of(item) else 1]
        if method not in [family[i % len(family)] for i in picked]:
            item.add_marker(pytest.mark.slow)


def method_of(item: pytest.Item) -> str | None:
    """Return the method that a test is run for, if it is for one."""
    params = item.callspec.params if hasattr(item, "callspec") else {}
    given = params["row"].name if "row" in params else params.get("name")
    return given if isinstance(given, str) and given in ALGORITHMS else None


def laws_of(item: pytest.Item) -> list[int]:
    """Return the numbers of the laws that a test is about."""
    return sorted({law for marker in item.iter_markers("law") for law in marker.args})


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

    def keep(row: Method, *args: Any, **settings: Any) -> Optimizer:
        if row.exclusive and not all(run.stopped for run in runs):
            with pytest.raises(RuntimeError, match="only one be open"):
                open_row(row, *args, **settings)
            pytest.skip("this method lets only one run be open, and refuses a second as it should")
        runs.append(open_row(row, *args, **settings))
        return runs[-1]

    yield keep
    for run in runs:
        run.close()


@pytest.fixture
def finish() -> Callable[..., list[Any]]:
    return tell_all


@pytest.fixture
def frozen() -> Iterator[None]:
    """Garbage is collected without a look at what was there before: in no time."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def no_thread_left() -> Iterator[None]:
    """The test must end with the threads it began with."""
    before = set(threading.enumerate())
    yield
    left = set(threading.enumerate()) - before
    assert not left, f"threads left behind: {left}"
