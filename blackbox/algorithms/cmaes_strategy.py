"""One run of the library cma on a problem: what it samples, made fit to be asked and told."""

import math
import warnings
from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from blackbox.algorithms.cmaes_integers import (
    integer_box,
    integer_options,
    keep_integers_moving,
    rounded,
)
from blackbox.algorithms.cmaes_noise import Uncertainty
from blackbox.algorithms.cmaes_past import Prior, fit_prior
from blackbox.history import all_finite
from blackbox.types import Array, Ask, Problem, RandomStream, Stop, Told

_CONVERGED = {"ftarget", "tolx", "tolfun", "tolfunhist", "tolfunrel", "tolxstagnation"}
"""The library's termination criteria that mean that it converged."""

_HUGE = float(np.finfo(float).max)


class Descent(NamedTuple):
    """How one run of cma went.

    Attributes
    ----------
    reasons
        The library's termination criteria that were met.
    generations, evaluations
        What it took, generations that failed whole aside.
    x, fun
        Of a noisy objective: the last mean, and the average of several values there.
    spent
        Whether there was too little budget left for another generation of a noisy objective.
    """

    reasons: Mapping[str, Any]
    generations: int
    evaluations: int
    x: Array | None = None
    fun: float = np.inf
    spent: bool = False


class Strategy:
    """cma's strategy on a problem.

    Parameters
    ----------
    options
        Those of ``cma.CMAOptions`` that are set, and perhaps ``sigma0``.
    problem, rng
        What is searched, and the only source of randomness.
    start
        Shape (n,): where to begin instead of the problem's own start.
    shrink
        Factor of the first step size.

    Attributes
    ----------
    es
        The library's ``CMAEvolutionStrategy``.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        problem: Problem,
        rng: RandomStream,
        start: Array | None = None,
        shrink: float = 1.0,
    ) -> None:
        self._n, self._worst = problem.n, 0.0
        self._lower, self._upper = integer_box(problem)
        self._bounded = _has_bounds(problem)
        self._integers = problem.integrality if _has_integers(problem) else None
        wide = _widened(problem)
        if wide.n > problem.n:
            options = _widened_options(options)
        prior = _learn(options, wide) if start is None else None
        if prior is not None:
            start = prior.mean
            options = {**options, **_first_step(options, prior)}
        elif start is None:
            start = wide.start(rng)
        elif wide.n > problem.n:
            start = np.append(start, 0.5)
        sigma0, settings = _settings(options, wide, rng)
        self.es: Any = _begin(start, sigma0 * shrink, settings, options)
        if prior is not None:
            _correlate(self.es, prior.correlations)
        # In high dimension it adapts the step by two points that mirror each other; what checks
        # them draws from the global random state.
        self.es.adapt_sigma.check_consistency = _trust
        if self._integers is not None:
            keep_integers_moving(self.es, wide.integrality)
        self._solutions: list[Array] = []
        self._injected: tuple[list[Array], list[Array]] = [], []
        diagonal = options.get("CMA_diagonal", False)
        self._switches = diagonal is not True and bool(diagonal)

    def ask(self) -> Array:
        """Sample a generation: points that may be asked, shape (k, n)."""
        es = self.es
        # To ask uses up what is to be injected, and rescales it in place.
        directions = [each.copy() for each in es.pop_injection_directions]
        self._injected = directions, list(es.pop_injection_solutions)
        self._solutions = es.ask()
        return self.fit(self._solutions)

    def fit(self, solutions: list[Array]) -> Array:
        """Bring what the library sampled inside the bounds, and integers to whole numbers."""
        points: Array = np.array(solutions)[:, : self._n]
        if self._integers is not None:
            return rounded(points, self._integers, self._lower, self._upper)
        if self._bounded:
            # The library's transformation can miss a bound by a rounding error.
            points = np.clip(points, self._lower, self._upper)
        return points

    def widen(self, points: Array) -> Array:
        """Return points, (k, n), as the library has them: of one variable it needs two."""
        return points if self._n > 1 else np.column_stack([points, np.full(len(points), 0.5)])

    def settle(self, values: Array) -> Array:
        """Put a value worse than all before in the place of failures.

        Ranks are all that matters; but inf - inf would poison the stopping rules.
        """
        if all_finite(values):
            return values
        finite = np.isfinite(values)
        worst = max(self._worst, float(np.max(values, where=finite, initial=-np.inf)))
        self._worst = worst
        return np.where(finite, values, min(worst + abs(worst) + 1, _HUGE))

    def tell(self, values: Array, points: Array | None = None) -> None:
        """Take in the values, (k,), of the generation asked last; `points` where some were moved.

        The library shortens a step that its distribution would hardly have drawn (Hansen, N.
        (2011), Injecting external solutions into CMA-ES, arXiv:1110.4181).

        A generation that failed whole teaches nothing: the next one is drawn from the same
        distribution, and no stopping rule looks at it. Whoever asks limits failures in a row.
        """
        if values.min() == np.inf:
            self._forget()
            return
        if points is not None:
            self._move(points)
        self.learn(self._solutions, values)

    def sample(self) -> tuple[Array, Array]:
        """Draw one solution, from the distribution as it is; return it, and the point to ask."""
        [solution] = self.es.ask(1)
        return solution, self.fit([solution])[0]

    def learn(self, solutions: list[Array], values: Array, old: Sequence[int] = ()) -> None:
        """Update the distribution by solutions, popsize of them, and their values, (popsize,).

        Those at the places `old` were drawn from an earlier distribution: where this one would
        hardly have drawn them, their steps are shortened as those of points that were moved.
        """
        self.es.tell(solutions, self.settle(values).tolist(), check_points=list(old) or None)
        if self._switches:
            # The sampler for all n x n that comes now would draw from the global random state.
            self.es.sm.randn = self.es.opts["randn"]

    def _forget(self) -> None:
        """Let the library be as if the generation asked last had not been asked."""
        es = self.es
        es.pop_injection_directions, es.pop_injection_solutions = self._injected
        es.number_of_solutions_asked = es.number_of_injections_delivered = 0
        es._injected_solutions_archive.clear()

    def _move(self, points: Array) -> None:
        """Put points, (k, n), in the place of those asked, where they are others.

        Not in that of the two by which the step size is adapted, where there are such.
        """
        moved = (points != self.fit(self._solutions)).any(axis=1)
        moved[: 2 if self.es.mean_shift_samples else 0] = False
        for i in np.flatnonzero(moved):
            self._solutions[i] = np.append(points[i], self._solutions[i][self._n :])

    @property
    def mean(self) -> Array:
        """Where the distribution is centred, (n,), as a point that may be asked."""
        es = self.es
        centre = es.gp.pheno(es.mean, into_bounds=es.boundary_handler.repair)
        return self.fit([centre]).ravel()

    @property
    def solutions(self) -> list[Array]:
        """The generation asked last, as the library sampled it."""
        return self._solutions


def _trust(es: Any) -> None:
    """Check nothing."""


def descend(
    strategy: Strategy, uncertainty: Uncertainty | None = None
) -> Generator[Ask, Told, Descent]:
    """Run a strategy until the library stops it; for ``yield from``."""
    es = strategy.es
    if uncertainty is not None:
        return (yield from _descend_in_noise(strategy, uncertainty))
    while not (reasons := es.stop()):
        told = yield Ask(strategy.ask())
        strategy.tell(told.values, told.points)
    return Descent(dict(reasons), es.countiter, es.countevals)


def _descend_in_noise(
    strategy: Strategy, uncertainty: Uncertainty
) -> Generator[Ask, Told, Descent]:
    es, before = strategy.es, uncertainty.spent
    while not (reasons := es.stop()):
        if uncertainty.spent > before and not uncertainty.affords(es.popsize):
            break
        strategy.tell((yield from uncertainty.evaluate(strategy.ask())))
        es.sigma *= uncertainty.widening
    x, spent = strategy.mean, not reasons
    value = yield from uncertainty.evaluate_end(x, spent)
    evaluations = uncertainty.spent - before
    return Descent(dict(reasons), es.countiter, evaluations, x, value, spent)


def conclude(descents: list[Descent], budget: int | None) -> Stop:
    """Say why the last of some runs ended; of a noisy objective, give the best end point."""
    last = descents[-1]
    text = ", ".join(
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in last.reasons.items()
    )
    reason = f"cma stopped: {text}"
    if len(descents) > 1:
        reason += f" (run {len(descents)})"
    if last.spent:
        reason = f"the budget of {budget} evaluations is spent; raise budget= to go on"
    extras: dict[str, Any] = {
        "nit": sum(descent.generations for descent in descents),
        "stop": dict(last.reasons),
    }
    if last.x is not None:
        best = min(descents, key=lambda descent: descent.fun)
        extras |= {"x": best.x, "fun": best.fun}
    return Stop(reason, bool(_CONVERGED & set(last.reasons)), int(last.spent), extras)


def first_stds(options: Mapping[str, Any], problem: Problem) -> Array:
    """Standard deviations, (n,), of the first generation."""
    sigma0, stds = _step(options, problem)
    return np.broadcast_to(sigma0 * stds, problem.n)


def _begin(
    start: Array, sigma0: float, settings: dict[str, Any], options: Mapping[str, Any]
) -> Any:
    """Return the library's strategy; name the options where it refuses one of them."""
    with warnings.catch_warnings():  # the library adds a filter, and one in each strategy
        import cma

        try:
            es = cma.CMAEvolutionStrategy(start, sigma0, settings)
            if es.sp.weights.mu > es.popsize:
                raise ValueError(f"more parents than the population of {es.popsize}")
            if (es.opts["updatecovwait"] or 0) > len(start):
                raise ValueError("updatecovwait above n makes its covariance matrix break down")
            if hasattr(es.sigma_vec, "parameters"):  # else it looks at these after a generation
                factors = es.opts["CMA_rankone"], es.opts["CMA_rankmu"]
                es.sigma_vec.parameters(es.sp.weights.mueff, *factors)
        except (ArithmeticError, AssertionError, LookupError, TypeError, ValueError) as error:
            given = {name: value for name, value in options.items() if value is not None}
            raise ValueError(f"the library cma refuses {given}: {error!r:.200}") from error
    return es


