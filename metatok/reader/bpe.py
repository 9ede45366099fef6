"""The reader's own tokenizer: a byte-level BPE of about 4,000 tokens, trained here, seeded.

It never merges a space into a word, so that a name is the same tokens at the start of a line, after a comma and in a
question, which both phrases and a small model's matching live on. Words are split where camelCase splits them, digits
stand alone, and a run of punctuation may take the spaces beside it, a line break the indentation after it.

Trained on prompts of the tree task (seen names only) and on the code of Python's standard library, whose share differs
a little from one version of Python to the next: the tokenizer travels with the weights. Exact for every text, since all
256 bytes are tokens. Meta-tokens are not made here; `metatok.MetaTokenizer` puts them behind the last id.

    python -m metatok.reader.bpe FOLDER
"""

from __future__ import annotations

import argparse
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from metatok.tasks.base import get, samples

META_TOKENS = 256
VOCAB_SIZE = 4096 - META_TOKENS - 2  # with the meta-tokens and the two marks 4,096

# <|q|> stands before a question, <|a|> before its answer, <|expand|> in the place of a question: write it all out.
SPECIALS = ("<|pad|>", "<|bos|>", "<|eos|>", "<|q|>", "<|a|>", "<|expand|>")
PAD, BOS, EOS, QUESTION, ANSWER, EXPAND = range(len(SPECIALS))

PIECES = (
    r"\p{Lu}?\p{Ll}+"  # word, Word
    r"|\p{Lu}+(?!\p{Ll})"  # WORD, and the XML of XMLParser
    r"|[\p{L}\p{M}]+"
    r"|\p{N}"
    r"|\s*[\r\n]+[ \t]*"  # line breaks, with the indentation of the next line
    r"| ?[^\s\p{L}\p{M}\p{N}]+ ?"  # punctuation, with a space on either side
    r"|\s+"
)


def texts(seed: int, prompts: int = 6000, code_characters: int = 3_000_000) -> Iterator[str]:
    """What the BPE is trained on: prompts of the tree task, then modules of the standard library in order of name.

    The repository task is not asked: its prompts depend on what else is installed.
    """
    for sample in islice(samples(get("tree"), seed, seen=True), prompts):
        yield f"{sample.prompt}\n{sample.question}\n{sample.answer}\n"
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
        if code_characters <= 0:
            return
        text = path.read_text(encoding="utf-8", errors="ignore")
        code_characters -= len(text)
        yield text


def train_bpe(corpus: Iterable[str], vocab_size: int = VOCAB_SIZE) -> Any:
    """A `transformers` tokenizer with exactly `vocab_size` ids, the special tokens first.

    >>> tokenizer = train_bpe(["parser < core < app: grammar"], vocab_size=265)
    >>> tokenizer.decode(tokenizer("naïve  <|q|>").input_ids)
    'naïve  <|q|>'

    Raises:
        ValueError: the corpus is too small for so many tokens.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIALS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus, trainer)
    if tokenizer.get_vocab_size() != vocab_size:
        raise ValueError(f"the corpus gives {tokenizer.get_vocab_size()} tokens where {vocab_size} are wanted")
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=SPECIALS[PAD],
        bos_token=SPECIALS[BOS],
        eos_token=SPECIALS[EOS],
        clean_up_tokenization_spaces=False,
        split_special_tokens=True,  # text that spells a special token is plain text
    )


def save_tokenizer(tokenizer: Any, folder: Path) -> None:
    """Save a `transformers` tokenizer with its meta-tokens, for `AutoTokenizer` and `MetaTokenizer` both."""
    from metatok.tokenizer import MetaTokenizer

    tokenizer.save_pretrained(folder)
    plain = MetaTokenizer.from_pretrained(folder, meta_tokens=META_TOKENS, method="ltsc", local_only=True)
    plain.save_pretrained(folder)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train the tokenizer and save it with its meta-tokens."""
    parser = argparse.ArgumentParser(prog="metatok.reader.bpe", description="Train the reader's tokenizer.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    save_tokenizer(train_bpe(texts(options.seed)), options.folder)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
