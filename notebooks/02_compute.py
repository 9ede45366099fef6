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
# # 2 · Compute: what a shorter prompt is worth
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/your-name/metatok/blob/main/notebooks/02_compute.ipynb) [![Open the Space](https://huggingface.co/datasets/huggingface/badges/resolve/main/open-in-hf-spaces-sm.svg)](https://huggingface.co/spaces/your-name/metatok)
#
# The paper says that 27 % fewer tokens save 47 % of the cost. Is that so? Part of it is. This notebook takes the bill
# of a transformer apart: which work grows with the prompt and which with its square, from which length on the square
# matters, what the KV cache takes, and what a provider's prompt cache does to the sum. Then it measures a real model,
# the repository's small reader, against the formulas, and shows what they leave unexplained. At the end you can say
# what a given saving in tokens is worth for your model, your prompt length and your prices, and when compression costs
# more than it saves.
#
# It takes about two minutes on a laptop, most of it for the measurement, and needs no network. What meta-tokens
# are is in `01_meta_tokens.ipynb`.

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
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.express as px

from metatok import compute
from metatok.views.charts import compute_figure
from metatok.views.cost_charts import money_figure
from metatok.views.notebook import COLORS, show

ASSETS = Path("../assets")

# %% [markdown]
# ## Where the work goes
#
# To read a prompt of n tokens (the *prefill*), every layer of a decoder multiplies matrices:
#
# | part | what | FLOPs of one layer |
# | --- | --- | --- |
# | projections | queries, keys, values, output | 2 n · weights |
# | attention matrix | every query against every key | 2 n² · heads · head size |
# | attention over values | the weighted sums | 2 n² · heads · head size |
# | MLP | two matrices up, one down | 2 n · weights |
#
# and once, for the last position, the logits. A multiply and an add are two FLOPs. Two parts grow with n²; the rest
# grows with n. For a model of eight billion parameters:

# %% tags=["same"]
llama = compute.PRESETS["Llama-3.1-8B"]
parts = ["projections", "mlp", "logits", "attention_matrix", "attention_values"]
lengths = [1_000, 8_000, 32_000, 128_000, 1_000_000]
flops = pd.DataFrame({n: {part: getattr(compute.prefill(llama, n), part) for part in parts} for n in lengths})
(flops / flops.sum() * 100).round(1).rename_axis("percent of the prefill, by prompt length")

# %%
grid = 100 * np.geomspace(5, 10_000, 80).astype(int)  # of hundreds 73 % is whole
shares = []
for n in grid:
    bill = compute.prefill(llama, n)
    shares += [
        {"tokens": n, "part": part.replace("_", " "), "share": 100 * getattr(bill, part) / bill.total} for part in parts
    ]
figure = px.area(
    pd.DataFrame(shares), x="tokens", y="share", color="part", log_x=True,
    color_discrete_sequence=["#9aa3b2", COLORS["raw"], "#18181b", COLORS["lossy"], "#e0a06a"],
    labels={"tokens": f"prompt length, tokens ({llama.name})", "share": "share of prefill FLOPs, percent"},
)  # fmt: skip
crossing = compute.crossover(llama)
figure.add_vline(x=crossing, line={"color": "#18181b", "dash": "dot"})
figure.add_annotation(
    x=np.log10(crossing), y=25, text=f"half at {crossing:,} tokens", showarrow=False, xanchor="right", xshift=-6
)
figure.update_xaxes(dtick=1)
figure.update_yaxes(range=[0, 100])
show(figure)

# %% [markdown]
# **What to see.** The orange part is attention, the one that grows with the square. For a prompt of a few thousand
# tokens it is a small part of the bill; only beyond the dotted line does it become the larger one. Where that line
# lies depends on the model's shape:

# %% tags=["same"]
models = pd.DataFrame(
    [
        {
            "model": arch.name,
            "billion weights": round(arch.weights / 1e9, 2),
            "layers": arch.layers,
            "hidden": arch.hidden,
            "attention is half of it from, tokens": compute.crossover(arch),
        }
        for arch in compute.PRESETS.values()
    ]
).set_index("model")
models.sort_values("attention is half of it from, tokens")

# %% [markdown]
# Most wide models get there later: their linear work grows with the square of the width, attention only with the
# width. Later than their width says are those in which many layers look back through a window only, as in Gemma-2-9B
# and Gemma-3-1B.
#
# ## 27 → 47 %, and 18 → 33 %
#
# Save a share s of the tokens, and the quadratic part falls by 1 − (1 − s)², the linear part by s. The paper
# (arXiv 2506.00307) reports s = 27 % for tree-structure questions and 18 % for code completion.

# %% tags=["same"]
paper = {"tree-structure questions": 27, "repository-level code": 18}
for task, saved in paper.items():
    print(
        f"{task}: {saved} % fewer tokens, {compute.quadratic_saving(100, 100 - saved):.1%} less of the quadratic part"
    )

# %% [markdown]
# So the headline is right about the quadratic part. The whole prefill lies between the two:

# %%
worth = []
for name in ("SmolLM2-135M", "Llama-3.1-8B", "Llama-3.1-70B"):
    for n in grid:
        saving = compute.compute_saving(compute.PRESETS[name], n, round(0.73 * n))
        worth.append({"model": name, "tokens": n, "saving": 100 * saving})
figure = px.line(
    pd.DataFrame(worth), x="tokens", y="saving", color="model", log_x=True,
    color_discrete_sequence=[COLORS["ltsc"], COLORS["inline"], COLORS["flat"]],
    labels={"tokens": "raw prompt, tokens", "saving": "prefill FLOPs saved, percent"},
)  # fmt: skip
figure.add_hline(y=27, line={"color": COLORS["raw"], "dash": "dot"}, annotation_text="the saving in tokens, 27 %",
                 annotation_position="bottom right")  # fmt: skip
figure.add_hline(y=100 * compute.quadratic_saving(100, 73), line={"color": COLORS["raw"], "dash": "dot"},
                 annotation_text="the quadratic part alone, 47 %", annotation_position="top left")  # fmt: skip
figure.update_xaxes(dtick=1)
figure.update_yaxes(range=[20, 52])
show(figure)

# %% [markdown]
# **What to see.** Each curve climbs from the lower line to the upper one. With a prompt of 2,000 tokens a model of
# 8 billion parameters saves hardly more than the 27 % in tokens; to come near 47 % it takes several hundred thousand.
# Nobody loses: compute falls by at least the saving in tokens. But the square is no gift for short prompts.
#
# The same for one prompt of 8,192 tokens, raw and compressed, on axes that show straight lines for powers:

# %%
show(compute_figure(llama, 8192, round(0.73 * 8192)), height=430)

# %% [markdown]
# **What to see.** The solid lines are totals, the dotted ones the quadratic part, which is twice as steep and crosses
# late. Compression moves every point down. On a scale of nine powers of ten 27 % is a small step, and it is the same
# step everywhere for the quadratic part.
#
# ### What this repository's tasks save
#
# The committed figures (`assets/results/tasks.json`, a thousand prompts a task) with the formulas applied:

# %% tags=["same"]
tasks = json.loads((ASSETS / "results" / "tasks.json").read_text())["results"]
rows = []
for task in ("tree", "repo"):
    measured = tasks[task]["mistral:tekken"]["all"]
    n = round(measured["tokens"])
    for method in ("ltsc", "inline"):
        m = round(n * (1 - measured[method]))
        rows.append(
            {
                "task": task,
                "method": method,
                "tokens, mean": n,
                "saved, %": 100 * measured[method],
                "quadratic part, %": 100 * compute.quadratic_saving(n, m),
                f"prefill of {llama.name}, %": 100 * compute.compute_saving(llama, n, m),
            }
        )
pd.DataFrame(rows).set_index(["task", "method"]).round(1)

# %% [markdown]
# Our prompts are short, so the last column is the saving in tokens over again. That is the honest figure.
#
# ## The KV cache
#
# While it answers, a model keeps the keys and values of every token it has read, and reads all of them again for every
# token that it writes. That memory is linear in n: 27 % fewer tokens, 27 % less of it.

# %% tags=["same"]
memory = pd.DataFrame(
    [
        {
            "model": arch.name,
            "KiB a token": compute.kv_cache_bytes(arch, 1) / 2**10,
            "GiB at 32,768 tokens": compute.kv_cache_bytes(arch, 32_768) / 2**30,
            "GiB, inline on a log": compute.kv_cache_bytes(arch, round(32_768 * 0.3)) / 2**30,
        }
        for arch in (compute.PRESETS[name] for name in ("Gemma-3-1B", "Phi-3.5-mini", "Llama-3.1-8B", "Llama-3.1-70B"))
    ]
).set_index("model")
memory.round(2)

# %%
gpu, dtype = 80, "bfloat16"  # GiB of a large GPU
room = (gpu - llama.weights * 2 / 2**30) * 0.9
fits = pd.DataFrame(
    [
        {"tokens": n, "prompt": label, "prompts": room * 2**30 / compute.kv_cache_bytes(llama, round(n * kept), dtype=dtype)}
        for n in np.geomspace(1_000, 128_000, 40).astype(int)
        for label, kept in (("raw", 1.0), ("27 % saved", 0.73), ("70 % saved", 0.3))
    ]
)  # fmt: skip
figure = px.line(
    fits, x="tokens", y="prompts", color="prompt", log_x=True, log_y=True,
    color_discrete_map={"raw": COLORS["raw"], "27 % saved": COLORS["ltsc"], "70 % saved": COLORS["inline"]},
    labels={"tokens": "raw prompt, tokens", "prompts": f"prompts at once in {gpu} GiB"},
)  # fmt: skip
figure.update_xaxes(dtick=1)
figure.update_yaxes(dtick=1)
show(figure, height=380)

# %% [markdown]
# **What to see.** Parallel lines, for Llama-3.1-8B: whatever the length, a saving of 27 % makes room for 1.4 times as many prompts, one
# of 70 % (a server log, see notebook 1) for 3.3 times as many. Weights take their share first; a tenth is left free.
# For long prompts this, not FLOPs, is often what limits a server.
#
# ## Measured: a real model against the formulas
#
# The repository's reader is a Llama of 13 million parameters, small enough to measure here. Time is CPU time in one
# thread: it does not count what else the machine does. The model of cost has two numbers: a speed
# for the linear part and one for the quadratic part. They are fitted to *raw* prompts only.

# %%
import torch

from metatok.reader import Reader

torch.set_num_threads(1)
reader = Reader.from_pretrained()
arch = replace(compute.from_config(reader.model.config), name="reader")
print(
    f"{arch.weights:,} weights in {arch.layers} layers; attention is half of it from {compute.crossover(arch):,} tokens"
)

# %%
REPEATS = 1 if FAST else 5
LENGTHS = [200, 600, 1200] if FAST else [250, 500, 1000, 1500, 2000, 2500, 3000, 3600]

log = (ASSETS / "examples" / "server.log").read_text()
ids = reader.tokenizer.encode(log)
prompts = {
    (name, n): reader.prepare_ids(ids[:n], method)
    for name, method in (("raw", None), ("ltsc", "ltsc"), ("inline", "inline"))
    for n in LENGTHS
}

# %% [markdown]
# Every prompt is timed several times, in turn, so that a slow moment of the machine hits all alike, and the fastest
# counts: what disturbs a measurement only ever makes it longer.

# %%
reader.prefill_seconds(prompts["raw", LENGTHS[0]])  # the first pass is slower
fastest = dict.fromkeys(prompts, float("inf"))
for _ in range(REPEATS):
    for key, prompt in prompts.items():
        began = time.process_time()
        reader.prefill_seconds(prompt)
        fastest[key] = min(fastest[key], 1000 * (time.process_time() - began))

times = pd.DataFrame(
    [
        {"prompt": name, "raw tokens": n, "tokens": len(prompts[name, n].ids), "ms": ms}
        for (name, n), ms in fastest.items()
    ]
)
raw = times[times.prompt == "raw"].drop(columns=["prompt", "raw tokens"])


# %%
def work(tokens):
    """Linear and quadratic GFLOPs of each prompt; the kernels skip what the causal mask hides."""
    bills = [compute.prefill(arch, n + 1, causal=True) for n in tokens]  # one mark begins the prompt
    return np.array([[bill.linear / 1e9, bill.quadratic / 1e9] for bill in bills])


def fit(x, y):
    """Least squares of the relative residuals."""
    return np.linalg.lstsq(x / y[:, None], np.ones(len(y)), rcond=None)[0]


coefficients = fit(work(raw.tokens), raw.ms.to_numpy())
raw["model, ms"] = work(raw.tokens) @ coefficients
raw["residual, %"] = 100 * (raw.ms / raw["model, ms"] - 1)
linear, quadratic = coefficients
print(f"linear part {linear:.1f} ms a GFLOP, quadratic part {quadratic:.1f} ms a GFLOP")
raw.round(1)

# %% [markdown]
# Now the prompts that the fit has not seen: the same text, compressed. Does their time follow from their length alone?

# %%
compressed = times[times.prompt != "raw"].reset_index(drop=True)
compressed["model, ms"] = work(compressed.tokens) @ coefficients
compressed["residual, %"] = 100 * (compressed.ms / compressed["model, ms"] - 1)
compressed["time saved, %"] = 100 * (1 - compressed.ms / np.tile(raw.ms, 2))
compressed.round(1)

# %%
from plotly.subplots import make_subplots

curve = np.linspace(min(compressed.tokens.min(), 100), raw.tokens.max(), 100)
figure = make_subplots(2, 1, shared_xaxes=True, row_heights=[0.68, 0.32], vertical_spacing=0.06)
figure.add_scatter(x=curve, y=work(curve.astype(int)) @ coefficients, mode="lines", name="model of cost, fitted to raw",
                   line={"color": "#18181b", "dash": "dot"}, row=1, col=1)  # fmt: skip
for name, group in [("raw", raw), *compressed.groupby("prompt", sort=False)]:
    marker = {"color": COLORS[name], "size": 9}
    figure.add_scatter(x=group.tokens, y=group.ms, mode="markers", name=name, marker=marker, row=1, col=1)
    figure.add_scatter(x=group.tokens, y=group["residual, %"], mode="markers", marker=marker, showlegend=False,
                       row=2, col=1)  # fmt: skip
figure.add_hline(y=0, line={"color": "#18181b", "dash": "dot"}, row=2, col=1)
figure.update_yaxes(title="prefill, CPU ms", rangemode="tozero", row=1, col=1)
figure.update_yaxes(title="residual, %", row=2, col=1)
figure.update_xaxes(title="tokens that the model reads", row=2, col=1)
show(figure, height=520)

# %% [markdown]
# **What to see.** Above, time against the tokens that the model reads: raw and compressed prompts lie near one curve,
# which bends upward as the square asks. Below, what the model of cost leaves unexplained, in percent of it: the noise
# of the machine, and all that the formulas do not count, such as norms and the softmax, and for compressed prompts
# making the embeddings of meta-tokens out of their phrases, which puts them some percent above the curve. The speeds
# are this machine's; the shape of the curve is the model's.

# %%
summary = compressed.groupby("prompt", sort=False)[["residual, %"]].agg(["mean", lambda r: r.abs().max()])
summary.columns = ["mean residual, %", "largest residual, %"]
summary.loc["raw"] = [raw["residual, %"].mean(), raw["residual, %"].abs().max()]
summary.round(1)

# %% [markdown]
# The evaluation of the reader timed its prefill as well, on the tree task (`assets/results/reader-tree.json`). There
# the prompts have a few hundred tokens, and the saving in time is near the saving in tokens:

# %% tags=["same"]
evaluated = json.loads((ASSETS / "results" / "reader-tree.json").read_text())
results = evaluated["results"]
before = results["raw"]
rows = []
for method in ("ltsc", "flat", "nested", "inline"):
    after = results[method]
    rows.append(
        {
            "method": method,
            "tokens, mean": after["tokens"],
            "tokens saved, %": 100 * (1 - after["tokens"] / before["tokens"]),
            "prefill, ms": after["prefill_ms"],
            "prefill time saved, %": 100 * (1 - after["prefill_ms"] / before["prefill_ms"]),
        }
    )
print(
    f"raw: {before['tokens']:.0f} tokens, {before['prefill_ms']:.0f} ms; {evaluated['n']} prompts, {evaluated['machine']}"
)
pd.DataFrame(rows).set_index("method").round(1)

# %% [markdown]
# ## Money, and the prompt cache
#
# Who buys tokens pays for each, so 27 % fewer cost 27 % less. Unless the provider caches: the beginning of a prompt
# that was sent before costs a tenth. A prompt that is compressed anew for every request begins differently each time
# and loses that. Prices here are an example (per million tokens: 3.00 fresh, 0.30 read from the cache, 3.75 written to
# it); put in your own.
#
# A prompt of 10,000 tokens, of which 9,000 are always the same (instructions, tools, examples), compressed as a whole
# to 73 %; all sums in dollars:

# %% tags=["same"]
prices = compute.Prices(input=3.0, cached_read=0.3, cache_write=3.75)
n, fixed_part, kept = 10_000, 9_000, 0.73
rows = []
for uses in (1, 2, 5, 20, 100):
    rows.append(
        {
            "uses": uses,
            "raw, no cache": compute.prompt_cost(prices, n, uses=uses),
            "raw, cached": compute.prompt_cost(prices, n, uses=uses, cached=fixed_part),
            "compressed anew, no cache": compute.prompt_cost(prices, round(n * kept), uses=uses),
            "compressed once, cached": compute.prompt_cost(
                prices, round(n * kept), uses=uses, cached=round(fixed_part * kept)
            ),
        }
    )
pd.DataFrame(rows).set_index("uses").round(4)

# %% tags=["same"]
print(
    "compression that breaks the cache costs more from use",
    compute.break_even_uses(prices, n, round(n * kept), cached=fixed_part),
)

# %%
show(money_figure(prices, n, round(n * kept), uses=20, cached=fixed_part), height=430)

# %% [markdown]
# **What to see.** The price of one prompt, averaged over how often its beginning is used. Compressed anew, it stays
# where it is; the cached raw prompt falls far below it after a use or two. The lowest line is the way out: compress the
# part that never changes *by itself*, once, so that it is the same each time and can be cached. The codec's `keep`
# leaves the rest raw.
#
# How much must compression save to beat the cache all the same?

# %%
uses = [1, 2, 3, 5, 10, 20, 50, 100]
needed = pd.DataFrame(
    [
        {
            "uses": k,
            "cached share": f"{share:.0%}",
            "needed": 100 * compute.break_even_saving(prices, uses=k, cached_share=share),
        }
        for share in (0.25, 0.5, 0.75, 0.9)
        for k in uses
    ]
)
figure = px.line(
    needed, x="uses", y="needed", color="cached share", log_x=True, markers=True,
    color_discrete_sequence=[COLORS[c] for c in ("flat", "nested", "ltsc", "inline")],
    labels={"uses": "how often the beginning is used while the cache lives", "needed": "tokens to save, percent"},
)  # fmt: skip
figure.add_hline(y=27, line={"color": COLORS["raw"], "dash": "dot"}, annotation_text="27 % saved",
                 annotation_position="top left")  # fmt: skip
figure.update_xaxes(tickvals=uses)
show(figure)

# %% [markdown]
# **What to see.** Each line is for a share of the prompt that is the same each time. Below its line, compressing the
# whole prompt anew costs more than it saves. With a quarter cached 27 % is enough; with half of it cached and used five
# times it is not. A log that shrinks by 70 % beats even three quarters.
#
# ## What to remember
#
# * Compute falls by at least the saving in tokens, and by at most 1 − (1 − s)². Which of the two depends on the
#   prompt's length against the model's crossover: some thousand tokens for the smallest models, tens of thousands for
#   large ones and for those with windows.
# * The KV cache, and the price per token, fall by the saving in tokens.
# * The time of a real forward pass follows from the length that the model reads; of a compressed prompt it is some
#   percent more, for the embeddings of its meta-tokens.
# * A prompt cache changes the sum. Compress what never changes by itself and keep it cached.
#
# None of it is worth anything if the model cannot read such prompts: `03_train_a_reader.ipynb` and
# `04_evaluate.ipynb`.
