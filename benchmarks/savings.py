"""What each method saves, and how long it takes: `python -m benchmarks.savings [--tokens 8192] [--pool all]`.

Prints a table of savings with the first tokens of each text (Mistral's Tekken tokenizer), and the median time of
compressing them on one core. Times are for reading only: machines differ and are shared.
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

    print(f"| text | tokens | {' | '.join(metatok.METHODS)} |")
    print("| --- | ---: |" + " ---: |" * len(metatok.METHODS))
    for name, text in corpora().items():
        ids = tokenizer.encode(text)[: options.tokens]
        cells = []
        for method in metatok.METHODS:
            codec = metatok.Codec(tokenizer.vocab_size, pool, method)
            times = []
            for _ in range(options.runs):
                start = time.perf_counter()
                compressed = codec.compress(ids)
                times.append(time.perf_counter() - start)
            cells.append(f"{compressed.saving:.3f} in {statistics.median(times) * 1e3:.1f} ms")
        print(f"| {name} | {len(ids):,} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
