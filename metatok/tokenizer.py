"""MetaTokenizer: text to ids with meta-tokens and back.

What this file does: it joins a tokenizer (`tokenizer_sources.py` finds it, `backends.py` runs it) and a codec
(`codec.py`), keeps character ranges raw, says whether the tokenizer itself gives a text back unchanged, and turns
meta-tokens into real added tokens of a Hugging Face tokenizer. What it does not: no BOS or EOS, no chat template, no
search for phrases, no file format (`container.py`).

Nothing heavy is imported before a tokenizer is asked for; `transformers` only for folders and Hub ids.
"""

from __future__ import annotations

import copy
import functools
import itertools
import json
import os
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import EllipsisType
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from metatok import tokenizer_sources
from metatok.backends import Backend, HuggingFaceBackend
from metatok.codec import MAX_LENGTH, METHODS, Codec, Compressed, Method
from metatok.ids import as_integers, as_ranges
from metatok.tokenizer_sources import OFFLINE, TokenizerError

__all__ = ["OFFLINE", "MetaTokenizer", "RoundTrip", "TokenizerError"]

Ids = NDArray[np.int32]

DEFAULT_METHOD: Method = "inline"
DEFAULT_META_TOKENS = 512
SETTINGS_FILE = "metatok.json"  # beside tokenizer.json in a folder that `save_pretrained` wrote


@dataclass(frozen=True)
class RoundTrip:
    """Does a tokenizer give a text back unchanged? If not, `change` is a sentence on what changed first."""

    exact: bool
    change: str | None = None


