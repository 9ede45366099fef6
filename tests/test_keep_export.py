"""Parts that stay raw, from what the browser says to the codec; and what a person takes away, read back."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from metatok.codec import METHODS
from metatok.container import pack, unpack
from metatok.demo import run as runs
from metatok.demo.run import Refused
from metatok.tokenizer import MetaTokenizer
from metatok.views import export as exports
from metatok.views import keep as keeps
from metatok.views.export import KINDS, delivery, export
from metatok.views.keep import keep_ranges
from metatok.views.tokens import view_data

LINES = "".join(f"/usr/share/doc/package-{i % 7}/changelog.Debian.gz {i}\n" for i in range(60))
MIXED = 'a "quoted", cell;\r\n=1+1 🦜 日本 \x00 <script>${1+1}</script>\n' * 5


# ---- Parts that stay raw


def boxed(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


@pytest.mark.parametrize("text", [LINES, MIXED, "\r\n🦜\r\r\n\n日本\r", "🦜" * 5])
def test_what_a_text_box_counts_is_found_in_the_text(text: str) -> None:
    box = boxed(text).encode("utf-16-le")
    units = len(box) // 2
    for start in range(0, units, 3):
        for stop in (start, start + 1, (start + units) // 2, units):
            if start > stop:
                continue
            part = box[2 * start : 2 * stop].decode("utf-16-le", "ignore")  # half of a character is widened
            ((first, last),) = keep_ranges(f"[[{start}, {stop}]]", text)
            assert 0 <= first <= last <= len(text) or start == stop
            assert part in boxed(text[first:last])
            assert len(boxed(text[first:last])) <= len(part) + 2


@pytest.mark.parametrize(
    "value",
    ["{", "[1]", "[[1]]", '[["a", "b"]]', "[[0, 99]]", "[[-1, 2]]", "[[3, 2]]", "{}x", "[[1e99, 2]]", "[" * 9999],
)
def test_parts_that_cannot_be_gets_a_sentence(value: str) -> None:
    with pytest.raises(ValueError, match=r"^The parts that stay raw could not be read"):
        keep_ranges(value, "spam")


@pytest.mark.parametrize("method", METHODS)
def test_kept_parts_stay_raw(method: Any) -> None:
    keep = [[100, 400], [350, 500], [1000, 1001]]
    result = runs.run(LINES, "mistral:tekken", method, 512, keep)
    owner = result.compressed.owner
    assert all((owner[start:stop] == -1).all() for start, stop in result.kept)
    assert result.summary["exact"]
    assert (
        result.summary["compressed_tokens"]
        > runs.run(LINES, "mistral:tekken", method, 512).summary["compressed_tokens"]
    )
    ends = result.tokenizer.encode_with_offsets(LINES)[1].tolist()
    assert len(result.kept) == 2, "what overlaps is one"
    assert ends[result.kept[0][0]] > 100
    assert ends[result.kept[0][1] - 1] >= 500
    data = view_data(result.tokenizer, LINES, result.compressed, kept=result.kept, limit=150)
    assert data["kept"] == [min(at, 150) for part in result.kept if part[0] < 150 for at in part]


@pytest.mark.parametrize(
    ("keep", "sentence"),
    [
        ([[0, 5]], r"\[0, 5\] is not inside the text of 4 characters"),
        ([[2, 1]], "not inside"),
        ([[0]], "two whole numbers"),
        ([[0, 1.5]], "two whole numbers"),
        ([[0, True]], "two whole numbers"),
        ("all", "must be a list"),
        (5, "must be a list"),
        ([[0, 1]] * 10_001, "10,000 is the most"),
    ],
)
def test_parts_of_a_program_are_checked(keep: Any, sentence: str) -> None:
    with pytest.raises(Refused, match=sentence):
        runs.run("spam", "mistral:v3", "inline", 512, keep)


def test_a_file_keeps_what_is_kept() -> None:
    tok = MetaTokenizer.from_pretrained("mistral:tekken")
    data = LINES.encode()
    kept = pack(data, tok, keep=[(0, 2000)])
    assert unpack(kept) == data
    assert json.loads(kept)["ids"] == tok.compress(LINES, keep=[(0, 2000)]).ids.tolist()
    assert len(json.loads(kept)["ids"]) > len(json.loads(pack(data, tok))["ids"])


# ---- What a person takes away


def exported(kind: str, text: str, method: str, keep: Any = None) -> tuple[runs.Result, str]:
    r = runs.run(text, "mistral:tekken", method, 512, keep)
    return r, export(kind, r.tokenizer, r.text, r.compressed, r.summary, r.keep)


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("text", [LINES, MIXED, "one"])
def test_everything_taken_away_can_be_read_back(text: str, method: str) -> None:
    keep = [[0, 2]]
    r, document = exported("compressed.json", text, method, keep)
    found = json.loads(document)
    tok = MetaTokenizer.from_pretrained(found["tokenizer"], method=found["method"], meta_tokens=found["meta_tokens"])
    assert found["vocab_size"] == tok.vocab_size
    assert tok.decompress(found["ids"]) == text
    assert found["original_tokens"] == r.compressed.original_length

    rows = table(exported("compressed.csv", text, method, keep)[1])
    assert [int(row["id"]) for row in rows] == found["ids"]
    assert [int(row["position"]) for row in rows] == list(range(len(rows)))
    kinds = [
        ("token" if i < tok.vocab_size else "meta-token" if i >= tok.codec.first_meta else "mark") for i in found["ids"]
    ]
    assert [row["kind"] for row in rows] == kinds
    written = [row["writes"] for row in rows]
    assert sum(map(bool, written)) + kinds.count("mark") == r.compressed.dictionary_length
    if "\ufffd" not in "".join(tok.pieces(found["ids"])):
        assert [row["text"] for row in rows] == tok.pieces(found["ids"])

    phrases = json.loads(exported("dictionary.json", text, method, keep)[1])
    assert [{k: v for k, v in p.items() if k != "definition"} for p in phrases] == r.summary["phrases"]
    assert all(tuple(p["definition"]) == r.compressed.definitions[p["id"]] for p in phrases)
    rows = table(exported("dictionary.csv", text, method, keep)[1])
    assert [(row["meta"], row["text"], int(row["saved"])) for row in rows] == [
        (p["meta"], p["text"], p["saved"]) for p in phrases
    ]

    numbers = json.loads(exported("summary.json", text, method, keep)[1])
    assert numbers == {name: value for name, value in r.summary.items() if name != "phrases"}
    assert {row["name"] for row in table(exported("summary.csv", text, method, keep)[1])} == set(numbers)

    _, document = exported("prompt.mtk", text, method, keep)
    assert unpack(document.encode()).decode() == text
    assert json.loads(document)["ids"] == found["ids"]


def test_a_delivery_is_new_each_time_and_holds_no_markup() -> None:
    first, second = delivery("copy", "summary.csv", MIXED), delivery("copy", "summary.csv", MIXED)
    assert first != second, "the browser acts when the value changes"
    assert "<" not in first
    assert json.loads(first)["text"] == MIXED
    assert {kind.rsplit(".", 1)[1] for kind in KINDS} == {"json", "csv", "mtk"}


def test_assets_are_not_templates() -> None:
    for module in (keeps, exports):
        for asset in (module.TEMPLATE, module.CSS):
            assert not any(sign in asset for sign in ("{{", "${", "`", "\\"))
        for unsafe in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert unsafe not in module.JAVASCRIPT
