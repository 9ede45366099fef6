"""What a task is: samples of a prompt, a question and its true answer, and a score. No tokens, no model.

A task is one file that defines `TASK`; `get` finds it by name. A command prints samples to look at:

    python -m metatok.tasks.base tree --n 3 --seed 0
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

TASKS = ("tree", "repo")


@dataclass(frozen=True)
class Sample:
    """One question about one prompt.

    Attributes:
        prompt: the text that is compressed.
        question: stays raw.
        answer: what the reader should say, exactly.
        kind: which kind of question, a word of the task.
        serialization: how the prompt is written, a word of the task.
        seen: whether the prompt is made of what training may contain.
        working: what a reader may write before the answer, as people show their working; it is not scored.
    """

    prompt: str
    question: str
    answer: str
    kind: str
    serialization: str
    seen: bool
    working: str = ""

    @property
    def written(self) -> str:
        """The answer with its working in front, as a reader is trained to write it."""
        return self.working + self.answer


class Task(Protocol):
    """A source of samples."""

    @property
    def name(self) -> str: ...

    @property
    def kinds(self) -> tuple[str, ...]:
        """Every `Sample.kind` there is."""
        ...

    @property
    def serializations(self) -> tuple[str, ...]:
        """Every `Sample.serialization` there is."""
        ...

    def draw(self, rng: random.Random, *, size: float = 1.0, questions: int = 1, seen: bool = True) -> list[Sample]:
        """Samples with one prompt in common.

        Args:
            rng: the only source of chance.
            size: from 0.0, the smallest prompts, to 1.0, the task's own range: a curriculum.
            questions: how many samples at most; no question comes twice.
            seen: False makes the prompt of what is held out from training.
        """
        ...

    def matches(self, answer: str, truth: str) -> bool:
        """Whether the answer is exactly right, with its working or without."""
        ...

    def score(self, answer: str, truth: str) -> dict[str, float]:
        """Scores from 0.0 to 1.0 by name; `exact_match` is always there."""
        ...


def get(name: str) -> Task:
    """The task of this name.

    >>> get("tree").name
    'tree'

    Raises:
        ValueError: for a name that is not in `TASKS`.
    """
    if name not in TASKS:
        raise ValueError(f"unknown task {name!r}; choose one of {', '.join(TASKS)}")
    task: Task = import_module(f"metatok.tasks.{name}").TASK
    return task


def samples(task: Task, seed: int, *, seen: bool | None = None, size: float = 1.0) -> Iterator[Sample]:
    """Endless samples, one question a prompt; the same seed gives the same samples on every platform.

    Args:
        seed: sample i depends on the seed and i alone.
        seen: which side of the split; None alternates, seen first.
        size: see `Task.draw`.

    >>> stream = samples(get("tree"), seed=7)
    >>> next(stream).seen, next(stream).seen
    (True, False)
    """
    i = 0
    while True:
        rng = random.Random(f"{task.name}/{seed}/{i}")
        yield task.draw(rng, size=size, seen=i % 2 == 0 if seen is None else seen)[0]
        i += 1


def exact_match(answer: str, truth: str) -> float:
    """1.0 where both are the same up to white space at the ends.

    >>> exact_match(" yes", "yes"), exact_match("yes", "no")
    (1.0, 0.0)
    """
    return float(answer.strip() == truth.strip())


def main(arguments: Sequence[str] | None = None) -> int:
    """Print samples, for people."""
    parser = argparse.ArgumentParser(prog="metatok.tasks.base", description="Print samples of a task.")
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--n", type=int, default=3, help="how many (default 3)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=float, default=1.0, help="0.0 to 1.0 (default 1.0)")
    options = parser.parse_args(arguments)
    stream = samples(get(options.task), options.seed, size=options.size)
    for _ in range(options.n):
        try:
            s = next(stream)
        except ValueError as error:  # too little is installed for the task
            parser.exit(1, f"{error}\n")
        print(f"── {s.serialization}, {s.kind}, {'seen' if s.seen else 'unseen'}")
        print(f"{s.prompt}\n\n? {s.question}\n= {s.written}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
