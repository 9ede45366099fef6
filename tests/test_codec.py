"""Codec and Compressed: the promises of a compressed sequence, for all four methods."""

import pickle
import subprocess
import sys
import threading
import tracemalloc
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import metatok
import metatok.pool
from metatok import reference
from metatok.grammar import Grammar
from metatok.layout import write_inline
from metatok.search import saving
from tests.strategies import VOCAB, pools, sequences

LTSC_BYTES = 1458

methods = pytest.mark.parametrize("method", metatok.METHODS)


@st.composite
def keeps(draw, n):
    """A few ranges within a sequence of n tokens."""
    pairs = draw(st.lists(st.tuples(st.integers(0, n), st.integers(0, n)), max_size=3))
    return [(min(p), max(p)) for p in pairs]


# ---- exact, never longer, the same every time


@methods
@settings(deadline=None, max_examples=200)
@given(ids=sequences, pool=pools, data=st.data())
def test_round_trip(method, ids, pool, data):
    codec = metatok.Codec(VOCAB, pool, method)
    keep = data.draw(keeps(len(ids)))
    seed = data.draw(st.none() | st.integers(0, 9))
    c = codec.compress(ids, keep=keep, seed=seed)
    assert codec.decompress(c.ids).tolist() == ids
    assert len(c) <= len(ids) == c.original_length
    assert c.ids.dtype == np.int32
    assert codec.compress(ids, keep=keep, seed=seed).ids.tolist() == c.ids.tolist()
    check_description(codec, c, ids, keep)


def check_description(codec, c, ids, keep):
    """owner, spans, phrases, uses, definitions and defines all tell the same story as the ids."""
    metas = {int(i) for i in c.ids if i >= codec.first_meta}
    assert set(c.phrases) == set(c.uses) == set(c.definitions) == metas
    assert all(codec.first_meta <= m < codec.vocab_size + codec.n_added for m in metas)
    written = c.ids.tolist()
    heads = 1 if codec.method != "inline" else 0
    for m in metas:
        assert c.uses[m] == written.count(m) - heads >= 1
        assert len(c.definitions[m]) >= 2
        expanded = [t for s in c.definitions[m] for t in (c.phrases[s] if s in metas else (s,))]
        assert c.phrases[m] == tuple(expanded)
        assert max(c.phrases[m]) < codec.vocab_size
    assert len(c.owner) == len(ids)
    from_spans = np.full(len(ids), -1)
    for start, stop, m in c.spans.tolist():
        assert ids[start:stop] == list(c.phrases[m])
        from_spans[start:stop] = m
    assert from_spans.tolist() == c.owner.tolist()
    assert (np.diff(c.spans[:, 0]) > 0).all()
    for start, stop in keep:
        assert (c.owner[start:stop] == -1).all()
    body = [int(i) for i, d in zip(c.ids, c.defines, strict=True) if d == -1]
    assert len(c) - len(body) == c.dictionary_length
    assert [t for s in body for t in (c.phrases[s] if s in metas else (s,))] == ids
    for m in metas:
        mine = [i for i, d in zip(written, c.defines.tolist(), strict=True) if d == m]
        assert tuple(mine[heads:]) == c.definitions[m]


@methods
@settings(deadline=None, max_examples=60)
@given(ids=sequences, pool=pools, data=st.data())
def test_equals_the_reference(method, ids, pool, data):
    keep = data.draw(keeps(len(ids)))
    walls = {p for start, stop in keep for p in range(start, stop)}
    fast = metatok.Codec(VOCAB, pool, method).compress(ids, keep=keep).ids.tolist()
    plain = reference.compress(ids, VOCAB, pool, method, walls)
    # A small pool gets a choice of phrases of its own, which the reference does not look for.
    assert fast == plain or (method == "inline" and pool is not None and len(fast) < len(plain))


