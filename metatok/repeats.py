"""Every repeated phrase of a sequence: suffix array → LCP array → LCP intervals.

Integers only. A sequence is a numpy array of *ranks*: 0 is a wall, which no phrase may contain; every other symbol is
a number from 1 up. The repeated phrases that cannot be extended to the right without losing an occurrence are the
LCP intervals of the suffix array (Abouelhoda, Kurtz and Ohlebusch 2004, "Replacing suffix trees with enhanced suffix
arrays"); there are fewer than n of them, and together they stand for every repeated phrase.

The suffix array comes from libdivsufsort (`pydivsufsort`), O(n log n) on any input; the LCP array from Kasai et al.
2001, O(n). This module does not choose among phrases: that is `metatok.search`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Int32 = NDArray[np.int32]


@contextmanager
def _one_openmp_thread() -> Iterator[None]:
    """While this holds, a library that is loaded takes itself to be alone: OpenMP reads its settings only then."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before


# With more threads than idle cores libdivsufsort's spin: 2 to 5 ms for 8,192 tokens on a busy machine instead of 0.4.
# Where there are many sequences, `Codec.compress_batch` takes the cores.
with _one_openmp_thread():
    import pydivsufsort


class Repeats(NamedTuple):
    """The right-maximal repeated phrases of a sequence of n symbols.

    Phrase j is `depth[j]` symbols long and occurs at the positions `sa[lo[j] : hi[j] + 1]` (unsorted, they may
    overlap); `first[j]` and `last[j]` are the smallest and the largest of them. Every phrase of a length in
    `parent[j] + 1 … depth[j]` that begins at one of these positions occurs at exactly these positions.
    """

    sa: Int32  # (n,) positions in lexicographic order of their suffixes
    rank: Int32  # (n,) the inverse of sa
    depth: Int32  # (m,)
    parent: Int32  # (m,)
    lo: Int32  # (m,)
    hi: Int32  # (m,)
    first: Int32  # (m,)
    last: Int32  # (m,)


def find_repeats(ranks: Int32, shortest: int = 2) -> Repeats:
    """All right-maximal phrases of at least `shortest` symbols that begin at two places or more.

    Args:
        ranks: shape (n,), symbols numbered from 1, walls 0 (see `rank_symbols`).
        shortest: the least length of a phrase.

    >>> r = find_repeats(np.array([1, 2, 3, 1, 2, 4], dtype=np.int32))
    >>> r.depth.tolist(), sorted(r.sa[r.lo[0] : r.hi[0] + 1].tolist())
    ([2], [0, 3])
    """
    sa = suffix_array(ranks)
    rank, lcp = find_lcp(ranks, sa)
    return Repeats(sa, rank, *_intervals(sa, lcp, shortest))


def suffix_array(ranks: Int32) -> Int32:
    """Positions 0 … n-1 of `ranks`, shape (n,), in an order that sorts the suffixes that begin there.

    Symbols are compared byte by byte, in the narrowest type that holds them; any fixed order of symbols serves.
    """
    if len(ranks) == 0:
        return np.empty(0, dtype=np.int32)
    top = int(ranks.max())
    dtype = np.uint8 if top < 1 << 8 else np.uint16 if top < 1 << 16 else np.uint32
    return pydivsufsort.divsufsort(ranks.astype(dtype)).astype(np.int32, copy=False)


def rank_symbols(symbols: Int32, walls: NDArray[np.bool_]) -> Int32:
    """Number the symbols 1, 2, … in order of appearance; a wall becomes 0. Shapes (n,), (n,) → (n,).

    >>> rank_symbols(np.array([7, 5, 7, 9], dtype=np.int32), np.array([False, False, False, True])).tolist()
    [1, 2, 1, 0]
    """
    if len(symbols) == 0:
        return np.empty(0, dtype=np.int32)
    top = int(symbols.max())
    if top > 8 * len(symbols) + (1 << 18):  # a table over all ids would outweigh the sequence: sort instead
        symbols = np.unique(symbols, return_inverse=True)[1].astype(np.int32)
        top = int(symbols.max())
    return _rank(symbols, walls, top)


@njit(cache=True, nogil=True)
def _rank(symbols, walls, top):
    table = np.zeros(top + 1, dtype=np.int32)
    out = np.empty(len(symbols), dtype=np.int32)
    seen = 0
    for i in range(len(symbols)):
        if walls[i]:
            out[i] = 0
            continue
        s = symbols[i]
        if table[s] == 0:
            seen += 1
            table[s] = seen
        out[i] = table[s]
    return out


