"""The bundled reader, loaded once, by whoever needs it first. Importing this loads neither torch nor the reader."""

from __future__ import annotations

import functools
import os
import threading
from typing import TYPE_CHECKING

from metatok.demo.run import Refused
from metatok.demo.zerogpu import ON_ZEROGPU
from metatok.reader.folders import bundled

if TYPE_CHECKING:
    from metatok.reader import Reader

_loading: threading.Lock


def _unlock() -> None:
    global _loading
    _loading = threading.Lock()


_unlock()
if hasattr(os, "register_at_fork"):  # who holds it is not in a fork, as of ZeroGPU
    os.register_at_fork(after_in_child=_unlock)


@functools.cache
def _loaded() -> Reader:
    try:
        from metatok.reader import Reader
    except ModuleNotFoundError as error:
        raise Refused(f"Asking needs the package {error.name}: pip install 'metatok[demo]'.") from error
    model = Reader.from_pretrained()
    for method in (None, "inline"):  # what runs for the first time is slow, and would be counted against who asks first
        model.ask("once " * 64, "once", method, max_new_tokens=2).read()
    return model


def reader() -> Reader:
    """The bundled reader.

    Raises:
        ValueError: there is none; the message is a sentence.
    """
    with _loading:
        return _loaded()


def is_loaded() -> bool:
    """Whether `reader` answers at once."""
    return _loaded.cache_info().currsize > 0


def forget() -> None:
    """Let the next one who needs it load it anew."""
    _loaded.cache_clear()


def warm() -> None:
    """Load the reader in the background, if there is one; whoever asks first then waits less. Not on ZeroGPU, where it
    is of no use to the processes that have a GPU."""
    if ON_ZEROGPU:
        return

    def load() -> None:
        try:
            bundled()
            reader()
        except ValueError:  # whoever asks is told
            pass

    threading.Thread(target=load, daemon=True).start()
