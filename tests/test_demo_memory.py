"""Freed memory goes back to the system, which glibc by itself does less and less."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

CODE = """
import ctypes
from pathlib import Path
from metatok.demo.memory import give_back_large

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

def fill(size):
    block = libc.malloc(size)
    ctypes.memset(block, 1, size)
    return block

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
if SET:
    assert give_back_large()
libc.free(fill(20 << 20))  # as a mapping of its own, which raises glibc's limit to 20 MiB
before = resident()
large, above = fill(16 << 20), fill(100)
libc.free(large)
print(resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's settings")
def test_large_allocations_are_returned_when_freed() -> None:
    left = {}
    for value in (False, True):
        code = CODE.replace("SET", str(value))
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        left[value] = int(done.stdout)
    assert left[True] < 1 << 20
    assert left[False] > 8 << 20, "glibc does this by itself now: metatok/demo/memory.py can go"
