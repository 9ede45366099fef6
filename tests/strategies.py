"""Sequences that are hard for a compressor, for the property tests."""

from hypothesis import strategies as st

VOCAB = 12


def fibonacci_word(n: int) -> list[int]:
    a, b = [0], [0, 1]
    while len(b) < n:
        a, b = b, b + a
    return b[:n]


def thue_morse(n: int) -> list[int]:
    return [i.bit_count() & 1 for i in range(n)]


_symbols = st.integers(0, VOCAB - 1)
_few = st.sampled_from([1, 2, 3, VOCAB]).flatmap(lambda k: st.lists(st.integers(0, k - 1), max_size=120))
_runs = st.lists(st.tuples(_symbols, st.integers(1, 40)), max_size=8).map(
    lambda runs: [s for s, n in runs for _ in range(n)]
)
# A sequence built by repeating what was built so far: nested repeats, many levels deep.
_nested = st.lists(st.tuples(st.lists(_symbols, max_size=3), st.integers(1, 3)), min_size=1, max_size=6).map(
    lambda steps: _grow(steps)[:200]
)
_named = st.integers(0, 160).flatmap(
    lambda n: st.sampled_from([fibonacci_word(n), thue_morse(n), list(range(VOCAB)) * (n // VOCAB)])
)


def _grow(steps: list[tuple[list[int], int]]) -> list[int]:
    built: list[int] = []
    for tail, times in steps:
        built = (built + tail) * times
    return built


sequences = st.one_of(_few, _runs, _nested, _named)
pools = st.sampled_from([None, 512, 64, 8, 3, 1, 0])
