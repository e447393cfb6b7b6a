"""How a search starts: its method, its study, its part in what others do."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from adapters.space import Space
from adapters.tuning.automatic import choose
from adapters.tuning.labels import Labelled
from adapters.tuning.methods import check_name, make_grid, make_sampler
from adapters.tuning.opening import open_storage, open_study
from adapters.tuning.presence import Alone, Locks, Presence, Pulses
from adapters.tuning.pruning import make_pruner
from adapters.tuning.session import Session

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


class Started(NamedTuple):
    """A search that has started.

    Attributes
    ----------
    session
        Hands out trials.
    labelled
        The space.
    identity
        What the study was made with.
    """

    session: Session
    labelled: Labelled
    identity: Mapping[str, Any]


@contextmanager
def open_session(
    space: Space,
    method: "str | BaseSampler",
    *,
    budget: int | None,
    steps: int | None,
    max_seconds: float | None,
    direction: Literal["minimize", "maximize"],
    fidelity: Any,
    seed: int | None,
    at_once: int,
    epochs: int | None,
    storage: Any,
    name: str,
    options: Mapping[str, Any],
) -> Iterator[Started]:
    """Open a study, and close this process's part in it.

    Parameters
    ----------
    at_once
        How many trials are under way at a time.
    epochs
        Steps of a whole training, where that is known.
    space, method, budget, steps, max_seconds, direction, fidelity, seed, storage, name, options
        As `tune` takes them.

    Raises
    ------
    TypeError, ValueError
        As `tune`.
    """
    import optuna

    labelled, pruner = Labelled(space), make_pruner(fidelity, epochs)
    given = method if isinstance(method, optuna.samplers.BaseSampler) else None
    asked = type(method).__name__ if given is not None else check_name(method)
    chosen, why = asked, "named by the caller"
    if asked == "auto":
        chosen, why = choose(space, budget=budget, fidelity=fidelity is not None, at_once=at_once)
    if options and (given is not None or asked == "auto"):
        raise ValueError(
            "options are those of a named method; "
            + ("give them to the sampler" if given is not None else "with method='auto' give none")
        )
    fresh = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else seed
    if given is None:  # what is wrong with the options, before anything is written
        make_sampler(chosen, labelled.space, fresh, True, options)
    identity = {
        "space": _describe(labelled.space),
        "method": asked,
        "options": {key: repr(value) for key, value in options.items()},
        "fidelity": fidelity if isinstance(fidelity, str) else fidelity and type(fidelity).__name__,
        "seed": seed,
    }
    kept, database = open_storage(storage)
    study, made, first = open_study(
        kept, name, direction, identity, {"chosen": chosen, "why": why, "seed": fresh}
    )
    study.pruner = pruner
    study.sampler = given or make_sampler(
        made["chosen"], labelled.space, made["seed"], first, options
    )
    presence: Presence = (
        Alone()
        if isinstance(kept, optuna.storages.InMemoryStorage)
        else Pulses(study)
        if database is None
        else Locks(database)
    )
    tasks = None
    if made["chosen"] == "grid":
        tasks = make_grid(labelled.space, budget, made["seed"], options.get("points"))
    try:
        yield Started(
            Session(
                study,
                labelled,
                presence,
                budget=budget,
                steps=steps,
                max_seconds=max_seconds,
                tasks=tasks,
            ),
            labelled,
            made,
        )
    finally:
        presence.close()
        kept.remove_session()


def _describe(space: Space) -> dict[str, Any]:
    """What JSON can hold of a space; constants that it can't hold by their class."""
    try:
        return space.to_dict()
    except TypeError:
        return {name: type(parameter).__name__ for name, parameter in space.parameters.items()}
