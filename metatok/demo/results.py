"""The Results part: what the committed evaluations and benchmarks found, as tables and charts.

Every number is read from `assets/results/*.json` when the page is built; none is typed here. A file that is missing or
cannot be read gives a sentence, and the others are shown.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from metatok.demo.drawing import TASKS
from metatok.demo.tables import cell, details_html, prose_html, readable, rows_html, source_html, table_html
from metatok.reader import report
from metatok.views.results import accuracy_figure, peers_figure, speed_figure, tokens_figure

log = logging.getLogger(__name__)

EXPECTED = {
    "reader-tree.json": "metatok evaluate --task tree --json",
    "reader-repo.json": "metatok evaluate --task repo --json",
    "engine.json": "python -m benchmarks.engine",
    "tasks.json": "python -m benchmarks.tasks",
    "load.json": "python -m benchmarks.load",
    "startup.json": "python -m benchmarks.startup",
}
"""The files that are looked for, in the order of the page, and what writes each."""

ASPECTS = {
    "kind": "by kind of question",
    "serialization": "by form of the prompt's text",
    "prompt_tokens": "by length of the raw prompt, in tokens",
    "seen": "by names that training had and had not",
}
ENGINE_TITLES = {
    "prompts": "Speed on prompts",
    "batch": "Many prompts at once",
    "hard": "Sequences made to be hard",
    "long": "Very long sequences",
    "pools": "Fewer meta-tokens",
    "effort": "Looking longer",
}
FORMS = (
    "<p><b>raw</b> is the prompt as it is; <b>ltsc</b>, <b>flat</b>, <b>nested</b> and <b>inline</b> are the ways to "
    "compress it. <b>/plain</b> is the same prompt without the part of the reader that tells it how each phrase is "
    "made. <b>@ltsc</b> and <b>@inline</b> are lossy: tokens are dropped until the prompt is as short as that one. "
    "<b>written out %</b> is how often the reader, asked to write a compressed prompt out in full, made no "
    "mistake, and <b>tokens</b> how many in a hundred of those it is asked for are right after the right ones "
    "before.</p>"
)
"""What the rows of an evaluation are, for those who have not read the code."""

READER_TITLE = "How often the reader is right: {}"
NO_INTERVAL = (
    "none: times are the least of several runs, or of one where that takes seconds and for other packages; savings are "
    "counted, not sampled"
)
FACTS = (
    "command",
    "date",
    "machine",
    "python",
    "metatok",
    "versions",
    "what",
    "settings",
)  # not figures: said apart, or left out


@dataclass(frozen=True)
class Section:
    """A heading with what belongs under it.

    Attributes:
        name: of letters, for element ids.
        above, below: HTML before and after the charts.
        figures: charts by their labels.
    """

    name: str
    above: str
    figures: dict[str, Any]
    below: str = ""


def sections(folder: Path) -> list[Section]:
    """Everything in a folder of results, in the order of the page."""
    others = sorted(path.name for path in folder.glob("*.json") if path.name not in EXPECTED)
    return [section for name in [*EXPECTED, *others] for section in _of_file(folder / name)]


def reader_section(name: str, data: Mapping[str, Any]) -> Iterator[Section]:
    """An evaluation of `metatok evaluate`."""
    results = data["results"]
    task = TASKS.get(data["task"], data["task"])
    resamples = data["resamples"]
    above = _heading(READER_TITLE.format(task)) + source_html(
        data["command"],
        data["date"],
        data["machine"],
        f"{data['n']:,} prompts, seed {data['seed']}, one question each; times are of {data['timed']:,} of them; "
        f"{report.models(data)}",
        f"95 %, percentile bootstrap over prompts, {resamples:,} resamples; gaps to raw are paired",
    )
    above += FORMS
    head, *body = report.rows(data)
    table = table_html(head, body, f"Results of the task {task}")
    forms = [form for form in results if "@" not in form and "/" not in form]
    score = report.scores(data)[-1]
    label = "Exactly right" if score == "exact_match" else readable(score).capitalize()
    parts = []
    for aspect, groups in data["by"].items():
        rows = [
            [value, f"{group['n']:,}", *(f"{100 * group[score][form]:.1f}" for form in forms)]
            for value, group in groups.items()
        ]
        caption = f"{label} in %, {ASPECTS.get(aspect, aspect)}"
        parts.append(details_html(caption, table_html([aspect.replace("_", " "), "n", *forms], rows, caption)))
    notes = "".join(f"<p>{escape(note)}</p>" for note in data["notes"])
    figures = {
        f"{label}, by form of the prompt": accuracy_figure(results, score),
        f"{label}, against tokens": tokens_figure(results, score),
    }
    yield Section(name, above, figures, table + "".join(parts) + notes)


def engine_sections(name: str, data: Mapping[str, Any]) -> Iterator[Section]:
    """The parts of `benchmarks.engine`."""
    charts: dict[str, tuple[str, str, Callable[[Any], Any]]] = {
        "peers": ("What is saved, beside other packages", "Saved of each text, and the bound", peers_figure),
        "speed": ("How fast it is", "Time against length", speed_figure),
    }
    others = [part for part in data if part not in charts]
    for part in [*(part for part in charts if part in data), *others]:
        found = data[part]
        rows = found["rows"]
        title, label, figure = charts.get(part, (ENGINE_TITLES.get(part, part), "", None))
        above = _heading(title) + prose_html(found["what"])
        above += source_html(
            f"python -m benchmarks.engine --only {part}",
            found["date"],
            f"{found['machine']}; Python {found['python']}, metatok {found['metatok']}, {cell(found['versions'])}",
            f"{len(rows):,} row{'s' if len(rows) > 1 else ''}",
            NO_INTERVAL,
        )
        table = rows_html(rows, title)
        yield Section(f"{name}-{part}", above, {label: figure(rows)} if figure else {}, details_html("Table", table))


def tasks_section(name: str, data: Mapping[str, Any]) -> Iterator[Section]:
    """What the tasks' prompts save, of `benchmarks.tasks`."""
    title = "What the prompts of the tasks save"
    rows, named = [], []
    for task, by_tokenizer in data["results"].items():
        for tokenizer, groups in by_tokenizer.items():
            for part, row in groups.items():
                at = {"task": TASKS.get(task, task)}
                if tokenizer == "names_in_prompt":
                    named.append({"kind": part} | dict(row))
                else:
                    rows.append(at | {"tokenizer": tokenizer, "prompts": part} | dict(row))
    packages = data["packages"]
    above = _heading(title) + source_html(
        data["command"],
        data.get("date"),
        data.get("machine"),
        f"n in the table; code of {packages['count']:,} installed packages, fingerprint {packages['sha256']}",
        data.get("interval", "not in the file"),
    )
    summary = rows_html([row for row in rows if row["prompts"] == "all"], title)
    more = details_html("By kind, form, side and length", rows_html(rows, title))
    names = "Names of the answer that the code prompt holds, shares"
    yield Section(name, above, {}, summary + more + details_html(names, rows_html(named, names)))


