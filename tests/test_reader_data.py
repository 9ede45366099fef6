"""The reader's tokenizer and its training examples: exact, never a space in a word, and what they say of themselves."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metatok import Codec, MetaTokenizer, reader
from metatok.codec import METHODS, Method
from metatok.pool import phrase_length
from metatok.reader.bpe import (
    ANSWER,
    BOS,
    EOS,
    EXPAND,
    META_TOKENS,
    PAD,
    QUESTION,
    VOCAB_SIZE,
    save_tokenizer,
    texts,
    train_bpe,
)
from metatok.reader.config import Config, DataConfig, from_dict, load_config
from metatok.reader.data import Example, check_names, cut, make_example, pack, pool_of_batches, renaming, word_ids
from metatok.reader.written import THREAD, Brackets, lines_before, read_back, roles, written_out
from metatok.tasks.base import get, samples

TREE = get("tree")
ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> MetaTokenizer:
    folder = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(train_bpe(texts(0)), folder)
    return MetaTokenizer.from_pretrained(folder, local_only=True)


def example(
    tokenizer: MetaTokenizer, form: Method | None, seed: int = 0, expand: bool = False, before: int = 0
) -> Example:
    drawn = TREE.draw(random.Random(seed), questions=4)
    return make_example(tokenizer, drawn, DataConfig(before=before), random.Random(seed), form, expand=expand)


def test_sizes_of_the_vocabulary(tokenizer: MetaTokenizer) -> None:
    assert (tokenizer.vocab_size, tokenizer.codec.n_added) == (VOCAB_SIZE, META_TOKENS + 2)
    assert len(tokenizer.hf) == 4096


def test_no_token_joins_a_space_and_a_word(tokenizer: MetaTokenizer) -> None:
    pieces = tokenizer.pieces(range(6, VOCAB_SIZE))
    assert not [p for p in pieces if any(c.isspace() for c in p) and any(c.isalnum() for c in p)]
    assert max(sum(c.isdigit() for c in p) for p in pieces) == 1


@pytest.mark.parametrize(
    "text",
    ["", " ", "\r\n\t x", "naïve 日本語 🙂 e\u0301", "<|q|><|m3|>", "a" * 3000, "\x00\u2028", "XMLParser2_getURL"],
)
def test_the_tokenizer_is_exact(tokenizer: MetaTokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert not len(ids) or ids.min() > EXPAND, "text never becomes a special token"


def test_a_name_is_the_same_tokens_everywhere(tokenizer: MetaTokenizer) -> None:
    name = tokenizer.encode("vault-keeper7").tolist()
    for before, after in (
        ("\n", " < app"),
        ("  <member>", "</member>"),
        ("parent of ", ""),
        ("a/b/", ":"),
        ('="', ","),
    ):
        assert (
            tokenizer.encode(before + "vault-keeper7" + after).tolist()[len(tokenizer.encode(before)) :][: len(name)]
            == name
        ), (before, after)


def test_savings_on_the_mix(tokenizer: MetaTokenizer) -> None:
    ids = [tokenizer.encode(s.prompt) for s in islice(samples(TREE, seed=8), 300)]
    lengths = np.array([len(i) for i in ids])
    assert np.percentile(lengths, 2) > 100
    assert np.percentile(lengths, 98) < 850
    saving = {
        m: float(np.mean([Codec(VOCAB_SIZE, META_TOKENS, m).compress(i).saving for i in ids]))
        for m in ("ltsc", "inline")
    }
    assert saving["ltsc"] > 0.27
    assert saving["inline"] > saving["ltsc"] + 0.15


@pytest.mark.parametrize("form", [None, "ltsc", "inline"])
def test_an_example_holds_prompt_questions_and_answers(tokenizer: MetaTokenizer, form: Method | None) -> None:
    drawn = TREE.draw(random.Random(0), questions=4)
    e = example(tokenizer, form)
    start = int((e.segment == 0).sum())
    assert e.ids[0] == BOS
    prompt = e.ids[1:start]
    raw = tokenizer.encode(drawn[0].prompt)
    if form is None:
        np.testing.assert_array_equal(prompt, raw)
    else:
        assert len(prompt) < len(raw)
        np.testing.assert_array_equal(Codec(VOCAB_SIZE, META_TOKENS, form).decompress(prompt), raw)
    for number, sample in enumerate(drawn, 1):
        part = e.ids[e.segment == number].tolist()
        a = part.index(ANSWER)
        assert (part[0], part[-1]) == (QUESTION, EOS)
        assert tokenizer.decode(part[1:a]) == sample.question
        assert tokenizer.decode(part[a + 1 : -1]) == sample.written
        assert e.position[e.segment == number].tolist() == list(range(start, start + len(part)))
        weight = e.weight[e.segment == number].tolist()
        assert weight[: a + 1] == [0.0] * (a + 1)
        before = (", ", " < ", ": ")
        begins = [k for k in range(a + 1, len(part)) if k == a + 1 or tokenizer.fragment(part[k - 1 : k]) in before]
        assert [k for k, w in enumerate(weight) if w == 3.0] == begins
        assert weight.count(1.0) == len(part) - a - 1 - len(begins)
    assert (e.weight[:start] > 0).sum() == (e.weight[start:] > 0).sum()


def test_prompts_that_are_text_are_predicted_at_all_places(tokenizer: MetaTokenizer) -> None:
    """But for meta-tokens, which are drawn at random; and their words stay what they are."""
    drawn = TREE.draw(random.Random(0), questions=4)
    e, few = (make_example(tokenizer, drawn, DataConfig(), random.Random(0), "ltsc", text_weight=w) for w in (0.5, 0.0))
    prompt = e.segment == 0
    np.testing.assert_array_equal(e.ids, few.ids)
    np.testing.assert_array_equal(e.weight[~prompt], few.weight[~prompt])
    predicted = e.ids[prompt] < VOCAB_SIZE
    predicted[0] = False  # the mark in front
    np.testing.assert_array_equal(e.weight[prompt], np.where(predicted, np.float32(0.5), 0))

    def raw_prompts(config: DataConfig) -> set[str]:
        batches = pool_of_batches([TREE], tokenizer, replace(config, compressed_share=0.0), 1, 0, size=0.0)
        return {tokenizer.decode(b.ids[i, b.segment[i] == 0][1:]) for b in batches for i in range(len(b.ids))}

    written = raw_prompts(DataConfig(renamed_share=0.0))
    assert raw_prompts(DataConfig(text_weights={"tree": 0.5}, renamed_share=1.0)) == written
    assert not raw_prompts(DataConfig(renamed_share=1.0)) & written


@pytest.mark.parametrize("form", ["ltsc", "inline"])
def test_phrases_name_their_tokens_and_their_tokens_name_them(tokenizer: MetaTokenizer, form: Method) -> None:
    e = example(tokenizer, form)
    codec = Codec(VOCAB_SIZE, META_TOKENS, form)
    places, related, owners = e.phrases[:, 0], e.phrases[:, 1:-1], e.phrases[:, -1]
    metas = np.flatnonzero(e.ids >= codec.first_meta)
    assert places[related[:, 0] >= 0].tolist() == metas.tolist()
    assert len(metas) > 5
    assert related.max() < VOCAB_SIZE
    assert set(owners) - {-1} == set(e.ids[metas])
    if form == "ltsc":  # its dictionary stands in front, and a meta-token in front of its phrase
        for at, owner in e.phrases[owners != -1][:, [0, -1]]:
            assert e.ids[metas[metas < at][-1]] == owner


@pytest.mark.parametrize("method", METHODS)
def test_expand_asks_for_the_prompt_written_out(tokenizer: MetaTokenizer, method: Method) -> None:
    e = example(tokenizer, method, expand=True)
    asked = e.ids[e.segment == 1].tolist()
    prompt = TREE.draw(random.Random(0), questions=4)[0].prompt
    assert (asked[0], asked[-1]) == (EXPAND, EOS)
    written = asked[1:-1]
    metas = np.unique(e.ids[e.ids >= VOCAB_SIZE + 2])
    assert set(metas) == {i for i in written if i >= VOCAB_SIZE + 2} == set(e.ids[e.segment == 0]) & set(metas)
    codec = Codec(VOCAB_SIZE, META_TOKENS, method)
    assert tokenizer.decode(list(read_back(written, VOCAB_SIZE, Brackets(EXPAND, ANSWER, codec)))) == prompt
    settled = roles(written, Brackets(EXPAND, ANSWER, codec))[1]
    assert 0.2 < np.mean(settled) < 0.7
    assert (e.weight[e.segment == 1] > 0).tolist() == [False, *(not known for known in settled), True]


@pytest.mark.parametrize("method", METHODS)
def test_what_is_written_is_embedded_as_what_is_read(tokenizer: MetaTokenizer, method: Method) -> None:
    """Meta-tokens with their phrases, and what stands in brackets with the meta-token before them."""
    e = example(tokenizer, method, expand=True)
    metas = np.flatnonzero(e.ids >= VOCAB_SIZE + 2)
    rows = {int(row[0]): row[1:].tolist() for row in e.phrases}
    assert len(rows) == len(e.phrases)
    assert sorted(at for at, row in rows.items() if row[0] >= 0) == metas.tolist()
    read = {int(e.ids[at]): rows[at][:-1] for at in metas if e.segment[at] == 0}
    assert all(rows[at][:-1] == read[int(e.ids[at])] for at in metas)
    answer = np.flatnonzero(e.segment == 1)[1:]
    bracket: list[int] = []
    reading = Brackets(EXPAND, ANSWER, Codec(VOCAB_SIZE, META_TOKENS, method))
    for at, repeated in zip(answer, in_threads(e.ids[answer].tolist(), reading), strict=True):
        if repeated:
            continue
        if e.ids[at] == EXPAND:
            bracket.append(int(e.ids[at - 1]))
        if bracket:
            assert rows[int(at)][-1] == bracket[-1]
        if e.ids[at] == ANSWER:
            bracket.pop()
    assert not bracket


OPENING, CLOSING = 8, 9


def brackets(method: Method) -> Brackets:
    return Brackets(OPENING, CLOSING, Codec(10, 64, method))


def in_threads(written: list[int], reading: Brackets) -> list[bool]:
    """Which ids take up a thread."""
    found = []
    for symbol in written:
        found.append(bool(reading.thread))
        reading.write(symbol)
    return found


REPETITIVE = st.tuples(
    st.lists(st.lists(st.integers(0, 7), min_size=1, max_size=7), min_size=1, max_size=4),
    st.lists(st.integers(0, 3), max_size=30),
).map(lambda drawn: [i for block in drawn[1] for i in drawn[0][block % len(drawn[0])]])
"""A few blocks of ids, one after the other in any order."""


@settings(max_examples=300, deadline=None)
@given(
    ids=REPETITIVE,
    method=st.sampled_from(METHODS),
    pool=st.sampled_from([1, 4, 64]),
    seed=st.integers(0, 9),
)
def test_what_is_written_out_reads_back(ids: list[int], method: Method, pool: int, seed: int) -> None:
    """Each later use of a meta-token is its phrase in brackets, and then what was written before them."""
    compressed = Codec(10, pool, method).compress(ids, seed=seed)
    written = written_out(compressed, OPENING, CLOSING)
    assert list(read_back(written, 10, brackets(method))) == ids
    open_places: list[int] = []
    standing, repeated = roles(written, brackets(method))[0], in_threads(written, brackets(method))
    owners = [owner for (owner,) in standing]
    levels: list[list[int]] = [[]]  # what is written in each of the open brackets, after their meta-token
    for place, symbol in enumerate(written):
        if repeated[place]:
            continue
        if symbol == OPENING:
            open_places.append(place)
            levels.append(levels[-1][-1:])
        elif symbol == CLOSING:
            opened = open_places.pop()
            meta = written[opened - 1]
            phrase = tuple(read_back(written[opened - 1 : place + 1], 10, brackets(method)))
            assert phrase == compressed.phrases[meta]
            end = place + THREAD + 2
            assert [*repeated, False][place : end + 1] == [False, *[True] * (THREAD + 1), False]
            thread = [i for i in written[place + 1 : end] if i != OPENING]
            assert written[place + 1 : end] == [OPENING] * (THREAD + 1 - len(thread)) + thread
            assert owners[opened] == meta == thread[-1]
            assert owners[place : end - 1] == [meta] * (THREAD + 1)
            assert owners[end - 1] == (written[open_places[-1] - 1] if open_places else -1)
            levels.pop()
            assert levels[-1][-len(thread) :] == thread
            if len(thread) <= THREAD:  # it begins where the body does, or the phrase that it is in
                assert thread == levels[-1] or thread[0] >= 10
        else:
            levels[-1].append(symbol)
    assert not open_places


@settings(max_examples=300, deadline=None)
@given(
    ids=REPETITIVE,
    method=st.sampled_from(METHODS),
    seed=st.integers(0, 9),
)
def test_what_stands_before_an_id_is_the_same_read_and_written(ids: list[int], method: Method, seed: int) -> None:
    """Outside of brackets, place by place; and each id that has to be found stands somewhere in the prompt as here. An
    opening mark has the meta-token alone before it, as what begins its phrase has."""
    compressed = Codec(10, 64, method).compress(ids, seed=seed)
    written = written_out(compressed, OPENING, CLOSING)
    read = lines_before(compressed, 5).tolist()
    standing, repeated = roles(written, brackets(method), 5)[0], in_threads(written, brackets(method))
    assert [stand[:1] for stand in standing] == roles(written, brackets(method))[0]
    there = list(zip(compressed.ids.tolist(), read, strict=True))
    body, depth = [], 0
    for symbol, (owner, *before), known in zip(written, standing, repeated, strict=True):
        depth += (symbol == OPENING) - (symbol == CLOSING) if not known else 0
        if not known and symbol not in (OPENING, CLOSING):
            assert (symbol, before) in there
            if not depth:
                body.append((symbol, before))
        if not known and symbol == OPENING:
            assert before == [owner, -1, -1, -1, -1] != [-1] * 5
    start = next((i for i, owner in enumerate(compressed.defines) if owner == -1), 0) if method != "inline" else 0
    assert body == there[start:]


def check_settled(ids: list[int], method: Method, pool: int | None, seed: int) -> None:
    """What is settled follows, and what is barred does not; of marks only closing ones are asked for, and in `inline`
    none."""
    codec = Codec(10, pool, method)
    written, end = written_out(codec.compress(ids, seed=seed), OPENING, CLOSING), -1
    repeated = in_threads([*written, end], Brackets(OPENING, CLOSING, codec))
    reading, asked, depth = Brackets(OPENING, CLOSING, codec), [], 0
    for symbol, in_thread in zip([*written, end], repeated, strict=True):
        if reading.follows is None:
            may_close = depth > 0 and method != "inline"
            assert set(reading.barred) == ({OPENING} if may_close else {OPENING, CLOSING})
            assert symbol not in reading.barred
            asked.append(symbol)
        else:
            assert symbol == reading.follows
        reading.write(symbol)
        depth += (symbol == OPENING and not in_thread) - (symbol == CLOSING)
    assert depth == 0
    assert asked.count(CLOSING) == (0 if method == "inline" else written.count(CLOSING))
    assert roles(written, Brackets(OPENING, CLOSING, codec))[1].count(False) == len(asked) - 1


@settings(max_examples=300, deadline=None)
@given(
    ids=REPETITIVE,
    method=st.sampled_from(METHODS),
    pool=st.sampled_from([1, 4, 64]),
    seed=st.integers(0, 9),
)
def test_what_is_settled_follows_and_what_is_barred_does_not(
    ids: list[int], method: Method, pool: int, seed: int
) -> None:
    check_settled(ids, method, pool, seed)


@pytest.mark.parametrize("pool", [1, 4, 64, None])
@pytest.mark.parametrize("method", METHODS)
def test_what_is_settled_in_a_long_text(method: Method, pool: int | None) -> None:
    check_settled([int(i) for i in np.random.default_rng(0).integers(0, 3, 400)], method, pool, 0)


def test_nothing_is_settled_of_what_was_never_written() -> None:
    """What a model may write wrongly: a meta-token for the first time in brackets, or in brackets of something else."""
    meta, other = 12, 20
    length = phrase_length(meta - 10)
    phrase = [meta, *range(length)]

    def after(*written: int) -> int | None:
        reading = brackets("inline")
        for symbol in written:
            reading.write(symbol)
        return reading.follows

    assert after(*phrase, meta) == OPENING
    assert after(*phrase, meta, OPENING, other) is None  # its phrase may be written down here
    assert after(1, OPENING, *phrase, CLOSING, *[OPENING] * 4, 1, 2, 3, meta) is None  # or here, out of brackets
    assert after(1, *phrase, 2, OPENING, meta) is None  # nobody knows where in the prompt this stands
    for raw in (Brackets(-1, -1), Brackets(OPENING, CLOSING)):
        for symbol in (75, OPENING, 75):
            raw.write(symbol)
            assert (raw.follows, raw.barred) == (None, [])


@pytest.mark.parametrize("method", METHODS)
def test_rows_with_what_stands_before(tokenizer: MetaTokenizer, method: Method) -> None:
    """One for every id of the prompt and of it written out; the other columns are those of rows without it."""
    without = example(tokenizer, method, expand=True)
    e = example(tokenizer, method, expand=True, before=3)
    assert e.phrases.shape[1] == without.phrases.shape[1] + 3
    rows = {int(row[0]): row[1:].tolist() for row in e.phrases}
    at = [i for i, symbol in enumerate(e.ids) if e.segment[i] == 0 and i > 0]
    assert set(at) <= rows.keys()
    assert all(rows[int(row[0])][:-3] == row[1:].tolist() for row in without.phrases)
    assert {int(row[0]) for row in without.phrases} == {i for i, row in rows.items() if max(row[:-3]) >= 0}
    body = [i for i in at[4:] if rows[i][-1] >= 0][-1]
    assert rows[body][-3:] == e.ids[body - 3 : body][::-1].tolist()
    batch = pack([e, without, example(tokenizer, None)])
    assert batch.phrases.shape[1] == e.phrases.shape[1]
    assert (batch.phrases[len(e.phrases) :, -3:] == -1).all()
    asked = example(tokenizer, method, before=3)
    assert (asked.segment[asked.phrases[:, 0]] == 0).all()  # questions stand in no line of the prompt


def test_no_thread_comes_from_before_the_body_or_the_phrase() -> None:
    a = [1, 2, 3, 4]
    compressed = Codec(10, 4, "nested").compress([6, 7, *a, 0, *a, 7, 6, 7, *a, 5, *a, 6, 7, *a, 1])
    assert compressed.ids.tolist() == [10, 12, 1, 2, 3, 4, 13, 6, 7, 12, 11, 13, 0, 12, 7, 13, 5, 12, 13, 1]
    written = written_out(compressed, OPENING, CLOSING)
    inner = [12, OPENING, 1, 2, 3, 4, CLOSING, OPENING, 13, 6, 7, 12]
    assert written[:23] == [13, OPENING, 6, 7, *inner, CLOSING, *[OPENING] * 4, 13, 0]

    # Nor where the phrase is written down, 19's with a use of 13 in it: not from what is before 19.
    compressed = Codec(10, 64, "inline").compress([0, 6, 4, 3, 0, 6, 4, 4, 3, 0, 6, 4, 4, 3])
    assert compressed.ids.tolist() == [13, 0, 6, 4, 3, 19, 13, 4, 3, 19]
    inner = [13, OPENING, 0, 6, 4, CLOSING, *[OPENING] * 3, 19, 13, 4, 3]
    assert written_out(compressed, OPENING, CLOSING)[:19] == [13, 0, 6, 4, 3, 19, *inner]


@pytest.mark.parametrize("method", METHODS)
def test_threads_are_read_off_what_is_written(method: Method) -> None:
    """The prompt of a long text, and one that is wrong: the thread then has what was written."""
    ids = [int(i) for i in np.random.default_rng(0).integers(0, 3, 400)]
    compressed = Codec(10, 64, method).compress(ids)
    written = written_out(compressed, OPENING, CLOSING)
    reading, threads = brackets(method), 0
    places = iter(enumerate(written))
    for place, symbol in places:
        reading.write(symbol)
        if thread := list(reading.thread):
            assert written[place + 1 : place + 1 + len(thread)] == thread
            threads += 1
            for follows in thread:
                reading.write(follows)
                next(places)
    assert threads == written.count(CLOSING) > 10
    reading = brackets("ltsc")
    for symbol in (1, 7, 12, OPENING, 2, 3, CLOSING):
        reading.write(symbol)
    assert reading.thread == [OPENING, OPENING, 1, 7, 12]


def test_prompts_without_meta_tokens_are_written_as_they_are() -> None:
    assert written_out(Codec(10, 4, "inline").compress([1, 2, 3]), 8, 9) == [1, 2, 3]
    assert written_out(Codec(10, 4, "ltsc").compress([]), 8, 9) == []


def test_what_is_written_wrongly_reads_back_to_something() -> None:
    """A model may end in the middle of a thread, or never open what it closes."""
    for method in METHODS:
        assert list(read_back([1, CLOSING, 2, 3], 10, brackets(method))) == [1, 2, 3]
        assert list(read_back([OPENING, 1, 12, OPENING, 2], 10, brackets(method))) == [1, 2]
        assert list(read_back([1, 12, OPENING, 2, CLOSING, 1], 10, brackets(method))) == [1, 2]
        wrong = [CLOSING, CLOSING, 1, 2, 3, 4, OPENING, CLOSING]
        assert roles(wrong, brackets(method)) == ([[-1]] * 6 + [[4], [4]], [False] * 8)
        assert roles([1, CLOSING, 2], Brackets(OPENING, CLOSING))[1] == [False] * 3  # a raw prompt has no form
        assert roles([OPENING, CLOSING, 5], brackets(method)) == ([[-1], [-1], [-1]], [False, False, True])
    assert list(read_back([1, OPENING, 2, CLOSING, 3], 10, Brackets(OPENING, CLOSING))) == [1, 2, 3]


@given(
    said=st.lists(st.sampled_from([1, 2, OPENING, CLOSING, OPENING, CLOSING, 12, 13, 75]), max_size=60),
    method=st.sampled_from(METHODS),
)
def test_threads_of_what_is_written_wrongly_have_been_written(said: list[int], method: Method) -> None:
    """Marks in any order: what decoding takes up without asking is always ids that came before, and ends."""
    reading, written = brackets(method), []
    for symbol in said:
        _, *before = reading.stand(symbol, 3)
        assert set(before) <= {-1, *written}
        written.append(symbol)
        thread = list(reading.thread)
        assert len(thread) == (THREAD + 1 if thread else 0)
        assert set(thread) <= set(written) - {CLOSING}
        for follows in thread:
            assert set(reading.stand(follows, 3)) <= {-1, *written}
        written += thread
        assert not reading.thread


@given(
    said=st.lists(st.sampled_from([1, 2, OPENING, CLOSING, 12, 13, 75]), max_size=60),
    method=st.sampled_from(METHODS),
)
def test_what_is_settled_behind_what_is_written_wrongly_ends(said: list[int], method: Method) -> None:
    """As decoding takes it, which never closes more than was opened."""
    reading, depth = brackets(method), 0
    for symbol in said:
        if symbol in reading.barred:
            continue
        following: int | None = symbol
        for _ in range(2 + (1 + depth) * (THREAD + 2)):  # a mark that opens, or one after the other that close
            if following is None:
                break
            in_thread = bool(reading.thread)
            reading.write(following)
            depth += (following == OPENING and not in_thread) - (following == CLOSING)
            assert depth >= 0
            following = reading.follows
        assert following is None


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_share_of_the_compressed_prompts_has_the_plain_form(tokenizer: MetaTokenizer, share: float) -> None:
    config = DataConfig(compressed_share=1.0, expand_share=0.0, plain_share=share, questions=1)
    plain = []
    for batch in pool_of_batches([TREE], tokenizer, config, 1, 0, 0.5):
        with_phrases = set((batch.phrases[:, 0] // batch.ids.shape[1]).tolist())
        compressed = (batch.ids >= tokenizer.vocab_size).any(axis=1)
        plain += [i not in with_phrases for i in np.flatnonzero(compressed).tolist()]
    assert len(plain) > 200
    assert np.mean(plain) == pytest.approx(share, abs=0.1 if share == 0.5 else 0)


def test_meta_tokens_are_drawn_at_random(tokenizer: MetaTokenizer) -> None:
    drawn = TREE.draw(random.Random(0))
    a, b = (make_example(tokenizer, drawn, DataConfig(), random.Random(seed), "ltsc") for seed in (1, 2))
    assert len(a.ids) == len(b.ids)
    assert set(a.phrases[:, -1]) != set(b.phrases[:, -1])


def test_packing_loses_nothing(tokenizer: MetaTokenizer) -> None:
    examples = sorted((example(tokenizer, "ltsc", seed) for seed in range(12)), key=lambda e: len(e.ids))
    batches = [pack(group) for group in cut(examples, 1024)]
    assert sum(len(b.ids) for b in batches) == len(examples)
    for batch in batches:
        assert batch.ids.size <= 1024 or len(batch.ids) == 1
        assert (batch.ids[batch.segment == -1] == PAD).all()
        np.testing.assert_array_equal(batch.ids.flatten()[batch.where + 1], batch.target)
        assert (batch.ids.flatten()[batch.phrases[batch.phrases[:, 1] >= 0, 0]] >= VOCAB_SIZE).all()
    assert sum(b.tokens for b in batches) == sum(len(e.ids) for e in examples)


def test_training_data_is_a_function_of_seed_and_counter(tokenizer: MetaTokenizer) -> None:
    def pool(seed: int, number: int) -> list[int]:
        batches = pool_of_batches([TREE], tokenizer, DataConfig(batch_tokens=512), seed, number, size=0.0)
        return [int(b.ids.sum()) for b in batches]

    assert pool(1, 0) == pool(1, 0)
    assert pool(1, 0) != pool(1, 1)
    assert pool(1, 0) != pool(2, 0)


def test_renaming_exchanges_words_and_nothing_else(tokenizer: MetaTokenizer) -> None:
    renamed = renaming(tokenizer, random.Random(0))
    np.testing.assert_array_equal(np.sort(renamed[:, 0]), np.arange(VOCAB_SIZE))
    words = word_ids(tokenizer)
    assert np.mean(renamed[words, 0] != words) > 0.99
    fixed = tokenizer.encode('parent of children none yes <entry dn=" </member> 12, : /\n')
    np.testing.assert_array_equal(renamed[fixed], np.stack((fixed, np.full(len(fixed), -1)), axis=1))
    longer = renamed[:, 1] >= 0
    assert np.isin(renamed[longer, 1], words).all()
    shares = [np.mean(renaming(tokenizer, random.Random(i))[words, 1] >= 0) for i in range(30)]
    assert min(shares) < 0.1
    assert 0.3 < max(shares) <= 0.52

    drawn = TREE.draw(random.Random(3), questions=4)
    before, after = (
        make_example(tokenizer, drawn, DataConfig(prompt_weight=0), random.Random(3), None, renamed=r)
        for r in (None, renamed)
    )
    # Prompt, questions and answers are renamed alike, so that what is asked is still said.
    expected = renamed[before.ids].ravel()
    np.testing.assert_array_equal(after.ids, expected[expected >= 0])
    assert len(after.ids) > len(before.ids)
    assert after.segment.max() == before.segment.max()


def test_training_data_has_the_shares_it_should(tokenizer: MetaTokenizer) -> None:
    config = DataConfig(batch_tokens=1, methods={"ltsc": 2.0, "inline": 0.5})  # one example a batch
    batches = [b for n in range(2) for b in pool_of_batches([TREE], tokenizer, config, 1, n, size=0.5)]
    compressed = [len(b.phrases) > 0 for b in batches]
    expanded = [EXPAND in b.ids for b in batches]
    assert np.mean(compressed) == pytest.approx(config.compressed_share, abs=0.07)
    assert np.mean(expanded) == pytest.approx(config.expand_share, abs=0.05)
    dictionaries = [VOCAB_SIZE in b.ids for b in batches]  # their first mark
    assert np.mean(dictionaries) == pytest.approx(config.compressed_share * 0.8, abs=0.07)


def test_the_power_of_sizes_says_how_many_small_prompts_there_are(tokenizer: MetaTokenizer) -> None:
    def mean_length(power: float) -> float:
        config = DataConfig(batch_tokens=1, questions=1, compressed_share=0.0, size_power=power)
        return float(np.mean([b.tokens for b in pool_of_batches([TREE], tokenizer, config, 1, 0, size=1.0)]))

    assert mean_length(4.0) < 0.8 * mean_length(0.5) < 0.8 * mean_length(0.0)


@pytest.mark.parametrize("name", ["tree.toml", "reader.toml", "writer.toml"])
def test_configs_that_come_with_the_reader_are_valid(name: str) -> None:
    config = load_config(Path(reader.__file__).parent / name)
    check_names([get(task) for task in config.data.tasks], config.data)
    if config.tokenizer:
        assert (ROOT / config.tokenizer / "tokenizer.json").is_file()


def test_config(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('seed = 7\n[data]\ntasks = ["tree"]\nquestions = 3\n')
    config = load_config(tmp_path / "c.toml")
    assert (config.seed, config.data.questions, config.data.tasks) == (7, 3, ("tree",))
    assert config.optimizer == Config().optimizer
    with pytest.raises(ValueError, match=r"unknown setting 'data\.question'; there are tasks, "):
        from_dict({"data": {"question": 1}})
    for values, sentence in (
        ({"threads": "many"}, "setting 'threads' is 'many'; it must be a whole number"),
        ({"seed": True}, "setting 'seed' is True; it must be a whole number"),
        ({"compile": 1}, "setting 'compile' is 1; it must be true or false"),
        ({"model": 3}, "setting 'model' is a table, [model], and not 3"),
        ({"data": {"batch_tokens": "x"}}, "setting 'data.batch_tokens' is 'x'; it must be a whole number"),
        ({"data": {"tasks": [1]}}, "setting 'data.tasks' is [1]; it must be a list, each a text"),
        (
            {"data": {"emphasis": {"ls": "much"}}},
            "setting 'data.emphasis' is {'ls': 'much'}; it must be a table, each a number",
        ),
        ({"optimizer": {"clip": "no"}}, "setting 'optimizer.clip' is 'no'; it must be a number"),
        ({"threads": 0}, "setting 'threads' is 0; it must be 1 or more"),
        ({"optimizer": {"tokens": -5}}, "setting 'optimizer.tokens' is -5; it must be 1 or more"),
        ({"optimizer": {"clip": float("nan")}}, "setting 'optimizer.clip' is nan; it must be 0 or more"),
        ({"data": {"compressed_share": 2.0}}, "setting 'data.compressed_share' is 2.0; it must be from 0 to 1"),
        ({"data": {"questions": 0}}, "setting 'data.questions' is 0; it must be 1 or more"),
        ({"data": {"longest": 5000}}, "longest in [data] is 5000, and the model has 4096 positions: make longest in"),
        ({"model": {"width": 257}}, "width must be a multiple of twice the heads, 2 · 4, and it is 257"),
    ):
        with pytest.raises(ValueError, match=re.escape(sentence)):
            from_dict(values)
    assert from_dict({"optimizer": {"clip": 2}, "new_layers": [1]}).new_layers == (1,)


def test_what_is_emphasised_weighs_more(tokenizer: MetaTokenizer) -> None:
    drawn = TREE.draw(random.Random(4), questions=5)
    plain, emphasised = (
        make_example(tokenizer, drawn, DataConfig(prompt_weight=0, emphasis=emphasis), random.Random(4), None)
        for emphasis in ({}, {"children": 3.0, drawn[0].serialization: 2.0})
    )
    factor = {n: 6.0 if sample.kind == "children" else 2.0 for n, sample in enumerate(drawn, 1)}
    assert {sample.kind for sample in drawn} == set(TREE.kinds)
    answers = plain.weight > 0
    assert answers.any()
    expected = plain.weight[answers] * [factor[n] for n in plain.segment[answers].tolist()]
    assert emphasised.weight[answers].tolist() == pytest.approx(expected.tolist())


def test_emphasis_on_what_no_task_has_is_refused() -> None:
    check_names([TREE], DataConfig(emphasis={"children": 2.0, "ls": 2.0}))
    with pytest.raises(ValueError, match="emphasis on 'childs', which no task of this run has; there are parent, "):
        check_names([TREE], DataConfig(emphasis={"childs": 2.0}))
    with pytest.raises(ValueError, match="'repo', which this run has not; it has tree"):
        check_names([TREE], DataConfig(task_weights={"repo": 0.5}))
    with pytest.raises(ValueError, match="'repo', which this run has not; it has tree"):
        check_names([TREE], DataConfig(text_weights={"repo": 0.5}))
    with pytest.raises(ValueError, match="must not be negative"):
        check_names([TREE], DataConfig(task_weights={"tree": 0.0}))
    with pytest.raises(ValueError, match="the method 'lstc', which is none; there are ltsc, flat, nested, inline"):
        check_names([TREE], DataConfig(methods={"lstc": 1.0}))
    with pytest.raises(ValueError, match="methods must not be negative"):
        check_names([TREE], DataConfig(methods={}))
    with pytest.raises(ValueError, match="tasks is empty; name one at least"):
        check_names([], DataConfig(tasks=()))
    for weight in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=r"emphasis of 'ls' is .*; it must be 0 or more"):
            check_names([TREE], DataConfig(emphasis={"ls": weight}))
        with pytest.raises(ValueError, match=r"text_weights of 'tree' is .*; it must be 0 or more"):
            check_names([TREE], DataConfig(text_weights={"tree": weight}))
