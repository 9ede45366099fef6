"""Sequences made to be hard: `python -m benchmarks.hard_inputs [--tokens 5000 1000000]`.

Prints what each method saves and how long it takes on runs, periods, Fibonacci and Thue–Morse words, a de Bruijn
sequence, noise, distinct tokens and one text twice, beside real code of the same length.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

import metatok
from benchmarks.corpora import STDLIB


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, nargs="+", default=[5_000, 1_000_000])
    options = parser.parse_args()
    metatok.warm_up()
    for n in options.tokens:
        print(
            f"\n{n:,} tokens\n\n| sequence | {' | '.join(metatok.METHODS)} |\n| --- |"
            + " ---: |" * len(metatok.METHODS)
        )
        for name, ids in sequences(n):
            cells = []
            for method in metatok.METHODS:
                codec = metatok.Codec(max(int(ids.max()) + 1, 131_072), None, method)
                start = time.perf_counter()
                compressed = codec.compress(ids)
                cells.append(f"{compressed.saving:.4f} in {(time.perf_counter() - start) * 1e3:.0f} ms")
            print(f"| {name} | {' | '.join(cells)} |", flush=True)


def sequences(n: int) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """(name, ids of shape (n,))."""
    rng = np.random.default_rng(0)
    code = "".join(p.read_text(encoding="utf-8", errors="replace") for p in sorted(STDLIB.glob("*.py")))
    yield "code", metatok.MetaTokenizer.from_pretrained("mistral:tekken").encode(code)[:n].astype(np.int64)
    yield "one symbol", np.zeros(n, dtype=np.int64)
    for period in (2, 7, 1_000):
        yield f"period {period:,}", np.arange(n) % period
    yield "Fibonacci word", _fibonacci(n)
    yield "Thue–Morse word", np.array([i.bit_count() & 1 for i in range(n)])
    yield "de Bruijn sequence", _de_bruijn(n)
    yield "random over 2", rng.integers(0, 2, n)
    yield "random over 100,000", rng.integers(0, 100_000, n)
    yield "all different", np.arange(n)
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


if __name__ == "__main__":
    main()
