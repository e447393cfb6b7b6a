"""How trainings that promise little are stopped early: the pruner behind each name."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna.pruners import BasePruner

FIDELITIES = ("hyperband", "halving", "median")


def make_pruner(fidelity: Any, epochs: int | None = None) -> "BasePruner":
    """Return Optuna's pruner.

    Parameters
    ----------
    fidelity
        None: no training is stopped. ``"hyperband"`` (Li et al. 2018); ``"halving"``, asynchronous
        successive halving (Li et al. 2020); ``"median"``, below the median of those before at the
        same step (Golovin et al. 2017); or a pruner of Optuna's.
    epochs
        How many steps a whole training has; None: Hyperband waits for the first that ends.

    Raises
    ------
    TypeError, ValueError
        If it is none of these.
    """
    import optuna

    if fidelity is None:
        return optuna.pruners.NopPruner()
    if isinstance(fidelity, optuna.pruners.BasePruner):
        return fidelity
    if fidelity == "hyperband":
        return optuna.pruners.HyperbandPruner(max_resource="auto" if epochs is None else epochs)
    if fidelity == "halving":
        return optuna.pruners.SuccessiveHalvingPruner(min_resource=1)
    if fidelity == "median":
        return optuna.pruners.MedianPruner(n_warmup_steps=1)
    if isinstance(fidelity, type):
        raise TypeError(f"fidelity is a class; give an object of it, {fidelity.__name__}(...)")
    raise ValueError(
        f"fidelity={fidelity!r} is not known; there are {', '.join(FIDELITIES)}, None, and any "
        "pruner of Optuna's"
    )
