"""How short any grammar could make a sequence: the number of LZ77 phrases without self-overlap.

Theorem (Rytter 2003, "Application of Lempel–Ziv factorization to the approximation of grammar-based compression";
Charikar et al. 2005, "The Smallest Grammar Problem", section VII): the LZ77 factorization of a sequence, in which a
phrase is one new symbol or the longest stretch that occurs earlier without overlapping itself, has no more phrases
than the smallest straight-line grammar of the sequence has symbols on its right-hand sides. An `inline` sequence is
such a grammar written down, symbol for symbol, and the other layouts are longer than theirs. So no method of metatok,
and none that writes phrases down in the sequence, can give fewer ids. The bound itself is seldom reached.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from metatok.ids import as_integers
from metatok.repeats import find_lcp, rank_symbols, suffix_array


def bound(ids: Any) -> int:
    """A lower bound on the ids of any grammar for `ids`: its number of LZ77 phrases. About O(n log n).

    Args:
        ids: any one-dimensional sequence of integers, as for `Codec.compress`.

    Raises:
        TypeError, ValueError: for what is not a sequence of integers.

    >>> bound([1, 2, 1, 2, 1, 2, 1, 2])  # 1 | 2 | 1 2 | 1 2 1 2
    4
    """
    array = as_integers(ids)
    _, symbols = np.unique(array, return_inverse=True)
    ranks = rank_symbols(symbols.astype(np.int32), np.zeros(len(symbols), dtype=np.bool_))
    if len(ranks) == 0:
        return 0
    sa = suffix_array(ranks)
    _, lcp = find_lcp(ranks, sa)
    return int(_count_phrases(*_interval_tree(sa, lcp)))


@njit(cache=True, nogil=True)
def _interval_tree(sa, lcp):
    """The LCP intervals as a tree with root 0: depth, smallest position and parent of each, parent of each leaf."""
    n = len(sa)
    depth = np.zeros(n + 1, dtype=np.int32)
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
        if depth[stack[top]] >= d:  # the leaf closes with the open node; otherwise it opens a deeper one below
            leaf_parent[leaf] = stack[top]
            first[stack[top]] = min(first[stack[top]], leaf)
        while depth[stack[top]] > d:
            child = stack[top]
            top -= 1
            if depth[stack[top]] >= d:
                parent[child] = stack[top]
                first[stack[top]] = min(first[stack[top]], first[child])
        if depth[stack[top]] < d:
            depth[nodes] = d
            top += 1
            stack[top] = nodes
            if child >= 0:
                parent[child] = nodes
                first[nodes] = first[child]
            else:
                leaf_parent[leaf] = nodes
                first[nodes] = leaf
            nodes += 1
    return depth[:nodes], first[:nodes], parent[:nodes], leaf_parent


@njit(cache=True, nogil=True)
def _count_phrases(depth, first, parent, leaf_parent):
    """Walk up from each phrase's leaf to the deepest node whose first occurrence ends early enough."""
    n = len(leaf_parent)
    phrases = 0
    i = 0
    while i < n:
        length = 1
        v = leaf_parent[i]
        while v != 0:
            if i - first[v] > depth[parent[v]]:  # some length on the edge into v does not overlap
                length = min(depth[v], i - first[v])
                break
            v = parent[v]
        phrases += 1
        i += length
    return phrases
