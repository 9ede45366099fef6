"""The forms of a prompt that an evaluation compares: raw, compressed by each method, and lossy at the same lengths.

Names of forms: `raw`; the methods `ltsc`, `flat`, `nested`, `inline`; `ltsc/plain` and `inline/plain`, where
meta-tokens have no embeddings of their phrases, the paper's form; and a lossy baseline with the method whose length it
is cut to, such as `truncation@inline`.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from metatok import lossy
from metatok.codec import METHODS
from metatok.reader.batch import SelfInformation, self_information
from metatok.reader.generate import Prompt, Reader

LENGTHS = ("ltsc", "inline")  # the methods that lossy baselines are compared at, and whose plain form is read too
Int = NDArray[np.int64]
Baseline = Callable[[str, Int, int], Int]
"""`baseline(text, ids, length)`: `length` of the ids."""


@dataclass(frozen=True, eq=False)
class Form:
    """A prompt in one form, and the seconds that making it took, tokenizing included."""

    prompt: Prompt
    seconds: float


def baselines(
    reader: Reader,
    llmlingua2: lossy.LLMLingua2 | None,
    go_on: Callable[[], object] = lambda: None,
    *,
    remember: bool = False,
) -> dict[str, Baseline]:
    """The lossy baselines by name; the reader itself is the language model that judges tokens.

    Args:
        go_on: called before each forward pass; what it raises ends the pruning.
        remember: judge a prompt once for all its forms. The time that one takes is then not what it would take alone.
    """

    def judge_all(ids: tuple[int, ...]) -> NDArray[np.float64]:
        go_on()
        return self_information(reader, ids)

    judged = lru_cache(maxsize=1)(judge_all) if remember else judge_all

    def selective_context(text: str, ids: Int, length: int) -> Int:
        return lossy.selective_context(ids, length, judged(tuple(ids.tolist())), words(reader, ids))

    def llmlingua(text: str, ids: Int, length: int) -> Int:
        judge = SelfInformation(reader)

        def information(before: Int, segment: Int) -> NDArray[np.float64]:
            if remember and len(segment) == len(ids):
                return judged(tuple(ids.tolist()))
            go_on()
            return judge(segment.tolist(), before.tolist())

        return lossy.llmlingua(ids, length, information, lines(reader, ids))

    made: dict[str, Baseline] = {
        "selective_context": selective_context,
        "llmlingua": llmlingua,
        "random": lambda text, ids, length: lossy.drop_random(ids, length, seed=zlib.crc32(text.encode())),
        "truncation": lambda text, ids, length: lossy.truncate(ids, length),
    }
    if llmlingua2 is not None:
        made["llmlingua2"] = lambda text, ids, length: llmlingua2(text, length, reader.tokenizer.encode)
    return made


def form_names(reader: Reader, lossy_names: Iterable[str]) -> list[str]:
    """The names of `forms_of` with these baselines, in its order."""
    plain = [f"{name}/plain" for name in LENGTHS if reader.phrases is not None]
    return ["raw", *METHODS, *plain, *(f"{name}@{at}" for name in lossy_names for at in LENGTHS)]


def forms_of(reader: Reader, text: str, lossy_by_name: dict[str, Baseline]) -> dict[str, Form]:
    """All forms of one prompt, by name."""
    made: dict[str, Form] = {}

    def make(name: str, of: Callable[[], Prompt]) -> None:
        began = time.perf_counter()
        prompt = of()
        made[name] = Form(prompt, time.perf_counter() - began)

    make("raw", lambda: reader.prepare(text))
    for method in METHODS:
        make(method, lambda method=method: reader.prepare(text, method))  # type: ignore[misc]
    if reader.phrases is not None:
        for name in LENGTHS:
            form = made[name]
            made[f"{name}/plain"] = Form(Prompt.of(form.prompt.ids, form.prompt.raw_tokens), form.seconds)
    ids = made["raw"].prompt.ids
    for name, baseline in lossy_by_name.items():
        for at in LENGTHS:
            length = len(made[at].prompt.ids)
            make(
                f"{name}@{at}",
                lambda baseline=baseline, length=length: Prompt.of(baseline(text, ids, length), len(ids)),  # type: ignore[misc]
            )
    return made


def words(reader: Reader, ids: Int) -> Int:
    """The number of each token's phrase, (n,): letters and digits that touch are one, anything else stands alone."""
    pieces = reader.tokenizer.pieces(ids)
    number, numbers, before = -1, [], False
    for piece in pieces:
        word = piece.isalnum()
        number += not (word and before)
        numbers.append(number)
        before = word
    return np.array(numbers, dtype=np.int64)


def lines(reader: Reader, ids: Int) -> Int:
    """The number of each token's line, (n,): a token that holds a line break ends its line."""
    breaks = np.array(["\n" in piece for piece in reader.tokenizer.pieces(ids)], dtype=np.int64)
    return np.cumsum(breaks) - breaks
