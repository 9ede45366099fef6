"""What each method saves, and how long it takes: `python -m benchmarks.savings [--tokens 8192] [--pool all]`.

Prints what each method saves of the first tokens of each text (Mistral's Tekken tokenizer), in what median time on one
core, and what no grammar could exceed (`metatok.bound`). Times are for reading only: machines differ and are shared.
"""

from __future__ import annotations

import argparse
import statistics
import time

import metatok
from benchmarks.corpora import corpora


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, default=8192, help="use the first N tokens of each text")
    parser.add_argument("--pool", default="all", help="number of meta-tokens, or all")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    pool = None if options.pool == "all" else int(options.pool)
    tokenizer = metatok.MetaTokenizer.from_pretrained("mistral:tekken")
    metatok.warm_up()

    ways = {method: metatok.Codec(tokenizer.vocab_size, pool, method) for method in metatok.METHODS}
    ways["inline, max"] = metatok.Codec(tokenizer.vocab_size, pool, "inline", effort="max")

    savings, times = [], []
    for name, text in corpora().items():
        ids = tokenizer.encode(text)[: options.tokens]
        saved, taken = [], []
        for codec in ways.values():
            runs = []
            for _ in range(options.runs if codec.effort == "default" else 1):
                start = time.perf_counter()
                compressed = codec.compress(ids)
                runs.append(time.perf_counter() - start)
            saved.append(f"{compressed.saving:.3f}")
            taken.append(_readable(statistics.median(runs)))
        savings.append([name, f"{len(ids):,}", *saved, f"{1 - metatok.bound(ids) / len(ids):.3f}"])
        times.append([name, f"{len(ids):,}", *taken])
    _table(["text", "tokens", *ways, "bound"], savings)
    _table(["text", "tokens", *ways], times)


def _table(head: list[str], rows: list[list[str]]) -> None:
    print("| " + " | ".join(head) + " |\n| --- |" + " ---: |" * (len(head) - 1))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()


def _readable(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 0.1 else f"{seconds * 1e3:.1f} ms"


if __name__ == "__main__":
    main()
