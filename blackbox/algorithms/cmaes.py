"""CMA-ES by the library cma: one batch a generation.

Hansen, N. (2016), The CMA evolution strategy: a tutorial, arXiv:1604.00772.
"""

import warnings
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import numpy as np

from blackbox.algorithms.cmaes_noise import make_uncertainty
from blackbox.algorithms.cmaes_steady import SteadyStrategy
from blackbox.algorithms.cmaes_strategy import Strategy, conclude, descend
from blackbox.types import Problem, RandomStream, Run, Steady

_OURS = {"restarts", "incpopsize"}
"""Fields of kinds of CMA-ES that are no options of ``cma.CMAOptions``."""

_TINY = 1e-12


@dataclass(frozen=True)
class CMA:
    """Covariance matrix adaptation evolution strategy.

    `sigma0` is the initial step size, in the units of x. By default it is 0.3 of the box in each
    coordinate where every bound is finite, and 0.5 elsewhere. All other options are those of
    ``cma.CMAOptions`` with its defaults; None leaves the default to the library. Left out are those
    that are `minimize`'s own business (bounds, budget, time, seed, output, fixed and integer
    variables). Two-point adaptation draws from the global random state, so that `AdaptSigma` is
    True or False only. Active CMA, which learns from bad points too, is the library's default.

    Integers are rounded when asked, and kept from freezing (see `cmaes_integers`). Where the
    objective is noisy, some points are evaluated again, and as ranks change steps are lengthened
    and several evaluations averaged (see `cmaes_noise`); the result's ``x`` is then the last mean.
    """

    takes_moved: ClassVar[bool] = True
    """Whether it may be told other points than it asked."""

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
        strategy = Strategy(self.given(), problem, rng)
        descent = yield from descend(strategy, make_uncertainty(problem, rng))
        return conclude([descent], problem.budget)

    def steady(self, problem: Problem, rng: RandomStream, width: int) -> Steady:
        """Start a steady run: an update for each `popsize` values, whichever came.

        By default a population is at least `width` points.
        """
        return SteadyStrategy(self.given(), problem, rng, width)

    def given(self) -> dict[str, Any]:
        """Return ``sigma0`` and the options of ``cma.CMAOptions`` that are set."""
        return {
            f.name: value
            for f in fields(self)
            if f.name not in _OURS and (value := getattr(self, f.name)) is not None
        }


@dataclass(frozen=True)
class SepCMA(CMA):
    """CMA-ES that learns variances alone: time and memory grow as n does.

    Ros, R., Hansen, N. (2008), A simple modification in CMA-ES achieving linear time and space
    complexity, PPSN, 296-305. Options are those of `CMA`, with another default of `CMA_diagonal`.
    """

    CMA_diagonal: bool | float | None = True


@dataclass(frozen=True)
class VkdCMA(CMA):
    """CMA-ES with variances and a few directions beside them, as many as the problem needs.

    Akimoto, Y., Hansen, N. (2016), Projection-based restricted covariance matrix adaptation for
    high dimension, GECCO, 197-204, and Online model selection for restricted covariance matrix
    adaptation, PPSN, 3-13.

    Options are those of `CMA`; `CMA_sampler_options` those of ``cma``'s ``GaussVkDSampler``
    (``kadapt``, ``k_init``, ``kmax`` ...). It brings its own sampler and step-size rule, so that
    `AdaptSigma`, `CMA_active`, `CMA_diagonal` and `CMA_sampler` stay as they are. With a `popsize`
    below 4, which has a single parent, it learns variances alone. Integers are not its own affair:
    a floor under their deviations would hide from its step-size rule what it looks for.
    """

    takes_moved: ClassVar[bool] = False  # its step-size rule goes by two of the points it asked

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("AdaptSigma", "CMA_active", "CMA_diagonal", "CMA_sampler"):
            if getattr(self, name) is not None:
                raise ValueError(
                    f"{name} is set by vkd-cma itself; got {getattr(self, name)!r}. Leave it out, "
                    "or use method='cma'"
                )

    def run(self, problem: Problem, rng: RandomStream) -> Run:
        """Start a run."""
        return super().run(replace(problem, integrality=None), rng)

    def given(self) -> dict[str, Any]:
        """Return the options that are set, and the sampler's."""
        own: dict[str, Any] = {"AdaptSigma": False, "CMA_active": False}
        own["CMA_sampler"] = _vkd_sampler()
        if self.popsize is not None and self.popsize < 4:
            own["CMA_sampler_options"] = {**(self.CMA_sampler_options or {}), "kadapt": False}
        return super().given() | own


def _vkd_sampler() -> type:
    """Return the library's sampler, made to stand a single parent."""
    with warnings.catch_warnings():  # the library adds a filter of its own
        from cma.restricted_gaussian_sampler import GaussVkDSampler

    class Sampler(GaussVkDSampler):
        def parameters(self, mueff: float | None = None, **_: Any) -> dict[str, float]:
            found = super().parameters(mueff)
            # Weights are scaled by this and back: of 0 nothing comes back.
            return {**found, "cmu": max(found["cmu"], _TINY)}

    return Sampler
