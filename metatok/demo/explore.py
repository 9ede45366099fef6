"""The Explore part: its components and events. What is shown is made elsewhere, by pure functions."""

from __future__ import annotations

import hashlib
import itertools
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import Any

import gradio as gr

from metatok.compute import PRESETS
from metatok.container import ContainerError
from metatok.demo import run as runs
from metatok.demo.answers import notice_html
from metatok.demo.background import Background, Stopped
from metatok.demo.cards import BUG, message_html, summary_html
from metatok.demo.examples import Example, examples
from metatok.demo.page import if_working
from metatok.demo.run import DEFAULT_META_TOKENS, DEFAULT_METHOD, DEFAULT_TOKENIZER, MAX_BYTES, Refused, Result, Step
from metatok.tokenizer import OFFLINE
from metatok.views.charts import compute_figure, length_figure
from metatok.views.export import KINDS, delivery, export, export_view
from metatok.views.keep import MOVE, keep_ranges, keep_view
from metatok.views.tokens import token_view, view_json

log = logging.getLogger(__name__)

METHODS = {
    "ltsc": "the paper's: the longest phrases first, dictionary in front",
    "flat": "the phrases that save most first, dictionary in front",
    "nested": "as flat, and a phrase may hold other phrases",
    "inline": "as nested, without a dictionary: the first use defines",
}
"""Each method in one line; DESIGN and README say more."""

AS_MANY_AS_PAY = "as many as pay"
POOLS: list[int | str] = [64, 128, 256, 512, AS_MANY_AS_PAY]
DEFAULT_ARCHITECTURE = "Llama-3.1-8B"

OUTPUTS = ("message", "summary", "view", "lengths", "compute", "numbers", "source")

EMPTY = "There is no text yet. Paste one, or take an example."
STALE = "The text or a choice is no longer the one that was compressed. Compress again, then copy or download."
STOPPED = "Stopped; what was shown before stays."
WORKING = "<p hidden>…</p>"  # there before anything is said, for `if_working`
TAKEN = itertools.count(1)  # examples; a number of its own tells the page that one was taken
PATIENCE = 2  # looks at the work, the last of them after a third of a second, before it is said at what it is


@dataclass(frozen=True)
class Explore:
    """What other tabs may read of this one, as components.

    Attributes:
        text, tokenizer, method, meta_tokens, architecture: what the person chose.
        numbers: a State with the last result's summary less its phrases, or None.
        source: a State that tells the text and the choices of the last result from all others, or None.
        message, about: where a sentence to the person goes, and the line about an example.
        keep: the parts that stay raw, see `metatok.views.keep`.
    """

    text: Any
    tokenizer: Any
    method: Any
    meta_tokens: Any
    architecture: Any
    numbers: Any
    source: Any
    message: Any
    about: Any
    keep: Any


