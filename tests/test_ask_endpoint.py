"""The endpoint `ask` and what the Ask part says, with a small reader and with none."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio")
pytest.importorskip("torch")

import itertools

from gradio_client import Client
from gradio_client.exceptions import AppError

from metatok.codec import METHODS
from metatok.demo import ask as part
from metatok.demo.ask import KINDS, new_example, numbers_html, stream, truth, truth_html
from metatok.reader import Reader
from tests.browser.serve import serving

ROOT = Path(__file__).parents[1]
EXAMPLE = new_example(random.Random(5))
TEXT, QUESTION = EXAMPLE["text"], EXAMPLE["questions"]["inside"]


@pytest.fixture(scope="module")
def client(tiny_reader: Path) -> Iterator[Client]:
    with serving(METATOK_READER=str(tiny_reader)) as app:
        connected = Client(app.url, verbose=False)
        yield connected
        connected.close()
        log = app.log.read_text()
        assert "Traceback" not in log
        assert TEXT.split()[0].rstrip(":") not in log, "a user's text is in the log"


@pytest.fixture
def reader(tiny_reader: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    """This process's bundled reader is the small one."""
    monkeypatch.setenv("METATOK_READER", str(tiny_reader))
    part._loaded.cache_clear()
    yield part.reader()
    part._loaded.cache_clear()


@pytest.mark.parametrize("method", METHODS)
def test_both_answers(client: Client, tiny_reader: Path, method: Any) -> None:
    model = Reader.from_pretrained(tiny_reader)
    answer = client.predict(TEXT, QUESTION, method, api_name="/ask")
    assert answer["method"] == method
    for side, way in (("raw", None), ("compressed", method)):
        expected = model.ask(TEXT, QUESTION, way)
        assert answer[side]["answer"] == expected.read()
        assert answer[side]["tokens"] == expected.statistics.tokens
        assert answer[side]["kv_cache_bytes"] == expected.statistics.kv_cache_bytes
        assert answer[side]["finished"] == expected.statistics.finished
        assert 0 < answer[side]["prefill_ms"] <= answer[side]["first_token_ms"] <= answer[side]["total_ms"]
    assert answer["compressed"]["tokens"] < answer["raw"]["tokens"]


def test_the_method_has_a_default(client: Client) -> None:
    assert client.predict(TEXT, QUESTION, api_name="/ask")["method"] == "inline"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["", "x"], "There is no text yet"),
        (["a < b", " "], "There is no question yet"),
        ([None, "x"], "must be a string"),
        (["a < b", "x", "zip"], "There is no method 'zip'"),
        (["x" * 500_001, "x"], "500,001 characters"),
        (["a1b2 " * 2000, "x"], "takes at most 3,840 tokens"),
    ],
)
def test_mistakes_get_a_sentence(client: Client, arguments: list[Any], sentence: str) -> None:
    with pytest.raises(AppError, match=sentence):
        client.predict(*arguments, api_name="/ask")


def test_the_page_streams_both_sides(reader: Reader) -> None:
    shown = list(stream(TEXT, QUESTION, "ltsc", EXAMPLE))
    message, known, raw, raw_numbers, compressed, compressed_numbers = shown[-1]
    assert message == ""
    assert known == truth_html(EXAMPLE["answers"]["inside"])
    assert raw == reader.ask(TEXT, QUESTION).read()
    assert compressed == reader.ask(TEXT, QUESTION, "ltsc").read()
    right = "right" if raw == EXAMPLE["answers"]["inside"] else "wrong"
    assert f'class="{right}"' in raw_numbers
    assert f"{len(reader.prepare(TEXT, 'ltsc').ids):,} prompt tokens" in compressed_numbers
    for earlier, later in itertools.pairwise(shown):
        assert later[2].startswith(earlier[2])
        assert later[4].startswith(earlier[4])


def test_the_truth_is_told_for_the_example_only(reader: Reader) -> None:
    assert truth(EXAMPLE, TEXT, f" {QUESTION} ") == EXAMPLE["answers"]["inside"]
    assert truth(EXAMPLE, TEXT + " ", QUESTION) is None
    assert truth(EXAMPLE, TEXT, "parent of nobody") is None
    last = list(stream(TEXT, "parent of nobody", "ltsc", EXAMPLE))[-1]
    assert "known for the example" in last[1]
    assert not any(word in last[3] for word in ("right", "wrong"))


def test_what_fits_only_compressed_is_answered_there(reader: Reader) -> None:
    message, _, raw, raw_numbers, _compressed, numbers = list(stream("a b " * 4000, "depth of a", "inline", EXAMPLE))[
        -1
    ]
    assert (message, raw) == ("", "")
    assert "takes at most 3,840 tokens" in raw_numbers
    assert "prompt tokens" in numbers


def test_mistakes_are_sentences_in_the_page(reader: Reader) -> None:
    for text, question in (("", "x"), ("a < b", "")):
        (shown,) = stream(text, question, "inline", EXAMPLE)
        assert 'role="alert"' in shown[0]
        assert shown[1:] == [""] * 5


def test_without_weights_the_part_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metatok.reader.folders.ASSETS", tmp_path)
    monkeypatch.delenv("METATOK_READER", raising=False)
    part._loaded.cache_clear()
    assert "No reader is bundled here" in part._no_reader()
    (shown,) = stream(TEXT, QUESTION, "inline", EXAMPLE)
    assert "No reader is bundled here" in shown[0]


def test_shown_text_is_escaped() -> None:
    assert "<img" not in truth_html("<img src=x>")
    numbers = {"tokens": 5, "prefill_ms": 1.0, "kv_cache_bytes": 0, "finished": True}
    assert "right" not in numbers_html(numbers, None)
    assert "wrong" in numbers_html(numbers, False)


def test_examples_have_all_kinds_of_question() -> None:
    for seed in range(20):
        example = new_example(random.Random(seed))
        assert example["questions"].keys() == example["answers"].keys() == KINDS.keys()
    assert new_example(random.Random(1)) != new_example(random.Random(2))


def test_the_page_is_built_without_torch() -> None:
    code = "import sys; from metatok import demo; demo.build(); assert not {'torch', 'transformers'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_the_introduction_tells_the_measured_accuracy_of_this_reader_only(
    tiny_reader: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("METATOK_READER", raising=False)
    results = json.loads((ROOT / "assets" / "results" / "reader-tree.json").read_text(encoding="utf-8"))
    said = part.measured()
    assert f"On {results['n']:,} held-out examples" in said
    for form in ("raw", "inline", "ltsc"):
        assert f"{100 * results['results'][form]['exact_match']:.0f}\N{NO-BREAK SPACE}%" in said
    monkeypatch.setenv("METATOK_READER", str(tiny_reader))
    assert part.measured() == ""
    monkeypatch.setenv("METATOK_READER", str(tiny_reader / "nothing"))
    assert part.measured() == ""
