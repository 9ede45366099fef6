"""`metatok publish`: what goes up, what is refused, what is said. No test reaches the network."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("huggingface_hub")

from metatok import publish
from tests.browser.serve import environment

ROOT = Path(__file__).parents[1]
NAME = "somebody/metatok"


@pytest.fixture(scope="module")
def assembled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("assembled")
    publish.assemble(folder, NAME)
    return folder


@pytest.fixture
def copy(assembled: Path, tmp_path: Path) -> Path:
    """An assembled folder that a test may spoil."""
    return shutil.copytree(assembled, tmp_path / "space")


def run(*arguments: str, cwd: Path = ROOT, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in environment(**variables).items() if name not in ("HF_TOKEN", "HF_HOME")}
    return subprocess.run(
        [sys.executable, "-m", "metatok", "publish", *arguments],
        cwd=cwd,
        env={**kept, **variables},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def paths(folder: Path) -> set[str]:
    return {path for path, _ in publish.contents(folder)}


# ---- What goes up


def test_the_folder_is_complete_and_has_nothing_else(assembled: Path) -> None:
    found = paths(assembled)
    assert {"app.py", "requirements.txt", "README.md", "LICENSE", "metatok/demo/page.css"} <= found
    assert {"assets/reader/model-00001-of-00004.safetensors", "assets/examples/index.json"} <= found
    assert {"assets/results/engine.json", "assets/thumbnail.png", "assets/screenshot.png"} <= found
    assert {path.split("/")[0] for path in found} == {*publish.FILES, "metatok", "assets"}
    assert not [path for path in found if re.search(r"__pycache__|\.pyc$|\.nb[ci]$|/\.|\.ipynb$|test_", path)]
    code = {str(path.relative_to(ROOT)) for path in (ROOT / "metatok").rglob("*.py")}
    assert code == {path for path in found if path.startswith("metatok/") and path.endswith(".py")}
    for path in found - {"README.md"}:
        assert (assembled / path).read_bytes() == (ROOT / path).read_bytes()


def test_it_passes_its_own_checks(assembled: Path) -> None:
    assert publish.problems(assembled, publish.required_python()) == []


def test_the_thumbnail_gets_its_address_and_readme_stays_as_it_is(assembled: Path) -> None:
    settings = publish.front_matter(assembled / "README.md")
    address = "https://huggingface.co/spaces/somebody/metatok/resolve/main/assets/thumbnail.png"
    assert settings == {**publish.front_matter(ROOT / "README.md"), "thumbnail": address}
    before, after = (folder.joinpath("README.md").read_text().splitlines() for folder in (ROOT, assembled))
    assert [line for line in before if not line.startswith("thumbnail:")] == [
        line for line in after if not line.startswith("thumbnail:")
    ]


# ---- What is refused


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def readme(old: str, new: str) -> Callable[[Path], None]:
    return lambda folder: edit(folder / "README.md", old, new)


def without(path: str) -> Callable[[Path], None]:
    return lambda folder: (folder / path).unlink()


SPOILED: list[tuple[Callable[[Path], object], str]] = [
    (lambda folder: (folder / "metatok/big.bin").write_bytes(bytes(10_000_000)), "metatok/big.bin has 10.0 MB"),
    (
        lambda folder: [(folder / f"metatok/{i}.bin").write_bytes(bytes(9_000_000)) for i in range(5)],
        "50 MB is the most that it may have",
    ),
    (readme("sdk_version: 6.31.0", "sdk_version: 6.30.0"), "does not pin gradio to that"),
    (readme("sdk_version: 6.31.0\n", ""), "has no sdk_version"),
    (readme("sdk: gradio", "sdk: docker"), "sdk has to be gradio"),
    (readme('python_version: "3.11"', "python_version: 3.10"), "has to be a string, not 3.1"),
    (readme('python_version: "3.11"', 'python_version: "3.10"'), "the package needs >=3.11"),
    (readme("app_file: app.py", "app_file: main.py"), "app_file is main.py"),
    (without("app.py"), "app_file is app.py"),
    (without("assets/thumbnail.png"), "thumbnail is assets/thumbnail.png"),
    (without("assets/screenshot.png"), "README shows assets/screenshot.png"),
    (readme("short_description: ", "short_description: The best of all "), "short_description has 70 characters"),
    (readme("colorFrom: blue", "colorFrom: mauve"), "colorFrom has to be one of"),
    (readme("suggested_hardware: cpu-basic", "suggested_hardware: cpu-huge"), "no hardware called cpu-huge"),
    (readme("startup_duration_timeout: 10m", "startup_duration_timeout: long"), "has to be like 30m"),
    (readme("models: []", "models: mistral"), "models has to be a list"),
    (readme("title: metatok", "title: [metatok"), "is no YAML"),
    (lambda folder: edit(folder / "requirements.txt", "gradio==", "gradio>="), "pin every package"),
]


@pytest.mark.parametrize(("spoil", "sentence"), SPOILED, ids=[sentence for _, sentence in SPOILED])
def test_what_is_wrong_gets_a_sentence(copy: Path, spoil: Callable[[Path], object], sentence: str) -> None:
    spoil(copy)
    found = publish.problems(copy)
    assert any(sentence in problem for problem in found), found
    assert all(problem.endswith(".") and "\n" not in problem for problem in found)


@pytest.mark.parametrize("name", ["metatok", "a/b/c", "", "/", "a b/c", "../x", "a/-b", "a/" + "b" * 100])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(publish.PublishError, match="OWNER/NAME"):
        publish.check_name(name)


def test_a_folder_inside_what_is_copied_is_refused() -> None:
    with pytest.raises(publish.PublishError, match="choose a folder elsewhere"):
        publish.assemble(ROOT / "metatok" / "out", NAME)


# ---- The command


def test_a_dry_run_lists_what_it_leaves(tmp_path: Path, assembled: Path) -> None:
    out = tmp_path / "out"
    done = run("--space", NAME, "--dry-run", "--folder", str(out))
    assert done.returncode == 0, done.stderr
    *rows, total = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    files = [(path, int(size.replace(",", ""))) for size, path in rows]
    assert files == publish.contents(out) == publish.contents(assembled)
    assert int(total[0].replace(",", "")) == sum(size for _, size in files)
    again = run("--space", NAME, "--dry-run", "--folder", str(out))
    assert (again.returncode, again.stdout) == (1, "")
    assert "is not empty" in again.stderr


@pytest.mark.parametrize(
    ("variables", "words"),
    [({}, "no token"), ({"HF_TOKEN": "hf_none", "HF_ENDPOINT": "http://127.0.0.1:9"}, "cannot be reached")],
)
def test_no_token_and_no_network_are_said(tmp_path: Path, variables: dict[str, str], words: str) -> None:
    done = run("--space", NAME, HF_HOME=str(tmp_path), HF_HUB_OFFLINE="0", **variables)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert words in line
    assert line.endswith(".")


def test_an_installed_package_says_that_it_is_no_checkout(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "metatok", tmp_path / "metatok", ignore=shutil.ignore_patterns("__pycache__"))
    done = run("--space", NAME, "--dry-run", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert "from a checkout of the repository" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert os.listdir(tmp_path) == ["metatok"]


def test_a_name_is_checked_before_anything_is_done(tmp_path: Path) -> None:
    done = run("--space", "metatok", "--dry-run")
    assert done.returncode == 1
    assert "OWNER/NAME" in done.stderr
    assert run("--dry-run").returncode == 2
