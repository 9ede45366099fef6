"""The app, but `llmlingua` takes five seconds longer, so that it can be stopped: `python -m tests.browser.slow_app`."""

from __future__ import annotations

import runpy
import time
from collections.abc import Callable
from typing import Any

from metatok.demo import asking

SECONDS = 5.0

prune = asking.prune


def slow(model: Any, text: str, length: int, lossy: str, go_on: Callable[[], None]) -> Any:
    end = time.monotonic() + (SECONDS if lossy == "llmlingua" else 0.0)
    while time.monotonic() < end:
        time.sleep(0.05)
        go_on()
    return prune(model, text, length, lossy, go_on)


if __name__ == "__main__":
    asking.prune = slow
    runpy.run_path("app.py", run_name="__main__")
