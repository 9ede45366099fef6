"""An evaluation's results as a table: for the terminal, for README and the model card.

    python -m metatok.reader.report README.md assets/reader/README.md

writes the tables of `assets/results/reader-*.json` into these files, between the lines `<!-- reader-results -->` and
`<!-- /reader-results -->`, so that no figure there is typed by hand.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from metatok.reader.folders import DTYPES

RESULTS = Path(__file__).parents[2] / "assets" / "results"
OPEN, CLOSE = "<!-- reader-results -->", "<!-- /reader-results -->"


def scores(results: Mapping[str, Any]) -> list[str]:
    """The names of an evaluation's scores, exact match first; the last one says most about the task.

    >>> scores({"results": {"raw": {"exact_match": 0.1, "ci95": [0, 1], "edit_similarity": 0.4,
    ...                             "edit_similarity_ci95": [0, 1]}}})
    ['exact_match', 'edit_similarity']
    """
    first: Mapping[str, Any] = next(iter(results["results"].values()))
    return ["exact_match", *(name for name in first if f"{name}_ci95" in first)]


def rows(results: Mapping[str, Any]) -> list[list[str]]:
    """The head and one row a form, all strings.

    >>> raw = {"exact_match": 0.95, "ci95": [0.93, 0.96], "tokens": 400.0, "saving": 0.0, "prefill_ms": 40.0,
    ...        "total_ms": 90.0}
    >>> for row in rows({"results": {"raw": raw}}):
    ...     print(row)
    ['prompt', 'tokens', 'exact match %', 'gap, points', 'written out %', 'prefill ms', 'total ms']
    ['raw', '400', '95.0 (93.0 to 96.0)', '', '', '40', '90']
    """
    forms: Mapping[str, Mapping[str, Any]] = results["results"]
    metrics = scores(results)
    head = ["prompt", "tokens"]
    for metric in metrics:
        head += [f"{metric.replace('_', ' ')} %", "gap, points"]
    table = [[*head, "written out %", "prefill ms", "total ms"]]
    for name, form in forms.items():
        row = [name, f"{form['tokens']:,.0f}"]
        for metric in metrics:
            prefix = "" if metric == "exact_match" else f"{metric}_"
            row.append(_percent(form[metric], form[f"{prefix}ci95"]))
            row.append(_percent(form[f"{prefix}gap"], form[f"{prefix}gap_ci95"]) if f"{prefix}gap" in form else "")
        row.append(_written_out(form, results.get("n")))
        table.append([*row, f"{form['prefill_ms']:,.0f}", f"{form['total_ms']:,.0f}"])
    return table


def _written_out(form: Mapping[str, Any], n: int | None) -> str:
    """With the number of prompts where not all had room for it.

    >>> form = {"expand_exact": 0.1, "expand_tokens": 0.99, "expand_n": 40}
    >>> _written_out(form, 100), _written_out(form, 40)
    ('10.0 of 40 (tokens 99.000)', '10.0 (tokens 99.000)')
    """
    if "expand_exact" not in form:
        return ""
    exact, tokens = 100 * form["expand_exact"], 100 * form["expand_tokens"]
    of = f" of {form['expand_n']:,}" if form.get("expand_n", n) != n else ""
    return f"{exact:.1f}{of} (tokens {tokens:.3f})"  # of some hundred tokens: 99.95 is far from 100


def caption(results: Mapping[str, Any]) -> str:
    """What was measured, in one line."""
    return (
        f"Task {results['task']}, {results['n']:,} prompts, seed {results['seed']}, {results['date']}; reader "
        f"{models(results)}; {results['machine']}. Times: means of {results['timed']:,} of the prompts."
    )


def models(results: Mapping[str, Any]) -> str:
    """What answered, and what wrote prompts out where that is another model."""
    answered = results["reader"]
    expand = results.get("expand", {"reader": answered})
    named = [
        f"{reader['name']} ({reader['parameters'] / 1e6:.1f} M parameters, weights {reader['weights']}{_dtype(reader)})"
        for reader in (answered, expand["reader"])
    ]
    alone = expand["reader"]["weights"] == answered["weights"]
    return named[0] if alone else f"{named[0]}; written out by {named[1]}, {expand['date']}"


def _dtype(reader: Mapping[str, Any]) -> str:
    """Said where it is not the usual one; earlier results have none.

    >>> _dtype({"dtype": "bfloat16"}), _dtype({"dtype": "float32"}), _dtype({})
    (', bfloat16', '', '')
    """
    dtype = reader.get("dtype", DTYPES[0])
    return "" if dtype == DTYPES[0] else f", {dtype}"


def text(results: Mapping[str, Any]) -> str:
    """For a terminal: aligned columns, then raw and the methods by kind, serialization, length and names."""
    forms = [name for name in results["results"] if "@" not in name and "/" not in name]
    score = scores(results)[-1]
    parts = [[f"{score.replace('_', ' ')} %", "n", *forms]]
    for aspect, groups in results["by"].items():
        for value, group in groups.items():
            shares = [f"{100 * group[score][name]:.1f}" for name in forms]
            parts.append([value if aspect == "seen" else f"{aspect} {value}", str(group["n"]), *shares])
    notes = "".join(f"\nNote: {note}" for note in results["notes"])
    return f"{caption(results)}\n\n{_aligned(rows(results))}\n\n{_aligned(parts)}{notes}"


def markdown(results: Mapping[str, Any]) -> str:
    """For README and model card."""
    head, *body = rows(results)
    lines = [f"| {' | '.join(row)} |" for row in (head, ["---", *["---:"] * (len(head) - 1)], *body)]
    return "\n".join([*lines, "", " ".join([caption(results), *results["notes"]]), f"`{results['command']}`"])


def insert(document: str, tables: str) -> str:
    """The document with the tables between its marks.

    >>> print(insert(f"a\\n{OPEN}\\nold\\n{CLOSE}\\nb", "new"))
    a
    <!-- reader-results -->
    new
    <!-- /reader-results -->
    b

    Raises:
        ValueError: the marks are not there once each, in their order.
    """
    if document.count(OPEN) != 1 or document.count(CLOSE) != 1 or document.index(CLOSE) < document.index(OPEN):
        raise ValueError(f"there have to be the lines {OPEN} and {CLOSE}, once each")
    before, rest = document.split(OPEN)
    return f"{before}{OPEN}\n{tables}\n{CLOSE}{rest.split(CLOSE)[1]}"


def _percent(share: float, interval: Sequence[float]) -> str:
    """
    >>> _percent(-0.0004, [-0.03, 0.03])
    '0.0 (-3.0 to 3.0)'
    """
    value, low, high = (f"{100 * number:z.1f}" for number in (share, *interval))
    return f"{value} ({low} to {high})"


def _aligned(table: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the tables into the files that are named."""
    parser = argparse.ArgumentParser(prog="metatok.reader.report", description="Write result tables into documents.")
    parser.add_argument("documents", nargs="+", type=Path)
    options = parser.parse_args(arguments)
    found = sorted(RESULTS.glob("reader-*.json"), reverse=True)  # trees before code
    tables = "\n\n".join(markdown(json.loads(path.read_text(encoding="utf-8"))) for path in found)
    for path in options.documents:
        try:
            path.write_text(insert(path.read_text(encoding="utf-8"), tables), encoding="utf-8")
        except (OSError, ValueError) as error:
            print(f"{path}: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
