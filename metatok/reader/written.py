"""A compressed prompt written out: the phrase of a meta-token in brackets behind it, and then the thread taken up.

    prompt: m x y a b c d m e        written out: m x y a b c d m ( x y ) a b c d m e

Where the prompt writes a phrase down it is copied as it stands, dictionaries in front left out. Where a meta-token
stands for it, an opening mark follows, the phrase, a closing mark, and once more the meta-token with the `THREAD` ids
that stand before it in the prompt, none from before the body or the phrase that it stands in; opening marks fill up. So
all of them have just been written, and what comes next nearly always follows from the few ids before it, whatever was
written in between: it is what follows the same ids in the prompt, and a model that looks for them finds it. That is the
working of the expand task, as a depth is read from a path that is written first. `read_back` leaves it out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from metatok.codec import Compressed

THREAD = 4
"""With two ids before the meta-token, and the brackets that it is in, what follows is not settled in 28 of 100 trees
(`inline`; `nested` 62, `flat` 87), with three in 6 (6, 68), with four in 0 (0, 42); in `ltsc` in none."""


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


def read_back(written: Iterable[int], vocab_size: int, opening: int, closing: int) -> Iterator[int]:
    """The ids of the prompt, from those of it written out, one by one as they come; arguments as for `written_out`.

    Args:
        vocab_size: meta-tokens are ids from here on.

    >>> list(read_back([14, 1, 2, 3, 4, 5, 6, 7, 14, 8, 1, 2, 3, 4, 9, 4, 5, 6, 7, 14, 6], 10, 8, 9))
    [1, 2, 3, 4, 5, 6, 7, 1, 2, 3, 4, 6]
    """
    left_out = 0
    for symbol in written:
        if left_out:
            left_out -= 1
        elif symbol == closing:
            left_out = THREAD + 1
        elif symbol < vocab_size and symbol != opening:
            yield symbol


class Brackets:
    """In which meta-token's brackets each id stands as a prompt is written out, from what is written so far.

    Marks belong to the brackets that they open or close, and what takes up the thread to those that were closed before
    it, up to the meta-token that ends it. What stands in no brackets has -1, and so has all of what is no such text.
    """

    def __init__(self, opening: int, closing: int):
        self._opening, self._closing = opening, closing
        self._open: list[int] = []
        self._before = self._closed = -1
        self._thread = 0

    def owner(self, symbol: int) -> int:
        """The owner of the next id.

        >>> brackets = Brackets(8, 9)
        >>> [brackets.owner(i) for i in [14, 1, 2, 3, 4, 5, 6, 7, 14, 8, 1, 2, 3, 4, 9, 4, 5, 6, 7, 14, 6]]
        [-1, -1, -1, -1, -1, -1, -1, -1, -1, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14, -1, -1]
        """
        if self._thread:
            self._thread -= 1
            return self._closed
        if symbol == self._opening:
            self._open.append(self._before)
        owner = self._open[-1] if self._open else -1
        if symbol == self._closing:
            self._closed = self._open.pop() if self._open else -1
            self._thread = THREAD
        self._before = symbol
        return owner
