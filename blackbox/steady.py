"""Steady state: points are handed out so that all workers are busy, and told as their values come.

A slow evaluation holds up nobody. In what order values come is up to the clock, and with it the
run: only one that evaluates one point at a time repeats. A journal holds the order, so that a run
that was killed goes on from it.
"""

from collections import deque
from collections.abc import Iterator
from numbers import Integral
from typing import Any

from blackbox.budget import Budget, Halt
from blackbox.calls import Call
from blackbox.evaluation import ASTRAY, Evaluator
from blackbox.history import History, all_finite
from blackbox.journal import Journal
from blackbox.lines import digest
from blackbox.types import Array, Ask, Proposal, Steady, Stop
from blackbox.workers import Pool, Spread


class Flow:
    """Points under way, and who evaluates them.

    For an `blackbox.objective.Objective` it is a `blackbox.workers.Spread`, which gives for a point
    what has come back for it.

    Parameters
    ----------
    width
        How many points are under way at once.
    pool
        Who evaluates them; None: nobody else, one at a time, in the order in which they came.
    """

    def __init__(self, width: int, pool: Pool | None) -> None:
        self.width, self.pool = width, pool
        # Equal points are alike: the value of one is that of the first that is under way.
        self._proposals: dict[str, deque[Proposal]] = {}
        self._waiting: deque[str] = deque()
        self._count = 0
        self._outcome: Any = None

    def __len__(self) -> int:
        return self._count

    def add(self, proposal: Proposal) -> None:
        """Take on one more point."""
        key = digest(proposal.x)
        self._proposals.setdefault(key, deque()).append(proposal)
        self._waiting.append(key)
        self._count += 1

    def begin(self, call: Call, history: History, journal: Journal | None) -> None:
        """Take in what is called at a point, whose clock goes, and what was evaluated before."""
        self._call, self._history, self._journal = call, history, journal

    def next(self) -> Proposal:
        """Wait for any of the points; while a journal says which one it was, take that."""
        past = None if self._journal is None else self._journal.peek()
        if past is None:
            self._history.let_clock_go()
            key = self._wait()
        else:
            key = past.digest
            if key not in self._proposals:
                assert self._journal is not None
                raise self._journal.strayed()
            self._waiting.remove(key)
        proposals = self._proposals[key]
        proposal = proposals.popleft()
        if not proposals:
            del self._proposals[key]
        self._count -= 1
        return proposal

    def _wait(self) -> str:
        if self.pool is None:
            return self._waiting.popleft()
        while self._waiting:
            key = self._waiting.popleft()
            self.pool.give(self._call, key, self._proposals[key][0].x)
        arrived: tuple[str, Any] = self.pool.take()
        key, self._outcome = arrived
        return key

    def map(self, call: Call, points: Array) -> Iterator[Any]:
        """Yield what has come back for the one point that was had last from `next`."""
        yield self._outcome

    def drop(self) -> None:
        """Forget all points."""
        if self.pool is not None:
            self.pool.drop()


def make_flow(steady: Any, spread: Spread | None) -> Flow | None:
    """Read what `minimize` takes as ``steady``; None where it is False.

    Parameters
    ----------
    steady
        Whether, or how many points are to be under way; True: as many as there are workers.
    spread
        Who evaluates, as `blackbox.workers.open_workers` gives it.

    Raises
    ------
    TypeError, ValueError
        If it is none of these, or these workers keep to batches.
    """
    if steady is False or steady is None:
        return None
    if not isinstance(steady, Integral):
        raise TypeError(
            "steady is True, False or a number of points that are under way at once; got "
            f"{steady!r:.60}"
        )
    if steady < 1:
        raise ValueError(f"steady={steady} leaves no point under way; give 1 or more, or True")
    if spread is not None and not isinstance(spread, Pool):
        raise ValueError(
            "steady=True takes values as they come, and workers= as a map-like callable gives them "
            "in order; take an int or an Executor as workers"
        )
    width = int(steady) if steady is not True else 1 if spread is None else spread.width
    if width is None:
        raise ValueError(
            "steady=True can't tell how many workers this executor has; give the number of points "
            "that are to be under way at once, steady=8"
        )
    return Flow(width, spread)


def check_steady(method: Any, noisy: bool, changing: bool, validates: bool) -> None:
    """Refuse a method of the user's own, and what takes place between batches.

    Raises
    ------
    ValueError
        With the argument, and the way out.
    """
    if callable(method):
        raise ValueError(
            "steady=True is for methods by name, and method is a function; leave it out"
        )
    if noisy:
        raise ValueError(
            "noisy=True evaluates winners again, batch by batch, and steady=True has no batches; "
            "leave out one of them"
        )
    if changing:
        raise ValueError(
            "the objective changes from batch to batch (minibatches or fresh noise), and "
            "steady=True has no batches; leave it out, or evaluate on the full data"
        )
    if validates:
        raise ValueError(
            "validation losses are measured batch by batch, and steady=True has no batches; leave "
            "out validation=, validate_every=, or steady"
        )


def search_steadily(
    run: Steady,
    flow: Flow,
    evaluate: Evaluator,
    budget: Budget,
    history: History,
) -> Stop:
    """Keep `flow` full of what `run` proposes, and tell each value as it comes.

    When the budget or the time is spent, points under way are waited for, recorded, and not told.
    When the search stops for another reason, they are given up. A generation, for `patience`, is as
    many values as there are points under way.

    Parameters
    ----------
    run, flow
        What proposes, and who evaluates.
    evaluate
        Records each value; with no limit of time, as values that come late count.
    budget, history
        What may be spent, and what was.

    Returns
    -------
    Why it ended.
    """
    evaluate.count_rounds(flow.width)
    try:
        evaluate.begin()
        stop = _search(run, flow, evaluate, budget, history)
    except Halt as halt:
        stop = halt.stop
    finally:
        flow.drop()
    return evaluate.finish(stop)


def _search(run: Steady, flow: Flow, evaluate: Evaluator, budget: Budget, history: History) -> Stop:
    over: Stop | None = None
    while True:
        while over is None and len(flow) < flow.width:
            over = _add(run, flow, budget, history)
        if over is not None and not len(flow):
            return over
        proposal = flow.next()
        told = evaluate(Ask(proposal.x[None]))
        if over is None and (stop := run.accept(proposal, float(told.values[0]))) is not None:
            return stop


def _add(run: Steady, flow: Flow, budget: Budget, history: History) -> Stop | None:
    """Add a point to those under way; or say why there are no more."""
    try:
        if budget.left(history) <= len(flow):
            return budget.spent()
    except Halt as halt:
        return halt.stop
    proposal = run.propose()
    if isinstance(proposal, Stop):
        return proposal
    if not all_finite(proposal.x):
        raise Halt(ASTRAY)
    flow.add(proposal)
    return None
