"""From a text and three choices to a result, and back: what the page's button and the endpoints do.

Plain data in, plain data out, no Gradio. What a person can do wrong comes back as one sentence (`Refused`).
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from metatok.codec import METHODS, Compressed, Method
from metatok.layout import FormatError
from metatok.sentences import sentence
from metatok.summary import summarize
from metatok.tokenizer import Ids, MetaTokenizer, TokenizerError

DEFAULT_TOKENIZER = "mistral:tekken"
DEFAULT_METHOD: Method = "inline"
DEFAULT_META_TOKENS = 512

COMPRESSING: dict[str, Any] = {"concurrency_limit": 2, "concurrency_id": "compress"}
"""How Gradio queues what compresses: two at a time, however it was asked for. Four took longer on two cores, where they
wait for the interpreter; see docs/LOG.md."""

MAX_BYTES = 5_000_000
"""The longest text that is taken, in bytes of UTF-8: about 1.5 million tokens, compressed in seconds."""

MAX_META_TOKENS = 1_000_000
MAX_TOKENS = 5_000_000
"""The longest sequence that `restore` takes or makes, in ids; a text of `MAX_BYTES` has no more."""

DECODED = 10_000
"""How many tokens are decoded at a time where only that tells how long their text is."""

MAX_KEEP = 10_000

Step = Callable[[str], None]


class Refused(ValueError):
    """A request that cannot be met; the message is a sentence for the person who made it."""


@dataclass(frozen=True, eq=False)
class Result:
    """One compression: `summary` is `metatok.summary.summarize(tokenizer, text, compressed)`.

    What stayed raw is `keep` in characters of the text and `kept` in tokens, in order and apart.
    """

    tokenizer: MetaTokenizer
    text: str
    compressed: Compressed
    summary: dict[str, Any]
    keep: list[tuple[int, int]]
    kept: list[tuple[int, int]]


def run(
    text: str,
    tokenizer: str,
    method: str,
    meta_tokens: int | None,
    keep: Sequence[Sequence[int]] | None = None,
    *,
    step: Step = lambda name: None,
) -> Result:
    """Compress `text`, decompress it again and say what came of it.

    Args:
        text: at most `MAX_BYTES` bytes of UTF-8.
        tokenizer: a name as for `MetaTokenizer.from_pretrained`.
        method: one of `metatok.METHODS`.
        meta_tokens: size of the pool, None for as many as pay.
        keep: [start, stop] of each part that stays raw, in characters; at most `MAX_KEEP`.
        step: called with a word when a stage of the work begins; what it raises ends the work.

    Raises:
        Refused: with a sentence.

    >>> result = run("spam and eggs, spam and eggs, spam and eggs", "mistral:v3", "inline", 512)
    >>> result.summary["compressed_tokens"]
    9
    """
    check(text, tokenizer, method, meta_tokens)
    parts = _parts(keep, len(text))
    try:
        step("Loading the tokenizer")
        tok = load(tokenizer.strip()).using(method=method, meta_tokens=meta_tokens)
        step("Making tokens")
        ids = tok.encode(text)
        kept = _apart(tok.token_ranges(text, parts)) if parts else []
        step("Looking for phrases")
        compressed = tok.codec.compress(ids, keep=kept)
        step("Checking that everything comes back")
        return Result(tok, text, compressed, summarize(tok, text, compressed, ids=ids), parts, kept)
    except TokenizerError as error:
        raise Refused(str(error)) from error
    except ValueError as error:  # a lone surrogate
        raise Refused(sentence(str(error))) from error


def restore(
    ids: Any, tokenizer: str, method: str, meta_tokens: int | None, max_length: int = MAX_TOKENS
) -> tuple[MetaTokenizer, str, int]:
    """The tokenizer, the text that `ids` stand for, and how many tokens that is.

    Args:
        ids: a list of ints, compressed or raw, at most `MAX_TOKENS`.
        tokenizer, method, meta_tokens: those that the ids were made with; as for `run`.
        max_length: the most tokens that may come of it, at most `MAX_TOKENS`; checked before memory is taken for them.

    Raises:
        Refused: with a sentence.

    >>> result = run("spam and eggs, spam and eggs, spam and eggs", "mistral:v3", "inline", 512)
    >>> restore(result.compressed.ids.tolist(), "mistral:v3", "inline", 512)[1:]
    ('spam and eggs, spam and eggs, spam and eggs', 14)
    """
    check_choices(tokenizer, method, meta_tokens)
    if not isinstance(ids, list):
        raise Refused(f"The ids must be a list of whole numbers, not {_kind(ids)}.")
    if len(ids) > MAX_TOKENS:
        raise Refused(f"There are {len(ids):,} ids, and {MAX_TOKENS:,} is the most that is taken here.")
    wrong = next((i for i, value in enumerate(ids) if type(value) is not int), None)
    if wrong is not None:
        raise Refused(f"The ids must be whole numbers; the one at position {wrong} is {_kind(ids[wrong])}.")
    if type(max_length) is not int or not 0 <= max_length <= MAX_TOKENS:
        raise Refused(f"max_length must be a whole number from 0 to {MAX_TOKENS:,}.")
    try:
        tok = load(tokenizer.strip()).using(method=method, meta_tokens=meta_tokens)
        raw = tok.codec.decompress(ids, max_length=max_length)
    except TokenizerError as error:
        raise Refused(str(error)) from error
    except FormatError as error:
        raise Refused(
            f"These ids cannot be decompressed with {tokenizer.strip()}, {method} and {_pool(meta_tokens)}: {error}."
        ) from error
    _check_size(_text_size(tok, raw))
    text = tok.decode(raw)
    _check_size(len(text.encode()))  # more than the tokens' bytes, where they are no UTF-8
    return tok, text, len(raw)


def _check_size(size: int) -> None:
    if size > MAX_BYTES:
        raise Refused(
            f"The text of these ids has {size / 1e6:.1f} MB, and {MAX_BYTES / 1e6:.0f} MB is the most made here."
        )


def _text_size(tokenizer: MetaTokenizer, ids: Ids) -> int:
    """The bytes of the text of `ids`; at least, where only decoding tells and the first of them are too many."""
    size = tokenizer.text_size(ids)
    if size is not None:
        return size
    size = 0
    for start in range(0, len(ids), DECODED):
        size += len(tokenizer.decode(ids[start : start + DECODED]).encode())
        if size > MAX_BYTES:
            break
    return size


@functools.lru_cache(maxsize=8)
def load(name: str) -> MetaTokenizer:
    """The tokenizer of that name, kept for the next one who asks; raises `TokenizerError`."""
    return MetaTokenizer.from_pretrained(name)


def check(text: Any, tokenizer: Any, method: Any, meta_tokens: Any) -> None:
    """Refuse what `run` cannot take, with a sentence."""
    if not isinstance(text, str):
        raise Refused(f"The text must be a string, not {_kind(text)}.")
    size = len(text) if len(text) > MAX_BYTES else len(text.encode("utf-8", "replace"))
    if size > MAX_BYTES:
        raise Refused(
            f"The text has {size / 1e6:.1f} MB, and {MAX_BYTES / 1e6:.0f} MB is the most that is taken here; "
            "on your own machine `metatok compress` takes files of any size."
        )
    check_choices(tokenizer, method, meta_tokens)


def check_choices(tokenizer: Any, method: Any, meta_tokens: Any) -> None:
    """Refuse what no run could be made with; whether the tokenizer can be had is for `run` to find out.

    Raises:
        Refused: with a sentence.
    """
    if not isinstance(tokenizer, str) or not tokenizer.strip():
        raise Refused("Choose a tokenizer, or type the id of one on the Hugging Face Hub.")
    if os.environ.get("SPACE_ID") and is_path(tokenizer.strip()):
        raise Refused("On a shared server a tokenizer has to be a Hub id; folders work on your own machine.")
    if method not in METHODS:
        raise Refused(f"There is no method {method!r}; there are {', '.join(METHODS)}.")
    if meta_tokens is not None and (isinstance(meta_tokens, bool) or not isinstance(meta_tokens, int)):
        raise Refused(
            f"The number of meta-tokens must be a whole number, or null for as many as pay, not {_kind(meta_tokens)}."
        )
    if meta_tokens is not None and not 0 <= meta_tokens <= MAX_META_TOKENS:
        raise Refused(
            f"The number of meta-tokens must be from 0 to {MAX_META_TOKENS:,}, or null for as many as pay, "
            f"not {meta_tokens:,}."
        )


def _parts(keep: Any, length: int) -> list[tuple[int, int]]:
    """The parts to keep raw, checked; `length` is that of the text."""
    if keep is None:
        return []
    if not isinstance(keep, Sequence) or isinstance(keep, str):
        raise Refused(f"The parts to keep raw must be a list of [start, stop], not {_kind(keep)}.")
    if len(keep) > MAX_KEEP:
        raise Refused(f"There are {len(keep):,} parts to keep raw, and {MAX_KEEP:,} is the most that is taken.")
    for part in keep:
        if not isinstance(part, Sequence) or len(part) != 2 or not all(type(at) is int for at in part):
            raise Refused("Each part to keep raw must be [start, stop], two whole numbers that count characters.")
        if not 0 <= part[0] <= part[1] <= length:
            size = "1 character" if length == 1 else f"{length:,} characters"
            raise Refused(f"The part to keep raw [{part[0]}, {part[1]}] is not inside the text of {size}.")
    return [(start, stop) for start, stop in keep]


def _apart(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same positions in ranges that neither overlap nor touch, in order.

    >>> _apart([(5, 7), (0, 2), (1, 5)])
    [(0, 7)]
    """
    out: list[tuple[int, int]] = []
    for start, stop in sorted(ranges):
        if out and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(out[-1][1], stop))
        else:
            out.append((start, stop))
    return out


def is_path(name: str) -> bool:
    """Does this name a folder or file, rather than a tokenizer of a package or of the Hub?"""
    return name.startswith(("/", ".", "~", "\\")) or os.path.exists(name)


def _pool(meta_tokens: int | None) -> str:
    return "as many meta-tokens as pay" if meta_tokens is None else f"{meta_tokens:,} meta-tokens"


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"
