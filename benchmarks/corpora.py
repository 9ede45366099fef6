"""Texts to measure on: real files that most machines have, and this repository's own examples.

Nothing is downloaded and nothing of it is committed. A text that a machine lacks is left out, and the results name
the texts that they were measured on.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

STDLIB = Path(argparse.__file__).parent
EXAMPLES = Path(__file__).parent.parent / "assets" / "examples"


def corpora() -> dict[str, str]:
    """{name: text}; the first seven are the texts of the design's table."""
    texts = {
        "argparse.py": _read(STDLIB / "argparse.py"),
        "typing.py": _read(STDLIB / "typing.py"),
        "asyncio/*.py": _sources(Path(asyncio.__file__).parent),
        "dpkg.log": _read(Path("/var/log/dpkg.log")),
        "iso_3166-1.json": _read(Path("/usr/share/iso-codes/json/iso_3166-1.json")),
        "listing": "\n".join(f"./{p.relative_to(STDLIB)}" for p in sorted(STDLIB.glob("[a-e]*/**/*.py"))),
        "GPL-3": _read(Path("/usr/share/common-licenses/GPL-3")),
    }
    texts |= {p.name: _read(p) for p in sorted(EXAMPLES.glob("*")) if p.suffix in {".txt", ".log", ".xml", ".json"}}
    texts["module.py"] = _read(EXAMPLES / "module.py")
    texts.pop("index.json", None)
    return {name: text for name, text in texts.items() if text}


def library(everything: bool = False, at_most: int = 5_000_000) -> str:
    """The standard library's source in one piece, the top-level modules first; `everything`: all folders."""
    parts: list[str] = []
    size = 0
    paths = sorted(STDLIB.glob("*.py")) + (sorted(STDLIB.glob("*/**/*.py")) if everything else [])
    for path in paths:
        parts.append(_read(path))
        size += len(parts[-1])
        if size >= at_most:
            break
    return "".join(parts)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _sources(folder: Path) -> str:
    return "".join(_read(p) for p in sorted(folder.glob("*.py")))
