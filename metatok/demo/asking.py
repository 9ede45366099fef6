"""Asking the reader: about the raw prompt, the compressed one, and a lossy one of the same length.

What the page's button (`stream`) and the endpoint (`ask`) do, from text and question to plain data and HTML. What can
go wrong comes back as a sentence. The answers of the raw and the compressed prompt stream side by side; the lossy
prompt is made and answered after them, so that its work does not count as theirs.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar, cast

import gradio as gr

from metatok.codec import METHODS, Method
from metatok.demo.answers import agreement_html, left_html, notice_html, numbers_html, truth_html
from metatok.demo.background import Background
from metatok.demo.cards import BUG, PROGRAM_BUG, message_html
from metatok.demo.drawing import Example, is_right, truth
from metatok.demo.loading import is_loaded, reader
from metatok.demo.run import Refused
from metatok.demo.zerogpu import gpu
from metatok.reader.folders import bundled
from metatok.sentences import sentence

if TYPE_CHECKING:
    from metatok.reader import Answer, Reader
    from metatok.reader.generate import Prompt

log = logging.getLogger(__name__)

T = TypeVar("T")

Lossy = Literal["selective_context", "llmlingua", "random", "truncation"]

DEFAULT_METHOD: Method = "inline"
DEFAULT_LOSSY: Lossy = "selective_context"
LOSSY: dict[str, str] = {
    "selective_context": "the words that a language model expects least stay",
    "llmlingua": "the same token by token, with the lines that are least expected first",
    "random": "tokens at random stay",
    "truncation": "the beginning stays",
}
"""How tokens are dropped, each in a few words; `metatok.lossy` says more."""

READING = ("selective_context", "llmlingua")
"""Those that the reader has to read the raw prompt for."""

MAX_CHARACTERS = 500_000  # the bundled reader takes 3,840 tokens; this is what is compressed for it at most
LOADING = "The reader is being loaded, once; this takes some seconds …"
PRUNING = "Tokens are being dropped …"
SILENT = "The reader ended its answer without a word."
SHOW_SECONDS = 0.15  # between two looks at growing answers; the browser lags behind if it gets every token

SIDES = ("raw", "compressed", "lossy")


class SideAnswer(TypedDict):
    """The reader's answer to one form of the prompt, how many tokens that has, and what it took."""

    answer: str
    tokens: int
    prefill_ms: float
    first_token_ms: float
    per_token_ms: float
    total_ms: float
    kv_cache_bytes: int
    finished: bool


class LossyAnswer(SideAnswer):
    """The same of a pruned prompt: `method` and `pruning_ms` say how that was made."""

    method: Lossy
    pruning_ms: float


class Answers(TypedDict):
    """What the endpoint `ask` returns."""

    method: Method
    raw: SideAnswer
    compressed: SideAnswer
    lossy: LossyAnswer | None


@gpu
def ask(text: str, question: str, method: Method = DEFAULT_METHOD, lossy: Lossy | None = None) -> Answers:
    """Ask the bundled reader, a small language model that knows trees only, about a text: raw, compressed, and pruned
    to the compressed length if wanted. The text may have 500,000 characters at most, and each prompt with its question
    3,840 tokens. Times are in milliseconds, lengths in tokens of the reader's tokenizer.

    Args:
        text: the prompt, at most 500,000 characters and, with the question, 3,840 tokens; a longer one is refused.
        question: parent of NAME, children of NAME, depth of NAME, path of NAME, is NAME inside OTHER.
        method: ltsc, flat, nested or inline.
        lossy: selective_context, llmlingua, random or truncation; null for none.

    Returns:
        method, and for raw and compressed each: answer, tokens of the prompt, prefill_ms, first_token_ms, per_token_ms,
        total_ms, kv_cache_bytes, finished (whether the answer came to its end). lossy is null, or the same of the
        pruned prompt with method and pruning_ms, which first_token_ms and total_ms include.
    """
    try:
        _check(text, question, method, lossy)
        model = reader()
        result: dict[str, Any] = {"method": method}
        for side, way in (("raw", None), ("compressed", method)):
            answer = model.ask(text, question, way)
            result[side] = {"answer": answer.read()} | _numbers(answer)
        result["lossy"] = None
        if lossy is not None:
            pruned = prune(model, text, result["compressed"]["tokens"], lossy)
            answer = model.ask(pruned.prompt, question)
            result["lossy"] = {"method": lossy, "answer": answer.read()} | _numbers(answer, pruned.seconds)
        return cast(Answers, result)
    except ValueError as error:
        raise gr.Error(sentence(str(error)), print_exception=False) from error
    except Exception as error:
        log.exception("ask failed")
        raise gr.Error(PROGRAM_BUG, print_exception=False) from error


@dataclass(frozen=True)
class Pruned:
    """A lossy prompt, what it still says, and the seconds that making it took."""

    prompt: Prompt
    left: str
    seconds: float


def prune(model: Reader, text: str, length: int, lossy: str, go_on: Callable[[], None] = lambda: None) -> Pruned:
    """`length` tokens of a text.

    Args:
        go_on: called between forward passes; what it raises ends the work.

    Raises:
        Refused: the reader has to read the raw prompt for this, and that is too long.
    """
    from metatok.reader.forms import baselines
    from metatok.reader.generate import Prompt

    began = time.perf_counter()
    ids = model.tokenizer.encode(text).astype("int64")
    if lossy in READING and 1 + len(ids) > model.limit:  # with the mark of the beginning
        raise Refused(
            f"{lossy} has the reader read the raw prompt, which is {1 + len(ids):,} tokens of at most "
            f"{model.limit:,}; random and truncation do without."
        )
    kept = baselines(model, None, go_on)[lossy](text, ids, length)
    seconds = time.perf_counter() - began
    return Pruned(Prompt.of(kept, len(ids)), model.tokenizer.fragment(kept.tolist()), seconds)


