"""An evaluation in portions: by several processes, kept in a folder, interrupted, and taken up again."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from metatok.reader import Reader, ReaderError, portions  # noqa: E402
from metatok.reader.evaluate import draw, evaluate, expand_again  # noqa: E402
from metatok.reader.forms import baselines, form_names, forms_of  # noqa: E402
from metatok.reader.portions import Portions, answered, digest, make_folder, written_out  # noqa: E402
from metatok.tasks.base import Sample, get  # noqa: E402

ROOT = Path(__file__).parents[1]
N = 5
ROOM = 12


@pytest.fixture(scope="module")
def reader(tiny_reader: Path) -> Reader:
    return Reader.from_pretrained(tiny_reader)


@pytest.fixture(scope="module")
def picked(reader: Reader) -> list[Sample]:
    return draw(reader, get("tree"), N, seed=4)[0]


@pytest.fixture(scope="module")
def expected(reader: Reader, picked: list[Sample]) -> list[portions.Row]:
    return answered(reader, None, picked, ROOM, lambda count: None)


@pytest.fixture(autouse=True)
def small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portions, "PORTION", 2)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many prompts each call asks about."""
    calls: list[int] = []

    def counted(reader: Reader, llmlingua2: Any, picked: Any, *rest: Any) -> list[portions.Row]:
        calls.append(len(picked))
        return answered(reader, llmlingua2, picked, *rest)

    monkeypatch.setattr(portions, "answered", counted)
    return calls


def test_names_are_those_of_the_forms(reader: Reader, picked: list[Sample], expected: list[portions.Row]) -> None:
    lossy = baselines(reader, None)
    assert form_names(reader, lossy) == list(forms_of(reader, picked[0].prompt, lossy)) == list(expected[0])


def test_several_processes_answer_as_one_does(
    reader: Reader, picked: list[Sample], expected: list[portions.Row], asked: list[int], tmp_path: Path
) -> None:
    before = set(multiprocessing.active_children())
    with Portions(reader, None, picked, jobs=2, folder=tmp_path) as of:
        assert of.answers(ROOM) == expected
        assert of.written_out() == written_out(reader, picked, lambda count: None)
        assert len(of._processes) == 2
    assert set(multiprocessing.active_children()) == before
    assert asked == []  # not by this one
    assert len(list(tmp_path.iterdir())) == 6


def test_processes_compute_in_what_the_reader_does(reader: Reader, picked: list[Sample], tmp_path: Path) -> None:
    """Whoever answers in float32 finds none of that in the folder, and the other way round."""
    half = Reader.from_pretrained(reader.folder, dtype="bfloat16")
    expected = written_out(half, picked, lambda count: None)
    assert expected != written_out(reader, picked, lambda count: None)
    with Portions(half, None, picked, jobs=2, folder=tmp_path) as of:
        assert of.written_out() == expected
    assert len(list(tmp_path.iterdir())) == 3
    with Portions(reader, None, picked, folder=tmp_path) as of:
        of.written_out()
    assert len(list(tmp_path.iterdir())) == 6


def test_what_was_answered_is_not_asked_again(
    reader: Reader, picked: list[Sample], expected: list[portions.Row], asked: list[int], tmp_path: Path
) -> None:
    def of(some: list[Sample], room: int = ROOM) -> list[portions.Row]:
        with Portions(reader, None, some, folder=tmp_path) as there:
            return there.answers(room)

    assert of(picked[:2]) == expected[:2]
    assert of(picked) == expected
    assert asked == [2, 2, 1]
    assert of(picked) == expected
    assert asked == [2, 2, 1]
    of(picked[:2], ROOM + 1)
    of(picked[1:2])  # other prompts
    assert asked == [2, 2, 1, 2, 1]
    kept = json.loads(next(iter(tmp_path.glob("answers-*.json"))).read_text())
    assert {prompt["question"] for prompt in kept["prompts"]} <= {sample.question for sample in picked}


