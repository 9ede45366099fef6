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
# # Train a reader
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/your-name/metatok/blob/main/notebooks/03_train_a_reader.ipynb) [![Open the Space](https://huggingface.co/datasets/huggingface/badges/resolve/main/open-in-hf-spaces-sm.svg)](https://huggingface.co/spaces/your-name/metatok)
#
# No model knows what a meta-token means before it has learned to look it up. Here you make the data that teach it, train a model of 0.8 million weights from nothing and watch it learn, then open the reader that comes with metatok and find the attention heads that jump from a meta-token to its phrase.
#
# **Time:** about five minutes on two cores, three of them training. No GPU, no network.

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

# %%
import json
import random
import tempfile
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.express as px
import torch

import metatok
from metatok.tasks.base import get, samples
from metatok.views.notebook import COLORS, show

TOKENS = 40_000 if FAST else 700_000  # to train on
TEXTS = 200 if FAST else 1_000  # for the tokenizer
TREES = 3 if FAST else 12  # whose attention is looked at
QUESTIONS = 4 if FAST else 24  # for the reader that comes with metatok

# %% [markdown]
# ## 1. The data
#
# The task draws a tree with made-up names, writes it down in one of three ways, and asks about it. The answer comes from the tree. Here is the smallest kind of tree that there is.

# %% tags=["same"]
tree = get("tree")
drawn = tree.draw(random.Random(8), size=0.0, questions=5)
print(drawn[0].prompt)

# %% tags=["same"]
pd.DataFrame([(s.kind, s.question, s.written) for s in drawn], columns=["kind", "question", "answer"])

# %% [markdown]
# All answers but *yes*, *no* and numbers are **copied**: find in the prompt what the question names, write what stands beside it. Those three come after the path that they are read from, which the model writes first: with its few layers it can count what it has written, but hardly what it only looks at. Names are new in each prompt, so there is nothing to know by heart.
#
# A model this small gets a tokenizer of its own, with 256 meta-tokens behind its words.

# %%
from metatok.reader.bpe import save_tokenizer, texts, train_bpe

scratch = tempfile.TemporaryDirectory()  # goes with this notebook
folder = Path(scratch.name)
corpus = texts(seed=0, prompts=TEXTS, code_characters=0)
save_tokenizer(train_bpe(corpus, vocab_size=1200), folder / "run" / "tokenizer")
tokenizer = metatok.MetaTokenizer.from_pretrained(folder / "run" / "tokenizer", local_only=True)
print(f"{tokenizer.vocab_size:,} tokens, then {tokenizer.meta_tokens} meta-tokens and two marks")

# %% [markdown]
# An example is one prompt, raw or compressed, with questions that are never compressed. `<|m…|>` are meta-tokens, and which ones is drawn at random each time: a name for a phrase must not mean anything by itself.

# %%
from metatok.reader.config import DataConfig
from metatok.reader.data import make_example

examples = {
    form or "raw": make_example(tokenizer, drawn[:1], DataConfig(), random.Random(0), form)
    for form in (None, "ltsc", "inline")
}
for form, example in examples.items():
    print(f"── {form}, {len(example.ids)} tokens\n{tokenizer.hf.decode(example.ids)}\n")

# %% [markdown]
# The loss looks at the answer, and a little at the prompt. These are the tokens that it looks at most:

# %%
example = examples["inline"]
tokenizer.hf.convert_ids_to_tokens(example.ids[example.weight >= 1].tolist())

# %% [markdown]
# ## 2. Training
#
# A Llama of three layers. Left alone it would spend millions of tokens on discovering how to copy, so its first two layers start with heads that already look back and match (`metatok.reader.mimetic`); what to match, when, and what to write is what it has to learn. `Run` is what `metatok train` runs. It computes in bfloat16 where the processor is fast at that, else in float32.

# %%
from metatok.reader.config import from_dict
from metatok.reader.train import Run

config = from_dict(
    {
        "compile": False,  # which pays in longer runs
        "threads": min(2, torch.get_num_threads()),
        "evaluate_prompts": 4 if FAST else 30,
        "model": {"layers": 3, "width": 128, "heads": 4, "inner": 256},
        "data": {"largest": 0.0, "questions": 12, "batch_tokens": 1024, "expand_share": 0.0},
        "optimizer": {"tokens": TOKENS, "warmup_steps": 20, "muon_lr": 4e-3, "adam_lr": 4e-3},
    }
)
run = Run(config, folder / "run")
weights = sum(p.numel() for p in run.model.parameters())
print(f"{weights:,} weights, {str(run.dtype).removeprefix('torch.')}")

# %% [markdown]
# Train, and stop ten times to ask about trees that training never draws. `run.train()` would do the same by the clock, with checkpoints.

# %%
run.log(held_out=run.evaluate())
for share in np.linspace(0, 1, 3 if FAST else 11)[1:]:
    losses = []
    while run.progress < share:
        losses.append(run.step().item())
    run.log(loss=np.mean(losses), held_out=run.evaluate())
run.save()
print(f"{run.steps:,} steps, {run.tokens:,} tokens")

# %% [markdown]
# ## 3. Watching it learn
#
# The run has kept a log. How much of it is learning? A reader that always says the commonest answer to its kind of question needs no prompt at all; what that is worth is the dotted line.

# %%
log = pd.DataFrame([json.loads(line) for line in (folder / "run" / "log.jsonl").open()])
curve = pd.concat([log.tokens, pd.DataFrame(log.held_out.tolist())], axis=1)

asked = pd.DataFrame(
    [(s.kind, s.written) for s in islice(samples(tree, seed=1, size=0.0), 2000)], columns=["kind", "answer"]
)
commonest = asked.groupby("kind").answer.agg(lambda answers: 100 * answers.value_counts(normalize=True).iloc[0])
without_reading = commonest.mean()
commonest.round(1).rename("right without reading, %").to_frame()

# %%
figure = px.line(
    curve.melt("tokens", ["raw", "ltsc", "inline"], "prompt"),
    x="tokens",
    y="value",
    color="prompt",
    color_discrete_map=COLORS,
    markers=True,
    labels={"value": "exact answers on held-out trees, %", "tokens": "tokens trained on"},
)
figure.add_hline(without_reading, line_dash="dot", annotation_text="without reading", annotation_position="top left")
show(figure.update_yaxes(rangemode="tozero"))

# %% [markdown]
# **What to see:** where a line leaves the dotted one, the model has begun to read. Look whether the compressed forms follow the raw one, and how far behind. By kind of question, after the last step:

# %%
last = curve.iloc[-1]
kinds = pd.DataFrame(
    [
        {"kind": kind, "prompt": form, "exact": last[f"{form}/{kind}"]}
        for kind in commonest.index
        for form in ("raw", "ltsc", "inline")
    ]
)
figure = px.bar(
    kinds,
    x="kind",
    y="exact",
    color="prompt",
    barmode="group",
    color_discrete_map=COLORS,
    labels={"exact": "exact answers on held-out trees, %", "kind": "kind of question"},
)
line = {"symbol": "line-ew", "size": 90, "line": {"color": COLORS["bound"], "width": 2}}
figure.add_scatter(x=commonest.index, y=commonest, mode="markers", name="without reading", marker=line)
show(figure.update_yaxes(range=[0, 100]))

# %% [markdown]
# **What to see:** the black lines are what no reading gets. A bar above its line is copying or counting that was learned. Names are several tokens long, and one wrong token makes an answer wrong.
#
# The trained model is a reader like any other: written to a folder, loaded, asked.

# %%
from metatok.reader import Reader
from metatok.reader.export import export

export(folder / "run", folder / "reader")
small = Reader.from_pretrained(folder / "reader")
pd.DataFrame(
    [
        (
            s.question,
            s.written,
            small.ask(s.prompt, s.question).read(),
            small.ask(s.prompt, s.question, "inline").read(),
        )
        for s in tree.draw(random.Random(9), size=0.0, questions=5, seen=False)
    ],
    columns=["question", "answer", "reader, raw", "reader, inline"],
)

# %% [markdown]
# ## 4. Where a reader looks
#
# Now the reader that comes with metatok, the same kind of model trained for longer on larger trees. It is a plain Llama, so transformers gives its attention. A tree is compressed by `ltsc`, whose dictionary stands in front: `<dict> m₁ phrase m₂ phrase … </dict> body`.

# %%
reader = Reader.from_pretrained()
reader.model.set_attn_implementation("eager")  # the one that returns its attention
codec = reader.tokenizer.using(method="ltsc").codec
print(f"{reader.model.num_parameters():,} weights, {reader.model.config.num_hidden_layers} layers")


# %%
from metatok.reader.data import moved, phrase_rows
from metatok.reader.generate import Prompt


def attention(model, embedded):
    """Of every head, from each position to each: shape (layers, heads, t, t)."""
    with torch.inference_mode():
        maps = model(inputs_embeds=embedded, output_attentions=True).attentions
    return np.stack([layer[0].float().cpu().numpy() for layer in maps])


def places(compressed):
    """Where meta-tokens stand in the body, and which positions hold which phrase in the dictionary."""
    ids, defines = compressed.ids, compressed.defines
    body = np.flatnonzero((defines == -1) & np.isin(ids, list(compressed.phrases)))
    return body, np.where(ids == defines, -1, defines)  # the entry's head is not the phrase


# %% [markdown]
# For each meta-token in the body: which share of a head's attention lies on its own phrase? To compare: on another phrase of the same dictionary? A head that looks meta-tokens up has much of the first and little of the second. It may also find an earlier use of the meta-token in the body, and look at what came after that.


# %%
def looked_up(maps, compressed, first):
    """Mean attention from the body's meta-tokens, three of (layers, heads): to their own phrase, to one other phrase,
    and to what follows an earlier use."""
    maps, ids = maps[:, :, first:, first:], compressed.ids
    body, phrase = places(compressed)
    any_phrase = np.isin(phrase, list(compressed.phrases))
    found = []
    for i in body:
        mine = phrase == ids[i]
        own = maps[:, :, i, mine].sum(-1)
        other = maps[:, :, i, any_phrase & ~mine].sum(-1) / (len(compressed.phrases) - 1)
        earlier = [j + 1 for j in body if j < i and ids[j] == ids[i]]
        found.append([own, other, maps[:, :, i, earlier].sum(-1)])
    return np.mean(found, axis=0, dtype=float)


def compress(sample):
    """The tree as the reader sees it, and where its phrases stand."""
    compressed = codec.compress(reader.tokenizer.encode(sample.prompt), seed=1)
    return compressed, Prompt(compressed.ids.astype(np.int64), phrase_rows(compressed), compressed.original_length)


def over_trees(model, embed):
    """`looked_up`, averaged over trees that training never drew."""
    found = []
    for sample in islice(samples(tree, seed=5, seen=False), TREES):
        compressed, prompt = compress(sample)
        found.append(looked_up(attention(model, embed(prompt)), compressed, len(reader.marks.front)))
    return np.mean(found, axis=0, dtype=float)


own, other, earlier = over_trees(reader.model, reader.embed)


# %%
def heads(values, title):
    figure = px.imshow(
        100 * values,
        text_auto=".0f",
        zmin=0,
        zmax=100,
        color_continuous_scale=[[0, "white"], [1, COLORS["inline"]]],
        labels={"x": "head", "y": "layer", "color": "% of<br>attention"},
        title=title,
    )
    show(figure.update_xaxes(dtick=1, showgrid=False).update_yaxes(dtick=1, showgrid=False), width=520, height=330)


heads(own, "To the meta-token's own phrase")
heads(other, "To one other phrase")

# %% [markdown]
# **What to see:** a dark square in the first picture whose twin in the second is pale. Those heads look meta-tokens up; the others do something else. In numbers:

# %%
ranking = pd.DataFrame(
    [
        {
            "layer": layer,
            "head": head,
            "own phrase, %": 100 * own[layer, head],
            "another, %": 100 * other[layer, head],
            "after an earlier use, %": 100 * earlier[layer, head],
        }
        for layer, head in np.ndindex(own.shape)
    ]
).sort_values("own phrase, %", ascending=False)
ranking.head(5).round(1)

# %% [markdown]
# Here is the first of them on one tree: a row for each meta-token of the body, a column for each token of the dictionary.

# %%
layer, head = map(int, ranking.iloc[0][["layer", "head"]])
some = (compress(sample) for sample in samples(tree, seed=6, seen=False, size=0.3))
compressed, prompt = next(c for c in some if 40 <= c[0].dictionary_length <= 60)  # which fits into a picture
first = len(reader.marks.front)
maps = attention(reader.model, reader.embed(prompt))[layer, head, first:, first:]

body, phrase = places(compressed)
names = [reader.tokenizer.hf.decode([i]).replace("\n", "⏎") for i in compressed.ids.tolist()]
columns = np.arange(compressed.dictionary_length)
figure = px.imshow(
    100 * maps[np.ix_(body, columns)],
    zmin=0,
    zmax=100,
    aspect="auto",
    color_continuous_scale=[[0, "white"], [1, COLORS["inline"]]],
    labels={"x": "token of the dictionary", "y": "meta-token in the body", "color": "% of<br>attention"},
    title=f"Layer {layer}, head {head}",
)
figure.update_xaxes(
    tickvals=columns, ticktext=[names[i] for i in columns], tickangle=-90, showgrid=False, tickfont_size=9
)
figure.update_yaxes(tickvals=np.arange(len(body)), ticktext=[names[i] for i in body], showgrid=False, tickfont_size=9)
for row, i in enumerate(body):
    mine = np.flatnonzero(phrase == compressed.ids[i])
    figure.add_shape(
        type="rect",
        x0=mine[0] - 0.5,
        x1=mine[-1] + 0.5,
        y0=row - 0.5,
        y1=row + 0.5,
        line={"color": COLORS["lossy"], "width": 1},
    )
show(figure, width=900, height=560)

# %%
inside = np.mean([maps[i, phrase == compressed.ids[i]].sum() for i in body])
most = maps[body].argmax(1)  # where each looks most
own_phrase = np.mean([phrase[j] == compressed.ids[i] for i, j in zip(body, most, strict=True)])
its_start = np.mean(
    [compressed.ids[j - 1] == compressed.ids[i] and phrase[j] >= 0 for i, j in zip(body, most, strict=True)]
)
print(f"{len(body)} meta-tokens in the body: {inside:.0%} of this head's attention lies in the orange boxes;")
print(f"{own_phrase:.0%} of them look most at their own phrase, {its_start:.0%} at its first token.")

# %% [markdown]
# **What to see:** each orange box is where a meta-token's phrase is written down. Blue inside a box is a look-up; blue outside is attention that went elsewhere, and what a row lacks to 100 % lies in the body. A head that copies what followed last time has nothing to look up once the meta-token has been used.
#
# Did training make these heads? The initialisation wrote some of them: "find where I stood before, look at what followed" finds a meta-token's entry in the dictionary, too. The same measure on a model of this shape that has been initialised and not trained:

# %%
from metatok.reader.config import ModelConfig
from metatok.reader.export import to_llama
from metatok.reader.mimetic import initialise
from metatok.reader.model import LeanLlama

shape = reader.model.config
fresh = LeanLlama(
    ModelConfig(
        layers=shape.num_hidden_layers,
        width=shape.hidden_size,
        heads=shape.num_attention_heads,
        inner=shape.intermediate_size,
        rope_theta=shape.rope_parameters["rope_theta"],
    ),
    shape.vocab_size,
)
initialise(fresh, torch.Generator().manual_seed(0))
untrained = to_llama(fresh)
untrained.set_attn_implementation("eager")


def embed(prompt):
    ids = torch.tensor([[*reader.marks.front, *prompt.ids]])
    return fresh.embed(ids, torch.from_numpy(moved(prompt.phrases, len(reader.marks.front)))).detach()


before = over_trees(untrained, embed)[0]
table = ranking.head(5).assign(
    **{"before training, %": [float(100 * before[int(r.layer), int(r.head)]) for r in ranking.head(5).itertuples()]}
)
table.round(1)

# %% [markdown]
# **What to see:** where the last column is about as large as *own phrase*, the head was there from the start and training kept it. Where it is smaller, training made the head look.
#
# ## 5. Ask the reader
#
# Trees as large as the reader was trained on, with names it has never met, raw and compressed. How often it is right, with intervals and against lossy compression, is the next notebook's matter.

# %%
from metatok.reader.batch import answers

picked = list(islice(samples(tree, seed=7, seen=False), QUESTIONS))
table = pd.DataFrame(index=["raw", "ltsc", "inline"], columns=["tokens, mean", "right", "of"])
for form in table.index:
    prompts = [reader.prepare(s.prompt, None if form == "raw" else form) for s in picked]
    said = answers(reader, list(zip(prompts, [s.question for s in picked], strict=True)), max_new_tokens=64)
    right = sum(tree.score(a, s.answer)["exact_match"] for a, s in zip(said, picked, strict=True))
    table.loc[form] = [np.mean([len(p.ids) for p in prompts]).round(), int(right), len(picked)]
table

# %%
sample = picked[0]
print(sample.prompt[:400], "…", sep="\n")
print("\n?", sample.question, "\n=", sample.written)
for method in (None, "inline"):
    answer = reader.ask(sample.prompt, sample.question, method)
    said = answer.read()
    print(f"{method or 'raw'}, {answer.statistics.tokens} tokens: {said}")

# %% [markdown]
# ## To take away
#
# - The data are drawn on the fly: any prompt, any method, meta-tokens at random, the question raw.
# - Reading a meta-token is matching and copying, what induction heads do; starting with such heads is why minutes are enough to see something.
# - To train a larger reader: `metatok train metatok/reader/tree.toml FOLDER` on a CPU, `reader.toml` on a GPU; it resumes where it stopped.
