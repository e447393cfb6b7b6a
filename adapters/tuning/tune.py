"""The one-call way in: `tune`."""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Literal

from adapters.space import Space
from adapters.tuning.places import WIDTH
from adapters.tuning.trainee import Trainee

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.storages import BaseStorage

    from adapters.tuning.result import TuneResult

AT_ONCE = 16
"""Trials that a batched objective trains together, where the method has no generations."""


def tune(
    train: Callable[..., Any],
    space: Space | None = None,
    method: "str | BaseSampler" = "auto",
    *,
    budget: int | None = None,
    steps: int | None = None,
    max_seconds: float | None = None,
    direction: Literal["minimize", "maximize"] = "minimize",
    fidelity: "str | BasePruner | None" = None,
    seed: int | None = None,
    workers: int | Executor | None = None,
    timeout: float | None = None,
    at_once: int | None = None,
    storage: "str | os.PathLike[str] | BaseStorage | None" = None,
    name: str | None = None,
    options: Mapping[str, Any] | None = None,
    on_error: Literal["penalize", "raise"] = "penalize",
    callback: "Callable[[TuneResult], Any] | None" = None,
    progress: bool = False,
) -> "TuneResult":
    """Search the hyperparameters with which a training turns out best.

    All that is tried is kept in an Optuna study. With a `storage` the same call, after a kill, goes
    on where it stopped; several processes that make it at once share the work.

    Parameters
    ----------
    train
        ``train(**params) -> float``; or a generator that yields a value an epoch, the last of which
        is the result; or a function with a parameter ``report``, which calls
        ``report(value, step=None)`` after each epoch. NaN, infinities and exceptions are failed
        trials. Or a batched objective (``train.batched``), as `TrainingObjective` is: it takes a
        list of k parameter dictionaries and returns values (k,).
    space
        What is searched; None: ``train.space``. Parameters with a condition need a default in
        `train`.
    method
        ``"auto"`` (see `adapters.tuning.automatic`), ``"tpe"``, ``"gp"``, ``"grid"``, ``"random"``,
        ``"sobol"``, ``"cma"`` and all others of `BlackboxSampler`; or a sampler of Optuna's.
    budget
        Trials in all, those of other processes and of earlier calls included. Failed and pruned
        ones count; those of processes that died do not, they are done again.
    steps
        Epochs in all, of all trials together: what a training yields or reports. Never more; a
        training that would need more is cut short. Where several processes share a study each may
        take one more than is left.
    max_seconds
        No trial begins after so many seconds; those under way end.
    direction
        ``"minimize"`` or ``"maximize"``.
    fidelity
        Which trainings are stopped early, by what they report: None, ``"hyperband"``,
        ``"halving"``, ``"median"``, or a pruner of Optuna's.
    seed
        An int. None: a fresh one, found again in ``result.seed``.
    workers
        Who trains: None, here; a number of processes; a `concurrent.futures.Executor` (dask's,
        `blackbox.RayExecutor`), which can't stop a training early.
    timeout
        Seconds for one training, which then takes place in a process of its own: what takes longer,
        or crashes, is a failed trial.
    at_once
        How many trials a batched objective trains together. None: a generation of the method, 16
        where it has none; with `steps` no more than can be trained to the end.
    storage
        None: in memory. A path or ``"sqlite:///PATH"``: a file, for processes of this machine. A
        ``"postgresql://..."`` URL: for those of several. Or a storage of Optuna's.
    name
        The study's; None: that of `train`.
    options
        The method's, by its library's names.
    on_error
        ``"penalize"``, or ``"raise"``: an exception of `train` ends the search.
    callback
        Called with the result so far after each trial; raise `StopIteration` to stop.
    progress
        Show a line on stderr.

    Returns
    -------
    A `TuneResult`.

    Raises
    ------
    TypeError, ValueError
        Before the first trial for arguments that make no sense, a `train` that does not take what
        the space has, and a study of this name that is another; later where `train` returns no
        number.
    Exception
        With ``on_error="raise"`` what `train` raises; and `KeyboardInterrupt`. The result so far is
        its ``result`` attribute.

    Examples
    --------
    >>> from adapters import Log, Space, tune
    >>> space = Space(x=Log(1e-3, 1e3))
    >>> result = tune(lambda x: abs(x - 2), space, method="sobol", budget=32, seed=0)
    >>> result.n_trials, 1 < result.best_params["x"] < 3
    (32, True)
    """
    space = _check_space(train, space)
    _check_limits(budget, steps, max_seconds, at_once)
    _check_word("direction", direction, ("minimize", "maximize"))
    _check_word("on_error", on_error, ("penalize", "raise"))
    if callback is not None and not callable(callback):
        raise TypeError(f"callback must be a function of the result; got {callback!r:.60}")
    if options is not None and not isinstance(options, Mapping):
        raise TypeError(f"options must be a dictionary of the method's options; got {options!r}")
    trainee = None if getattr(train, "batched", False) else Trainee(train, space)
    in_steps = fidelity is not None or steps is not None
    if trainee is None:
        _check_batched(train, workers, timeout, in_steps)
    else:
        _check_alone(trainee, workers, at_once, fidelity, in_steps)

    from adapters.tuning.progress import ProgressLine
    from adapters.tuning.searching import Search
    from adapters.tuning.starting import open_session

    width = at_once or AT_ONCE if trainee is None else _count(workers)
    with open_session(
        space,
        method,
        budget=budget,
        steps=steps,
        max_seconds=max_seconds,
        direction=direction,
        fidelity=fidelity,
        seed=_check_seed(seed),
        at_once=width,
        epochs=getattr(train, "epochs", None) if trainee is None else None,
        storage=storage,
        name=str(name or getattr(train, "__name__", type(train).__name__)),
        options=dict(options or {}),
    ) as started:
        line = ProgressLine(budget) if progress else None
        search = Search(started, on_error, callback, line)
        if trainee is None:
            return search.train_together(train, at_once, AT_ONCE, in_steps)
        return search.train_each(trainee, workers, timeout)


