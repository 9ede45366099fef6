"""How the inline layout divides its pool of meta-tokens by phrase length, and fitting a grammar to it.

In the inline layout nothing marks where a phrase ends: the number of a meta-token tells how many symbols its phrase
has. This module holds that division, and makes a grammar one whose phrases have such lengths. Writing it down is
`metatok.layout`.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from metatok.grammar import Grammar, count_uses, drop_what_does_not_pay, write_out
from metatok.kernels import njit

Int32 = NDArray[np.int32]

# How many of every 128 meta-tokens stand for a phrase of each length in the inline layout. About half of the phrases
# that save most are pairs and a fifth triples, whatever the text and the pool; the rest is a long thin tail, and the
# few long lengths are for text that stands there twice. Chosen with `benchmarks/pool_division.py`, see docs/LOG.md.
PHRASE_LENGTHS = {2: 48, 3: 24, 4: 14, 5: 8, 6: 6, 7: 4, 8: 6, 10: 4, 12: 3, 16: 5, 24: 2, 32: 2, 64: 1, 256: 1}
PERIOD = sum(PHRASE_LENGTHS.values())
MOST_IN_A_ROW = 16  # links, each the end of the one before
MOST_CUTS = 40  # how often phrases may be cut short before what does not fit is written out


@lru_cache(maxsize=1)
def length_pattern() -> Int32:
    """Phrase lengths of the meta-tokens m0 … m127, after which they repeat.

    Each meta-token goes to the length that is furthest behind its share, so that any pool has nearly the same shares.
    """
    given = dict.fromkeys(PHRASE_LENGTHS, 0)
    pattern = []
    for m in range(PERIOD):
        length = max(given, key=lambda n: (PHRASE_LENGTHS[n] * (m + 1) - PERIOD * given[n], -n))
        given[length] += 1
        pattern.append(length)
    return np.array(pattern, dtype=np.int32)


def phrase_length(m: int) -> int:
    """How many symbols the phrase of meta-token m has in the inline layout, m = 0, 1, 2, …

    >>> [phrase_length(m) for m in range(8)]
    [2, 3, 4, 2, 5, 6, 2, 3]
    """
    return int(length_pattern()[m % PERIOD])


def room(length: int, pool: int) -> int:
    """How many of m0 … m(pool-1) stand for a phrase of this length."""
    fits = length_pattern() == length
    return int(fits.sum()) * (pool // PERIOD) + int(fits[: pool % PERIOD].sum())


@lru_cache(maxsize=64)
def places(pool: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The lengths that phrases can have, the longest first, and how many of m0 … m(pool-1) there are for each."""
    lengths = sorted(PHRASE_LENGTHS, reverse=True)
    return np.array(lengths, dtype=np.int64), np.array([room(n, pool) for n in lengths], dtype=np.int64)


def fit_inline(grammar: Grammar, pool: int) -> Grammar:
    """The grammar with every phrase of a length that the inline layout has a free meta-token for.

    The rules that save most choose first. A phrase of a length that has no meta-token (left) is built as a chain: its
    first symbols and a meta-token that holds the rest; each link takes a meta-token and costs one id. Where a link
    would save less than the meta-token saves elsewhere the phrase is cut short there. What finds no room at all is
    written out.
    """
    parts = grammar.body, grammar.phrases, grammar.starts
    return Grammar(grammar.base, *_fit(*parts, grammar.base, pool, *places(pool)))


