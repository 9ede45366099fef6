"""The LZ77 bound against its definition, and against the true smallest grammar of every short sequence."""

from functools import cache
from itertools import chain, combinations, product

import pytest
from hypothesis import given, settings

import metatok
from tests.strategies import VOCAB, sequences


def lz77_phrases(ids):
    """By definition: one new symbol, or the longest stretch that occurs earlier and ends before it begins."""
    count, i = 0, 0
    while i < len(ids):
        length = 1
        while i + length < len(ids) and occurs(ids[i : i + length + 1], ids[:i]):
            length += 1
        i += length
        count += 1
    return count


def occurs(phrase, ids):
    return any(ids[p : p + len(phrase)] == phrase for p in range(len(ids) - len(phrase) + 1))


@settings(deadline=None, max_examples=300)
@given(ids=sequences)
def test_equals_the_definition(ids):
    assert metatok.bound(ids) == lz77_phrases(ids)


def smallest_grammar(ids):
    """Size of the smallest straight-line grammar, by trying every set of phrases that occur twice.

    A rule that is used once can be written out without loss, so only phrases with two occurrences apart matter; given
    the phrases, body and phrases are each written in as few symbols as possible.
    """
    n = len(ids)
    stretches = {ids[i:j] for i in range(n) for j in range(i + 2, n + 1)}
    repeated = [
        s for s in stretches if any(ids[p : p + len(s)] == s and occurs(s, ids[p + len(s) :]) for p in range(n))
    ]

    def written(part, phrases):
        @cache
        def cost(i):
            if i == len(part):
                return 0
            fits = (p for p in phrases if p != part and part[i : i + len(p)] == p)
            return 1 + min((cost(i + length) for length in chain([1], map(len, fits))), default=0)

        return cost(0)

    sets = chain.from_iterable(combinations(repeated, k) for k in range(len(repeated) + 1))
    return min(written(ids, phrases) + sum(written(p, phrases) for p in phrases) for phrases in sets)


def test_never_above_the_smallest_grammar():
    tight = 0
    for n in range(9):
        for ids in product((0, 1), repeat=n):
            least = smallest_grammar(ids)
            assert metatok.bound(ids) <= least
            tight += metatok.bound(ids) == least
            inline = metatok.Codec(2, None, "inline").compress(ids)
            assert least <= len(inline)
    assert tight > 50  # it is a real bound, not a small number


@settings(deadline=None, max_examples=100)
@given(ids=sequences)
def test_no_method_goes_below(ids):
    for method in metatok.METHODS:
        assert len(metatok.Codec(VOCAB, None, method).compress(ids)) >= metatok.bound(ids)


def test_input():
    assert metatok.bound([]) == 0
    assert metatok.bound([-5, 2**40, -5, 2**40]) == 3
    with pytest.raises(TypeError, match="ids must be integers"):
        metatok.bound([1.0])
