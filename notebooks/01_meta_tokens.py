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
# # 1 · Meta-tokens: say it once
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/your-name/metatok/blob/main/notebooks/01_meta_tokens.ipynb) [![Open the Space](https://huggingface.co/datasets/huggingface/badges/resolve/main/open-in-hf-spaces-sm.svg)](https://huggingface.co/spaces/your-name/metatok)
#
# A prompt says many things more than once. Give each repeated phrase a new token of its own, a *meta-token*, write
# the phrase down one time, and the prompt gets shorter while nothing is lost. This notebook does it by hand on twenty
# tokens, finds the rule for when a phrase pays, and then lets four methods loose on logs, JSON and Python's own
# sources. At the end you can say how many tokens a phrase of N tokens with K occurrences saves, why the place where
# it is written down matters, and how far from the best possible the result is.
#
# It takes about a minute on a laptop and needs no network. The next one, `02_compute.ipynb`, is about what the
# saved tokens are worth.

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
import argparse
import asyncio
import inspect
import json
import typing
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.express as px
import plotly.graph_objects as go

import metatok
from metatok import reference
from metatok.repeats import Repeats, find_repeats, number_symbols
from metatok.summary import phrase_saving
from metatok.views.notebook import COLORS, show
from metatok.views.strips import strips_figure

ASSETS = Path("../assets")

# %% [markdown]
# ## Twenty tokens by hand
#
# The codec sees integers and nothing else. Here every word is a token, and its id is its place in a vocabulary of eight.

# %% tags=["same"]
words = "the cat sat on the mat ; the dog sat on the mat ; the cow sat on the mat".split()
vocabulary = sorted(set(words), key=words.index)
ids = [vocabulary.index(word) for word in words]
print(len(ids), "tokens:", ids)

# %% [markdown]
# **Find.** Which phrases occur more than once? A phrase counts with all the places where it stands, and we ask only
# for those that lose a place when the word to their right is added: *sat on the* occurs three times, but so does
# *sat on the mat*, so the shorter one is never the better choice. The plain twin of the engine,
# `metatok.reference`, lists them.


# %% tags=["same"]
def spelled(symbols):
    return " ".join(vocabulary[s] for s in symbols)


repeated = reference.right_maximal(ids, walls=set())
table = pd.DataFrame(
    {
        "phrase": [spelled(phrase) for phrase in repeated],
        "N": [len(phrase) for phrase in repeated],
        "K": [len(reference.without_overlap(p, len(phrase), set())) for phrase, p in repeated.items()],
    }
)
table

# %% [markdown]
# **Count.** Written out, K occurrences of N tokens take N·K tokens. With meta-token `m` instead, each occurrence takes
# one, and the phrase has to stand somewhere so that a reader knows what `m` means:
#
# * in a **dictionary** in front, as `m sat on the mat`: 1 + N, and then K in the text. Together 1 + N + K.
# * **inline**, where it is used first: the first `m` is followed by its phrase, every later one stands alone.
#   The first use *is* the definition: N + K.

# %% tags=["same"]
table["written out"] = table.N * table.K
table["dictionary"] = 1 + table.N + table.K
table["inline"] = table.N + table.K
table["saved, dictionary"] = table["written out"] - table["dictionary"]
table["saved, inline"] = table["written out"] - table["inline"]
table.sort_values("saved, inline", ascending=False, ignore_index=True)

# %% [markdown]
# The best single phrase is *sat on the mat*. **Replace** it, **write it down**, and twenty tokens are:

# %% tags=["same"]
phrase = ["sat", "on", "the", "mat"]
text = " ".join(words)
first, rest = text.split(" ".join(phrase), 1)
by_hand = (first + "m " + " ".join(phrase) + rest.replace(" ".join(phrase), "m")).split()
print(len(by_hand), "tokens:", " ".join(by_hand))

# %% [markdown]
# ### What the four methods make of it
#
# The methods differ in which phrases they choose and where they write them down.
#
# | method | which phrases | where they are written |
# | --- | --- | --- |
# | `ltsc` | the paper's: the longest first, whatever pays | dictionary in front |
# | `flat` | the biggest saving first | dictionary in front |
# | `nested` | as `flat`, but a phrase may contain meta-tokens | dictionary in front |
# | `inline` | as `nested` | at the first use |


# %% tags=["same"]
def spell(codec, compressed_ids):
    names = {codec.dict_open: "dict", codec.dict_close: "end"}  # its two marks, <dict> and </dict>
    return [
        vocabulary[i] if i < codec.vocab_size else names.get(i) or f"m{i - codec.first_meta}"
        for i in compressed_ids.tolist()
    ]


by_method = {}
for method in metatok.METHODS:
    codec = metatok.Codec(vocab_size=len(vocabulary), meta_tokens=None, method=method)
    by_method[method] = codec.compress(ids)
    print(f"{method:7}{len(by_method[method]):3}  {' '.join(spell(codec, by_method[method].ids))}")


# %%
def phrase_of(compressed, codec):
    """The number of the meta-token that each compressed id is, or whose definition it belongs to; negative: none."""
    return np.where(compressed.ids >= codec.first_meta, compressed.ids, compressed.defines) - codec.first_meta


rows = {"raw": (words, by_method["inline"].owner - codec.first_meta)}
for method, compressed in by_method.items():
    rows[method] = (spell(codec, compressed.ids), phrase_of(compressed, codec))
show(strips_figure(rows), height=330)

# %% [markdown]
# **What to see.** A box is a token, grey where no phrase is involved, coloured where a meta-token stands or its phrase
# is written; the raw prompt is coloured as `inline` sees it. `ltsc` takes the longest phrase first, *sat on the mat ; the*, which occurs only twice, and has nothing
# left for the third *sat on the mat*: it saves a single token. `flat` takes the better phrase. `inline` saves the
# dictionary's marks, and one phrase contains the other: *m1* is *m2 ; the*, and *m2* is *sat on the mat*.
#
# How does the reader know how many tokens after the first *m1* belong to it? By its number: the pool of meta-tokens is
# divided by phrase length once and for all, so a sequence needs no marks.

# %% tags=["same"]
from metatok.pool import phrase_length

pd.DataFrame({"meta-token": [f"m{m}" for m in range(8)], "tokens that follow": [phrase_length(m) for m in range(8)]}).T

# %% [markdown]
# Reading undoes writing, exactly:

# %% tags=["same"]
codec = metatok.Codec(vocab_size=len(vocabulary), meta_tokens=None, method="inline")
restored = codec.decompress(by_method["inline"].ids)
print(spelled(restored) == text, "—", spelled(restored))

# %% [markdown]
# ## When does a phrase pay?
#
# Saved is what was written out less what is written now:
#
# $$N K - (1 + N + K) > 0 \iff (N-1)(K-1) > 2 \qquad\text{(dictionary)}$$
#
# $$N K - (N + K) > 0 \iff (N-1)(K-1) > 1 \qquad\text{(inline)}$$
#
# because $(N-1)(K-1) = NK - N - K + 1$. A pair of tokens has to occur four times to pay in a dictionary, three times
# inline; a phrase that occurs twice has to be four tokens long, or three. The dictionary has two marks besides,
# `<dict>` and `</dict>`, once a prompt.
#
# Is that what the codec does? For each N and K, a sequence in which a phrase of N tokens stands K times, parted by
# tokens that occur once:

# %%
BIGGEST = 6 if FAST else 8  # inline has meta-tokens for every length to 8; a phrase of 9 costs a token more


def saved(n, k, method):
    phrase = list(range(n))
    sequence = [s for i in range(k) for s in (*phrase, 100 + i)]
    return len(sequence) - len(metatok.Codec(1000, None, method).compress(sequence))


sizes = range(2, BIGGEST + 1)
measured = {method: [[saved(n, k, method) for n in sizes] for k in sizes] for method in ("flat", "inline")}

# %%
from plotly.subplots import make_subplots

figure = make_subplots(1, 2, subplot_titles=["dictionary in front (flat)", "inline"], shared_yaxes=True)
n = np.linspace(1.5, BIGGEST + 0.5, 200)
for column, (method, break_even) in enumerate({"flat": 2, "inline": 1}.items(), 1):
    figure.add_heatmap(
        x=list(sizes), y=list(sizes), z=measured[method], text=measured[method], texttemplate="%{text}",
        colorscale=[[0, "#f4f4f6"], [1, COLORS["inline"]]], zmin=0, zmax=55, showscale=False, xgap=2, ygap=2,
        row=1, col=column,
    )  # fmt: skip
    figure.add_scatter(
        x=n, y=1 + break_even / (n - 1), mode="lines", line={"color": COLORS["lossy"], "width": 3}, row=1, col=column,
        name="break-even: nothing won or lost by the phrase", showlegend=column == 1,
    )  # fmt: skip
figure.update_xaxes(title="N, tokens of the phrase", dtick=1, range=[1.5, BIGGEST + 0.5], showgrid=False)
figure.update_yaxes(dtick=1, range=[1.5, BIGGEST + 0.5], showgrid=False)
figure.update_yaxes(title="K, occurrences", col=1)
figure.update_layout(legend={"y": -0.2, "yanchor": "top"})
show(figure, height=460)

# %% [markdown]
# **What to see.** Each number is the tokens that the codec saved on that sequence. Below the orange curve a phrase costs
# more than it saves, and the codec leaves the sequence alone: 0. On the left the two marks have to be earned as well,
# so the zeros reach a little beyond the curve. Far from it a phrase of N tokens with K occurrences saves nearly N·K.
#
# In numbers, every cell against the formula:

# %% tags=["same"]
wrong = 0
for i, k in enumerate(sizes):
    for j, n_tokens in enumerate(sizes):
        marks = 2
        wrong += measured["flat"][i][j] != max(phrase_saving(n_tokens, k, inline=False) - marks, 0)
        wrong += measured["inline"][i][j] != max(phrase_saving(n_tokens, k, inline=True), 0)
print("cells in which codec and formula differ:", wrong)

# %% [markdown]
# ## Real text
#
# Texts made for this repository, and three sources of the Python that runs this notebook; of each the first 8,192
# tokens, as Mistral's Tekken tokenizer makes them. There are as many meta-tokens as pay.

# %%
LIMIT = 2048 if FAST else 8192  # tokens of each text

tokenizer = metatok.MetaTokenizer.from_pretrained("mistral:tekken", meta_tokens=None)
folder = ASSETS / "examples"
texts = {
    entry["file"]: (folder / entry["file"]).read_text() for entry in json.loads((folder / "index.json").read_text())
}
texts["argparse.py"] = inspect.getsource(argparse)
texts["typing.py"] = inspect.getsource(typing)
texts["asyncio/*.py"] = "".join(p.read_text() for p in sorted(Path(asyncio.__file__).parent.glob("*.py")))
tokens = {name: tokenizer.encode(text)[:LIMIT] for name, text in texts.items()}

# %%
rows = []
for name, sequence in tokens.items():
    row = {"text": name, "tokens": len(sequence)}
    for method in metatok.METHODS:
        codec = tokenizer.using(method=method).codec
        compressed = codec.compress(sequence)
        assert np.array_equal(codec.decompress(compressed.ids), sequence)  # exact, every time
        row[method] = compressed.saving
    row["bound"] = 1 - metatok.bound(sequence) / len(sequence)
    rows.append(row)
savings = pd.DataFrame(rows).set_index("text").sort_values("inline")
(100 * savings.drop(columns="tokens")).round(1).assign(tokens=savings.tokens)

# %%
long = savings.drop(columns="tokens").mul(100).reset_index().melt("text", var_name="method", value_name="saved")
figure = px.scatter(
    long, x="saved", y="text", color="method", symbol="method", color_discrete_map=COLORS,
    symbol_map={"bound": "line-ns-open", "ltsc": "circle", "flat": "diamond", "nested": "square", "inline": "star"},
    category_orders={"text": list(savings.index[::-1])},
    labels={"saved": "tokens saved, percent of the raw prompt (the dictionary is counted)", "text": ""},
)  # fmt: skip
figure.update_traces(marker={"size": 11})
figure.update_xaxes(range=[0, 100])
show(figure, height=480)

# %% [markdown]
# **What to see.** The order of the methods is the same on nearly every text: choosing by saving beats choosing by
# length, phrases of phrases help again, and doing without a dictionary helps most. What a text allows differs far
# more: logs and listings shrink to about a third, code by a fifth to a third, prose hardly at all. The black bar is the
# bound that no method of this kind can pass.
#
# The repository's benchmark has the same figures in `assets/results/engine.json`. Do they agree?

# %%
committed = {row["text"]: row for row in json.loads((ASSETS / "results" / "engine.json").read_text())["peers"]["rows"]}
agree = differ = 0
for name, row in savings.iterrows():
    if (folder / name).exists() and row.tokens == committed[name]["tokens"]:
        for method in (*metatok.METHODS, "bound"):
            near = abs(row[method] - committed[name][method]) < 0.0006  # it keeps three digits
            agree, differ = agree + near, differ + (not near)
assert not differ
print(f"{agree} figures agree, {differ} differ")

# %% [markdown]
# ### All the phrases of one log
#
# `find_repeats` finds every repeated phrase of a sequence in O(n log n), from a suffix array. Here are all of a server
# log's, and the ones that `inline` uses.

# %%
log = tokens["server.log"]
symbols, names = number_symbols(log)
repeats = Repeats(*find_repeats(symbols, len(names) - 1, 0))
found = pd.DataFrame({"N": repeats.depth, "K": repeats.hi - repeats.lo + 1})

inline = tokenizer.using(method="inline").codec.compress(log)
kept = pd.DataFrame(
    {"N": [len(p) for p in inline.phrases.values()], "K": [inline.uses[meta] for meta in inline.phrases]}
)
print(f"{len(log):,} tokens, {len(found):,} repeated phrases, {len(kept):,} meta-tokens")

# %%
figure = go.Figure()
counts = found.groupby(["N", "K"]).size().reset_index(name="phrases")
figure.add_scatter(
    x=counts.N, y=counts.K, mode="markers", name="repeated phrases (more of them: larger)", opacity=0.35,
    marker={"color": COLORS["raw"], "size": 4 + 4 * np.log2(counts.phrases)},
)  # fmt: skip
figure.add_scatter(
    x=kept.N, y=kept.K, mode="markers", name="kept by inline", marker={"color": COLORS["inline"], "size": 7}
)
n = np.geomspace(1.6, found.N.max(), 200)
figure.add_scatter(x=n, y=1 + 1 / (n - 1), mode="lines", name="break-even", line={"color": COLORS["lossy"], "width": 3})
ticks = [2, 5, 10, 20, 50, 100, 200]
figure.update_xaxes(type="log", title="N, tokens of the phrase, expanded", tickvals=ticks)
figure.update_yaxes(type="log", title="K, occurrences", tickvals=ticks, range=[0.1, np.log10(found.K.max()) + 0.1])
show(figure, height=460)

# %% [markdown]
# **What to see.** Many phrases repeat, and most of them are parts of one another: a long line that stands there twice
# has hundreds of repeated parts. A greedy choice, the biggest saving first and each time re-checked against what is
# taken already, keeps only a few of them (their number is printed above). Nearly all repeated phrases lie above the break-even, so it is not the
# rule alone that decides, but what is left when better phrases have taken their places.
#
# ### Dictionary against inline
#
# The same log, once with the phrases in front and once with each where it is used first.

# %%
rows = {}
codec = tokenizer.using(method="inline").codec
rows["raw"] = (None, inline.owner - codec.first_meta)
for method in ("ltsc", "nested", "inline"):
    codec = tokenizer.using(method=method).codec
    compressed = codec.compress(log)
    in_definition = np.where(compressed.ids >= codec.first_meta, compressed.ids, compressed.defines)
    rows[method] = (None, in_definition - codec.first_meta)
show(strips_figure(rows), height=300)

# %%
layouts = []
for method in metatok.METHODS:
    compressed = tokenizer.using(method=method).codec.compress(log)
    written = np.flatnonzero(compressed.defines != -1)
    layouts.append(
        {
            "method": method,
            "ids": len(compressed),
            "of them write phrases down": compressed.dictionary_length,
            "meta-tokens": len(compressed.phrases),
            "half of that is written by position": int(np.median(written)),
        }
    )
pd.DataFrame(layouts).set_index("method")

# %% [markdown]
# **What to see.** Each colour is a phrase, and each strip is to the same scale. With a dictionary the first part of
# the prompt is a block of phrases, more than half of the prompt for `ltsc` and `nested`; then comes the text, all
# meta-tokens and single tokens. `inline` reads like the log itself: phrases are written where they come up, and more
# of them early on. The table says it in numbers.

# %% [markdown]
# ## Exact, and never longer
#
# `compress` checks its own result before it returns it. Here are sequences that might break a careless codec, and what
# becomes of them.

# %% tags=["same"]
rng = np.random.default_rng(0)
fibonacci = [[0], [0, 1]]
while len(fibonacci[-1]) < 1000:
    fibonacci.append(fibonacci[-1] + fibonacci[-2])
hard = {
    "nothing": [],
    "one token": [5],
    "a thousand zeros": [0] * 1000,
    "a Fibonacci word": fibonacci[-1],
    "random, 2 symbols": rng.integers(0, 2, 1000),
    "random, 1,000 symbols": rng.integers(0, 1000, 1000),
    "all different": range(1000),
}
rows = []
for name, sequence in hard.items():
    row = {"sequence": name, "tokens": len(sequence)}
    for method in metatok.METHODS:
        codec = metatok.Codec(1000, None, method)
        compressed = codec.compress(sequence)
        assert codec.decompress(compressed.ids).tolist() == list(sequence)
        assert len(compressed) <= len(sequence)
        row[method] = len(compressed)
    rows.append(row)
pd.DataFrame(rows).set_index("sequence")

# %% [markdown]
# Every one came back exactly, and none grew. Text that merely looks like a meta-token is plain text, and what is no
# valid sequence is refused, with its position:

# %% tags=["same"]
looks_like = "<|m0|> is written <|m0|> is written <|m0|> is written"
print(tokenizer.decompress(tokenizer.compress(looks_like).ids) == looks_like)

codec = metatok.Codec(1000, None, "inline")
broken = codec.compress([7, 8, 9, 1, 7, 8, 9, 2, 7, 8, 9]).ids[:3]  # cut off inside a definition
try:
    codec.decompress(broken)
except metatok.FormatError as error:
    print(error)

# %% [markdown]
# ## Where it does not pay
#
# A phrase has to come again before it can be shortened. So short prompts save little, and prose saves little at any
# length.

# %%
lengths = [64, 128, 256, 512, 1024, 2048, 4096, 8192]
shown = ["server.log", "listing.txt", "argparse.py", "chat.txt", "prose.txt"]
codec = tokenizer.using(method="inline").codec
growth = pd.DataFrame(
    [
        {"text": name, "tokens": n, "saved": 100 * codec.compress(tokens[name][:n]).saving}
        for name in shown
        for n in sorted({*(n for n in lengths if n < len(tokens[name])), len(tokens[name])})
    ]
)
figure = px.line(
    growth, x="tokens", y="saved", color="text", markers=True, log_x=True,
    color_discrete_sequence=[COLORS[c] for c in ("inline", "ltsc", "flat", "nested", "raw")],
    labels={"tokens": "length of the prompt, tokens", "saved": "saved by inline, percent"},
)  # fmt: skip
figure.update_xaxes(tickvals=lengths)
figure.update_yaxes(rangemode="tozero")
show(figure)

# %% [markdown]
# **What to see.** Savings grow with the length of the prompt, steeply where the same lines come again and again. At
# 128 tokens only log and listing save anything to speak of. A curve dips where something new begins, as where the log
# comes to its first traceback. Prose stays near zero: a few percent at most. If your prompts are short questions or
# stories, this is not for you, and the codec will hand them through unchanged.
#
# ## How far from the best possible?
#
# An inline sequence is a *straight-line grammar* of the prompt. No such grammar can have fewer symbols than the number
# of LZ77 phrases of the sequence (each the longest stretch that has occurred before, without overlapping itself):
# Rytter 2003, Charikar et al. 2005. `metatok.bound` counts them. The bound itself is seldom reached, and finding the
# smallest grammar is NP-hard, so the best possible lies somewhere between what we reach and the bound.

# %%
rows = []
for name in savings.index:
    sequence = tokens[name]
    row = {"text": name, "bound": savings.bound[name]}
    for method in metatok.METHODS:
        row[method] = savings[method][name] / savings.bound[name]
    strongest = metatok.Codec(tokenizer.vocab_size, None, "inline", effort="max").compress(sequence)
    row["inline, effort max"] = strongest.saving / savings.bound[name]
    rows.append(row)
reached = pd.DataFrame(rows).set_index("text")
reached.drop(columns="bound").mul(100).round(0).astype(int)

# %%
long = reached.drop(columns=["bound", "flat", "nested"]).mul(100).reset_index()
long = long.melt("text", var_name="method", value_name="reached")
figure = px.bar(
    long, x="text", y="reached", color="method", barmode="group",
    color_discrete_map={**COLORS, "inline, effort max": COLORS["flat"]},
    labels={"text": "", "reached": "saved, percent of what the bound allows"},
)  # fmt: skip
figure.update_yaxes(range=[0, 100])
show(figure)

# %% [markdown]
# **What to see.** 100 would be a sequence as short as the bound. `inline` gets most of the way on text that repeats
# much, the paper's rule about half. `effort="max"` searches up to a second longer for another percent or two. Where little
# repeats, as in prose, the bound counts pairs that occur twice, which no grammar can use.

# %% [markdown]
# ## What to remember
#
# * A phrase of N tokens with K occurrences saves NK − N − K tokens inline, one less with a dictionary. It pays when
#   (N − 1)(K − 1) is over 1, or over 2.
# * Biggest saving first beats longest first; phrases of phrases and definition at first use add to it.
# * Nothing is lost, nothing grows, and one call undoes it.
# * The gain is in the text: large for logs, listings and structured data, moderate for code, small for prose.
#
# A model has to learn to read such prompts: `03_train_a_reader.ipynb`.
