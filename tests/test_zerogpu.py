"""ZeroGPU's decorator is used where the package `spaces` is there, and nothing changes where it is not."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("gradio")

ROOT = Path(__file__).parents[1]

# A `spaces` that only says what it was given; Gradio asks it for a second function.
SPACES = """
import sys

def GPU(function):
    assert "torch" not in sys.modules, "spaces has to come before torch"
    print("GPU", function.__module__, function.__name__)
    return function

def gradio_auto_wrap(function):
    return function
"""

USE = """
import sys
from metatok.demo import asking, zerogpu
print("torch" in sys.modules, zerogpu.spaces is not None, asking.ask.__name__, asking.stream.__name__)
"""


def run(folder: Path) -> list[str]:
    path = os.pathsep.join([str(folder), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-c", USE],
        env={**os.environ, "PYTHONPATH": path},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_functions_that_call_the_reader_get_a_gpu_where_there_is_zerogpu(tmp_path: Path) -> None:
    (tmp_path / "spaces.py").write_text(SPACES)
    found = run(tmp_path)
    assert set(found[:-1]) >= {"GPU metatok.demo.asking ask", "GPU metatok.demo.asking stream"}
    assert found[-1] == "False True ask stream"


def test_nothing_happens_elsewhere(tmp_path: Path) -> None:
    if importlib.util.find_spec("spaces"):
        pytest.skip("the package spaces is installed here")
    assert run(tmp_path) == ["False False ask stream"]
