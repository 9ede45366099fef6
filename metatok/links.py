"""Where metatok lives on the web. The owner stands here and nowhere else; everything that links reads it from here.

Whoever publishes a copy writes their name into `OWNER` and runs `python scripts/notebooks.py --changed`, which brings
the notebooks' badges up to date without running them again. Plain strings; nothing here reaches the network.
"""

from __future__ import annotations

__all__ = ["OWNER", "PAPER", "PUBLISHED", "REPOSITORY", "SPACE", "badges", "colab", "source"]

OWNER = "your-name"
"""A placeholder until the repository and the Space have an owner on GitHub and on Hugging Face."""

PUBLISHED = OWNER != "your-name"
"""Do `REPOSITORY` and `SPACE` lead anywhere?"""

REPOSITORY = f"https://github.com/{OWNER}/metatok"
SPACE = f"https://huggingface.co/spaces/{OWNER}/metatok"
PAPER = "https://arxiv.org/abs/2506.00307"

_COLAB_BADGE = "https://colab.research.google.com/assets/colab-badge.svg"
_SPACE_BADGE = "https://huggingface.co/datasets/huggingface/badges/resolve/main/open-in-hf-spaces-sm.svg"


def source(path: str) -> str:
    """The page of a file of the repository.

    >>> source("notebooks/02_compute.ipynb").removeprefix(REPOSITORY)
    '/blob/main/notebooks/02_compute.ipynb'
    """
    return f"{REPOSITORY}/blob/main/{path}"


def colab(notebook: str) -> str:
    """Where a notebook, named without its folder and ending, opens in Colab.

    >>> colab("02_compute").endswith(f"/github/{OWNER}/metatok/blob/main/notebooks/02_compute.ipynb")
    True
    """
    return f"https://colab.research.google.com/github/{OWNER}/metatok/blob/main/notebooks/{notebook}.ipynb"


def badges(notebook: str) -> str:
    """One line of Markdown: open this notebook in Colab, open the Space."""
    return f"[![Open in Colab]({_COLAB_BADGE})]({colab(notebook)}) [![Open the Space]({_SPACE_BADGE})]({SPACE})"
