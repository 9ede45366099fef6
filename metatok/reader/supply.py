"""The stream of batches of one process of a run: pools of examples made ahead of time, the same however they are made.

How large the examples of a pool are is settled when the pool is ordered, some pools before it is used. The orders are
part of the run's place, so a run that resumes gets the same batches, with worker processes and without.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context

from metatok.reader.data import Batch
from metatok.reader.workers import start, without_interrupts


@dataclass
class Place:
    """Where a process is in its data.

    Attributes:
        pool: how many pools it has ordered.
        orders: pools not yet used up, (number, size of their prompts from 0 to 1); the first is the current one.
        batch: how many batches of the current pool are done.
    """

    pool: int = 0
    orders: list[tuple[int, float]] = field(default_factory=list)
    batch: int = 0

    @property
    def size(self) -> float:
        """How large the prompts of the current pool are, a share of the task's range."""
        return self.orders[0][1] if self.orders else 0.0


class Supply:
    """Batches without end.

    Args:
        make: the pool of this number and size of its prompts, at least one batch; with workers it must be picklable.
        place: where to go on; changed by `next`.
        largest: size of the largest prompts.
        full_size_at: share of the run after which prompts have all sizes; 0: they have them at once.
        rank, ranks: this process and how many there are; each has pools of its own.
        workers: processes that make pools beside this one; 0: this one makes them when they are needed.
    """

    def __init__(
        self,
        make: Callable[[int, float], list[Batch]],
        place: Place,
        largest: float,
        full_size_at: float,
        rank: int = 0,
        ranks: int = 1,
        *,
        workers: int = 0,
    ):
        self.place = place
        self._make, self._largest, self._full_size_at = make, largest, full_size_at
        self._rank, self._ranks = rank, ranks
        self._workers = ProcessPoolExecutor(workers, get_context("spawn"), initializer=start) if workers else None
        self._ahead = workers + 1  # pools that are ordered
        self._ordered: deque[Future[list[Batch]]] = deque()
        place.orders = [(number, size) for number, size in place.orders]
        for number, size in place.orders if self._workers else ():
            self._ordered.append(self._submit(number, size))
        self._batches: list[Batch] = self._current() if place.orders else []

    def next(self, progress: float) -> Batch:
        """The next batch.

        Args:
            progress: share of the run that is done, which the size of the prompts follows.
        """
        place = self.place
        if place.batch == len(self._batches):
            if place.orders:
                place.orders.pop(0)
            while len(place.orders) < self._ahead:
                full = progress >= self._full_size_at
                self._order(self._largest * (1.0 if full else progress / self._full_size_at))
            self._batches, place.batch = self._current(), 0
        place.batch += 1
        return self._batches[place.batch - 1]

    def close(self) -> None:
        """End the worker processes."""
        if self._workers:
            self._workers.shutdown(cancel_futures=True)

    def _order(self, size: float) -> None:
        number = self.place.pool * self._ranks + self._rank
        self.place.pool += 1
        self.place.orders.append((number, size))
        if self._workers:
            self._ordered.append(self._submit(number, size))

    def _submit(self, number: int, size: float) -> Future[list[Batch]]:
        assert self._workers
        with without_interrupts():  # which starts a process
            return self._workers.submit(self._make, number, size)

    def _current(self) -> list[Batch]:
        """The pool at the head of the orders."""
        if self._workers:
            return self._ordered.popleft().result()
        return self._make(*self.place.orders[0])
