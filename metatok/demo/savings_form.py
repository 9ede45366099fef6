"""What a person fills in on the Savings part, checked: each mistake is one sentence (`Refused`). No Gradio."""

from __future__ import annotations

from math import isfinite
from typing import Any

from metatok.compute import PRESETS, Architecture, Prices
from metatok.demo.run import Refused

OWN = "my own numbers"
"""The choice of an architecture that is none of the presets."""

MAX_TOKENS = 1_000_000_000
MAX_PRICE = 1_000_000
MAX_COUNT = 1_000_000  # of prompts and uses

FIELDS = {
    "layers": ("Layers", 10_000),
    "hidden": ("Hidden size", 1_000_000),
    "heads": ("Query heads", 10_000),
    "kv_heads": ("Key/value heads", 10_000),
    "head_dim": ("Head size", 10_000),
    "mlp": ("MLP inner size", 10_000_000),
    "vocab_size": ("Vocabulary", 100_000_000),
    "window": ("Sliding window", MAX_TOKENS),
    "windowed_layers": ("Windowed layers", 10_000),
}
"""The numbers of an architecture: what each is called here, and the most that is taken."""


def whole(name: str, value: Any, least: int, most: int) -> int:
    """A whole number in a range, or `Refused`.

    >>> whole("Layers", 32.0, 1, 10_000)
    32
    """
    if value is None or isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused(f"{name}: there is no number yet; it takes a whole one from {least:,} to {most:,}.")
    if not isfinite(value) or not least <= value <= most or value != int(value):
        shown = f"{value:,.15g}" if isfinite(value) else str(value)
        raise Refused(f"{name}: {shown} is not a whole number from {least:,} to {most:,}.")
    return int(value)


def lengths(before: Any, after: Any) -> tuple[int, int]:
    """Tokens before and after compression.

    >>> lengths(1000, 730)
    (1000, 730)
    """
    raw = whole("Tokens before", before, 1, MAX_TOKENS)
    compressed = whole("Tokens after", after, 1, MAX_TOKENS)
    if compressed > raw:
        raise Refused(
            f"Compression never makes a prompt longer, so there cannot be {compressed:,} tokens after it where "
            f"{raw:,} were before: make the second number at most the first."
        )
    return raw, compressed


def fields_of(arch: Architecture) -> list[Any]:
    """What stands in the fields for this architecture: those of `FIELDS`, then whether the MLP is gated."""
    return [getattr(arch, name) or 0 for name in FIELDS] + [arch.gated]


def architecture(choice: Any, *fields: Any) -> Architecture:
    """The chosen preset, or what the fields say.

    Args:
        choice: a preset's name, or `OWN`.
        fields: as in `fields_of`.

    >>> llama = PRESETS["Llama-3.1-8B"]
    >>> architecture("Llama-3.1-8B") is llama, architecture(OWN, *fields_of(llama)).layer_weights == llama.layer_weights
    (True, True)
    """
    if choice in PRESETS:
        return PRESETS[choice]
    if choice != OWN:
        raise Refused(f"There is no architecture {choice!r}: choose one of the list, or {OWN!r}.")
    *numbers, gated = fields
    least = {"window": 0, "windowed_layers": 0}
    values: dict[str, Any] = {
        name: whole(label, value, least.get(name, 1), most)
        for (name, (label, most)), value in zip(FIELDS.items(), numbers, strict=True)
    }
    if values["heads"] % values["kv_heads"]:
        raise Refused(
            f"{values['heads']:,} query heads cannot share {values['kv_heads']:,} key/value heads evenly: take a "
            "number of key/value heads that divides the query heads."
        )
    if values["windowed_layers"] > values["layers"]:
        raise Refused(f"There are {values['layers']:,} layers, so no more of them can have a sliding window.")
    if bool(values["window"]) != bool(values["windowed_layers"]):
        raise Refused("A sliding window needs its size and the number of layers that have it; give both, or 0 twice.")
    values["window"] = values["window"] or None
    return Architecture("this model", gated=bool(gated), **values)


def prices(read: Any, cached: Any, write: Any) -> Prices:
    """Prices in dollars per million tokens.

    >>> prices(3, 0.3, 3.75)
    Prices(input=3, cached_read=0.3, cache_write=3.75)
    """
    named = {"Input": read, "Cached read": cached, "Cache write": write}
    for name, value in named.items():
        if value is None or isinstance(value, bool) or not isinstance(value, int | float):
            raise Refused(f"{name}: there is no price yet; 0 is one, too.")
        if not 0 <= value <= MAX_PRICE:
            raise Refused(f"{name}: a price is from $0 to ${MAX_PRICE:,} a million tokens, and {value:,.15g} is not.")
    if cached > write:
        raise Refused(
            f"A cached read for ${cached:,g} would cost more than a cache write for ${write:,g}, and nobody would use "
            "such a cache: make the read the cheaper one."
        )
    return Prices(read, cached, write)


def reuse(raw: int, uses: Any, share: Any, cache: Any) -> tuple[int, int]:
    """How often the beginning is used, and how many raw tokens of it the cache holds.

    Args:
        share: percent of the raw prompt.
        cache: whether there is a cache.

    >>> reuse(1000, 20, 90, True), reuse(1000, 20, 90, False)
    ((20, 900), (20, 0))
    """
    count = whole("Times used", uses, 1, MAX_COUNT)
    if not isinstance(share, int | float) or not 0 <= share <= 100:
        raise Refused("The part that is the same each time is from 0 to 100 percent.")
    return count, round(raw * share / 100) if cache else 0
