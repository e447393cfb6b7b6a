"""From a method's name to a configured algorithm that fits the problem; ``"auto"`` chooses one."""

import math
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from numbers import Real
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy.optimize import OptimizeWarning

from blackbox.algorithms import ALGORITHMS, Method, find
from blackbox.algorithms.option_values import check_shapes
from blackbox.composing.assembling import assemble
from blackbox.composing.chain import LAST, Chain
from blackbox.composing.parts import AllFixed, Viewed
from blackbox.composing.restarts import Restarted
from blackbox.composing.views import Free
from blackbox.constraints import FEASIBILITY
from blackbox.recommend import Recommendation, recommend
from blackbox.types import Algorithm, Problem

ENDLESS = 10_000
"""Evaluations of a run that would never end."""


def choose(problem: Problem) -> Recommendation:
    """Ask the rules of `blackbox.recommend`, with all that a problem says of itself."""
    limited = np.isfinite(problem.lower).any() or np.isfinite(problem.upper).any()
    found = recommend(
        problem.n,
        problem.budget,
        gradients=problem.gradients != "none",
        hessian=callable(problem.hess),
        noisy=problem.noisy,
        changing=problem.changing,
        constraints=bool(problem.constraints),
        integers=problem.integrality is not None,
        expensive=False,  # else cobyqa, of which a process can have one open run only
        bounds="all" if problem.bounded else "some" if limited else "none",
    )
    names = _read_name(found.method)
    if len(problem.starts) > 1 and not all(find(name).several_starts for name in names):
        local = "adam" if problem.changing else "slsqp" if problem.n <= 100 else "l-bfgs-b"
        why = "several starts are given, and a local method walks from all of them at once"
        return Recommendation(local, {}, why, "")
    return found


class Chosen(NamedTuple):
    """What runs, and how the loop around it goes.

    Attributes
    ----------
    name, reason
        The method or chain, and why it is that.
    algorithm
        Configured, made to fit the problem.
    callback
        Who calls the callback; see `blackbox.algorithms.Method`.
    default_budget
        Evaluations where nothing else ends the run.
    plans
        Whether it goes by the budget also where that is the default: schedules do.
    """

    name: str
    reason: str
    algorithm: Algorithm
    callback: Literal["solver", "batch"]
    default_budget: int | None
    plans: bool = False

    @property
    def constraint_tolerance(self) -> float:
        """How far a feasible point may break a constraint."""
        return float(getattr(self.algorithm, "constraint_tolerance", FEASIBILITY))


def choose_method(
    name: Any,
    problem: Problem,
    options: Mapping[str, Any] | None,
    tol: float | None,
    steady: bool = False,
) -> Chosen:
    """Return the configured algorithm and what goes with it.

    Parameters
    ----------
    name
        A method; ``"auto"``; None for scipy's rule; several names for a chain, as a sequence or
        joined by ``+``.
    problem, options, tol
        The problem; the method's options (a chain's: a mapping from each name to its options, and
        ``share`` of the budget); what sets the methods' main tolerances.
    steady
        Whether the algorithm has to be a `blackbox.types.SteadyAlgorithm`.

    Raises
    ------
    TypeError, ValueError
        If the name, an option or `tol` is not known, or the method does not fit the problem.
    """
    names, reason, settings = _read_name(name), "named by the caller", dict(options or {})
    if names == ["auto"]:
        choice = choose(_without_fixed(problem))
        if steady and not all(find(each).steady for each in _read_name(choice.method)):
            choice = _choose_steady(problem)
        names, reason, settings = (
            _read_name(choice.method),
            choice.reason,
            choice.options | settings,
        )
    rows = [find(each) for each in names]
    if steady:
        _check_steady(rows, settings)
        rows = [replace(row, constraints="penalty") for row in rows]
    free = _without_fixed(problem)
    for row in rows:
        check_fit(row, free)
    if len(rows) == 1:
        algorithm, plain = _configure(rows[0], _set_tolerance(rows[0], settings, tol), free)
        chosen = Chosen(
            rows[0].name,
            reason,
            algorithm,
            rows[0].callback if plain else "batch",
            _default_budget(rows[0], algorithm, free),
            plans="schedule" in settings,
        )
    else:
        chosen = Chosen(
            "+".join(row.name for row in rows),
            reason,
            _chain(rows, free, settings, tol),
            "batch",
            None,
            plans=any("schedule" in own for own in settings.values()),
        )
    if (problem.lower == problem.upper).all():
        return chosen._replace(algorithm=AllFixed())
    if (problem.lower == problem.upper).any():
        return chosen._replace(algorithm=Viewed(chosen.algorithm, Free))
    return chosen


