"""The Ask part: its components and events. A prompt, a question, and what the reader answers from the raw prompt, from
the compressed one and from a lossy one of the same length.

Nothing here loads torch or the reader before somebody asks, or looks at this part; the page and its other parts do not
wait for them. What is asked and shown is made in `asking.py`, `drawing.py` and `answers.py`.
"""

from __future__ import annotations

import functools
import json
import logging
import random
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from metatok.codec import METHODS
from metatok.demo.answers import notice_html
from metatok.demo.asking import DEFAULT_LOSSY, DEFAULT_METHOD, LOSSY, SIDES, ask, stream
from metatok.demo.background import Background
from metatok.demo.cards import BUG, message_html
from metatok.demo.drawing import KINDS, TASKS, Example, new_code, new_example
from metatok.demo.endpoints import offer
from metatok.demo.loading import reader, warm
from metatok.reader.folders import ASSETS, ReaderError, bundled, input_limit, trained_on
from metatok.reader.report import RESULTS
from metatok.tasks.base import Sample
from metatok.tokenizer import MetaTokenizer

log = logging.getLogger(__name__)

SHOWN = ("raw", "inline", "ltsc")  # whose accuracy the introduction tells

INTRO = """
<p>A small language model, trained for this page, reads the prompt as it is, compressed, and with tokens dropped until
it is as short as the compressed one.
<b>It can</b> answer five kinds of question (<i>parent of</i>, <i>children of</i>, <i>depth of</i>, <i>path of</i>,
<i>is … inside …</i>) about trees with any names, written as in the examples: lines
<code>leaf &lt; parent &lt; root</code> and <code>parent: leaf, leaf</code>, <code>ls -R</code>, or XML; best at 150 to
700 tokens. A depth, a yes or a no comes after the path that it is read from, as in <code>leaf &lt; parent: 1</code>.
<b>It cannot</b> chat, know anything that is not in the prompt, or answer other questions; it will say something
nevertheless, and that will be wrong.{measured}</p>
"""
LABELS = {
    "raw": "Answer from the raw prompt",
    "compressed": "Answer from the compressed prompt",
    "lossy": "Answer from a lossy prompt of that length",
}
NONE = "none"
MARKS = 3  # at most: the beginning of the prompt, of the question, of the answer
LOOKING = "Code is being looked for among the Python packages of this machine; the first time takes some seconds …"
# What is said after Stop; nothing after a new example, which empties message and true answer.
STOPPED = f"(message, known) => message || known ? {json.dumps(notice_html('Stopped.'))} : ''"


def _measured(task: str, score: str) -> tuple[int, dict[str, str]] | None:
    """How many held-out prompts of a task the reader of this repository was asked, and its score from each form in
    percent, from the committed evaluation; None for any other reader."""
    try:
        if bundled() != ASSETS:
            return None
        results = json.loads(RESULTS.joinpath(f"reader-{task}.json").read_text(encoding="utf-8"))
        return results["n"], {name: f"{100 * results['results'][name][score]:.0f}" for name in SHOWN}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def measured() -> str:
    """How often the reader of this repository is right about trees; empty for any other."""
    found = _measured("tree", "exact_match")
    if found is None:
        return ""
    n, right = found
    percent = {name: f"{share}\N{NO-BREAK SPACE}%" for name, share in right.items()}
    return (
        f" On {n:,} held-out examples its answer was exactly right for {percent['raw']} of the raw prompts, "
        f"{percent['inline']} of those compressed by <code>inline</code> and {percent['ltsc']} by <code>ltsc</code>."
    )


def about_code() -> str:
    """What to know before one takes code for an example."""
    try:
        tasks = trained_on(bundled())
    except ReaderError:
        tasks = ()
    line = "Code asks for the next line of a file; its prompts are long."
    if tasks and "repo" not in tasks:
        return f"{line} This reader was trained on trees only, so what it says of code will be wrong."
    found = _measured("repo", "edit_similarity")
    if found is None:
        return line
    n, alike = found
    return (
        f"{line} So small a reader seldom writes that line: on {n:,} held-out prompts what it wrote was "
        f"{alike['raw']}\N{NO-BREAK SPACE}% like it from raw prompts, {alike['inline']} from inline's, "
        f"{alike['ltsc']} from ltsc's (edit similarity)."
    )


