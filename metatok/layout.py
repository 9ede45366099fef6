"""How a grammar is written as one id sequence, and read back.

Ids below `vocab_size` are tokens. `vocab_size` and `vocab_size + 1` are the marks `<dict>` and `</dict>`, and from
`vocab_size + 2` on come the meta-tokens m0, m1, … Every method reserves the marks, so one vocabulary serves them all.

- `prefix`: `<dict> M a b c  M' a b … </dict>` and then the body. A phrase ends where a meta-token that was not defined
  before begins the next entry, so phrases may hold meta-tokens, and the phrases they use come first.
- `inline`: no marks. Where a meta-token appears first its phrase follows it; later it stands alone. How many symbols
  follow is a property of the meta-token's number, see `metatok.pool`.

Reading refuses what stands for no sequence (a phrase that is missing, cut short, written down twice or where none can
be) and says where; whether a phrase pays is not asked. It looks at each id once and allocates nothing that a malformed
sequence could make large.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metatok.grammar import Grammar
from metatok.kernels import njit
from metatok.pool import PERIOD, length_pattern, room

Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]

MARKS = 2  # <dict> and </dict>
LARGE = 1 << 16  # a pool from which a few meta-tokens are drawn without shuffling all of it


class FormatError(ValueError):
    """A compressed sequence that cannot be read. `position` is the index of the id that made it impossible."""

    def __init__(self, reason: str, position: int):
        super().__init__(f"{reason} (position {position})")
        self._reason = reason
        self.position = position

    def __reduce__(self) -> tuple[type[FormatError], tuple[str, int]]:
        """It can be copied, and come from another process."""
        return type(self), (self._reason, self.position)


@dataclass(frozen=True)
class Vocabulary:
    """Which id means what. `meta_tokens` None stands for all ids that an int32 can hold."""

    vocab_size: int
    meta_tokens: int | None

    @property
    def dict_open(self) -> int:
        return self.vocab_size

    @property
    def dict_close(self) -> int:
        return self.vocab_size + 1

    @property
    def first_meta(self) -> int:
        return self.vocab_size + MARKS

    @property
    def pool(self) -> int:
        """How many meta-tokens there are."""
        return (1 << 31) - self.first_meta if self.meta_tokens is None else self.meta_tokens


@dataclass(frozen=True, eq=False)
class Reading:
    """A compressed sequence as it was understood; rules are numbered in the order of their definitions."""

    grammar: Grammar
    meta_ids: Int32  # (rules,) the meta-token of each rule
    context: Int32  # (ids,) the rule whose definition each id belongs to, -1 for the body, -2 for a mark


# ---- grammar → ids


def write_inline(grammar: Grammar, vocabulary: Vocabulary, rng: np.random.Generator | None = None) -> Int32:
    """The ids of a grammar that `fit_inline` made; meta-tokens in order, or drawn at random from the pool."""
    parts = grammar.body, grammar.phrases, grammar.starts, grammar.base
    if rng is None:
        return _write_inline_in_order(*parts, length_pattern(), vocabulary.first_meta)
    symbols, order = _in_order_inline(*parts)
    lengths = grammar.lengths()[order]
    numbers = np.empty(grammar.rules, dtype=np.int64)
    for length in np.unique(lengths):
        which = order[lengths == length]
        places = np.flatnonzero(length_pattern() == length)
        slots = _draw(len(which), room(int(length), vocabulary.pool), vocabulary, rng)
        numbers[which] = slots // len(places) * PERIOD + places[slots % len(places)]
    return _name(symbols, grammar.base, numbers, vocabulary.first_meta)


@njit(cache=True, nogil=True)
def _write_inline_in_order(body, phrases, starts, base, pattern, first_meta):
    symbols, order = _in_order_inline(body, phrases, starts, base)
    return _name(symbols, base, _numbers(np.diff(starts)[order], order, pattern), first_meta)


@njit(cache=True, nogil=True)
def _numbers(lengths, order, pattern):
    """The meta-token of each rule: for rules in this order the next one that stands for as many symbols."""
    numbers = np.empty(len(order), dtype=np.int64)
    following = np.zeros(pattern.max() + 1, dtype=np.int64)  # by length: the meta-tokens below this are taken
    for i in range(len(order)):
        m = following[lengths[i]]
        while pattern[m % len(pattern)] != lengths[i]:
            m += 1
        numbers[order[i]] = m
        following[lengths[i]] = m + 1
    return numbers


def write_prefix(grammar: Grammar, vocabulary: Vocabulary, rng: np.random.Generator | None = None) -> Int32:
    """The ids of a grammar with its dictionary in front, phrases before their users."""
    symbols, order = _in_order_prefix(grammar.body, grammar.phrases, grammar.starts, grammar.base)
    numbers = np.empty(grammar.rules, dtype=np.int64)
    numbers[order] = _draw(grammar.rules, vocabulary.pool, vocabulary, rng)
    dictionary = _name(symbols, grammar.base, numbers, vocabulary.first_meta)
    body = _name(grammar.body, grammar.base, numbers, vocabulary.first_meta)
    marks = np.array([vocabulary.dict_open, vocabulary.dict_close], dtype=np.int32)
    return np.concatenate((marks[:1], dictionary, marks[1:], body))


def _draw(count: int, room: int, vocabulary: Vocabulary, rng: np.random.Generator | None) -> Int64:
    """Which of `room` equals to take: the first `count`, or as many at random (an endless pool: shuffled)."""
    if rng is None:
        return np.arange(count, dtype=np.int64)
    if vocabulary.meta_tokens is None:
        return rng.permutation(count).astype(np.int64)
    if room > LARGE:
        return rng.choice(room, count, replace=False).astype(np.int64)
    return rng.permutation(room)[:count].astype(np.int64)


@njit(cache=True, nogil=True)
def _name(symbols, base, numbers, first_meta):
    """Symbols to ids: rule k becomes meta-token `numbers[k]`."""
    ids = symbols.copy()
    for i in range(len(symbols)):
        if symbols[i] >= base:
            ids[i] = first_meta + numbers[symbols[i] - base]
    return ids


@njit(cache=True, nogil=True)
def _in_order_inline(body, phrases, starts, base):
    """Body with each phrase behind the first appearance of its rule, and the rules in order of appearance."""
    rules = len(starts) - 1
    out = np.empty(len(body) + len(phrases), dtype=np.int32)
    order = np.empty(rules, dtype=np.int64)
    seen = np.zeros(rules, dtype=np.bool_)
    path = np.empty(rules + 1, dtype=np.int64)
    at = np.empty(rules + 1, dtype=np.int64)
    size = 0
    found = 0
    for i in range(len(body)):
        s = body[i]
        top = -1
        while True:
            out[size] = s
            size += 1
            if s >= base and not seen[s - base]:
                seen[s - base] = True
                order[found] = s - base
                found += 1
                top += 1
                path[top] = s - base
                at[top] = starts[s - base]
            while top >= 0 and at[top] == starts[path[top] + 1]:
                top -= 1
            if top < 0:
                break
            s = phrases[at[top]]
            at[top] += 1
    return out[:size], order[:found]


@njit(cache=True, nogil=True)
def _in_order_prefix(body, phrases, starts, base):
    """The dictionary's entries (rule, then phrase), each behind those it uses, and the rules in that order."""
    rules = len(starts) - 1
    out = np.empty(rules + len(phrases), dtype=np.int32)
    order = np.empty(rules, dtype=np.int64)
    seen = np.zeros(rules, dtype=np.bool_)
    path = np.empty(rules + 1, dtype=np.int64)
    at = np.empty(rules + 1, dtype=np.int64)
    size = 0
    found = 0
    for i in range(len(body)):
        if body[i] < base or seen[body[i] - base]:
            continue
        top = 0
        path[0] = body[i] - base
        at[0] = starts[path[0]]
        seen[path[0]] = True
        while top >= 0:
            k = path[top]
            if at[top] < starts[k + 1]:
                s = phrases[at[top]]
                at[top] += 1
                if s >= base and not seen[s - base]:
                    seen[s - base] = True
                    top += 1
                    path[top] = s - base
                    at[top] = starts[s - base]
                continue
            out[size] = base + k
            size += 1
            for q in range(starts[k], starts[k + 1]):
                out[size] = phrases[q]
                size += 1
            order[found] = k
            found += 1
            top -= 1
    return out[:size], order[:found]


