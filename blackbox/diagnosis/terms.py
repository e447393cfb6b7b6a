"""Under what terms a run was made: what its diagnosis must know beyond what happened in it."""

from dataclasses import dataclass

from blackbox.types import Array


@dataclass(frozen=True, eq=False)
class Terms:
    """What a run was given; kept with its history.

    Attributes
    ----------
    method, kind
        The method's name, or a chain's; ``"local"``, ``"global"`` or ``"baseline"``, of a chain its
        last method's. ``kind`` is None for a method of the user's own.
    n
        Number of variables.
    lower, upper
        Shape (n,): the bounds of variables that are no integers; infinite where there is none. None
        where there are none at all.
    budget, target
        What `minimize` was given; None where nothing was.
    changing, noisy
        Whether the objective changes from batch to batch, or is noisy by the user's word.
    blocks
        Shapes of the tensors behind the vector.
    clip_norm
        The length to which gradients are shortened; None where they are not.
    restarts
        Whether a local method begins again elsewhere when it has ended.
    """

    method: str
    kind: str | None
    n: int
    lower: Array | None = None
    upper: Array | None = None
    budget: int | None = None
    target: float | None = None
    changing: bool = False
    noisy: bool = False
    blocks: tuple[tuple[int, ...], ...] = ()
    clip_norm: float | None = None
    restarts: bool = False
