"""One process's part in a study that several may share: what to train next, and what came out.

A trial counts when it has finished, failed or been pruned; so does one that is running, where its
process lives. One whose process died is marked as failed, does not count, and is done again.
"""

import contextlib
import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import optuna
from optuna.trial import FrozenTrial, TrialState

from adapters.tuning.labels import Labelled, restore
from adapters.tuning.presence import Presence

if TYPE_CHECKING:
    from optuna import Study, Trial

LOG = logging.getLogger("blackbox")

OWNER = "process"
"""Of a trial: the token of the process that runs it."""
REASON = "reason"
"""Of a trial: why it failed, or was cut short. A failed trial without one was lost."""
TASK = "task"
"""Of a trial: what it does that is to be done once: ``"again 7"``, ``"grid 12"``."""
SURPLUS = "surplus: another process was faster"

LOSSES = 3
"""How often a trial may be lost before it counts as failed: it may be what kills its process."""
UNMARKED = 60.0
"""Seconds in which a process has to put its mark on a trial that it began."""
LOOK = 0.5
"""Seconds between two looks at what other processes do."""

Tasks = Sequence[Mapping[str, Any]]


@dataclass
class _Open:
    """A trial under way: the steps that it has done, and those that it may."""

    trial: "Trial"
    done: int = 0
    granted: int = 1


class Begun(NamedTuple):
    """A trial to train."""

    number: int
    params: dict[str, Any]


