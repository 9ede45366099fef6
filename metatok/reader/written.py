"""A compressed prompt written out: every phrase in full, its meta-token before it and after it.

    body of a prompt: a m b m,  m = x y        written out: a m x y m b m x y m

That is the working of the expand task, as a depth is read from a path that is written first. What comes next in a
prompt that repeats itself can depend on any number of tokens before it; what comes next here, on a few. A meta-token
says which phrase to write and, when that is written, where in the body to go on. The prompt is what is left without
them.
"""

from __future__ import annotations

from metatok.codec import Compressed


def written_out(compressed: Compressed) -> list[int]:
    """The ids of `compressed` written out; those that are no meta-tokens are the original sequence.

    >>> from metatok import Codec
    >>> written_out(Codec(10, 4, "ltsc").compress([1, 2, 3, 4, 0, 1, 2, 3, 4, 5, 1, 2, 3, 4]))
    [12, 1, 2, 3, 4, 12, 0, 12, 1, 2, 3, 4, 12, 5, 12, 1, 2, 3, 4, 12]
    """
    written: dict[int, list[int]] = {}
    phrases, definitions = compressed.phrases, compressed.definitions
    for meta in sorted(phrases, key=lambda m: len(phrases[m])):  # phrases in phrases are shorter
        written[meta] = [meta, *_replaced(definitions[meta], written), meta]
    return _replaced(compressed.ids[compressed.defines == -1].tolist(), written)


def _replaced(symbols: list[int] | tuple[int, ...], written: dict[int, list[int]]) -> list[int]:
    return [i for symbol in symbols for i in written.get(symbol, (symbol,))]
