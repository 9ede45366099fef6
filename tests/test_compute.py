"""What a prompt costs: a case worked by hand, the matmuls of real models counted, and the edges."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pytest

from metatok.compute import (
    DTYPE_BITS,
    PRESETS,
    Architecture,
    Flops,
    compute_saving,
    crossover,
    from_config,
    kv_cache_bytes,
    prefill,
    quadratic_saving,
)

SMALL = Architecture(
    "small", layers=2, hidden=8, heads=4, kv_heads=2, head_dim=3, mlp=16, vocab_size=32, tied_embeddings=False
)
LOCAL = replace(SMALL, layers=3, window=4, windowed_layers=2)


# By hand ----------------------------------------------------------------------------------------------------


def test_worked_by_hand() -> None:
    # Five tokens through SMALL. A product of (a, b) and (b, c) is 2abc FLOPs.
    #   Q: (5, 8) by (8, 4*3) = 960; K and V: (5, 8) by (8, 2*3) = 480 each; O: (5, 12) by (12, 8) = 960
    #     a layer: 960 + 480 + 480 + 960 = 2,880; two layers: 5,760
    #   Q K^T, per head: (5, 3) by (3, 5) = 150; four heads: 600; two layers: 1,200. Times V: the same.
    #   MLP: gate and up (5, 8) by (8, 16) = 1,280 each, down (5, 16) by (16, 8) = 1,280
    #     a layer: 3,840; two layers: 7,680
    #   logits of the last position: (1, 8) by (8, 32) = 512; of all five: 2,560
    flops = prefill(SMALL, 5)
    assert flops == Flops(
        projections=5760, attention_matrix=1200, attention_values=1200, mlp=7680, logits=512, embeddings=0
    )
    assert (flops.quadratic, flops.linear, flops.total) == (2400, 13952, 16352)
    assert prefill(SMALL, 5, logits="all").logits == 2560
    # Not gated: up and down alone.
    assert prefill(replace(SMALL, gated=False), 5).mlp == 5120
    # Causal: 1 + 2 + 3 + 4 + 5 = 15 of the 25 entries.
    assert prefill(SMALL, 5, causal=True).attention_matrix == 1200 * 15 // 25


def test_sliding_windows_by_hand() -> None:
    # Six tokens through LOCAL: one layer sees everything, two layers see the last four tokens.
    #   entries: 6*6 + 2 * 6*4 = 84; causal: 21 + 2 * (1 + 2 + 3 + 4 + 4 + 4) = 57. Each is 2*4*3 = 24 FLOPs.
    assert prefill(LOCAL, 6).attention_matrix == 84 * 24
    assert prefill(LOCAL, 6, causal=True).attention_matrix == 57 * 24
    # Within the window there is no difference.
    whole = replace(LOCAL, window=None, windowed_layers=0)
    for n in range(5):
        assert prefill(LOCAL, n) == prefill(whole, n)
        assert prefill(LOCAL, n, causal=True) == prefill(whole, n, causal=True)


@pytest.mark.parametrize("n", [0, 1, 2, 5, 9])
@pytest.mark.parametrize("arch", [SMALL, LOCAL])
def test_causal_counts_the_entries_that_the_mask_leaves(arch: Architecture, n: int) -> None:
    query, key = np.indices((n, n))
    entries = 0
    for layer in range(arch.layers):
        seen = key <= query
        if arch.window is not None and layer < arch.windowed_layers:
            seen &= key > query - arch.window
        entries += int(seen.sum())
    assert prefill(arch, n, causal=True).attention_values == entries * 2 * arch.heads * arch.head_dim


def test_kv_cache_by_hand() -> None:
    # SMALL keeps 2 layers x (key + value) x 2 kv_heads x 3 numbers = 24 numbers a token.
    assert {dtype: kv_cache_bytes(SMALL, 5, dtype=dtype) for dtype in DTYPE_BITS} == {
        "float32": 480,
        "float16": 240,
        "bfloat16": 240,
        "fp8": 120,
        "int8": 120,
        "int4": 60,
    }
    assert kv_cache_bytes(SMALL, 5, batch=7) == 7 * 240
    assert kv_cache_bytes(SMALL, 0) == kv_cache_bytes(SMALL, 5, batch=0) == 0
    # LOCAL after 10 tokens: one layer keeps 10, two keep 4; 12 numbers a token and layer, two bytes each.
    assert kv_cache_bytes(LOCAL, 10) == (10 + 4 + 4) * 12 * 2
    # Published: Llama 3.1 8B keeps 128 KiB a token in 16 bits.
    assert kv_cache_bytes(PRESETS["Llama-3.1-8B"], 1) == 128 * 1024
    odd = Architecture("odd", layers=1, hidden=1, heads=1, kv_heads=1, head_dim=1, mlp=1, vocab_size=1)
    assert kv_cache_bytes(odd, 1, dtype="int4") == 1  # two numbers of four bits


# Counted in real models -------------------------------------------------------------------------------------


def _counted(config: Any, n: int) -> tuple[dict[str, int], Counter[str]]:
    """FLOPs of a real model on n tokens: by module name, and in Q K^T and the product with V."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils.flop_counter import FlopCounterMode

    attention: Counter[str] = Counter()

    class Batched(TorchDispatchMode):
        """Tells the batched products apart by shape: Q K^T makes an n-by-n matrix, the other uses it."""

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func is torch.ops.aten.bmm.default:
                (batch, rows, inner), columns = args[0].shape, args[1].shape[-1]
                kind = "matrix" if (rows, columns) == (n, n) else "values" if (rows, inner) == (n, n) else "?"
                attention[kind] += 2 * batch * rows * inner * columns
            return func(*args, **(kwargs or {}))

    with torch.random.fork_rng():
        model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), Batched(), counter:
        model(torch.zeros(1, n, dtype=torch.long), use_cache=False)
    by_module = {name: sum(ops.values()) for name, ops in counter.get_flop_counts().items()}
    return by_module, attention


