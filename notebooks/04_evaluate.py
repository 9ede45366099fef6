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
# # Evaluate
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/your-name/metatok/blob/main/notebooks/04_evaluate.ipynb) [![Open the Space](https://huggingface.co/datasets/huggingface/badges/resolve/main/open-in-hf-spaces-sm.svg)](https://huggingface.co/spaces/your-name/metatok)
#
# Is a compressed prompt still understood, and would the same length have been had more simply by dropping tokens? Here are the committed results of both tasks: raw prompts, prompts compressed without loss, and lossy ones of exactly the same lengths, with intervals, by kind of question and by length. Then you ask the reader yourself, about new prompts, and see whether what you get agrees.
#
# **Time:** about three minutes on two cores. No GPU, no network.

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

import numpy as np
import pandas as pd
import plotly.express as px
from IPython.display import Markdown, display

from metatok.reader import Reader
from metatok.reader.report import RESULTS
from metatok.tasks.base import get
from metatok.views.notebook import COLORS, show

PROMPTS = 4 if FAST else 40  # of each task, that are answered here

# %% [markdown]
# ## 1. What is compared
#
# One small tree in some of the forms. Each is what the reader gets to see; `@inline` and `@ltsc` say whose length a lossy prompt was cut to, to the token.

# %%
from metatok.reader.forms import baselines, forms_of

reader = Reader.from_pretrained()
lossy = baselines(reader, None)  # all but LLMLingua-2, which would have to be downloaded
sample = get("tree").draw(random.Random(55), size=0.25)[0]
forms = forms_of(reader, sample.prompt, lossy)
for name in ("raw", "ltsc", "inline", "truncation@inline", "random@inline", "selective_context@inline"):
    print(f"── {name}, {len(forms[name].prompt.ids)} tokens\n{reader.tokenizer.hf.decode(forms[name].prompt.ids)}\n")
print("?", sample.question, "\n=", sample.written)

# %% [markdown]
# The first three say the same: the text can be rebuilt from each. The others have lost something, and whether it matters depends on the question. The question itself is never compressed.
#
# ## 2. The committed results
#
# `metatok evaluate` wrote them: the same prompts in every form, greedy answers. Answers about trees are right or wrong (exact match). A line of code can be nearly right, so its characters are compared as well: edit similarity, 100 for the same line.

# %%
FILES = {"tree": "reader-tree.json", "repo": "reader-repo.json"}
SCORES = {"tree": "exact_match", "repo": "edit_similarity"}
LABELS = {"tree": "exact answers, %", "repo": "edit similarity, %"}
results = {}
for task, file in FILES.items():
    if (RESULTS / file).exists():
        results[task] = json.loads((RESULTS / file).read_text(encoding="utf-8"))
        print(f"{task}: {results[task]['command']}, {results[task]['date']}, {results[task]['machine']}")
    else:
        print(f"{task}: there is no assets/results/{file}, so this task is left out.")
        print(f"`metatok evaluate --task {task} -o {file}` measures it.")


# %%
def kind_of(form):
    """raw, a method, or lossy: what decides the colour."""
    return "lossy" if "@" in form else form.partition("/")[0]


def of(task, form, what):
    """A number of the task's score: its `value`, `ci95`, `gap` or `gap_ci95`, in percent or points."""
    score = SCORES[task]
    key = score if what == "value" else what if score == "exact_match" else f"{score}_{what}"
    return 100 * np.array(results[task]["results"][form][key])


def table_of(task):
    rows = []
    for form, r in results[task]["results"].items():
        low, high = of(task, form, "ci95")
        rows.append(
            {"prompt": form, "tokens": round(r["tokens"]), LABELS[task]: of(task, form, "value"), "from": low}
            | {"to": high, "exact, %": 100 * r["exact_match"], "prefill, ms": round(r["prefill_ms"])}
        )
    table = pd.DataFrame(rows).astype({LABELS[task]: float}).round(1)
    return table if SCORES[task] != "exact_match" else table.drop(columns="exact, %")


for task, result in results.items():
    display(Markdown(f"**{task}**, {result['n']} prompts; *from* and *to* are the 95 % interval"))
    display(table_of(task))

# %%
for task in results:
    score = LABELS[task]
    table = table_of(task).sort_values(["tokens", score], ascending=False)
    table["form"] = [f"{prompt} · {tokens:,.0f}" for prompt, tokens in zip(table.prompt, table.tokens, strict=True)]
    figure = px.scatter(
        table,
        x=score,
        y="form",
        color=table.prompt.map(kind_of),
        error_x=table["to"] - table[score],
        error_x_minus=table[score] - table["from"],
        color_discrete_map=COLORS,
        labels={score: f"{score} ({task})", "form": ""},
    )
    figure.update_traces(marker_size=9).update_xaxes(rangemode="tozero")
    show(figure.update_yaxes(categoryorder="array", categoryarray=table.form.tolist()[::-1]), height=560)

# %% [markdown]
# **What to see:** the number beside a name is the mean length in tokens, and rows with the same number were cut to the same length, the best first. If a method stands above the lossy rows of its length, compressing beat dropping tokens there; where bars overlap much, so many prompts cannot tell. `/plain` is the paper's form of meta-tokens, without embeddings made of their phrases.
#
# The same prompts were asked in every form, so differences are known better than the bars above suggest. How much is lost against raw:

# %%
for task, result in results.items():
    rows = [
        {
            "prompt": name,
            "kind": kind_of(name),
            "gap": float(of(task, name, "gap")),
            "low": of(task, name, "gap_ci95")[0],
            "high": of(task, name, "gap_ci95")[1],
        }
        for name in result["results"]
        if name != "raw"
    ]
    table = pd.DataFrame(rows)
    figure = px.scatter(
        table,
        x="gap",
        y="prompt",
        color="kind",
        error_x=table.high - table.gap,
        error_x_minus=table.gap - table.low,
        color_discrete_map=COLORS,
        labels={"gap": f"points of {SCORES[task].replace('_', ' ')} lost against raw ({task})", "prompt": ""},
    )
    figure.update_traces(marker_size=9).add_vline(0, line_dash="dot", line_color=COLORS["raw"])
    show(figure.update_yaxes(categoryorder="array", categoryarray=table.prompt.tolist()[::-1]), height=520)

# %% [markdown]
# **What to see:** at the dotted line nothing is lost. A bar that does not reach the line is a loss that these prompts prove. In words:

# %%
for task, result in results.items():
    for method in ("ltsc", "inline"):
        rivals = {n: float(of(task, n, "value")) for n in result["results"] if n.endswith(f"@{method}")}
        best = max(rivals, key=rivals.get)
        proven = "which is more than chance" if of(task, method, "gap_ci95")[0] > 0 else "which may be chance"
        print(
            f"{task}, {method}: {result['results'][method]['saving']:.0%} fewer tokens; {SCORES[task].replace('_', ' ')} "
            f"{of(task, method, 'value'):.1f} % and raw {of(task, 'raw', 'value'):.1f} %, {proven}. "
            f"Best lossy of this length: {best.partition('@')[0]}, {rivals[best]:.1f} %."
        )

# %% [markdown]
# ## 3. By kind of question, and by length
#
# The files hold the mean score of each group. Where an answer is right or wrong, a share of n answers tells how large the true share may be (Jeffreys' interval, which is honest where all of a few answers are right; resampling them would always give 100 %); edit similarities are shown without.

# %%
SHOWN = ["raw", "ltsc", "truncation@ltsc", "inline", "truncation@inline"]


FEWEST = 10  # prompts of a group that is shown


def likely(share, n, seed):
    """10,000 draws of what the true share may be: Beta(right + ½, wrong + ½)."""
    right = round(share * n)
    return np.random.default_rng(seed).beta(right + 0.5, n - right + 0.5, 10_000)


def groups(task, aspect):
    rows = []
    for value, group in results[task]["by"][aspect].items():
        if group["n"] < FEWEST:
            continue
        for form in SHOWN:
            mean = low = high = group[SCORES[task]][form]
            if SCORES[task] == "exact_match":
                low, high = np.percentile(likely(mean, group["n"], seed=0), (2.5, 97.5))
            rows.append(
                {aspect: f"{value}<br>n = {group['n']}", "prompt": form, "mean": mean, "low": low, "high": high}
            )
    return pd.DataFrame(rows)


def bars(task, aspect, label):
    table = groups(task, aspect)
    if table.empty:
        print(f"{task}: no group by {label} has {FEWEST} prompts.")
        return
    figure = px.bar(
        table,
        x=aspect,
        y=100 * table["mean"],
        color="prompt",
        barmode="group",
        error_y=100 * (table.high - table["mean"]),
        error_y_minus=100 * (table["mean"] - table.low),
        color_discrete_map={name: COLORS[name.rpartition("@")[2]] for name in SHOWN},
        labels={"y": LABELS[task], aspect: f"{label} ({task})"},
    )
    figure.for_each_trace(lambda bar: bar.update(marker_opacity=0.4 if "@" in bar.name else 1))
    show(figure.update_traces(error_y_thickness=1, error_y_width=2).update_yaxes(range=[0, 104]))


for task in results:
    bars(task, "kind", "kind of question")

# %% [markdown]
# **What to see:** where a cut-off prompt does as well as the raw one, the answer stood at its beginning, or can be guessed (*inside* has two answers). Elsewhere compare `ltsc` and `inline` with the pale bar to the right of each: a prompt cut off to the same length.

# %%
for task in results:
    bars(task, "prompt_tokens", "tokens of the raw prompt")

# %% [markdown]
# **What to see:** whether accuracy falls with length, and whether it falls faster for compressed prompts. Groups of fewer than ten prompts are left out.
#
# ## 4. Ask yourself
#
# New trees, of a seed that the committed results did not use, through the same functions. (Code prompts are several times as long, and made of the packages that are installed, so they are others on each machine; `metatok evaluate --task repo` asks those.) First: are these results of the reader that is loaded here?

# %%
from metatok.reader.evaluate import described

here = described(reader)
for task, result in results.items():
    same = "the same weights" if result["reader"]["weights"] == here["weights"] else "other weights than here"
    print(f"{task}: {result['reader']['parameters']:,} parameters, {same}")

# %%
from metatok.reader.batch import answers
from metatok.reader.evaluate import ANSWER_TOKENS, draw

cheap = {"truncation": lossy["truncation"]}
live = {}
if "tree" in results:
    picked, _ = draw(reader, get("tree"), PROMPTS, seed=results["tree"]["seed"] + 1)
    forms = [forms_of(reader, s.prompt, cheap) for s in picked]
    for name in SHOWN:
        asked = [(f[name].prompt, s.question) for f, s in zip(forms, picked, strict=True)]
        said = answers(reader, asked, ANSWER_TOKENS)
        live[name] = np.array(
            [get("tree").score(a, s.answer)["exact_match"] for a, s in zip(said, picked, strict=True)]
        )
    print(f"{len(picked)} prompts in {len(SHOWN)} forms")

# %% [markdown]
# Two samples differ by chance. The interval is of the difference of their true shares, drawn as above. Of several comparisons at 95 % one would soon fail by chance, so each is made at 99 %.

# %%
rows = []
for name, now in live.items():
    committed = results["tree"]["results"][name]
    mean, n = now.mean(), results["tree"]["n"]
    difference = likely(mean, len(now), seed=1) - likely(committed["exact_match"], n, seed=2)
    low, high = np.percentile(difference, (0.5, 99.5))
    interval = np.percentile(likely(mean, len(now), seed=0), (2.5, 97.5))
    rows.append(
        {
            "prompt": name,
            "committed, %": 100 * committed["exact_match"],
            "here, %": 100 * mean,
            "from": 100 * interval[0],
            "to": 100 * interval[1],
            "difference from": 100 * low,
            "difference to": 100 * high,
            "compatible": bool(low <= 0 <= high),
        }
    )
table = pd.DataFrame(rows).round(1)
table

# %%
if live:
    result = results["tree"]
    intervals = 100 * np.array([result["results"][name]["ci95"] for name in table.prompt])
    both = pd.concat(
        [
            table.assign(
                value=table["here, %"], low=table["from"], high=table["to"], source=f"here, {PROMPTS} prompts"
            ),
            table.assign(
                value=table["committed, %"],
                low=intervals[:, 0],
                high=intervals[:, 1],
                source=f"committed, {result['n']} prompts",
            ),
        ]
    )
    figure = px.scatter(
        both,
        x="prompt",
        y="value",
        color="source",
        error_y=both.high - both.value,
        error_y_minus=both.value - both.low,
        color_discrete_sequence=[COLORS["bound"], COLORS["inline"]],
        labels={"value": "exact answers, %", "prompt": ""},
    )
    show(
        figure.update_traces(marker_size=9)
        .update_layout(scattermode="group", scattergap=0.8)
        .update_yaxes(range=[0, 104])
    )
    print(f"{table.compatible.sum()} of {len(table)} comparisons are compatible.")

# %% [markdown]
# **What to see:** pairs of bars that overlap. A pair that does not would mean that the committed results are not of this reader, or not of this code.
#
# ## 5. Write it out
#
# The strictest question about a compressed prompt: what does it say, word for word? The reader that answers does not know; weights of their own beside it (`reader.writer`) learned only that. One pass over a prompt and what should be written for it tells whether all of it would be, so the committed shares are of all prompts of the evaluation that leave room for it.

# %%
rows = []
for task, result in results.items():
    for form, r in result["results"].items():
        if "expand_exact" in r:
            low, high = 100 * np.array(r["expand_ci95"])
            row = {"task": task, "prompt": form, "prompts": r["expand_n"], "exact, %": 100 * r["expand_exact"]}
            rows.append(row | {"from": low, "to": high, "tokens right, %": 100 * r["expand_tokens"]})
pd.DataFrame(rows).round(2)

# %% [markdown]
# And for the small tree above, token by token as it comes. What comes is compared with the tree only when all of it is there. The model writes more than the text, a phrase in brackets behind each meta-token; for what follows from its own writing alone, such as an opening bracket, it is not asked.

# %%
for method in ("ltsc", "inline"):
    answer = reader.expand(sample.prompt, method)
    text = answer.read()
    said = "every character is right" if text == sample.prompt else "not every character is right"
    print(f"── {method}: {said}; {answer.statistics.total_seconds:.1f} s\n{text}\n")

# %% [markdown]
# **What to see:** the small tree of the first section again, letter for letter, if nothing went wrong. The longer a prompt, the more chances for one wrong token, so the shares of the table fall with length much faster than the tokens' do: 99.9 % of some hundred right is one wrong in every other prompt.
#
# ## To take away
#
# - Compare at the same length, on the same prompts, with intervals, or not at all.
# - A lossless prompt can always be checked: `decompress(compress(x)) == x`. Whether a reader understands it has to be measured.
# - The whole evaluation again: `metatok evaluate --task tree --n 1000 --seed 4`.
