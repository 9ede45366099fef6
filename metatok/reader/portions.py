"""What an evaluation asks of the reader, a portion of the prompts after the other: by several processes, and kept.

A portion is kept under a name that is made of its prompts, their compressed sequences, the weights and the forms. So an
evaluation that takes hours can be interrupted and goes on where it was, and one with other weights or another search
finds nothing of the earlier one, and leaves it as it is.
"""

from __future__ import annotations

import errno
import hashlib
import json
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cached_property
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

import metatok
from metatok.codec import METHODS
from metatok.lossy import LLMLINGUA2, LLMLingua2
from metatok.reader import workers
from metatok.reader.batch import answers, wrong_when_expanded
from metatok.reader.folders import ReaderError, folder_of
from metatok.reader.forms import baselines, form_names, forms_of
from metatok.reader.generate import Reader
from metatok.tasks.base import Sample
from metatok.terminal import write_file

Row = dict[str, dict[str, Any]]
"""What there is to one prompt: by form, or by method."""
Done = Callable[[int], object]

PORTION = 25  # prompts: few, so that little is lost where it is interrupted
# The version of what is kept. Raised where the same prompts and weights would give others: another form of the files,
# other lossy prompts (`metatok.lossy`, `metatok.reader.forms`), another way of decoding (`metatok.reader.batch`).
KEPT = 4


def answered(
    reader: Reader, llmlingua2: LLMLingua2 | None, picked: Sequence[Sample], room: int, done: Done
) -> list[Row]:
    """For each prompt by form: its `tokens`, and the greedy `answer` of `room` tokens at most."""
    lossy = baselines(reader, llmlingua2, remember=True)
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
            of = 1 + writer.settled(prompts[i], texts[i]).count(False)
            rows[i][method] = {"wrong": count, "asked": of}
    return rows


class Portions:
    """The answers about prompts, made by this process or by several; a context, at whose end the processes are gone,
    whatever they were at.

    Args:
        reader: each process but this one loads it from its folder.
        picked: the prompts and questions.
        jobs: how many processes, no more than there are portions; 1: this one.
        folder: where portions are kept and looked for first, see `make_folder`; None: nowhere.

    Raises:
        ValueError: less than one job.
    """

    def __init__(
        self,
        reader: Reader,
        llmlingua2: LLMLingua2 | None,
        picked: Sequence[Sample],
        *,
        jobs: int = 1,
        folder: Path | None = None,
    ) -> None:
        if jobs < 1:
            raise ValueError("An evaluation needs one job or more.")
        self._reader, self._llmlingua2, self._folder = reader, llmlingua2, folder
        self._portions = [picked[start : start + PORTION] for start in range(0, len(picked), PORTION)]
        self._jobs = min(jobs, len(self._portions))
        self._pool: ProcessPoolExecutor | None = None
        self._processes: set[BaseProcess] = set()

    def __enter__(self) -> Portions:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if self._pool is None:
            return
        if kind is not None:
            self._terminate()
        # Waits for the pool's thread too: if that closed its pipe while Python ends, there would be a traceback. That
        # thread has no end where a process was terminated in the middle of an answer, so another Ctrl-C ends the wait.
        self._pool.shutdown(cancel_futures=True)
        self._terminate()

    def _terminate(self) -> None:
        with workers.without_interrupts():
            for process in self._processes:
                process.terminate()
            for process in self._processes:
                process.join()

    def answers(self, room: int) -> list[Row]:
        """`answered` of all prompts, in their order."""
        names = form_names(self._reader, baselines(self._reader, self._llmlingua2))
        return self._rows("answers", names, room, self._reader)

    def written_out(self) -> list[Row]:
        """`written_out` of all prompts, in their order, by the reader's writer."""
        return self._rows("written", METHODS, 0, self._reader.writer)

    def _rows(self, what: str, names: Sequence[str], room: int, by: Reader) -> list[Row]:
        portions = self._portions
        files = self._files(what, names, room, by)
        rows = [_kept(file, names, len(portion)) for file, portion in zip(files, portions, strict=True)]
        missing = [number for number, found in enumerate(rows) if found is None]
        answered_before = sum(len(found) for found in rows if found is not None)
        total = sum(map(len, portions)) * len(names)
        with tqdm(total=total, initial=answered_before * len(names), unit="answer", desc=what, disable=None) as bar:
            for number, found in self._made(what, missing, room, len(names), bar.update):
                rows[number] = found
                _keep(files[number], what, portions[number], found)
        return [row for found in rows if found is not None for row in found]

    def _made(
        self, what: str, numbers: Sequence[int], room: int, names: int, done: Done
    ) -> Iterator[tuple[int, list[Row]]]:
        """The portions of these numbers, as they are finished."""
        if self._jobs == 1:
            for number in numbers:
                yield number, _ask(self._reader, self._llmlingua2, what, self._portions[number], room, done)
            return
        try:
            with self._started() as pool:
                futures = {pool.submit(_ask_in_process, what, number, room): number for number in numbers}
            for future in as_completed(futures):
                number = futures[future]
                yield number, future.result()
                done(len(self._portions[number]) * names)
        except BrokenProcessPool:
            kept = " What was answered is kept, and the same command goes on from there." if self._folder else ""
            raise ReaderError(
                f"One of the evaluation's {self._jobs} processes ended before its work was done. Where memory is "
                f"short, take fewer --jobs.{kept}"
            ) from None

    @contextmanager
    def _started(self) -> Iterator[ProcessPoolExecutor]:
        """The pool, whose processes begin as work is submitted. A Ctrl-C in a terminal, which goes to all processes, is
        for this one only."""
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self._jobs,
                multiprocessing.get_context("spawn"),
                initializer=_start,
                initargs=(
                    str(self._reader.folder),
                    self._reader.dtype,
                    self._llmlingua2 is not None,
                    self._portions,
                    max(1, torch.get_num_threads() // self._jobs),
                ),
            )
        before = set(multiprocessing.active_children())
        with workers.without_interrupts():
            try:
                yield self._pool
            finally:
                self._processes |= set(multiprocessing.active_children()) - before

    def _files(self, what: str, names: Sequence[str], room: int, by: Reader) -> Sequence[Path | None]:
        """Where each portion is kept, if it is."""
        if self._folder is None:
            return [None] * len(self._portions)
        judge = str(folder_of(LLMLINGUA2)) if what == "answers" and self._llmlingua2 is not None else ""
        shared = [KEPT, metatok.__version__, what, list(names), room, digest(by), judge]
        files = []
        for portion, sequences in zip(self._portions, self._sequences, strict=True):
            of = json.dumps([*shared, [[s.prompt, s.question, s.answer] for s in portion], sequences])
            files.append(self._folder / f"{what}-{hashlib.sha256(of.encode()).hexdigest()[:16]}.json")
        return files

    @cached_property
    def _sequences(self) -> list[list[list[list[int]]]]:
        """By portion, prompt and method: what it is compressed to, and what that is written out as."""
        writer = self._reader.writer
        found: list[list[list[list[int]]]] = []
        with tqdm(total=sum(map(len, self._portions)), unit="prompt", desc="compress", disable=None) as bar:
            for portion in self._portions:
                found.append([])
                for sample in portion:
                    prompts = [writer.prepare(sample.prompt, method) for method in METHODS]
                    found[-1].append([ids for p in prompts for ids in (p.ids.tolist(), writer.written(p))])
                    bar.update()
        return found


