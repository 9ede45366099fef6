"""The shapes of decoder-only transformers: the numbers that decide what a prompt costs.

An `Architecture` holds what `metatok.compute` needs (layers, heads, widths, sliding windows) and nothing
else: no weights, no tokenizer. `PRESETS` has published models from 0.1B to 70B; `from_config` reads the same
numbers from a `transformers` config object or from a `config.json`.

Does not load models and imports neither torch nor transformers. Does not describe mixture-of-experts, latent
attention (MLA), state-space, encoder-decoder or cross-attention models: `from_config` refuses them, because
the formulas of `metatok.compute` would be wrong for them.

Where the numbers come from. Shapes: `config.json` of the model repository that each preset names in `source`,
mostly as transcribed in `litgpt/config.py` of Lightning-AI/litgpt, which links the file behind every entry.
Parameter counts: the total in the safetensors metadata of that repository. The tests build every preset as a
`transformers` model without weights and find exactly that count, so a wrong digit in a shape cannot hide.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

__all__ = ["PRESETS", "Architecture", "from_config"]


@dataclass(frozen=True)
class Architecture:
    """The shape of one decoder-only transformer.

    A layer projects `hidden` to `heads` queries and `kv_heads` keys and values of `head_dim` each, attends,
    projects back, and runs an MLP of inner width `mlp` (two matrices up and one down if `gated`, else one up
    and one down). `windowed_layers` of the layers attend only to the last `window` tokens, the query's own
    included.

    Args:
        name: what people call the model.
        layers, hidden, heads, kv_heads, head_dim, mlp, vocab_size: as above; positive.
        gated: whether the MLP multiplies two projections (SwiGLU, GeGLU).
        tied_embeddings: whether input and output embedding are one matrix; matters for `weights` alone.
        window: tokens a windowed layer attends to, or None where every layer attends to the whole prompt.
        windowed_layers: how many layers are windowed.
        parameters: the published parameter count, or None where nobody published one.
        source: where the numbers were read.

    Raises:
        ValueError: a number that is not a positive int, heads that do not divide into kv_heads, or a window
            without windowed layers (or the reverse).

    >>> toy = Architecture("toy", layers=2, hidden=64, heads=4, kv_heads=2, head_dim=16, mlp=256,
    ...                    vocab_size=1000)
    >>> toy.weights
    186880
    """

    name: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    mlp: int
    vocab_size: int
    gated: bool = True
    tied_embeddings: bool = True
    window: int | None = None
    windowed_layers: int = 0
    parameters: int | None = None
    source: str = ""

    def __post_init__(self) -> None:
        for field in ("layers", "hidden", "heads", "kv_heads", "head_dim", "mlp", "vocab_size"):
            _positive(field, getattr(self, field))
        if self.parameters is not None:
            _positive("parameters", self.parameters)
        if self.heads % self.kv_heads:
            raise ValueError(f"{self.heads} heads cannot share {self.kv_heads} kv_heads evenly")
        if not 0 <= self.windowed_layers <= self.layers:
            raise ValueError(f"windowed_layers must be 0 … {self.layers}, got {self.windowed_layers}")
        if (self.window is None) != (self.windowed_layers == 0):
            raise ValueError(f"window={self.window} with windowed_layers={self.windowed_layers}: give both or neither")
        if self.window is not None:
            _positive("window", self.window)

    @property
    def layer_weights(self) -> int:
        """Entries in the matrices of one layer: Q, K, V, O and the MLP. Norms and biases are left out."""
        return self.attention_weights + self.mlp_weights

    @property
    def attention_weights(self) -> int:
        """Entries in the Q, K, V and O matrices of one layer."""
        return self.hidden * self.head_dim * 2 * (self.heads + self.kv_heads)

    @property
    def mlp_weights(self) -> int:
        """Entries in the MLP matrices of one layer."""
        return (3 if self.gated else 2) * self.hidden * self.mlp

    @property
    def weights(self) -> int:
        """Entries in all weight matrices, embeddings included.

        Norms, biases and learned position tables are left out: under 0.1 % of the parameters of every preset.
        """
        embeddings = self.vocab_size * self.hidden * (1 if self.tied_embeddings else 2)
        return self.layers * self.layer_weights + embeddings


def _positive(field: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{field} must be a positive int, got {value!r}")


_SOURCE = "config.json of {} as transcribed in Lightning-AI/litgpt, litgpt/config.py; count: its safetensors metadata"
_NEMO_SOURCE = (
    "config.json of mistralai/Mistral-Nemo-Base-2407 as quoted in kevinstephano/thunder_model_blocks; "
    "count: its safetensors metadata. The model card's 'hidden dim 14,436' is a misprint of 14336"
)

_PUBLISHED = (
    Architecture(
        "SmolLM2-135M",
        layers=30,
        hidden=576,
        heads=9,
        kv_heads=3,
        head_dim=64,
        mlp=1536,
        vocab_size=49152,
        parameters=134_515_008,
        source=_SOURCE.format("HuggingFaceTB/SmolLM2-135M"),
    ),
    Architecture(
        "Qwen2.5-0.5B",
        layers=24,
        hidden=896,
        heads=14,
        kv_heads=2,
        head_dim=64,
        mlp=4864,
        vocab_size=151936,
        parameters=494_032_768,
        source=_SOURCE.format("Qwen/Qwen2.5-0.5B"),
    ),
    Architecture(
        "Gemma-3-1B",
        layers=26,
        hidden=1152,
        heads=4,
        kv_heads=1,
        head_dim=256,
        mlp=6912,
        vocab_size=262144,
        window=512,
        windowed_layers=22,  # five local layers, then one global: layers 6, 12, 18 and 24 see everything
        parameters=999_885_952,
        source=_SOURCE.format("google/gemma-3-1b-it"),
    ),
    Architecture(
        "Llama-3.2-1B",
        layers=16,
        hidden=2048,
        heads=32,
        kv_heads=8,
        head_dim=64,
        mlp=8192,
        vocab_size=128256,
        parameters=1_235_814_400,
        source=_SOURCE.format("meta-llama/Llama-3.2-1B"),
    ),
    Architecture(
        "SmolLM2-1.7B",
        layers=24,
        hidden=2048,
        heads=32,
        kv_heads=32,
        head_dim=64,
        mlp=8192,
        vocab_size=49152,
        parameters=1_711_376_384,
        source=_SOURCE.format("HuggingFaceTB/SmolLM2-1.7B"),
    ),
    Architecture(
        "Phi-3.5-mini",
        layers=32,
        hidden=3072,
        heads=32,
        kv_heads=32,
        head_dim=96,
        mlp=8192,
        vocab_size=32064,
        tied_embeddings=False,
        parameters=3_821_079_552,
        # Its sliding_window of 262,144 is wider than the 131,072 positions it can take: no layer is windowed.
        source=_SOURCE.format("microsoft/Phi-3.5-mini-instruct"),
    ),
    Architecture(
        "Mistral-7B-v0.3",
        layers=32,
        hidden=4096,
        heads=32,
        kv_heads=8,
        head_dim=128,
        mlp=14336,
        vocab_size=32768,
        tied_embeddings=False,
        parameters=7_248_023_552,
        source=_SOURCE.format("mistralai/Mistral-7B-v0.3"),
    ),
    Architecture(
        "Llama-3.1-8B",
        layers=32,
        hidden=4096,
        heads=32,
        kv_heads=8,
        head_dim=128,
        mlp=14336,
        vocab_size=128256,
        tied_embeddings=False,
        parameters=8_030_261_248,
        source=_SOURCE.format("meta-llama/Meta-Llama-3.1-8B"),
    ),
    Architecture(
        "Qwen3-8B",
        layers=36,
        hidden=4096,
        heads=32,
        kv_heads=8,
        head_dim=128,
        mlp=12288,
        vocab_size=151936,
        tied_embeddings=False,
        parameters=8_190_735_360,
        source=_SOURCE.format("Qwen/Qwen3-8B"),
    ),
    Architecture(
        "Gemma-7B",
        layers=28,
        hidden=3072,
        heads=16,
        kv_heads=16,
        head_dim=256,
        mlp=24576,
        vocab_size=256000,
        parameters=8_537_680_896,
        source=_SOURCE.format("google/gemma-7b"),
    ),
    Architecture(
        "Gemma-2-9B",
        layers=42,
        hidden=3584,
        heads=16,
        kv_heads=8,
        head_dim=256,
        mlp=14336,
        vocab_size=256000,
        window=4096,
        windowed_layers=21,  # every other layer, the first included
        parameters=9_241_705_984,
        source=_SOURCE.format("google/gemma-2-9b"),
    ),
    Architecture(
        "Mistral-Nemo-12B",
        layers=40,
        hidden=5120,
        heads=32,
        kv_heads=8,
        head_dim=128,
        mlp=14336,
        vocab_size=131072,
        tied_embeddings=False,
        parameters=12_247_782_400,
        source=_NEMO_SOURCE,
    ),
    Architecture(
        "Phi-4",
        layers=40,
        hidden=5120,
        heads=40,
        kv_heads=10,
        head_dim=128,
        mlp=17920,
        vocab_size=100352,
        tied_embeddings=False,
        parameters=14_659_507_200,
        source=_SOURCE.format("microsoft/phi-4"),
    ),
    Architecture(
        "Qwen3-32B",
        layers=64,
        hidden=5120,
        heads=64,
        kv_heads=8,
        head_dim=128,
        mlp=25600,
        vocab_size=151936,
        tied_embeddings=False,
        parameters=32_762_123_264,
        source=_SOURCE.format("Qwen/Qwen3-32B"),
    ),
    Architecture(
        "Llama-3.1-70B",
        layers=80,
        hidden=8192,
        heads=64,
        kv_heads=8,
        head_dim=128,
        mlp=28672,
        vocab_size=128256,
        tied_embeddings=False,
        parameters=70_553_706_496,
        source=_SOURCE.format("meta-llama/Meta-Llama-3.1-70B"),
    ),
)

PRESETS: Mapping[str, Architecture] = MappingProxyType({arch.name: arch for arch in _PUBLISHED})
"""Published architectures by name, smallest first. Read-only."""


class _Family(NamedTuple):
    """What a `model_type` implies that its config does not say.

    gated: whether the MLP is gated.
    tied: whether a config that does not mention `tie_word_embeddings` means yes.
    windowed: which layers are local if `sliding_window` is set and `layer_types` is absent: "all", "tail"
        (those from `max_window_layers` on) or the length of a repeating group whose last layer sees all.
    stated: attributes that cannot be derived from the others, because the family has a default of its own.
    """

    gated: bool = True
    tied: bool = False
    windowed: str | int = "all"
    stated: tuple[str, ...] = ()


# Every row is checked in the tests by counting the matmuls of a real small model of that type.
_FAMILIES: Mapping[str, _Family] = MappingProxyType(
    {
        "cohere": _Family(tied=True),
        "gemma": _Family(tied=True, stated=("head_dim", "num_key_value_heads")),
        "gemma2": _Family(tied=True, windowed=2, stated=("head_dim", "num_key_value_heads")),
        "gemma3_text": _Family(tied=True, windowed=6, stated=("head_dim", "num_key_value_heads")),
        "glm": _Family(stated=("head_dim", "num_key_value_heads")),
        "gpt2": _Family(gated=False, tied=True),
        "gpt_bigcode": _Family(gated=False, tied=True),
        "gpt_neox": _Family(gated=False),
        "granite": _Family(),
        "llama": _Family(),
        "mistral": _Family(stated=("num_key_value_heads",)),
        "olmo2": _Family(),
        "opt": _Family(gated=False, tied=True),
        "phi": _Family(gated=False),
        "phi3": _Family(),
        "qwen2": _Family(windowed="tail", stated=("num_key_value_heads",)),
        "qwen3": _Family(windowed="tail", stated=("head_dim", "num_key_value_heads")),
        "smollm3": _Family(tied=True, windowed="tail", stated=("num_key_value_heads",)),
        "stablelm": _Family(stated=("num_key_value_heads",)),
        "starcoder2": _Family(gated=False, tied=True, stated=("num_key_value_heads",)),
    }
)

# One number, the names it goes by. The first is what an error message calls it.
_NAMES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "layers": ("num_hidden_layers", "n_layer"),
        "hidden": ("hidden_size", "n_embd"),
        "heads": ("num_attention_heads", "n_head"),
        "kv_heads": ("num_key_value_heads",),
        "head_dim": ("head_dim",),
        "mlp": ("intermediate_size", "n_inner", "ffn_dim"),
        "vocab_size": ("vocab_size",),
    }
)


def from_config(config: Any, *, name: str | None = None, gated: bool | None = None) -> Architecture:
    """The architecture that a `transformers` config, or the dict in a `config.json`, describes.

    Reads the text part of multimodal configs (`text_config`). Reads GPT-2 names (`n_embd`, `n_head`,
    `n_layer`, `n_inner`) and OPT's `ffn_dim` as well as the usual ones. A dict may lack what only its class
    knows; loading it with `transformers.AutoConfig` fills that in.

    Args:
        config: a `transformers.PretrainedConfig`, or a mapping with its keys.
        name: the name to give the result; by default the repository the config came from, or its type.
        gated: whether the MLP is gated. Needed for model types that this function does not know, as no
            attribute says it; otherwise leave it out.

    Raises:
        ValueError: a missing attribute, named; a model type that is not known and no `gated`; or a kind of
            model whose cost the formulas do not describe (see the module docstring).
        TypeError: neither a mapping nor a config object.

    >>> llama = dict(model_type="llama", num_hidden_layers=2, hidden_size=64, num_attention_heads=4,
    ...              num_key_value_heads=2, intermediate_size=172, vocab_size=1000)
    >>> arch = from_config(llama)
    >>> arch.head_dim, arch.kv_heads, arch.gated, arch.window
    (16, 2, True, None)
    """
    outer = _as_mapping(config)
    text = _as_mapping(outer["text_config"]) if outer.get("text_config") is not None else outer
    model_type = text.get("model_type") or outer.get("model_type") or ""
    _refuse_other_kinds(outer, text)
    family = _FAMILIES.get(model_type)
    if family is None:
        if gated is None:
            raise ValueError(
                f"model_type {model_type!r} is not known, and no attribute says whether its MLP is gated: "
                f"pass gated=True or gated=False (known: {', '.join(sorted(_FAMILIES))})"
            )
        family = _Family(gated, windowed="unknown")
    for attribute in family.stated:
        if text.get(attribute) is None:
            raise _missing(attribute, model_type)

    layers, hidden, heads, vocab_size = (
        _required(text, field, model_type) for field in ("layers", "hidden", "heads", "vocab_size")
    )
    mlp = _optional(text, "mlp")
    if mlp is None:
        if not any(attribute in text for attribute in ("n_inner", "n_embd")):
            raise _missing("intermediate_size", model_type)
        mlp = 4 * hidden  # GPT-2: n_inner=None means four times n_embd
    head_dim = _optional(text, "head_dim")
    if head_dim is None:
        if hidden % heads:
            raise ValueError(f"hidden_size {hidden} does not divide into {heads} heads: head_dim is needed")
        head_dim = hidden // heads
    kv_heads = _optional(text, "kv_heads")
    if kv_heads is None or model_type == "gpt_bigcode":
        kv_heads = 1 if text.get("multi_query") else heads
    if text.get("word_embed_proj_dim") not in (None, hidden):
        raise ValueError("word_embed_proj_dim differs from hidden_size: such models are not supported")

    window, windowed_layers = _windows(text, family, layers)
    tied = text.get("tie_word_embeddings", outer.get("tie_word_embeddings"))
    return Architecture(
        name or str(outer.get("_name_or_path") or text.get("_name_or_path") or model_type or "custom"),
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        mlp=mlp,
        vocab_size=vocab_size,
        gated=family.gated if gated is None else gated,
        tied_embeddings=family.tied if tied is None else bool(tied),
        window=window,
        windowed_layers=windowed_layers,
        source="config",
    )


def _as_mapping(config: Any) -> Mapping[str, Any]:
    if isinstance(config, Mapping):
        return config
    to_dict = getattr(config, "to_dict", None)
    if to_dict is None:
        raise TypeError(f"expected a transformers config or a mapping, got {type(config).__name__}")
    as_dict: dict[str, Any] = to_dict()
    # to_dict drops the name a config was loaded under in some releases.
    as_dict.setdefault("_name_or_path", getattr(config, "_name_or_path", ""))
    return as_dict


def _refuse_other_kinds(outer: Mapping[str, Any], text: Mapping[str, Any]) -> None:
    if outer.get("is_encoder_decoder") or text.get("is_encoder_decoder"):
        raise ValueError("is_encoder_decoder: only decoder-only models are supported")
    for key, value in text.items():
        if "experts" in key and isinstance(value, int) and value > 1:
            raise ValueError(f"{key}={value}: mixture-of-experts models are not supported")
        if key == "kv_lora_rank" and value:
            raise ValueError(f"{key}={value}: latent attention (MLA) is not supported")
        if key == "cross_attention_layers" and value:
            raise ValueError(f"{key}: models with cross-attention layers are not supported")


def _required(text: Mapping[str, Any], field: str, model_type: str) -> int:
    value = _optional(text, field)
    if value is None:
        raise _missing(_NAMES[field][0], model_type)
    return value


def _optional(text: Mapping[str, Any], field: str) -> int | None:
    for attribute in _NAMES[field]:
        value = text.get(attribute)
        if value is not None:
            if isinstance(value, bool) or not isinstance(value, int):
                raise ValueError(f"{attribute} must be one int for all layers, got {value!r}")
            return value
    return None


def _missing(attribute: str, model_type: str) -> ValueError:
    return ValueError(
        f"the {model_type or 'untyped'} config has no {attribute}; "
        "if it comes from a config.json, load it with transformers.AutoConfig, which fills in defaults"
    )


def _windows(text: Mapping[str, Any], family: _Family, layers: int) -> tuple[int | None, int]:
    """(window, how many layers are windowed); (None, 0) where every layer sees the whole prompt."""
    window = text.get("sliding_window")
    layer_types = text.get("layer_types")
    if layer_types is not None:
        if other := sorted(set(layer_types) - {"full_attention", "sliding_attention"}):
            raise ValueError(f"layer_types has {', '.join(other)}: only full and sliding attention are known")
        windowed = list(layer_types).count("sliding_attention")
        if windowed and window is None:
            raise ValueError("layer_types has sliding_attention, but sliding_window is missing")
    elif window is None or text.get("use_sliding_window") is False:
        windowed = 0
    elif family.windowed == "all":
        windowed = layers
    elif family.windowed == "tail":
        # The switch is off unless a config turns it on: Qwen's configs state a window they do not use.
        windowed = max(0, layers - text.get("max_window_layers", 0)) if text.get("use_sliding_window") else 0
    elif isinstance(family.windowed, int):
        windowed = layers - layers // int(text.get("sliding_window_pattern") or family.windowed)
    else:
        raise ValueError("sliding_window is set, but no layer_types say which layers it holds for")
    return (window, windowed) if windowed else (None, 0)
