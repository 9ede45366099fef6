"""metatok: lossless prompt compression by meta-tokens that people can see, check, use and train.

    codec = metatok.Codec(vocab_size=32_000)
    c = codec.compress(ids)
    assert (codec.decompress(c.ids) == ids).all()

The names below are loaded when they are first used: `import metatok` itself loads neither numba nor a tokenizer.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metatok.codec import METHODS as METHODS
    from metatok.codec import Codec as Codec
    from metatok.codec import Compressed as Compressed
    from metatok.codec import warm_up as warm_up
    from metatok.layout import FormatError as FormatError
    from metatok.lz77 import bound as bound
    from metatok.tokenizer import MetaTokenizer as MetaTokenizer
    from metatok.tokenizer import TokenizerError as TokenizerError

__version__ = "0.1.0"

_HOME = {
    "Codec": "codec",
    "Compressed": "codec",
    "FormatError": "layout",
    "METHODS": "codec",
    "MetaTokenizer": "tokenizer",
    "TokenizerError": "tokenizer",
    "bound": "lz77",
    "warm_up": "codec",
}
_MODULES = ("compute", "tokenizer", "reader", "demo")

__all__ = [
    "METHODS",
    "Codec",
    "Compressed",
    "FormatError",
    "MetaTokenizer",
    "TokenizerError",
    "__version__",
    "bound",
    "warm_up",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(import_module(f"metatok.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    if name in _MODULES:
        return import_module(f"metatok.{name}")
    raise AttributeError(f"module 'metatok' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME, *_MODULES})
