"""Suffix sorting, LCP and the repeated phrases, each against its definition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metatok.repeats import Repeats, find_lcp, find_repeats, number_symbols
from metatok.suffixes import LONG, sort_keys, sort_suffixes
from tests.strategies import fibonacci_word, sequences

NAMES = st.integers(0, 5)


@st.composite
def texts(draw):
    """Symbols from 1 up with a few walls, which are 0 and negative."""
    text = [s + 1 for s in draw(sequences)]
    for _ in range(draw(st.integers(0, 4))):
        if text:
            text[draw(st.integers(0, len(text) - 1))] = -draw(NAMES)
    return text


def common(text, p, q):
    h = 0
    while max(p, q) + h < len(text) and text[p + h] == text[q + h] and text[p + h] > 0:
        h += 1
    return h


def check(text):
    array = np.array(text, dtype=np.int32)
    sa, rank = sort_suffixes(array, max([1, *text]))
    n = len(text)
    pairs: dict[tuple[int, int], list[int]] = {}
    for p in range(n - 1):
        if text[p] > 0 and text[p + 1] > 0:
            pairs.setdefault((text[p], text[p + 1]), []).append(p)
    assert sorted(sa.tolist()) == sorted(p for places in pairs.values() if len(places) > 1 for p in places)
    assert [rank[p] for p in sa] == list(range(len(sa)))
    assert (np.delete(rank, sa) == -1).all()
    # In order: the end before walls, walls from left to right, symbols by number.
    place = {p: (0, p) if text[p] <= 0 else (1, text[p]) for p in range(n)} | {n: (-1, 0)}
    lcp = find_lcp(array, sa, rank)
    for r in range(1, len(sa)):
        p, q = int(sa[r - 1]), int(sa[r])
        h = common(text, p, q)
        assert place[p + h] < place[q + h]
        assert lcp[r] == (h if h >= 2 else 0)


@settings(deadline=None, max_examples=300)
@given(text=texts())
def test_order(text):
    check(text)


def test_order_of_many():
    """Groups of more than LONG suffixes are sorted by digits."""
    check([s + 1 for s in fibonacci_word(5 * LONG)])
    rng = np.random.default_rng(0)
    check((rng.integers(0, 40, 6 * LONG) > 0).astype(int).tolist())


@settings(deadline=None, max_examples=200)
@given(text=texts(), least=st.integers(0, 3))
def test_repeats(text, least):
    """Exactly the phrases that lose places when a symbol is added, and whose N and K are large enough."""
    found = Repeats(*find_repeats(np.array(text, dtype=np.int32), max([1, *text]), least))
    expected = {}
    for length in range(2, len(text)):
        windows: dict[tuple[int, ...], list[int]] = {}
        for p in range(len(text) - length + 1):
            if min(text[p : p + length]) > 0:
                windows.setdefault(tuple(text[p : p + length]), []).append(p)
        for phrase, places in windows.items():
            ends = {text[p + length] if p + length < len(text) and text[p + length] > 0 else (p,) for p in places}
            if (length - 1) * (len(places) - 1) > least and len(places) > 1 and (len(ends) > 1 or (places[0],) in ends):
                expected[phrase] = places
    seen = {}
    for j in range(len(found.depth)):
        places = sorted(found.sa[found.lo[j] : found.hi[j] + 1].tolist())
        seen[tuple(text[places[0] : places[0] + found.depth[j]])] = places
        assert (found.first[j], found.last[j]) == (places[0], places[-1])
        assert all(common(text, places[0], p) >= found.depth[j] for p in places)
    assert seen == expected
    assert len(seen) == len(found.depth)


@pytest.mark.parametrize("count", [0, 1, 2, 40, 1000, LONG, 3 * LONG])
@pytest.mark.parametrize("most", [0, 3, 1 << 30])
def test_sort_keys(count, most):
    rng = np.random.default_rng(count)
    keys = (rng.integers(-1, most + 1, count).astype(np.int64) << 32) | np.arange(count)
    expected = np.sort(keys)
    sort_keys(keys, np.empty(count, dtype=np.int64), count)
    assert keys.tolist() == expected.tolist()


def test_sparse_ids_are_numbered_in_a_table_of_their_own():
    text, names = number_symbols(np.array([2**31 - 1, 5, 2**31 - 1], dtype=np.int32))
    assert names[text].tolist() == [2**31 - 1, 5, 2**31 - 1]