def _learn(options: Mapping[str, Any], problem: Problem) -> Prior | None:
    """What the points say that are known beforehand."""
    if problem.past is None:
        return None
    return fit_prior(problem.past.points, first_stds(options, problem))


def _first_step(options: Mapping[str, Any], prior: Prior) -> dict[str, Any]:
    """The first step size and its factors, unless the user gave one of them."""
    if not options.keys().isdisjoint({"sigma0", "CMA_stds"}):
        return {}
    sigma0 = float(np.exp(np.log(prior.stds).mean()))
    return {"sigma0": sigma0, "CMA_stds": prior.stds / sigma0}


def _correlate(es: Any, correlations: Array) -> None:
    """Begin with these correlations, where the library's sampler has any."""
    with warnings.catch_warnings():  # the library adds a filter of its own
        from cma.sampler import GaussFullSampler

    if isinstance(es.sm, GaussFullSampler):
        n = len(correlations)
        root = np.linalg.cholesky(correlations)
        # An update by weights that sum to 1 puts the vectors' own covariance in place.
        es.sm.update(list(math.sqrt(n) * root.T), np.full(n, 1 / n))
        es.sm.update_now(-1)


def _settings(
    options: Mapping[str, Any], problem: Problem, rng: RandomStream
) -> tuple[float, dict[str, Any]]:
    settings = {name: value for name, value in options.items() if name != "sigma0"}
    sigma0, stds = _step(options, problem)
    if np.ndim(stds) or "CMA_stds" in settings:
        settings["CMA_stds"] = np.broadcast_to(stds, problem.n).copy()
    if _has_integers(problem):
        settings |= integer_options(problem, settings)
    if _has_bounds(problem):
        lower, upper = integer_box(problem, margin=0.5)
        settings["bounds"] = [_side(lower), _side(upper)]

    def randn(*shape: int) -> Array:
        return rng.standard_normal(shape)

    if isinstance(settings.get("CMA_sampler"), type):
        settings["CMA_sampler_options"] = {
            "randn": randn,
            **settings.get("CMA_sampler_options", {}),
        }
    settings |= {
        # Our stream, nothing global, no files written or read, no output.
        "randn": randn,
        "seed": np.nan,
        "verbose": -10,
        "verb_log": 0,
        "signals_filename": "",
    }
    return sigma0, settings


