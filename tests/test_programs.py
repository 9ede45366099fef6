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
from metatok.demo.snippets import FILE
from metatok.summary import summarize
from metatok.tokenizer import MetaTokenizer
from tests.browser.serve import ROOT, App, environment, serving

TEXT = 'it\'s "so" `x` $(touch pwned) ${1+1} {{v}} \\ \x00 \u202e 🦜 <|m12|>\r\nEOF\n' * 5
SETTINGS = ("mistral:v3", "nested", None)


@pytest.fixture(scope="module")
def app() -> Iterator[App]:
    with serving() as running:
        yield running
        assert "Traceback" not in running.log.read_text()


def run(folder: Path, *command: str) -> str:
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


@pytest.mark.parametrize("written", [True, False], ids=["text in the snippet", "text in a file"])
def test_every_snippet_does_what_the_page_did(app: App, tmp_path: Path, written: bool) -> None:
    name, method, pool = SETTINGS
    tokenizer = MetaTokenizer.from_pretrained(name, method=method, meta_tokens=pool)
    expected = summarize(tokenizer, TEXT)
    (tmp_path / FILE).write_bytes(TEXT.encode())
    client, curl, python = snippets(TEXT if written else None, expected, f"{app.url}/")
    counts = f"{expected['original_tokens']} to {expected['compressed_tokens']} tokens"
    assert counts in run(tmp_path, sys.executable, "-c", client)
    assert run(tmp_path, sys.executable, "-c", python) == f"{counts}\n"
    if shutil.which("curl") is None:
        pytest.skip("there is no curl on this machine")
    answer = re.search(r"event: complete\ndata: (.*)", run(tmp_path, "sh", "-c", curl))
    assert answer is not None
    assert json.loads(answer[1]) == [{**expected, "ids": None}]
    assert not (tmp_path / "pwned").exists()


def test_without_a_result_or_a_place_there_is_nothing_to_show() -> None:
    assert snippets("a", None, "http://127.0.0.1:7860/") == ["", "", ""]
    numbers = {"tokenizer": "mistral:v3", "method": "ltsc", "meta_tokens": 64}
    assert snippets("a", numbers, "javascript:alert(1)") == ["", "", ""]
