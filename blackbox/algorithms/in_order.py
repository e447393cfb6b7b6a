"""Points one after another, for runs that do not go by the values they are told."""

from collections.abc import Iterator

import numpy as np

from blackbox.types import Array, Proposal, Run, Stop, Told


class InOrder:
    """The points of a run's batches, one by one: a `blackbox.types.Steady`.

    Parameters
    ----------
    run
        One that is the same whatever it is told.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._points = self._each()
        self._stop: Stop | None = None

    def _each(self) -> Iterator[Array]:
        told: Told | None = None
        while True:
            try:
                ask = next(self._run) if told is None else self._run.send(told)
            except StopIteration as end:
                self._stop = end.value
                return
            yield from ask.points
            told = Told(np.full(len(ask.points), np.inf))

    def propose(self) -> Proposal | Stop:
        """Return the next point, or why there is none any more."""
        for x in self._points:
            return Proposal(x.copy())
        assert self._stop is not None
        return self._stop

    def accept(self, proposal: Proposal, value: float) -> Stop | None:
        """Take no notice."""
        return None
