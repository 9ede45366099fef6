"""Committed results as HTML: tables, and the line that says where a figure comes from. Pure functions; all escaped."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

UNITS = {"s": "s", "ms": "ms", "mb": "MB", "gb": "GB", "seconds": "s", "percent": "%"}
"""How the last word of a key is written where it is a unit."""


def table_html(head: Sequence[str], body: Sequence[Sequence[str]], caption: str) -> str:
    """A table that scrolls by itself where it is too wide; the first column names the row.

    >>> print(table_html(["text", "ms"], [["a.log", "1.5"]], "Speed"))
    <div class="scroll" tabindex="0" role="region" aria-label="Speed"><table><thead><tr><th scope="col">text</th>\
<th scope="col">ms</th></tr></thead><tbody><tr><th scope="row">a.log</th><td>1.5</td></tr></tbody></table></div>
    """
    heads = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    rows = "".join(
        f'<tr><th scope="row">{escape(first)}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in others)}</tr>'
        for first, *others in body
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><table>'
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def rows_html(rows: Sequence[Mapping[str, Any]], caption: str) -> str:
    """A table of mappings, one a row; a key is a column from where it first turns up."""
    head = list(dict.fromkeys(key for row in rows for key in row))
    return table_html([readable(key) for key in head], [[cell(row.get(k, "")) for k in head] for row in rows], caption)


def readable(key: str) -> str:
    """A key as people read it, its last word as a unit where it is one.

    >>> [readable(key) for key in ("peak_mb", "app_cpu_seconds", "per_second", "20000")]
    ['peak, MB', 'app cpu, s', 'per second', '20,000']
    """
    if key.isdecimal() and len(key) < 20:
        return f"{int(key):,}"
    name, _, last = key.rpartition("_")
    return f"{name.replace('_', ' ')}, {UNITS[last]}" if name and last in UNITS else key.replace("_", " ")


def cell(value: Any) -> str:
    """One value as people read it.

    >>> [cell(value) for value in (20680, 0.3581, 541.2, "fails", None, [0.1, 0.2], {"a": 1})]
    ['20,680', '0.358', '541.2', 'fails', '', '0.1 to 0.2', 'a: 1']
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.1f}" if abs(value) >= 10 else f"{value:.3f}".rstrip("0").rstrip(".")
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {cell(part)}" for key, part in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return (" to " if len(value) == 2 else ", ").join(map(cell, value))
    return str(value)


def source_html(command: str, date: str | None, machine: str | None, sample: str, interval: str) -> str:
    """Where figures come from, as a list of terms. What a file does not tell is said to be missing.

    >>> "<dt>Machine</dt><dd>not in the file</dd>" in source_html("make", "2026-11-24", None, "14 texts", "none")
    True
    """
    facts = {
        "Command": f"<code>{escape(command)}</code>",
        "Date": escape(date or "not in the file"),
        "Machine": escape(machine or "not in the file"),
        "Sample": escape(sample),
        "Interval": escape(interval),
    }
    return f'<dl class="source">{"".join(f"<dt>{term}</dt><dd>{said}</dd>" for term, said in facts.items())}</dl>'


def details_html(summary: str, inner: str) -> str:
    """Something that opens on a click; `inner` is HTML already."""
    return f"<details><summary>{escape(summary)}</summary>{inner}</details>"


def prose_html(text: str) -> str:
    """A docstring as paragraphs, its `code` as code.

    >>> prose_html("All of `x` &\\n    y.\\n\\n    Next.")
    '<p>All of <code>x</code> &amp; y.</p><p>Next.</p>'
    """
    paragraphs = [" ".join(part.split()) for part in text.split("\n\n") if part.strip()]
    marked = (re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(part)) for part in paragraphs)
    return "".join(f"<p>{part}</p>" for part in marked)
