"""The `.mtk` file: any bytes come back, and nothing but those bytes ever does."""

import base64
import hashlib
import json
import random
import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metatok.codec import METHODS
from metatok.container import SPLICE_GAP, ContainerError, join_utf8, pack, split_utf8, unpack
from metatok.tokenizer import MetaTokenizer, TokenizerError

BYTES = [
    b"",
    b"\0",
    b"plain text, plain text, plain text\n" * 9,
    b"\xef\xbb\xbfbyte order mark\r\nand CRLF\r\n",
    "naïve 日本語 🦜 ▁\u2028".encode(),
    b"caf\xe9 in latin-1",
    b"\xff",
    b"\xe3\x81\xff\x82",  # two halves of a character with a byte between: together they would be one
    b"\xed\xa0\x80 an encoded surrogate \xc0\x80 and an overlong NUL",
    b"text \x80" + b"x" * SPLICE_GAP + b"\x81 far enough \x80" + b"x" * (SPLICE_GAP - 1) + b"\x81",
    bytes(range(256)) * 3,
    random.Random(0).randbytes(5000),
    Path(json.__file__).read_bytes(),
]


@pytest.fixture(scope="module")
def tok() -> MetaTokenizer:
    return MetaTokenizer.from_pretrained("mistral:v3")


@pytest.fixture(scope="module")
def blob(tok: MetaTokenizer) -> bytes:
    """A file with phrases and with a splice."""
    return pack(b"spam and eggs, " * 8 + b"caf\xe9 spam and eggs", tok)


ORIGINAL = b"spam and eggs, " * 8 + b"caf\xe9 spam and eggs"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("data", BYTES, ids=range(len(BYTES)))
def test_bytes_come_back(tok: MetaTokenizer, data: bytes, method: str) -> None:
    packed = pack(data, tok.using(method=method, meta_tokens=None if method == "flat" else 64))
    assert unpack(packed) == data
    assert unpack(packed, tokenizer=tok) == data, "the file's own method and pool count"


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300) | st.lists(st.sampled_from([b"a", b"\xff", b" " * 40, "é".encode()])).map(b"".join))
def test_split_is_undone_by_join(data: bytes) -> None:
    text, splices = split_utf8(data)
    text.encode("utf-8")
    assert join_utf8(text, splices) == data
    ends = [offset + len(run) for offset, run in splices]
    starts = [offset for offset, _ in splices]
    assert all(start - end >= SPLICE_GAP for end, start in zip(ends, starts[1:], strict=False))
    assert len(text.encode()) + sum(len(run) for _, run in splices) == len(data)


def test_a_binary_file_does_not_become_offsets(tok: MetaTokenizer) -> None:
    data = random.Random(1).randbytes(100_000)
    assert len(pack(data, tok)) < 1.4 * len(data)


def test_the_file_is_what_the_documentation_says(tok: MetaTokenizer, blob: bytes) -> None:
    document = json.loads(blob)
    assert list(document) == [
        *("format", "version", "tokenizer", "fingerprint", "method", "meta_tokens", "vocab_size"),
        *("original_tokens", "original_bytes", "sha256", "splices", "ids", "checksum"),
    ]
    assert (document["format"], document["version"], document["tokenizer"]) == ("metatok", 1, "mistral:v3")
    assert document["sha256"] == hashlib.sha256(ORIGINAL).hexdigest()
    assert document["splices"] == [[123, base64.b64encode(b"\xe9").decode()]]
    assert len(document["ids"]) < document["original_tokens"] == len(tok.encode(split_utf8(ORIGINAL)[0]))
    assert blob.endswith(b"}\n")
    assert json.loads(pack(b"", tok.using(meta_tokens=None)))["meta_tokens"] is None
    other_layout = json.dumps(document, indent=1, sort_keys=True).encode()
    assert unpack(other_layout) == ORIGINAL, "a file that a JSON tool has rewritten is still the same file"


def refused(blob: bytes, **options: Any) -> str:
    with pytest.raises(ContainerError) as caught:
        unpack(blob, **options)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    return sentence


def test_cut_short_anywhere(tok: MetaTokenizer, blob: bytes) -> None:
    for length in range(len(blob) - 2):
        refused(blob[:length], tokenizer=tok)


