"""A grammar: a body and the phrases it uses. Integers only; nothing here knows how it is written down.

Symbols below `base` are tokens. Symbol `base + k` stands for rule k, whose phrase is `rule(k)`; a phrase may contain
other rules, never itself. Expanding the body gives the original sequence. `metatok.search` makes grammars,
`metatok.layout` writes them as ids and reads them back.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metatok.kernels import njit

Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]

NO_LIMIT = 1 << 62  # tokens, more than any sequence has


@dataclass(frozen=True, eq=False)
class Grammar:
    """Body and phrases. `phrases[starts[k] : starts[k + 1]]` is the phrase of rule k.

    >>> g = Grammar(base=10, body=np.array([10, 3, 10], np.int32), phrases=np.array([1, 2], np.int32),
    ...             starts=np.array([0, 2]))
    >>> g.expand().tolist(), g.rules, g.uses().tolist()
    ([1, 2, 3, 1, 2], 1, [2])
    """

    base: int
    body: Int32  # (b,)
    phrases: Int32  # (p,) all phrases one after the other
    starts: Int64  # (rules + 1,)

    @classmethod
    def raw(cls, ids: Int32, base: int) -> Grammar:
        """A grammar without phrases."""
        return cls(base, ids, np.empty(0, np.int32), np.zeros(1, np.int64))

    @classmethod
    def from_cover(cls, ids: Int32, base: int, rule_at: Int32, first_at: Int32, lengths: Int32) -> Grammar:
        """A grammar whose phrases are stretches of `ids` and hold no rules themselves.

        Args:
            rule_at: shape (n,), the rule whose occurrence begins at each position, or -1.
            first_at: shape (rules,), where a phrase can be read in `ids`.
            lengths: shape (rules,), how many tokens each phrase has.
        """
        return cls(base, *_from_cover(ids, base, rule_at, first_at, lengths))

    def renamed(self, names: Int32, base: int) -> Grammar:
        """The same with token `names[i]` in the place of token i, of which there are `self.base`, and rules numbered
        from `base`."""
        table = np.concatenate((names, np.arange(base, base + self.rules))).astype(np.int32)
        return Grammar(base, table[self.body], table[self.phrases], self.starts)

    @property
    def rules(self) -> int:
        return len(self.starts) - 1

    def rule(self, k: int) -> Int32:
        """The phrase of rule k as symbols, shape (N,)."""
        return self.phrases[self.starts[k] : self.starts[k + 1]]

    def lengths(self) -> Int64:
        """Symbols per phrase (N of the break-even rule), shape (rules,)."""
        return np.diff(self.starts)

    def uses(self) -> Int64:
        """Occurrences of each rule in body and phrases (K of the break-even rule), shape (rules,)."""
        return count_uses(self.body, self.phrases, self.base, self.rules)

    def expanded_lengths(self, limit: int = NO_LIMIT) -> Int64:
        """Tokens that each rule stands for, shape (rules,); a number above `limit` is given as `limit` + 1."""
        return _expanded_lengths(self.phrases, self.starts, self.base, limit)

    def expand(self) -> Int32:
        """The original sequence. Allocates as many tokens as it has: check `expanded_lengths` before, if in doubt."""
        return _expand(self.body, self.phrases, self.starts, self.base)

    def without(self, dropped: NDArray[np.bool_]) -> Grammar:
        """The same sequence without some rules: their phrases stand in their place. `dropped` has shape (rules,)."""
        return Grammar(self.base, *write_out(self.body, self.phrases, self.starts, self.base, dropped))


def prune(grammar: Grammar, overhead: int, most: int | None = None) -> Grammar:
    """Drop the rules that do not pay for themselves, and the least of the others until at most `most` remain.

    A rule with N symbols and K uses gains (N−1)(K−1) − `overhead` ids; `overhead` is 2 where the dictionary stands in
    front and 1 where the first use defines. The rule that gains least goes first, of equals the one found last. Its
    phrase takes its place, which lengthens the phrases that used it and adds uses to the rules inside it.
    """
    limit = grammar.rules if most is None else most
    parts = drop_what_does_not_pay(grammar.body, grammar.phrases, grammar.starts, grammar.base, overhead, limit)
    return grammar if len(parts[2]) == len(grammar.starts) else Grammar(grammar.base, *parts)


# Kernels take a grammar in parts, and other modules' kernels call some of them: one that does much in one go waits for
# Python's lock but once, which counts where sequences are compressed side by side.


@njit(cache=True, nogil=True)
def count_uses(body, phrases, base, rules):
    """`Grammar.uses`."""
    uses = np.zeros(rules, dtype=np.int64)
    for part in (body, phrases):
        for symbol in part:
            if symbol >= base:
                uses[symbol - base] += 1
    return uses


@njit(cache=True, nogil=True)
def _from_cover(ids, base, rule_at, first_at, lengths):
    n = len(ids)
    rules = len(lengths)
    starts = np.zeros(rules + 1, dtype=np.int64)
    for k in range(rules):
        starts[k + 1] = starts[k] + lengths[k]
    phrases = np.empty(starts[rules], dtype=np.int32)
    for k in range(rules):
        for i in range(lengths[k]):
            phrases[starts[k] + i] = ids[first_at[k] + i]
    body = np.empty(n, dtype=np.int32)
    size = 0
    i = 0
    while i < n:
        k = rule_at[i]
        if k >= 0:
            body[size] = base + k
            i += lengths[k]
        else:
            body[size] = ids[i]
            i += 1
        size += 1
    return body[:size].copy(), phrases, starts


@njit(cache=True, nogil=True)
def _expanded_lengths(phrases, starts, base, limit):
    rules = len(starts) - 1
    lengths = np.full(rules, -1, dtype=np.int64)
    at = np.empty(rules + 1, dtype=np.int64)  # where we are in the phrase of each open rule
    open_rules = np.empty(rules + 1, dtype=np.int64)
    for root in range(rules):
        if lengths[root] >= 0:
            continue
        top = 0
        open_rules[0] = root
        at[0] = starts[root]
        while top >= 0:
            k = open_rules[top]
            while at[top] < starts[k + 1]:
                s = phrases[at[top]]
                if s >= base and lengths[s - base] < 0:
                    break
                at[top] += 1
            if at[top] < starts[k + 1]:
                inner = phrases[at[top]] - base
                top += 1
                open_rules[top] = inner
                at[top] = starts[inner]
                continue
            total = 0
            for i in range(starts[k], starts[k + 1]):
                s = phrases[i]
                total += 1 if s < base else lengths[s - base]
                if total > limit:
                    total = limit + 1
                    break
            lengths[k] = total
            top -= 1
    return lengths


@njit(cache=True, nogil=True)
def flags_in_body(body, phrases, starts, base, flags):
    """Flags of the tokens of the original sequence, shape (n,), at the tokens of the body; False at rules."""
    lengths = _expanded_lengths(phrases, starts, base, NO_LIMIT)
    found = np.zeros(len(body), dtype=np.bool_)
    at = 0
    for i in range(len(body)):
        if body[i] < base:
            found[i] = flags[at]
            at += 1
        else:
            at += lengths[body[i] - base]
    return found


@njit(cache=True, nogil=True)
def _expand(body, phrases, starts, base):
    """Write out the body; a phrase that was written once is copied from there."""
    rules = len(starts) - 1
    lengths = _expanded_lengths(phrases, starts, base, NO_LIMIT)
    total = 0
    for s in body:
        total += 1 if s < base else lengths[s - base]
    out = np.empty(total, dtype=np.int32)
    written = np.full(rules, -1, dtype=np.int64)
    open_rules = np.empty(rules + 1, dtype=np.int64)
    at = np.empty(rules + 1, dtype=np.int64)
    size = 0
    for i in range(len(body)):
        s = body[i]
        if s < base:
            out[size] = s
            size += 1
            continue
        top = -1
        while True:
            # s is the next symbol to write: a token, a rule written before, or one to open.
            if s < base:
                out[size] = s
                size += 1
            else:
                k = s - base
                if written[k] >= 0:
                    source = written[k]
                    for q in range(lengths[k]):
                        out[size + q] = out[source + q]
                    size += lengths[k]
                else:
                    top += 1
                    open_rules[top] = k
                    at[top] = starts[k]
            while top >= 0 and at[top] == starts[open_rules[top] + 1]:
                k = open_rules[top]
                written[k] = size - lengths[k]
                top -= 1
            if top < 0:
                break
            s = phrases[at[top]]
            at[top] += 1
    return out


@njit(cache=True, nogil=True)
def write_out(body, phrases, starts, base, dropped):
    """`Grammar.without`: inline the dropped rules and number the others anew, in their old order."""
    rules = len(starts) - 1
    number = np.full(rules, -1, dtype=np.int32)
    kept = 0
    for k in range(rules):
        if not dropped[k]:
            number[k] = kept
            kept += 1
    new_starts = np.zeros(kept + 1, dtype=np.int64)
    open_rules = np.empty(rules + 1, dtype=np.int64)
    at = np.empty(rules + 1, dtype=np.int64)
    new_body = np.empty(0, dtype=np.int32)
    new_phrases = np.empty(0, dtype=np.int32)
    for writing in range(2):  # count first, then write
        size = 0
        for part in range(-1, rules):
            if part >= 0 and dropped[part]:
                continue
            begin = 0 if part < 0 else starts[part]
            end = len(body) if part < 0 else starts[part + 1]
            for i in range(begin, end):
                s = body[i] if part < 0 else phrases[i]
                top = -1
                while True:
                    if s >= base and dropped[s - base]:
                        top += 1
                        open_rules[top] = s - base
                        at[top] = starts[s - base]
                    else:
                        if writing == 1:
                            symbol = s if s < base else base + number[s - base]
                            if part < 0:
                                new_body[size] = symbol
                            else:
                                new_phrases[size] = symbol
                        size += 1
                    while top >= 0 and at[top] == starts[open_rules[top] + 1]:
                        top -= 1
                    if top < 0:
                        break
                    s = phrases[at[top]]
                    at[top] += 1
            if part < 0:
                if writing == 0:
                    new_body = np.empty(size, dtype=np.int32)
                size = 0
            else:
                new_starts[number[part] + 1] = size
        if writing == 0:
            new_phrases = np.empty(size, dtype=np.int32)
    return new_body, new_phrases, new_starts


@njit(cache=True, nogil=True)
def drop_what_does_not_pay(body, phrases, starts, base, overhead, most):
    """`prune`; the same parts where nothing goes."""
    rules = len(starts) - 1
    if rules == 0:
        return body, phrases, starts
    dropped = _what_to_drop(phrases, starts, base, count_uses(body, phrases, base, rules), overhead, most)
    if not dropped.any():
        return body, phrases, starts
    return write_out(body, phrases, starts, base, dropped)


@njit(cache=True, nogil=True)
def _what_to_drop(phrases, starts, base, uses, overhead, most):
    """Which rules to drop. Gains only rise as rules are dropped, so a heap of old gains finds the least."""
    rules = len(starts) - 1
    dropped = np.zeros(rules, dtype=np.bool_)
    path = np.empty(rules + 1, dtype=np.int64)
    at = np.empty(rules + 1, dtype=np.int64)
    heap = [(np.int64(0), np.int64(0)) for _ in range(rules)]
    for k in range(rules):
        heap[k] = ((starts[k + 1] - starts[k] - 1) * (uses[k] - 1) - overhead, np.int64(-k))
    heapq.heapify(heap)
    left = rules
    while len(heap) > 0:
        gain, minus_k = heapq.heappop(heap)
        if gain > 0 and left <= most:
            break
        k = -minus_k
        length = _walk(k, 0, phrases, starts, base, dropped, uses, path, at)
        now = (length - 1) * (uses[k] - 1) - overhead
        if now > gain:
            heapq.heappush(heap, (now, minus_k))
            continue
        _walk(k, uses[k] - 1, phrases, starts, base, dropped, uses, path, at)
        dropped[k] = True
        left -= 1
    return dropped


@njit(cache=True, nogil=True)
def _walk(k, more, phrases, starts, base, dropped, uses, path, at):
    """Length of rule k's phrase with dropped rules written out; the rules left in it get `more` uses each."""
    length = 0
    top = 0
    path[0] = k
    at[0] = starts[k]
    while top >= 0:
        if at[top] == starts[path[top] + 1]:
            top -= 1
            continue
        s = phrases[at[top]]
        at[top] += 1
        if s >= base and dropped[s - base]:
            top += 1
            path[top] = s - base
            at[top] = starts[s - base]
        else:
            length += 1
            if s >= base:
                uses[s - base] += more
    return length
