"""The machine that something was measured on, in words."""

from __future__ import annotations

import platform
from pathlib import Path

FACTS = Path("/proc/cpuinfo")


def processor() -> str:
    """Its name, and where the machine tells it the family, which tells apart what one name sells."""
    facts = FACTS.read_text(encoding="utf-8", errors="replace") if FACTS.exists() else ""
    of = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in facts.splitlines())}
    name = of.get("model name") or platform.processor() or platform.machine()
    return f"{name}, family {of['cpu family']}" if "cpu family" in of else name
