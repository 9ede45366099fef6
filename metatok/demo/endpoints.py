"""The endpoints `compress` and `decompress`: what programs get over HTTP, from `gradio_client`, and as MCP tools.

The docstrings are what a program's author reads on the API page, and what a language model reads of a tool, so they
state units and limits. The work is done by `run.py`; here a refusal becomes Gradio's error, which is one sentence.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import Any, TypedDict, TypeVar, cast

import gradio as gr

from metatok.codec import Method
from metatok.demo import run as runs
from metatok.demo.cards import PROGRAM_BUG
from metatok.demo.run import DEFAULT_META_TOKENS, DEFAULT_METHOD, DEFAULT_TOKENIZER, MAX_TOKENS, Refused

log = logging.getLogger(__name__)

T = TypeVar("T")


class Phrase(TypedDict):
    """One meta-token: `text` and `length` (tokens) are what it stands for; see `metatok.summary.summarize`."""

    meta: str
    id: int
    text: str
    length: int
    symbols: int
    uses: int
    saved: int


class Compression(TypedDict):
    """What `metatok.summary.summarize` says of a text, and the compressed sequence where it was asked for."""

    original_tokens: int
    compressed_tokens: int
    dictionary_tokens: int
    saving: float
    quadratic_saving: float
    bound: int
    saving_of_possible: float | None
    exact: bool
    round_trip_text: bool
    change: str | None
    tokenizer: str
    method: Method
    meta_tokens: int | None
    phrases: list[Phrase]
    ids: list[int] | None


class Decompression(TypedDict):
    """A text that came back from ids, and how many ids there were before and after."""

    text: str
    compressed_tokens: int
    original_tokens: int
    tokenizer: str
    method: Method
    meta_tokens: int | None


def compress(
    text: str,
    tokenizer: str = DEFAULT_TOKENIZER,
    method: Method = DEFAULT_METHOD,
    meta_tokens: int | None = DEFAULT_META_TOKENS,
    keep: list[list[int]] | None = None,
    ids: bool = False,
) -> Compression:
    """Compress a text losslessly by meta-tokens and say what came of it. The text may have 5 MB (5,000,000 bytes of
    UTF-8) at most; that takes some seconds, a prompt of 10,000 tokens some milliseconds. Lengths are counted in tokens
    of the tokenizer, savings are shares of 1.

    Args:
        text: the prompt, at most 5,000,000 bytes of UTF-8.
        tokenizer: mistral:tekken, mistral:v3, …, tiktoken:o200k_base, …, or the id of a Hugging Face repository.
        method: ltsc (the paper's rule), flat, nested or inline (the shortest).
        meta_tokens: how many meta-tokens may be used, 0 to 1,000,000; null for as many as pay.
        keep: [start, stop] of each part that stays raw, in characters, widened to whole tokens; null for none.
        ids: true for the compressed sequence too, as token ids, which the endpoint decompress turns back.

    Returns:
        original_tokens, compressed_tokens (with the dictionary_tokens that write phrases down); saving, 1 − compressed
        / original; quadratic_saving, 1 − (compressed / original)²; bound, the fewest tokens of any grammar (LZ77), and
        saving_of_possible, the share of what could be saved at most; exact, whether decompressing gave the same tokens;
        round_trip_text and change, whether the tokenizer itself keeps the text, and if not what it changes; tokenizer,
        method, meta_tokens; phrases, the most saving first, each with text, length and symbols in tokens, uses, and
        tokens saved; ids, or null where they were not asked for.
    """

    def work() -> Compression:
        if not isinstance(ids, bool):
            raise Refused("ids must be true or false: whether the compressed sequence is wanted.")
        result = runs.run(text, tokenizer, method, meta_tokens, keep)
        return cast(Compression, {**result.summary, "ids": result.compressed.ids.tolist() if ids else None})

    return answered("compress", work)


def decompress(
    ids: list[int],
    tokenizer: str = DEFAULT_TOKENIZER,
    method: Method = DEFAULT_METHOD,
    meta_tokens: int | None = DEFAULT_META_TOKENS,
    max_length: int = MAX_TOKENS,
) -> Decompression:
    """Give back the text of a compressed sequence of token ids, as the endpoint compress returns it. Tokenizer, method
    and meta_tokens must be those that it was compressed with. A sequence that is damaged, or that would expand to more
    than max_length tokens or 5 MB of text, is refused before memory is taken for it.

    Args:
        ids: the compressed sequence, at most 5,000,000 whole numbers.
        tokenizer: the name that was given to compress.
        method: ltsc, flat, nested or inline.
        meta_tokens: the size of the pool that was given to compress; null for as many as pay.
        max_length: the most tokens that may come of it, 0 to 5,000,000.

    Returns:
        text; compressed_tokens and original_tokens, how many ids there were and how many tokens the text has;
        tokenizer, method, meta_tokens.
    """

    def work() -> Decompression:
        tok, text, tokens = runs.restore(ids, tokenizer, method, meta_tokens, max_length)
        return {
            "text": text,
            "compressed_tokens": len(ids),
            "original_tokens": tokens,
            "tokenizer": tok.name,
            "method": tok.method,
            "meta_tokens": tok.meta_tokens,
        }

    return answered("decompress", work)


def answered(name: str, work: Callable[[], T]) -> T:
    """The result of `work()`; what it refuses as Gradio's error, and what fails in the log and as a sentence."""
    try:
        return work()
    except Refused as error:
        raise gr.Error(str(error), print_exception=False) from error
    except Exception as error:
        log.exception("%s failed", name)
        raise gr.Error(PROGRAM_BUG, print_exception=False) from error


def endpoints() -> None:
    """Offer both, inside a `gradio.Blocks` context."""
    offer(compress, **runs.COMPRESSING)
    offer(decompress, **runs.COMPRESSING)


def offer(function: Callable[..., Any], **options: Any) -> None:
    """`gradio.api` under the function's name, typed and documented as the function is.

    Gradio reads the type of the result off the signature, where a module that postpones annotations has a string.
    """
    function.__signature__ = inspect.signature(function, eval_str=True)  # type: ignore[attr-defined]
    gr.api(function, api_name=function.__name__, **options)
