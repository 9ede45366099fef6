"""The biggest saving first: the greedy search behind `flat`, `nested` and `inline`.

In rounds. A round finds every repeated phrase of the sequence (`metatok.repeats`), takes the one that saves most,
marks its non-overlapping occurrences from left to right, and goes on with what is left until nothing pays; of equal
savings the phrase that begins first goes first, and of those the longer one. Then the occurrences are replaced and,
where phrases may be nested, the phrases themselves become part of the sequence that the next round searches. At the
end rules that no longer pay are written out again. `metatok.reference.biggest_saving` is the same, written plainly.

With N symbols and K occurrences a phrase saves (N−1)(K−1) − overhead ids: overhead is 2 where a dictionary stands in
front (a phrase is written once more, behind its meta-token) and 1 where the first use defines.

A heap holds what each phrase could save at most. Tokens are only ever taken, so savings only fall, and a phrase whose
saving was counted anew and is still the greatest is the right one (lazy greedy evaluation).
"""

from __future__ import annotations

import heapq

import numpy as np
from numba import njit
from numpy.typing import NDArray

from metatok.grammar import Grammar, prune
from metatok.repeats import find_repeats, rank_symbols, sort_positions

Int32 = NDArray[np.int32]
Walls = NDArray[np.bool_]

# A round stops when it has looked at occurrences and their tokens this many times per symbol, and the next one starts
# on the shorter sequence. Natural text needs 2 to 6; without the bound a run such as [0] * n reads n overlapping
# occurrences n times.
WORK_PER_SYMBOL = 32
LEAST_WORK = 1 << 18

BREAK = -1  # stands between body and phrases in the sequence of a round; always a wall


def search_saving(grammar: Grammar, walls: Walls, *, nested: bool, overhead: int) -> Grammar:
    """The grammar with all further phrases that pay, new rules in the order in which they were found.

    Args:
        grammar: what is there already; `Grammar.raw(ids, vocab_size)` for a plain sequence.
        walls: shape (n,) for a sequence of n tokens, True where a token must stay raw.
        nested: whether a phrase may contain meta-tokens.
        overhead: 2 or 1, see above.
    """
    base, rules = grammar.base, grammar.rules
    symbols = grammar.body
    walls = grammar.in_body(walls)
    if nested:  # look into the phrases, too
        phrases = _behind_breaks(grammar.phrases, grammar.starts)
        symbols = np.concatenate((symbols, phrases))
        walls = np.concatenate((walls, phrases == BREAK))
    else:
        walls |= symbols >= base
    flat_phrases: list[Int32] = [grammar.phrases]
    flat_lengths: list[NDArray[np.integer]] = [grammar.lengths()]
    while True:
        rule_at, first_at, lengths = _search_round(symbols, walls, overhead)
        if len(lengths) == 0:
            break
        phrases = _read(symbols, first_at, lengths)
        symbols, walls = _replace(symbols, walls, rule_at, lengths, base + rules, not nested)
        if nested:
            phrases = _behind_breaks(phrases, _starts(lengths))
            symbols = np.concatenate((symbols, phrases))
            walls = np.concatenate((walls, phrases == BREAK))
        else:
            flat_phrases.append(phrases)
            flat_lengths.append(lengths)
        rules += len(lengths)
    if nested:
        found = _split(symbols, base)
    else:
        found = Grammar(base, symbols, np.concatenate(flat_phrases), _starts(*flat_lengths))
    return prune(found, overhead)


def _search_round(symbols: Int32, walls: Walls, overhead: int) -> tuple[Int32, Int32, Int32]:
    """What one round takes: the rule that begins at each position or -1, where each rule can be read, its length."""
    repeats = find_repeats(rank_symbols(symbols, walls))
    work = max(LEAST_WORK, WORK_PER_SYMBOL * len(symbols))
    return _take_biggest(repeats.sa, repeats.depth, repeats.lo, repeats.hi, repeats.first, repeats.last, overhead, work)


def _split(symbols: Int32, base: int) -> Grammar:
    """Body and phrases, each phrase behind a BREAK, as a grammar."""
    breaks = np.append(np.flatnonzero(symbols == BREAK), len(symbols))
    starts = _starts(np.diff(breaks) - 1)
    behind = symbols[breaks[0] :]
    return Grammar(base, symbols[: breaks[0]], behind[behind != BREAK], starts)


