"""The charts of committed results: accuracy, speed, and what other packages save.

Pure functions from the data of `assets/results/*.json`, as `metatok evaluate` and `benchmarks` write it, to a plotly
`Figure`; they measure nothing and read no files. Colours and style are those of `metatok.views.charts`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from math import log10
from typing import Any

import plotly.graph_objects as go

from metatok.views import charts

LOSSY = charts.DICTIONARY
"""Prompts that tokens were dropped from."""
OTHER = "#9252da"
"""Another package, which is no method."""

GROUPS = {
    "raw": (charts.RAW, "circle"),
    "compressed": (charts.BODY, "square"),
    "compressed, plain": (charts.BODY, "square-open"),
    "lossy": (LOSSY, "diamond"),
}
"""Colour and sign of each group of prompt forms."""

BASELINES = {
    "selective_context": "diamond",
    "llmlingua": "triangle-up",
    "llmlingua2": "triangle-down",
    "random": "x",
    "truncation": "star",
}

AROUND = ("bottom right", "top right", "bottom right", "top left")
"""Where the names of forms stand, one after the other, as neighbours are close."""

PEERS = {
    "bound": (charts.RAW, "line-ns"),
    "inline": (charts.BODY, "square"),
    "ltsc": (charts.METHOD_COLORS["ltsc"], "circle"),
    "zip2zip": (OTHER, "triangle-up"),
    "delta-ltsc": (LOSSY, "diamond"),
}
"""What the chart of peers shows of the table: colour and sign."""

SPEED = {
    "hugging_face": ("Hugging Face's tokenizer", charts.RAW, "circle"),
    "tiktoken": ("tiktoken", charts.RAW, "circle-open"),
    "ltsc": ("compress, ltsc", charts.METHOD_COLORS["ltsc"], "circle"),
    "inline": ("compress, inline", charts.BODY, "square"),
}


def group_of(form: str) -> str:
    """The group of a prompt form's name.

    >>> [group_of(form) for form in ("raw", "inline", "inline/plain", "random@inline")]
    ['raw', 'compressed', 'compressed, plain', 'lossy']
    """
    if "@" in form:
        return "lossy"
    if form.endswith("/plain"):
        return "compressed, plain"
    return "raw" if form == "raw" else "compressed"


def accuracy_figure(results: Mapping[str, Any], score: str = "exact_match") -> go.Figure:
    """How well each form of the prompt was answered, with its 95 % interval.

    Args:
        results: an evaluation's `results`, by form: `exact_match` and `ci95`, shares from 0 to 1.
        score: which one of theirs; the interval of another one is `{score}_ci95`.

    >>> forms = {"raw": {"exact_match": 0.5, "ci95": [0.4, 0.6]}, "inline": {"exact_match": 0.25, "ci95": [0.2, 0.3]}}
    >>> [(part.name, list(part.y), list(part.x)) for part in accuracy_figure(forms).data]
    [('raw', ['raw'], [50.0]), ('compressed', ['inline'], [25.0])]
    """
    figure = go.Figure()
    for group, (color, symbol) in GROUPS.items():
        forms = [form for form in results if group_of(form) == group]
        if forms:
            figure.add_scatter(
                name=group,
                x=[100 * results[form][score] for form in forms],
                y=[escape(form) for form in forms],
                error_x=_errors([results[form] for form in forms], score),
                mode="markers",
                marker={"color": color, "symbol": symbol, "size": 9},
                hovertemplate="%{y}: %{x:.1f} %<extra></extra>",
            )
    charts.style(figure)
    figure.update_layout(height=130 + 24 * len(results))
    figure.update_xaxes(title={"text": _score_label(score), "standoff": 6}, range=[0, 103], dtick=20)
    figure.update_yaxes(
        categoryorder="array", categoryarray=[escape(form) for form in reversed(list(results))], dtick=1
    )
    _legend(figure, 24 * len(results))
    return figure


def tokens_figure(results: Mapping[str, Any], score: str = "exact_match") -> go.Figure:
    """Accuracy with its 95 % interval against the mean length of the prompt, in tokens.

    Args:
        results: as for `accuracy_figure`, with `tokens`.
        score: as for `accuracy_figure`.
    """
    figure = go.Figure()
    series: dict[str, list[str]] = {}
    for form in results:
        group = group_of(form)
        series.setdefault(form.partition("@")[0] if group == "lossy" else group, []).append(form)
    for name, forms in series.items():
        group = group_of(forms[0])
        color, symbol = GROUPS[group]
        labelled = group in ("raw", "compressed")
        figure.add_scatter(
            name=escape(name),
            x=[results[form]["tokens"] for form in forms],
            y=[100 * results[form][score] for form in forms],
            error_y=_errors([results[form] for form in forms], score),
            mode="markers+text" if labelled else "markers",
            marker={"color": color, "symbol": BASELINES.get(name, symbol), "size": 10},
            text=[escape(form) for form in forms] if labelled else None,
            textposition=[AROUND[i % len(AROUND)] for i in range(len(forms))],
            customdata=[escape(form) for form in forms],
            hovertemplate="%{customdata}: %{y:.1f} % at %{x:.0f} tokens<extra></extra>",
        )
    charts.style(figure)
    longest = max(form["tokens"] for form in results.values())
    figure.update_layout(height=130 + 24 * len(results))
    figure.update_xaxes(title={"text": "tokens of the prompt, mean", "standoff": 6}, range=[0, 1.12 * longest])
    # Above 100 is room for the names of those that are nearly always right.
    figure.update_yaxes(title={"text": _score_label(score), "standoff": 6}, range=[0, 112], dtick=20)
    _legend(figure, 24 * len(results))
    return figure


def peers_figure(rows: Sequence[Mapping[str, Any]]) -> go.Figure:
    """What is saved of each text, by metatok and by other packages, up to the bound that no grammar can pass.

    Args:
        rows: `peers` of `benchmarks.engine`: a text's savings as shares from 0 to 1, None where a package fails;
            `"NAME restores"` is False where it does not give the text back, which is drawn hollow.

    >>> row = {"text": "a.log", "bound": 0.9, "inline": 0.8, "delta-ltsc": 0.3, "delta-ltsc restores": False}
    >>> figure = peers_figure([row])
    >>> [(part.name, list(part.x), part.marker.symbol) for part in figure.data]
    [('bound', [90.0], ('line-ns',)), ('inline', [80.0], ('square',)), ('delta-ltsc', [30.0], ('diamond-open',))]
    """
    figure = go.Figure()
    for name, (color, symbol) in PEERS.items():
        found = [
            (row["text"], row[name], row.get(f"{name} restores", True)) for row in rows if row.get(name) is not None
        ]
        if found:
            figure.add_scatter(
                name=name,
                x=[100 * saving for _, saving, _ in found],
                y=[escape(text) for text, _, _ in found],
                mode="markers",
                marker={
                    "color": color,
                    "symbol": [symbol if exact else f"{symbol}-open" for _, _, exact in found],
                    "size": 14 if name == "bound" else 9,
                    "line": {"width": 2, "color": color},
                },
                customdata=["" if exact else ", but the text does not come back" for _, _, exact in found],
                hovertemplate=f"{escape(name)}: %{{x:.1f}} %%{{customdata}}<extra>%{{y}}</extra>",
            )
    charts.style(figure)
    figure.update_layout(height=130 + 26 * len(rows))
    figure.update_xaxes(title={"text": "tokens saved, %", "standoff": 6}, range=[0, 100], dtick=20)
    figure.update_yaxes(categoryorder="array", categoryarray=[escape(row["text"]) for row in reversed(rows)], dtick=1)
    _legend(figure, 26 * len(rows))
    return figure


def speed_figure(rows: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Milliseconds against tokens, both logarithmic: tokenizers, and compressing what they made.

    Args:
        rows: `speed` of `benchmarks.engine`.
    """
    figure = go.Figure()
    for name, (label, color, symbol) in SPEED.items():
        found = [row for row in rows if row.get(name)]
        if found:
            figure.add_scatter(
                name=label,
                x=[row["tokens"] for row in found],
                y=[row[name] for row in found],
                mode="markers",
                marker={"color": color, "symbol": symbol, "size": 8},
                customdata=[escape(row["text"]) for row in found],
                hovertemplate=f"{label}: %{{y:,.1f}} ms<extra>%{{customdata}}, %{{x:,}} tokens</extra>",
            )
    charts.style(figure)
    tokens = [row["tokens"] for row in rows]
    span = [log10(min(tokens)) - 0.15, log10(max(tokens)) + 0.15]
    figure.update_xaxes(title={"text": "tokens", "standoff": 6}, type="log", range=span, dtick=1, tickformat="~s")
    figure.update_yaxes(title={"text": "milliseconds", "standoff": 6}, type="log", dtick=1, tickformat="~r")
    return figure


def _score_label(score: str) -> str:
    return "exactly right, %" if score == "exact_match" else f"{score.replace('_', ' ')}, %"


def _errors(forms: Iterable[Mapping[str, Any]], score: str) -> dict[str, Any]:
    """Plotly's error bars, in percent."""
    interval = "ci95" if score == "exact_match" else f"{score}_ci95"
    made = [(form[score], *form[interval]) for form in forms]
    return {
        "type": "data",
        "symmetric": False,
        "array": [100 * (high - share) for share, _, high in made],
        "arrayminus": [100 * (share - low) for share, low, _ in made],
        "thickness": 1.5,
        "width": 4,
    }


def _legend(figure: go.Figure, plot_height: int) -> None:
    """The legend at the same distance below an axis, however high the chart is."""
    figure.update_layout(legend={"y": -58 / plot_height})
