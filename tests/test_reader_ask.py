"""Asking: the stream, its statistics, what is refused, several threads at once, many prompts at once."""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file, save_file  # noqa: E402

from metatok.codec import METHODS  # noqa: E402
from metatok.reader import Reader, ReaderError, bundled  # noqa: E402
from metatok.reader.answer import Answer, whole_characters  # noqa: E402
from metatok.reader.average import average  # noqa: E402
from metatok.reader.batch import SelfInformation, _decode, answers, self_information, wrong_when_expanded  # noqa: E402
from metatok.reader.bpe import ANSWER, BOS, EOS, EXPAND, QUESTION  # noqa: E402
from metatok.reader.data import moved  # noqa: E402
from metatok.reader.export import PHRASE_FILE  # noqa: E402
from metatok.reader.folders import ASSETS, VARIABLE, folder_of  # noqa: E402
from metatok.reader.generate import Prompt  # noqa: E402
from metatok.tasks.base import Sample, get, samples  # noqa: E402

FORMS = (None, *METHODS)


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def reader(tiny_reader: Path) -> Reader:
    return Reader.from_pretrained(tiny_reader)


@pytest.fixture(scope="module")
def lined(tiny_reader: Path, tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """The same reader, whose embeddings are made of the three ids before each one, too."""
    folder = linked(tiny_reader, tmp_path_factory.mktemp("lined"), without=PHRASE_FILE)
    weights = load_file(tiny_reader / PHRASE_FILE)
    width = len(weights["owner"])
    generator = torch.Generator().manual_seed(0)
    weights |= {f"before_{i}": 0.1 * torch.randn(width, width, generator=generator) for i in (1, 2, 3)}
    save_file(weights, folder / PHRASE_FILE)
    return Reader.from_pretrained(folder)


@pytest.fixture(params=["reader", "lined"])
def either(request: pytest.FixtureRequest) -> Reader:
    found: Reader = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def some() -> list[Sample]:
    return list(islice(samples(get("tree"), seed=11), 6))


@pytest.mark.parametrize("method", FORMS)
def test_an_answer_is_what_transformers_generates(reader: Reader, some: list[Sample], method: str | None) -> None:
    """Greedy `generate` of the plain model, given the same embeddings."""
    sample = some[0]
    prompt = reader.prepare(sample.prompt, method)
    asked = [QUESTION, *reader.tokenizer.encode(sample.question), ANSWER]
    embedded = reader.embedding(torch.tensor([[BOS, *prompt.ids, *asked]]))
    if method is not None:
        assert len(prompt.phrases) > 0
        embedded = reader.phrases(embedded, reader.embedding.weight, torch.from_numpy(moved(prompt.phrases, 1)))
    out = reader.model.generate(
        inputs_embeds=embedded, attention_mask=torch.ones(embedded.shape[:2]), max_new_tokens=30, do_sample=False
    )
    answer = reader.ask(sample.prompt, sample.question, method, max_new_tokens=30)
    assert "".join(answer) == answer.text
    s = answer.statistics
    assert reader.tokenizer.encode(answer.text).size > 0
    assert s.answer_tokens == out.shape[1]
    assert answer.text == reader.tokenizer.fragment(out[0, : s.answer_tokens - s.finished].tolist())
    assert (s.input_tokens, s.tokens) == (embedded.shape[1], len(prompt.ids))
    assert s.raw_tokens == len(reader.tokenizer.encode(sample.prompt)) >= s.tokens
    assert 0 < s.prefill_seconds <= s.first_token_seconds <= s.total_seconds
    config = reader.model.config
    kept = s.input_tokens + s.answer_tokens - 1  # the last token is never read
    assert s.kv_cache_bytes == 2 * 4 * config.num_hidden_layers * config.hidden_size * kept


def test_the_plain_form_reads_other_embeddings(reader: Reader, some: list[Sample], tmp_path: Path) -> None:
    prompt = reader.prepare(some[0].prompt, "ltsc")
    plain = reader.prepare(some[0].prompt, "ltsc", phrases=False)
    assert (prompt.ids == plain.ids).all()
    changed = (reader.embed(prompt) != reader.embed(plain)).any(-1)[0]
    assert set(torch.nonzero(changed)[:, 0].tolist()) == set((prompt.phrases[:, 0] + 1).tolist())
    assert torch.equal(reader.embed(plain)[0, 1:], reader.embedding(torch.from_numpy(plain.ids)))

    without = Reader.from_pretrained(linked(reader.folder, tmp_path, without=PHRASE_FILE))
    assert without.phrases is None
    asked = reader.ask(some[0].prompt, some[0].question, "ltsc", phrases=False).read()
    assert without.ask(some[0].prompt, some[0].question, "ltsc").read() == asked


def test_expanding_asks_without_a_question(reader: Reader) -> None:
    text = "alpha beta gamma alpha beta gamma"
    answer = reader.expand(text, "inline")
    said = answer.read()
    prompt = reader.prepare(text, "inline")
    assert answer.statistics.input_tokens == 1 + len(prompt.ids) + 1
    assert answer.statistics.answer_tokens <= len(reader.written(prompt)) + 1
    assert "<" not in said  # meta-tokens are not text
    with pytest.raises(ValueError, match=r"written out, working included.* shorten it to about \d\d % of its length"):
        reader.expand("a1b2 " * 600, None)
    with pytest.raises(TypeError, match="The prompt must be a text, not int"):
        reader.expand(3)  # type: ignore[arg-type]
    assert reader.expand(text).read() == said  # inline, where no method is named


def test_what_is_written_out_is_read_again_with_its_phrases(either: Reader) -> None:
    """The next input of an answer embeds as it would have in the prompt."""
    reader = either
    prompt = reader.prepare("alpha beta gamma alpha beta gamma alpha beta gamma", "inline")
    asked = [EXPAND, *reader.written(prompt)]
    metas = [i for i in asked if i >= reader.tokenizer.vocab_size]
    assert metas
    once = reader.embed(prompt, asked)[0, -len(asked) + 1 :]
    brackets = reader.brackets(prompt, [EXPAND])
    standing = [brackets.stand(token, prompt.before) for token in asked[1:]]
    pairs = zip(asked[1:], standing, strict=True)
    one_by_one = [reader.embed_next([prompt], [[token]], [[stand]])[0] for token, stand in pairs]
    torch.testing.assert_close(once, torch.cat(one_by_one))
    torch.testing.assert_close(once[None], reader.embed_next([prompt], [asked[1:]], [standing]))
    if prompt.before:  # the copy of a phrase is embedded as the phrase itself is, with what stands before it
        start = asked.index(EXPAND, 1)
        first = 2 + prompt.ids.tolist().index(asked[start - 1])
        torch.testing.assert_close(once[start : start + 3], reader.embed(prompt)[0, first : first + 3])
    own = reader.embedding(torch.tensor(asked[1:]))
    changed = (once != own).any(-1).tolist()
    assert all(change for change, token in zip(changed, asked[1:], strict=True) if token in metas)
    assert changed[asked.index(ANSWER) - 1]  # a bracket belongs to its meta-token

    question = reader.question("gamma")
    assert torch.equal(reader.embed(prompt, question)[0, -len(question) :], reader.embedding(torch.tensor(question)))
    two = reader.embed_next([prompt, reader.prepare("alpha")], [[metas[0]]] * 2, [[[-1]], [[metas[0]]]])
    assert torch.equal(two[1, 0], reader.embedding(torch.tensor(metas[0])))  # nothing is known of it there


def test_a_prompt_that_another_reader_prepared(reader: Reader, lined: Reader, some: list[Sample]) -> None:
    """Its embeddings are made of what the one that is asked looks at."""
    question = some[0].question
    for mine, other in ((reader, lined), (lined, reader)):
        for method in FORMS:
            theirs, own = (of.prepare(some[0].prompt, method) for of in (other, mine))
            assert torch.equal(mine.embed(mine.adopted(theirs)), mine.embed(own))
            said = [mine.ask(prompt, question, max_new_tokens=9).read() for prompt in (theirs, own)]
            assert said[0] == said[1] == answers(mine, [(theirs, question)], 9)[0]
            assert wrong_when_expanded(mine, [theirs]) == wrong_when_expanded(mine, [own])
        plain = other.prepare(some[0].prompt, "inline", phrases=False)
        assert torch.equal(mine.embed(mine.adopted(plain)), mine.embed(plain))
    assert not torch.equal(reader.embed(own), lined.embed(lined.adopted(own)))
    theirs, own = (of.prepare("nothing pays here", "inline") for of in (reader, lined))
    assert len(own.phrases) > len(theirs.phrases) == 0
    assert torch.equal(lined.embed(lined.adopted(theirs)), lined.embed(own))


def test_no_answer_is_longer_than_there_are_positions(reader: Reader, some: list[Sample]) -> None:
    longest = reader.prepare_ids(np.tile(reader.tokenizer.encode(some[0].prompt), 99)[: reader.limit - 20])
    answer = reader.ask(longest, "x", max_new_tokens=10**9)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "marks", replace(reader.marks, eos=-1))
        answer.read()
    assert answer.statistics.input_tokens + answer.statistics.answer_tokens == reader.positions
    assert not answer.statistics.finished


