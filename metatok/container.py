"""The `.mtk` file: a compressed sequence with everything that is needed to get the original bytes back.

What this file does: `pack` makes such a file from any bytes, `unpack` gives the bytes back or refuses with one
sentence. What it does not: it opens no files (`cli.py`) and is no archive; a `.mtk` file holds ids as text and saves
tokens, not disk space.

The file is one JSON object in UTF-8, readable with any tool:

| field | meaning |
| --- | --- |
| `format`, `version` | `"metatok"` and 1 |
| `tokenizer`, `fingerprint` | the name that `MetaTokenizer.from_pretrained` takes; a hash of its vocabulary |
| `method`, `meta_tokens`, `vocab_size` | the codec; `meta_tokens` is null for an unlimited pool |
| `original_tokens`, `original_bytes` | the size of the original |
| `sha256` | of the original bytes; checked before `unpack` returns any |
| `splices` | what was not UTF-8: `[offset in the original, base64 of the bytes]`, in order |
| `ids` | the compressed sequence |
| `checksum` | SHA-256 of all the other fields, so that damage is found before anything is done with them |

Bytes that are not UTF-8 are carried, not refused: they are cut out, the text that remains is compressed, and the
splices put them back. Runs of them with less than `SPLICE_GAP` bytes of text in between are cut out as one, or a binary
file would become mostly offsets. A UTF-8 byte order mark, NUL and CRLF are text like any other.

A file names its tokenizer but never causes a download from the Hub: a Hub id is looked up in the local cache only,
unless the caller passes the tokenizer. What tiktoken's cache lacks of an encoding of its own (`tiktoken:…`), tiktoken
downloads from where it always does.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from metatok.codec import METHODS
from metatok.tokenizer import MetaTokenizer, compare

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMAT, VERSION = "metatok", 1
MAX_BYTES = 1 << 26  # what unpack restores unless told otherwise: 64 MiB, more than any prompt
SPLICE_GAP = 32

Splices = list[tuple[int, bytes]]
Step = Callable[[str], None]

_TYPES: dict[str, tuple[type, ...]] = {
    "format": (str,),
    "version": (int,),
    "tokenizer": (str,),
    "fingerprint": (str,),
    "method": (str,),
    "meta_tokens": (int, type(None)),
    "vocab_size": (int,),
    "original_tokens": (int,),
    "original_bytes": (int,),
    "sha256": (str,),
    "splices": (list,),
    "ids": (list,),
    "checksum": (str,),
}


class ContainerError(ValueError):
    """Bytes that cannot be packed, or a `.mtk` file that cannot be read; the message is one sentence."""


def pack(
    data: bytes,
    tokenizer: MetaTokenizer,
    *,
    keep: Iterable[tuple[int, int]] = (),
    step: Step = lambda name: None,
) -> bytes:
    """A `.mtk` file that `unpack` turns into `data` again; it has done so before this returns.

    Args:
        data: any bytes; those that are not UTF-8 are carried beside the text.
        tokenizer: with its method and pool.
        keep: ranges that stay raw, in characters of the text: of `data`, less the bytes that are not UTF-8.
        step: called with a word when a stage of the work begins ("encode", "compress", "check").

    Raises:
        ContainerError: the tokenizer itself does not give this text back unchanged.
        ValueError: a range to keep that lies outside the text.
        TypeError: `data` is not bytes.

    >>> tokenizer = MetaTokenizer.from_pretrained("mistral:v3")
    >>> unpack(pack(b"caf\\xe9, caf\\xc3\\xa9", tokenizer)).decode("latin-1")
    'café, cafÃ©'
    """
    data = _as_bytes("data", data)
    step("encode")
    text, splices = split_utf8(data)
    ids = tokenizer.encode(text)
    round_trip = compare(text, tokenizer.decode(ids))
    if not round_trip.exact:
        raise ContainerError(
            f"The tokenizer {tokenizer.name} does not give this text back unchanged: {_inner(round_trip.change)}; "
            "an exact one is mistral:tekken."
        )
    step("compress")
    ranges = list(keep)
    compressed = tokenizer.codec.compress(ids, keep=tokenizer.token_ranges(text, ranges) if ranges else ())
    document: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "tokenizer": tokenizer.name,
        "fingerprint": tokenizer.fingerprint,
        "method": tokenizer.method,
        "meta_tokens": tokenizer.meta_tokens,
        "vocab_size": tokenizer.vocab_size,
        "original_tokens": len(ids),
        "original_bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "splices": [[offset, base64.b64encode(run).decode()] for offset, run in splices],
        "ids": compressed.ids.tolist(),
    }
    document["checksum"] = _checksum(document)
    lines = (f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in document.items())
    blob = ("{\n" + ",\n".join(lines) + "\n}\n").encode()
    step("check")
    if unpack(blob, tokenizer=tokenizer, max_bytes=len(data)) != data:
        raise RuntimeError("packing is not exact on this input, which is a bug in metatok: please report it")
    return blob


def unpack(
    blob: bytes,
    *,
    tokenizer: MetaTokenizer | None = None,
    max_bytes: int = MAX_BYTES,
    step: Step = lambda name: None,
) -> bytes:
    """The bytes that `pack` was given, checked against their SHA-256.

    Args:
        blob: a `.mtk` file.
        tokenizer: used instead of loading the one that the file names; its pool and method do not matter.
        max_bytes: refuse a file that restores to more, before memory is taken for it.
        step: called with a word when a stage of the work begins ("read", "decompress", "check").

    Raises:
        ContainerError: not a `.mtk` file, damaged, too large, or written with another version of the tokenizer.
        TokenizerError: the tokenizer that the file names cannot be had.
        TypeError: `blob` is not bytes.
    """
    blob = _as_bytes("blob", blob)
    step("read")
    document = _parse(blob)
    splices = _read_splices(document)
    size, tokens = document["original_bytes"], document["original_tokens"]
    text_bytes = size - sum(len(run) for _, run in splices)
    if size > max_bytes:
        raise ContainerError(
            f"The file restores to {size:,} bytes, more than the limit of {max_bytes:,}; "
            f"raise it (--max-length {size}) if that is what you expect."
        )
    # A token stands for a byte or more, but for the space that SentencePiece puts in front.
    if not len(document["ids"]) <= tokens <= text_bytes + 1:
        raise _impossible("its lengths contradict each other")
    if tokenizer is None:
        tokenizer = MetaTokenizer.from_pretrained(document["tokenizer"], local_only=True)
    if (tokenizer.vocab_size, tokenizer.fingerprint) != (document["vocab_size"], document["fingerprint"]):
        named = repr(document["tokenizer"][:80])
        if tokenizer.name == document["tokenizer"]:
            reason = f"another version of the tokenizer {named}"
        else:
            reason = f"the tokenizer {named}, and not with {tokenizer.name!r}"
        raise ContainerError(
            f"The file was written with {reason} "
            f"(fingerprint {document['fingerprint'][:16]!r}, here {tokenizer.fingerprint!r})."
        )
    step("decompress")
    try:
        tokenizer = tokenizer.using(meta_tokens=document["meta_tokens"], method=document["method"])
        ids = tokenizer.codec.decompress(_read_ids(document["ids"]), max_length=tokens)
    except ValueError as error:  # FormatError, or a codec that cannot be
        raise _impossible(str(error)) from error
    if len(ids) != tokens or tokenizer.text_size(ids) not in (None, text_bytes):
        raise _impossible("its ids do not restore to the length it claims")
    step("check")
    data = join_utf8(tokenizer.decode(ids), splices)
    if len(data) != size or hashlib.sha256(data).hexdigest() != document["sha256"]:
        raise _impossible("what it restores to is not what was packed")
    return data


def _as_bytes(name: str, value: object) -> bytes:
    if not isinstance(value, bytes | bytearray | memoryview):
        raise TypeError(f"{name} must be bytes, not {type(value).__name__}")
    return bytes(value)


def split_utf8(data: bytes) -> tuple[str, Splices]:
    """`data` as text, and what is not text with its offset in `data`.

    >>> split_utf8(b"caf\\xe9!")
    ('caf!', [(3, b'\\xe9')])
    """
    try:
        return data.decode("utf-8"), []
    except UnicodeDecodeError:
        pass
    # surrogateescape turns each byte that is not UTF-8 into one code point of its own, U+DC80 to U+DCFF.
    codes = np.frombuffer(data.decode("utf-8", "surrogateescape").encode("utf-32-le", "surrogatepass"), "<u4")
    foreign = (codes >= 0xDC80) & (codes <= 0xDCFF)
    sizes: NDArray[np.int64] = 1 + (codes >= 0x80) + (codes >= 0x800).astype(np.int64) + (codes >= 0x10000)
    sizes[foreign] = 1
    at = (np.cumsum(sizes) - sizes)[foreign]  # byte offsets of the foreign bytes
    first = np.flatnonzero(np.diff(at, prepend=-SPLICE_GAP - 2) > SPLICE_GAP)
    runs = list(zip(at[first].tolist(), (np.append(at[first[1:] - 1], at[-1]) + 1).tolist(), strict=True))
    kept = zip([0, *(stop for _, stop in runs)], [*(start for start, _ in runs), len(data)], strict=True)
    text = b"".join(data[start:stop] for start, stop in kept).decode("utf-8")
    return text, [(start, data[start:stop]) for start, stop in runs]


def join_utf8(text: str, splices: Splices) -> bytes:
    """The inverse of `split_utf8`.

    >>> join_utf8("caf!", [(3, b"\\xe9")])
    b'caf\\xe9!'
    """
    body, parts, done = text.encode("utf-8"), [], 0
    put = 0  # bytes of the result so far
    for offset, run in splices:
        part = body[done : done + offset - put]
        parts += [part, run]
        done += len(part)
        put += len(part) + len(run)
    return b"".join([*parts, body[done:]])


def _parse(blob: bytes) -> dict[str, Any]:
    """The document, with the right fields of the right types and the right checksum."""
    try:
        document = json.loads(blob.decode("utf-8"))
    except (ValueError, RecursionError):
        raise ContainerError("This is not a .mtk file, or it is cut short or damaged: it is not valid JSON.") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ContainerError('This is not a .mtk file: it has no "format": "metatok".')
    version = document.get("version")
    if type(version) is int and version > VERSION:
        raise ContainerError(f"The file has version {version} of the format; this metatok reads version {VERSION}.")
    for key, types in _TYPES.items():
        if key not in document:
            raise ContainerError(f"The file is damaged: it has no field {key!r}.")
        if type(document[key]) not in types:
            raise ContainerError(f"The file is damaged: its field {key!r} has the wrong type.")
    try:
        unharmed = document.keys() == _TYPES.keys() and _checksum(document) == document["checksum"]
    except RecursionError:  # lists in lists, a few less than json.loads refuses
        unharmed = False
    if not unharmed:
        raise ContainerError("The file is damaged: its checksum does not match its content.")
    # From here on only a file made by hand or by another program can be wrong.
    if version != VERSION or document["method"] not in METHODS or document["original_bytes"] < 0:
        raise _impossible("a field has a value that metatok does not write")
    return document


def _checksum(document: dict[str, Any]) -> str:
    fields = {key: value for key, value in document.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _read_ids(ids: list[Any]) -> NDArray[np.int64]:
    if not all(type(i) is int and 0 <= i < 1 << 31 for i in ids):
        raise _impossible("an id is not an int32")
    return np.array(ids, np.int64)


def _read_splices(document: dict[str, Any]) -> Splices:
    splices: Splices = []
    end = -1  # two runs never touch: they would be one
    for entry in document["splices"]:
        try:
            offset, text = entry
            run = base64.b64decode(text, validate=True)
        except (TypeError, ValueError, binascii.Error):
            raise _impossible("a splice cannot be read") from None
        if type(offset) is not int or not end < offset or not run or offset + len(run) > document["original_bytes"]:
            raise _impossible("a splice lies outside the original")
        splices.append((offset, run))
        end = offset + len(run)
    return splices


def _impossible(reason: str) -> ContainerError:
    return ContainerError(f"The file is not what metatok writes: {reason}.")


def _inner(sentence: str | None) -> str:
    """A sentence as a clause of another one."""
    sentence = (sentence or "").rstrip(".")
    return sentence[:1].lower() + sentence[1:]
