"""The Ask part: a prompt, a question, and what the reader answers from the raw and from the compressed prompt.

Both answers stream side by side from one generator. Nothing here loads torch or the reader before somebody asks, or
looks at this part; the page and its Explore part do not wait for them. What can go wrong comes back as a sentence, and
what was typed stays.
"""

from __future__ import annotations

import functools
import json
import logging
import random
import secrets
import threading
from collections.abc import Callable, Iterator
from html import escape
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import gradio as gr

from metatok.codec import METHODS, Method
from metatok.demo.cards import message_html
from metatok.demo.run import Refused
from metatok.demo.zerogpu import gpu
from metatok.reader.folders import ASSETS, ReaderError, bundled
from metatok.reader.report import RESULTS
from metatok.tasks.base import get

if TYPE_CHECKING:
    from metatok.reader import Answer, Reader

log = logging.getLogger(__name__)

DEFAULT_METHOD: Method = "inline"
MAX_CHARACTERS = 500_000  # the reader takes some thousand tokens; this is what is compressed for it at most
KINDS = {
    "parent": "parent of NAME",
    "children": "children of NAME",
    "depth": "depth of NAME",
    "path": "path of NAME",
    "inside": "is NAME inside OTHER",
}
"""The questions that the reader was trained on, and how each is put."""

SHOWN = ("raw", "inline", "ltsc")  # whose accuracy the introduction tells

INTRO = """
<p>A small language model, trained for this page, reads the prompt twice: as it is, and compressed.
<b>It can</b> answer five kinds of question (<i>parent of</i>, <i>children of</i>, <i>depth of</i>, <i>path of</i>,
<i>is … inside …</i>) about trees with any names, written as in the examples: lines
<code>leaf &lt; parent &lt; root: child, child</code>, <code>ls -R</code>, or XML; best at 150 to 700 tokens.
<b>It cannot</b> chat, know anything that is not in the prompt, or answer other questions; it will say something
nevertheless, and that will be wrong.{measured}</p>
"""
LOADING = "The reader is being loaded, once; this takes some seconds …"
BUG = "Something went wrong here, which is not your text's fault. The server's log says what; your text is kept."

_loading = threading.Lock()


@functools.cache
def _loaded() -> Reader:
    try:
        from metatok.reader import Reader
    except ModuleNotFoundError as error:
        raise Refused(f"Asking needs the package {error.name}: pip install 'metatok[demo]'.") from error
    return Reader.from_pretrained()


def reader() -> Reader:
    """The bundled reader, loaded by whoever is first.

    Raises:
        ValueError: there is none; the message is a sentence.
    """
    with _loading:
        return _loaded()


@gpu
def ask(text: str, question: str, method: Method = DEFAULT_METHOD) -> dict[str, Any]:
    """Ask the bundled reader about a text, raw and compressed.

    Args:
        text: the prompt, some thousand tokens at most.
        question: parent of NAME, children of NAME, depth of NAME, path of NAME, is NAME inside OTHER.
        method: ltsc, flat, nested or inline.

    Returns:
        method, and for raw and compressed each: answer, tokens of the prompt, prefill_ms, first_token_ms, total_ms,
        kv_cache_bytes, finished (whether the answer came to its end).
    """
    try:
        _check(text, question, method)
        both = {name: reader().ask(text, question, m) for name, m in (("raw", None), ("compressed", method))}
        return {"method": method} | {name: {"answer": a.read()} | _numbers(a) for name, a in both.items()}
    except ValueError as error:
        raise gr.Error(_sentence(error), print_exception=False) from error
    except Exception as error:
        log.exception("ask failed")
        raise gr.Error(BUG, print_exception=False) from error


def new_example(rng: random.Random) -> dict[str, Any]:
    """A tree that no training drew, with a question of each kind: `text`, `questions` and `answers` by kind.

    >>> example = new_example(random.Random(1))
    >>> sorted(example["questions"]) == sorted(example["answers"]) == sorted(KINDS)
    True
    """
    drawn: dict[str, Any] = {}
    while len(drawn) < len(KINDS):  # in a small tree two kinds may come to the same question
        rng = random.Random(rng.random())
        drawn = {s.kind: s for s in get("tree").draw(rng, questions=len(KINDS), seen=False)}
    return {
        "text": next(iter(drawn.values())).prompt,
        "questions": {kind: s.question for kind, s in drawn.items()},
        "answers": {kind: s.answer for kind, s in drawn.items()},
    }


