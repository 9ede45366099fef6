"""What decompress must refuse: always with FormatError and a position, never with wrong data or memory for a bomb."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import metatok
import metatok.pool
from metatok import reference

# Codec(vocab_size=10, meta_tokens=64): 10 is <dict>, 11 is </dict>, 12 is m0. Inline m0 takes 2 symbols, m1 3, m2 4.
DICT, END, M0, M1, M2, M3 = 10, 11, 12, 13, 14, 15
PREFIX = ("ltsc", "flat", "nested")


@pytest.mark.parametrize(
    ("methods", "ids", "position", "sentence"),
    [
        (metatok.METHODS, [1, -3], 1, "id -3 is not in the vocabulary, whose last id is 75"),
        (metatok.METHODS, [1, 2, 76], 2, "id 76 is not in the vocabulary"),
        (metatok.METHODS, [2**40], 0, "id 1099511627776 is not in the vocabulary"),
        (metatok.METHODS, [1, DICT], 1, "<dict> has no place"),
        (metatok.METHODS, [1, END], 1, "</dict> has no place"),
        (("inline",), [DICT, M0, 1, 2, END], 0, "<dict> has no place"),
        (PREFIX, [1, M0], 1, "meta-token m0 is used but never defined"),
        (PREFIX, [DICT, M0, 1, 2, END, M0, M1], 6, "meta-token m1 is used but never defined"),
        (PREFIX, [DICT, M0, 1, 2], 4, "the dictionary is never closed"),
        (PREFIX, [DICT], 1, "the dictionary is never closed"),
        (PREFIX, [DICT, END, 1], 1, "the dictionary is empty"),
        (PREFIX, [DICT, 1, 2, END], 1, "must begin with a meta-token"),
        (PREFIX, [DICT, M0, 1, END, M0], 1, "the phrase of meta-token m0 has fewer than two symbols"),
        (PREFIX, [DICT, M0, 1, M1, 1, 2, END], 1, "the phrase of meta-token m0 has fewer than two symbols"),
        (PREFIX, [DICT, M0, 1, 2, M1, END], 4, "the phrase of meta-token m1 has fewer than two symbols"),
        (PREFIX, [DICT, M0, 1, DICT, 2, END], 3, "<dict> stands inside the dictionary"),
        (PREFIX, [DICT, M0, 1, M0, 2, END], 3, "meta-token m0 appears inside its own definition"),
        (("ltsc", "flat"), [DICT, M0, 1, 2, M1, 3, 4, M0, 5, 6, END], 7, "meta-token m0 is defined twice"),
        (PREFIX, [DICT, M0, 1, 2, END, M0, END], 6, "</dict> has no place"),
        (("inline",), [M0, 1], 0, "the definition of meta-token m0 runs past the end"),
        (("inline",), [1, M1, 1, M0, 2, 3], 3, "the definition of meta-token m0 runs past the end"),
        (("inline",), [M0], 0, "runs past the end"),
        (("inline",), [M0, 1, M0, 2], 2, "meta-token m0 appears inside its own definition"),
        (("inline",), [M0, M1, 1, M0, 2, 3], 3, "meta-token m0 appears inside its own definition"),
    ],
)
def test_refused(methods, ids, position, sentence):
    for method in methods:
        with pytest.raises(metatok.FormatError, match=sentence) as caught:
            metatok.Codec(10, 64, method).decompress(ids)
        assert caught.value.position == position
        assert str(caught.value).endswith(f"(position {position})")
        assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("method", metatok.METHODS)
def test_raw_is_its_own_compressed_form(method):
    ids = np.random.default_rng(0).integers(0, 10, 1000)
    assert metatok.Codec(10, 64, method).decompress(ids).tolist() == ids.tolist()


def bomb(method, levels):
    """A few ids a level, and with each level twice as many tokens: 2 ** levels."""
    if method == "inline":
        pairs = [M0 + m for m in range(64 * levels) if metatok.pool.phrase_length(m) == 2][:levels]
        return [*reversed(pairs), 1, 1, *pairs[:-1]]  # all are opened at once; each closes the next outer one
    out = [DICT, M0, 1, 1]
    for k in range(1, levels):
        out += [M0 + k, M0 + k - 1, M0 + k - 1]
    return [*out, END, M0 + levels - 1]


@pytest.mark.parametrize("method", ["nested", "inline"])
def test_bombs_are_refused_before_they_take_memory(method):
    codec = metatok.Codec(10, None, method)
    assert codec.decompress(bomb(method, 12)).tolist() == [1] * 2**12
    for levels in (40, 63, 200):
        tracemalloc.start()
        with pytest.raises(metatok.FormatError, match="stands for more than max_length = 67,108,864 tokens"):
            codec.decompress(bomb(method, levels))
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
        tracemalloc.stop()


@pytest.mark.parametrize("method", metatok.METHODS)
def test_max_length_is_exact(method):
    codec = metatok.Codec(10, 64, method)
    c = codec.compress([1, 2, 3, 4] * 10)
    assert len(codec.decompress(c.ids, max_length=40)) == 40
    with pytest.raises(metatok.FormatError, match="max_length = 39"):
        codec.decompress(c.ids, max_length=39)
    with pytest.raises(metatok.FormatError, match="max_length = 2"):
        codec.decompress([1, 2, 3], max_length=2)
    assert codec.decompress([], max_length=0).tolist() == []
    with pytest.raises(ValueError, match="max_length must be at least 0"):
        codec.decompress([], max_length=-1)


def test_unused_rules_may_be_longer_than_the_sequence():
    codec = metatok.Codec(10, 64, "nested")
    assert codec.decompress([DICT, M0, 1, 2, 3, M1, M0, M0, END, 7], max_length=1).tolist() == [7]


@pytest.mark.parametrize("method", metatok.METHODS)
@settings(deadline=None, max_examples=400)
@given(data=st.data())
def test_any_ids_give_the_right_answer_or_a_format_error(method, data):
    """Random ids, and compressed sequences with a few ids changed, against the plain reader."""
    pool = data.draw(st.sampled_from([None, 6, 64]))
    codec = metatok.Codec(5, pool, method)
    near = st.integers(-1, 5 + 2 + 8)
    ids = data.draw(st.lists(near, max_size=30))
    if data.draw(st.booleans()):
        ids = codec.compress(data.draw(st.lists(st.integers(0, 2), max_size=60))).ids.tolist()
        for _ in range(data.draw(st.integers(0, 3))):
            if ids:
                at = data.draw(st.integers(0, len(ids) - 1))
                ids[at : at + data.draw(st.integers(0, 1))] = data.draw(st.lists(near, max_size=1))
    try:
        expected = reference.decompress(ids, 5, pool, method, max_length=5000)
    except ValueError:
        with pytest.raises(metatok.FormatError) as caught:
            codec.decompress(ids, max_length=5000)
        assert 0 <= caught.value.position <= len(ids)
    else:
        assert codec.decompress(ids, max_length=5000).tolist() == expected
