"""The reader on many prompts at once, for evaluation: greedy answers, expansions checked, self-information.

The same results as `Reader.ask` and `Reader.expand` one by one (the tests compare them), some times faster: prompts of
about the same length share forward passes. It is the given reader that is measured, never its `writer`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from metatok.reader.cache import reader_cache
from metatok.reader.generate import Prompt, Reader

BATCH_TOKENS = 8192  # input tokens, padding included, that are read together
# Fewer where nothing is gained by more: on a CPU padded prompts cost more than prompts one by one, as what masks the
# padding also keeps attention from leaving out what comes later.
CPU_BATCH_TOKENS = 2048
BATCH_SIZE = 32  # prompts at most


def answers(
    reader: Reader,
    asked: Sequence[tuple[Prompt, str]],
    max_new_tokens: int,
    done: Callable[[int], object] = lambda count: None,
) -> list[str]:
    """Greedy answers, as long as `max_new_tokens` at most, in the order of the questions.

    Args:
        asked: prompts with their questions; each has to fit, as for `Reader.ask`.
        done: called with the number of answers that have just been finished.
    """
    inputs = [(reader.adopted(prompt), reader.question(question)) for prompt, question in asked]
    texts = [""] * len(inputs)
    for indices in _by_length([len(prompt.ids) + len(question) for prompt, question in inputs], _batch_tokens(reader)):
        tokens = _decode(reader, [inputs[i] for i in indices], max_new_tokens)
        for i, ids in zip(indices, tokens, strict=True):
            texts[i] = reader.tokenizer.fragment(ids)
        done(len(indices))
    return texts


@torch.inference_mode()
def _decode(reader: Reader, inputs: Sequence[tuple[Prompt, Sequence[int]]], max_new_tokens: int) -> list[list[int]]:
    """The tokens that follow each prompt and what is asked, padded on the left into one batch; those that are answered
    leave it. What is settled is taken as it is, whatever the model says (`metatok.reader.written`)."""
    prompts, brackets = [prompt for prompt, _ in inputs], [reader.brackets(*of) for of in inputs]
    lengths = torch.tensor([reader.input_tokens(*of) for of in inputs], device=reader.device)
    longest = int(lengths.max())
    embedded = torch.cat([F.pad(reader.embed(*of), (0, 0, longest - reader.input_tokens(*of), 0)) for of in inputs])
    mask = (torch.arange(longest, device=reader.device) >= (longest - lengths)[:, None]).long()
    cache = reader_cache(reader)
    tokens: list[list[int]] = [[] for _ in inputs]
    alive = list(range(len(inputs)))
    for _ in range(max_new_tokens):
        position = (mask.cumsum(-1) - 1).clamp(min=0)[:, -embedded.shape[1] :]
        out = reader.model(
            inputs_embeds=embedded,
            attention_mask=mask,
            position_ids=position,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits = out.logits[:, -1]
        for row, i in enumerate(alive):
            logits[row, brackets[i].barred] = -torch.inf
        settled = [brackets[i].follows for i in alive]
        pairs = zip(settled, logits.argmax(-1).tolist(), strict=True)
        following = [likeliest if token is None else token for token, likeliest in pairs]
        going = [row for row, token in enumerate(following) if token != reader.marks.eos]
        if not going:
            break
        if len(going) < len(following):
            rows = torch.tensor(going, device=reader.device)
            cache.batch_select_indices(rows)
            mask, alive, following = mask[rows], [alive[row] for row in going], [following[row] for row in going]
        for i, token in zip(alive, following, strict=True):
            tokens[i].append(token)
        standing = [[brackets[i].stand(token, prompts[i].before)] for i, token in zip(alive, following, strict=True)]
        embedded = reader.embed_next([prompts[i] for i in alive], [[token] for token in following], standing)
        mask = F.pad(mask, (0, 1), value=1)
    return tokens


@torch.inference_mode()
def wrong_when_expanded(
    reader: Reader,
    prompts: Sequence[Prompt],
    done: Callable[[int], object] = lambda count: None,
) -> list[int]:
    """For each prompt, how many ids of it written out, and the end, are not the likeliest after the true ones before.
    What is settled (`metatok.reader.written`) is not asked for, and so not counted.

    Greedy decoding writes the prompt out exactly if and only if there are none, so one pass over the written-out prompt
    tells; decoding would take hundreds.
    """
    prompts, results = [reader.adopted(prompt) for prompt in prompts], [0] * len(prompts)
    texts = [reader.written(prompt) for prompt in prompts]
    lengths = [len(prompt.ids) + len(text) for prompt, text in zip(prompts, texts, strict=True)]
    for indices in _by_length(lengths, _batch_tokens(reader)):
        inputs = [reader.embed(prompts[i], [reader.marks.expand, *texts[i]]) for i in indices]
        hidden = _hidden(reader, inputs)
        for row, i in enumerate(indices):
            start, written = reader.input_tokens(prompts[i]), texts[i]
            logits = _logits(reader, hidden[row, start : start + len(written) + 1])
            brackets, asked = reader.brackets(prompts[i], [reader.marks.expand]), []
            for place, token in enumerate([*written, reader.marks.eos]):
                if brackets.follows is None:
                    asked.append((place, token))
                    logits[place, brackets.barred] = -torch.inf
                brackets.write(token)
            likeliest = logits.argmax(-1).tolist()
            results[i] = sum(likeliest[place] != token for place, token in asked)
        done(len(indices))
    return results


def self_information(reader: Reader, ids: Sequence[int], before: Sequence[int] = ()) -> NDArray[np.float64]:
    """−log p of each raw token given `before` and the tokens of `ids` before it, in nats: shape (len(ids),)."""
    return SelfInformation(reader)(ids, before)


class SelfInformation:
    """`self_information` of one segment after the other; where they begin alike, that is read once."""

    def __init__(self, reader: Reader):
        self._reader = reader
        self._read: list[int] = []
        self._cache = reader_cache(reader)

    @torch.inference_mode()
    def __call__(self, ids: Sequence[int], before: Sequence[int] = ()) -> NDArray[np.float64]:
        reader = self._reader
        front = reader.marks.front or [reader.marks.eos]  # something has to stand before the first token
        tokens = [*front, *before, *ids]
        start = len(front) + len(before) - 1  # what predicts the first of `ids`
        known = self._keep(tokens[:start])
        embedded = reader.embedding(torch.tensor([tokens[known:]], device=reader.device))
        out = reader.model.base_model(inputs_embeds=embedded, past_key_values=self._cache, use_cache=True)
        self._read = tokens
        truth = torch.tensor(ids, dtype=torch.int64, device=reader.device)
        logits = _logits(reader, out.last_hidden_state[0, start - known : -1])
        return F.cross_entropy(logits, truth, reduction="none").double().cpu().numpy()

    def _keep(self, tokens: Sequence[int]) -> int:
        """Leave in the cache what these tokens begin with; how many that are."""
        pairs = zip(tokens, self._read, strict=False)
        known = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(tokens), len(self._read)))
        try:
            self._cache.crop(known - len(self._read))  # a number of tokens to remove, as a negative one
        except (AttributeError, ValueError, RuntimeError):  # a cache of a kind that cannot, or of a sliding window
            self._cache, known = reader_cache(self._reader), 0
        return known


def _hidden(reader: Reader, inputs: Sequence[Tensor]) -> Tensor:
    """Outputs of the last layer, (b, t, d); padding comes last, where a causal model does not see it."""
    longest = max(x.shape[1] for x in inputs)
    embedded = torch.cat([F.pad(x, (0, 0, 0, longest - x.shape[1])) for x in inputs])
    hidden: Tensor = reader.model.base_model(inputs_embeds=embedded, use_cache=False).last_hidden_state
    return hidden


def _logits(reader: Reader, hidden: Tensor) -> Tensor:
    """Logits over all ids, float32, of outputs of `_hidden`; models that scale or cap theirs give them so elsewhere."""
    logits: Tensor = reader.model.get_output_embeddings()(hidden)
    return logits.float()


def _batch_tokens(reader: Reader) -> int:
    return CPU_BATCH_TOKENS if reader.device.type == "cpu" else BATCH_TOKENS


def _by_length(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Indices in runs of similar length, the longest first, each within `BATCH_SIZE` and `batch_tokens`.

    >>> list(_by_length([5, 9000, 4], 8192))
    [[1], [0, 2]]
    """
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if batch and (len(batch) == BATCH_SIZE or lengths[batch[0]] * (len(batch) + 1) > batch_tokens):
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch
