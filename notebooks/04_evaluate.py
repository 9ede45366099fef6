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
print("?", sample.question, "\n=", sample.answer)

# %% [markdown]
# The first three say the same: the text can be rebuilt from each. The others have lost something, and whether it matters depends on the question. The question itself is never compressed.
#
# ## 2. The committed results
#
# `metatok evaluate` wrote them: the same prompts in every form, greedy answers, exact match.

# %%
FILES = {"tree": "reader-tree.json", "repo": "reader-repo.json"}
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


def table_of(result):
    rows = pd.DataFrame(result["results"]).T.rename_axis("prompt").reset_index()
    low, high = np.stack(rows.ci95).T
    return pd.DataFrame(
        {
            "prompt": rows.prompt,
            "tokens": rows.tokens.astype(float).round().astype(int),
            "exact, %": 100 * rows.exact_match.astype(float),
            "from": 100 * low,
            "to": 100 * high,
            "prefill, ms": rows.prefill_ms.astype(float).round().astype(int),
        }
    ).round(1)


for task, result in results.items():
    display(Markdown(f"**{task}**, {result['n']} prompts; *from* and *to* are the 95 % interval"))
    display(table_of(result))

# %%
for task, result in results.items():
    table = table_of(result).sort_values(["tokens", "exact, %"], ascending=False)
    table["form"] = [f"{prompt} · {tokens:,.0f}" for prompt, tokens in zip(table.prompt, table.tokens, strict=True)]
    figure = px.scatter(
        table,
        x="exact, %",
        y="form",
        color=table.prompt.map(kind_of),
        error_x=table["to"] - table["exact, %"],
        error_x_minus=table["exact, %"] - table["from"],
        color_discrete_map=COLORS,
        labels={"exact, %": f"exact answers, % ({task})", "form": ""},
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
            "gap": 100 * r["gap"],
            "low": 100 * r["gap_ci95"][0],
            "high": 100 * r["gap_ci95"][1],
        }
        for name, r in result["results"].items()
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
        labels={"gap": f"points of exact match lost against raw ({task})", "prompt": ""},
    )
    figure.update_traces(marker_size=9).add_vline(0, line_dash="dot", line_color=COLORS["raw"])
    show(figure.update_yaxes(categoryorder="array", categoryarray=table.prompt.tolist()[::-1]), height=520)

# %% [markdown]
# **What to see:** at the dotted line nothing is lost. A bar that does not reach the line is a loss that these prompts prove. In words:

# %%
for task, result in results.items():
    for method in ("ltsc", "inline"):
        r, raw = result["results"][method], result["results"]["raw"]
        rivals = {n: x["exact_match"] for n, x in result["results"].items() if n.endswith(f"@{method}")}
        best = max(rivals, key=rivals.get)
        proven = "which is more than chance" if r["gap_ci95"][0] > 0 else "which may be chance"
        print(
            f"{task}, {method}: {r['saving']:.0%} fewer tokens; {100 * r['exact_match']:.1f} % right and raw "
            f"{100 * raw['exact_match']:.1f} %, {proven}. Best lossy of this length: {best.partition('@')[0]}, "
            f"{100 * rivals[best]:.1f} %."
        )

# %% [markdown]
# ## 3. By kind of question, and by length
#
# The files hold the share of right answers in each group. An answer is right or wrong, so the scores behind a share are known, and the same bootstrap as `metatok evaluate` uses gives its interval.

# %%
from metatok.reader.evaluate import bootstrap, mean_and_interval

SHOWN = ["raw", "ltsc", "truncation@ltsc", "inline", "truncation@inline"]


FEWEST = 10  # prompts of a group that is shown


def scores(share, n):
    """n scores, 0 or 1, with this mean."""
    return np.repeat([1.0, 0.0], [round(share * n), n - round(share * n)])


