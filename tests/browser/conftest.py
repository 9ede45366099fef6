"""A real Chromium against the real app. Every page of every test is watched: a console error, an error in a
script, a dialog or a request that leaves the machine fails the test that opened it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.serve import App, serving

TIMEOUT = 20_000  # milliseconds; two busy cores need more than the work itself
expect.set_options(timeout=TIMEOUT)

LEFT = ("AbortError: signal is aborted", "Connection errored out")

SET_TEXT = """(text) => {
  const box = document.querySelector('#text-input textarea');
  Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, 'value').set.call(box, text);
  box.dispatchEvent(new Event('input', { bubbles: true }));
}"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/browser" in item.path.as_posix():
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def app() -> Iterator[App]:
    with serving() as running:
        yield running
        assert "Traceback" not in running.log.read_text()


@dataclass
class Explore:
    """The page as a person uses it."""

    page: Page
    wrong: list[str] = field(default_factory=list)
    url: str = ""

    def set_text(self, text: str) -> None:
        """As pasting does; `fill` takes minutes for large text."""
        self.page.evaluate(SET_TEXT, text)
        self.page.wait_for_timeout(100)  # Gradio takes the value over in its next tick

    def compress(self, text: str) -> None:
        """Paste, click, wait for the result."""
        self.set_text(text)
        before = self.drawn()
        self.page.click("#compress-button")
        self.wait_drawn(before)

    def drawn(self) -> int:
        """How often the token view was drawn."""
        return int(self.page.get_attribute("#token-view .view", "data-drawn") or 0)

    def wait_drawn(self, before: int) -> None:
        self.page.wait_for_function(
            "(n) => Number(document.querySelector('#token-view .view')?.dataset.drawn) > n", arg=before
        )

    def text(self, pane: str = "original") -> str:
        return self.page.evaluate(f"document.querySelector('#token-view .{pane}').textContent")

    def number(self, name: str) -> str:
        return self.page.inner_text(f"#summary [data-name={name}] .value")

    def counts(self) -> list[int]:
        """Tokens before and after, as the summary shows them."""
        values = self.page.eval_on_selector_all("#summary data", "nodes => nodes.map(node => node.value)")
        return [int(value) for value in values]

    def choose(self, elem_id: str, label: str) -> None:
        """Take an entry of a dropdown, by keyboard."""
        box = self.page.locator(f"#{elem_id} input")
        box.click()
        self.page.get_by_role("option", name=label, exact=True).click()


@pytest.fixture
def explore(app: App, chromium: Browser) -> Iterator[Callable[..., Explore]]:
    """Opens the page: `explore(width=1280, theme="light")`."""
    opened: list[Explore] = []
    contexts = []

    def open_page(width: int = 1280, height: int = 900, theme: str = "light", **options: Any) -> Explore:
        context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=theme, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(TIMEOUT)
        result = Explore(page, url=f"{app.url}/")
        opened.append(result)
        watch(page, result.wrong)
        page.goto(f"{app.url}/?__theme={theme}", wait_until="commit")
        page.wait_for_selector("#token-view .t")
        page.wait_for_selector("#compute-plot .main-svg")
        return result

    yield open_page
    wrong = [what for result in opened for what in result.wrong]
    for context in contexts:
        context.close()
    assert not wrong, wrong


def watch(page: Page, wrong: list[str]) -> None:
    """Write down whatever a page must not do."""

    def request(url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("data", "blob") and parts.hostname != "127.0.0.1":
            wrong.append(f"request to {url}")

    def console(message: Any) -> None:
        # A page that is left while a request runs says so, once or twice, before it is gone.
        if message.type == "error" and not any(words in message.text for words in LEFT):
            wrong.append(f"console: {message.text}")

    page.on("console", console)
    page.on("pageerror", lambda error: wrong.append(f"script: {error}"))
    page.on("request", lambda sent: request(sent.url))
    page.on("websocket", lambda socket: request(socket.url.replace("ws", "http", 1)))
    page.on("dialog", lambda dialog: (wrong.append(f"dialog: {dialog.message}"), dialog.dismiss()))
