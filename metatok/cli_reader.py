"""The commands of the reader: `metatok ask`, `metatok evaluate`, `metatok train`.

What this file does: their arguments, what they print, their exit codes, as `metatok.cli` has it for all commands. The
work is `metatok.reader`'s, which is imported when a command needs it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metatok import terminal
from metatok.reader.folders import DTYPES
from metatok.sentences import sentence

if TYPE_CHECKING:
    from metatok.reader import Reader

Add = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]
INSTALL = "pip install 'metatok[train]'"


def add_commands(command: Add) -> None:
    """Add the reader's commands; `command` is what `metatok.cli` adds its own with."""
    sub = command("ask", _ask, "ask the bundled reader about a text")
    sub.add_argument("file", metavar="FILE", help="the text; - is standard input")
    sub.add_argument("question", metavar="QUESTION", help='for example "parent of lexer.py"')
    sub.add_argument("--method", choices=terminal.METHODS, help="compress the text first (default: leave it raw)")
    _add_reader(sub)
    sub.add_argument("--json", action="store_true", help="print an object with the answer, tokens and times instead")

    sub = command("evaluate", _evaluate, "measure what the reader answers from raw, compressed and lossy prompts")
    sub.add_argument("--task", metavar="NAME", help="which task, tree or repo (default: tree)")
    sub.add_argument("--n", type=terminal.count, metavar="N", help="how many prompts (default: 1,000)")
    sub.add_argument("--seed", type=terminal.count, metavar="SEED", help="which prompts (default: 0)")
    sub.add_argument("--json", action="store_true", help="print the results as JSON instead of a table")
    _add_reader(sub)
    sub.add_argument(
        "--answers",
        metavar="FILE",
        help="results of these weights and this dtype, which say task, n and seed: keep the answers and times in it, "
        "and measure only what is written out",
    )
    sub.add_argument("--jobs", type=terminal.count, default=1, metavar="N", help="processes that answer (default: 1)")
    sub.add_argument(
        "--resume",
        metavar="FOLDER",
        help="keep the answers there as they come; the same command takes up where an earlier one was interrupted",
    )
    sub.add_argument("-o", "--output", metavar="OUT", help="write the JSON there as well, over what is there")

    command("train", _train, "train the reader: metatok train CONFIG FOLDER")


def _add_reader(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--reader",
        metavar="NAME",
        help="folder or Hub id of the reader (default: the bundled one, or $METATOK_READER)",
    )
    sub.add_argument(
        "--dtype",
        choices=DTYPES,
        default=DTYPES[0],
        help="the numbers that it computes with; bfloat16 is faster on GPUs and on processors with instructions for "
        f"it, such as AMX, and slower on others (default: {DTYPES[0]})",
    )


def train(arguments: Sequence[str]) -> int:
    """`metatok train …`, whose arguments are the trainer's own: they go there untouched, `--help` as well."""
    with _refusing():
        from metatok.reader.train import main

        return main(arguments)


def _train(arguments: argparse.Namespace) -> int:
    return train([])  # without arguments: the trainer says what it needs


def _ask(arguments: argparse.Namespace) -> int:
    data = terminal.read(arguments.file)
    try:
        prompt = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise terminal.Refused(
            f"{terminal.shown(arguments.file)} is not UTF-8 text (byte {error.start}), and the reader reads text."
        ) from error
    with _refusing():
        answer = _reader(arguments).ask(prompt, arguments.question, arguments.method)
        if not arguments.json:
            for piece in answer:
                print(piece, end="", flush=True)
            print()
            return 0
        found = answer.read()
    print(json.dumps({"answer": found, "method": arguments.method} | asdict(answer.statistics), indent=2))
    return 0


def _evaluate(arguments: argparse.Namespace) -> int:
    output = arguments.output
    if output is not None:
        terminal.check_target(output, "-", force=True)
    with _refusing():
        from metatok.tasks.base import TASKS

        task, n, seed = arguments.task, arguments.n, arguments.seed
        if task is not None and task not in TASKS:
            arguments.usage_error(f"there is no task {task!r}; there are {', '.join(TASKS)}")
        if arguments.answers is not None and (task, n, seed) != (None, None, None):
            arguments.usage_error("--answers has its own --task, --n and --seed: leave them out")
        if arguments.jobs < 1:
            arguments.usage_error("--jobs is how many processes answer: 1 or more")
        if arguments.resume == "":
            arguments.usage_error("--resume names a folder, and its name is empty")
        from metatok.reader.evaluate import evaluate, expand_again
        from metatok.reader.report import text

        resume = None if arguments.resume is None else Path(arguments.resume)
        if arguments.answers is not None:
            earlier = _earlier(arguments.answers)
            results = expand_again(_reader(arguments), earlier, jobs=arguments.jobs, resume=resume)
        else:
            task, n, seed = task or "tree", 1000 if n is None else n, seed or 0
            results = evaluate(_reader(arguments), task, n, seed, jobs=arguments.jobs, resume=resume)
            results["command"] = _command(results)
    encoded = json.dumps(results, indent=2, ensure_ascii=False) + "\n"
    if output is not None:  # before anything is printed: what took an hour is not lost to a pipe that was closed
        terminal.write(output, encoded.encode(), force=True)
    print(encoded if arguments.json else text(results), end="" if arguments.json else "\n")
    return 0


def _earlier(name: str) -> Any:
    """What a file of results holds; `expand_again` looks whether it is one."""
    try:
        return json.loads(terminal.read(name))
    except ValueError as error:
        raise terminal.Refused(
            f"{terminal.shown(name)} holds no JSON, and answers are taken from an evaluation's."
        ) from error


def _command(results: dict[str, Any]) -> str:
    """The command that gives these results; of a reader that is not the bundled one, the folder's name."""
    from metatok.reader.folders import ASSETS

    words = ["metatok evaluate", *(f"--{name} {results[name]}" for name in ("task", "n", "seed"))]
    reader = results["reader"]["name"]
    if reader != f"{ASSETS.parent.name}/{ASSETS.name}":
        words.append(f"--reader {reader}")
    if results["reader"]["dtype"] != DTYPES[0]:
        words.append(f"--dtype {results['reader']['dtype']}")
    return " ".join([*words, "--json"])


def _reader(arguments: argparse.Namespace) -> Reader:
    from metatok.reader import Reader

    return Reader.from_pretrained(arguments.reader, dtype=arguments.dtype)


@contextmanager
def _refusing() -> Iterator[None]:
    """What the reader refuses, and a package that is missing, as the sentence that it is."""
    try:
        yield
    except BrokenPipeError:
        raise
    except ModuleNotFoundError as error:
        if (error.name or "metatok").partition(".")[0] == "metatok":
            raise
        raise terminal.Refused(f"The reader needs the package {error.name}: {INSTALL}.") from error
    except OSError as error:
        raise terminal.Refused(f"{terminal.shown(str(error.filename or error))}: {terminal.reason(error)}.") from error
    except ValueError as error:
        from metatok.reader.folders import ReaderError

        raise terminal.Refused(str(error) if isinstance(error, ReaderError) else sentence(str(error))) from error
