"""Strips: token sequences as rows of boxes, to the same scale, a phrase in its colour.

The token view's strips (`tokens.css`) for where there is no page to script: in notebooks, in pictures. Pure functions
from plain data to a plotly `Figure`; the hues are those of the token view.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import cos, pi, sin

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike

__all__ = ["phrase_color", "strips_figure"]

PLAIN = "#e4e4e9"
"""Tokens of no phrase."""

_HUES = 16  # as the classes k0 … k15 of tokens.css
_GOLDEN_ANGLE = 137.508


def phrase_color(m: int) -> str:
    """The colour of meta-token m, m = 0, 1, 2, …, as the token view's strips have it on white; #rrggbb.

    >>> phrase_color(0), phrase_color(1), phrase_color(16) == phrase_color(0)
    ('#fb9ebb', '#9acf86', True)
    """
    hue = m % _HUES * _GOLDEN_ANGLE % 360 * pi / 180
    return _from_oklch(0.8, 0.115, hue)


def strips_figure(rows: Mapping[str, tuple[Sequence[str] | None, ArrayLike]]) -> go.Figure:
    """One strip a sequence, the first on top.

    Args:
        rows: {name: (labels, phrases)}, of n tokens each: what to write on the tokens, or None for nothing, and the
            number m of the phrase that each belongs to, (n,) integers, negative for none. For a `Compressed` c these
            are `c.owner - codec.first_meta` before, and `np.where(c.ids >= codec.first_meta, c.ids, c.defines) -
            codec.first_meta` after.

    Raises:
        ValueError: labels for another number of tokens.

    >>> figure = strips_figure({"raw": (["a", "b", "a", "b"], [0, 0, 0, 0]), "inline": (None, [0, 0, -1])})
    >>> [(bar.name, list(bar.x), list(bar.base)) for bar in figure.data]
    [('raw', [1, 1, 1, 1], [0, 1, 2, 3]), ('inline', [2, 1], [0, 2])]
    """
    figure = go.Figure()
    for name, (labels, phrases) in rows.items():
        numbers = np.asarray(phrases, dtype=np.int64)
        if labels is None:  # equal neighbours are one box
            starts = np.flatnonzero(np.diff(numbers, prepend=numbers[:1] - 1))
        elif len(labels) == len(numbers):
            starts = np.arange(len(numbers))
        else:
            raise ValueError(f"{name} has {len(labels)} labels for {len(numbers)} tokens")
        figure.add_bar(
            name=name,
            y=[name] * len(starts),
            x=np.diff(starts, append=len(numbers)).tolist(),
            base=starts.tolist(),
            orientation="h",
            marker={
                "color": [phrase_color(m) if m >= 0 else PLAIN for m in numbers[starts].tolist()],
                "line": {"color": "white", "width": 0 if labels is None else 2},
            },
            text=labels,
            textposition="inside",
            insidetextanchor="middle",
            textangle=0,
            constraintext="none",
            textfont={"color": "#111", "family": "IBM Plex Mono, monospace", "size": 12},
            hoverinfo="skip",
            showlegend=False,
        )
    figure.update_layout(barmode="overlay", bargap=0.35)
    figure.update_xaxes(title={"text": "position in the sequence, tokens"}, showgrid=False)
    figure.update_yaxes(categoryorder="array", categoryarray=list(rows)[::-1], showgrid=False)
    figure.update_yaxes(ticks="", ticklabelstandoff=6)
    return figure


def _from_oklch(lightness: float, chroma: float, hue: float) -> str:
    """#rrggbb of a colour in OKLCH (Björn Ottosson 2020, "A perceptual color space for image processing")."""
    a, b = chroma * cos(hue), chroma * sin(hue)
    long, medium, short = (
        (lightness + i * a + j * b) ** 3
        for i, j in ((0.3963377774, 0.2158037573), (-0.1055613458, -0.0638541728), (-0.0894841775, -1.2914855480))
    )
    linear = (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )
    return "#" + "".join(f"{round(255 * _gamma(min(max(part, 0.0), 1.0))):02x}" for part in linear)


def _gamma(linear: float) -> float:
    """A linear part of sRGB, 0 to 1, as it is written in a colour."""
    return 12.92 * linear if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055