# ---- ids → grammar

_OK = 0
_REASONS = {
    1: "{token} is used but never defined",
    2: "{token} appears inside its own definition",
    3: "the definition of {token} runs past the end of the sequence",
    4: "the dictionary is never closed",
    5: "the dictionary must begin with a meta-token",
    6: "the phrase of {token} has fewer than two symbols",
    7: "{token} stands inside the dictionary",
    8: "{token} is defined twice; phrases of this method hold no meta-tokens",
    9: "{token} has no place in this sequence",
    10: "the dictionary is empty",
}


def read(ids: Int32, vocabulary: Vocabulary, *, inline: bool, nested: bool) -> Reading:
    """Understand a compressed sequence.

    Args:
        ids: shape (n,), each at least 0 and below the end of the vocabulary.
        inline: the layout, inline or prefix.
        nested: whether phrases may hold meta-tokens (prefix; inline phrases always may).

    Raises:
        FormatError: where it is not a valid sequence.
    """
    base = vocabulary.vocab_size
    top = max(0, int(ids.max(initial=0)) + 1 - vocabulary.first_meta)
    symbols = ids
    if top > 4 * len(ids) + 65_536:  # too sparse for a table
        metas = ids >= vocabulary.first_meta
        names, dense = np.unique(ids[metas] - vocabulary.first_meta, return_inverse=True)
        symbols = ids.copy()
        symbols[metas] = vocabulary.first_meta + dense
    else:
        names = np.arange(top, dtype=np.int32)
    if inline:
        lengths = length_pattern()[names % PERIOD]
        code, where, parts = _read_inline(symbols, base, MARKS, lengths)
    else:
        code, where, parts = _read_prefix(symbols, base, MARKS, len(names), nested)
    if code != _OK:
        raise FormatError(_REASONS[code].format(token=_spell(ids, where, vocabulary)), where)
    body, phrases, starts, rules, context = parts
    return Reading(Grammar(base, body, phrases, starts), vocabulary.first_meta + names[rules].astype(np.int32), context)


