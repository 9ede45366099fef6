"""The charts: what they say, at the edges too, and that it can be read where they are shown."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

go = pytest.importorskip("plotly.graph_objects")

from metatok.compute import PRESETS, Prices, crossover, prefill  # noqa: E402
from metatok.views import charts  # noqa: E402
from metatok.views.charts import compute_figure, length_figure  # noqa: E402
from metatok.views.cost_charts import money_figure, parts_figure  # noqa: E402
from metatok.views.numbers import si  # noqa: E402

LLAMA = PRESETS["Llama-3.1-8B"]


def _lines(figure: Any) -> dict[str, dict[int, float]]:
    return {line.name: dict(zip(line.x, line.y, strict=True)) for line in figure.data}


def test_length_figure_says_the_lengths() -> None:
    figure = length_figure(6049, 520, 1180)
    bars = {bar.name: bar for bar in figure.data}
    assert {name: (bar.y[0], bar.x[0], bar.text[0]) for name, bar in bars.items()} == {
        "raw": ("before", 6049, "6,049"),
        "dictionary": ("after", 520, "520"),
        "body": ("after", 1180, "1,180"),
    }
    assert figure.layout.barmode == "stack"
    assert {bar.orientation for bar in figure.data} == {"h"}
    assert list(figure.layout.yaxis.ticktext) == ["before<br>6,049", "after<br>1,700"]
    colors = [bar.marker.color for bar in figure.data]
    assert colors == [charts.RAW, charts.DICTIONARY, charts.BODY]
    assert len(set(colors)) == 3


def test_length_figure_without_a_dictionary_shows_none() -> None:
    assert [bar.name for bar in length_figure(900, 0, 900).data] == ["raw", "body"]


@pytest.mark.parametrize("counts", [(0, 0, 0), (1, 0, 1), (3, 2, 3)])
def test_length_figure_at_the_edges(counts: tuple[int, int, int]) -> None:
    axis = length_figure(*counts).layout.xaxis
    assert axis.range[0] == 0
    assert axis.range[1] >= max(counts[0], counts[1] + counts[2], 1)
    assert axis.dtick == 1  # no fractions of a token


def test_compute_figure_follows_the_formulas() -> None:
    figure = compute_figure(LLAMA, 8000, 6000)
    lines = _lines(figure)
    total, compressed = lines["raw: total"], lines["compressed: total"]
    assert min(total) == 100
    assert max(total) == 1_000_000
    assert len(total) > 40
    for n in total:
        assert total[n] == prefill(LLAMA, n).total
        assert lines["raw: quadratic part"][n] == prefill(LLAMA, n).quadratic
        assert compressed[n] == prefill(LLAMA, (3 * n + 2) // 4).total  # the same saving everywhere
        assert lines["compressed: quadratic part"][n] == prefill(LLAMA, (3 * n + 2) // 4).quadratic
    point = figure.data[-1]
    assert list(point.x) == [8000, 8000]
    assert list(point.y) == [prefill(LLAMA, 8000).total, prefill(LLAMA, 6000).total]
    assert (figure.layout.xaxis.type, figure.layout.yaxis.type) == ("log", "log")


def test_compute_figure_of_nothing_and_next_to_nothing() -> None:
    assert list(_lines(compute_figure(LLAMA, 0, 0))) == ["raw: total", "raw: quadratic part"]
    one = compute_figure(LLAMA, 1, 1)
    assert list(one.data[-1].x) == [1, 1]
    assert min(one.data[0].x) == 1
    assert one.data[0].y == one.data[2].y  # nothing saved: the curves lie on each other
    # All of a prompt gone: its curves would be the logarithm of 0.
    assert set(_lines(compute_figure(LLAMA, 50, 0))["compressed: total"].values()) == {None}


def test_compute_figure_reaches_prompts_longer_than_its_range() -> None:
    figure = compute_figure(PRESETS["Llama-3.1-70B"], 10**9, 7 * 10**8)
    assert max(figure.data[0].x) == 10**9
    assert figure.layout.xaxis.range[1] > 9
    # 10^9 tokens are more FLOPs than 64 bits hold, and JSON writers refuse such integers.
    assert json.loads(figure.to_json())["data"][0]["y"][-1] > 2**64


def test_where_the_quadratic_part_overtakes() -> None:
    for causal in (False, True):
        mark = compute_figure(LLAMA, 8000, 6000, causal=causal, overtaking=True).data[-1]
        length = crossover(LLAMA, causal=causal)
        assert list(mark.x) == [length]
        assert list(mark.y) == [prefill(LLAMA, length, causal=causal).quadratic]
        assert mark.name == f"half is quadratic: {length:,} tokens"
    # Windows everywhere: it never does, and nothing is marked.
    windowed = replace(LLAMA, window=512, windowed_layers=LLAMA.layers)
    assert len(compute_figure(windowed, 8000, 6000, overtaking=True).data) == 5


def test_parts_figure_follows_the_formulas() -> None:
    raw, compressed = parts_figure(LLAMA, 8000, 6000, causal=True).data
    for bars, n in ((raw, 8000), (compressed, 6000)):
        flops = prefill(LLAMA, n, causal=True)
        assert list(bars.x) == [flops.projections, flops.mlp, flops.attention_matrix, flops.attention_values]
        assert sum(bars.x) == flops.total - flops.logits
        assert list(bars.text) == [si(value) for value in bars.x]
    assert (raw.marker.color, compressed.marker.color) == (charts.RAW, charts.BODY)


def test_money_figure_by_hand() -> None:
    # 1,000,000 tokens, 800,000 of them cached, 4 uses: 6.12 in tests/test_prices.py; compressed 2.10 a use.
    figure = money_figure(Prices(3.0, 0.3, 3.75), 1_000_000, 700_000, uses=4, cached=800_000)
    lines = {line.name: dict(zip(line.x, line.y, strict=True)) for line in figure.data if line.mode == "lines"}
    assert lines["raw, cached"][4] == pytest.approx(1000 * 6.12 / 4)
    assert set(lines["compressed, cache lost"].values()) == {2100.0}
    assert lines["compressed, cache kept"][4] == pytest.approx(0.7 * 1000 * 6.12 / 4)
    assert list(figure.data[-1].x) == [3]
    # Without a cache: what it costs does not depend on the uses, and nothing breaks even.
    plain = money_figure(Prices(3.0, 0.3, 3.75), 1_000_000, 700_000, uses=4, cached=0)
    assert [(line.name, set(line.y)) for line in plain.data[:2]] == [("raw", {3000.0}), ("compressed", {2100.0})]
    assert len(plain.data) == 3
    # 1,036 uses are beyond the chart of a prompt that is used once.
    assert len(money_figure(Prices(3.0, 0.3, 3.75), 1000, 191, uses=1, cached=900).data) == 4
    reached = money_figure(Prices(3.0, 0.3, 3.75), 1000, 191, uses=500, cached=900).data
    assert reached[-1].name == "compression costs more: from 1,036 uses"


def test_impossible_counts_are_refused() -> None:
    for counts in [(-1, 0, 0), (0, -1, 0), (5, 1, -1)]:
        with pytest.raises(ValueError, match="0 or more"):
            length_figure(*counts)
    with pytest.raises(ValueError, match="compressed_tokens must be 0 or more"):
        compute_figure(LLAMA, 1, -1)
    with pytest.raises(ValueError, match="empty prompt cannot become 4"):
        compute_figure(LLAMA, 0, 4)


def test_names_cannot_bring_markup() -> None:
    hostile = replace(LLAMA, name='<a href="javascript:alert(1)">x</a><b>' + "y" * 500)
    title = compute_figure(hostile, 100, 50).layout.yaxis.title.text
    assert "<" not in title
    assert "&lt;a href" in title
    assert len(title) < 120


FIGURES = [
    length_figure(6049, 520, 1180),
    length_figure(123_456, 0, 83_456),
    compute_figure(LLAMA, 6049, 1700),
    compute_figure(PRESETS["Gemma-3-1B"], 30, 29),
    compute_figure(LLAMA, 26_000, 17_000, overtaking=True),
    parts_figure(LLAMA, 6049, 1700),
    money_figure(Prices(3.0, 0.3, 3.75), 6049, 1700, uses=20, cached=5444),
    money_figure(Prices(3.0, 0.3, 3.75), 60, 60, uses=1, cached=0),
]


@pytest.mark.parametrize("figure", FIGURES)
def test_figures_fit_either_page(figure: Any) -> None:
    layout = figure.layout
    assert layout.paper_bgcolor == layout.plot_bgcolor == "rgba(0,0,0,0)"
    assert layout.height
    assert not layout.title.text
    assert layout.xaxis.automargin
    assert layout.yaxis.automargin
    assert not re.search(r"https?://", figure.to_json())


def _contrast(a: str, b: str) -> float:
    """WCAG 2 contrast of two colours, 1 to 21."""

    def luminance(color: str) -> float:
        channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("page", ["#ffffff", "#0b0f19", "#27272a"])
def test_colours_stand_out(page: str) -> None:
    for color in (charts.RAW, charts.BODY, charts.DICTIONARY):
        assert _contrast(color, page) >= 3  # WCAG 1.4.11, graphical objects
        assert _contrast("#ffffff", color) >= 4.5  # the numbers in the bars
    assert _contrast(charts.TEXT, page) >= 3.7


# In a browser -----------------------------------------------------------------------------------------------


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1280])
def test_labels_stay_inside_and_apart(chromium: Any, tmp_path: Path, width: int) -> None:
    body = "".join(
        figure.to_html(full_html=False, include_plotlyjs=not index, config={"responsive": True})
        for index, figure in enumerate(FIGURES)
    )
    style = f"<style>:root {{ --body-text-color: rgb(1, 2, 3) }} {charts.CSS}</style>"
    page_file = tmp_path / "charts.html"
    page_file.write_text(f"<!doctype html><meta charset=utf-8>{style}{body}", encoding="utf-8")
    page = chromium.new_page(viewport={"width": width, "height": 900})
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: problems.append(request.url) if "http" in request.url[:5] else None)
    page.goto(page_file.as_uri())
    page.wait_for_function(f"document.querySelectorAll('.legendtext').length >= {len(FIGURES) * 2}")
    charts_seen = page.evaluate(
        """() => [...document.querySelectorAll('.js-plotly-plot')].map(plot => {
            const box = e => (r => [r.left, r.top, r.right, r.bottom])(e.getBoundingClientRect());
            const all = s => [...plot.querySelectorAll(s)].filter(e => e.textContent);
            const outer = box(plot);
            const labels = all('.xtick text, .ytick text, .xtitle, .ytitle, .legendtext, .textpoint text');
            return {outer, labels: labels.map(e => [e.textContent, ...box(e), getComputedStyle(e).fill])};
        })"""
    )
    page.close()
    assert not problems
    assert len(charts_seen) == len(FIGURES)
    for seen in charts_seen:
        left, top, right, bottom = seen["outer"]
        assert right <= width
        labels = seen["labels"]
        assert len(labels) > 6
        for text, x0, y0, x1, y1, fill in labels:
            assert left - 1 <= x0 < x1 <= right + 1, text
            assert top - 1 <= y0 < y1 <= bottom + 1, text
            assert fill == "rgb(1, 2, 3)", text  # charts.CSS reaches it
        for index, (text, x0, y0, x1, y1, _) in enumerate(labels):
            for other, a0, b0, a1, b1, _ in labels[index + 1 :]:
                overlap = min(x1, a1) - max(x0, a0), min(y1, b1) - max(y0, b0)
                assert min(overlap) <= 2, f"{text!r} lies on {other!r}"
