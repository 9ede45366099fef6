"""The Results and About parts: what is in the files is shown, whatever is there, and nothing that is not."""

from __future__ import annotations

import copy
import json
import re
import shutil
from html import escape
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("plotly")

import metatok
from metatok import links
from metatok.demo import about
from metatok.demo.results import EXPECTED, NO_INTERVAL, sections
from metatok.demo.tables import rows_html, source_html, table_html
from metatok.reader.report import RESULTS, rows, text
from metatok.views.results import accuracy_figure, peers_figure, speed_figure, tokens_figure

TREE = json.loads((RESULTS / "reader-tree.json").read_text(encoding="utf-8"))
ENGINE = json.loads((RESULTS / "engine.json").read_text(encoding="utf-8"))
HOSTILE = "<img src=x onerror=alert(1)> ${1+1} {{value}} `x`"


def shown(folder: Path) -> dict[str, str]:
    return {section.name: section.above + section.below for section in sections(folder)}


def test_an_evaluation_is_shown_with_where_it_comes_from() -> None:
    html = shown(RESULTS)["reader-tree"]
    for fact in (TREE["command"], TREE["date"], TREE["machine"], f"{TREE['n']:,} prompts", "95 %", "bootstrap"):
        assert escape(fact) in html
    for row in rows(TREE):
        assert all(f">{escape(cell)}<" in html for cell in row)
    for groups in TREE["by"].values():
        assert all(f">{escape(value)}<" in html for value in groups)


def test_all_parts_of_the_engine_are_shown_with_where_they_come_from() -> None:
    html = shown(RESULTS)
    for part, found in ENGINE.items():
        page = html[f"engine-{part}"]
        assert f"python -m benchmarks.engine --only {part}" in page
        assert all(escape(fact) in page for fact in (found["date"], found["machine"], NO_INTERVAL))
        assert page.count("<tr>") == 1 + len(found["rows"])


def test_the_charts_are_of_the_numbers_in_the_files() -> None:
    forms = TREE["results"]
    for figure, axis in ((accuracy_figure(forms), "x"), (tokens_figure(forms), "y")):
        drawn = [value for part in figure.data for value in part[axis]]
        assert sorted(drawn) == pytest.approx(sorted(100 * form["exact_match"] for form in forms.values()))
        for part in figure.data:
            error = part[f"error_{axis}"]
            assert len(error.array) == len(error.arrayminus) == len(part[axis])
            assert min(*error.array, *error.arrayminus) >= 0
    raw = accuracy_figure(forms).data[0]
    low, high = forms["raw"]["ci95"]
    assert raw.x[0] + raw.error_x.array[0] == pytest.approx(100 * high)
    assert raw.x[0] - raw.error_x.arrayminus[0] == pytest.approx(100 * low)

    peers = {part.name: part for part in peers_figure(ENGINE["peers"]["rows"]).data}
    for name in ("bound", "inline", "ltsc"):
        assert list(peers[name].x) == pytest.approx([100 * row[name] for row in ENGINE["peers"]["rows"]])
    assert not peers_figure([{"text": "a.log", "delta-ltsc": None, "delta-ltsc restores": False}]).data
    works = [row for row in ENGINE["peers"]["rows"] if row["delta-ltsc"] is not None]
    assert list(peers["delta-ltsc"].x) == pytest.approx([100 * row["delta-ltsc"] for row in works])
    hollow = [symbol.endswith("-open") for symbol in peers["delta-ltsc"].marker.symbol]
    assert hollow == [not row["delta-ltsc restores"] for row in works]
    assert len(speed_figure(ENGINE["speed"]["rows"]).data) == 4


def test_a_task_with_a_score_of_its_own_is_shown_by_that(tmp_path: Path) -> None:
    other = {"edit_similarity": 0.625, "edit_similarity_ci95": [0.5, 0.75]}
    data = copy.deepcopy(TREE) | {"task": "repo"}
    for name, form in data["results"].items():
        form |= other | ({} if name == "raw" else {"edit_similarity_gap": 0.0, "edit_similarity_gap_ci95": [0.0, 0.0]})
    for groups in data["by"].values():
        for group in groups.values():
            group["edit_similarity"] = {form: 0.4321 for form in group["exact_match"]}
    (tmp_path / "reader-repo.json").write_text(json.dumps(data))
    (section,) = (section for section in sections(tmp_path) if section.name == "reader-repo")
    assert list(section.figures) == ["Edit similarity, by form of the prompt", "Edit similarity, against tokens"]
    bars, points = section.figures.values()
    assert {x for part in bars.data for x in part.x} == {y for part in points.data for y in part.y} == {62.5}
    assert bars.data[0].error_x.array[0] == bars.data[0].error_x.arrayminus[0] == pytest.approx(12.5)
    assert bars.layout.xaxis.title.text == points.layout.yaxis.title.text == "edit similarity, %"
    assert "Edit similarity in %, by kind of question" in section.below
    assert section.below.count(">43.2<") == 5 * sum(len(groups) for groups in data["by"].values())
    assert "43.2" in text(data)
    assert "62.5 (50.0 to 75.0)" in section.below


