"""Named problems, one file a family.

To add one: write a file with a row (a `Benchmark`) for each problem, and add the rows to
`PROBLEMS`. Rows are plain data: torch and data sets load only when an objective is made.
"""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.problems import article, digits, finetune, quantized

Array = NDArray[np.float64]
Random = np.random.Generator | np.random.RandomState


@dataclass(frozen=True, eq=False)
class Benchmark:
    """A problem to compare methods on.

    Attributes
    ----------
    name, description, source
        What it is called, what it is in a sentence, where it comes from.
    make
        Builds the objective: batched, (k, n) -> (k,).
    n
        Number of variables.
    bounds
        The box, one pair for all variables.
    draw
        The rule for starting points: from a source of randomness to a point (n,).
    optimum
        The best value known; None where nobody knows.
    report
        What a solution (n,) is worth beyond its value, by name: figures on data held out.
    require
        Raises ModuleNotFoundError where something is missing that the problem needs.
    """

    name: str
    description: str
    source: str
    make: Callable[[], Any]
    n: int
    bounds: tuple[float, float]
    draw: Callable[[Random], Array]
    optimum: float | None = None
    report: Callable[[Array], dict[str, float]] | None = None
    require: Callable[[], None] | None = None

    def start(self, seed: int, run: int = 0) -> Array:
        """Return where to begin: the same for every method, for each seed and restart.

        Parameters
        ----------
        seed
            Names the start; the first is drawn from numpy's legacy stream of this seed, so that
            seeds of published experiments give the published starts.
        run
            0 for the first start, 1, 2, ... for restarts.
        """
        if run == 0:
            return self.draw(np.random.RandomState(seed))
        return self.draw(np.random.default_rng([seed, run]))


PROBLEMS: dict[str, Benchmark] = {
    row.name: row
    for row in [
        Benchmark(
            name="article",
            description="a 2-2-2 ReLU network learns the identity, one input 1000 times larger",
            source='"Advanced optimizers for PyTorch" (2024)',
            make=article.objective,
            n=article.N,
            bounds=article.BOUNDS,
            draw=article.draw,
            optimum=article.OPTIMUM,
        ),
        Benchmark(
            name="quantized",
            description="cross-entropy of a 64-16-10 digit classifier with ternary weights",
            source="digits: Alpaydin and Kaynak (1998), from scikit-learn",
            make=quantized.objective,
            n=quantized.N,
            bounds=quantized.BOUNDS,
            draw=quantized.draw,
            report=quantized.report,
            require=digits.require,
        ),
        Benchmark(
            name="finetune",
            description="1 - macro F1 of a digit classifier, fine-tuned to images out of focus",
            source="digits: Alpaydin and Kaynak (1998), from scikit-learn",
            make=finetune.objective,
            n=finetune.N,
            bounds=finetune.BOUNDS,
            draw=finetune.draw,
            report=finetune.report,
            require=digits.require,
        ),
    ]
}


def find(name: str) -> Benchmark:
    """Return a problem by its name.

    Raises
    ------
    ValueError
        If there is none; it names the nearest.
    """
    if name in PROBLEMS:
        return PROBLEMS[name]
    close = difflib.get_close_matches(name, PROBLEMS, n=3, cutoff=0.5)
    hint = f" (did you mean {' or '.join(map(repr, close))}?)" if close else ""
    raise ValueError(f"unknown problem {name!r}{hint}; there are: {', '.join(sorted(PROBLEMS))}")