def _step(options: Mapping[str, Any], problem: Problem) -> tuple[float, Any]:
    """The first step size, and its factor for each coordinate."""
    stds, sigma0 = options.get("CMA_stds", 1.0), options.get("sigma0")
    if sigma0 is not None:
        return sigma0, stds
    if not problem.bounded:
        return 0.5, stds
    lower, upper = integer_box(problem, margin=0.5)
    width = upper - lower
    return 0.3, options.get("CMA_stds", np.where(width > 0, width, 1.0))


def _widened(problem: Problem) -> Problem:
    """Give a problem of one variable a second that counts for nothing: cma needs two."""
    if problem.n > 1:
        return problem
    past = problem.past
    if past is not None:
        past = past._replace(points=np.column_stack([past.points, np.full(len(past.points), 0.5)]))
    low, high = (0.0, 1.0) if problem.bounded else (-np.inf, np.inf)
    starts = np.column_stack([problem.starts, np.full(len(problem.starts), 0.5)])
    lower, upper = np.append(problem.lower, low), np.append(problem.upper, high)
    integers = problem.integrality
    if integers is not None:
        integers = np.append(integers, False)
    return replace(
        problem, lower=lower, upper=upper, starts=starts, integrality=integers, past=past
    )


def _widened_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Give options that hold a number for each variable one for the second, too."""
    usual = {"CMA_stds": 1.0, "minstd": 0.0, "maxstd": np.inf}
    given = {name: options[name] for name in usual if np.ndim(options.get(name, 0.0))}
    return {**options, **{name: np.append(each, usual[name]) for name, each in given.items()}}


def _has_integers(problem: Problem) -> bool:
    return problem.integrality is not None and bool(problem.integrality.any())


def _has_bounds(problem: Problem) -> bool:
    return bool(np.isfinite(problem.lower).any() or np.isfinite(problem.upper).any())


def _side(bound: Array) -> list[float | None]:
    return [float(b) if np.isfinite(b) else None for b in bound]
