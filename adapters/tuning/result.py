"""What `tune` returns: the best trial, the table of all, and what they say."""

import math
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from optuna.trial import FrozenTrial, TrialState

from adapters.space import Choice
from adapters.tuning import pictures
from adapters.tuning.labels import AFTER, BEFORE, Labelled, column_of, restore
from adapters.tuning.session import REASON, counts

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure
    from optuna import Study

STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}


class TuneResult:
    """A study as far as it is: what was best, and all that was tried.

    It looks into the study whenever it is asked, and so knows what other processes have added.

    Attributes
    ----------
    study
        The Optuna study, for all that Optuna offers.
    space
        What was searched.
    method, why
        The method that searched, and why it was chosen.
    seed
        Gives the same run again, where one process did it in one go.
    stopped
        Why no more trials were begun.
    """

    def __init__(
        self, study: "Study", space: Labelled, identity: Mapping[str, Any], stopped: str = ""
    ) -> None:
        self.study, self.stopped = study, stopped
        self._labelled, self.space = space, space.original
        self.method: str = identity["chosen"]
        self.why: str = identity["why"]
        self.seed: int = identity["seed"]

    @property
    def finished(self) -> list[FrozenTrial]:
        """The trials that are done, in order; those that were lost and done again left out."""
        return [
            trial
            for trial in self.study.get_trials(deepcopy=False)
            if trial.state in STATES and counts(trial)
        ]

    @property
    def n_trials(self) -> int:
        """How many trials are done."""
        return len(self.finished)

    @property
    def steps(self) -> int:
        """How many steps (epochs) all of them took, where they reported any."""
        return sum(trial.last_step or 0 for trial in self.finished)

    @property
    def best_trial(self) -> FrozenTrial:
        """The complete trial of the best value.

        Raises
        ------
        ValueError
            If there is none.
        """
        complete = [trial for trial in self.finished if trial.state == TrialState.COMPLETE]
        if not complete:
            failed = [trial for trial in self.finished if trial.state == TrialState.FAIL]
            why = f"; the first that failed: {failed[0].user_attrs.get(REASON)}" if failed else ""
            raise ValueError(f"none of {self.n_trials} trials is complete{why}")
        sign = 1 if self.study.direction.name == "MINIMIZE" else -1
        return min(complete, key=lambda trial: sign * _value(trial))

    @property
    def best_value(self) -> float:
        """Its value."""
        return _value(self.best_trial)

    @property
    def best_params(self) -> dict[str, Any]:
        """Its parameters, constants included: ``train(**result.best_params)``."""
        return self.params_of(self.best_trial)

    def params_of(self, trial: FrozenTrial) -> dict[str, Any]:
        """Return what a trial trained with, constants included."""
        return restore(self._labelled, trial.params)

    @property
    def trials(self) -> "pandas.DataFrame":
        """A row a trial: number, value, state, its parameters, steps, seconds, reason.

        The value of a pruned trial is the last that it reported; that of a failed one NaN. The
        reason says why a trial failed or was cut short. A parameter that has the name of another
        column, ``value``, is in ``params_value``.
        """
        try:
            import pandas
        except ImportError as error:
            raise ImportError(
                "result.trials needs pandas: pip install 'blackbox-torch[tuning]'"
            ) from error
        rows = [self._row(trial) for trial in self.finished]
        columns = [*BEFORE, *map(column_of, self.space), *AFTER]
        table = pandas.DataFrame(rows, columns=columns)
        for name, parameter in self.space.parameters.items():
            if isinstance(parameter, Choice):  # None is an option, NaN where it was not active
                name = column_of(name)
                given = [row.get(name, math.nan) for row in rows]
                table[name] = pandas.Series(given, index=table.index, dtype=object)
        return table

    def _row(self, trial: FrozenTrial) -> dict[str, Any]:
        duration = trial.duration
        return {
            **{column_of(name): value for name, value in self.params_of(trial).items()},
            "number": trial.number,
            "value": math.nan if trial.state == TrialState.FAIL else _value(trial),
            "state": STATES[trial.state],
            "steps": trial.last_step or 0,
            "seconds": math.nan if duration is None else duration.total_seconds(),
            "reason": trial.user_attrs.get(REASON, ""),
        }

    def save_table(self, path: "str | os.PathLike[str]") -> None:
        """Write the table of trials as CSV."""
        self.trials.to_csv(path, index=False)

    def importance(self, evaluator: Any = None) -> dict[str, float]:
        """Return how much of the spread of values each parameter explains; the sum is 1.

        Parameters that are not always active are left out.

        Parameters
        ----------
        evaluator
            None: functional ANOVA on a random forest (Hutter et al. 2014), of a fixed seed; or an
            evaluator of ``optuna.importance``.

        Raises
        ------
        ImportError, ValueError
            If scikit-learn is missing, or fewer than two trials are complete or differ.
        """
        import optuna

        complete = [trial for trial in self.finished if trial.state == TrialState.COMPLETE]
        if len({_value(trial) for trial in complete}) < 2:
            raise ValueError(
                f"importance needs two complete trials of different values; there are "
                f"{len(complete)} complete ones"
            )
        if evaluator is None:
            try:
                evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
            except ImportError as error:
                raise ImportError(
                    "importance needs scikit-learn: pip install 'blackbox-torch[tuning]', or pass "
                    "optuna.importance.PedAnovaImportanceEvaluator()"
                ) from error
        found = optuna.importance.get_param_importances(self.study, evaluator=evaluator)
        return {name: float(share) for name, share in found.items()}

    def plot_history(self, path: "str | os.PathLike[str] | None" = None) -> "Figure":
        """Draw the value of each trial and the best so far; write it where a path is given."""
        return pictures.write(pictures.draw_history(self), path)

    def plot_parallel(self, path: "str | os.PathLike[str] | None" = None) -> "Figure":
        """Draw a line through the parameters of each trial, coloured by its value."""
        return pictures.write(pictures.draw_parallel(self), path)

    def plot_slices(self, path: "str | os.PathLike[str] | None" = None) -> "Figure":
        """Draw the values over each parameter."""
        return pictures.write(pictures.draw_slices(self), path)

    def __repr__(self) -> str:
        finished = self.finished
        kinds = dict.fromkeys(STATES.values(), 0)
        for trial in finished:
            kinds[STATES[trial.state]] += 1
        told = ", ".join(f"{count} {name}" for name, count in kinds.items() if count)
        lines = [f"TuneResult: {len(finished)} trials" + (f" ({told})" if told else "")]
        if kinds["complete"]:
            best = self.best_trial
            lines.append(f"  best    {_value(best):.6g} (trial {best.number})")
            lines += [f"          {name} = {value!r}" for name, value in self.best_params.items()]
        if steps := self.steps:
            lines.append(f"  steps   {steps}")
        lines.append(f"  method  {self.method}: {self.why}")
        if self.stopped:
            lines.append(f"  stopped {self.stopped}")
        return "\n".join(lines)


def _value(trial: FrozenTrial) -> float:
    return math.nan if trial.value is None else trial.value
