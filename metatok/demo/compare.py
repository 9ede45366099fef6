"""The Compare part: one text or an uploaded file, by all methods, efforts and pools; its components and events.

What is read of a file and what is measured come from `uploads.py` and `comparison.py`, the chart from `metatok.views`.
"""

# Without `from __future__ import annotations`, as Gradio reads the type of what `compare` returns from the object.

import csv
import json
import logging
import tempfile
import time
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
import pandas as pd

from metatok.codec import EFFORTS, METHODS, Effort, Method
from metatok.demo import comparison
from metatok.demo.cards import BUG, PROGRAM_BUG, message_html
from metatok.demo.comparison import MAX_EFFORT_DOCUMENTS, MAX_EFFORT_TOKENS, RUNS, SHORT, Outcome, Prepared, RowDict
from metatok.demo.endpoints import offer
from metatok.demo.explore import AS_MANY_AS_PAY, POOLS, Explore
from metatok.demo.page import if_working
from metatok.demo.run import DEFAULT_META_TOKENS, DEFAULT_TOKENIZER, MAX_BYTES, Refused
from metatok.demo.uploads import MAX_DOCUMENTS, Document, read_file
from metatok.views.comparison import comparison_figure

log = logging.getLogger(__name__)

ALL_METHODS: list[Method] = list(METHODS)
ALL_EFFORTS: list[Effort] = list(EFFORTS)
ONE_POOL: list[int | None] = [DEFAULT_META_TOKENS]

EMPTY = "There is no text yet: paste one, take Explore's, or upload a file."
FORMATS = {"saved, %": "{:.1f}", "time, ms": "{:,.1f}", "tokens": "{:,.0f}"}
REDRAW_SECONDS = 0.7  # a table and a chart for every configuration would keep the browser busy

INTRO = """
<p>Every method, effort and pool size on the same text, with Explore's tokenizer: what it saves, how long it takes, and
the LZ77 bound, which nothing of this kind can pass.</p>
"""
FILE_INFO = f"""
<p>Each line of a JSONL file, row of a CSV file and file in a zip archive is a document that is compressed by itself;
all numbers are then of their sum. Up to {MAX_BYTES / 1e6:.0f} MB of text, unpacked, in up to {MAX_DOCUMENTS:,}
documents; effort <code>max</code> up to {MAX_EFFORT_TOKENS:,} tokens in up to {MAX_EFFORT_DOCUMENTS} documents.</p>
"""
TIME_INFO = f"""
<p>Times are those of this server, with whatever else it does: the median of {RUNS} runs for one text of up to
{SHORT:,} tokens, of one run for a longer one and for <code>max</code>, and of one run on all cores for several
documents. The tokenizer's time is not in them.</p>
"""


def compare(
    text: str,
    tokenizer: str = DEFAULT_TOKENIZER,
    methods: list[Method] = ALL_METHODS,
    efforts: list[Effort] = ALL_EFFORTS,
    meta_tokens: list[int | None] = ONE_POOL,
) -> list[RowDict]:
    """Compress a text by several methods, efforts and pool sizes, and say what each saves and how long it takes.

    Lengths are in tokens and times in seconds; the text may have 5 MB, and for effort max 50,000 tokens.

    Args:
        text: the prompt, at most 5 MB.
        tokenizer: mistral:tekken, mistral:v3, …, tiktoken:o200k_base, …, or the id of a Hub repository.
        methods: some of ltsc, flat, nested and inline.
        efforts: some of fast, default and max; ltsc knows none and comes once, as default.
        meta_tokens: pool sizes, at most 8; null for as many as pay.

    Returns:
        A row for each combination: method, effort, meta_tokens, original_tokens, compressed_tokens, saving (share of
        the tokens), seconds (median of `runs` runs), exact (every token came back), bound (no method can give fewer
        tokens), note (why it was not tried, where it was not: max is for up to 50,000 tokens).
    """
    try:
        ways = comparison.configurations(methods, efforts, meta_tokens)
        if not isinstance(text, str):
            raise Refused("The text must be a string.")
        prepared = comparison.prepare([Document("text", text)], tokenizer)
        return [comparison.row_dict(outcome.row) for outcome in comparison.compare(prepared, ways)]
    except Refused as error:
        raise gr.Error(str(error), print_exception=False) from error
    except Exception as error:
        log.exception("compare failed")
        raise gr.Error(PROGRAM_BUG, print_exception=False) from error


