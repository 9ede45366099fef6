"""Sorting the suffixes of a sequence, as far as repeated phrases need it.

Integers only. A sequence is an int32 array in which symbols are numbers from 1 up; a number of 0 or less is a *wall*,
which no phrase may contain and which equals nothing, not even another wall.

The sort is prefix doubling (Larsson and Sadakane 2007, "Faster suffix sorting"): suffixes are grouped by their first
two symbols, and groups are then split by the rank of what follows, two symbols on, four, eight, … O(n log² n) at
worst, O(n log n) on natural text. Two things make it fast here. A pair of symbols that stands in one place only cannot
begin a repeated phrase, so its suffix is left out. And two suffixes that nothing else shares a prefix with need no
further doubling: which of them comes first follows in one pass from right to left, once all others are in order.
"""

from __future__ import annotations

import numpy as np

from metatok.kernels import njit

SHORT = 16  # runs of this length are sorted by insertion
LONG = 1024  # from here on keys are sorted digit by digit
DIGIT = 11  # bits


@njit(cache=True, nogil=True)
def sort_suffixes(text, top):
    """The positions at which a pair of symbols begins that begins elsewhere, too, in the order of their suffixes.

    Args:
        text: int32, shape (n,), symbols from 1 to `top`, walls at 0 and below.

    Returns:
        (sa, rank): int32, shape (m,), the positions; int32, shape (n,), the inverse of sa, -1 for what was left out.
    """
    n = len(text)
    order = _by_pair(text, top)
    # rank[p]: where p's group begins in `order`. rank[n] is the empty suffix, before all others.
    rank = np.empty(n + 1, dtype=np.int32)
    rank[n] = -1
    begins = np.empty(n // 3 + 1, dtype=np.int32)  # the groups of three and more that are not in order yet
    ends = np.empty(n // 3 + 1, dtype=np.int32)
    next_begins = np.empty(n // 3 + 1, dtype=np.int32)
    next_ends = np.empty(n // 3 + 1, dtype=np.int32)
    groups = 0
    largest = 0
    begin = 0
    for r in range(1, n + 1):
        if r < n and _same_pair(text, order[r - 1], order[r]):
            continue
        for i in range(begin, r):
            rank[order[i]] = begin
        if r - begin > 2:
            begins[groups] = begin
            ends[groups] = r
            groups += 1
            largest = max(largest, r - begin)
        begin = r

    keys = np.empty(largest, dtype=np.int64)
    spare = np.empty(largest, dtype=np.int64)
    step = 2
    while groups > 0:
        left = 0
        for g in range(groups):
            begin, end = begins[g], ends[g]
            size = end - begin
            for i in range(size):
                p = order[begin + i]
                keys[i] = np.int64(rank[p + step]) << 32 | p
            sort_keys(keys, spare, size)
            first = 0
            for i in range(1, size + 1):
                if i < size and keys[i] >> 32 == keys[first] >> 32:
                    continue
                for k in range(first, i):
                    p = np.int32(keys[k] & 0xFFFFFFFF)
                    order[begin + k] = p
                    rank[p] = begin + first
                if i - first > 2:
                    next_begins[left] = begin + first
                    next_ends[left] = begin + i
                    left += 1
                first = i
        groups = left
        begins, next_begins = next_begins, begins
        ends, next_ends = next_ends, ends
        step *= 2
    _order_pairs(order, rank)
    return _repeated_only(text, order, rank)


@njit(cache=True, nogil=True)
def _by_pair(text, top):
    """All positions in the order of the symbol there and the next one: the end first, walls from left to right."""
    n = len(text)
    place = np.zeros(top + 2, dtype=np.int32)
    for i in range(n):
        place[max(text[i], 0) + 1] += 1
    for s in range(1, top + 2):
        place[s] += place[s - 1]
    at = place.copy()
    by_symbol = np.empty(n, dtype=np.int32)
    for i in range(n):
        s = max(text[i], 0)
        by_symbol[at[s]] = i
        at[s] += 1
    order = np.empty(n, dtype=np.int32)
    order[: at[0]] = by_symbol[: at[0]]  # walls differ from each other, whatever follows them
    for i in range(-1, n):
        p = n - 1 if i < 0 else by_symbol[i] - 1
        if p >= 0 and text[p] > 0:
            order[place[text[p]]] = p
            place[text[p]] += 1
    return order


@njit(cache=True, nogil=True, inline="always")
def _same_pair(text, p, q):
    n = len(text)
    if p + 1 >= n or q + 1 >= n:
        return False
    return text[p] > 0 and text[p + 1] > 0 and text[p] == text[q] and text[p + 1] == text[q + 1]


@njit(cache=True, nogil=True)
def _order_pairs(order, rank):
    """Put the two suffixes of each group of two in order: as the suffixes that begin one symbol later are."""
    for p in range(len(order) - 1, -1, -1):
        b = rank[p]
        if order[b] == p and b + 1 < len(order) and rank[order[b + 1]] == b:  # p is the first of two
            q = order[b + 1]
            if rank[p + 1] > rank[q + 1]:
                order[b] = q
                order[b + 1] = p
                rank[p] = b + 1
            else:
                rank[q] = b + 1


@njit(cache=True, nogil=True)
def _repeated_only(text, order, rank):
    n = len(order)
    sa = np.empty(n, dtype=np.int32)
    size = 0
    for r in range(n):
        p = order[r]
        if (r > 0 and _same_pair(text, order[r - 1], p)) or (r + 1 < n and _same_pair(text, p, order[r + 1])):
            sa[size] = p
            rank[p] = size
            size += 1
        else:
            rank[p] = -1
    return sa[:size], rank[:n]


@njit(cache=True, nogil=True)
def sort_keys(keys, spare, count):
    """Sort int64 keys[:count] in place by their upper half, of equals the lower half must rise already.

    `spare` is as long as `keys`. O(count log count) whatever the order, which numba's own sort is not.
    """
    if count >= LONG:
        _sort_by_digits(keys, spare, count)
        return
    for begin in range(0, count, SHORT):
        for i in range(begin + 1, min(begin + SHORT, count)):
            key = keys[i]
            j = i
            while j > begin and keys[j - 1] > key:
                keys[j] = keys[j - 1]
                j -= 1
            keys[j] = key
    width = SHORT
    while width < count:
        for begin in range(0, count - width, 2 * width):
            middle = begin + width
            if keys[middle - 1] <= keys[middle]:
                continue
            end = min(middle + width, count)
            spare[begin:middle] = keys[begin:middle]
            i, j, k = begin, middle, begin
            while i < middle and j < end:
                if spare[i] <= keys[j]:
                    keys[k] = spare[i]
                    i += 1
                else:
                    keys[k] = keys[j]
                    j += 1
                k += 1
            while i < middle:
                keys[k] = spare[i]
                i += 1
                k += 1
        width *= 2


@njit(cache=True, nogil=True)
def _sort_by_digits(keys, spare, count):
    least = most = keys[0] >> 32
    for i in range(1, count):
        least = min(least, keys[i] >> 32)
        most = max(most, keys[i] >> 32)
    place = np.empty(1 << DIGIT, dtype=np.int32)
    shift = 0
    source, target = keys, spare
    while (most - least) >> shift > 0:
        place[:] = 0
        for i in range(count):
            place[(((source[i] >> 32) - least) >> shift) & ((1 << DIGIT) - 1)] += 1
        total = 0
        for d in range(1 << DIGIT):
            here = place[d]
            place[d] = total
            total += here
        for i in range(count):
            d = (((source[i] >> 32) - least) >> shift) & ((1 << DIGIT) - 1)
            target[place[d]] = source[i]
            place[d] += 1
        source, target = target, source
        shift += DIGIT
    if (shift // DIGIT) % 2 == 1:
        keys[:count] = spare[:count]
