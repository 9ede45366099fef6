"""What a fine-tuning is, and its training examples: one question about one prompt each, in the order people ask in.

    [bos] prompt <|q|> question <|a|> answer [eos]        [bos] compressed prompt <|expand|> it, written out [eos]

A base model knows nothing of `segment` or of phrase-based embeddings, so there is one question a sequence, and
meta-tokens have plain embeddings. The reader trained from nothing has its examples in `data.py`. No torch here.
"""

from __future__ import annotations

import random
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from metatok.codec import Codec, Method
from metatok.reader.config import build
from metatok.reader.data import NO_PHRASES, Batch, Example, cut, pack
from metatok.reader.marks import Marks
from metatok.reader.written import Brackets, roles, written_out
from metatok.tasks.base import Sample, Task
from metatok.tokenizer import MetaTokenizer

POOL = 64  # examples that are sorted by length together


@dataclass(frozen=True)
class FinetuneConfig:
    """A whole run; `finetune.toml` beside this file is an example."""

    seed: int = 1
    tasks: tuple[str, ...] = ("tree", "repo")
    meta_tokens: int = 256
    compressed_share: float = 0.65  # of the examples; half of them `ltsc`, half `inline`
    expand_share: float = 0.15  # of the examples, all of them compressed
    expand_weight: float = 0.3  # of the loss on an expanded prompt's tokens that are not settled; an answer's weigh 1
    rank: int = 16  # of the adapters; their scale is 2
    adapter_lr: float = 2e-4
    embedding_lr: float = 2e-3
    tokens: int = 20_000_000  # of all examples together; the cosine ends there
    warmup_steps: int = 50
    final_lr: float = 0.02  # at the end of the cosine, relative
    clip: float = 1.0  # of the gradient's norm
    batch_tokens: int = 8192  # of one process's batch
    longest: int = 4096  # examples that are longer, or too long for the model, are left out
    largest: float = 1.0  # size of the largest prompts, see `metatok.tasks.base.Task.draw`; held-out ones have it
    full_size_at: float = 0.3  # share of the training after which prompts have all sizes
    evaluate_minutes: float = 10.0
    checkpoint_minutes: float = 10.0
    evaluate_prompts: int = 40  # of each task, in three forms


def load_config(path: Path) -> FinetuneConfig:
    """The configuration of a TOML file; what it leaves out has its default.

    Raises:
        ValueError: for a name that is no setting.
    """
    return from_dict(tomllib.loads(path.read_text(encoding="utf-8")))


def from_dict(values: dict[str, Any]) -> FinetuneConfig:
    """The inverse of `dataclasses.asdict`.

    >>> from_dict({"rank": 8}).rank
    8
    """
    config: FinetuneConfig = build(FinetuneConfig(), values)
    return config


def make_example(
    tokenizer: MetaTokenizer,
    marks: Marks,
    sample: Sample,
    rng: random.Random,
    form: Method | None,
    *,
    expand_weight: float | None = None,
) -> Example:
    """One question about one prompt, raw (`form` None) or compressed with meta-tokens drawn at random.

    Args:
        expand_weight: ask for the whole prompt instead, with this weight on each of its tokens but those that are
            settled, see `metatok.reader.written`.
    """
    prompt = written = tokenizer.encode(sample.prompt).tolist()
    brackets = Brackets(-1, -1)
    if form is not None:
        codec = Codec(tokenizer.vocab_size, tokenizer.meta_tokens, form)
        compressed = codec.compress(prompt, seed=rng.getrandbits(32))
        prompt, written = compressed.ids.tolist(), written_out(compressed, marks.expand, marks.answer)
        brackets = Brackets(marks.expand, marks.answer, codec)
    if expand_weight is not None:
        asked, answer = [marks.expand], [*written, marks.eos]
    else:
        question, said = (tokenizer.encode(text).tolist() for text in (sample.question, sample.written))
        asked, answer = [marks.question, *question, marks.answer], [*said, marks.eos]
    front = [*marks.front, *prompt, *asked]
    n = len(front) + len(answer)
    weight = np.zeros(n, dtype=np.float32)
    if expand_weight is None:
        weight[len(front) :] = 1.0
    else:
        settled = roles(written, brackets)[1]
        weight[len(front) :] = [0.0 if known else expand_weight for known in (*settled, False)]
    return Example(np.array(front + answer), np.zeros(n, dtype=np.int64), np.arange(n), weight, NO_PHRASES)


def make_pool(
    tasks: Sequence[Task],
    tokenizer: MetaTokenizer,
    marks: Marks,
    config: FinetuneConfig,
    longest: int,
    number: int,
    size: float,
) -> list[Batch]:
    """Pool `number` of the training data: the batches of `POOL` examples, in random order.

    Args:
        longest: examples that have more tokens are left out.
        size: how large prompts get, see `metatok.tasks.base.Task.draw`.

    Raises:
        ValueError: every example is longer.
    """
    examples = []
    for i in range(POOL):
        rng = random.Random(f"finetune/{config.seed}/{number}/{i}")
        task = rng.choice(tasks)
        compressed = rng.random() < config.compressed_share
        form: Method | None = rng.choice(("ltsc", "inline")) if compressed else None
        expand = compressed and rng.random() < config.expand_share / config.compressed_share
        sample = task.draw(rng, size=size * rng.random() ** 0.5)[0]
        weight = config.expand_weight if expand else None
        example = make_example(tokenizer, marks, sample, rng, form, expand_weight=weight)
        if len(example.ids) <= longest:
            examples.append(example)
    if not examples:
        raise ValueError(f"no prompt of {', '.join(config.tasks)} fits into {longest} tokens.")
    batches = list(cut(sorted(examples, key=lambda e: len(e.ids)), config.batch_tokens))
    random.Random(f"finetune-order/{config.seed}/{number}").shuffle(batches)
    return [pack(batch) for batch in batches]
