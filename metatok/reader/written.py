"""A compressed prompt written out: the phrase of a meta-token in brackets behind it, and then the thread taken up.

    prompt: m x y a b c d m e        written out: m x y a b c d m ( x y ) a b c d m e

Where the prompt writes a phrase down it is copied as it stands, dictionaries in front left out. Where a meta-token
stands for it, an opening mark follows, the phrase, a closing mark, and once more the meta-token with the `THREAD` ids
that stand before it in the prompt, none from before the body or the phrase that it stands in; opening marks fill up. So
what comes next nearly always follows from the few ids before it, whatever was written in between: it is what follows
the same ids in the prompt, and a model that looks for them finds it. That is the working of the expand task, as a depth
is read from a path that is written first. `read_back` leaves it out.

All ids of a thread have been written before, in an order that the brackets settle, so nobody has to find them: when a
closing mark was written, `Brackets.follows` says what comes next, and decoding takes that as it is. So it does where
the method's form leaves no choice of a mark: an opening one behind every meta-token, but in `inline` not where its
phrase is written down, and in `inline`, whose numbers tell how long a phrase is, a closing one behind so many symbols.
Of the prompt decoding knows the method only; what it repeats is what was written, and where a model wrote an id that is
wrong, the thread has it, too. A model is asked for everything else: which id comes next and, but for `inline`, where a
phrase ends.

The same brackets tell which ids stand before one in its *line*, the prompt's own order: `Brackets.stand` while a prompt
is written out, `lines_before` in the prompt. A writer's embeddings may be made of them, too, so that it can compare
more ids than its first layer looks back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from metatok.codec import Codec, Compressed
from metatok.pool import phrase_length

THREAD = 4
"""With two ids before the meta-token, and the brackets that it is in, what follows is not settled in 28 of 100 trees
(`inline`; `nested` 62, `flat` 87), with three in 6 (6, 68), with four in 0 (0, 42); in `ltsc` in none. `flat`, whose
paths repeat long stretches, needs eight."""


def written_out(compressed: Compressed, opening: int, closing: int) -> list[int]:
    """The ids of `compressed` written out.

    Args:
        opening: the id of the mark before a phrase; it also fills up threads that would begin before their phrase.
        closing: of the mark behind it.

    >>> from metatok import Codec
    >>> compressed = Codec(10, 4, "inline").compress([1, 2, 3, 4, 5, 6, 7, 1, 2, 3, 4, 6])
    >>> compressed.ids.tolist()
    [14, 1, 2, 3, 4, 5, 6, 7, 14, 6]
    >>> written_out(compressed, opening=8, closing=9)
    [14, 1, 2, 3, 4, 5, 6, 7, 14, 8, 1, 2, 3, 4, 9, 4, 5, 6, 7, 14, 6]
    """
    ids, definitions = compressed.ids.tolist(), compressed.definitions
    first = {symbol: place for place, symbol in reversed(list(enumerate(ids)))}
    written: list[int] = []

    def copy(place: int, start: int) -> int:
        """Write the symbol of a place of the prompt with its phrase; the place behind both. `start` is where the
        phrase begins that the place is in, its meta-token included, or the body."""
        symbol, behind = ids[place], place + 1
        written.append(symbol)
        phrase = len(definitions.get(symbol, ()))
        if place == first[symbol]:
            return copy_many(behind, phrase, place)
        if phrase:
            written.append(opening)
            copy_many(first[symbol] + 1, phrase, first[symbol])
            thread = ids[max(start, place - THREAD) : place]
            written.extend((closing, *[opening] * (THREAD - len(thread)), *thread, symbol))
        return behind

    def copy_many(place: int, count: int, start: int) -> int:
        for _ in range(count):
            place = copy(place, start)
        return place

    in_body = np.flatnonzero(compressed.defines == -1)
    start = place = 0 if compressed.method == "inline" or not len(ids) else int(in_body[0])
    while place < len(ids):
        place = copy(place, start)
    return written


def read_back(written: Iterable[int], vocab_size: int, brackets: Brackets) -> Iterator[int]:
    """The ids of the prompt, from those of it written out, one by one as they come.

    Args:
        vocab_size: meta-tokens are ids from here on.
        brackets: in which nothing is written yet.

    >>> from metatok import Codec
    >>> written = [14, 1, 2, 3, 4, 5, 6, 7, 14, 8, 1, 2, 3, 4, 9, 4, 5, 6, 7, 14, 6]
    >>> list(read_back(written, 10, Brackets(8, 9, Codec(10, 4, "inline"))))
    [1, 2, 3, 4, 5, 6, 7, 1, 2, 3, 4, 6]
    """
    for symbol in written:
        in_thread = bool(brackets.thread)
        brackets.write(symbol)
        if not in_thread and symbol < vocab_size and symbol not in (brackets.opening, brackets.closing):
            yield symbol


@dataclass
class _Level:
    """What is written in one pair of brackets, or in none."""

    owner: int  # the meta-token before the brackets, or what else a model wrote there; -1 in none
    line: list[int]  # ids as they stand in the prompt: without what is in brackets, and without threads
    origin: int = -1  # the place in the prompt where the line begins, as far as that is known (`inline`)
    phrases: list[list[int]] = field(default_factory=list)  # being written down: where each begins, symbols to come
    ends: bool = False  # with the last of these phrases, which is the one that the brackets are for
    pending: bool = False  # the last id is a meta-token, and what follows it tells whether its phrase does

    def complete(self) -> None:
        """A symbol is complete, its phrase included."""
        self.pending = False
        while self.phrases:
            self.phrases[-1][1] -= 1
            if self.phrases[-1][1]:
                break
            self.phrases.pop()


class Brackets:
    """In which meta-token's brackets each id stands as a prompt is written out, what is settled to come next, such as
    what takes up the thread behind them, and which marks cannot, all from what is written so far. Whatever that is: a
    model may close what it never opened.

    Marks belong to the brackets that they open or close, and what takes up the thread to those that were closed before
    it, up to the meta-token that ends it. What stands in no brackets has -1, and so has all of what is no such text.

    Attributes:
        opening, closing: the marks; -1 where there are no brackets.
        thread: the ids that have to follow behind a closing mark; empty elsewhere.
    """

    def __init__(self, opening: int, closing: int, codec: Codec | None = None):
        """`codec` is the one that compressed the prompt; None where it is raw."""
        self.opening, self.closing = opening, closing
        self._codec = codec
        self._levels = [_Level(-1, [], origin=0)]
        self._inline = codec is not None and codec.method == "inline"
        self._first: dict[int, int] = {}  # where in the prompt each meta-token was first written (`inline`)
        self._closed = -1
        self._thread_from = 0  # where the phrase begins that the thread is of
        self._at: tuple[list[int], int, int] = ([], 0, 0)  # of the latest id: its line, what begins there, its place
        self.thread: list[int] = []

    def write(self, symbol: int) -> int:
        """Take note of the next id; its owner.

        >>> from metatok import Codec
        >>> brackets = Brackets(8, 9, Codec(10, 4, "inline"))
        >>> [brackets.write(i) for i in [14, 1, 2, 3, 4, 5, 6, 7, 14, 8, 1, 2, 3, 4]]
        [-1, -1, -1, -1, -1, -1, -1, -1, -1, 14, 14, 14, 14, 14]
        >>> brackets.write(9), brackets.thread
        (14, [4, 5, 6, 7, 14])
        >>> [brackets.write(i) for i in [4, 5, 6, 7, 14, 6]]
        [14, 14, 14, 14, -1, -1]
        """
        level = self._levels[-1]
        self._at = (level.line, self._start(level), len(level.line))
        if self.thread:
            self.thread.pop(0)
            self._at = (level.line, self._thread_from, len(level.line) - 1 - len(self.thread))
            return self._closed if self.thread else level.owner
        if symbol == self.opening:
            self._at = (level.line, max(len(level.line) - 1, 0), len(level.line))
            self._open(level.line[-1:])
            return self._levels[-1].owner
        if symbol == self.closing:
            if len(self._levels) == 1:
                return -1
            self._closed = self._levels.pop().owner
            level = self._levels[-1]
            self._thread_from = self._start(level)
            if self._codec is not None:
                thread = level.line[max(self._thread_from, len(level.line) - 1 - THREAD) :]
                self.thread = [self.opening] * (THREAD + 1 - len(thread)) + thread
            level.complete()
            return self._closed
        if self._inline and level.pending:  # the phrase of the id before begins
            level.phrases.append([len(level.line) - 1, self._length(level.line[-1])])
            self._at = (level.line, len(level.line) - 1, len(level.line))
        level.line.append(symbol)
        if self._is_meta(symbol):
            level.pending = True
            if self._inline and len(self._levels) == 1:
                self._first.setdefault(symbol, len(level.line) - 1)
        else:
            level.complete()
        return level.owner

    @property
    def follows(self) -> int | None:
        """The id that has to come next: of a thread, or the mark for which the method's form leaves no choice. None
        where a model is asked.

        >>> from metatok import Codec
        >>> brackets, follows = Brackets(8, 9, Codec(10, 4, "inline")), []
        >>> for symbol in [14, 1, 2, 3, 4, 5, 14, 8, 1, 2, 3, 4, 9]:
        ...     _ = brackets.write(symbol)
        ...     follows.append(brackets.follows)
        >>> follows
        [None, None, None, None, None, None, 8, None, None, None, None, 9, 2]
        """
        level = self._levels[-1]
        if self.thread:
            return self.thread[0]
        if level.pending:
            return self.opening if not self._inline or self._used(level) else None
        return self.closing if level.ends and not level.phrases else None

    @property
    def barred(self) -> list[int]:
        """The marks that cannot be what a model is asked for next."""
        if self._codec is None:
            return []
        may_close = len(self._levels) > 1 and not self._levels[-1].ends
        return [self.opening] if may_close else [self.opening, self.closing]

    def stand(self, symbol: int, count: int = 0) -> list[int]:
        """Take note of the next id; its owner, and the `count` ids before it as they stand in the prompt, the nearest
        first: what is in brackets between is left out, and the phrase or the body that it is in is not left. -1 where
        there is none. For the ids of a thread it is the phrase that the last of them is in; an opening mark has the
        meta-token before it alone, as what begins its phrase has.

        >>> from metatok import Codec
        >>> brackets = Brackets(8, 9, Codec(10, 4, "inline"))
        >>> written = [14, 1, 2, 3, 4, 5, 6, 7, 14, 8, 1, 2, 3, 4, 9, 4, 5, 6, 7, 14, 6]
        >>> standing = [brackets.stand(i, 2) for i in written]
        >>> standing[1], standing[8], standing[11], standing[16], standing[20]
        ([-1, 14, -1], [-1, 7, 6], [14, 1, 14], [14, 4, 3], [-1, 14, 7])
        """
        owner = self.write(symbol)
        line, start, place = self._at
        before = line[max(start, place - count) : max(start, place)][::-1] if self._codec is not None else []
        return [owner, *before, *[-1] * (count - len(before))]

    def _open(self, before: list[int]) -> None:
        """Brackets, behind these ids: one, or none where a model wrote no other before them."""
        level = _Level(before[0] if before else -1, before)
        if self._inline and self._is_meta(level.owner):
            level.origin = self._first.get(level.owner, -1)
            level.phrases, level.ends = [[0, self._length(level.owner)]], True
        self._levels.append(level)

    def _used(self, level: _Level) -> bool:
        """Whether the meta-token that was just written stands for its phrase, and not before it (`inline`)."""
        first = self._first.get(level.line[-1], -1)
        return first >= 0 and level.origin >= 0 and first != level.origin + len(level.line) - 1

    def _is_meta(self, symbol: int) -> bool:
        return self._codec is not None and symbol >= self._codec.first_meta

    def _length(self, meta: int) -> int:
        assert self._codec
        return phrase_length(meta - self._codec.first_meta)

    @staticmethod
    def _start(level: _Level) -> int:
        return level.phrases[-1][0] if level.phrases else 0


def roles(written: Iterable[int], brackets: Brackets, before: int = 0) -> tuple[list[list[int]], list[bool]]:
    """For each id of a prompt written out how it stands (`Brackets.stand`), and whether those before it settle it, so
    that it has not to be found.

    Args:
        brackets: in which nothing is written yet.
        before: how many ids before it are told.
    """
    standing, settled = [], []
    for symbol in written:
        settled.append(brackets.follows is not None)
        standing.append(brackets.stand(symbol, before))
    return standing, settled


def lines_before(compressed: Compressed, count: int) -> NDArray[np.int64]:
    """For each id of a compressed prompt the `count` ids before it, (n, count), as `Brackets.stand` tells them.

    >>> from metatok import Codec
    >>> compressed = Codec(10, 4, "inline").compress([1, 2, 3, 4, 5, 6, 7, 1, 2, 3, 4, 6])
    >>> lines_before(compressed, 2)[[0, 1, 2, 9]].tolist()
    [[-1, -1], [14, -1], [1, 14], [14, 7]]
    """
    ids, defines = compressed.ids.tolist(), compressed.defines.tolist()
    first = {symbol: place for place, symbol in reversed(list(enumerate(ids)))}
    body = defines.index(-1) if -1 in defines else 0
    starts = [first.get(owner, body) for owner in defines]
    places = np.arange(len(ids))[:, None] - np.arange(1, count + 1)
    found = np.array(ids, dtype=np.int64)[np.maximum(places, 0)] if ids else np.empty((0, count), dtype=np.int64)
    return np.where(places >= np.array(starts, dtype=np.int64)[:, None], found, -1)
