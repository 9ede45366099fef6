"""Held-out accuracy while training: exact match under greedy decoding, without decoding.

All that is written must match, the working of an answer, too (`metatok.tasks.base.Sample.written`). The reported
evaluation scores the answer alone, so it may find some more right.

An answer is decoded exactly if and only if each of its tokens, and the end after them, is the likeliest one after the
true tokens before it. So one pass over all answers tells, some fifty times sooner than decoding; a test compares both.
The reported evaluation, with intervals, times and baselines, is another file's.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from metatok.codec import Method
from metatok.reader.config import DataConfig
from metatok.reader.data import Example, cut, make_example, pack
from metatok.reader.model import LeanLlama
from metatok.tasks.base import Sample, Task
from metatok.tokenizer import MetaTokenizer

FORMS: tuple[Method | None, ...] = (None, "ltsc", "inline")  # raw first: its length decides
BATCH_TOKENS = 4096


@dataclass(frozen=True)
class Item:
    """A prompt in one form, with a question of each kind: question i of `samples` is segment i + 1 of `example`."""

    form: Method | None
    samples: list[Sample]
    example: Example


def held_out(
    tasks: Sequence[Task], tokenizer: MetaTokenizer, config: DataConfig, prompts: int, seed: int = 0
) -> list[Item]:
    """Prompts as large as training's largest, none of which it draws, every other one of unseen names, in every form.

    Those that are too long for training (`longest`) when raw are left out here as well.

    Args:
        prompts: how many of each task at most.
    """
    items = []
    config = replace(config, emphasis={}, first_weight=1.0)  # every token counts, whatever training weighs
    for task in tasks:
        for i in range(prompts):
            rng = random.Random(f"held-out/{task.name}/{seed}/{i}")
            drawn = task.draw(rng, size=config.largest, questions=5, seen=i % 2 == 0)
            for form in FORMS:
                rng = random.Random(f"held-out/{seed}/{i}/{form}")
                example = make_example(tokenizer, drawn, config, rng, form)
                if form is None and len(example.ids) > config.longest:
                    break
                items.append(Item(form, drawn, example))
    return sorted(items, key=lambda item: len(item.example.ids))


@torch.no_grad()
def right_answers(model: LeanLlama, items: Sequence[Item], dtype: torch.dtype) -> list[list[bool]]:
    """For each item, sorted by length, and each of its questions whether the answer is exact."""
    results: list[list[bool]] = []
    for examples in cut([item.example for item in items], BATCH_TOKENS):
        batch = pack(examples)
        right = model.at(batch, dtype).argmax(-1).cpu().numpy() == batch.target
        row, column = np.divmod(batch.where + 1, batch.ids.shape[1])
        segment = batch.segment[row, column]
        results += [
            [bool(right[(row == r) & (segment == number)].all()) for number in range(1, example.segment[-1] + 1)]
            for r, example in enumerate(examples)
        ]
    return results


def accuracy(model: LeanLlama, items: Sequence[Item], dtype: torch.dtype) -> dict[str, float]:
    """Exact match in percent: `raw`, `ltsc`, `inline`, and `raw/parent`, `raw/xml`, `raw/unseen`, … of each."""
    scores: dict[str, list[bool]] = defaultdict(list)
    for item, rights in zip(items, right_answers(model, items, dtype), strict=True):
        form = item.form or "raw"
        for sample, right in zip(item.samples, rights, strict=True):
            for part in ("", sample.kind, sample.serialization, "seen" if sample.seen else "unseen"):
                scores[f"{form}/{part}".rstrip("/")].append(right)
    return {key: round(100 * sum(rights) / len(rights), 1) for key, rights in sorted(scores.items())}
