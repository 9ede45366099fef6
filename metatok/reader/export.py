"""A trained reader as files that everyone can load: transformers' `LlamaForCausalLM`, its tokenizer, safetensors.

The phrase-based embeddings lie beside the model in `phrase_embedding.safetensors` (eight matrices, and one more for
each id before that embeddings are made of); without them the model still reads compressed prompts, in the paper's plain
form.

    python -m metatok.reader.export RUN FOLDER
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from metatok.reader.bpe import BOS, EOS, PAD
from metatok.reader.config import Config, from_dict
from metatok.reader.data import RELATED, before_names
from metatok.reader.folders import TRAINING_FILE
from metatok.reader.model import EPS, LeanLlama, PhraseEmbedding
from metatok.tokenizer import MetaTokenizer

SHARD = "9MB"  # files of weights stay below this
WEIGHTS = "*.safetensors"
PHRASE_FILE = "phrase_embedding.safetensors"


def to_llama(model: LeanLlama) -> Any:
    """The same model as transformers' `LlamaForCausalLM`, float32, without the phrase-based embeddings."""
    from transformers import LlamaConfig, LlamaForCausalLM

    c = model.config
    llama = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=model.embed_tokens.num_embeddings,
            hidden_size=c.width,
            intermediate_size=c.inner,
            num_hidden_layers=c.layers,
            num_attention_heads=c.heads,
            num_key_value_heads=c.heads,
            max_position_embeddings=c.longest,
            rms_norm_eps=EPS,
            rope_parameters={"rope_type": "default", "rope_theta": c.rope_theta},
            attention_bias=True,
            tie_word_embeddings=True,
            bos_token_id=BOS,
            eos_token_id=EOS,
            pad_token_id=PAD,
        )
    )
    weights = {f"model.{k}": v.detach().clone() for k, v in model.state_dict().items() if not k.startswith("phrases.")}
    llama.load_state_dict(weights | {"lm_head.weight": weights["model.embed_tokens.weight"]})
    return llama.eval()


def load_checkpoint(run: Path) -> tuple[LeanLlama, Config]:
    """The model of a run's checkpoint, and what the run was.

    Raises:
        FileNotFoundError: the run has no checkpoint yet.
    """
    state = torch.load(run / "checkpoint.pt", weights_only=True, map_location="cpu")
    weights, config = state["model"], from_dict(state["config"])
    model = LeanLlama(config.model, len(weights["embed_tokens.weight"]), config.data.before)
    model.load_state_dict(weights)
    return model.eval(), config


def _phrase_weights(folder: Path, width: int) -> dict[str, torch.Tensor]:
    """The matrices of the phrase-based embeddings of an exported reader, float32; one that it lacks is zero."""
    return {name: torch.zeros(width, width) for name in RELATED} | read_weights(folder / PHRASE_FILE)


def read_weights(file: Path) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file, float32.

    Raises:
        ValueError: it is torn, or something else.
        OSError: it cannot be read.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return {name: value.float() for name, value in load_file(file).items()}
    except SafetensorError as error:
        raise ValueError(f"{file} holds no weights that can be read: {error}") from error


def load_phrases(folder: Path, width: int) -> PhraseEmbedding:
    """The phrase-based embeddings of an exported reader, float32; a matrix that its file lacks adds nothing."""
    weights = _phrase_weights(folder, width)
    phrases = PhraseEmbedding(width, len(weights) - len(RELATED))
    phrases.load_state_dict(weights)
    return phrases.eval()