def _starts(*lengths: NDArray[np.integer]) -> NDArray[np.int64]:
    return np.concatenate(([0], *lengths)).cumsum(dtype=np.int64)


@njit(cache=True, nogil=True)
def _read(symbols, first_at, lengths):
    """The phrases of new rules one after the other."""
    out = np.empty(lengths.sum(), dtype=np.int32)
    size = 0
    for k in range(len(lengths)):
        for i in range(lengths[k]):
            out[size] = symbols[first_at[k] + i]
            size += 1
    return out


@njit(cache=True, nogil=True)
def _behind_breaks(phrases, starts):
    """Phrases one after the other, a BREAK in front of each."""
    rules = len(starts) - 1
    out = np.empty(len(phrases) + rules, dtype=np.int32)
    for k in range(rules):
        out[starts[k] + k] = BREAK
        for q in range(starts[k], starts[k + 1]):
            out[q + k + 1] = phrases[q]
    return out


@njit(cache=True, nogil=True)
def _replace(symbols, walls, rule_at, lengths, number, rules_are_walls):
    """Put symbol `number` + k where an occurrence of rule k begins; the rest of the occurrence goes."""
    n = len(symbols)
    out = np.empty(n, dtype=np.int32)
    out_walls = np.empty(n, dtype=np.bool_)
    size = 0
    i = 0
    while i < n:
        k = rule_at[i]
        if k >= 0:
            out[size] = number + k
            out_walls[size] = rules_are_walls
            i += lengths[k]
        else:
            out[size] = symbols[i]
            out_walls[size] = walls[i]
            i += 1
        size += 1
    return out[:size].copy(), out_walls[:size].copy()


@njit(cache=True, nogil=True)
def _take_biggest(sa, depth, lo, hi, first, last, overhead, work):
    n = len(sa)
    covered = np.zeros(n, dtype=np.bool_)
    rule_at = np.full(n, -1, dtype=np.int32)
    first_at = np.empty(n // 2 + 1, dtype=np.int32)
    lengths = np.empty(n // 2 + 1, dtype=np.int32)
    rules = 0
    left = n  # tokens not covered

    # Entries: (-saving, first position, phrase). Deeper LCP intervals have smaller numbers: of equals the longer wins.
    heap = [(np.int64(0), np.int64(0), np.int64(0)) for _ in range(0)]
    for j in range(len(depth)):
        most = min(hi[j] - lo[j] + 1, (last[j] - first[j]) // depth[j] + 1)
        saving = np.int64(depth[j] - 1) * (most - 1) - overhead
        if saving > 0:
            heap.append((-saving, np.int64(first[j]), np.int64(j)))
    heapq.heapify(heap)

    where = np.empty(n, dtype=np.int32)
    best = np.int64(-1)  # before the first rule: the phrase of the greatest saving counted so far
    best_saving = np.int64(0)
    while len(heap) > 0 and left >= 4:
        if work > 0:
            _, begin, j = heapq.heappop(heap)
        elif rules == 0 and best >= 0:  # never end a round with nothing
            begin, j = np.int64(first[best]), best
        else:
            break
        length = np.int64(depth[j])
        count = 0
        for r in range(lo[j], hi[j] + 1):
            p = sa[r]
            if not covered[p] and not covered[p + length - 1]:
                where[count] = p
                count += 1
        work -= hi[j] - lo[j] + 1
        sort_positions(where, count)
        uses = 0
        end = np.int64(0)  # no occurrence may begin before this position
        for i in range(count):
            p = where[i]
            if p < end:
                continue
            q = p + 1
            while q < p + length and not covered[q]:
                q += 1
            work -= q - p
            end = q  # behind the occurrence, or at the covered token that every window from here to there would hold
            if q == p + length:
                where[uses] = p
                uses += 1
        saving = (length - 1) * (uses - 1) - overhead
        if saving <= 0:
            continue
        entry = (-saving, begin, j)
        if work > 0 and len(heap) > 0 and heap[0] < entry:
            heapq.heappush(heap, entry)
            if rules == 0 and saving > best_saving:
                best, best_saving = j, saving
            continue
        first_at[rules] = where[0]
        lengths[rules] = length
        for i in range(uses):
            rule_at[where[i]] = rules
            for q in range(where[i], where[i] + length):
                covered[q] = True
        left -= uses * length
        rules += 1
    return rule_at, first_at[:rules].copy(), lengths[:rules].copy()