def test_missing_files_get_a_sentence_with_the_command(tmp_path: Path) -> None:
    html = shown(tmp_path / "nowhere")
    assert html.keys() == {Path(name).stem for name in EXPECTED}
    for name, command in EXPECTED.items():
        assert f"there is no <code>assets/results/{name}</code>" in html[Path(name).stem]
        assert command in html[Path(name).stem]
    assert "<h2>How often the reader is right: code</h2>" in html["reader-repo"]


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "3", "null", '{"results": {}}', '{"results": {"raw": 3}}', '{"x": 1}']
)
def test_broken_files_get_a_sentence_and_the_others_are_shown(tmp_path: Path, content: str) -> None:
    for name in ("reader-tree.json", "tasks.json"):
        (tmp_path / name).write_text(content)
    shutil.copy(RESULTS / "engine.json", tmp_path)
    html = shown(tmp_path)
    for name in ("reader-tree", "tasks"):
        assert f"<code>assets/results/{name}.json</code> cannot be read as results" in html[name]
    assert "engine-peers" in html


def test_files_of_other_forms_are_shown_as_they_are(tmp_path: Path) -> None:
    data = {"command": "make load", "date": "2026-01-02", "machine": "m", "clients": 50, "n": 9, "errors": 0}
    data |= {"compress": {"p95_s": 1.25}, "minutes": [{"minute": 1, "memory_mb": 900.5}], HOSTILE: {"a": {HOSTILE: 1}}}
    data |= {
        "painted_s": {"20000": {"median": 0.3}, "more_than_it": {"median": 0.9}},
        "aims": {"fast": True, "small": False},
    }
    (tmp_path / "load.json").write_text(json.dumps(data))
    (tmp_path / "mine.json").write_text('{"figure": 12345}')
    html = shown(tmp_path)
    for what in (
        "make load",
        "2026-01-02",
        ">50<",
        ">1.25<",
        ">900.5<",
        "p95, s",
        "memory, MB",
        ">20,000<",
        ">more than it<",
        ">fast<",
    ):
        assert what in html["load"]
    assert "<img" not in html["load"]
    assert ">yes<" in html["load"]
    assert ">no<" in html["load"]
    assert ">12,345<" in html["mine"]
    assert html["mine"].count("not in the file") == 4


def test_tables_escape_and_keep_their_shape() -> None:
    for html in (
        table_html([HOSTILE], [[HOSTILE]], HOSTILE),
        rows_html([{HOSTILE: HOSTILE}], HOSTILE),
        source_html(HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE),
    ):
        assert "<img" not in html
    assert rows_html([{"a": 1}, {"b": 2}], "").count("<td>") == 2


def test_no_figure_of_the_results_is_typed_in_the_page() -> None:
    source = (Path(metatok.__file__).parent / "demo" / "results.py").read_text(encoding="utf-8")
    assert not re.findall(r"\d+\.\d+", re.sub(r"\{[^}]*\}", "", source))


def test_about_says_its_limits_links_and_versions(tmp_path: Path) -> None:
    shares = [row["inline"] for row in ENGINE["peers"]["rows"] if row["text"] in about.PROSE]
    html = about.about_html(about.prose_saving())
    assert f"{100 * min(shares):.0f} to {100 * max(shares):.0f} %" in html
    for limit in ("must be trained", "repeat itself saves little", "Prompt caches", "quadratic"):
        assert limit in html
    (tmp_path / "engine.json").write_text("[]")
    assert about.prose_saving(tmp_path) == ""
    assert ("metatok", metatok.__version__) in about.versions()


@pytest.mark.parametrize("published", [True, False])
def test_about_says_whether_its_links_lead_anywhere(published: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(about, "PUBLISHED", published)
    html, bibtex = about.links_html(), about.bibtex()
    assert all(f'href="{link}"' in html for link in (links.REPOSITORY, links.SPACE, links.PAPER))
    assert ("not published yet" in html) != published
    assert bibtex.count("{") == bibtex.count("}")
    assert all(what in bibtex for what in ("2506.00307", links.REPOSITORY, metatok.__version__, "Harvill"))


def test_the_owner_is_set_in_one_place() -> None:
    owner: Any = re.compile(r"github\.com/(?!\{OWNER\})[\w-]+/metatok")
    package = Path(metatok.__file__).parent
    assert not [path for path in package.rglob("*.py") if owner.search(path.read_text(encoding="utf-8"))]
