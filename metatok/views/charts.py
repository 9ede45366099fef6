"""The two charts of the page: how much shorter a prompt got, and what that saves.

Pure functions from numbers to a plotly `Figure`; they compress nothing and know nothing of gradio. The
numbers of the second chart come from `metatok.compute`.

A figure does not learn whether its page is light or dark (gradio draws both the same), so these work on
either: transparent backgrounds, colours that stand out from white and from near-black alike, and text in a
mid grey. A page can do better for the text by including `CSS`, which gives it the colour of the page's own.
Labels are short and the legend sits below, so that a screen of 390 pixels is enough.
"""

from __future__ import annotations

import html
from math import log10

import plotly.graph_objects as go

from metatok.compute import Architecture, crossover, prefill, quadratic_saving

__all__ = ["BODY", "CSS", "DICTIONARY", "METHOD_COLORS", "RAW", "TEXT", "compute_figure", "length_figure", "style"]

# White text has a contrast of 4.5 or more on each; each has 3 or more on white, near-black and a dark panel.
RAW = "#6f7684"
"""The raw prompt, in every chart."""
BODY = "#2e6cf0"
"""The compressed prompt, in every chart; its body where the dictionary is shown apart."""
DICTIONARY = "#ba580c"
"""The dictionary of a compressed prompt."""
METHOD_COLORS = {"ltsc": "#8d6d07", "flat": "#0b8478", "nested": "#bf40a6", "inline": BODY}
"""Each method, wherever several are compared; `inline` is what the page compresses with unless told otherwise."""

TEXT = "#7b818b"
"""Text in every chart: a contrast of 3.7 or more on all three, which is what one colour can do."""
_GRID = "rgba(128, 136, 148, 0.28)"

CSS = """
.js-plotly-plot :is(:is(.xtick, .ytick, .textpoint) text, .bartext-outside),
.js-plotly-plot .infolayer :is(.xtitle, .ytitle, .legendtext) {
  fill: var(--body-text-color, currentColor) !important;
}
"""
"""Gives the text of the charts the colour of the page's text, for a page whose theme can change."""

# With fixed axes only "save as picture" is of use.
_BUTTONS = [
    "zoom",
    "pan",
    "select",
    "lasso",
    "zoomin",
    "zoomout",
    "autoscale",
    "resetscale",
    "senddatatocloud",
]

_LONGEST = 1_000_000  # tokens; the longest prompts that models are offered with
_POINTS = 60


def length_figure(original_tokens: int, dictionary_tokens: int, body_tokens: int) -> go.Figure:
    """Two bars: the prompt before, and after as dictionary and body.

    Args:
        original_tokens: length of the raw prompt.
        dictionary_tokens: ids of the compressed prompt that write the phrases down; may be 0.
        body_tokens: all its other ids.

    Raises:
        ValueError: a negative count.

    >>> figure = length_figure(1000, 150, 450)
    >>> [(bar.name, list(bar.y), list(bar.x)) for bar in figure.data]
    [('raw', ['before'], [1000]), ('dictionary', ['after'], [150]), ('body', ['after'], [450])]
    >>> list(figure.layout.yaxis.ticktext)
    ['before<br>1,000', 'after<br>600']
    """
    _check(original_tokens=original_tokens, dictionary_tokens=dictionary_tokens, body_tokens=body_tokens)
    compressed_tokens = dictionary_tokens + body_tokens
    longest = max(original_tokens, compressed_tokens, 1)
    figure = go.Figure()
    parts = [
        ("raw", "before", original_tokens, RAW),
        ("dictionary", "after", dictionary_tokens, DICTIONARY),
        ("body", "after", body_tokens, BODY),
    ]
    for name, row, tokens, color in parts:
        if name == "dictionary" and not tokens:
            continue
        figure.add_bar(
            name=name,
            x=[tokens],
            y=[row],
            orientation="h",
            marker={"color": color, "line": {"width": 0}},
            text=[f"{tokens:,}"],
            textposition="inside",
            insidetextanchor="middle",
            textangle=0,
            textfont={"color": "white"},
            hovertemplate=f"{name}: %{{x:,}} tokens<extra></extra>",
        )
    style(figure)
    figure.update_layout(barmode="stack", bargap=0.5, uniformtext={"minsize": 10, "mode": "hide"})
    figure.update_xaxes(
        title={"text": "tokens", "standoff": 6},
        range=[0, 1.02 * longest],
        tickformat="~s",
        nticks=6,
        dtick=1 if longest <= 5 else None,  # there are no half tokens
    )
    figure.update_yaxes(
        tickvals=["before", "after"],
        ticktext=[f"before<br>{original_tokens:,}", f"after<br>{compressed_tokens:,}"],
        categoryorder="array",
        categoryarray=["after", "before"],
        showgrid=False,
    )
    return figure


