"""The paper's rule (LTSC, arXiv 2506.00307): the longest phrases first, each kept as soon as it pays.

From the longest length down to 2, and at each length in order of first appearance: count the non-overlapping
occurrences from left to right on tokens that nothing has replaced yet; with N tokens and K occurrences the phrase is
kept when N·K > 1 + N + K. `metatok.reference.longest` is the same rule written plainly.

Here only lengths at which some phrase can pay are visited. A phrase of length N lives in the LCP interval whose depth
range holds N, so each interval waits in the bucket of the greatest length at which it may still pay. Tokens are only
ever taken away, so that length only falls, and looking at an interval again when its bucket comes up is exact.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from metatok.grammar import Grammar
from metatok.kernels import njit
from metatok.repeats import find_repeats, number_symbols

Int32 = NDArray[np.int32]


def search_longest(ids: Int32, walls: NDArray[np.bool_], vocab_size: int) -> Grammar:
    """The phrases that the paper's rule keeps, in the order in which it keeps them.

    Args:
        ids: shape (n,), tokens below `vocab_size`.
        walls: shape (n,), True where a token must stay raw.
    """
    text, names = number_symbols(ids)
    text[walls] = 0
    rule_at, first_at, lengths = _longest(text, len(names) - 1)
    return Grammar.from_cover(ids, vocab_size, rule_at, first_at, lengths)


@njit(cache=True, nogil=True)
def _longest(text, top):
    n = len(text)
    sa, rank, depth, parent, lo, hi, first, last = find_repeats(text, top, 2)  # N·K > 1 + N + K is (N−1)(K−1) > 2
    m = len(depth)
    covered = np.zeros(n, dtype=np.bool_)
    alive = np.arange(len(sa) + 1, dtype=np.int32)  # over suffix ranks: the next one whose token is not covered
    rule_at = np.full(n, -1, dtype=np.int32)  # the rule whose occurrence begins here
    first_at = np.empty(n // 2 + 1, dtype=np.int32)
    lengths = np.empty(n // 2 + 1, dtype=np.int32)
    rules = 0

    head = np.full(n + 2, -1, dtype=np.int32)  # head[N]: the first interval that waits for length N
    after = np.full(m, -1, dtype=np.int32)
    longest = 0
    for j in range(m):
        length = min(depth[j], last[j] - first[j])  # two occurrences must not overlap
        if length > parent[j] and length >= 2:
            after[j] = head[length]
            head[length] = j
            longest = max(longest, length)

    scratch = np.empty(n, dtype=np.int32)
    ready = np.empty(m, dtype=np.int32)
    begins = np.empty(m, dtype=np.int32)
    for length in range(longest, 1, -1):
        # Which phrases of this length pay now, and where each begins first.
        count = 0
        j = head[length]
        while j >= 0:
            following = after[j]
            best = _payable(length, max(parent[j], 1), lo[j], hi[j], sa, covered, alive, scratch)
            if best == length:
                ready[count] = j
                begins[count] = _first_free(length, lo[j], hi[j], sa, covered, alive)
                count += 1
            elif best > 0:
                after[j] = head[best]
                head[best] = j
            j = following
        order = np.argsort(begins[:count])
        for o in order:
            j = ready[o]
            free = _free_sorted(length, lo[j], hi[j], sa, covered, alive, scratch)
            uses = _without_overlap(length, free, scratch)
            if length * uses > 1 + length + uses:
                first_at[rules] = scratch[0]
                lengths[rules] = length
                end = 0
                for f in range(free):
                    p = scratch[f]
                    if p < end:
                        continue
                    end = p + length
                    rule_at[p] = rules
                    for q in range(p, end):
                        covered[q] = True
                        if rank[q] >= 0:
                            alive[rank[q]] = rank[q] + 1
                rules += 1
            if length - 1 > parent[j] and length > 2:
                after[j] = head[length - 1]
                head[length - 1] = j
    return rule_at, first_at[:rules].copy(), lengths[:rules].copy()


@njit(cache=True, nogil=True)
def _next_alive(alive, r):
    """The least rank >= r whose position is not covered (union-find with path halving)."""
    while alive[r] != r:
        alive[r] = alive[alive[r]]
        r = alive[r]
    return r


@njit(cache=True, nogil=True)
def _payable(longest, floor, lo, hi, sa, covered, alive, scratch):
    """The greatest length in floor+1 … longest at which this interval's phrase pays now, or 0.

    From 4 tokens up two occurrences pay, 3 tokens need three, 2 tokens need four. All covered stretches are at least
    `longest` tokens long, so a window is free when both its ends are.
    """
    least = max(floor + 1, 4)
    if longest >= least and _two_apart(least, lo, hi, sa, covered, alive):
        good = least
        bad = longest + 1
        while bad - good > 1:
            middle = (good + bad) // 2
            if _two_apart(middle, lo, hi, sa, covered, alive):
                good = middle
            else:
                bad = middle
        return good
    for length in range(min(longest, 3), floor, -1):
        free = _free_sorted(length, lo, hi, sa, covered, alive, scratch)
        uses = _without_overlap(length, free, scratch)
        if length * uses > 1 + length + uses:
            return length
    return 0


@njit(cache=True, nogil=True)
def _two_apart(length, lo, hi, sa, covered, alive):
    low = len(covered)
    high = -1
    r = _next_alive(alive, lo)
    while r <= hi:
        p = sa[r]
        if not covered[p + length - 1]:
            low = min(low, p)
            high = max(high, p)
            if high - low >= length:
                return True
        r = _next_alive(alive, r + 1)
    return False


@njit(cache=True, nogil=True)
def _first_free(length, lo, hi, sa, covered, alive):
    low = len(covered)
    r = _next_alive(alive, lo)
    while r <= hi:
        if sa[r] < low and not covered[sa[r] + length - 1]:
            low = sa[r]
        r = _next_alive(alive, r + 1)
    return low


@njit(cache=True, nogil=True)
def _free_sorted(length, lo, hi, sa, covered, alive, scratch):
    """Write the sorted positions of free windows to `scratch`; return how many."""
    count = 0
    r = _next_alive(alive, lo)
    while r <= hi:
        p = sa[r]
        if not covered[p] and not covered[p + length - 1]:
            scratch[count] = p
            count += 1
        r = _next_alive(alive, r + 1)
    scratch[:count].sort()
    return count


@njit(cache=True, nogil=True)
def _without_overlap(length, count, positions):
    uses = 0
    end = 0
    for i in range(count):
        if positions[i] >= end:
            uses += 1
            end = positions[i] + length
    return uses