@pytest.mark.parametrize(("nested", "overhead"), [(False, 2), (True, 2), (True, 1)])
@settings(deadline=None, max_examples=100)
@given(ids=sequences)
def test_no_phrase_that_pays_is_left(nested, overhead, ids):
    walls = np.zeros(len(ids), dtype=np.bool_)
    raw = Grammar.raw(np.array(ids, dtype=np.int32), VOCAB)
    found = saving.search_saving(raw, walls, nested=nested, overhead=overhead)
    again = saving.search_saving(found, walls, nested=nested, overhead=overhead)
    assert again.body.tolist() == found.body.tolist()
    assert again.phrases.tolist() == found.phrases.tolist()


@pytest.mark.parametrize(("method", "overhead"), [("nested", 2), ("inline", 1)])
def test_searching_again_ends_when_few_rules_were_written_out(method, overhead, licence, monkeypatch):
    lengths = []
    for few in (1, 3, 1 << 30):  # none, a third or more, any
        monkeypatch.setattr(saving, "FEW", few)
        monkeypatch.setattr(reference, "FEW", few)
        ids = licence[:300]
        fast = metatok.Codec(256, None, method).compress(ids).ids.tolist()
        assert fast == reference.compress(ids, 256, None, method)
        whole = Grammar.raw(np.array(licence[:4000], dtype=np.int32), 256)
        found = saving.search_saving(whole, np.zeros(4000, dtype=np.bool_), nested=True, overhead=overhead)
        lengths.append(len(found.body) + len(found.phrases))
    assert lengths[0] > lengths[2]
    assert lengths[0] >= lengths[1] >= lengths[2]


@pytest.mark.parametrize("method", ["flat", "nested", "inline"])
@settings(deadline=None, max_examples=12)
@given(ids=sequences, pool=pools, data=st.data())
def test_more_effort_is_exact_and_never_longer(method, ids, pool, data):
    keep = data.draw(keeps(len(ids)))
    codec = metatok.Codec(VOCAB, pool, method, effort="max")
    c = codec.compress(ids, keep=keep)
    assert codec.decompress(c.ids).tolist() == ids
    assert len(c) <= len(metatok.Codec(VOCAB, pool, method).compress(ids, keep=keep))
    check_description(codec, c, ids, keep)


@pytest.mark.parametrize("method", metatok.METHODS)
@settings(deadline=None, max_examples=30)
@given(ids=sequences, pool=pools, data=st.data())
def test_less_effort_is_exact(method, ids, pool, data):
    keep = data.draw(keeps(len(ids)))
    codec = metatok.Codec(VOCAB, pool, method, effort="fast")
    c = codec.compress(ids, keep=keep)
    assert codec.decompress(c.ids).tolist() == ids
    check_description(codec, c, ids, keep)


def test_less_effort_saves_less(licence):
    fast, usual = (metatok.Codec(256, None, "inline", effort).compress(licence) for effort in ("fast", "default"))
    assert len(usual) < len(fast) < 0.9 * len(licence)


def test_more_effort_saves_more(licence):
    for method in ("nested", "inline"):
        usual = metatok.Codec(256, None, method).compress(licence[:4000])
        best = metatok.Codec(256, None, method, effort="max").compress(licence[:4000])
        assert len(best) < 0.99 * len(usual)
        assert best.ids.tolist() == metatok.Codec(256, None, method, effort="max").compress(licence[:4000]).ids.tolist()


# ---- worked by hand

REPEATED = [1, 2, 3, 4, 9, 1, 2, 3, 4, 8, 1, 2, 3, 4]
DICT, END, M0, M1, M2 = 10, 11, 12, 13, 14  # Codec(vocab_size=10)


