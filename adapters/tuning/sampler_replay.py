"""A search inside a study: what it asked and was told is read from the study's trials.

Nothing else is stored. Each trial that takes part has one attribute: which search, generation and
row it belongs to, and its point. Whoever reads the trials, in any process, comes to the same
generation. A generation is a batch of k points, its rows:

- A trial takes the first row that no other has. Who finds that another has taken the same row takes
  the next free one, so that no row is evaluated twice.
- Where all rows are taken but not finished, a trial is an extra: a point drawn to fit the batch.
- The generation is over once k of its trials have finished, extras in the place of rows that have
  not. A method that takes the values of its own points alone waits for all rows; but as many extras
  as rows, and what is missing counts as failed: its worker is dead or hangs.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from adapters.tuning.sampler_generations import Generations
from blackbox.types import Array

ATTRIBUTE = "blackbox:asked"
"""The trial's attribute: a dictionary of search, generation, row (None: an extra) and point."""

_SAME = 1e-9
"""Other processors round differently: a point that is nearer than this is the row's own."""


class Asked(NamedTuple):
    """What a trial was given.

    Attributes
    ----------
    generation
        Its number.
    row
        Which point of the generation; None for an extra.
    point
        Shape (n,).
    """

    generation: int
    row: int | None
    point: Array


class _Taken(NamedTuple):
    """A trial of the search, as it was when it was read last."""

    number: int
    asked: Asked
    state: TrialState
    ended: datetime | None
    step: int
    value: float

    @property
    def finished(self) -> bool:
        return self.state.is_finished()