def test_any_flipped_bit(tok: MetaTokenizer, blob: bytes) -> None:
    """Every bit of the file: refused, or (white space between fields) still the right bytes."""
    harmless = 0
    for place in range(len(blob)):
        for bit in range(8):
            damaged = bytearray(blob)
            damaged[place] ^= 1 << bit
            try:
                assert unpack(bytes(damaged), tokenizer=tok) == ORIGINAL
                harmless += 1
            except ContainerError:
                pass
    assert harmless < 0.01 * 8 * len(blob)


@pytest.mark.parametrize(
    "junk", [b"", b"{}", b"[]", b"null", b"\x1f\x8b", b"[" * 100_000, b'{"format":"metatok"}', b"9" * 10_000, b"NaN"]
)
def test_other_files(junk: bytes) -> None:
    refused(junk)


def test_lists_in_lists(tok: MetaTokenizer) -> None:
    """As deep as json reads them, and deeper; it writes some fewer, by how many calls it is in."""
    document = json.loads(pack(ORIGINAL, tok))
    whole = json.dumps(document)
    ids = json.dumps(document["ids"])
    for depth in range(900, 1010):
        refused(whole.replace(ids, "[" * depth + "]" * depth).encode())


def test_text_is_not_taken_for_bytes(tok: MetaTokenizer) -> None:
    with pytest.raises(TypeError, match="data must be bytes, not str"):
        pack("text", tok)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="blob must be bytes, not str"):
        unpack("text", tokenizer=tok)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_other_kinds_of_bytes_are_taken(tok: MetaTokenizer, kind: Any) -> None:
    assert pack(kind(b"a < b"), tok) == pack(b"a < b", tok)
    assert unpack(kind(pack(b"a < b", tok)), tokenizer=tok) == b"a < b"


def forged(blob: bytes, change: Callable[[dict[str, Any]], Any]) -> bytes:
    """The file with a field changed and a checksum that fits: not damage but malice."""
    document = json.loads(blob)
    change(document)
    fields = {key: value for key, value in document.items() if key != "checksum"}
    canonical = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
    document["checksum"] = hashlib.sha256(canonical).hexdigest()
    return json.dumps(document).encode()


