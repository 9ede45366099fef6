"""A virtual environment with what requirements.txt asks for and nothing else, made in a second.

The packages are not downloaded again: the environment that runs the tests has them, with others that the app must not
need, and the new one gets links to those that requirements.txt names and that these need themselves. An app that
imports anything else does not start in it. What this cannot show is that pip finds and installs them from scratch:
`make test-space` does.
"""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from packaging.requirements import Requirement

from tests.other_user import OtherUser


def base_python(user: OtherUser) -> Path | None:
    """A Python of this version that the other user can run, outside of any virtual environment."""
    version = f"python3.{sys.version_info.minor}"
    found = [getattr(sys, "_base_executable", sys.executable), shutil.which(version, path="/usr/local/bin:/usr/bin")]
    return next((Path(path).resolve() for path in found if path and user.can_run(Path(path).resolve())), None)


def linked_environment(folder: Path, python: Path, requirements: Path) -> Path:
    """Make the environment in `folder` and return its Python."""
    subprocess.run([python, "-m", "venv", "--without-pip", folder], check=True)
    site = next((folder / "lib").glob("python3*/site-packages"))
    for name in sorted(closure(_requirements(requirements))):
        for entry in _entries(name):
            target = site / entry.name
            if not target.exists():
                target.symlink_to(entry)
    return folder / "bin" / "python"


def closure(wanted: Iterable[Requirement]) -> set[str]:
    """The names of the distributions that these requirements need, extras and markers minded.

    Raises:
        importlib.metadata.PackageNotFoundError: one is not installed here.
    """
    todo = [(r.name, frozenset(r.extras)) for r in wanted]
    seen: set[tuple[str, frozenset[str]]] = set()
    while todo:
        name, extras = todo.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        for line in importlib.metadata.distribution(name).requires or ():
            r = Requirement(line)
            if r.marker is None or any(r.marker.evaluate({"extra": extra}) for extra in extras or {""}):
                todo.append((r.name.lower(), frozenset(r.extras)))
    return {name for name, _ in seen}


def _requirements(path: Path) -> list[Requirement]:
    lines = (line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [Requirement(line) for line in lines if line]


def _entries(name: str) -> set[Path]:
    """The files and folders of a distribution directly in site-packages."""
    distribution = importlib.metadata.distribution(name)
    found = {Path(str(path)).parts[0] for path in distribution.files or ()} - {"..", "__pycache__"}
    return {Path(str(distribution.locate_file(entry))).resolve() for entry in found}