class Replay:
    """One search: reads trials, tells generations that are over, hands out points.

    Parameters
    ----------
    generations
        The method, before its first generation.
    identity
        Which search this is: trials of others are left alone.
    sign
        1 to minimize, -1 to maximize.
    """

    def __init__(self, generations: Generations, identity: str, sign: int) -> None:
        self._generations, self._identity, self._sign = generations, identity, sign
        self._taken: dict[int, dict[int, _Taken]] = {}
        self._open: list[int] = []
        self._last = -1
        self._best, self._worst = math.inf, -math.inf

    @property
    def takes_others(self) -> bool:
        """Whether values of points that the method did not ask count."""
        return self._generations.takes_others

    @property
    def rows_left(self) -> int:
        """Rows of the generation that no trial has."""
        return len(self._free(-1))

    def read(self, trials: Sequence[FrozenTrial]) -> None:
        """Take in what happened since the last call; `trials` are sorted by their numbers."""
        unfinished = []
        for trial in self._news(trials):
            if not trial.state.is_finished():
                unfinished.append(trial.number)
            asked = self.recall(trial)
            # Of the generation before this one, too: a design goes on while its trials run.
            if asked is not None and asked.generation >= self._generations.number - 1:
                group = self._taken.setdefault(asked.generation, {})
                group[trial.number] = self._take(trial, asked)
        self._open = unfinished
        self._last = max(self._last, trials[-1].number if trials else -1)
        while self._tell():
            self._taken.pop(self._generations.number - 2, None)

    def _news(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """Trials that were not finished when they were read last, and new ones."""
        found = []
        for number in self._open:
            place = bisect_left(trials, number, key=_number)
            if place < len(trials) and trials[place].number == number:
                found.append(trials[place])
        return found + list(trials[bisect_left(trials, self._last + 1, key=_number) :])

    def recall(self, trial: FrozenTrial) -> Asked | None:
        """Return what a trial was given by this search; None where it was nothing."""
        kept = trial.system_attrs.get(ATTRIBUTE)
        if kept is None or kept["search"] != self._identity:
            return None
        return Asked(kept["generation"], kept["row"], np.array(kept["point"], dtype=float))

    def _take(self, trial: FrozenTrial, asked: Asked) -> _Taken:
        step, value = -1, math.inf
        if trial.state == TrialState.COMPLETE:
            value = self._finite(trial.value)
        elif trial.state == TrialState.PRUNED and trial.last_step is not None:
            step = trial.last_step
            value = self._finite(trial.intermediate_values[step])
        return _Taken(trial.number, asked, trial.state, trial.datetime_complete, step, value)

    def _finite(self, value: float | None) -> float:
        """The value to be minimized; inf where there is none."""
        return math.inf if value is None or not math.isfinite(value) else self._sign * value

    def ask(
        self,
        number: int,
        trials: Callable[[], Sequence[FrozenTrial]],
        record: Callable[[Mapping[str, Any]], None],
    ) -> Array:
        """Return the point of a new trial, (n,).

        Parameters
        ----------
        number
            The trial's.
        trials
            Returns the study's trials as they are now, sorted by their numbers.
        record
            Writes down the value of the trial's `ATTRIBUTE`.
        """
        self.read(trials())
        turn = 0
        while True:
            asked = self._next(number, turn)
            record(self.describe(asked))
            self.read(trials())
            rivals = self._rivals(number, asked)
            if not rivals and not self._is_past(asked):
                return asked.point
            # All that see each other step aside, each to a row of its own.
            turn = sum(rival < number for rival in rivals)

    def guest(self, number: int) -> Asked:
        """Return a point for a trial of which something else decides a part: an extra."""
        return Asked(self._generations.number, None, self._generations.draw(number))

    def describe(self, asked: Asked) -> dict[str, Any]:
        """Return the value of the `ATTRIBUTE` of a trial."""
        return {
            "search": self._identity,
            "generation": asked.generation,
            "row": asked.row,
            "point": asked.point.tolist(),
        }

    def _next(self, number: int, turn: int) -> Asked:
        free = self._free(number)
        if turn >= len(free):
            return self.guest(number)
        row = free[turn]
        return Asked(self._generations.number, row, self._generations.points[row])

    def _free(self, number: int) -> list[int]:
        """Rows that no trial but that of the number has."""
        rows = {taken.asked.row for taken in self._group().values() if taken.number != number}
        return [row for row in range(len(self._generations.points)) if row not in rows]

    def _group(self) -> dict[int, _Taken]:
        return self._taken.get(self._generations.number, {})

    def _rivals(self, number: int, asked: Asked) -> list[int]:
        if asked.row is None:
            return []
        return [
            taken.number
            for taken in self._taken.get(asked.generation, {}).values()
            if taken.asked.row == asked.row and taken.number != number
        ]

    def _is_past(self, asked: Asked) -> bool:
        """Whether the generation was over before the trial was in it."""
        # That it takes the last row of a design is no reason.
        last = self._generations.number - (0 if self._generations.learns else 1)
        return asked.generation < last

    def _tell(self) -> bool:
        """Tell the generation, if it is over; say whether it was."""
        generations, group = self._generations, self._group()
        if not generations.learns:
            if self._free(-1):
                return False
            generations.tell(np.full(len(generations.points), np.inf))
            return True
        if len(group) < len(generations.points):
            return False
        finished = sorted(
            (taken for taken in _without_retried(group) if taken.finished),
            key=lambda taken: (taken.ended or datetime.min, taken.number),
        )
        chosen = self._any_k(finished) if self.takes_others else self._own_rows(finished)
        if chosen is None:
            return False
        values = np.full(len(generations.points), np.inf)
        for row, value in zip(chosen, self._values(list(chosen.values())), strict=True):
            values[row] = value
        points = generations.points.copy()
        for row, taken in chosen.items():
            points[row] = taken.asked.point
        moved = self.takes_others and (points != generations.points).any()
        generations.tell(values, points if moved else None)
        return True

    def _any_k(self, finished: list[_Taken]) -> dict[int, _Taken] | None:
        """The first k that finished, by rows; extras in the place of rows that did not."""
        k, n = self._generations.points.shape
        finished = [taken for taken in finished if taken.asked.point.shape == (n,)][:k]
        if len(finished) < k:
            return None
        chosen: dict[int, _Taken] = {}
        extras = []
        for taken in finished:
            row = taken.asked.row
            if row is None or row >= k or row in chosen:
                extras.append(taken)
            else:
                chosen[row] = taken
        missing = [row for row in range(k) if row not in chosen]
        chosen.update(zip(missing, extras, strict=True))
        return chosen

    def _own_rows(self, finished: list[_Taken]) -> dict[int, _Taken] | None:
        """Each row's trial, where all have finished; without some after as many extras."""
        points = self._generations.points
        chosen: dict[int, _Taken] = {}
        extras = 0
        for taken in finished:
            row = taken.asked.row
            own = row is not None and row < len(points) and row not in chosen
            if own and np.allclose(taken.asked.point, points[row], rtol=0, atol=_SAME):
                assert row is not None
                chosen[row] = taken
            else:
                extras += 1
            if len(chosen) == len(points) or extras >= len(points):
                return chosen
        return None

    def _values(self, chosen: list[_Taken]) -> list[float]:
        """What the method is told of trials: pruned ones after all others, by how far they got."""
        for taken in chosen:
            if taken.state == TrialState.COMPLETE and taken.value < math.inf:
                self._best = min(self._best, taken.value)
                self._worst = max(self._worst, taken.value)
        pruned = [taken for taken in chosen if taken.state == TrialState.PRUNED]
        pruned.sort(key=lambda taken: (-taken.step, taken.value))
        places = {taken.number: place for place, taken in enumerate(pruned, start=1)}
        if self._best == math.inf:  # nothing was ever complete
            worst, spread = 0.0, 1.0
        else:
            worst, spread = self._worst, (self._worst - self._best) or 1.0
        return [
            worst + spread * (1 + places[taken.number] / len(pruned))
            if taken.number in places
            else taken.value
            for taken in chosen
        ]


def _number(trial: FrozenTrial) -> int:
    return trial.number


def _without_retried(group: Mapping[int, _Taken]) -> list[_Taken]:
    """Trials of a generation, but those that failed and are tried again under a later number."""
    latest = {group[number].asked.row: number for number in sorted(group)}
    return [
        taken
        for taken in group.values()
        if taken.state != TrialState.FAIL
        or taken.asked.row is None
        or latest[taken.asked.row] == taken.number
    ]
