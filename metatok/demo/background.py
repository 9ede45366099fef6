"""Long work of a generator, done in another thread, so that the generator can be closed at any time.

Gradio ends an event by closing its generator, and waits, with everybody else, until that comes to its next `yield`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from typing import Generic, TypeVar

T = TypeVar("T")

SECONDS = (0.05, 0.5)  # between two looks, at first and at last; each look costs the server some milliseconds
THREADS = 8

_threads: ThreadPoolExecutor


def _start() -> None:
    global _threads
    _threads = ThreadPoolExecutor(THREADS, thread_name_prefix="background")


_start()
if hasattr(os, "register_at_fork"):  # a fork, as of ZeroGPU, has none of the threads that its parent's pool counts on
    os.register_at_fork(after_in_child=_start)


class Stopped(Exception):
    """Nobody waits for the result any more."""


class Background(Generic[T]):
    """Starts `work` at once; iterating yields None now and then until it is done, then there is `result`.

    Args:
        work: gets a function to call now and then, which raises `Stopped` once the iteration was given up.

    >>> adding = Background(lambda go_on: 1 + 1)
    >>> for _ in adding:
    ...     pass
    >>> adding.result
    2
    """

    def __init__(self, work: Callable[[Callable[[], None]], T]):
        self._stopped = threading.Event()
        self._future: Future[T] = _threads.submit(work, self._go_on)

    def __iter__(self) -> Iterator[None]:
        wait, longest = SECONDS
        try:
            while True:
                try:
                    self._future.exception(timeout=wait)
                    return
                except NotYet:
                    wait = min(2 * wait, longest)
                    yield
        finally:
            self._stopped.set()

    @property
    def result(self) -> T:
        """What `work` returned; what it raised is raised here."""
        return self._future.result()

    def _go_on(self) -> None:
        if self._stopped.is_set():
            raise Stopped
