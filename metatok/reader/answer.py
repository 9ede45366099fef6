"""One answer of a reader as it streams, and what it took.

Greedy decoding with a KV cache: one forward pass a token, and in a prompt that is written out one for every token that
is not settled by those before it (`metatok.reader.written`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from metatok.reader.cache import reader_cache
from metatok.reader.written import read_back

if TYPE_CHECKING:
    from metatok.reader.generate import Prompt, Reader


@dataclass(frozen=True)
class Statistics:
    """What one answer took, so far. Seconds are of this machine.

    Attributes:
        raw_tokens: tokens of the prompt before compression.
        tokens: of the prompt as the model sees it.
        input_tokens: all that is read before the answer: prompt, question and the marks around them.
        answer_tokens: written so far, the end of the answer and what `expand` takes up without asking included.
        prefill_seconds: the forward pass over the input, and the first token with it.
        first_token_seconds: from the question until the first token: tokenizing, compressing, waiting for other
            answers, and the prefill.
        seconds_per_token: of those after the first; 0.0 before there is one.
        total_seconds: from the question until the latest token.
        kv_cache_bytes: the keys and values that the model keeps of input and answer, room for more not counted.
        finished: whether the answer came to its end; one that fills its room does not.
    """

    raw_tokens: int
    tokens: int
    input_tokens: int
    answer_tokens: int = 0
    prefill_seconds: float = 0.0
    first_token_seconds: float = 0.0
    seconds_per_token: float = 0.0
    total_seconds: float = 0.0
    kv_cache_bytes: int = 0
    finished: bool = False


class Answer(Iterator[str]):
    """The pieces of one answer, decoded as they are asked for; `statistics` is there at any time.

    A piece is whole characters: the bytes of one that several tokens share wait for the last of them. Of a prompt that
    is written out the working is left out, see `metatok.reader.written`.
    """

    def __init__(
        self, reader: Reader, prompt: Prompt, asked: Sequence[int], room: int, began: float, *, expands: bool = False
    ):
        self._reader, self._prompt, self._asked, self._room, self._began = reader, prompt, asked, room, began
        self.text = ""
        tokens = reader.input_tokens(prompt, asked)
        self.statistics = Statistics(prompt.raw_tokens, len(prompt.ids), tokens)
        said: Iterable[int] = self._tokens()
        if expands:
            said = read_back(said, reader.tokenizer.vocab_size, reader.brackets(prompt, asked))
        self._pieces = whole_characters(said, reader.tokenizer.fragment)

    def __next__(self) -> str:
        piece = next(self._pieces)
        self.text += piece
        return piece

    def close(self) -> None:
        """Stop here; nothing more is decoded."""
        self._pieces.close()

    def read(self) -> str:
        """The whole answer."""
        for _ in self:
            pass
        return self.text

    def _tokens(self) -> Iterator[int]:
        """The answer's tokens without the end; the statistics are those of the latest forward pass."""
        reader, read = self._reader, self.statistics
        cache, embedded = reader_cache(reader), reader.embed(self._prompt, self._asked)
        brackets = reader.brackets(self._prompt, self._asked)
        prefill = later = first = 0.0
        count = passes = 0
        while count < self._room:
            token, seconds = reader._step(embedded, cache, brackets.barred)
            now = time.perf_counter() - self._began
            passes += 1
            if passes == 1:
                prefill, first = seconds, now
            else:
                later += seconds
            before = self._prompt.before
            tokens, standing = [token], [brackets.stand(token, before)]
            room = 0 if token == reader.marks.eos else self._room - count
            while len(tokens) < room and (follows := brackets.follows) is not None:  # nobody has to be asked for it
                tokens.append(follows)
                standing.append(brackets.stand(follows, before))
            count += len(tokens)
            self.statistics = replace(
                read,
                answer_tokens=count,
                prefill_seconds=prefill,
                first_token_seconds=first,
                seconds_per_token=later / max(count - 1, 1),
                total_seconds=now,
                kv_cache_bytes=sum(t.nbytes for layer in cache.layers for t in (layer.keys, layer.values)),
                finished=token == reader.marks.eos,
            )
            if token == reader.marks.eos:
                return
            yield from tokens
            embedded = reader.embed_next([self._prompt], [tokens], [standing])


def whole_characters(tokens: Iterable[int], fragment: Callable[[list[int]], str]) -> Generator[str]:
    """Text of tokens as they come; the bytes of a character that several tokens share wait for the last of them.

    Args:
        fragment: the text of a run of tokens, U+FFFD for bytes that are not UTF-8.

    >>> pieces = whole_characters(iter("été".encode()), lambda ids: bytes(ids).decode(errors="replace"))
    >>> list(pieces)
    ['é', 't', 'é']
    """
    waiting: list[int] = []
    for token in tokens:
        waiting.append(token)
        piece = fragment(waiting)
        if not piece.endswith("\ufffd"):
            waiting.clear()
            yield piece
    if waiting:
        yield fragment(waiting)
