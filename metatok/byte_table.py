"""The bytes that each id of a byte-level vocabulary stands for, and what follows: texts, sizes, characters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from metatok.kernels import njit

Ids = NDArray[np.int32]

_SUM_BLOCK = 1 << 20  # ids whose lengths are looked up at a time, 8 MB of them


class ByteTable:
    """What each id stands for, as bytes; `tokens` holds one entry an id, in order.

    >>> table = ByteTable([b"a", b"", "é".encode()])
    >>> table.join(np.array([2, 0, 1, 2], np.int32)).decode()
    'éaé'
    >>> table.fragments(np.array([2, 0, 1, 2], np.int32), np.array([1, 1, 4]))
    ['é', '', 'aé']
    """

    def __init__(self, tokens: list[bytes]):
        self.tokens = tokens
        self.lengths = np.fromiter(map(len, tokens), np.int64, len(tokens))
        self._starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(self.lengths)])
        self._data = np.frombuffer(b"".join(tokens), np.uint8)

    def join(self, ids: Ids) -> bytes:
        """The bytes of a sequence, (n,) ids."""
        joined: bytes = _join(self._data, self._starts, ids, self.size(ids)).tobytes()
        return joined

    def fragments(self, ids: Ids, ends: NDArray[np.int64]) -> list[str]:
        """The texts of runs that follow one another in `ids` and end before `ends`."""
        data = self.join(ids)
        stops = np.concatenate([np.zeros(1, np.int64), self.byte_ends(ids)])[ends].tolist()
        return [data[start:stop].decode("utf-8", "replace") for start, stop in zip([0, *stops], stops, strict=False)]

    def size(self, ids: Ids) -> int:
        """How many bytes a sequence has, without joining them."""
        blocks = range(0, len(ids), _SUM_BLOCK)
        return sum(int(self.lengths[ids[i : i + _SUM_BLOCK]].sum()) for i in blocks)

    def byte_ends(self, ids: Ids) -> NDArray[np.int64]:
        """Before which byte of the sequence each token ends, (n,)."""
        return np.cumsum(self.lengths[ids])

    def pieces(self, ids: Ids) -> list[str]:
        """The text of each id alone; bytes that are not UTF-8 become U+FFFD."""
        return [self.tokens[i].decode("utf-8", "replace") for i in ids.tolist()]


def character_spans(text: str, data: bytes, byte_ends: NDArray[np.int64]) -> tuple[Ids, Ids]:
    """The characters that tokens touch, from the bytes at which they end: `(starts, stops)`, each (n,) int32.

    `data` is `text` as UTF-8. A token that ends inside a character touches it, and so does the next one.

    >>> character_spans("é!", "é!".encode(), np.array([1, 2, 3]))
    (array([0, 0, 1], dtype=int32), array([1, 1, 2], dtype=int32))
    """
    byte_starts = np.concatenate([np.zeros(1, np.int64), byte_ends[:-1]]) if len(byte_ends) else byte_ends
    if len(data) == len(text):
        return byte_starts.astype(np.int32), byte_ends.astype(np.int32)
    leads = np.ones(len(data) + 1, bool)  # does a character start at this byte? The end of the text counts as one.
    leads[:-1] = (np.frombuffer(data, np.uint8) & 0xC0) != 0x80
    begun = np.concatenate([np.zeros(1, np.int32), np.cumsum(leads[:-1], dtype=np.int32)])  # characters before a byte
    starts = begun[byte_starts] - ~leads[byte_starts]
    return starts.astype(np.int32), begun[byte_ends]


@njit(cache=True, nogil=True)
def _join(data, starts, ids, size):
    out = np.empty(size, dtype=np.uint8)
    at = 0
    for i in ids:
        for k in range(starts[i], starts[i + 1]):
            out[at] = data[k]
            at += 1
    return out
