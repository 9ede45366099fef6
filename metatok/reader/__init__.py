"""The reader: a small language model that answers from raw and from compressed prompts, and its training.

    reader = metatok.reader.Reader.from_pretrained()
    for piece in reader.ask(prompt, question, method="inline"):
        print(piece, end="", flush=True)

Needs the extra `train` (torch, transformers); `import metatok.reader` alone loads none of it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metatok.reader.answer import Answer as Answer
    from metatok.reader.answer import Statistics as Statistics
    from metatok.reader.folders import ReaderError as ReaderError
    from metatok.reader.folders import bundled as bundled
    from metatok.reader.generate import Reader as Reader

_HOME = {
    "Answer": "answer",
    "Reader": "generate",
    "ReaderError": "folders",
    "Statistics": "answer",
    "bundled": "folders",
}

__all__ = ["Answer", "Reader", "ReaderError", "Statistics", "bundled"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'metatok.reader' has no attribute {name!r}")
    value = getattr(import_module(f"metatok.reader.{_HOME[name]}"), name)
    globals()[name] = value
    return value
