"""Where this project lives. `OWNER` is the only place to change when the repository gets its home."""

OWNER = "metatok"  # placeholder: the account that the repository is published under

REPOSITORY = f"https://github.com/{OWNER}/metatok"
NOTEBOOKS = f"{REPOSITORY}/tree/main/notebooks"
COLAB = f"https://colab.research.google.com/github/{OWNER}/metatok/blob/main/notebooks"
PAPER = "https://arxiv.org/abs/2506.00307"
