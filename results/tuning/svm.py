"""An SVM on the digits: `BlackboxSearchCV` beside scikit-learn's own searches, 36 candidates each.

Run as ``python results/tuning/svm.py``; writes ``svm.md`` beside itself. Medians of five seeds, but
for the grid, which has none. C and gamma are on logarithmic scales that are wide on purpose.
"""

from pathlib import Path
from statistics import median

from scipy.stats import loguniform
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.svm import SVC

from adapters import BlackboxSearchCV, Log
from experiments.environment import describe, machine, versions

BUDGET, SEEDS = 36, 5
C, GAMMA = (1e-3, 1e4), (1e-7, 10.0)

images, labels = load_digits(return_X_y=True)
TRAIN, TEST = slice(0, 898), slice(1347, None)


def decades(low: float, high: float, count: int) -> list[float]:
    """So many values from low to high, evenly on a logarithmic scale."""
    return [low * (high / low) ** (i / (count - 1)) for i in range(count)]


def random(seed: int) -> RandomizedSearchCV:
    """scikit-learn's random search."""
    space = {"C": loguniform(*C), "gamma": loguniform(*GAMMA)}
    return RandomizedSearchCV(SVC(), space, n_iter=BUDGET, cv=3, random_state=seed)


def grid(seed: int) -> GridSearchCV:
    """scikit-learn's grid, six by six."""
    return GridSearchCV(SVC(), {"C": decades(*C, 6), "gamma": decades(*GAMMA, 6)}, cv=3)


def ours(method: str, seed: int) -> BlackboxSearchCV:
    """Ours, by one method."""
    space = {"C": Log(*C), "gamma": Log(*GAMMA)}
    return BlackboxSearchCV(SVC(), space, method=method, budget=BUDGET, cv=3, random_state=seed)


def main() -> None:
    """Search, print and write the table."""
    searches = {
        "BlackboxSearchCV, auto": lambda seed: ours("auto", seed),
        "BlackboxSearchCV, tpe": lambda seed: ours("tpe", seed),
        "BlackboxSearchCV, cma": lambda seed: ours("cma", seed),
        "RandomizedSearchCV": random,
        "GridSearchCV": grid,
    }
    lines = [
        "| search | score by cross-validation | lowest, highest | right on digits kept apart |",
        "|---|---:|---:|---:|",
    ]
    for name, make in searches.items():
        found = [
            make(seed).fit(images[TRAIN], labels[TRAIN])
            for seed in range(1 if make is grid else SEEDS)
        ]
        chosen = getattr(found[0], "method_", "")
        named = f"{name} ({chosen})" if name.endswith("auto") else name
        scores = [search.best_score_ for search in found]
        right = median(search.score(images[TEST], labels[TEST]) for search in found)
        ends = f"{min(scores):.4f}, {max(scores):.4f}"
        lines.append(f"| {named} | {median(scores):.4f} | {ends} | {right:.4f} |")
        print(lines[-1], flush=True)
    text = [
        "# An SVM, through BlackboxSearchCV",
        f"{(__doc__ or '').strip()}",
        "\n".join(lines),
        describe(versions("scikit-learn", "optuna"), machine()) + ".",
    ]
    Path(__file__).with_suffix(".md").write_text("\n\n".join(text) + "\n")


if __name__ == "__main__":
    main()
