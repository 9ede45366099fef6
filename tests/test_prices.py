"""Money: a case worked by hand, the break-even against every number of uses, and the edges."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metatok.compute import Prices, break_even_saving, break_even_uses, prompt_cost

USUAL = Prices(input=3.0, cached_read=0.3, cache_write=3.75)


def test_worked_by_hand() -> None:
    # 1,000,000 tokens, 4 uses, 800,000 the same each time:
    #   uncached: 4 · 3.00 = 12
    #   cached: 0.8 · 3.75 + 3 · 0.8 · 0.30 + 4 · 0.2 · 3.00 = 3 + 0.72 + 2.4
    million = 1_000_000
    assert prompt_cost(USUAL, million) == 3
    assert prompt_cost(USUAL, million, uses=4) == 12
    assert prompt_cost(USUAL, million, uses=4, cached=800_000) == 6.12
    # Compressed to 700,000 and read anew each time: 2.10 a use, against 0.24 + 0.60 raw, and 0.8 · 3.45 = 2.76 once.
    # 1.26 more a use: 1.26 · 2 < 2.76 < 1.26 · 3.
    assert break_even_uses(USUAL, million, 700_000, cached=800_000) == 3
    assert prompt_cost(USUAL, 700_000, uses=2) < prompt_cost(USUAL, million, uses=2, cached=800_000)
    assert prompt_cost(USUAL, 700_000, uses=3) > prompt_cost(USUAL, million, uses=3, cached=800_000)
    # At 4 uses the raw prompt costs 6.12 of 12: compression has to save 49 %.
    assert break_even_saving(USUAL, uses=4, cached_share=0.8) == pytest.approx(0.49, abs=1e-15)


def test_a_cache_that_is_kept_scales_with_the_length() -> None:
    raw = prompt_cost(USUAL, 10_000, uses=7, cached=9_000)
    assert prompt_cost(USUAL, 2_500, uses=7, cached=2_250) == pytest.approx(raw / 4, rel=1e-15)


cents = st.integers(0, 2000).map(lambda n: n / 100)


@given(cents, cents, cents, st.integers(1, 400), st.data())
def test_break_even_is_the_first_use_that_costs_more(
    read: float, low: float, high: float, raw: int, data: st.DataObject
) -> None:
    prices = Prices(read, *sorted((low, high)))
    compressed, cached = data.draw(st.integers(0, raw)), data.draw(st.integers(0, raw))

    def dearer(uses: int) -> bool:
        return prompt_cost(prices, compressed, uses=uses) > prompt_cost(prices, raw, uses=uses, cached=cached)

    first = break_even_uses(prices, raw, compressed, cached=cached)
    if first is None:
        assert not any(dearer(uses) for uses in (1, 2, 3, 10, 1000, 10**9))
    else:
        assert dearer(first)
        assert first == 1 or not dearer(first - 1)


@given(cents.filter(bool), cents, st.integers(1, 1000), st.integers(0, 1000))
def test_the_saving_that_breaks_even_costs_the_same(read: float, again: float, uses: int, cached: int) -> None:
    prices = Prices(read, again, max(read, again))
    saving = break_even_saving(prices, uses=uses, cached_share=cached / 1000)
    per_use = Fraction(prompt_cost(prices, 10**9, uses=uses, cached=cached * 10**6)) / uses / 1000
    assert (1 - saving) * read == pytest.approx(float(per_use), rel=1e-12)


def test_the_edges() -> None:
    assert prompt_cost(USUAL, 0, uses=3) == 0
    assert break_even_uses(USUAL, 0, 0, cached=0) is None
    assert break_even_uses(USUAL, 100, 100, cached=0) is None  # the same costs the same
    assert break_even_uses(USUAL, 100, 101, cached=0) == 1
    assert break_even_uses(Prices(0, 0, 0), 100, 10, cached=90) is None
    # A single use pays for a cache that nobody reads: even some longer prompt would be cheaper.
    assert break_even_saving(USUAL, uses=1, cached_share=1.0) == -0.25
    assert break_even_saving(USUAL, uses=10**9, cached_share=1.0) == pytest.approx(0.9)
    assert prompt_cost(Prices(1e-7, 0, 0), 10**6) == 1e-7  # a price that Python writes with an exponent


@pytest.mark.parametrize("wrong", [-1.0, float("nan"), float("inf"), None, "3", True])
def test_prices_are_numbers(wrong: Any) -> None:
    for prices in [(wrong, 0.3, 3.75), (3.0, wrong, 3.75), (3.0, 0.3, wrong)]:
        with pytest.raises(ValueError, match="must be a number, 0 or more"):
            Prices(*prices)


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match=r"cached read \(4\) cannot cost more than a cache write \(3\.75\)"):
        Prices(3.0, 4.0, 3.75)
    with pytest.raises(ValueError, match="uses must be 1 or more"):
        prompt_cost(USUAL, 10, uses=0)
    with pytest.raises(ValueError, match="11 cached tokens are more than the prompt's 10"):
        prompt_cost(USUAL, 10, cached=11)
    with pytest.raises(ValueError, match="more than the prompt's 10"):
        break_even_uses(USUAL, 10, 5, cached=11)
    with pytest.raises(ValueError, match="compressed must be 0 or more"):
        break_even_uses(USUAL, 10, -5, cached=1)
    for share in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="cached_share must be 0 to 1"):
            break_even_saving(USUAL, uses=2, cached_share=share)
    with pytest.raises(ValueError, match="input is free"):
        break_even_saving(Prices(0, 0, 0), uses=2, cached_share=0.5)
