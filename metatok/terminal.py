"""What the commands share: reading and writing files, sentences on standard error, progress. See `metatok.cli`.

Files are written beside their place and renamed into it, so that a failure leaves what was there. A file that exists
is overwritten only where `force` is set.
"""

from __future__ import annotations

import argparse
import os
import stat
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TextIO

METHODS = ("inline", "nested", "flat", "ltsc")  # the codec's, which loads numba


class Refused(Exception):
    """An input or an output that cannot be used; the message is one sentence."""


def count(value: str) -> int:
    """An argument that is a whole number of 0 or more."""
    if not value.isascii() or not value.isdigit():
        raise argparse.ArgumentTypeError(f"{value!r} is not a whole number of 0 or more")
    if len(value) > 18:  # more than anything here holds; int() itself refuses some thousands
        raise argparse.ArgumentTypeError(f"{value[:18]}… has {len(value)} digits; 18 are the most")
    return int(value)


def read(source: str) -> bytes:
    """The bytes of a file, of standard input for "-"; a file that cannot be read is `Refused`."""
    _check_named(source)
    if source == "-" and sys.stdin is None:
        raise Refused("Standard input is closed, so there is nothing to read; name a file instead of -.")
    try:
        return sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    except OSError as error:
        raise Refused(f"{shown(source)}: {reason(error)}.") from error
    except ValueError as error:  # a NUL in a file name
        raise Refused(f"{shown(source)}: {error}.") from error


def check_target(target: str, source: str, force: bool) -> None:
    """Refuse an output that would be refused after the work, before the work."""
    if target == "-":
        return
    _check_named(target)
    if "\0" in target:
        raise Refused(f"{shown(target)}: a file name cannot hold a NUL.")
    path = Path(target)
    same = False
    with suppress(OSError, ValueError):  # one of the two is not there, which is for reading or writing to say
        same = source != "-" and path.samefile(source)
    if same:
        raise Refused(f"{shown(target)} is the input itself; choose another output.")
    if os.path.isdir(path):
        raise Refused(f"{shown(target)} is a directory; -o takes a file.")
    if os.path.isfile(path) and not force:
        raise Refused(f"{shown(target)} exists; --force overwrites it.")
    folder = Path(os.path.realpath(path)).parent
    if not folder.is_dir():
        raise Refused(f"{shown(target)}: there is no folder {shown(str(folder))}.")
    if not os.access(folder, os.W_OK) and not path.exists():
        raise Refused(f"{shown(target)}: the folder {shown(str(folder))} cannot be written to.")


def write(target: str, data: bytes, force: bool) -> None:
    """Write a file as `write_file` does, or to standard output for "-"; what cannot be written is `Refused`."""
    if target == "-":
        if sys.stdout is None:
            raise Refused("standard output is closed; -o names a file.")
        sys.stdout.buffer.write(data)
        return
    try:
        write_file(Path(target), data, force=force)
    except FileExistsError:
        raise Refused(f"{shown(target)} exists; --force overwrites it.") from None
    except BrokenPipeError:  # a named pipe whose reader went away
        raise
    except (OSError, ValueError) as error:
        why = reason(error) if isinstance(error, OSError) else str(error)
        raise Refused(f"{shown(target)}: {why}.") from error


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


def print_anything() -> None:
    """From here on a terminal that cannot show a character gets an escape, not an error."""
    with suppress(AttributeError, ValueError):  # none, one that is closed, or a stand-in that cannot
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def flush() -> None:
    """Let what was printed go out."""
    if sys.stdout is not None:
        sys.stdout.flush()


def abandon_output() -> None:
    """Python flushes standard output once more at exit; let that go nowhere instead of failing aloud."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def complain(sentence: str) -> int:
    """Say on standard error what was wrong; the exit code for it."""
    say(f"metatok: {sentence}")
    return 1


def say(sentence: str) -> None:
    """One line on standard error."""
    with suppress(OSError, AttributeError):  # stderr may be closed
        print(" ".join(sentence.split()), file=sys.stderr, flush=True)


def reason(error: OSError) -> str:
    """Why the system refused, in its own words."""
    return error.strerror or type(error).__name__


def _check_named(name: str) -> None:
    if not name:  # as of a variable of the shell that is not set; to Python it is the folder
        raise Refused("The name of a file is empty.")


def shown(name: str) -> str:
    """A file name as it can be put into a message: what moves the cursor or is not text becomes an escape.

    >>> shown("a\\nb"), shown("-")
    ('a\\\\nb', 'standard input')
    """
    if name == "-":
        return "standard input"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


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
                bar.set_description_str(shown(self._name))  # draws, and with it the clock
