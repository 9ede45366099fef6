"""Where compiled kernels are kept: also by a user who may write neither beside the source nor in a home."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from metatok import kernels
from tests.linked_environment import base_python, linked_environment
from tests.other_user import OtherUser, other_user, read_only, readable_folder

ROOT = Path(__file__).parents[1]
COUNT = """
from metatok.kernels import njit

@njit(cache=True)
def count(n):
    return n + 1

print(count(1))
"""


def run(user: OtherUser, folder: Path, program: str) -> str:
    command = [*user.prefix, folder / "venv/bin/python", program]
    environment = {**user.environment(dict(os.environ)), "PYTHONPATH": str(folder)}
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def install(folder: Path, user: OtherUser) -> None:
    """The package as root would install it, with a module of one small kernel."""
    python = base_python(user)
    if python is None:
        pytest.skip("there is no Python here that another user can run")
    numba = folder / "requirements.txt"
    numba.write_text("numba")
    linked_environment(folder / "venv", python, numba)
    shutil.copytree(ROOT / "metatok", folder / "metatok", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "count.py").write_text(COUNT)
    read_only(folder)


def test_a_user_without_a_home_keeps_kernels_below_the_temp_folder() -> None:
    with readable_folder() as folder, other_user() as user:
        install(folder, user)
        assert run(user, folder, "count.py") == "2\n"
        kept = list(user.temp.glob("metatok-numba-*/**/count.*.nbc"))
        assert len(kept) == 1
        before = kept[0].stat().st_mtime_ns
        assert run(user, folder, "count.py") == "2\n"
        assert kept[0].stat().st_mtime_ns == before, "it was compiled again"
        assert not list(folder.rglob("__pycache__"))


def test_a_folder_of_somebody_else_is_not_used() -> None:
    with readable_folder() as folder, other_user() as user:
        install(folder, user)
        uid = user.temp.stat().st_uid
        (user.temp / f"metatok-numba-{uid}").symlink_to(folder)
        assert run(user, folder, "count.py") == "2\n"
        assert not list(user.temp.rglob("*.nbc"))


def test_an_own_folder_is_the_users_alone(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = kernels._own_folder()
    assert folder is not None
    assert folder.stat().st_mode & 0o077 == 0
    folder.chmod(0o777)
    assert kernels._own_folder() is None
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    assert kernels._own_folder() is None
