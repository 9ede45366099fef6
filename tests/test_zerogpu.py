"""ZeroGPU's decorator is used where the package `spaces` is there, and nothing changes where it is not.

The package itself only works on a Space, so a stand-in does what its documentation and code say that matters here.
"""

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


# One that runs what it decorates in a fork, as on a Space, where torch claims to have a GPU outside of it, too.
FORKING = """
import functools, inspect, multiprocessing, os

context = multiprocessing.get_context("fork")

def GPU(function):
    @functools.wraps(function)
    def forked(*args):
        queue = context.SimpleQueue()

        def work():
            for item in function(*args) if inspect.isgeneratorfunction(function) else [function(*args)]:
                queue.put([item])
            queue.put(None)

        process = context.Process(target=work, daemon=True)
        process.start()
        while (item := queue.get()) is not None:
            yield item[0]
        process.join()

    if inspect.isgeneratorfunction(function):
        return forked
    return functools.wraps(function)(lambda *args: next(forked(*args)))

def gradio_auto_wrap(function):
    return function
"""

USE_FORKING = """
import os, random, threading
from metatok.demo import ask, asking, loading, prefill
from metatok.demo.background import Background
from metatok.demo.drawing import new_example
import torch
torch.cuda.is_available = lambda: os.getpid() == torch.parent
torch.parent = os.getpid()

for _ in Background(lambda go_on: 1):  # as somebody who compresses does; it leaves a thread here, and none in a fork
    pass
loading.warm()
tree = new_example(random.Random(1))
question = tree["questions"]["depth"]
with loading._loading:  # as of a thread of the app that is not in a fork
    *_, page = asking.stream(tree["text"], question, "inline", None, tree)
print(page[0] == "", bool(page[3]), bool(page[5]))
print(asking.ask(tree["text"], question, "inline")["raw"]["answer"] == page[3])
*_, measured = prefill.measure(tree["text"], "inline")
print("alert" not in measured, "<table" in measured)
print(ask._code(lambda: None)["task"])
print(loading.is_loaded(), [t.name for t in threading.enumerate() if "load" in t.name])
"""


def run(folder: Path, code: str = USE, **environment: str) -> list[str]:
    path = os.pathsep.join([str(folder), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert "Traceback" not in done.stderr
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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="ZeroGPU forks")
def test_nothing_waits_in_a_fork_and_no_reader_is_loaded_outside_of_one(tmp_path: Path) -> None:
    (tmp_path / "spaces.py").write_text(FORKING)
    *said, code, loaded = run(tmp_path, USE_FORKING, SPACES_ZERO_GPU="true")
    assert said == ["True True True", "True", "True True"]
    assert code == "repo"
    assert loaded == "False []"
