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

from metatok.ids import as_integers
from metatok.kernels import njit
from metatok.repeats import find_lcp, interval_tree, number_symbols
from metatok.suffixes import sort_suffixes


def bound(ids: Any) -> int:
    """A lower bound on the ids of any grammar for `ids`: its number of LZ77 phrases. About O(n log n).

    Theorem (Rytter 2003; Charikar et al. 2005, "The Smallest Grammar Problem", section VII): the LZ77 factorization
    without self-overlap has no more phrases than the smallest grammar has symbols on its right-hand sides.

    Args:
        ids: any one-dimensional sequence of integers, as for `Codec.compress`.

    Raises:
        TypeError, ValueError: for what is not a sequence of integers.

    >>> bound([1, 2, 1, 2, 1, 2, 1, 2])  # 1 | 2 | 1 2 | 1 2 1 2
    4
    """
    array = as_integers(ids)
    if array.dtype == object or not (array.size and array.min() >= 0 and array.max() < 1 << 31):
        array = np.unique(array, return_inverse=True)[1]
    text, names = number_symbols(array.astype(np.int32))
    return int(_count_phrases(text, len(names) - 1))


@njit(cache=True, nogil=True)
def _count_phrases(text, top):
    """Walk up from each phrase's leaf to the deepest interval whose first occurrence ends early enough."""
    n = len(text)
    sa, rank = sort_suffixes(text, top)
    depth, _, _, first, parent, leaf_parent = interval_tree(sa, find_lcp(text, sa, rank), n)
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
