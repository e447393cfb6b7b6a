"""What the table says of a method, as plain data."""

import dataclasses
import difflib
import importlib
import importlib.metadata
import importlib.util
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from scipy.optimize import OptimizeWarning

from blackbox.algorithms.option_values import read_values
from blackbox.types import Algorithm


@dataclass(frozen=True)
class Proof:
    """What the conformance suite holds a method to, in four dimensions.

    Attributes
    ----------
    tolerance
        Value reached on the sphere and on the ellipsoid (optimum 0); None for baselines, which
        need only beat their start.
    condition
        Condition number of the shifted, rotated ellipsoid.
    budget
        Evaluations allowed for each.
    options
        Options used.
    """

    tolerance: float | None
    condition: float
    budget: int
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Method:
    """A row of `ALGORITHMS`.

    Attributes
    ----------
    name, where, summary, library
        The name; module and class; one sentence; whose code searches.
    kind
        ``"local"``: walks from a start to the nearest optimum; ``"global"``; ``"baseline"``.
    paper
        Where it is described: authors, year, title, journal.
    gradients
        ``"none"``: never asks; ``"optional"``: uses the objective's, else finite differences.
    hessian
        Whether it uses ``hess`` (and where the solver does, ``hessp``) that the user gives.
    bounds
        ``"required"``: finite ones for every variable; ``"strict"``: none needed, and never asks
        outside those given.
    start
        ``"used"``: begins at x0; ``"seeded"``: x0 joins a population or chain that is drawn.
    many_starts
        Whether the algorithm itself takes several starts, (k, n), and evaluates all of them.
    past
        What it does with what is known beforehand (`minimize`'s ``warm_start``): ``"learnt"``: its
        first distribution or population comes from the points; ``"start"``: begins at the best of
        them; ``"best"``: only compares with the best.
    batch
        What its batches are.
    proof
        What the conformance suite holds it to.
    constraints
        How it keeps scipy's constraints: ``"native"``: the solver's own way; ``"lagrangian"``: an
        augmented Lagrangian around it; ``"penalty"``: feasible points rank before all others (see
        `blackbox.constraints`).
    integers
        ``"native"``: the solver's own way; ``"rounded"``: it sees a function of the rounded point;
        ``"refused"``: it walks on slopes, and rounded points have none.
    noise
        ``"handled"``: has a way of its own; ``"tolerated"``: ranks or averages many points;
        ``"exact"``: takes every value for exact.
    tolerates_failures
        Whether it still converges when a quarter of all evaluations fail at random.
    changing
        Whether it stands an objective that changes from batch to batch (minibatches, fresh noise):
        it compares values within a batch only.
    steady
        Whether it can take in each value as it comes, for ``minimize(..., steady=True)``: then its
        class is a `blackbox.types.SteadyAlgorithm`.
    random
        Whether the seed matters.
    exclusive
        Whether its library lets only one run be open at a time in a process.
    callback
        Who calls the callback: ``"solver"`` after each of its iterations, or ``"batch"``.
    tolerance_options
        The options that `minimize`'s ``tol`` sets.
    default_budget
        Evaluations where no budget is given, for methods that never stop by themselves.
    lenient
        Whether unknown options only warn, as in scipy.
    memory
        What it holds beyond a few batches.
    matrices
        How many n x n matrices of 8-byte floats that is: what decides whether a large n fits.
    holds
        What its options make it hold beside: 8-byte numbers as products of a factor, options, and
        ``variables``, such as ``"6 popsize variables"``.
    requires
        The module that must be installed for it, where that is an extra; perhaps a least version,
        ``"torch>=2.9"``.
    """

    name: str
    where: str
    summary: str
    library: str
    kind: Literal["local", "global", "baseline"]
    gradients: Literal["none", "optional"]
    bounds: Literal["strict", "required"]
    start: Literal["used", "seeded"]
    batch: str
    proof: Proof
    paper: str = ""
    hessian: bool = False
    constraints: Literal["native", "lagrangian", "penalty"] = "penalty"
    integers: Literal["native", "rounded", "refused"] = "rounded"
    noise: Literal["handled", "tolerated", "exact"] = "exact"
    past: Literal["learnt", "start", "best"] = "start"
    many_starts: bool = False
    tolerates_failures: bool = False
    changing: bool = False
    steady: bool = False
    random: bool = True
    exclusive: bool = False
    callback: Literal["solver", "batch"] = "batch"
    tolerance_options: tuple[str, ...] = ()
    default_budget: int | None = None
    lenient: bool = False
    memory: str = "nothing"
    matrices: float = 0.0
    holds: tuple[str, ...] = ()
    requires: str | None = None

    @property
    def several_starts(self) -> bool:
        """Whether x0 may be several starts: local methods then walk from each, side by side."""
        return self.many_starts or (self.kind == "local" and not self.exclusive)

    @property
    def installed(self) -> bool:
        """Whether the module that it requires is there."""
        if self.requires is None:
            return True
        module, _, least = self.requires.partition(">=")
        if importlib.util.find_spec(module) is None:
            return False
        return not least or _numbers(importlib.metadata.version(module)) >= _numbers(least)

    def load(self) -> type[Any]:
        """Import and return the algorithm's class.

        Raises
        ------
        ImportError
            Where its library is an extra that is not installed, or too old; says how to install it.
        """
        if not self.installed:
            raise ImportError(
                f"method {self.name!r} needs the library {self.requires!r}: pip install "
                f"{self.requires!r}"
            )
        module, name = self.where.split(":")
        found: type[Any] = getattr(importlib.import_module(f"blackbox.algorithms.{module}"), name)
        return found

    def options(self) -> dict[str, Any]:
        """Return the options and their defaults."""
        fields = dataclasses.fields(self.load())
        return {
            f.name: f.default_factory()
            if f.default_factory is not dataclasses.MISSING
            else f.default
            for f in fields
        }

    def make(self, options: Mapping[str, Any]) -> Algorithm:
        """Return the configured algorithm.

        Raises
        ------
        ValueError
            For an option that is not known (scipy's own methods warn instead), a habit of gradient
            descent where the method is none, or a value that the method refuses.
        TypeError
            For a value of another kind than the option takes.
        """
        from blackbox.algorithms.descent.habits import HABITS, Descent

        kind = self.load()
        known = [f.name for f in dataclasses.fields(kind)]
        unknown = [name for name in options if name not in known]
        if habits := [name for name in unknown if name in HABITS]:
            raise ValueError(
                f"method {self.name!r} has no option {', '.join(map(repr, habits))}: that is for "
                "methods that take a step by each gradient, such as 'adam', 'sgd' or 'rmsprop'"
            )
        if unknown and not self.lenient:
            raise ValueError(
                f"method {self.name!r} has no option {', '.join(map(repr, unknown))}"
                f"{nearest(unknown[0], known)}; it has: {', '.join(sorted(known, key=str.lower))}"
            )
        if unknown:
            warnings.warn(
                f"Unknown solver options: {', '.join(unknown)}", OptimizeWarning, stacklevel=4
            )
        given = {name: value for name, value in options.items() if name in known}
        lists = issubclass(kind, Descent)
        try:
            values = read_values(self.name, kind, given, lenient=self.lenient, settings=lists)
        except (TypeError, ValueError):
            _ask(kind, given)
            raise
        algorithm: Algorithm = kind(**values)
        return algorithm


def _ask(kind: type[Any], options: Mapping[str, Any]) -> None:
    """Let the class refuse the options in its own words, if it names one of them."""
    try:
        kind(**options)
    except (TypeError, ValueError) as error:
        if any(re.search(rf"\b{name}\b", str(error)) for name in options):
            raise
    except (ArithmeticError, AttributeError, LookupError):
        pass


def _numbers(version: str) -> tuple[int, ...]:
    """Return the first two numbers of a version."""
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])


def nearest(name: str, known: Sequence[str]) -> str:
    """Return what to add to "there is no such name": the nearest ones, if any is near."""
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f" (did you mean {' or '.join(map(repr, close))}?)" if close else ""
