"""One run of one method, driven from outside by `ask` and `tell`."""

import copy
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from blackbox.budget import Budget, Halt, doubt
from blackbox.choice import choose_method
from blackbox.constraints import measure_violation
from blackbox.evaluation import settle
from blackbox.header import make_header, read_recipe, same_seed
from blackbox.history import History, all_finite
from blackbox.journal import Journal
from blackbox.lines import JournalError, digest
from blackbox.problem import make_problem, make_random
from blackbox.returned import as_told
from blackbox.types import Array, Ask, Problem, RandomStream, Run, Stop, Told
from blackbox.warm_start import WarmStart, read_past

REPLAY_LIMIT = 1 << 26
"""Bytes of told values and gradients kept for pickling; past them a run is not picklable."""


class _Recipe(NamedTuple):
    """All that makes a run again, but for the values it is told."""

    method: str | Sequence[str]
    options: dict[str, Any]
    problem: Problem
    limits: Budget
    rng: RandomStream


class Optimizer:
    """Ask for a batch of points, tell their values, until the run stops.

    Parameters
    ----------
    method
        A name of `blackbox.ALGORITHMS`, ``"auto"``, or several names for a chain.
    x0
        The start, (n,), or several, (k, n), where the method takes them. None: drawn in `bounds`.
    bounds, constraints, noisy, integrality, hess, hessp
        As `minimize` takes them.
    gradients
        Whether you will tell gradients where `wants_gradients` says so; else methods that need
        them ask for finite differences.
    dtype
        The precision in which your objective computes: `adam` walks in it, and steps of finite
        differences are made for it. Points are float64 in any case.
    budget
        Evaluations after which the run stops; None: when the method stops by itself, if it does.
    seed
        An int, a numpy `Generator` or a `RandomState`; None for a fresh one.
    journal
        A file to which everything that is told is written first. Where it is there already, the run
        goes on from it: made again with the same arguments, or by `restore`.
    warm_start
        What is known already, instead of `x0`: as `minimize` takes it.
    **options
        The method's options.

    Raises
    ------
    TypeError, ValueError
        For arguments that make no sense; they are named.

    Notes
    -----
    Pickling writes the recipe and what was told; unpickling tells it again. So a run keeps each
    value (8 bytes) and gradient it was told, up to 64 MiB; past that it can't be pickled.

    All values count as they are told. Where you score each batch on another minibatch, take a
    method that compares within a batch (`cma`, `adam`, `random`), and settle yourself what is best.

    Examples
    --------
    >>> from blackbox import Optimizer
    >>> with Optimizer("cma", [0.0, 0.0], bounds=(-5, 5), seed=0) as opt:
    ...     while not opt.stopped:
    ...         X = opt.ask()
    ...         opt.tell(((X - 1) ** 2).sum(axis=1))
    >>> bool(opt.best_value < 1e-8)
    True
    """

    def __init__(
        self,
        method: str | Sequence[str] = "auto",
        x0: ArrayLike | None = None,
        *,
        bounds: Any = None,
        constraints: Any = (),
        gradients: bool = False,
        dtype: DTypeLike = np.float64,
        budget: int | None = None,
        seed: int | RandomStream | None = None,
        noisy: bool = False,
        integrality: Any = None,
        hess: Any = None,
        hessp: Any = None,
        journal: str | os.PathLike[str] | None = None,
        warm_start: WarmStart | None = None,
        **options: Any,
    ) -> None:
        limits = Budget(budget)
        problem = make_problem(
            x0,
            bounds,
            constraints,
            gradients="joint" if gradients else "none",
            dtype=dtype,
            budget=budget,
            noisy=noisy,
            integrality=integrality,
            hess=hess,
            hessp=hessp,
            past=None if warm_start is None else read_past(warm_start, journal),
        )
        self._journal = None if journal is None else Journal(journal)
        try:
            there = None if self._journal is None else self._journal.header
            rng, kept = make_random(same_seed(there, seed))
            self._recipe = _Recipe(method, options, problem, limits, copy.deepcopy(rng))
            self._begin(rng)
            if self._journal is not None:
                self._journal.begin(make_header(self.method, options, problem, kept))
                self._replay(self._journal)
        except BaseException:
            self.close()
            raise

    @classmethod
    def restore(cls, journal: str | os.PathLike[str]) -> "Optimizer":
        """Return the run of a journal, where it was; it goes on writing there.

        Raises
        ------
        JournalError
            If the file can't be used, or makes no sense; or if the run is made of what no file
            holds (constraints, a Hessian, functions among the options, a generator as its seed,
            very many variables): then make it with the same arguments, ``journal=`` among them.

        Notes
        -----
        A journal holds gradients up to 64 MiB. Past them the run asks again for what it was told,
        so that its gradients are computed again; values are those of the journal.
        """
        recipe = read_recipe(journal)
        try:
            return cls(**recipe, journal=journal)
        except (TypeError, ValueError) as error:  # what a stranger wrote
            raise JournalError(f"{journal}, line 1 makes no sense: {error}") from error

    def _replay(self, journal: Journal) -> None:
        """Tell what a journal holds, as far as it holds all that is asked."""
        while (past := journal.peek()) is not None and self._pending is not None:
            if past.kind not in ("values", "gradients"):
                raise JournalError(
                    f"{journal.path} is of a run of minimize, which evaluated more than an "
                    f"Optimizer asks ({past.kind!r}): make that call again, with its arguments"
                )
            if past.gradients is None and self._pending.gradients:
                break
            self.history.hold_clock(past.seconds)
            self._receive(self._recall(journal, Told(past.values, past.gradients)))
        self.history.let_clock_go()

    def _recall(self, journal: Journal, told: Told) -> Told:
        """Hold a batch against what the journal says of it; return that."""
        past, ask = journal.peek(), self._pending
        assert past is not None
        assert ask is not None
        if len(past.values) != len(ask.points) or past.digest != digest(ask.points):
            raise journal.strayed()
        journal.skip()
        return told._replace(values=past.values)

    def _record(self, told: Told) -> Told:
        """Write down what was told, or read it where it is there."""
        journal, ask = self._journal, self._pending
        assert ask is not None
        if journal is None:
            return told
        if journal.peek() is not None:
            return self._recall(journal, told)
        kind = "values" if told.gradients is None else "gradients"
        seconds = self.history.elapsed()
        journal.append(kind, ask.points, told.values, told.gradients, seconds)
        return told

    def _receive(self, told: Told) -> None:
        self._keep(told)
        self._take(told)

    _journal: Journal | None = None
    _stop: Stop | None = None
    _pending: Ask | None = None
    _run: Run | None = None

    def _begin(self, rng: RandomStream) -> None:
        method, options, problem, limits, _ = self._recipe
        chosen = choose_method(method, problem, options, None)
        self.method = chosen.name
        self._told: list[tuple[Array, Array | None]] = []
        self.history = History(measure_violation(problem.constraints), chosen.constraint_tolerance)
        self.history.begin_with(problem.past)
        self._limits = limits
        self._kept = 0
        self._stop = self._pending = None
        self._cut = False
        self._run = chosen.algorithm.run(problem, rng)
        self._advance(None)

    def ask(self) -> Array:
        """Return the points to evaluate, (k, n): a copy; the same ones until they are told.

        Raises
        ------
        RuntimeError
            If the run has stopped.
        """
        if self._pending is None:
            raise RuntimeError(f"nothing left to ask: the run stopped ({self.reason})")
        return self._pending.points.copy()

    def tell(self, values: ArrayLike, gradients: ArrayLike | None = None) -> None:
        """Tell the values of the asked points, in order.

        Parameters
        ----------
        values
            Shape (k,); NaN and inf are failed evaluations and count as the worst.
        gradients
            Shape (k, n), where `wants_gradients` is true.

        Raises
        ------
        RuntimeError
            If the run has stopped.
        TypeError, ValueError
            If shapes or types are wrong, or a value is -inf; nothing has changed then.
        """
        if self._pending is None:
            raise RuntimeError(f"nothing left to tell: the run stopped ({self.reason})")
        told = Told(
            as_told(values, len(self._pending.points)),
            self._check_gradients(gradients, self._pending),
        )
        self._receive(self._record(told))

    def _take(self, told: Told) -> None:
        ask = self._pending
        assert ask is not None
        if not all_finite(told.values):
            self.history.failures.add_batch(told.values, {})
            told = told._replace(values=settle(told.values))
        try:
            self.history.record(
                ask.points,
                told.values,
                gradients=0 if told.gradients is None else len(told.values),
                stencil=ask.stencil,
            )
            if self._cut:
                raise Halt(self._limits.spent())
            self._limits.check(self.history)
            self._advance(told)
        except Halt as halt:
            self._end(halt.stop)
        except BaseException as error:
            # A constraint's error, say. The run can't go on, and a parked solver must not stay.
            self._end(Stop(f"{type(error).__name__}: {error}", success=False, status=-1))
            raise

    def _advance(self, told: Told | None) -> None:
        """Run the method to its next batch; cut that to the budget."""
        assert self._run is not None
        try:
            ask = next(self._run) if told is None else self._run.send(told)
        except StopIteration as end:
            self._end(doubt(end.value, self.history))
            return
        if not all_finite(ask.points):
            self._end(Stop("the method proposed a point that is not finite", False, 4))
            return
        left = self._limits.left(self.history)
        self._cut = len(ask.points) > left
        self._pending = ask._replace(points=ask.points[: int(left)]) if self._cut else ask

    def _end(self, stop: Stop) -> None:
        self._stop, self._pending = stop, None
        if self._run is not None:
            self._run.close()

    def _check_gradients(self, gradients: ArrayLike | None, ask: Ask) -> Array | None:
        if not ask.gradients:
            if gradients is not None:
                raise ValueError("gradients were told, but not asked for (see wants_gradients)")
            return None
        if gradients is None:
            raise ValueError(
                f"gradients of shape {ask.points.shape} were asked for (wants_gradients); tell "
                "them too, or make the Optimizer with gradients=False"
            )
        told = np.array(gradients, dtype=float)
        if told.shape != ask.points.shape:
            raise ValueError(f"gradients have shape {told.shape}; asked for {ask.points.shape}")
        return told

    def _keep(self, told: Told) -> None:
        self._kept += told.values.nbytes + (0 if told.gradients is None else told.gradients.nbytes)
        if self._kept <= REPLAY_LIMIT:
            self._told.append((told.values, told.gradients))
        else:
            self._told.clear()

    @property
    def wants_gradients(self) -> bool:
        """Whether the batch that `ask` gives wants gradients beside the values."""
        return self._pending is not None and self._pending.gradients

    @property
    def stopped(self) -> bool:
        """Whether the run is over."""
        return self._pending is None

    @property
    def reason(self) -> str | None:
        """Why the run stopped; None while it goes on."""
        return None if self._stop is None else self._stop.reason

    @property
    def success(self) -> bool:
        """Whether the method's own criterion was met, by a feasible point with a finite value."""
        solved = np.isfinite(self.best_value) and self.history.feasible
        return self._stop is not None and self._stop.success and bool(solved)

    @property
    def best_x(self) -> Array | None:
        """The best point told, (n,); None before the first."""
        return None if self.history.best_x is None else self.history.best_x.copy()

    @property
    def best_value(self) -> float:
        """The best value told; inf before the first finite one."""
        return self.history.best_value

    @property
    def evaluations(self) -> int:
        """Values told so far, those of finite differences included."""
        return self.history.evaluation_count

    def close(self) -> None:
        """End the run; a solver parked in a thread is unwound, a journal is let go of."""
        if self._stop is None:
            self._end(Stop("closed by the caller", success=False, status=-1))
        elif self._journal is not None and self._stop.status != -1:
            self._journal.finish(self._stop, self.history)
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def __enter__(self) -> "Optimizer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        """The recipe and the told values; replaying them restores the run."""
        if self._kept > REPLAY_LIMIT:
            raise ValueError(
                f"this run was told {self._kept >> 20} MiB, more than the {REPLAY_LIMIT >> 20} "
                "that are kept for a replay; it can't be pickled any more"
            )
        return {"recipe": self._recipe, "told": self._told, "closed": self._closed()}

    def _closed(self) -> bool:
        return self._stop is not None and self._stop.status == -1

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._recipe = state["recipe"]
        self._begin(copy.deepcopy(self._recipe.rng))
        for values, gradients in state["told"]:
            self.tell(values, gradients)
        if state["closed"]:
            self.close()

    def __repr__(self) -> str:
        state = f"stopped: {self.reason}" if self.stopped else "running"
        return (
            f"<Optimizer {self.method!r}: best {self.best_value:g} after {self.evaluations} "
            f"evaluations, {state}>"
        )