@njit(cache=True, nogil=True)
def find_lcp(ranks, sa):
    """Inverse suffix array, and lcp[r] = common prefix of the suffixes sa[r-1] and sa[r], cut at the first wall.

    Cutting keeps Kasai's invariant (the next suffix shares at least one symbol less), so this stays linear.
    """
    n = len(ranks)
    rank = np.empty(n, dtype=np.int32)
    for r in range(n):
        rank[sa[r]] = r
    lcp = np.zeros(n, dtype=np.int32)
    h = 0
    for i in range(n):
        r = rank[i]
        if r == 0:
            h = 0
            continue
        j = sa[r - 1]
        while i + h < n and j + h < n and ranks[i + h] == ranks[j + h] and ranks[i + h] != 0:
            h += 1
        lcp[r] = h
        if h > 0:
            h -= 1
    return rank, lcp


@njit(cache=True, nogil=True)
def _intervals(sa, lcp, shortest):
    """The LCP intervals of depth >= shortest, found with one stack in one pass over the suffix array."""
    n = len(sa)
    depth = np.empty(n, dtype=np.int32)
    parent = np.empty(n, dtype=np.int32)
    lo = np.empty(n, dtype=np.int32)
    hi = np.empty(n, dtype=np.int32)
    first = np.empty(n, dtype=np.int32)
    last = np.empty(n, dtype=np.int32)
    found = 0
    # The open intervals: depth, left end, smallest and largest position so far. The bottom one is the root.
    s_depth = np.zeros(n + 1, dtype=np.int32)
    s_lo = np.zeros(n + 1, dtype=np.int32)
    s_first = np.full(n + 1, n, dtype=np.int32)
    s_last = np.full(n + 1, -1, dtype=np.int32)
    top = 0
    for r in range(1, n + 1):
        d = lcp[r] if r < n else 0
        left = r - 1
        low = high = sa[r - 1]
        while s_depth[top] > d:
            low = min(low, s_first[top])
            high = max(high, s_last[top])
            left = s_lo[top]
            if s_depth[top] >= shortest:
                depth[found] = s_depth[top]
                parent[found] = max(d, s_depth[top - 1])
                lo[found] = left
                hi[found] = r - 1
                first[found] = low
                last[found] = high
                found += 1
            top -= 1
        if s_depth[top] < d:
            top += 1
            s_depth[top] = d
            s_lo[top] = left
            s_first[top] = low
            s_last[top] = high
        else:
            s_first[top] = min(s_first[top], low)
            s_last[top] = max(s_last[top], high)
    return depth[:found], parent[:found], lo[:found], hi[:found], first[:found], last[:found]


@njit(cache=True, nogil=True)
def interval_tree(sa, lcp):
    """The LCP intervals as a tree with root 0: depth, ends, least position, parent of each, and parent of each leaf."""
    n = len(sa)
    depth = np.zeros(n + 1, dtype=np.int32)
    lo = np.zeros(n + 1, dtype=np.int32)
    hi = np.zeros(n + 1, dtype=np.int32)
    first = np.full(n + 1, n, dtype=np.int32)
    parent = np.zeros(n + 1, dtype=np.int32)
    leaf_parent = np.zeros(n, dtype=np.int32)
    stack = np.zeros(n + 1, dtype=np.int32)
    top = 0
    nodes = 1
    for r in range(1, n + 1):
        d = lcp[r] if r < n else 0
        leaf = sa[r - 1]
        child = -1
        left = r - 1
        if depth[stack[top]] >= d:  # the leaf closes with the open node; otherwise it opens a deeper one below
            leaf_parent[leaf] = stack[top]
            first[stack[top]] = min(first[stack[top]], leaf)
        while depth[stack[top]] > d:
            child = stack[top]
            left = lo[child]
            hi[child] = r - 1
            top -= 1
            if depth[stack[top]] >= d:
                parent[child] = stack[top]
                first[stack[top]] = min(first[stack[top]], first[child])
        if depth[stack[top]] < d:
            depth[nodes] = d
            lo[nodes] = left
            top += 1
            stack[top] = nodes
            if child >= 0:
                parent[child] = nodes
                first[nodes] = first[child]
            else:
                leaf_parent[leaf] = nodes
                first[nodes] = leaf
            nodes += 1
    hi[0] = n - 1
    return depth[:nodes], lo[:nodes], hi[:nodes], first[:nodes], parent[:nodes], leaf_parent


@njit(cache=True, nogil=True)
def sort_positions(positions, count):
    """Sort positions[:count] in place in O(count log count) whatever their order, which numba's quicksort is not."""
    if count <= 64:
        positions[:count].sort()
    else:
        positions[:count] = positions[:count][np.argsort(positions[:count], kind="mergesort")]
