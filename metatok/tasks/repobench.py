"""RepoBench's own data, version 1.1, as samples of the repository task (`repo.py`).

Liu, Xu and McAuley 2023 (arXiv 2306.03091), `tianyang/repobench_python_v1.1` on the Hub: for each setting parquet files
with `repo_name`, `file_path`, `context` (snippets of other files), `import_statement`, `cropped_code`, `next_line` and
`level`, a class of lengths. The prompt is RepoBench's; its last lines of code are the question, as in `repo.py`. None
of it is trained on, so every sample is unseen.

    python -m metatok.tasks.repobench --setting cross_file_first --n 3
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from metatok.tasks.base import Sample
from metatok.tasks.repo import FORM, TAIL

REPOSITORY = "tianyang/repobench_python_v1.1"
SETTINGS = ("cross_file_first", "cross_file_random", "in_file")
COLUMNS = ("repo_name", "file_path", "context", "import_statement", "cropped_code", "next_line", "level")


def download(setting: str) -> list[Path]:
    """The parquet files of one setting, from the Hub or from its local cache.

    Raises:
        ValueError: no such setting, or the Hub is out of reach and the files are not in the cache; one sentence.
    """
    from huggingface_hub import snapshot_download

    if setting not in SETTINGS:
        raise ValueError(f"unknown setting {setting!r}; choose one of {', '.join(SETTINGS)}")
    pattern = f"data/{setting}-*.parquet"
    try:
        folder = snapshot_download(REPOSITORY, repo_type="dataset", allow_patterns=[pattern])
    except (OSError, ValueError) as error:  # the library's own errors are one or the other
        raise ValueError(_out_of_reach(type(error).__name__)) from error
    if not (files := sorted(Path(folder).glob(pattern))):  # without a network the cache may hold another setting only
        raise ValueError(_out_of_reach("no such files"))
    return files


def _out_of_reach(why: str) -> str:
    return (
        f"{REPOSITORY} cannot be had from the Hub ({why}) and is not in the local cache; "
        "the task 'repo' has prompts of the same form and needs no network"
    )


def read(files: Sequence[Path], kind: str, levels: Sequence[str] = ()) -> Iterator[Sample]:
    """The samples of parquet files, in their order.

    Args:
        kind: the setting.
        levels: RepoBench's names of lengths that are wanted, `2k`, `4k`, …; all where there are none.

    Raises:
        ValueError: a file is not one of RepoBench's.
    """
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    for file in files:
        try:
            for batch in ParquetFile(file).iter_batches(batch_size=64, columns=list(COLUMNS)):
                if missing := set(COLUMNS) - set(batch.schema.names):
                    raise ValueError(f"{file.name} is not RepoBench's: it has no column {min(missing)}")
                rows = (row for row in batch.to_pylist() if not levels or row["level"] in levels)
                yield from filter(None, (sample(row, kind) for row in rows))
        except (OSError, ArrowException) as error:
            raise ValueError(f"{file.name} is not a parquet file that can be read: {error}") from error


def sample(row: dict[str, Any], kind: str) -> Sample | None:
    """One row as a sample; None where no code stands before the line.

    >>> row = {"repo_name": "a/b", "file_path": "c.py", "context": [{"path": "d.py", "snippet": "class D: pass"}]}
    >>> row |= {"import_statement": "from d import D", "cropped_code": "x = 1\\ny = 2", "next_line": "    z = D()"}
    >>> s = sample(row, "cross_file_first")
    >>> s.question, s.answer, s.kind
    ('y = 2', 'z = D()', 'cross-file-first')
    """
    code = row["cropped_code"].rstrip("\n").split("\n")
    filled = [i for i, line in enumerate(code) if line.strip()]
    if not filled:
        return None
    # Half of what the repository task asks at most, but never all of the code.
    start = filled[-min(TAIL // 2, max(1, len(filled) - 1))]
    parts = [f"# Repo Name: {row['repo_name']}"]
    parts += [f"# Path: {snippet['path']}\n{snippet['snippet']}\n" for snippet in row["context"]]
    parts.append(f"# Path: {row['file_path']}\n{row['import_statement']}\n" + "\n".join(code[:start]))
    prompt = re.sub(r"\n{4,}", "\n\n", "\n".join(parts)).rstrip("\n")
    question = "\n".join(code[start:])
    return Sample(prompt, question, row["next_line"].strip(), kind.replace("_", "-"), FORM, seen=False)


def load(setting: str, levels: Sequence[str] = ()) -> Iterator[Sample]:
    """The samples of one setting; see `download` and `read`."""
    return read(download(setting), setting, levels)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print samples, for people."""
    parser = argparse.ArgumentParser(prog="metatok.tasks.repobench", description="Print samples of RepoBench v1.1.")
    parser.add_argument("--setting", choices=SETTINGS, default=SETTINGS[0])
    parser.add_argument("--level", action="append", default=[], help="2k, 4k, 8k, …; may be given again (default all)")
    parser.add_argument("--n", type=int, default=3, help="how many (default 3)")
    options = parser.parse_args(arguments)
    try:
        for s in islice(load(options.setting, options.level), options.n):
            print(f"── {s.kind}\n{s.prompt}\n\n? {s.question}\n= {s.answer}\n")
    except ValueError as error:
        parser.exit(1, f"{error}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
