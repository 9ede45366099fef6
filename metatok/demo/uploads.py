"""An uploaded file as documents: a text, the lines of JSONL, the rows of CSV, the members of a zip archive.

What a file is, its content and its name decide. Nothing is written to disk and nothing in the file is trusted: a zip
archive is looked through before anything is unpacked, only its plain members are read, in pieces and up to a limit, and
their names are labels and never paths. What cannot be read is refused with one sentence (`Refused`). No Gradio.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metatok.demo.run import MAX_BYTES, Refused

MAX_DOCUMENTS = 2_000
"""Documents of one file: lines, rows, members."""

FIELDS = ("text", "prompt", "content")
"""Where the text of a JSON line or of a CSV row is looked for, in this order."""

_MB = f"{MAX_BYTES / 1e6:.0f} MB"
_PIECE = 1 << 16
_ZIP = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_ARCHIVES = (*_ZIP, b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"7z\xbc\xaf\x27\x1c", b"Rar!", b"\x28\xb5\x2f\xfd")
_OFFICE = ("[Content_Types].xml", "mimetype")  # documents that are zip archives inside
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    IndexError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
)
"""What `zipfile` raises over damaged archives."""


@dataclass(frozen=True)
class Document:
    """One text and what to call it: a file's name, a line's or a row's number."""

    name: str
    text: str


@dataclass(frozen=True)
class Upload:
    """What was read of a file; `note` says in a sentence or two what that was and what was left out."""

    documents: tuple[Document, ...]
    note: str


