"""The snippets that the page shows, run as a person would: in a shell and in Python, against the running app."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("gradio")

from metatok.demo.programs import snippets
from metatok.demo.run import run
from metatok.demo.snippets import FILE, MAX_TEXT
from metatok.views.keep import keep_ranges
from tests.browser.serve import ROOT, App, environment, serving

TEXT = 'it\'s "so" `x` $(touch pwned) ${1+1} {{v}} \\ \x00 \u202e 🦜 <|m12|>\r\nEOF\n' * 5
SETTINGS = ("mistral:v3", "nested", None)


@pytest.fixture(scope="module")
def app() -> Iterator[App]:
    with serving() as running:
        yield running
        assert "Traceback" not in running.log.read_text()


def execute(folder: Path, *command: str) -> str:
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment(PYTHONPATH=paths, no_proxy="*"),
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("written", "keep"),
    [(True, []), (True, [[3, 100], [200, 260]]), (False, [])],
    ids=["text in the snippet", "parts stay raw", "text in a file"],
)
def test_every_snippet_does_what_the_page_did(app: App, tmp_path: Path, written: bool, keep: list[list[int]]) -> None:
    shown = TEXT.replace("\r\n", "\n") if keep else TEXT  # as a text box has it, where parts are selected
    result = run(shown, *SETTINGS, keep_ranges(json.dumps(keep), shown))
    expected = {**result.summary, "ids": None}
    assert (len(result.keep), len(shown) <= MAX_TEXT) == (len(keep), True)
    (tmp_path / FILE).write_bytes(shown.encode())
    given = shown if written else None
    client, curl, python = snippets(given, json.dumps(keep) if keep else "", result.summary, f"{app.url}/")
    counts = f"{expected['original_tokens']} to {expected['compressed_tokens']} tokens"
    assert counts in execute(tmp_path, sys.executable, "-c", client)
    assert execute(tmp_path, sys.executable, "-c", python) == f"{counts}\n"
    if shutil.which("curl") is None:
        pytest.skip("there is no curl on this machine")
    answer = re.search(r"event: complete\ndata: (.*)", execute(tmp_path, "sh", "-c", curl))
    assert answer is not None
    assert json.loads(answer[1]) == [expected]
    assert not (tmp_path / "pwned").exists()


def test_without_a_result_or_a_place_there_is_nothing_to_show() -> None:
    assert snippets("a", "", None, "http://127.0.0.1:7860/") == ["", "", ""]
    numbers = {"tokenizer": "mistral:v3", "method": "ltsc", "meta_tokens": 64}
    assert snippets("a", "", numbers, "javascript:alert(1)") == ["", "", ""]