def _check_space(train: Any, space: Any) -> Space:
    given = getattr(train, "space", None) if space is None else space
    if isinstance(given, Space):
        return given
    if space is None:
        raise TypeError("space is missing: tune(train, Space(lr=Log(1e-5, 1e-2), ...))")
    hint = ""
    if isinstance(space, Mapping):
        hint = "; Space(...) makes one of Log, Float, Int, Choice, `Space.from_optuna` and "
        hint += "`Space.from_sklearn` of theirs"
    raise TypeError(f"space must be a Space; got {space!r:.60}{hint}")


def _check_limits(budget: Any, steps: Any, max_seconds: Any, at_once: Any) -> None:
    for name, count in (("budget", budget), ("steps", steps), ("at_once", at_once)):
        if count is None:
            continue
        if isinstance(count, bool) or not isinstance(count, Integral):
            raise TypeError(f"{name} is a whole number; got {count!r}")
        if count < 1:
            raise ValueError(f"{name}={count} leaves nothing to train; give 1 or more")
    if max_seconds is not None and not (isinstance(max_seconds, Real) and float(max_seconds) > 0):
        raise ValueError(f"max_seconds must be above 0; got {max_seconds!r}")
    if budget is None and steps is None and max_seconds is None:
        raise ValueError(
            "say when to stop: budget= (trials), steps= (epochs of all trials) or max_seconds="
        )


def _check_word(name: str, given: Any, words: tuple[str, ...]) -> None:
    if given not in words:
        raise ValueError(f"{name} is {' or '.join(map(repr, words))}; got {given!r}")


def _check_seed(seed: Any) -> int | None:
    if seed is None:
        return None
    if isinstance(seed, bool) or not isinstance(seed, Integral):
        raise TypeError(f"seed is an int, so that every process can give the same; got {seed!r}")
    if seed < 0:
        raise ValueError(f"seed must be 0 or more; got {seed}")
    return int(seed)


def _check_batched(train: Any, workers: Any, timeout: Any, in_steps: bool) -> None:
    if workers is not None or timeout is not None:
        raise ValueError(
            "workers= and timeout= are for a function that trains once; this objective trains "
            "many at once by itself. Leave them out"
        )
    if in_steps and not hasattr(train, "start"):
        raise ValueError(
            "fidelity= and steps= go by what is known after each epoch; this batched objective "
            "has no `start`, as TrainingObjective has"
        )


def _check_alone(
    trainee: Trainee, workers: Any, at_once: Any, fidelity: Any, in_steps: bool
) -> None:
    if in_steps and not trainee.reports:
        raise ValueError(
            "fidelity= and steps= go by what train tells after each epoch; let it yield a value "
            "an epoch, or take a parameter `report` and call report(value)"
        )
    if at_once is not None:
        raise ValueError("at_once is for a batched objective; give workers= for one at a time")
    if in_steps and not isinstance(workers, (Integral, type(None))):
        raise ValueError(
            "an Executor can't stop a training on its way; with fidelity= or steps= give workers "
            "as an int"
        )


def _count(workers: Any) -> int:
    """How many trials are under way at a time, as far as that is known."""
    return int(workers) if isinstance(workers, Integral) else 1 if workers is None else WIDTH
