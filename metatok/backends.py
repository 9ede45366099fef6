"""Tokenizers of three libraries behind one small face: text to ids, ids to text, a token's characters.

What this file does: it finds a tokenizer by name (`mistral:…`, `tiktoken:…`, a folder, a Hub id), hides how
its library wants to be called, and makes it as exact as it can be. What it does not: it knows nothing of
meta-tokens and compression (`tokenizer.py`), and never adds BOS, EOS or a chat template. Text that spells a
special token is plain text.

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

Heavy libraries are imported when a tokenizer of theirs is asked for, not before.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import importlib.util
import json
import os
import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from metatok.byte_table import ByteTable, character_spans

if TYPE_CHECKING:
    import sentencepiece
    import tiktoken
    import tokenizers

Ids = NDArray[np.int32]

OFFLINE: tuple[tuple[str, str], ...] = (
    ("mistral:tekken", "Mistral Tekken, 131,072 ids, byte-level: Mistral Nemo, Ministral 8B, Pixtral 12B"),
    ("mistral:v3", "Mistral v3, 32,768 ids, SentencePiece: Mistral 7B v0.3, Mixtral 8x22B, Codestral"),
    ("mistral:v7", "Mistral v7, 32,768 ids, SentencePiece: Mistral Large 2411"),
    ("mistral:v2", "Mistral v2, 32,768 ids, SentencePiece: Mistral Small and Large 2402"),
    ("mistral:v1", "Mistral v1, 32,000 ids, SentencePiece: Mistral 7B v0.1, Mixtral 8x7B"),
)
"""(name, one line about it) of every tokenizer that works without a network; a local folder does too."""

# Files of the package mistral-common. The two Tekken files it carries hold the same text vocabulary.
_MISTRAL_FILES = {
    "tekken": "tekken_240718.json",
    "v1": "tokenizer.model.v1",
    "v2": "mistral_instruct_tokenizer_240216.model.v2",
    "v3": "mistral_instruct_tokenizer_240323.model.v3",
    "v7": "mistral_instruct_tokenizer_241114.model.v7",
}

# Spellings of Tekken's first ids, which its files of 2024 leave to mistral-common's `Tekkenizer`.
# fmt: off
TEKKEN_SPECIALS = (
    "<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]",
    "[/TOOL_RESULTS]", "[TOOL_CALLS]", "[IMG]", "<pad>", "[IMG_BREAK]", "[IMG_END]", "[PREFIX]", "[MIDDLE]",
    "[SUFFIX]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_CONTENT]",
)
# fmt: on

# tiktoken 0.14 refuses 999,999 whitespace characters in a row; a quarter of that is safe.
WHITESPACE_RUN = 1 << 18

NETWORK_SECONDS = 10.0  # one request, no retries: transformers alone would retry for 46 s before it said "offline"
DOWNLOAD_SECONDS = 30.0  # tiktoken downloads without any limit of its own

_INSTALL = "pip install 'metatok[tokenizers]'"
_PROBE = "Probe: naïve façade, 日本語 🙂\n\tif x_1 == 0x2A:  return 'a\u0301'  # 1.5\r\n<s>[INST]\x00 \u2581"


class TokenizerError(ValueError):
    """A tokenizer that cannot be had: its name means nothing, it is damaged, or it is out of reach.

    The message is one sentence for a person; where a network was needed, it names what needs none.
    """


def offline_names() -> str:
    """The offline choices as words for a sentence.

    >>> offline_names()
    'mistral:tekken, mistral:v3, mistral:v7, mistral:v2, mistral:v1 or a folder with a tokenizer.json'
    """
    return ", ".join(name for name, _ in OFFLINE) + " or a folder with a tokenizer.json"


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


def load(name: str, *, local_only: bool = False) -> Backend:
    """The tokenizer of that name. Mistral's and tiktoken's are kept once loaded; the others are read anew.

    Args:
        name: `mistral:…`, `tiktoken:…`, a folder with a `tokenizer.json`, or a Hub id.
        local_only: take a Hub id only from the local cache, never from the network.

    Raises:
        TokenizerError: it cannot be had; the message is one sentence.

    >>> load("mistral:v3").vocab_size
    32768
    """
    kind, _, rest = name.partition(":")
    if kind in ("mistral", "tiktoken") and name.isprintable():
        if name not in _loaded:  # two threads may load the same one at once; both get the one that was kept
            _loaded.setdefault(name, _mistral(rest) if kind == "mistral" else _tiktoken(rest))
        return _loaded[name]
    if os.path.isdir(name):
        if not (Path(name) / "tokenizer.json").is_file():
            raise TokenizerError(f"The folder {name} holds no tokenizer.json, so it is not a fast tokenizer's folder.")
        backend = HuggingFaceBackend(_transformers(name, local_files_only=True))
    elif not name or not name.isprintable():
        raise TokenizerError(f"{name!r} is not the name of a tokenizer; without a network there are {offline_names()}.")
    else:
        backend = HuggingFaceBackend(_hub(name, local_only))
    if not backend.vocab_size:
        raise TokenizerError(f"The tokenizer {name} has an empty vocabulary.")
    return backend


_loaded: dict[str, Backend] = {}


def _mistral(version: str) -> Backend:
    if version not in _MISTRAL_FILES:
        known = ", ".join(f"mistral:{key}" for key in _MISTRAL_FILES)
        raise TokenizerError(f"There is no tokenizer mistral:{version}; there are {known}.")
    package = importlib.util.find_spec("mistral_common")
    if package is None or package.origin is None:
        raise TokenizerError(f"mistral:{version} needs the package mistral-common: {_INSTALL}.")
    path = Path(package.origin).parent / "data" / _MISTRAL_FILES[version]
    try:
        return _tekken(path) if path.suffix == ".json" else _sentencepiece(path)
    except ImportError as error:
        raise TokenizerError(f"mistral:{version} needs the package {error.name}: {_INSTALL}.") from error
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        raise TokenizerError(
            f"The installed mistral-common has no readable {path.name}: {_first_line(error)}."
        ) from error


def _tekken(path: Path) -> Backend:
    import tiktoken

    # Read here, not by mistral-common's Tekkenizer, which decodes every token at start and takes twice as long.
    model = json.loads(path.read_bytes())
    config = model["config"]
    first = config["default_num_special_tokens"]
    specials = {i: f"<SPECIAL_{i}>" for i in range(first)} | dict(enumerate(TEKKEN_SPECIALS))
    for token in model.get("special_tokens") or ():
        specials[token["rank"]] = token["token_str"]
    vocab = model["vocab"][: config["default_vocab_size"] - first]
    ranks = {base64.b64decode(token["token_bytes"]): token["rank"] for token in vocab}
    encoding = tiktoken.Encoding(path.stem, pat_str=config["pattern"], mergeable_ranks=ranks, special_tokens={})
    return TiktokenBackend(encoding, first, specials)


def _sentencepiece(path: Path) -> Backend:
    import sentencepiece

    return SentencePieceBackend(sentencepiece.SentencePieceProcessor(model_file=str(path)))


def _tiktoken(encoding: str) -> Backend:
    try:
        import tiktoken
    except ImportError as error:
        raise TokenizerError(f"tiktoken:{encoding} needs the package tiktoken: {_INSTALL}.") from error
    names = tiktoken.list_encoding_names()
    if encoding not in names:
        known = ", ".join(f"tiktoken:{name}" for name in names)
        raise TokenizerError(f"There is no tokenizer tiktoken:{encoding}; there are {known}.")
    try:
        return TiktokenBackend(_within(DOWNLOAD_SECONDS, lambda: tiktoken.get_encoding(encoding)))
    except Exception as error:  # whatever requests, the disk or the cache can raise: it is out of reach
        raise TokenizerError(
            f"tiktoken:{encoding} is not in tiktoken's cache and could not be downloaded "
            f"({type(error).__name__}); without a network there are {offline_names()}."
        ) from error


def _within(seconds: float, call: Callable[[], Any]) -> Any:
    """The result of `call()`, or a TimeoutError; a call that hangs is left in a daemon thread."""
    result: list[Any] = []
    failure: list[BaseException] = []

    def target() -> None:
        try:
            result.append(call())
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    thread.join(seconds)
    if failure:
        raise failure[0]
    if not result:
        raise TimeoutError(f"no answer within {seconds:.0f} s")
    return result[0]


def _transformers(source: str, **options: Any) -> Any:
    """A fast tokenizer from a folder or the Hub; code that comes with it is never run."""
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise TokenizerError(f"{source} needs the package transformers: {_INSTALL}.") from error
    try:
        # mistral_format=False: the fast tokenizer where a repository offers mistral-common's own class too.
        hf = AutoTokenizer.from_pretrained(source, trust_remote_code=False, mistral_format=False, **options)
    except Exception as error:  # transformers passes on whatever its parsers raise
        raise TokenizerError(f"The tokenizer in {source} cannot be read: {_first_line(error)}.") from error
    if getattr(hf, "backend_tokenizer", None) is None:
        raise TokenizerError(f"{source} has no fast tokenizer (a tokenizer.json), and only those can be used.")
    return hf


def _hub(name: str, local_only: bool) -> Any:
    try:
        import huggingface_hub
        from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError
    except ImportError as error:
        raise TokenizerError(f"{name} needs the package transformers: {_INSTALL}.") from error
    # The local cache first: it answers at once, and the same ids come back tomorrow.
    files = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model")
    try:
        cached = any(isinstance(huggingface_hub.try_to_load_from_cache(name, file), str) for file in files)
    except HFValidationError:
        raise TokenizerError(
            f"{name!r} is neither a folder here nor a Hub id; without a network there are {offline_names()}."
        ) from None
    if cached:
        try:
            return _transformers(name, local_files_only=True)
        except TokenizerError:  # half of a repository is in the cache; the network may have the rest
            if local_only:
                raise
    away = f"{name} is neither a folder here nor in the local Hub cache"
    if local_only:
        raise TokenizerError(f"{away}, and it is not downloaded unless it is asked for by name (--tokenizer {name}).")
    if huggingface_hub.constants.HF_HUB_OFFLINE:
        raise TokenizerError(f"{away}, and HF_HUB_OFFLINE is set; without a network there are {offline_names()}.")
    try:
        huggingface_hub.HfApi().model_info(name, timeout=NETWORK_SECONDS)
    except (GatedRepoError, RepositoryNotFoundError):
        raise TokenizerError(f"{away}, and the Hub has no such repository that can be read.") from None
    except Exception as error:
        raise TokenizerError(
            f"{away}, and the Hub cannot be reached ({type(error).__name__}); "
            f"without a network there are {offline_names()}."
        ) from error
    return _transformers(name)


def _first_line(error: BaseException) -> str:
    """The first line of what a library said, without its full stop, for use inside a sentence."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".:")[:200]
