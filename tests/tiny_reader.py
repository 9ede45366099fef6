"""A reader small enough to be trained in a test: two layers, 64 dimensions, 150,000 tokens, which is
what it takes to say something instead of nothing. It reads badly.
"""

from __future__ import annotations

from pathlib import Path

from metatok.reader.bpe import save_tokenizer, texts, train_bpe
from metatok.reader.config import from_dict
from metatok.reader.export import export
from metatok.reader.train import Run

CONFIG = from_dict(
    {
        "compile": False,
        "evaluate_prompts": 1,
        "model": {"layers": 2, "width": 64, "heads": 4, "inner": 128},
        "data": {"batch_tokens": 1024, "full_size_at": 100.0},
        "optimizer": {"tokens": 150_000, "warmup_steps": 10},
    }
)


def make(folder: Path) -> Path:
    """Train it and export it; the folder of the reader."""
    run_folder = folder / "run"
    save_tokenizer(train_bpe(texts(0, prompts=300, code_characters=0), vocab_size=800), run_folder / "tokenizer")
    run = Run(CONFIG, run_folder)
    run.train()
    run.supply.close()
    export(run_folder, folder / "reader")
    return folder / "reader"


if __name__ == "__main__":
    import sys

    print(make(Path(sys.argv[1])))