def truth(example: dict[str, Any], text: str, question: str) -> str | None:
    """The true answer, where text and question are the example's."""
    if text != example["text"]:
        return None
    kinds = [kind for kind, asked in example["questions"].items() if asked == question.strip()]
    return example["answers"][kinds[0]] if kinds else None


@gpu
def stream(text: str, question: str, method: str, example: dict[str, Any]) -> Iterator[list[Any]]:
    """What the outputs show, again and again until both answers are there: message, true answer, and for raw and
    compressed the answer and its numbers."""
    try:
        _check(text, question, method)
        bundled()
        if not _loaded.cache_info().currsize:
            yield [notice_html(LOADING), "", "", "", "", ""]
        model = reader()
        sides: list[Answer | str] = []
        for way in (None, method):
            try:
                sides.append(model.ask(text, question, way))
            except ValueError as error:  # too long: the compressed prompt may fit where the raw one does not
                sides.append(_sentence(error))
        if isinstance(sides[1], str):
            raise Refused(sides[1])
        known = truth(example, text, question)
        shown = truth_html(known)
        for _ in zip_longest(*(side for side in sides if not isinstance(side, str))):
            yield ["", shown, *_cells(sides, None)]
        yield ["", shown, *_cells(sides, known)]
    except ValueError as error:
        yield [message_html(_sentence(error)), "", "", "", "", ""]
    except Exception:
        log.exception("ask failed")
        yield [message_html(BUG), "", "", "", "", ""]


def measured() -> str:
    """How often the reader of this repository is right, from the committed evaluation; empty for any other."""
    try:
        if bundled() != ASSETS:
            return ""
        results = json.loads(RESULTS.joinpath("reader-tree.json").read_text(encoding="utf-8"))
    except (OSError, ReaderError):
        return ""
    right = {name: f"{100 * results['results'][name]['exact_match']:.0f}\N{NO-BREAK SPACE}%" for name in SHOWN}
    return (
        f" On {results['n']:,} held-out examples its answer was exactly right for {right['raw']} of the raw prompts, "
        f"{right['inline']} of those compressed by <code>inline</code> and {right['ltsc']} by <code>ltsc</code>."
    )


def ask_part() -> Callable[[], None]:
    """The components and events, inside a `gradio.Blocks` context.

    Returns:
        What loads the reader in the background, for when somebody looks at this part.
    """
    first = new_example(random.Random("the first example"))
    gr.HTML(INTRO.format(measured=measured()), elem_classes="prose-line")
    example = gr.State(first)
    with gr.Row():
        with gr.Column(scale=7, min_width=320):
            text = gr.Textbox(
                first["text"], label="Prompt", lines=14, max_lines=14, elem_id="ask-text", elem_classes="code"
            )
        with gr.Column(scale=5, min_width=320):
            with gr.Row(elem_id="ask-kinds"):
                new = gr.Button("New example", size="sm", min_width=0, elem_id="ask-example")
                kinds = {kind: gr.Button(kind, size="sm", min_width=0) for kind in KINDS}
            question = gr.Textbox(
                first["questions"]["path"],
                label="Question",
                info="Never compressed. The buttons above ask about the example.",
                max_lines=3,
                elem_id="ask-question",
                elem_classes="code",
            )
            method = gr.Radio(list(METHODS), value=DEFAULT_METHOD, label="Compressed by", elem_id="ask-method")
            with gr.Row():
                button = gr.Button("Ask", variant="primary", scale=3, min_width=0, elem_id="ask-button")
                stop = gr.Button("Stop", scale=1, min_width=0, elem_id="ask-stop")
    message = gr.HTML(_no_reader(), elem_id="ask-message")
    known = gr.HTML(elem_id="ask-truth")
    cells: list[Any] = []
    with gr.Row():
        for name, label in (("raw", "Answer from the raw prompt"), ("compressed", "Answer from the compressed prompt")):
            with gr.Column(min_width=300):
                answer = gr.Textbox(
                    label=label, interactive=False, lines=2, max_lines=8, elem_id=f"answer-{name}", elem_classes="code"
                )
                cells += [answer, gr.HTML(elem_id=f"answer-{name}-numbers", elem_classes="answer-numbers")]

    outputs = [message, known, *cells]
    quiet = {"api_visibility": "private", "show_progress": "hidden"}
    shared = {"concurrency_limit": 4, "concurrency_id": "ask"}
    asking = gr.on(
        [button.click, question.submit],
        stream,
        [text, question, method, example],
        outputs,
        trigger_mode="multiple",
        **quiet,
        **shared,
    )
    stop.click(None, None, None, cancels=[asking], **quiet)

    def take() -> list[Any]:
        fresh = new_example(random.Random(secrets.randbits(64)))
        kind = secrets.choice(list(KINDS))
        return [fresh, fresh["text"], fresh["questions"][kind], "", "", "", "", "", ""]

    new.click(take, None, [example, text, question, *outputs], cancels=[asking], **quiet)
    for kind, kind_button in kinds.items():
        kind_button.click(functools.partial(_put, kind), [text, example], question, **quiet)
    gr.api(ask, api_name="ask", **shared)
    return warm


