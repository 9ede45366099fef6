"""A causal LM with new tokens: the tokenizer extended, low-rank adapters, and embeddings of which new rows are trained.

Adapters are peft's LoRA on all linear layers, the rows its `trainable_token_indices`; where input and output embeddings
are not tied, both have new rows. Training is `metatok.reader.finetune`'s; what it wrote is loaded here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from metatok.backends import HuggingFaceBackend
from metatok.codec import Codec
from metatok.reader.folders import ADAPTER_FILE, MODEL_FILE, ReaderError, folder_of
from metatok.reader.marks import FORMAT, Marks
from metatok.tokenizer import MetaTokenizer, _with_added_tokens


def extend_tokenizer(folder: Path, meta_tokens: int) -> tuple[MetaTokenizer, Marks, range]:
    """The tokenizer of a model's folder with marks of the format and meta-tokens behind its own tokens; the new ids.

    Raises:
        ValueError: the folder has no fast tokenizer, or its tokens leave no room for these.
    """
    plain = MetaTokenizer.from_pretrained(folder, meta_tokens=meta_tokens, method="ltsc", local_only=True)
    assert isinstance(plain._backend, HuggingFaceBackend)  # as it is a folder
    hf = plain._backend.hf
    has = hf.backend_tokenizer.token_to_id
    names = [name for name in (*FORMAT, *(() if hf.eos_token else ("<|eos|>",))) if has(name) is None]
    hf = _with_added_tokens(hf, names, plain.vocab_size, str(folder)) if names else hf
    hf.eos_token = hf.eos_token or "<|eos|>"
    backend = HuggingFaceBackend(hf)
    tokenizer = MetaTokenizer(backend, str(folder), Codec(backend.vocab_size, meta_tokens, "ltsc"))
    marks = Marks.of(tokenizer)
    assert marks is not None  # they have just been added
    return tokenizer, marks, range(plain.vocab_size, backend.vocab_size + tokenizer.codec.n_added)


def load_base(folder: Path, name: str, dtype: torch.dtype) -> Any:
    """The causal LM in a folder.

    Raises:
        ValueError: there is none that can be fine-tuned; one sentence.
    """
    from transformers import AutoModelForCausalLM

    if not (folder / MODEL_FILE).is_file():
        raise ValueError(f"{name} holds an adapter, not a whole model: name the base model that it belongs to.")
    try:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, local_files_only=True)
    except (OSError, ValueError, ImportError, SafetensorError) as error:
        why = str(error).strip().splitlines()[0].rstrip(".")[:200]
        raise ValueError(f"{name} is not a causal language model that transformers can load: {why}.") from error
    if not isinstance(getattr(model.config, "max_position_embeddings", None), int):
        raise ValueError(f"{name} does not say how many positions it has, and a reader has to know its limit.")
    head = model.get_output_embeddings()
    if head is None or getattr(head, "bias", None) is not None:
        # peft's trained rows of an output layer would leave the bias out
        raise ValueError(f"{name} has an output layer with a bias, and new tokens cannot be added to such a one.")
    return model


def load_adapted(folder: Path, tokens: int) -> Any:
    """The base model of the adapter in a folder, float32, with the adapter merged into it: a plain causal LM.

    Args:
        tokens: how many ids the adapter's tokenizer has.

    Raises:
        ValueError: the base model cannot be had, or the adapter is not for it; one sentence.
    """
    from peft import PeftModel

    base = json.loads((folder / ADAPTER_FILE).read_text(encoding="utf-8")).get("base_model_name_or_path") or ""
    try:
        model = load_base(folder_of(base), base, torch.float32)
    except ReaderError as error:
        raise ReaderError(f"Its base model cannot be had. {error}") from error
    if tokens > model.get_input_embeddings().weight.shape[0]:
        model.resize_token_embeddings(tokens, mean_resizing=False)
    return PeftModel.from_pretrained(model, folder).merge_and_unload()


def add_adapters(model: Any, name: str, tokens: range, rank: int, seed: int) -> Any:
    """The model for training: low-rank adapters, and `tokens` as the only rows of its embeddings that change.

    Args:
        name: of the base model, under which it will be found again.
        tokens: ids of the new tokens, the last ones that the tokenizer has.
        rank: of the adapters; their scale is 2.
    """
    from peft import LoraConfig, get_peft_model

    generator = torch.Generator().manual_seed(seed)
    old = model.get_input_embeddings().weight.shape[0]
    if tokens.stop > old:
        model.resize_token_embeddings(tokens.stop, mean_resizing=False)
    modules = {id(module): path for path, module in model.named_modules()}
    inner, outer = model.get_input_embeddings(), model.get_output_embeddings()
    tied = outer.weight is inner.weight
    for module in (inner,) if tied else (inner, outer):
        _draw_rows(module.weight, tokens, generator)
    peft_config = LoraConfig(
        task_type="CAUSAL_LM",
        r=rank,
        lora_alpha=2 * rank,
        target_modules="all-linear",
        trainable_token_indices={modules[id(m)]: list(tokens) for m in ((inner,) if tied else (inner, outer))},
    )
    torch.manual_seed(seed)
    adapted = get_peft_model(model, peft_config)
    adapted.peft_config["default"].base_model_name_or_path = name
    for parameter in adapted.parameters():
        if parameter.requires_grad:  # small steps would be lost in bfloat16
            parameter.data = parameter.data.float()
    return adapted.eval()  # no dropout of the base's: a step depends on its batch alone


@torch.no_grad()
def _draw_rows(weight: Tensor, rows: range, generator: torch.Generator) -> None:
    """New rows as the old ones are on average, and as varied."""
    known = weight[: rows.start].float()
    noise = torch.randn(len(rows), weight.shape[1], generator=generator).to(weight.device)
    weight[rows.start : rows.stop] = (known.mean(0) + known.std(0) * noise).to(weight.dtype)