def about_length() -> str | None:
    """How long a prompt may be."""
    try:
        limit = input_limit(bundled())
    except ReaderError:
        return None
    return None if limit is None else f"Up to {limit:,} tokens with the question; compressed, more of it fits."


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
                first["text"],
                label="Prompt",
                info=about_length(),
                lines=20,
                max_lines=20,
                elem_id="ask-text",
                elem_classes="code",
            )
        with gr.Column(scale=5, min_width=320):
            task = gr.Radio(
                [(label, name) for name, label in TASKS.items()],
                value="tree",
                label="Examples",
                info=about_code(),
                elem_id="ask-task",
            )
            new = gr.Button("New example", size="sm", min_width=0, elem_id="ask-example")
            question = gr.Textbox(
                first["questions"]["path"],
                label="Question",
                info="Never compressed. Enter asks.",
                max_lines=6,
                elem_id="ask-question",
                elem_classes="code",
            )
            with gr.Row(elem_id="ask-kinds") as kinds_row:
                kinds = {kind: gr.Button(kind, size="sm", min_width=0) for kind in KINDS}
            method = gr.Radio(list(METHODS), value=DEFAULT_METHOD, label="Compressed by", elem_id="ask-method")
            lossy = gr.Dropdown(
                [(f"{name}: {line}", name) for name, line in LOSSY.items()] + [(NONE, NONE)],
                value=DEFAULT_LOSSY,
                label="Beside it, tokens dropped by",
                elem_id="ask-lossy",
            )
            with gr.Row():
                button = gr.Button("Ask", variant="primary", scale=3, min_width=0, elem_id="ask-button")
                stop = gr.Button("Stop", scale=1, min_width=0, elem_id="ask-stop")
    message = gr.HTML(_no_reader(), elem_id="ask-message")
    known = gr.HTML(elem_id="ask-truth")
    agreement = gr.HTML(elem_id="ask-agreement")
    cells: list[Any] = []
    with gr.Row():
        for side in SIDES:
            with gr.Column(min_width=300):
                answer = gr.Textbox(
                    label=LABELS[side],
                    interactive=False,
                    lines=2,
                    max_lines=8,
                    elem_id=f"answer-{side}",
                    elem_classes="code",
                )
                cells += [answer, gr.HTML(elem_id=f"answer-{side}-numbers", elem_classes="answer-numbers")]

    outputs = [message, known, agreement, *cells]
    quiet = {"api_visibility": "private", "show_progress": "hidden"}
    shared = {"concurrency_limit": 4, "concurrency_id": "ask"}

    def answer_all(text: str, question: str, method: str, lossy: str, example: Example) -> Iterator[list[Any]]:
        yield from stream(text, question, method, None if lossy == NONE else lossy, example)

    asking = gr.on(
        [button.click, question.submit],
        answer_all,
        [text, question, method, lossy, example],
        outputs,
        trigger_mode="always_last",
        **quiet,
        **shared,
    )

    def take(task: str) -> Iterator[list[Any]]:
        cleared = [""] * (len(outputs) - 1)
        keep = [gr.skip()] * 4
        try:
            fresh = None
            if task == "tree":
                fresh = new_example(random.Random(secrets.randbits(64)))
            else:
                drawing = Background(_code)
                for _ in drawing:
                    yield [*keep, notice_html(LOOKING), *cleared]
                fresh = drawing.result
            kind = secrets.choice(list(fresh["questions"]))
            shown = gr.update(visible=task == "tree")
            yield [fresh, fresh["text"], fresh["questions"][kind], shown, "", *cleared]
        except ValueError as error:
            yield [*keep, message_html(str(error)), *cleared]
        except Exception:
            log.exception("drawing an example failed")
            yield [*keep, message_html(BUG), *cleared]

    # Two steps, so that nothing of an answer that was on its way comes after the new example.
    taking = new.click(None, None, None, cancels=[asking], **quiet).then(
        take, task, [example, text, question, kinds_row, *outputs], **quiet, **shared
    )
    stop.click(None, None, None, cancels=[asking, taking], **quiet)
    # Said once it has stopped: what was on its way would overwrite it. Neither of them fails by itself. In the browser,
    # because an answer of the server could come after the new example's.
    for ended in (asking, taking):
        ended.failure(None, [message, known], message, js=STOPPED, **quiet)
    for kind, kind_button in kinds.items():
        kind_button.click(functools.partial(_put, kind), [text, example], question, **quiet)
    offer(ask, **shared)
    return warm


def _code(go_on: Callable[[], None]) -> Example:
    """A code example that the reader has room for."""
    folder = bundled()
    limit = input_limit(folder)  # without the model, which may not be there yet, and on ZeroGPU never is
    if limit is None:
        limit = reader().limit
    tokenizer = MetaTokenizer.from_pretrained(folder, local_only=True)

    def fits(sample: Sample) -> bool:
        return MARKS + len(tokenizer.encode(sample.prompt)) + len(tokenizer.encode(sample.question)) <= limit

    return new_code(random.Random(secrets.randbits(64)), fits, go_on)


def _put(kind: str, text: str, example: Example) -> str:
    """A question of this kind: the example's own, and its form for another text."""
    return example["questions"].get(kind, KINDS[kind]) if text == example["text"] else KINDS[kind]


def _no_reader() -> str:
    try:
        bundled()
    except ReaderError as error:
        return message_html(str(error))
    return ""
