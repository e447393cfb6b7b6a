"""Compare methods: problems x methods x seeds, equal budgets, tables and pictures.

>>> from experiments import compare
>>> comparison = compare(["article"], ["slsqp", "cma"], seeds=10, budget=2000)  # doctest: +SKIP
>>> print(comparison.table())  # doctest: +SKIP
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from experiments.comparison import Comparison, compare

__all__ = ["Comparison", "compare"]


def __getattr__(name: str) -> Any:
    """Load what is asked for: the command line must not wait for numpy or scipy to say hello."""
    if name in __all__:
        import importlib

        return getattr(importlib.import_module("experiments.comparison"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