def load_exported(model: LeanLlama, folder: Path, new_layers: Sequence[int] = ()) -> bool:
    """Fill a model with the weights of an exported reader, to train it on; False where it lacks the ids before.

    The model's matrices for those (`before`) then stay as they are, and no head of the reader knows of them.

    Args:
        new_layers: indices of the model's layers that the reader lacks. They keep their random weights but write
            nothing, so the model says what the reader says until it is trained.

    Raises:
        ValueError: the reader has another shape or torn weights, or the model has no such new layer.
    """
    for i in new_layers:
        if not 0 <= i < model.config.layers:
            raise ValueError(f"new_layers holds {i}, and the model's layers are 0 … {model.config.layers - 1}")
    layers = json.loads((folder / "config.json").read_text(encoding="utf-8"))["num_hidden_layers"]
    if layers + len(new_layers) != model.config.layers:
        raise ValueError(
            f"the reader in {folder} has {layers} layers; with {len(new_layers)} new ones that makes not the"
            f" {model.config.layers} of [model]: set its layers, or new_layers"
        )
    kept = [i for i in range(model.config.layers) if i not in new_layers]

    def renumbered(name: str) -> str:
        if not name.startswith("layers."):
            return name
        number, _, rest = name.removeprefix("layers.").partition(".")
        return f"layers.{kept[int(number)]}.{rest}"

    weights: dict[str, torch.Tensor] = {}
    for file in sorted(folder.glob("model*.safetensors")):
        stored = {k.removeprefix("model."): v for k, v in read_weights(file).items() if k != "lm_head.weight"}
        weights |= {renumbered(k): v for k, v in stored.items()}
    for i in new_layers:
        new = {f"layers.{i}.{k}": v for k, v in model.blocks[i].state_dict().items()}
        quiet = (f"layers.{i}.self_attn.o_proj", f"layers.{i}.mlp.down_proj")
        weights |= {k: torch.zeros_like(v) if k.startswith(quiet) else v for k, v in new.items()}
    weights |= {f"phrases.{k}": v for k, v in _phrase_weights(folder, model.config.width).items()}
    lines = {f"phrases.{name}" for name in before_names(model.phrases.before)}
    lacks_lines = bool(lines) and not lines & weights.keys()
    if lacks_lines:
        weights |= {name: value for name, value in model.state_dict().items() if name in lines}
    own = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    there = {name: tuple(value.shape) for name, value in weights.items()}
    if own != there:
        wrong = next(name for name in sorted(own.keys() | there.keys()) if own.get(name) != there.get(name))
        raise ValueError(
            f"the reader in {folder} has another shape: {wrong} is {there.get(wrong)} there and {own.get(wrong)} here;"
            " set [model] as its config.json says, and before in [data] as many as its embeddings are made of"
        )
    model.load_state_dict(weights)
    return not lacks_lines


def let_others_read(folder: Path) -> None:
    """safetensors keeps the files that it writes from everyone but their owner, and others may run the app."""
    for file in folder.glob(WEIGHTS):
        file.chmod(0o644)


def export(run: Path, folder: Path) -> None:
    """Write the reader of a run's last checkpoint to a folder, in bfloat16.

    Raises:
        FileNotFoundError: the run has no checkpoint yet.
    """
    from safetensors.torch import save_file
    from transformers import GenerationConfig

    model, config = load_checkpoint(run)
    llama = to_llama(model).to(torch.bfloat16)
    llama.generation_config = GenerationConfig(
        do_sample=False, bos_token_id=BOS, eos_token_id=EOS, pad_token_id=PAD, max_new_tokens=256
    )
    llama.save_pretrained(folder, max_shard_size=SHARD)
    projections = {k: v.to(torch.bfloat16).contiguous() for k, v in model.phrases.state_dict().items()}
    save_file(projections, folder / PHRASE_FILE)
    MetaTokenizer.from_pretrained(run / "tokenizer", local_only=True).save_pretrained(folder)
    (folder / TRAINING_FILE).write_text(
        json.dumps({"tasks": list(config.data.tasks)}, indent=2) + "\n", encoding="utf-8"
    )
    let_others_read(folder)


def main(arguments: Sequence[str] | None = None) -> int:
    """Export a run."""
    parser = argparse.ArgumentParser(prog="metatok.reader.export", description="Export a run's reader.")
    parser.add_argument("run", type=Path, help="folder of a training run")
    parser.add_argument("folder", type=Path, help="for the reader")
    options = parser.parse_args(arguments)
    try:
        export(options.run, options.folder)
    except FileNotFoundError:
        parser.exit(1, f"{options.run} holds no checkpoint.pt, so there is no run to export.\n")
    except KeyError:
        parser.exit(1, f"{options.run} is no run that trained a reader; what it fine-tuned is in its adapter folder.\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
