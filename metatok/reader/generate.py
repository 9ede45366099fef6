"""Asking the reader: a prompt, raw or compressed, and a question about it; the answer streams.

The model is what transformers' `AutoModelForCausalLM` gives, a plain Llama. What is ours is the input:

    <|bos|> prompt <|q|> question <|a|>          the model goes on with the answer and <|eos|>
    <|bos|> prompt <|expand|>                    the model goes on with the prompt written out, and <|eos|>

The marks are the ids that the model's own tokenizer gives them (`metatok.reader.marks`), and a model without a
beginning has none. A fine-tuned model is its base model with the adapter merged into it.

The prompt may be compressed, the question never is. Meta-tokens get embeddings made of their phrases
(`metatok.reader.model.PhraseEmbedding`) where the reader's folder has them, and the writer's embeddings are made of the
ids before each one, too; `phrases=False` is the paper's plain form.

Decoding (`metatok.reader.answer`) keeps a KV cache. Several threads may ask one reader: an answer has its cache for
itself, and the model works for one of them at a time, a token each, and where a prompt is written out what is settled
then with it. `metatok.reader.batch` reads many prompts at once.
"""

from __future__ import annotations

import os
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from safetensors import SafetensorError
from torch import Tensor

from metatok.codec import METHODS, Compressed
from metatok.ids import as_integer
from metatok.reader.adapters import load_adapted
from metatok.reader.answer import Answer
from metatok.reader.cache import reader_cache
from metatok.reader.data import NO_PHRASES, RELATED, joined, moved, phrase_rows, related, rows_of
from metatok.reader.export import PHRASE_FILE, load_phrases
from metatok.reader.folders import ADAPTER_FILE, DTYPES, WRITER_FOLDER, ReaderError, answer_room, folder_of
from metatok.reader.marks import FORMAT, Marks
from metatok.reader.model import PhraseEmbedding
from metatok.reader.written import Brackets, roles, written_out
from metatok.tokenizer import MetaTokenizer, TokenizerError

Int = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Prompt:
    """A prompt as the reader sees it.

    Attributes:
        ids: (n,) tokens and meta-tokens.
        phrases: (m, 1 + r) what embeddings are made of besides `ids`, see `metatok.reader.data.phrase_rows`.
        raw_tokens: tokens of the prompt as it was.
        compressed: what it was compressed to; None for raw tokens.
    """

    ids: Int
    phrases: Int
    raw_tokens: int
    compressed: Compressed | None = None

    @classmethod
    def of(cls, ids: ArrayLike, raw_tokens: int | None = None) -> Prompt:
        """Raw tokens as they are, such as a lossy baseline leaves them.

        >>> Prompt.of([5, 6, 7], raw_tokens=9).ids
        array([5, 6, 7])
        """
        array = np.array(ids, dtype=np.int64)
        return cls(array, NO_PHRASES, len(array) if raw_tokens is None else raw_tokens)

    @cached_property
    def related(self) -> dict[int, list[int]]:
        """What its meta-tokens' phrases begin and end with, see `metatok.reader.data.related`."""
        return related(self.phrases, self.ids.tolist())

    @property
    def before(self) -> int:
        """How many ids before each one its embedding is made of."""
        return self.phrases.shape[1] - 1 - len(RELATED)


