"""CMA-ES by the library cma: one batch a generation.

Hansen, N. (2016), The CMA evolution strategy: a tutorial, arXiv:1604.00772.
"""

import warnings
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from blackbox.history import all_finite
from blackbox.types import Array, Ask, Problem, RandomStream, Run, Stop

_CONVERGED = {"ftarget", "tolx", "tolfun", "tolfunhist", "tolfunrel", "tolxstagnation"}
"""The library's termination criteria that mean that it converged."""

_HUGE = float(np.finfo(float).max)


@dataclass(frozen=True)
class CMA:
    """Covariance matrix adaptation evolution strategy.

    `sigma0` is the initial step size, in the units of x. By default it is 0.3 of the box in each
    coordinate where every bound is finite, and 0.5 elsewhere. All other options are those of
    ``cma.CMAOptions`` with its defaults; None leaves the default to the library. Left out are those
    that are `minimize`'s own business (bounds, budget, time, seed, output, fixed variables) and
    ``integer_variables``, which draws from the global random state; as two-point adaptation does,
    so that `AdaptSigma` is True or False only.
    """

    sigma0: float | None = None
    popsize: int | None = None
    maxiter: float | None = None
    AdaptSigma: bool | None = None
    BoundaryHandler: Any = None
    CMA_active: bool | None = None
    CMA_const_trace: bool | str | None = None
    CMA_dampsvec_fac: float | None = None
    CMA_dampsvec_fade: float | None = None
    CMA_cmean: float | None = None
    CMA_diagonal: bool | float | None = None
    CMA_diagonal_decoding: float | None = None
    CMA_eigenmethod: Any = None
    CMA_elitist: bool | str | None = None
    CMA_mirrormethod: int | None = None
    CMA_mirrors: float | None = None
    CMA_mu: int | None = None
    CMA_on: float | None = None
    CMA_rankmu: float | None = None
    CMA_rankone: float | None = None
    CMA_recombination_weights: Any = None
    CMA_sampler: Any = None
    CMA_sampler_options: dict[str, Any] | None = None
    CMA_stds: Any = None
    CMA_teststds: Any = None
    CSA_clip_length_value: Any = None
    CSA_damp_mueff_exponent: float | None = None
    CSA_dampfac: float | None = None
    CSA_disregard_length: bool | None = None
    CSA_invariant_path: bool | None = None
    CSA_squared: bool | None = None
    conditioncov_alleviate: Any = None
    ftarget: float | None = None
    maxstd: Any = None
    maxstd_boundrange: Any = None
    mean_shift_line_samples: bool | None = None
    mindx: float | None = None
    minstd: Any = None
    pc_line_samples: bool | None = None
    popsize_factor: float | None = None
    stall_sigma_change_on_divergence_iterations: int | None = None
    tolconditioncov: float | None = None
    tolfacupx: float | None = None
    tolflatfitness: int | None = None
    tolfun: float | None = None
    tolfunhist: float | None = None
    tolfunrel: float | None = None
    tolstagnation: int | None = None
    tolupsigma: float | None = None
    tolx: float | None = None
    tolxstagnation: Any = None
    updatecovwait: int | None = None

    def __post_init__(self) -> None:
        if self.popsize is not None and self.popsize < 2:
            raise ValueError(f"popsize={self.popsize} is below the minimum of 2")
        if self.AdaptSigma not in (None, True, False):
            raise ValueError(f"AdaptSigma must be True, False or None; got {self.AdaptSigma!r}")
        if self.sigma0 is not None and not (np.isfinite(self.sigma0) and self.sigma0 > 0):
            raise ValueError(f"sigma0 must be above 0 and finite; got {self.sigma0}")

    def run(self, problem: Problem, rng: RandomStream) -> Run:
        """Start a run."""
        with warnings.catch_warnings():  # the library adds a filter of its own
            import cma

        start, sigma0, options = self._settings(_widened(problem), rng)
        es = cma.CMAEvolutionStrategy(start, sigma0, options)
        bounded = bool(np.isfinite(problem.lower).any() or np.isfinite(problem.upper).any())
        worst = 0.0
        while not (reasons := es.stop()):
            solutions = es.ask()
            points = np.array(solutions)[:, : problem.n]
            if bounded:
                # The library's transformation can miss a bound by a rounding error.
                points = np.clip(points, problem.lower, problem.upper)
            values = (yield Ask(points)).values
            if not all_finite(values):
                # Ranks are all that matters; but inf - inf would poison the stopping rules.
                finite = np.isfinite(values)
                worst = max(worst, float(np.max(values, where=finite, initial=-np.inf)))
                values = np.where(finite, values, min(worst + abs(worst) + 1, _HUGE))
            es.tell(solutions, values.tolist())
        return _stop(reasons, es.countiter)

    def _settings(self, problem: Problem, rng: RandomStream) -> tuple[Array, float, dict[str, Any]]:
        options = {
            f.name: value
            for f in fields(self)
            if f.name != "sigma0" and (value := getattr(self, f.name)) is not None
        }
        sigma0 = 0.5 if self.sigma0 is None else self.sigma0
        if self.sigma0 is None and problem.bounded:
            sigma0 = 0.3
            width = problem.upper - problem.lower
            options.setdefault("CMA_stds", np.where(width > 0, width, 1.0))
        if np.isfinite(problem.lower).any() or np.isfinite(problem.upper).any():
            options["bounds"] = [_side(problem.lower), _side(problem.upper)]
        options |= {
            # Our stream, nothing global, no files written or read, no output.
            "randn": lambda *shape: rng.standard_normal(shape),
            "seed": np.nan,
            "verbose": -10,
            "verb_log": 0,
            "signals_filename": "",
        }
        return problem.start(rng), sigma0, options


def _widened(problem: Problem) -> Problem:
    """Give a problem of one variable a second that counts for nothing: cma needs two."""
    if problem.n > 1:
        return problem
    low, high = (0.0, 1.0) if problem.bounded else (-np.inf, np.inf)
    starts = np.column_stack([problem.starts, np.full(len(problem.starts), 0.5)])
    lower, upper = np.append(problem.lower, low), np.append(problem.upper, high)
    return replace(problem, lower=lower, upper=upper, starts=starts)


def _side(bound: Array) -> list[float | None]:
    return [float(b) if np.isfinite(b) else None for b in bound]


def _stop(reasons: dict[str, Any], generations: int) -> Stop:
    text = ", ".join(
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in reasons.items()
    )
    return Stop(
        f"cma stopped: {text}",
        success=bool(_CONVERGED & set(reasons)),
        extras={"nit": generations, "stop": dict(reasons)},
    )
