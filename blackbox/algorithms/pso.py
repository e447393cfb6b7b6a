"""Particle swarm optimization, pyswarm's rule on whole-swarm arrays.

Kennedy, J., Eberhart, R. (1995), Particle swarm optimization, ICNN'95; inertia weight by Shi and
Eberhart (1998). Parameters, stopping rules and the order of random draws are those of the library
pyswarm, 1.1 (``updating="deferred"``) and 0.6 (``updating="immediate"``).
"""

from collections import deque
from dataclasses import dataclass
from typing import Literal

import numpy as np

from blackbox.types import Array, Ask, Problem, Proposal, RandomStream, Run, Steady, Stop


@dataclass(frozen=True)
class Swarm:
    """The options of a global-best particle swarm, by pyswarm's names and defaults.

    Attributes
    ----------
    swarmsize
        Particles, at least 2.
    omega, phip, phig
        Weights of the velocity, of a particle's own best and of the swarm's best.
    maxiter
        Iterations after the first swarm.
    minstep, minfunc
        Stop when an improvement moves the swarm's best by no more than this, or lowers its value
        by no more than this. Negative: never.
    patience
        Stop after this many iterations without improvement; 0: never.
    """

    swarmsize: int = 100
    omega: float = 0.5
    phip: float = 0.5
    phig: float = 0.5
    maxiter: int = 100
    minstep: float = 1e-8
    minfunc: float = 1e-8
    patience: int = 0

    def __post_init__(self) -> None:
        if self.swarmsize < 2:
            raise ValueError(
                f"swarmsize={self.swarmsize} is below the minimum of 2: a lone particle has no "
                "swarm to learn from"
            )
        if self.maxiter < 1:
            raise ValueError(f"maxiter must be at least 1; got {self.maxiter}")

    def first(self, problem: Problem, rng: RandomStream) -> Array:
        """Draw positions in the box; starts that were given take the place of the first ones.

        Of what is known beforehand, the best points take up to half of them.

        Raises
        ------
        ValueError
            If more starts are given than there are particles.
        """
        if len(problem.starts) > self.swarmsize:
            raise ValueError(
                f"x0 has {len(problem.starts)} starts for swarmsize={self.swarmsize} particles; "
                "give fewer, or a larger swarmsize"
            )
        x: Array = problem.lower + rng.random((self.swarmsize, problem.n)) * (
            problem.upper - problem.lower
        )
        x[: len(problem.starts)] = problem.starts
        if problem.past is not None:
            known = problem.past.points[: self.swarmsize // 2]
            x[: len(known)] = known
        return x

    def known(self, problem: Problem) -> Array:
        """Return the values of the first positions that are known beforehand, (k,)."""
        past = problem.past
        if past is None or past.values is None:
            return np.empty(0)
        return past.values[: self.swarmsize // 2]


@dataclass(frozen=True)
class PSO(Swarm):
    """Particle swarm on whole-swarm arrays.

    Attributes
    ----------
    updating
        ``"deferred"`` moves the whole swarm at once, one batch an iteration; ``"immediate"`` moves
        particle by particle, each seeing the best found a moment before.
    """

    updating: Literal["deferred", "immediate"] = "deferred"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.updating not in ("deferred", "immediate"):
            raise ValueError(f"updating is 'deferred' or 'immediate'; got {self.updating!r}")

    def run(self, problem: Problem, rng: RandomStream) -> Run:
        """Start a run."""
        move = self._deferred if self.updating == "deferred" else self._immediate
        return move(problem, rng)

    def steady(self, problem: Problem, rng: RandomStream, width: int) -> Steady:
        """Start a steady run: a particle moves as soon as its own value has come.

        Koh, B., George, A. D., Haftka, R. T., Fregly, B. J. (2006), Parallel asynchronous particle
        swarm optimization, International Journal for Numerical Methods in Engineering 67, 578-595.
        One evaluation at a time, it is ``updating="immediate"``.
        """
        return _SteadySwarm(self, problem, rng)

    def _deferred(self, problem: Problem, rng: RandomStream) -> Run:
        lower, upper = problem.lower, problem.upper
        shape, width = (self.swarmsize, problem.n), upper - lower
        x = self.first(problem, rng)
        v = rng.uniform(-width, width, shape)
        p, known = x.copy(), self.known(problem)
        fp = np.append(known, (yield Ask(x[len(known) :].copy())).values)
        best = _Best(self, p, fp)
        for iteration in range(self.maxiter):
            noise_p, noise_g = rng.random(shape), rng.random(shape)
            v = self.omega * v + self.phip * noise_p * (p - x) + self.phig * noise_g * (best.x - x)
            x = np.minimum(np.maximum(x + v, lower), upper)
            values = (yield Ask(x.copy())).values
            better = values < fp
            p, fp = np.where(better[:, None], x, p), np.where(better, values, fp)
            leader = int(fp.argmin())
            if stop := best.update(p[leader], float(fp[leader]), iteration):
                return stop
        return best.ended()

    def _immediate(self, problem: Problem, rng: RandomStream) -> Run:
        lower, upper = problem.lower, problem.upper
        shape, width = (self.swarmsize, problem.n), upper - lower
        x = self.first(problem, rng)
        v = np.array([-width + rng.random(problem.n) * (width + width) for _ in x])
        p, known = x.copy(), self.known(problem)
        fp = np.append(known, (yield Ask(x[len(known) :].copy())).values)
        best = _Best(self, p, fp)
        for iteration in range(self.maxiter):
            noise_p, noise_g = rng.random(shape), rng.random(shape)
            improved = False
            for i in range(self.swarmsize):
                v[i] = (
                    self.omega * v[i]
                    + self.phip * noise_p[i] * (p[i] - x[i])
                    + self.phig * noise_g[i] * (best.x - x[i])
                )
                x[i] = np.minimum(np.maximum(x[i] + v[i], lower), upper)
                value = float((yield Ask(x[i : i + 1].copy())).values[0])
                if value < fp[i]:
                    p[i], fp[i] = x[i], value
                    improved |= value < best.value
                    if stop := best.move(p[i], value, iteration):
                        return stop
            if stop := best.wait(improved, iteration):
                return stop
        return best.ended()


class _SteadySwarm:
    """A swarm whose particles move one by one, in the order in which their values come."""

    def __init__(self, options: PSO, problem: Problem, rng: RandomStream) -> None:
        self._options, self._rng = options, rng
        self._lower, self._upper = problem.lower, problem.upper
        self._x = options.first(problem, rng)
        width = problem.upper - problem.lower
        self._v = np.array([-width + rng.random(problem.n) * (width + width) for _ in self._x])
        self._p, self._fp = self._x.copy(), np.full(len(self._x), np.inf)
        known = options.known(problem)
        self._fp[: len(known)] = known
        self._best = _Best(options, self._p, self._fp)
        self._idle = deque(range(len(self._x)))
        self._idle.rotate(-len(known))  # these have waited least
        self._proposed = self._accepted = len(known)
        self._improved = False

    def propose(self) -> Proposal | Stop:
        """Move the particle that has waited longest; at first, all are where they were drawn."""
        iteration, nth = divmod(self._proposed, len(self._x))
        if iteration > self._options.maxiter:
            return self._best.ended()
        self._proposed += 1
        # With more points under way than particles, one moves on before its value has come.
        i = self._idle.popleft() if self._idle else nth
        if iteration:
            if nth == 0:
                self._noise = self._rng.random(self._x.shape), self._rng.random(self._x.shape)
            self._move(i, self._noise[0][nth], self._noise[1][nth])
        return Proposal(self._x[i].copy(), i)

    def accept(self, proposal: Proposal, value: float) -> Stop | None:
        """Take in a particle's value, and let it move."""
        i = proposal.origin
        self._idle.append(i)
        iteration, nth = divmod(self._accepted, len(self._x))
        self._accepted += 1
        stop, better = None, value < self._best.value
        if value < self._fp[i]:
            self._p[i], self._fp[i] = proposal.x, value
            if iteration:
                stop = self._best.move(proposal.x, value, iteration - 1)
            elif better:
                self._best.x, self._best.value = proposal.x, value
        self._improved |= better
        if stop is None and nth == len(self._x) - 1:
            if iteration:
                stop = self._best.wait(self._improved, iteration - 1)
            self._improved = False
        return stop

    def _move(self, i: int, noise_p: Array, noise_g: Array) -> None:
        options, x = self._options, self._x[i]
        self._v[i] = (
            options.omega * self._v[i]
            + options.phip * noise_p * (self._p[i] - x)
            + options.phig * noise_g * (self._best.x - x)
        )
        self._x[i] = np.minimum(np.maximum(x + self._v[i], self._lower), self._upper)


class _Best:
    """The swarm's best, and the stopping rules that watch it."""

    def __init__(self, options: Swarm, p: Array, fp: Array) -> None:
        self._options, self._idle = options, 0
        leader = int(fp.argmin())
        self.x, self.value = p[leader].copy(), float(fp[leader])

    def update(self, x: Array, value: float, iteration: int) -> Stop | None:
        """Take in an iteration's leader."""
        improved = value < self.value
        return self.move(x, value, iteration) or self.wait(improved, iteration)

    def move(self, x: Array, value: float, iteration: int) -> Stop | None:
        """Take in a better point; say whether it was hardly better."""
        if not value < self.value:
            return None
        gain, step = abs(self.value - value), float(np.sqrt(np.sum((self.x - x) ** 2)))
        self.x, self.value = x.copy(), value
        if gain <= self._options.minfunc:
            return self._stop("the swarm's best improved by no more than minfunc", iteration)
        if step <= self._options.minstep:
            return self._stop("the swarm's best moved by no more than minstep", iteration)
        return None

    def wait(self, improved: bool, iteration: int) -> Stop | None:
        """Count iterations without improvement."""
        self._idle = 0 if improved else self._idle + 1
        if 0 < self._options.patience <= self._idle:
            return self._stop(f"no improvement for {self._idle} iterations (patience)", iteration)
        return None

    def ended(self) -> Stop:
        maxiter = self._options.maxiter
        reason = f"maxiter={maxiter} iterations are done; raise it to go on"
        return Stop(reason, success=False, status=2, extras={"nit": maxiter})

    @staticmethod
    def _stop(reason: str, iteration: int) -> Stop:
        return Stop(reason, success=True, extras={"nit": iteration + 1})
