"""What an evaluation asks of the reader, a portion of the prompts after the other: by several processes, and kept.

A portion's answers depend on nothing but its prompts, the weights and the forms, and are kept under a name that is made
of these (`Portions`). So an evaluation that takes hours can be interrupted and goes on where it was, and one with other
weights or another search finds nothing of the earlier one, and leaves it as it is.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

import metatok
from metatok.codec import METHODS
from metatok.lossy import LLMLINGUA2, LLMLingua2
from metatok.reader.batch import answers, wrong_when_expanded
from metatok.reader.folders import ReaderError, folder_of
from metatok.reader.forms import baselines, form_names, forms_of
from metatok.reader.generate import Reader
from metatok.tasks.base import Sample
from metatok.terminal import write_file

Row = dict[str, dict[str, Any]]
"""What there is to one prompt: by form, or by method."""
Done = Callable[[int], object]

PORTION = 32  # prompts; `metatok.reader.batch` reads as many at once
FILES = 1  # the version of the files' form


def answered(
    reader: Reader, llmlingua2: LLMLingua2 | None, picked: Sequence[Sample], room: int, done: Done
) -> list[Row]:
    """For each prompt by form: its `tokens`, and the greedy `answer` of `room` tokens at most."""
    lossy = baselines(reader, llmlingua2)
    forms = [forms_of(reader, sample.prompt, lossy) for sample in picked]
    rows: list[Row] = [{} for _ in picked]
    for name in forms[0]:
        asked = [(form[name].prompt, sample.question) for form, sample in zip(forms, picked, strict=True)]
        for row, (prompt, _), text in zip(rows, asked, answers(reader, asked, room, done), strict=True):
            row[name] = {"tokens": len(prompt.ids), "answer": text}
    return rows


def written_out(writer: Reader, picked: Sequence[Sample], done: Done) -> list[Row]:
    """For each prompt by method: how many of the `asked` ids of it written out are `wrong`; empty where it has no room
    for that."""
    asked = [writer.marks.expand, writer.marks.eos]
    rows: list[Row] = [{} for _ in picked]
    for method in METHODS:
        prompts = [writer.prepare(sample.prompt, method) for sample in picked]
        texts = [writer.written(prompt) for prompt in prompts]
        fits = [
            i
            for i, (prompt, text) in enumerate(zip(prompts, texts, strict=True))
            if writer.input_tokens(prompt, asked) + len(text) <= writer.positions
        ]
        done(len(picked) - len(fits))
        wrong = wrong_when_expanded(writer, [prompts[i] for i in fits], done)
        for i in range(len(picked)):
            rows[i][method] = {}
        for i, count in zip(fits, wrong, strict=True):
            of = 1 + writer.repeated(prompts[i], texts[i]).count(False)
            rows[i][method] = {"wrong": count, "asked": of}
    return rows


class Portions:
    """The answers about prompts, made by this process or by several, each with its reader; a context, at whose end the
    processes are gone, whatever they were at.

    Args:
        reader: with more than one process, each loads it from its folder.
        jobs: how many processes; 1: this one.
        folder: where portions are kept, made if it is not there, and looked for first; None: nowhere.

    Raises:
        ValueError: less than one job.
        OSError: the folder cannot be made.
    """

    def __init__(
        self, reader: Reader, llmlingua2: LLMLingua2 | None, *, jobs: int = 1, folder: Path | None = None
    ) -> None:
        if jobs < 1:
            raise ValueError("An evaluation needs one job or more.")
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        self._reader, self._llmlingua2, self._jobs, self._folder = reader, llmlingua2, jobs, folder
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Portions:
        return self

    def __exit__(self, *error: object) -> None:
        if self._pool is None:
            return
        processes = list(self._processes)
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()

    def answers(self, picked: Sequence[Sample], room: int) -> list[Row]:
        """`answered` of all of them, in their order."""
        names = form_names(self._reader, baselines(self._reader, self._llmlingua2))
        return self._rows("answers", picked, weights(self._reader), names, room)

    def written_out(self, picked: Sequence[Sample]) -> list[Row]:
        """`written_out` of all of them, in their order, by the reader's writer."""
        return self._rows("written", picked, weights(self._reader.writer), list(METHODS), 0)

    def _rows(self, what: str, picked: Sequence[Sample], digest: str, names: Sequence[str], room: int) -> list[Row]:
        portions = [picked[start : start + PORTION] for start in range(0, len(picked), PORTION)]
        files = [self._file(what, portion, digest, names, room) for portion in portions]
        rows = [_kept(file, names, len(portion)) for file, portion in zip(files, portions, strict=True)]
        missing = [i for i, found in enumerate(rows) if found is None]
        with tqdm(total=len(picked) * len(names), unit="answer", desc=what, disable=None) as bar:
            bar.update(len(names) * sum(len(portions[i]) for i in range(len(portions)) if i not in missing))
            for i, found in self._made(what, {i: portions[i] for i in missing}, room, len(names), bar.update):
                rows[i] = found
                _keep(files[i], what, portions[i], found)
        return [row for found in rows if found is not None for row in found]

    def _made(
        self, what: str, portions: dict[int, Sequence[Sample]], room: int, names: int, done: Done
    ) -> Iterator[tuple[int, list[Row]]]:
        """The portions with their number, as they are finished."""
        if min(self._jobs, len(portions)) <= 1 and self._pool is None:
            for i, portion in portions.items():
                yield i, _ask(self._reader, self._llmlingua2, what, portion, room, done)
            return
        pool = self._started()
        try:
            futures = {pool.submit(_ask_in_process, what, portion, room): i for i, portion in portions.items()}
            for future in as_completed(futures):
                i = futures[future]
                done(len(portions[i]) * names)
                yield i, future.result()
        except BrokenProcessPool:
            raise ReaderError(
                f"One of {self._jobs} processes of the evaluation was ended by the system, most likely for memory: "
                "take fewer --jobs. What --resume has kept is taken up again."
            ) from None

    def _started(self) -> ProcessPoolExecutor:
        if self._pool is None:
            before = set(multiprocessing.active_children())
            threads = max(1, torch.get_num_threads() // self._jobs)
            self._pool = ProcessPoolExecutor(
                self._jobs,
                multiprocessing.get_context("spawn"),
                initializer=_start,
                initargs=(str(self._reader.folder), self._llmlingua2 is not None, threads),
            )
            with _without_interrupts():  # nor will the processes have any: this one ends them
                self._pool.submit(int)
            self._processes = set(multiprocessing.active_children()) - before
        return self._pool

    def _file(self, what: str, portion: Sequence[Sample], digest: str, names: Sequence[str], room: int) -> Path | None:
        """Where a portion is kept: its name tells all that its answers depend on."""
        if self._folder is None:
            return None
        sequences = [self._reader.prepare(s.prompt, m).ids.tolist() for s in portion for m in METHODS]
        said = [[s.prompt, s.question, s.answer] for s in portion]
        of = json.dumps([FILES, what, digest, list(names), room, said, sequences])
        return self._folder / f"{what}-{hashlib.sha256(of.encode()).hexdigest()[:16]}.json"


def weights(reader: Reader) -> str:
    """A digest of the files of a reader's weights, the beginning of their SHA-256."""
    digest = hashlib.sha256()
    for path in sorted(reader.folder.glob("*.safetensors")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _kept(file: Path | None, names: Sequence[str], n: int) -> list[Row] | None:
    """What is in a portion's file; None where there is none, or none that is whole."""
    if file is None:
        return None
    try:
        rows: list[Row] = [prompt["said"] for prompt in json.loads(file.read_bytes())["prompts"]]
        whole = len(rows) == n and all(list(row) == list(names) for row in rows)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return rows if whole else None


def _keep(file: Path | None, what: str, portion: Sequence[Sample], rows: Sequence[Row]) -> None:
    if file is not None:
        prompts = [
            {"question": s.question, "truth": s.answer, "said": row} for s, row in zip(portion, rows, strict=True)
        ]
        text = json.dumps({"what": what, "prompts": prompts}, ensure_ascii=False, indent=1)
        write_file(file, text.encode(), force=True)


def _ask(
    reader: Reader, llmlingua2: LLMLingua2 | None, what: str, portion: Sequence[Sample], room: int, done: Done
) -> list[Row]:
    if what == "answers":
        return answered(reader, llmlingua2, portion, room, done)
    return written_out(reader.writer, portion, done)


# ---- In a process of its own

_mine: list[tuple[Reader, LLMLingua2 | None]] = []


def _start(folder: str, with_llmlingua2: bool, threads: int) -> None:
    torch.set_num_threads(threads)
    metatok.warm_up()
    _mine.append((Reader.from_pretrained(folder), LLMLingua2(folder_of(LLMLINGUA2)) if with_llmlingua2 else None))


def _ask_in_process(what: str, portion: Sequence[Sample], room: int) -> list[Row]:
    return _ask(*_mine[0], what, portion, room, lambda count: None)


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Processes that are started here do not see Ctrl-C, which a terminal sends to all of them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
