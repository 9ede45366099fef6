"""MetaTokenizer: every back end gives every text back or says that it does not, and meta-tokens become real tokens."""

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from metatok import FormatError
from metatok.backends import WHITESPACE_RUN, TiktokenBackend, cut_whitespace
from metatok.byte_table import ByteTable
from metatok.codec import METHODS, Codec
from metatok.summary import summarize
from metatok.tokenizer import OFFLINE, MetaTokenizer, TokenizerError, compare
from metatok.tokenizer_sources import TEKKEN_SPECIALS

OFFLINE_NAMES = [name for name, _ in OFFLINE]
EXACT = ["mistral:tekken", "mistral:v3", "mistral:v1", "bpe"]  # "bpe": the byte-level BPE of a local folder

HOSTILE = [
    "",
    " ",
    "  two spaces",
    "\n",
    "\r\n\r\n\t",
    "a\0b\0\0",
    "\ufeffbyte order mark",
    "▁looks like a space▁▁ in SentencePiece ▁",
    "\ue000 private use ▁\ue001",
    "\ufffd replacement",
    "naïve façade: é as one character, e\u0301 as two, ﬁ ligature",
    "日本語、한국어, עברית, हिन्दी",
    "🦜🏴\U000e0067\U000e0062👩‍👩‍👧 \U0010ffff\ufdd0",
    "<s>[INST] hi [/INST]</s><unk><pad><0x0A><SPECIAL_20>",
    "<|endoftext|><|im_start|>user<|im_end|><|m12|><|dict|><|/dict|>",
    "".join(map(chr, range(0x300))),
    "def f(x):\n    return x  # ok\n" * 20,
]

SPECIALS = ["<s>", "</s>", "[INST]", "<unk>", "<|endoftext|>", "<|im_start|>", "<|m12|>", "<|dict|>", "<0x41>"]


@pytest.fixture(scope="session")
def corpus() -> str:
    return Path(json.__file__).read_text(encoding="utf-8") * 2


@pytest.fixture(scope="session")
def bpe_folder(tmp_path_factory: pytest.TempPathFactory, corpus: str) -> Path:
    """A byte-level BPE with a special token, and with truncation and padding switched on in its file."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<|endoftext|>", "<s>"],
        initial_alphabet=alphabet,
        show_progress=False,
    )
    tokenizer.train_from_iterator([corpus], trainer)
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=16)
    return saved(tokenizer, tmp_path_factory.mktemp("bpe"))


@pytest.fixture(scope="session")
def wordpiece_folder(tmp_path_factory: pytest.TempPathFactory, corpus: str) -> Path:
    """A WordPiece that lower-cases and forgets spaces: not exact."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(vocab_size=300, special_tokens=["[UNK]"], show_progress=False)
    tokenizer.train_from_iterator([corpus], trainer)
    return saved(tokenizer, tmp_path_factory.mktemp("wordpiece"))


def saved(tokenizer: Tokenizer, folder: Path) -> Path:
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(scope="session")
def load(bpe_folder: Path) -> Callable[[str], MetaTokenizer]:
    kept: dict[str, MetaTokenizer] = {}

    def get(name: str) -> MetaTokenizer:
        if name not in kept:
            kept[name] = MetaTokenizer.from_pretrained(bpe_folder if name == "bpe" else name)
        return kept[name]

    return get


