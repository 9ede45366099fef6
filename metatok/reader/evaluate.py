"""What the reader answers from raw prompts, from compressed ones, and from lossy ones of the same length.

    metatok evaluate --task tree --n 1000 --seed 0 --json

One question about each of n prompts, the same prompts in every form (`metatok.reader.forms`), greedy answers. No prompt
is one of training's, which draws from other seeds; half of the trees have names that training cannot make, and code is
of packages that it never saw. Intervals are percentile bootstraps over prompts, those of gaps paired.

Answers are decoded in batches, by several processes where that is wanted (`metatok.reader.portions`). Times are those
of single answers, as people get them, on `TIMED` of the prompts, all forms of a prompt in turn, so that a busy moment
of the machine is not one form's.
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

import metatok
from metatok.codec import METHODS
from metatok.ids import as_integer
from metatok.lossy import LLMLINGUA2, LLMLingua2, LossyError
from metatok.machine import processor
from metatok.reader import report
from metatok.reader.folders import ASSETS, DTYPES, WRITER_FOLDER, ReaderError, folder_of
from metatok.reader.forms import Baseline, baselines, forms_of
from metatok.reader.generate import Reader
from metatok.reader.portions import Portions, Row, make_folder
from metatok.tasks.base import Sample, Task, get, samples

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ANSWER_TOKENS = 128  # room for an answer; the longest true ones have about 60
TIMED = 50
RESAMPLES = 10_000
LONGEST = (128, 256, 384, 512, 768, 1024, 1536, 2048, 4096)  # the bounds of prompt lengths that are reported apart

# Samples of training's side of the split that are new nevertheless: trees are drawn, code is written.
SIDES: dict[str, bool | None] = {"tree": None}


def evaluate(
    reader: Reader, task: str, n: int, seed: int, *, jobs: int = 1, resume: Path | None = None
) -> dict[str, Any]:
    """The whole evaluation as plain data that JSON can hold.

    `results` has for each form (`metatok.reader.forms`) the mean of each metric, as `exact_match`, its 95 % interval
    `ci95`, how much less than raw it scores, `gap` with `gap_ci95`; other metrics have their name before these. Then
    `tokens`, mean, and `saving`; `compress_ms`, `prefill_ms`, `total_ms` and `kv_cache_bytes`, means of single answers.
    The methods have `expand_exact` with `expand_ci95`, the share of `expand_n` prompts that are written out without an
    error, and `expand_tokens`, the share of the tokens asked for that are right after the true ones; `expand` says by
    which weights and when. Shares are from 0 to 1. `by` has the metrics apart by kind, serialization, length of the raw
    prompt, seen and unseen.

    Args:
        jobs: how many processes answer, see `Portions`; times are measured by one. A program that asks for several has
            its own work below `if __name__ == "__main__":`, as they begin by importing it.
        resume: a folder that keeps the answers as they come, and whose answers are not asked for again.

    Raises:
        ValueError: an unknown task, fewer than 2 prompts or than one job, or prompts that this reader cannot take.
        OSError: the folder cannot be made or written to.
    """
    if n < 2:
        raise ValueError("An evaluation needs 2 prompts or more, for its intervals.")
    source = get(task)
    if resume is not None:
        make_folder(resume)
    writer = reader.writer  # one that cannot be loaded is noticed now, and not after an hour
    source.score("", "")  # and so is a package that it needs
    notes = []
    try:
        llmlingua2 = LLMLingua2(folder_of(LLMLINGUA2))
    except LossyError as error:
        llmlingua2 = None
        notes.append(str(error))
    except ReaderError as error:
        llmlingua2 = None
        notes.append(f"LLMLingua-2 is left out: {error}")
    metatok.warm_up()
    picked, left_out = draw(reader, source, n, seed)
    if left_out:
        notes.append(f"{left_out} longer prompts were drawn and left out: the reader takes {reader.limit:,} tokens.")

    with Portions(reader, llmlingua2, picked, jobs=jobs, folder=resume) as portions:
        rows = portions.answers(_room(reader))
        expanded = _expanded(portions.written_out(), seed)
    names = list(rows[0])
    tokens = {name: np.array([row[name]["tokens"] for row in rows]) for name in names}
    scores = {
        name: [source.score(row[name]["answer"], sample.answer) for row, sample in zip(rows, picked, strict=True)]
        for name in names
    }
    times = _times(reader, picked[:TIMED], baselines(reader, llmlingua2))

    metrics = list(scores["raw"][0])
    by_metric = {m: np.array([[s[m] for s in scores[name]] for name in names]) for m in metrics}
    results = _results(tokens, by_metric, seed)
    for name in names:
        results[name] |= times[name] | expanded.get(name, {})
    return {
        "task": task,
        "n": n,
        "seed": seed,
        "machine": _machine(reader),
        "reader": described(reader),
        "results": results,
        "expand": _expand_measured(writer),
        "by": _by(picked, tokens, by_metric),
        "timed": min(n, TIMED),
        "resamples": RESAMPLES,
        "notes": notes,
        "date": _today(),
        "versions": {"python": platform.python_version()}
        | {"metatok": metatok.__version__}
        | {package: version(package) for package in ("torch", "transformers", "numpy")},
    }


def expand_again(
    reader: Reader, earlier: Mapping[str, Any], *, jobs: int = 1, resume: Path | None = None
) -> dict[str, Any]:
    """Results of `evaluate` with what prompts are written out as measured anew, answers and times as they were.

    Args:
        jobs, resume: as of `evaluate`.

    Raises:
        ValueError: the answers are another reader's or of another dtype, or about other prompts than are drawn here,
            or `earlier` is no evaluation's.
        OSError: the folder cannot be made or written to.
    """
    try:
        source, weights = get(earlier["task"]), earlier["reader"]["weights"]
        dtype = earlier["reader"].get("dtype", DTYPES[0])  # the first results do not say it
        n, seed = (as_integer(key, earlier[key], least) for key, least in (("n", 2), ("seed", 0)))
        forms = {name: dict(form) for name, form in earlier["results"].items()}
        tokens = {method: float(forms[method]["tokens"]) for method in METHODS}
        report.text(earlier)  # has all that the tables show
    except (KeyError, IndexError, TypeError, AttributeError, ValueError, StopIteration):
        raise ValueError("Answers are taken from the JSON of an evaluation, and this is something else.") from None
    here = described(reader)["weights"]
    if weights != here:
        raise ValueError(f"These answers are of weights {weights}, and the reader's are {here}.")
    if dtype != reader.dtype:
        raise ValueError(
            f"These answers were computed in {dtype}, and the reader's dtype is {reader.dtype}: load it in {dtype}."
        )
    if resume is not None:
        make_folder(resume)
    metatok.warm_up()
    picked, _ = draw(reader, source, n, seed)
    for method, mean in tokens.items():
        drawn = np.mean([len(reader.prepare(sample.prompt, method).ids) for sample in picked])
        if abs(drawn - mean) > 0.01:
            raise ValueError(
                f"These answers are about other prompts than are drawn here: by {method} they have {mean:,.2f} tokens "
                f"on average, and those here {drawn:,.2f}. Measure all of it anew, without --answers."
            )
    with Portions(reader, None, picked, jobs=jobs, folder=resume) as portions:
        expanded = _expanded(portions.written_out(), seed)
    for name, form in forms.items():
        kept = {key: value for key, value in form.items() if not key.startswith("expand_")}
        forms[name] = kept | expanded.get(name, {})
    return {**earlier, "results": forms, "expand": _expand_measured(reader.writer)}


def bootstrap(scores: Floats, seed: int) -> Floats:
    """Means of resampled prompts: for scores (forms, n), shape (forms, RESAMPLES). The forms share each resample,
    so that differences of rows are paired.

    >>> bootstrap(np.ones((2, 5)), seed=0).shape
    (2, 10000)
    """
    n = scores.shape[1]
    rng = np.random.default_rng(seed)
    chunks = []
    for start in range(0, RESAMPLES, 1000):
        counts = rng.multinomial(n, np.full(n, 1 / n), size=min(1000, RESAMPLES - start))
        chunks.append(scores @ counts.T / n)
    return np.concatenate(chunks, axis=1)


def mean_and_interval(scores: Floats, seed: int) -> tuple[float, list[float]]:
    """The mean of (n,) scores and its 95 % interval."""
    return float(scores.mean()), _interval(bootstrap(scores[None], seed)[0])


def _interval(means: Floats) -> list[float]:
    low, high = np.percentile(means, (2.5, 97.5))
    return [round(float(low), 5), round(float(high), 5)]


def draw(reader: Reader, task: Task, n: int, seed: int) -> tuple[list[Sample], int]:
    """n samples that the reader can take raw, and how many others were drawn.

    Raises:
        ValueError: nearly all are too long.
    """
    picked: list[Sample] = []
    left_out = 0
    drawn = samples(task, seed, seen=SIDES.get(task.name, False))
    while len(picked) < n:
        sample = next(drawn)
        if reader.input_tokens(reader.prepare(sample.prompt), reader.question(sample.question)) <= reader.limit:
            picked.append(sample)
        else:
            left_out += 1
        if left_out > 10 * n:
            raise ValueError(f"Prompts of the task {task.name} are too long for this reader's {reader.limit:,} tokens.")
    return picked, left_out


def _expanded(rows: Sequence[Row], seed: int) -> dict[str, dict[str, Any]]:
    """For each method what `evaluate` says about writing out, of the prompts that have room for it."""
    results: dict[str, dict[str, Any]] = {}
    for method in METHODS:
        fits = [row[method] for row in rows if row[method]]
        if not fits:
            continue
        wrong = np.array([of["wrong"] for of in fits])
        share, interval = mean_and_interval((wrong == 0).astype(float), seed)
        right = 1 - wrong.sum() / sum(of["asked"] for of in fits)
        results[method] = {"expand_exact": share, "expand_ci95": interval, "expand_n": len(fits)}
        results[method] |= {"expand_tokens": round(float(right), 5)}
    return results


def _expand_measured(writer: Reader) -> dict[str, Any]:
    return {"reader": described(writer), "date": _today()}


def _room(reader: Reader) -> int:
    """Tokens of an answer at most; the reader has so many positions left behind the longest prompt that it takes."""
    return min(ANSWER_TOKENS, reader.answer_tokens)


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def _times(reader: Reader, picked: Sequence[Sample], lossy: dict[str, Baseline]) -> dict[str, dict[str, float]]:
    """Mean milliseconds of single answers: making the form, the prefill, and all together; bytes of the KV cache."""
    forms_of(reader, picked[0].prompt, lossy)  # the first ones pay for what is loaded late
    reader.ask(picked[0].prompt, picked[0].question).read()
    measured: dict[str, list[tuple[float, ...]]] = defaultdict(list)  # seconds, and bytes of the cache
    with tqdm(total=len(picked), unit="prompt", desc="time", disable=None) as bar:
        for sample in picked:
            for name, form in forms_of(reader, sample.prompt, lossy).items():
                answer = reader.ask(form.prompt, sample.question, max_new_tokens=_room(reader))
                answer.read()
                s = answer.statistics
                measured[name].append(
                    (form.seconds, s.prefill_seconds, form.seconds + s.total_seconds, s.kv_cache_bytes)
                )
            bar.update()
    results = {}
    for name, rows in measured.items():
        compress, prefill, total, cache = np.mean(rows, axis=0).tolist()
        milliseconds = {"compress_ms": compress, "prefill_ms": prefill, "total_ms": total}
        results[name] = {key: round(1000 * value, 3) for key, value in milliseconds.items()}
        results[name]["kv_cache_bytes"] = round(cache)
    return results


def _results(tokens: Mapping[str, Ints], by_metric: Mapping[str, Floats], seed: int) -> dict[str, dict[str, Any]]:
    """Scores, intervals, gaps and tokens of each form; exact match is called plainly, other metrics by their name."""
    names = list(tokens)
    results: dict[str, dict[str, Any]] = {name: {} for name in names}
    for metric, scores in by_metric.items():
        prefix = "" if metric == "exact_match" else f"{metric}_"
        means = bootstrap(scores, seed)
        for i, name in enumerate(names):
            results[name] |= {metric: round(float(scores[i].mean()), 5), f"{prefix}ci95": _interval(means[i])}
            if name != "raw":
                gap = round(float(scores[0].mean() - scores[i].mean()), 5)
                results[name] |= {f"{prefix}gap": gap, f"{prefix}gap_ci95": _interval(means[0] - means[i])}
    raw = tokens["raw"].mean()
    for name in names:
        mean = tokens[name].mean()
        results[name] |= {"tokens": round(float(mean), 2), "saving": round(float(1 - mean / raw), 5)}
    return results


def _by(
    picked: Sequence[Sample], tokens: Mapping[str, Ints], by_metric: Mapping[str, Floats]
) -> dict[str, dict[str, Any]]:
    """Scores of each form apart by kind of question, serialization, length of the raw prompt, seen and unseen."""
    aspects: dict[str, Callable[[int], str]] = {
        "kind": lambda i: picked[i].kind,
        "serialization": lambda i: picked[i].serialization,
        "prompt_tokens": lambda i: length_range(int(tokens["raw"][i])),
        "seen": lambda i: "seen" if picked[i].seen else "unseen",
    }
    result: dict[str, dict[str, Any]] = {}
    for aspect, value_of in aspects.items():
        groups: dict[str, list[int]] = defaultdict(list)
        for i in range(len(picked)):
            groups[value_of(i)].append(i)
        result[aspect] = {
            value: {"n": len(members)}
            | {
                metric: {name: round(float(scores[k, members].mean()), 5) for k, name in enumerate(tokens)}
                for metric, scores in by_metric.items()
            }
            for value, members in sorted(groups.items(), key=lambda item: (len(item[0].partition("–")[0]), item[0]))
        }
    return result


def length_range(tokens: int) -> str:
    """The range of prompt lengths that this one is in.

    >>> length_range(127), length_range(128), length_range(9000)
    ('0–127', '128–255', '4096–')
    """
    low = max((bound for bound in LONGEST if bound <= tokens), default=0)
    high = min((bound for bound in LONGEST if bound > tokens), default=None)
    return f"{low}–{'' if high is None else high - 1}"


def _machine(reader: Reader) -> str:
    name = processor()
    if reader.device.type == "cuda":
        name = f"{torch.cuda.get_device_name(reader.device)}, {name}"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    counts = {"core": cores or 1, "thread": torch.get_num_threads()}
    return ", ".join([name, *(f"{n} {what}{'s' if n > 1 else ''}" for what, n in counts.items()), platform.system()])


def described(reader: Reader) -> dict[str, Any]:
    """Which reader this is: its `name`, how many `parameters` it has, `weights`, a digest of their files, and the
    `dtype` that it computes in."""
    folder = reader.folder.resolve()
    if folder.is_relative_to(ASSETS.resolve()):
        name = folder.relative_to(ASSETS.resolve().parents[1]).as_posix()
    else:
        name = Path(reader.name).name if Path(reader.name).exists() else reader.name
        name = f"{folder.parent.name}/{name}" if name == WRITER_FOLDER else name
    digest = hashlib.sha256()
    for path in sorted(reader.folder.glob("*.safetensors")):
        digest.update(path.read_bytes())
    return {
        "name": name,
        "parameters": int(reader.model.num_parameters()),
        "weights": digest.hexdigest()[:16],  # SHA-256
        "dtype": reader.dtype,
    }
