"""From a text and three choices to a result: what the page's button and the endpoint `compress` both do.

Plain data in, plain data out, no Gradio. What a person can do wrong comes back as one sentence (`Refused`).
"""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metatok.codec import METHODS, Compressed, Method
from metatok.summary import summarize
from metatok.tokenizer import MetaTokenizer, TokenizerError

DEFAULT_TOKENIZER = "mistral:tekken"
DEFAULT_METHOD: Method = "inline"
DEFAULT_META_TOKENS = 512

MAX_BYTES = 5_000_000
"""The longest text that is taken, in bytes of UTF-8: about 1.5 million tokens, compressed in seconds."""

MAX_META_TOKENS = 1_000_000


class Refused(ValueError):
    """A request that cannot be met; the message is a sentence for the person who made it."""


@dataclass(frozen=True, eq=False)
class Result:
    """One compression: `summary` is `metatok.summary.summarize(tokenizer, text, compressed)`."""

    tokenizer: MetaTokenizer
    text: str
    compressed: Compressed
    summary: dict[str, Any]


def run(text: str, tokenizer: str, method: str, meta_tokens: int | None) -> Result:
    """Compress `text`, decompress it again and say what came of it.

    Args:
        text: at most `MAX_BYTES` bytes of UTF-8.
        tokenizer: a name as for `MetaTokenizer.from_pretrained`.
        method: one of `metatok.METHODS`.
        meta_tokens: size of the pool, None for as many as pay.

    Raises:
        Refused: with a sentence.

    >>> result = run("spam and eggs, spam and eggs, spam and eggs", "mistral:v3", "inline", 512)
    >>> result.summary["compressed_tokens"]
    9
    """
    check(text, tokenizer, method, meta_tokens)
    try:
        tok = load(tokenizer.strip()).using(method=method, meta_tokens=meta_tokens)
        compressed = tok.compress(text)
        return Result(tok, text, compressed, summarize(tok, text, compressed))
    except TokenizerError as error:
        raise Refused(str(error)) from error
    except ValueError as error:  # a lone surrogate
        raise Refused(sentence(str(error))) from error


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
    if not isinstance(tokenizer, str) or not tokenizer.strip():
        raise Refused("Choose a tokenizer, or type the id of one on the Hugging Face Hub.")
    if os.environ.get("SPACE_ID") and _is_path(tokenizer.strip()):
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


def _is_path(name: str) -> bool:
    return name.startswith(("/", ".", "~", "\\")) or ("\0" not in name and Path(name).exists())


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"


def sentence(message: str) -> str:
    """A library's message as a sentence: capital letter, full stop.

    >>> sentence("the text has a lone surrogate")
    'The text has a lone surrogate.'
    """
    return message[:1].upper() + message[1:].rstrip(".") + "."
