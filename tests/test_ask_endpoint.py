"""The endpoint `ask` and what the Ask part says, with a small reader and with none."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
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
from metatok.demo import asking, loading
from metatok.demo.answers import agreement_html, left_html, numbers_html, truth_html
from metatok.demo.asking import LOSSY, stream
from metatok.demo.cards import BUG, message_html
from metatok.demo.drawing import KINDS, new_code, new_example, truth
from metatok.demo.run import Refused
from metatok.lossy import SEGMENT
from metatok.reader import Reader
from metatok.reader.folders import ASSETS, input_limit, trained_on
from metatok.reader.forms import baselines
from metatok.reader.generate import Prompt
from metatok.tasks import repo
from metatok.tasks.base import Sample
from tests.browser.serve import serving

ROOT = Path(__file__).parents[1]
EXAMPLE = new_example(random.Random(5))
TEXT, QUESTION, PATH = EXAMPLE["text"], EXAMPLE["questions"]["inside"], EXAMPLE["questions"]["path"]


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
    loading.forget()
    yield loading.reader()
    loading.forget()


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
        assert (answer[side]["per_token_ms"] > 0) == (expected.statistics.answer_tokens > 1)
    assert answer["lossy"] is None
    assert answer["compressed"]["tokens"] < answer["raw"]["tokens"]


@pytest.mark.parametrize("lossy", LOSSY)
def test_a_lossy_answer_of_the_same_length(client: Client, tiny_reader: Path, lossy: str) -> None:
    model = Reader.from_pretrained(tiny_reader)
    answer = client.predict(TEXT, QUESTION, "ltsc", lossy, api_name="/ask")
    pruned = answer["lossy"]
    assert pruned["method"] == lossy
    assert pruned["tokens"] == answer["compressed"]["tokens"]
    kept = baselines(model, None)[lossy](TEXT, model.tokenizer.encode(TEXT).astype("int64"), pruned["tokens"])
    assert pruned["answer"] == model.ask(Prompt.of(kept), QUESTION).read()
    assert 0 <= pruned["pruning_ms"] < pruned["first_token_ms"] <= pruned["total_ms"]


def test_the_method_has_a_default(client: Client) -> None:
    assert client.predict(TEXT, QUESTION, api_name="/ask")["method"] == "inline"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["", "x"], "There is no text yet"),
        (["a < b", " "], "There is no question yet"),
        ([None, "x"], "must be a string"),
        (["a < b", "x", "zip"], "There is no method 'zip'"),
        (["a < b", "x", "ltsc", "zip"], "There is no lossy method 'zip'"),
        (["a < b", "x", "ltsc", ["zip"]], r"There is no lossy method \['zip'\]"),
        (["x" * 500_001, "x"], "500,001 characters"),
        (["a1b2 " * 2000, "x"], "takes at most 3,840 tokens"),
    ],
)
def test_mistakes_get_a_sentence(client: Client, arguments: list[Any], sentence: str) -> None:
    with pytest.raises(AppError, match=sentence):
        client.predict(*arguments, api_name="/ask")


def test_the_page_streams_all_sides(reader: Reader) -> None:
    shown = list(stream(TEXT, PATH, "ltsc", "selective_context", EXAMPLE))
    message, known, agreement, raw, raw_numbers, compressed, numbers, lossy, lossy_numbers = shown[-1]
    assert message == ""
    assert known == truth_html(EXAMPLE["answers"]["path"])
    assert raw == reader.ask(TEXT, PATH).read()
    assert compressed == reader.ask(TEXT, PATH, "ltsc").read()
    length = len(reader.prepare(TEXT, "ltsc").ids)
    pruned = asking.prune(reader, TEXT, length, "selective_context")
    assert lossy == reader.ask(pruned.prompt, PATH).read()
    assert agreement == agreement_html({"raw": raw, "compressed": compressed, "lossy": lossy})
    for answer, html in ((raw, raw_numbers), (compressed, numbers), (lossy, lossy_numbers)):
        assert f'class="{"right" if answer == EXAMPLE["answers"]["path"] else "wrong"}"' in html
        assert all(f"<dt>{label}</dt>" in html for label in ("prompt tokens", "prefill", "first token after"))
    for html in (numbers, lossy_numbers):
        assert f"<dt>prompt tokens</dt><dd>{length:,}</dd>" in html
    assert left_html(pruned.left) in lossy_numbers
    assert pruned.left != TEXT
    for earlier, later in itertools.pairwise(shown):
        assert all(later[i].startswith(earlier[i]) for i in (3, 5, 7))
    assert any(page[3] and not page[7] for page in shown)


def test_without_a_lossy_prompt_its_side_stays_empty(reader: Reader) -> None:
    last = list(stream(TEXT, QUESTION, "ltsc", None, EXAMPLE))[-1]
    assert last[7:] == ["", ""]
    assert "lossy" not in last[2]


def test_a_time_is_that_of_its_side_alone(reader: Reader) -> None:
    last = list(stream(TEXT, QUESTION, "inline", None, EXAMPLE))
    sides = [page for page in last if page[4] and not page[6]]
    assert sides, "the raw prompt's first token is there before the compressed prompt is read"


def test_closing_ends_the_pruning_between_two_passes(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    passes, ended = [], threading.Event()
    pruned = asking.prune

    def slow(model: Reader, text: str, length: int, lossy: str, go_on: Any) -> Any:
        def counted() -> None:
            passes.append(time.sleep(0.2))
            go_on()

        try:
            return pruned(model, text, length, lossy, counted)
        finally:
            ended.set()

    monkeypatch.setattr(asking, "prune", slow)
    text = "\n".join(f"leaf{i} < parent{i % 9} < root" for i in range(120))
    pages = stream(text, "parent of leaf3", "inline", "llmlingua", EXAMPLE)
    assert any(asking.PRUNING in page[-1] for page in pages)
    pages.close()
    assert ended.wait(20)
    tokens = len(reader.tokenizer.encode(text))
    assert len(passes) < tokens // SEGMENT, "the thread went on to the end"


@pytest.mark.parametrize("good", [0, 2], ids=["raw", "lossy"])
def test_a_first_pass_that_fails_is_said(reader: Reader, caplog: pytest.LogCaptureFixture, good: int) -> None:
    """The raw prompt's, or after the answers from both others that of the lossy one."""
    prefills = []

    def fails(_model: Any, _given: Any, given: dict[str, Any]) -> None:
        prefills.extend([True] * (given["inputs_embeds"].shape[1] > 1))
        if len(prefills) > good:
            raise MemoryError

    hook = reader.model.register_forward_pre_hook(fails, with_kwargs=True)
    try:
        *_, last = stream(TEXT, QUESTION, "ltsc", "random", EXAMPLE)
    finally:
        hook.remove()
    assert last == [message_html(BUG), *[""] * (len(last) - 1)]
    assert "MemoryError" in caplog.text


