"""Spaces of other libraries: Optuna's distributions, scikit-learn's parameter distributions."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from adapters.space.choices import Choice, Fixed
from adapters.space.parameter import Parameter
from adapters.space.ranges import Float, Int, Log, LogInt
from adapters.space.space import Space

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution


def read_optuna(distributions: "Mapping[str, BaseDistribution]") -> Space:
    """Return the space of Optuna's distributions. See `Space.from_optuna`."""
    if not isinstance(distributions, Mapping):
        raise TypeError(
            f"distributions must be a dictionary from names to Optuna's distributions, got "
            f"{distributions!r:.60}"
        )
    return Space({name: _from_optuna(name, each) for name, each in distributions.items()})


def _from_optuna(name: str, distribution: Any) -> Parameter:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    known = CategoricalDistribution, FloatDistribution, IntDistribution
    if not isinstance(distribution, known):
        raise TypeError(
            f"{name} is {distribution!r:.60}: from_optuna takes "
            f"{', '.join(each.__name__ for each in known)}"
        )
    if isinstance(distribution, CategoricalDistribution):
        options = distribution.choices
        return Fixed(options[0]) if len(options) == 1 else Choice(*options)
    low: Any = distribution.low
    high: Any = distribution.high
    try:
        if distribution.single():
            return Fixed(low)
        if isinstance(distribution, FloatDistribution):
            return Log(low, high) if distribution.log else Float(low, high, step=distribution.step)
        return LogInt(low, high) if distribution.log else Int(low, high, step=distribution.step)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def as_optuna(parameter: Parameter) -> "BaseDistribution":
    """Return what Optuna calls the parameter."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(parameter, Float):
        # The last step, as Optuna warns of a high that is none.
        high = parameter.high if parameter.step is None else parameter.decode([1.0])
        return FloatDistribution(parameter.low, high, step=parameter.step)
    if isinstance(parameter, Log):
        return FloatDistribution(parameter.low, parameter.high, log=True)
    if isinstance(parameter, Int):
        return IntDistribution(parameter.low, parameter.decode([1.0]), step=parameter.step)
    if isinstance(parameter, LogInt):
        return IntDistribution(parameter.low, parameter.high, log=True)
    if isinstance(parameter, Choice):
        return CategoricalDistribution(parameter.options)
    if isinstance(parameter, Fixed):
        return CategoricalDistribution((parameter.value,))
    raise TypeError(f"Optuna has no distribution for {parameter!r}")


def ask_trial(trial: "optuna.Trial", name: str, parameter: Parameter) -> Any:
    """Ask an Optuna trial for one parameter; a constant is not asked for."""
    from optuna.distributions import FloatDistribution, IntDistribution

    if isinstance(parameter, Fixed):
        return parameter.value
    if isinstance(parameter, Choice):
        return trial.suggest_categorical(name, parameter.options)
    asked = as_optuna(parameter)
    assert isinstance(asked, (FloatDistribution, IntDistribution))
    ask: Any = trial.suggest_float if isinstance(asked, FloatDistribution) else trial.suggest_int
    return ask(name, asked.low, asked.high, step=asked.step, log=asked.log)


def read_sklearn(distributions: Mapping[str, Any]) -> Space:
    """Return the space of scikit-learn's parameter distributions. See `Space.from_sklearn`."""
    if isinstance(distributions, Sequence):
        raise TypeError(
            "from_sklearn takes one dictionary, got a list: search each apart, or write a Space "
            "with conditions (when=...)"
        )
    if not isinstance(distributions, Mapping):
        raise TypeError(
            "distributions must be a dictionary from names to lists or distributions, got "
            f"{distributions!r:.60}"
        )
    return Space({name: _from_sklearn(name, each) for name, each in distributions.items()})


def _from_sklearn(name: str, given: Any) -> Parameter:
    if isinstance(given, Parameter):
        return given
    if hasattr(given, "rvs"):
        try:
            return _from_scipy(name, given)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    if isinstance(given, str) or not isinstance(given, (Sequence, np.ndarray)):
        raise TypeError(
            f"{name} is {given!r:.60}: from_sklearn takes lists, arrays and distributions of "
            "scipy.stats; for a constant give a list of one"
        )
    options = [each.item() if isinstance(each, np.generic) else each for each in given]
    if not options:
        raise ValueError(f"{name} is an empty list: there is nothing to choose from")
    if len(options) == 1:
        return Fixed(options[0])
    try:
        return Choice(*options, ordered=_is_ordered(options))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _is_ordered(options: list[Any]) -> bool:
    """Whether they are numbers that rise, or fall."""
    if not all(isinstance(each, (int, float)) and not isinstance(each, bool) for each in options):
        return False
    return options in (sorted(options), sorted(options, reverse=True))


def _from_scipy(name: str, frozen: Any) -> Parameter:
    """Return the range of a frozen distribution that is spread evenly over it, or its logarithm."""
    kind = getattr(getattr(frozen, "dist", None), "name", type(frozen).__name__)
    low, high = map(float, frozen.support()) if hasattr(frozen, "support") else (np.nan, np.nan)
    if kind == "randint":
        # A single number, or (low, high) with high left out.
        return Fixed(int(low)) if low == high else Int(int(low), int(high))
    if kind == "uniform":
        return Fixed(low) if low == high else Float(low, high)
    if kind in ("loguniform", "reciprocal"):
        _, loc, _ = frozen.dist._parse_args(*frozen.args, **frozen.kwds)
        if loc == 0:
            return Log(low, high)
        raise ValueError(
            f"loguniform with loc={loc:g} is not even over the logarithm: give Log({low:g}, "
            f"{high:g}), or Float"
        )
    raise ValueError(_refusal(kind, frozen))


def _refusal(kind: str, frozen: Any) -> str:
    """Say which range to give in place of another distribution."""
    says = f"from_sklearn takes uniform, loguniform and randint of scipy.stats, got {kind}"
    try:
        low, high = map(float, frozen.ppf([0.01, 0.99]))
    except Exception:  # whatever its author let it raise
        return f"{says}: give Float, Log or Int in its place"
    whole = hasattr(frozen, "pmf")
    return (
        f"{says}: give a range in its place, such as {'Int' if whole else 'Float'}({low:.3g}, "
        f"{high:.3g}), which holds 98 % of it"
    )
