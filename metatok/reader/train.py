"""Train the reader from nothing: one process, one cosine, checkpoints that a run resumes from bit for bit.

    python -m metatok.reader.train CONFIG.toml FOLDER

FOLDER receives `config.json`, `tokenizer/`, `log.jsonl` (loss and held-out accuracy) and `checkpoint.pt`, written
atomically every few minutes and when the run is told to stop. The same command goes on where the checkpoint is.

Matrices are trained by Muon (Jordan et al. 2024), everything else by AdamW. The precision of the products is a setting:
on CPUs with bf16 instructions (AMX, or AVX-512 BF16) bf16 is several times as fast as float32.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from metatok.reader.bpe import save_tokenizer, texts, train_bpe
from metatok.reader.config import Config, OptimizerConfig, from_dict, load_config
from metatok.reader.data import Batch, pool_of_batches
from metatok.reader.heldout import Item, accuracy, held_out
from metatok.reader.mimetic import initialise
from metatok.reader.model import LeanLlama
from metatok.tasks.base import get
from metatok.tokenizer import MetaTokenizer

# ---- one step


def loss_of(model: LeanLlama, batch: Batch, dtype: torch.dtype) -> Tensor:
    """The weighted mean of the cross-entropy."""
    losses = F.cross_entropy(model.at(batch, dtype), torch.from_numpy(batch.target), reduction="none")
    weight = torch.from_numpy(batch.weight)
    return (losses * weight).sum() / weight.sum()


def make_optimizers(model: LeanLlama, config: OptimizerConfig) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of blocks and phrase embeddings, AdamW for embeddings, norms and biases."""
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and not n.startswith("embed_tokens")]
    rest = [p for n, p in model.named_parameters() if p.ndim != 2 or n.startswith("embed_tokens")]
    return [
        torch.optim.Muon(matrices, lr=config.muon_lr, weight_decay=config.weight_decay, adjust_lr_fn="match_rms_adamw"),
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


# ---- a run


@dataclass
class Place:
    """Where a run is in its data and its schedule."""

    step: int = 0
    tokens: int = 0
    pool: int = 0  # number of the current pool of batches
    pool_size: float = 0.0  # how large its prompts are, a share of the task's range
    batch: int = 0  # how many batches of the pool are done
    seconds: float = 0.0  # of training so far


class Run:
    """One training run in a folder; everything it needs to go on is in `checkpoint.pt`."""

    def __init__(self, config: Config, folder: Path):
        torch.set_num_threads(config.threads)
        self.config, self.folder = config, folder
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "tokenizer" / "tokenizer.json").exists():
            save_tokenizer(train_bpe(texts(config.seed)), folder / "tokenizer")
        self.tokenizer = MetaTokenizer.from_pretrained(folder / "tokenizer", local_only=True)
        self.tasks = [get(name) for name in config.data.tasks]
        self.dtype = torch.bfloat16 if config.bf16 else torch.float32
        self.model = LeanLlama(config.model, self.tokenizer.vocab_size + self.tokenizer.codec.n_added)
        initialise(self.model, torch.Generator().manual_seed(config.seed))
        if config.compile:
            for block in self.model.blocks:
                block.compile(dynamic=True)
        self.optimizers = make_optimizers(self.model, config.optimizer)
        self.place = Place()
        self._batches: list[Batch] = []
        self._held_out: list[Item] = []
        if self.checkpoint.exists():
            self._load()
        else:
            (folder / "config.json").write_text(json.dumps(asdict(config), indent=2) + "\n", encoding="utf-8")

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"

    @property
    def done(self) -> bool:
        return self.place.tokens >= self.config.optimizer.tokens

    def save(self) -> None:
        """Write the checkpoint; it is either the old one or the new one, whenever the machine stops."""
        state = {
            "config": asdict(self.config),
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "place": asdict(self.place),
        }
        fresh = self.checkpoint.with_suffix(".tmp")
        with fresh.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.checkpoint)

    def _load(self) -> None:
        state = torch.load(self.checkpoint, weights_only=True)
        self.model.load_state_dict(state["model"])
        for optimizer, values in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(values)
        self.place = Place(**state["place"])
        if self.place.batch:
            self._batches = self._pool()

    def _pool(self) -> list[Batch]:
        place = self.place
        return pool_of_batches(
            self.tasks, self.tokenizer, self.config.data, self.config.seed, place.pool, place.pool_size
        )

    def _next_batch(self) -> Batch:
        place = self.place
        if place.batch == len(self._batches):
            if self._batches:
                place.pool += 1
            progress = place.tokens / self.config.optimizer.tokens
            place.pool_size = min(1.0, progress / self.config.data.full_size_at)
            self._batches, place.batch = self._pool(), 0
        place.batch += 1
        return self._batches[place.batch - 1]

    def step(self) -> float:
        """One update; the loss before it."""
        batch = self._next_batch()
        factor = learning_rate(self.config.optimizer, self.place.step, self.place.tokens)
        for optimizer, lr in zip(
            self.optimizers, (self.config.optimizer.muon_lr, self.config.optimizer.adam_lr), strict=True
        ):
            for group in optimizer.param_groups:
                group["lr"] = lr * factor
        loss = loss_of(self.model, batch, self.dtype)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.optimizer.clip)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad()
        self.place.step += 1
        self.place.tokens += batch.tokens
        return loss.item()

    def evaluate(self) -> dict[str, float]:
        """Held-out accuracy, see `accuracy`."""
        if not self._held_out:
            self._held_out = held_out(self.tasks, self.tokenizer, self.config.data, self.config.evaluate_prompts)
        return accuracy(self.model, self._held_out, self.dtype)

    def log(self, **values: Any) -> None:
        """Append one line to `log.jsonl`."""
        place = self.place
        entry = {"step": place.step, "tokens": place.tokens, "minutes": round(place.seconds / 60, 2)} | values
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def train(self) -> None:
        """Train to the end of the cosine, or until told to stop (SIGTERM, SIGINT)."""
        config, place = self.config, self.place
        evaluated = saved = place.seconds
        losses: list[float] = []
        shown: dict[str, float] = {}
        with (
            _stopping() as stop,
            tqdm(
                total=config.optimizer.tokens, initial=place.tokens, unit="tok", unit_scale=True, mininterval=5
            ) as bar,
        ):
            while not self.done and not stop:
                began, before = time.perf_counter(), place.tokens
                losses.append(self.step())
                place.seconds += time.perf_counter() - began
                bar.update(place.tokens - before)
                if place.step % 100 == 0:
                    mean = sum(losses) / len(losses)
                    losses.clear()
                    self.log(loss=round(mean, 4), size=round(place.pool_size, 3))
                    bar.set_postfix(
                        loss=f"{mean:.3f}", **{k: shown[k] for k in ("raw", "ltsc", "inline") if k in shown}
                    )
                if place.seconds - evaluated >= 60 * config.evaluate_minutes:
                    evaluated = place.seconds
                    shown = self.evaluate()
                    self.log(held_out=shown)
                if place.seconds - saved >= 60 * config.checkpoint_minutes:
                    saved = place.seconds
                    self.save()
        self.save()
        if self.done:
            self.log(held_out=self.evaluate(), done=True)


@contextmanager
def _stopping() -> Iterator[list[int]]:
    """A list that is empty until the process is told to stop."""
    told: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        told.append(number)

    old = {s: signal.signal(s, note) for s in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield told
    finally:
        for s, handler in old.items():
            signal.signal(s, handler)


def main(arguments: Sequence[str] | None = None) -> int:
    """Start or resume a run."""
    parser = argparse.ArgumentParser(prog="metatok.reader.train", description="Train the reader.")
    parser.add_argument("config", type=Path, help="TOML; ignored where the folder has a checkpoint")
    parser.add_argument("folder", type=Path, help="for checkpoints and logs")
    options = parser.parse_args(arguments)
    saved = options.folder / "config.json"
    resumes = (options.folder / "checkpoint.pt").exists()
    config = from_dict(json.loads(saved.read_text(encoding="utf-8"))) if resumes else load_config(options.config)
    run = Run(config, options.folder)
    run.train()
    return 0 if run.done else 1


if __name__ == "__main__":
    sys.exit(main())