class Session:
    """Hands out trials, and takes in what they gave, within the budget.

    Parameters
    ----------
    study
        The study, with its sampler and pruner.
    space
        What its trials are drawn from.
    presence
        This process among those that share the study.
    budget
        Trials in all; None for no limit.
    steps
        Steps of all trials together; None for no limit.
    max_seconds
        No trial begins after so many seconds.
    tasks
        The trials to do, where they are known in advance (a grid).

    Attributes
    ----------
    stopped
        Why no trial begins any more; empty as long as there are some.
    shared
        Whether other processes may work on the study.
    """

    def __init__(
        self,
        study: "Study",
        space: Labelled,
        presence: Presence,
        *,
        budget: int | None = None,
        steps: int | None = None,
        max_seconds: float | None = None,
        tasks: Tasks | None = None,
    ) -> None:
        self.study, self._space, self._presence = study, space, presence
        self._budget, self._steps = budget, steps
        self._until = math.inf if max_seconds is None else time.monotonic() + max_seconds
        self._seconds = max_seconds
        self._tasks = tasks
        self._open: dict[int, _Open] = {}
        self._exhausted = False
        self.shared = bool(presence.token)
        self.stopped = ""

    def begin(self) -> Begun | None:
        """Return a trial to train, None where there is none (any more, or for now)."""
        while not self._is_over():
            self._enqueue_task()
            trial = self.study.ask()
            self._open[trial.number] = _Open(trial)
            try:
                if self.shared:
                    trial.set_user_attr(OWNER, self._presence.token)
                    if self._is_surplus(trial.number):
                        self.finish(trial.number, failed=SURPLUS)
                        continue
                return Begun(trial.number, self._space.suggest(trial))
            except optuna.exceptions.UpdateFinishedTrialError:  # we were taken for dead
                del self._open[trial.number]
        return None

    def report(self, number: int, value: float, step: int) -> bool:
        """Take in an intermediate value; return whether the trial is to go on."""
        mine = self._open[number]
        if step <= mine.done:  # its process was lost, and it is done again
            return True
        try:
            mine.trial.report(value, step)
        except optuna.exceptions.UpdateFinishedTrialError:  # we were taken for dead
            return False
        mine.done, mine.granted = step, step + 1
        if mine.trial.should_prune():
            return False
        if self._steps is not None and self._steps_taken(self._trials()) > self._steps:
            mine.granted = step
            reason = f"all {self._steps} steps are taken"
            mine.trial.set_user_attr(REASON, f"cut: {reason}")
            LOG.info("trial %d was cut after %d steps: %s", number, mine.done, reason)
            return False
        return True

    def finish(
        self, number: int, value: float | None = None, *, failed: str | None = None
    ) -> FrozenTrial | None:
        """Take in how a trial ended: with a value, stopped without one, or failed.

        Returns None where another process has taken it over meanwhile.
        """
        trial = self._open.pop(number).trial
        try:
            if failed is not None:
                trial.set_user_attr(REASON, failed)
                state = TrialState.FAIL
            else:
                state = TrialState.PRUNED if value is None else TrialState.COMPLETE
            return self.study.tell(trial, value, state=state)
        except (ValueError, optuna.exceptions.UpdateFinishedTrialError):
            if self.study.trials[number].state.is_finished():
                return None
            raise
        except RuntimeError as error:
            # So a sampler of Optuna's ends a search; the trial has been told by then.
            if "Study.stop" not in str(error):
                raise
            self._exhausted = True
            return self.study.trials[number]

    def steps_left(self) -> float:
        """How many steps nobody has taken or may take; infinite without a limit."""
        return math.inf if self._steps is None else self._steps - self._steps_taken(self._trials())

    def abandon(self) -> None:
        """Leave the trials under way to whoever goes on with the study."""
        for number in list(self._open):
            del self._open[number]
            self._give_up(number)

    def wait_for_others(self) -> bool:
        """Wait until others have done what they are at, or died; return whether to go on.

        Only where nothing of our own is under way.
        """
        while self._is_full(self._trials()) and time.monotonic() < self._until:
            running = [t for t in self._trials() if t.state == TrialState.RUNNING]
            if not running:
                return False
            self._take_over(running)
            time.sleep(LOOK)
        return not self._is_over()

    def counted(self) -> list[FrozenTrial]:
        """Return the trials that count, in order."""
        return [trial for trial in self._trials() if counts(trial)]

    def _trials(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False)

    def _is_over(self) -> bool:
        """Whether no trial may begin now; settles what the dead have left."""
        if time.monotonic() >= self._until:
            self.stopped = f"{self._seconds:g} seconds are over; raise max_seconds= to go on"
            return True
        if self.shared:
            self._take_over(self._trials())
        return self._is_full(self._trials())

    def _is_full(self, trials: list[FrozenTrial]) -> bool:
        claimed = [trial for trial in trials if counts(trial)]
        self.stopped = ""
        if self._budget is not None and len(claimed) >= self._budget:
            self.stopped = f"all {self._budget} trials of the budget are done"
        elif self._steps is not None and self._steps_taken(trials) >= self._steps:
            self.stopped = f"all {self._steps} steps are taken"
        elif self._exhausted:
            self.stopped = f"{type(self.study.sampler).__name__} has nothing left to try"
        elif self._tasks is not None and self._next_task(trials) is None:
            waiting = any(trial.state == TrialState.WAITING for trial in trials)
            self.stopped = "" if waiting else f"the grid's {len(self._tasks)} points are done"
        return bool(self.stopped)

    def _steps_taken(self, trials: list[FrozenTrial]) -> int:
        """Steps of the trials that count; those under way have one more, which they are at."""
        return sum(
            self._open[trial.number].granted if trial.number in self._open else _steps_of(trial)
            for trial in trials
            if counts(trial)
        )

    def _next_task(self, trials: list[FrozenTrial]) -> int | None:
        assert self._tasks is not None
        in_hand = _tasks_in_hand(trials)
        left = [i for i in range(len(self._tasks)) if f"grid {i}" not in in_hand]
        # Processes that share a study are not to reach for the same one.
        return left[int(self._presence.token or "0", 16) % len(left)] if left else None

    def _enqueue_task(self) -> None:
        trials = self._trials()
        if self._tasks is None or any(trial.state == TrialState.WAITING for trial in trials):
            return
        if (index := self._next_task(trials)) is not None:
            self._enqueue(self._tasks[index], f"grid {index}")

    def _enqueue(self, params: Mapping[str, Any], task: str) -> None:
        self.study.enqueue_trial(dict(params), user_attrs={TASK: task})

    def _is_surplus(self, number: int) -> bool:
        """Whether others were faster: earlier trials take up the budget, or do its task.

        Where tasks are known, a trial without one is too many: somebody took what was waiting.
        """
        earlier = [trial for trial in self._trials() if trial.number < number and counts(trial)]
        if self._budget is not None and len(earlier) >= self._budget:
            return True
        task = self._open[number].trial.user_attrs.get(TASK)
        if task is None:
            return self._tasks is not None
        return any(_task_of(trial) == task for trial in earlier)

    def _take_over(self, trials: list[FrozenTrial]) -> None:
        """Mark the trials of dead processes as failed, and put what was lost into the queue."""
        alive: dict[str, bool] = {}
        for trial in trials:
            if trial.state != TrialState.RUNNING or trial.number in self._open:
                continue
            owner = trial.user_attrs.get(OWNER)
            if owner is None:
                assert trial.datetime_start is not None
                if time.time() - trial.datetime_start.timestamp() < UNMARKED:
                    continue
            elif alive.setdefault(owner, self._presence.lives(owner)):
                continue
            task = _task_of(trial)
            before = sum(_is_lost(each) and _task_of(each) == task for each in trials)
            self._give_up(trial.number, before + 1)
        trials = self._trials()
        in_hand = _tasks_in_hand(trials)
        for trial in trials:
            task = _task_of(trial)
            if _is_lost(trial) and task not in in_hand and self._was_begun(trial):
                self._enqueue(trial.params, task)
                in_hand.add(task)

    def _was_begun(self, trial: FrozenTrial) -> bool:
        """Whether it had got all its parameters before it was lost."""
        try:
            restore(self._space, trial.params)
        except KeyError:
            return False
        return True

    def _give_up(self, number: int, losses: int = 0) -> None:
        """Mark a trial as lost, unless somebody else is faster."""
        storage, trial = self.study._storage, self._trials()[number]
        with contextlib.suppress(ValueError, optuna.exceptions.UpdateFinishedTrialError):
            if losses >= LOSSES:
                reason = f"lost: the process that trained it ended, {losses} times"
                storage.set_trial_user_attr(trial._trial_id, REASON, reason)
            self.study.tell(number, state=TrialState.FAIL)


def _steps_of(trial: FrozenTrial) -> int:
    """Steps of a trial that is not our own; a whole training without a report is one."""
    if trial.state == TrialState.COMPLETE:
        return max(trial.last_step or 0, 1)
    return (trial.last_step or 0) + (trial.state == TrialState.RUNNING)


def counts(trial: FrozenTrial) -> bool:
    """Whether a trial is one of the budget: neither waiting nor lost nor one too many."""
    if trial.state == TrialState.FAIL:
        return bool(trial.user_attrs.get(REASON, SURPLUS) != SURPLUS)
    return trial.state != TrialState.WAITING


def _is_lost(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.FAIL and REASON not in trial.user_attrs


def _task_of(trial: FrozenTrial) -> str:
    """What it does: a trial that was lost is done again by another with the same task."""
    return str(trial.user_attrs.get(TASK, f"again {trial.number}"))


def _tasks_in_hand(trials: list[FrozenTrial]) -> set[str]:
    """What is waiting, under way or done."""
    return {
        _task_of(trial) for trial in trials if counts(trial) or trial.state == TrialState.WAITING
    }
