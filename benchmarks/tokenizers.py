"""The tokenizers that compression is measured against: one vocabulary, Mistral's Tekken, in two libraries.

tiktoken reads Tekken's ranks as they are. For Hugging Face's `tokenizers` they are turned into merges, as transformers
does for tiktoken files; it is then asked for the same ids. Neither needs a network.
"""

from __future__ import annotations

import numpy as np
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers.convert_slow_tokenizer import TikTokenConverter

import metatok


def tekken() -> metatok.MetaTokenizer:
    return metatok.MetaTokenizer.from_pretrained("mistral:tekken")


def hugging_face(tokenizer: metatok.MetaTokenizer) -> Tokenizer:
    """A fast tokenizer that gives Tekken's ids, less the special tokens in front."""
    encoding = _encoding(tokenizer)

    class Ranks(TikTokenConverter):
        @staticmethod
        def load_tiktoken_bpe(tiktoken_url: str) -> dict[bytes, int]:
            return encoding._mergeable_ranks

    vocabulary, merges = Ranks(vocab_file="").extract_vocab_merges_from_model("")
    fast = Tokenizer(models.BPE(vocabulary, merges, fuse_unk=False, ignore_merges=True))
    fast.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(encoding._pat_str), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return fast


def same_ids(fast: Tokenizer, tokenizer: metatok.MetaTokenizer, text: str) -> bool:
    first = tokenizer.vocab_size - _encoding(tokenizer).n_vocab
    return np.array_equal(np.array(fast.encode(text).ids) + first, tokenizer.encode(text))


def _encoding(tokenizer: metatok.MetaTokenizer):
    return tokenizer._backend._encoding
