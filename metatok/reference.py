"""The methods written plainly: the twin that the fast engine is tested against, made for reading.

Plain Python lists, no numpy, no numba; quadratic or worse, so for short sequences. `compress` here gives the same ids
as `metatok.Codec.compress`, `decompress` the same tokens, and both refuse the same input (with less to say about it).

A grammar is a body and a list of rules; symbol `base + k` stands for rule k, anything below `base` is a token.
"""

from __future__ import annotations

from collections.abc import Collection

from metatok.layout import MARKS
from metatok.pool import MOST_CUTS, PHRASE_LENGTHS, phrase_length
from metatok.search.saving import FEW

Rules = list[list[int]]
BREAK = -1  # between body and phrases while searching


def compress(
    ids: list[int], vocab_size: int, meta_tokens: int | None, method: str, walls: Collection[int] = ()
) -> list[int]:
    """The ids that `Codec(vocab_size, meta_tokens, method).compress(ids)` gives; `walls` are positions to keep.

    >>> compress([7, 8, 9, 1, 7, 8, 9, 2, 7, 8, 9], 100, 8, "inline")
    [103, 7, 8, 9, 1, 103, 2, 103]
    """
    if method == "ltsc":
        body, rules = longest(ids, walls, vocab_size)
    else:
        body, rules = biggest_saving(
            ids, walls, vocab_size, nested=method != "flat", overhead=1 if method == "inline" else 2
        )
    if method == "inline":
        body, rules = fit(body, rules, vocab_size, meta_tokens)
        written = write_inline(body, rules, vocab_size)
    else:
        body, rules = prune(body, rules, vocab_size, 2, meta_tokens)
        written = write_prefix(body, rules, vocab_size)
    return written if len(written) < len(ids) else ids


# ---- which phrases


