"""The folder that a Hugging Face Space runs: put together from a checkout, checked, uploaded.

    assemble(folder, "owner/name")      app.py, requirements.txt, README.md, LICENSE, metatok, the assets that are used
    problems(folder)                    what the Hub or the app would stumble over, each in a sentence
    upload(folder, "owner/name")        with the token of `hf auth login` or of HF_TOKEN

What this file does not do: build or run the app, or say what is in it; the Space's settings are README's front matter,
see https://huggingface.co/docs/hub/spaces-config-reference. huggingface_hub is needed from `problems` on.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]

FILES = ("app.py", "requirements.txt", "README.md", "LICENSE")
FOLDERS = ("metatok", "assets/examples", "assets/reader", "assets/results")
CHECKOUT = (*FILES, *FOLDERS, "pyproject.toml")
LEFT_OUT = ("__pycache__", "*.pyc", ".*")

MAX_FILE = 10_000_000  # bytes; the Hub wants larger files in LFS
MAX_TOTAL = 50_000_000  # bytes; all of it is about 42 MB, so more is something that slipped in
MAX_DESCRIPTION = 60  # characters, the Hub's limit

KEYS: dict[str, type] = {
    "title": str,
    "colorFrom": str,
    "colorTo": str,
    "sdk": str,
    "sdk_version": str,
    "python_version": str,
    "app_file": str,
    "license": str,
    "short_description": str,
    "models": list,
    "tags": list,
    "thumbnail": str,
    "suggested_hardware": str,
    "startup_duration_timeout": str,
}
"""What the front matter has to say; a version is in quotes, or YAML reads 3.10 as 3.1."""

COLORS = ("red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray")
PICTURE = re.compile(r"!\[[^]]*]\(([^)\s:]+)\)")  # a picture of README that lies in the repository
IN_THE_SPACE = "/resolve/main/"
PINNED = re.compile(r"[A-Za-z0-9._-]+(\[[^]]*])?==[0-9][^\s;]*")


class PublishError(ValueError):
    """The Space cannot be put together or uploaded; the message is one sentence."""


def check_name(name: str) -> None:
    """A Space is called owner/name.

    >>> check_name("somebody/metatok")
    >>> check_name("metatok")
    Traceback (most recent call last):
    metatok.publish.PublishError: 'metatok' is no name of a Space, which is OWNER/NAME, for example somebody/metatok.

    Raises:
        PublishError: `name` is none.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(name)
        if name.count("/") == 1:
            return
    except HFValidationError:
        pass
    raise PublishError(f"{name!r} is no name of a Space, which is OWNER/NAME, for example somebody/metatok.")


def assemble(folder: Path, name: str, root: Path = ROOT) -> None:
    """Copy what the Space needs into an empty folder.

    The front matter names the thumbnail by its path here; the Hub wants an address, so the copy has that of the file
    in the Space `name`.

    Raises:
        PublishError: `root` is no checkout of the repository.
    """
    missing = [wanted for wanted in CHECKOUT if not (root / wanted).exists()]
    if missing:
        raise PublishError(
            "A Space is put together from a checkout of the repository, and this is an installed package: "
            f"{missing[0]} is not beside it."
        )
    for wanted in FOLDERS:
        if folder.resolve().is_relative_to((root / wanted).resolve()):
            raise PublishError(f"{folder} lies in {wanted}, which is copied; choose a folder elsewhere.")
    for wanted in FOLDERS:
        shutil.copytree(root / wanted, folder / wanted, ignore=shutil.ignore_patterns(*LEFT_OUT))
    readme = (root / "README.md").read_text(encoding="utf-8")
    thumbnail = front_matter(root / "README.md").get("thumbnail")
    pictures = {*PICTURE.findall(readme), thumbnail if isinstance(thumbnail, str) else ""}
    for wanted in (*FILES, *sorted(pictures)):
        if wanted and (root / wanted).is_file():  # what is missing, `problems` tells
            (folder / wanted).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / wanted, folder / wanted)
    if isinstance(thumbnail, str):
        line = f"thumbnail: https://huggingface.co/spaces/{name}{IN_THE_SPACE}{thumbnail}"
        readme = re.sub(r"^thumbnail:.*$", line, readme, count=1, flags=re.MULTILINE)
        (folder / "README.md").write_text(readme, encoding="utf-8")


