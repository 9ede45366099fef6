"""Tokenizers of three libraries behind one small face: text to ids, ids to text, a token's characters.

What this file does: it hides how a tokenizer's library wants to be called, and makes it as exact as it can be.
What it does not: it does not find tokenizers by name (`tokenizer_sources.py`), knows nothing of meta-tokens and
compression (`tokenizer.py`), and never adds BOS, EOS or a chat template. Text that spells a special token is plain
text.

- `TiktokenBackend`: tiktoken's encodings and Mistral's Tekken, which is one. Byte-level, exact on every text.
  The regular expression engine underneath gives up on runs of about a million whitespace characters; such
  runs, and nothing else, are cut into shorter ones first. The text still comes back exactly.
- `SentencePieceBackend`: Mistral v1 to v7. SentencePiece writes a space as U+2581, so a U+2581 in the text
  would come back as a space. Here it is written with the vocabulary's byte tokens instead, which
  SentencePiece decodes as what they say: exact on every text, and every other text has the ids that
  SentencePiece gives.
- `HuggingFaceBackend`: any fast tokenizer, through a private copy of its Rust tokenizer, so that no setting
  that `transformers` toggles while it encodes can reach another thread. Exact or not, as its normalizer and
  decoder are.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from metatok.byte_table import ByteTable, character_spans

if TYPE_CHECKING:
    import sentencepiece
    import tiktoken
    import tokenizers

Ids = NDArray[np.int32]

# tiktoken 0.14 refuses 999,999 whitespace characters in a row; a quarter of that is safe.
WHITESPACE_RUN = 1 << 18

_PROBE = "Probe: naïve façade, 日本語 🙂\n\tif x_1 == 0x2A:  return 'a\u0301'  # 1.5\r\n<s>[INST]\x00 \u2581"


def utf8(text: str) -> bytes:
    """`text` as UTF-8, or a ValueError that says where it is not text.

    >>> utf8("é")
    b'\\xc3\\xa9'
    """
    if not isinstance(text, str):
        raise TypeError(f"a text must be a str, not {type(text).__name__}")
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        code = ord(text[error.start])
        raise ValueError(
            f"the text has a lone surrogate (U+{code:04X}) at character {error.start}: it is not Unicode text"
        ) from None


class Backend(ABC):
    """A tokenizer. Its ids are below `vocab_size`, which is its largest id plus one."""

    vocab_size: int

    @abstractmethod
    def encode(self, text: str) -> Ids:
        """The ids of `text`, (n,) int32, as plain text: no special token, whatever it spells."""

    @abstractmethod
    def encode_spans(self, text: str) -> tuple[Ids, Ids, Ids]:
        """`(ids, starts, stops)`, each (n,) int32: token i touches characters `starts[i]` to `stops[i]`.

        Both are nondecreasing. Tokens that share a character overlap in it.
        """

    @abstractmethod
    def decode(self, ids: Ids) -> str:
        """The text of a whole sequence; bytes that are not UTF-8 become U+FFFD."""

    @abstractmethod
    def fragment(self, ids: Ids) -> str:
        """The text of a run from the middle of a sequence: as `decode`, but a space in front of it stays."""

    def fragments(self, ids: Ids, ends: NDArray[np.int64]) -> list[str]:
        """`fragment` of each of the runs that follow one another in `ids` and end before `ends`."""
        return [self.fragment(ids[start:end]) for start, end in zip([0, *ends], ends, strict=False)]

    @abstractmethod
    def pieces(self, ids: Ids) -> list[str]:
        """What to show for each token alone; bytes that are not UTF-8 become U+FFFD."""

    @abstractmethod
    def vocabulary(self) -> Iterable[bytes]:
        """One piece of bytes an id, in order."""

    def text_size(self, ids: Ids) -> int | None:
        """How many bytes of UTF-8 `decode(ids)` has, without building it; None where only decoding tells."""
        return None

    @functools.cached_property
    def fingerprint(self) -> str:
        """16 hex digits over the whole vocabulary and the ids of one probing text.

        It depends on what the tokenizer does, not on how a version of its library writes its files.
        """
        digest = hashlib.sha256()
        for piece in self.vocabulary():
            digest.update(len(piece).to_bytes(4, "little") + piece)
        digest.update(self.encode(_PROBE).astype("<i4").tobytes())
        return digest.hexdigest()[:16]


class TiktokenBackend(Backend):
    """A tiktoken encoding whose ids start at `first` (Tekken's special tokens lie below its text tokens)."""

    def __init__(self, encoding: tiktoken.Encoding, first: int = 0, specials: dict[int, str] | None = None):
        self._encoding = encoding
        self._first = first
        self._specials = specials or {}
        self.vocab_size = first + encoding.n_vocab

    @functools.cached_property
    def _table(self) -> ByteTable:
        tokens = [self._specials.get(i, "\ufffd").encode() for i in range(self._first)]
        for i in range(self._encoding.n_vocab):
            try:
                tokens.append(self._encoding.decode_single_token_bytes(i))
            except KeyError:  # a hole: o200k_base has no ids 199,998 and 200,000 to 200,017
                tokens.append("\ufffd".encode())
        return ByteTable(tokens)

    def encode(self, text: str) -> Ids:
        utf8(text)
        try:
            return self._plain(text)
        except ValueError:
            pass
        chunks = [self._plain(chunk) for chunk in cut_whitespace(text, WHITESPACE_RUN)]
        return np.concatenate(chunks)

    def _plain(self, text: str) -> Ids:
        ids = self._encoding.encode_to_numpy(text, disallowed_special=())
        return ids.astype(np.int32) + np.int32(self._first)

    def encode_spans(self, text: str) -> tuple[Ids, Ids, Ids]:
        ids = self.encode(text)
        return ids, *character_spans(text, text.encode(), self._table.byte_ends(ids))

    def decode(self, ids: Ids) -> str:
        return self._table.join(ids).decode("utf-8", "replace")

    def fragment(self, ids: Ids) -> str:
        return self.decode(ids)

    def fragments(self, ids: Ids, ends: NDArray[np.int64]) -> list[str]:
        return self._table.fragments(ids, ends)

    def pieces(self, ids: Ids) -> list[str]:
        return self._table.pieces(ids)

    def text_size(self, ids: Ids) -> int:
        return self._table.size(ids)

    def vocabulary(self) -> Iterable[bytes]:
        return self._table.tokens


def cut_whitespace(text: str, longest: int) -> list[str]:
    """`text` in pieces, cut inside whitespace runs longer than `longest` only, every `longest` characters.

    >>> cut_whitespace("ab     cd  e", 2)
    ['ab  ', '  ', ' cd  e']
    """
    cuts = [0]
    for run in re.finditer(r"\s+", text):
        cuts.extend(range(run.start() + longest, run.end(), longest))
    return [text[start:stop] for start, stop in zip(cuts, [*cuts[1:], len(text)], strict=True)]


class SentencePieceBackend(Backend):
    """A SentencePiece model with byte tokens, a dummy space in front and no normalizer: Mistral v1 to v7."""

    _MARK = "\u2581"  # how SentencePiece writes a space

    def __init__(self, model: sentencepiece.SentencePieceProcessor):
        self._model = model
        self.vocab_size = model.get_piece_size()
        self._byte_ids = [model.piece_to_id(f"<0x{byte:02X}>") for byte in range(256)]

    @functools.cached_property
    def _table(self) -> ByteTable:
        tokens = [self._model.id_to_piece(i).replace(self._MARK, " ").encode() for i in range(self.vocab_size)]
        for byte, i in enumerate(self._byte_ids):
            tokens[i] = bytes([byte])
        return ByteTable(tokens)

    def _as_bytes(self, character: str) -> Ids:
        return np.array([self._byte_ids[byte] for byte in character.encode()], np.int32)

    def encode(self, text: str) -> Ids:
        utf8(text)
        if self._MARK not in text:
            return np.array(self._model.encode(text), np.int32)
        # A character that neither the vocabulary nor the text has becomes three byte tokens, which are put right.
        unused = (chr(code) for code in range(0xE000, 0xF900))
        stand_in = next(
            (c for c in unused if self._model.piece_to_id(c) == self._model.unk_id() and c not in text), None
        )
        if stand_in is None:
            raise ValueError("the text holds U+2581 and every private-use character, which cannot be told apart")
        ids = np.array(self._model.encode(text.replace(self._MARK, stand_in)), np.int32)
        old, new = self._as_bytes(stand_in), self._as_bytes(self._MARK)
        places = np.flatnonzero((ids[:-2] == old[0]) & (ids[1:-1] == old[1]) & (ids[2:] == old[2]))
        ids[places[:, None] + np.arange(3)] = new
        return ids

    def encode_spans(self, text: str) -> tuple[Ids, Ids, Ids]:
        ids = self.encode(text)
        ends = np.maximum(self._table.byte_ends(ids) - 1, 0)  # less the dummy space, which no character of text is
        return ids, *character_spans(text, text.encode(), ends)

    def decode(self, ids: Ids) -> str:
        return self.fragment(ids).removeprefix(" ")

    def fragment(self, ids: Ids) -> str:
        return self._table.join(ids).decode("utf-8", "replace")

    def fragments(self, ids: Ids, ends: NDArray[np.int64]) -> list[str]:
        return self._table.fragments(ids, ends)

    def pieces(self, ids: Ids) -> list[str]:
        return self._table.pieces(ids)

    def text_size(self, ids: Ids) -> int:
        return max(self._table.size(ids) - 1, 0)

    def vocabulary(self) -> Iterable[bytes]:
        return self._table.tokens


class HuggingFaceBackend(Backend):
    """A fast tokenizer of `transformers`; `hf` is that tokenizer without meta-tokens, never changed here."""

    def __init__(self, hf: Any):
        from tokenizers import Tokenizer

        self.hf = hf
        rust: tokenizers.Tokenizer = Tokenizer.from_str(hf.backend_tokenizer.to_str())
        rust.no_truncation()
        rust.no_padding()
        rust.encode_special_tokens = True  # spelled special tokens are plain text
        if getattr(rust.model, "dropout", None):
            rust.model.dropout = None  # BPE dropout draws at random: same text, same ids
        self._rust = rust
        self._ids = rust.get_vocab(with_added_tokens=True)
        self.vocab_size = max(self._ids.values(), default=-1) + 1

    @functools.cached_property
    def _table(self) -> ByteTable | None:
        """The bytes of each id where the tokenizer is byte-level and decoding is joining them; else None."""
        decoder = json.loads(self._rust.decoder.__getstate__()) if self._rust.decoder is not None else {}
        steps = decoder.get("decoders", [decoder])
        if len(steps) != 1 or steps[0].get("type") != "ByteLevel":
            return None
        alphabet = byte_level_alphabet()
        tokens = ["\ufffd".encode()] * self.vocab_size
        added = self._rust.get_added_tokens_decoder()
        for token, i in self._ids.items():
            if i in added or not all(c in alphabet for c in token):
                tokens[i] = token.encode()
            else:
                tokens[i] = bytes(alphabet[c] for c in token)
        return ByteTable(tokens)

    @functools.cached_property
    def _metaspace(self) -> bool:
        return self._rust.decoder is not None and "\u2581" in self._rust.decoder.__getstate__().decode()

    def encode(self, text: str) -> Ids:
        utf8(text)
        return np.array(self._rust.encode(text, add_special_tokens=False).ids, np.int32)

    def encode_spans(self, text: str) -> tuple[Ids, Ids, Ids]:
        data = utf8(text)
        encoding = self._rust.encode(text, add_special_tokens=False)
        ids = np.array(encoding.ids, np.int32)
        if self._table is not None and self._table.size(ids) == len(data) and self._table.join(ids) == data:
            return ids, *character_spans(text, data, self._table.byte_ends(ids))
        spans = np.array(encoding.offsets, np.int32).reshape(-1, 2)
        return ids, np.maximum.accumulate(spans[:, 0]), np.maximum.accumulate(spans[:, 1])

    def decode(self, ids: Ids) -> str:
        if self._table is not None:
            return self._table.join(ids).decode("utf-8", "replace")
        return self._rust.decode(ids.tolist(), skip_special_tokens=False)

    def fragment(self, ids: Ids) -> str:
        text = self.decode(ids)
        spaced = self._metaspace and len(ids) > 0 and self.pieces(ids[:1])[0].startswith(" ")
        return f" {text}" if spaced and not text.startswith(" ") else text

    def fragments(self, ids: Ids, ends: NDArray[np.int64]) -> list[str]:
        return super().fragments(ids, ends) if self._table is None else self._table.fragments(ids, ends)

    def pieces(self, ids: Ids) -> list[str]:
        if self._table is not None:
            return self._table.pieces(ids)
        tokens = [self._rust.id_to_token(i) or "\ufffd" for i in ids.tolist()]
        return [token.replace("\u2581", " ") for token in tokens] if self._metaspace else tokens

    def text_size(self, ids: Ids) -> int | None:
        return None if self._table is None else self._table.size(ids)

    def vocabulary(self) -> Iterable[bytes]:
        tokens = [b""] * self.vocab_size
        for token, i in self._ids.items():
            tokens[i] = token.encode()
        return tokens


def byte_level_alphabet() -> dict[str, int]:
    """GPT-2's printable stand-in of each byte: character -> byte.

    >>> alphabet = byte_level_alphabet()
    >>> alphabet["A"], alphabet["Ġ"], len(alphabet)
    (65, 32, 256)
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(rest)}
