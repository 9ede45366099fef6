"""The chart of Compare: what it says of rows, at the edges too, and whether its colours stand out and apart."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from itertools import combinations

import pytest

pytest.importorskip("plotly")

from metatok.codec import EFFORTS, METHODS
from metatok.views import charts
from metatok.views.comparison import EFFORT_SYMBOLS, comparison_figure
from tests.test_charts import _contrast


@dataclass
class Row:
    method: str
    effort: str
    meta_tokens: int | None
    saving: float | None
    seconds: float | None


ROWS = [
    Row("ltsc", "default", 64, 0.25, 0.001),
    Row("inline", "default", 64, 0.5, 0.002),
    Row("inline", "default", None, 0.625, 0.003),
    Row("inline", "max", 64, 0.75, 0.5),
    Row("flat", "max", 64, None, None),
]


def test_marks_are_where_the_rows_say() -> None:
    figure = comparison_figure(ROWS, 1000, 200)
    marks = {trace.name: trace for trace in figure.data if not trace.showlegend and trace.x[0] is not None}
    assert {name: (list(mark.x), list(mark.y), list(mark.customdata)) for name, mark in marks.items()} == {
        "ltsc, default": ([1], [25], ["64"]),
        "inline, default": ([2, 3], [50, 62.5], ["64", "as many as pay"]),
        "inline, max": ([500], [75], ["64"]),
    }
    for name, mark in marks.items():
        method, effort = name.split(", ")
        assert mark.marker.color == charts.METHOD_COLORS[method]
        assert mark.marker.symbol == EFFORT_SYMBOLS[effort]
    legend = [trace.name for trace in figure.data if trace.showlegend is not False]
    assert legend == ["ltsc", "inline", "default", "max"]
    (line,) = figure.layout.shapes
    assert (line.y0, line.y1) == (80, 80)
    assert figure.layout.annotations[0].text == "no grammar saves more than 80.0 % (LZ77)"
    assert figure.layout.yaxis.range[1] > 80
    assert not re.search(r"https?://", figure.to_json())


@pytest.mark.parametrize(
    ("rows", "original", "bound"), [([], 0, 0), ([], 5, 5), ([Row("flat", "fast", 1, 0.0, 0.0)], 5, 5)]
)
def test_next_to_nothing(rows: list[Row], original: int, bound: int) -> None:
    figure = comparison_figure(rows, original, bound)
    json.loads(figure.to_json())
    assert figure.layout.xaxis.range[0] < figure.layout.xaxis.range[1]
    assert figure.layout.yaxis.range[1] > 0


def test_an_impossible_bound_is_refused() -> None:
    with pytest.raises(ValueError, match="the bound must be 0 to 5"):
        comparison_figure([], 5, 6)


def test_every_method_and_effort_has_a_look_of_its_own() -> None:
    assert set(charts.METHOD_COLORS) == set(METHODS)
    assert set(EFFORT_SYMBOLS) == set(EFFORTS)
    assert len(set(EFFORT_SYMBOLS.values())) == len(EFFORTS)
    for color in charts.METHOD_COLORS.values():
        for page in ("#ffffff", "#0b0f19", "#27272a"):
            assert _contrast(color, page) >= 3
    for a, b in combinations(charts.METHOD_COLORS.values(), 2):
        assert sum(abs(int(a[i : i + 2], 16) - int(b[i : i + 2], 16)) for i in (1, 3, 5)) > 150
