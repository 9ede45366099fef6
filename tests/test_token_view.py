"""The data behind the token view: it says the same as the codec, and nothing in a text can get out of it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from metatok.codec import METHODS
from metatok.summary import summarize
from metatok.tokenizer import MetaTokenizer
from metatok.views import tokens
from metatok.views.tokens import view_data, view_json

LINES = "".join(f"/usr/share/doc/package-{i % 7}/changelog.Debian.gz {i}\n" for i in range(60))
MIXED = "👩‍👩‍👧‍👦 🦜 日本語のテキスト。\r\nשלום עולם\t\tnaïve e\u0301 \ufffd \x00 ᚠᛇᚻ 𝔘𝔫𝔦\n" * 4
HOSTILE = "<img src=x onerror=alert(1)> </script> ${1+1} `x` {{value}} \\u003c \" ' & <|m12|> <|dict|>\n" * 4
TEXTS = {"lines": LINES, "mixed": MIXED, "hostile": HOSTILE, "one": "a", "unlike": "Nothing here comes twice."}


@pytest.fixture(scope="module")
def tekken() -> MetaTokenizer:
    return MetaTokenizer.from_pretrained("mistral:tekken")


def utf16(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def cut(text: str, lengths: list[int]) -> list[str]:
    """`text` in pieces of so many UTF-16 units."""
    data, at, out = text.encode("utf-16-le"), 0, []
    for length in lengths:
        out.append(data[at : at + 2 * length].decode("utf-16-le"))
        at += 2 * length
    assert at == len(data)
    return out


def triples(flat: list[int]) -> Iterator[tuple[int, int, int]]:
    return zip(flat[::3], flat[1::3], flat[2::3], strict=True)


def spoken(data: dict[str, Any]) -> str:
    """The text that the compressed sequence stands for, read from the view's own data by the dictionary."""
    written = {row[0]: row[4] for row in data["phrases"]}

    def expand(piece: str | int) -> str:
        return piece if isinstance(piece, str) else "".join(map(expand, written[piece]))

    defined = {i for start, stop, _ in triples(data["defines"]) for i in range(start, stop)}
    pieces = iter(cut(data["raw"], [symbol for symbol in data["symbols"] if symbol >= 0]))
    out = []
    for i, symbol in enumerate(data["symbols"]):
        piece = next(pieces) if symbol >= 0 else -3 - symbol
        if i not in defined and (symbol >= 0 or symbol < -2):
            out.append(expand(piece))
    return "".join(out)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", TEXTS)
def test_the_view_says_what_the_codec_says(
    tekken: MetaTokenizer, method: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "PHRASE_SYMBOLS", 10_000)  # the dictionary whole
    text, tok = TEXTS[name], tekken.using(method=method)
    c = tok.compress(text)
    data = view_data(tok, text, c)
    first = tok.codec.first_meta

    assert (data["tokens"], data["compressed"]) == (c.original_length, len(c))
    assert data["text"] == text
    assert len(data["lengths"]) == c.original_length
    assert sum(data["lengths"]) == utf16(text)
    assert min(data["lengths"], default=0) >= 0
    assert list(triples(data["spans"])) == [(a, b, m - first) for a, b, m in c.spans.tolist()]
    assert len(data["symbols"]) == len(c)
    metas = [first - 3 - s for s in data["symbols"] if s < 0]
    assert metas == [i for i in c.ids.tolist() if i >= tok.vocab_size]
    context = [-1] * len(c)
    for start, stop, m in triples(data["defines"]):
        context[start:stop] = [m + first] * (stop - start)
    assert context == [m if m >= first else -1 for m in c.defines.tolist()]
    summary = summarize(tok, text, c)
    assert [row[:4] for row in data["phrases"]] == [
        [p["id"] - first, p["length"], p["uses"], p["saved"]] for p in summary["phrases"]
    ]
    if name != "mixed":  # whose phrases cut characters apart
        assert spoken(data) == text


@pytest.mark.parametrize("name", ["mistral:tekken", "mistral:v3"])
def test_tokens_that_share_a_character_are_shown_with_it(name: str) -> None:
    tok = MetaTokenizer.from_pretrained(name)
    data = view_data(tok, MIXED, tok.compress(MIXED))
    shown = cut(data["text"], data["lengths"])
    assert "".join(shown) == MIXED
    assert 0 in data["lengths"], "no character of this text takes two tokens"
    plain = view_data(tok, "日🦜", tok.compress("日🦜"))
    assert plain["raw"].lstrip() == "日🦜"  # SentencePiece puts a space in front of every text
    assert plain["symbols"][-1] == 2


