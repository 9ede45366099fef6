"""The Savings part in a real browser: it follows Explore, takes other numbers, says what is wrong, and measures."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Explore

TEXT = "the quick brown fox jumps over the lazy dog; " * 40


@pytest.fixture
def savings(explore: Callable[..., Explore]) -> Callable[..., Page]:
    def open_page(text: str = TEXT, **options: object) -> Page:
        opened = explore(**options)
        opened.compress(text)
        counts = opened.counts()
        page = opened.page
        page.get_by_role("tab", name="Savings").click()
        page.wait_for_selector("#savings-money-plot .main-svg", state="visible")
        expect(page.locator("#savings-before input")).to_have_value(str(counts[0]))
        expect(page.locator("#savings-after input")).to_have_value(str(counts[1]))
        return page

    return open_page


def cells(page: Page, part: str, row: str) -> list[str]:
    return page.locator(f"#savings-{part} [data-name={row}] td").all_inner_texts()


def test_it_follows_the_text_and_what_is_filled_in(savings: Callable[..., Page]) -> None:
    page = savings()
    message, crossover = page.locator("#savings-message"), page.locator("#savings-flops [data-name=crossover]")
    expect(crossover).to_have_text("26,625 tokens")
    page.fill("#savings-before input", "8192")
    page.fill("#savings-after input", "4096")
    expect(page.locator("#savings-kv [data-name=kv] td")).to_have_text(["1.07 GB", "537 MB", "50.0 %"])
    expect(page.locator("#savings-flops [data-name=quadratic] td").last).to_have_text("75.0 %")

    # A preset fills the numbers in; a number that is changed makes them one's own.
    page.click("#savings-architecture input")
    page.get_by_role("option", name="SmolLM2-135M", exact=True).click()
    expect(crossover).to_have_text("3,073 tokens")
    page.get_by_role("button", name="The model’s numbers").click()
    expect(page.locator("#savings-layers input")).to_have_value("30")
    total = cells(page, "flops", "total")
    page.fill("#savings-layers input", "60")
    expect(page.locator("#savings-architecture input")).to_have_value("my own numbers")
    expect(page.locator("#savings-flops")).to_contain_text("In this model")
    assert cells(page, "flops", "total") != total
    page.fill("#savings-heads input", "0")
    expect(message).to_contain_text("Query heads: 0 is not a whole number from 1 to 10,000.")
    expect(crossover).to_have_text("3,073 tokens")  # what was shown stays

    # The text's own numbers come back, and the sentence goes.
    page.fill("#savings-heads input", "9")
    page.click("#savings-take")
    expect(page.locator("#savings-before input")).not_to_have_value("8192")
    expect(message.locator("p")).to_have_count(0)


def test_the_prompt_cache_changes_who_wins(savings: Callable[..., Page]) -> None:
    page = savings()
    page.fill("#savings-before input", "10000")
    page.fill("#savings-after input", "7300")
    money = page.locator("#savings-money")
    expect(money).to_contain_text("Compression costs more than it saves from 2 uses on")
    assert cells(page, "money", "lost")[1].endswith("more")
    page.uncheck("#savings-cache input")
    expect(money).to_contain_text("27.0 % fewer tokens cost 27.0 % less")
    assert cells(page, "money", "compressed") == ["$21.90", "27.0 % less"]
    page.fill("#savings-price-input input", "")
    expect(page.locator("#savings-money-message")).to_contain_text("Input: there is no price yet")


def test_the_prefill_is_measured(savings: Callable[..., Page]) -> None:
    pytest.importorskip("torch")
    page = savings(TEXT * 4)  # some seconds of reading, so that it can be stopped
    page.click("#savings-measure")
    expect(page.locator("#savings-measured p")).not_to_have_count(0)
    page.click("#savings-stop")
    said = page.locator("#savings-measured [role=status]")
    expect(said).to_have_text("Stopped.", timeout=120_000)  # while torch is loaded
    page.click("#savings-measure")
    page.wait_for_selector("#savings-measured table", timeout=120_000)  # torch is loaded first
    before, after, _ = cells(page, "measured", "tokens")
    assert int(before.replace(",", "")) > int(after.replace(",", "")) > 0
    assert all(cell.endswith(" ms") for cell in cells(page, "measured", "measured")[:2])


@pytest.mark.parametrize(("width", "theme"), [(390, "dark"), (1280, "light")])
def test_nothing_sticks_out(savings: Callable[..., Page], width: int, theme: str) -> None:
    page = savings(width=width, theme=theme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
