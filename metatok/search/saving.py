"""The biggest saving first: the greedy search behind `flat`, `nested` and `inline`.

In rounds. A round finds every repeated phrase of the sequence (`metatok.repeats`), takes the one that saves most,
marks its non-overlapping occurrences from left to right, and goes on with what is left until nothing pays; of equal
savings the shorter phrase goes first, which occurs more often, and of those the one that begins first. Then the
occurrences are replaced and, where phrases may be nested, the phrases themselves become part of the sequence that the
next round searches. At the end rules that no longer pay are written out, and what became free is searched again, until
there are none or next to none. `metatok.reference.biggest_saving` is the same, written plainly.

With N symbols and K occurrences a phrase saves (N−1)(K−1) − overhead ids: overhead is 2 where a dictionary stands in
front (a phrase is written once more, behind its meta-token) and 1 where the first use defines.

Each phrase waits in the bucket of what it could save at most. Tokens are only ever taken, so savings only fall: a
phrase that is counted anew when its bucket comes up and still saves as much is the right one (lazy greedy evaluation);
one that saves less moves down.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from metatok.grammar import Grammar, flags_in_body, prune
from metatok.kernels import njit
from metatok.repeats import find_repeats, number_symbols
from metatok.suffixes import sort_keys

Int32 = NDArray[np.int32]
Walls = NDArray[np.bool_]

ALL_ROUNDS = 1 << 30
FEW = 128  # what became free is searched again unless fewer than one rule in FEW had to be written out

# A round stops when it has looked at occurrences and their tokens this many times per symbol, and the next one starts
# on the shorter sequence. Natural text needs 2 to 6; without the bound a run such as [0] * n reads n overlapping
# occurrences n times.
WORK_PER_SYMBOL = 32
LEAST_WORK = 1 << 18


def search_saving(grammar: Grammar, walls: Walls, *, nested: bool, overhead: int, rounds: int = ALL_ROUNDS) -> Grammar:
    """The grammar with all further phrases that pay, new rules in the order in which they were found.

    Args:
        grammar: what is there already; `Grammar.raw(ids, vocab_size)` for a plain sequence.
        walls: shape (n,) for a sequence of n tokens, True where a token must stay raw.
        nested: whether a phrase may contain meta-tokens.
        overhead: 2 or 1, see above.
        rounds: after how many rounds to stop at the latest.
    """
    while True:
        found, done = _search_once(grammar, walls, nested, overhead, rounds)
        grammar = prune(found, overhead)
        rounds -= done
        dropped = found.rules - grammar.rules
        if dropped == 0 or FEW * dropped < found.rules or rounds == 0:
            return grammar


def _search_once(grammar: Grammar, walls: Walls, nested: bool, overhead: int, rounds: int) -> tuple[Grammar, int]:
    """With all rules that pay when they are found, of which some may not when others are found; and rounds done."""
    parts = grammar.body, grammar.phrases, grammar.starts
    text, names = number_symbols(_lay_out(*parts))
    *found, done = _search_laid_out(text, names, *parts, grammar.base, walls, nested, overhead, rounds)
    return Grammar(grammar.base, *found), done


# In the kernels a sequence is a body and the phrases of its rules, a 0 in front of each. Symbols are numbers from 1 up,
# new rules follow the symbols that were there. A symbol that must stay as it is, a wall, is negative.


@njit(cache=True, nogil=True)
def _search_laid_out(text, names, body, phrases, starts, base, walls, nested, overhead, rounds):
    """Body, phrases and starts with the rules that were found, and rounds done; `text` is changed."""
    must_stay = flags_in_body(body, phrases, starts, base, walls)
    for i in range(len(body)):
        if must_stay[i] or (not nested and body[i] >= base):
            text[i] = -text[i]
    rules = len(starts) - 1
    at = len(body)
    for k in range(rules):
        text[at] = 0
        length = starts[k + 1] - starts[k]
        if not nested:
            for i in range(at + 1, at + 1 + length):
                text[i] = -text[i]
        at += 1 + length
    top = len(names) - 1
    text, fresh, done = _search(text, top, nested, overhead, rounds)
    body, phrases, starts = _split(text, top, names, base + rules, rules + fresh)
    return body, phrases, starts, done


@njit(cache=True, nogil=True)
def _search(text, top, nested, overhead, rounds):
    """Round after round; returns the sequence with new rules top + 1, top + 2, …, how many, and how many rounds."""
    rules = 0
    done = 0
    while done < rounds:
        sa, _, depth, _, lo, hi, first, last = find_repeats(text, top + rules, overhead)
        rule_at, first_at, lengths = _take_biggest(len(text), sa, depth, lo, hi, first, last, overhead)
        if len(lengths) == 0:
            break
        text = _replace(text, rule_at, first_at, lengths, top + rules + 1, nested)
        rules += len(lengths)
        done += 1
    return text, rules, done


@njit(cache=True, nogil=True)
def _lay_out(body, phrases, starts):
    """The body and, each behind a 0, the phrases."""
    rules = len(starts) - 1
    out = np.empty(len(body) + len(phrases) + rules, dtype=np.int32)
    out[: len(body)] = body
    size = len(body)
    for k in range(rules):
        out[size] = 0
        length = starts[k + 1] - starts[k]
        out[size + 1 : size + 1 + length] = phrases[starts[k] : starts[k + 1]]
        size += 1 + length
    return out


@njit(cache=True, nogil=True)
def _split(text, top, names, first_new, rules):
    """Body, phrases and their starts, in symbols of a grammar again."""
    starts = np.empty(rules + 1, dtype=np.int64)
    out = np.empty(len(text), dtype=np.int32)
    body = len(text)
    size = 0
    found = 0
    for i in range(len(text)):
        s = abs(text[i])
        if s == 0:
            if found == 0:
                body = size
            starts[found] = size - body
            found += 1
        else:
            out[size] = names[s] if s <= top else first_new + (s - top - 1)
            size += 1
    if found == 0:
        body = size
    starts[found] = size - body
    return out[:body].copy(), out[body:size].copy(), starts


@njit(cache=True, nogil=True)
def _replace(text, rule_at, first_at, lengths, number, nested):
    """Put symbol `number` + k where an occurrence of rule k begins, and the new phrases behind everything."""
    n = len(text)
    sign = 1 if nested else -1  # without nesting, rules and their phrases are walls
    out = np.empty(n + len(lengths), dtype=np.int32)  # an occurrence is longer than its rule, so all phrases fit
    size = 0
    i = 0
    while i < n:
        k = rule_at[i]
        if k >= 0:
            out[size] = sign * (number + k)
            i += lengths[k]
        else:
            out[size] = text[i]
            i += 1
        size += 1
    for k in range(len(lengths)):
        out[size] = 0
        for i in range(lengths[k]):
            out[size + 1 + i] = sign * text[first_at[k] + i]
        size += 1 + lengths[k]
    return out[:size].copy()


@njit(cache=True, nogil=True)
def _take_biggest(n, sa, depth, lo, hi, first, last, overhead):
    """What one round takes: the rule that begins at each position or -1, where each rule can be read, its length."""
    covered = np.zeros(n, dtype=np.bool_)
    rule_at = np.full(n, -1, dtype=np.int32)
    first_at = np.empty(n // 2 + 1, dtype=np.int32)
    lengths = np.empty(n // 2 + 1, dtype=np.int32)
    rules = 0
    left = n  # tokens not covered
    work = max(LEAST_WORK, WORK_PER_SYMBOL * n)

    phrases = _by_length(depth, lo, hi, first, last, overhead)
    waiting = len(phrases)
    most = np.int64(0)
    widest = 0
    for j in phrases:
        most = max(most, _at_most(j, depth, lo, hi, first, last, overhead))
        widest = max(widest, hi[j] - lo[j] + 1)
    head = np.full(most + 1, -1, dtype=np.int32)  # head[s]: the first phrase that may save s
    after = np.empty(waiting, dtype=np.int32)  # the next one in the same bucket
    for e in range(waiting - 1, -1, -1):
        s = _at_most(phrases[e], depth, lo, hi, first, last, overhead)
        after[e] = head[s]
        head[s] = e

    size = max(widest, waiting)
    batch = np.empty(waiting, dtype=np.int64)
    where = np.empty(widest, dtype=np.int64)
    spare = np.empty(size, dtype=np.int64)
    best = np.int64(-1)  # before the first rule: the phrase of the greatest saving counted so far
    best_saving = np.int64(0)
    for saving in range(most, 0, -1):
        count = _in_bucket(head[saving], after, batch, spare)
        for b in range(count):
            if work <= 0 or left < 4:
                break
            e = batch[b] >> 32
            j = phrases[e]
            length = np.int64(depth[j])
            uses = _free(length, lo[j], hi[j], sa, covered, where)
            work -= hi[j] - lo[j] + 1
            now = (length - 1) * (uses - 1) - overhead
            if now >= saving:
                uses, looked_at = _apart(length, uses, covered, where, spare)
                work -= looked_at
                now = (length - 1) * (uses - 1) - overhead
            if now < saving:
                if now > 0:
                    after[e] = head[now]
                    head[now] = e
                    if rules == 0 and now > best_saving:
                        best, best_saving = j, now
                continue
            _take(rules, length, uses, covered, where, rule_at, first_at, lengths)
            left -= uses * length
            rules += 1
    if rules == 0 and best >= 0:  # the work was spent on counting: never end a round with nothing
        length = np.int64(depth[best])
        uses = _free(length, lo[best], hi[best], sa, covered, where)
        uses, _ = _apart(length, uses, covered, where, spare)
        _take(rules, length, uses, covered, where, rule_at, first_at, lengths)
        rules += 1
    return rule_at, first_at[:rules].copy(), lengths[:rules].copy()


@njit(cache=True, nogil=True, inline="always")
def _at_most(j, depth, lo, hi, first, last, overhead):
    """What phrase j can save at most."""
    places = min(hi[j] - lo[j] + 1, (last[j] - first[j]) // depth[j] + 1)
    return np.int64(depth[j] - 1) * (places - 1) - overhead


@njit(cache=True, nogil=True)
def _by_length(depth, lo, hi, first, last, overhead):
    """The phrases that may pay in the order of their lengths, of equals in that of their first places."""
    paying = np.empty(len(depth), dtype=np.int32)
    count = 0
    for j in range(len(depth)):
        if _at_most(j, depth, lo, hi, first, last, overhead) > 0:
            paying[count] = j
            count += 1
    return _in_order_of(depth, _in_order_of(first, paying[:count]))


@njit(cache=True, nogil=True)
def _in_order_of(values, chosen):
    """`chosen`, indices of values of 0 and more, in the order of these; equals stay as they are."""
    largest = 0
    for j in chosen:
        largest = max(largest, values[j])
    place = np.zeros(largest + 2, dtype=np.int32)
    for j in chosen:
        place[values[j] + 1] += 1
    for v in range(largest + 1):
        place[v + 1] += place[v]
    out = np.empty(len(chosen), dtype=np.int32)
    for j in chosen:
        out[place[values[j]]] = j
        place[values[j]] += 1
    return out


@njit(cache=True, nogil=True)
def _in_bucket(e, after, batch, spare):
    """Write what waits in one bucket to `batch`, in the upper halves and in order; return how much that is."""
    count = 0
    in_order = True
    while e >= 0:
        batch[count] = np.int64(e) << 32
        in_order = in_order and (count == 0 or batch[count - 1] < batch[count])
        count += 1
        e = after[e]
    if not in_order:
        sort_keys(batch, spare, count)
    return count


@njit(cache=True, nogil=True)
def _free(length, lo, hi, sa, covered, where):
    """Write the places of a phrase whose two ends are free to `where`, in the upper halves; return how many."""
    count = 0
    for r in range(lo, hi + 1):
        p = sa[r]
        if not covered[p] and not covered[p + length - 1]:
            where[count] = np.int64(p) << 32
            count += 1
    return count


@njit(cache=True, nogil=True)
def _apart(length, count, covered, where, spare):
    """Of where[:count] keep, from left to right, what is free and does not overlap; how many, and tokens looked at."""
    sort_keys(where, spare, count)
    uses = 0
    looked_at = np.int64(0)
    end = np.int64(0)  # no occurrence may begin before this position
    for i in range(count):
        p = where[i] >> 32
        if p < end:
            continue
        q = p + 1
        while q < p + length and not covered[q]:
            q += 1
        looked_at += q - p
        end = q  # behind the occurrence, or at the covered token that every window from here to there would hold
        if q == p + length:
            where[uses] = where[i]
            uses += 1
    return uses, looked_at


@njit(cache=True, nogil=True)
def _take(rule, length, uses, covered, where, rule_at, first_at, lengths):
    first_at[rule] = where[0] >> 32
    lengths[rule] = length
    for i in range(uses):
        p = where[i] >> 32
        rule_at[p] = rule
        covered[p : p + length] = True