def stream(
    path: str | None, text: str, tokenizer: str, methods: list[str], efforts: list[str], pools: list[int | str]
) -> Iterator[list[Any]]:
    """What the outputs show, again and again: message, status, table, chart, files."""
    try:
        ways = comparison.configurations(methods, efforts, [None if p == AS_MANY_AS_PAY else p for p in pools])
        documents = read_file(path).documents if path else (Document("text", text),)
        if not any(document.text for document in documents):
            raise Refused(EMPTY)
        yield ["", status_html("Reading the text …"), gr.skip(), gr.skip(), None]
        prepared = comparison.prepare(documents, tokenizer)
        outcomes: list[Outcome] = []
        drawn = 0.0
        measuring = comparison.compare(prepared, ways)
        for number, way in enumerate(ways):
            status = status_html(f"{number + 1} of {len(ways)}: {way} …")
            if time.monotonic() - drawn > REDRAW_SECONDS and outcomes:
                yield ["", status, *_shown(prepared, outcomes), None]
                drawn = time.monotonic()
            else:
                yield ["", status, gr.skip(), gr.skip(), gr.skip()]
            outcomes.append(next(measuring))
        with tempfile.TemporaryDirectory() as folder:  # Gradio copies what it serves
            files = write_files(Path(folder), prepared, outcomes)
            yield ["", status_html(conclusion(prepared, outcomes)), *_shown(prepared, outcomes), files]
    except Refused as error:
        yield [message_html(str(error)), "", gr.skip(), gr.skip(), gr.skip()]
    except Exception:
        log.exception("compare failed")
        yield [message_html(BUG), "", gr.skip(), gr.skip(), gr.skip()]


