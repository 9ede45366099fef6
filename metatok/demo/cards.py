"""The numbers a person came for, as HTML: a pure function of a summary and an architecture.

Every word of a user that gets in here (a tokenizer's name, a quoted change) is escaped.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from metatok.compute import Architecture, compute_saving

BUG = "Something went wrong here, which is not your text's fault. The server's log says what; your text is kept."
PROGRAM_BUG = "Something went wrong here, which is not your input's fault; the server's log says what."


def summary_html(summary: Mapping[str, Any], architecture: Architecture) -> str:
    """The result of `metatok.summary.summarize` and what it means for the prefill of a model.

    >>> from metatok.compute import PRESETS
    >>> numbers = {"original_tokens": 1000, "compressed_tokens": 730, "dictionary_tokens": 40, "saving": 0.27,
    ...            "quadratic_saving": 0.4671, "bound": 600, "saving_of_possible": 0.675,
    ...            "exact": True, "round_trip_text": True, "change": None}
    >>> "27.0 %" in summary_html(numbers, PRESETS["Llama-3.1-8B"])
    True
    """
    before, after = summary["original_tokens"], summary["compressed_tokens"]
    whole = compute_saving(architecture, before, after)
    written = summary["dictionary_tokens"]
    parts = [
        _number(
            f'<data value="{before}">{before:,}</data> <span aria-hidden="true">→</span> '
            f'<data value="{after}">{after:,}</data>',
            "tokens, before and after",
            f"{written:,} of the {after:,} write the phrases down" if written else "nothing to write down",
            "tokens",
        ),
        _number(_percent(summary["saving"]), "of the tokens saved", "writing the phrases down is counted", "saving"),
        _number(
            "—" if summary["saving_of_possible"] is None else _percent(summary["saving_of_possible"]),
            "of what any grammar could save at most",
            "nothing can be saved here"
            if summary["saving_of_possible"] is None
            else f"none has fewer than {summary['bound']:,} tokens (LZ77)",
            "possible",
        ),
        _number(
            _percent(summary["quadratic_saving"]),
            "of the quadratic part saved",
            "attention, which grows with the square of the length",
            "quadratic",
        ),
        _number(
            _percent(whole),
            "of all prefill compute saved",
            f"by {escape(architecture.name)}, the whole model",
            "compute",
        ),
        _number(
            "exact ✓" if summary["exact"] else "not exact",
            "checked by decompressing",
            "every token came back" if summary["exact"] else "a bug in metatok: please report it",
            "exact",
        ),
    ]
    return f'<div class="numbers" role="status">{"".join(parts)}</div>{_remarks(summary)}'


def message_html(sentence: str) -> str:
    """A sentence for the user that a screen reader speaks at once; nothing for no sentence.

    >>> message_html("<b>")
    '<p class="message" role="alert">&lt;b&gt;</p>'
    """
    return f'<p class="message" role="alert">{escape(sentence)}</p>' if sentence else ""


def _remarks(summary: Mapping[str, Any]) -> str:
    remarks = []
    if summary["compressed_tokens"] == summary["original_tokens"]:
        remarks.append(
            "This text stays as it is: no phrase in it comes back often enough to pay for being written "
            "down. The compressed sequence is the text itself."
        )
    if not summary["round_trip_text"]:
        remarks.append(
            f"The tokenizer itself does not give this text back unchanged, compressed or not. {summary['change'] or ''}"
        )
    return "".join(f'<p class="remark">{escape(remark.strip())}</p>' for remark in remarks)


def _number(value: str, label: str, note: str, name: str) -> str:
    return (
        f'<div class="number" data-name="{name}"><span class="value">{value}</span> '
        f'<span class="label">{label}</span> <span class="note">{note}</span></div>'
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