def groups(result, aspect):
    rows = []
    for value, group in result["by"][aspect].items():
        if group["n"] < FEWEST:
            continue
        for form in SHOWN:
            mean, (low, high) = mean_and_interval(scores(group["exact_match"][form], group["n"]), seed=0)
            rows.append(
                {aspect: f"{value}<br>n = {group['n']}", "prompt": form, "exact": mean, "low": low, "high": high}
            )
    return pd.DataFrame(rows)


def bars(table, aspect, label):
    figure = px.bar(
        table,
        x=aspect,
        y=100 * table.exact,
        color="prompt",
        barmode="group",
        error_y=100 * (table.high - table.exact),
        error_y_minus=100 * (table.exact - table.low),
        color_discrete_map={name: COLORS[name.rpartition("@")[2]] for name in SHOWN},
        labels={"y": "exact answers, %", aspect: label},
    )
    figure.for_each_trace(lambda bar: bar.update(marker_opacity=0.4 if "@" in bar.name else 1))
    show(figure.update_traces(error_y_thickness=1, error_y_width=2).update_yaxes(range=[0, 104]))


for task, result in results.items():
    bars(groups(result, "kind"), "kind", f"kind of question ({task})")

# %% [markdown]
# **What to see:** where a cut-off prompt does as well as the raw one, the answer stood at its beginning, or can be guessed (*inside* has two answers). Elsewhere compare `ltsc` and `inline` with the pale bar to the right of each: a prompt cut off to the same length.

# %%
for task, result in results.items():
    bars(groups(result, "prompt_tokens"), "prompt_tokens", f"tokens of the raw prompt ({task})")

# %% [markdown]
# **What to see:** whether accuracy falls with length, and whether it falls faster for compressed prompts. Groups of fewer than ten prompts are left out.
#
# ## 4. Ask yourself
#
# New prompts, of a seed that the committed results did not use, through the same functions. First: are these results of the reader that is loaded here?

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
for task, result in results.items():
    try:
        picked, _ = draw(reader, get(task), PROMPTS, seed=result["seed"] + 1)
    except ValueError as error:  # the task's prompts are code of installed packages, and here are too few
        print(f"{task}: not asked here. {error}")
        continue
    forms = [forms_of(reader, s.prompt, cheap) for s in picked]
    for name in SHOWN:
        asked = [(f[name].prompt, s.question) for f, s in zip(forms, picked, strict=True)]
        said = answers(reader, asked, ANSWER_TOKENS)
        live[task, name] = np.array(
            [get(task).score(a, s.answer)["exact_match"] for a, s in zip(said, picked, strict=True)]
        )
    print(f"{task}: {len(picked)} prompts in {len(SHOWN)} forms")

# %% [markdown]
# Two samples differ by chance. Both are resampled, and the interval is of their difference. Of several comparisons at 95 % one would soon fail by chance, so each is made at 99 %.

# %%
rows = []
for (task, name), now in live.items():
    committed = results[task]["results"][name]
    then = scores(committed["exact_match"], results[task]["n"])
    difference = bootstrap(now[None], seed=1)[0] - bootstrap(then[None], seed=2)[0]
    low, high = np.percentile(difference, (0.5, 99.5))
    mean, interval = mean_and_interval(now, seed=0)
    rows.append(
        {
            "task": task,
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
for task, part in table.groupby("task", sort=False):
    result = results[task]
    intervals = 100 * np.array([result["results"][name]["ci95"] for name in part.prompt])
    both = pd.concat(
        [
            part.assign(value=part["here, %"], low=part["from"], high=part["to"], source=f"here, {PROMPTS} prompts"),
            part.assign(
                value=part["committed, %"],
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
        labels={"value": f"exact answers, % ({task})", "prompt": ""},
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
# ## To take away
#
# - Compare at the same length, on the same prompts, with intervals, or not at all.
# - A lossless prompt can always be checked: `decompress(compress(x)) == x`. Whether a reader understands it has to be measured.
# - The whole evaluation again: `metatok evaluate --task tree --n 1000 --seed 0`.