def plain_section(name: str, data: Any) -> Iterator[Section]:
    """Any other file: its figures as tables, its facts as the source line."""
    if not isinstance(data, Mapping):
        raise TypeError("not an object")
    title = str(data.get("title", f"Results: {name}"))
    sample = data.get("sample", data.get("n", "as in the table"))
    above = _heading(title) + (prose_html(str(data["what"])) if "what" in data else "")
    above += source_html(
        str(data.get("command", "not in the file")),
        data.get("date"),
        data.get("machine"),
        cell(sample),
        cell(data.get("interval", "not in the file")),
    )
    single, tables = [], ""
    for key, value in data.items():
        if key in (*FACTS, "title", "sample", "interval"):
            continue
        if isinstance(value, list) and value and all(isinstance(row, Mapping) for row in value):
            tables += _labelled(key, rows_html(value, key))
        elif isinstance(value, Mapping) and value and all(isinstance(row, Mapping) for row in value.values()):
            tables += _labelled(key, rows_html([{key: readable(part)} | dict(row) for part, row in value.items()], key))
        elif isinstance(value, Mapping) and value and all(isinstance(part, bool) for part in value.values()):
            rows = [[readable(part), cell(holds)] for part, holds in value.items()]
            tables += _labelled(key, table_html([key.replace("_", " "), "holds"], rows, key))
        elif isinstance(value, Mapping):
            tables += _labelled(key, rows_html([value], key))
        else:
            single.append([readable(key), cell(value)])
    table = table_html(["figure", "value"], single, title) if single else ""
    yield Section(name, above, {}, table + tables)


def results_part(folder: Path = report.RESULTS) -> None:
    """The components, inside a `gradio.Blocks` context."""
    import gradio as gr

    for section in sections(folder):
        gr.HTML(section.above, elem_id=f"results-{section.name}", elem_classes="results")
        if section.figures:
            with gr.Row():
                for number, (label, figure) in enumerate(section.figures.items()):
                    with gr.Column(min_width=320):
                        gr.Plot(figure, label=label, elem_id=f"results-{section.name}-{number}", elem_classes="chart")
        if section.below:
            gr.HTML(section.below, elem_classes="results")


def _of_file(path: Path) -> list[Section]:
    name = path.stem
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return [_missing(path.name)]
    except (OSError, ValueError):
        return [_broken(path.name)]
    make: Callable[[str, Any], Iterator[Section]] = plain_section
    if name.startswith("reader-"):
        make = reader_section
    elif name in ("engine", "tasks"):
        make = {"engine": engine_sections, "tasks": tasks_section}[name]
    try:
        return list(make(name, data))
    except (LookupError, TypeError, ValueError, AttributeError):
        log.warning("%s has another form than expected", path.name, exc_info=True)
        return [_broken(path.name)]


def _missing(file: str) -> Section:
    sentence = f"Not measured yet: there is no <code>assets/results/{escape(file)}</code>; {_written(file)}."
    name = Path(file).stem
    task = name.removeprefix("reader-")
    title = file if task == name else READER_TITLE.format(TASKS.get(task, task))
    return Section(name, f"{_heading(title)}<p>{sentence}</p>", {})


def _broken(file: str) -> Section:
    sentence = f"<code>assets/results/{escape(file)}</code> cannot be read as results; {_written(file)} anew."
    return Section(Path(file).stem, f"{_heading(file)}<p>{sentence}</p>", {})


def _written(file: str) -> str:
    return f"<code>{escape(EXPECTED[file])}</code> writes it" if file in EXPECTED else "write it"


def _heading(title: str) -> str:
    return f"<h2>{escape(title)}</h2>"


def _labelled(key: str, table: str) -> str:
    return f"<h3>{escape(key.replace('_', ' '))}</h3>{table}"