def test_the_truth_is_told_for_the_example_only(reader: Reader) -> None:
    assert truth(EXAMPLE, TEXT, f" {QUESTION} ") == EXAMPLE["answers"]["inside"]
    assert truth(EXAMPLE, TEXT + " ", QUESTION) is None
    assert truth(EXAMPLE, TEXT, "parent of nobody") is None
    last = list(stream(TEXT, "parent of nobody", "ltsc", None, EXAMPLE))[-1]
    assert "known for the example" in last[1]
    assert not any(word in last[4] for word in ("right", "wrong"))


@pytest.mark.parametrize(("lossy", "note"), [("random", "prompt tokens"), ("llmlingua", "random and truncation")])
def test_what_fits_only_compressed_is_answered_there(reader: Reader, lossy: str, note: str) -> None:
    last = list(stream("a b " * 4000, "depth of a", "inline", lossy, EXAMPLE))[-1]
    assert last[0] == last[3] == ""
    assert last[2] == "", "there is nothing to agree with"
    assert "takes at most 3,840 tokens" in last[4]
    assert "prompt tokens" in last[6]
    assert note in last[8]


def test_the_limit_is_the_same_everywhere(reader: Reader, client: Client) -> None:
    said = f"{reader.limit:,} tokens"
    assert said in part.about_length()
    assert (asking.ask.__doc__ or "").count(said) == 2
    text = "a b " * 4000
    tokens = 1 + len(reader.tokenizer.encode(text))
    with pytest.raises(Refused, match=f"is {tokens:,} tokens of at most {reader.limit:,};"):
        asking.prune(reader, text, 100, "llmlingua")


def test_mistakes_are_sentences_in_the_page(reader: Reader) -> None:
    for text, question in (("", "x"), ("a < b", "")):
        (shown,) = stream(text, question, "inline", None, EXAMPLE)
        assert 'role="alert"' in shown[0]
        assert shown[1:] == [""] * 8


def test_without_weights_the_part_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metatok.reader.folders.ASSETS", tmp_path)
    monkeypatch.delenv("METATOK_READER", raising=False)
    loading.forget()
    assert "No reader is bundled here" in part._no_reader()
    (shown,) = stream(TEXT, QUESTION, "inline", None, EXAMPLE)
    assert "No reader is bundled here" in shown[0]


def test_shown_text_is_escaped() -> None:
    assert "<img" not in truth_html("<img src=x>") + left_html("<img src=x>")


