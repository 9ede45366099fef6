"""Processes that work for this one: they leave Ctrl-C to it, and end when it does. No torch."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


def start() -> None:
    """What such a process does first: the `initializer` of a pool of them, or part of it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # for systems on which that is not inherited
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Nobody is there any more to end this process or to have what it makes."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def without_interrupts() -> Iterator[None]:
    """Ctrl-C is ignored here, and by processes that are started here."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