def _under(by_module: dict[str, int], *endings: str) -> int:
    return sum(flops for name, flops in by_module.items() if name.endswith(endings))


COMMON = dict(vocab_size=96, bos_token_id=0, eos_token_id=1, pad_token_id=None)
WIDTHS = dict(hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=40, **COMMON)
GROUPED = dict(num_key_value_heads=2, **WIDTHS)
GPT2 = dict(n_embd=32, n_layer=3, n_head=4, **COMMON)

# One small real model of every model type that from_config knows, and some with unusual attributes.
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "cohere": ("CohereConfig", GROUPED),
    "gemma": ("GemmaConfig", dict(head_dim=10, **GROUPED)),
    "gemma2": ("Gemma2Config", dict(head_dim=10, **GROUPED)),
    "gemma3_text": ("Gemma3TextConfig", dict(head_dim=10, **GROUPED)),
    "glm": ("GlmConfig", dict(head_dim=8, **GROUPED)),
    "gpt2": ("GPT2Config", GPT2),
    "gpt2 with n_inner": ("GPT2Config", dict(n_inner=52, **GPT2)),
    "gpt_bigcode": ("GPTBigCodeConfig", GPT2),
    "gpt_bigcode without multi_query": ("GPTBigCodeConfig", dict(multi_query=False, **GPT2)),
    "gpt_neox": ("GPTNeoXConfig", WIDTHS),
    "granite": ("GraniteConfig", GROUPED),
    "llama": ("LlamaConfig", GROUPED),
    "llama with head_dim": ("LlamaConfig", dict(head_dim=10, **GROUPED)),
    "llama without groups": ("LlamaConfig", WIDTHS),
    "mistral": ("MistralConfig", GROUPED),
    "olmo2": ("Olmo2Config", GROUPED),
    "opt": (
        "OPTConfig",
        dict(hidden_size=32, num_hidden_layers=3, num_attention_heads=4, ffn_dim=40, **COMMON),
    ),
    "phi": ("PhiConfig", WIDTHS),
    "phi3": ("Phi3Config", GROUPED),
    "qwen2": ("Qwen2Config", GROUPED),
    "qwen3": ("Qwen3Config", dict(head_dim=10, **GROUPED)),
    "smollm3": ("SmolLM3Config", GROUPED),
    "stablelm": ("StableLmConfig", GROUPED),
    "starcoder2": ("Starcoder2Config", GROUPED),
}


