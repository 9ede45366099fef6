"""Training examples: samples of the tasks as id sequences, raw or compressed, packed into batches.

Everything is made on the fly by the tasks' generators and the codec, and is a function of a seed and a counter, so a
run that stops goes on at the same place. This file knows nothing of the model; its arrays are numpy's.

One example is one prompt and several questions about it:

    <|bos|> prompt <|q|> question <|a|> answer <|eos|> <|q|> question <|a|> answer <|eos|> …

Each question sees the prompt and itself only, at the positions it would have alone (`segment`, `position`): one pass
over the prompt trains what many would. The prompt may be compressed; questions and answers never are. An expand example
has `<|expand|>` and the whole prompt written out in the place of the questions (`metatok.reader.written`).

In a share of the examples the ids of words are exchanged for others at random (`renaming`), but not where prompts are
text to go on with (`text_weights`). What a prompt says about its names stays true, and no name can be known by heart,
or stay without training because no word list has it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from metatok.codec import METHODS, Codec, Compressed, Method
from metatok.reader.bpe import ANSWER, BOS, EOS, EXPAND, PAD, QUESTION
from metatok.reader.config import DataConfig
from metatok.reader.written import Brackets, lines_before, roles, written_out
from metatok.tasks.base import Sample, Task
from metatok.tokenizer import MetaTokenizer

Int = NDArray[np.int64]
Float = NDArray[np.float32]

ROUND = 16  # batch lengths are multiples of this, so that few shapes occur
FIXED = "parent children depth path of is inside none yes no entry member dn"  # no names: never exchanged
BETWEEN = (", ", " < ", ": ")  # what stands between the names of an answer, and between its working and itself


def check_names(tasks: Sequence[Task], config: DataConfig) -> None:
    """Raises:
    ValueError: `emphasis`, `task_weights`, `text_weights` or `methods` names what this run does not have, or no task or
        method is left.
    """
    for name in (*config.task_weights, *config.text_weights):
        if name not in config.tasks:
            raise ValueError(f"a weight for task {name!r}, which this run has not; it has {', '.join(config.tasks)}")
    for name in config.methods:
        if name not in METHODS:
            raise ValueError(f"a weight for the method {name!r}, which is none; there are {', '.join(METHODS)}")
    if not tasks:
        raise ValueError("tasks is empty; name one at least")
    shares = config.methods.values()
    if min(shares, default=0.0) < 0 or sum(shares) <= 0:
        raise ValueError("methods must not be negative, and one at least must be greater than 0")
    weights = [config.task_weights.get(name, 1.0) for name in config.tasks]
    if min(weights, default=1.0) < 0 or sum(weights) <= 0:
        raise ValueError("task_weights must not be negative, and one at least must be greater than 0")
    known = [word for task in tasks for word in (*task.kinds, *task.serializations)]
    for name in config.emphasis:
        if name not in known:
            raise ValueError(f"emphasis on {name!r}, which no task of this run has; there are {', '.join(known)}")
    for setting, weights_of in (("emphasis", config.emphasis), ("text_weights", config.text_weights)):
        for name, weight in weights_of.items():
            if not 0 <= weight < math.inf:
                raise ValueError(f"{setting} of {name!r} is {weight!r}; it must be 0 or more")


@dataclass(frozen=True)
class Example:
    """One sequence to train on. Arrays of length n have one entry a position.

    Attributes:
        ids: (n,)
        segment: (n,) 0 for the prompt, 1, 2, … for the questions about it.
        position: (n,) where rotary embeddings place it.
        weight: (n,) of the loss for predicting `ids[i]` from what comes before; 0.0 for most.
        phrases: (m, 1 + r) what embeddings are made of besides the ids, see `phrase_rows`.
    """

    ids: Int
    segment: Int
    position: Int
    weight: Float
    phrases: Int


@dataclass(frozen=True)
class Batch:
    """Examples side by side, padded at the end; b sequences of t positions.

    Attributes:
        ids, segment, position: (b, t)
        phrases: (m, 1 + r) as in `Example`, the index into the b·t positions.
        where: (k,) indexes into the b·t positions whose outputs the loss looks at.
        target: (k,) the id that follows each of them.
        weight: (k,)
        tokens: positions that are not padding.
    """

    ids: Int
    segment: Int
    position: Int
    phrases: Int
    where: Int
    target: Int
    weight: Float
    tokens: int


PLACES = {"first": 0, "second": 1, "third": 2, "fourth": 3, "last": -1, "last_but_one": -2, "last_but_two": -3}
"""The tokens of a phrase that its meta-token's embedding is made of: names, and indices into the phrase."""