@njit(cache=True, nogil=True)
def _fit(body, phrases, starts, base, pool, lengths, free):
    """`fit_inline`; lengths and how many of each are free as `places` gives them."""
    cuts = MOST_CUTS
    while True:
        body, phrases, starts = drop_what_does_not_pay(body, phrases, starts, base, 1, len(starts) - 1)
        rules = len(starts) - 1
        symbols, uses = np.diff(starts), count_uses(body, phrases, base, rules)
        gains = (symbols - 1) * (uses - 1) - 1
        order = np.argsort(-gains, kind="mergesort")  # which leaves equals in their order
        price = gains[order[pool - 1]] if 0 < pool < rules else 0  # what a meta-token saves at the margin
        chains = _choose_chains(symbols, uses, order, lengths, free, price if cuts > 0 else 0, cuts > 0)
        held = np.ones(rules, dtype=np.int64)  # symbols that each rule's chain holds; 1: no room
        for i in range(len(lengths)):
            held += chains[:, i] * (lengths[i] - 1)
        if (held == symbols).all():
            return _link(body, phrases, starts, base, chains, lengths)
        cuts -= 1
        # Writing a phrase out makes others longer and more used, so only the lesser half goes before the next look.
        homeless = order[held[order] == 1]
        shortened = (held < symbols) & (held > 1)
        body, phrases, starts = _shorten(body, phrases, starts, base, np.where(shortened, held, symbols))
        dropped = np.zeros(len(starts) - 1, dtype=np.bool_)
        dropped[:rules] = shortened
        dropped[homeless[len(homeless) // 2 :]] = True
        body, phrases, starts = write_out(body, phrases, starts, base, dropped)


@njit(cache=True, nogil=True)
def _choose_chains(symbols, uses, order, lengths, room, price, may_cut):
    """chains[k, i] = how many links of lengths[i] symbols rule k takes; lengths fall, the last is 2.

    A chain of links with n₁, n₂, … symbols holds 1 + Σ(nᵢ − 1) symbols; a link of n saves (n − 1)(uses − 1) − 1.
    """
    room = room.copy()
    chains = np.zeros((len(symbols), len(lengths)), dtype=np.int64)
    for k in order:
        rest = symbols[k] - 1
        for i in range(len(lengths)):
            if (lengths[i] - 1) * (uses[k] - 1) - 1 <= price and rest < symbols[k] - 1:
                break
            take = min(room[i], rest // (lengths[i] - 1))
            chains[k, i] = take
            rest -= take * (lengths[i] - 1)
        if rest > 0 and not may_cut:
            chains[k] = 0
        room -= chains[k]
    return chains


@njit(cache=True, nogil=True)
def _shorten(body, phrases, starts, base, held):
    """Give each rule with more symbols than `held` a new rule for the first of them: k → new, rest."""
    rules = len(starts) - 1
    fresh = 0
    for k in range(rules):
        if held[k] < starts[k + 1] - starts[k]:
            fresh += 1
    out = np.empty(len(phrases) + fresh, dtype=np.int32)
    new_starts = np.empty(rules + fresh + 1, dtype=np.int64)
    size = 0
    number = rules
    for k in range(rules):
        new_starts[k] = size
        begin = starts[k]
        if held[k] < starts[k + 1] - begin:
            out[size] = base + number
            size += 1
            number += 1
            begin += held[k]
        for q in range(begin, starts[k + 1]):
            out[size] = phrases[q]
            size += 1
    number = rules
    for k in range(rules):
        if held[k] < starts[k + 1] - starts[k]:
            new_starts[number] = size
            number += 1
            for q in range(starts[k], starts[k] + held[k]):
                out[size] = phrases[q]
                size += 1
    new_starts[number] = size
    return body, out, new_starts


@njit(cache=True, nogil=True)
def _link(body, phrases, starts, base, chains, lengths):
    """Cut each phrase into its links. The first link keeps the number of the rule, the others get new numbers.

    A link ends with the next one. Of more than MOST_IN_A_ROW each holds as many of the others as it has room for: as
    many ids, but what all of them stand for, written out, is then some times the phrase and not its square.
    """
    rules = len(starts) - 1
    links = chains.sum()
    out = np.empty(len(phrases) + links - rules, dtype=np.int32)
    new_starts = np.zeros(links + 1, dtype=np.int64)
    fresh = rules
    for k in range(rules):
        first = True
        for i in range(len(lengths)):
            for _ in range(chains[k, i]):
                new_starts[(k if first else fresh) + 1] = lengths[i]
                fresh += not first
                first = False
    new_starts = new_starts.cumsum()

    fresh = rules
    for k in range(rules):
        count = chains[k].sum()
        numbers = np.arange(fresh - 1, fresh - 1 + count)
        numbers[0] = k
        room = new_starts[numbers + 1] - new_starts[numbers]
        inner = np.empty(count, dtype=np.int64)  # how many of the next links each holds, at its end
        given = 1
        for j in range(count):
            inner[j] = min(room[j] if count > MOST_IN_A_ROW else 1, count - given)
            given += inner[j]
        symbols = room - inner
        held = symbols.copy()  # with those of the links that it holds
        for j in range(count - 1, -1, -1):
            held[j] += held[given - inner[j] : given].sum()
            given -= inner[j]
        begins = np.full(count, starts[k])
        for j in range(count):
            place, end = begins[j] + symbols[j], new_starts[numbers[j]] + symbols[j]
            out[new_starts[numbers[j]] : end] = phrases[begins[j] : place]
            for i in range(given, given + inner[j]):
                out[end + i - given] = base + numbers[i]
                begins[i] = place
                place += held[i]
            given += inner[j]
        fresh += count - 1
    return body, out, new_starts
