"""The mean of two readers' weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file, save_file  # noqa: E402

from metatok.reader import Reader  # noqa: E402
from metatok.reader.average import average, main  # noqa: E402
from metatok.reader.export import PHRASE_FILE  # noqa: E402


@pytest.fixture
def pair(tiny_reader: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A reader, and one with all its weights doubled, that was trained on more and has a card."""
    other = tmp_path / "other"
    shutil.copytree(tiny_reader, other)
    for file in other.glob("*.safetensors"):
        save_file({name: 2 * value for name, value in load_file(file).items()}, file, {"format": "pt"})
    (other / "training.json").write_text('{"tasks": ["tree", "repo"]}')
    (other / "README.md").write_text("of the other")
    return tiny_reader, other


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_weights_are_on_the_line_between(pair: tuple[Path, Path], tmp_path: Path, share: float) -> None:
    first, second = pair
    assert main([str(first), str(second), str(tmp_path / "mean"), "--share", str(share)]) == 0
    files = sorted(file.name for file in first.glob("*.safetensors"))
    assert PHRASE_FILE in files
    assert files == sorted(file.name for file in (tmp_path / "mean").glob("*.safetensors"))
    for file in files:
        mean, begun = load_file(tmp_path / "mean" / file), load_file(first / file)
        assert mean.keys() == begun.keys()
        for name, value in begun.items():
            assert mean[name].dtype == value.dtype
            assert torch.allclose(mean[name].float(), (1 + share) * value.float(), rtol=0.01), name
    assert json.loads((tmp_path / "mean" / "training.json").read_text())["tasks"] == ["tree", "repo"]
    assert not (tmp_path / "mean" / "README.md").exists()
    assert Reader.from_pretrained(tmp_path / "mean").ask("a < b", "parent of a", max_new_tokens=3).read() is not None


def test_it_may_take_the_place_of_one_of_them(pair: tuple[Path, Path]) -> None:
    first, second = pair
    before = load_file(second / PHRASE_FILE)
    average(first, second, second, 0.5)
    for name, value in load_file(second / PHRASE_FILE).items():
        assert torch.allclose(value.float(), 0.75 * before[name].float(), rtol=0.01)
    assert (second / "README.md").read_text() == "of the other"


def test_what_cannot_be_averaged_is_one_sentence(
    pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = pair
    weights = load_file(second / PHRASE_FILE)
    weights.pop(gone := sorted(weights)[0])
    save_file(weights, second / PHRASE_FILE)
    for arguments, words in (
        ([first, second, tmp_path / "mean"], f"not two readers of one shape; they differ in {gone}."),
        ([first, first, tmp_path / "mean", "--share", "1.5"], "a share is from 0 to 1, not 1.5."),
        ([tmp_path / "no", tmp_path / "no", tmp_path / "mean"], "not two readers of one shape"),
    ):
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        assert stop.value.code == 1
        error = capsys.readouterr().err
        assert words in error
        assert error.count("\n") == 1
    assert not (tmp_path / "mean").exists()
