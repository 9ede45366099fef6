"""The command `metatok`: compress and restore files, count what compression saves, launch the app.

The reader's commands (`ask`, `evaluate`, `train`) are in `cli_reader.py`, `publish` in `cli_space.py`.

What this file does: arguments, tables, exit codes. What it does not: files and messages (`terminal.py`), and the work
itself (`container.py` packs, `summary.py` measures, `demo` is the app), which is imported when a command needs it.

Exit codes: 0 done; 1 an input was refused (one sentence on stderr); 2 bad usage; 130 interrupted and 141 the reader of
the output went away, both without a word, as shells know them.

A file that exists is overwritten only with `--force`. Restored bytes go to standard output unless `-o` says where.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import metatok
from metatok import cli_reader, cli_space, terminal

if TYPE_CHECKING:
    from metatok.tokenizer import MetaTokenizer

DEFAULT_TOKENIZER = "mistral:tekken"
SUFFIX = ".mtk"
METHOD_DEFAULT = "(default: as the tokenizer's folder was saved, else inline)"
INTERRUPTED, CLOSED_PIPE = 130, 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    >>> main(["stats", "no/such/file"])
    1
    """
    try:
        words = sys.argv[1:] if argv is None else list(argv)
        terminal.print_anything()
        try:
            if words[:1] == ["train"]:
                return cli_reader.train(words[1:])
            arguments = _parser().parse_args(words)
            code: int = arguments.run(arguments)
        except SystemExit as stop:  # argparse has printed its help (0) or what is wrong with the arguments (2)
            code = int(stop.code or 0)
        terminal.flush()
        return code
    except terminal.Refused as refusal:
        return terminal.complain(str(refusal))
    except MemoryError:
        return terminal.complain("There is not enough memory for an input of this size.")
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        terminal.abandon_output()
        return CLOSED_PIPE
    except OSError as error:  # everything that opens a file has its own sentence; this is standard output
        terminal.abandon_output()
        return terminal.complain(f"standard output: {terminal.reason(error)}.")


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
            help="how many meta-tokens there are, or 'all' for as many as pay "
            "(default: as the tokenizer's folder was saved, else 512)",
        )

    def output_options(sub: argparse.ArgumentParser, default: str) -> None:
        sub.add_argument(
            "-o", "--output", metavar="OUT", help=f"where to write; - is standard output (default: {default})"
        )
        sub.add_argument("-f", "--force", action="store_true", help="overwrite OUT if it exists")

    sub = command("compress", _compress, f"write a file as a compressed sequence, FILE{SUFFIX}")
    sub.add_argument("file", metavar="FILE", help="any file, text or not; - is standard input")
    tokenizer_options(sub)
    sub.add_argument("--method", choices=terminal.METHODS, help=f"how phrases are found and written {METHOD_DEFAULT}")
    output_options(sub, f"FILE{SUFFIX}, and standard output for standard input")

    sub = command("decompress", _decompress, f"restore the bytes of a {SUFFIX} file")
    sub.add_argument("file", metavar="FILE", help=f"a {SUFFIX} file; - is standard input")
    sub.add_argument("--tokenizer", metavar="NAME", help="the file's tokenizer under the name it has here")
    sub.add_argument(
        "--max-length",
        type=terminal.count,
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
        help=f"{', '.join(terminal.METHODS)}, several with commas, or 'all' {METHOD_DEFAULT}",
    )
    sub.add_argument("--json", action="store_true", help="print a JSON list, one object a file and method")
    sub.add_argument("--architecture", metavar="NAME", help="add the share of the whole prefill saved for this model")

    cli_reader.add_commands(command)
    cli_space.add_commands(command)

    sub = command("demo", _demo, "launch the app in the browser")
    sub.add_argument("--host", metavar="NAME", help="address to listen on (default: this machine only)")
    sub.add_argument("--port", type=terminal.count, metavar="N", help="port to listen on")
    return parser


# The commands


def _compress(arguments: argparse.Namespace) -> int:
    source = arguments.file
    target = arguments.output
    if target is None:
        target = "-" if source == "-" else source + SUFFIX
    terminal.check_target(target, source, arguments.force)
    data = terminal.read(source)
    from metatok.container import MAX_BYTES, ContainerError, pack  # after what may be refused at once

    with terminal.Progress(4) as progress:
        progress.step("load")
        tokenizer = _tokenizer(arguments, arguments.method)
        try:
            blob = pack(data, tokenizer, step=progress.step)
        except ContainerError as error:
            raise terminal.Refused(f"{terminal.shown(source)}: {error}") from error
    terminal.write(target, blob, arguments.force)
    if len(data) > MAX_BYTES:
        terminal.say(f"Note: restoring {terminal.shown(target)} needs --max-length {len(data)}, more than the default.")
    return 0


def _decompress(arguments: argparse.Namespace) -> int:
    target = "-" if arguments.output is None else arguments.output
    terminal.check_target(target, arguments.file, arguments.force)
    blob = terminal.read(arguments.file)
    from metatok.container import MAX_BYTES, ContainerError, unpack
    from metatok.tokenizer import MetaTokenizer, TokenizerError

    limit = MAX_BYTES if arguments.max_length is None else arguments.max_length
    with terminal.Progress(3) as progress:
        try:
            tokenizer = MetaTokenizer.from_pretrained(arguments.tokenizer) if arguments.tokenizer else None
            data = unpack(blob, tokenizer=tokenizer, max_bytes=limit, step=progress.step)
        except (ContainerError, TokenizerError) as error:
            raise terminal.Refused(f"{terminal.shown(arguments.file)}: {error}") from error
    terminal.write(target, data, arguments.force)
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
    with terminal.Progress(1 + len(arguments.files) * len(methods)) as progress:
        progress.step("load")
        tokenizers = [_tokenizer(arguments, methods[0])]
        tokenizers += [tokenizers[0].using(method=method) for method in methods[1:]]
        for file in arguments.files:
            try:
                data = terminal.read(file)
            except terminal.Refused as refusal:
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
        terminal.complain(sentence)
    if arguments.json:
        print(json.dumps(rows, indent=2))
    elif rows:
        print(table(rows))
    return 1 if refusals else 0


def _demo(arguments: argparse.Namespace) -> int:
    from metatok import demo

    try:
        demo.launch(server_name=arguments.host, server_port=arguments.port)
    except demo.LaunchError as error:
        raise terminal.Refused(str(error)) from error
    except ModuleNotFoundError as error:
        if (error.name or "metatok").partition(".")[0] == "metatok":
            raise
        raise terminal.Refused(f"The app needs the package {error.name}: pip install 'metatok[demo]'.") from error
    return 0


# Arguments


def _pool(value: str) -> int | None:
    return None if value == "all" else terminal.count(value)


def _methods(value: str) -> list[str]:
    names = list(terminal.METHODS) if value == "all" else value.split(",")
    for name in names:
        if name not in terminal.METHODS:
            raise argparse.ArgumentTypeError(f"{name!r} is not a method: {', '.join(terminal.METHODS)} or all")
    return names


def _tokenizer(arguments: argparse.Namespace, method: str | None) -> MetaTokenizer:
    from metatok.tokenizer import MetaTokenizer, TokenizerError

    try:
        return MetaTokenizer.from_pretrained(arguments.tokenizer, meta_tokens=arguments.meta_tokens, method=method)
    except TokenizerError as error:
        raise terminal.Refused(str(error)) from error
    except ValueError as error:  # a pool that the ids of this vocabulary leave no room for
        arguments.usage_error(str(error))
        raise AssertionError("usage_error exits") from error


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
            terminal.shown(row["file"]),
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
