"""New examples for the Ask part: a sample of one of our tasks, its questions, and their true answers.

Plain data in, plain data out. A tree is drawn at once; code is looked for among the Python packages on this machine,
which takes some seconds the first time.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any

from metatok.demo.run import Refused
from metatok.sentences import sentence
from metatok.tasks.base import Sample, get

KINDS = {
    "parent": "parent of NAME",
    "children": "children of NAME",
    "depth": "depth of NAME",
    "path": "path of NAME",
    "inside": "is NAME inside OTHER",
}
"""The questions about trees that the reader was trained on, and how each is put."""

TASKS = {"tree": "tree", "repo": "code"}
"""The tasks, and what the page calls them."""

ATTEMPTS = 50  # code prompts that are too long for the reader, one after the other; about one in twenty is

Example = dict[str, Any]
"""`task`, `text`, and `questions` and `answers` by kind of question."""


def new_example(rng: random.Random) -> Example:
    """A tree that no training drew, with a question of each kind.

    >>> example = new_example(random.Random(1))
    >>> sorted(example["questions"]) == sorted(example["answers"]) == sorted(KINDS)
    True
    """
    drawn: dict[str, Sample] = {}
    while len(drawn) < len(KINDS):  # in a small tree two kinds may come to the same question
        rng = random.Random(rng.random())
        drawn = {s.kind: s for s in get("tree").draw(rng, questions=len(KINDS), seen=False)}
    return _example("tree", drawn.values())


def new_code(rng: random.Random, fits: Callable[[Sample], bool], go_on: Callable[[], None] = lambda: None) -> Example:
    """Code of a package that is held out from training, and the lines before the one that is asked for.

    Args:
        fits: whether the reader has room for a sample.
        go_on: called before each attempt; what it raises ends the search.

    Raises:
        Refused: too few packages are installed here.
    """
    for _ in range(ATTEMPTS):
        go_on()
        try:
            (sample,) = get("repo").draw(random.Random(rng.random()), seen=False)
        except ValueError as error:
            raise Refused(sentence(str(error))) from error
        if fits(sample):
            return _example("repo", [sample])
    raise Refused(f"None of {ATTEMPTS} code prompts was short enough for this reader; take another example.")


def truth(example: Example, text: str, question: str) -> str | None:
    """The true answer, where text and question are the example's."""
    if text != example["text"]:
        return None
    kinds = [kind for kind, asked in example["questions"].items() if asked.strip() == question.strip()]
    return example["answers"][kinds[0]] if kinds else None


def is_right(task: str, known: str, answer: str) -> bool:
    """Whether an answer is exactly right, as evaluations of the task count it.

    >>> is_right("repo", "return Path(name)", "return  Path(name)"), is_right("tree", "a < b", "a <  b")
    (True, False)
    """
    return get(task).matches(answer, known)


def _example(task: str, drawn: Iterable[Sample]) -> Example:
    samples = list(drawn)
    return {
        "task": task,
        "text": samples[0].prompt,
        "questions": {s.kind: s.question for s in samples},
        "answers": {s.kind: s.answer for s in samples},
    }
