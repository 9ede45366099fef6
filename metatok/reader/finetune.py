"""Fine-tune any causal LM of the Hub to read compressed prompts: LoRA, and trained embeddings for the new tokens.

    metatok train --base-model ID CONFIG.toml FOLDER
    torchrun --standalone --nproc-per-node 2 -m metatok.reader.finetune --base-model ID CONFIG.toml FOLDER  # two GPUs

The paper's own setting (LTSC, arXiv 2506.00307): a pretrained model learns the meta-tokens. The data are those of the
reader trained from nothing: prompts raw, `ltsc` and `inline`, meta-ids at random, questions never compressed, and the
expand task; `finetune_data.py` makes the examples.

Low-rank adapters on all linear layers and the embeddings of new tokens are trained (peft); all else stays as it was.
Meta-tokens have plain embeddings, the paper's form; phrase-based ones are for the reader of this repository only.

FOLDER receives `config.json`, `log.jsonl`, `checkpoint.pt`, from which the same command goes on bit for bit, and
`adapter/`: the adapter and the tokenizer with its new tokens, for `metatok.reader.Reader.from_pretrained` and for
`peft.AutoPeftModelForCausalLM.from_pretrained`.
"""

from __future__ import annotations

import argparse
import inspect
import json
import random
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from metatok.codec import Method
from metatok.reader.adapters import add_adapters, extend_tokenizer, load_base
from metatok.reader.config import OptimizerConfig
from metatok.reader.data import Batch, Example, cut, pack
from metatok.reader.finetune_data import FinetuneConfig, from_dict, load_config, make_example, make_pool
from metatok.reader.folders import folder_of
from metatok.reader.running import agreed, ended, leave, stopping, write_checkpoint
from metatok.reader.supply import Place, Supply
from metatok.reader.train import fast_dtype, learning_rate
from metatok.tasks.base import get

FORMS: tuple[Method | None, ...] = (None, "ltsc", "inline")


def logits_at(model: Any, batch: Batch, device: torch.device) -> Tensor:
    """The model's outputs where the loss looks: (k, vocabulary) in float32."""
    row, column = np.divmod(batch.where, batch.ids.shape[1])
    kept, place = np.unique(column, return_inverse=True)
    base = getattr(model, "module", model).get_base_model()
    few = "logits_to_keep" in inspect.signature(base.forward).parameters
    logits = model(
        input_ids=torch.from_numpy(batch.ids).to(device),
        attention_mask=torch.from_numpy((batch.segment >= 0).astype(np.int64)).to(device),
        use_cache=False,
        **({"logits_to_keep": torch.from_numpy(kept).to(device)} if few else {}),
    ).logits
    at: Tensor = logits[torch.from_numpy(row), torch.from_numpy(place if few else column)]
    return at.float()


# ---- a run


