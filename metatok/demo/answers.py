"""What the Ask part says under an answer, as HTML: pure functions of plain numbers. All text is escaped."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

MILLISECONDS = {
    "pruning_ms": "dropping tokens took",
    "prefill_ms": "prefill",
    "first_token_ms": "first token after",
    "per_token_ms": "each later token",
}
"""The times under an answer. One that is 0 has not been: there are no later tokens yet."""

SIDES = {"compressed": "the compressed prompt", "lossy": "the lossy prompt"}


def numbers_html(numbers: Mapping[str, Any], right: bool | None) -> str:
    """What an answer took, and whether it is right where that is known.

    >>> print(numbers_html({"tokens": 412, "prefill_ms": 31.2, "per_token_ms": 5.13, "kv_cache_bytes": 2.6e6}, True))
    <p class="verdict"><b class="right">✓ right</b></p><dl><dt>prompt tokens</dt><dd>412</dd><dt>prefill</dt>\
<dd>31 ms</dd><dt>each later token</dt><dd>5.1 ms</dd><dt>KV cache</dt><dd>2.6 MB</dd></dl>
    """
    rows = [("prompt tokens", f"{numbers['tokens']:,}")]
    rows += [(label, _milliseconds(numbers[key])) for key, label in MILLISECONDS.items() if numbers.get(key)]
    rows.append(("KV cache", f"{numbers['kv_cache_bytes'] / 1e6:.1f} MB"))
    verdict = "" if right is None else f'<p class="verdict">{_verdict(right)}</p>'
    return f"{verdict}<dl>{''.join(f'<dt>{label}</dt><dd>{value}</dd>' for label, value in rows)}</dl>"


def left_html(left: str) -> str:
    """What a lossy prompt still says, to look at.

    >>> left_html("a < b")
    '<details><summary>What is left of the prompt</summary><pre tabindex="0">a &lt; b</pre></details>'
    """
    return f'<details><summary>What is left of the prompt</summary><pre tabindex="0">{escape(left)}</pre></details>'


def truth_html(known: str | None) -> str:
    """The true answer, or that nobody knows it.

    >>> truth_html("a < b")
    '<p>True answer: <code>a &lt; b</code></p>'
    """
    if known is None:
        return "<p>The true answer is known for the example's own questions only.</p>"
    return f"<p>True answer: <code>{escape(known)}</code></p>"


def agreement_html(answers: Mapping[str, str]) -> str:
    """Whether compressed and lossy prompt were answered as the raw one was; nothing without a raw answer.

    Args:
        answers: of `raw`, `compressed`, `lossy`, those that are there.

    >>> agreement_html({"raw": "yes", "compressed": "yes "})
    '<p>The compressed prompt gave the same answer as the raw one.</p>'
    """
    if "raw" not in answers:
        return ""
    parts = []
    for side in [side for side in SIDES if side in answers]:
        how = "the same answer as" if answers[side].strip() == answers["raw"].strip() else "another answer than"
        parts.append(f"{SIDES[side]} gave {how} the raw one")
    sentence = ", ".join(parts)
    return f"<p>{sentence[:1].upper()}{sentence[1:]}.</p>" if sentence else ""


def notice_html(sentence: str) -> str:
    """Something to know while waiting, which a screen reader speaks when it has time; nothing for no sentence."""
    return f'<p class="notice" role="status">{escape(sentence)}</p>' if sentence else ""


def _verdict(right: bool) -> str:
    return '<b class="right">✓ right</b>' if right else '<b class="wrong">✗ wrong</b>'


def _milliseconds(value: float) -> str:
    return f"{value:,.0f} ms" if value >= 10 else f"{value:.1f} ms"
