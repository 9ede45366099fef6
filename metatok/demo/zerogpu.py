"""ZeroGPU: a Space that borrows a GPU for as long as a function runs.

On such a Space the package `spaces` is there, and its decorator hands functions a GPU; elsewhere there is none, and
`gpu` gives a function back as it is. Off ZeroGPU the package's decorator does the same. This module has to be imported
before torch, which `spaces` prepares for that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

try:
    import spaces
except ImportError:
    spaces = None

F = TypeVar("F", bound=Callable[..., Any])


def gpu(function: F) -> F:
    """The function, or generator function, as ZeroGPU wants it."""
    return function if spaces is None else spaces.GPU(function)
