"""Whatever other rule is installed, by its name."""

import importlib
import importlib.util
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from blackbox.algorithms.descent.habits import Descent, check_rate
from blackbox.algorithms.method import nearest

MODULES = ("torch.optim", "pytorch_optimizer")
"""Where names are looked up, in this order."""


@dataclass(frozen=True)
class Named(Descent):
    """Any optimizer of torch's kind that takes its step by the gradient alone.

    Random numbers that it draws are the same in each run, and leave torch's own stream as it was.

    Attributes
    ----------
    optimizer
        A name in ``torch.optim`` or ``pytorch_optimizer`` (an extra); or with its module,
        ``"package.module.Class"``; or a class, or a function, that is given a list of tensors and
        the arguments.
    arguments
        What it is given, by its own names: ``{"lr": 0.1}``. A list of values gives each run a
        setting of its own.
    elementwise
        Say True where each variable is moved by its own past alone: then k runs are stepped at
        once, as one tensor. Else the model's own tensors are stepped, run by run.
    """

    library = "torch"

    optimizer: str | Callable[..., Any] = "Adam"
    arguments: Mapping[str, Any] = field(default_factory=dict)
    elementwise: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.arguments, Mapping):
            raise TypeError(
                "arguments is a mapping, such as {'lr': 0.1}; got "
                f"{type(self.arguments).__name__}"
            )
        super().__post_init__()

    @property
    def resumable(self) -> bool:
        """Whether it is one of torch's own; nobody knows what others remember elsewhere."""
        kind = self._kind
        own = isinstance(kind, type) and f"{kind.__module__}.".startswith("torch.optim.")
        return own and not self._tried[1]

    def _check_rates(self) -> None:
        rate = self.arguments.get("lr")
        check_rate("lr", self._tried[0] if rate is None else rate)

    def keywords(self) -> dict[str, Any]:
        """Return the arguments, and the learning rate also where it is the optimizer's own."""
        return {"lr": self._tried[0]} | dict(self.arguments)

    def build(self, parameters: list[Any], arguments: dict[str, Any]) -> Any:
        """Return the optimizer of these tensors."""
        given = {n: v for n, v in arguments.items() if n in self.arguments}
        if not self._tried[1]:
            return self._make(parameters, given)
        return shelter_draws(lambda: self._make(parameters, given))

    @cached_property
    def _kind(self) -> Callable[..., Any]:
        return find_optimizer(self.optimizer)

    @property
    def _title(self) -> str:
        return getattr(self._kind, "__name__", None) or type(self._kind).__name__

    def _make(self, parameters: list[Any], arguments: dict[str, Any]) -> Any:
        try:
            return self._kind(parameters, **arguments)
        except Exception as error:
            known = _parameters(self._kind)
            unknown = [name for name in arguments if known and name not in known]
            hint = nearest(unknown[0], known) if unknown else ""
            raise ValueError(f"{self._title} refuses {arguments}: {error}{hint}") from error

    @cached_property
    def _tried(self) -> tuple[float, bool]:
        """Its learning rate, and whether it draws random numbers; found by a step of it."""
        import torch

        first = {n: v[0] if isinstance(v, list) and v else v for n, v in self.arguments.items()}
        before = torch.random.get_rng_state()
        try:
            weights = torch.eye(2)
            weights.grad = torch.ones(2, 2)
            optimizer = self._make([weights], first)
            try:
                optimizer.step()
                rate = float(optimizer.param_groups[0]["lr"])
            except Exception as error:
                own = "; method='lbfgs' is torch's LBFGS" if self._title == "LBFGS" else ""
                raise ValueError(
                    f"{self._title} can't take a step by a gradient alone: {error}{own}"
                ) from error
            return rate, not torch.equal(torch.random.get_rng_state(), before)
        finally:
            torch.random.set_rng_state(before)


def find_optimizer(given: Any) -> Callable[..., Any]:
    """Return a class, or another callable, by its name or as it is.

    Raises
    ------
    TypeError, ValueError
        If there is none; it names the nearest.
    """
    if callable(given):
        found: Callable[..., Any] = given
        return found
    if not isinstance(given, str):
        raise TypeError(f"optimizer is a name, a class or a function; got {given!r:.60}")
    module, _, name = given.rpartition(".")
    if module:
        try:
            found = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise ValueError(f"optimizer={given!r} can't be imported: {error}") from error
        return found
    known = [each for place in MODULES for each in _optimizers(place).items()]
    for alike in (str, str.lower):  # torch's Adadelta is not the other's AdaDelta
        for own, kind in known:
            if alike(own) == alike(name):
                return kind
    missing = [place for place in MODULES if importlib.util.find_spec(place) is None]
    more = f"; more are in {missing[0]}, which is not installed" if missing else ""
    raise ValueError(f"unknown optimizer {name!r}{nearest(name, [own for own, _ in known])}{more}")


def _optimizers(place: str) -> dict[str, Callable[..., Any]]:
    """The optimizers of a module, if it is installed."""
    import torch

    if importlib.util.find_spec(place) is None:
        return {}
    kinds = vars(importlib.import_module(place))
    base = torch.optim.Optimizer
    return {
        name: kind
        for name, kind in kinds.items()
        if isinstance(kind, type) and issubclass(kind, base) and kind is not base
    }


def _parameters(kind: Callable[..., Any]) -> list[str]:
    try:
        return list(inspect.signature(kind).parameters)
    except (TypeError, ValueError):
        return []


def shelter_draws(make: Callable[[], Any]) -> Any:
    """Make an optimizer that draws from a stream of its own; torch's own is put back each time."""
    import torch

    stream = torch.Generator().manual_seed(0).get_state()
    others: list[Any] = []

    def before(*_: Any) -> None:
        others.append(torch.random.get_rng_state())
        torch.random.set_rng_state(stream)

    def after(*_: Any) -> None:
        nonlocal stream
        stream = torch.random.get_rng_state()
        torch.random.set_rng_state(others.pop())

    before()
    try:
        optimizer = make()
    finally:
        after()
    optimizer.register_step_pre_hook(before)
    optimizer.register_step_post_hook(after)
    return optimizer
