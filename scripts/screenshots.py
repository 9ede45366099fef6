"""Pictures of the page in a headless Chromium: the README's, and light and dark at 1280 and 390 pixels.

    python -m scripts.screenshots FOLDER

FOLDER gets `screenshot.png` (the first screen with a server log, one phrase held) and `light-1280.png`,
`light-390.png`, `dark-1280.png`, `dark-390.png` (the whole page). Needs requirements-dev.txt.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.serve import serving
from tests.conftest import FLAGS, found_chromium

SETTLE = 1000  # milliseconds for charts and fonts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the pictures go")
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    with serving() as app, sync_playwright() as playwright:
        url = f"{app.url}/"
        browser = playwright.chromium.launch(executable_path=found_chromium(), args=list(FLAGS))
        first_screen(browser, url, folder / "screenshot.png")
        for theme in ("light", "dark"):
            for width in (1280, 390):
                whole_page(browser, url, theme, width, folder / f"{theme}-{width}.png")
        browser.close()


def first_screen(browser: Browser, url: str, path: Path) -> None:
    """What a visitor sees, with a phrase held in text, compressed sequence and dictionary."""
    page = _open(browser, url, "light", 1280, 1240)
    page.get_by_role("button", name="Server log", exact=True).click()
    page.wait_for_function("document.querySelector('#token-view .view').dataset.drawn > 1")
    page.locator("#dictionary .entry").nth(2).click()
    page.mouse.move(2, 2)
    page.wait_for_timeout(SETTLE)
    page.screenshot(path=path)
    print(path)
    page.close()


def whole_page(browser: Browser, url: str, theme: str, width: int, path: Path) -> None:
    """All of the page; the window is as high as the page, so that nothing is left undrawn."""
    page = _open(browser, url, theme, width, 900)
    height = page.evaluate("document.documentElement.scrollHeight")
    page.set_viewport_size({"width": width, "height": height})
    page.wait_for_timeout(SETTLE)
    page.screenshot(path=path)
    print(path)
    page.close()


def _open(browser: Browser, url: str, theme: str, width: int, height: int) -> Page:
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=theme, reduced_motion="reduce")
    page.goto(f"{url}?__theme={theme}", wait_until="commit")
    page.wait_for_selector("#token-view .t")
    page.wait_for_selector("#compute-plot .main-svg")
    page.wait_for_timeout(SETTLE)
    return page


if __name__ == "__main__":
    main()
