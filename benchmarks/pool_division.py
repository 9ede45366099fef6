"""How the inline layout should divide its pool by phrase length: `python -m benchmarks.pool_division`.

For a number of divisions, and for the one in use, the mean saving over texts and lengths at several pool sizes,
beside what the same grammars would save if any meta-token could stand for a phrase of any length.
"""

from __future__ import annotations

import statistics

import numpy as np

import metatok
from benchmarks.corpora import corpora
from metatok import pool as division_in_use
from metatok.grammar import Grammar, prune
from metatok.search.saving import search_saving

POOLS = (64, 128, 256, 512, 1 << 30)
LENGTHS = (2_048, 8_192, 65_536)

CANDIDATES = {
    "in use": division_in_use.PHRASE_LENGTHS,
    "half for pairs": {2: 32, 3: 14, 4: 6, 5: 4, 6: 2, 7: 1, 8: 1, 10: 1, 12: 1, 16: 1, 32: 1},
    "more for middle lengths": {2: 28, 3: 12, 4: 6, 5: 4, 6: 3, 7: 2, 8: 2, 10: 2, 12: 2, 16: 2, 32: 1},
    "few for pairs": {2: 20, 3: 12, 4: 8, 5: 4, 6: 4, 7: 2, 8: 4, 10: 2, 12: 2, 16: 4, 24: 1, 32: 1},
    "of 64, to 32": {2: 24, 3: 12, 4: 7, 5: 4, 6: 3, 7: 2, 8: 3, 10: 2, 12: 2, 16: 3, 24: 1, 32: 1},
    "of 128, to 512": {
        2: 48,
        3: 24,
        4: 14,
        5: 8,
        6: 6,
        7: 4,
        8: 6,
        10: 4,
        12: 3,
        16: 5,
        24: 1,
        32: 2,
        64: 1,
        128: 1,
        512: 1,
    },
    "of 128, to 128": {2: 48, 3: 24, 4: 14, 5: 8, 6: 6, 7: 4, 8: 6, 10: 4, 12: 3, 16: 5, 24: 2, 32: 2, 64: 1, 128: 1},
    "powers of two": {2: 32, 3: 14, 4: 8, 6: 4, 8: 3, 16: 2, 32: 1},
    "no 5 and 7": {2: 26, 3: 12, 4: 8, 6: 6, 8: 5, 12: 3, 16: 3, 32: 1},
    "many long ones": {2: 26, 3: 12, 4: 7, 5: 4, 6: 3, 7: 2, 8: 2, 9: 1, 11: 2, 14: 2, 18: 1, 24: 1, 32: 1},
}


def main() -> None:
    grammars = list(_grammars())
    print(f"{len(grammars)} sequences\n\n| division | {' | '.join(_name(p) for p in POOLS)} |")
    print("| --- |" + " ---: |" * len(POOLS))
    _row(
        "any length (not a layout)", [_mean(n, prune(g, 1, pool)) for pool in POOLS for n, g in grammars], len(grammars)
    )
    for name, division in CANDIDATES.items():
        division_in_use.PHRASE_LENGTHS = division
        division_in_use.PERIOD = sum(division.values())
        division_in_use.length_pattern.cache_clear()
        division_in_use.places.cache_clear()
        _row(
            name, [_mean(n, division_in_use.fit_inline(g, pool)) for pool in POOLS for n, g in grammars], len(grammars)
        )


def _grammars():
    tokenizer = metatok.MetaTokenizer.from_pretrained("mistral:tekken")
    texts = corpora()
    texts["typing.py twice"] = texts["typing.py"][:30_000] * 2
    for text in texts.values():
        ids = tokenizer.encode(text)
        for n in LENGTHS:
            if len(ids) > n // 2:
                part = ids[:n]
                walls = np.zeros(len(part), dtype=np.bool_)
                yield len(part), search_saving(Grammar.raw(part, tokenizer.vocab_size), walls, nested=True, overhead=1)


def _mean(n: int, grammar: Grammar) -> float:
    return 1 - (len(grammar.body) + len(grammar.phrases)) / n


def _row(name: str, savings: list[float], per_pool: int) -> None:
    means = [statistics.mean(savings[i : i + per_pool]) for i in range(0, len(savings), per_pool)]
    print(f"| {name} | {' | '.join(f'{m:.4f}' for m in means)} |")


def _name(pool: int) -> str:
    return "as many as pay" if pool == POOLS[-1] else str(pool)


if __name__ == "__main__":
    main()
