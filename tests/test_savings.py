"""The Savings part without its page: what people fill in, what it says back, the measurement with a small reader."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("plotly")

from metatok.compute import PRESETS, Prices, compute_saving, crossover, kv_cache_bytes, prefill
from metatok.demo import savings_form as form
from metatok.demo.run import Refused
from metatok.demo.savings_cards import flops_html, kv_html, money_html
from metatok.views.numbers import percent, si, table_html

LLAMA = PRESETS["Llama-3.1-8B"]
USUAL = Prices(3.0, 0.3, 3.75)


def cells(html: str, name: str) -> list[str]:
    """The cells of a row."""
    row = re.search(f'<tr data-name="{name}">(.*?)</tr>', html)
    assert row, name
    return re.findall("<td>(.*?)</td>", row[1])


# What is said -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("causal", [False, True])
def test_flops_say_the_formulas(causal: bool) -> None:
    html = flops_html(LLAMA, 8000, 2000, causal=causal)
    before, after = prefill(LLAMA, 8000, causal=causal), prefill(LLAMA, 2000, causal=causal)
    for part in ("projections", "mlp", "attention_matrix", "attention_values", "logits", "quadratic", "total"):
        x, y = getattr(before, part), getattr(after, part)
        assert cells(html, part) == [si(x), si(y), percent(1 - y / x)]
    assert f'<b data-name="crossover">{crossover(LLAMA, causal=causal):,} tokens</b>' in html
    # The paper's 27 % are 47 % of the quadratic part, and less of the whole.
    assert "27 % fewer tokens are 1 − 0.73² = 47 % less of it" in html
    headline = compute_saving(LLAMA, 8000, 5840, causal=causal)
    assert f'<b data-name="headline">{percent(headline)}</b>' in html
    assert 0.27 < headline < 0.47
    assert f'<b data-name="whole">{percent(compute_saving(LLAMA, 8000, 2000, causal=causal))}</b>' in html


def test_a_model_of_windows_is_never_overtaken() -> None:
    windowed = form.architecture(form.OWN, 4, 64, 4, 4, 16, 256, 1000, 8, 4, True)
    html = flops_html(windowed, 100, 50, causal=False)
    assert "never overtakes the rest" in html
    assert "4 of its 4 layers keep no more than 8 tokens" in kv_html(windowed, 100, 50, dtype="int4", batch=1)


def test_memory_scales_with_batch_and_format() -> None:
    html = kv_html(LLAMA, 8192, 4096, dtype="int8", batch=32)
    raw = kv_cache_bytes(LLAMA, 8192, dtype="int8", batch=32)
    assert cells(html, "kv") == [si(raw, "B"), si(raw / 2, "B"), "50.0 %"]
    assert "KV cache of 32 prompts, int8" in html


def test_money_says_when_compression_costs_more() -> None:
    # By hand in tests/test_prices.py: 12 uncached, 6.12 cached, 8.40 compressed; 4 uses, for 1,000 prompts each.
    html = money_html(USUAL, 1_000_000, 700_000, uses=4, cached=800_000)
    assert cells(html, "raw") == ["$3,000.00", "96.1 % more"]
    assert cells(html, "cached") == ["$1,530.00", "—"]
    assert cells(html, "lost") == ["$2,100.00", "37.3 % more"]
    assert cells(html, "kept") == ["$1,071.00", "30.0 % less"]
    assert "<b>Compression costs more than it saves</b> from 3 uses on" in html
    assert "At 4 uses it would have to save more than 49.0 % of the tokens, and it saves 30.0 %." in html
    fewer = money_html(USUAL, 1_000_000, 700_000, uses=2, cached=800_000)
    assert "At 2 uses it needs to save more than 26.0 %" in fewer
    assert cells(fewer, "lost")[1].endswith("less")


def test_money_says_when_it_never_does() -> None:
    html = money_html(USUAL, 10_000, 1_800, uses=20, cached=9_000)
    assert "<b>Compression saves money</b> however often" in html
    assert "it saves 82.0 % of the tokens, and 81.0 % is enough" in html
    plain = money_html(USUAL, 10_000, 7_300, uses=20, cached=0)
    assert cells(plain, "compressed") == ["$21.90", "27.0 % less"]
    assert "Nothing is cached, so 27.0 % fewer tokens cost 27.0 % less" in plain
    assert "free" in money_html(Prices(0, 0, 0), 10, 5, uses=1, cached=9)


def test_tables_escape() -> None:
    assert "<img" not in table_html("<img>", ["<img>"], [("x", "<img>", ["<img>"])])


# What is filled in ------------------------------------------------------------------------------------------

FIELDS = form.fields_of(LLAMA)


def changed(**fields: Any) -> list[Any]:
    return [fields.get(name, value) for name, value in zip([*form.FIELDS, "gated"], FIELDS, strict=True)]


def test_presets_and_own_numbers_cost_the_same() -> None:
    for preset in PRESETS.values():
        own = form.architecture(form.OWN, *form.fields_of(preset))
        assert prefill(own, 5000) == prefill(preset, 5000)
        assert kv_cache_bytes(own, 5000) == kv_cache_bytes(preset, 5000)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"heads": 0}, "Query heads: 0 is not a whole number from 1 to 10,000."),
        ({"layers": None}, "Layers: there is no number yet; it takes a whole one from 1 to 10,000."),
        ({"hidden": 1e30}, "Hidden size: 1e+30 is not a whole number from 1 to 1,000,000."),
        ({"mlp": 2.5}, "MLP inner size: 2.5 is not a whole number from 1 to 10,000,000."),
        ({"vocab_size": -3}, "Vocabulary: -3 is not a whole number"),
        ({"head_dim": float("nan")}, "Head size: nan is not a whole number"),
        ({"head_dim": "128"}, "Head size: there is no number yet"),
        ({"kv_heads": 5}, "32 query heads cannot share 5 key/value heads evenly"),
        ({"window": 4096}, "A sliding window needs its size and the number of layers that have it"),
        ({"windowed_layers": 3}, "A sliding window needs its size"),
        ({"window": 4096, "windowed_layers": 33}, "There are 32 layers, so no more of them"),
    ],
)
def test_impossible_models_give_a_sentence(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Refused, match="^" + re.escape(sentence)):
        form.architecture(form.OWN, *changed(**fields))


def test_other_mistakes_give_a_sentence() -> None:
    with pytest.raises(Refused, match="There is no architecture 'GPT-9'"):
        form.architecture("GPT-9", *FIELDS)
    with pytest.raises(Refused, match="never makes a prompt longer, so there cannot be 730 tokens"):
        form.lengths(100, 730)
    for wrong in (0, None, -1, 1.5, 10**10):
        with pytest.raises(Refused, match=r"^Tokens before: "):
            form.lengths(wrong, 1)
    with pytest.raises(Refused, match="Cached read: there is no price yet"):
        form.prices(3, None, 3.75)
    with pytest.raises(Refused, match="Input: a price is from \\$0 to \\$1,000,000 a million tokens, and -1 is not"):
        form.prices(-1, 0.3, 3.75)
    with pytest.raises(Refused, match="A cached read for \\$4 would cost more than a cache write"):
        form.prices(3, 4, 3.75)
    with pytest.raises(Refused, match="Times used: 0 is not"):
        form.reuse(100, 0, 90, True)
    with pytest.raises(Refused, match="0 to 100 percent"):
        form.reuse(100, 2, 101, True)


def test_the_largest_numbers_are_shown() -> None:
    huge = form.architecture(form.OWN, *[most for _, most in form.FIELDS.values()], True)
    assert " Q" in flops_html(huge, form.MAX_TOKENS, 1, causal=False)
    assert kv_html(huge, form.MAX_TOKENS, 1, dtype="float32", batch=form.MAX_COUNT)


# What is measured -------------------------------------------------------------------------------------------


@pytest.fixture
def small(tiny_reader: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    pytest.importorskip("gradio")
    from metatok.demo import prefill as measuring
    from metatok.reader import Reader

    loaded = Reader.from_pretrained(tiny_reader)
    monkeypatch.setenv("METATOK_READER", str(tiny_reader))
    monkeypatch.setattr(measuring, "reader", lambda: loaded)
    return measuring, loaded


def test_measured_beside_the_cost_model(small: Any) -> None:
    measuring, reader = small
    text = "root: alpha, beta\nalpha < root\nbeta < root\n" * 8
    *progress, html = measuring.measure(text, "inline")
    raw, compressed = (1 + len(reader.prepare(text, method).ids) for method in (None, "inline"))
    assert len(progress) == 1 + 2 * (1 + measuring.REPETITIONS)
    assert f"Reading the raw prompt, {raw:,} tokens once, to warm up" in progress[1]
    assert f"Reading the compressed prompt, {compressed:,} tokens, 5 of 5 times" in progress[-1]
    assert cells(html, "tokens") == [f"{raw:,}", f"{compressed:,}", percent(1 - compressed / raw)]
    assert all(re.fullmatch(r"[\d,.]+ ms", cell) for cell in cells(html, "measured")[:2])
    assert cells(html, "flops")[2] != cells(html, "tokens")[2]  # quadratic, too
    assert "this text is longer" not in html


def test_of_a_long_text_the_longest_beginning_is_measured(small: Any) -> None:
    measuring, reader = small
    text = "".join(f"leaf{n} < root\n" for n in range(reader.limit))
    ids, sentence = measuring.beginning(reader, text)
    assert len(ids) == reader.limit - 1
    assert text.startswith(reader.tokenizer.decode(ids))
    assert f"The reader takes {1 + len(ids):,} tokens, and this text is longer: only its first" in sentence
    short, nothing = measuring.beginning(reader, text[:100])
    assert reader.tokenizer.decode(short) == text[:100]
    assert nothing == ""
    # Few tokens of many characters are not cut before they are counted.
    spaces = " " * 20 * reader.limit
    whole = reader.tokenizer.encode(spaces)
    assert measuring.beginning(reader, spaces)[0].tolist() == whole[: reader.limit - 1].tolist()


def test_nothing_to_measure_gives_a_sentence(small: Any) -> None:
    measuring, _ = small
    assert "There is no text to read yet" in [*measuring.measure(" ", "inline")][-1]
    assert "There is no method" in [*measuring.measure("text", "zip")][-1]
    assert 'role="alert"' in [*measuring.measure("a lone \ud800 surrogate", "inline")][-1]
