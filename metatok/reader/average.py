"""Two readers into one: the mean of their weights, where one was trained from the other.

    python -m metatok.reader.average FIRST SECOND FOLDER --share 0.7

Training on something new costs a reader some of what it knew. Weights on the straight line between before and after
keep most of the old and have most of the new, often more of the old than either end (Wortsman et al. 2022, "Robust
fine-tuning of zero-shot models", arXiv 2109.01903). FIRST and SECOND are folders of exported readers.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch

from metatok.reader.export import WEIGHTS, let_others_read, read_weights


def average(first: Path, second: Path, folder: Path, share: float) -> None:
    """Write the reader whose weights are (1 − share) of `first`'s and share of `second`'s, and all else `second`'s.

    Args:
        first, second: folders of exported readers of one shape; `folder` may be one of them.
        share: from 0 to 1.

    Raises:
        ValueError: a share that is none, or readers of different shapes.
    """
    from safetensors import safe_open
    from safetensors.torch import save_file

    if not 0.0 <= share <= 1.0:
        raise ValueError(f"a share is from 0 to 1, not {share}.")
    stored = [
        {name: value for file in sorted(f.glob(WEIGHTS)) for name, value in read_weights(file).items()}
        for f in (first, second)
    ]
    shapes = [{name: tuple(value.shape) for name, value in weights.items()} for weights in stored]
    if not stored[0] or shapes[0] != shapes[1]:
        wrong = next((n for n in sorted({*shapes[0], *shapes[1]}) if shapes[0].get(n) != shapes[1].get(n)), "all of it")
        raise ValueError(f"{first} and {second} are not two readers of one shape; they differ in {wrong}.")
    folder.mkdir(parents=True, exist_ok=True)
    for file in sorted(second.iterdir()):
        target = folder / file.name
        if file.match(WEIGHTS):
            with safe_open(file, "pt") as opened:
                names, metadata = list(opened.keys()), opened.metadata()
                dtypes = {name: opened.get_tensor(name).dtype for name in names}
            mixed: dict[str, torch.Tensor] = {}
            for name, dtype in dtypes.items():
                a, b = (weights[name] for weights in stored)
                mixed[name] = ((1 - share) * a + share * b).to(dtype).contiguous()
            save_file(mixed, target, metadata)
        elif file.is_file() and file.name != "README.md" and not (target.exists() and target.samefile(file)):
            shutil.copyfile(file, target)  # the model card is of one reader only
    let_others_read(folder)


def main(arguments: Sequence[str] | None = None) -> int:
    """Average two readers."""
    parser = argparse.ArgumentParser(prog="metatok.reader.average", description="The mean of two readers' weights.")
    parser.add_argument("first", type=Path, help="folder of an exported reader")
    parser.add_argument("second", type=Path, help="folder of the reader that was trained from it")
    parser.add_argument("folder", type=Path, help="for the new reader")
    parser.add_argument("--share", type=float, default=0.5, help="of the second (default: 0.5)")
    options = parser.parse_args(arguments)
    try:
        average(options.first, options.second, options.folder, options.share)
    except (OSError, ValueError) as error:
        parser.exit(1, f"{error}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
