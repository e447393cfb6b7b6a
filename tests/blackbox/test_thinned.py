from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from blackbox.thinned import Thinned


@given(limit=st.integers(2, 12), count=st.integers(1, 300))
def test_it_holds_evenly_spaced_entries_the_first_and_the_latest(limit, count):
    series = Thinned(limit)
    for i in range(count):
        series.append(i)
        assert len(series) <= limit
    held = list(series)
    assert (held[0], held[-1]) == (0, count - 1)
    gaps = [b - a for a, b in pairwise(held)]
    assert len(set(gaps[:-1])) <= 1
    assert len(held) == count or len(held) >= limit // 2
    assert held == list(range(count)) or count > limit