def rows_frame(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """The rows as the page has them: percent, milliseconds, and a note where something was not tried."""
    rows = [outcome.row for outcome in outcomes]
    return pd.DataFrame(
        {
            "method": [row.method for row in rows],
            "effort": ["—" if row.method == "ltsc" else row.effort for row in rows],  # it knows none
            "pool": ["as many as pay" if row.meta_tokens is None else f"{row.meta_tokens:,}" for row in rows],
            "saved, %": [None if row.saving is None else 100 * row.saving for row in rows],
            "time, ms": [None if row.seconds is None else 1000 * row.seconds for row in rows],
            "tokens": [row.compressed_tokens for row in rows],
            "exact": [row.note or ("yes" if row.exact else "no: a bug, please report it") for row in rows],
        }
    )


def conclusion(prepared: Prepared, outcomes: Sequence[Outcome]) -> str:
    """The outcome in two sentences."""
    tried = [outcome.row for outcome in outcomes if outcome.lengths]
    what = f"{len(prepared.ids):,} documents with " if len(prepared.ids) > 1 else ""
    least = f"{what}{prepared.tokens:,} tokens; no grammar has fewer than {prepared.bound:,}."
    if not tried:
        return f"Nothing was tried: {outcomes[0].row.note.removeprefix('not tried: ')}. {least[0].upper()}{least[1:]}"
    best = min(tried, key=lambda row: (row.compressed_tokens, row.seconds))
    if best.compressed_tokens == prepared.tokens:
        return f"{least[0].upper()}{least[1:]} Nothing is saved: no phrase comes back often enough to pay."
    pool = "as many meta-tokens as pay" if best.meta_tokens is None else f"at most {best.meta_tokens:,} meta-tokens"
    return (
        f"{least[0].upper()}{least[1:]} The fewest, {best.compressed_tokens:,}, come from {best.method} with effort "
        f"{best.effort} and {pool}: {100 * (best.saving or 0):.1f} % saved."
    )


def status_html(sentence: str) -> str:
    """How far it is, or what came of it, for a screen reader too.

    >>> status_html("3 of 50: a < b")
    '<p role="status">3 of 50: a &lt; b</p>'
    """
    return f'<p role="status">{escape(sentence)}</p>'


def write_files(folder: Path, prepared: Prepared, outcomes: Sequence[Outcome]) -> list[str]:
    """comparison.csv, comparison.json, and documents.csv where there are several documents."""
    tables = {"comparison.csv": comparison.rows_table(outcomes)}
    if len(prepared.ids) > 1:
        tables["documents.csv"] = comparison.documents_table(prepared, outcomes)
    for name, table in tables.items():
        with (folder / name).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(table)
    everything = json.dumps(comparison.as_json(prepared, outcomes), ensure_ascii=False, indent=1)
    (folder / "comparison.json").write_text(everything, encoding="utf-8")
    return [str(folder / name) for name in (*tables, "comparison.json")]


def compare_part(explore: Explore) -> None:
    """The components and events, inside a `gradio.Blocks` context."""
    gr.HTML(INTRO, elem_classes="prose-line")
    with gr.Row():
        with gr.Column(scale=7, min_width=300):
            text = gr.Textbox(
                explore.text.value,
                label="Text",
                info=f"Up to {MAX_BYTES / 1e6:.0f} MB. An uploaded file is compared instead.",
                lines=8,
                max_lines=8,
                elem_id="compare-text",
                elem_classes="code",
            )
            take = gr.Button("Take Explore's text", size="sm", elem_id="compare-take")
            file = gr.File(
                label=f"File: text, JSONL, CSV or zip, up to {MAX_BYTES / 1e6:.0f} MB",
                height=130,
                elem_id="compare-file",
            )
            note = gr.HTML(elem_id="compare-note", elem_classes="prose-line")
            gr.HTML(FILE_INFO, elem_classes="prose-line small")
        with gr.Column(scale=5, min_width=300):
            methods = gr.CheckboxGroup(list(METHODS), value=list(METHODS), label="Methods", elem_id="compare-methods")
            efforts = gr.CheckboxGroup(
                list(EFFORTS),
                value=list(EFFORTS),
                label="Efforts",
                info="ltsc is one fixed rule and knows none.",
                elem_id="compare-efforts",
            )
            pools = gr.CheckboxGroup(
                [(str(size), size) for size in POOLS],
                value=list(POOLS),
                label="Meta-tokens, at most",
                info="The size of the pool.",
                elem_id="compare-pools",
            )
            with gr.Row():
                button = gr.Button("Compare", variant="primary", scale=3, min_width=0, elem_id="compare-button")
                stop = gr.Button("Stop", scale=1, min_width=0, elem_id="compare-stop")
    message = gr.HTML(elem_id="compare-message")
    status = gr.HTML(elem_id="compare-status", elem_classes="prose-line")
    with gr.Row():
        with gr.Column(min_width=320):
            plot = gr.Plot(label="Saving against time", elem_id="compare-plot")
        with gr.Column(min_width=320):
            table = gr.Dataframe(
                label="All of them",
                interactive=False,
                datatype=["str", "str", "str", "number", "number", "number", "str"],
                column_widths=["80px", "84px", "60px", "88px", "92px", "84px", "82px"],
                max_height=420,
                wrap=True,
                show_search="search",
                elem_id="compare-table",
            )
    gr.HTML(TIME_INFO, elem_classes="prose-line small")
    files = gr.File(label="Download", interactive=False, file_count="multiple", elem_id="compare-download")

    quiet = {"api_visibility": "private", "show_progress": "hidden"}
    shared = {"concurrency_limit": 2, "concurrency_id": "compare"}
    take.click(None, explore.text, text, js="(text) => text", **quiet)
    file.change(_describe, file, [message, note], concurrency_limit=4, **quiet)
    comparing = button.click(
        stream,
        [file, text, explore.tokenizer, methods, efforts, pools],
        [message, status, table, plot, files],
        **quiet,
        **shared,
    )
    stop.click(None, status, status, js=if_working(status_html("Stopping …")), **quiet)
    stop.click(None, None, None, cancels=[comparing], **quiet)
    # Said once it has stopped: until then another click is not taken. `stream` itself does not fail.
    stopped = status_html("Stopped; what was measured until then is shown.")
    comparing.failure(None, status, status, js=if_working(stopped), **quiet)
    offer(compare, **shared)


def _describe(path: str | None) -> list[str]:
    """What is in an uploaded file, as soon as it is there."""
    try:
        return ["", f"<p>{escape(read_file(path).note)}</p>" if path else ""]
    except Refused as error:
        return [message_html(str(error)), ""]


def _shown(prepared: Prepared, outcomes: Sequence[Outcome]) -> list[Any]:
    rows = [outcome.row for outcome in outcomes]
    table = rows_frame(outcomes).style.format(FORMATS, na_rep="")
    return [table, comparison_figure(rows, prepared.tokens, prepared.bound)]
