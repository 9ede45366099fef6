"""The lossy baselines: exact lengths, what is kept and in which order, what a missing model says."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metatok import lossy
from metatok.lossy import SEGMENT, Ids, LossyError

SequenceAndLength = st.lists(st.integers(0, 40), max_size=400).flatmap(
    lambda ids: st.tuples(st.just(ids), st.integers(0, len(ids) + 3))
)
Baseline = Callable[[Ids, int], Ids]


def rarity(before: Ids, segment: Ids) -> np.ndarray:
    """A language model: the more often a token was there before, the less it tells."""
    seen = list(before)
    told = []
    for token in segment:
        told.append(-np.log((seen.count(token) + 1) / (len(seen) + 41)))
        seen.append(token)
    return np.array(told)


def in_tens(ids: Ids) -> Ids:
    return np.arange(len(ids)) // 10


BASELINES: dict[str, Baseline] = {
    "truncate": lossy.truncate,
    "drop_random": lambda ids, length: lossy.drop_random(ids, length, seed=1),
    "selective_context": lambda ids, length: lossy.selective_context(ids, length, rarity(ids[:0], ids)),
    "selective_context of phrases": lambda ids, length: lossy.selective_context(
        ids, length, rarity(ids[:0], ids), in_tens(ids)
    ),
    "llmlingua": lambda ids, length: lossy.llmlingua(ids, length, rarity, in_tens(ids)),
}


@pytest.mark.parametrize("name", BASELINES)
@given(case=SequenceAndLength)
def test_exactly_so_many_tokens_in_their_order(name: str, case: tuple[list[int], int]) -> None:
    ids, length = np.array(case[0], dtype=np.int64), case[1]
    kept = BASELINES[name](ids, length)
    assert len(kept) == min(length, len(ids))
    rest = iter(ids.tolist())
    assert all(token in rest for token in kept.tolist()), "not a subsequence"


@pytest.mark.parametrize("name", BASELINES)
def test_what_are_no_ids_is_a_mistake(name: str) -> None:
    with pytest.raises(TypeError, match="ids must be integers, not float64"):
        BASELINES[name](np.array([1.7, 2.2]), 1)


@pytest.mark.parametrize("name", BASELINES)
def test_a_negative_length_is_a_mistake(name: str) -> None:
    with pytest.raises(ValueError, match="-1"):
        BASELINES[name](np.arange(5), -1)


def test_selective_context_keeps_what_tells_most() -> None:
    information = [0.5, 9.0, 0.1, 3.0, 4.0, 0.2]
    assert lossy.selective_context(range(6), 3, information).tolist() == [1, 3, 4]
    # As phrases: means 4.75, 1.55, 2.1; what is kept of the last one is its beginning.
    assert lossy.selective_context(range(6), 3, information, [0, 0, 1, 1, 2, 2]).tolist() == [0, 1, 4]


def test_llmlingua_drops_lines_first_when_much_has_to_go() -> None:
    told = {0: 1.0, 1: 5.0, 2: 3.0}
    ids, lines = np.repeat([0, 1, 2], 10), np.repeat([0, 1, 2], 10)
    kept = lossy.llmlingua(ids, 10, lambda before, segment: np.array([told[t] for t in segment]), lines)
    assert kept.tolist() == [1] * 10  # of the two lines that are left
    kept = lossy.llmlingua(ids, 20, lambda before, segment: np.array([told[t] for t in segment]), lines)
    assert kept.tolist() == [1] * 10 + [2] * 10


def test_llmlingua_judges_each_segment_after_what_is_left_of_those_before() -> None:
    asked: list[tuple[list[int], int]] = []

    def information(before: Ids, segment: Ids) -> np.ndarray:
        asked.append((before.tolist(), len(segment)))
        return segment.astype(float)

    ids = np.arange(2 * SEGMENT + 50)
    kept = lossy.llmlingua(ids, 150, information, np.zeros_like(ids))
    assert [n for _, n in asked] == [SEGMENT, SEGMENT, 50]
    assert [len(before) for before, _ in asked] == [0, 60, 120]  # the same share of each segment
    assert asked[1][0] == list(range(SEGMENT - 60, SEGMENT))
    assert len(kept) == 150


def test_llmlingua2_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llmlingua", None)
    with pytest.raises(LossyError, match=r"pip install 'metatok\[lossy\]'"):
        lossy.LLMLingua2("anywhere")


def test_it_needs_no_torch() -> None:
    code = "import sys, metatok.lossy; assert not {'torch', 'transformers', 'llmlingua'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
