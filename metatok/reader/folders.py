"""Where a reader's files are: in this repository, in a folder, or on the Hugging Face Hub. No torch.

Readers are looked for here and loaded by `metatok.reader.generate`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

VARIABLE = "METATOK_READER"
ASSETS = Path(__file__).parents[2] / "assets" / "reader"

MODEL_FILE = "config.json"  # a whole model's folder has it
ADAPTER_FILE = "adapter_config.json"  # and that of a fine-tuned one this, which names its base model
FILES = ["*.json", "*.safetensors"]  # of a repository on the Hub
NETWORK_SECONDS = 10.0  # for the Hub's first answer
ANSWER_TOKENS = 256  # an answer's room, unless the model's generation config says otherwise
TRAINING_FILE = "training.json"
DTYPES = ("float32", "bfloat16")  # the numbers that a reader computes with
WRITER_FOLDER = "writer"  # in a reader's folder: one of the same tokenizer that writes prompts out in its place


class ReaderError(ValueError):
    """A reader that cannot be had; the message is one sentence that says what to do."""


def holds_reader(folder: Path) -> bool:
    """Whether there is a model, or the adapter of a fine-tuned one."""
    return any((folder / file).is_file() for file in (MODEL_FILE, ADAPTER_FILE))


def bundled() -> Path:
    """The folder of the reader that is used where none is named: `$METATOK_READER`, else `assets/reader`.

    Raises:
        ReaderError: there is none.
    """
    named = os.environ.get(VARIABLE)
    folder = Path(named) if named else ASSETS
    if holds_reader(folder):
        return folder
    if named:
        raise ReaderError(f"{VARIABLE} is {named!r}, and there is no reader: it has to be a folder with a config.json.")
    raise ReaderError(
        "No reader is bundled here (there is no assets/reader): train one with "
        "`metatok train metatok/reader/tree.toml RUN`, write it to a folder with "
        f"`python -m metatok.reader.export RUN FOLDER`, and name that with --reader or {VARIABLE}."
    )


def _is_whole(folder: Path) -> bool:
    """Whether all weights are there that a folder of the Hub's cache names."""
    try:
        indices = [json.loads(file.read_bytes()) for file in folder.glob("*.safetensors.index.json")]
        named = {shard for index in indices for shard in index["weight_map"].values()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    there = {file.name for file in folder.glob("*model*.safetensors")}  # a whole model's, or an adapter's
    return bool(there) and named <= there


def trained_on(folder: Path) -> tuple[str, ...]:
    """The tasks that the reader in a folder was trained on; empty where the folder does not say.

    >>> trained_on(ASSETS / "nowhere")
    ()
    """
    try:
        tasks = json.loads((folder / TRAINING_FILE).read_text(encoding="utf-8"))["tasks"]
        return tuple(map(str, tasks))
    except (OSError, ValueError, KeyError, TypeError):
        return ()


def input_limit(folder: Path) -> int | None:
    """How many tokens the reader in a folder takes, as `Reader.limit`; None where its files do not say."""
    try:
        positions = int(json.loads((folder / "config.json").read_text(encoding="utf-8"))["max_position_embeddings"])
        answer = json.loads((folder / "generation_config.json").read_text(encoding="utf-8")).get("max_new_tokens")
        return positions - answer_room(positions, answer)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def answer_room(positions: int, wanted: int | None) -> int:
    """How many of a reader's positions are kept for the answer; `wanted` is what its generation config says.

    >>> answer_room(4096, None), answer_room(64, 256)
    (256, 32)
    """
    return min(wanted or ANSWER_TOKENS, positions // 2)


def folder_of(name: str | os.PathLike[str] | None) -> Path:
    """The local folder of a reader, downloaded first where `name` is a Hub id that is not in the cache yet.

    Args:
        name: a folder, a Hub id, or None for `bundled()`.

    Raises:
        ReaderError: it cannot be had.
    """
    if name is None:
        return bundled()
    name = os.fspath(name)
    if os.path.isdir(name):
        if not holds_reader(Path(name)):
            raise ReaderError(f"The folder {name} holds no config.json, so there is no reader in it.")
        return Path(name)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError

    try:
        cached = Path(snapshot_download(name, allow_patterns=FILES, local_files_only=True))
        if _is_whole(cached):  # and not what a tokenizer alone was loaded from
            return cached
    except HFValidationError:
        raise ReaderError(f"{name!r} is neither a folder here nor the id of a model on the Hub.") from None
    except Exception:  # not in the cache
        pass
    try:
        found = Path(snapshot_download(name, allow_patterns=FILES, etag_timeout=NETWORK_SECONDS))
    except (GatedRepoError, RepositoryNotFoundError):
        raise ReaderError(f"{name} is no folder here, and the Hub has no such model that can be read.") from None
    except Exception as error:  # whatever the network, the Hub or the disk can raise
        raise ReaderError(
            f"{name} is no folder here, and could not be downloaded from the Hub, which may be out of reach."
        ) from error
    if not _is_whole(found):
        raise ReaderError(
            f"{name} has no whole set of weights in safetensors here; the Hub may be out of reach, or has none either."
        )
    return found
