"""Where tokenizers come from: a name (`mistral:…`, `tiktoken:…`, a folder, a Hub id) becomes a backend or a sentence.

What this file does: it knows which names there are, finds their files in installed packages, local folders, the Hub's
cache and, where that is allowed, the network. What a tokenizer then does is `backends.py`'s matter. Code that comes
with a tokenizer is never run.

Heavy libraries are imported when a tokenizer of theirs is asked for, not before.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from metatok.backends import Backend, HuggingFaceBackend, SentencePieceBackend, TiktokenBackend

OFFLINE: tuple[tuple[str, str], ...] = (
    ("mistral:tekken", "Mistral Tekken, 131,072 ids, byte-level: Mistral Nemo, Ministral 8B, Pixtral 12B"),
    ("mistral:v3", "Mistral v3, 32,768 ids, SentencePiece: Mistral 7B v0.3, Mixtral 8x22B, Codestral"),
    ("mistral:v7", "Mistral v7, 32,768 ids, SentencePiece: Mistral Large 2411"),
    ("mistral:v2", "Mistral v2, 32,768 ids, SentencePiece: Mistral Small and Large 2402"),
    ("mistral:v1", "Mistral v1, 32,000 ids, SentencePiece: Mistral 7B v0.1, Mixtral 8x7B"),
)
"""(name, one line about it) of every tokenizer that works without a network; a local folder does too."""

# Files of the package mistral-common. The two Tekken files it carries hold the same text vocabulary.
_MISTRAL_FILES = {
    "tekken": "tekken_240718.json",
    "v1": "tokenizer.model.v1",
    "v2": "mistral_instruct_tokenizer_240216.model.v2",
    "v3": "mistral_instruct_tokenizer_240323.model.v3",
    "v7": "mistral_instruct_tokenizer_241114.model.v7",
}

# Spellings of Tekken's first ids, which its files of 2024 leave to mistral-common's `Tekkenizer`.
# fmt: off
TEKKEN_SPECIALS = (
    "<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]",
    "[/TOOL_RESULTS]", "[TOOL_CALLS]", "[IMG]", "<pad>", "[IMG_BREAK]", "[IMG_END]", "[PREFIX]", "[MIDDLE]",
    "[SUFFIX]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_CONTENT]",
)
# fmt: on

NETWORK_SECONDS = 10.0  # one request, no retries: transformers alone would retry for 46 s before it said "offline"
DOWNLOAD_SECONDS = 30.0  # tiktoken downloads without any limit of its own

_INSTALL = "pip install 'metatok[tokenizers]'"


class TokenizerError(ValueError):
    """A tokenizer that cannot be had: its name means nothing, it is damaged, or it is out of reach.

    The message is one sentence for a person; where a network was needed, it names what needs none.
    """


def offline_names() -> str:
    """The offline choices as words for a sentence.

    >>> offline_names()
    'mistral:tekken, mistral:v3, mistral:v7, mistral:v2, mistral:v1 or a folder with a tokenizer.json'
    """
    return ", ".join(name for name, _ in OFFLINE) + " or a folder with a tokenizer.json"


def load(name: str, *, local_only: bool = False) -> Backend:
    """The tokenizer of that name. Mistral's and tiktoken's are kept once loaded; the others are read anew.

    Args:
        name: `mistral:…`, `tiktoken:…`, a folder with a `tokenizer.json`, or a Hub id.
        local_only: take a Hub id only from the local cache. tiktoken always downloads what its own cache lacks.

    Raises:
        TokenizerError: it cannot be had; the message is one sentence.

    >>> load("mistral:v3").vocab_size
    32768
    """
    kind, colon, rest = name.partition(":")
    if colon and kind in ("mistral", "tiktoken") and name.isprintable():
        if name not in _loaded:  # two threads may load the same one at once; both get the one that was kept
            _loaded.setdefault(name, _mistral(rest) if kind == "mistral" else _tiktoken(rest))
        return _loaded[name]
    if os.path.isdir(name):
        if not (Path(name) / "tokenizer.json").is_file():
            raise TokenizerError(f"The folder {name} holds no tokenizer.json, so it is not a fast tokenizer's folder.")
        backend = HuggingFaceBackend(_transformers(name, local_files_only=True))
    elif not name or not name.isprintable():
        raise TokenizerError(f"{name!r} is not the name of a tokenizer; without a network there are {offline_names()}.")
    else:
        backend = HuggingFaceBackend(_hub(name, local_only))
    if not backend.vocab_size:
        raise TokenizerError(f"The tokenizer {name} has an empty vocabulary.")
    return backend


def file_beside(name: str, file: str, *, local_only: bool = False) -> Path | None:
    """A file beside those of a tokenizer that was loaded before: in its folder, or in its repository on the Hub.

    Returns:
        None where there is none.

    Raises:
        TokenizerError: the Hub may have one, and cannot be asked.
    """
    if os.path.isdir(name):
        path = Path(name) / file
        return path if path.is_file() else None
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError, RemoteEntryNotFoundError

    cached = huggingface_hub.try_to_load_from_cache(name, file)
    if cached is not None:  # a path, or that the Hub has none
        return Path(cached) if isinstance(cached, str) else None
    try:
        return Path(
            huggingface_hub.hf_hub_download(name, file, local_files_only=local_only, etag_timeout=NETWORK_SECONDS)
        )
    except RemoteEntryNotFoundError:
        return None
    except (LocalEntryNotFoundError, OSError, ValueError) as error:
        raise TokenizerError(
            f"The tokenizer {name} has meta-tokens, and the {file} that belongs to it is neither in the local Hub "
            f"cache nor could it be downloaded ({type(error).__name__}); download the whole repository to a folder, "
            "and name that."
        ) from error


_loaded: dict[str, Backend] = {}


def _mistral(version: str) -> Backend:
    if version not in _MISTRAL_FILES:
        known = ", ".join(f"mistral:{key}" for key in _MISTRAL_FILES)
        raise TokenizerError(f"There is no tokenizer mistral:{version}; there are {known}.")
    package = importlib.util.find_spec("mistral_common")
    if package is None or package.origin is None:
        raise TokenizerError(f"mistral:{version} needs the package mistral-common: {_INSTALL}.")
    path = Path(package.origin).parent / "data" / _MISTRAL_FILES[version]
    try:
        return _tekken(path) if path.suffix == ".json" else _sentencepiece(path)
    except ImportError as error:
        raise TokenizerError(f"mistral:{version} needs the package {error.name}: {_INSTALL}.") from error
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        raise TokenizerError(
            f"The installed mistral-common has no readable {path.name}: {_first_line(error)}."
        ) from error


def _tekken(path: Path) -> Backend:
    import tiktoken

    # Read here, not by mistral-common's Tekkenizer, which decodes every token at start and takes twice as long.
    model = json.loads(path.read_bytes())
    config = model["config"]
    first = config["default_num_special_tokens"]
    specials = {i: f"<SPECIAL_{i}>" for i in range(first)} | dict(enumerate(TEKKEN_SPECIALS))
    for token in model.get("special_tokens") or ():
        specials[token["rank"]] = token["token_str"]
    vocab = model["vocab"][: config["default_vocab_size"] - first]
    ranks = {base64.b64decode(token["token_bytes"]): token["rank"] for token in vocab}
    encoding = tiktoken.Encoding(path.stem, pat_str=config["pattern"], mergeable_ranks=ranks, special_tokens={})
    return TiktokenBackend(encoding, first, specials)


def _sentencepiece(path: Path) -> Backend:
    import sentencepiece

    return SentencePieceBackend(sentencepiece.SentencePieceProcessor(model_file=str(path)))


def _tiktoken(encoding: str) -> Backend:
    try:
        import tiktoken
    except ImportError as error:
        raise TokenizerError(f"tiktoken:{encoding} needs the package tiktoken: {_INSTALL}.") from error
    names = tiktoken.list_encoding_names()
    if encoding not in names:
        known = ", ".join(f"tiktoken:{name}" for name in names)
        raise TokenizerError(f"There is no tokenizer tiktoken:{encoding}; there are {known}.")
    try:
        return TiktokenBackend(_within(DOWNLOAD_SECONDS, lambda: tiktoken.get_encoding(encoding)))
    except Exception as error:  # whatever requests, the disk or the cache can raise: it is out of reach
        raise TokenizerError(
            f"tiktoken:{encoding} is not in tiktoken's cache and could not be downloaded "
            f"({type(error).__name__}); without a network there are {offline_names()}."
        ) from error


def _within(seconds: float, call: Callable[[], Any]) -> Any:
    """The result of `call()`, or a TimeoutError; a call that hangs is left in a daemon thread."""
    result: list[Any] = []
    failure: list[BaseException] = []

    def target() -> None:
        try:
            result.append(call())
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    thread.join(seconds)
    if failure:
        raise failure[0]
    if not result:
        raise TimeoutError(f"no answer within {seconds:.0f} s")
    return result[0]


def _transformers(source: str, **options: Any) -> Any:
    """A fast tokenizer from a folder or the Hub; code that comes with it is never run."""
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise TokenizerError(f"{source} needs the package transformers: {_INSTALL}.") from error
    try:
        # mistral_format=False: the fast tokenizer where a repository offers mistral-common's own class too.
        hf = AutoTokenizer.from_pretrained(source, trust_remote_code=False, mistral_format=False, **options)
    except Exception as error:  # transformers passes on whatever its parsers raise
        raise TokenizerError(f"The tokenizer in {source} cannot be read: {_first_line(error)}.") from error
    if getattr(hf, "backend_tokenizer", None) is None:
        raise TokenizerError(f"{source} has no fast tokenizer (a tokenizer.json), and only those can be used.")
    return hf


def _hub(name: str, local_only: bool) -> Any:
    try:
        import huggingface_hub
        from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError
    except ImportError as error:
        raise TokenizerError(f"{name} needs the package transformers: {_INSTALL}.") from error
    # The local cache first: it answers at once, and the same ids come back tomorrow.
    files = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model")
    try:
        cached = any(isinstance(huggingface_hub.try_to_load_from_cache(name, file), str) for file in files)
    except HFValidationError:
        raise TokenizerError(
            f"{name!r} is neither a folder here nor a Hub id; without a network there are {offline_names()}."
        ) from None
    if cached:
        try:
            return _transformers(name, local_files_only=True)
        except TokenizerError:  # half of a repository is in the cache; the network may have the rest
            if local_only:
                raise
    away = f"{name} is neither a folder here nor in the local Hub cache"
    if local_only:
        raise TokenizerError(
            f"{away}, and it is not downloaded unless it is asked for by name (--tokenizer {name}); "
            f"without a network there are {offline_names()}."
        )
    if huggingface_hub.constants.HF_HUB_OFFLINE:
        raise TokenizerError(f"{away}, and HF_HUB_OFFLINE is set; without a network there are {offline_names()}.")
    try:
        huggingface_hub.HfApi().model_info(name, timeout=NETWORK_SECONDS)
    except (GatedRepoError, RepositoryNotFoundError):
        raise TokenizerError(
            f"{away}, and the Hub has no such repository that can be read; "
            f"without a network there are {offline_names()}."
        ) from None
    except Exception as error:
        raise TokenizerError(
            f"{away}, and the Hub cannot be reached ({type(error).__name__}); "
            f"without a network there are {offline_names()}."
        ) from error
    return _transformers(name)


def _first_line(error: BaseException) -> str:
    """The first line of what a library said, without its full stop, for use inside a sentence."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".:")[:200]