def compute_figure(
    arch: Architecture,
    original_tokens: int,
    compressed_tokens: int,
    *,
    causal: bool = False,
    overtaking: bool = False,
) -> go.Figure:
    """Prefill FLOPs against prompt length: raw and compressed at this saving, quadratic part and total.

    Both axes are logarithmic. The position on the horizontal axis is the length of the raw prompt; the
    compressed curves show what a prompt of that length costs when it shrinks by the same share. Two dots mark
    the prompt itself. An empty prompt has no saving and no dots: the raw curves alone are shown.

    Args:
        arch: the model that reads the prompt.
        original_tokens, compressed_tokens: lengths of this prompt, raw and compressed.
        causal: which entries of the attention matrix count, see `metatok.compute.prefill`.
        overtaking: mark the length at which the raw prompt's quadratic part overtakes the rest, if the chart
            reaches so far.

    Raises:
        ValueError: a negative count, or tokens made from an empty prompt.

    >>> from metatok.compute import PRESETS
    >>> figure = compute_figure(PRESETS["Llama-3.1-8B"], 8000, 6000)
    >>> [line.name for line in figure.data]
    ['raw: total', 'raw: quadratic part', 'compressed: total', 'compressed: quadratic part', 'this prompt']
    """
    _check(original_tokens=original_tokens, compressed_tokens=compressed_tokens)
    quadratic_saving(original_tokens, compressed_tokens)  # refuses tokens made from an empty prompt
    lengths = _lengths(original_tokens)

    def shrunk(n: int) -> int:
        return (2 * n * compressed_tokens + original_tokens) // (2 * original_tokens)

    curves = [("raw", RAW, lengths)]
    if original_tokens:
        curves.append(("compressed", BODY, [shrunk(n) for n in lengths]))
    figure = go.Figure()
    for name, color, read in curves:
        flops = [prefill(arch, n, causal=causal) for n in read]
        # Floats, because FLOPs of long prompts do not fit the 64-bit integers of JSON writers.
        totals = [float(each.total) for each in flops]
        quadratics = [float(each.quadratic) for each in flops]
        for part, y, dash in [("total", totals, "solid"), ("quadratic part", quadratics, "dot")]:
            figure.add_scatter(
                name=f"{name}: {part}",
                x=lengths,
                y=[value or None for value in y],  # a logarithm has no 0
                mode="lines",
                line={"color": color, "width": 2.5, "dash": dash},
                hovertemplate="%{y:.3s}",
            )
    if original_tokens:
        figure.add_scatter(
            name="this prompt",
            x=[original_tokens, original_tokens],
            y=[float(prefill(arch, n, causal=causal).total) or None for n in (original_tokens, compressed_tokens)],
            mode="markers+text",
            marker={"color": [RAW, BODY], "size": 11, "line": {"color": "white", "width": 2}},
            text=["this prompt", ""],
            # The curves rise: above and to the left of a point is room, except at the left edge.
            textposition="top left" if original_tokens > 10 * lengths[0] else "bottom right",
            cliponaxis=False,
            hoverinfo="skip",
            showlegend=False,
        )
    first, last = lengths[0], lengths[-1]
    length = crossover(arch, causal=causal) if overtaking else None
    if length is not None and first <= length <= last:
        figure.add_vline(length, line={"color": TEXT, "width": 1, "dash": "dash"})
        figure.add_scatter(
            name=f"half is quadratic: {length:,} tokens",
            x=[length],
            y=[float(prefill(arch, length, causal=causal).quadratic)],
            mode="markers",
            marker={"color": TEXT, "size": 11, "symbol": "diamond", "line": {"color": "white", "width": 2}},
            hoverinfo="skip",
        )
    style(figure)
    figure.update_layout(hovermode="x unified")
    figure.update_xaxes(
        title={"text": "raw prompt, tokens", "standoff": 6},
        type="log",
        range=[log10(first) - 0.05, log10(last) + 0.05],
        dtick=1,
        tickformat="~s",
        showspikes=False,  # its halo is white, whatever the page
        unifiedhovertitle={"text": "%{x:,} tokens"},
    )
    figure.update_yaxes(
        # The name may come from a config; plotly reads some tags in labels.
        title={"text": f"prefill FLOPs, {html.escape(arch.name[:40])}", "standoff": 6},
        type="log",
        dtick=2,
        tickformat="~s",
    )
    return figure


def _lengths(original_tokens: int) -> list[int]:
    """Prompt lengths spread evenly on a logarithmic axis that holds this prompt, which is one of them.

    >>> _lengths(8000)[:3], _lengths(8000)[-1], 8000 in _lengths(8000), _lengths(1)[:4]
    ([100, 117, 137], 1000000, True, [1, 2, 3, 4])
    """
    first = min(max(original_tokens // 20, 1), 100)
    last = max(original_tokens, _LONGEST)
    ratio = last / first
    lengths = {round(first * ratio ** (i / (_POINTS - 1))) for i in range(_POINTS)}
    return sorted(lengths | {first, last} | ({original_tokens} if original_tokens else set()))


def style(figure: go.Figure) -> None:
    """What all charts share: transparent, mid-toned, legend below, nothing that scrolling could catch on.

    They are equally high because they stand side by side. The margin at the top is where gradio lays a plot's label.
    """
    figure.update_layout(
        template="none",
        height=410,
        margin={"l": 8, "r": 12, "t": 36, "b": 8},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": TEXT, "size": 12, "family": "system-ui, sans-serif"},
        legend={
            "orientation": "h",
            "x": 0,
            "xanchor": "left",
            "y": -0.21,
            "yanchor": "top",
            "traceorder": "normal",
        },
        hoverlabel={"bgcolor": "#1f2937", "bordercolor": "#1f2937", "font": {"color": "white", "size": 12}},
        dragmode=False,
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": TEXT, "activecolor": BODY, "remove": _BUTTONS},
    )
    figure.update_xaxes(automargin=True, fixedrange=True, gridcolor=_GRID, linecolor=_GRID, zeroline=False, ticks="")
    figure.update_yaxes(automargin=True, fixedrange=True, gridcolor=_GRID, linecolor=_GRID, zeroline=False, ticks="")


def _check(**counts: int) -> None:
    for name, count in counts.items():
        if count < 0:
            raise ValueError(f"{name} must be 0 or more, got {count}")
