"""The Space as it would run: the folder of `metatok publish` in an environment of its own, served by another user.

The folder is read-only and the user has no home, so that only the temp folder can be written to. The environment has
what requirements.txt asks for, linked (`tests/linked_environment.py`); with METATOK_CLEAN_VENV=1, which `make
test-space` sets, it is installed by pip from scratch, which takes minutes.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from metatok import publish
from tests.browser.conftest import Explore, watch
from tests.browser.serve import App, environment, serving
from tests.linked_environment import base_python, linked_environment
from tests.other_user import OtherUser, other_user, read_only, readable_folder

NAME = "somebody/metatok"
LINES = "".join(f"/usr/share/doc/package-{i % 7}/changelog.Debian.gz {i}\n" for i in range(60))
TIMEOUT = 600_000  # milliseconds; the first answer loads torch and the reader, on a machine that may be busy


@dataclass(frozen=True)
class Space:
    """A running Space: the app, its folder, and the user who runs it."""

    app: App
    folder: Path
    user: OtherUser


@pytest.fixture(scope="module")
def space() -> Iterator[Space]:
    with readable_folder() as base, other_user(changed=True) as user:
        folder = base / "space"
        folder.mkdir()
        publish.assemble(folder, NAME)
        assert publish.problems(folder, publish.required_python()) == []
        python = environment_for(base / "venv", folder / "requirements.txt", user)
        read_only(folder)
        before = snapshot(folder)
        command = [*user.prefix, str(python), publish.front_matter(folder / "README.md")["app_file"]]
        variables = user.environment(environment(SPACE_ID=NAME))
        with serving(command, cwd=folder, env=variables) as app:
            yield Space(app, folder, user)
            assert "Traceback" not in app.log.read_text()
        assert snapshot(folder) == before, "the app wrote into its own folder"


def environment_for(folder: Path, requirements: Path, user: OtherUser) -> Path:
    """The Python of a new environment that has the requirements."""
    base = base_python(user)
    if base is None:
        pytest.skip("there is no Python here that another user can run")
    if not os.environ.get("METATOK_CLEAN_VENV"):
        return linked_environment(folder, base, requirements)
    subprocess.run([base, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", requirements], check=True)
    return python


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(p.relative_to(folder)): (p.stat().st_mtime_ns, p.stat().st_mode) for p in folder.rglob("*")}


def test_it_compresses_and_answers_in_chromium(space: Space, chromium: Browser) -> None:
    wrong: list[str] = []
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(TIMEOUT)
    watch(page, wrong)
    page.goto(space.app.url, wait_until="commit")
    page.wait_for_selector("#token-view .t")
    page.wait_for_selector("#compute-plot .main-svg")
    explore = Explore(page)
    explore.compress(LINES)
    assert explore.text() == LINES
    before, after = explore.counts()
    assert 0 < after < before / 2

    page.get_by_role("tab", name="Ask").click()
    page.click("#ask-button")
    expect(page.locator("#answer-compressed-numbers")).to_contain_text("prompt tokens", timeout=TIMEOUT)
    assert page.input_value("#answer-raw textarea")
    context.close()
    assert not wrong, wrong


def test_it_runs_as_the_other_user_with_what_was_asked_for(space: Space) -> None:
    owner = Path(f"/proc/{space.app.pid}").stat().st_uid
    assert owner == space.user.temp.stat().st_uid != os.getuid()
    python = Path(f"/proc/{space.app.pid}/cmdline").read_bytes().split(b"\0")[0].decode()
    code = "import importlib.metadata as m, json; print(json.dumps([d.name.lower() for d in m.distributions()]))"
    names = json.loads(subprocess.run([python, "-c", code], cwd="/", capture_output=True, text=True, check=True).stdout)
    assert {"gradio", "torch", "transformers"} <= set(names)
    assert not {"pytest", "playwright", "peft", "hypothesis", "metatok"} & set(names)


def test_it_wrote_below_the_temp_folder_only(space: Space) -> None:
    assert list(space.user.temp.glob("metatok-numba-*/**/*.nbc")), "no kernel was kept"
    assert not Path("/nonexistent").exists()


def test_it_fits_sixteen_gigabytes(space: Space) -> None:
    status = Path(f"/proc/{space.app.pid}/status").read_text()
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    assert peak * 1024 < 4e9
