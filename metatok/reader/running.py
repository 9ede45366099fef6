"""What training runs have in common around their steps: whole checkpoints, a clean stop, one word for all processes."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list

STOPPED = 130  # as shells know a command that was interrupted


def write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Save a state for `torch.load`; the file is either the old one or the new one, whenever the machine stops."""
    fresh = path.with_suffix(".tmp")
    with fresh.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def agreed(value: Any) -> Any:
    """What the main process says, so that all processes do the same."""
    said = [value]
    if PartialState().num_processes > 1:
        broadcast_object_list(said)
    return said[0]


def leave() -> None:
    """End what connects the processes of a run, before they end; one that is left open can abort them at their exit."""
    PartialState().destroy_process_group()


def ended(tokens: int, done: bool) -> int:
    """The exit code of a run that came to its end, or was told to stop, which it then says on standard error."""
    if done:
        return 0
    if PartialState().is_main_process:
        print(f"stopped at {tokens:,} tokens; the same command goes on from there.", file=sys.stderr)
    return STOPPED


@contextmanager
def stopping() -> Iterator[list[int]]:
    """A list that is empty until the process is told to stop (SIGTERM, SIGINT)."""
    told: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        told.append(number)

    old = {s: signal.signal(s, note) for s in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield told
    finally:
        for s, handler in old.items():
            signal.signal(s, handler)