def linked(folder: Path, into: Path, without: str = "") -> Path:
    """A folder with links to the files of another."""
    into.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.name != without:
            (into / path.name).symlink_to(path)
    return into


def test_another_reader_may_write_out(reader: Reader, tmp_path: Path) -> None:
    """The one in the folder's `writer`; what is asked it never sees."""
    assert reader.writer is reader
    text = "alpha beta gamma alpha beta gamma"
    both = linked(reader.folder, tmp_path / "both")
    linked(reader.folder, both / "writer", without=PHRASE_FILE)
    with_writer = Reader.from_pretrained(both)
    assert with_writer.phrases is not None
    assert with_writer.writer.phrases is None
    assert with_writer.writer is with_writer.writer
    alone = Reader.from_pretrained(both / "writer").expand(text, "inline")
    assert with_writer.expand(text, "inline").read() == alone.read()
    assert with_writer.ask(text, "parent of a").read() == reader.ask(text, "parent of a").read()

    other = linked(reader.folder, tmp_path / "other")
    linked(ASSETS, other / "writer")
    with pytest.raises(ReaderError, match=r"has another tokenizer or pool than the one .* or remove it"):
        Reader.from_pretrained(other).expand(text, "inline")
    empty = linked(reader.folder, tmp_path / "empty")
    (empty / "writer").mkdir()
    with pytest.raises(ReaderError, match=r"writer holds no config\.json"):
        Reader.from_pretrained(empty).expand(text, "inline")
    broken = linked(reader.folder, tmp_path / "broken")
    (broken / "writer").mkdir()
    (broken / "writer" / "config.json").write_text("{}")
    with pytest.raises(ReaderError, match="cannot be loaded"):
        Reader.from_pretrained(broken).expand(text, "inline")


