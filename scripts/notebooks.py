"""The notebooks: write them from their paired .py files, run them, keep what they show.

    python scripts/notebooks.py               # run all at full size, as `make notebooks` does
    python scripts/notebooks.py 02_compute    # these
    python scripts/notebooks.py --changed     # run those whose outputs are old; of the others renew text and badges

`notebooks/NAME.py` (`py:percent`, paired by jupytext) is where a notebook is written and reviewed;
`notebooks/NAME.ipynb` is the same cells with the outputs of a full run. What a run was made from is kept in the
notebook's metadata (`metatok`): a hash of the code of all cells, and one of each file below `assets` that the code
names. `stale` compares, and the tests fail where it finds a difference.

A notebook has a cell tagged `parameters` that says `FAST = False`, which the tests turn into `FAST = True`. Cells
tagged `same` print the same at either size and on any machine, which the tests check, too. The cell tagged `colab`
installs metatok on Colab; it and the line of badges are written here, from `metatok.links`.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import os
import re
import shutil
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbclient import NotebookClient

from metatok import links

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "notebooks"
SECONDS = 3600  # for one cell, on a busy machine

# tqdm's warning is about a bar that is off, transformers' about a name that peft uses.
QUIET = "ignore:IProgress not found,ignore:`is_gradient_checkpointing` is deprecated"
FULL, FAST = "FAST = False", "FAST = True"
BADGES = re.compile(r"^# \[!\[Open in Colab\].*$", re.MULTILINE)
COLAB_CELL = re.compile(r"""(?<=^# %% tags=\["colab"\]\n).*?(?=\n+# %%)""", re.MULTILINE | re.DOTALL)
COLAB = f"""\
# On Colab: fetch metatok and install what it needs. Elsewhere this cell does nothing.
import os
import subprocess
import sys

if "google.colab" in sys.modules and not os.path.exists("../notebooks"):
    subprocess.run(["git", "clone", "-q", "--depth", "1", "{links.REPOSITORY}"], check=True)
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "./metatok[notebooks]"], check=True)
    sys.path.insert(0, os.path.abspath("metatok"))
    os.chdir("metatok/notebooks")"""


def names() -> list[str]:
    """The notebooks, in order."""
    return sorted(path.stem for path in FOLDER.glob("*.py"))


def load(name: str) -> Any:
    """The committed notebook, with its outputs."""
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def source(name: str) -> Any:
    """The notebook without outputs, as its .py file has it."""
    notebook = jupytext.read(FOLDER / f"{name}.py")
    for i, cell in enumerate(notebook.cells):
        cell.id = f"cell-{i:02}"  # else they are drawn at random
    notebook.metadata = {
        "jupytext": {"formats": "ipynb,py:percent"},
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return notebook


def tagged(notebook: Any, tag: str) -> list[Any]:
    """The cells with this tag."""
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


def fingerprint(notebook: Any) -> dict[str, Any]:
    """What the outputs depend on: the code of the cells, and the files below `assets` that it names."""
    colab = tagged(notebook, "colab")
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code" and cell not in colab]
    named = {Path(text).name for text in re.findall(r"""["']([^"'\n]+\.\w+)["']""", "\n".join(code))}
    files = [path for path in (ROOT / "assets").rglob("*.*") if path.name in named]
    if "metatok.reader" in "\n".join(code):
        files += (ROOT / "assets" / "reader").rglob("*.safetensors")  # its writer's, too
        files += (ROOT / "assets" / "reader").rglob("tokenizer.json")
    return {
        "code": _hash("\n\0\n".join(code).encode()),
        "files": {path.relative_to(ROOT).as_posix(): _hash(path.read_bytes()) for path in sorted(files)},
    }


def stale(name: str) -> str | None:
    """Why the committed outputs are older than what they show, as a sentence; None where they are not."""
    if not (FOLDER / f"{name}.ipynb").exists():
        return f"{name} has never been run."
    committed = load(name)
    made = committed.metadata.get("metatok", {})
    for notebook in (committed, source(name)):
        now = fingerprint(notebook)
        if now["code"] != made.get("code"):
            return f"The code of {name} has changed since it was run."
        changed = [path for path, value in now["files"].items() if made["files"].get(path) != value]
        if changed:
            return f"{', '.join(changed)} changed since {name} was run."
    return None


def execute(notebook: Any, *, fast: bool) -> Any:
    """A copy with the outputs of a run in a process of its own, in the folder of the notebooks, offline.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    run = copy.deepcopy(notebook)
    if fast:
        (parameters,) = tagged(run, "parameters")
        if parameters.source.count(FULL) != 1:
            raise ValueError(f"the cell tagged `parameters` has to say `{FULL}` once")
        parameters.source = parameters.source.replace(FULL, FAST)
    settings = {
        "PYTHONPATH": str(ROOT),
        "HF_HUB_OFFLINE": "1",
        "TQDM_DISABLE": "1",  # bars are for people who wait
        "PYTHONWARNINGS": QUIET,
    }
    environment = os.environ | settings | _browser()
    client = NotebookClient(run, timeout=SECONDS, resources={"metadata": {"path": str(FOLDER)}})
    client.execute(env=environment)
    for cell in run.cells:
        cell.metadata.pop("execution", None)  # when it ran
    run.metadata = copy.deepcopy(notebook.metadata)  # the kernel has added its version
    return run


def printed(cell: Any) -> str:
    """What a cell shows as text; pictures have none."""
    shown = [output.get("text") or output.get("data", {}).get("text/plain", "") for output in cell.outputs]
    return "".join(text for text in shown if "object>" not in text)


def renew_links(name: str) -> None:
    """Write the badges and the Colab cell into the .py file, where `metatok.links` or `COLAB` changed."""
    path = FOLDER / f"{name}.py"
    text = path.read_text(encoding="utf-8")
    for place, new in ((BADGES, f"# {links.badges(name)}"), (COLAB_CELL, COLAB)):
        text, count = place.subn(lambda _, new=new: new, text)
        if count != 1:
            raise ValueError(f"{path.name} needs one line of badges and one cell tagged `colab`, see 01_meta_tokens.py")
    path.write_text(text, encoding="utf-8")


def make(name: str, *, changed: bool) -> None:
    """Run a notebook at full size and write it; with `changed` only where its outputs are old."""
    renew_links(name)
    notebook = source(name)
    why = stale(name)
    if changed and why is None:
        for new, old in zip(
            [cell for cell in notebook.cells if cell.cell_type == "code"],
            [cell for cell in load(name).cells if cell.cell_type == "code"],
            strict=True,
        ):
            new.outputs, new.execution_count = old.outputs, old.execution_count
    else:
        print(f"{name}: {why or 'up to date'} Running it …", flush=True)
        notebook = execute(notebook, fast=False)
    notebook.metadata["metatok"] = fingerprint(notebook)
    nbformat.write(notebook, FOLDER / f"{name}.ipynb")


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _browser() -> dict[str, str]:
    """Where kaleido finds a browser for static pictures, if it is not on the path: playwright's."""
    if os.environ.get("BROWSER_PATH") or any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))):
        return {}
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        return {"BROWSER_PATH": playwright.chromium.executable_path}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="a notebook without its ending; all if left out")
    parser.add_argument("--changed", action="store_true", help="run only those whose outputs are old")
    arguments = parser.parse_args()
    for name in arguments.names or names():
        make(name, changed=arguments.changed)


if __name__ == "__main__":
    main()
