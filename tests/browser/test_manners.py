"""Links that restore the page, accessibility of every tab, and hostile text in every input of the page."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from importlib import resources
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Explore
from tests.browser.test_page import EXAMPLES, HOSTILE, ROOT

Open = Callable[..., Explore]
TABS = ["Explore", "Savings", "Ask", "Compare", "Results", "About"]
AXE = """async () => (await axe.run(document, { resultTypes: ['violations'] })).violations
  .filter((found) => ['serious', 'critical'].includes(found.impact))
  .map((found) => [found.id, found.help, found.nodes.map((node) => node.target + ': ' + node.failureSummary)])"""

EVIL = HOSTILE.replace("\x00", "")  # a single-line input drops NUL by itself


def go(page: Page, tab: str) -> None:
    """Open a tab, from the menu where the screen is too narrow for all of them."""
    if page.get_by_role("tab", name=tab, exact=True).count() == 0:
        page.get_by_role("button", name="More tabs").click()
        page.get_by_role("button", name=tab, exact=True).click()
    else:
        page.get_by_role("tab", name=tab, exact=True).click()
    expect(page.get_by_role("tab", name=tab, exact=True)).to_have_attribute("aria-selected", "true")


def test_the_focus_follows_a_tab_out_of_the_menu(explore: Open) -> None:
    page = explore(width=390).page
    page.get_by_role("button", name="More tabs").press("Enter")
    page.get_by_role("button", name="About", exact=True).press("Enter")
    expect(page.get_by_role("tab", name="About", exact=True)).to_be_focused()


def restored(page: Explore, fragment: str) -> None:
    """Open a link in place of this page."""
    page.page.goto("about:blank")
    page.page.goto(page.url + fragment, wait_until="commit")
    page.page.wait_for_selector("#token-view .t", state="attached")


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(explore: Open, theme: str, width: int) -> None:
    # As high as the page, so that all of it is drawn.
    page = explore(width=width, height=6000, theme=theme, reduced_motion="reduce").page
    page.click("#share")
    page.click("#programs > button")
    expect(page.locator("#snippet-client textarea")).not_to_have_value("")
    page.evaluate(resources.files("axe_playwright_python").joinpath("axe.min.js").read_text())
    found = {}
    for tab in TABS:
        go(page, tab)
        page.wait_for_timeout(500)  # charts and tables are drawn when their tab is first looked at
        found[tab] = page.evaluate(AXE)
    assert not any(found.values()), json.dumps(found, indent=1)


def test_a_link_restores_the_page(explore: Open) -> None:
    page = explore(permissions=["clipboard-read", "clipboard-write"])
    text = EVIL[:600] * 2 + "&=#+ %41"
    page.compress(text)
    before = page.drawn()
    page.page.check("#method input[value=ltsc]")
    page.wait_drawn(before)
    before = page.drawn()
    page.page.evaluate("document.querySelector('#text-input textarea').setSelectionRange(600, 640)")
    page.page.click("#keep .add")
    page.wait_drawn(before)
    shown, kept = page.counts(), page.page.inner_text("#keep .parts bdi")
    before = page.drawn()
    go(page.page, "Results")
    page.page.click("#share")
    expect(page.page.locator("#share-link [role=status]")).to_have_text("Copied.")
    link = page.page.input_value("#share-link input")
    assert page.page.evaluate("navigator.clipboard.readText()") == link == page.page.url
    go(page.page, "About")
    expect(page.page.locator("#share-link input")).to_have_count(0)  # it is no link to what is shown now

    restored(page, "#" + link.split("#")[1])
    expect(page.page.get_by_role("tab", name="Results")).to_have_attribute("aria-selected", "true")
    go(page.page, "Explore")
    expect(page.page.locator("#text-input textarea")).to_have_value(text)
    expect(page.page.locator("#method input[value=ltsc]")).to_be_checked()
    page.page.wait_for_function(
        "(shown) => [...document.querySelectorAll('#summary data')].map((n) => n.value).join() == shown",
        arg=",".join(map(str, shown)),
    )
    assert page.page.inner_text("#keep .parts bdi") == kept
    assert page.text() == text
    assert page.page.evaluate("window.pwned") is None


def test_a_text_too_long_for_a_link_is_left_out_in_words(explore: Open) -> None:
    page = explore()
    page.set_text("too long for a link " * 1000)
    page.page.click("#share")
    expect(page.page.locator("#share-link [role=status]")).to_contain_text("the link leaves it out")
    assert "text=" not in page.page.input_value("#share-link input")
    page.page.get_by_role("button", name="Server log", exact=True).click()
    page.page.wait_for_function("location.hash.includes('example=server')")  # the address follows by itself


def test_a_folder_is_no_part_of_a_link(explore: Open) -> None:
    page = explore()
    before = page.drawn()
    box = page.page.locator("#tokenizer input")
    box.fill("assets/reader")
    box.press("Enter")
    page.wait_drawn(before)
    page.page.wait_for_function("location.hash && !location.hash.includes('tokenizer=')")
    page.page.click("#share")
    expect(page.page.locator("#share-link [role=status]")).to_contain_text("choose it by hand")
    restored(page, page.page.evaluate("location.hash"))
    expect(page.page.locator("#message [role=alert]")).to_have_count(0)
    expect(page.page.locator("#tokenizer input")).to_have_value(re.compile("^mistral:tekken"))


def test_the_address_follows_the_model_that_reads(explore: Open) -> None:
    page = explore()
    page.choose("architecture", "Phi-4")
    page.page.wait_for_function("location.hash.includes('model=Phi-4')")


def test_snippets_follow_what_is_done(explore: Open) -> None:
    page = explore()
    page.page.click("#programs > button")
    box = page.page.locator("#snippet-python textarea")
    expect(box).to_have_value(re.compile(r'text = open\("prompt.txt"'))  # the example is longer than a snippet
    page.compress("spam and eggs, " * 9)
    expect(box).to_have_value(re.compile("text = '(spam and eggs, ){9}'"))
    page.page.check("#method input[value=ltsc]")
    expect(box).to_have_value(re.compile("meta_tokens=512, method='ltsc'"))
    for animal in ("cat", "dog"):  # the same numbers, of another text
        page.compress(f"the {animal} sat on the mat; " * 5)
        expect(box).to_have_value(re.compile(f"text = '(the {animal} sat on the mat; ){{5}}'"))


def test_a_wrong_link_gets_a_sentence_and_the_page_works(explore: Open) -> None:
    page = explore()
    for fragment in ("method=<img src=x onerror=window.pwned=1>${window.pwned=1}", "tokenizer=/etc&text=spam"):
        restored(page, "#" + fragment)
        message = page.page.locator("#message [role=alert]")
        expect(message).to_contain_text("could not be restored")
        assert message.inner_text().endswith(".")
        assert page.counts()[0] > 100, "the example is no longer shown"
    assert page.page.evaluate("window.pwned") is None
    page.compress("spam and eggs, " * 9)


def test_hostile_text_in_every_input(explore: Open) -> None:
    """Whatever takes text gets all of it; nothing runs, nothing hangs, every refusal is a sentence."""
    page = explore()
    tried = 0
    for tab, button in (
        ("Explore", "#compress-button"),
        ("Savings", None),
        ("Ask", "#ask-button"),
        ("Compare", "#compare-button"),
        ("Results", None),
    ):
        go(page.page, tab)
        inputs = page.page.locator(
            ".tabitem :is(textarea, input[type=text], input[type=search], input:not([type])):not([readonly], :disabled)"
        )
        for box in inputs.all():
            if not box.is_visible() or not box.is_editable():
                continue
            box.fill(EVIL if box.evaluate("node => node.tagName") == "TEXTAREA" else EVIL.replace("\n", " ")[:500])
            box.press("Tab")
            tried += 1
        if button:
            page.page.click(button)
        page.page.wait_for_timeout(1500)
        assert page.page.evaluate("window.pwned") is None, tab
        assert page.page.locator(".tabitem img[src=x], .tabitem svg[onload]").count() == 0, tab
        for alert in page.page.locator("[role=alert]:visible").all():
            assert alert.inner_text().strip().endswith("."), alert.inner_text()
        assert "Traceback" not in page.page.inner_text("body")
    assert tried >= 8
    go(page.page, "Explore")
    assert page.page.input_value("#text-input textarea") == EVIL, "the text is gone"


@pytest.mark.parametrize(
    "text",
    [
        "x" * 4_999_999,
        "👩‍👩‍👧‍👦" * 100_000,
        "\u202e<|m12|> <|dict|>\u0000\u2067" * 3000,
    ],
    ids=["5 MB without a space", "100,000 joined emoji", "overrides and meta-tokens spelled out"],
)
def test_texts_that_are_hard_to_show(explore: Open, text: str) -> None:
    page = explore()
    page.page.set_default_timeout(120_000)
    page.compress(text)
    before, after = page.counts()
    assert after < before
    assert page.number("exact").startswith("exact")
    assert text.startswith(page.text())
    assert page.page.locator("#token-view :is(img, script)").count() == 0


def test_a_lone_surrogate_is_refused_and_kept(explore: Open) -> None:
    page = explore()
    page.set_text("a\ud800b")
    page.page.click("#compress-button")
    message: Any = page.page.locator("#message [role=alert]")
    message.wait_for()
    assert message.inner_text().endswith(".")
    assert "lone surrogate" in message.inner_text()
    assert page.page.evaluate("document.querySelector('#text-input textarea').value.charCodeAt(1)") == 0xD800


# In the page itself: a busy machine may look only when a few seconds' work is over.
STOP_AT = """(word) => new MutationObserver((_, watch) => {
    const status = document.querySelector("#message [role=status]");
    if (!status?.textContent.endsWith(word)) return;
    watch.disconnect();
    window.said = status.textContent;
    document.querySelector("#compress-stop").click();
}).observe(document.body, {subtree: true, childList: true, characterData: true})"""
LAST_SAID = "document.querySelector('#message [role=status]')?.textContent"
DRAWN = "Number(document.querySelector('#token-view .view')?.dataset.drawn)"
STOPPED = "Stopped; what was shown before stays."
ENDED = f"{LAST_SAID} === stopped || {DRAWN} > before"


def long_text() -> str:
    rng = random.Random(0)
    words = ["".join(rng.choices("abcdefghijklmnop", k=rng.randint(3, 9))) for _ in range(5000)]
    return " ".join(rng.choices(words, k=650_000))


def test_a_long_text_says_at_what_it_is_and_can_be_stopped(explore: Open) -> None:
    page = explore()
    message = page.page.locator("#message [role=status]")
    for _ in range(4):  # on a busy machine the browser may see the first of it when all is done
        before, counts = page.drawn(), page.counts()
        page.set_text(long_text())
        page.page.evaluate(STOP_AT, " …")
        page.page.click("#compress-button")
        page.page.wait_for_function(f"([before, stopped]) => {ENDED}", arg=[before, STOPPED])
        if page.page.evaluate(LAST_SAID) == STOPPED:
            break
    expect(message).to_have_text(STOPPED)
    assert re.fullmatch(
        "(Making tokens|Looking for phrases|Checking .*|Drawing) …", page.page.evaluate("() => window.said")
    )
    assert page.counts() == counts
    page.compress("spam and eggs, " * 9)  # nothing of the stopped work comes after it
    assert page.drawn() == before + 1
    expect(message).to_have_count(0)


def test_an_example_comes_after_what_is_on_its_way(explore: Open) -> None:
    page = explore()
    page.set_text(long_text())
    page.page.click("#compress-button")
    expect(page.page.locator("#message")).to_contain_text("…")
    for example in EXAMPLES[2:0:-1]:  # of two clicks the last one counts
        page.page.get_by_role("button", name=example["title"], exact=True).click()
    text = (ROOT / "assets/examples" / EXAMPLES[1]["file"]).read_text(encoding="utf-8")
    shown = "(text) => document.querySelector('#token-view .original').textContent === text"
    page.page.wait_for_function(shown, arg=text, timeout=60_000)
    assert page.page.input_value("#text-input textarea") == text
    assert EXAMPLES[1]["about"] in page.page.inner_text("#example-about")
    expect(page.page.locator("#message [role=status]")).to_have_count(0)


def test_stop_stops_an_example_that_waits_too(explore: Open) -> None:
    page = explore()
    example = page.page.get_by_role("button", name=EXAMPLES[1]["title"], exact=True)
    for _ in range(4):  # on a busy machine the work may be over before Stop is clicked
        before, counts = page.drawn(), page.counts()
        page.set_text(long_text())
        page.page.click("#compress-button")
        expect(page.page.locator("#message")).to_contain_text("…")
        example.evaluate("async (button) => { button.click(); await new Promise(requestAnimationFrame); }")
        page.page.evaluate("document.querySelector('#compress-stop').click()")
        page.page.wait_for_function(f"([before, stopped]) => {ENDED}", arg=[before, STOPPED])
        if page.page.evaluate(LAST_SAID) == STOPPED:
            break
    expect(page.page.locator("#message [role=status]")).to_have_text(STOPPED)
    page.page.wait_for_timeout(2000)  # time for what had waited to begin after all
    expect(page.page.locator("#message [role=status]")).to_have_text(STOPPED)
    assert (page.drawn(), page.counts()) == (before, counts)
    example.click()
    page.page.wait_for_function(f"(before) => {DRAWN} === before + 1", arg=before)
    expect(page.page.locator("#message [role=status]")).to_have_count(0)


def test_a_run_may_be_stopped_twice(explore: Open) -> None:
    page = explore()
    joined: list[Any] = []
    page.page.on("response", lambda response: joined.append(response) if "queue/join" in response.url else None)
    page.set_text(long_text())
    page.page.click("#compress-button")
    expect(page.page.locator("#message")).to_contain_text("…")
    run = json.loads(joined[-1].request.post_data) | joined[-1].json()
    body = json.dumps({key: run[key] for key in ("session_hash", "fn_index", "event_id")})
    cancel = """(body) => Promise.all([1, 2, 3].map(async () => (await fetch("gradio_api/cancel", {
      method: "POST", headers: { "Content-Type": "application/json" }, body })).status))"""
    assert page.page.evaluate(cancel, body) == [200] * 3


def test_a_stop_that_comes_too_late_is_not_said_to_have_stopped(explore: Open) -> None:
    page = explore()
    before, counts = page.drawn(), page.counts()
    page.set_text(long_text())
    page.page.evaluate(STOP_AT, "Drawing …")
    page.page.click("#compress-button")
    page.page.wait_for_function(f"([before, stopped]) => {ENDED}", arg=[before, STOPPED])
    page.page.wait_for_timeout(1000)  # what would be said after the result
    stopped = page.page.evaluate(LAST_SAID) == STOPPED
    assert (page.drawn() == before) == stopped
    assert (page.counts() == counts) == stopped
    assert page.page.locator("#message [role=status]").count() == stopped