def _config(family: str, **more: Any) -> Any:
    transformers = pytest.importorskip("transformers")
    cls, kwargs = FAMILIES[family]
    if family == "opt":
        kwargs = dict(word_embed_proj_dim=32, **kwargs)
    return getattr(transformers, cls)(**{**kwargs, **more})


def test_every_known_family_is_counted_here() -> None:
    from metatok.architectures import _FAMILIES

    assert {family.split()[0] for family in FAMILIES} == set(_FAMILIES)


@pytest.mark.parametrize("n", [1, 7, 33])
def test_llama_counted_category_by_category(n: int) -> None:
    config = _config("llama with head_dim")
    by_module, attention = _counted(config, n)
    flops = prefill(from_config(config), n, logits="all")
    assert flops.projections == _under(by_module, ".q_proj", ".k_proj", ".v_proj", ".o_proj")
    assert flops.mlp == _under(by_module, ".mlp")
    assert flops.logits == _under(by_module, ".lm_head")
    assert flops.embeddings == by_module.get("LlamaForCausalLM.model.embed_tokens", 0)
    if n > 1:  # one token makes two products of the same shape
        assert attention == {"matrix": flops.attention_matrix, "values": flops.attention_values}
    assert flops.quadratic == attention.total()
    assert flops.total == by_module["Global"]


@pytest.mark.parametrize("n", [1, 7, 33])
def test_gpt2_counted_category_by_category(n: int) -> None:
    config = _config("gpt2 with n_inner")
    by_module, attention = _counted(config, n)
    flops = prefill(from_config(config), n, logits="all")
    assert flops.projections == _under(by_module, ".attn.c_attn", ".attn.c_proj")
    assert flops.mlp == _under(by_module, ".mlp")
    assert flops.logits == _under(by_module, ".lm_head")
    if n > 1:
        assert attention == {"matrix": flops.attention_matrix, "values": flops.attention_values}
    assert flops.total == by_module["Global"]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_counted_whole(family: str) -> None:
    config = _config(family)
    by_module, attention = _counted(config, 13)
    # Eager attention computes the whole matrix in windowed layers too, so the windows are taken out here.
    arch = replace(from_config(config), window=None, windowed_layers=0)
    flops = prefill(arch, 13, logits="all")
    assert flops.quadratic == attention["matrix"] + attention["values"]
    assert flops.total == by_module["Global"]


def test_last_logits_counted() -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from torch.utils.flop_counter import FlopCounterMode

    config = _config("llama")
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 9, dtype=torch.long), use_cache=False, logits_to_keep=1)
    assert counter.get_total_flops() == prefill(from_config(config), 9).total


# Presets ----------------------------------------------------------------------------------------------------


def _preset_config(arch: Architecture) -> Any:
    transformers = pytest.importorskip("transformers")
    kwargs: dict[str, Any] = dict(
        num_hidden_layers=arch.layers,
        hidden_size=arch.hidden,
        num_attention_heads=arch.heads,
        num_key_value_heads=arch.kv_heads,
        intermediate_size=arch.mlp,
        vocab_size=arch.vocab_size,
        tie_word_embeddings=arch.tied_embeddings,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=0,
    )
    family = arch.name.rsplit("-", 1)[0]
    if family.startswith("Phi"):
        return transformers.Phi3Config(**kwargs)
    if family.startswith("Qwen2.5"):
        return transformers.Qwen2Config(**kwargs)
    kwargs["head_dim"] = arch.head_dim
    if family.startswith("Mistral"):
        return transformers.MistralConfig(sliding_window=arch.window, **kwargs)
    if family.startswith(("Llama", "SmolLM2")):
        return transformers.LlamaConfig(**kwargs)
    if family.startswith("Qwen3"):
        return transformers.Qwen3Config(**kwargs)
    classes = {
        "Gemma": transformers.GemmaConfig,
        "Gemma-2": transformers.Gemma2Config,
        "Gemma-3": transformers.Gemma3TextConfig,
    }
    if arch.window is not None:
        kwargs["sliding_window"] = arch.window
    return classes[family](**kwargs)