def explore() -> Explore:
    """The components and events, inside a `gradio.Blocks` context."""
    prepared = examples()
    text = prepared[0].text if prepared else ""
    try:
        first = _shown(text, DEFAULT_TOKENIZER, DEFAULT_METHOD, DEFAULT_META_TOKENS, DEFAULT_ARCHITECTURE)
    except Refused as error:
        first = {**dict.fromkeys(OUTPUTS), "message": message_html(str(error))}

    with gr.Row(elem_id="examples"):
        buttons = [gr.Button(example.title, size="sm", min_width=0) for example in prepared]
    about = gr.HTML(about_html(prepared[0]) if prepared else "", elem_id="example-about")
    with gr.Row():
        with gr.Column(scale=7, min_width=320):
            text_input = gr.Textbox(
                text,
                label="Your text",
                info=f"Up to {MAX_BYTES / 1e6:.0f} MB; Shift + Enter compresses. "
                "The text stays on the machine that serves this page.",
                placeholder="Paste a prompt: a log, a listing, code, JSON, a chat …",
                lines=16,
                max_lines=16,
                elem_id="text-input",
            )
            keep = keep_view(elem_id="keep")
        with gr.Column(scale=5, min_width=320):
            tokenizer = gr.Dropdown(
                [(f"{name} — {line}", name) for name, line in OFFLINE],
                value=DEFAULT_TOKENIZER,
                label="Tokenizer",
                info="Those listed need no network; the id of a Hugging Face repository may be typed.",
                allow_custom_value=True,
                elem_id="tokenizer",
            )
            method = gr.Radio(
                [(f"{name}: {line}", name) for name, line in METHODS.items()],
                value=DEFAULT_METHOD,
                label="Method",
                elem_id="method",
            )
            with gr.Row():
                pool = gr.Dropdown(
                    [(f"at most {size}" if isinstance(size, int) else size, size) for size in POOLS],
                    value=DEFAULT_META_TOKENS,
                    label="Meta-tokens",
                    min_width=120,
                    elem_id="meta-tokens",
                )
                architecture = gr.Dropdown(
                    list(PRESETS),
                    value=DEFAULT_ARCHITECTURE,
                    label="Model that reads",
                    min_width=120,
                    elem_id="architecture",
                )
            with gr.Row():
                button = gr.Button("Compress", variant="primary", scale=3, min_width=0, elem_id="compress-button")
                stop = gr.Button("Stop", scale=1, min_width=0, elem_id="compress-stop")

    message = gr.HTML(first["message"], elem_id="message")
    summary = gr.HTML(first["summary"], elem_id="summary")
    view = token_view(first["view"], elem_id="token-view")
    with gr.Row(elem_id="export"):
        kind = gr.Dropdown(
            [(name, kind) for kind, name in KINDS.items()],
            value=next(iter(KINDS)),
            label="Take the result with you",
            min_width=240,
            elem_id="export-kind",
        )
        copy = gr.Button("Copy", size="sm", min_width=90, elem_id="export-copy")
        download = gr.Button("Download", size="sm", min_width=90, elem_id="export-download")
    exported = export_view(elem_id="exported")
    with gr.Row(equal_height=True):
        with gr.Column(scale=4, min_width=320):
            lengths = gr.Plot(first["lengths"], label="Length of the prompt", elem_id="length-plot")
        with gr.Column(scale=6, min_width=320):
            compute = gr.Plot(first["compute"], label="Compute of the prefill", elem_id="compute-plot")
    numbers = gr.State(first["numbers"])
    source = gr.State(first["source"])
    taken = gr.State(0)

    choices = [tokenizer, method, pool, architecture]
    results = [message, summary, view, lengths, compute, numbers, source]
    private = {"api_visibility": "private", "show_progress": "minimal", "show_progress_on": button}
    quiet = {"api_visibility": "private", "show_progress": "hidden"}

    unchanged = [gr.skip()] * (len(OUTPUTS) - 1)

    def recompute(*inputs: Any) -> Iterator[list[Any]]:
        try:
            for at in _working(*inputs):
                if isinstance(at, str):
                    yield [notice_html(f"{at} …") if at else WORKING, *unchanged]
                else:
                    yield list(at.values())
        except Refused as error:  # what was shown stays
            yield [message_html(str(error)), *unchanged]

    def deliver(action: str, known: str | None, kind: str, *inputs: Any) -> list[Any]:
        try:
            return ["", _delivery(action, known, kind, *inputs)]
        except Refused as error:
            return [message_html(str(error)), gr.skip()]

    def change_model(known: dict[str, Any] | None, architecture: str) -> list[Any]:
        if not known:
            return [gr.skip(), gr.skip()]
        model = PRESETS[architecture]
        figure = compute_figure(model, known["original_tokens"], known["compressed_tokens"])
        return [summary_html(known, model), figure]

    compressing = gr.on(
        [button.click, text_input.submit, keep.input, tokenizer.change, method.change, pool.change, taken.change],
        recompute,
        [text_input, *choices, keep],
        results,
        trigger_mode="always_last",
        **private,
        **runs.COMPRESSING,
    )
    stop.click(None, message, message, js=if_working(notice_html("Stopping …")), **quiet)
    stop.click(None, None, None, cancels=[compressing], **quiet)
    # Said once it has stopped: until then the page takes no other work. `recompute` itself does not fail.
    compressing.failure(None, message, message, js=if_working(notice_html(STOPPED)), **quiet)
    for example, example_button in zip(prepared, buttons, strict=True):
        outputs = [text_input, keep, about, taken]
        # Queued, as Gradio does not tell the page that a State has changed of an event that is not.
        example_button.click(partial(_take, example), None, outputs, concurrency_limit=None, **quiet)
    # A text that was typed over is no longer the example; the browser alone sees to that.
    text_input.input(None, None, about, js="() => ''", **quiet)
    text_input.change(None, text_input, None, js=MOVE, **quiet)
    for chosen, action in ((copy, "copy"), (download, "download")):
        inputs = [source, kind, text_input, tokenizer, method, pool, keep]
        chosen.click(
            partial(deliver, action),
            inputs,
            [message, exported],
            api_visibility="private",
            show_progress="minimal",
            show_progress_on=chosen,
            **runs.COMPRESSING,
        )
    view.change(None, None, exported, js="() => ''", **quiet)  # what was said of the last result's copy
    architecture.change(change_model, [numbers, architecture], [summary, compute], **quiet)
    return Explore(text_input, tokenizer, method, pool, architecture, numbers, source, message, about, keep)