@pytest.mark.parametrize(
    ("method", "ids", "expected"),
    [
        # Four tokens, three times: N·K = 12 > 1 + 4 + 3, and 12 ids for 14 with the marks.
        ("ltsc", REPEATED, [DICT, M0, 1, 2, 3, 4, END, M0, 9, M0, 8, M0]),
        ("flat", REPEATED, [DICT, M0, 1, 2, 3, 4, END, M0, 9, M0, 8, M0]),
        ("nested", REPEATED, [DICT, M0, 1, 2, 3, 4, END, M0, 9, M0, 8, M0]),
        # The first meta-tokens stand for phrases of 2, 3, 4, 2, 5, … symbols, so four tokens take m2.
        ("inline", REPEATED, [M2, 1, 2, 3, 4, 9, M2, 8, M2]),
        # The paper takes the longest phrase, eight zeros twice; the biggest saving is four zeros four times.
        ("ltsc", [0] * 16, [DICT, M0, 0, 0, 0, 0, 0, 0, 0, 0, END, M0, M0]),
        ("flat", [0] * 16, [DICT, M0, 0, 0, 0, 0, END, M0, M0, M0, M0]),
        ("inline", [0] * 16, [M2, 0, 0, 0, 0, M2, M2, M2]),
        # A phrase within a phrase: m1 = m2 m2 5 and m2 = 1 2 3 4, each written where it is first used.
        ("inline", ([1, 2, 3, 4] * 2 + [5]) * 3, [M1, M2, 1, 2, 3, 4, M2, 5, M1, M1]),
        # In front, the phrase that is used comes before the one that uses it.
        (
            "nested",
            ([1, 2, 3, 4] * 2 + [5, 6] + [1, 2, 3, 4] * 2 + [7]) * 2,
            [DICT, M0, 1, 2, 3, 4, M1, M0, M0, 5, 6, M0, M0, 7, END, M1, M1],
        ),
        # Three tokens twice do not pay in front (6 is not more than 1 + 3 + 2) but do inline: 6 > 3 + 2.
        ("ltsc", [1, 2, 3, 1, 2, 3], [1, 2, 3, 1, 2, 3]),
        ("nested", [1, 2, 3, 1, 2, 3], [1, 2, 3, 1, 2, 3]),
        ("inline", [1, 2, 3, 1, 2, 3], [M1, 1, 2, 3, M1]),
        # Nothing repeats.
        ("flat", [1, 2, 3], [1, 2, 3]),
        ("inline", [], []),
    ],
)
def test_by_hand(method, ids, expected):
    codec = metatok.Codec(vocab_size=10, meta_tokens=8, method=method)
    assert codec.compress(ids).ids.tolist() == expected


def test_description_by_hand():
    c = metatok.Codec(vocab_size=10, meta_tokens=8).compress(([1, 2, 3, 4] * 2 + [5]) * 3)
    assert c.phrases == {M1: (1, 2, 3, 4, 1, 2, 3, 4, 5), M2: (1, 2, 3, 4)}
    assert c.definitions == {M1: (M2, M2, 5), M2: (1, 2, 3, 4)}
    assert c.uses == {M1: 3, M2: 2}
    assert c.owner.tolist() == [M1] * 27
    assert c.spans.tolist() == [[0, 9, M1], [9, 18, M1], [18, 27, M1]]
    assert c.defines.tolist() == [-1, M1, M2, M2, M2, M2, M1, M1, -1, -1]
    assert (len(c), c.original_length, c.dictionary_length) == (10, 27, 7)
    assert c.saving == 1 - 10 / 27


def test_ltsc_on_real_text(licence):
    # The number is what `metatok.reference.longest` finds on these 2,000 bytes; it takes half a minute there.
    assert len(metatok.Codec(256, None, "ltsc").compress(licence[:2000])) == LTSC_BYTES
    ids = licence[:400]
    assert metatok.Codec(256, None, "ltsc").compress(ids).ids.tolist() == reference.compress(ids, 256, None, "ltsc")


@pytest.fixture(scope="module")
def licence():
    """The bytes of this repository's licence: real prose with real repeats, the same everywhere."""
    return list((Path(__file__).parent.parent / "LICENSE").read_bytes())