def field(key: str, value: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda document: document.__setitem__(key, value)


FORGERIES = {
    "no ids": lambda document: document.pop("ids"),
    "one field more": field("extra", 1),
    "newer version": field("version", 2),
    "version 0": field("version", 0),
    "true for 1": field("version", True),
    "ids of text": field("ids", ["1", "2"]),
    "ids of floats": field("ids", [1.0]),
    "nested ids": field("ids", [[1]]),
    "negative id": field("ids", [-1]),
    "id of 64 bits": field("ids", [2**40]),
    "huge id": field("ids", [10**400]),
    "id without meaning": field("ids", [32_768 + 2 + 512]),
    "undefined meta-token": lambda document: document["ids"].append(33_000),
    "other ids": lambda document: document["ids"].append(5),
    "no ids left": field("ids", []),
    "too many tokens": field("original_tokens", 10**15),
    "too few tokens": field("original_tokens", 3),
    "negative tokens": field("original_tokens", -1),
    "negative bytes": field("original_bytes", -1),
    "one byte less": lambda document: document.__setitem__("original_bytes", document["original_bytes"] - 1),
    "other hash": field("sha256", "0" * 64),
    "unknown method": field("method", "zip"),
    "other method": field("method", "ltsc"),
    "pool of one": field("meta_tokens", 1),
    "negative pool": field("meta_tokens", -5),
    "huge pool": field("meta_tokens", 10**30),
    "other vocabulary": field("vocab_size", 32_000),
    "other fingerprint": field("fingerprint", "0" * 16),
    "splice outside": field("splices", [[10**9, "6Q=="]]),
    "splice before the start": field("splices", [[-1, "6Q=="]]),
    "splices in the wrong order": field("splices", [[100, "6Q=="], [50, "6Q=="]]),
    "splice of nothing": field("splices", [[123, ""]]),
    "splice that is not base64": field("splices", [[123, "!!"]]),
    "splice that is not ASCII": field("splices", [[123, "é"]]),
    "splice without bytes": field("splices", [[123]]),
    "splice that is no pair": field("splices", [123]),
    "splice of a list": field("splices", [[123, [1]]]),
    "no splice": field("splices", []),
    "splice elsewhere": field("splices", [[7, "6Q=="]]),
}


@pytest.mark.parametrize("change", FORGERIES.values(), ids=FORGERIES.keys())
def test_forgeries(tok: MetaTokenizer, blob: bytes, change: Callable[[dict[str, Any]], Any]) -> None:
    assert unpack(forged(blob, lambda document: None), tokenizer=tok) == ORIGINAL
    refused(forged(blob, change), tokenizer=tok)


def test_another_version_of_the_tokenizer_is_named(tok: MetaTokenizer, blob: bytes) -> None:
    sentence = refused(blob, tokenizer=MetaTokenizer.from_pretrained("mistral:v2"))
    assert "written with the tokenizer 'mistral:v3', and not with 'mistral:v2' (" in sentence
    other = forged(blob, lambda document: document.update(fingerprint="0"))
    assert "written with another version of the tokenizer 'mistral:v3' (" in refused(other, tokenizer=tok)


def test_a_name_in_a_file_does_not_reach_the_terminal_as_it_is(tok: MetaTokenizer, blob: bytes) -> None:
    def rename(document: dict[str, Any]) -> None:
        document |= {"tokenizer": "x\x1b[2J" + "y" * 1000, "fingerprint": "0"}

    sentence = refused(forged(blob, rename), tokenizer=tok)
    assert "\x1b" not in sentence
    assert len(sentence) < 300


def bomb(doublings: int, tokens: int, size: int) -> bytes:
    """A file whose last phrase is 2^doublings tokens long: each is twice the one before it."""
    tok = MetaTokenizer.from_pretrained("mistral:tekken", method="nested")
    metas = [tok.codec.first_meta + i for i in range(doublings)]
    ids = [tok.codec.dict_open, metas[0], 1097, 1097]
    for inner, outer in pairwise(metas):
        ids += [outer, inner, inner]
    ids += [tok.codec.dict_close, metas[-1]]
    packed = pack(b"spam", tok)
    return forged(packed, lambda document: document.update(ids=ids, original_tokens=tokens, original_bytes=size))


def test_bombs_are_refused_before_they_go_off() -> None:
    tok = MetaTokenizer.from_pretrained("mistral:tekken")
    tok.text_size([1])  # the tokenizer's own tables are no part of the bomb
    good = bomb(10, 1 << 10, 1 << 10)
    assert "what was packed" in refused(good, tokenizer=tok), "a small one is read to its end: only its hash is wrong"
    for doublings, tokens, size in [
        (60, 1 << 40, 1 << 40),  # says what it is
        (60, 1 << 26, 1 << 26),  # stands for more than it says
        (27, 1000, 1000),
        (24, 1 << 25, 1000),  # says one number and another
    ]:
        file = bomb(doublings, tokens, size)
        tracemalloc.start()
        refused(file, tokenizer=tok)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 30_000_000


def test_limit(tok: MetaTokenizer) -> None:
    packed = pack(b"a" * 1000, tok)
    assert unpack(packed, max_bytes=1000) == b"a" * 1000
    assert "--max-length 1000" in refused(packed, max_bytes=999)


def test_inexact_tokenizer_is_refused_with_the_change(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"a": 0, "b": 1, "[UNK]": 2}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    tok = MetaTokenizer.from_pretrained(tmp_path)
    assert unpack(pack(b"a b", tok)) == b"a b"
    with pytest.raises(
        ContainerError, match=r"at character 2 the text has 'B' and comes back with 'b'.*mistral:tekken"
    ):
        pack(b"a B", tok)


def test_a_folder_tokenizer_is_found_again_or_named(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    tokenizer = Tokenizer(models.BPE({c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    folder = tmp_path / "here"
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    data = b"over and over and over and \xff over\0"
    packed = pack(data, MetaTokenizer.from_pretrained(folder))
    assert unpack(packed) == data
    folder.rename(tmp_path / "there")
    with pytest.raises(TokenizerError, match="here"):
        unpack(packed)
    assert unpack(packed, tokenizer=MetaTokenizer.from_pretrained(tmp_path / "there")) == data


def test_a_file_does_not_cause_a_download(blob: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    def no_network(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    with pytest.raises(TokenizerError, match="--tokenizer some/model"):
        unpack(forged(blob, field("tokenizer", "some/model")))