def _spell(ids: Int32, where: int, vocabulary: Vocabulary) -> str:
    if where >= len(ids):
        return "the end"
    m = int(ids[where]) - vocabulary.first_meta
    return f"meta-token m{m}" if m >= 0 else "<dict>" if m == -MARKS else "</dict>" if m == -1 else "a token"


@njit(cache=True, nogil=True)
def _read_inline(ids, base, marks, lengths):
    n = len(ids)
    first_meta = base + marks
    rule_of = np.full(len(lengths), -1, dtype=np.int32)
    closed = np.zeros(len(lengths), dtype=np.bool_)
    body = np.empty(n, dtype=np.int32)
    phrases = np.empty(n, dtype=np.int32)
    starts = np.zeros(n + 1, dtype=np.int64)
    rules = np.empty(n, dtype=np.int32)
    context = np.full(n, -1, dtype=np.int32)
    nothing = (body[:0], phrases[:0], starts[:1], rules[:0], context[:0])
    path = np.empty(n + 1, dtype=np.int64)  # the rules being defined, outermost first
    missing = np.empty(n + 1, dtype=np.int64)  # how many symbols each still lacks
    owed = 0  # their sum
    top = -1
    found = 0
    size = 0
    for p in range(n):
        s = ids[p]
        fresh = -1
        if s >= first_meta:
            m = s - first_meta
            if rule_of[m] < 0:
                fresh = m
                rule_of[m] = found
            elif not closed[m]:
                return 2, p, nothing
            s = base + rule_of[m]
        elif s >= base:
            return 9, p, nothing
        if top >= 0:
            k = path[top]
            context[p] = k
            phrases[starts[k + 1] - missing[top]] = s
            missing[top] -= 1
            owed -= 1
        else:
            body[size] = s
            size += 1
        if fresh >= 0:
            rules[found] = fresh
            starts[found + 1] = starts[found] + lengths[fresh]
            owed += lengths[fresh]
            if owed > n - p - 1:
                return 3, p, nothing
            top += 1
            path[top] = found
            missing[top] = lengths[fresh]
            found += 1
        while top >= 0 and missing[top] == 0:
            closed[rules[path[top]]] = True
            top -= 1
    return 0, 0, (body[:size], phrases[: starts[found]], starts[: found + 1], rules[:found], context)


@njit(cache=True, nogil=True)
def _read_prefix(ids, base, marks, names, nested):
    n = len(ids)
    first_meta = base + marks
    rule_of = np.full(names, -1, dtype=np.int32)
    phrases = np.empty(n, dtype=np.int32)
    starts = np.zeros(n + 1, dtype=np.int64)
    rules = np.empty(n, dtype=np.int32)
    context = np.full(n, -1, dtype=np.int32)
    body = np.empty(n, dtype=np.int32)
    nothing = (body[:0], phrases[:0], starts[:1], rules[:0], context[:0])
    found = 0
    size = 0  # of all phrases
    p = 0
    if n > 0 and ids[0] == base:
        context[0] = -2
        p = 1
        while p < n and ids[p] != base + 1:
            s = ids[p]
            if s >= first_meta and (rule_of[s - first_meta] < 0 or not nested):
                if rule_of[s - first_meta] >= 0:
                    return (2 if rule_of[s - first_meta] == found - 1 else 8), p, nothing
                if found > 0 and size - starts[found - 1] < 2:
                    return 6, starts[found - 1] + found, nothing
                rule_of[s - first_meta] = found
                rules[found] = s - first_meta
                starts[found] = size
                context[p] = found
                found += 1
            elif found == 0:
                return 5, p, nothing
            elif base <= s < first_meta:
                return 7, p, nothing
            else:
                if s >= first_meta:
                    if rule_of[s - first_meta] == found - 1:
                        return 2, p, nothing
                    s = base + rule_of[s - first_meta]
                phrases[size] = s
                size += 1
                context[p] = found - 1
            p += 1
        if p == n:
            return 4, n, nothing
        if found == 0:
            return 10, p, nothing
        if size - starts[found - 1] < 2:
            return 6, starts[found - 1] + found, nothing
        context[p] = -2
        p += 1
    starts[found] = size
    length = 0
    while p < n:
        s = ids[p]
        if s >= first_meta:
            if rule_of[s - first_meta] < 0:
                return 1, p, nothing
            s = base + rule_of[s - first_meta]
        elif s >= base:
            return 9, p, nothing
        body[length] = s
        length += 1
        p += 1
    return 0, 0, (body[:length], phrases[:size], starts[: found + 1], rules[:found], context)
