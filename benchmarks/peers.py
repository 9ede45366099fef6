"""Other packages that shorten token sequences, each behind the same function: ids in, ids and seconds out.

`delta-ltsc` writes its dictionary into the sequence, as metatok does. `zip2zip-compression` is LZW with a codebook
that stays outside the prompt, so its saving is not one that a prompt alone could have. Extra: `benchmark`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import delta
import zip2zip_compression

CODES = 2_048
LONGEST_CODE = 8


class Outcome(NamedTuple):
    length: int | None  # None: it raised an error
    seconds: float
    exact: bool


def delta_ltsc(ids: Sequence[int], **options: object) -> Outcome:
    """With the package's defaults unless told otherwise."""
    config = delta.CompressionConfig(**options)
    begin = time.thread_time()
    try:
        done = delta.compress(list(ids), config)
    except ValueError:  # "Dictionary contains cyclic meta-token dependencies", for one
        return Outcome(None, time.thread_time() - begin, False)
    seconds = time.thread_time() - begin
    try:
        back = delta.decompress(done.serialized_tokens, config)
    except Exception:  # whatever it raises, the sequence did not come back
        back = None
    return Outcome(len(done.serialized_tokens), seconds, back == list(ids))


def zip2zip(ids: Sequence[int], vocab_size: int) -> Outcome:
    """LZW with 2,048 codes; the codebook is not counted."""
    coder = zip2zip_compression.LZWCompressor(vocab_size, CODES, LONGEST_CODE, 0, [])
    begin = time.thread_time()
    length = len(coder.encode(list(ids))[0])
    seconds = time.thread_time() - begin
    return Outcome(length, seconds, coder.decode(coder.encode(list(ids))[0])[0] == list(ids))


DELTA: dict[str, Callable[[Sequence[int]], Outcome]] = {
    "delta-ltsc": delta_ltsc,
    "delta-ltsc, greedy": lambda ids: delta_ltsc(ids, hierarchical_enabled=False),
    "delta-ltsc, optimal": lambda ids: delta_ltsc(ids, selection_mode="optimal"),
}