# ---- pools and meta-ids


@methods
def test_bounded_pool_keeps_what_saves_most(method, licence):
    lengths = []
    for pool in (0, 4, 16, 64, 256, None):
        c = metatok.Codec(256, pool, method).compress(licence)
        assert len(c.phrases) <= (len(licence) if pool is None else pool)
        lengths.append(len(c))
    assert lengths[0] == len(licence)
    assert all(a >= b for a, b in pairwise(lengths))
    assert lengths[-1] < 0.7 * len(licence)


def test_a_small_pool_gets_phrases_of_its_own(licence):
    walls = np.zeros(4000, dtype=np.bool_)
    codec = metatok.Codec(256, 64, "inline")
    tokens = np.array(licence[:4000], dtype=np.int32)
    found = codec._search(tokens, walls, codec.vocab_size, codec._overhead)
    cut = write_inline(codec._fit(found), codec._vocabulary, None)
    assert len(codec.compress(tokens)) < 0.98 * len(cut)


def test_flat_pool_drops_the_least(licence):
    everything = metatok.Codec(256, None, "flat").compress(licence)
    few = metatok.Codec(256, 20, "flat").compress(licence)
    gains = {p: (len(p) - 1) * (everything.uses[m] - 1) - 2 for m, p in everything.phrases.items()}
    assert sorted(gains[p] for p in few.phrases.values()) == sorted(gains.values())[-20:]


def test_inline_builds_long_phrases_from_short_ones():
    longest = max(metatok.pool.PHRASE_LENGTHS)
    ids = list(range(5 * longest)) * 3
    c = metatok.Codec(5 * longest, None, "inline").compress(ids)
    assert max(map(len, c.definitions.values())) == longest
    assert max(map(len, c.phrases.values())) == 5 * longest
    assert len(c) < 5 * longest + 10


@pytest.mark.parametrize("half", [2_000, 5_000, 100_000])
def test_what_a_long_chain_stands_for_does_not_grow_with_its_square(half):
    """A text that stands there twice is one phrase, written with many meta-tokens where there are enough."""
    compressed = metatok.Codec(half, None, "inline").compress(np.tile(np.arange(half), 2))
    assert len(compressed) <= half + len(compressed.phrases) + 2
    lengths = [len(phrase) for phrase in compressed.phrases.values()]
    assert max(lengths) >= half - 1
    assert sum(lengths) < 6 * half


def test_inline_phrase_length_is_a_property_of_the_id(licence):
    codec = metatok.Codec(256, 100, "inline")
    for seed in (None, 1):
        c = codec.compress(licence, seed=seed)
        for m, phrase in c.definitions.items():
            assert len(phrase) == metatok.pool.phrase_length(m - codec.first_meta)


@methods
def test_seed_draws_meta_ids(method, licence):
    codec = metatok.Codec(256, 512, method)
    plain, one, again, two = (codec.compress(licence, seed=s) for s in (None, 1, 1, 2))
    assert one.ids.tolist() == again.ids.tolist() != two.ids.tolist()
    assert len(plain) == len(one) == len(two)
    assert sorted(plain.phrases.values()) == sorted(one.phrases.values())
    if method != "inline":
        assert sorted(plain.phrases) == list(range(codec.first_meta, codec.first_meta + len(plain.phrases)))
    seen = {m for s in range(40) for m in codec.compress(licence[:3000], seed=s).phrases}
    assert len(seen) > 0.8 * 512  # drawn from the whole pool, not from its beginning


@methods
def test_a_draw_from_a_large_pool_takes_no_memory_of_its_size(method):
    codec = metatok.Codec(256, 200_000_000, method)
    ids = [*range(50)] * 20
    codec.compress(ids, seed=0)
    tracemalloc.start()
    seen = {m for seed in range(200) for m in codec.compress(ids, seed=seed).phrases}
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000
    assert max(seen) - codec.first_meta > 100_000_000  # and is of all of it