STEADY_MATRICES = 200
"""Variables up to which `cma` is chosen for a steady run, with matrices; above, `sep-cma`."""


def _choose_steady(problem: Problem) -> Recommendation:
    name = "cma" if problem.n <= STEADY_MATRICES else "sep-cma"
    return Recommendation(name, {}, "steady=True asks for a method that needs no batches", "")


def _check_steady(rows: list[Method], options: Mapping[str, Any]) -> None:
    """Refuse methods, and what is put around them, that need a whole batch at a time."""
    able = ", ".join(name for name, row in ALGORITHMS.items() if row.steady)
    if len(rows) > 1 or not rows[0].steady:
        name = "+".join(row.name for row in rows)
        raise ValueError(
            f"method {name!r} goes on only when it has all values of a batch, and steady=True "
            f"tells each as it comes. These take it: {able}. Use one of them, or leave steady out"
        )
    handling = options.get("constraint_handling")
    if handling not in (None, "penalty"):
        raise ValueError(
            f"constraint_handling={handling!r} goes in rounds, and steady=True has none; take "
            "'penalty', or leave steady out"
        )
    if options.get("refine") is not None:
        raise ValueError(
            "refine takes steps from the best points of a batch, and steady=True has no batches; "
            "leave out one of them"
        )


def _read_name(name: Any) -> list[str]:
    """Names of the methods; more than one for a chain."""
    if isinstance(name, str):
        name = name.split("+") if "+" in name else [name]
    if not isinstance(name, Sequence):
        raise TypeError(f"method is a name, or several for a chain; got {name!r}")
    if not name or not all(isinstance(one, str) and one.strip() for one in name):
        raise ValueError(
            f"method={name!r} has an empty part; a chain is names, such as ['cma', 'l-bfgs-b']"
        )
    names = [one.strip().lower() for one in name]
    if len(names) > 1 and "auto" in names:
        raise ValueError(f"method={name!r}: 'auto' is no part of a chain; name a method")
    return names


def _set_tolerance(row: Method, options: Mapping[str, Any], tol: float | None) -> dict[str, Any]:
    if tol is None:
        return dict(options)
    if not row.tolerance_options:
        raise ValueError(f"method {row.name!r} has no tolerance that tol={tol!r} could set")
    return dict.fromkeys(row.tolerance_options, tol) | dict(options)


def _chain(
    rows: list[Method], problem: Problem, options: dict[str, Any], tol: float | None
) -> Chain:
    """Make a chain; its options are the parts', by name."""
    by_name: dict[str, dict[str, Any]] = {row.name: {} for row in rows}
    if len(by_name) < len(rows):
        raise ValueError(
            f"a chain names each method once, as options and shares go by name; got "
            f"{'+'.join(row.name for row in rows)!r}"
        )
    for name, given in options.items():
        row = next((row for row in rows if row is _known(name)), None)
        if row is None or not isinstance(given, Mapping):
            raise ValueError(
                f"options of a chain are a mapping for each of its methods, "
                f"{{{rows[0].name!r}: {{...}}}}; got {name!r}: {given!r:.40}"
            )
        by_name[row.name] = dict(given)
    given_shares = {name: own.pop("share") for name, own in by_name.items() if "share" in own}
    shares = _split_budget([row.name for row in rows], given_shares)
    algorithms: list[Algorithm] = []
    defaults: list[int | None] = []
    for row in rows:
        own = by_name[row.name]
        if tol is not None and row.tolerance_options:
            own = _set_tolerance(row, own, tol)
        algorithm = _configure(row, own, problem)[0]
        algorithms.append(algorithm)
        defaults.append(_default_budget(row, algorithm, problem))
    if defaults[-1] is not None and problem.budget is None:
        raise ValueError(
            f"a chain without a budget ends with a method that ends by itself, and "
            f"{rows[-1].name!r} does not; give a budget"
        )
    scheduled = by_name[rows[-1].name].get("schedule") is not None  # it knows when to end
    polishes = rows[-1].kind == "local" and not scheduled
    return Chain(tuple(algorithms), shares, polishes, tuple(defaults))


def _configure(row: Method, options: Mapping[str, Any], problem: Problem) -> tuple[Algorithm, bool]:
    """Return the algorithm, and whether nothing is around it; its options fit the problem."""
    found = assemble(row, options, problem)
    check_shapes(row.name, row.load(), options, problem.n)
    check_options_memory(row, options, problem.n)
    return found


def _known(name: Any) -> Method | None:
    try:
        return find(name)
    except (TypeError, ValueError):
        return None


def _default_budget(row: Method, algorithm: Algorithm, problem: Problem) -> int | None:
    endless = isinstance(algorithm, Restarted) and math.isinf(algorithm.restarts)
    # What acts on noise goes on as long as there is any.
    if endless or (problem.noisy and row.noise == "handled"):
        return ENDLESS
    return row.default_budget


