"""All methods, efforts and pools on the same documents: what each saves, how long it takes, and the LZ77 bound.

A generator of outcomes, one a configuration, so that whoever asks sees progress and can stop. Several documents are
compressed each by itself and their tokens added up. Plain data, no Gradio.

Times are of `Codec.compress` alone, which includes its check of its own result, and not of the tokenizer: the median of
RUNS runs where that is quick, one run elsewhere, and for several documents one run over all of them on all cores. Every
outcome is decompressed once more, outside of the time.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, TypedDict, cast

import numpy as np
from numpy.typing import NDArray

import metatok
from metatok.codec import EFFORTS, METHODS, Codec, Effort, Method
from metatok.demo import run as runs
from metatok.demo.run import Refused
from metatok.demo.uploads import Document
from metatok.lz77 import bound
from metatok.sentences import sentence
from metatok.tokenizer import TokenizerError

RUNS = 5
SHORT = 20_000
"""Tokens of a text whose time is the median of RUNS runs; `max` and several documents are timed once."""

MAX_EFFORT_TOKENS = 50_000
MAX_EFFORT_DOCUMENTS = 20
"""What effort `max`, with its second of search for each document, is tried on."""

MAX_POOLS = 8


@dataclass(frozen=True)
class Configuration:
    """One way to compress; `meta_tokens` is the size of the pool, None for as many as pay."""

    method: Method
    effort: Effort
    meta_tokens: int | None

    def __str__(self) -> str:
        pool = "as many as pay" if self.meta_tokens is None else f"{self.meta_tokens:,}"
        return f"{self.method}, {self.effort}, {pool}"


@dataclass(frozen=True, eq=False)
class Prepared:
    """Documents as tokens: for each its name, its ids and its LZ77 bound."""

    tokenizer: str
    vocab_size: int
    names: tuple[str, ...]
    ids: tuple[NDArray[np.int32], ...]
    bounds: tuple[int, ...]

    @property
    def tokens(self) -> int:
        return sum(map(len, self.ids))

    @property
    def bound(self) -> int:
        """Ids that any grammars of these documents have at least, together."""
        return sum(self.bounds)


@dataclass(frozen=True)
class Row:
    """What one configuration came to over all documents.

    Attributes:
        method, effort, meta_tokens: the configuration; the pool is None for as many as pay.
        original_tokens, compressed_tokens: ids before and after; the dictionary counts.
        saving: 1 − compressed / original.
        seconds: time to compress, median of `runs` runs.
        exact: did decompressing give every id back?
        bound: ids that no grammar, so no method, can go below (LZ77).
        note: why it was not tried, else empty; then compressed_tokens, saving, seconds and exact are None.
    """

    method: Method
    effort: Effort
    meta_tokens: int | None
    original_tokens: int
    compressed_tokens: int | None
    saving: float | None
    seconds: float | None
    runs: int
    exact: bool | None
    bound: int
    note: str = ""


class RowDict(TypedDict):
    """A `Row` as a program gets it."""

    method: Method
    effort: Effort
    meta_tokens: int | None
    original_tokens: int
    compressed_tokens: int | None
    saving: float | None
    seconds: float | None
    runs: int
    exact: bool | None
    bound: int
    note: str


@dataclass(frozen=True)
class Outcome:
    """A row, and the compressed length of each document; no lengths where it was not tried."""

    row: Row
    lengths: tuple[int, ...] = ()


def configurations(methods: Any, efforts: Any, pools: Any) -> list[Configuration]:
    """All combinations, the quick ones first. `ltsc` knows no effort and comes once for each pool.

    Raises:
        Refused: with a sentence, for anything but lists of known methods, efforts and pool sizes.

    >>> [str(c) for c in configurations(["ltsc", "inline"], ["default", "max"], [512])]
    ['ltsc, default, 512', 'inline, default, 512', 'inline, max, 512']
    """
    for values, known, what in ((methods, METHODS, "method"), (efforts, EFFORTS, "effort")):
        if not isinstance(values, list | tuple):
            raise Refused(f"The {what}s must be a list of {', '.join(known)}.")
        if not values:
            raise Refused(f"Choose at least one {what} of {', '.join(known)}.")
        wrong = [value for value in values if value not in known]
        if wrong:
            raise Refused(f"There is no {what} {str(wrong[0])[:80]!r}; there are {', '.join(known)}.")
    if not isinstance(pools, list | tuple):
        raise Refused("The pool sizes must be a list of whole numbers, and of null for as many as pay.")
    if not 0 < len(pools) <= MAX_POOLS:
        raise Refused(f"Choose one pool size at least and {MAX_POOLS} at most.")
    for pool in pools:
        runs.check("", runs.DEFAULT_TOKENIZER, methods[0], pool)
    found = [
        Configuration(method, "default" if method == "ltsc" else effort, pool)
        for effort in EFFORTS
        if effort in efforts
        for method in METHODS
        if method in methods
        for pool in pools
    ]
    return list(dict.fromkeys(found))


def prepare(documents: Sequence[Document], tokenizer: str) -> Prepared:
    """The documents as tokens, with their bounds: about as long as the tokenizer takes.

    Raises:
        Refused: with a sentence: no tokenizer of that name, or a text that it cannot take.
    """
    runs.check("", tokenizer, METHODS[0], None)
    for document in documents:
        runs.check(document.text, tokenizer, METHODS[0], None)
    try:
        tok = runs.load(tokenizer.strip())
        ids = tuple(tok.encode(document.text) for document in documents)
    except TokenizerError as error:
        raise Refused(str(error)) from error
    except ValueError as error:  # a lone surrogate
        raise Refused(sentence(str(error))) from error
    names = tuple(document.name for document in documents)
    return Prepared(tok.name, tok.vocab_size, names, ids, tuple(map(bound, ids)))


def compare(prepared: Prepared, ways: Iterable[Configuration]) -> Iterator[Outcome]:
    """An outcome for each configuration, in their order, as it is there.

    >>> prepared = prepare([Document("a", "spam and eggs, " * 20)], "mistral:v3")
    >>> row = next(compare(prepared, configurations(["inline"], ["default"], [None]))).row
    >>> row.original_tokens, row.compressed_tokens, row.bound, row.exact
    (101, 15, 11, True)
    """
    for way in ways:
        note = _too_long(prepared) if way.effort == "max" else ""
        if note:
            facts = (prepared.tokens, None, None, None, 0, None, prepared.bound, note)
            yield Outcome(Row(way.method, way.effort, way.meta_tokens, *facts))
        else:
            yield _outcome(prepared, way)


def _outcome(prepared: Prepared, way: Configuration) -> Outcome:
    metatok.warm_up()  # else the first run would be timed with it
    codec = Codec(prepared.vocab_size, way.meta_tokens, way.method, way.effort)
    single = len(prepared.ids) == 1
    count = RUNS if single and prepared.tokens <= SHORT and way.effort != "max" else 1
    times = []
    for _ in range(count):
        start = time.perf_counter()
        results = [codec.compress(prepared.ids[0])] if single else codec.compress_batch(prepared.ids)
        times.append(time.perf_counter() - start)
    exact = all(
        np.array_equal(codec.decompress(result.ids, max_length=len(ids)), ids)
        for result, ids in zip(results, prepared.ids, strict=True)
    )
    lengths = tuple(len(result) for result in results)
    before, after = prepared.tokens, sum(lengths)
    saving = 1 - after / before if before else 0.0
    row = Row(
        way.method,
        way.effort,
        way.meta_tokens,
        before,
        after,
        saving,
        median(times),
        count,
        exact,
        prepared.bound,
    )
    return Outcome(row, lengths)


def _too_long(prepared: Prepared) -> str:
    if prepared.tokens <= MAX_EFFORT_TOKENS and len(prepared.ids) <= MAX_EFFORT_DOCUMENTS:
        return ""
    return f"not tried: max is for up to {MAX_EFFORT_TOKENS:,} tokens in up to {MAX_EFFORT_DOCUMENTS} documents here"


# ---- As plain data


def row_dict(row: Row) -> RowDict:
    """A row for JSON."""
    return cast(RowDict, asdict(row))


def as_json(prepared: Prepared, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Everything about a comparison, for a JSON file; `compressed` of a row has one length a document."""
    return {
        "tokenizer": prepared.tokenizer,
        "original_tokens": prepared.tokens,
        "bound": prepared.bound,
        "documents": [
            {"document": name, "original_tokens": len(ids), "bound": least}
            for name, ids, least in zip(prepared.names, prepared.ids, prepared.bounds, strict=True)
        ],
        "rows": [row_dict(outcome.row) | {"compressed": list(outcome.lengths)} for outcome in outcomes],
    }


def rows_table(outcomes: Sequence[Outcome]) -> list[list[Any]]:
    """The rows as a table for a CSV file, names first."""
    names = list(Row.__dataclass_fields__)
    return [names, *([getattr(outcome.row, name) for name in names] for outcome in outcomes)]


def documents_table(prepared: Prepared, outcomes: Sequence[Outcome]) -> list[list[Any]]:
    """A row for each document as a table for a CSV file: its tokens, its bound, its length by every configuration."""
    tried = [outcome for outcome in outcomes if outcome.lengths]
    ways = [Configuration(o.row.method, o.row.effort, o.row.meta_tokens) for o in tried]
    head = ["document", "original_tokens", "bound", *map(str, ways)]
    columns = [prepared.names, map(len, prepared.ids), prepared.bounds, *(outcome.lengths for outcome in tried)]
    return [head, *([cell(value) for value in row] for row in zip(*columns, strict=True))]


def cell(value: Any) -> Any:
    """A value for a CSV file that no spreadsheet takes for a formula.

    >>> cell("=1+1"), cell("a.py"), cell(-1)
    ("'=1+1", 'a.py', -1)
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