def warm() -> None:
    """Load the reader in the background, if there is one; whoever asks first then waits less."""

    def load() -> None:
        try:
            bundled()
            reader()
        except ValueError:  # whoever asks is told
            pass

    threading.Thread(target=load, daemon=True).start()


def _put(kind: str, text: str, example: dict[str, Any]) -> str:
    """A question of this kind: the example's own, and its form for another text."""
    return example["questions"][kind] if text == example["text"] else KINDS[kind]


def _no_reader() -> str:
    try:
        bundled()
    except ReaderError as error:
        return message_html(str(error))
    return ""


def _check(text: Any, question: Any, method: Any) -> None:
    for name, value in (("text", text), ("question", question)):
        if not isinstance(value, str):
            raise Refused(f"The {name} must be a string.")
        if len(value) > MAX_CHARACTERS:
            raise Refused(
                f"The {name} has {len(value):,} characters, and {MAX_CHARACTERS:,} is the most that is taken here."
            )
        if not value.strip():
            what = "ask something about the prompt" if name == "question" else "paste one, or take a new example"
            raise Refused(f"There is no {name} yet: {what}.")
    if method not in METHODS:
        raise Refused(f"There is no method {method!r}; there are {', '.join(METHODS)}.")


def _sentence(error: ValueError) -> str:
    message = str(error)
    return message[:1].upper() + message[1:].rstrip(".") + "."


def _cells(sides: list[Answer | str], known: str | None) -> list[str]:
    cells = []
    for side in sides:
        if isinstance(side, str):
            cells += ["", notice_html(side)]
        else:
            cells += [side.text, numbers_html(_numbers(side), None if known is None else side.text.strip() == known)]
    return cells


def _numbers(answer: Answer) -> dict[str, Any]:
    s = answer.statistics
    return {
        "tokens": s.tokens,
        "prefill_ms": round(1000 * s.prefill_seconds, 2),
        "first_token_ms": round(1000 * s.first_token_seconds, 2),
        "total_ms": round(1000 * s.total_seconds, 2),
        "kv_cache_bytes": s.kv_cache_bytes,
        "finished": s.finished,
    }


def numbers_html(numbers: dict[str, Any], right: bool | None) -> str:
    """What an answer took, in one line, and whether it is right where that is known.

    >>> numbers_html({"tokens": 412, "prefill_ms": 31.2, "kv_cache_bytes": 2_600_000, "finished": True}, True)
    '<p><b class="right">✓ right</b> · 412 prompt tokens · prefill 31 ms · KV cache 2.6 MB</p>'
    """
    parts = []
    if right is not None:
        parts.append('<b class="right">✓ right</b>' if right else '<b class="wrong">✗ wrong</b>')
    parts += [f"{numbers['tokens']:,} prompt tokens", f"prefill {numbers['prefill_ms']:.0f} ms"]
    parts.append(f"KV cache {numbers['kv_cache_bytes'] / 1e6:.1f} MB")
    return f"<p>{' · '.join(parts)}</p>"


def truth_html(known: str | None) -> str:
    """The true answer, or that nobody knows it.

    >>> truth_html("a < b")
    '<p>True answer: <code>a &lt; b</code></p>'
    """
    if known is None:
        return "<p>The true answer is known for the example's own questions only.</p>"
    return f"<p>True answer: <code>{escape(known)}</code></p>"


def notice_html(sentence: str) -> str:
    return f'<p class="notice" role="status">{escape(sentence)}</p>'
