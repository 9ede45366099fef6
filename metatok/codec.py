"""Codec: a sequence of token ids to a shorter one and back, exactly.

Integers only: no text, no tokenizer, no model (those are `metatok.tokenizer` and above). The idea and the rule of
`ltsc` are from "Lossless Token Sequence Compression via Meta-Tokens", arXiv 2506.00307; README.md explains all methods.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product, repeat
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from metatok.grammar import Grammar, prune
from metatok.ids import as_integer, as_integers, as_ranges
from metatok.layout import FormatError, Reading, Vocabulary, read, write_inline, write_prefix
from metatok.pool import fit_inline
from metatok.search.longest import search_longest
from metatok.search.parse import Parser
from metatok.search.refine import refine
from metatok.search.saving import ALL_ROUNDS, search_saving

Int32 = NDArray[np.int32]
Method = Literal["ltsc", "flat", "nested", "inline"]
METHODS: tuple[Method, ...] = get_args(Method)
Effort = Literal["fast", "default", "max"]
EFFORTS: tuple[Effort, ...] = get_args(Effort)

MOST_TOKENS = 1 << 52  # up to which lengths are counted exactly
MAX_LENGTH = 1 << 26  # tokens that decompress makes unless told otherwise: 256 MiB of int32
INT32_IDS = 1 << 31
FAST_ROUNDS = 2  # nearly all phrases of tokens, and most phrases of phrases
TUNED = 1 << 16  # tokens up to which `inline` chooses phrases for a small pool: it takes about five times as long


@dataclass(frozen=True, eq=False, repr=False)
class Compressed:
    """A compressed sequence and how it came about. Everything here is read off `ids`.

    Attributes:
        ids: int32, shape (len(self),), what the reader sees; never longer than the input.
        original_length: tokens of the input.
        method: the method that made it.
    """

    ids: Int32
    original_length: int
    method: Method
    _reading: Reading = field(repr=False)

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"Compressed({self.original_length} → {len(self)} ids, method={self.method!r}, saving={self.saving:.3f})"

    @property
    def saving(self) -> float:
        """1 − compressed length / original length; the dictionary counts. 0.0 for an empty input."""
        return 1 - len(self.ids) / self.original_length if self.original_length else 0.0

    @cached_property
    def dictionary_length(self) -> int:
        """How many of `ids` write phrases down; the rest is the body."""
        return int(np.count_nonzero(self._reading.context != -1))

    @cached_property
    def definitions(self) -> dict[int, tuple[int, ...]]:
        """{meta id: its phrase as it is written, which may hold meta ids}, in the order of definition."""
        grammar, metas = self._reading.grammar, self._reading.meta_ids
        ids = _with_meta_ids(grammar.phrases, grammar.base, metas).tolist()
        starts = grammar.starts.tolist()
        return {m: tuple(ids[starts[k] : starts[k + 1]]) for k, m in enumerate(metas.tolist())}

    @cached_property
    def phrases(self) -> dict[int, tuple[int, ...]]:
        """{meta id: the tokens it stands for, fully expanded}, in the order of definition."""
        done: dict[int, tuple[int, ...]] = {}
        order = np.argsort(self._reading.grammar.expanded_lengths(), kind="stable")  # inner phrases are shorter
        for meta in self._reading.meta_ids[order].tolist():
            tokens: list[int] = []
            for s in self.definitions[meta]:
                if s in done:
                    tokens.extend(done[s])
                else:
                    tokens.append(s)
            done[meta] = tuple(tokens)
        return {meta: done[meta] for meta in self.definitions}

    @cached_property
    def uses(self) -> dict[int, int]:
        """{meta id: occurrences}: places in body and phrases where the meta-token stands for its phrase.

        The place where an inline phrase is defined is an occurrence; the head of a dictionary entry is not. A link of
        a chain may occur once; that is how the inline layout writes a phrase of a length without a meta-token.
        """
        return dict(zip(self._reading.meta_ids.tolist(), self._reading.grammar.uses().tolist(), strict=True))

    @cached_property
    def spans(self) -> Int32:
        """Outermost occurrences in the order of the input, shape (k, 3): first token, end (exclusive), meta id."""
        body, base = self._reading.grammar.body, self._reading.grammar.base
        ends = self._widths.cumsum()
        rules = body >= base
        metas = self._reading.meta_ids[body[rules] - base]
        return np.stack((ends[rules] - self._widths[rules], ends[rules], metas), axis=1).astype(np.int32)

    @cached_property
    def owner(self) -> Int32:
        """For each token of the input the outermost meta id that covers it, or -1; shape (original_length,)."""
        body, base = self._reading.grammar.body, self._reading.grammar.base
        owners = np.full(len(body), -1, dtype=np.int32)
        owners[body >= base] = self._reading.meta_ids[body[body >= base] - base]
        return np.repeat(owners, self._widths)

    @cached_property
    def defines(self) -> Int32:
        """For each of `ids` the meta id to whose definition it belongs (the innermost), or -1 in the body.

        The head of a dictionary entry belongs to its entry; the marks `<dict>` and `</dict>` give their own id.
        """
        context = self._reading.context
        out = np.full(len(context), -1, dtype=np.int32)
        out[context >= 0] = self._reading.meta_ids[context[context >= 0]]
        out[context == -2] = self.ids[context == -2]
        return out

    @cached_property
    def _widths(self) -> NDArray[np.int64]:
        """Tokens of the input behind each symbol of the body."""
        grammar = self._reading.grammar
        widths = np.ones(len(grammar.body), dtype=np.int64)
        rules = grammar.body >= grammar.base
        widths[rules] = grammar.expanded_lengths()[grammar.body[rules] - grammar.base]
        return widths


@dataclass(frozen=True)
class Codec:
    """Compress sequences of token ids below `vocab_size`.

    Args:
        vocab_size: how many ids the tokenizer has; the codec's own ids follow it.
        meta_tokens: the size of the pool of meta-tokens; None takes as many as pay.
        method: `ltsc`, `flat`, `nested` or `inline`.
        effort: `default`; `max` for up to a second of search, which makes sequences of some thousand tokens 2 %
            shorter on average; `fast` for sequences of ten million tokens and more, which stops searching after
            FAST_ROUNDS rounds (see `metatok.search.saving`). `ltsc` is one fixed rule and knows no effort. Where the
            pool has fewer meta-tokens than `inline` finds phrases, `default` and `max` look for phrases that suit it,
            in up to TUNED tokens.

    Raises:
        ValueError: for an unknown method or effort, a pool below 0, or a vocabulary and a pool beyond int32 ids.

    >>> codec = Codec(vocab_size=100, meta_tokens=8)
    >>> c = codec.compress([7, 8, 9, 1, 7, 8, 9, 2, 7, 8, 9])
    >>> c.ids.tolist(), c.phrases
    ([103, 7, 8, 9, 1, 103, 2, 103], {103: (7, 8, 9)})
    >>> codec.decompress(c.ids).tolist()
    [7, 8, 9, 1, 7, 8, 9, 2, 7, 8, 9]
    """

    vocab_size: int
    meta_tokens: int | None = 512
    method: Method = "inline"
    effort: Effort = "default"

    def __post_init__(self) -> None:
        object.__setattr__(self, "vocab_size", as_integer("vocab_size", self.vocab_size, least=1))
        if self.meta_tokens is not None:
            object.__setattr__(self, "meta_tokens", as_integer("meta_tokens", self.meta_tokens, least=0))
        if self.method not in METHODS:
            raise ValueError(f"unknown method {self.method!r}; choose one of {', '.join(METHODS)}")
        if self.effort not in EFFORTS:
            raise ValueError(f"unknown effort {self.effort!r}; choose one of {', '.join(EFFORTS)}")
        if self.first_meta + max(self.meta_tokens or 0, 1) > INT32_IDS:
            raise ValueError(
                f"vocab_size {self.vocab_size:,} and {self.meta_tokens or 0:,} meta-tokens do not fit into int32 ids"
            )

    @functools.cached_property
    def _vocabulary(self) -> Vocabulary:
        return Vocabulary(self.vocab_size, self.meta_tokens)

    @property
    def _overhead(self) -> int:
        """Ids that a phrase costs beyond its break-even product: see `metatok.search.saving`."""
        return 1 if self.method == "inline" else 2

    @property
    def dict_open(self) -> int:
        """The id of `<dict>`; the inline layout leaves it unused."""
        return self._vocabulary.dict_open

    @property
    def dict_close(self) -> int:
        """The id of `</dict>`; the inline layout leaves it unused."""
        return self._vocabulary.dict_close

    @property
    def first_meta(self) -> int:
        """The id of meta-token m0; m1, m2, … follow."""
        return self._vocabulary.first_meta

    @property
    def n_added(self) -> int:
        """How many ids at and above `vocab_size` the codec uses: the two marks and the pool.

        Every method reserves the marks, so that one vocabulary serves all. With `meta_tokens=None` the pool is all
        that int32 holds; a compressed sequence then uses the lowest ids.
        """
        return self._vocabulary.pool + self.first_meta - self.vocab_size

    def compress(self, ids: Any, *, keep: Iterable[tuple[int, int]] = (), seed: int | None = None) -> Compressed:
        """Compress one sequence; where nothing pays the result is the input.

        Args:
            ids: a sequence, numpy array or torch tensor of n integers from 0 to vocab_size − 1.
            keep: ranges (start, stop) of positions whose tokens stay raw.
            seed: draws the meta-tokens at random from the pool, 0 or more; None takes them in order.

        Raises:
            ValueError: for an id out of range (it names the id and its position), a range outside the sequence, or
                an array that is not one-dimensional.
            TypeError: for what is not integers.
        """
        return self._compress(ids, keep, None if seed is None else [as_integer("seed", seed, least=0)])

    def _compress(self, ids: Any, keep: Iterable[tuple[int, int]], seed: list[int] | None) -> Compressed:
        tokens = self._tokens(ids)
        walls = _walls(keep, len(tokens))
        rng = None if seed is None else np.random.default_rng(seed)
        written = self._write(tokens, walls, rng)
        if len(written) >= len(tokens):
            written = tokens
        reading = self._read(written)
        if not np.array_equal(reading.grammar.expand(), tokens):
            raise RuntimeError("compression is not exact on this input, which is a bug in metatok: please report it")
        return Compressed(written, len(tokens), self.method, reading)

    def decompress(self, ids: Any, *, max_length: int = MAX_LENGTH) -> Int32:
        """The original sequence, int32 of shape (n,).

        Args:
            ids: a compressed or a raw sequence, as for `compress`.
            max_length: the greatest n that is allowed; checked before anything of that size is allocated. More than
                2**52, which no machine holds, counts as 2**52.

        Raises:
            FormatError: where `ids` is not a valid sequence of this codec or stands for more than `max_length` tokens.
            TypeError: for what is not integers.
        """
        limit = min(as_integer("max_length", max_length, least=0), MOST_TOKENS)
        compressed = _checked(ids, INT32_IDS - 1 if self.meta_tokens is None else self.vocab_size + self.n_added - 1)
        reading = self._read(compressed)
        grammar = reading.grammar
        widths = np.ones(len(grammar.body), dtype=np.int64)
        rules = grammar.body >= grammar.base
        widths[rules] = grammar.expanded_lengths(limit)[grammar.body[rules] - grammar.base]
        # Each width is at most limit + 1, so float64 sums are far from overflow, and exact up to 2**53.
        if len(widths) > limit or widths.sum(dtype=np.float64) > limit:
            raise FormatError(f"the sequence stands for more than max_length = {limit:,} tokens", len(compressed))
        return grammar.expand()

    def compress_batch(
        self,
        batch: Sequence[Any],
        *,
        keep: Sequence[Iterable[tuple[int, int]]] | None = None,
        seed: int | None = None,
    ) -> list[Compressed]:
        """`compress` for each sequence of a batch, on all cores; `keep` holds one list of ranges a sequence.

        With a seed, sequence i is drawn with the seed [seed, i].
        """
        keeps = repeat(()) if keep is None else keep
        drawn = None if seed is None else as_integer("seed", seed, least=0)
        seeds = repeat(None) if drawn is None else ([drawn, i] for i in range(len(batch)))
        if keep is not None and len(keep) != len(batch):
            raise ValueError(f"keep holds {len(keep)} lists of ranges for a batch of {len(batch)}")
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(pool.map(self._compress, batch, keeps, seeds))

    def _tokens(self, ids: Any) -> Int32:
        array = as_integers(ids)
        wrong = np.flatnonzero((array < 0) | (array >= self.vocab_size))
        if len(wrong):
            at = int(wrong[0])
            raise ValueError(
                f"id {int(array[at])} at position {at} is outside 0 … {self.vocab_size - 1}, the ids of the tokenizer"
            )
        return array.astype(np.int32)

    def _write(self, tokens: Int32, walls: NDArray[np.bool_], rng: np.random.Generator | None) -> Int32:
        """The ids of the best grammar that the method finds, longer than the input or not."""
        if self.vocab_size + len(tokens) <= INT32_IDS:
            grammar = self._grammar(tokens, walls, self.vocab_size)
        else:  # more phrases may be found than there are numbers behind the vocabulary
            names, dense = np.unique(tokens, return_inverse=True)
            grammar = self._grammar(dense.astype(np.int32), walls, len(names)).renamed(names, self.vocab_size)
        if not grammar.rules:
            return tokens
        write = write_inline if self.method == "inline" else write_prefix
        return write(grammar, self._vocabulary, rng)

    def _grammar(self, tokens: Int32, walls: NDArray[np.bool_], base: int) -> Grammar:
        """The best grammar that the method finds, fitted to the pool; tokens are below `base`."""
        grammar = self._search(tokens, walls, base, self._overhead)
        scarce = self.method == "inline" and 0 < self._vocabulary.pool < grammar.rules
        if scarce and self.effort != "fast" and len(tokens) <= TUNED:
            grammar = self._for_pool(grammar, tokens, walls)
        if self.effort == "max" and self.method != "ltsc":
            return self._refine(grammar, Parser(tokens, walls), walls, self._overhead, turns=None)
        return self._fit(grammar)

    def _for_pool(self, grammar: Grammar, tokens: Int32, walls: NDArray[np.bool_]) -> Grammar:
        """The better of two grammars whose phrases are chosen for a small pool: from `grammar`, and from one of fewer
        phrases, each of which saves more.
        """
        dearer = self._overhead + 1
        few = self._search(tokens, walls, grammar.base, dearer)
        parser = Parser(tokens, walls)
        ways = ((grammar, self._overhead), (few, dearer))
        return min((self._refine(start, parser, walls, price, turns=1) for start, price in ways), key=self._cost)

    def _refine(
        self, grammar: Grammar, parser: Parser, walls: NDArray[np.bool_], overhead: int, turns: int | None
    ) -> Grammar:
        nested = self.method != "flat"
        return refine(
            grammar, parser, walls, nested=nested, overhead=overhead, fit=self._fit, cost=self._cost, turns=turns
        )

    def _cost(self, grammar: Grammar) -> int:
        """How many ids a fitted grammar is written with."""
        return len(grammar.body) + len(grammar.phrases) + (self._overhead - 1) * grammar.rules

    def _search(self, tokens: Int32, walls: NDArray[np.bool_], base: int, overhead: int) -> Grammar:
        if self.method == "ltsc":
            return search_longest(tokens, walls, base)
        raw = Grammar.raw(tokens, base)
        rounds = FAST_ROUNDS if self.effort == "fast" else ALL_ROUNDS
        return search_saving(raw, walls, nested=self.method != "flat", overhead=overhead, rounds=rounds)

    def _fit(self, grammar: Grammar) -> Grammar:
        """The grammar without what does not pay or has no meta-token in the pool."""
        if self.method == "inline":
            return fit_inline(grammar, self._vocabulary.pool)
        return prune(grammar, self._overhead, self._vocabulary.pool)

    def _read(self, ids: Int32) -> Reading:
        return read(ids, self._vocabulary, inline=self.method == "inline", nested=self.method == "nested")


@functools.cache
def warm_up() -> None:
    """Load the kernels of all methods, so that the first real call is fast; once per machine this compiles them.

    Calls after the first do nothing.
    """
    for method in METHODS:
        for pool, effort in product((None, 1), EFFORTS):
            codec = Codec(1000, pool, method, effort)
            for seed in (None, 0):
                codec.decompress(codec.compress([1, 2, 3, 4, 5] * 30 + [1, 2, 3] * 9, seed=seed).ids)


def _checked(ids: Any, highest: int) -> Int32:
    """Ids of a compressed sequence, int32, each from 0 to `highest`."""
    array = as_integers(ids)
    wrong = np.flatnonzero((array < 0) | (array > highest))
    if len(wrong):
        at = int(wrong[0])
        raise FormatError(f"id {int(array[at])} is not in the vocabulary, whose last id is {highest}", at)
    return array.astype(np.int32)


def _walls(keep: Iterable[tuple[int, int]], n: int) -> NDArray[np.bool_]:
    walls = np.zeros(n, dtype=np.bool_)
    for start, stop in as_ranges("keep", keep):
        if not 0 <= start <= stop <= n:
            raise ValueError(f"keep range ({start}, {stop}) does not lie within a sequence of {n} tokens")
        walls[start:stop] = True
    return walls


def _with_meta_ids(symbols: Int32, base: int, metas: Int32) -> Int32:
    out = symbols.copy()
    rules = symbols >= base
    out[rules] = metas[symbols[rules] - base]
    return out
