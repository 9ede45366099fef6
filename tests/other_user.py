"""Running a command as a user who may write nowhere but in a temp folder of their own, and has no home.

As root, the tests hand it to the user `nobody`; other people's tests cannot change users, and run it as themselves
without a home, from a folder that is read-only.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class OtherUser:
    """How a command has to begin, and the one folder that its user may write to.

    `env` at the end of `prefix` starts the command without the rights that setpriv still has.
    """

    prefix: tuple[str, ...]
    temp: Path

    def can_run(self, python: Path) -> bool:
        """Whether the user can start this Python and load what comes with it."""
        done = subprocess.run([*self.prefix, python, "-c", "import json"], capture_output=True, cwd="/", check=False)
        return done.returncode == 0

    def environment(self, known: dict[str, str]) -> dict[str, str]:
        """`known` less what says where caches are, with the user's temp folder and a home that is not there."""
        kept = {k: v for k, v in known.items() if not k.startswith(("HF_", "XDG_", "NUMBA_", "PYTHON", "GRADIO_TEMP"))}
        return {**kept, "HOME": "/nonexistent", "TMPDIR": str(self.temp), "HF_HUB_OFFLINE": "1"}


@contextlib.contextmanager
def other_user(*, changed: bool = False) -> Iterator[OtherUser]:
    """Another user for some commands; `changed` skips the test where it cannot be another one than the tests' own."""
    root = hasattr(os, "getuid") and os.getuid() == 0
    if changed and not (root and shutil.which("setpriv")):
        pytest.skip("only root, with setpriv, can run a command as another user")
    with tempfile.TemporaryDirectory(prefix="metatok-other-user-") as folder:
        prefix: tuple[str, ...] = ()
        if root and shutil.which("setpriv"):
            nobody = pwd.getpwnam("nobody")
            prefix = ("setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups", "env")
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        yield OtherUser(prefix, Path(folder))


@contextlib.contextmanager
def readable_folder() -> Iterator[Path]:
    """A new temp folder that everybody may read; pytest's own are the user's alone."""
    with tempfile.TemporaryDirectory(prefix="metatok-readable-") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)
        for path in [Path(folder), *Path(folder).rglob("*")]:
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o755)  # else a read-only folder cannot be removed


def read_only(folder: Path) -> None:
    """Everybody may read what is in the folder, and nobody but root write to it."""
    for path in [*folder.rglob("*"), folder]:
        if not path.is_symlink():
            path.chmod(0o555 if path.is_dir() else 0o444)
