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
# # Meta-tokens
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/your-name/metatok/blob/main/notebooks/01_meta_tokens.ipynb) [![Open the Space](https://huggingface.co/datasets/huggingface/badges/resolve/main/open-in-hf-spaces-sm.svg)](https://huggingface.co/spaces/your-name/metatok)
#
# What you will see.

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
import plotly.express as px

import metatok
from metatok.views.notebook import COLORS, show

# %% tags=["same"]
codec = metatok.Codec(vocab_size=100)
print(codec.compress([1, 2, 3, 1, 2, 3, 1, 2, 3]))

# %%
show(px.bar(x=["raw", "inline"], y=[9, 5], color=["raw", "inline"], color_discrete_map=COLORS))