def test_nothing_is_compiled_or_loaded_after_warm_up():
    """The kernels that a prompt of some thousand tokens needs, in a process of its own."""
    code = """
import sys
import metatok
from numba.core.registry import CPUDispatcher

def ready():
    modules = [module for name, module in sorted(sys.modules.items()) if name.startswith("metatok")]
    kernels = {id(k): k for module in modules for k in vars(module).values() if isinstance(k, CPUDispatcher)}
    return sum(len(kernel.signatures) for kernel in kernels.values())

metatok.warm_up()
before = ready()
assert before > 10
ids = [(i * i) % 97 for i in range(3000)] + [*range(50)] * 20
for method in metatok.METHODS:
    for pool in (None, 64, 512):
        for effort in ("fast", "default", "max"):
            codec = metatok.Codec(1000, pool, method, effort)
            for seed in (None, 1):
                codec.decompress(codec.compress(ids, seed=seed, keep=[(5, 9)]).ids)
assert ready() == before
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_ids_beyond_the_pool_are_never_used():
    codec = metatok.Codec(50, 3, "inline")
    ids = np.random.default_rng(0).integers(0, 2, 500)
    assert codec.compress(ids).ids.max() < 50 + codec.n_added


# ---- keep


@methods
def test_keep_stays_raw(method, licence):
    codec = metatok.Codec(256, None, method)
    c = codec.compress(licence, keep=[(100, 900), (5000, 5001), (7, 7)])
    assert (c.owner[100:900] == -1).all()
    assert c.owner[5000] == -1
    assert 0 < c.saving < codec.compress(licence).saving
    kept = bytes(licence[100:900])
    assert kept in c.ids.astype("<u4").tobytes()[::1].replace(b"\0\0\0", b"")  # and in one piece
    assert codec.compress(licence, keep=[(0, len(licence))]).ids.tolist() == licence


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        ({"keep": None}, TypeError, r"keep must be a list of ranges \(start, stop\), not NoneType"),
        ({"keep": (0, 2)}, TypeError, r"keep must be a list of ranges \(start, stop\) of integers, not of 0"),
        ({"keep": [(1, 2, 3)]}, TypeError, r"not of \(1, 2, 3\)"),
        ({"keep": [(0.5, 1.5)]}, TypeError, r"not of \(0.5, 1.5\)"),
        ({"seed": -1}, ValueError, "seed must be at least 0, not -1"),
        ({"seed": "a"}, TypeError, "seed must be an integer, not str"),
    ],
)
def test_keep_and_seed_that_are_none(arguments, error, sentence):
    with pytest.raises(error, match=sentence):
        metatok.Codec(10).compress([1] * 8, **arguments)


@pytest.mark.parametrize("bad", [(-1, 2), (3, 2), (0, 9), (9, 9)])
def test_keep_outside_the_sequence(bad):
    with pytest.raises(ValueError, match=r"keep range \(.*\) does not lie within a sequence of 8 tokens"):
        metatok.Codec(10).compress([1] * 8, keep=[bad])


# ---- inputs


@pytest.mark.parametrize(
    "make",
    [
        list,
        tuple,
        np.array,
        lambda ids: np.array(ids, dtype=np.int64)[::1],
        lambda ids: np.array(ids, dtype=np.uint8),
        lambda ids: np.repeat(np.array(ids, dtype=np.int32), 2)[::2],
        lambda ids: np.array(ids, dtype=">i4"),
        lambda ids: pytest.importorskip("torch").tensor(ids),
        lambda ids: pytest.importorskip("torch").tensor(ids, dtype=pytest.importorskip("torch").int32),
    ],
)
def test_any_sequence_of_integers(make):
    codec = metatok.Codec(10, 8)
    given_ids = make([0] * 16)
    c = codec.compress(given_ids)
    assert c.ids.tolist() == [M2, 0, 0, 0, 0, M2, M2, M2]
    assert codec.decompress(make(c.ids.tolist())).tolist() == [0] * 16
    c.ids[:] = 0  # the caller's array is his own
    assert list(map(int, given_ids)) == [0] * 16


def test_read_only_input():
    ids = np.zeros(100, dtype=np.int32)
    ids.setflags(write=False)
    assert len(metatok.Codec(10).compress(ids)) < 100


@pytest.mark.parametrize("empty", [[], (), np.array([]), np.array([], dtype=np.int32)])
@methods
def test_empty(method, empty):
    c = metatok.Codec(10, 8, method).compress(empty)
    assert len(c) == 0
    assert c.saving == 0.0
    assert c.phrases == c.uses == {}
    assert c.owner.shape == (0,)
    assert c.spans.shape == (0, 3)
    assert metatok.Codec(10, 8, method).decompress(empty).shape == (0,)


@pytest.mark.parametrize(
    ("ids", "error", "sentence"),
    [
        ([1, 2, 10], ValueError, "id 10 at position 2 is outside 0 … 9"),
        ([1, -1], ValueError, "id -1 at position 1 is outside 0 … 9"),
        ([0, 2**40], ValueError, "id 1099511627776 at position 1"),
        ([0, 2**80], ValueError, "at position 1 is outside"),
        (np.array([0, 2**63], dtype=np.uint64), ValueError, "at position 1 is outside"),
        ([[1, 2], [3, 4]], ValueError, r"one-dimensional, not of shape \(2, 2\)"),
        ([[1, 2], [3]], ValueError, "one sequence of integers"),
        (7, ValueError, "one-dimensional sequence of integers, not int"),
        ("text", ValueError, "one-dimensional sequence of integers, not str"),
        (None, ValueError, "one-dimensional sequence of integers, not NoneType"),
        (np.int64(7), ValueError, r"one-dimensional, not of shape \(\)"),
        ([1, 2**63], ValueError, "id 9223372036854775808 at position 1 is outside"),  # float64 to numpy
        ([-1, 2**63], ValueError, "id -1 at position 0 is outside"),
        ([1.5], TypeError, "ids must be integers, not float64"),
        ([True], TypeError, "ids must be integers, not bool"),
        (["a"], TypeError, "ids must be integers"),
        ([1, None], TypeError, "ids must be integers, not mixed values"),
        ([True, False], TypeError, "ids must be integers, not bool"),
        (np.array([1.0, 2.0]), TypeError, "ids must be integers, not float64"),
    ],
)
def test_refused_input(ids, error, sentence):
    with pytest.raises(error, match=sentence):
        metatok.Codec(10).compress(ids)


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        ({"vocab_size": 0}, ValueError, "vocab_size must be at least 1"),
        ({"vocab_size": 1.5}, TypeError, "vocab_size must be an integer, not float"),
        ({"vocab_size": 9, "meta_tokens": -1}, ValueError, "meta_tokens must be at least 0"),
        ({"vocab_size": 9, "meta_tokens": "all"}, TypeError, "meta_tokens must be an integer"),
        ({"vocab_size": 9, "method": "zip"}, ValueError, "unknown method 'zip'; choose one of ltsc, flat"),
        ({"vocab_size": 9, "effort": "huge"}, ValueError, "unknown effort 'huge'; choose one of fast, default, max"),
        ({"vocab_size": 2**31 - 5}, ValueError, "do not fit into int32"),
        ({"vocab_size": 2**31 - 2, "meta_tokens": 0}, ValueError, "do not fit into int32"),
        ({"vocab_size": 2**31 - 2, "meta_tokens": None}, ValueError, "do not fit into int32"),
    ],
)
def test_refused_codec(arguments, error, sentence):
    with pytest.raises(error, match=sentence):
        metatok.Codec(**arguments)


@methods
def test_large_vocabulary(method):
    vocab = 2**31 - 600
    ids = [vocab - 1, vocab - 2, vocab - 3, 5] * 20
    codec = metatok.Codec(vocab, 512, method)
    c = codec.compress(ids)
    assert len(c) < len(ids)
    assert codec.decompress(c.ids).tolist() == ids


@methods
@pytest.mark.parametrize("meta_tokens", [None, 0, 90])
@pytest.mark.parametrize("effort", ["default", "max"])
def test_more_phrases_than_ids_behind_the_vocabulary(method, meta_tokens, effort, licence):
    """What is written is what a small vocabulary with the same pool makes of it, moved up."""
    text = np.array(licence[:2000])
    vocab = 2**31 - 100
    codec = metatok.Codec(vocab, meta_tokens, method, effort)
    small = metatok.Codec(256, 98 if meta_tokens is None else meta_tokens, method, effort)
    moved = vocab - 256
    c, expected = codec.compress(text + moved), small.compress(text)
    assert c.ids.tolist() == (expected.ids + moved).tolist()
    assert codec.decompress(c.ids).tolist() == (text + moved).tolist()
    assert len(c) < len(text) or meta_tokens == 0


# ---- batches and threads


@pytest.mark.parametrize("ids", [[np.uint64(5), np.int64(3)], np.array([np.int64(5), 3], dtype=object)])
def test_integers_of_any_type_are_integers(ids):
    assert metatok.Codec(10).compress(ids).ids.tolist() == [5, 3]


@pytest.mark.parametrize("rules", [53, 62, 63, 64, 100])
@pytest.mark.parametrize("max_length", [2**40, 2**52, 2**53, 2**62, sys.maxsize, 10**30])
def test_a_bomb_is_refused_however_much_is_allowed(rules, max_length):
    codec = metatok.Codec(2, None, "nested")
    first = codec.first_meta
    bomb = [codec.dict_open, first, 0, 0]
    for meta in range(first + 1, first + rules):
        bomb += [meta, meta - 1, meta - 1]
    bomb += [codec.dict_close, first + rules - 1]
    with pytest.raises(metatok.FormatError, match="stands for more than max_length"):
        codec.decompress(bomb, max_length=max_length)


def test_a_format_error_comes_from_another_process_as_it_was():
    with pytest.raises(metatok.FormatError) as caught:
        metatok.Codec(10).decompress([1, -1])
    back = pickle.loads(pickle.dumps(caught.value))
    assert (str(back), back.position) == (str(caught.value), 1)


def test_batch(licence):
    codec = metatok.Codec(256, 64)
    batch = [licence[i * 500 : (i + 1) * 500] for i in range(8)]
    assert [c.ids.tolist() for c in codec.compress_batch(batch)] == [codec.compress(b).ids.tolist() for b in batch]
    kept = codec.compress_batch(batch, keep=[[(0, 100)]] * 8, seed=3)
    assert all((c.owner[:100] == -1).all() for c in kept)
    assert [c.ids.tolist() for c in kept] == [
        c.ids.tolist() for c in codec.compress_batch(batch, keep=[[(0, 100)]] * 8, seed=3)
    ]
    assert codec.compress_batch([]) == []
    with pytest.raises(ValueError, match="keep holds 1 lists of ranges for a batch of 8"):
        codec.compress_batch(batch, keep=[[]])
    with pytest.raises(ValueError, match="id 999 at position 0"):
        codec.compress_batch([*batch, [999]])


def test_threads_do_not_disturb_each_other(licence):
    codec = metatok.Codec(256, 64)
    expected = codec.compress(licence).ids.tolist()
    wrong = []

    def work():
        wrong.extend(1 for _ in range(5) if codec.compress(licence).ids.tolist() != expected)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_repr():
    c = metatok.Codec(10).compress([0] * 16)
    assert repr(c) == "Compressed(16 → 8 ids, method='inline', saving=0.500)"
