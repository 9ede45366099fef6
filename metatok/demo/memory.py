"""Memory that is free goes back to the system.

glibc raises the size from which an allocation is a mapping of its own with every such mapping that is freed, to 32 MB
at most. From then on the arrays of a long prompt lie between small objects, and what is left free between those grew
by 25 MB for every thousand calls, without anything being kept (`python -m benchmarks.load`).
"""

from __future__ import annotations

import ctypes

LARGE = 1 << 20  # bytes, from which an allocation is a mapping of its own
# Of malloc.h. A limit that is set does not move any more.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3


def give_back_large() -> bool:
    """Have allocations of `LARGE` bytes and more returned when they are freed; False where malloc is not glibc's."""
    try:
        mallopt, _ = ctypes.CDLL(None).mallopt, ctypes.CDLL(None).gnu_get_libc_version
    except (OSError, TypeError, AttributeError):
        return False
    return all([mallopt(M_MMAP_THRESHOLD, LARGE), mallopt(M_TRIM_THRESHOLD, LARGE)])
