"""The notebooks run from top to bottom at small size, and what is committed shows the code that is committed."""

from __future__ import annotations

import ast
import builtins
from typing import Any

import plotly.graph_objects as go
import pytest

from metatok import links
from metatok.views import notebook
from scripts import notebooks

NAMES = notebooks.names()
LARGEST = 1_500_000  # bytes

committed = pytest.mark.parametrize("name", NAMES)


def code(notebook: Any) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook: Any) -> list[Any]:
    return [output for cell in notebook.cells for output in cell.get("outputs", ())]


@committed
def test_outputs_are_of_this_code(name: str) -> None:
    """Else run `make notebooks`, or `python scripts/notebooks.py --changed`."""
    why = notebooks.stale(name)
    assert why is None, why


def test_old_outputs_are_found(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    name = NAMES[0]
    for ending in ("py", "ipynb"):
        (tmp_path / f"{name}.{ending}").write_bytes((notebooks.FOLDER / f"{name}.{ending}").read_bytes())
    monkeypatch.setattr(notebooks, "FOLDER", tmp_path)
    assert notebooks.stale(name) is None
    with (tmp_path / f"{name}.py").open("a") as file:
        file.write("\n# %%\nprint(1)\n")
    assert notebooks.stale(name) == f"The code of {name} has changed since it was run."


@committed
def test_both_files_are_the_same_notebook(name: str) -> None:
    pairs = [
        [(cell.cell_type, cell.source, cell.metadata.get("tags")) for cell in notebook.cells]
        for notebook in (notebooks.load(name), notebooks.source(name))
    ]
    assert pairs[0] == pairs[1]


@committed
def test_links_are_those_of_the_package(name: str) -> None:
    notebook = notebooks.load(name)
    assert links.badges(name) in notebook.cells[0].source
    assert [cell.source for cell in notebooks.tagged(notebook, "colab")] == [notebooks.COLAB]


@committed
def test_committed_file_is_small_and_clean(name: str) -> None:
    """Pictures instead of scripts, no warnings, nothing of the machine that made it."""
    path = notebooks.FOLDER / f"{name}.ipynb"
    text = path.read_text(encoding="utf-8")
    shown = outputs(notebooks.load(name))
    assert len(text) < LARGEST
    assert str(notebooks.ROOT) not in text
    assert "application/vnd.plotly" not in text
    assert "<script" not in text
    assert any("image/png" in output.get("data", {}) for output in shown)
    assert [output.text for output in shown if output.get("name") == "stderr"] == []
    counts = [cell.execution_count for cell in notebooks.load(name).cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))


@committed
def test_public_names_only(name: str) -> None:
    """Nothing with a leading underscore, nothing from the repository beside the package, no path from the root."""
    tree = ast.parse("\n".join(code(notebooks.source(name))))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            assert not node.attr.startswith("_") or node.attr.startswith("__"), node.attr
        elif isinstance(node, ast.ImportFrom):
            assert (node.module or "").split(".")[0] not in ("tests", "scripts", "benchmarks", "app"), node.module
            assert not any(alias.name.startswith("_") for alias in node.names), node.module
        elif isinstance(node, ast.Name) and node.id.startswith("__"):
            assert node.id in dir(builtins), node.id


@committed
def test_runs(name: str) -> None:
    """At small size, in a process of its own; what is tagged `same` prints what is committed."""
    before, after = notebooks.load(name), notebooks.execute(notebooks.source(name), fast=True)
    assert any("image/png" in output.get("data", {}) for output in outputs(after))
    for old, new in zip(notebooks.tagged(before, "same"), notebooks.tagged(after, "same"), strict=True):
        assert notebooks.printed(new) == notebooks.printed(old), new.source


def test_figure_without_a_browser_is_interactive(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []
    monkeypatch.setattr(notebook, "_browser", lambda: False)
    monkeypatch.setattr("IPython.display.display", shown.append)
    figure = go.Figure().add_bar(x=[1], y=[2])
    notebook.show(figure, width=500, height=300)
    assert isinstance(shown[0], go.Figure)
    assert (shown[0].layout.width, shown[0].layout.height) == (500, 300)
    assert figure.layout.width is None
