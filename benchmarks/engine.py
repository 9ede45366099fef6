"""Every figure of the engine: `python -m benchmarks.engine [--only PART …]`.

Prints the tables and writes them to assets/results/engine.json, each part with its date, machine, versions and sizes;
parts that were not run stay as they are. Needs the extras `tokenizers` and `benchmark`. Texts: `benchmarks/corpora.py`;
ids: Mistral's Tekken. Times are the least CPU time of some runs in one thread, except for batches; of one run in the
parts `long` and `effort` and for other packages. All parts take a quarter of an hour, half of it in delta-ltsc; without
`peers` it is five to ten minutes.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np

import metatok
from benchmarks.circumstances import circumstances
from benchmarks.corpora import corpora, library
from benchmarks.hard_inputs import sequences
from benchmarks.timing import cpu_seconds, peak_bytes

if TYPE_CHECKING:
    from benchmarks.peers import Outcome

RESULTS = Path(__file__).parents[1] / "assets" / "results" / "engine.json"
PROMPT = 8_192
POOLS = (64, 128, 256, 512, None)
PACKAGES = ("numpy", "numba", "tiktoken", "tokenizers", "delta-ltsc", "zip2zip-compression")
NEEDED = {"benchmarks.tokenizers": ("speed",), "benchmarks.peers": ("peers",)}  # modules of the extra, and their parts

Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=", ".join(PARTS))
    chosen = parser.parse_args().only
    for module in NEEDED:  # now, and not after half of the parts
        if any(part in chosen for part in NEEDED[module]):
            try:
                importlib.import_module(module)
            except ModuleNotFoundError as error:
                parser.error(f"the package {error.name} is missing: pip install -e '.[benchmark]'")
    metatok.warm_up()
    for name in chosen:
        rows = []
        print(f"\n{name}: {PARTS[name].__doc__.splitlines()[0]}\n")
        for row in PARTS[name]():
            if not rows:
                print("| " + " | ".join(row) + " |\n|" + " --- |" * len(row))
            print("| " + " | ".join(_cell(v) for v in row.values()) + " |", flush=True)
            rows.append(row)
        results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        results[name] = {"what": PARTS[name].__doc__, **circumstances(PACKAGES), "rows": rows}
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")


def speed() -> Iterator[Row]:
    """Milliseconds to tokenize, compress and restore whole texts, all meta-tokens that pay.

    `hugging_face` is Tekken as a byte-level BPE of the package tokenizers (same ids), `tiktoken` Tekken in tiktoken.
    `of_hugging_face` is the time of `inline` as a share of it; `decompress` is in million tokens a second.
    """
    from benchmarks.tokenizers import hugging_face, same_ids, tekken

    tokenizer = tekken()
    fast = hugging_face(tokenizer)
    code = library()
    for name, text in {**corpora(), "prompt of code": code[:33_000], "all of the library": code}.items():
        ids = tokenizer.encode(text)[:1_000_000]
        if len(ids) == 1_000_000:
            text = tokenizer.decode(ids)
        assert same_ids(fast, tokenizer, text)
        row: Row = {"text": name, "tokens": len(ids)}
        row["hugging_face"] = _ms(partial(fast.encode, text))
        row["tiktoken"] = _ms(partial(tokenizer.encode, text))
        for method in metatok.METHODS:
            codec = metatok.Codec(tokenizer.vocab_size, None, method)
            row[method] = _ms(partial(codec.compress, ids), runs=20 if len(ids) < 20_000 else 5)
        short = codec.compress(ids).ids
        seconds, _ = cpu_seconds(partial(codec.decompress, short), runs=50, at_most=0.5)
        row["decompress"] = round(len(ids) / seconds / 1e6, 1)
        row["bound"] = _ms(partial(metatok.bound, ids))
        row["of_hugging_face"] = round(row["inline"] / row["hugging_face"], 3)
        row["ltsc_of_hugging_face"] = round(row["ltsc"] / row["hugging_face"], 3)
        yield row


def prompts() -> Iterator[Row]:
    """The same for prompts of up to 8,192 tokens: milliseconds."""
    tokenizer = metatok.MetaTokenizer.from_pretrained("mistral:tekken")
    for name, ids in _prompts(tokenizer):
        row: Row = {"text": name, "tokens": len(ids)}
        for method in metatok.METHODS:
            codec = metatok.Codec(tokenizer.vocab_size, None, method)
            row[method] = _ms(partial(codec.compress, ids), runs=30)
        yield row


def batch() -> Iterator[Row]:
    """compress_batch on 64 prompts of 4,096 tokens: wall-clock seconds on one core and on all."""
    ids = metatok.MetaTokenizer.from_pretrained("mistral:tekken").encode(library())
    many = [ids[i * 4_096 : (i + 1) * 4_096] for i in range(64)]
    codec = metatok.Codec(131_072, None, "inline")
    all_cores = os.sched_getaffinity(0)
    one = every = float("inf")
    for _ in range(60):  # in turns, so that both meet the same moments
        one = min(one, _wall_clock(partial(codec.compress_batch, many), {max(all_cores)}))
        every = min(every, _wall_clock(partial(codec.compress_batch, many), all_cores))
    yield {"cores": len(all_cores), "one": round(one, 4), "all": round(every, 4), "times": round(one / every, 2)}


def hard() -> Iterator[Row]:
    """Sequences made to be hard: milliseconds, bytes of memory a token at the peak, and growth, `inline` and `ltsc`.

    `of_code` is the time as a share of what code of that length takes; `growth` is the time per token at 1,000,000
    tokens as a multiple of that at 10,000, where log n grows 1.5-fold.
    """
    base: dict[tuple[str, int], float] = {}
    per_token: dict[tuple[str, str], float] = {}
    for n in (10_000, 100_000, 1_000_000):
        for name, ids in sequences(n):
            row: Row = {"sequence": name, "tokens": n}
            for method in ("inline", "ltsc"):
                codec = metatok.Codec(131_072 if ids.max() < 131_072 else 1 << 20, None, method)
                seconds, done = cpu_seconds(partial(codec.compress, ids), runs=7)
                base.setdefault((method, n), seconds)
                per_token.setdefault((method, name), seconds / n)
                row |= {
                    method: round(1e3 * seconds, 2),
                    f"{method}_of_code": round(seconds / base[method, n], 2),
                    f"{method}_growth": round(seconds / n / per_token[method, name], 2),
                    f"{method}_saving": round(done.saving, 4),
                }
                if n == 1_000_000:
                    row[f"{method}_bytes"] = round(_peak(ids, codec) / n)
            yield row


def long() -> Iterator[Row]:
    """Ten million tokens by effort `fast` and `default`: seconds and saving."""
    ids = _ten_million()
    for method in ("flat", "nested", "inline"):
        for effort in ("fast", "default"):
            codec = metatok.Codec(131_072, None, method, effort)
            seconds, done = cpu_seconds(partial(codec.compress, ids), runs=1)
            row = {"method": method, "effort": effort, "tokens": len(ids), "seconds": round(seconds, 1)}
            yield row | {"saving": round(done.saving, 4)}


def pools() -> Iterator[Row]:
    """What is saved of the first 8,192 tokens with 64 to 512 meta-tokens and all that pay: means over the texts."""
    tokenizer = metatok.MetaTokenizer.from_pretrained("mistral:tekken")
    texts = list(_prompts(tokenizer))
    for method in metatok.METHODS:
        for effort in ("default",) if method == "ltsc" else ("default", "max"):
            row: Row = {"method": method, "effort": effort, "texts": len(texts)}
            for pool in POOLS:
                codec = metatok.Codec(tokenizer.vocab_size, pool, method, effort)
                row[str(pool or "all")] = round(float(np.mean([codec.compress(ids).saving for _, ids in texts])), 4)
            yield row


def effort() -> Iterator[Row]:
    """How much shorter `max` is than `default`, in percent of the ids, first 8,192 tokens, and what it takes in s."""
    tokenizer = metatok.MetaTokenizer.from_pretrained("mistral:tekken")
    shorter: dict[str, list[float]] = {"flat": [], "nested": [], "inline": []}
    row: Row
    for name, ids in _prompts(tokenizer):
        row = {"text": name, "tokens": len(ids)}
        for method, values in shorter.items():
            usual = metatok.Codec(tokenizer.vocab_size, None, method).compress(ids)
            codec = metatok.Codec(tokenizer.vocab_size, None, method, "max")
            seconds, best = cpu_seconds(partial(codec.compress, ids), runs=1)
            values.append(100 * (1 - len(best) / len(usual)))
            row |= {method: round(values[-1], 2), f"{method}_s": round(seconds, 2)}
        yield row
    yield {"text": "mean", "tokens": ""} | {
        key: value
        for method, values in shorter.items()
        for key, value in ((method, round(float(np.mean(values)), 2)), (f"{method}_s", ""))
    }


def peers() -> Iterator[Row]:
    """What is saved of the first 8,192 tokens, and in how many milliseconds, by metatok and by other packages.

    All meta-tokens that pay. `bound` is the most that any grammar could save (LZ77). zip2zip is LZW with 2,048 codes
    whose codebook lives outside the prompt and is not counted. delta-ltsc 0.3.1 in three settings; no saving where it
    raises an error. `restores` says whether a package's own decompress gave the tokens back. `times_faster` compares
    `inline` with the fastest of the three, `ltsc_times_faster` the paper's own method, which delta-ltsc implements.
    """
    from benchmarks.peers import DELTA, zip2zip

    tokenizer = metatok.MetaTokenizer.from_pretrained("mistral:tekken")
    ways = {method: metatok.Codec(tokenizer.vocab_size, None, method) for method in metatok.METHODS}
    ways["inline, max"] = metatok.Codec(tokenizer.vocab_size, None, "inline", effort="max")
    for name, ids in _prompts(tokenizer):
        row: Row = {"text": name, "tokens": len(ids)}
        took = {}
        for way, codec in ways.items():
            seconds, done = cpu_seconds(partial(codec.compress, ids), runs=20, at_most=0.3)
            row |= {way: round(done.saving, 3), f"{way} ms": round(1e3 * seconds, 1)}
            took[way] = seconds
        row["bound"] = round(1 - metatok.bound(ids) / len(ids), 3)
        numbers = ids.tolist()
        row |= _outcome("zip2zip", zip2zip(numbers, tokenizer.vocab_size), len(ids))
        quickest = float("inf")
        for way, compress in DELTA.items():
            outcome = compress(numbers)
            row |= _outcome(way, outcome, len(ids))
            quickest = min(quickest, outcome.seconds)
        row["times_faster"] = round(quickest / took["inline"])
        row["ltsc_times_faster"] = round(quickest / took["ltsc"])
        yield row


PARTS: dict[str, Callable[[], Iterator[Row]]] = {
    part.__name__: part for part in (speed, prompts, batch, hard, long, pools, effort, peers)
}


def _prompts(tokenizer: metatok.MetaTokenizer) -> Iterator[tuple[str, Any]]:
    for name, text in corpora().items():
        yield name, tokenizer.encode(text)[:PROMPT]


def _outcome(way: str, outcome: Outcome, tokens: int) -> Row:
    saving = None if outcome.length is None else round(1 - outcome.length / tokens, 3)
    return {way: saving, f"{way} restores": outcome.exact, f"{way} ms": round(1e3 * outcome.seconds, 1)}


def _ten_million() -> Any:
    """Distinct real text as far as the machine has it, then once more with every token shifted by one."""
    tokenizer = metatok.MetaTokenizer.from_pretrained("mistral:tekken")
    ids = tokenizer.encode(library(everything=True, at_most=60_000_000))
    parts = [ids]
    while sum(map(len, parts)) < 10_000_000:
        parts.append((ids + len(parts)) % tokenizer.vocab_size)
    return np.concatenate(parts)[:10_000_000]


def _peak(ids: Any, codec: metatok.Codec) -> int:
    with tempfile.NamedTemporaryFile(suffix=".npy") as file:
        np.save(file, ids.astype(np.int32))
        file.flush()
        prepare = f"""
import numpy as np, metatok
metatok.warm_up()
ids = np.load({file.name!r})
codec = metatok.Codec({codec.vocab_size}, None, {codec.method!r})"""
        return peak_bytes(prepare, "done = codec.compress(ids)")


def _wall_clock(work: Callable[[], Any], cores: set[int]) -> float:
    """Seconds on these cores only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        begin = time.perf_counter()
        work()
        return time.perf_counter() - begin
    finally:
        os.sched_setaffinity(0, before)


def _ms(work: Callable[[], Any], runs: int = 5) -> float:
    return round(1e3 * cpu_seconds(work, runs)[0], 3)


def _cell(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


if __name__ == "__main__":
    main()
