"""What `experiments speed sampler` measures: time that samplers take in one of Optuna's studies."""

import importlib.util
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from adapters.tuning.quiet import no_notices
from experiments.speed import Benchmark, Timed

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

N, TRIALS = 10, 200
GOAL = 2e-3
"""Seconds a trial."""

Make = Callable[[], "BaseSampler"]
Side = Callable[[], Timed]


def benchmarks() -> list[Benchmark]:
    """Return ours beside Optuna's samplers, as far as these are installed.

    Raises
    ------
    ModuleNotFoundError
        Without Optuna.
    """
    import optuna

    from adapters import BlackboxSampler

    ours = partial(BlackboxSampler, "cma", seed=0)
    peers: dict[str, Make] = {
        "TPESampler": partial(optuna.samplers.TPESampler, seed=0),
        "RandomSampler": partial(optuna.samplers.RandomSampler, seed=0),
    }
    if importlib.util.find_spec("cmaes") is not None:
        peers["CmaEsSampler"] = partial(optuna.samplers.CmaEsSampler, seed=0)

    def prepare(peer: Make | None) -> tuple[Side, Side]:
        return partial(_study, ours), partial(_study, peer)

    shown = (
        f"the processor's time of BlackboxSampler('cma') in a study in memory, {TRIALS} trials, "
        f"a sphere, n = {N}"
    )
    kept: dict[str, Any] = {"unit": "trial", "same_work": True}
    absolute = Benchmark(
        "sampling",
        shown,
        "nothing",
        11,
        partial(prepare, None),
        judge="extra",
        goal=GOAL,
        **kept,
    )
    return [absolute] + [
        Benchmark(
            f"sampling, beside {name}",
            shown,
            f"Optuna's {name} in the same study",
            11,
            partial(prepare, peer),
            **kept,
        )
        for name, peer in sorted(peers.items())
    ]


def _study(make: Make | None) -> Timed:
    """Run a study; return the seconds that its sampler took (the processor's), and the trials."""
    import optuna

    if make is None:
        return 0.0, TRIALS

    with no_notices():
        sampler = _clocked(make())
        study = optuna.create_study(sampler=sampler)
        study.optimize(_sphere, n_trials=TRIALS)
    return sampler.seconds, len(study.trials)


def _sphere(trial: Any) -> float:
    return float(sum((trial.suggest_float(f"x{i}", -3.0, 2.0) - 0.5) ** 2 for i in range(N)))


def _clocked(sampler: "BaseSampler") -> Any:
    """Return the sampler with its own time counted, in ``seconds``."""

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any) -> Any:
            began = time.thread_time()
            try:
                return function(*given)
            finally:
                clocked.seconds += time.thread_time() - began

        return call

    clocked: Any = sampler
    clocked.seconds = 0.0
    for name in (
        "before_trial",
        "infer_relative_search_space",
        "sample_relative",
        "sample_independent",
        "after_trial",
    ):
        setattr(clocked, name, timed(getattr(sampler, name)))
    return clocked
