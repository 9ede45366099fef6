"""assets/thumbnail.png, the picture of the Space: a screenshot of the running app, 1,200 by 630 pixels.

    python -m scripts.make_thumbnail

Serves the app, opens it in Chromium and takes what compression left of the first example. Needs requirements-dev.txt.
"""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.browser.serve import serving
from tests.conftest import FLAGS, found_chromium

TARGET = Path(__file__).parents[1] / "assets" / "thumbnail.png"


def main() -> None:
    """Take the picture and say where it is."""
    with serving() as app, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found_chromium(), args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1200, "height": 630}, color_scheme="light")
        page.set_default_timeout(600_000)
        page.goto(f"{app.url}/?__theme=light", wait_until="commit")
        page.wait_for_selector("#compute-plot .main-svg")
        page.eval_on_selector("#summary", "node => node.scrollIntoView({block: 'start'})")
        page.wait_for_timeout(500)
        page.screenshot(path=TARGET)
        browser.close()
    print(TARGET)


if __name__ == "__main__":
    main()
