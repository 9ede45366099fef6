"""Figures in a notebook: the app's colours and look, and a static picture that also GitHub shows.

    from metatok.views.notebook import COLORS, show
    show(px.line(table, x="tokens", y="ms", color="method", color_discrete_map=COLORS))

A plotly figure in a notebook is JSON that a script draws; GitHub and e-mail do not run the script. `show` puts a PNG
in its place where one can be made, which takes the package kaleido and a Chromium, and else the figure itself, which
Colab and Jupyter draw. It does not make figures: that is `metatok.views.charts`, or a line of plotly.
"""

from __future__ import annotations

import functools
import importlib.util

import plotly.graph_objects as go

from metatok.views.charts import BODY, DICTIONARY, METHOD_COLORS, RAW

__all__ = ["COLORS", "TEMPLATE", "png", "show"]

COLORS = {"raw": RAW, **METHOD_COLORS, "lossy": DICTIONARY, "bound": "#18181b"}
"""A colour for each kind of prompt: the app's for what it draws."""

_INK, _SOFT, _RULE = "#18181b", "#5b5b66", "#e1e1e6"  # the light page's text, second text and lines

TEMPLATE = go.layout.Template(
    layout={
        "colorway": [BODY, DICTIONARY, COLORS["ltsc"], COLORS["flat"], COLORS["nested"], RAW],
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "font": {"family": "IBM Plex Sans, system-ui, sans-serif", "size": 13, "color": _INK},
        "title": {"font": {"size": 15}, "x": 0, "xref": "paper", "xanchor": "left"},
        "margin": {"l": 8, "r": 24, "t": 48, "b": 8},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "title": {"text": ""}},
        "xaxis": {"gridcolor": _RULE, "linecolor": _SOFT, "zeroline": False, "automargin": True, "ticks": "outside"},
        "yaxis": {"gridcolor": _RULE, "linecolor": _SOFT, "zeroline": False, "automargin": True, "ticks": "outside"},
        "colorscale": {"sequential": [[0, "white"], [1, BODY]]},
    }
)
"""The look: white paper, as a picture cannot follow its page into the dark."""


def show(figure: go.Figure, *, width: int = 860, height: int = 400) -> None:
    """Display a plotly figure in the notebook: as a PNG where that can be made, else interactive.

    Args:
        figure: is not changed. What it sets itself stays, but for the paper; the rest of its look is `TEMPLATE`.
        width, height: pixels.
    """
    from IPython.display import Image, display

    picture = png(figure, width=width, height=height)
    display(_styled(figure, width, height) if picture is None else Image(picture, width=width, height=height))


def png(figure: go.Figure, *, width: int = 860, height: int = 400) -> bytes | None:
    """The picture of a figure, at one and a half times the resolution; None without kaleido or a Chromium.

    The first call in a process starts the browser, which ends with the process.
    """
    if not _browser():
        return None
    import kaleido

    options = {"format": "png", "width": width, "height": height, "scale": 1.5}
    return bytes(kaleido.calc_fig_sync(_styled(figure, width, height), opts=options))


def _styled(figure: go.Figure, width: int, height: int) -> go.Figure:
    styled = go.Figure(figure)
    styled.update_layout(template=TEMPLATE, width=width, height=height)
    # Paper and ink also where the figure is one of the app's, which are transparent for pages of either theme.
    styled.update_layout(paper_bgcolor="white", plot_bgcolor="white", font_color=_INK)
    # plotly.express calls a legend after its column, which the axes and the text around have said.
    return styled.update_layout(legend_title_text="")


@functools.cache
def _browser() -> bool:
    """Whether pictures can be made; if so the browser runs from here on, as starting one takes seconds."""
    if importlib.util.find_spec("kaleido") is None:
        return False
    import kaleido
    from choreographer.browsers.chromium import Chromium

    if Chromium.find_browser(skip_local=False) is None:  # it also looks at BROWSER_PATH
        return False
    kaleido.start_sync_server(n=1, mathjax=False, silence_warnings=True)
    return True
