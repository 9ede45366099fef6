"""ZeroGPU: a Space that borrows a GPU for as long as a function runs.

On such a Space the package `spaces` is there, and its decorator hands functions a GPU; elsewhere there is none, and
`gpu` gives a function back as it is. Off ZeroGPU the package's decorator does the same. This module has to be imported
before torch, which `spaces` prepares for that.

What is decorated runs in a fork of the app's process. In the app's process itself torch only seems to have a GPU, and
not even that in other threads than the main one, so no reader may be loaded there.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

try:
    import spaces
except ImportError:
    spaces = None

ON_ZEROGPU = spaces is not None and os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")

F = TypeVar("F", bound=Callable[..., Any])


def gpu(function: F) -> F:
    """The function, or generator function, as ZeroGPU wants it."""
    return function if spaces is None else spaces.GPU(function)