def test_an_interrupted_evaluation_goes_on(
    reader: Reader, picked: list[Sample], expected: list[portions.Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(reader: Reader, llmlingua2: Any, picked: Any, *rest: Any) -> list[portions.Row]:
        if list(tmp_path.iterdir()):
            raise KeyboardInterrupt
        return answered(reader, llmlingua2, picked, *rest)

    with monkeypatch.context() as patch, Portions(reader, None, picked, folder=tmp_path) as of:
        patch.setattr(portions, "answered", interrupted)
        with pytest.raises(KeyboardInterrupt):
            of.answers(ROOM)
    first = next(iter(tmp_path.iterdir()))
    stamp = first.stat().st_mtime_ns
    with Portions(reader, None, picked, folder=tmp_path) as of:
        assert of.answers(ROOM) == expected
    assert first.stat().st_mtime_ns == stamp
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("torn", ["", "{", "[]", "3", '{"prompts": 3}', '{"prompts": [{}, {}]}', '{"prompts": []}'])
def test_a_torn_file_is_asked_anew(
    reader: Reader, picked: list[Sample], expected: list[portions.Row], tmp_path: Path, torn: str
) -> None:
    with Portions(reader, None, picked[:2], folder=tmp_path) as of:
        of.answers(ROOM)
        file = next(iter(tmp_path.iterdir()))
        whole = file.read_bytes()
        file.write_text(torn)
        assert of.answers(ROOM) == expected[:2]
    assert file.read_bytes() == whole


def test_other_weights_find_nothing(tiny_reader: Path, picked: list[Sample], asked: list[int], tmp_path: Path) -> None:
    def answer(reader: Reader) -> list[int]:
        with Portions(reader, None, picked[:2], folder=tmp_path / "kept") as of:
            of.answers(ROOM)
        return asked

    make_folder(tmp_path / "kept")
    reader = Reader.from_pretrained(tiny_reader)
    assert answer(reader) == [2]
    assert answer(Reader.from_pretrained(shutil.copytree(tiny_reader, tmp_path / "other"))) == [2]
    seen = {digest(reader)}
    for change in (
        lambda: reader.model.get_input_embeddings().weight[5].add_(1e-3),
        lambda: reader.phrases is not None and next(iter(reader.phrases.parameters())).flatten()[:1].add_(1e-3),
        lambda: reader.model.config.update({"rope_theta": 17.0}),
    ):
        change()
        seen.add(digest(reader))
    assert len(seen) == 4
    assert answer(reader) == [2, 2]


def test_an_evaluation_that_goes_on_says_the_same(reader: Reader, tmp_path: Path, asked: list[int]) -> None:
    def measured(found: dict[str, Any]) -> dict[str, Any]:
        return {
            name: {key: value for key, value in form.items() if not key.endswith("_ms")}
            for name, form in found["results"].items()
        }

    kept = evaluate(reader, "tree", N, seed=4, resume=tmp_path)
    again = evaluate(reader, "tree", N, seed=4, resume=tmp_path)
    assert sum(asked) == N
    assert measured(kept) == measured(again)
    assert kept["by"] == again["by"]
    assert measured(expand_again(reader, kept, jobs=2)) == measured(kept)


@pytest.mark.parametrize("kept", [True, False])
def test_a_process_that_was_ended_is_a_sentence(
    reader: Reader, picked: list[Sample], tmp_path: Path, kept: bool
) -> None:
    with Portions(reader, None, picked, jobs=2, folder=tmp_path if kept else None) as of:
        of.written_out()
        for process in of._processes:
            process.kill()
        with pytest.raises(ReaderError, match=r"processes ended before .* take fewer --jobs") as error:
            of.answers(ROOM)
    assert ("the same command goes on" in str(error.value)) == kept
    assert not any(process.is_alive() for process in of._processes)


def test_what_a_process_cannot_load_is_a_sentence(tiny_reader: Path, picked: list[Sample], tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_reader, tmp_path / "reader")
    reader = Reader.from_pretrained(folder)
    (folder / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(ReaderError, match="cannot be loaded"), Portions(reader, None, picked, jobs=2) as of:
        of.answers(ROOM)
    assert not any(process.is_alive() for process in of._processes)


def test_less_than_one_job(reader: Reader, picked: list[Sample]) -> None:
    with pytest.raises(ValueError, match="one job or more"):
        Portions(reader, None, picked, jobs=0)


# ---- On the command line


def command(*arguments: Any) -> list[str]:
    return [sys.executable, "-m", "metatok", "evaluate", *map(str, arguments)]


@pytest.fixture
def environment(tiny_reader: Path) -> dict[str, str]:
    return os.environ | {"METATOK_READER": str(tiny_reader), "HF_HUB_OFFLINE": "1"}


def test_the_command_refuses(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for words, said, code in (
        (["--jobs", 0], "1 or more", 2),
        (["--jobs", "two"], "not a whole number", 2),
        (["--resume", ""], "its name is empty", 2),
        (["--resume", tmp_path / "file"], f"{tmp_path / 'file'}: File exists", 1),
        (["--resume", tmp_path / "file" / "folder"], "Not a directory", 1),
        (["--jobs", 10**12, "--n", 1], "2 prompts or more", 1),
    ):
        done = subprocess.run(command("--n", 2, *words), capture_output=True, timeout=600, env=environment, cwd=ROOT)
        assert (done.returncode, done.stdout) == (code, b""), words
        assert said in done.stderr.decode()
        assert b"Traceback" not in done.stderr


def test_the_command_ends(environment: dict[str, str], tmp_path: Path) -> None:
    """With more processes than there is work for."""
    words = command("--n", 26, "--jobs", 10**12, "--resume", tmp_path / "new" / "kept", "--json")
    done = subprocess.run(words, capture_output=True, timeout=600, env=environment, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["n"] == 26
    names = sorted(path.name.partition("-")[0] for path in (tmp_path / "new" / "kept").iterdir())
    assert names == ["answers", "answers", "written", "written"]


@pytest.fixture
def long_evaluation(environment: dict[str, str], tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    words = command("--n", 200, "--jobs", 2, "--resume", tmp_path / "kept")
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, cwd=ROOT, start_new_session=True
    ) as running:
        yield running
        if _is_there(running.pid):
            os.killpg(running.pid, signal.SIGKILL)


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs process groups")
def test_interrupted_in_a_terminal(long_evaluation: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """Ctrl-C goes to all processes of the group: one exit code, no traceback, and what was answered is there."""
    _wait_for_answers(long_evaluation, tmp_path)
    os.killpg(long_evaluation.pid, signal.SIGINT)
    out, err = long_evaluation.communicate(timeout=60)
    assert (long_evaluation.returncode, out, err) == (130, b"", b"")
    _wait_for_end(long_evaluation.pid)
    assert len(json.loads(next(tmp_path.glob("kept/answers-*.json")).read_text())["prompts"]) == 25


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs process groups")
def test_processes_end_with_the_one_that_started_them(long_evaluation: subprocess.Popen[bytes], tmp_path: Path) -> None:
    _wait_for_answers(long_evaluation, tmp_path)
    long_evaluation.kill()
    long_evaluation.wait(timeout=60)
    _wait_for_end(long_evaluation.pid)


def _wait_for_answers(running: subprocess.Popen[bytes], folder: Path) -> None:
    began = time.monotonic()
    while not list(folder.glob("kept/answers-*.json")):
        assert running.poll() is None, running.communicate()
        assert time.monotonic() - began < 300
        time.sleep(0.1)


def _wait_for_end(group: int) -> None:
    began = time.monotonic()
    while _is_there(group):
        assert time.monotonic() - began < 30, "a process of the group is left"
        time.sleep(0.1)


def _is_there(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
