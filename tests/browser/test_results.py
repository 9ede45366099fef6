"""The Results and About parts in a real browser: tables and charts are there, and fit in either width."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.conftest import Explore


@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (390, "dark")])
def test_results_and_about(explore: Callable[..., Explore], width: int, theme: str) -> None:
    page = explore(width=width, theme=theme).page
    for tab, there in (("Results", "#results-engine-speed-0 .main-svg"), ("About", "#about-versions table")):
        entry = page.get_by_role("tab", name=tab, exact=True)
        if not entry.is_visible():  # on a narrow screen the last tabs are in a menu
            page.locator(".overflow-menu > button").click()
            entry = page.locator(".overflow-dropdown button", has_text=tab)
        entry.click()
        page.wait_for_selector(there, state="visible")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        if tab == "Results":
            assert page.locator("#results-tab table").count() > 5
            page.locator("#results-tab summary").first.click()
            assert page.locator("#results-tab details[open] table").is_visible()
    assert "2506.00307" in page.input_value("#about-bibtex textarea")
