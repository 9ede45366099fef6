"""What a training run is: one dataclass, read from one TOML file. No torch.

`tree.toml` beside this file is an example; what a file leaves out has the defaults below.
"""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints


@dataclass(frozen=True)
class ModelConfig:
    """The shape of the reader, a Llama with tied embeddings and biases on its attention."""

    layers: int = 6
    width: int = 256
    heads: int = 4
    inner: int = 704  # of the feed-forward layers
    rope_theta: float = 1_000_000.0  # slow dimensions enough to match names over some thousand positions
    longest: int = 4096  # positions

    def __post_init__(self) -> None:
        if self.heads > 0 and self.width % (2 * self.heads):
            raise ValueError(f"width must be a multiple of twice the heads, 2 · {self.heads}, and it is {self.width}")


@dataclass(frozen=True)
class DataConfig:
    """What the reader is trained on."""

    tasks: tuple[str, ...] = ("tree",)
    task_weights: dict[str, float] = field(default_factory=dict)  # how often prompts are of a task, 1 for most
    compressed_share: float = 0.65  # of the examples
    # How often a compressed example is made by each method.
    methods: dict[str, float] = field(default_factory=lambda: {"ltsc": 0.5, "inline": 0.5})
    before: int = 0  # ids before each one of a compressed prompt that its embedding is made of, too
    plain_share: float = 0.0  # of the compressed examples: embeddings made of nothing but the ids
    expand_share: float = 0.15  # of the examples, all of them compressed
    renamed_share: float = 0.5  # of the examples, whose words are exchanged for any others of the vocabulary
    questions: int = 10  # a prompt
    first_weight: float = 3.0  # of the loss where an answer or a name in it begins; the rest of it weighs 1
    emphasis: dict[str, float] = field(default_factory=dict)  # of the loss, by kind and serialization
    prompt_weight: float = 0.05  # on positions of the prompt; names there cannot be known, and are noise
    # On all places of the prompts of a task whose prompts are text to go on with, like code; they keep their words.
    text_weights: dict[str, float] = field(default_factory=dict)
    expand_weight: float = 0.3  # on positions of an expanded prompt, but for what is settled
    pool: int = 256  # examples that are made together, and sorted by length
    batch_tokens: int = 2560
    longest: int = 2048  # examples that are longer are left out
    largest: float = 1.0  # size of the largest prompts, see `metatok.tasks.base.Task.draw`; held-out ones have it
    size_power: float = 0.5  # a prompt's size is the current largest times a number from 0 to 1 to the power of this
    full_size_at: float = 0.5  # share of the training after which prompts have all sizes; 0: from its beginning


@dataclass(frozen=True)
class OptimizerConfig:
    """Muon for matrices, AdamW for the rest, one cosine without interruption."""

    tokens: int = 25_000_000  # of all sequences together; the cosine ends there
    muon_lr: float = 2e-3
    adam_lr: float = 2e-3
    weight_decay: float = 0.05  # of the matrices
    warmup_steps: int = 100
    final_lr: float = 0.02  # at the end of the cosine, relative
    clip: float = 1.0  # of the gradient's norm


@dataclass(frozen=True)
class Config:
    """A whole run."""

    seed: int = 1
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    start_from: str = ""  # folder of an exported reader to go on from; empty: from nothing
    tokenizer: str = ""  # folder of the tokenizer; empty: that of start_from, or else one is trained for the run
    new_layers: tuple[int, ...] = ()  # of [model] that this reader lacks; they write nothing at first
    compile: bool = True
    threads: int = 1
    workers: int = 0  # processes that make examples beside the training; 0: it makes them itself
    evaluate_minutes: float = 6.0
    checkpoint_minutes: float = 3.0
    evaluate_prompts: int = 60  # of each task, each with five questions in three forms

    def __post_init__(self) -> None:
        if self.data.longest > self.model.longest:
            raise ValueError(
                f"longest in [data] is {self.data.longest}, and the model has {self.model.longest} positions: "
                "make longest in [model] as large"
            )


# Numbers of 1 and more; all others may be 0. And shares, which are 1 at most.
POSITIVE = {"layers", "width", "heads", "inner", "longest", "questions", "pool", "batch_tokens", "tokens"}
POSITIVE |= {"warmup_steps", "threads", "rank", "meta_tokens", "evaluate_prompts"}
SHARES = {"compressed_share", "plain_share", "expand_share", "renamed_share", "largest", "final_lr"}


def load_config(path: Path) -> Config:
    """The configuration of a TOML file; what it leaves out has its default.

    Raises:
        ValueError: for a name that is not in the dataclasses, or a value that cannot be.
    """
    return from_dict(tomllib.loads(path.read_text(encoding="utf-8")))


def from_dict(values: dict[str, Any]) -> Config:
    """A configuration from nested dictionaries, the inverse of `dataclasses.asdict`.

    >>> from_dict({"model": {"layers": 2}}).model.layers
    2

    Raises:
        ValueError: for a name that is not in the dataclasses, or a value that cannot be.
    """
    config: Config = build(Config(), values)
    return config


def build(default: Any, values: dict[str, Any], where: str = "") -> Any:
    """The dataclass `default` with these values, nested ones too; `where` is what messages put before a name.

    Raises:
        ValueError: for a name that is not in the dataclasses, or a value of another type or out of range.
    """
    known, hints = {f.name: getattr(default, f.name) for f in fields(default)}, get_type_hints(type(default))
    for name, value in values.items():
        if name not in known:
            raise ValueError(f"unknown setting {where + name!r}; there are {', '.join(known)}")
        if is_dataclass(known[name]):
            if not isinstance(value, dict):
                raise ValueError(f"setting {where + name!r} is a table, [{where}{name}], and not {value!r}")
            known[name] = build(known[name], value, f"{where}{name}.")
        else:
            known[name] = tuple(value) if isinstance(value, list) else value
            if not _is(known[name], hints[name]):
                raise ValueError(f"setting {where + name!r} is {value!r}; it must be {_said(hints[name])}")
            if hints[name] in (int, float):
                least, most = int(name in POSITIVE), 1 if name in SHARES else math.inf
                if not least <= value <= most:  # nor is any order that of nan
                    said = f"from 0 to {most}" if name in SHARES else f"{least} or more"
                    raise ValueError(f"setting {where + name!r} is {value!r}; it must be {said}")
    return type(default)(**known)


def _is(value: Any, hint: Any) -> bool:
    """Whether a value of a TOML file has the type of a setting."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is tuple:
        return isinstance(value, tuple) and all(_is(item, parts[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(_is(item, parts[1]) for item in value.values())
    if hint is float:  # a whole number is one too, and True is a whole number to Python only
        return isinstance(value, float | int) and not isinstance(value, bool)
    return type(value) is hint


def _said(hint: Any) -> str:
    """A type in words.

    >>> _said(tuple[str, ...]), _said(float)
    ('a list, each a text', 'a number')
    """
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
    if get_origin(hint) is tuple:
        return f"a list, each {names[get_args(hint)[0]]}"
    if get_origin(hint) is dict:
        return f"a table, each {names[get_args(hint)[1]]}"
    return names[hint]
