"""RepoBench's parquet files as samples; the files are written here in its columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pyarrow = pytest.importorskip("pyarrow")

from pyarrow import parquet  # noqa: E402

from metatok.tasks import repobench  # noqa: E402

ROW = {
    "repo_name": "someone/thing",
    "file_path": "thing/main.py",
    "context": [
        {"identifier": "Base", "path": "thing/base.py", "snippet": "class Base:\n    pass"},
        {"identifier": "run", "path": "thing/run.py", "snippet": "def run(base):\n    return base"},
    ],
    "import_statement": "import os\nfrom .base import Base",
    "token_num": 640,
    "cropped_code": "\n\n\nA = 1\n\ndef main():\n    # go\n    base = Base()\n\n",
    "all_code": "…",
    "next_line": "    return run(base)",
    "gold_snippet_index": 1,
    "created_at": "2023-11-01",
    "level": "2k",
}


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def test_rows_become_samples(tmp_path: Path) -> None:
    file = write(tmp_path / "in_file-0.parquet", [ROW, ROW | {"level": "8k"}, ROW | {"cropped_code": "\n"}])
    first, second = repobench.read([file], "in_file")
    assert first == second
    assert first.prompt == (
        "# Repo Name: someone/thing\n"
        "# Path: thing/base.py\nclass Base:\n    pass\n\n"
        "# Path: thing/run.py\ndef run(base):\n    return base\n\n"
        "# Path: thing/main.py\nimport os\nfrom .base import Base\n\nA = 1"
    )
    assert first.question == "def main():\n    # go\n    base = Base()"
    assert (first.answer, first.kind, first.seen) == ("return run(base)", "in-file", False)
    assert len(list(repobench.read([file], "in_file", ["8k"]))) == 1


def test_the_command_reads_what_the_hub_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data").mkdir()
    write(tmp_path / "data" / "cross_file_first-00000-of-00001.parquet", [ROW])
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *a, **k: str(tmp_path))
    assert repobench.main(["--n", "5"]) == 0
    assert capsys.readouterr().out.startswith("── cross-file-first\n# Repo Name: someone/thing\n")


def test_out_of_reach_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(SystemExit) as stop:
        repobench.main([])
    assert stop.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("tianyang/repobench_python_v1.1 cannot be had from the Hub")
    assert said.count("\n") == 1


def test_an_incomplete_cache_is_out_of_reach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *a, **k: str(tmp_path))
    with pytest.raises(ValueError, match=r"cannot be had from the Hub \(no such files\)"):
        repobench.load("in_file")


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown setting 'easy'; choose one of cross_file_first"):
        repobench.load("easy")
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 not at all")
    with pytest.raises(ValueError, match=r"broken.parquet is not a parquet file that can be read"):
        list(repobench.read([broken], "in_file"))
    other = write(tmp_path / "other.parquet", [{"text": "x"}])
    with pytest.raises(ValueError, match=r"other.parquet is not RepoBench's: it has no column"):
        list(repobench.read([other], "in_file"))
