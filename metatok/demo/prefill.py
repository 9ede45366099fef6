"""The prefill of the bundled reader, timed: what compression saves on this machine, beside what was computed.

A generator, so that it shows how far it is and can be stopped between two passes. It loads torch and the reader when
somebody asks for a time, not before.
"""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from metatok.codec import METHODS
from metatok.compute import Flops, from_config, prefill
from metatok.demo.answers import notice_html
from metatok.demo.cards import BUG, message_html
from metatok.demo.loading import reader
from metatok.demo.run import Refused
from metatok.demo.zerogpu import gpu
from metatok.reader.folders import bundled
from metatok.sentences import sentence
from metatok.views.numbers import milliseconds, percent, si, table_html

if TYPE_CHECKING:
    from metatok.reader import Reader

log = logging.getLogger(__name__)

REPETITIONS = 5
STARTING = "Making ready; the first time the reader is loaded, which takes some seconds …"
EMPTY = "There is no text to read yet: paste one in Explore, or take an example there."


@dataclass(frozen=True)
class Timed:
    """One prompt's prefill.

    Attributes:
        tokens: all that is read, the mark of the beginning included.
        seconds: one of each repetition.
        flops: what the cost model says. Causal, because the attention kernels of torch skip what the mask hides.
    """

    tokens: int
    seconds: list[float]
    flops: Flops

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


@gpu
def measure(text: str, method: str) -> Iterator[str]:
    """HTML, again and again until the times are there.

    Args:
        text: the prompt; of a longer one than the reader can hold its longest beginning that fits is read.
        method: how it is compressed.
    """
    try:
        if not isinstance(text, str) or not text.strip():
            raise Refused(EMPTY)
        if method not in METHODS:
            raise Refused(f"There is no method {method!r}; there are {', '.join(METHODS)}.")
        bundled()
        yield notice_html(STARTING)
        yield from _measure(reader(), text, method)
    except ValueError as error:
        yield message_html(sentence(str(error)))
    except Exception:
        log.exception("measuring the prefill failed")
        yield message_html(BUG)


def _measure(model: Reader, text: str, method: str) -> Iterator[str]:
    ids, cut = beginning(model, text)
    began = time.perf_counter()
    compressed = model.prepare_ids(ids, method)
    compressing = time.perf_counter() - began
    arch = from_config(model.model.config, name="the reader")
    sides = [
        Timed(n, [], prefill(arch, n, causal=True))
        for n in (1 + len(ids), 1 + len(compressed.ids))  # the mark of the beginning is read, too
    ]
    prompts = (model.prepare_ids(ids), compressed)
    for repetition in range(REPETITIONS + 1):  # the first of each warms up
        for name, side, prompt in zip(("raw", "compressed"), sides, prompts, strict=True):
            turn = f", {repetition} of {REPETITIONS} times" if repetition else " once, to warm up"
            yield notice_html(f"Reading the {name} prompt, {side.tokens:,} tokens{turn} …")
            seconds = model.prefill_seconds(prompt)
            if repetition:
                side.seconds.append(seconds)
    yield measured_html(sides[0], sides[1], compressing=compressing, method=method, cut=cut)


def beginning(model: Any, text: str) -> tuple[Any, str]:
    """The longest beginning of a text that the reader can hold, and a sentence if that is not all of it.

    Args:
        model: a `metatok.reader.Reader`; what it needs of one is `tokenizer` and `limit`.

    Returns:
        (n,) ids, and the sentence or "".
    """
    room = model.limit - 1  # without the mark of the beginning
    characters = 8 * room
    while True:  # without tokenizing 5 MB for some thousand tokens
        ids = model.tokenizer.encode(text[:characters])
        if len(ids) > room or characters >= len(text):
            break
        characters *= 2
    if len(ids) <= room:
        return ids, ""
    ids = ids[:room]
    read = len(model.tokenizer.decode(ids))
    return ids, (
        f"The reader takes {model.limit:,} tokens, and this text is longer: only its first {read:,} of {len(text):,} "
        f"characters ({percent(read / len(text))}) are read here, raw and compressed."
    )


def measured_html(raw: Timed, compressed: Timed, *, compressing: float, method: str, cut: str) -> str:
    """Both times beside what the cost model says.

    Args:
        compressing: seconds that the compression took.
        cut: a sentence if the text was too long.
    """
    ratio = compressed.flops.total / raw.flops.total
    predicted = raw.median * ratio
    off = compressed.median / predicted - 1
    sides = (raw, compressed)
    rows = [
        ("tokens", "tokens, by its own tokenizer", [f"{raw.tokens:,}", f"{compressed.tokens:,}"]),
        ("measured", f"time, median of {len(raw.seconds)}", [milliseconds(side.median) for side in sides]),
        ("range", "fastest to slowest", [_range(side) for side in sides]),
        ("flops", "FLOPs, by the cost model", [si(raw.flops.total), si(compressed.flops.total)]),
        ("speed", "FLOPs a second", [si(side.flops.total / side.median) for side in sides]),
    ]
    saved = {
        "tokens": 1 - compressed.tokens / raw.tokens,
        "measured": 1 - compressed.median / raw.median,
        "flops": 1 - ratio,
    }
    table = table_html(
        f"Prefill of the bundled reader, {method}",
        ["", "raw", "compressed", "saved"],
        [(name, label, [*cells, percent(saved[name]) if name in saved else ""]) for name, label, cells in rows],
    )
    return (
        (notice_html(cut) if cut else "")
        + table
        + f"<p>From the raw time the cost model predicts {milliseconds(predicted)} for the compressed prompt; it took "
        f"{percent(abs(off))} {'more' if off > 0 else 'less'}. Compressing took {milliseconds(compressing)}. "
        "The cost model counts matrix products only, and of the attention matrix what the mask leaves; whatever else "
        "this machine does at the same time is in the measured times.</p>"
    )


def _range(side: Timed) -> str:
    return f"{milliseconds(min(side.seconds))} – {milliseconds(max(side.seconds))}"
