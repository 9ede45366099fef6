"""The prepared texts of `assets/examples`: what the page offers to those who have no prompt at hand."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "assets" / "examples"


@dataclass(frozen=True)
class Example:
    """A text, the title of its button, and one line about it."""

    title: str
    about: str
    path: Path

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")


def examples(folder: Path = FOLDER) -> list[Example]:
    """The examples in the order of `index.json`; none where the folder is missing (a package without assets)."""
    index = folder / "index.json"
    if not index.is_file():
        return []
    entries = json.loads(index.read_text(encoding="utf-8"))
    return [Example(entry["title"], entry["about"], folder / entry["file"]) for entry in entries]
