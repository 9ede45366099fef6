"""What prompts cost in money, with and without the provider's prompt cache.

Providers charge input by the token and keep the beginning of a prompt for a while: a later prompt that begins with the
same tokens pays a small price for them (a cached read), and the first pays a little more (a cache write). A prompt of
n tokens that is sent k times, whose first s tokens are the same each time and cached, costs

    s · write + (k − 1) · s · read + k · (n − s) · input

and k · n · input where nothing is cached (s = 0). That is `prompt_cost`, and the other two follow from it.

Compression breaks the cache where the whole prompt is compressed anew for every request: what comes last decides which
phrases pay, a dictionary in front changes with it, and so does every token after. `break_even_uses` compares such a
prompt, k · c · input, with the raw one and its cached beginning. Whoever compresses the beginning by itself sends the
same ids each time and keeps the cache: `prompt_cost` with the compressed counts.

Exact: computed in fractions of the prices as they are written. Does not know anybody's prices, the price of answers,
how long a cache lives or how short a beginning it refuses.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import floor, isfinite
from operator import index
from typing import SupportsIndex

__all__ = ["Prices", "break_even_saving", "break_even_uses", "prompt_cost"]

PER = 1_000_000  # tokens that a price is for


@dataclass(frozen=True)
class Prices:
    """Prices of input, in any currency, per million tokens.

    Args:
        input: of a token that is read anew.
        cached_read: of a token that the cache holds.
        cache_write: of a token that is put into the cache; the price of `input` where a provider asks no more.

    Raises:
        ValueError: a price that is negative or no number, or a cached read that costs more than a write.

    >>> Prices(3.0, 0.3, 3.75)
    Prices(input=3.0, cached_read=0.3, cache_write=3.75)
    """

    input: float
    cached_read: float
    cache_write: float

    def __post_init__(self) -> None:
        for name in ("input", "cached_read", "cache_write"):
            price = getattr(self, name)
            if isinstance(price, bool) or not isinstance(price, int | float) or not isfinite(price) or price < 0:
                raise ValueError(f"the price of {name} must be a number, 0 or more, got {price!r}")
        if self.cached_read > self.cache_write:
            raise ValueError(
                f"a cached read ({self.cached_read:g}) cannot cost more than a cache write ({self.cache_write:g})"
            )

    def _exact(self) -> tuple[Fraction, Fraction, Fraction]:
        """Input, cached read, cache write; of one token."""
        fresh, again, write = (Fraction(str(p)) / PER for p in (self.input, self.cached_read, self.cache_write))
        return fresh, again, write


def prompt_cost(prices: Prices, tokens: SupportsIndex, *, uses: SupportsIndex = 1, cached: SupportsIndex = 0) -> float:
    """The money that a prompt costs as input, sent `uses` times while the cache lives.

    Args:
        prices: per million tokens.
        tokens: length of the prompt.
        uses: how often it is sent, 1 or more.
        cached: how many tokens at its beginning are the same each time and cached; 0 for no cache.

    Raises:
        ValueError: a count out of range, or more cached tokens than tokens.

    >>> prices = Prices(3.0, 0.3, 3.75)
    >>> prompt_cost(prices, 10_000, uses=20), prompt_cost(prices, 10_000, uses=20, cached=9_000)
    (0.6, 0.14505)
    """
    tokens, uses, cached = _count("tokens", tokens), _count("uses", uses, 1), _count("cached", cached)
    if cached > tokens:
        raise ValueError(f"{cached} cached tokens are more than the prompt's {tokens}")
    fresh, again, write = prices._exact()
    return float(cached * (write + (uses - 1) * again) + uses * (tokens - cached) * fresh)


def break_even_uses(
    prices: Prices, raw: SupportsIndex, compressed: SupportsIndex, *, cached: SupportsIndex
) -> int | None:
    """From how many uses on compression costs more than it saves, if it breaks the cache.

    The compressed prompt is read anew each time; the raw one has its first `cached` tokens in the cache. Per use the
    first costs c · input and the second s · read + (n − s) · input, and the second pays s · (write − read) once. So
    compression costs more when k · (c · input − s · read − (n − s) · input) > s · (write − read).

    Args:
        prices: per million tokens.
        raw, compressed: lengths of the prompt in tokens.
        cached: how many tokens at the beginning of the raw prompt are the same each time.

    Returns:
        The fewest uses at which the compressed prompt is the dearer one; None if it never is.

    Raises:
        ValueError: a negative count, or more cached tokens than raw ones.

    >>> break_even_uses(Prices(3.0, 0.3, 3.75), 10_000, 7_300, cached=9_000)
    2
    >>> break_even_uses(Prices(3.0, 0.3, 3.75), 10_000, 1_800, cached=9_000) is None
    True
    """
    raw, compressed, cached = _count("raw", raw), _count("compressed", compressed), _count("cached", cached)
    if cached > raw:
        raise ValueError(f"{cached} cached tokens are more than the prompt's {raw}")
    fresh, again, write = prices._exact()
    each = compressed * fresh - cached * again - (raw - cached) * fresh
    if each <= 0:
        return None
    return floor(cached * (write - again) / each) + 1


def break_even_saving(prices: Prices, *, uses: SupportsIndex, cached_share: float) -> float:
    """The saving in tokens below which compression costs more than it saves, if it breaks the cache.

    With n = 1 and s = `cached_share` in the terms of `break_even_uses`: 1 − cost(raw, cached) / (k · input). Negative
    where even a longer prompt would be cheaper, as for a single use that has to pay for the cache write.

    Args:
        prices: per million tokens; input must have one.
        uses: how often the prompt is sent.
        cached_share: the part of the raw prompt that is the same each time, 0 to 1.

    Raises:
        ValueError: a share or count out of range, or input that is free.

    >>> round(break_even_saving(Prices(3.0, 0.3, 3.75), uses=20, cached_share=0.9), 5)
    0.75825
    """
    uses = _count("uses", uses, 1)
    if not 0 <= cached_share <= 1:
        raise ValueError(f"cached_share must be 0 to 1, got {cached_share!r}")
    fresh, again, write = prices._exact()
    if not fresh:
        raise ValueError("where input is free, no saving in tokens is one in money")
    share = Fraction(str(float(cached_share)))
    each = share * (write + (uses - 1) * again) / uses + (1 - share) * fresh
    return float(1 - each / fresh)


def _count(name: str, value: SupportsIndex, least: int = 0) -> int:
    count = index(value)
    if count < least:
        raise ValueError(f"{name} must be {least} or more, got {count}")
    return count