class MetaTokenizer:
    """A tokenizer whose vocabulary goes on with `<|dict|>`, `<|/dict|>` and meta-tokens `<|m0|>`, `<|m1|>`, …

    Attributes:
        name: what `from_pretrained` was given.
        codec: the `metatok.Codec` that works on its ids.
        vocab_size: the first id that is free, which is `<|dict|>`; meta-tokens begin two ids later.

    >>> tok = MetaTokenizer.from_pretrained("mistral:v3")
    >>> text = "/usr/share/doc/a\\n/usr/share/doc/b\\n/usr/share/doc/c\\n"
    >>> c = tok.compress(text)
    >>> len(tok.encode(text)), len(c) < 27, tok.decompress(c.ids) == text
    (27, True, True)
    """

    def __init__(self, backend: Backend, name: str, codec: Codec):
        self._backend = backend
        self.name = name
        self.codec = codec

    @classmethod
    def from_pretrained(
        cls,
        name: str | os.PathLike[str],
        *,
        meta_tokens: int | EllipsisType | None = ...,
        method: str | None = None,
        local_only: bool = False,
    ) -> MetaTokenizer:
        """The tokenizer of that name.

        Args:
            name: `mistral:tekken`, `mistral:v3`, … (no network, see `OFFLINE`), `tiktoken:o200k_base`, …, a
                folder with a `tokenizer.json`, or a Hub id. Code from a repository is never run.
            meta_tokens: size of the pool, None for all that pay. Left out: as the folder was saved, else 512.
            method: `ltsc`, `flat`, `nested` or `inline`. Left out: as the folder was saved, else `inline`.
            local_only: never download from the Hub.

        Raises:
            TokenizerError: the tokenizer cannot be had; the message is one sentence.
            ValueError: the pool or the method is not one that `Codec` takes.
        """
        if not isinstance(name, str | os.PathLike):
            raise TypeError(f"the name of a tokenizer must be a text or a path, not {type(name).__name__}")
        name = os.fspath(name)
        backend = tokenizer_sources.load(name, local_only=local_only)
        saved: dict[str, Any] = {}
        if isinstance(backend, HuggingFaceBackend) and _has_marks(backend):
            settings = tokenizer_sources.file_beside(name, SETTINGS_FILE, local_only=local_only)
            if settings is not None:
                saved = _read_settings(settings)
                backend = _without_meta_tokens(backend, saved["vocab_size"], name)
        default = saved.get("meta_tokens", DEFAULT_META_TOKENS)
        pool = default if isinstance(meta_tokens, EllipsisType) else meta_tokens
        method = saved.get("method", DEFAULT_METHOD) if method is None else method
        return cls(backend, name, _codec(backend, pool, method))

    def using(self, *, meta_tokens: int | EllipsisType | None = ..., method: str | None = None) -> MetaTokenizer:
        """The same tokenizer with another pool or method; what is left out stays. Nothing is loaded again.

        >>> MetaTokenizer.from_pretrained("mistral:v3").using(method="ltsc").method
        'ltsc'
        """
        pool = self.meta_tokens if isinstance(meta_tokens, EllipsisType) else meta_tokens
        method = self.method if method is None else method
        return MetaTokenizer(self._backend, self.name, _codec(self._backend, pool, method))

    def __repr__(self) -> str:
        return f"MetaTokenizer({self.name!r}, meta_tokens={self.meta_tokens}, method={self.method!r})"

    @property
    def method(self) -> Method:
        return self.codec.method

    @property
    def meta_tokens(self) -> int | None:
        return self.codec.meta_tokens

    @property
    def vocab_size(self) -> int:
        return self.codec.vocab_size

    @property
    def fingerprint(self) -> str:
        """16 hex digits that change when the vocabulary changes; the pool and the method do not count."""
        return self._backend.fingerprint

    # Text and ids

    def encode(self, text: str) -> Ids:
        """The ids of `text`, (n,) int32, all below `vocab_size`; text that spells a special or meta-token is
        plain text.

        Raises:
            ValueError: the text has a lone surrogate.

        >>> MetaTokenizer.from_pretrained("mistral:v3").encode("<s> hello")
        array([ 1291, 29481, 29535,  7080, 29477], dtype=int32)
        """
        return self._backend.encode(text)

    def encode_with_offsets(self, text: str) -> tuple[Ids, Ids]:
        """`(ids, ends)`, each (n,) int32: token i ends at character `ends[i]` of `text`, and begins where the
        one before ends.

        `ends` is nondecreasing, and its last is `len(text)` where the tokenizer is exact. A character that
        several tokens share belongs to the last of them; the others end in front of it.

        >>> tok = MetaTokenizer.from_pretrained("mistral:tekken")
        >>> tok.encode_with_offsets("a🦜 b")[1]
        array([1, 1, 1, 1, 2, 4], dtype=int32)
        """
        ids, starts, stops = self._backend.encode_spans(text)
        following = np.append(starts[1:], np.int32(len(text)))
        return ids, np.minimum(stops, following)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of a sequence of ids, raw or compressed: meta-tokens are spelled, not expanded (see
        `decompress`).

        Raises:
            ValueError: an id that is neither a token nor a meta-token, with its position.

        >>> tok = MetaTokenizer.from_pretrained("mistral:v3")
        >>> tok.decode([*tok.encode("hello"), tok.codec.first_meta + 12])
        'hello<|m12|>'
        """
        array = self._as_ids(ids)
        metas = np.flatnonzero(array >= self.vocab_size)
        if not len(metas):
            return self._backend.decode(array)
        text = [self._backend.decode(array[: metas[0]])]
        for place, following in zip(metas, [*metas[1:], len(array)], strict=True):
            text.append(self.meta_name(int(array[place])))
            if place + 1 < following:
                text.append(self._backend.fragment(array[place + 1 : following]))
        return "".join(text)

    def fragment(self, ids: Iterable[int]) -> str:
        """The text of a phrase: as `decode` for raw ids, but a space in front of it stays a space.

        >>> tok = MetaTokenizer.from_pretrained("mistral:v3")
        >>> tok.decode(tok.encode("hello")), tok.fragment(tok.encode("hello"))
        ('hello', ' hello')
        """
        array = self._as_ids(ids)
        return self._backend.fragment(array) if (array < self.vocab_size).all() else self.decode(array)

    def fragments(self, phrases: Sequence[Sequence[int]]) -> list[str]:
        """`fragment` of each phrase, checked together: many short ones cost little more than their text.

        >>> tok = MetaTokenizer.from_pretrained("mistral:v3")
        >>> tok.fragments([tok.encode("hello"), [tok.codec.first_meta], []])
        [' hello', '<|m0|>', '']
        """
        ends = np.cumsum([len(phrase) for phrase in phrases], dtype=np.int64)
        array = self._as_ids(list(itertools.chain.from_iterable(phrases)))
        if (array < self.vocab_size).all():
            return self._backend.fragments(array, ends)
        return [self.fragment(array[start:end]) for start, end in zip([0, *ends], ends, strict=False)]

    def pieces(self, ids: Iterable[int]) -> list[str]:
        """What to show for each id alone, one string an id; bytes that are not UTF-8 are shown as U+FFFD.

        >>> tok = MetaTokenizer.from_pretrained("mistral:v3")
        >>> tok.pieces([*tok.encode("hello"), tok.codec.dict_open])
        [' hell', 'o', '<|dict|>']
        """
        array = self._as_ids(ids)
        raw = array < self.vocab_size
        pieces = iter(self._backend.pieces(array[raw]))
        return [
            next(pieces) if is_raw else self.meta_name(i)
            for i, is_raw in zip(array.tolist(), raw.tolist(), strict=True)
        ]

    def meta_name(self, meta: int) -> str:
        """How the id of a meta-token or of a dictionary mark is spelled.

        >>> tok = MetaTokenizer.from_pretrained("mistral:v3")
        >>> tok.meta_name(tok.codec.first_meta)
        '<|m0|>'
        """
        if meta == self.codec.dict_open:
            return "<|dict|>"
        if meta == self.codec.dict_close:
            return "<|/dict|>"
        return f"<|m{meta - self.codec.first_meta}|>"

    def text_size(self, ids: Iterable[int]) -> int | None:
        """Bytes of UTF-8 that raw ids decode to, without decoding them; None where the tokenizer cannot tell.

        Where the bytes of the tokens are no UTF-8, `decode` makes a U+FFFD of them, which has three.

        >>> tok = MetaTokenizer.from_pretrained("mistral:tekken")
        >>> tok.text_size(tok.encode("naïve"))
        6
        """
        return self._backend.text_size(self._as_ids(ids))

    def _as_ids(self, ids: Iterable[int]) -> Ids:
        array = as_integers(_listed(ids))
        wrong = np.flatnonzero((array < 0) | (array >= self.vocab_size + self.codec.n_added))
        if len(wrong):
            raise ValueError(f"id {array[wrong[0]]} at position {wrong[0]} is not a token of {self.name}")
        return array.astype(np.int32, copy=False)

    # Compression

    def compress(self, text: str, *, keep: Iterable[tuple[int, int]] = (), seed: int | None = None) -> Compressed:
        """`text` as a compressed sequence; `decompress` gives `text` back wherever `round_trip(text).exact`.

        Args:
            keep: character ranges `(start, stop)` of `text` that stay raw, widened to whole tokens.
            seed: draw meta-ids at random from the pool (training) instead of in order.

        Raises:
            ValueError: a range outside the text, or a text with a lone surrogate.

        >>> tok = MetaTokenizer.from_pretrained("mistral:v3")
        >>> text = "spam and eggs, spam and eggs, spam and eggs"
        >>> len(tok.encode(text)), len(tok.compress(text)) < 14, len(tok.compress(text, keep=[(0, len(text))]))
        (14, True, 14)
        """
        ranges = as_ranges("keep", keep)
        return self.codec.compress(self.encode(text), keep=self.token_ranges(text, ranges) if ranges else (), seed=seed)

    def token_ranges(self, text: str, ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
        """Character ranges `(start, stop)` of `text` as ranges of its tokens, widened to whole ones; empty ones go.

        Raises:
            ValueError: a range outside the text, or a text with a lone surrogate.

        >>> MetaTokenizer.from_pretrained("mistral:tekken").token_ranges("spam and eggs", [(6, 7), (3, 3)])
        [(2, 3)]
        """
        _, starts, stops = self._backend.encode_spans(text)
        tokens = []
        for start, stop in as_ranges("keep", ranges):
            if not 0 <= start <= stop <= len(text):
                raise ValueError(f"keep range ({start}, {stop}) is not inside the text of {len(text)} characters")
            first, last = np.searchsorted(stops, start, "right"), np.searchsorted(starts, stop, "left")
            if start < stop and first < last:
                tokens.append((int(first), int(last)))
        return tokens

    def decompress(self, ids: Iterable[int], max_length: int = MAX_LENGTH) -> str:
        """The text of a compressed sequence.

        Args:
            max_length: refuse what would expand to more tokens, before memory is taken for it.

        Raises:
            metatok.FormatError: `ids` is not a compressed sequence of this codec.
        """
        return self.decode(self.codec.decompress(_listed(ids), max_length=max_length))

    def round_trip(self, text: str) -> RoundTrip:
        """Does the tokenizer itself, before any compression, give `text` back unchanged?

        >>> MetaTokenizer.from_pretrained("mistral:v3").round_trip("a▁b\\r\\n\\0")
        RoundTrip(exact=True, change=None)
        """
        return compare(text, self.decode(self.encode(text)))

    # Hugging Face

    @functools.cached_property
    def hf(self) -> Any:
        """The `transformers` tokenizer with the marks and the meta-tokens as special added tokens, or None.

        `<|dict|>` has id `vocab_size`, `<|/dict|>` the next, `<|m0|>` the one after, and so on. An unlimited
        pool (`meta_tokens=None`) has the two marks only. It belongs to the caller: what is done to it does
        not change what `encode` and `decode` do.

        Raises:
            TokenizerError: the ids cannot be had, for example because the vocabulary has a token `<|m0|>`
                already.
        """
        if not isinstance(self._backend, HuggingFaceBackend):
            return None
        count = 2 if self.meta_tokens is None else self.codec.n_added
        names = [self.meta_name(self.vocab_size + i) for i in range(count)]
        return _with_added_tokens(self._backend.hf, names, self.vocab_size, self.name)

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write a folder that both `AutoTokenizer.from_pretrained` and `MetaTokenizer.from_pretrained` read.

        Raises:
            TokenizerError: the tokenizer is not a Hugging Face tokenizer, so there is nothing to write.
        """
        if self.hf is None:
            raise TokenizerError(f"{self.name} is not a Hugging Face tokenizer; it needs no folder, only its name.")
        folder = Path(folder)
        self.hf.save_pretrained(folder)
        settings = {"method": self.method, "meta_tokens": self.meta_tokens, "vocab_size": self.vocab_size}
        (folder / SETTINGS_FILE).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def _listed(ids: Any) -> Any:
    """The same, but what can be read only once as a list."""
    return list(ids) if isinstance(ids, Iterator) else ids


