"""Compare without Gradio's page: configurations, rows, what can be downloaded, and the endpoint's refusals."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from metatok.codec import EFFORTS, METHODS, Codec
from metatok.demo import comparison
from metatok.demo.comparison import (
    MAX_EFFORT_DOCUMENTS,
    MAX_EFFORT_TOKENS,
    RUNS,
    SHORT,
    Prepared,
    configurations,
    prepare,
)
from metatok.demo.run import MAX_BYTES, Refused
from metatok.demo.uploads import Document
from metatok.lz77 import bound
from metatok.tokenizer import MetaTokenizer

TEXT = "".join(f"/usr/share/doc/package-{i % 7}/changelog.Debian.gz {i}\n" for i in range(60))
OTHER = "Nothing here comes twice.\n"


@pytest.fixture(scope="module")
def single() -> Prepared:
    return prepare([Document("text", TEXT)], "mistral:v3")


@pytest.fixture(scope="module")
def several() -> Prepared:
    documents = [Document("a.py", TEXT), Document("=b.py", OTHER), Document("c.py", TEXT * 2)]
    return prepare(documents, "mistral:v3")


def test_every_combination_comes_once_and_the_quick_ones_first() -> None:
    ways = configurations(list(METHODS), list(EFFORTS), [64, None, 64])
    assert len(ways) == len(set(ways)) == (1 + 3 * 3) * 2
    assert {way.effort for way in ways if way.method == "ltsc"} == {"default"}
    order = [EFFORTS.index(way.effort) for way in ways if way.method != "ltsc"]
    assert order == sorted(order)


@pytest.mark.parametrize(
    ("methods", "efforts", "pools", "sentence"),
    [
        ([], ["max"], [1], "Choose at least one method"),
        ("inline", ["max"], [1], "The methods must be a list of ltsc,"),
        (["zip"], ["max"], [1], "There is no method 'zip'"),
        ([["inline"]], ["max"], [1], "There is no method"),
        (["inline"], [], [1], "Choose at least one effort"),
        (["inline"], ["most"], [1], "There is no effort 'most'"),
        (["inline"], None, [1], "The efforts must be a list of"),
        (["inline"], ["max"], [], "Choose one pool size at least and 8 at most"),
        (["inline"], ["max"], 512, "The pool sizes must be a list"),
        (["inline"], ["max"], list(range(9)), "8 at most"),
        (["inline"], ["max"], [-1], "must be from 0"),
        (["inline"], ["max"], ["512"], "must be a whole number"),
        (["inline"], ["max"], [True], "must be a whole number"),
    ],
)
def test_what_is_no_choice_is_refused(methods: Any, efforts: Any, pools: Any, sentence: str) -> None:
    with pytest.raises(Refused, match=sentence) as refused:
        configurations(methods, efforts, pools)
    assert str(refused.value).endswith(".")


@pytest.mark.parametrize(
    ("text", "tokenizer", "sentence"),
    [
        ("a\ud800", "mistral:v3", "lone surrogate"),
        ("x" * (MAX_BYTES + 1), "mistral:v3", "5 MB is the most"),
        ("a", "mistral:v99", "There is no tokenizer"),
        ("a", " ", "Choose a tokenizer"),
    ],
)
def test_texts_and_tokenizers_that_cannot_be_taken(text: str, tokenizer: str, sentence: str) -> None:
    with pytest.raises(Refused, match=sentence):
        prepare([Document("text", text)], tokenizer)


def test_rows_are_what_the_codec_gives(single: Prepared) -> None:
    ids = MetaTokenizer.from_pretrained("mistral:v3").encode(TEXT)
    ways = configurations(list(METHODS), ["fast", "default"], [8, None]) + configurations(["inline"], ["max"], [8])
    outcomes = list(comparison.compare(single, ways))
    assert len(outcomes) == len(ways)
    for way, outcome in zip(ways, outcomes, strict=True):
        row = outcome.row
        expected = len(Codec(single.vocab_size, way.meta_tokens, way.method, way.effort).compress(ids))
        assert (row.method, row.effort, row.meta_tokens) == (way.method, way.effort, way.meta_tokens)
        assert (row.original_tokens, row.compressed_tokens, row.bound) == (len(ids), expected, bound(ids))
        assert row.saving == 1 - expected / len(ids)
        assert outcome.lengths == (expected,)
        assert row.exact is True
        assert row.note == ""
        assert row.seconds is not None
        assert row.seconds > 0
        assert row.runs == (1 if way.effort == "max" else RUNS)


def test_several_documents_are_compressed_each_by_itself(single: Prepared, several: Prepared) -> None:
    way = configurations(["inline"], ["default"], [None])
    alone, together = next(comparison.compare(single, way)), next(comparison.compare(several, way))
    assert together.lengths[0] == alone.lengths[0]
    assert together.lengths[1] == len(several.ids[1])  # nothing to gain
    assert together.row.compressed_tokens == sum(together.lengths)
    assert together.row.original_tokens == sum(map(len, several.ids))
    assert several.bound == sum(map(bound, several.ids))
    assert together.row.runs == 1
    assert together.row.exact


def test_max_is_not_tried_on_what_is_too_long() -> None:
    tok = MetaTokenizer.from_pretrained("mistral:v3")
    ids = tok.encode("a b ")
    long = tok.encode("a b " * (MAX_EFFORT_TOKENS // 2))
    assert len(long) > max(MAX_EFFORT_TOKENS, SHORT)
    for documents in ((long,), (ids,) * (MAX_EFFORT_DOCUMENTS + 1)):
        names = ("a",) * len(documents)
        prepared = Prepared("mistral:v3", tok.vocab_size, names, documents, (1,) * len(documents))
        quick, most = comparison.compare(prepared, configurations(["inline"], ["fast", "max"], [512]))
        assert quick.row.runs == 1
        assert quick.row.exact
        assert "not tried: max is for up to 50,000 tokens in up to 20 documents" in most.row.note
        assert (most.row.compressed_tokens, most.row.saving, most.row.seconds, most.row.exact) == (None,) * 4


def test_an_empty_text_has_nothing_to_save() -> None:
    row = next(
        comparison.compare(prepare([Document("", "")], "mistral:v3"), configurations(["ltsc"], ["fast"], [1]))
    ).row
    assert (row.original_tokens, row.compressed_tokens, row.saving, row.bound, row.exact) == (0, 0, 0.0, 0, True)


def test_the_tables_and_the_json(several: Prepared) -> None:
    outcomes = list(comparison.compare(several, configurations(["ltsc", "inline"], ["default"], [64, None])))
    everything = json.loads(json.dumps(comparison.as_json(several, outcomes)))
    assert [document["document"] for document in everything["documents"]] == ["a.py", "=b.py", "c.py"]
    assert [row["compressed"] for row in everything["rows"]] == [list(outcome.lengths) for outcome in outcomes]
    assert sum(document["bound"] for document in everything["documents"]) == everything["bound"] == several.bound
    head, *rows = comparison.documents_table(several, outcomes)
    assert (
        head[3:]
        == [
            "ltsc, default, 64",
            "inline, default, 64",
            "ltsc, default, as many as pay",
            "inline, default, as many as pay",
        ]
        or len(head) == 7
    )
    assert [row[0] for row in rows] == ["a.py", "'=b.py", "c.py"]
    for row, ids, least, *lengths in zip(
        rows, several.ids, several.bounds, *(outcome.lengths for outcome in outcomes), strict=True
    ):
        assert row[1:] == [len(ids), least, *lengths]
    names, *table = comparison.rows_table(outcomes)
    assert len(table) == len(outcomes)
    assert {"method", "effort", "meta_tokens", "compressed_tokens", "saving", "seconds", "exact", "bound"} <= set(names)


# ---- What the page shows, without a browser


def test_what_is_shown_and_written(several: Prepared, tmp_path: Path) -> None:
    pytest.importorskip("gradio")
    from metatok.demo import compare as part

    outcomes = list(comparison.compare(several, configurations(["ltsc", "inline"], ["default"], [64, None])))
    frame = part.rows_frame(outcomes)
    assert list(frame["tokens"]) == [outcome.row.compressed_tokens for outcome in outcomes]
    assert set(frame["exact"]) == {"yes"}
    assert set(frame["pool"]) == {"64", "as many as pay"}
    assert [e == "—" for e in frame["effort"]] == [m == "ltsc" for m in frame["method"]]
    words = part.conclusion(several, outcomes)
    best = min(sum(outcome.lengths) for outcome in outcomes)
    assert words.startswith(f"3 documents with {several.tokens:,} tokens; no grammar has fewer than {several.bound:,}.")
    assert f"The fewest, {best:,}, come from inline" in words
    files = part.write_files(tmp_path, several, outcomes)
    assert [Path(file).name for file in files] == ["comparison.csv", "documents.csv", "comparison.json"]
    with (tmp_path / "comparison.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["compressed_tokens"]) for row in rows] == list(frame["tokens"])
    assert json.loads((tmp_path / "comparison.json").read_text(encoding="utf-8"))["original_tokens"] == several.tokens
    once = comparison.prepare([Document("a", "each word stands here once")], "mistral:v3")
    nothing = list(comparison.compare(once, configurations(["inline"], ["default"], [64])))
    assert part.conclusion(once, nothing).endswith("Nothing is saved: no phrase comes back often enough to pay.")


def test_the_stream_ends_in_files_and_says_what_is_wrong(tmp_path: Path) -> None:
    pytest.importorskip("gradio")
    from metatok.demo.compare import stream

    steps = []
    for step in stream(None, TEXT, "mistral:v3", ["inline", "ltsc"], ["default"], [64, "as many as pay"]):
        steps.append(step)
        if step[4] and isinstance(step[4], list):
            assert [Path(file).stat().st_size > 50 for file in step[4]] == [True, True]
    assert "1 of 4: ltsc, default, 64" in steps[1][1]
    assert "The fewest, " in steps[-1][1]
    assert not Path(steps[-1][4][0]).exists()

    broken = tmp_path / "a.jsonl"
    broken.write_text("{", encoding="utf-8")
    for path, text, methods, sentence in (
        (str(broken), TEXT, ["inline"], "Line 1 of a.jsonl is not JSON"),
        (None, "", ["inline"], "There is no text yet"),
        (None, TEXT, [], "Choose at least one method"),
    ):
        (only,) = stream(path, text, "mistral:v3", methods, ["default"], [64])
        assert sentence in only[0]
        assert 'role="alert"' in only[0]