@pytest.mark.parametrize("arch", PRESETS.values(), ids=PRESETS)
def test_preset_has_the_published_number_of_parameters(arch: Architecture) -> None:
    assert arch.parameters is not None
    assert abs(arch.weights - arch.parameters) / arch.parameters < 0.001
    # To the last parameter, with norms and biases, in the real class; "meta" allocates nothing.
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    config = _preset_config(arch)
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config)
    assert model.num_parameters() == arch.parameters
    # And reading that config back gives the preset, windows included.
    assert from_config(config) == replace(arch, name=config.model_type, parameters=None, source="config")


def test_presets_cover_the_families_and_sizes() -> None:
    assert len(PRESETS) >= 8
    for family in ("Llama", "Mistral", "Qwen", "Phi", "Gemma", "SmolLM"):
        assert any(name.startswith(family) for name in PRESETS)
    sizes = [arch.parameters or 0 for arch in PRESETS.values()]
    assert sizes == sorted(sizes)
    assert sizes[0] < 0.2e9
    assert sizes[-1] > 65e9
    assert all(arch.name == name and arch.source for name, arch in PRESETS.items())
    with pytest.raises(TypeError):
        PRESETS["Llama-3.1-8B"] = SMALL  # type: ignore[index]


# from_config ------------------------------------------------------------------------------------------------


def test_from_config_reads_windows() -> None:
    def windows(config: Any) -> tuple[int | None, int]:
        arch = from_config(config)
        return arch.window, arch.windowed_layers

    assert windows(_config("mistral")) == (4096, 3)  # v0.1: every layer
    assert windows(_config("mistral", sliding_window=None)) == (None, 0)
    assert windows(_config("phi3", sliding_window=8)) == (8, 3)
    assert windows(_config("gemma2", sliding_window=8)) == (8, 2)  # layers 0 and 2 of 3
    assert windows(_config("gemma3_text", num_hidden_layers=13, sliding_window=8)) == (8, 11)
    assert windows(_config("qwen2")) == (None, 0)
    tail = dict(use_sliding_window=True, sliding_window=8, max_window_layers=1)
    assert windows(_config("qwen2", **tail)) == (8, 2)

    # The same from dicts as they stand in a config.json, where layer_types is not written out.
    assert windows({"model_type": "mistral", "sliding_window": 8, **GROUPED}) == (8, 3)
    assert windows({"model_type": "gemma2", "sliding_window": 8, "head_dim": 6, **GROUPED}) == (8, 2)
    gemma3 = {
        "model_type": "gemma3_text",
        "head_dim": 6,
        **GROUPED,
        "num_hidden_layers": 13,
        "sliding_window": 8,
    }
    assert windows(gemma3) == (8, 11)
    assert windows({**gemma3, "sliding_window_pattern": 2}) == (8, 7)
    qwen2 = {"model_type": "qwen2", "sliding_window": 8, "max_window_layers": 1, **GROUPED}
    assert windows(qwen2) == windows({**qwen2, "use_sliding_window": False}) == (None, 0)
    assert windows({**qwen2, "use_sliding_window": True}) == (8, 2)


def test_from_config_reads_nested_text_configs() -> None:
    transformers = pytest.importorskip("transformers")
    text = _config("gemma3_text", sliding_window=8)
    nested = transformers.Gemma3Config(text_config=text)
    expected = from_config(text)
    assert from_config(nested) == expected
    assert from_config(nested.to_dict(), name="mine") == replace(expected, name="mine")


@pytest.mark.parametrize("family", FAMILIES)
def test_from_config_reads_a_dict_like_the_object(family: str) -> None:
    config = _config(family)
    assert from_config(config.to_dict()) == from_config(config)


