"""The app under load: `python -m benchmarks.load [--seconds 300 --compress 50 --ask 5 …]`.

Serves the app on a free port of this machine and has clients call its endpoints `compress` and `ask` over plain HTTP,
each client one call after the other without a pause. Texts are 1,000 to 20,000 tokens of the standard library's source,
a different piece each time; questions are about trees that no training drew. Times are from the call until the whole
answer is there, as the clients see them, who share the machine with the app. Memory is the app's resident set, after a
warm-up under the same load and at the end.

Writes assets/results/load.json and says which of the aims hold: no error, 95 % of the compressions within 2 s, memory
at the end within 10 % of that after warm-up. The exit code is 1 if one does not. Linux only.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np

import metatok
from benchmarks.circumstances import circumstances, cpu_seconds_of, resident_bytes
from benchmarks.corpora import library
from metatok.tasks.base import get
from tests.browser.serve import App, serving

RESULTS = Path(__file__).parents[1] / "assets" / "results" / "load.json"
PACKAGES = ("gradio", "httpx", "numba", "torch", "transformers")
TOKENS = (1_000, 20_000)
TEXTS, QUESTIONS = 400, 100
P95_SECONDS, MEMORY_GROWTH = 2.0, 0.10
ANSWER_SECONDS = 120.0  # a call that takes longer is an error

Body = dict[str, Any]


@dataclass
class Calls:
    """What the calls of one endpoint came to, once the warm-up is over."""

    seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        found: dict[str, Any] = {"calls": len(self.seconds), "errors": len(self.errors)}
        if self.seconds:
            for name, share in (("p50", 50), ("p95", 95), ("p99", 99), ("max", 100)):
                found[f"{name}_s"] = round(float(np.percentile(self.seconds, share)), 3)
        return found | ({"first_errors": self.errors[:5]} if self.errors else {})


def main() -> int:
    """Run the load, print and write what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=300, help="of load after the warm-up (default: 300)")
    parser.add_argument("--warm-up", type=float, default=60, help="seconds of load before that (default: 60)")
    parser.add_argument("--compress", type=int, default=50, help="clients that compress (default: 50)")
    parser.add_argument("--ask", type=int, default=5, help="clients that ask (default: 5)")
    parser.add_argument("--seed", type=int, default=0, help="which texts and questions (default: 0)")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS, help="where to write (default: load.json)")
    options = parser.parse_args()
    busy = os.getloadavg()[0]
    bodies = {"compress": texts(options.seed), "ask": questions(options.seed)}
    with serving() as app:
        found = asyncio.run(load(app, bodies, options))
    settings = {name: value for name, value in vars(options).items() if name != "output"}
    command = "python -m benchmarks.load " + " ".join(f"--{k.replace('_', '-')} {v:g}" for k, v in settings.items())
    results = {"command": command, **circumstances(PACKAGES), "load_average_before": round(busy, 2)}
    results |= described(settings) | {"settings": settings | {"tokens": TOKENS}, **found}
    results["aims"] = aims(results)
    print(json.dumps(results, indent=1))
    options.output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return 0 if all(results["aims"].values()) else 1


def described(settings: dict[str, Any]) -> dict[str, str]:
    """What the page says about these figures."""
    return {
        "title": "The app under load",
        "what": f"{settings['compress']:g} clients that compress {TOKENS[0]:,} to {TOKENS[1]:,} tokens each time and "
        f"{settings['ask']:g} that ask the reader, all without a pause, on the machine that serves the app; after "
        f"{settings['warm_up']:g} seconds of warm-up. Seconds are from a call until its whole answer is there.",
        "sample": f"one run of {settings['seconds']:g} seconds",
        "interval": "none: a single run",
    }


def texts(seed: int) -> list[Body]:
    """Calls of `compress`, each with another piece of text."""
    tokenizer = metatok.MetaTokenizer.from_pretrained("mistral:tekken")
    ids = tokenizer.encode(library())
    rng = random.Random(seed)
    found = []
    for _ in range(TEXTS):
        length = rng.randint(*TOKENS)
        start = rng.randrange(len(ids) - length)
        found.append({"data": [tokenizer.decode(ids[start : start + length])]})
    return found


