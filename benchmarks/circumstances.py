"""When, where and with what a figure was measured, and what memory and CPU time a process takes."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import metatok
from metatok.machine import processor


def circumstances(packages: Iterable[str]) -> dict[str, Any]:
    """For a results file: date, machine, versions."""
    return {
        "date": datetime.date.today().isoformat(),
        "machine": f"{processor()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "metatok": metatok.__version__,
        "versions": {package: version(package) for package in packages},
    }


def version(package: str) -> str | None:
    """Of an installed package, else None."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def resident_bytes(pid: int, key: str = "VmRSS") -> int:
    """The resident memory of a process now, or with `VmHWM` the most that it had. Linux only."""
    status = Path(f"/proc/{pid}/status").read_text()
    return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith(key))


def cpu_seconds_of(pid: int) -> float:
    """The CPU time that a process has taken so far, all threads, the kernel's share included. Linux only."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
