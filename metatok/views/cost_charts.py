"""The charts of costs: the parts of a prefill, and what a prompt costs that is sent again and again.

Pure functions from numbers to a plotly `Figure`, in the colours and manners of `metatok.views.charts`. The numbers come
from `metatok.compute`.
"""

from __future__ import annotations

import html
from math import log10

import plotly.graph_objects as go

from metatok.compute import Architecture, Prices, break_even_uses, prefill, prompt_cost
from metatok.views.charts import BODY, RAW, TEXT, style
from metatok.views.numbers import counted, si

__all__ = ["PARTS", "PROMPTS", "kept_tokens", "money_figure", "parts_figure"]

PARTS = {
    "projections": "projections",
    "mlp": "MLP",
    "attention_matrix": "attention matrix, n²",
    "attention_values": "attention over values, n²",
}
"""The four parts of a prefill by their names in `metatok.compute.Flops`, and what people read; n²: the quadratic part.

The logits of the last position are left out: they are read once, however long the prompt is."""

PROMPTS = 1000
"""Money is shown for so many prompts, because one costs fractions of a cent."""

_POINTS = 50


def parts_figure(arch: Architecture, raw: int, compressed: int, *, causal: bool = False) -> go.Figure:
    """Bars: the FLOPs of each part of the prefill, raw beside compressed.

    Args:
        arch: the model that reads the prompt.
        raw, compressed: lengths of the prompt in tokens.
        causal: as in `metatok.compute.prefill`.

    Raises:
        ValueError: a negative length.

    >>> from metatok.compute import PRESETS
    >>> figure = parts_figure(PRESETS["Llama-3.1-8B"], 8000, 6000)
    >>> [(bars.name, len(bars.x)) for bars in figure.data]
    [('raw', 4), ('compressed', 4)]
    """
    labels = [label.replace("attention ", "attention<br>") for label in PARTS.values()]
    figure = go.Figure()
    longest = 0.0
    for name, color, n in (("raw", RAW, raw), ("compressed", BODY, compressed)):
        flops = prefill(arch, n, causal=causal)
        values = [float(getattr(flops, part)) for part in PARTS]
        longest = max(longest, *values)
        figure.add_bar(
            name=name,
            x=values,
            y=labels,
            orientation="h",
            marker={"color": color, "line": {"width": 0}},
            text=[si(value) for value in values],
            textangle=0,
            textposition="outside",
            cliponaxis=False,
            hovertemplate=f"{name}: %{{x:.4s}}FLOPs<extra></extra>",
        )
    style(figure)
    figure.update_layout(barmode="group", bargap=0.3, bargroupgap=0.08)
    figure.update_xaxes(
        title={"text": f"prefill FLOPs, {html.escape(arch.name[:40])}", "standoff": 6},
        range=[0, 1.18 * longest or 1],
        tickformat="~s",
        nticks=5,
    )
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return figure


def kept_tokens(raw: int, compressed: int, cached: int) -> int:
    """How long the cached beginning is when it is compressed by itself and saves the same share as the whole.

    >>> kept_tokens(1000, 400, 900), kept_tokens(0, 0, 0)
    (360, 0)
    """
    return round(cached * compressed / raw) if raw else 0


def money_figure(prices: Prices, raw: int, compressed: int, *, uses: int, cached: int) -> go.Figure:
    """Lines: the average price of a prompt against how often its beginning is used.

    Raw with its beginning in the cache, compressed as a whole and so read anew each time, and compressed with a
    beginning that is compressed by itself and stays in the cache. Dots mark `uses`, a diamond the number of uses from
    which compression costs more than it saves. Without a cache the price does not depend on the uses: two lines.

    Args:
        prices: in dollars per million tokens.
        raw, compressed: lengths of the prompt in tokens; 1 or more.
        uses: how often the prompt is sent; 1 or more.
        cached: tokens at the beginning of the raw prompt that are the same each time and cached; 0 for no cache.

    Raises:
        ValueError: a count out of range.

    >>> figure = money_figure(Prices(3.0, 0.3, 3.75), 10_000, 7_300, uses=20, cached=9_000)
    >>> [line.name for line in figure.data][:3]
    ['raw, cached', 'compressed, cache lost', 'compressed, cache kept']
    >>> figure.data[-1].name
    'compression costs more: from 2 uses'
    """
    first = break_even_uses(prices, raw, compressed, cached=cached) if cached else None
    last = max(100, 5 * uses, 5 * first if first is not None and first <= 10 * max(uses, 100) else 0)
    steps = sorted({round(last ** (i / (_POINTS - 1))) for i in range(_POINTS)} | {uses})
    if cached:
        lines = [
            ("raw, cached", RAW, "solid", raw, cached),
            ("compressed, cache lost", BODY, "solid", compressed, 0),
            ("compressed, cache kept", BODY, "dot", compressed, kept_tokens(raw, compressed, cached)),
        ]
    else:
        lines = [("raw", RAW, "solid", raw, 0), ("compressed", BODY, "solid", compressed, 0)]

    def price(tokens: int, held: int, k: int) -> float:
        return PROMPTS * prompt_cost(prices, tokens, uses=k, cached=held) / k

    figure = go.Figure()
    for name, color, dash, tokens, held in lines:
        figure.add_scatter(
            name=name,
            x=steps,
            y=[price(tokens, held, k) for k in steps],
            mode="lines",
            line={"color": color, "width": 2.5, "dash": dash},
            hovertemplate="$%{y:,.3~f}",
        )
    figure.add_scatter(
        x=[uses] * len(lines),
        y=[price(tokens, held, uses) for *_, tokens, held in lines],
        mode="markers",
        marker={"color": [line[1] for line in lines], "size": 11, "line": {"color": "white", "width": 2}},
        cliponaxis=False,
        hoverinfo="skip",
        showlegend=False,
    )
    if first is not None and first <= last:
        figure.add_vline(first, line={"color": TEXT, "width": 1, "dash": "dash"})
        figure.add_scatter(
            name=f"compression costs more: from {counted(first, 'use')}",
            x=[first],
            y=[price(compressed, 0, first)],
            mode="markers",
            marker={"color": TEXT, "size": 11, "symbol": "diamond", "line": {"color": "white", "width": 2}},
            cliponaxis=False,
            hoverinfo="skip",
        )
    style(figure)
    figure.update_layout(hovermode="x unified")
    figure.update_xaxes(
        title={"text": "times the beginning is used", "standoff": 6},
        type="log",
        range=[-0.05, log10(last) + 0.05],
        dtick=1,
        tickformat="~s",
        showspikes=False,
        unifiedhovertitle={"text": "%{x:,} uses"},
    )
    figure.update_yaxes(
        title={"text": f"$ per {PROMPTS:,} prompts", "standoff": 6},
        rangemode="tozero",
        tickformat=",~g",
        nticks=6,
    )
    return figure