def questions(seed: int) -> list[Body]:
    """Calls of `ask`, each about another tree."""
    rng = random.Random(seed)
    samples = [sample for _ in range(QUESTIONS) for sample in get("tree").draw(rng, questions=1, seen=False)]
    return [{"data": [sample.prompt, sample.question, "inline"]} for sample in samples]


async def load(app: App, bodies: dict[str, list[Body]], options: argparse.Namespace) -> dict[str, Any]:
    """All clients at once, for the warm-up and then for the time that counts."""
    calls = {name: Calls() for name in bodies}
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    timeout = httpx.Timeout(ANSWER_SECONDS)
    async with httpx.AsyncClient(base_url=app.url, limits=limits, timeout=timeout, trust_env=False) as http:
        for name, some in bodies.items():  # torch and the reader are loaded by the first question
            await call(http, name, some[0])
        started = time.monotonic()
        counts, ends = started + options.warm_up, started + options.warm_up + options.seconds
        clients = [
            client(http, name, bodies[name][i::number], calls[name], counts, ends)
            for name, number in (("compress", options.compress), ("ask", options.ask))
            for i in range(number)
        ]
        running = asyncio.gather(*clients)
        await asyncio.sleep(options.warm_up)
        before = resident_bytes(app.pid)
        peak = after = before
        worked = cpu_seconds_of(app.pid)
        while time.monotonic() < ends:
            await asyncio.sleep(min(1.0, max(0.0, ends - time.monotonic())))
            after = resident_bytes(app.pid)
            peak = max(peak, after)
        worked = cpu_seconds_of(app.pid) - worked
        await running
    sizes = {"after_warm_up_mb": before, "at_end_mb": after, "peak_mb": peak}
    memory = {name: round(size / 1e6, 1) for name, size in sizes.items()}
    memory["growth_percent"] = round(100 * (after / before - 1), 2)
    rates = {name: {"per_second": round(len(c.seconds) / options.seconds, 2)} for name, c in calls.items()}
    return {name: c.summary() | rates[name] for name, c in calls.items()} | {
        "memory": memory,
        "app_cpu_seconds": round(worked, 1),
    }


async def client(
    http: httpx.AsyncClient, name: str, bodies: list[Body], calls: Calls, counts: float, ends: float
) -> None:
    """One client: call after call until the end; a call that ends after `counts` counts, if it began before `ends`."""
    turn = 0
    while (began := time.monotonic()) < ends:
        error = await call(http, name, bodies[turn % len(bodies)])
        turn += 1
        if error:
            calls.errors.append(error)
        elif began >= counts:
            calls.seconds.append(time.monotonic() - began)


async def call(http: httpx.AsyncClient, name: str, body: Body) -> str | None:
    """One call to its end; None, or what went wrong."""
    try:
        sent = await http.post(f"/gradio_api/call/{name}", json=body)
        sent.raise_for_status()
        answer = await http.get(f"/gradio_api/call/{name}/{sent.json()['event_id']}")
        answer.raise_for_status()
    except httpx.HTTPError as error:
        return f"{name}: {type(error).__name__}: {error}"
    return None if RIGHT[name](answer.text) else f"{name}: {answer.text[-300:]}"


RIGHT: dict[str, Callable[[str], bool]] = {
    "compress": lambda text: "event: complete" in text and '"exact": true' in text,
    "ask": lambda text: "event: complete" in text and '"answer"' in text,
}


def aims(results: dict[str, Any]) -> dict[str, bool]:
    """What was aimed at, and whether it was reached."""
    return {
        "no error": results["compress"]["errors"] + results["ask"]["errors"] == 0,
        "p95 of compress under 2 s": results["compress"].get("p95_s", float("inf")) < P95_SECONDS,
        "memory within 10 %": abs(results["memory"]["growth_percent"]) <= 100 * MEMORY_GROWTH,
    }


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    raise SystemExit(main())