RELATED = (*PLACES, "owner")
"""The r ids that an embedding may be made of besides its own: for a meta-token those at `PLACES`, and for what stands
in a phrase that is being defined, the meta-token that the phrase belongs to. Some readers have those before it, too
(`before_names`)."""

NO_PHRASES = np.empty((0, 1 + len(RELATED)), dtype=np.int64)


def before_names(count: int) -> tuple[str, ...]:
    """The names of the ids before one in its line (`metatok.reader.written`), the nearest first.

    >>> before_names(2)
    ('before_1', 'before_2')
    """
    return tuple(f"before_{i + 1}" for i in range(count))


def joined(parts: Sequence[Int]) -> Int:
    """Rows of `phrase_rows` in one array; those that have nothing before them have -1 there."""
    width = max(part.shape[1] for part in parts)
    return np.concatenate(
        [
            part if part.shape[1] == width else np.pad(part, ((0, 0), (0, width - part.shape[1])), constant_values=-1)
            for part in parts
        ]
    )


def moved(phrases: Int, by: int) -> Int:
    """The rows of `phrase_rows` for a prompt that stands `by` places further on."""
    result = phrases.copy()
    result[:, 0] += by
    return result


def phrase_rows(compressed: Compressed, offset: int = 0, before: int = 0) -> Int:
    """The ids that are `RELATED` to those at some positions: int64 of shape (m, 1 + r), the position first.

    With `before` there are as many columns more, the ids before each in its line, and a row for every position.

    Else there is one for each meta-token and for each id of a phrase that is being defined, in the order of positions.
    What a row does not have is -1: tokens of a phrase too short for a place, or the owner of what stands in the body.

    >>> compressed = Codec(10, 4, "ltsc").compress([1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 4, 5, 6])
    >>> compressed.ids.tolist()
    [10, 12, 1, 2, 3, 4, 5, 6, 11, 12, 0, 12]
    >>> phrase_rows(compressed)[[0, 1, 6, 7]].tolist()
    [[1, 1, 2, 3, 4, 6, 5, 4, -1], [2, -1, -1, -1, -1, -1, -1, -1, 12], [7, -1, -1, -1, -1, -1, -1, -1, 12], \
[9, 1, 2, 3, 4, 6, 5, 4, -1]]
    """
    phrases = {
        m: [phrase[place] if -len(phrase) <= place < len(phrase) else -1 for place in PLACES.values()]
        for m, phrase in compressed.phrases.items()
    }
    nothing = [-1] * len(PLACES)
    rows = []
    for i, (symbol, owner) in enumerate(zip(compressed.ids.tolist(), compressed.defines.tolist(), strict=True)):
        owner = -1 if symbol == owner else owner  # the head of a definition is not the phrase
        if before or symbol in phrases or owner in phrases:
            rows.append((offset + i, *phrases.get(symbol, nothing), owner))
    found = np.array(rows, dtype=np.int64).reshape(-1, 1 + len(RELATED))
    return np.concatenate((found, lines_before(compressed, before)), axis=1) if before else found


def related(phrases: Int, ids: Sequence[int]) -> dict[int, list[int]]:
    """{meta-token: the tokens at `PLACES` of its phrase} of the rows of `phrase_rows` for `ids`."""
    rows = phrases[:, : 1 + len(PLACES)].tolist()
    return {ids[at]: places for at, *places in rows if places[0] >= 0}


def rows_of(
    known: Mapping[int, Sequence[int]], ids: Sequence[int], standing: Sequence[Sequence[int]], offset: int = 0
) -> Int:
    """Rows as those of `phrase_rows`, for what is written behind a prompt.

    Args:
        known: `related` of the prompt.
        standing: how `ids` stand, see `metatok.reader.written.Brackets.stand`, all with as many ids before.
        offset: where `ids` begin.

    >>> rows_of({12: [1, 2, 3, 4, 6, 5, 4]}, [7, 12, 1], [[-1], [-1], [12]], offset=30).tolist()
    [[31, 1, 2, 3, 4, 6, 5, 4, -1], [32, -1, -1, -1, -1, -1, -1, -1, 12]]
    """
    nothing = [-1] * len(PLACES)
    rows = [
        (offset + i, *known.get(symbol, nothing), owner if owner in known else -1, *before)
        for i, (symbol, (owner, *before)) in enumerate(zip(ids, standing, strict=True))
        if symbol in known or owner in known or any(i >= 0 for i in before)
    ]
    width = len(RELATED) + max(map(len, standing), default=1)
    return np.array(rows, dtype=np.int64).reshape(-1, width)