def _codec(backend: Backend, meta_tokens: int | None, method: str) -> Codec:
    return Codec(backend.vocab_size, meta_tokens, cast(Method, method))


def compare(text: str, back: str) -> RoundTrip:
    """Is `back` the same as `text`, and if not, what changed first.

    >>> compare("naïve café", "naive cafe").change
    "At character 2 the text has 'ïve café' and comes back with 'ive cafe'."
    """
    if text == back:
        return RoundTrip(True)
    same, different = 0, min(len(text), len(back)) + 1  # text[:same] is equal, text[:different] is not
    while different - same > 1:
        middle = (same + different) // 2
        if text[same:middle] == back[same:middle] and middle <= min(len(text), len(back)):
            same = middle
        else:
            different = middle

    # Where the two would look the same on a screen (é as one character or as two), escapes tell them apart.
    alike = unicodedata.normalize("NFC", text[same : same + 12]) == unicodedata.normalize("NFC", back[same : same + 12])
    quote = ascii if alike else repr

    def shown(side: str) -> str:
        return quote(side[same : same + 12]) if same < len(side) else "nothing more"

    return RoundTrip(False, f"At character {same} the text has {shown(text)} and comes back with {shown(back)}.")


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        settings: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        pool = settings["meta_tokens"]
        if type(settings["vocab_size"]) is not int or not (pool is None or (type(pool) is int and pool >= 0)):
            raise ValueError("vocab_size or meta_tokens is not a number that it writes")
        if settings["method"] not in METHODS:
            raise ValueError(f"it writes no method {settings['method']!r}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TokenizerError(f"{path} is not what save_pretrained writes: {error}.") from error
    return settings


def _has_marks(backend: HuggingFaceBackend) -> bool:
    """Whether the tokens are among its own that `save_pretrained` adds in any case."""
    return all(backend.hf.backend_tokenizer.token_to_id(mark) is not None for mark in ("<|dict|>", "<|/dict|>"))


def _without_meta_tokens(backend: HuggingFaceBackend, vocab_size: int, name: str) -> HuggingFaceBackend:
    """The tokenizer as it was before `save_pretrained` added tokens from id `vocab_size` on."""
    from tokenizers import Tokenizer

    model = json.loads(backend.hf.backend_tokenizer.to_str())
    model["added_tokens"] = [token for token in model["added_tokens"] if token["id"] < vocab_size]
    vocab = model["model"].get("vocab")
    if isinstance(vocab, dict):
        model["model"]["vocab"] = {token: i for token, i in vocab.items() if i < vocab_size}
    hf = copy.copy(backend.hf)
    hf._tokenizer = Tokenizer.from_str(json.dumps(model))
    stripped = HuggingFaceBackend(hf)
    if stripped.vocab_size != vocab_size:
        raise TokenizerError(f"The vocabulary in {name} does not end where its {SETTINGS_FILE} says it does.")
    return stripped


def _with_added_tokens(hf: Any, names: list[str], first: int, source: str) -> Any:
    """A copy of a `transformers` tokenizer with special tokens `names` at exactly the ids from `first` on."""
    from tokenizers import AddedToken, Tokenizer

    def right(tokenizer: Any) -> bool:
        return bool(tokenizer.convert_tokens_to_ids(names) == list(range(first, first + len(names))))

    taken = [name for name in names if hf.backend_tokenizer.token_to_id(name) is not None]
    if taken:
        raise TokenizerError(
            f"The vocabulary of {source} has a token {taken[0]} already, so it cannot be a meta-token."
        )
    added = copy.deepcopy(hf)
    added.add_tokens([AddedToken(name, special=True, normalized=False) for name in names], special_tokens=True)
    if right(added):
        return added
    # The library numbers new tokens from the size of the vocabulary, which is too low where ids have holes. A
    # token that the model itself knows keeps the id it has there.
    model = json.loads(hf.backend_tokenizer.to_str())
    if isinstance(model["model"].get("vocab"), dict):
        plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
        for i, name in enumerate(names, first):
            model["model"]["vocab"][name] = i
            model["added_tokens"].append({"id": i, "content": name} | plain)
        added = copy.deepcopy(hf)
        added._tokenizer = Tokenizer.from_str(json.dumps(model))
        if right(added):
            return added
    raise TokenizerError(f"The ids of {source} have holes, and its meta-tokens cannot be given the ids {first} and up.")
