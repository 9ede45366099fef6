"""numba's `njit` for the kernels, whose compiled code is kept on disk wherever this user may write.

numba keeps compiled code beside the source or in the user's cache folder, or where `NUMBA_CACHE_DIR` says, and refuses
to go on where it can write to none of them: in an app that root installed and a user without a home runs. Here such a
user gets a folder below the temp folder. Cached code is run as it is found, so that folder has to be the user's own; if
it is somebody else's, nothing is kept, and each process compiles for itself.

numba compiles a kernel anew when its own file has changed, but not when a kernel of another file that it calls has:
after such a change remove what is kept in `__pycache__` (`*.nbi`), as `make clean` does.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba


def njit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """`numba.njit(**options)`; `cache=True` means: where there is a place for it."""

    def decorate(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(**options)(function)
        except RuntimeError:  # "cannot cache function …: no locator available for file …"
            folder = _own_folder()
        if folder is None:
            return numba.njit(**{**options, "cache": False})(function)
        numba.config.CACHE_DIR = str(folder)
        return numba.njit(**options)(function)

    return decorate


def _own_folder() -> Path | None:
    """A folder below the temp folder that this user alone can write to, or None."""
    if not hasattr(os, "getuid"):
        return None
    try:
        folder = Path(tempfile.gettempdir()) / f"metatok-numba-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    mine = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022
    return folder if mine else None