def make_folder(folder: Path) -> None:
    """Make a folder for portions, if it is not there.

    Raises:
        OSError: it cannot be made or written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))


def digest(reader: Reader) -> str:
    """What tells a reader from any other: the SHA-256 of its configuration and weights, as they are in memory."""
    sha = hashlib.sha256(reader.model.config.to_json_string().encode())
    modules = [reader.model, *([] if reader.phrases is None else [reader.phrases])]
    for module in modules:
        for name, tensor in module.state_dict().items():
            sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            sha.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return sha.hexdigest()


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
        pairs = zip(portion, rows, strict=True)
        prompts = [{"question": s.question, "truth": s.answer, "said": row} for s, row in pairs]
        text = json.dumps({"what": what, "prompts": prompts}, ensure_ascii=False, indent=1)
        write_file(file, text.encode(), force=True)


def _ask(
    reader: Reader, llmlingua2: LLMLingua2 | None, what: str, portion: Sequence[Sample], room: int, done: Done
) -> list[Row]:
    if what == "answers":
        return answered(reader, llmlingua2, portion, room, done)
    return written_out(reader.writer, portion, done)


# ---- In a process of its own


class _Mine:
    """What one of the processes has; the reader is loaded when it is first needed, so that what goes wrong with that
    goes to whoever waits for the answers."""

    def __init__(self, folder: str, dtype: str, with_llmlingua2: bool, portions: Sequence[Sequence[Sample]]):
        self._folder, self._dtype, self._with_llmlingua2, self.portions = folder, dtype, with_llmlingua2, portions

    @cached_property
    def loaded(self) -> tuple[Reader, LLMLingua2 | None]:
        metatok.warm_up()
        reader = Reader.from_pretrained(self._folder, dtype=self._dtype)
        return reader, LLMLingua2(folder_of(LLMLINGUA2)) if self._with_llmlingua2 else None


_mine: list[_Mine] = []


def _start(folder: str, dtype: str, with_llmlingua2: bool, portions: Sequence[Sequence[Sample]], threads: int) -> None:
    workers.start()
    torch.set_num_threads(threads)
    _mine.append(_Mine(folder, dtype, with_llmlingua2, portions))


def _ask_in_process(what: str, number: int, room: int) -> list[Row]:
    (mine,) = _mine
    return _ask(*mine.loaded, what, mine.portions[number], room, lambda count: None)
