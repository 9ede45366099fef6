# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Your own model
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/your-name/metatok/blob/main/notebooks/05_your_own_model.ipynb) [![Open the Space](https://huggingface.co/datasets/huggingface/badges/resolve/main/open-in-hf-spaces-sm.svg)](https://huggingface.co/spaces/your-name/metatok)
#
# Any causal language model can learn to read meta-tokens: give its tokenizer the new tokens, train low-rank adapters and the new tokens' embeddings on compressed prompts, save a small adapter. Here you do it with a model that is in this repository, load what you saved, and ask it. What to change for a model of the Hub and for a GPU is at the end: one name.
#
# **Time:** about five minutes on two cores. No GPU, no network.

# %% tags=["colab"]
# On Colab: fetch metatok and install what it needs. Elsewhere this cell does nothing.
import os
import subprocess
import sys

if "google.colab" in sys.modules and not os.path.exists("../notebooks"):
    subprocess.run(["git", "clone", "-q", "--depth", "1", "https://github.com/your-name/metatok"], check=True)
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "./metatok[notebooks]"], check=True)
    sys.path.insert(0, os.path.abspath("metatok"))
    os.chdir("metatok/notebooks")

# %% tags=["parameters"]
FAST = False  # the tests set True: smaller sizes, same code
BASE = None  # the model of this repository; or a folder, or a Hub id such as "HuggingFaceTB/SmolLM2-135M"

# %%
import json
import random
import tempfile
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.express as px

from metatok.reader import Reader, bundled
from metatok.tasks.base import get, samples
from metatok.views.notebook import COLORS, show

base = BASE or str(bundled())
META_TOKENS = 64
TOKENS = 4_000 if FAST else 320_000  # to train on
HELD_OUT = 4 if FAST else 60  # prompts that accuracy is measured on

# %% [markdown]
# ## 1. New tokens
#
# Meta-tokens get ids behind all that the tokenizer knows, and so do three marks of the format, unless it has them: `<|q|>` before a question, `<|a|>` before its answer, `<|expand|>` where the prompt is to be written out. Ordinary text is tokenized as before.

# %%
from metatok.reader.adapters import extend_tokenizer
from metatok.reader.folders import folder_of

tokenizer, marks, new = extend_tokenizer(folder_of(base), META_TOKENS)
names = tokenizer.hf.convert_ids_to_tokens([new.start, new.start + 1, new.start + 2, new.stop - 1])
print(f"{new.start:,} tokens as before, {len(new)} new ones: {', '.join(names[:3])} … {names[-1]}")
marks

# %% [markdown]
# Data are the tree task's, drawn on the fly (the third notebook shows more of them). One example is one question:

# %%
from metatok.reader.finetune_data import make_example

tree = get("tree")
sample = tree.draw(random.Random(8), size=0.0)[0]
for form in (None, "ltsc", "inline"):
    example = make_example(tokenizer, marks, sample, random.Random(0), form)
    print(f"── {form or 'raw'}, {len(example.ids)} tokens\n{tokenizer.hf.decode(example.ids)}\n")

# %% [markdown]
# For your own data, make a `Task`: an object with `name`, `draw` and `score` that returns `Sample(prompt, question, answer, …)`; `metatok.tasks.base` says how.
#
# ## 2. What is trained
#
# `Finetuning` is what `metatok train --base-model` runs. It loads the model, makes room for the new tokens, draws their embeddings at random with the mean and spread of the known ones, and freezes everything else behind low-rank adapters.
#
# The model of this repository has read meta-tokens before. That does not help much here: the embeddings of all meta-tokens are drawn anew, as for any other model.

# %%
from metatok.reader.finetune import Finetuning
from metatok.reader.finetune_data import from_dict

config = from_dict(
    {
        "tasks": ["tree"],
        "largest": 0.0,  # small trees
        "meta_tokens": META_TOKENS,
        "rank": 16,
        "adapter_lr": 5e-4,  # small steps for what the model can do already
        "embedding_lr": 3e-2,  # large ones for rows that start as noise
        "expand_share": 0.0,
        "tokens": TOKENS,
        "warmup_steps": 10,
        "batch_tokens": 1024,
        "evaluate_prompts": HELD_OUT,
    }
)
scratch = tempfile.TemporaryDirectory()  # goes with this notebook
folder = Path(scratch.name)
run = Finetuning(base, config, folder / "run")

# %%
total = sum(p.numel() for p in run.model.parameters())
parts = {"adapters": "lora_", "embeddings of new tokens": "trainable_tokens"}
counts = {part: sum(p.numel() for name, p in run.trained.items() if word in name) for part, word in parts.items()}
table = pd.DataFrame({"weights": counts | {"frozen": total - sum(counts.values())}})
table.assign(share=(table.weights / total).map("{:.1%}".format))

# %% [markdown]
# ## 3. Training
#
# Eight stops on the way, to ask about prompts that training never draws: how many answers are exact?

# %%
run.log(held_out=run.evaluate())
for share in np.linspace(0, 1, 3 if FAST else 9)[1:]:
    while run.tokens < share * config.tokens:
        run.step()
    run.log(held_out=run.evaluate())
