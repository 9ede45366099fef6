"""What `ltsc` and `inline` save on the prompts of the tasks: `python -m benchmarks.tasks [--n 600] [--seed 0]`.

With two tokenizers: the bundled reader's own, with its pool of meta-tokens; and Mistral's Tekken with as many as pay.
By kind, serialization, side of the split, and prompt length.
A saving is the mean over prompts of 1 − compressed / raw; the question, which stays raw, is counted apart. For the
repository task also how many of the names in an answer the prompt and the question hold.

Prints the tables and writes assets/results/tasks.json. The prompts of the repository task come from the packages
installed here, so its figures hold for those: their number and a fingerprint of their versions are in the file.
"""

from __future__ import annotations

import argparse
import builtins
import hashlib
import json
import keyword
import re
import statistics
from collections import defaultdict
from itertools import chain, islice
from pathlib import Path

from benchmarks.circumstances import circumstances
from metatok import Codec, MetaTokenizer
from metatok.reader.folders import bundled
from metatok.tasks.base import TASKS, Sample, get, samples
from metatok.tasks.packages import installed

OUT = Path(__file__).parent.parent / "assets" / "results" / "tasks.json"
METHODS = ("ltsc", "inline")
# Raw prompt lengths in tokens; the last ones are RepoBench v1.1's levels "2k" and "4k".
LENGTHS = ((400, 600), (850, 1150), (1700, 2300), (3400, 4600), (640, 1600), (1600, 3600))
BEYOND = 2.5  # times the tasks' own range: prompts that are only counted by length
FEWEST = 20  # prompts of a length that is reported
KNOWN = {*keyword.kwlist, *dir(builtins)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=600, help="prompts of each task, and half as many very short and long")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    reader = MetaTokenizer.from_pretrained(bundled(), local_only=True)
    tokenizers = {"reader": reader, "mistral:tekken": MetaTokenizer.from_pretrained("mistral:tekken", meta_tokens=None)}

    results = {}
    for name in TASKS:
        task = get(name)
        drawn = list(islice(samples(task, options.seed), options.n))
        few = options.n // 4
        more = [s for size in (0.0, BEYOND) for s in islice(samples(task, options.seed + 1, size=size), few)]
        results[name] = {t: measure(drawn, more, tokenizer) for t, tokenizer in tokenizers.items()}
        if name == "repo":
            results[name]["names_in_prompt"] = names_in_prompt(drawn)
    packages = "\n".join(f"{p.name} {p.version}" for p in installed())
    report = {
        "command": f"python -m benchmarks.tasks --n {options.n} --seed {options.seed}",
        **circumstances(("numpy", "numba", "tokenizers", "mistral-common")),
        "interval": "95 % of the mean saving, normal approximation: ± the columns ci95",
        "packages": {"count": len(installed()), "sha256": hashlib.sha256(packages.encode()).hexdigest()[:16]},
        "results": results,
    }
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    show(results)


def measure(drawn: list[Sample], more: list[Sample], tokenizer: MetaTokenizer) -> dict[str, dict[str, float]]:
    """Mean lengths and savings: of all of `drawn`, of parts of them, and by length, where `more` count too."""
    codecs = [Codec(tokenizer.vocab_size, tokenizer.meta_tokens, method) for method in METHODS]
    groups: dict[str, list[tuple[int, int, list[int]]]] = defaultdict(list)
    for i, sample in enumerate(chain(drawn, more)):
        ids = tokenizer.encode(sample.prompt)
        row = len(ids), len(tokenizer.encode(sample.question)), [len(codec.compress(ids)) for codec in codecs]
        if i < len(drawn):
            for part in ("all", sample.kind, sample.serialization, "seen" if sample.seen else "unseen"):
                groups[part].append(row)
        for low, high in LENGTHS:
            if low <= len(ids) < high:
                groups[f"{low}–{high} tokens"].append(row)
    parts = sorted(groups, key=lambda part: (part != "all", not part[0].isalpha(), len(part), part))
    return {part: summary(groups[part]) for part in parts if len(groups[part]) >= FEWEST}


def summary(rows: list[tuple[int, int, list[int]]]) -> dict[str, float]:
    """One group of prompts as numbers."""
    saving = {
        method: round(statistics.mean(1 - compressed[i] / raw for raw, _, compressed in rows), 4)
        for i, method in enumerate(METHODS)
    }
    half = {
        f"{method}, ci95": round(1.96 * statistics.stdev(1 - c[i] / raw for raw, _, c in rows) / len(rows) ** 0.5, 4)
        for i, method in enumerate(METHODS)
    }
    with_question = {
        f"{method}, question counted": round(statistics.mean((raw - c[i]) / (raw + asked) for raw, asked, c in rows), 4)
        for i, method in enumerate(METHODS)
    }
    tokens = {"tokens": round(statistics.mean(raw for raw, _, _ in rows), 1)}
    question = {"question_tokens": round(statistics.mean(asked for _, asked, _ in rows), 1)}
    return {"n": len(rows)} | tokens | question | saving | half | with_question


def names_in_prompt(drawn: list[Sample]) -> dict[str, dict[str, float]]:
    """By kind: the share of names in answers that prompt or question hold, and of answers with no other names."""
    shares: dict[str, list[float]] = defaultdict(list)
    for sample in drawn:
        code = re.sub(r"""#.*|'[^']*'|"[^"]*\"""", "", sample.answer)
        names = [name for name in re.findall(r"[^\W\d]\w*", code) if name not in KNOWN]
        given = set(re.findall(r"\w+", f"{sample.prompt}\n{sample.question}"))
        if names:
            shares[sample.kind].append(sum(name in given for name in names) / len(names))
    return {
        kind: {"n": len(s), "names": round(statistics.mean(s), 3), "answers": round(s.count(1.0) / len(s), 3)}
        for kind, s in sorted(shares.items())
    }


def show(results: dict[str, dict[str, dict[str, dict[str, float]]]]) -> None:
    print("| task | tokenizer | prompts | n | tokens | ltsc | inline |\n| --- | --- | --- |" + " ---: |" * 4)
    for task, by_tokenizer in results.items():
        for tokenizer, groups in by_tokenizer.items():
            for part, row in groups.items():
                if "ltsc" in row:
                    cells = (row["n"], round(row["tokens"]), row["ltsc"], row["inline"])
                    print(f"| {task} | {tokenizer} | {part} | " + " | ".join(map(str, cells)) + " |")
    print("\n| kind | n | names of the answer in the prompt | answers with all of them |\n| --- | ---: | ---: | ---: |")
    for kind, row in results["repo"]["names_in_prompt"].items():
        print(f"| {kind} | {row['n']} | {row['names']} | {row['answers']} |")


if __name__ == "__main__":
    main()