@dataclass
class Side:
    """One column of the page: an answer, or a sentence instead."""

    answer: Answer | None = None
    note: str = ""
    pruned: Pruned | None = None

    def cells(self, known: Callable[[str], bool] | None) -> list[str]:
        """What the answer's box and the numbers below it show."""
        if self.answer is None:
            return ["", notice_html(self.note)]
        if not self.answer.statistics.answer_tokens:
            return ["", ""]
        numbers = _numbers(self.answer, self.pruned.seconds if self.pruned else None)
        silent = self.answer.statistics.finished and not self.answer.text.strip()
        shown = notice_html(SILENT if silent else "")
        shown += numbers_html(numbers, None if known is None else known(self.answer.text))
        return [self.answer.text, shown + (left_html(self.pruned.left) if self.pruned else "")]


@gpu
def stream(text: str, question: str, method: str, lossy: str | None, example: Example) -> Iterator[list[Any]]:
    """What the outputs show, again and again until all answers are there: message, true answer, agreement, and for
    raw, compressed and lossy each the answer and its numbers."""
    sides = {side: Side() for side in SIDES}
    above = ["", "", ""]

    def page(known: Callable[[str], bool] | None = None) -> list[Any]:
        return [*above, *(cell for side in sides.values() for cell in side.cells(known))]

    try:
        _check(text, question, method, lossy)
        bundled()
        if not is_loaded():
            above[0] = notice_html(LOADING)
        model = yield from _waiting(lambda go_on: reader(), page)
        known = truth(example, text, question)
        above[:2] = "", truth_html(known)

        for side, way in ((sides["raw"], None), (sides["compressed"], method)):
            try:
                side.answer = model.ask(text, question, way)
            except ValueError as error:  # too long: the compressed prompt may fit where the raw one does not
                if way is not None:
                    raise
                side.note = sentence(str(error))
                continue
            # One after the other, so that each first token's time is its own.
            yield from _waiting(lambda go_on, answer=side.answer: next(answer, None), page)  # type: ignore[misc]
            yield page()
        answers = [side.answer for side in sides.values() if side.answer is not None]
        yield from _growing(zip_longest(*answers), page)

        if lossy is not None:
            yield from _lossy_side(model, sides["lossy"], text, question, answers[-1].statistics.tokens, lossy, page)
        above[2] = agreement_html({name: side.answer.text for name, side in sides.items() if side.answer is not None})
        yield page(None if known is None else partial(is_right, example["task"], known))
    except ValueError as error:
        yield [message_html(sentence(str(error))), *[""] * (2 + 2 * len(SIDES))]
    except Exception:
        log.exception("ask failed")
        yield [message_html(BUG), *[""] * (2 + 2 * len(SIDES))]


def _lossy_side(
    model: Reader, side: Side, text: str, question: str, length: int, lossy: str, page: Callable[[], list[Any]]
) -> Iterator[list[Any]]:
    side.note = PRUNING
    try:
        side.pruned = yield from _waiting(lambda go_on: prune(model, text, length, lossy, go_on), page)
    except Refused as error:
        side.note = str(error)
        return
    side.answer = model.ask(side.pruned.prompt, question)
    yield from _waiting(lambda go_on: next(side.answer, None), page)  # type: ignore[arg-type]
    yield from _growing(side.answer, page)


def _waiting(work: Callable[[Callable[[], None]], T], page: Callable[[], list[Any]]) -> Generator[list[Any], None, T]:
    """The page now and then until `work` is done; returns what it returns, and raises what it raises."""
    working = Background(work)
    for _ in working:
        yield page()
    return working.result


def _growing(tokens: Iterable[object], page: Callable[[], list[Any]]) -> Iterator[list[Any]]:
    """The page now and then while tokens come; not necessarily after the last one."""
    shown = time.monotonic()
    for _ in tokens:
        if time.monotonic() - shown > SHOW_SECONDS:
            yield page()
            shown = time.monotonic()


def _check(text: Any, question: Any, method: Any, lossy: Any) -> None:
    for name, value in (("text", text), ("question", question)):
        if not isinstance(value, str):
            raise Refused(f"The {name} must be a string.")
        if len(value) > MAX_CHARACTERS:
            raise Refused(
                f"The {name} has {len(value):,} characters, and {MAX_CHARACTERS:,} is the most that is taken here."
            )
        if not value.strip():
            what = "ask something about the text" if name == "question" else "give the prompt to ask about"
            raise Refused(f"There is no {name} yet: {what}.")
    if method not in METHODS:
        raise Refused(f"There is no method {method!r}; there are {', '.join(METHODS)}.")
    if lossy is not None and lossy not in tuple(LOSSY):
        raise Refused(f"There is no lossy method {lossy!r}; there are {', '.join(LOSSY)}, or null for none.")


def _numbers(answer: Answer, pruning: float | None = None) -> dict[str, Any]:
    """An answer's statistics as plain numbers; the seconds that pruning took come before its first token."""
    s, before = answer.statistics, pruning or 0.0
    return ({} if pruning is None else {"pruning_ms": round(1000 * pruning, 2)}) | {
        "tokens": s.tokens,
        "prefill_ms": round(1000 * s.prefill_seconds, 2),
        "first_token_ms": round(1000 * (before + s.first_token_seconds), 2),
        "per_token_ms": round(1000 * s.seconds_per_token, 2),
        "total_ms": round(1000 * (before + s.total_seconds), 2),
        "kv_cache_bytes": s.kv_cache_bytes,
        "finished": s.finished,
    }
