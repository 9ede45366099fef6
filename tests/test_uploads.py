"""Uploads: what is read of each kind of file, and that every hostile or broken one gets one sentence."""

from __future__ import annotations

import io
import json
import random
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from metatok.demo.run import MAX_BYTES, Refused
from metatok.demo.uploads import MAX_DOCUMENTS, read_file, read_upload


def archive(files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as made:
        for name, data in files.items():
            made.writestr(name, data)
    return out.getvalue()


def member(name: str, data: bytes = b"x = 1\n", *, attributes: int = 0) -> bytes:
    """An archive with one member whose name is written as it is."""
    info = zipfile.ZipInfo("?" * len(name))
    info.external_attr = attributes << 16
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr(info, data)
    return out.getvalue().replace(b"?" * len(name), name.encode())


def directory(data: bytes, offset: int, value: bytes) -> bytes:
    """The archive with other bytes in the first entry of its directory."""
    at = data.index(b"PK\x01\x02") + offset
    return data[:at] + value + data[at + len(value) :]


def texts(name: str, data: bytes | str) -> list[str]:
    return [d.text for d in read_upload(name, data.encode() if isinstance(data, str) else data).documents]


def lines(*values: object) -> str:
    return "".join(json.dumps(value) + "\n" for value in values)


# ---- What is read


@pytest.mark.parametrize("name", ["a.txt", "a.py", "a.log", "a", "a.json", "README.MD"])
def test_a_text_is_one_document(name: str) -> None:
    upload = read_upload(name, "naïve 🦜\r\n<b>\n".encode())
    assert [(d.name, d.text) for d in upload.documents] == [(name, "naïve 🦜\r\n<b>\n")]
    assert upload.note == f"The text {name}."


def test_byte_order_marks() -> None:
    for encoding in ("utf-8-sig", "utf-16"):
        assert texts("a.txt", "naïve".encode(encoding)) == ["naïve"]


@pytest.mark.parametrize("field", ["text", "prompt", "content"])
def test_jsonl_fields(field: str) -> None:
    data = lines({"id": 1, field: "one\ntwo"}, {field: "three", "messages": []}) + "\n"
    assert texts("a.JSONL", data) == ["one\ntwo", "three"]
    assert f"the field “{field}” of each line" in read_upload("a.jsonl", data.encode()).note
    assert [d.name for d in read_upload("a.ndjson", data.encode()).documents] == ["line 1", "line 2"]


def test_the_first_field_that_all_lines_have() -> None:
    data = lines({"text": "a", "prompt": "b"}, {"prompt": "c", "text": None})
    assert texts("a.jsonl", data) == ["b", "c"]


def test_chats() -> None:
    parts = [{"type": "text", "text": "How "}, {"type": "text", "text": "many?"}]
    data = lines(
        {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": parts}]},
        {"messages": [{"role": "user", "content": "Hello"}]},
    )
    assert texts("a.jsonl", data) == ["system: Be brief.\nuser: How many?\n", "user: Hello\n"]
    assert "“messages”" in read_upload("a.jsonl", data.encode()).note


@pytest.mark.parametrize(
    "values",
    [
        [{"a": "b"}, {"text": "c"}],
        ["text", 5, None, [1]],
        [{"text": 5}],
        [{"messages": [{"role": "user", "content": [{"type": "image"}]}]}],
        [{"messages": ["a"]}, {"messages": [{"content": "no role"}]}],
    ],
)
def test_other_json_is_taken_line_by_line(values: list[object]) -> None:
    data = lines(*values)
    assert texts("a.jsonl", data) == data.splitlines()
    assert "each line as it is" in read_upload("a.jsonl", data.encode()).note


def test_csv_columns() -> None:
    assert texts("a.csv", 'id,Prompt,text\r\n1,x,"one\r\ntwo ""2"""\r\n\r\n2,y,three\r\n') == [
        'one\r\ntwo "2"',
        "three",
    ]
    assert texts("a.tsv", "id\tprompt\n1\tone, two\n") == ["one, two"]
    assert texts("a.tsv", "text\nPay 1,000 dollars, please\n") == ["Pay 1,000 dollars, please"]
    assert texts("a.csv", "id;prompt\n1;one\n") == ["one"]
    assert read_upload("a.csv", b"Prompt\none\n").note == "1 document: the column “Prompt” of a.csv."


def test_csv_without_a_known_column_is_taken_row_by_row() -> None:
    data = 'a,b\n1,"x\ny"\n'
    assert texts("a.csv", data) == ["a,b", '1,"x\ny"']
    assert "each row as it is, the first too" in read_upload("a.csv", data.encode()).note


def test_a_csv_field_may_be_as_long_as_the_file() -> None:
    assert texts("a.csv", "text\n" + "x" * 1_000_000 + "\n") == ["x" * 1_000_000]


def test_empty_documents_are_left_out_and_counted() -> None:
    upload = read_upload("a.jsonl", lines({"text": "a"}, {"text": " "}, {"text": ""}).encode())
    assert [d.name for d in upload.documents] == ["line 1"]
    assert upload.note.endswith("2 empty ones were left out.")


def test_zip_archives_by_content_whatever_the_name() -> None:
    data = archive({"src/a.py": b"import os\n", "src/empty.py": b"", "b.jsonl": b'{"text": 1}\n', "c/": b""})
    for name in ("a.zip", "a.txt"):
        upload = read_upload(name, data)
        assert [(d.name, d.text) for d in upload.documents] == [
            ("src/a.py", "import os\n"),
            ("b.jsonl", '{"text": 1}\n'),
        ]
        assert upload.note == f"2 documents: files of {name}. Left out: 1 empty file."


def test_what_is_no_text_in_an_archive_is_left_out_and_said() -> None:
    inner = archive({"bomb": b"0" * 10_000})
    data = archive(
        {"a.py": b"a\n", "b.zip": inner, "c.png": b"\x89PNG\r\n\0\0", "d.txt": b"\xe9\n", "e": b"\x1f\x8b\x08"}
    )
    upload = read_upload("a.zip", data)
    assert [d.name for d in upload.documents] == ["a.py"]
    assert upload.note.endswith("Left out: 2 archives inside, 2 files that are no UTF-8 text.")


def test_links_are_left_out() -> None:
    data = member("link", b"/etc/passwd", attributes=stat.S_IFLNK | 0o777)
    with pytest.raises(Refused, match=r"^a\.zip has no text in it\. Left out: 1 link\.$"):
        read_upload("a.zip", data)


# ---- What is refused


def encrypted() -> bytes:
    data = member("secret.txt")
    return directory(data, 8, struct.pack("<H", 1))


def lying(size: int) -> bytes:
    """A member that says it has `size` bytes and unpacks to 12 MB."""
    return directory(archive({"a.txt": b"0" * 12_000_000}), 24, struct.pack("<I", size))


REFUSED: dict[str, tuple[str, bytes | str | Callable[[], bytes], str]] = {
    "empty": ("a.txt", b"", "is empty"),
    "blank": ("a.txt", b" \n\n", "has no text in it"),
    "too large": ("a.txt", b"x" * (MAX_BYTES + 1), "5 MB is the most"),
    "binary": ("a.txt", b"\x89PNG\r\n\x1a\n\0\0", "is not a text: it has a zero byte at position 8"),
    "NUL": ("a.py", b"a\0b", "zero byte at position 1"),
    "UTF-16 with NUL": ("a.txt", "a\0b".encode("utf-16"), "zero at character 1"),
    "UTF-16 grown": ("a.txt", ("日" * 2_000_000).encode("utf-16"), "5 MB of UTF-8"),
    "latin-1": ("a.txt", b"caf\xe9\n", "is not in UTF-8: it cannot be read at byte 3"),
    "half of UTF-16": ("a.txt", b"\xff\xfea\0b", "is not in UTF-16"),
    "surrogate bytes": ("a.txt", b"a\xed\xa0\x80", "is not in UTF-8"),
    "gzip": ("a.txt", b"\x1f\x8b\x08\0", "make it a plain zip archive"),
    "7z": ("a.7z", b"7z\xbc\xaf\x27\x1c\0", "make it a plain zip archive"),
    "not a zip": ("a.zip", b"hello", "is not a zip archive, whatever its name says"),
    "jsonl, broken line": ("a.jsonl", '{"text": "a"}\n\n{"text": \n', "Line 3 of a.jsonl is not JSON"),
    "jsonl, deep": ("a.jsonl", "[" * 200_000, "Line 1 of a.jsonl is not JSON"),
    "jsonl, huge number": ("a.jsonl", "9" * 100_000, "Line 1 of a.jsonl is not JSON"),
    "jsonl, surrogate": ("a.jsonl", '{"text": "\\ud800"}\n', "Line 1 of a.jsonl has half a character"),
    "jsonl, many lines": ("a.jsonl", "1\n" * (MAX_DOCUMENTS + 1), "more than 2,000 lines"),
    "jsonl, empty": ("a.jsonl", "\n\n", "has no text in it"),
    "csv, open quote": ("a.csv", 'text\n"abc\ndef\n', "is not CSV: near line 3 unexpected end of data"),
    "csv, quote inside": ("a.csv", 'text\n"a"b"\n', "is not CSV: near line 2"),
    "csv, short row": ("a.csv", "id,text\n1,a\n2\n", "Row 2 of a.csv has 1 field, and the column “text” is number 2"),
    "csv, long row": (
        "a.csv",
        "text,label\nHello,x\nHello, world,x\n",
        "Row 2 of a.csv has 3 fields, and the first line names 2; put a text with commas in it in quotation marks",
    ),
    "csv, one column": ("a.csv", "text\nHello, world\n", "Row 1 of a.csv has 2 fields, and the first line names 1"),
    "csv, many rows": ("a.csv", "text\n" + "a\n" * (MAX_DOCUMENTS + 1), "more than 2,000 rows"),
    "csv, many plain rows": ("a.csv", "a\n" * (MAX_DOCUMENTS + 1), "more than 2,000 rows"),
    "csv, only a header": ("a.csv", "text\n", "has no text in it"),
    "zip, bomb": ("a.zip", lambda: archive({"a.txt": b"0" * 12_000_000}), "12.0 MB unpacked, and 5 MB is the most"),
    "zip, bomb in parts": ("a.zip", lambda: archive({f"{i}": b"0" * 600_000 for i in range(9)}), "5.4 MB unpacked"),
    "zip, bomb that says 100": ("a.zip", lambda: lying(100), "damaged zip archive"),
    "zip, many files": ("a.zip", lambda: archive({f"{i}": b"a" for i in range(MAX_DOCUMENTS + 1)}), "2,000 files"),
    "zip, only archives": ("a.zip", lambda: archive({"b.zip": archive({"c": b"d"})}), "Left out: 1 archive inside"),
    "zip, nothing": ("a.zip", archive({}), "has no text in it"),
    "zip, encrypted": ("a.zip", encrypted, "is encrypted (“secret.txt”)"),
    "zip, LZMA": ("a.zip", lambda: archive({"a": b"b"}, zipfile.ZIP_LZMA), "compressed in an unusual way"),
    "zip, unknown compression": ("a.zip", lambda: directory(member("a"), 10, b"\x63\0"), "in an unusual way"),
    "zip, ..": ("a.zip", member("../../etc/passwd"), "“../../etc/passwd”, a name that leads out"),
    "zip, absolute": ("a.zip", member("/etc/passwd"), "leads out"),
    "zip, Windows": ("a.zip", member("..\\a.txt"), "leads out"),
    "zip, drive": ("a.zip", member("C:a.txt"), "leads out"),
    "zip, NUL in a name": ("a.zip", member("a\0b"), "leads out"),
    "zip, escape": ("a.zip", member("../\x1b[31m"), "“../?[31m”"),
    "zip, office": ("a.docx", lambda: archive({"[Content_Types].xml": b"<a/>", "b": b"c"}), "is an office document"),
    "zip, cut off": ("a.zip", lambda: archive({"a.txt": b"abc" * 99})[:-30], "is a damaged zip archive"),
    "zip, wrong checksum": ("a.zip", lambda: directory(member("a"), 16, b"1234"), "is a damaged zip archive"),
    "name": ("a\u202e\n" + "b" * 300 + ".txt", b"", "…"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_one_sentence(case: str) -> None:
    name, data, words = REFUSED[case]
    data = data() if callable(data) else data.encode() if isinstance(data, str) else data
    with pytest.raises(Refused) as refused:
        read_upload(name, data)
    sentence = str(refused.value)
    assert words in sentence
    assert sentence.endswith(".")
    assert sentence.isprintable()
    assert len(sentence) < 300


def test_no_more_is_unpacked_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that lies about sizes does not get past the count of what really comes out."""
    taken = []

    class Endless(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            taken.append(size)
            return b"0" * 65_536

    data = archive({"a": b"b"})
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_, **__: Endless())
    with pytest.raises(Refused, match="more than 5 MB unpacked"):
        read_upload("a.zip", data)
    assert len(taken) == MAX_BYTES // 65_536 + 1


def test_damaged_archives_give_documents_or_a_sentence() -> None:
    rng = random.Random(0)
    whole = archive({"src/a.py": b"import os\n" * 50, "b.txt": b"some text\n" * 20, "c.txt": bytes(range(1, 128))})
    sentences = []
    for _ in range(1500):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 6)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        try:
            assert read_upload("a.zip", bytes(data)).documents
        except Refused as error:
            sentences.append(str(error))
    assert len(sentences) > 500
    assert all(sentence.endswith(".") for sentence in sentences)


def test_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.zip").write_bytes(archive({"b.txt": b"text"}))
    assert read_file("a.zip").documents[0].text == "text"
    assert [path.name for path in tmp_path.rglob("*")] == ["a.zip"]


def test_a_file_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"x" * (MAX_BYTES + 1000))
    with pytest.raises(Refused, match="too large"):
        read_file(path)
    with pytest.raises(Refused, match="no longer on the server"):
        read_file(tmp_path / "gone.txt")
