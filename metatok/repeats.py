"""Every repeated phrase of a sequence: sorted suffixes → LCP array → LCP intervals.

Integers only. A sequence is an int32 array in which symbols are numbers from 1 up and walls, which no phrase may
contain, are 0 or less (see `metatok.suffixes`). The repeated phrases that cannot be extended to the right without
losing an occurrence are the LCP intervals of the suffix array (Abouelhoda, Kurtz and Ohlebusch 2004, "Replacing suffix
trees with enhanced suffix arrays"); there are fewer than n of them, and together they stand for every repeated phrase.
The LCP array is found as by Kasai et al. 2001, in O(n). This module does not choose among phrases: that is
`metatok.search`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from metatok.kernels import njit
from metatok.suffixes import sort_suffixes

Int32 = NDArray[np.int32]
NOWHERE = (1 << 31) - 1  # behind every position


class Repeats(NamedTuple):
    """The right-maximal repeated phrases of a sequence of n symbols.

    Phrase j is `depth[j]` symbols long and occurs at the positions `sa[lo[j] : hi[j] + 1]` (unsorted, they may
    overlap); `first[j]` and `last[j]` are the smallest and the largest of them. Every phrase of a length in
    `parent[j] + 1 … depth[j]` that begins at one of these positions occurs at exactly these positions. Longer phrases
    have smaller numbers than those they begin with.
    """

    sa: Int32  # (m,) positions where a repeated pair begins, in the order of their suffixes
    rank: Int32  # (n,) the inverse of sa, -1 for other positions
    depth: Int32  # (k,)
    parent: Int32  # (k,)
    lo: Int32  # (k,)
    hi: Int32  # (k,)
    first: Int32  # (k,)
    last: Int32  # (k,)


@njit(cache=True, nogil=True)
def find_repeats(text, top, least):
    """All right-maximal phrases with N symbols at K places, N and K at least 2, where (N−1)(K−1) > `least`.

    Args:
        text: int32, shape (n,), symbols from 1 to `top`, walls at 0 and below (see `number_symbols`).

    >>> r = Repeats(*find_repeats(np.array([1, 2, 3, 1, 2, 4], dtype=np.int32), 4, 0))
    >>> r.depth.tolist(), sorted(r.sa[r.lo[0] : r.hi[0] + 1].tolist())
    ([2], [0, 3])
    """
    sa, rank = sort_suffixes(text, top)
    lcp = find_lcp(text, sa, rank)
    depth, parent, lo, hi, first, last = _intervals(sa, lcp, least)
    return sa, rank, depth, parent, lo, hi, first, last


def number_symbols(symbols: Int32) -> tuple[Int32, Int32]:
    """Number the symbols 1, 2, … in order of appearance.

    Returns:
        (text, names): shape (n,), the numbers; shape (k + 1,), the symbol behind each number, names[0] is of no use.

    >>> text, names = number_symbols(np.array([7, 5, 7, 9], dtype=np.int32))
    >>> text.tolist(), names[1:].tolist()
    ([1, 2, 1, 3], [7, 5, 9])
    """
    if len(symbols) == 0:
        return np.empty(0, dtype=np.int32), np.zeros(1, dtype=np.int32)
    top = int(symbols.max())
    if top > 8 * len(symbols) + (1 << 18):  # a table over all ids would outweigh the sequence: sort instead
        names, text = np.unique(symbols, return_inverse=True)
        return (text + 1).astype(np.int32), np.concatenate(([0], names)).astype(np.int32)
    return _number(symbols, top)


@njit(cache=True, nogil=True)
def _number(symbols, top):
    table = np.zeros(top + 1, dtype=np.int32)
    text = np.empty(len(symbols), dtype=np.int32)
    names = np.zeros(min(top, len(symbols)) + 2, dtype=np.int32)
    seen = 0
    for i in range(len(symbols)):
        s = symbols[i]
        if table[s] == 0:
            seen += 1
            table[s] = seen
            names[seen] = s
        text[i] = table[s]
    return text, names[: seen + 1]


@njit(cache=True, nogil=True)
def find_lcp(text, sa, rank):
    """lcp[r] = common prefix of the suffixes sa[r-1] and sa[r], which ends before the first wall; shape (m,).

    Between suffixes that begin with different pairs it is 0.
    """
    n = len(text)
    lcp = np.zeros(len(sa), dtype=np.int32)
    h = 0
    for i in range(n):
        r = rank[i]
        if r <= 0:
            h = 0
            continue
        j = sa[r - 1]
        while i + h < n and j + h < n and text[i + h] == text[j + h] and text[i + h] > 0:
            h += 1
        if h < 2:
            h = 0
            continue
        lcp[r] = h
        # The next suffix shares one symbol less at least, so this stays linear. One symbol says nothing here: the
        # neighbour that shares it may have been left out.
        h = h - 1 if h > 2 else 0
    return lcp


@njit(cache=True, nogil=True)
def _intervals(sa, lcp, least):
    """The LCP intervals of phrases that may pay, found with one stack in one pass over the suffix array."""
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
    s_first = np.full(n + 1, NOWHERE, dtype=np.int32)
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
            if np.int64(s_depth[top] - 1) * (r - 1 - left) > least:
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
def interval_tree(sa, lcp, length):
    """The LCP intervals as a tree with root 0: depth, ends, least position and parent of each; and shape (length,)
    for each position of the sequence the deepest interval that holds it, 0 where there is none.
    """
    n = len(sa)
    depth = np.zeros(n + 1, dtype=np.int32)
    lo = np.zeros(n + 1, dtype=np.int32)
    hi = np.zeros(n + 1, dtype=np.int32)
    first = np.full(n + 1, NOWHERE, dtype=np.int32)
    parent = np.zeros(n + 1, dtype=np.int32)
    leaf_parent = np.zeros(length, dtype=np.int32)
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