def about_html(example: Example) -> str:
    """One line about an example, for below the buttons."""
    return f"<p>{escape(example.about)}</p>"


def _take(example: Example) -> list[Any]:
    """The text of an example, in whole; that it was taken compresses it, after what is on its way."""
    return [example.text, "", about_html(example), next(TAKEN)]


def _working(*inputs: Any) -> Iterator[str | dict[str, Any]]:
    """What `_shown` returns, and before that, at each look, at what it is; nothing at first.

    Each time is one at which Gradio can stop it.
    """
    stage = ""

    def work(go_on: Callable[[], None]) -> dict[str, Any]:
        def step(name: str) -> None:
            nonlocal stage
            go_on()
            stage = name

        return _shown(*inputs, step=step)

    working = Background(work)
    for look, _ in enumerate(working):
        yield stage if look >= PATIENCE else ""
    yield working.result


def _run(
    text: str, tokenizer: str, method: str, pool: int | str, keep: str | None, step: Step = lambda name: None
) -> Result:
    """The result for the page's own inputs, or `Refused` with a sentence, whatever went wrong."""
    if not text:
        raise Refused(EMPTY)
    meta_tokens = None if pool == AS_MANY_AS_PAY else pool
    try:
        parts = keep_ranges(keep, text)
    except ValueError as error:
        raise Refused(str(error)) from error
    try:
        return runs.run(text, tokenizer, method, meta_tokens, parts, step=step)  # type: ignore[arg-type]
    except (Refused, Stopped):
        raise
    except Exception as error:
        log.exception("compress failed")
        raise Refused(BUG) from error


def _source(*inputs: Any) -> str:
    """Text, tokenizer, method, pool and parts to keep, told apart from all others without keeping the text."""
    return hashlib.blake2b(repr(inputs).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _delivery(action: str, known: str | None, kind: str, *inputs: Any) -> str:
    """The result that is shown, which is that of these inputs, for `export_view`; else `Refused` with a sentence."""
    if kind not in KINDS:
        raise Refused("Choose what to copy or to download.")
    if known != _source(*inputs):
        raise Refused(STALE)
    result = _run(*inputs)
    try:
        text = export(kind, result.tokenizer, result.text, result.compressed, result.summary, result.keep)
    except ContainerError as error:
        raise Refused(str(error)) from error
    except Exception as error:
        log.exception("export failed")
        raise Refused(BUG) from error
    return delivery(action, kind, text)


def _shown(
    text: str,
    tokenizer: str,
    method: str,
    pool: int | str,
    architecture: str,
    keep: str | None = "",
    *,
    step: Step = lambda name: None,
) -> dict[str, Any]:
    """What every output shows for these inputs, or `Refused` with a sentence, whatever went wrong."""
    result = _run(text, tokenizer, method, pool, keep, step)
    step("Drawing")
    try:
        summary = result.summary
        before, after = summary["original_tokens"], summary["compressed_tokens"]
        written = summary["dictionary_tokens"]
        model = PRESETS[architecture]
        values = (
            "",
            summary_html(summary, model),
            view_json(result.tokenizer, text, result.compressed, phrases=summary["phrases"], kept=result.kept),
            length_figure(before, written, after - written),
            compute_figure(model, before, after),
            {name: value for name, value in summary.items() if name != "phrases"},
            _source(text, tokenizer, method, pool, keep),
        )
        return dict(zip(OUTPUTS, values, strict=True))
    except Exception as error:
        log.exception("compress failed")
        raise Refused(BUG) from error
