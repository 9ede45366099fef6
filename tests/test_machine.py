"""The name of the processor that figures were measured on."""

from __future__ import annotations

from pathlib import Path

import pytest

from metatok import machine

INTEL = "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel name\t: Intel(R) Xeon(R)\n\nprocessor\t: 1\n"
ARM = "processor\t: 0\nBogoMIPS\t: 243.75\nCPU implementer\t: 0x41\n"


def test_the_name_and_the_family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = tmp_path / "cpuinfo"
    monkeypatch.setattr(machine, "FACTS", facts)
    facts.write_text(INTEL, encoding="utf-8")
    assert machine.processor() == "Intel(R) Xeon(R), family 6"


@pytest.mark.parametrize("said", [ARM, None])
def test_a_machine_that_tells_no_name(said: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = tmp_path / "cpuinfo"
    monkeypatch.setattr(machine, "FACTS", facts)
    if said is not None:
        facts.write_text(said, encoding="utf-8")
    name = machine.processor()
    assert name
    assert "family" not in name
