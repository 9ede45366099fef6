"""How long and how much memory: measured so that other work on the machine disturbs as little as it can."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Result = Any


def cpu_seconds(work: Callable[[], Result], runs: int = 5, at_most: float = 4.0) -> tuple[float, Result]:
    """The least CPU time of some runs of one thread, and what the last one returned; no new run after `at_most` s."""
    best = float("inf")
    spent = 0.0
    for _ in range(runs):
        begin = time.thread_time()
        result = work()
        took = time.thread_time() - begin
        best = min(best, took)
        spent += took
        if spent > at_most:
            break
    return best, result


def peak_bytes(prepare: str, work: str) -> int:
    """How much memory `work` takes beyond what is there after `prepare`, two pieces of Python run in a new process.

    Linux only: memory that is free goes back to the kernel and its high-water mark is reset in between.
    """
    program = f"""
import ctypes, gc, re
def status(key):
    return 1024 * int(re.search(key + r":\\s+(\\d+)", open("/proc/self/status").read())[1])
{prepare}
gc.collect()
ctypes.CDLL("libc.so.6").malloc_trim(0)
open("/proc/self/clear_refs", "w").write("5")
before = status("VmRSS")
{work}
print(status("VmHWM") - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1]
    )
    return int(done.stdout.split()[-1])