run.export()
print(f"{run.steps:,} steps, {run.tokens:,} tokens")

# %%
log = pd.DataFrame([json.loads(line) for line in (folder / "run" / "log.jsonl").open()])
curve = pd.concat(
    [log.tokens, pd.DataFrame(log.held_out.tolist()).rename(columns=lambda n: n.removeprefix("tree/"))], axis=1
)
figure = px.line(
    curve.melt("tokens", ["raw", "ltsc", "inline"], "prompt"),
    x="tokens",
    y="value",
    color="prompt",
    color_discrete_map=COLORS,
    markers=True,
    labels={"value": "exact answers on held-out trees, %", "tokens": "tokens trained on"},
)
show(figure.update_yaxes(rangemode="tozero"))

# %% [markdown]
# **What to see:** at 0 tokens the model reads raw prompts as it always did, and compressed ones as far as it can without knowing any meta-token. The distance between the grey line and the others is what there is to learn. Where the grey line falls, training costs something of what the model could: smaller steps, or more raw prompts (`compressed_share`), keep it. Before and after:

# %%
ends = curve.iloc[[0, -1]].set_index("tokens")[["raw", "ltsc", "inline"]].T
ends.columns = [f"after {int(tokens):,} tokens, %" for tokens in ends.columns]
ends

# %% [markdown]
# ## 4. Save and load
#
# `run.export()` wrote a folder: the adapter and the tokenizer with its new tokens. The base model is not in it, only its name.

# %%
saved = folder / "run" / "adapter"
pd.Series({path.name: path.stat().st_size for path in sorted(saved.iterdir())}, name="bytes").to_frame()

# %% [markdown]
# metatok loads it as a reader. The adapter is added to the base model's weights, so what answers is a plain model of transformers.

# %%
reader = Reader.from_pretrained(saved)
print(
    type(reader.model).__name__,
    f"{reader.model.num_parameters():,} weights,",
    reader.tokenizer.meta_tokens,
    "meta-tokens",
)

# %% [markdown]
# Without metatok it works, too, as long as somebody has made the ids: `peft` alone gives the same model.

# %%
import torch
from peft import AutoPeftModelForCausalLM

plain = AutoPeftModelForCausalLM.from_pretrained(saved, dtype=torch.float32)
prompt, asked = reader.prepare(sample.prompt, "inline"), reader.question(sample.question)
ids = torch.tensor([[*reader.marks.front, *prompt.ids, *asked]])
with torch.inference_mode():
    theirs = plain(input_ids=ids).logits
    ours = reader.model(inputs_embeds=reader.embed(prompt, asked)).logits
print(f"largest difference of two logits: {(theirs - ours).abs().max():.1e}, of logits up to {theirs.abs().max():.0f}")

# %% [markdown]
# ## 5. Ask
#
# New trees, and for each the raw and the compressed prompt.

# %%
rows = []
for s in islice(samples(tree, seed=3, seen=False, size=0.0), 5):
    raw, inline = reader.ask(s.prompt, s.question), reader.ask(s.prompt, s.question, "inline")
    rows.append((s.question, s.written, raw.read(), inline.read(), raw.statistics.tokens, inline.statistics.tokens))
pd.DataFrame(rows, columns=["question", "answer", "said, raw", "said, inline", "tokens, raw", "tokens, inline"])

# %% [markdown]
# The command line knows it as well: `metatok ask FILE "parent of NAME" --method inline --reader RUN/adapter`, and `metatok evaluate --task tree --reader RUN/adapter` measures it with intervals and against lossy prompts.
#
# ## 6. A model of the Hub, a GPU
#
# The same as one command, which resumes where it stopped:
#
# ```sh
# metatok train --base-model HuggingFaceTB/SmolLM2-360M metatok/reader/finetune.toml RUN
# torchrun --standalone --nproc-per-node 2 -m metatok.reader.finetune --base-model ID metatok/reader/finetune.toml RUN   # two GPUs
# ```
#
# What to change:
#
# - **The name.** Any causal language model whose output layer has no bias and whose tokenizer is a fast one. It is downloaded once, then found in the cache. In this notebook: `BASE`.
# - **The size of the run.** `metatok/reader/finetune.toml` says 20 million tokens, rank 16, 256 meta-tokens and both tasks, with prompts of full size. Leave `largest` out. `adapter_lr` and `embedding_lr` have defaults that are smaller than here: a large model needs small steps, and its embeddings are mostly smaller numbers.
# - **The GPU.** Nothing. Where there is one it is used, with products in bfloat16. `batch_tokens` is what to lower where memory is short.
# - **How well it read before.** A pretrained model has learned to copy long ago, which the model here had to be trained for; what remains to be learned is what a meta-token stands for.
#
# ## To take away
#
# - New tokens at the end of the vocabulary, adapters, and the new embeddings: everything else stays as it was, and raw prompts are still read.
# - What you keep is small, and is loaded by `Reader`, by `metatok ask`, or by peft alone.
# - Meta-tokens are drawn at random for each prompt. A model cannot learn their meaning, only to look it up, and that is why it works for any phrase.