class Finetuning:
    """One fine-tuning run in a folder; everything it needs to go on is in `checkpoint.pt`.

    Raises:
        ValueError: the base model cannot be had or is none that can be fine-tuned, or the run is another's.
    """

    def __init__(self, base: str, config: FinetuneConfig, folder: Path):
        self.base, self.config, self.folder = base, config, folder
        cuda = torch.cuda.is_available()
        dtype = fast_dtype(torch.device("cuda" if cuda else "cpu"))
        self.accelerator = Accelerator(cpu=not cuda, mixed_precision="bf16" if dtype == torch.bfloat16 else "no")
        with self.accelerator.main_process_first():
            source = folder_of(base)
        self.tokenizer, self.marks, new = extend_tokenizer(source, config.meta_tokens)
        model = add_adapters(load_base(source, base, dtype), base, new, config.rank, config.seed)
        self.longest = min(config.longest, model.config.max_position_embeddings)
        self.trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        embeddings = [p for name, p in self.trained.items() if "trainable_tokens" in name]
        adapters = [p for name, p in self.trained.items() if "trainable_tokens" not in name]
        self.optimizer = torch.optim.AdamW(
            [{"params": adapters, "lr": config.adapter_lr}, {"params": embeddings, "lr": config.embedding_lr}],
            betas=(0.9, 0.98),
            weight_decay=0.0,
        )
        self.model = self.accelerator.prepare(model)
        self.tasks = [get(name) for name in config.tasks]
        self.steps = self.tokens = 0
        self.seconds = 0.0
        place = Place()
        folder.mkdir(parents=True, exist_ok=True)
        if self.checkpoint.exists():
            place = self._load()
        elif self.accelerator.is_main_process:
            settings = {"base_model": base} | asdict(config)
            (folder / "config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
        make = partial(make_pool, self.tasks, self.tokenizer, self.marks, config, self.longest)
        ranks = self.accelerator.process_index, self.accelerator.num_processes
        self.supply = Supply(make, place, config.largest, config.full_size_at, *ranks)

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"

    @property
    def done(self) -> bool:
        return self.tokens >= self.config.tokens

    def save(self) -> None:
        """Write the checkpoint; it is either the old one or the new one, whenever the machine stops."""
        places = gather_object([asdict(self.supply.place)])
        if not self.accelerator.is_main_process:
            return
        state = {
            "base": self.base,
            "trained": {name: p.detach() for name, p in self.trained.items()},
            "optimizer": self.optimizer.state_dict(),
            "counts": (self.steps, self.tokens, self.seconds),
            "places": places,
        }
        write_checkpoint(self.checkpoint, state)

    def _load(self) -> Place:
        state = torch.load(self.checkpoint, weights_only=True, map_location="cpu")
        if state["base"] != self.base:
            raise ValueError(
                f"the run in {self.folder} fine-tunes {state['base']}, not {self.base}; take another folder."
            )
        if len(state["places"]) != self.accelerator.num_processes:
            raise ValueError(f"this run has {len(state['places'])} processes; resume it with as many.")
        with torch.no_grad():
            for name, parameter in self.trained.items():
                parameter.copy_(state["trained"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        self.steps, self.tokens, self.seconds = state["counts"]
        return Place(**state["places"][self.accelerator.process_index])

    def export(self) -> None:
        """Write the adapter and its tokenizer to `adapter/`; plain peft and transformers read them."""
        if not self.accelerator.is_main_process:
            return
        adapted = self.accelerator.unwrap_model(self.model)
        adapted.save_pretrained(self.folder / "adapter", save_embedding_layers=False)
        self.tokenizer.save_pretrained(self.folder / "adapter")

    def step(self) -> float:
        """One update; the loss before it, of this process's batch."""
        config, device = self.config, self.accelerator.device
        batch = self.supply.next(self.tokens / config.tokens)
        schedule = OptimizerConfig(tokens=config.tokens, warmup_steps=config.warmup_steps, final_lr=config.final_lr)
        factor = learning_rate(schedule, self.steps, self.tokens)
        for group, lr in zip(self.optimizer.param_groups, (config.adapter_lr, config.embedding_lr), strict=True):
            group["lr"] = lr * factor
        losses = F.cross_entropy(
            logits_at(self.model, batch, device), torch.from_numpy(batch.target).to(device), reduction="none"
        )
        weight = torch.from_numpy(batch.weight).to(device)
        loss = (losses * weight).sum() / weight.sum()
        self.accelerator.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.trained.values(), config.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.steps += 1
        self.tokens += int(self.accelerator.reduce(torch.tensor(batch.tokens, device=device), "sum"))
        return loss.item()

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Held-out accuracy in percent, `tree/raw`, `tree/ltsc`, …, as `metatok.reader.heldout` has it: an answer is
        exact if each of its tokens is the likeliest after the true ones before it."""
        if not self.accelerator.is_main_process:
            return {}
        model, config = self.accelerator.unwrap_model(self.model), self.config
        examples: dict[str, list[Example]] = defaultdict(list)
        for task in self.tasks:
            for i in range(config.evaluate_prompts):
                rng = random.Random(f"held-out/{task.name}/{i}")
                sample = task.draw(rng, size=config.largest, seen=i % 2 == 0)[0]
                made = [
                    make_example(self.tokenizer, self.marks, sample, random.Random(f"held-out/{i}/{form}"), form)
                    for form in FORMS
                ]
                if len(made[0].ids) <= self.longest:  # the same prompts in every form
                    for form, example in zip(FORMS, made, strict=True):
                        examples[f"{task.name}/{form or 'raw'}"].append(example)
        scores: dict[str, list[bool]] = defaultdict(list)
        for name, every in examples.items():
            for part in cut(sorted(every, key=lambda e: len(e.ids)), config.batch_tokens):
                batch = pack(part)
                right = logits_at(model, batch, self.accelerator.device).argmax(-1).cpu().numpy() == batch.target
                row = batch.where // batch.ids.shape[1]
                scores[name] += [bool(right[row == r].all()) for r in range(len(part))]
        return {name: round(100 * sum(rights) / len(rights), 1) for name, rights in scores.items()}

    def log(self, **values: Any) -> None:
        """Append one line to `log.jsonl`."""
        if self.accelerator.is_main_process:
            entry = {"step": self.steps, "tokens": self.tokens, "minutes": round(self.seconds / 60, 2)} | values
            with (self.folder / "log.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")

    def train(self) -> None:
        """Train to the end of the cosine, or until told to stop (SIGTERM, SIGINT); then write the adapter."""
        evaluated = saved = self.seconds
        losses: list[float] = []
        shown: dict[str, float] = {}
        bar = tqdm(
            total=self.config.tokens,
            initial=self.tokens,
            unit="tok",
            unit_scale=True,
            mininterval=2,
            disable=not self.accelerator.is_main_process,
        )
        with stopping() as stop, bar:
            while not self.done and not agreed(bool(stop)):
                began, before = time.perf_counter(), self.tokens
                losses.append(self.step())
                self.seconds += agreed(time.perf_counter() - began)
                bar.update(self.tokens - before)
                if self.steps % 10 == 0 or self.done:
                    mean = sum(losses) / len(losses)
                    losses.clear()
                    self.log(loss=round(mean, 4), size=round(self.supply.place.size, 3))
                    bar.set_postfix(loss=f"{mean:.3f}", **shown)
                if self.seconds - evaluated >= 60 * self.config.evaluate_minutes:
                    evaluated = self.seconds
                    shown = self.evaluate()
                    self.log(held_out=shown)
                if self.seconds - saved >= 60 * self.config.checkpoint_minutes:
                    saved = self.seconds
                    self.save()
        self.save()
        self.export()
        if self.done:
            self.log(held_out=self.evaluate(), done=True)


def finetune(base: str, config: FinetuneConfig, folder: Path) -> Finetuning:
    """Fine-tune a base model, or go on with it, and write the adapter; the run, at its end or where it was stopped.

    Args:
        base: a folder or a Hub id.

    Raises:
        ValueError: see `Finetuning`.
    """
    run = Finetuning(base, config, folder)
    run.train()
    return run


def main(arguments: Sequence[str] | None = None) -> int:
    """Start or resume a run."""
    parser = argparse.ArgumentParser(prog="metatok train", description="Fine-tune a causal LM on compressed prompts.")
    parser.add_argument("--base-model", required=True, metavar="ID", help="a folder or a Hub id")
    parser.add_argument("config", type=Path, help="TOML; ignored where the folder has a checkpoint")
    parser.add_argument("folder", type=Path, help="for checkpoints, logs and the adapter")
    options = parser.parse_args(arguments)
    saved = options.folder / "config.json"
    try:
        if (options.folder / "checkpoint.pt").exists():
            values = json.loads(saved.read_text(encoding="utf-8"))
            if "base_model" not in values:
                raise ValueError(f"the run in {options.folder} trains no base model: leave --base-model out.")
            config = from_dict({name: value for name, value in values.items() if name != "base_model"})
        else:
            config = load_config(options.config)
        run = finetune(options.base_model, config, options.folder)
    except (OSError, ValueError) as error:
        parser.exit(1, f"{error}\n")
    finally:
        leave()
    return ended(run.tokens, run.done)


if __name__ == "__main__":
    sys.exit(main())
