"""A walk through "find, count, replace, write down" on the first tokens of a text, as plain data.

What this file does: it compresses the first tokens by themselves and tells how that goes, in frames that
`tokens_walk.js` shows one after another. What it does not: it does not tell in which order the search found the
phrases, which differs from method to method; a phrase comes here after those that it holds, so that the sums of every
frame are right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metatok.codec import Codec
from metatok.summary import phrase_saving

TOKENS = 200
"""How many tokens the walk takes: as many as can be followed by eye."""

DETAILED = 2  # phrases that are shown in four steps each; the others go in one

Row = list[Any]  # n ≥ 0: token n; −1 − m: meta-token m; a list: a group of them


def walk(codec: Codec, ids: NDArray[np.int32], kept: Sequence[tuple[int, int]] = ()) -> dict[str, Any]:
    """The frames of the walk over the first `TOKENS` of `ids`.

    Args:
        codec: with its method and pool.
        ids: the tokens of the whole text.
        kept: the ranges of tokens that stay raw.

    Returns:
        `tokens` and `compressed`, the lengths before and after, and `frames`, each with

        - `act`: start, find, count, replace, write, rest or end. `say`: a sentence. `m`: the frame's phrase, or −1.
        - `row`: the sequence as it is by then. n ≥ 0 is token n of the text, −1 − m the meta-token m, and a list a
          group of them: in find and count a place of the phrase, in the last frame a definition.
        - `book`: [m, symbols] of the phrases that are written down by then.

    >>> frames = walk(Codec(100, method="flat"), np.array([5, 6, 7, 1] * 2 + [5, 6, 7] * 2, np.int32))["frames"]
    >>> [frame["act"] for frame in frames]
    ['start', 'find', 'count', 'replace', 'write', 'end']
    >>> frames[2]["say"]
    'Count: 4 places of 3 tokens are 12 tokens. As m0 they take 4, and writing m0 down takes 4 more: 8 in all, 4 fewer.'
    >>> frames[3]["row"]
    [-1, 3, -1, 7, -1, -1]
    """
    ids = ids[:TOKENS]
    n = len(ids)
    compressed = codec.compress(ids, keep=[(start, min(stop, n)) for start, stop in kept if start < n])
    first = codec.first_meta
    grammar = _Grammar(
        {m - first: [s - first if s >= first else None for s in d] for m, d in compressed.definitions.items()},
        {m - first: len(tokens) for m, tokens in compressed.phrases.items()},
        [(start, m - first) for start, _, m in compressed.spans.tolist()],
        n,
    )
    inline = codec.method == "inline"
    what = f"the first {n} tokens of your text" if n == TOKENS else f"the {n} tokens of your text"
    frames: list[dict[str, Any]] = []
    book: list[list[Any]] = []

    def frame(act: str, say: str, row: Row, m: int = -1) -> None:
        frames.append({"act": act, "say": say, "m": m, "row": row, "book": list(book)})

    frame("start", f"These are {what}. What in them comes more than once?", list(range(n)))
    order = grammar.order(inline)
    done: set[int] = set()
    for m in order[:DETAILED]:
        before = grammar.row(done | {m}, grouped=m)
        done.add(m)
        row = grammar.row(done)
        size, uses = len(grammar.definitions[m]), row.count(-1 - m)
        cost = size if inline else size + 1
        frame("find", f"Find: a phrase of {size} tokens stands here {uses} times.", before, m)
        frame(
            "count",
            f"Count: {uses} places of {size} tokens are {uses * size} tokens. As m{m} they take {uses}, and writing "
            f"m{m} down takes {cost} more: {uses + cost} in all, {uses * size - uses - cost} fewer.",
            before,
            m,
        )
        frame("replace", f"Replace: each of the {uses} places becomes the one token m{m}.", row, m)
        book.append([m, grammar.symbols(m)])
        where = "where it is used first" if inline else "in a dictionary in front"
        frame("write", f"Write down: the {size} tokens of m{m} are kept once, {where}.", row, m)
    if len(order) > DETAILED:
        done.update(order)
        book.extend([m, grammar.symbols(m)] for m in order[DETAILED:])
        left = len(order) - DETAILED
        more = "the one other phrase" if left == 1 else f"the {left} other phrases"
        inner = " A phrase may hold another one." if any(map(grammar.depth, order)) else ""
        frame("rest", f"The same with {more}.{inner}", grammar.row(done))
    book = []
    if order:
        marks = "" if inline else ", with the two marks around the dictionary"
        say = (
            f"{n} tokens have become {len(compressed)}{marks}. Put every phrase back for its meta-token, and the text "
            "is the same again: nothing is lost."
        )
    else:
        say = f"Nothing in {what} comes back often enough to pay for being written down: they stay as they are."
    frame("end", say, grammar.written(inline))
    return {"tokens": n, "compressed": len(compressed), "frames": frames}


@dataclass
class _Grammar:
    """Definitions as meta-tokens and None for a token, the tokens that each stands for, and where they stand."""

    definitions: dict[int, list[int | None]]
    lengths: dict[int, int]
    spans: list[tuple[int, int]]
    tokens: int
    places: dict[int, int] = field(init=False)

    def __post_init__(self) -> None:
        self.places = {}
        for start, m in self.spans:
            self._visit(m, start)

    def _visit(self, m: int, start: int) -> None:
        if m in self.places:
            return
        self.places[m] = start
        for at, inner in self._inside(m, start):
            if inner is not None:
                self._visit(inner, at)

    def _inside(self, m: int, start: int) -> list[tuple[int, int | None]]:
        """(first token, meta-token or None) of the symbols of m, where m stands at `start`."""
        out = []
        for symbol in self.definitions[m]:
            out.append((start, symbol))
            start += 1 if symbol is None else self.lengths[symbol]
        return out

    def depth(self, m: int) -> int:
        """How many phrases lie within each other in m."""
        return max((1 + self.depth(s) for s in self.definitions[m] if s is not None), default=0)

    def order(self, inline: bool) -> list[int]:
        """The phrases, each behind those that it holds, and the most saving first."""

        def saved(m: int) -> int:
            return phrase_saving(len(self.definitions[m]), self.row({m}).count(-1 - m), inline=inline)

        return sorted(self.definitions, key=lambda m: (self.depth(m), -saved(m), m))

    def symbols(self, m: int) -> Row:
        """The definition of m as a row, with the tokens of one of its places."""
        return [at if symbol is None else -1 - symbol for at, symbol in self._inside(m, self.places[m])]

    def row(self, done: set[int], grouped: int = -1) -> Row:
        """The sequence in which the phrases of `done` are replaced; those of `grouped` stand as a group instead."""

        def spelled(m: int, start: int, out: Row) -> None:
            if m == grouped:
                out.append([at if symbol is None else -1 - symbol for at, symbol in self._inside(m, start)])
            elif m in done:
                out.append(-1 - m)
            else:
                for at, symbol in self._inside(m, start):
                    if symbol is None:
                        out.append(at)
                    else:
                        spelled(symbol, at, out)

        return self._body(spelled)

    def written(self, inline: bool) -> Row:
        """The compressed sequence without the dictionary's marks; each definition a group behind its meta-token."""
        known: set[int] = set()

        def first_use(m: int, start: int, out: Row) -> None:
            out.append(-1 - m)
            if m in known:
                return
            known.add(m)
            group: Row = []
            for at, symbol in self._inside(m, start):
                if symbol is None:
                    group.append(at)
                else:
                    first_use(symbol, at, group)
            out.append(group)

        if inline:
            return self._body(first_use)
        book = [part for m in self.definitions for part in (-1 - m, self.symbols(m))]
        return book + self.row(set(self.definitions))

    def _body(self, put: Any) -> Row:
        out: Row = []
        at = 0
        for start, m in self.spans:
            out.extend(range(at, start))
            put(m, start, out)
            at = start + self.lengths[m]
        return [*out, *range(at, self.tokens)]
