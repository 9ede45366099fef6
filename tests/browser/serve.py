"""The app as people start it: `app.py` in a process of its own, on a free port, without a network."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
STARTUP_SECONDS = 1200  # a fresh checkout compiles its kernels first, on a machine that may be busy


@dataclass(frozen=True)
class App:
    """A running app and what it writes to its log."""

    url: str
    port: int
    log: Path
    pid: int


def environment(**extra: str) -> dict[str, str]:
    """This process's environment less proxies and Gradio's own settings, offline, plus `extra`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GRADIO_") and not name.lower().endswith("_proxy") and name != "SPACE_ID"
    }
    return {**kept, "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1", **extra}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def serving(
    command: Sequence[str] = (sys.executable, "app.py"),
    *,
    cwd: Path = ROOT,
    env: Mapping[str, str] | None = None,
    **variables: str,
) -> Iterator[App]:
    """`python app.py`, or another command that serves it, ready to answer; ended at the end.

    Its environment is `env`, else this process's as `environment` has it, with the port and `variables`.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "app.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                command,
                cwd=cwd,
                env={**(environment() if env is None else env), "GRADIO_SERVER_PORT": str(port), **variables},
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        try:
            _wait(url, process, log)
            yield App(url, port, log, process.pid)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    end = time.monotonic() + STARTUP_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"app.py ended with {process.returncode}:\n{log.read_text()}")
        with contextlib.suppress(OSError):
            opener.open(url, timeout=5).close()
            return
        time.sleep(0.1)
    raise RuntimeError(f"app.py did not answer within {STARTUP_SECONDS} s:\n{log.read_text()}")
