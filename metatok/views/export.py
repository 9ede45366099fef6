"""What a person takes away from the page: the compressed sequence, the dictionary, the numbers, the `.mtk` file.

What this file does: `export` writes each of them as text, `export_view` makes the Gradio component in which
`export.js`, beside this file, copies that text or saves it as a file, in the browser: the server writes no file. What
it does not: no compression, no drawing.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metatok.container import pack

if TYPE_CHECKING:
    from metatok.codec import Compressed
    from metatok.tokenizer import MetaTokenizer

JAVASCRIPT = (Path(__file__).parent / "export.js").read_text(encoding="utf-8")

TEMPLATE = """
<div class="export">
  <p class="said" role="status"></p>
  <textarea class="by-hand" aria-label="What was to be copied" readonly hidden></textarea>
</div>
"""

CSS = """
& .said { margin: 0; font-size: 13px; }
& .said:empty { display: none; }
& .by-hand { width: 100%; height: 80px; font: 13px/1.5 var(--font-mono, monospace); }
& .by-hand[hidden] { display: none; }
"""

KINDS = {
    "compressed.json": "Compressed sequence, JSON",
    "compressed.csv": "Compressed sequence, CSV",
    "dictionary.json": "Dictionary, JSON",
    "dictionary.csv": "Dictionary, CSV",
    "summary.json": "Summary, JSON",
    "summary.csv": "Summary, CSV",
    "prompt.mtk": "metatok file (.mtk), read by metatok decompress",
}
"""The name of the file, and what it is called on the page."""

PHRASE_COLUMNS = ("meta", "id", "text", "length", "symbols", "uses", "saved")


def export(
    kind: str,
    tokenizer: MetaTokenizer,
    text: str,
    compressed: Compressed,
    summary: dict[str, Any],
    keep: list[tuple[int, int]],
) -> str:
    """One result as the text of a file.

    Args:
        kind: one of `KINDS`.
        tokenizer: the one that made `compressed`.
        text: the prompt.
        compressed: `tokenizer.compress(text, keep=keep)`.
        summary: `metatok.summary.summarize(tokenizer, text, compressed)`.
        keep: character ranges that stay raw.

    Returns:
        - `compressed.json`: the ids, with what is needed to read them: tokenizer, method, meta_tokens, vocab_size.
          `compressed.csv`: position, id, kind (token, meta-token, mark), text, and the meta-token that it helps to
          write down, one row an id.
        - `dictionary.*`: meta, id, text, length, symbols, uses and saved of each phrase, as `summarize` says; in JSON
          also its definition in ids.
        - `summary.*`: the numbers.
        - `prompt.mtk`: what `metatok.container.pack` writes.
    """
    if kind == "prompt.mtk":
        return pack(text.encode(), tokenizer, keep=keep).decode()
    name, form = kind.rsplit(".", 1)
    table = {"compressed": _sequence, "dictionary": _dictionary, "summary": _summary}[name]
    return table(tokenizer, compressed, summary, form)


def _sequence(tokenizer: MetaTokenizer, compressed: Compressed, summary: dict[str, Any], form: str) -> str:
    if form == "json":
        known = {name: summary[name] for name in ("tokenizer", "method", "meta_tokens", "original_tokens")}
        return _json({**known, "vocab_size": tokenizer.vocab_size, "ids": compressed.ids.tolist()})
    ids, pieces, defines = compressed.ids.tolist(), tokenizer.pieces(compressed.ids), compressed.defines.tolist()
    first = tokenizer.codec.first_meta
    rows = (
        (
            position,
            i,
            "token" if i < tokenizer.vocab_size else "mark" if i < first else "meta-token",
            piece,
            tokenizer.meta_name(owner) if owner >= first else "",
        )
        for position, (i, piece, owner) in enumerate(zip(ids, pieces, defines, strict=True))
    )
    return _csv(("position", "id", "kind", "text", "writes"), rows)


def _dictionary(tokenizer: MetaTokenizer, compressed: Compressed, summary: dict[str, Any], form: str) -> str:
    phrases = summary["phrases"]
    if form == "json":
        return _json([{**phrase, "definition": compressed.definitions[phrase["id"]]} for phrase in phrases])
    return _csv(PHRASE_COLUMNS, ([phrase[name] for name in PHRASE_COLUMNS] for phrase in phrases))


def _summary(tokenizer: MetaTokenizer, compressed: Compressed, summary: dict[str, Any], form: str) -> str:
    numbers = {name: value for name, value in summary.items() if name != "phrases"}
    return _json(numbers) if form == "json" else _csv(("name", "value"), numbers.items())


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"


def _csv(header: Any, rows: Any) -> str:
    """As RFC 4180 says, so that texts with line ends, commas and quotes come back as they were."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()


_deliveries = itertools.count()


def delivery(action: str, kind: str, text: str) -> str:
    """The value with which the component copies (`action` "copy") or saves ("download") a text; no two are the same."""
    value = {"n": next(_deliveries), "action": action, "name": kind, "text": text}
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")


def export_view(**options: Any) -> Any:
    """The Gradio component; its value is what `delivery` returns.

    Args:
        options: as for `gradio.HTML`, such as `elem_id`.
    """
    import gradio as gr

    return gr.HTML(
        None,
        html_template=TEMPLATE,
        css_template=CSS,
        js_on_load=JAVASCRIPT,
        apply_default_css=False,
        **options,
    )
