"""Compare methods: problems x methods x seeds, equal budgets, tables and pictures.

And pictures of one run: `draw_training`, `draw_lr_range`.

>>> from experiments import compare
>>> comparison = compare(["article"], ["slsqp", "cma"], seeds=10, budget=2000)  # doctest: +SKIP
>>> print(comparison.table())  # doctest: +SKIP
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from experiments.comparison import Comparison, compare
    from experiments.pictures.single import draw_lr_range, draw_training

__all__ = ["Comparison", "compare", "draw_lr_range", "draw_training"]

_WHERE = {
    "Comparison": "comparison",
    "compare": "comparison",
    "draw_lr_range": "pictures.single",
    "draw_training": "pictures.single",
}


def __getattr__(name: str) -> Any:
    """Load what is asked for: the command line must not wait for numpy or scipy to say hello."""
    if name in _WHERE:
        import importlib

        return getattr(importlib.import_module(f"experiments.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
