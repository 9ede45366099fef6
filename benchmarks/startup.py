"""How soon the app answers and paints: `python -m benchmarks.startup [--runs 5]`.

1. From the start of the process until the first answer of `compress`, and of `ask`, which loads torch and the reader;
   warm, that is with compiled kernels on disk: one start that does not count comes first. Memory beside it.
2. From the click on Compress until 20,000 and 100,000 tokens are painted in Chromium, server time included: until the
   browser has drawn the frame after the token view was filled.

Writes assets/results/startup.json: medians and worst of the runs, and which of the aims hold: 10 s from start to
answer, 0.5 s and 1 s from click to paint. The exit code is 1 if one does not. Linux only; needs requirements-dev.txt.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from statistics import median
from typing import Any

import httpx
from playwright.sync_api import Page, sync_playwright

import metatok
from benchmarks.circumstances import circumstances, resident_bytes
from benchmarks.corpora import library
from benchmarks.load import questions
from tests.browser.conftest import SET_TEXT
from tests.browser.serve import App, serving
from tests.conftest import FLAGS, found_chromium

RESULTS = Path(__file__).parents[1] / "assets" / "results" / "startup.json"
PACKAGES = ("gradio", "numba", "playwright", "torch", "transformers")
FIRST_ANSWER_SECONDS = 10.0
PAINT_SECONDS = {20_000: 0.5, 100_000: 1.0}
PATIENCE = 600_000  # milliseconds

# Resolves with the milliseconds from the click until the frame after the token view was drawn is on the screen.
CLICK = """() => new Promise((resolve) => {
  const view = document.querySelector('#token-view .view');
  const began = performance.now();
  new MutationObserver((_, observer) => {
    observer.disconnect();
    requestAnimationFrame(() => requestAnimationFrame(() => resolve(performance.now() - began)));
  }).observe(view, { attributes: true, attributeFilter: ['data-drawn'] });
  document.querySelector('#compress-button').click();
})"""


def main() -> int:
    """Measure, print and write what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5, help="of each measurement (default: 5)")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS, help="where to write (default: startup.json)")
    options = parser.parse_args()
    results: dict[str, Any] = {"command": f"python -m benchmarks.startup --runs {options.runs}"}
    results |= circumstances(PACKAGES) | {"load_average_before": round(os.getloadavg()[0], 2)} | described(options.runs)
    start()
    starts = [start() for _ in range(options.runs)]
    results["start"] = {name: _both([row[name] for row in starts]) for name in starts[0]}
    with serving() as app:
        results["click_to_painted_s"] = {
            str(tokens): _both(seconds) for tokens, seconds in paint(app, options.runs).items()
        }
    painted = results["click_to_painted_s"]
    results["aims"] = {
        "first answer in 10 s": results["start"]["compress_s"]["median"] <= FIRST_ANSWER_SECONDS,
        "20,000 tokens painted in 0.5 s": painted["20000"]["median"] <= PAINT_SECONDS[20_000],
        "100,000 tokens painted in 1 s": painted["100000"]["median"] <= PAINT_SECONDS[100_000],
    }
    print(json.dumps(results, indent=1))
    options.output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return 0 if all(results["aims"].values()) else 1


def described(runs: int) -> dict[str, str]:
    """What the page says about these figures."""
    return {
        "title": "How soon the app answers and paints",
        "what": "Seconds from the start of the process until the page is served and compress has answered, and how "
        "long the first question, which loads the reader, and the second one take; resident memory. Then from the "
        "click on Compress until so many tokens are painted in Chromium, server time included.",
        "sample": f"{runs} runs of each, after one that does not count",
        "interval": "none: median and worst of the runs",
    }


def start() -> dict[str, float]:
    """One start: seconds until the page is served, until `compress` and `ask` have answered; memory in GB."""
    asked = questions(seed=0)[0]
    began = time.monotonic()
    found: dict[str, float] = {}
    with serving() as app, httpx.Client(base_url=app.url, timeout=PATIENCE / 1000, trust_env=False) as http:
        found["page_s"] = time.monotonic() - began
        answer(http, "compress", {"data": ["one, two, one, two, one, two"]})
        found["compress_s"] = time.monotonic() - began
        found["memory_gb"] = resident_bytes(app.pid) / 1e9
        before = time.monotonic()
        answer(http, "ask", asked)
        found["first_ask_s"] = time.monotonic() - before
        before = time.monotonic()
        answer(http, "ask", asked)
        found["second_ask_s"] = time.monotonic() - before
        found["memory_after_asking_gb"] = resident_bytes(app.pid) / 1e9
        found["peak_memory_gb"] = resident_bytes(app.pid, "VmHWM") / 1e9
    return found


def answer(http: httpx.Client, name: str, body: dict[str, Any]) -> None:
    """One call of an endpoint to its end.

    Raises:
        RuntimeError: it ended with an error.
    """
    event = http.post(f"/gradio_api/call/{name}", json=body).raise_for_status().json()["event_id"]
    text = http.get(f"/gradio_api/call/{name}/{event}").raise_for_status().text
    if "event: complete" not in text:
        raise RuntimeError(f"{name}: {text[-300:]}")


def paint(app: App, runs: int) -> dict[int, list[float]]:
    """Seconds from click to painted, by tokens; the first of each size does not count."""
    tokenizer = metatok.MetaTokenizer.from_pretrained("mistral:tekken")
    ids = tokenizer.encode(library())
    found: dict[int, list[float]] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found_chromium(), args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(PATIENCE)
        page.goto(app.url, wait_until="commit")
        page.wait_for_selector("#compute-plot .main-svg")
        for tokens in PAINT_SECONDS:
            pieces = [tokenizer.decode(ids[i * tokens : (i + 1) * tokens]) for i in range(runs + 1)]
            found[tokens] = [click(page, piece) for piece in pieces][1:]
        browser.close()
    return found


def click(page: Page, text: str) -> float:
    """Seconds from the click until this text is painted."""
    page.evaluate(SET_TEXT, text)
    page.wait_for_timeout(1_000)  # Gradio takes the value over, and the page comes to rest
    return float(page.evaluate(CLICK)) / 1000


def _both(values: list[float]) -> dict[str, float]:
    return {"median": round(median(values), 3), "worst": round(max(values), 3)}


if __name__ == "__main__":
    raise SystemExit(main())