@lru_cache(maxsize=4)
def word_ids(tokenizer: MetaTokenizer) -> Int:
    """The ids of words and parts of words, ascending: those made of letters only, without `FIXED`'s."""
    fixed = set(tokenizer.encode(FIXED).tolist())
    pieces = ((i, tokenizer.fragment([i])) for i in range(tokenizer.vocab_size) if i not in fixed)
    return np.array([i for i, piece in pieces if piece.isascii() and piece.isalpha()], dtype=np.int64)


@lru_cache(maxsize=4)
def _between_names(tokenizer: MetaTokenizer) -> frozenset[int]:
    """The ids after which an answer goes on with another name, or comes to its point."""
    return frozenset(int(tokenizer.encode(text)[-1]) for text in BETWEEN)


def renaming(tokenizer: MetaTokenizer, rng: random.Random) -> Int:
    """For each id the one or two to take in its place, (vocab_size, 2), -1 where there is no second one.

    Words are exchanged at random. Up to half of them, a share drawn at random, get another one behind them: names that
    were never seen have more tokens than those that were.
    """
    words, generator = word_ids(tokenizer), np.random.default_rng(rng.getrandbits(64))
    renamed = np.full((tokenizer.vocab_size, 2), -1)
    renamed[:, 0] = np.arange(tokenizer.vocab_size)
    renamed[words, 0] = generator.permutation(words)
    longer = words[generator.random(len(words)) < 0.5 * generator.random()]
    renamed[longer, 1] = generator.choice(words, len(longer))
    return renamed


def make_example(
    tokenizer: MetaTokenizer,
    samples: Sequence[Sample],
    config: DataConfig,
    rng: random.Random,
    form: Method | None,
    *,
    expand: bool = False,
    renamed: Int | None = None,
    text_weight: float = 0.0,
) -> Example:
    """One prompt with its questions, raw (`form` None) or compressed with meta-tokens drawn at random.

    Args:
        samples: at least one; all have the same prompt.
        expand: ask for the whole prompt instead, `samples[0]`'s.
        renamed: what takes the place of each id in prompt, questions and answers, see `renaming`.
        text_weight: of the loss on each token of the prompt but meta-tokens; 0 for `prompt_weight` on a few of all.
    """

    def encode(text: str) -> list[int]:
        ids: Int = tokenizer.encode(text).astype(np.int64)
        if renamed is not None:
            ids = renamed[ids].ravel()
        values: list[int] = ids[ids >= 0].tolist()
        return values

    raw = encode(samples[0].prompt)
    prompt, phrases, written, brackets = raw, NO_PHRASES, raw, Brackets(-1, -1)
    if form is not None:
        codec = Codec(tokenizer.vocab_size, tokenizer.meta_tokens, form)
        compressed = codec.compress(raw, seed=rng.getrandbits(32))
        prompt, phrases = compressed.ids.tolist(), phrase_rows(compressed, 1, config.before)
        if expand:
            written = written_out(compressed, EXPAND, ANSWER)
            brackets = Brackets(EXPAND, ANSWER, codec)
    ids = [BOS, *prompt]
    start = len(ids)
    segment, position, weight = [0] * start, list(range(start)), [0.0] * start

    if expand:
        standing, settled = roles(written, brackets, config.before)
        weights = [0.0 if known else config.expand_weight for known in (*settled, False)]
        parts = [([EXPAND], [*written, EOS], weights)]
        phrases = joined((phrases, rows_of(related(phrases, ids), written, standing, offset=start + 1)))
    else:
        between = _between_names(tokenizer)
        parts = []
        for s in samples:
            answer = [*encode(s.written), EOS]
            found = [i == 0 or answer[i - 1] in between for i in range(len(answer))]
            factor = config.emphasis.get(s.kind, 1.0) * config.emphasis.get(s.serialization, 1.0)
            weights = [factor * (config.first_weight if f else 1.0) for f in found]
            parts.append(([QUESTION, *encode(s.question), ANSWER], answer, weights))
    for number, (question, answer, weights) in enumerate(parts, 1):
        ids += question + answer
        segment += [number] * (len(question) + len(answer))
        position += range(start, start + len(question) + len(answer))
        weight += [0.0] * len(question) + weights

    if text_weight > 0:  # meta-tokens are drawn at random, so there is nothing to predict
        weight[1:start] = [text_weight if i < tokenizer.vocab_size else 0.0 for i in prompt]
    else:  # predicting names teaches looking back and copying all the same; as many places as answers have tokens
        places = min(len(prompt), sum(len(answer) for _, answer, _ in parts))
        for i in rng.sample(range(1, start), places):
            weight[i] = config.prompt_weight
    return Example(np.array(ids), np.array(segment), np.array(position), np.array(weight, dtype=np.float32), phrases)


