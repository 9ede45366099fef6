"""The command `metatok publish`: the app as a Hugging Face Space.

What this file does: arguments, what is printed, exit codes, as `metatok.cli` has it for all commands. The work is
`metatok.publish`'s.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from metatok import terminal
from metatok.cli_reader import Add


def add_commands(command: Add) -> None:
    """Add the command; `command` is what `metatok.cli` adds its own with."""
    sub = command("publish", _publish, "upload the app as a Hugging Face Space, or show what would go up")
    sub.add_argument(
        "--space",
        required=True,
        metavar="NAME",
        help="OWNER/NAME; made where it is not there, and replaced where it is",
    )
    sub.add_argument("--dry-run", action="store_true", help="put together, check and list the files; upload nothing")
    sub.add_argument("--folder", metavar="OUT", help="leave the files in OUT, a new or an empty folder")


def _publish(arguments: argparse.Namespace) -> int:
    try:
        if arguments.folder is None:
            with tempfile.TemporaryDirectory() as temporary:
                return _publish_from(Path(temporary), arguments)
        folder = Path(arguments.folder)
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise terminal.Refused(
                f"{terminal.shown(arguments.folder)} is not empty; --folder takes a new or an empty folder."
            )
        return _publish_from(folder, arguments)
    except ModuleNotFoundError as error:
        if (error.name or "metatok").partition(".")[0] == "metatok":
            raise
        raise terminal.Refused(f"Publishing needs the package {error.name}: pip install 'metatok[demo]'.") from error
    except BrokenPipeError:
        raise
    except OSError as error:
        raise terminal.Refused(
            f"{terminal.shown(str(error.filename or arguments.folder))}: {terminal.reason(error)}."
        ) from error


def _publish_from(folder: Path, arguments: argparse.Namespace) -> int:
    from metatok import publish

    try:
        publish.check_name(arguments.space)
        publish.assemble(folder, arguments.space)
        wrong = publish.problems(folder, publish.required_python())
        for sentence in wrong:
            terminal.complain(sentence)
        if wrong:
            return 1
        files = publish.contents(folder)
        if arguments.dry_run:
            for path, size in files:
                print(f"{size:>12,}  {path}")
        print(f"{sum(size for _, size in files):>12,}  bytes in {len(files)} files")
        if not arguments.dry_run:
            terminal.flush()
            print(publish.upload(folder, arguments.space))
    except publish.PublishError as error:
        raise terminal.Refused(str(error)) from error
    return 0
