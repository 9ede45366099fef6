"""Sequences made to be hard: runs, periods, Fibonacci and Thue–Morse words, a de Bruijn sequence, noise, distinct
tokens, one text twice and noise twice, behind real code of the same length. `python -m benchmarks.engine --only hard`
measures them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

import metatok
from benchmarks.corpora import library


def sequences(n: int) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """(name, ids of shape (n,))."""
    rng = np.random.default_rng(0)
    code = metatok.MetaTokenizer.from_pretrained("mistral:tekken").encode(library()).astype(np.int64)
    yield "code", code[:n]
    yield "one symbol", np.zeros(n, dtype=np.int64)
    for period in (2, 7, 1_000):
        yield f"period {period:,}", np.arange(n) % period
    yield "Fibonacci word", _fibonacci(n)
    yield "Thue–Morse word", np.array([i.bit_count() & 1 for i in range(n)])
    yield "de Bruijn sequence", _de_bruijn(n)
    yield "random over 2", rng.integers(0, 2, n)
    yield "random over 100,000", rng.integers(0, 100_000, n)
    yield "all different", np.arange(n)
    yield "code twice", np.tile(code[: n // 2], 2)
    yield "noise twice", np.tile(rng.integers(0, 5_000, n // 2), 2)


def _fibonacci(n: int) -> NDArray[np.int64]:
    a, b = np.array([0]), np.array([0, 1])
    while len(b) < n:
        a, b = b, np.concatenate((b, a))
    return b[:n]


def _de_bruijn(n: int) -> NDArray[np.int64]:
    """The first n symbols of a binary de Bruijn sequence, by the prefer-one rule: no stretch of k occurs twice."""
    k = max(n - 1, 1).bit_length()
    seen = np.zeros(1 << k, dtype=np.bool_)
    window, out = 0, np.zeros(n, dtype=np.int64)
    seen[0] = True
    for i in range(n):
        one = ((window << 1) | 1) & ((1 << k) - 1)
        window = one if not seen[one] else one ^ 1
        seen[window] = True
        out[i] = window & 1
    return out
