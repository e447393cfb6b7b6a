"""A line on stderr that says how far a run is."""

import sys
import time

from blackbox.history import History


class ProgressLine:
    """Rewrites one line at most five times a second; call it with the history."""

    def __init__(self, method: str, budget: int | None) -> None:
        self._method, self._budget = method, budget
        self._shown = 0.0
        self._history: History | None = None

    def __call__(self, history: History) -> None:
        """Show the evaluations, the best value and the time."""
        self._history = history
        now = time.monotonic()
        if now - self._shown >= 0.2:
            self._shown = now
            self._write(history, "\r")

    def close(self) -> None:
        """Show the final state and end the line."""
        if self._history is not None:
            self._write(self._history, "\n")

    def _write(self, history: History, end: str) -> None:
        of = f"/{self._budget:,}" if self._budget else ""
        line = (
            f"{self._method}: {history.evaluation_count:,}{of} evaluations, "
            f"best {history.best_value:.6g}, {history.elapsed():.1f} s"
        )
        sys.stderr.write(f"{line:<79}{end}")
        sys.stderr.flush()
