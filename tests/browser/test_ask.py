"""The Ask part in a real browser, with a small reader: ask, look at both answers, stop, take a new example."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

pytest.importorskip("torch")

from tests.browser.conftest import TIMEOUT, watch
from tests.browser.serve import App, serving

HOSTILE = "<img src=x onerror=\"window.pwned='img'\"> ${window.pwned='dollar'} {{value}} </script> `x`"


@pytest.fixture(scope="module")
def asking(tiny_reader: Path) -> Iterator[App]:
    with serving([sys.executable, "-m", "tests.browser.slow_app"], METATOK_READER=str(tiny_reader)) as running:
        yield running
        assert "Traceback" not in running.log.read_text()


@pytest.fixture
def open_ask(asking: App, chromium: Browser) -> Iterator[Callable[..., Page]]:
    wrong: list[str] = []
    contexts = []

    def open_page(width: int = 1280, theme: str = "light") -> Page:
        context = chromium.new_context(viewport={"width": width, "height": 1000}, color_scheme=theme)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(TIMEOUT)
        watch(page, wrong)
        page.goto(f"{asking.url}/?__theme={theme}", wait_until="commit")
        page.wait_for_selector("#compute-plot .main-svg")  # a tab can be clicked when the page has come to rest
        page.get_by_role("tab", name="Ask").click()
        page.wait_for_selector("#ask-button", state="visible")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not wrong, wrong


def ask(page: Page) -> None:
    page.click("#ask-button")
    expect(page.locator("#ask-agreement")).to_contain_text("gave", timeout=3 * TIMEOUT)  # torch may be loaded first


def ask_slowly(page: Page) -> None:
    """Ask, with the baseline that takes seconds, and come back once its tokens are being dropped."""
    if page.input_value("#ask-lossy input").split(":")[0] != "llmlingua":
        page.click("#ask-lossy input")
        page.get_by_role("option", name="llmlingua").click()
    page.click("#ask-button")
    expect(page.locator("#answer-lossy-numbers")).to_contain_text("Tokens are being dropped", timeout=3 * TIMEOUT)


def tokens(page: Page, side: str) -> int:
    return int(page.inner_text(f"#answer-{side}-numbers dd >> nth=0").replace(",", ""))


def test_ask_about_the_example(open_ask: Callable[..., Page]) -> None:
    page = open_ask()
    ask(page)
    truth = page.inner_text("#ask-truth").removeprefix("True answer: ")
    for side in ("raw", "compressed", "lossy"):
        right = page.input_value(f"#answer-{side} textarea") == truth
        expect(page.locator(f"#answer-{side}-numbers b")).to_have_text("✓ right" if right else "✗ wrong")
    # A reader as small as this one may have nothing to say to one of them, which one depends on the processor.
    assert any(page.input_value(f"#answer-{side} textarea") for side in ("raw", "compressed", "lossy"))
    assert 0 < tokens(page, "compressed") < tokens(page, "raw")
    assert tokens(page, "lossy") == tokens(page, "compressed")
    for side in ("raw", "compressed", "lossy"):
        expect(page.locator(f"#answer-{side}-numbers dt")).to_contain_text(["prompt tokens"])
        expect(page.locator(f"#answer-{side}-numbers dt", has_text="first token after")).to_have_count(1)
    page.click("#answer-lossy-numbers summary")
    expect(page.locator("#answer-lossy-numbers pre")).to_be_visible()
    question = page.input_value("#ask-question textarea")
    assert page.inner_text("#ask-truth").startswith(f"True answer: {question.removeprefix('path of ')} <")


def test_a_new_example_and_its_questions(open_ask: Callable[..., Page]) -> None:
    page = open_ask()
    before = page.input_value("#ask-text textarea")
    page.click("#ask-example")
    expect(page.locator("#ask-text textarea")).not_to_have_value(before)
    page.get_by_role("button", name="inside", exact=True).click()
    expect(page.locator("#ask-question textarea")).to_have_value(re.compile("^is "))
    ask(page)
    expect(page.locator("#ask-truth")).to_contain_text("True answer: ")

    # Another text: the button gives the form of the question, and nobody knows the answer.
    page.fill("#ask-text textarea", "root: a, b\na < root\nb < root")
    page.get_by_role("button", name="parent", exact=True).click()
    expect(page.locator("#ask-question textarea")).to_have_value("parent of NAME")
    page.fill("#ask-question textarea", "parent of a")
    page.press("#ask-question textarea", "Enter")
    expect(page.locator("#ask-truth")).to_contain_text("known for the example")
    expect(page.locator("#answer-raw-numbers")).not_to_contain_text("wrong")


def test_mistakes_are_said_in_the_page_and_the_text_stays(open_ask: Callable[..., Page]) -> None:
    page = open_ask()
    text = page.input_value("#ask-text textarea")
    page.fill("#ask-question textarea", "  ")
    page.click("#ask-button")
    expect(page.locator("#ask-message [role=alert]")).to_contain_text("There is no question yet")
    assert page.input_value("#ask-text textarea") == text
    page.fill("#ask-question textarea", HOSTILE)
    page.fill("#ask-text textarea", HOSTILE)
    ask(page)
    expect(page.locator("#ask-message [role=alert]")).to_have_count(0)
    assert page.evaluate("window.pwned") is None


def test_code_is_drawn_and_asked(open_ask: Callable[..., Page]) -> None:
    page = open_ask()
    expect(page.locator("#ask-task")).to_contain_text("trained on trees only")
    page.locator("#ask-task label", has_text="code").click()
    page.click("#ask-example")
    expect(page.locator("#ask-text textarea")).to_have_value(re.compile("^# Repo Name: "), timeout=6 * TIMEOUT)
    expect(page.locator("#ask-kinds")).to_be_hidden()
    ask_slowly(page)
    expect(page.locator("#ask-truth")).to_contain_text("True answer: ")
    page.click("#ask-stop")
    expect(page.locator("#ask-message [role=status]")).to_have_text("Stopped.")
    page.locator("#ask-task label", has_text="tree").click()
    page.click("#ask-example")
    expect(page.locator("#ask-kinds")).to_be_visible()


def test_the_last_question_has_the_last_word(open_ask: Callable[..., Page]) -> None:
    page = open_ask()
    box, truth = page.locator("#ask-question textarea"), page.locator("#ask-truth")
    page.get_by_role("button", name="inside", exact=True).click()
    expect(box).to_have_value(re.compile("^is "))
    ask(page)
    inside, last = page.input_value("#ask-question textarea"), page.inner_text("#ask-truth")
    page.get_by_role("button", name="path", exact=True).click()
    expect(box).not_to_have_value(inside)
    ask_slowly(page)
    assert page.inner_text("#ask-truth") != last
    box.fill(inside)
    box.press("Enter")
    expect(truth).to_have_text(last, timeout=3 * TIMEOUT)
    expect(page.locator("#ask-agreement")).to_contain_text("gave", timeout=3 * TIMEOUT)
    page.wait_for_timeout(1000)
    assert page.inner_text("#ask-truth") == last


def test_stop_ends_a_question_that_waits_too(open_ask: Callable[..., Page]) -> None:
    page = open_ask()
    ask_slowly(page)
    truth = page.inner_text("#ask-truth")
    page.get_by_role("button", name="depth", exact=True).click()
    expect(page.locator("#ask-question textarea")).to_have_value(re.compile("^depth "))
    page.press("#ask-question textarea", "Enter")
    page.wait_for_timeout(300)  # for the page to take it
    page.click("#ask-stop")
    expect(page.locator("#ask-message [role=status]")).to_have_text("Stopped.")
    page.wait_for_timeout(2000)
    expect(page.locator("#ask-message [role=status]")).to_have_text("Stopped.")
    assert page.inner_text("#ask-truth") == truth
    expect(page.locator("#ask-agreement")).not_to_contain_text("gave")


def test_stop_while_tokens_are_dropped(open_ask: Callable[..., Page]) -> None:
    page = open_ask()
    page.fill("#ask-text textarea", "\n".join(f"leaf{i} < parent{i % 9} < root" for i in range(300)))
    page.fill("#ask-question textarea", "parent of leaf3")
    ask_slowly(page)
    page.click("#ask-stop")
    expect(page.locator("#ask-message [role=status]")).to_have_text("Stopped.")
    page.wait_for_timeout(1000)  # nothing that was on its way comes later
    expect(page.locator("#ask-message [role=status]")).to_have_text("Stopped.")

    ask_slowly(page)
    page.click("#ask-example")
    expect(page.locator("#ask-question textarea")).not_to_have_value("parent of leaf3")
    page.wait_for_timeout(1000)
    expect(page.locator("#answer-raw textarea")).to_have_value("")
    expect(page.locator("#ask-message [role=status]")).to_have_count(0)
    ask(page)  # and it can be asked again


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_sticks_out(open_ask: Callable[..., Page], width: int, theme: str) -> None:
    page = open_ask(width=width, theme=theme)
    ask(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