def contents(folder: Path) -> list[tuple[str, int]]:
    """Every file of a folder: its path from there and its bytes, sorted by path."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    return sorted((path.relative_to(folder).as_posix(), path.stat().st_size) for path in found)


def problems(folder: Path, python: str = ">=3.11") -> list[str]:
    """What is wrong with an assembled folder, a sentence each; empty where nothing is.

    Args:
        folder: as `assemble` leaves it.
        python: the versions of Python that the package takes, as in pyproject.toml.
    """
    files = contents(folder)
    found = [
        f"{path} has {size / 1e6:.1f} MB, and {MAX_FILE / 1e6:.0f} MB is the most that a file may have."
        for path, size in files
        if size >= MAX_FILE
    ]
    total = sum(size for _, size in files)
    if total >= MAX_TOTAL:
        found.append(f"The folder has {total / 1e6:.1f} MB, and {MAX_TOTAL / 1e6:.0f} MB is the most that it may have.")
    return [*found, *_requirements(folder), *_front_matter(folder, {path for path, _ in files}, python)]


def front_matter(readme: Path) -> dict[str, Any]:
    """The settings at the top of a README; empty where there are none."""
    from huggingface_hub import metadata_load

    try:
        return metadata_load(readme) or {}
    except ValueError as error:
        raise PublishError(f"The front matter of {readme.name} is no list of settings.") from error
    except Exception as error:  # whatever YAML stumbles over
        raise PublishError(f"The front matter of {readme.name} is no YAML.") from error


def required_python(root: Path = ROOT) -> str:
    """The versions of Python that the package takes, as in `pyproject.toml`."""
    import tomllib

    with (root / "pyproject.toml").open("rb") as file:
        return str(tomllib.load(file)["project"]["requires-python"])


def upload(folder: Path, name: str) -> str:
    """Make the Space's repository, if it is not there, hold this folder and nothing else.

    Returns:
        The Space's address.

    Raises:
        PublishError: there is no token, no network, or the Hub refuses.
    """
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError

    if not huggingface_hub.get_token():
        raise PublishError("There is no token for the Hugging Face Hub: run `hf auth login`, or set HF_TOKEN.")
    api = huggingface_hub.HfApi(library_name="metatok")
    try:
        api.create_repo(name, repo_type="space", space_sdk="gradio", exist_ok=True)
        api.upload_folder(
            repo_id=name,
            repo_type="space",
            folder_path=folder,
            commit_message="Publish metatok",
            delete_patterns="*",
        )
    except HfHubHTTPError as error:
        status = getattr(error.response, "status_code", None)
        meaning = {401: "the token is not valid", 403: "the token may not write there"}.get(status or 0, "")
        raise PublishError(f"The Hub refused the upload to {name} ({meaning or f'HTTP status {status}'}).") from error
    except Exception as error:  # whatever the network can raise
        raise PublishError(
            f"The Hugging Face Hub cannot be reached from here ({type(error).__name__}); nothing is published."
        ) from error
    return f"https://huggingface.co/spaces/{name}"


def _requirements(folder: Path) -> Iterator[str]:
    for line in _lines(folder / "requirements.txt"):
        if not PINNED.fullmatch(line):
            yield f"requirements.txt has to pin every package as NAME==VERSION, and says {line!r}."


def _lines(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def _front_matter(folder: Path, files: set[str], python: str) -> Iterator[str]:
    from huggingface_hub import SpaceHardware
    from packaging.specifiers import SpecifierSet

    try:
        settings = front_matter(folder / "README.md")
    except (PublishError, OSError) as error:
        yield str(error)
        return
    wrong = False
    for key, kind in KEYS.items():
        if key not in settings:
            wrong = True
            yield f"README's front matter has no {key}."
        elif not isinstance(settings[key], kind):
            wrong = True
            yield f"README's {key} has to be a {'list' if kind is list else 'string'}, not {settings[key]!r}."
    if wrong:
        return
    if settings["sdk"] != "gradio":
        yield f"README's sdk has to be gradio, not {settings['sdk']}."
    if f"gradio=={settings['sdk_version']}" not in _lines(folder / "requirements.txt"):
        yield f"README's sdk_version is {settings['sdk_version']}, and requirements.txt does not pin gradio to that."
    version = settings["python_version"]
    if not re.fullmatch(r"3\.\d+(\.\d+)?", version) or not SpecifierSet(python).contains(version):
        yield f"README's python_version is {version}, and the package needs {python}."
    length = len(settings["short_description"])
    if length > MAX_DESCRIPTION:
        yield f"README's short_description has {length} characters, and {MAX_DESCRIPTION} is the most that it may have."
    for key in ("colorFrom", "colorTo"):
        if settings[key] not in COLORS:
            yield f"README's {key} has to be one of {', '.join(COLORS)}, not {settings[key]}."
    if settings["suggested_hardware"] not in list(SpaceHardware):
        yield f"The Hub has no hardware called {settings['suggested_hardware']}."
    if not re.fullmatch(r"\d+[smh]", settings["startup_duration_timeout"]):
        yield f"README's startup_duration_timeout has to be like 30m, not {settings['startup_duration_timeout']}."
    for key in ("app_file", "thumbnail"):
        named = settings[key].rpartition(IN_THE_SPACE)[2]
        if named not in files:
            yield f"README's {key} is {named}, and there is no such file."
    for picture in PICTURE.findall((folder / "README.md").read_text(encoding="utf-8")):
        if picture not in files:
            yield f"README shows {picture}, and there is no such file."
