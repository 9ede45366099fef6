"""What a decoder-only transformer pays for a prompt of n tokens: prefill FLOPs and bytes of the KV cache.

Counts the matrix products of one forward pass over the prompt, in exact integer arithmetic:

- projections: Q, K, V and O of every layer, with grouped-query attention (few keys and values, many queries)
- attention_matrix: Q K^T, every query against the keys it is scored against
- attention_values: the attention weights times V
- mlp: two matrices, or three if gated
- logits: the hidden state of the last position times the output embedding
- embeddings: 0, because an embedding is looked up, not multiplied

One multiply-add is two FLOPs, so the product of an a-by-b and a b-by-c matrix is 2·a·b·c. These are the
formulas of Kaplan et al. 2020 (arXiv 2001.08361, table 1) and Hoffmann et al. 2022 (arXiv 2203.15556,
appendix F), written out for grouped queries, gated MLPs and sliding windows; `torch.utils.flop_counter` finds
the same numbers on real models (see the tests). The two attention terms grow with n²: they are the *quadratic
part*, the only one that the LTSC paper (arXiv 2506.00307) speaks of when it turns 27 % fewer tokens into 47 %
less cost. The rest grows with n, and for prompts of a few thousand tokens it is most of the bill.

Does not count what is not a matrix product (norms, softmax, activations, rotary embeddings, biases), does not
predict seconds, and knows nothing of parallelism. What prompts cost in money, prompt caches included, is in
`metatok.prices`, whose names are here too.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import index
from typing import Literal, SupportsIndex

from metatok.architectures import PRESETS, Architecture, from_config
from metatok.prices import Prices, break_even_saving, break_even_uses, prompt_cost

__all__ = [
    "DTYPE_BITS",
    "PRESETS",
    "Architecture",
    "Flops",
    "Prices",
    "break_even_saving",
    "break_even_uses",
    "compute_saving",
    "crossover",
    "from_config",
    "kv_cache_bytes",
    "prefill",
    "prompt_cost",
    "quadratic_saving",
]

Logits = Literal["last", "all"]

DTYPE_BITS = {"float32": 32, "float16": 16, "bfloat16": 16, "fp8": 8, "int8": 8, "int4": 4}
"""Bits of one number of the KV cache. Scales and zero points of quantized caches are not counted."""


@dataclass(frozen=True)
class Flops:
    """FLOPs of one prefill, by kind of matrix product; see the module docstring for the terms.

    >>> Flops(projections=10, attention_matrix=3, attention_values=3, mlp=20, logits=1).total
    37
    """

    projections: int
    attention_matrix: int
    attention_values: int
    mlp: int
    logits: int
    embeddings: int = 0

    @property
    def quadratic(self) -> int:
        """The attention matrix and the attention over values: what grows with the square of the prompt.

        Sliding-window layers are included, though they grow linearly once the prompt exceeds their window.
        """
        return self.attention_matrix + self.attention_values

    @property
    def linear(self) -> int:
        """Projections, MLP, logits and embeddings: the part that grows with the prompt (or not at all)."""
        return self.projections + self.mlp + self.logits + self.embeddings

    @property
    def total(self) -> int:
        """All FLOPs."""
        return self.quadratic + self.linear


def prefill(arch: Architecture, n: SupportsIndex, *, causal: bool = False, logits: Logits = "last") -> Flops:
    """FLOPs to read a prompt of n tokens.

    Args:
        arch: the model.
        n: tokens in the prompt, 0 or more. An empty prompt costs nothing.
        causal: which entries of the attention matrix count. False: every query is scored against every key,
            n² entries, and masked afterwards; what dense kernels do and what the paper's square means. True:
            only the n(n+1)/2 entries on and below the diagonal; what kernels that skip masked blocks come
            close to. In a layer with a sliding window a query has at most `window` keys: n·min(n, window)
            entries, or exactly the visible ones if causal. (Kernels that ignore the window compute n² there
            too; for those pass `dataclasses.replace(arch, window=None, windowed_layers=0)`.)
        logits: "last" multiplies only the last position with the output embedding, all that generating the
            next token needs; "all" does so for every position, as scoring a whole text does.

    Raises:
        ValueError: n is negative or `logits` is something else.

    >>> flops = prefill(PRESETS["Llama-3.1-8B"], 4096)
    >>> flops.total, f"{flops.quadratic / flops.total:.1%}"
    (65971748339712, '13.3%')
    """
    n = _length("n", n)
    if logits not in ("last", "all"):
        raise ValueError(f"logits must be 'last' or 'all', got {logits!r}")
    pairs = (arch.layers - arch.windowed_layers) * _pairs(n, None, causal)
    pairs += arch.windowed_layers * _pairs(n, arch.window, causal)
    attention = 2 * pairs * arch.heads * arch.head_dim
    positions = n if logits == "all" else min(n, 1)
    return Flops(
        projections=2 * n * arch.layers * arch.attention_weights,
        attention_matrix=attention,
        attention_values=attention,
        mlp=2 * n * arch.layers * arch.mlp_weights,
        logits=2 * positions * arch.hidden * arch.vocab_size,
    )


def kv_cache_bytes(arch: Architecture, n: SupportsIndex, *, dtype: str = "bfloat16", batch: SupportsIndex = 1) -> int:
    """Bytes that the keys and values of n tokens take in memory, for `batch` prompts of that length.

    A windowed layer keeps no more than its window.

    Raises:
        ValueError: n or batch is negative, or dtype is not in `DTYPE_BITS`.

    >>> kv_cache_bytes(PRESETS["Llama-3.1-8B"], 8192) // 2**20   # MiB
    1024
    """
    n, batch = _length("n", n), _length("batch", batch)
    if dtype not in DTYPE_BITS:
        raise ValueError(f"dtype must be one of {', '.join(DTYPE_BITS)}, got {dtype!r}")
    kept = n if arch.window is None else min(n, arch.window)
    tokens = (arch.layers - arch.windowed_layers) * n + arch.windowed_layers * kept
    # Two tensors (keys and values) of at least four bits a number: the division leaves no remainder.
    return 2 * batch * tokens * arch.kv_heads * arch.head_dim * DTYPE_BITS[dtype] // 8


def quadratic_saving(raw: SupportsIndex, compressed: SupportsIndex) -> float:
    """The share of the *quadratic part* saved by a compressed prompt: 1 - (compressed / raw)².

    The paper's figure: 27 % fewer tokens save 47 % of it, 18 % fewer save 33 %. It is not what the whole
    model saves. That is `compute_saving`: about the saving in tokens for short prompts, and near this figure
    only for prompts far past the `crossover`.

    Args:
        raw, compressed: prompt lengths in tokens. Two empty prompts save 0. Where the compressed prompt is
            the longer one, the result is negative.

    Raises:
        ValueError: a negative length, or tokens made from an empty prompt.

    >>> round(quadratic_saving(100, 73), 2), round(quadratic_saving(100, 82), 2)
    (0.47, 0.33)
    """
    raw, compressed = _lengths(raw, compressed)
    return 1 - (compressed * compressed) / (raw * raw) if raw else 0.0


def compute_saving(
    arch: Architecture,
    raw: SupportsIndex,
    compressed: SupportsIndex,
    *,
    causal: bool = False,
    logits: Logits = "last",
) -> float:
    """The share of a whole prefill saved by a compressed prompt: 1 - total(compressed) / total(raw).

    A reader of compressed prompts also has embeddings of its meta-tokens. With the logits of one position
    that is nothing to speak of; `dataclasses.replace(arch, vocab_size=…)` counts it.

    Args:
        arch: the model.
        raw, compressed: prompt lengths in tokens; 0 and longer compressed prompts as in `quadratic_saving`.
        causal, logits: as in `prefill`.

    Raises:
        ValueError: a negative length, or tokens made from an empty prompt.

    >>> round(compute_saving(PRESETS["Llama-3.1-8B"], 8192, 5980), 3)   # 27 % fewer tokens
    0.316
    """
    raw, compressed = _lengths(raw, compressed)
    if not raw:
        return 0.0
    before = prefill(arch, raw, causal=causal, logits=logits).total
    after = prefill(arch, compressed, causal=causal, logits=logits).total
    return 1 - after / before


def crossover(arch: Architecture, *, causal: bool = False, logits: Logits = "last") -> int | None:
    """The shortest prompt whose quadratic part costs more than the rest, in tokens.

    None if there is none: where every layer has a sliding window, attention may never catch up.

    >>> crossover(PRESETS["SmolLM2-135M"]), crossover(PRESETS["Llama-3.1-8B"])
    (3073, 26625)
    """

    def overtaken(n: int) -> bool:
        flops = prefill(arch, n, causal=causal, logits=logits)
        return flops.quadratic > flops.linear

    # Per token the quadratic part never falls with n and the rest never rises, so once overtaken is always
    # overtaken and bisection is right. Windows make the ratio approach a limit: beyond 2^63 it moves no more.
    high = 1
    while not overtaken(high):
        high *= 2
        if high > 2**63:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if overtaken(middle) else (middle, high)
    return high


def _pairs(n: int, window: int | None, causal: bool) -> int:
    """Entries of the attention matrix that are computed for n queries.

    >>> _pairs(4, None, False), _pairs(4, None, True), _pairs(4, 2, False)
    (16, 10, 8)
    >>> _pairs(4, 2, True)   # 1 + 2 + 2 + 2
    7
    """
    reach = n if window is None else min(n, window)
    if not causal:
        return n * reach
    return reach * (reach + 1) // 2 + (n - reach) * reach


def _length(name: str, value: SupportsIndex) -> int:
    length = index(value)
    if length < 0:
        raise ValueError(f"{name} must be 0 or more, got {length}")
    return length


def _lengths(raw: SupportsIndex, compressed: SupportsIndex) -> tuple[int, int]:
    before, after = _length("raw", raw), _length("compressed", compressed)
    if after and not before:
        raise ValueError(f"an empty prompt cannot become {after} tokens")
    return before, after
