"""The chart of Compare: what each method, effort and pool saves, against the time that it takes.

A pure function from rows to a plotly `Figure`, in the manner of `metatok.views.charts`: it works on a light and on a
dark page, and on a screen of 390 pixels. The colour is the method's, the shape the effort's; pointing at a mark tells
the pool.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log10
from typing import Any, Protocol

import plotly.graph_objects as go

from metatok.views.charts import METHOD_COLORS, RAW, TEXT, style

__all__ = ["EFFORT_SYMBOLS", "comparison_figure"]

EFFORT_SYMBOLS = {"fast": "triangle-up", "default": "circle", "max": "diamond"}


class Measured(Protocol):
    """What is read of a row; see `metatok.demo.comparison.Row`."""

    @property
    def method(self) -> Any: ...
    @property
    def effort(self) -> Any: ...
    @property
    def meta_tokens(self) -> int | None: ...
    @property
    def saving(self) -> float | None: ...
    @property
    def seconds(self) -> float | None: ...


def comparison_figure(rows: Sequence[Measured], original_tokens: int, bound: int) -> go.Figure:
    """Saving in percent against milliseconds, which are on a logarithmic axis, and the LZ77 bound as a line.

    Args:
        rows: configurations; those without a saving are left out.
        original_tokens: ids of the raw prompt or of all documents together.
        bound: ids that no method can go below.

    Raises:
        ValueError: a bound above the length, or a negative count.
    """
    if not 0 <= bound <= original_tokens:
        raise ValueError(f"the bound must be 0 to {original_tokens}, got {bound}")
    figure = go.Figure()
    measured = [row for row in rows if row.saving is not None and row.seconds is not None]
    groups: dict[tuple[str, str], list[Measured]] = {}
    for row in measured:
        groups.setdefault((row.method, row.effort), []).append(row)
    for (method, effort), group in groups.items():
        figure.add_scatter(
            name=f"{method}, {effort}",
            showlegend=False,
            x=[1000 * (row.seconds or 0) for row in group],
            y=[100 * (row.saving or 0) for row in group],
            mode="markers",
            marker=_marker(METHOD_COLORS[method], EFFORT_SYMBOLS[effort]),
            customdata=["as many as pay" if row.meta_tokens is None else f"{row.meta_tokens:,}" for row in group],
            hovertemplate=f"{method}, {effort}, meta-tokens: %{{customdata}}<br>"
            "%{y:.1f} % saved in %{x:.3~r} ms<extra></extra>",
        )
    legend = [(method, _marker(METHOD_COLORS[method], "square")) for method in dict.fromkeys(m for m, _ in groups)]
    legend += [(effort, _marker(RAW, EFFORT_SYMBOLS[effort])) for effort in dict.fromkeys(e for _, e in groups)]
    for name, marker in legend:
        figure.add_scatter(name=name, x=[None], y=[None], mode="markers", marker=marker, hoverinfo="skip")
    style(figure)
    most = 100 * (1 - bound / original_tokens) if original_tokens else 0.0
    figure.add_hline(
        y=most,
        line={"color": RAW, "width": 1.5, "dash": "dash"},
        annotation={
            "text": f"no grammar saves more than {most:.1f} % (LZ77)",
            "font": {"size": 12, "color": TEXT},
            "xanchor": "left",
            "x": 0,
            "yanchor": "bottom",
        },
    )
    times = [log10(1000 * row.seconds) for row in measured if row.seconds]
    first, last = (min(times) - 0.2, max(times) + 0.2) if times else (0, 3)
    figure.update_layout(hovermode="closest")
    figure.update_xaxes(
        title={"text": "time to compress, ms", "standoff": 6},
        type="log",
        range=[first, last],
        dtick=1 if last - first > 2.2 else "D2",  # D2: also at 2 and 5
        tickformat=",~r",
    )
    figure.update_yaxes(
        title={"text": "tokens saved, %", "standoff": 6},
        range=[0, 1.15 * max(most, 1)],
    )
    return figure


def _marker(color: str, symbol: str) -> dict[str, Any]:
    return {"color": color, "symbol": symbol, "size": 11, "line": {"color": "white", "width": 1}}