def test_right_and_wrong_are_said_where_they_are_known() -> None:
    numbers = {"tokens": 5, "prefill_ms": 1.0, "per_token_ms": 0.0, "kv_cache_bytes": 0, "finished": True}
    assert "right" not in numbers_html(numbers, None)
    assert "wrong" in numbers_html(numbers, False)
    assert "later" not in numbers_html(numbers, None), "there was no later token"


def test_an_answer_without_a_word_is_said_to_be_one(reader: Reader) -> None:
    def ends_at_once(module: Any, arguments: Any, out: Any) -> None:
        out.logits[..., reader.marks.eos] = 1e9

    *_, shown = stream(TEXT, QUESTION, "inline", "truncation", EXAMPLE)
    assert all((asking.SILENT in numbers) == (not answer.strip()) for answer, numbers in in_pairs(shown[3:]))
    hook = reader.model.register_forward_hook(ends_at_once)
    try:
        *_, shown = stream(TEXT, QUESTION, "inline", "truncation", EXAMPLE)
    finally:
        hook.remove()
    for answer, numbers in in_pairs(shown[3:]):
        assert answer == ""
        assert asking.SILENT in numbers
        assert "✗ wrong" in numbers


def in_pairs(cells: list[Any]) -> list[tuple[Any, Any]]:
    """Pairs of an answer's box and what stands below it."""
    return list(zip(cells[::2], cells[1::2], strict=True))


@pytest.mark.parametrize("compressed", ["yes", "no"])
@pytest.mark.parametrize("lossy", ["yes", "no"])
def test_agreement_is_said_of_each(compressed: str, lossy: str) -> None:
    said = agreement_html({"raw": "yes\n", "compressed": compressed, "lossy": lossy})
    assert said.count("the same answer as") == [compressed, lossy].count("yes")
    assert said.count("another answer than") == [compressed, lossy].count("no")
    assert agreement_html({"compressed": compressed, "lossy": lossy}) == ""


def test_examples_have_all_kinds_of_question() -> None:
    for seed in range(20):
        example = new_example(random.Random(seed))
        assert example["questions"].keys() == example["answers"].keys() == KINDS.keys()
    assert new_example(random.Random(1)) != new_example(random.Random(2))


def test_code_that_fits_is_an_example() -> None:
    lengths: list[int] = []

    def fits(sample: Sample) -> bool:
        lengths.append(len(sample.prompt))
        return lengths[-1] < 5000

    example = new_code(random.Random(2), fits)
    assert len(example["text"]) == lengths[-1] < 5000
    assert max(lengths) >= 5000, "one was too long and passed over"
    (kind,) = example["questions"]
    assert truth(example, example["text"], example["questions"][kind]) == example["answers"][kind]
    with pytest.raises(Refused, match="short enough"):
        new_code(random.Random(2), lambda sample: False)


def test_without_packages_there_is_a_sentence_instead_of_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metatok.tasks.repo.installed", tuple)
    repo.side.cache_clear()
    with pytest.raises(Refused, match=r"^The repository task needs 3 installed packages .* finds 0; .*\.$"):
        new_code(random.Random(1), lambda sample: True)
    repo.side.cache_clear()


def test_the_code_choice_says_what_the_reader_was_trained_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.setenv("METATOK_READER", str(tmp_path))
    for tasks, said in ((["tree"], True), (["tree", "repo"], False), (3, False)):
        (tmp_path / "training.json").write_text(json.dumps({"tasks": tasks}))
        assert ("trees only" in part.about_code()) == said


def test_the_limit_that_is_stated_is_the_readers(reader: Reader, tmp_path: Path) -> None:
    assert input_limit(reader.folder) == reader.limit
    assert f"{reader.limit:,} tokens" in str(part.about_length())
    assert input_limit(tmp_path) is None


def test_an_exported_reader_says_what_it_was_trained_on(tiny_reader: Path) -> None:
    assert trained_on(tiny_reader) == ("tree",)
    assert trained_on(ASSETS)


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


def test_how_near_code_comes_is_told_of_this_reader_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("METATOK_READER", raising=False)
    monkeypatch.setattr(part, "trained_on", lambda folder: ("tree", "repo"))
    monkeypatch.setattr(part, "RESULTS", tmp_path)
    assert part.about_code().endswith("its prompts are long.")
    forms = {"raw": 0.311, "inline": 0.222, "ltsc": 0.133}
    results = {"n": 1234, "results": {name: {"edit_similarity": value} for name, value in forms.items()}}
    (tmp_path / "reader-repo.json").write_text(json.dumps(results))
    assert "on 1,234 held-out prompts what it wrote was 31\N{NO-BREAK SPACE}% like it" in part.about_code()
    assert "22 from inline's, 13 from ltsc's" in part.about_code()
    monkeypatch.setenv("METATOK_READER", str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    assert part.about_code().endswith("its prompts are long.")
