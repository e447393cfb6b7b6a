"""A line on stderr that says how far a search is."""

import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adapters.tuning.result import TuneResult


class ProgressLine:
    """Rewrites one line at most five times a second; call it with the result so far."""

    def __init__(self, budget: int | None) -> None:
        self._budget, self._start, self._shown = budget, time.monotonic(), 0.0
        self._text = ""

    def __call__(self, result: "TuneResult") -> None:
        """Show how many trials are done, the best value, and the time."""
        now = time.monotonic()
        if now - self._shown < 0.2 and result.n_trials != self._budget:
            return
        self._shown = now
        of = "" if self._budget is None else f"/{self._budget:,}"
        try:
            best = f"best {result.best_value:.6g}"
        except ValueError:
            best = "none complete yet"
        spent = now - self._start
        self._text = f"{result.method}: {result.n_trials:,}{of} trials, {best}, {spent:.1f} s"
        sys.stderr.write(f"\r{self._text:<79}")
        sys.stderr.flush()

    def close(self) -> None:
        """End the line."""
        if self._text:
            sys.stderr.write("\n")