def test_a_reader_computes_in_bfloat16_where_it_is_told_to(reader: Reader, some: list[Sample], tmp_path: Path) -> None:
    both = linked(reader.folder, tmp_path / "both")
    linked(reader.folder, both / "writer", without=PHRASE_FILE)
    half = Reader.from_pretrained(both, dtype="bfloat16")
    assert (reader.dtype, half.dtype, half.writer.dtype) == ("float32", "bfloat16", "bfloat16")
    assert half.phrases is not None
    tensors = [*half.model.parameters(), *half.phrases.parameters(), *half.writer.model.parameters()]
    assert {tensor.dtype for tensor in tensors} == {torch.bfloat16}
    assert {buffer.dtype for buffer in half.model.buffers()} == {torch.float32}  # rotary frequencies
    for sample in some[:2]:
        prompt = reader.prepare(sample.prompt, "inline")
        asked = reader.question(sample.question)
        with torch.inference_mode():
            here, there = (of.model(inputs_embeds=of.embed(prompt, asked)).logits.float() for of in (reader, half))
        assert 0 < (here - there).abs().mean() < 0.05 * here.abs().mean()
        wide, narrow = (of.ask(prompt, sample.question, max_new_tokens=1) for of in (reader, half))
        wide.read(), narrow.read()
        assert narrow.statistics.kv_cache_bytes == wide.statistics.kv_cache_bytes / 2
    information = [self_information(of, reader.prepare(some[0].prompt).ids.tolist()) for of in (reader, half)]
    assert 0 < np.abs(information[1] - information[0]).mean() < 0.05 * information[0].mean()
    for wrong in ("float16", "", "torch.bfloat16"):
        with pytest.raises(ValueError, match=f"is float32 or bfloat16, and not '{wrong}'"):
            Reader.from_pretrained(both, dtype=wrong)