def pack(examples: Sequence[Example]) -> Batch:
    """A batch of these examples, padded to a length that is a multiple of `ROUND`."""
    b, t = len(examples), _padded(max(len(e.ids) for e in examples))
    ids, segment, position = np.full((b, t), PAD), np.full((b, t), -1), np.zeros((b, t), dtype=np.int64)
    phrases, where, target, weight = [], [], [], []
    for i, e in enumerate(examples):
        n = len(e.ids)
        ids[i, :n], segment[i, :n], position[i, :n] = e.ids, e.segment, e.position
        phrases.append(moved(e.phrases, i * t))
        looked = np.flatnonzero(e.weight)
        where.append(i * t + looked - 1)
        target.append(e.ids[looked])
        weight.append(e.weight[looked])
    return Batch(
        ids,
        segment,
        position,
        joined(phrases),
        np.concatenate(where),
        np.concatenate(target),
        np.concatenate(weight),
        sum(len(e.ids) for e in examples),
    )


def pool_of_batches(
    tasks: Sequence[Task], tokenizer: MetaTokenizer, config: DataConfig, seed: int, number: int, size: float
) -> list[Batch]:
    """Pool `number` of the training data: the batches of `config.pool` examples, in random order.

    Args:
        size: how large prompts get, see `metatok.tasks.base.Task.draw`.

    Raises:
        ValueError: every example is longer than `config.longest`.
    """
    examples = []
    weights = [config.task_weights.get(task.name, 1.0) for task in tasks]
    methods = [method for method in METHODS if method in config.methods]
    for i in range(config.pool):
        rng = random.Random(f"train/{seed}/{number}/{i}")
        (task,) = rng.choices(tasks, weights)
        compressed = rng.random() < config.compressed_share
        form: Method | None = None
        if compressed:
            (form,) = rng.choices(methods, [config.methods[method] for method in methods])
        expand = compressed and rng.random() < config.expand_share / config.compressed_share
        text_weight = config.text_weights.get(task.name, 0.0)
        renamed = renaming(tokenizer, rng) if rng.random() < config.renamed_share and not text_weight else None
        # All sizes up to the current one, larger ones more often: small prompts teach fastest, and stay in range.
        drawn_size = size * rng.random() ** config.size_power
        drawn = task.draw(rng, size=drawn_size, questions=config.questions, seen=True)
        example = make_example(
            tokenizer, drawn, config, rng, form, expand=expand, renamed=renamed, text_weight=text_weight
        )
        if config.plain_share and rng.random() < config.plain_share:
            example = replace(example, phrases=NO_PHRASES)
        if len(example.ids) <= config.longest:
            examples.append(example)
    if not examples:
        raise ValueError(f"no example of {', '.join(config.tasks)} fits into {config.longest} tokens.")
    examples.sort(key=lambda e: len(e.ids))
    batches = list(cut(examples, config.batch_tokens))
    random.Random(f"order/{seed}/{number}").shuffle(batches)
    return [pack(batch) for batch in batches]


def cut(examples: Sequence[Example], batch_tokens: int) -> Iterator[list[Example]]:
    """Runs of examples, sorted by length, whose padded size is at most `batch_tokens` (one example may be more)."""
    batch: list[Example] = []
    for example in examples:
        if batch and _padded(len(example.ids)) * (len(batch) + 1) > batch_tokens:
            yield batch
            batch = []
        batch.append(example)
    if batch:
        yield batch


def _padded(length: int) -> int:
    return -(-length // ROUND) * ROUND
