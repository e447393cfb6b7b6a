"""Our methods inside Optuna's studies."""

import hashlib
import json
import threading
import zlib
from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

try:
    import optuna  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "BlackboxSampler needs Optuna: pip install 'blackbox-torch[tuning]'", name="optuna"
    ) from error

from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.samplers import BaseSampler
from optuna.search_space import IntersectionSearchSpace
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from adapters.space import Space
from adapters.space.box import SearchBox
from adapters.tuning.sampler_generations import METHODS, Generations, check_method
from adapters.tuning.sampler_replay import ATTRIBUTE, Replay
from blackbox.problem import make_problem, make_random
from blackbox.types import Array

__all__ = ["METHODS", "BlackboxSampler"]

_ALONE = 3
"""What a random stream is for, beside those of `Generations`."""


class BlackboxSampler(BaseSampler):
    """An Optuna sampler that searches by one of our methods, generation by generation.

    Nothing but points is stored in the study, as JSON: what the method knows is made again from the
    finished trials. So a study goes on after a kill, and several processes may work on one.

    Parameters
    ----------
    method
        One of `METHODS`: ``"cma"``, ``"pso"``, ``"differential_evolution"``, ``"sobol"`` ...
    seed
        An int; every process that works on the study gives the same. None: drawn from the study's
        name and start, so that they agree as well.
    options
        The method's options, as `blackbox.minimize` takes them; the generation's size in particular
        (``popsize``, ``swarmsize``). Two defaults differ: ``sigma0`` of the `cma` family is a share
        of the box, 1/6, and ``polish`` of `differential_evolution` is False.
    space
        What will be asked of the trials, where that is known: then the method samples from the
        first trial on, also if parameters are conditional. None: what all finished trials have in
        common. Before the first has finished, and for all other parameters, values are random.

    Raises
    ------
    TypeError, ValueError
        If the method is none, does not go generation by generation, or has no such option; from
        Optuna, if the study has several objectives.

    Notes
    -----
    A trial that failed counts as the worst. Pruned trials rank behind all others, those that got
    further before those that did not. What enqueued trials gave is told to methods that take values
    of others' points: `cma`, `sep-cma`, `ipop-cma` and `bipop-cma`; others leave it aside.

    More trials at once than the generation has rows left are extras: drawn to fit the generation.
    The same methods learn from them as well. So keep workers below the generation's size.

    Examples
    --------
    >>> import optuna
    >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
    >>> from adapters import BlackboxSampler
    >>> study = optuna.create_study(sampler=BlackboxSampler("cma", seed=0))
    >>> study.optimize(lambda trial: trial.suggest_float("x", -1, 1) ** 2, n_trials=60)
    >>> study.best_value < 1e-3
    True
    """

    def __init__(
        self,
        method: str = "cma",
        *,
        seed: int | None = None,
        options: Mapping[str, Any] | None = None,
        space: Space | None = None,
    ) -> None:
        self.method = check_method(method)
        if seed is not None:
            if isinstance(seed, (np.random.Generator, np.random.RandomState)):
                raise TypeError("seed is an int, so that every process can give the same, or None")
            seed = int(make_random(seed)[1])  # type: ignore[arg-type]
        self.seed = seed
        if options is not None and not isinstance(options, Mapping):
            raise TypeError(
                f"options must be a dictionary of the method's options; got {options!r}"
            )
        self.options = dict(options or {})
        if space is not None and not isinstance(space, Space):
            raise TypeError(f"space is a Space or None, got {space!r:.60}")
        self.space = space
        self._distributions = None if space is None else _searched(space.to_optuna())
        # Unknown options raise now.
        Generations(self.method, self.options, make_problem(None, [(0, 1)] * 2), 0)
        self._studies: WeakKeyDictionary[Any, dict[int, _Study]] = WeakKeyDictionary()
        self._lock = threading.RLock()

    def rows_left(self, study: Study) -> int:
        """Return how many trials may be asked before the method needs to be told values.

        1 where the space is not known yet.
        """
        self._raise_error_if_multi_objective(study)
        with self._lock:
            if self.seed is None and not _trials(study):
                return BlackboxSampler(
                    self.method, seed=0, options=self.options, space=self.space
                ).rows_left(study)
            if not (searched := self._infer(study)):
                return 1
            replay = self._known(study).search(self, study, searched).replay
            replay.read(_trials(study))
            return replay.rows_left

    def reseed_rng(self) -> None:
        """Do nothing: all that is drawn is keyed by the trial's number."""

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return what the method samples: `space`, or what all finished trials have in common."""
        self._raise_error_if_multi_objective(study)
        with self._lock:
            return self._infer(study)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the values of the trial's point of the generation."""
        self._raise_error_if_multi_objective(study)
        if not search_space:
            return {}
        with self._lock:
            search = self._known(study).search(self, study, search_space)
            values = search.sample(study, trial)
        return {name: value for name, value in values.items() if name in search_space}

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Return a random value."""
        self._raise_error_if_multi_objective(study)
        with self._lock:
            seed = self._known(study).seed
        rng = np.random.default_rng([_ALONE, seed, trial.number, zlib.crc32(param_name.encode())])
        if param_distribution.single():
            return _only_value(param_distribution)
        return Space.from_optuna({param_name: param_distribution}).draw(rng)[param_name]

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """Note where an enqueued trial was, for the method to learn from."""
        if "fixed_params" not in trial.system_attrs or ATTRIBUTE in trial.system_attrs:
            return
        with self._lock:
            if searched := self._infer(study):
                self._known(study).search(self, study, searched).welcome(study, trial)

    def _infer(self, study: Study) -> dict[str, BaseDistribution]:
        if self._distributions is not None:
            return dict(self._distributions)
        return _searched(self._known(study).common.calculate(study))

    def _known(self, study: Study) -> "_Study":
        studies = self._studies.setdefault(study._storage, {})
        if study._study_id not in studies:
            studies[study._study_id] = _Study(study, self.seed)
        return studies[study._study_id]

    def __getstate__(self) -> dict[str, Any]:
        """All but what is made again from a study's trials."""
        return {
            name: value
            for name, value in self.__dict__.items()
            if name not in ("_studies", "_lock")
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._studies, self._lock = WeakKeyDictionary(), threading.RLock()

    def __repr__(self) -> str:
        shown = [repr(self.method), f"seed={self.seed}"]
        shown += [f"options={self.options!r}"] * bool(self.options)
        shown += [f"space={self.space!r}"] * (self.space is not None)
        return f"{type(self).__name__}({', '.join(shown)})"


class _Study:
    """What a sampler knows of a study."""

    def __init__(self, study: Study, seed: int | None) -> None:
        self.seed = _origin(study) if seed is None else seed
        self.common = IntersectionSearchSpace()
        self._searches: dict[Any, _Search] = {}

    def search(
        self, sampler: BlackboxSampler, study: Study, searched: Mapping[str, BaseDistribution]
    ) -> "_Search":
        """Return the search of these parameters, in the bracket that Hyperband shows."""
        bracket = getattr(study, "_bracket_id", None)
        key = bracket, tuple(searched.items())
        if key not in self._searches:
            self._searches[key] = _Search(sampler, study, searched, bracket, self.seed)
        return self._searches[key]


class _Search:
    """One search: a space, its box, and the replay of what was told."""

    def __init__(
        self,
        sampler: BlackboxSampler,
        study: Study,
        searched: Mapping[str, BaseDistribution],
        bracket: int | None,
        seed: int,
    ) -> None:
        given = sampler.space if searched == sampler._distributions else None
        self.space = Space.from_optuna(searched) if given is None else given
        self.box = SearchBox(self.space)
        options = {**self.box.options(sampler.method), **sampler.options}
        problem = make_problem(None, self.box.bounds, integrality=self.box.integrality)
        key = () if bracket is None else (bracket + 1,)
        told = {
            "method": sampler.method,
            "options": sampler.options,
            "seed": seed,
            "bracket": bracket,
            "space": [(name, distribution_to_json(one)) for name, one in searched.items()],
            "coding": repr(self.space),
        }
        text = json.dumps(told, default=lambda value: getattr(value, "__qualname__", repr(value)))
        sign = -1 if study.direction == StudyDirection.MAXIMIZE else 1
        self.replay = Replay(
            Generations(sampler.method, options, problem, seed, key),
            hashlib.sha256(text.encode()).hexdigest()[:12],
            sign,
        )

    def sample(self, study: Study, trial: FrozenTrial) -> dict[str, Any]:
        """Return the values of the trial's point."""
        if (kept := self.replay.recall(trial)) is not None:  # tried again by Optuna
            return self._values(kept.point)
        if trial.system_attrs.get("fixed_params", {}).keys() & self.space.parameters.keys():
            self.replay.read(_trials(study))
            return self._values(self.replay.guest(trial.number).point)

        def record(value: Mapping[str, Any]) -> None:
            _record(study, trial, value)

        return self._values(self.replay.ask(trial.number, lambda: _trials(study), record))

    def welcome(self, study: Study, trial: FrozenTrial) -> None:
        """Let a trial with values of its own count, where the method takes it."""
        if not self.replay.takes_others or (point := self._point(trial.params)) is None:
            return
        self.replay.read(_trials(study))
        guest = self.replay.guest(trial.number)._replace(point=point)
        _record(study, trial, self.replay.describe(guest))

    def _values(self, point: Array) -> dict[str, Any]:
        return self.box.decode(point)

    def _point(self, values: Mapping[str, Any]) -> Array | None:
        """The point of values; None where the space has no such."""
        known = {name: value for name, value in values.items() if name in self.space.parameters}
        try:
            return self.box.encode(known)
        except (TypeError, ValueError):
            return None


def _record(study: Study, trial: FrozenTrial, value: Mapping[str, Any]) -> None:
    study._storage.set_trial_system_attr(trial._trial_id, ATTRIBUTE, dict(value))


def _trials(study: Study) -> Sequence[FrozenTrial]:
    """All trials: before Hyperband knows its brackets it takes each for one of the first."""
    return study._storage.get_all_trials(study._study_id, deepcopy=False)


def _searched(distributions: Mapping[str, BaseDistribution]) -> dict[str, BaseDistribution]:
    return {name: one for name, one in distributions.items() if not one.single()}


def _only_value(distribution: Any) -> Any:
    return distribution.choices[0] if hasattr(distribution, "choices") else distribution.low


def _origin(study: Study) -> int:
    """A seed that every process finds: from the study's name and the start of its first trial."""
    first = study._storage.get_all_trials(study._study_id, deepcopy=False)[0]
    text = f"{study.study_name} {first.datetime_start}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
