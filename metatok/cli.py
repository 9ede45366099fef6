"""The command `metatok`: compress and restore files, count what compression saves, launch the app.

The reader's commands (`ask`, `evaluate`, `train`) are in `cli_reader.py`, `publish` in `cli_space.py`.

What this file does: arguments, files, tables, messages, exit codes. What it does not: the work itself (`container.py`
packs, `summary.py` measures, `demo` is the app), which is imported when a command needs it.

Exit codes: 0 done; 1 an input was refused (one sentence on stderr); 2 bad usage; 130 interrupted and 141 the reader of
the output went away, both without a word, as shells know them.

Files are written beside their place and renamed into it, so that a failure leaves what was there. A file that exists
is overwritten only with `--force`. Restored bytes go to standard output unless `-o` says where.
"""

from __future__ import annotations

import argparse
import json
import os
import stat
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

import metatok

if TYPE_CHECKING:
    from metatok.tokenizer import MetaTokenizer

METHODS = ("inline", "nested", "flat", "ltsc")
DEFAULT_TOKENIZER = "mistral:tekken"
SUFFIX = ".mtk"
INTERRUPTED, CLOSED_PIPE = 130, 141


class Refused(Exception):
    """An input or an output that cannot be used; the message is one sentence."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    >>> main(["stats", "no/such/file"])
    1
    """
    try:
        words = sys.argv[1:] if argv is None else list(argv)
        try:
            if words[:1] == ["train"]:
                from metatok import cli_reader

                return cli_reader.train(words[1:])
            arguments = _parser().parse_args(words)
            code: int = arguments.run(arguments)
        except SystemExit as stop:  # argparse has printed its help (0) or what is wrong with the arguments (2)
            code = int(stop.code or 0)
        _flush()
        return code
    except Refused as refusal:
        return _complain(str(refusal))
    except MemoryError:
        return _complain("There is not enough memory for an input of this size.")
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _abandon_output()
        return CLOSED_PIPE
    except OSError as error:  # everything that opens a file has its own sentence; this is standard output
        _abandon_output()
        return _complain(f"standard output: {_reason(error)}.")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="metatok", description="Lossless prompt compression by meta-tokens: shorter token sequences, nothing lost."
    )
    parser.add_argument("--version", action="version", version=f"metatok {metatok.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], int], help: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
        sub.set_defaults(run=run, usage_error=sub.error)
        return sub

    def tokenizer_options(sub: argparse.ArgumentParser) -> None:
        sub.add_argument(
            "--tokenizer",
            default=DEFAULT_TOKENIZER,
            metavar="NAME",
            help=f"mistral:…, tiktoken:…, a folder or a Hub id (default: {DEFAULT_TOKENIZER}, which needs no network)",
        )
        sub.add_argument(
            "--meta-tokens",
            type=_pool,
            default=...,
            metavar="N",
            help="how many meta-tokens there are, or 'all' for as many as pay (default: 512)",
        )

    def output_options(sub: argparse.ArgumentParser, default: str) -> None:
        sub.add_argument(
            "-o", "--output", metavar="OUT", help=f"where to write; - is standard output (default: {default})"
        )
        sub.add_argument("-f", "--force", action="store_true", help="overwrite OUT if it exists")

    sub = command("compress", _compress, f"write a file as a compressed sequence, FILE{SUFFIX}")
    sub.add_argument("file", metavar="FILE", help="any file, text or not; - is standard input")
    tokenizer_options(sub)
    sub.add_argument("--method", choices=METHODS, help="how phrases are found and written (default: inline)")
    output_options(sub, f"FILE{SUFFIX}, and standard output for standard input")

    sub = command("decompress", _decompress, f"restore the bytes of a {SUFFIX} file")
    sub.add_argument("file", metavar="FILE", help=f"a {SUFFIX} file; - is standard input")
    sub.add_argument("--tokenizer", metavar="NAME", help="the file's tokenizer under the name it has here")
    sub.add_argument(
        "--max-length",
        type=_count,
        metavar="BYTES",
        help="refuse a file that restores to more bytes (default: 67,108,864)",
    )
    output_options(sub, "standard output, the raw bytes")

    sub = command("stats", _stats, "show what compression saves on files, and check that nothing is lost")
    sub.add_argument("files", metavar="FILE", nargs="+", help="any file; - is standard input")
    tokenizer_options(sub)
    sub.add_argument(
        "--method",
        type=_methods,
        action="extend",
        metavar="METHOD",
        help=f"{', '.join(METHODS)}, several with commas, or 'all' (default: inline)",
    )
    sub.add_argument("--json", action="store_true", help="print a JSON list, one object a file and method")
    sub.add_argument("--architecture", metavar="NAME", help="add the share of the whole prefill saved for this model")

    from metatok import cli_reader, cli_space  # which build on this file

    cli_reader.add_commands(command)
    cli_space.add_commands(command)

    sub = command("demo", _demo, "launch the app in the browser")
    sub.add_argument("--host", metavar="NAME", help="address to listen on (default: this machine only)")
    sub.add_argument("--port", type=_count, metavar="N", help="port to listen on")
    return parser


# The commands


def _compress(arguments: argparse.Namespace) -> int:
    source = arguments.file
    target = arguments.output or ("-" if source == "-" else source + SUFFIX)
    _check_target(target, source, arguments.force)
    data = _read(source)
    from metatok.container import MAX_BYTES, ContainerError, pack  # after what may be refused at once

    with Progress(4) as progress:
        progress.step("load")
        tokenizer = _tokenizer(arguments, arguments.method)
        try:
            blob = pack(data, tokenizer, step=progress.step)
        except ContainerError as error:
            raise Refused(f"{_shown(source)}: {error}") from error
    _write(target, blob, arguments.force)
    if len(data) > MAX_BYTES:
        _say(f"Note: restoring {_shown(target)} needs --max-length {len(data)}, more than the default.")
    return 0


def _decompress(arguments: argparse.Namespace) -> int:
    target = arguments.output or "-"
    _check_target(target, arguments.file, arguments.force)
    blob = _read(arguments.file)
    from metatok.container import MAX_BYTES, ContainerError, unpack
    from metatok.tokenizer import MetaTokenizer, TokenizerError

    limit = MAX_BYTES if arguments.max_length is None else arguments.max_length
    with Progress(3) as progress:
        try:
            tokenizer = MetaTokenizer.from_pretrained(arguments.tokenizer) if arguments.tokenizer else None
            data = unpack(blob, tokenizer=tokenizer, max_bytes=limit, step=progress.step)
        except (ContainerError, TokenizerError) as error:
            raise Refused(f"{_shown(arguments.file)}: {error}") from error
    _write(target, data, arguments.force)
    return 0


def _stats(arguments: argparse.Namespace) -> int:
    from metatok.compute import PRESETS, compute_saving
    from metatok.container import split_utf8
    from metatok.summary import summarize

    architecture = PRESETS.get(arguments.architecture) if arguments.architecture else None
    if arguments.architecture and architecture is None:
        arguments.usage_error(f"there is no architecture {arguments.architecture!r}; there are {', '.join(PRESETS)}")
    methods = list(dict.fromkeys(arguments.method or [None]))
    rows: list[dict[str, Any]] = []
    refusals: list[str] = []
    with Progress(1 + len(arguments.files) * len(methods)) as progress:
        progress.step("load")
        tokenizers = [_tokenizer(arguments, methods[0])]
        tokenizers += [tokenizers[0].using(method=method) for method in methods[1:]]
        for file in arguments.files:
            try:
                data = _read(file)
            except Refused as refusal:
                refusals.append(str(refusal))
                continue
            text, splices = split_utf8(data)
            for tokenizer in tokenizers:
                progress.step(f"{file} {tokenizer.method}")
                row = {"file": file, **summarize(tokenizer, text)}
                row["bytes"] = len(data)
                row["carried_bytes"] = sum(len(run) for _, run in splices)
                if architecture is not None:
                    row["architecture"] = architecture.name
                    row["compute_saving"] = compute_saving(
                        architecture, row["original_tokens"], row["compressed_tokens"]
                    )
                rows.append(row)
    for sentence in refusals:
        _complain(sentence)
    if arguments.json:
        print(json.dumps(rows, indent=2))
    elif rows:
        with suppress(AttributeError):  # a terminal that cannot show a file's name gets escapes, not an error
            sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
        print(table(rows))
    return 1 if refusals else 0


def _demo(arguments: argparse.Namespace) -> int:
    from metatok import demo

    try:
        demo.launch(server_name=arguments.host, server_port=arguments.port)
    except demo.LaunchError as error:
        raise Refused(str(error)) from error
    except ModuleNotFoundError as error:
        if (error.name or "metatok").partition(".")[0] == "metatok":
            raise
        raise Refused(f"The app needs the package {error.name}: pip install 'metatok[demo]'.") from error
    return 0


# Arguments


def _pool(value: str) -> int | None:
    return None if value == "all" else _count(value)


def _count(value: str) -> int:
    if not value.isascii() or not value.isdigit():
        raise argparse.ArgumentTypeError(f"{value!r} is not a whole number of 0 or more")
    return int(value[:20])  # 20 digits are too many for everything here, and int() refuses thousands


def _methods(value: str) -> list[str]:
    names = list(METHODS) if value == "all" else value.split(",")
    for name in names:
        if name not in METHODS:
            raise argparse.ArgumentTypeError(f"{name!r} is not a method: {', '.join(METHODS)} or all")
    return names


def _tokenizer(arguments: argparse.Namespace, method: str | None) -> MetaTokenizer:
    from metatok.tokenizer import MetaTokenizer, TokenizerError

    try:
        return MetaTokenizer.from_pretrained(arguments.tokenizer, meta_tokens=arguments.meta_tokens, method=method)
    except TokenizerError as error:
        raise Refused(str(error)) from error
    except ValueError as error:  # a pool that the ids of this vocabulary leave no room for
        arguments.usage_error(str(error))
        raise AssertionError("usage_error exits") from error


# Files


def _read(source: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    except OSError as error:
        raise Refused(f"{_shown(source)}: {_reason(error)}.") from error
    except ValueError as error:  # a NUL in a file name
        raise Refused(f"{_shown(source)}: {error}.") from error


def _check_target(target: str, source: str, force: bool) -> None:
    """Refuse an output that would be refused after the work, before the work."""
    if target == "-":
        return
    path = Path(target)
    same = False
    with suppress(OSError, ValueError):  # one of the two is not there, which is for reading or writing to say
        same = source != "-" and path.samefile(source)
    if same:
        raise Refused(f"{_shown(target)} is the input itself; choose another output.")
    if os.path.isdir(path):
        raise Refused(f"{_shown(target)} is a directory; -o takes a file.")
    if os.path.isfile(path) and not force:
        raise Refused(f"{_shown(target)} exists; --force overwrites it.")


def _write(target: str, data: bytes, force: bool) -> None:
    if target == "-":
        if sys.stdout is None:
            raise Refused("standard output is closed; -o names a file.")
        sys.stdout.buffer.write(data)
        return
    try:
        write_file(Path(target), data, force=force)
    except FileExistsError:
        raise Refused(f"{_shown(target)} exists; --force overwrites it.") from None
    except BrokenPipeError:  # a named pipe whose reader went away
        raise
    except (OSError, ValueError) as error:
        reason = _reason(error) if isinstance(error, OSError) else str(error)
        raise Refused(f"{_shown(target)}: {reason}.") from error


def write_file(path: Path, data: bytes, *, force: bool) -> None:
    """Write a file whole or not at all: under another name in the same folder first, then renamed.

    A link is followed; a device or a named pipe is written to as it is.

    Raises:
        FileExistsError: there is a file already and `force` is not set.
        OSError: it cannot be written.
    """
    path = Path(os.path.realpath(path))
    mode = None
    with suppress(FileNotFoundError):
        mode = path.stat().st_mode
    if mode is not None and not stat.S_ISREG(mode):
        path.write_bytes(data)
        return
    if mode is None:
        umask = os.umask(0)
        os.umask(umask)
        mode = 0o666 & ~umask
    handle, name = tempfile.mkstemp(prefix=f".{path.name[:50]}.", suffix=".tmp", dir=path.parent)
    temporary = Path(name)
    try:
        with open(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(stat.S_IMODE(mode))
        if force:
            temporary.replace(path)
        else:
            _place(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _place(temporary: Path, path: Path) -> None:
    """Give a file its name unless that is taken. A hard link does both in one; not every file system has them."""
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        raise
    except OSError:
        if path.exists():
            raise FileExistsError(path) from None
        temporary.replace(path)


def _flush() -> None:
    if sys.stdout is not None:
        sys.stdout.flush()


def _abandon_output() -> None:
    """Python flushes standard output once more at exit; let that go nowhere instead of failing aloud."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


# Words


def _complain(sentence: str) -> int:
    _say(f"metatok: {sentence}")
    return 1


def _say(sentence: str) -> None:
    with suppress(OSError, AttributeError):  # stderr may be closed
        print(" ".join(sentence.split()), file=sys.stderr, flush=True)


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__


def _shown(name: str) -> str:
    """A file name as it can be put into a message: what moves the cursor or is not text becomes an escape.

    >>> _shown("a\\nb"), _shown("-")
    ('a\\\\nb', 'standard input')
    """
    if name == "-":
        return "standard input"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def table(rows: Iterable[dict[str, Any]]) -> str:
    """The entries of `metatok stats` as aligned columns.

    "of possible" is the share of what any grammar could save at most, see `metatok.bound`.

    >>> row = {"file": "log", "method": "flat", "original_tokens": 1200, "compressed_tokens": 600, "saving": 0.5,
    ...        "quadratic_saving": 0.75, "saving_of_possible": 0.8, "phrases": [], "exact": True,
    ...        "round_trip_text": True}
    >>> print(table([row]))
    file  method  before  after  saving  of possible  quadratic  phrases  exact  text exact
    log   flat     1,200    600  50.0 %       80.0 %     75.0 %        0  yes    yes
    """
    rows = list(rows)
    head = ["file", "method", "before", "after", "saving", "of possible", "quadratic", "phrases", "exact", "text exact"]
    lines = [
        [
            _shown(row["file"]),
            row["method"],
            f"{row['original_tokens']:,}",
            f"{row['compressed_tokens']:,}",
            _percent(row["saving"]),
            "-" if row["saving_of_possible"] is None else _percent(row["saving_of_possible"]),
            _percent(row["quadratic_saving"]),
            f"{len(row['phrases']):,}",
            "yes" if row["exact"] else "NO",
            "yes" if row["round_trip_text"] else f"no: {row['change']}",
        ]
        for row in rows
    ]
    if "compute_saving" in rows[0]:
        head.insert(7, f"prefill of {rows[0]['architecture']}")
        for line, row in zip(lines, rows, strict=True):
            line.insert(7, _percent(row["compute_saving"]))
    words = {"file", "method", "exact", "text exact"}
    widths = [max(len(line[i]) for line in [head, *lines]) for i in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if name in words else cell.rjust(width)
            for cell, width, name in zip(line, widths, head, strict=True)
        ).rstrip()
        for line in [head, *lines]
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


class Progress:
    """A progress bar for work that takes over a second; nothing where the stream is not a terminal.

    A thread shows it, so that the clock runs on during one long step.

    Args:
        total: how many steps there are.
        stream: where to, standard error if left out.
        delay: seconds before it appears.
    """

    def __init__(self, total: int, stream: TextIO | None = None, delay: float = 1.0):
        self._total, self._stream, self._delay = total, stream or sys.stderr, delay
        self._begun, self._name = 0, ""
        self._done = threading.Event()
        self._thread: threading.Thread | None = None

    def step(self, name: str) -> None:
        """The next step begins; those before it are done."""
        self._begun, self._name = self._begun + 1, name

    def __enter__(self) -> Progress:
        with suppress(AttributeError, ValueError):  # no stream, or one that was closed
            if self._stream.isatty():
                self._thread = threading.Thread(target=self._show, daemon=True)
                self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        if self._thread is not None:
            self._thread.join()

    def _show(self) -> None:
        if self._done.wait(self._delay):
            return
        from tqdm import tqdm

        layout = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}]"
        with tqdm(total=self._total, file=self._stream, leave=False, bar_format=layout, dynamic_ncols=True) as bar:
            while not self._done.wait(0.2):
                bar.n = max(self._begun - 1, 0)
                bar.set_description_str(_shown(self._name))  # draws, and with it the clock