def test_long_definitions_are_cut(tekken: MetaTokenizer) -> None:
    text = "".join(f"{i * 7919} " for i in range(300)) * 2
    tok = tekken.using(method="ltsc")
    data = view_data(tok, text, tok.compress(text))
    (row,) = data["phrases"]
    assert row[1] > 1000
    assert row[4][-1] == "…"
    assert len(row[4][0]) < 500


def test_phrases_inside_phrases_are_where_the_text_has_them(tekken: MetaTokenizer) -> None:
    tok = tekken.using(method="nested", meta_tokens=None)
    c = tok.compress(LINES)
    first = tok.codec.first_meta
    nested = [row for row in view_data(tok, LINES, c)["phrases"] if row[5]]
    assert nested
    for m, *_, inner in nested:
        outer = c.phrases[m + first]
        for offset, child in zip(inner[::2], inner[1::2], strict=True):
            part = c.phrases[child + first]
            assert outer[offset : offset + len(part)] == part


def test_a_long_text_is_cut_at_a_token(tekken: MetaTokenizer) -> None:
    c = tekken.compress(LINES)
    data = view_data(tekken, LINES, c, limit=100)
    assert (data["tokens"], data["compressed"]) == (c.original_length, len(c))
    assert len(data["lengths"]) == len(data["symbols"]) == 100
    assert LINES.startswith(data["text"])
    assert len(data["text"]) == sum(data["lengths"])
    assert all(0 <= start < stop <= 100 for start, stop, _ in triples(data["spans"]))
    assert all(0 <= start < stop <= 100 for start, stop, _ in triples(data["defines"]))
    assert len(data["phrases"]) == len(c.phrases), "the dictionary is whole"


def test_an_empty_text(tekken: MetaTokenizer) -> None:
    data = view_data(tekken, "", tekken.compress(""))
    assert data["tokens"] == data["compressed"] == 0
    assert data["text"] == data["raw"] == ""
    assert data["spans"] == data["symbols"] == data["defines"] == data["phrases"] == []


@pytest.mark.parametrize("name", TEXTS)
def test_json_carries_the_text_and_no_markup(tekken: MetaTokenizer, name: str) -> None:
    c = tekken.compress(TEXTS[name])
    value = view_json(tekken, TEXTS[name], c)
    assert "<" not in value
    assert json.loads(value) == view_data(tekken, TEXTS[name], c)


def test_assets_are_not_templates() -> None:
    """Gradio compiles the template and the style as Handlebars and then as a JavaScript template literal."""
    for asset in (tokens.TEMPLATE, tokens.CSS):
        assert not re.search(r"\{\{|\$\{|`|\\", asset)
    for asset in (tokens.TEMPLATE, tokens.CSS, tokens.JAVASCRIPT):
        assert not re.search(r"https?://|//cdn|@import|url\(", asset)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b", tokens.JAVASCRIPT)


def test_the_component_never_puts_a_text_into_its_template(tekken: MetaTokenizer) -> None:
    pytest.importorskip("gradio")
    component = tokens.token_view(view_json(tekken, HOSTILE, tekken.compress(HOSTILE)), elem_id="token-view")
    config = component.get_config()
    assert config["html_template"] == tokens.TEMPLATE
    assert config["css_template"] == tokens.CSS
    assert "onerror" not in config["html_template"] + config["css_template"] + config["js_on_load"]


@pytest.mark.parametrize("unit", ["word {} of many, ", "🦜{}👩‍👩‍👧‍👦 日本{} "])
def test_a_hundred_thousand_tokens_are_small_and_take_linear_time(tekken: MetaTokenizer, unit: str) -> None:
    text = "".join(unit.replace("{}", str(i * i % 9973)) for i in range(60_000))
    ids, ends = tekken.encode_with_offsets(text)

    def view(tokens: int) -> tuple[str, float]:
        cut = text[: int(ends[min(len(ids), tokens) - 1])]
        c = tekken.compress(cut)
        phrases = summarize(tekken, cut, c)["phrases"]
        start = time.perf_counter()
        return view_json(tekken, cut, c, phrases=phrases), time.perf_counter() - start

    _, quarter = view(25_000)
    value, whole = view(100_000)
    assert whole < 16 * quarter + 0.5, "four times the tokens; loose, for busy machines"
    assert len(value) < 3_000_000