def read_file(path: str | os.PathLike[str]) -> Upload:
    """`read_upload` for a file on disk; no more of it is read than is allowed.

    Raises:
        Refused: with a sentence.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise Refused("The file is no longer on the server; upload it again.") from error
    return read_upload(path.name, data)


def read_upload(name: str, data: bytes) -> Upload:
    """The documents in an uploaded file.

    Args:
        name: the file's name; its ending tells JSONL (`.jsonl`, `.ndjson`), CSV (`.csv`, `.tsv`) and text apart.
        data: its content, at most `MAX_BYTES` bytes, and at most as many unpacked.

    Raises:
        Refused: with a sentence.

    >>> upload = read_upload("prompts.jsonl", b'{"text": "one"}\\n{"text": "two"}\\n')
    >>> [document.text for document in upload.documents], upload.note
    (['one', 'two'], '2 documents: the field “text” of each line of prompts.jsonl.')
    """
    label = _label(name)
    if len(data) > MAX_BYTES:
        raise Refused(f"{label} is too large: {_MB} is the most that is taken here.")
    if not data:
        raise Refused(f"{label} is empty.")
    kind = Path(name).suffix.lower()
    if data.startswith(_ZIP):
        return _read_zip(label, data)
    if kind == ".zip":
        raise Refused(f"{label} is not a zip archive, whatever its name says, or it is damaged.")
    if data.startswith(_ARCHIVES):
        raise Refused(f"{label} is an archive of a kind that is not read here; make it a plain zip archive.")
    text = _text(label, data)
    if kind in (".jsonl", ".ndjson"):
        documents, what = _read_jsonl(label, text)
    elif kind in (".csv", ".tsv"):
        documents, what = _read_csv(label, text, "\t" if kind == ".tsv" else None)
    else:
        documents, what = [Document(label, text)], ""
    full = [document for document in documents if document.text.strip()]
    if not full:
        raise Refused(f"{label} has no text in it.")
    empty = len(documents) - len(full)
    left_out = f" {_count(empty, 'empty one was', 'empty ones were')} left out." if empty else ""
    note = (
        f"{_count(len(full), 'document', 'documents')}: {what} of {label}.{left_out}" if what else f"The text {label}."
    )
    return Upload(tuple(full), note)


def _text(label: str, data: bytes) -> str:
    """The text of a file in UTF-8, or in UTF-16 with a byte order mark."""
    utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if b"\0" in data and not utf16:
        raise Refused(f"{label} is not a text: it has a zero byte at position {data.index(0):,}, as binary files have.")
    try:
        text = data.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        name, at = "UTF-16" if utf16 else "UTF-8", error.start
        raise Refused(f"{label} is not in {name}: it cannot be read at byte {at:,}; save it as UTF-8.") from error
    if "\0" in text:
        raise Refused(
            f"{label} is not a text: it has a zero at character {text.index(chr(0)):,}, as binary files have."
        )
    if len(text.encode("utf-8")) > MAX_BYTES:
        raise Refused(f"{label} is too large: {_MB} of UTF-8 is the most that is taken here.")
    return text


# ---- JSONL and CSV

_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


def _read_jsonl(label: str, text: str) -> tuple[list[Document], str]:
    lines = [(n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
    _check_count(label, len(lines), "lines")
    values = []
    for n, line in lines:
        try:
            values.append(json.loads(line))
        except (ValueError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else "it cannot be read"
            raise Refused(f"Line {n:,} of {label} is not JSON ({reason}); correct or remove it.") from error
    texts, what = [line.rstrip("\r") for _, line in lines], "each line as it is, as no field of all lines is a text,"
    for field in FIELDS:
        if all(isinstance(value, dict) and isinstance(value.get(field), str) for value in values):
            texts, what = [value[field] for value in values], f"the field “{field}” of each line"
            break
    else:
        chats = [_chat(value) for value in values]
        if all(chat is not None for chat in chats):
            texts, what = [chat or "" for chat in chats], "the “messages” of each line, written as “role: content”,"
    for (n, _), each in zip(lines, texts, strict=True):
        _check_unicode(f"Line {n:,} of {label}", each)
    _check_size(label, texts)
    return [Document(f"line {n}", each) for (n, _), each in zip(lines, texts, strict=True)], what


def _chat(value: Any) -> str | None:
    """The messages of a chat as a text, or None for what is no chat.

    >>> _chat({"messages": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Yes?"}]})
    'user: Hello\\nassistant: Yes?\\n'
    """
    messages = value.get("messages") if isinstance(value, dict) else None
    if not isinstance(messages, list) or not messages:
        return None
    lines = []
    for message in messages:
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, list):  # in parts
            parts = [part.get("text") for part in content if isinstance(part, dict)]
            texts = [part for part in parts if isinstance(part, str)]
            content = "".join(texts) if len(texts) == len(content) else None
        if not isinstance(content, str) or not isinstance(message.get("role"), str):
            return None
        lines.append(f"{message['role']}: {content}\n")
    return "".join(lines)


def _read_csv(label: str, text: str, delimiter: str | None) -> tuple[list[Document], str]:
    """`delimiter` is None where the first line has to tell it."""
    csv.field_size_limit(MAX_BYTES)  # the module's own limit is shorter than many prompts; the file is short enough
    first = text[:_PIECE].split("\n", 1)[0]
    delimiter = delimiter or max(_DELIMITERS, key=first.count)
    rows: list[list[str]] = []
    raw: list[str] = []
    taken: list[str] = []

    def lines() -> Iterator[str]:
        for line in io.StringIO(text, newline=""):
            taken.append(line)
            yield line

    reader = csv.reader(lines(), delimiter=delimiter, strict=True)
    try:
        for row in reader:
            if row:
                rows.append(row)
                raw.append("".join(taken).rstrip("\r\n"))
                _check_count(label, len(rows) - 1, "rows")
            taken.clear()
    except csv.Error as error:
        raise Refused(
            f"{label} is not CSV: near line {reader.line_num:,} {error}; check the quotation marks there."
        ) from error
    if not rows:
        raise Refused(f"{label} has no text in it.")
    names = [cell.strip().lower() for cell in rows[0]]
    column = next((names.index(field) for field in FIELDS if field in names), None)
    if column is None:
        documents = [Document(f"row {n}", each) for n, each in enumerate(raw, 1)]
        _check_count(label, len(documents), "rows")
        return documents, f"each row as it is, the first too, as no column is named {', '.join(FIELDS)},"
    field = _label(rows[0][column].strip())
    for n, row in enumerate(rows[1:], 1):
        if len(row) <= column:
            raise Refused(
                f"Row {n:,} of {label} has {_count(len(row), 'field', 'fields')}, and the column “{field}” is number "
                f"{column + 1}; correct or remove the row."
            )
        if len(row) > len(rows[0]):
            raise Refused(
                f"Row {n:,} of {label} has {_count(len(row), 'field', 'fields')}, and the first line names "
                f"{len(rows[0]):,}; put a text with {_DELIMITERS[delimiter]} in it in quotation marks."
            )
    return [Document(f"row {n}", row[column]) for n, row in enumerate(rows[1:], 1)], f"the column “{field}”"


# ---- Zip archives


def _read_zip(label: str, data: bytes) -> Upload:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [info for info in archive.infolist() if not info.is_dir()]
            _check_members(label, members)
            return _unpack(label, archive, members)
    except Refused:
        raise
    except _BROKEN as error:
        raise Refused(f"{label} is a damaged zip archive; make it again.") from error


def _check_members(label: str, members: list[zipfile.ZipInfo]) -> None:
    """Refuse an archive for what its directory says, before anything is unpacked."""
    _check_count(label, len(members), "files")
    if any(info.filename in _OFFICE for info in members):
        raise Refused(f"{label} is an office document or an e-book; save it as a plain text.")
    for info in members:
        name = _label(info.filename)
        if _leaves(info.orig_filename):
            raise Refused(f"{label} has a file named “{name}”, a name that leads out of the archive; make it again.")
        if info.flag_bits & 0x1:
            raise Refused(f"{label} is encrypted (“{name}”); make it again without a password.")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise Refused(f"{label} is compressed in an unusual way (“{name}”); make it again as a plain zip archive.")
    size = sum(info.file_size for info in members)
    if size > MAX_BYTES:
        raise Refused(f"{label} has {size / 1e6:,.1f} MB unpacked, and {_MB} is the most that is taken here.")


def _leaves(name: str) -> bool:
    """Is that a name with which a careless program would write outside the folder that it unpacks into?

    >>> [_leaves(name) for name in ("src/a.py", "a..b", "../a", "a/../../b", "/etc/passwd", "C:\\\\a", "a\\0b")]
    [False, False, True, True, True, True, True]
    """
    parts = re.split(r"[/\\]", name)
    return ".." in parts or not parts[0] or bool(re.match(r"[A-Za-z]:", name)) or "\0" in name


def _unpack(label: str, archive: zipfile.ZipFile, members: list[zipfile.ZipInfo]) -> Upload:
    documents: list[Document] = []
    links, archives, others, empty = 0, 0, 0, 0
    room = MAX_BYTES
    for info in members:
        if stat.S_ISLNK(info.external_attr >> 16):
            links += 1
            continue
        data = _inflate(archive, info, room)
        if data is None:
            raise Refused(f"{label} has more than {_MB} unpacked, which is the most that is taken here.")
        room -= len(data)
        if data.startswith(_ARCHIVES):
            archives += 1
            continue
        try:
            text = _text(label, data)
        except Refused:
            others += 1
            continue
        if text.strip():
            documents.append(Document(_label(info.filename), text))
        else:
            empty += 1
    left_out = [
        _count(number, one, many)
        for number, one, many in (
            (links, "link", "links"),
            (archives, "archive inside", "archives inside"),
            (others, "file that is no UTF-8 text", "files that are no UTF-8 text"),
            (empty, "empty file", "empty files"),
        )
        if number
    ]
    without = f" Left out: {', '.join(left_out)}." if left_out else ""
    if not documents:
        raise Refused(f"{label} has no text in it.{without}")
    _check_size(label, [document.text for document in documents])
    return Upload(tuple(documents), f"{_count(len(documents), 'document', 'documents')}: files of {label}.{without}")


def _inflate(archive: zipfile.ZipFile, info: zipfile.ZipInfo, room: int) -> bytes | None:
    """A member's content, or None where it has more than `room` bytes, of which no more are unpacked."""
    pieces, size = [], 0
    with archive.open(info) as file:
        while piece := file.read(_PIECE):
            size += len(piece)
            if size > room:
                return None
            pieces.append(piece)
    return b"".join(pieces)


# ---- Words and limits


def _check_count(label: str, count: int, what: str) -> None:
    if count > MAX_DOCUMENTS:
        raise Refused(f"{label} has more than {MAX_DOCUMENTS:,} {what}, which is the most that is taken here.")


def _check_size(label: str, texts: list[str]) -> None:
    """Escapes and other encodings may make a text longer than its file."""
    if sum(len(text.encode("utf-8")) for text in texts) > MAX_BYTES:
        raise Refused(f"{label} has more than {_MB} of text, which is the most that is taken here.")


def _check_unicode(what: str, text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise Refused(
            f"{what} has half a character (a lone surrogate), which no tokenizer takes; remove it."
        ) from error


def _label(name: str) -> str:
    """A name as it can be shown: printable, and not too long.

    >>> _label("a\\u202egnp.txt"), len(_label("x" * 500))
    ('a?gnp.txt', 80)
    """
    shown = "".join(c if c.isprintable() else "?" for c in name) or "?"
    return shown if len(shown) <= 80 else f"{shown[:39]}…{shown[-40:]}"


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"
