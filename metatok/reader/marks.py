"""The marks around a prompt and what is asked about it, and which ids a tokenizer gives them. No torch.

    <|bos|> prompt <|q|> question <|a|> answer <|eos|>        <|bos|> prompt <|expand|> the prompt written out <|eos|>

The reader that was trained from nothing has them as its first ids (`metatok.reader.bpe`); a model that was fine-tuned
(`metatok.reader.finetune`) has its own beginning and end, and the three in the middle behind its other tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from metatok.tokenizer import MetaTokenizer

FORMAT = ("<|q|>", "<|a|>", "<|expand|>")  # added to a base model's tokens, unless it has them


@dataclass(frozen=True)
class Marks:
    """The ids that the format is made of; some models have no `bos`."""

    bos: int | None
    eos: int
    question: int
    answer: int
    expand: int

    @property
    def front(self) -> list[int]:
        """What stands before a prompt.

        >>> Marks(bos=1, eos=2, question=3, answer=4, expand=5).front, Marks(None, 2, 3, 4, 5).front
        ([1], [])
        """
        return [] if self.bos is None else [self.bos]

    @classmethod
    def of(cls, tokenizer: MetaTokenizer) -> Marks | None:
        """The marks that a tokenizer has, or None where one is missing, or where it is no Hugging Face tokenizer."""
        hf: Any = tokenizer.hf
        if hf is None:
            return None
        ids = [hf.eos_token_id, *(hf.backend_tokenizer.token_to_id(name) for name in FORMAT)]
        return None if None in ids else cls(hf.bos_token_id, *ids)