def child(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {key: value for key, value in os.environ.items() if not key.upper().startswith("HF_")}
    return subprocess.run(
        [sys.executable, "-c", code], env=env | environment, capture_output=True, text=True, timeout=60
    )


# Text and ids


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_text_comes_back(load: Any, name: str, text: str) -> None:
    tok = load(name)
    ids = tok.encode(text)
    assert ids.dtype == np.int32
    assert tok.decode(ids) == text
    assert tok.round_trip(text).exact
    assert tok.round_trip(text).change is None
    assert tok.decompress(tok.compress(text).ids) == text
    assert tok.text_size(ids) == len(text.encode())


@pytest.mark.parametrize("name", EXACT)
def test_any_text_comes_back(load: Any, name: str) -> None:
    tok = load(name)

    @settings(max_examples=60, deadline=None)
    @given(st.text(st.sampled_from("ab ▁\n\u00a0é🦜<s>|"), max_size=60) | st.text(max_size=60))
    def check(text: str) -> None:
        assert tok.decompress(tok.compress(text).ids) == text

    check()


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("text", [text for text in HOSTILE if "\ufffd" not in text])
def test_offsets(load: Any, name: str, text: str) -> None:
    tok = load(name)
    ids, ends = tok.encode_with_offsets(text)
    assert np.array_equal(ids, tok.encode(text))
    assert ends.dtype == np.int32
    assert (np.diff(ends) >= 0).all()
    assert not len(ids) or ends[-1] == len(text)
    for i in range(0, len(ids), max(1, len(ids) // 50)):
        # What the tokens so far decode to, less the character they may have begun, is the text up to their end.
        assert tok.decode(ids[: i + 1]).rstrip("\ufffd") == text[: ends[i]]


def test_tokens_that_share_a_character(load: Any) -> None:
    ids, ends = load("mistral:tekken").encode_with_offsets("x🦜🦜y")
    assert ends.tolist() == [1, *[1] * (len(ids) // 2 - 2), 2, *[2] * (len(ids) // 2 - 2), 3, 4]


@pytest.mark.parametrize("name", [*OFFLINE_NAMES, "bpe"])
@pytest.mark.parametrize("special", SPECIALS)
def test_spelled_special_tokens_are_plain_text(load: Any, name: str, special: str) -> None:
    tok = load(name)
    ids = tok.encode(f"a {special} b")
    assert len(ids) > 4, "one id for the special token would make three or four"
    assert (ids < tok.vocab_size).all()
    assert tok.decode(ids) == f"a {special} b"


@pytest.mark.parametrize("name", EXACT)
def test_lone_surrogate_is_refused_with_its_place(load: Any, name: str) -> None:
    for call in (load(name).encode, load(name).encode_with_offsets, load(name).compress, load(name).round_trip):
        with pytest.raises(ValueError, match=r"U\+D83D.* character 3"):
            call("abc\ud83d!")
    with pytest.raises(TypeError, match="bytes"):
        load(name).encode(b"abc")


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("unit", ["a", " ", "あ", "\t"])
def test_a_million_times_one_character(load: Any, name: str, unit: str) -> None:
    tok = load(name)
    text = unit * 1_000_000
    begin = time.perf_counter()
    assert tok.decode(tok.encode(text)) == text
    assert time.perf_counter() - begin < 20  # a second or two; a quadratic merge takes hours


def test_long_whitespace_is_cut_only_where_tiktoken_gives_up(load: Any) -> None:
    tok = load("mistral:tekken")
    encoding = tok._backend._encoding
    below = "x" + " " * 300_000 + "y\n"
    assert tok.encode(below).tolist() == [i + 1000 for i in encoding.encode(below)]
    above = f"x{' ' * 1_200_000}y\n{chr(0x3000) * 1_100_000}"
    with pytest.raises(ValueError, match="stack"):
        encoding.encode(above)
    ids, ends = tok.encode_with_offsets(above)
    assert tok.decode(ids) == above
    assert ends[-1] == len(above)
    cut = cut_whitespace(above, WHITESPACE_RUN)
    assert "".join(cut) == above
    assert max(len(run) for piece in cut for run in re.findall(r"\s+", piece)) == WHITESPACE_RUN


def test_ids_are_those_of_the_libraries(load: Any, corpus: str) -> None:
    from mistral_common.tokens.tokenizers.mistral import MistralTokenizer

    for name, official in [
        ("mistral:tekken", MistralTokenizer.v3(is_tekken=True)),
        ("mistral:v1", MistralTokenizer.v1()),
        ("mistral:v2", MistralTokenizer.v2()),
        ("mistral:v3", MistralTokenizer.v3()),
        ("mistral:v7", MistralTokenizer.v7()),
    ]:
        tokenizer = official.instruct_tokenizer.tokenizer
        assert load(name).vocab_size == tokenizer.n_words
        for text in [corpus, *HOSTILE]:
            if "▁" not in text or name == "mistral:tekken":
                assert load(name).encode(text).tolist() == tokenizer.encode(text, bos=False, eos=False)


def test_sentencepiece_alone_would_lose_its_own_mark(load: Any) -> None:
    model = load("mistral:v3")._backend._model
    assert model.decode(model.encode("a▁b")) == "a b"
    ids = load("mistral:v3").encode("a▁b")
    assert model.decode(ids.tolist()) == "a▁b", "SentencePiece itself reads our ids as the right text"


def test_tekken_names_its_special_tokens_as_mistral_does(load: Any) -> None:
    from mistral_common.tokens.tokenizers.tekken import Tekkenizer

    names = [str(token["token_str"].value) for token in Tekkenizer.DEPRECATED_SPECIAL_TOKENS]
    assert list(TEKKEN_SPECIALS) == names
    assert load("mistral:tekken").pieces([1, 3, 999]) == ["<s>", "[INST]", "<SPECIAL_999>"]


@settings(deadline=None)  # the first call loads a kernel
@given(st.lists(st.binary(max_size=5), min_size=1, max_size=6), st.data())
def test_a_byte_table_joins_and_cuts_as_bytes_do(tokens: list[bytes], data: st.DataObject) -> None:
    runs = data.draw(st.lists(st.lists(st.integers(0, len(tokens) - 1), max_size=6), max_size=6))
    table, ids = ByteTable(tokens), np.array([i for run in runs for i in run], np.int32)
    assert table.join(ids) == b"".join(tokens[i] for i in ids)
    ends = np.cumsum([len(run) for run in runs], dtype=np.int64)
    expected = [b"".join(tokens[i] for i in run).decode("utf-8", "replace") for run in runs]
    assert table.fragments(ids, ends) == expected


@pytest.mark.parametrize("name", EXACT)
def test_pieces_and_fragments(load: Any, name: str) -> None:
    tok = load(name)
    text = "one two 🦜 three"
    ids = tok.encode(text)
    pieces = tok.pieces(ids)
    assert len(pieces) == len(ids)
    assert "".join(pieces).strip().startswith("one two")
    assert tok.fragment(ids[1:]).endswith("two 🦜 three")
    codec = tok.codec
    metas = [codec.dict_open, codec.dict_close, codec.first_meta, codec.first_meta + 511]
    assert tok.pieces(metas) == ["<|dict|>", "<|/dict|>", "<|m0|>", "<|m511|>"]
    assert tok.decode([*ids, codec.first_meta + 3, *ids]).startswith(text + "<|m3|>")
    assert tok.decode([]) == ""
    assert tok.pieces([]) == []
    assert tok.decode(iter(ids.tolist())) == tok.decompress(iter(ids.tolist())) == text


def test_ids_that_are_no_tokens_are_refused(load: Any) -> None:
    tok = load("mistral:v3")
    for ids in ([5, -1], [5, tok.vocab_size + tok.codec.n_added], np.array([5, 2**40])):
        with pytest.raises(ValueError, match=f"id {ids[1]} at position 1"):
            tok.decode(ids)
    with pytest.raises(ValueError, match="one-dimensional"):
        tok.decode(np.zeros((2, 2), int))
    with pytest.raises(ValueError, match="one-dimensional sequence of integers, not NoneType"):
        tok.decompress(None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="float"):
        tok.pieces([1.5])
    with pytest.raises(FormatError):
        tok.decompress([tok.codec.dict_open])


def test_tiktoken_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    ranks = {bytes([byte]): byte for byte in range(256)} | {b"ab": 256}
    tiny = tiktoken.Encoding("tiny", pat_str=r"\w+|\W+", mergeable_ranks=ranks, special_tokens={"<|endoftext|>": 300})
    monkeypatch.setitem(tiktoken.registry.ENCODINGS, "o200k_base", tiny)
    monkeypatch.setattr("metatok.tokenizer_sources._loaded", {})
    tok = MetaTokenizer.from_pretrained("tiktoken:o200k_base", method="flat", meta_tokens=None)
    assert (tok.vocab_size, tok.method, tok.meta_tokens, tok.hf) == (301, "flat", None, None)
    text = "ab<|endoftext|>ab🦜\0"
    assert tok.encode(text).tolist()[:2] == [256, ord("<")]
    assert tok.round_trip(text).exact
    assert tok.pieces([256, 300, 270]) == ["ab", "<|endoftext|>", "\ufffd"], "270 is a hole"
    assert TiktokenBackend(tiny).fingerprint == tok.fingerprint


# Compression


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", EXACT)
def test_compress(load: Any, corpus: str, name: str, method: str) -> None:
    tok = load(name).using(method=method)
    text = corpus[:6000]
    c = tok.compress(text)
    assert np.array_equal(c.ids, tok.codec.compress(tok.encode(text)).ids)
    assert tok.decompress(c.ids) == text
    assert len(c) < c.original_length
    seeded = tok.compress(text, seed=3)
    assert tok.decompress(seeded.ids) == text
    assert not np.array_equal(seeded.ids, c.ids)


@pytest.mark.parametrize("name", EXACT)
def test_kept_characters_stay_raw(load: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tok = load(name)
    text = "alpha 🦜 beta gamma\n" * 12
    starts, stops = tok._backend.encode_spans(text)[1:]
    for start, stop in [(0, 5), (6, 7), (25, 26), (27, 44), (len(text) - 1, len(text)), (0, len(text))]:
        c = tok.compress(text, keep=[(start, stop), (3, 3)])
        touched = (starts < stop) & (stops > start)
        assert touched.any()
        assert (c.owner[touched] == -1).all()
        assert tok.decompress(c.ids) == text
    assert len(tok.compress(text, keep=[(0, 10)])) < len(tok.encode(text)), "the rest is still compressed"
    with monkeypatch.context() as patch:
        patch.setattr(Codec, "compress", lambda self, ids, keep, seed: keep)
        assert tok.compress("alpha beta", keep=[(len("alpha"), len("alpha beta")), (2, 2)]) == [
            (len(tok.encode("alpha")), len(tok.encode("alpha beta")))
        ], "whole tokens, and no more than are touched"
    for wrong in [(0, len(text) + 1), (-1, 2), (4, 3)]:
        with pytest.raises(ValueError, match="keep range"):
            tok.compress(text, keep=[wrong])


def test_max_length_is_passed_on(load: Any) -> None:
    tok = load("mistral:v3")
    c = tok.compress("again " * 100)
    with pytest.raises(FormatError, match="max_length"):
        tok.decompress(c.ids, max_length=50)


def test_using_changes_only_the_codec(load: Any) -> None:
    tok = load("mistral:v3")
    other = tok.using(meta_tokens=None, method="ltsc")
    assert (other.method, other.meta_tokens) == ("ltsc", None)
    assert (tok.method, tok.meta_tokens) == ("inline", 512)
    assert (other.name, other.vocab_size, other.fingerprint) == (tok.name, tok.vocab_size, tok.fingerprint)
    assert other.codec == Codec(tok.vocab_size, None, "ltsc")
    with pytest.raises(ValueError, match="method"):
        tok.using(method="zip")


def test_fingerprints_differ(load: Any, wordpiece_folder: Path) -> None:
    prints = {load(name).fingerprint for name in [*OFFLINE_NAMES, "bpe"]}
    assert len(prints) == len(OFFLINE_NAMES) + 1
    assert all(len(fingerprint) == 16 for fingerprint in prints)


# Tokenizers that are not exact


def test_wordpiece_says_what_it_changes(wordpiece_folder: Path) -> None:
    tok = MetaTokenizer.from_pretrained(wordpiece_folder)
    result = tok.round_trip("JSON  decoder")
    assert not result.exact
    assert result.change == "At character 0 the text has 'JSON  decode' and comes back with 'json decoder'."
    ends = tok.encode_with_offsets("JSON  decoder ")[1]
    assert (np.diff(ends) >= 0).all()
    assert ends[-1] == 13, "the last space belongs to no token"
    c = tok.compress("encode decode " * 30)
    assert np.array_equal(tok.codec.decompress(c.ids), tok.encode("encode decode " * 30)), "the ids are exact"
    summary = summarize(tok, "JSON  decoder")
    assert summary["exact"]
    assert not summary["round_trip_text"]
    assert summary["change"] == result.change


def test_normalizing_tokenizer_keeps_offsets_of_the_original(bpe_folder: Path, tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_file(str(bpe_folder / "tokenizer.json"))
    tokenizer.normalizer = normalizers.NFC()
    tok = MetaTokenizer.from_pretrained(saved(tokenizer, tmp_path))
    text = "cafe\u0301 json"
    assert (
        tok.round_trip(text).change == "At character 3 the text has 'e\\u0301 json' and comes back with '\\xe9 json'."
    )
    ends = tok.encode_with_offsets(text)[1]
    assert ends[-1] == len(text)
    assert text[ends[-2] :].endswith(" json"), "offsets count the characters of the text, not of its normal form"
    assert tok.round_trip("caf\u00e9").exact


def test_compare_names_the_first_difference() -> None:
    assert compare("same", "same").exact
    assert compare("abc", "ab").change == "At character 2 the text has 'c' and comes back with nothing more."
    assert compare("", " ").change == "At character 0 the text has nothing more and comes back with ' '."
    assert "character 999 " in str(compare("a" * 999 + "b", "a" * 999 + "c").change)


def test_metaspace_tokenizer(tmp_path: Path, corpus: str) -> None:
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    fallback = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=["<unk>", *fallback], show_progress=False)
    tokenizer.train_from_iterator([corpus], trainer)
    tok = MetaTokenizer.from_pretrained(saved(tokenizer, tmp_path))
    assert tok.round_trip("the json 🦜 module").exact
    assert not tok.round_trip("a▁b").exact
    assert tok.pieces(tok.encode("json"))[0].startswith(" ")
    assert tok.fragment(tok.encode("json module")) == " json module"
    ends = tok.encode_with_offsets("json 🦜")[1]
    assert ends.tolist()[-4:] == [5, 5, 5, 6], "four byte tokens, one character"


# Hugging Face


def test_truncation_and_padding_of_the_file_do_not_count(load: Any) -> None:
    ids = load("bpe").encode("json " * 50)
    assert len(ids) > 50
    assert load("bpe").hf.backend_tokenizer.truncation["max_length"] == 4, "they stay as they are in what is saved"


def test_byte_level_decoding_is_that_of_the_library(load: Any) -> None:
    tok = load("bpe")
    rng = np.random.default_rng(0)
    for length in range(60):
        ids = rng.integers(0, tok.vocab_size, length)
        assert tok.decode(ids) == tok._backend._rust.decode(ids.tolist(), skip_special_tokens=False)
        assert tok.decode(ids) == tok.hf.decode(ids, clean_up_tokenization_spaces=False)


@pytest.mark.parametrize("pool", [0, 5, 512])
def test_meta_tokens_are_added_tokens(bpe_folder: Path, tmp_path: Path, pool: int) -> None:
    from transformers import AutoTokenizer

    tok = MetaTokenizer.from_pretrained(bpe_folder, meta_tokens=pool, method="nested")
    names = ["<|dict|>", "<|/dict|>", *(f"<|m{i}|>" for i in range(pool))]
    expected = list(range(tok.vocab_size, tok.vocab_size + pool + 2))
    assert tok.hf.convert_tokens_to_ids(names) == expected
    tok.save_pretrained(tmp_path)
    back = AutoTokenizer.from_pretrained(tmp_path)
    assert back.convert_tokens_to_ids(names) == expected
    assert len(back) == tok.vocab_size + pool + 2
    if pool:
        ids = back.encode("json<|m3|>json", add_special_tokens=False)
        assert tok.codec.first_meta + 3 in ids, "to transformers a meta-token is one token"
        assert back.decode([tok.codec.first_meta + 3]) == "<|m3|>"

    again = MetaTokenizer.from_pretrained(tmp_path)
    assert (again.method, again.meta_tokens, again.vocab_size) == ("nested", pool, tok.vocab_size)
    assert again.fingerprint == tok.fingerprint
    text = "json<|m3|>json " * 9
    assert np.array_equal(again.compress(text).ids, tok.compress(text).ids)
    assert again.decode(again.encode(text)) == text, "to metatok its spelling is text"
    assert again.hf.convert_tokens_to_ids(names) == expected

    wider = MetaTokenizer.from_pretrained(tmp_path, meta_tokens=600, method="flat")
    assert (wider.method, wider.meta_tokens) == ("flat", 600)
    assert wider.hf.convert_tokens_to_ids("<|m599|>") == tok.codec.first_meta + 599
    narrower = MetaTokenizer.from_pretrained(tmp_path, meta_tokens=3)
    assert len(narrower.hf) == tok.vocab_size + 5


def test_unlimited_pool_saves_the_marks_only(bpe_folder: Path, tmp_path: Path) -> None:
    tok = MetaTokenizer.from_pretrained(bpe_folder, meta_tokens=None)
    tok.save_pretrained(tmp_path)
    assert len(tok.hf) == tok.vocab_size + 2
    assert MetaTokenizer.from_pretrained(tmp_path).meta_tokens is None


def holed(vocab: dict[str, int], tmp_path: Path) -> Path:
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return saved(tokenizer, tmp_path)


def test_ids_with_holes(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tok = MetaTokenizer.from_pretrained(holed({"a": 0, "b": 7, "[UNK]": 3}, tmp_path), meta_tokens=4)
    assert tok.vocab_size == 8
    assert tok.hf.convert_tokens_to_ids(["<|dict|>", "<|m0|>", "<|m3|>", "b"]) == [8, 10, 13, 7]
    folder = tmp_path / "saved"
    tok.save_pretrained(folder)
    assert AutoTokenizer.from_pretrained(folder).convert_tokens_to_ids("<|m3|>") == 13
    again = MetaTokenizer.from_pretrained(folder)
    assert again.fingerprint == tok.fingerprint
    assert again.hf.convert_tokens_to_ids(["<|dict|>", "<|m0|>", "<|m3|>", "b"]) == [8, 10, 13, 7]
    assert tok.pieces([0, 1, 7]) == ["a", "\ufffd", "b"]


def test_a_vocabulary_with_a_token_of_that_name_is_refused(tmp_path: Path) -> None:
    tok = MetaTokenizer.from_pretrained(holed({"a": 0, "<|m1|>": 1, "[UNK]": 2}, tmp_path), meta_tokens=4)
    with pytest.raises(TokenizerError, match=r"<\|m1\|> already"):
        _ = tok.hf


def test_only_hugging_face_tokenizers_are_saved(load: Any, tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match="mistral:v3 is not a Hugging Face tokenizer"):
        load("mistral:v3").save_pretrained(tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert load("mistral:v3").hf is None


def test_threads_share_one_tokenizer(load: Any) -> None:
    """`transformers` toggles `encode_special_tokens` on a shared object while it encodes; ours must not see that."""
    tok = load("bpe")
    text = "<|endoftext|> json <s> " * 20
    expected = tok.encode(text).tolist()
    right: list[bool] = []
    stop = threading.Event()

    def toggle() -> None:
        while not stop.is_set():
            tok.hf.encode("<s>", split_special_tokens=False)
            tok.hf.encode("<s>", split_special_tokens=True)

    def encode() -> None:
        for _ in range(100):
            right.append(tok.encode(text).tolist() == expected and tok.decode(expected) == text)  # noqa: PERF401

    toggler = threading.Thread(target=toggle)
    workers = [threading.Thread(target=encode) for _ in range(4)]
    toggler.start()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    stop.set()
    toggler.join()
    assert len(right) == 400
    assert all(right)


def test_repository_code_is_never_run(bpe_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_bytes((bpe_folder / "tokenizer.json").read_bytes())
    marker = tmp_path / "ran"
    (tmp_path / "evil.py").write_text(f"open({str(marker)!r}, 'w')\nclass T: pass\n")
    config = {"auto_map": {"AutoTokenizer": ["evil.T", "evil.T"]}, "tokenizer_class": "T"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(TokenizerError, match="custom code"):
        MetaTokenizer.from_pretrained(tmp_path)
    assert not marker.exists()


# Names that lead nowhere


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("", "not the name of a tokenizer"),
        ("a\0b", "not the name of a tokenizer"),
        ("../../no/such", "neither a folder here nor a Hub id"),
        ("a" * 5000, "neither a folder here nor a Hub id"),
        ("mistral:v3\nmistral:v1", "not the name of a tokenizer"),
        ("a/b/c", "neither a folder here nor a Hub id"),
        ("https://example.org/x", "neither a folder here nor a Hub id"),
        ("mistral:v99", "there are mistral:tekken"),
        ("mistral:../v3", "there are mistral:tekken"),
        ("tiktoken:none", "there are tiktoken:gpt2"),
    ],
)
def test_names_that_mean_nothing(name: str, sentence: str) -> None:
    with pytest.raises(TokenizerError, match=sentence) as caught:
        MetaTokenizer.from_pretrained(name)
    assert "\n" not in str(caught.value)


def test_folders_that_are_no_tokenizers(tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match=r"holds no tokenizer\.json"):
        MetaTokenizer.from_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(TokenizerError, match="cannot be read"):
        MetaTokenizer.from_pretrained(tmp_path)
    saved(Tokenizer(models.WordLevel({}, unk_token="x")), tmp_path)
    with pytest.raises(TokenizerError, match="empty vocabulary"):
        MetaTokenizer.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        "{",
        "{}",
        '{"method": "inline", "meta_tokens": "x", "vocab_size": 1}',
        '{"method": "inline", "meta_tokens": -1, "vocab_size": 1}',
        '{"method": "inline", "meta_tokens": true, "vocab_size": 1}',
        '{"method": "zip", "meta_tokens": 4, "vocab_size": 1}',
        '{"method": [], "meta_tokens": 4, "vocab_size": 1}',
    ],
)
def test_damaged_settings(bpe_folder: Path, tmp_path: Path, damage: str) -> None:
    MetaTokenizer.from_pretrained(bpe_folder, meta_tokens=4).save_pretrained(tmp_path)
    (tmp_path / "metatok.json").write_text(damage)
    with pytest.raises(TokenizerError, match=r"metatok\.json"):
        MetaTokenizer.from_pretrained(tmp_path)


FROM_CACHE = """
from metatok.tokenizer import MetaTokenizer, TokenizerError
for local_only in (True, False):
    try:
        tok = MetaTokenizer.from_pretrained("some/one", local_only=local_only)
        print(tok.vocab_size, tok.meta_tokens, tok.method, tok.fingerprint)
    except TokenizerError as error:
        print(error)
"""


def test_settings_are_found_in_the_hub_s_cache(bpe_folder: Path, tmp_path: Path) -> None:
    repository = tmp_path / "hub" / "models--some--one"
    snapshot = repository / "snapshots" / ("0" * 40)
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    tok = MetaTokenizer.from_pretrained(bpe_folder, meta_tokens=4, method="ltsc")
    tok.save_pretrained(snapshot)
    (snapshot / "config.json").write_text('{"model_type": "llama"}')  # without one transformers asks the network

    def said() -> list[str]:
        return child(FROM_CACHE, HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path)).stdout.splitlines()

    assert said() == [f"{tok.vocab_size} 4 ltsc {tok.fingerprint}"] * 2

    (snapshot / "metatok.json").unlink()
    sentences = said()
    assert len(sentences) == 2
    for sentence in sentences:
        assert "some/one has meta-tokens, and the metatok.json that belongs to it is neither" in sentence

    absent = repository / ".no_exist" / ("0" * 40)
    absent.mkdir(parents=True)
    (absent / "metatok.json").touch()  # the Hub was asked, and has none: they are tokens like others
    assert all(line.startswith(f"{tok.vocab_size + 6} 512 inline ") for line in said())


def test_settings_of_another_vocabulary(bpe_folder: Path, tmp_path: Path) -> None:
    tok = MetaTokenizer.from_pretrained(bpe_folder, meta_tokens=4)
    tok.save_pretrained(tmp_path)
    settings = {"method": "inline", "meta_tokens": 4, "vocab_size": tok.vocab_size + 100}
    (tmp_path / "metatok.json").write_text(json.dumps(settings))
    with pytest.raises(TokenizerError, match=r"metatok\.json"):
        MetaTokenizer.from_pretrained(tmp_path)


TRY = """
import sys, time
from metatok.tokenizer import MetaTokenizer, TokenizerError
begin = time.perf_counter()
try:
    MetaTokenizer.from_pretrained(sys.argv[1] if len(sys.argv) > 1 else NAME)
except TokenizerError as error:
    print(error)
print(time.perf_counter() - begin)
"""


@pytest.mark.parametrize("name", ["no-such-organisation/no-such-model", "tiktoken:o200k_base"])
def test_out_of_reach_is_said_at_once(name: str, tmp_path: Path) -> None:
    """Behind a proxy that refuses every connection: what "offline" looks like, on any machine."""
    proxy = "http://127.0.0.1:9"
    places = {"HF_HOME": str(tmp_path), "TIKTOKEN_CACHE_DIR": str(tmp_path)}
    done = child(
        TRY.replace("NAME", repr(name)), https_proxy=proxy, HTTPS_PROXY=proxy, http_proxy=proxy, no_proxy="", **places
    )
    sentence, seconds = done.stdout.splitlines()
    assert name in sentence
    assert "mistral:tekken" in sentence
    assert float(seconds) < 10
    assert done.stderr == ""


def test_offline_switch_of_the_hub(tmp_path: Path) -> None:
    done = child(TRY.replace("NAME", "'org/model'"), HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path))
    assert "HF_HUB_OFFLINE is set" in done.stdout
    assert "mistral:tekken" in done.stdout


def test_a_cached_hub_id_needs_no_network(bpe_folder: Path, tmp_path: Path) -> None:
    repository = tmp_path / "hub" / "models--org--tiny"
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    (snapshot / "tokenizer.json").write_bytes((bpe_folder / "tokenizer.json").read_bytes())
    (snapshot / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    (snapshot / "config.json").write_text("{}")
    code = (
        "from metatok.tokenizer import MetaTokenizer, TokenizerError\n"
        "tok = MetaTokenizer.from_pretrained('org/tiny', local_only=True)\n"
        "print(tok.name, tok.decompress(tok.compress('json ' * 20).ids) == 'json ' * 20)\n"
        "try:\n    MetaTokenizer.from_pretrained('org/other', local_only=True)\n"
        "except TokenizerError as error:\n    print(error)\n"
    )
    done = child(code, HF_HOME=str(tmp_path), HTTPS_PROXY="http://127.0.0.1:9", https_proxy="http://127.0.0.1:9")
    lines = done.stdout.splitlines()
    assert lines[0] == "org/tiny True", done.stderr
    assert "--tokenizer org/other" in lines[1]


@pytest.mark.parametrize(("name", "about"), OFFLINE)
def test_offline_list_is_true(load: Any, name: str, about: str) -> None:
    assert f"{load(name).vocab_size:,} ids" in about
    assert "\n" not in about


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    heavy = {"torch", "transformers", "tokenizers", "tiktoken", "sentencepiece", "mistral_common", "gradio"}
    code = "import sys, metatok.tokenizer; print(*sys.modules)"
    assert heavy.isdisjoint(child(code).stdout.split())
    code = "import sys, metatok; metatok.MetaTokenizer.from_pretrained('mistral:v3').encode('x'); print(*sys.modules)"
    assert {"torch", "transformers", "gradio"}.isdisjoint(child(code).stdout.split())


# The summary


@pytest.mark.parametrize("method", METHODS)
def test_summary_adds_up(load: Any, corpus: str, method: str) -> None:
    tok = load("mistral:tekken").using(method=method)
    text = corpus[:9000]
    c = tok.compress(text)
    summary = summarize(tok, text, c)
    json.dumps(summary)  # plain data
    assert summary == summarize(tok, text)
    assert (summary["original_tokens"], summary["compressed_tokens"]) == (c.original_length, len(c))
    assert summary["saving"] == pytest.approx(1 - len(c) / c.original_length)
    assert summary["quadratic_saving"] == pytest.approx(1 - (len(c) / c.original_length) ** 2)
    assert summary["exact"]
    assert summary["round_trip_text"]
    assert (summary["tokenizer"], summary["method"], summary["meta_tokens"]) == ("mistral:tekken", method, 512)
    phrases = summary["phrases"]
    assert len(phrases) == len(c.phrases) > 10
    saved = [phrase["saved"] for phrase in phrases]
    assert saved == sorted(saved, reverse=True)
    heads = 0 if method == "inline" else 1
    for phrase in phrases:
        uses = np.count_nonzero(c.ids == phrase["id"]) - heads
        without = len(c) + (uses - 1) * (phrase["symbols"] - 1) - 1 - heads  # every occurrence written out
        assert (phrase["uses"], phrase["saved"]) == (uses, without - len(c))
    if method in ("ltsc", "flat"):  # no phrase in a phrase: the parts add up
        assert sum(saved) - 2 == c.original_length - len(c)
    for phrase in phrases[:20]:
        assert phrase["text"] in f" {text}"
        assert phrase["length"] == len(c.phrases[phrase["id"]])
        assert phrase["meta"] == f"<|m{phrase['id'] - tok.codec.first_meta}|>"


def test_summary_of_a_wrong_compression_is_not_exact(load: Any) -> None:
    tok = load("mistral:v3")
    assert not summarize(tok, "one text", tok.compress("a text"))["exact"]


def test_summary_of_nothing(load: Any) -> None:
    summary = summarize(load("mistral:v3"), "")
    assert (summary["original_tokens"], summary["saving"], summary["quadratic_saving"]) == (0, 0.0, 0.0)
    assert summary["exact"]
    assert summary["phrases"] == []
