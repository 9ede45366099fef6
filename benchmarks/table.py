"""The README's table of peers from assets/results/engine.json: `python -m benchmarks.table`.

Savings of the first 8,192 tokens, and below them the milliseconds they took. Written there by
`python -m benchmarks.engine --only peers`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from statistics import median
from typing import Any

import metatok
from benchmarks.engine import RESULTS

HEADS = {
    **dict.fromkeys(metatok.METHODS, ""),
    "inline, max": "",
    "bound": "",
    "zip2zip": " †",
    "delta-ltsc": "",
    "delta-ltsc, greedy": "",
    "delta-ltsc, optimal": "",
}


def main() -> None:
    part = json.loads(RESULTS.read_text())["peers"]
    print(f"{part['date']}, {part['machine']}, Python {part['python']}\n")
    print("| text | tokens | " + " | ".join(name + mark for name, mark in HEADS.items()) + " |")
    print("| --- |" + " ---: |" * (1 + len(HEADS)))
    for row in part["rows"]:
        cells = [_saving(row, name) for name in HEADS]
        print(f"| {row['text']} | {row['tokens']:,} | " + " | ".join(cells) + " |")
    times = [f"{name} ms" for name in HEADS if name != "bound"]
    print(
        "\n| median ms | " + " | ".join(t.removesuffix(" ms") for t in times) + " |\n| --- |" + " ---: |" * len(times)
    )
    medians = [median(row[t] for row in part["rows"]) for t in times]
    print("| |" + "".join(f" {m:,.1f} |" for m in medians))
    print()
    for method, key in (("inline", "times_faster"), ("ltsc", "ltsc_times_faster")):
        faster = [row[key] for row in part["rows"]]
        print(f"{method} is {min(faster):,} to {max(faster):,} times faster than delta-ltsc's fastest setting")


def _saving(row: Mapping[str, Any], name: str) -> str:
    if row[name] is None:
        return "fails"
    return f"{row[name]:.3f}" + ("" if row.get(f"{name} restores", True) else " ✗")


if __name__ == "__main__":
    main()
