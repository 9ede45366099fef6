"""Train the reader from nothing: one cosine, checkpoints that a run resumes from bit for bit.

    metatok train CONFIG.toml FOLDER
    torchrun --standalone --nproc-per-node 2 -m metatok.reader.train CONFIG.toml FOLDER    # on two GPUs

FOLDER receives `config.json`, `tokenizer/`, `log.jsonl` (loss and held-out accuracy) and `checkpoint.pt`, written
atomically every few minutes and when the run is told to stop. The same command goes on where the checkpoint is.

Matrices are trained by Muon, everything else by AdamW, in bfloat16 where the processor has instructions for it (CUDA,
AMX, AVX-512 BF16) and in float32 elsewhere, where it is several times as fast. Several processes train on different
pools of examples and average their gradients (through Accelerate); what they hold stays the same to the bit.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import gather_object, reduce
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from metatok.reader.bpe import save_tokenizer, texts, train_bpe
from metatok.reader.config import Config, OptimizerConfig, from_dict, load_config
from metatok.reader.data import Batch, check_names, pool_of_batches
from metatok.reader.export import load_exported
from metatok.reader.heldout import Item, accuracy, held_out
from metatok.reader.mimetic import initialise, match_lines
from metatok.reader.model import LeanLlama, on
from metatok.reader.muon import Muon
from metatok.reader.running import agreed, ended, leave, stopping, write_checkpoint
from metatok.reader.supply import Place, Supply
from metatok.tasks.base import get
from metatok.tokenizer import SETTINGS_FILE, MetaTokenizer, TokenizerError

# ---- one step


def loss_of(model: LeanLlama, batch: Batch, dtype: torch.dtype) -> Tensor:
    """The weighted mean of the cross-entropy."""
    logits = model.at(batch, dtype)
    losses = F.cross_entropy(logits, on(logits.device, batch.target), reduction="none")
    weight = on(logits.device, batch.weight)
    return (losses * weight).sum() / weight.sum()


def make_optimizers(model: LeanLlama, config: OptimizerConfig, dtype: torch.dtype) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of blocks and phrase embeddings, AdamW for embeddings, norms and biases."""
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and not n.startswith("embed_tokens")]
    rest = [p for n, p in model.named_parameters() if p.ndim != 2 or n.startswith("embed_tokens")]
    return [
        Muon(matrices, lr=config.muon_lr, weight_decay=config.weight_decay, dtype=dtype),
        torch.optim.AdamW(rest, lr=config.adam_lr, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def learning_rate(config: OptimizerConfig, step: int, tokens: int) -> float:
    """The factor on all learning rates: a short warm-up by steps, then a cosine by tokens.

    >>> [round(learning_rate(OptimizerConfig(tokens=100), 1000, t), 2) for t in (0, 50, 100)]
    [1.0, 0.51, 0.02]
    """
    progress = min(1.0, tokens / config.tokens)
    cosine = config.final_lr + (1 - config.final_lr) * 0.5 * (1 + math.cos(math.pi * progress))
    return min(1.0, (step + 1) / config.warmup_steps) * cosine


def fast_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the processor multiplies it fast, else float32."""
    fast = device.type == "cuda" or torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if fast else torch.float32


# ---- a run


class Run:
    """One training run in a folder; everything it needs to go on is in `checkpoint.pt`."""

    def __init__(self, config: Config, folder: Path):
        torch.set_num_threads(config.threads)
        self.config, self.folder = config, folder
        self.processes = PartialState(cpu=not torch.cuda.is_available())
        self.device = self.processes.device
        torch.backends.cuda.enable_cudnn_sdp(False)  # makes a plan for every shape, and there are hundreds
        self.tasks = [get(name) for name in config.data.tasks]
        check_names(self.tasks, config.data)
        if config.new_layers and not config.start_from:
            raise ValueError("new_layers are those that the reader in start_from lacks, and there is no start_from")
        with self.processes.main_process_first():
            self.tokenizer = self._tokenizer()
        self.dtype = fast_dtype(self.device)
        vocabulary = self.tokenizer.vocab_size + self.tokenizer.codec.n_added
        self.model = LeanLlama(config.model, vocabulary, config.data.before)
        generator = torch.Generator().manual_seed(config.seed)
        initialise(self.model, generator)
        if config.start_from and not load_exported(self.model, Path(config.start_from), config.new_layers):
            match_lines(self.model, generator)  # once more: the heads that did are the exported reader's now
        self.model.to(self.device)
        if config.compile:
            for block in self.model.blocks:
                block.compile(dynamic=True)
        self.optimizers = make_optimizers(self.model, config.optimizer, self.dtype)
        self.steps = self.tokens = 0
        self.seconds = 0.0
        place = Place()
        if self.checkpoint.exists():
            place = self._load()
        elif self.processes.is_main_process:  # not before start_from was accepted
            if config.tokenizer or config.start_from:
                self.tokenizer.save_pretrained(self._own_tokenizer)
            (folder / "config.json").write_text(json.dumps(asdict(config), indent=2) + "\n", encoding="utf-8")
        rank, ranks = self.processes.process_index, self.processes.num_processes
        data, make = config.data, partial(pool_of_batches, self.tasks, self.tokenizer, config.data, config.seed)
        self.supply = Supply(make, place, data.largest, data.full_size_at, rank, ranks, workers=config.workers)
        self._held_out: list[Item] = []

    @property
    def _own_tokenizer(self) -> Path:
        return self.folder / "tokenizer"

    def _tokenizer(self) -> MetaTokenizer:
        """The run's own; before its first checkpoint that of its config, and where that names none one made for it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        own = self._own_tokenizer
        given = self.config.tokenizer or self.config.start_from
        if given and not self.checkpoint.exists():
            try:
                return MetaTokenizer.from_pretrained(given, local_only=True)
            except TokenizerError:
                raise ValueError(
                    f"The folder {given!r}, which the config names, holds no tokenizer; "
                    "it is looked for from where the command runs."
                ) from None
        if not (own / SETTINGS_FILE).exists():  # which is written last
            save_tokenizer(train_bpe(texts(self.config.seed)), own)
        return MetaTokenizer.from_pretrained(own, local_only=True)

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"

    @property
    def progress(self) -> float:
        """The share of the run that is done."""
        return self.tokens / self.config.optimizer.tokens

    @property
    def done(self) -> bool:
        return self.progress >= 1

    def save(self) -> None:
        """Write the checkpoint; it is either the old one or the new one, whenever the machine stops."""
        places = gather_object([asdict(self.supply.place)])
        if not self.processes.is_main_process:
            return
        state = {
            "config": asdict(self.config),
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "counts": {"steps": self.steps, "tokens": self.tokens, "seconds": self.seconds},
            "places": places,
        }
        write_checkpoint(self.checkpoint, state)

    def _load(self) -> Place:
        """Take up the checkpoint; where this process is in its data."""
        state = torch.load(self.checkpoint, weights_only=True, map_location="cpu")  # what takes it moves it
        self.model.load_state_dict(state["model"])
        for optimizer, values in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(values)
        self.steps, self.tokens, self.seconds = (state["counts"][k] for k in ("steps", "tokens", "seconds"))
        places = state["places"]
        if len(places) != self.processes.num_processes:
            raise ValueError(f"this run has {len(places)} processes; resume it with as many")
        return Place(**places[self.processes.process_index])

    def step(self) -> Tensor:
        """One update; the loss before it, of this process's batch. A GPU may still be at work when this returns."""
        batch = self.supply.next(self.progress)
        factor = learning_rate(self.config.optimizer, self.steps, self.tokens)
        for optimizer, lr in zip(
            self.optimizers, (self.config.optimizer.muon_lr, self.config.optimizer.adam_lr), strict=True
        ):
            for group in optimizer.param_groups:
                group["lr"] = lr * factor
        loss = loss_of(self.model, batch, self.dtype)
        loss.backward()
        tokens = batch.tokens
        if self.processes.num_processes > 1:
            for parameter in self.model.parameters():
                parameter.grad = reduce(parameter.grad, "mean")
            tokens = int(reduce(torch.tensor(tokens, device=self.device), "sum"))
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.optimizer.clip)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad()
        self.steps += 1
        self.tokens += tokens
        return loss.detach()

    def evaluate(self) -> dict[str, float]:
        """Held-out accuracy, see `accuracy`; the main process measures it."""
        if not self.processes.is_main_process:
            return {}
        if not self._held_out:
            self._held_out = held_out(self.tasks, self.tokenizer, self.config.data, self.config.evaluate_prompts)
        return accuracy(self.model, self._held_out, self.dtype)

    def log(self, **values: Any) -> None:
        """Append one line to `log.jsonl`."""
        if not self.processes.is_main_process:
            return
        entry = {"step": self.steps, "tokens": self.tokens, "minutes": round(self.seconds / 60, 2)} | values
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def train(self) -> None:
        """Train to the end of the cosine, or until told to stop (SIGTERM, SIGINT)."""
        config = self.config
        evaluated = saved = self.seconds
        losses: list[Tensor] = []
        shown: dict[str, float] = {}
        with (
            stopping() as stop,
            tqdm(
                total=config.optimizer.tokens,
                initial=self.tokens,
                unit="tok",
                unit_scale=True,
                mininterval=5,
                disable=not self.processes.is_main_process,
            ) as bar,
        ):
            while not self.done and not agreed(bool(stop)):
                began, before = time.perf_counter(), self.tokens
                losses.append(self.step())
                self.seconds += agreed(time.perf_counter() - began)
                bar.update(self.tokens - before)
                if self.steps % 100 == 0:
                    mean = torch.stack(losses).mean().item()
                    losses.clear()
                    self.log(loss=round(mean, 4), size=round(self.supply.place.size, 3))
                    bar.set_postfix(
                        loss=f"{mean:.3f}", **{k: shown[k] for k in ("raw", "ltsc", "inline") if k in shown}
                    )
                if self.seconds - evaluated >= 60 * config.evaluate_minutes:
                    evaluated = self.seconds
                    shown = self.evaluate()
                    self.log(held_out=shown)
                if self.seconds - saved >= 60 * config.checkpoint_minutes:
                    saved = self.seconds
                    self.save()
        self.save()
        if self.done:
            self.log(held_out=self.evaluate(), done=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Start or resume a run; with `--base-model` a fine-tuning (`metatok.reader.finetune`)."""
    parser = argparse.ArgumentParser(prog="metatok train", description="Train the reader, or fine-tune a base model.")
    parser.add_argument("config", type=Path, help="TOML; ignored where the folder has a checkpoint")
    parser.add_argument("folder", type=Path, help="for checkpoints and logs")
    parser.add_argument("--base-model", metavar="ID", help="fine-tune this causal LM instead: a folder or a Hub id")
    options = parser.parse_args(arguments)
    if options.base_model is not None:
        from metatok.reader import finetune

        return finetune.main(arguments)
    saved = options.folder / "config.json"
    resumes = (options.folder / "checkpoint.pt").exists()
    if resumes:
        values = json.loads(saved.read_text(encoding="utf-8"))
        if "base_model" in values:
            base = values["base_model"]
            raise ValueError(f"the run in {options.folder} fine-tunes {base}: add --base-model {base}")
        config = from_dict(values)
    else:
        config = load_config(options.config)
    try:
        run = Run(config, options.folder)
        try:
            run.train()
        finally:
            run.supply.close()
    finally:
        leave()
    return ended(run.tokens, run.done)


if __name__ == "__main__":
    sys.exit(main())