def _split_budget(names: list[str], given: dict[str, Any]) -> tuple[float, ...]:
    """Shares of the budget: those given, and the rest in equal parts to the others.

    Where none is given, `LAST` is for the last.
    """
    if not given:
        given = {names[-1]: LAST}
    others = [name for name in names if name not in given]
    try:
        taken = sum(float(given[name]) for name in names if name in given)
        fits = all(float(share) > 0 for share in given.values())
    except (TypeError, ValueError):
        taken, fits = math.nan, False
    if not fits or not (taken < 1 if others else math.isclose(taken, 1)):
        raise ValueError(
            "share is what a method of a chain may spend of the budget: above 0, below 1, and 1 in "
            f"all; got {given}"
        )
    return tuple(
        float(given[name]) if name in given else (1 - taken) / len(others) for name in names
    )


def _without_fixed(problem: Problem) -> Problem:
    fixed = problem.lower == problem.upper
    return problem if fixed.all() or not fixed.any() else Free(problem).problem


def check_fit(row: Method, problem: Problem) -> None:
    """Refuse a problem that the method cannot take.

    Raises
    ------
    ValueError
        With what is missing, and what to do.
    """
    check_memory(row, problem.n)
    if problem.noisy and row.noise == "exact":
        warnings.warn(
            f"method {row.name!r} takes every value for exact, and noisy=True says that none is: "
            "it may stop early or walk astray. method='cma' stands noise",
            OptimizeWarning,
            stacklevel=4,
        )
    if problem.integrality is not None and row.integers == "refused":
        raise ValueError(
            f"method {row.name!r} walks on slopes, and integers have none; use method='cma' or "
            "'differential_evolution', or leave integrality out and round the result"
        )
    if problem.changing and not row.changing:
        raise ValueError(
            f"method {row.name!r} compares values of different batches, and the objective changes "
            "from batch to batch (minibatches or fresh noise). Evaluate it on the full data (a "
            "model: batch_size=None and randomness='fixed'), or use method='cma', or 'adam' where "
            "there are gradients"
        )
    if row.bounds == "required" and not problem.bounded:
        unbounded = np.flatnonzero(~(np.isfinite(problem.lower) & np.isfinite(problem.upper)))
        raise ValueError(
            f"method {row.name!r} needs finite bounds for every variable; coordinates "
            f"{unbounded[:5].tolist()} have none. Give bounds=(min, max)"
        )
    if not len(problem.starts) and not problem.bounded:
        raise ValueError("x0 is missing and bounds are not finite; give a start or a finite box")
    if len(problem.starts) > 1 and not row.several_starts:
        raise ValueError(
            f"method {row.name!r} begins at one start; x0 has {len(problem.starts)}. Give one, or "
            "call minimize once for each"
        )


def check_memory(row: Method, n: int) -> None:
    """Refuse a dimension for which the method's matrices don't fit, before they are made.

    Raises
    ------
    MemoryError
        With the estimate, and methods that hold vectors only.
    """
    need, there = row.matrices * n * n * 8, machine_memory() / 2
    if need > there:
        small = [name for name, other in ALGORITHMS.items() if not other.matrices]
        raise MemoryError(
            f"method {row.name!r} holds about {row.matrices:g} matrices of {n} x {n}, "
            f"{need / 2**30:.3g} GiB; that is more than half of this machine's memory "
            f"({there / 2**29:.3g} GiB). These hold vectors only: {', '.join(small)}"
        )


def check_options_memory(row: Method, options: Mapping[str, Any], n: int) -> None:
    """Refuse options, such as a population, that make the method hold more than fits.

    Raises
    ------
    MemoryError
        With the estimate, before anything is allocated.
    """
    known, there = {**row.options(), **options, "variables": n}, machine_memory() / 2
    for product in row.holds:
        factor, *names = product.split()
        names = [name for name in names if isinstance(known.get(name), Real)]
        need = 8 * float(factor) * math.prod(min(known[name], 1e300) for name in names)
        if need > there:
            given = [name for name in names if name != "variables"]
            values = ", ".join(f"{name}={known[name]!r:.30}" for name in given)
            raise MemoryError(
                f"method {row.name!r} holds about {' x '.join([factor, *names])} numbers: for "
                f"{values} and {n} variables {need / 2**30:.3g} GiB; that is more than half of "
                f"this machine's memory ({there / 2**29:.3g} GiB). Give a smaller "
                f"{' or '.join(given)}"
            )


def machine_memory() -> float:
    """Return the memory of this machine in bytes; 8 GiB where it can't be told."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE")) * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return 8 * 2.0**30
