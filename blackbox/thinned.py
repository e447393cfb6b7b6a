"""A long series in bounded memory."""

from collections.abc import Iterator
from typing import Generic, TypeVar

Row = TypeVar("Row")


class Thinned(Generic[Row]):
    """Evenly spaced entries of a series, and always the first and the latest.

    Parameters
    ----------
    limit
        Entries that it holds; where there were more, every second, fourth ... is held.
    """

    def __init__(self, limit: int) -> None:
        self._limit, self._stride, self._count = limit, 1, 0
        self._rows: list[Row] = []

    def append(self, row: Row) -> None:
        """Take in the next entry."""
        rows = self._rows
        if (self._count - 1) % self._stride:  # the latest was held as such only
            rows[-1] = row
        else:
            rows.append(row)
        self._count += 1
        if len(rows) > self._limit:
            self._stride *= 2
            latest = rows[-1]
            del rows[1::2]
            if rows[-1] is not latest:
                rows.append(latest)

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)