def test_from_config_takes_other_model_types_on_request() -> None:
    other = {"model_type": "elsewhere", "tie_word_embeddings": True, **GROUPED}
    with pytest.raises(ValueError, match=r"model_type 'elsewhere' is not known.*gated=True"):
        from_config(other)
    gated, plain = from_config(other, gated=True), from_config(other, gated=False)
    assert gated == replace(from_config({**other, "model_type": "llama"}), name="elsewhere")
    assert (gated.mlp_weights, plain.mlp_weights) == (3 * 32 * 40, 2 * 32 * 40)
    with pytest.raises(ValueError, match="no layer_types say"):
        from_config({**other, "sliding_window": 8}, gated=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_size": None}, "llama config has no hidden_size"),
        ({"num_hidden_layers": None}, "no num_hidden_layers"),
        ({"num_attention_heads": None}, "no num_attention_heads"),
        ({"intermediate_size": None}, "no intermediate_size"),
        ({"vocab_size": None}, "no vocab_size.*AutoConfig"),
        ({"num_attention_heads": 5, "num_key_value_heads": 5}, "32 does not divide into 5"),
        ({"num_key_value_heads": 3}, "4 heads cannot share 3 kv_heads"),
        ({"num_key_value_heads": [2, 2, 1]}, "num_key_value_heads must be one int for all layers"),
        ({"hidden_size": 0}, "hidden must be a positive int"),
        ({"num_local_experts": 8}, "num_local_experts=8: mixture-of-experts"),
        ({"n_routed_experts": 64}, "n_routed_experts=64: mixture-of-experts"),
        ({"kv_lora_rank": 512}, "latent attention"),
        ({"cross_attention_layers": [1]}, "cross-attention"),
        ({"is_encoder_decoder": True}, "only decoder-only"),
        ({"layer_types": ["full_attention", "mamba"]}, "layer_types has mamba"),
        ({"layer_types": ["sliding_attention"] * 3}, "sliding_window is missing"),
        ({"word_embed_proj_dim": 12}, "word_embed_proj_dim"),
        ({"model_type": "qwen3"}, "qwen3 config has no head_dim"),
        ({"model_type": "mistral", "num_key_value_heads": None}, "mistral config has no num_key_value_heads"),
    ],
)
def test_from_config_refuses_what_it_cannot_describe(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_config({"model_type": "llama", **GROUPED, **change})


def test_from_config_refuses_real_mixtures_and_non_configs() -> None:
    transformers = pytest.importorskip("transformers")
    with pytest.raises(ValueError, match="mixture-of-experts"):
        from_config(transformers.MixtralConfig())
    with pytest.raises(ValueError, match="only decoder-only"):
        from_config(transformers.T5Config())
    with pytest.raises(TypeError, match="got str"):
        from_config("meta-llama/Llama-3.1-8B")


@pytest.mark.parametrize(
    "wrong",
    [
        {"layers": 0},
        {"hidden": -8},
        {"head_dim": 1.5},
        {"mlp": True},
        {"kv_heads": 3},
        {"window": 4},
        {"windowed_layers": 1},
        {"window": 4, "windowed_layers": 3},
        {"window": 0, "windowed_layers": 1},
        {"parameters": 0},
    ],
)
def test_architecture_refuses_impossible_shapes(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must be|cannot share|give both"):
        replace(SMALL, **wrong)


# Savings and the crossover ----------------------------------------------------------------------------------


def test_the_papers_figure_is_the_quadratic_part_alone() -> None:
    assert quadratic_saving(100, 73) == pytest.approx(0.4671)
    assert quadratic_saving(100, 82) == pytest.approx(0.3276)
    # Of the whole model it holds only in the limit, and the saving in tokens only for short prompts.
    llama = PRESETS["Llama-3.1-8B"]
    whole = [compute_saving(llama, n, n * 73 // 100) for n in (100, 10_000, 1_000_000, 100_000_000)]
    assert whole == sorted(whole)
    assert whole[0] == pytest.approx(0.27, abs=0.02)
    assert whole[-1] == pytest.approx(0.4671, abs=0.001)


def test_compute_saving_is_one_minus_the_ratio_of_totals() -> None:
    for arch in (SMALL, LOCAL, PRESETS["Gemma-3-1B"]):
        ratio = Fraction(prefill(arch, 731).total, prefill(arch, 1000).total)
        assert compute_saving(arch, 1000, 731) == pytest.approx(float(1 - ratio), abs=1e-15)
    causal = compute_saving(SMALL, 1000, 731, causal=True, logits="all")
    ratio = Fraction(*(prefill(SMALL, n, causal=True, logits="all").total for n in (731, 1000)))
    assert causal == pytest.approx(float(1 - ratio), abs=1e-15)
    assert causal != compute_saving(SMALL, 1000, 731)


def test_savings_at_the_edges() -> None:
    savings: list[Callable[[Any, Any], float]] = [quadratic_saving, partial(compute_saving, SMALL)]
    for saving in savings:
        assert saving(0, 0) == 0.0
        assert saving(50, 50) == 0.0
        assert saving(50, 0) == 1.0
        assert saving(50, 60) < 0  # longer than before: it costs more, and says so
        assert saving(np.int32(100), np.int64(73)) == saving(100, 73)
        with pytest.raises(ValueError, match="empty prompt cannot become 3"):
            saving(0, 3)
        with pytest.raises(ValueError, match="compressed must be 0 or more"):
            saving(3, -1)
        with pytest.raises(ValueError, match="raw must be 0 or more"):
            saving(-1, 0)
        with pytest.raises(TypeError):
            saving(10.0, 5)


def test_prefill_at_the_edges() -> None:
    assert prefill(SMALL, 0) == prefill(SMALL, 0, logits="all") == Flops(0, 0, 0, 0, 0)
    assert prefill(SMALL, 1) == prefill(SMALL, 1, causal=True, logits="all")
    # Exact where floats are not: 10 M tokens through 70B is far beyond 2^53 and numpy's int64 squares.
    n = 10_000_000
    flops = prefill(PRESETS["Llama-3.1-70B"], np.int32(n))
    assert flops.attention_matrix == 2 * 80 * 64 * 128 * n**2
    with pytest.raises(ValueError, match="n must be 0 or more"):
        prefill(SMALL, -1)
    with pytest.raises(ValueError, match="logits must be"):
        prefill(SMALL, 1, logits="first")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="dtype must be one of float32"):
        kv_cache_bytes(SMALL, 1, dtype="float64")
    with pytest.raises(ValueError, match="batch must be"):
        kv_cache_bytes(SMALL, 1, batch=-1)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("arch", [SMALL, LOCAL, PRESETS["Gemma-3-1B"], PRESETS["Llama-3.1-70B"]], ids=lambda a: a.name)
def test_crossover_is_where_it_first_happens(arch: Architecture, causal: bool) -> None:
    n = crossover(arch, causal=causal)
    assert n is not None
    here, before = prefill(arch, n, causal=causal), prefill(arch, n - 1, causal=causal)
    assert here.quadratic > here.linear
    assert before.quadratic <= before.linear


def test_crossover_against_every_length_and_the_closed_form() -> None:
    lengths = [n for n in range(1, 400) if prefill(LOCAL, n).quadratic > prefill(LOCAL, n).linear]
    assert lengths == list(range(lengths[0], 400))
    assert crossover(LOCAL) == lengths[0]
    # n² · 4·heads·head_dim > n · 2·layer_weights, but for the logits of one position
    llama = PRESETS["Llama-3.1-8B"]
    closed_form = llama.layer_weights / (2 * llama.heads * llama.head_dim)
    assert crossover(llama) == pytest.approx(closed_form, rel=1e-3)


def test_crossover_may_never_come() -> None:
    everywhere = replace(SMALL, window=4, windowed_layers=2)
    assert crossover(everywhere) is None
    assert crossover(everywhere, causal=True) is None
    # Wide enough a window, and it does: a matter of window, not of length.
    assert crossover(replace(everywhere, window=1000)) == crossover(SMALL)


def test_importing_compute_loads_no_framework() -> None:
    code = (
        "import sys, metatok.compute\n"
        "print([m for m in ('torch', 'transformers', 'plotly', 'gradio') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
