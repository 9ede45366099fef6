"""Lossy prompt compression, to compare with: drop tokens until a given length is reached, exactly.

Four baselines on ids, which know of the language model only what it says of tokens, as plain numbers:

- `selective_context` (Li et al. 2023, arXiv 2304.12102): drops the phrases with the least self-information.
- `llmlingua` (Jiang et al. 2023, arXiv 2310.05736): a budget controller keeps the lines of the highest perplexity, then
  tokens are dropped segment by segment, each judged after what is left of the segments before it.
- `drop_random` and `truncate`: tokens at random, and the beginning.

And one on text, `LLMLingua2` (Pan et al. 2024, arXiv 2403.12968), through its authors' package `llmlingua`.

What they drop is lost. A question is not theirs to see: it stays whole, outside. Self-information is in nats, as
`metatok.reader.batch.self_information` gives it; any language model's will do.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metatok.ids import as_integers

Ids = NDArray[np.int64]
Information = Callable[[Ids, Ids], NDArray[np.float64]]
"""`information(before, segment)`: −log p of each token of the segment, given `before` and those before it."""

COARSE_BUDGET = 2.0  # LLMLingua's k: the budget controller leaves k times the length that is wanted
SEGMENT = 100  # tokens that LLMLingua judges together; the paper's

LLMLINGUA2 = "microsoft/llmlingua-2-xlm-roberta-large-meetingbank"


class LossyError(ValueError):
    """A baseline that cannot be had; the message is one sentence."""


def truncate(ids: ArrayLike, length: int) -> Ids:
    """The first `length` tokens; all of them where there are fewer.

    >>> truncate([5, 6, 7], 2).tolist()
    [5, 6]
    """
    return as_integers(ids).astype(np.int64, copy=False)[: _checked(length)]


def drop_random(ids: ArrayLike, length: int, seed: int) -> Ids:
    """`length` tokens drawn at random, in their order.

    >>> drop_random([5, 6, 7, 8], 2, seed=2).tolist()
    [7, 8]
    """
    array = as_integers(ids).astype(np.int64, copy=False)
    chosen = np.random.default_rng(seed).permutation(len(array))[: _checked(length)]
    return array[np.sort(chosen)]


def selective_context(ids: ArrayLike, length: int, information: ArrayLike, units: ArrayLike | None = None) -> Ids:
    """The phrases with the most self-information, in their order.

    A phrase's is the mean of its tokens', as in the authors' code. They merge tokens into noun phrases; here the
    caller says which tokens belong together. Of the last phrase that has room only in part, its beginning stays.

    Args:
        ids: (n,)
        length: tokens to keep.
        information: (n,) the self-information of each token, given those before it.
        units: (n,) the number of each token's phrase, nondecreasing; left out, each token is one.

    >>> selective_context([5, 6, 7, 8], 2, [0.1, 3.0, 0.2, 2.0]).tolist()
    [6, 8]
    >>> selective_context([5, 6, 7, 8], 2, [0.1, 3.0, 0.2, 2.0], units=[0, 0, 1, 1]).tolist()
    [5, 6]
    """
    array = as_integers(ids).astype(np.int64, copy=False)
    each = np.arange(len(array)) if units is None else np.asarray(units)
    kept = _best_units(each, np.asarray(information, dtype=float), _checked(length))
    return array[np.sort(kept[:length])]


def llmlingua(ids: ArrayLike, length: int, information: Information, lines: ArrayLike) -> Ids:
    """LLMLingua's two steps, the small language model being `information`.

    First the budget controller: lines (the paper's demonstrations) of the highest perplexity, until `COARSE_BUDGET`
    times the length is reached; where the length is above half of the prompt, that is all of them. Then, in segments of
    `SEGMENT` tokens, the tokens of the highest perplexity given what was kept before, the same share of each segment.

    Args:
        ids: (n,)
        length: tokens to keep.
        information: called once for all of `ids` where lines are dropped, and once a segment.
        lines: (n,) the number of each token's line, nondecreasing.

    >>> rare = lambda before, segment: -np.asarray(segment, dtype=float)  # small ids tell more
    >>> llmlingua([5, 6, 1, 8], 3, rare, lines=[0, 0, 1, 1]).tolist()
    [5, 6, 1]
    """
    array = as_integers(ids).astype(np.int64, copy=False)
    target = min(_checked(length), len(array))
    nothing = array[:0]
    if target < len(array) / COARSE_BUDGET:
        everything = information(nothing, array)
        kept = _best_units(np.asarray(lines), everything, int(np.ceil(COARSE_BUDGET * target)))
        array = array[np.sort(kept)]
    left = nothing
    for start in range(0, len(array), SEGMENT):
        segment = array[start : start + SEGMENT]
        wanted = round(target * min(1.0, (start + SEGMENT) / len(array))) - len(left)
        ranked = np.argsort(-information(left, segment), kind="stable")
        left = np.concatenate((left, segment[np.sort(ranked[:wanted])]))
    return left


class LLMLingua2:
    """LLMLingua-2's token classifier, as its authors publish it.

    Args:
        model: the folder of `LLMLINGUA2` or of a model like it, its name part of the path.

    Raises:
        LossyError: the package `llmlingua` is missing or cannot read the model.
    """

    def __init__(self, model: str | os.PathLike[str]):
        try:
            from llmlingua import PromptCompressor
        except ImportError as error:
            raise LossyError(f"LLMLingua-2 needs the package {error.name}: pip install 'metatok[lossy]'.") from error
        try:
            self._compressor: Any = PromptCompressor(os.fspath(model), device_map="cpu", use_llmlingua2=True)
        except Exception as error:  # whatever transformers and llmlingua can raise
            raise LossyError(
                f"LLMLingua-2 cannot be loaded from {os.fspath(model)} ({type(error).__name__})."
            ) from error

    def __call__(self, text: str, length: int, encode: Callable[[str], ArrayLike]) -> Ids:
        """`text` at `length` tokens: the highest rate of its own that gives no fewer, cut where that is more.

        Args:
            encode: text to the tokens that are counted.
        """
        tokens = np.asarray(encode(text), dtype=np.int64)
        low, high = 0.0, 1.0
        for _ in range(7):  # to one percent
            rate = (low + high) / 2
            kept = np.asarray(
                encode(self._compressor.compress_prompt(text, rate=rate)["compressed_prompt"]), dtype=np.int64
            )
            if len(kept) < length:
                low = rate
            else:
                high, tokens = rate, kept
        return tokens[: _checked(length)]


def _best_units(units: NDArray[Any], information: NDArray[np.float64], length: int) -> Ids:
    """Positions of at least `length` tokens, whole units, those with the highest mean information first."""
    _, number, sizes = np.unique(units, return_inverse=True, return_counts=True)
    mean = np.bincount(number, weights=information) / sizes
    order = np.argsort(-mean, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    positions = np.argsort(rank[number], kind="stable")
    enough = int(np.searchsorted(np.cumsum(sizes[order]), length)) + 1
    return positions[: int(sizes[order][:enough].sum())] if length else positions[:0]


def _checked(length: int) -> int:
    if length < 0:
        raise ValueError(f"a length cannot be {length}")
    return length
