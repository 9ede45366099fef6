"""Random sequences through every method, pool and effort: `python -m tests.fuzz --minutes 10 --jobs 2`, or `make fuzz`.

Each sequence is compressed and restored, checked for length and ids, and then damaged a little: what comes back from
damaged ids must be a FormatError or what the plain reader of `metatok.reference` reads. A failure prints all that is
needed to run it again. Hypothesis (the other tests) finds small cases; this finds rare ones, by number.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import time

import metatok
from metatok import reference
from tests.strategies import fibonacci_word, thue_morse

POOLS = (None, 512, 64, 9, 2, 0)


def sequence(rng: random.Random) -> tuple[int, list[int]]:
    """(vocab_size, ids): noise, runs, periods, words with many repeats, and repeats within repeats; 0 to 300 ids."""
    vocab = rng.choice((1, 2, 3, 6, 40, 1000))
    n = rng.choice((rng.randrange(8), rng.randrange(40), rng.randrange(300)))
    kind = rng.randrange(6)
    if kind == 0:
        ids = [rng.randrange(vocab) for _ in range(n)]
    elif kind == 1:
        ids = [s for _ in range(8) for s in [rng.randrange(vocab)] * rng.randrange(40)]
    elif kind == 2:
        period = rng.randrange(1, 20)
        ids = [rng.randrange(vocab) for _ in range(period)] * (n // period)
    elif kind == 3:
        ids = [s % vocab for s in rng.choice((fibonacci_word, thue_morse))(n)]
    else:
        ids = []
        for _ in range(rng.randrange(1, 7)):
            ids = (ids + [rng.randrange(vocab) for _ in range(rng.randrange(4))]) * rng.randrange(1, 4)
            if len(ids) > 300:
                break
        for _ in range(rng.randrange(4)):
            if ids:
                ids[rng.randrange(len(ids))] = rng.randrange(vocab)
    return vocab, ids[:300]


def check(rng: random.Random, max_share: float) -> None:
    """One sequence. `max_share`: the share that gets `effort="max"`, which takes hundreds of times longer."""
    vocab, ids = sequence(rng)
    method, pool = rng.choice(metatok.METHODS), rng.choice(POOLS)
    effort = "max" if rng.random() < max_share else rng.choice(("fast", "default", "default"))
    seed = rng.choice((None, rng.randrange(100)))
    keep = [
        sorted((rng.randrange(len(ids) + 1), rng.randrange(len(ids) + 1))) for _ in range(rng.choice((0, 0, 0, 1, 2)))
    ]
    codec = metatok.Codec(vocab, pool, method, effort)
    c = codec.compress(ids, keep=keep, seed=seed)
    assert len(c) <= len(ids)
    assert codec.decompress(c.ids).tolist() == ids
    assert all((c.owner[start:stop] == -1).all() for start, stop in keep)
    damaged = c.ids.tolist()
    assert not damaged or 0 <= min(damaged) <= max(damaged) < vocab + codec.n_added
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(damaged) + 1)
        damaged[at : at + rng.randrange(2)] = [rng.randrange(vocab + 12)] * rng.randrange(2)
    try:
        expected = reference.decompress(damaged, vocab, pool, method, max_length=2_000)
    except ValueError:
        expected = None
    try:
        found = codec.decompress(damaged, max_length=2_000).tolist()
    except metatok.FormatError as error:
        found, where = None, error.position
    else:
        where = 0
    assert found == expected
    assert 0 <= where <= len(damaged)


def run(job: int, seed: int, minutes: float | None, count: int | None, max_share: float = 0.001) -> int:
    """Check sequences for some minutes, or `count` of them; returns how many. Seed, job and number draw each."""
    end = None if minutes is None else time.monotonic() + 60 * minutes
    done = 0
    while (count is None or done < count) and (end is None or time.monotonic() < end):
        name = f"{seed}/{job}/{done}"
        try:
            check(random.Random(name), max_share)
        except Exception as error:
            raise AssertionError(f"sequence {name!r} (max_share={max_share}) failed: {error!r}") from error
        done += 1
    return done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--jobs", type=int, default=multiprocessing.cpu_count())
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    print(f"seed {options.seed}, {options.jobs} jobs, {options.minutes:g} minutes")
    with multiprocessing.Pool(options.jobs) as pool:
        counts = pool.starmap(run, [(job, options.seed, options.minutes, None) for job in range(options.jobs)])
    print(f"{sum(counts):,} sequences, nothing lost")


if __name__ == "__main__":
    main()