def longest(ids: list[int], walls: Collection[int], base: int) -> tuple[list[int], Rules]:
    """The paper's rule: from the longest phrases to the shortest, in order of first appearance, what pays is kept."""
    n = len(ids)
    rule_at: dict[int, int] = {}
    replaced = set(walls)
    rules: Rules = []
    for length in range(n // 2, 1, -1):
        windows: dict[tuple[int, ...], list[int]] = {}
        for p in range(n - length + 1):
            if replaced.isdisjoint(range(p, p + length)):
                windows.setdefault(tuple(ids[p : p + length]), []).append(p)
        for phrase, positions in windows.items():
            places = without_overlap(positions, length, replaced)
            if length * len(places) > 1 + length + len(places):
                for p in places:
                    rule_at[p] = len(rules)
                    replaced.update(range(p, p + length))
                rules.append(list(phrase))
    return replace(ids, rule_at, rules, base), rules


def biggest_saving(
    ids: list[int], walls: Collection[int], base: int, nested: bool, overhead: int
) -> tuple[list[int], Rules]:
    """Search, write out the rules that no longer pay, and unless these are few search what became free."""
    body = list(ids)
    rules: Rules = []
    while True:
        found_body, found = all_rounds(body, rules, walls, base, nested, overhead)
        body, rules = prune(found_body, found, base, overhead, None)
        dropped = len(found) - len(rules)
        if dropped == 0 or FEW * dropped < len(found):
            return body, rules


def all_rounds(
    body: list[int], rules: Rules, kept: Collection[int], base: int, nested: bool, overhead: int
) -> tuple[list[int], Rules]:
    """Rounds of: take the phrase that saves most, until nothing pays; then replace, and look again."""
    symbols, walls, rules = list(body), in_body(body, rules, base, kept), list(rules)
    new = rules
    while True:
        if nested:
            for phrase in new:
                walls.add(len(symbols))
                symbols += [BREAK, *phrase]
        else:
            walls |= {p for p, s in enumerate(symbols) if s >= base}
        taken = one_round(symbols, walls, overhead)
        if not taken:
            break
        rule_at = {p: k for k, (_, places) in enumerate(taken) for p in places}
        new = [list(phrase) for phrase, _ in taken]
        symbols, walls = replace_around(symbols, rule_at, new, base + len(rules), walls)
        rules += new
    if nested:
        parts: Rules = [[]]
        for s in symbols:
            if s == BREAK:
                parts.append([])
            else:
                parts[-1].append(s)
        symbols, rules = parts[0], parts[1:]
    return symbols, rules


def in_body(body: list[int], rules: Rules, base: int, kept: Collection[int]) -> set[int]:
    """Where in the body the tokens stand that are at the positions `kept` of the sequence; no rule holds one."""
    lengths = [len(drop([base + k], rules, base, set(range(len(rules))))[0]) for k in range(len(rules))]
    found, p = set(), 0
    for i, s in enumerate(body):
        if p in kept:
            found.add(i)
        p += 1 if s < base else lengths[s - base]
    return found


def one_round(symbols: list[int], walls: set[int], overhead: int) -> list[tuple[tuple[int, ...], list[int]]]:
    """The phrases of one round with their places, in the order in which they are taken."""
    candidates = right_maximal(symbols, walls)
    covered: set[int] = set()
    taken: list[tuple[tuple[int, ...], list[int]]] = []
    while True:
        best = None
        for phrase, positions in candidates.items():
            places = without_overlap(positions, len(phrase), covered)
            saving = (len(phrase) - 1) * (len(places) - 1) - overhead
            key = (-saving, len(phrase), positions[0])
            if saving > 0 and (best is None or key < best[0]):
                best = key, phrase, places
        if best is None:
            return taken
        _, phrase, places = best
        for p in places:
            covered.update(range(p, p + len(phrase)))
        taken.append((phrase, places))


def right_maximal(symbols: list[int], walls: set[int]) -> dict[tuple[int, ...], list[int]]:
    """{phrase: positions} of the repeated phrases that lose an occurrence when one symbol is added on the right."""
    found: dict[tuple[int, ...], list[int]] = {}
    n = len(symbols)
    length = 2
    while True:
        windows: dict[tuple[int, ...], list[int]] = {}
        for p in range(n - length + 1):
            if walls.isdisjoint(range(p, p + length)):
                windows.setdefault(tuple(symbols[p : p + length]), []).append(p)
        repeated = {phrase: places for phrase, places in windows.items() if len(places) > 1}
        if not repeated:
            return found
        for phrase, places in repeated.items():
            follow = {symbols[p + length] if p + length < n and p + length not in walls else (p,) for p in places}
            if len(follow) > 1 or isinstance(next(iter(follow)), tuple):
                found[phrase] = places
        length += 1


def without_overlap(positions: list[int], length: int, taken: set[int]) -> list[int]:
    """Occurrences from left to right that overlap neither each other nor what is taken."""
    places: list[int] = []
    for p in positions:
        if (not places or p >= places[-1] + length) and taken.isdisjoint(range(p, p + length)):
            places.append(p)
    return places


def replace(symbols: list[int], rule_at: dict[int, int], rules: Rules, base: int) -> list[int]:
    return replace_around(symbols, rule_at, rules, base, set())[0]


def replace_around(
    symbols: list[int], rule_at: dict[int, int], rules: Rules, base: int, walls: set[int]
) -> tuple[list[int], set[int]]:
    """Put rule symbols where occurrences begin; also give the new positions of the walls."""
    out: list[int] = []
    new_walls = set()
    p = 0
    while p < len(symbols):
        if p in walls:
            new_walls.add(len(out))
        if p in rule_at:
            out.append(base + rule_at[p])
            p += len(rules[rule_at[p]])
        else:
            out.append(symbols[p])
            p += 1
    return out, new_walls


# ---- dropping and fitting


def uses(body: list[int], rules: Rules, base: int) -> list[int]:
    counts = [0] * len(rules)
    for part in [body, *rules]:
        for s in part:
            if s >= base:
                counts[s - base] += 1
    return counts


def drop(body: list[int], rules: Rules, base: int, gone: set[int]) -> tuple[list[int], Rules]:
    """Write out the rules in `gone` and number the others anew."""
    number = {k: i for i, k in enumerate(k for k in range(len(rules)) if k not in gone)}

    def inline(part: list[int]) -> list[int]:
        out = []
        for s in part:
            if s < base:
                out.append(s)
            elif s - base in gone:
                out += inline(rules[s - base])
            else:
                out.append(base + number[s - base])
        return out

    return inline(body), [inline(rules[k]) for k in number]


def prune(body: list[int], rules: Rules, base: int, overhead: int, most: int | None) -> tuple[list[int], Rules]:
    """Drop the rule that gains least, of equals the last, while one does not pay or there are more than `most`."""
    while rules:
        counts = uses(body, rules, base)
        gain, minus_k = min(((len(r) - 1) * (counts[k] - 1) - overhead, -k) for k, r in enumerate(rules))
        if gain > 0 and (most is None or len(rules) <= most):
            break
        body, rules = drop(body, rules, base, {-minus_k})
    return body, rules


def fit(body: list[int], rules: Rules, base: int, pool: int | None) -> tuple[list[int], Rules]:
    """Give every phrase a length for which the inline layout has a meta-token, see `metatok.pool.fit_inline`."""
    body, rules = prune(body, rules, base, 1, None)
    cuts = MOST_CUTS
    while True:
        counts = uses(body, rules, base)
        gains = [(len(r) - 1) * (counts[k] - 1) - 1 for k, r in enumerate(rules)]
        order = sorted(range(len(rules)), key=lambda k: -gains[k])
        scarce = cuts > 0 and pool is not None and 0 < pool < len(rules)
        price = gains[order[pool - 1]] if scarce and pool is not None else 0
        room = {n: 1 << 62 if pool is None else sum(phrase_length(m) == n for m in range(pool)) for n in PHRASE_LENGTHS}
        chains: dict[int, list[int]] = {}
        for k in order:
            rest = len(rules[k]) - 1
            links: list[int] = []
            for n in sorted(room, reverse=True):
                if links and (n - 1) * (counts[k] - 1) - 1 <= price:
                    break
                take = min(room[n] - links.count(n), rest // (n - 1))
                links += [n] * take
                rest -= take * (n - 1)
            if rest and cuts <= 0:
                links = []
            for n in links:
                room[n] -= 1
            chains[k] = links
        held = {k: 1 + sum(n - 1 for n in links) for k, links in chains.items()}
        if all(held[k] == len(rules[k]) for k in held):
            break
        cuts -= 1
        homeless = [k for k in order if held[k] == 1]
        gone = set(homeless[len(homeless) // 2 :])
        rules = list(rules)
        for k in range(len(chains)):
            if 1 < held[k] < len(rules[k]):
                gone.add(k)
                rules.append(rules[k][: held[k]])
                rules[k] = [base + len(rules) - 1, *rules[k][held[k] :]]
        body, rules = prune(*drop(body, rules, base, gone), base, 1, None)
    rules = list(rules)
    for k in range(len(chains)):
        at = k
        for n in chains[k][:-1]:
            rules.append(rules[at][n - 1 :])
            rules[at] = [*rules[at][: n - 1], base + len(rules) - 1]
            at = len(rules) - 1
    return body, rules


# ---- layouts


def write_inline(body: list[int], rules: Rules, base: int) -> list[int]:
    """Each rule's phrase behind its first appearance; per length, meta-tokens in order."""
    name: dict[int, int] = {}
    out: list[int] = []

    def write(part: list[int]) -> None:
        for s in part:
            if s < base:
                out.append(s)
            elif s - base in name:
                out.append(name[s - base])
            else:
                phrase = rules[s - base]
                taken = set(name.values())
                m = 0
                while phrase_length(m) != len(phrase) or base + MARKS + m in taken:
                    m += 1
                name[s - base] = base + MARKS + m
                out.append(base + MARKS + m)
                write(phrase)

    write(body)
    return out


def write_prefix(body: list[int], rules: Rules, base: int) -> list[int]:
    """`<dict>`, each phrase behind its meta-token and behind the phrases it uses, `</dict>`, body."""
    name: dict[int, int] = {}
    dictionary: list[int] = []

    def define(k: int) -> None:
        inner = [s - base for s in rules[k] if s >= base]
        for i in inner:
            if i not in name:
                define(i)
        name[k] = base + MARKS + len(name)
        dictionary.extend([name[k], *(s if s < base else name[s - base] for s in rules[k])])

    for s in body:
        if s >= base and s - base not in name:
            define(s - base)
    if not name:
        return body
    return [base, *dictionary, base + 1, *(s if s < base else name[s - base] for s in body)]


def decompress(
    ids: list[int], vocab_size: int, meta_tokens: int | None, method: str, max_length: int = 1 << 20
) -> list[int]:
    """What `Codec(vocab_size, meta_tokens, method).decompress(ids)` gives; a ValueError where that is a FormatError.

    >>> decompress([103, 7, 8, 9, 1, 103, 2, 103], 100, 8, "inline")
    [7, 8, 9, 1, 7, 8, 9, 2, 7, 8, 9]
    """
    first = vocab_size + MARKS
    end = 1 << 31 if meta_tokens is None else first + meta_tokens
    if not all(0 <= s < end for s in ids):
        raise ValueError("unknown id")
    phrases: dict[int, list[int] | None] = {}  # None while a phrase is being read

    def meaning(s: int) -> list[int]:
        if s < vocab_size:
            return [s]
        phrase = phrases.get(s)
        if phrase is None:
            raise ValueError("not defined, or inside its own definition")
        return phrase

    todo = list(reversed(ids))

    def next_inline() -> list[int]:
        if not todo:
            raise ValueError("a definition runs past the end")
        s = todo.pop()
        if vocab_size <= s < first:
            raise ValueError("a mark in the inline layout")
        if s >= first and s not in phrases:
            phrases[s] = None
            phrases[s] = checked([t for _ in range(phrase_length(s - first)) for t in next_inline()])
        return meaning(s)

    def checked(tokens: list[int]) -> list[int]:
        if len(tokens) > max_length:
            raise ValueError("too long")
        return tokens

    out: list[int] = []
    if method != "inline" and ids and ids[0] == vocab_size:
        if vocab_size + 1 not in ids:
            raise ValueError("the dictionary is never closed")
        close = ids.index(vocab_size + 1)
        entries: list[list[int]] = []
        for s in ids[1:close]:
            known = [entry[0] for entry in entries]
            if s >= first and (s not in known or method != "nested"):
                if s in known:
                    raise ValueError("defined twice")
                entries.append([s])
            elif not entries or vocab_size <= s < first:
                raise ValueError("no meta-token in front, or a mark inside")
            else:
                entries[-1].append(s)
        if not entries or min(map(len, entries)) < 3:
            raise ValueError("an empty dictionary or a phrase of fewer than two symbols")
        for head, *phrase in entries:
            phrases[head] = None
            phrases[head] = checked([t for s in phrase for t in meaning(s)])
        for s in ids[close + 1 :]:
            out += meaning(s)
    else:
        while todo:
            out += next_inline() if method == "inline" else meaning(todo.pop())
    return checked(out)
