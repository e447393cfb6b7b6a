"""What the tests of the core share: the table's rows, landscapes, an objective that remembers.

The laws: a test that is marked ``law(number)`` is run for each method of the table. In the fast
suite, the methods of `EVERY_CASE` meet all cases of it. The others meet one case of each test of
law 1 and of a third of the tests of each other law. The methods of a family share their loop: each
meets law 1 and its oracles, and one test of each other law; each test meets one of them at least,
and those without a law one. Names pick which; the rest is marked slow. A new row of the table needs
no edit here.
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
    "l-bfgs-b",
    "nelder-mead",
    "pso",
    "random",
    "slsqp",
}
FAMILIES = {
    "descent": [name for name in DESCENTS if name != "adam"],
    "cma": [name for name, row in ALGORITHMS.items() if row.library == "cma" != name],
}
"""Kinds of one loop, which adam and cma stand for. Their own tests are in ``test_<family>*.py``."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Label the tests of laws for `tests.conformance`, and leave to the fast suite its share."""
    cases: dict[tuple[str, str], list[pytest.Item]] = defaultdict(list)
    for item in items:
        method, laws = method_of(item), laws_of(item)
        if method is not None and not ALGORITHMS[method].installed:
            reason = f"{method} needs {ALGORITHMS[method].requires}, which is not installed"
            item.add_marker(pytest.mark.skip(reason=reason))
        if method is not None and laws:
            item.user_properties += [("method", method), *(("law", law) for law in laws)]
        else:
            method = member_of(item)
        if method not in {None, *EVERY_CASE} and item.get_closest_marker("slow") is None:
            cases[item.nodeid.partition("[")[0], method].append(item)
    kept = pick(cases)
    for (test, method), same in cases.items():
        # Of a test without a law, all cases of a method are kept.
        case = same[draw(method, test) % len(same)] if laws_of(same[0]) else None
        for item in same:
            if (test, method) not in kept or case not in (None, item):
                item.add_marker(pytest.mark.slow)


def pick(cases: dict[tuple[str, str], list[pytest.Item]]) -> set[tuple[str, str]]:
    """Return the pairs of a test and a method that the fast suite keeps."""
    kept = set()
    by_law: dict[tuple[int, str], list[tuple[str, str]]] = defaultdict(list)
    by_family: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for pair, (item, *_) in cases.items():
        test, method = pair
        for law in laws_of(item):
            by_law[law, method].append(pair)
        if ALGORITHMS[method].installed:
            for family in families_of(method):
                by_family[test, family].append(pair)
    for (law, method), pairs in by_law.items():
        if law != 1 and families_of(method):
            # Elsewhere a law is told on longer runs.
            kept.add(min(pairs, key=lambda pair: ("/test_laws" not in pair[0], draw(*pair))))
            continue
        share = len(pairs) if law == 1 else -(-len(pairs) // 3)
        kept.update(sorted(pairs, key=lambda pair: draw(*pair))[:share])
    for pairs in by_family.values():
        kept.add(min(pairs, key=lambda pair: draw(*pair)))
    return kept


def draw(*names: str) -> int:
    """Return a number that only the names determine, in any process."""
    return zlib.crc32(repr(names).encode())


def families_of(method: str) -> list[str]:
    """Return the family of a method, if it has one."""
    return [family for family, members in FAMILIES.items() if method in members]


def member_of(item: pytest.Item) -> str | None:
    """Return the member of a family that a test of all kinds of methods is run for."""
    params = item.callspec.params if hasattr(item, "callspec") else {}
    method = method_of(item) or params.get("method")
    file, folder = item.path.stem, item.path.parent.name
    if not isinstance(method, str) or (folder != "blackbox" and file != "test_together"):
        return None
    others = [family for family in families_of(method) if not file.startswith(f"test_{family}")]
    return method if others else None


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