class Reader:
    """A trained reader: a causal language model, its tokenizer with meta-tokens, its embeddings of phrases.

    Attributes:
        name: what `from_pretrained` found it by; `folder` is where its files are.
        model: a `transformers` causal language model in evaluation mode; on a GPU where there is one.
        dtype: the numbers that it computes with, one of `DTYPES`.
        tokenizer: the `MetaTokenizer` that it was trained with.
        phrases: the embeddings of phrases, or None where the folder has none.
        marks: the ids around prompt and question.
        positions: how many tokens it can hold, input and answer.
        limit: how many input tokens it takes, prompt, question and marks; beyond them is room for an answer.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        model: Any,
        tokenizer: MetaTokenizer,
        marks: Marks,
        phrases: PhraseEmbedding | None,
    ):
        self.name, self.folder = name, folder
        self.model, self.tokenizer, self.marks, self.phrases = model, tokenizer, marks, phrases
        self.device = next(model.parameters()).device
        self.dtype = str(model.dtype).removeprefix("torch.")
        self.embedding: Any = model.get_input_embeddings()
        self.positions = int(model.config.max_position_embeddings)
        self.answer_tokens = answer_room(self.positions, model.generation_config.max_new_tokens)
        self.limit = self.positions - self.answer_tokens
        self._busy = threading.Lock()

    @classmethod
    def from_pretrained(cls, name: str | os.PathLike[str] | None = None, *, dtype: str = "float32") -> Reader:
        """The reader in a folder, of a Hub id, or the bundled one (see `bundled`).

        The folder holds a whole model, or the adapter that `metatok train --base-model` wrote.

        Args:
            dtype: the numbers that it computes with, "float32" or "bfloat16". The latter take half the memory, and with
                AMX a prefill takes half (500 tokens) to a third (2,900) of the time; on processors without
                instructions for them, it takes longer. Where two tokens are nearly equally likely, the answer can be
                another one.

        Raises:
            ReaderError: it cannot be had, or it is another kind of model.
            ValueError: an unknown `dtype`.
        """
        from transformers import AutoModelForCausalLM

        if dtype not in DTYPES:
            raise ValueError(f"The dtype of a reader is {' or '.join(DTYPES)}, and not {dtype!r}.")
        precision: torch.dtype = getattr(torch, dtype)
        folder = folder_of(name)
        shown = str(name or folder)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            tokenizer = MetaTokenizer.from_pretrained(folder, local_only=True)
            marks, ids = Marks.of(tokenizer), tokenizer.vocab_size + tokenizer.codec.n_added
            with _without_progress_bar():
                if (folder / ADAPTER_FILE).is_file():
                    model = load_adapted(folder, ids)
                    for parameter in model.parameters():  # of the buffers some have to be exact, as rotary frequencies
                        parameter.data = parameter.data.to(precision)
                else:
                    model = AutoModelForCausalLM.from_pretrained(folder, dtype=precision, local_files_only=True)
            phrases = None
            if (folder / PHRASE_FILE).is_file():
                phrases = load_phrases(folder, model.config.hidden_size).requires_grad_(False)
                phrases.to(device, precision)
        except (OSError, TokenizerError, ValueError, RuntimeError, SafetensorError) as error:
            reason = str(error).strip().partition("\n")[0].rstrip(".")
            raise ReaderError(f"The reader in {shown} cannot be loaded: {reason}.") from error
        if marks is None or model.config.vocab_size < ids:
            raise ReaderError(
                f"{shown} is a language model, but no reader: it was not trained with the marks {', '.join(FORMAT)} "
                "and meta-tokens."
            )
        model.to(device).eval().requires_grad_(False)
        return cls(shown, folder, model, tokenizer, marks, phrases)

    @cached_property
    def writer(self) -> Reader:
        """The reader that writes this one's prompts out: the one in its folder's `writer`, or else itself.

        Raises:
            ReaderError: it cannot be loaded, or it has another tokenizer or pool of meta-tokens.
        """
        folder = self.folder / WRITER_FOLDER
        if not folder.is_dir():
            return self
        writer = Reader.from_pretrained(folder, dtype=self.dtype)
        mine, its = ((of.tokenizer.fingerprint, of.tokenizer.meta_tokens, of.marks) for of in (self, writer))
        if mine != its:
            raise ReaderError(
                f"The reader in {folder} has another tokenizer or pool than the one whose prompts it would write out: "
                f"train it with `tokenizer` set to {self.folder}, or remove it."
            )
        return writer

    def __repr__(self) -> str:
        return f"Reader({self.name!r}, {self.model.num_parameters():,} parameters)"

    def ask(
        self,
        prompt: str | Prompt,
        question: str,
        method: str | None = None,
        *,
        phrases: bool = True,
        max_new_tokens: int | None = None,
    ) -> Answer:
        """The answer to a question about a prompt, as an iterator of pieces of text.

        Args:
            prompt: a text, or what `prepare` made of one.
            question: stays raw.
            method: how the text is compressed before the model sees it; None leaves it raw.
            phrases: False gives every id its own embedding only, the paper's plain form.
            max_new_tokens: the answer's room, 1 or more, and no more than positions are left; left out, what the
                model's generation config says.

        Raises:
            ValueError: an empty prompt or question, an unknown method, or more tokens than the reader takes.
            TypeError: a prompt or a question that is no text.
        """
        began = time.perf_counter()
        room = self.answer_tokens if max_new_tokens is None else as_integer("max_new_tokens", max_new_tokens, least=1)
        prepared = self._prepared(prompt, method, phrases)
        asked = self.question(question)
        self._check_length(prepared, asked)
        room = min(room, self.positions - self.input_tokens(prepared, asked))
        return Answer(self, prepared, asked, room, began)

    def expand(self, prompt: str | Prompt, method: str | None = "inline", *, phrases: bool = True) -> Answer:
        """The prompt written out by `writer`, token for token where it has learned to; arguments as for `ask`.

        It writes more than the prompt (`metatok.reader.written`), which the text leaves out. The bundled writer knows
        compressed prompts alone: a raw one, `method=None`, would only have to be copied, and it was never shown that.

        Raises:
            ValueError: an empty prompt, an unknown method, or a prompt that leaves no room to be written out.
            TypeError: a prompt that is no text.
            ReaderError: `writer` cannot be loaded.
        """
        if self.writer is not self:
            return self.writer.expand(prompt, method, phrases=phrases)
        began = time.perf_counter()
        prepared = self._prepared(prompt, method, phrases)
        read, written = len(prepared.ids), len(self.written(prepared))
        both = self.positions - (self.input_tokens(prepared, [self.marks.expand]) - read) - 1
        if read + written > both:
            raise ValueError(
                f"The prompt is {read:,} tokens as the reader sees it and {written:,} written out, working included, "
                f"and both together may be {both:,}: shorten it to about {100 * both / (read + written):.0f} % of its "
                "length."
            )
        room = written + 1
        return Answer(self, prepared, [self.marks.expand], room, began, expands=True)

    def prepare(self, prompt: str, method: str | None = None, *, phrases: bool = True) -> Prompt:
        """A prompt as the reader sees it; arguments as for `ask`.

        Meta-tokens are drawn from the pool as in training, at random; the text alone decides how.

        Raises:
            ValueError: an empty prompt or an unknown method.
            TypeError: a prompt that is no text.
        """
        _check_text("prompt", prompt)
        if not prompt.strip():
            raise ValueError("The prompt is empty: give a text that the question can be answered from.")
        _check_method(method)
        return self.prepare_ids(self.tokenizer.encode(prompt), method, phrases=phrases)

    def prepare_ids(self, ids: NDArray[np.int32], method: str | None = None, *, phrases: bool = True) -> Prompt:
        """As `prepare`, from tokens: (n,) ids of `tokenizer`."""
        if method is None:
            return Prompt.of(ids)
        compressed = self.tokenizer.using(method=method).codec.compress(ids, seed=zlib.crc32(ids.tobytes()))
        rows = NO_PHRASES
        if phrases and self.phrases is not None:
            rows = phrase_rows(compressed, before=self.phrases.before)
        return Prompt(compressed.ids.astype(np.int64), rows, len(ids), compressed)

    def written(self, prompt: Prompt) -> list[int]:
        """The ids that `expand` has to write for a prompt, its end mark left out; see `metatok.reader.written`."""
        if prompt.compressed is None:
            return prompt.ids.tolist()
        return written_out(prompt.compressed, self.marks.expand, self.marks.answer)

    def settled(self, prompt: Prompt, written: Sequence[int]) -> list[bool]:
        """Which ids of a prompt written out are settled by those before them, and not asked for."""
        return roles(written, self.brackets(prompt, [self.marks.expand]))[1]

    def question(self, question: str) -> list[int]:
        """What follows the prompt in the input: the question between its marks.

        Raises:
            ValueError: an empty question.
            TypeError: a question that is no text.
        """
        _check_text("question", question)
        if not question.strip():
            raise ValueError("The question is empty: ask something about the prompt.")
        return [self.marks.question, *self.tokenizer.encode(question.strip()).tolist(), self.marks.answer]

    def input_tokens(self, prompt: Prompt, asked: Sequence[int] = ()) -> int:
        """How many tokens the model's input has, see `embed`."""
        return len(self.marks.front) + len(prompt.ids) + len(asked)

    def embed(self, prompt: Prompt, asked: Sequence[int] = ()) -> Tensor:
        """The model's input, (1, t, d): the beginning, the prompt, what is asked."""
        front = self.marks.front
        ids = np.concatenate([np.array(part, dtype=np.int64) for part in (front, prompt.ids, asked)])
        embedded: Tensor = self.embedding(torch.from_numpy(ids[None]).to(self.device))
        brackets = self.brackets(prompt, asked[:1])
        nothing = [-1] * (1 + prompt.before)
        standing = [nothing, *(brackets.stand(i, prompt.before) for i in asked[1:])][: len(asked)]
        rows = joined((prompt.phrases, rows_of(prompt.related, asked, standing, offset=len(prompt.ids))))
        return self._with_phrases(embedded, moved(rows, len(front)))

    def brackets(self, prompt: Prompt, asked: Sequence[int]) -> Brackets:
        """What tells owners and what is settled in what is written after `asked`; none where a question was asked."""
        if list(asked) != [self.marks.expand]:
            return Brackets(-1, -1)
        compressed = prompt.compressed
        codec = None if compressed is None else self.tokenizer.using(method=compressed.method).codec
        return Brackets(self.marks.expand, self.marks.answer, codec)

    def embed_next(
        self, prompts: Sequence[Prompt], tokens: Sequence[Sequence[int]], standing: Sequence[Sequence[Sequence[int]]]
    ) -> Tensor:
        """The input after that of `embed`, k tokens and how they stand (`brackets`) for each prompt: (n, k, d)."""
        embedded: Tensor = self.embedding(torch.tensor(tokens, device=self.device))
        each = enumerate(zip(prompts, tokens, standing, strict=True))
        rows = [rows_of(prompt.related, its, stand, offset=i * len(its)) for i, (prompt, its, stand) in each]
        return self._with_phrases(embedded, joined(rows))

    def _with_phrases(self, embedded: Tensor, rows: Int) -> Tensor:
        if self.phrases is None or not len(rows):
            return embedded
        result: Tensor = self.phrases(embedded, self.embedding.weight, torch.from_numpy(rows).to(self.device))
        return result

    def prefill_seconds(self, prompt: Prompt) -> float:
        """How long one prefill takes, in seconds: embedding the prompt, every layer, and the likeliest next token.

        Waiting for other answers is not counted, but what they take of the machine while this runs is.
        """
        began = time.perf_counter()
        embedded = self.embed(prompt)
        seconds = time.perf_counter() - began
        return seconds + self._step(embedded, reader_cache(self))[1]

    def adopted(self, prompt: Prompt) -> Prompt:
        """A prompt that another reader prepared, its writer for one, with what this one's embeddings are made of."""
        compressed = prompt.compressed
        if self.phrases is None or self.phrases.before == prompt.before or compressed is None:
            return prompt
        if compressed.phrases and not len(prompt.phrases):  # in the plain form
            return prompt
        return replace(prompt, phrases=phrase_rows(compressed, before=self.phrases.before))

    def _prepared(self, prompt: str | Prompt, method: str | None, phrases: bool) -> Prompt:
        if isinstance(prompt, Prompt):
            _check_method(method)
            return self.adopted(prompt)
        return self.prepare(prompt, method, phrases=phrases)

    def _check_length(self, prompt: Prompt, asked: Sequence[int]) -> None:
        tokens = self.input_tokens(prompt, asked)
        if tokens <= self.limit:
            return
        room = self.limit - (tokens - len(prompt.ids))  # for the prompt, beside this question
        if room <= 0:
            raise ValueError(
                f"The reader takes at most {self.limit:,} tokens, and the question alone is {len(asked):,}: shorten it."
            )
        raise ValueError(
            f"The reader takes at most {self.limit:,} tokens, and prompt and question are {tokens:,} "
            f"{'raw' if len(prompt.ids) == prompt.raw_tokens else 'even when compressed'}: "
            f"shorten the prompt to about {100 * room / len(prompt.ids):.0f} % of its length."
        )

    @torch.inference_mode()
    def _step(self, embedded: Tensor, cache: Any, barred: Sequence[int] = ()) -> tuple[int, float]:
        """The likeliest token after what the cache holds and `embedded`, none of `barred`, and the seconds it took."""
        with self._busy:
            began = time.perf_counter()
            out = self.model(inputs_embeds=embedded, past_key_values=cache, use_cache=True, logits_to_keep=1)
            logits = out.logits[0, -1]
            logits[list(barred)] = -torch.inf
            token = int(logits.argmax())
            return token, time.perf_counter() - began


def _check_text(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(f"The {name} must be a text, not {type(value).__name__}.")


def _check_method(method: object) -> None:
    if method is not None and method not in METHODS:
        raise ValueError(f"There is no method {method!r}: choose {', '.join(METHODS)}, or none for the raw prompt.")


@contextmanager
def _without_progress_bar() -> Iterator[None]:
    """transformers shows a bar for weights that are there in a moment."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