@pytest.mark.parametrize(
    ("prompt", "question", "method", "words"),
    [
        ("", "parent of a", None, "The prompt is empty"),
        (" \n", "parent of a", "ltsc", "The prompt is empty"),
        ("a < b", " ", None, "The question is empty"),
        ("a < b", "parent of a", "zip", "There is no method 'zip': choose ltsc"),
        ("a1b2 " * 2000, "parent of a", None, r"at most 3,840 tokens, and prompt and question are \d+,\d+ raw"),
        ("".join(f"{i} " for i in range(3000)), "a", "ltsc", "even when compressed: shorten the prompt to about"),
        ("a \ud800 b", "parent of a", None, "lone surrogate"),
        ("a < b", "a1b2 " * 2000, None, r"at most 3,840 tokens, and the question alone is \d+,\d+: shorten it"),
    ],
)
def test_what_cannot_be_asked_gets_a_sentence(
    reader: Reader, prompt: str, question: str, method: str | None, words: str
) -> None:
    with pytest.raises(ValueError, match=words) as refused:
        reader.ask(prompt, question, method)  # at once, before the first piece
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((None, "parent of a"), TypeError, "The prompt must be a text, not NoneType"),
        (("a < b", 5), TypeError, "The question must be a text, not int"),
        (("a < b", "parent of a", None, 0), ValueError, "max_new_tokens must be at least 1, not 0"),
        (("a < b", "parent of a", None, "5"), TypeError, "max_new_tokens must be an integer, not str"),
        ((Prompt.of([1, 2]), "parent of a", "zip"), ValueError, "There is no method 'zip'"),
    ],
)
def test_what_is_no_question_is_refused(
    reader: Reader, arguments: tuple[Any, ...], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        reader.ask(*arguments[:3], **({"max_new_tokens": arguments[3]} if arguments[3:] else {}))


def test_what_is_left_out_of_a_long_prompt_makes_room(reader: Reader) -> None:
    prompt, question = "".join(f"{i} " for i in range(3000)), "parent of " + "a1 " * 800
    with pytest.raises(ValueError, match="shorten the prompt") as refused:
        reader.ask(prompt, question)
    share = int(re.findall(r"about (\d+) %", str(refused.value))[0])
    assert reader.ask(prompt[: len(prompt) * (share - 2) // 100], question).statistics.tokens > 0


def test_text_that_spells_marks_is_plain_text(reader: Reader) -> None:
    asked = reader.question("<|a|><|eos|><|m3|>")
    assert asked[0] == QUESTION
    assert asked[-1] == ANSWER
    assert min(asked[1:-1]) > EXPAND
    assert max(asked) < reader.tokenizer.vocab_size
    assert reader.prepare("<|q|> <|dict|>").ids.max() < reader.tokenizer.vocab_size


@pytest.mark.parametrize("text", ["naïve 🦜🦜 日本語", "👩‍👩‍👧‍👦", "a\ufffdb", "", "plain"])
def test_pieces_are_whole_characters(reader: Reader, text: str) -> None:
    ids = reader.tokenizer.encode(text).tolist()
    pieces = list(whole_characters(ids, reader.tokenizer.fragment))
    assert "".join(pieces) == text
    if "\ufffd" not in text:
        assert not any("\ufffd" in piece for piece in pieces)
    cut = whole_characters(ids[:4], reader.tokenizer.fragment)  # in the middle of a character, perhaps
    assert "".join(cut) == reader.tokenizer.fragment(ids[:4])


def test_an_answer_that_is_closed_decodes_no_more(reader: Reader, some: list[Sample]) -> None:
    answer = reader.ask(some[0].prompt, some[0].question)
    next(answer)
    answer.close()
    assert list(answer) == []
    assert answer.statistics.answer_tokens == 1


def test_threads_do_not_disturb_each_other(reader: Reader, some: list[Sample]) -> None:
    jobs = [(s.prompt, s.question, method) for s in some for method in FORMS]
    alone = [list(reader.ask(*job, max_new_tokens=12)) for job in jobs]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda job: list(reader.ask(*job, max_new_tokens=12)), jobs * 2))
    assert together == alone * 2
    assert len(set(map(tuple, alone))) > 1


def test_many_at_once_are_the_same_as_one_by_one(either: Reader, some: list[Sample]) -> None:
    reader = either
    asked = [(reader.prepare(s.prompt, method), s.question) for s in some for method in FORMS]
    counted: list[int] = []
    together = answers(reader, asked, 12, counted.append)
    assert together == [reader.ask(*job, max_new_tokens=12).read() for job in asked]
    assert sum(counted) == len(asked)


def test_expansions_are_checked_as_decoding_would(either: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    """What greedy decoding writes is right, by definition, and anything else is not."""
    reader = either
    for text in ("alpha beta alpha beta alpha beta", "no no no no no no no", "a/b\na/b/c\na/b/c/d\n"):
        prompt = reader.prepare(text, "inline")
        (written,) = _decode(reader, [(prompt, [EXPAND])], 50)
        if len(written) == 50:  # a reader trained this little may never end: make what it came to last the end
            end = max(set(written), key=written.index)
            monkeypatch.setattr(reader, "marks", replace(reader.marks, eos=end))
            written = written[: written.index(end)]
        wrong = [[*written, 300], *([written[:-1]] if written else [])]
        texts = [written, *wrong]
        monkeypatch.setattr(reader, "written", Mock(side_effect=texts))
        right, longer, *shorter = wrong_when_expanded(reader, [prompt] * len(texts))
        assert right == 0
        assert longer in (1, 2)  # 300 in the place of the end, and the end behind 300, which the model may expect
        assert shorter == [1] * bool(written)  # the end in the place of the last token
        monkeypatch.undo()


class Scripted(torch.nn.Module):
    """A model that says what it is told: for each row of a batch, the ids that follow, whatever is read."""

    def __init__(self, reader: Reader, scripts: Sequence[Sequence[int]], read: Sequence[int]):
        """`read` is how many ids each row has before the first that it is asked for."""
        super().__init__()
        self.config, self.vocabulary = reader.model.config, reader.model.config.vocab_size
        self.scripts, self.read, self.passes = [list(s) for s in scripts], list(read), 0

    def forward(self, inputs_embeds: Any, past_key_values: Any, attention_mask: Any = None, **_: Any) -> Any:
        self.passes += 1
        rows, width, _ = inputs_embeds.shape
        keys = torch.zeros(rows, 1, width, 1)
        keys[:, 0, :, 0] = torch.arange(rows)[:, None] if self.passes == 1 else -1
        known, *_ = [past_key_values.update(keys, keys, i)[0] for i in range(self.config.num_hidden_layers)]
        logits = torch.zeros(rows, 1, self.vocabulary)
        for row in range(rows):
            which = int(known[row, 0, 0, 0])  # the row that it was in the first pass
            seen = known.shape[2] if attention_mask is None else int(attention_mask[row].sum())
            logits[row, 0, self.scripts[which][seen - self.read[which]]] = 1.0
            logits[row, 0, EXPAND] = 2.0  # which no form of a prompt written out asks for
        return SimpleNamespace(logits=logits)


@pytest.mark.parametrize("method", METHODS)
def test_what_is_settled_is_not_asked_for(reader: Reader, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that knows all but what is settled: there it says the end, and everywhere else a barred mark first."""
    monkeypatch.setattr(type(reader), "writer", property(lambda self: self))
    texts = ["ab/cd/ef/gh\n" * k + "cd/ef/gh/ij\n" * 3 for k in (5, 2, 9)]
    prompts = [reader.prepare(text, method) for text in texts]
    written = [reader.written(prompt) for prompt in prompts]
    settled = [reader.settled(prompt, ids) for prompt, ids in zip(prompts, written, strict=True)]
    assert all(any(s) for s in settled)
    scripts = []
    for ids, known in zip(written, settled, strict=True):
        scripts.append([EOS if k else i for i, k in zip(ids, known, strict=True)] + [EOS])
    read = [reader.input_tokens(prompt, [EXPAND]) for prompt in prompts]
    monkeypatch.setattr(reader, "model", Scripted(reader, scripts, read))
    assert _decode(reader, [(prompt, [EXPAND]) for prompt in prompts], 500) == written

    monkeypatch.setattr(reader, "model", Scripted(reader, scripts[:1], read))
    answer = reader.expand(prompts[0], method)
    assert answer.read() == texts[0]
    assert (answer.statistics.answer_tokens, answer.statistics.finished) == (len(written[0]) + 1, True)
    assert reader.model.passes == len(written[0]) + 1 - sum(settled[0])
    closing = written[0].index(ANSWER)
    assert settled[0][closing + 1]
    for room in range(1, closing + 12):  # the first thread does not fit, or does, and so with the mark before it
        monkeypatch.setattr(reader, "model", Scripted(reader, scripts[:1], read))
        answer = Answer(reader, prompts[0], [EXPAND], room, 0.0, expands=True)
        assert texts[0].startswith(answer.read())
        assert (answer.statistics.answer_tokens, answer.statistics.finished) == (room, False)
        monkeypatch.setattr(reader, "model", Scripted(reader, scripts[:1], read))
        assert _decode(reader, [(prompts[0], [EXPAND])], room) == [written[0][:room]]


@pytest.mark.parametrize("method", METHODS)
def test_nothing_follows_the_end(reader: Reader, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that stops where one more token would have completed the phrase in brackets."""
    monkeypatch.setattr(type(reader), "writer", property(lambda self: self))
    text = "ab/cd/ef/gh\n" * 5 + "cd/ef/gh/ij\n" * 3
    prompt = reader.prepare(text, method)
    written, read = reader.written(prompt), reader.input_tokens(prompt, [EXPAND])
    last = written.index(ANSWER) - 1
    assert not reader.settled(prompt, written)[last]
    script = [*written[:last], EOS]
    monkeypatch.setattr(reader, "model", Scripted(reader, [script], [read]))
    answer = reader.expand(text, method)
    assert text.startswith(answer.read())
    assert (answer.statistics.answer_tokens, answer.statistics.finished) == (last + 1, True)
    monkeypatch.setattr(reader, "model", Scripted(reader, [script], [read]))
    assert _decode(reader, [(prompt, [EXPAND])], 500) == [written[:last]]


@pytest.mark.parametrize("method", METHODS)
def test_what_is_settled_counts_neither_as_right_nor_as_wrong(
    reader: Reader, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a model that knows all else, of one that also misses the end, and of one that knows nothing."""
    prompt = reader.prepare("ab/cd/ef/gh\n" * 5 + "cd/ef/gh/ij\n" * 3, method)
    written = reader.written(prompt)
    settled = reader.settled(prompt, written)
    said = [EOS if known else token for token, known in zip(written, settled, strict=True)]
    for tokens, wrong in (
        ([*said, EOS], 0),
        ([*said, written[0]], 1),
        ([EOS] * (len(said) + 1), settled.count(False)),
    ):
        logits = torch.nn.functional.one_hot(torch.tensor(tokens), reader.model.config.vocab_size).float()
        logits[:, EXPAND] = 2.0  # barred wherever anything is asked for
        monkeypatch.setattr("metatok.reader.batch._logits", lambda reader, hidden, logits=logits: logits)
        assert wrong_when_expanded(reader, [prompt]) == [wrong]


def test_self_information_is_of_the_model(reader: Reader, some: list[Sample]) -> None:
    ids = reader.tokenizer.encode(some[0].prompt)[:60].tolist()
    told = self_information(reader, ids)
    with torch.no_grad():
        logits = reader.model(torch.tensor([[BOS, *ids]])).logits[0]
    expected = -torch.log_softmax(logits, -1)[range(60), ids]
    assert told == pytest.approx(expected.numpy(), abs=1e-4)
    assert self_information(reader, ids[25:], before=ids[:25]) == pytest.approx(told[25:], abs=1e-4)
    judge, kept = SelfInformation(reader), ids[:7] + ids[9:20]
    judge(ids)
    for before, segment in ((ids[:30], ids[30:40]), (kept, ids[20:33]), (kept, ids[20:33]), ([], ids[5:]), (ids, ids)):
        assert judge(segment, before) == pytest.approx(self_information(reader, segment, before), abs=1e-4)


def test_a_model_that_sees_the_latest_positions_only_is_judged_too(tmp_path: Path, reader: Reader) -> None:
    """Its cache cannot be cut back once it is past its window."""
    from transformers import MistralConfig, MistralForCausalLM

    torch.manual_seed(0)
    size = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    vocabulary = reader.model.config.vocab_size
    config = MistralConfig(vocab_size=vocabulary, num_key_value_heads=2, sliding_window=8, head_dim=8, **size)
    linked(reader.folder, tmp_path, "model.safetensors")
    for name in ("config.json", PHRASE_FILE):
        (tmp_path / name).unlink()
    MistralForCausalLM(config).save_pretrained(tmp_path)
    windowed = Reader.from_pretrained(tmp_path)
    judge, ids = SelfInformation(windowed), list(range(5, 45))
    judge(ids)
    for before, segment in ((ids[:30], ids[30:40]), (ids[:30], ids[20:33]), ([], ids[5:])):
        assert judge(segment, before) == pytest.approx(self_information(windowed, segment, before), abs=1e-4)


# ---- Finding a reader


def test_half_of_a_repository_in_the_cache_is_not_taken_for_all(
    tmp_path: Path, tiny_reader: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it is left where a tokenizer alone was loaded."""
    repository = tmp_path / "models--nobody--half"
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    linked(tiny_reader, snapshot, "model.safetensors")
    with pytest.raises(ReaderError, match="nobody/half has no whole set of weights"):
        folder_of("nobody/half")
    (snapshot / "model.safetensors").symlink_to(tiny_reader / "model.safetensors")
    assert folder_of("nobody/half") == snapshot
    (snapshot / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-2.safetensors"}}')
    with pytest.raises(ReaderError, match="nobody/half has no whole set of weights"):
        folder_of("nobody/half")


def test_readers_that_cannot_be_had(tmp_path: Path, tiny_reader: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ReaderError, match=r"holds no config\.json"):
        Reader.from_pretrained(tmp_path)
    with pytest.raises(ReaderError, match="neither a folder here nor the id"):
        Reader.from_pretrained("no such thing")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ReaderError, match="could not be downloaded"):
        Reader.from_pretrained("nobody/nothing-of-this-name")

    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with pytest.raises(ReaderError, match=VARIABLE):
        bundled()
    monkeypatch.setenv(VARIABLE, str(tiny_reader))
    assert folder_of(None) == tiny_reader
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setattr("metatok.reader.folders.ASSETS", tmp_path)
    with pytest.raises(ReaderError, match="No reader is bundled here"):
        Reader.from_pretrained()

    for path in tiny_reader.iterdir():
        if path.suffix == ".json":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    with pytest.raises(ReaderError, match="cannot be loaded"):  # no weights
        Reader.from_pretrained(tmp_path)


@pytest.mark.parametrize("torn", [b"", b"torn", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"])
@pytest.mark.parametrize("file", ["model.safetensors", PHRASE_FILE])
def test_torn_weights_are_a_sentence(tiny_reader: Path, tmp_path: Path, file: str, torn: bytes) -> None:
    """As a download that broke off leaves them, or a clone without Git LFS."""
    folder = shutil.copytree(tiny_reader, tmp_path / "reader")
    (folder / file).write_bytes(torn)
    with pytest.raises(ReaderError, match=r"reader cannot be loaded: .+"):
        Reader.from_pretrained(folder)
    with pytest.raises(ValueError, match=f"{file} holds no weights that can be read"):
        average(folder, tiny_reader, tmp_path / "mean", 0.5)


def test_another_language_model_is_no_reader(tmp_path: Path, reader: Reader) -> None:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    reader.model.save_pretrained(tmp_path)
    tokenizer = Tokenizer(models.BPE({c: i for i, c in enumerate("abcdefgh")}, []))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(tmp_path)
    with pytest.raises(ReaderError, match="no reader"):
        Reader.from_pretrained(tmp_path)


@pytest.mark.skipif(not (ASSETS / "config.json").exists(), reason="no reader is bundled")
def test_the_bundled_reader_answers() -> None:
    reader = Reader.from_pretrained(ASSETS)
    sample = next(samples(get("tree"), seed=3))
    for method in FORMS:
        answer = reader.ask(sample.prompt, sample.question, method)
        assert answer.read().strip()
        assert answer.statistics.finished


@pytest.mark.skipif(not (ASSETS / "writer").exists(), reason="no writer is bundled")
def test_the_bundled_writer_writes_small_trees_out() -> None:
    """Nearly all of them: it is far from right by chance, and a changed format would show."""
    reader = Reader.from_pretrained(ASSETS)
    texts = [get("tree").draw(random.Random(seed), size=0.25)[0].prompt for seed in range(2000, 2012)]
    for method in ("ltsc", "inline"):
        wrong = wrong_when_expanded(reader.writer, [reader.prepare(text, method) for text in texts])
        assert wrong.count(0) >= 8, method
    exact = texts[wrong.index(0)]
    answer = reader.expand(exact, "inline")
    assert answer.read() == exact
    prompt = reader.writer.prepare(exact, "inline")
    written = reader.writer.written(prompt)
    assert answer.statistics.answer_tokens == len(written) + 1
    assert any(reader.writer.settled(prompt, written))
    assert _decode(reader.writer, [(prompt, [EXPAND])] * 2, len(written) + 1) == [written] * 2
