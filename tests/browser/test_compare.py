"""The Compare part in a real browser: a text, a file with several documents, what is wrong, Stop."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from metatok.demo.uploads import read_file
from metatok.tokenizer import MetaTokenizer
from tests.browser.conftest import TIMEOUT, Explore

Open = Callable[..., Explore]
LINES = "".join(f"/usr/share/doc/package-{i % 7}/changelog.Debian.gz {i}\n" for i in range(60))
HOSTILE = "<img src=x onerror=\"window.pwned='img'\">${window.pwned='dollar'}{{value}}`"


def open_compare(explore: Open, **options: Any) -> Page:
    page = explore(**options).page
    if options.get("width", 1280) < 700:  # the last tabs are in a menu
        page.locator(".overflow-menu > button").click()
        page.locator(".overflow-dropdown button", has_text="Compare").click()
    else:
        page.get_by_role("tab", name="Compare").click()
    page.wait_for_selector("#compare-button", state="visible")
    return page


def choose(page: Page, group: str, *wanted: str) -> None:
    """Tick these and nothing else."""
    for label in page.locator(f"#compare-{group} label").all():
        label.locator("input").set_checked(label.inner_text().strip() in wanted)


def compare(page: Page) -> str:
    page.click("#compare-button")
    status = page.locator("#compare-status")
    expect(status).to_contain_text("The fewest", timeout=3 * TIMEOUT)
    return status.inner_text()


@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (390, "dark")])
def test_one_text(explore: Open, width: int, theme: str) -> None:
    page = open_compare(explore, width=width, theme=theme)
    page.fill("#compare-text textarea", LINES)
    choose(page, "methods", "ltsc", "inline")
    choose(page, "efforts", "default")
    choose(page, "pools", "64", "as many as pay")
    status = compare(page)
    tok = MetaTokenizer.from_pretrained("mistral:tekken", method="inline", meta_tokens=None)
    assert f"{len(tok.encode(LINES)):,} tokens" in status
    assert f"The fewest, {len(tok.compress(LINES)):,}, come from inline" in status
    expect(page.locator("#compare-table [role=grid]")).to_have_attribute("aria-rowcount", "5")  # with the header
    expect(page.locator("#compare-table")).to_contain_text(f"{len(tok.compress(LINES)):,}")
    expect(page.locator("#compare-plot .annotation-text")).to_contain_text("no grammar saves more")
    assert page.evaluate("document.documentElement.scrollWidth") <= width

    with page.expect_download() as download:
        page.locator("#compare-download a", has_text=re.compile("json|KB|B")).last.click()
    saved = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
    assert [row["exact"] for row in saved["rows"]] == [True] * 4


def test_a_file_with_several_documents(explore: Open, tmp_path: Path) -> None:
    archive = tmp_path / "sources.zip"
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr(f"src/{HOSTILE.replace('/', '')}.txt", LINES)
        made.writestr("src/b.txt", LINES * 2)
        made.writestr("c.png", b"\x89PNG\0\0")
    page = open_compare(explore)
    page.set_input_files("#compare-file input[type=file]", archive)
    expect(page.locator("#compare-note")).to_have_text(read_file(archive).note)
    choose(page, "methods", "inline")
    choose(page, "efforts", "fast")
    choose(page, "pools", "512")
    assert compare(page).startswith("2 documents with ")
    with page.expect_download() as download:
        page.locator("#compare-download tr", has_text="documents").locator("a").click()
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text(encoding="utf-8"))))
    assert [row["document"] for row in rows][1] == "src/b.txt"
    assert all(int(row["inline, fast, 512"]) < int(row["original_tokens"]) for row in rows)
    assert page.evaluate("window.pwned") is None


def test_mistakes_are_said_and_the_text_stays(explore: Open, tmp_path: Path) -> None:
    page = open_compare(explore)
    page.fill("#compare-text textarea", HOSTILE)
    choose(page, "methods")
    page.click("#compare-button")
    expect(page.locator("#compare-message [role=alert]")).to_contain_text("Choose at least one method")
    assert page.input_value("#compare-text textarea") == HOSTILE
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("zeros", b"0" * 12_000_000)
    page.set_input_files("#compare-file input[type=file]", bomb)
    expect(page.locator("#compare-message [role=alert]")).to_contain_text("12.0 MB unpacked, and 5 MB is the most")


# Keeps everything that the status says.
SAID = """() => {
  const status = document.querySelector('#compare-status');
  window.said = [];
  new MutationObserver(() => window.said.push(status.innerText.trim())).observe(
    status, { childList: true, characterData: true, subtree: true });
}"""


def test_take_the_text_of_explore_and_stop(explore: Open) -> None:
    page = open_compare(explore)
    page.fill("#compare-text textarea", "")
    page.click("#compare-take")
    text = page.input_value("#text-input textarea")
    expect(page.locator("#compare-text textarea")).to_have_value(text)
    page.click("#compare-button")
    expect(page.locator("#compare-status")).to_contain_text(" of 50: ")
    page.evaluate(SAID)
    page.click("#compare-stop")
    expect(page.locator("#compare-status")).to_contain_text("Stopped")
    assert "Stopping …" in page.evaluate("window.said")  # at once; what runs ends in its own time
    choose(page, "efforts", "fast")
    compare(page)  # and it can be asked again
