"""The repository task: predict the next line of a file from it and from the other files that it uses.

The form is RepoBench's (Liu, Xu and McAuley 2023, arXiv 2306.03091, version 1.1 of the data): first snippets of other
files of the repository, then the file's imports and its code up to the line that is asked for. The code is that of the
packages installed on this machine (`packages.py`); a package is either seen or unseen. `repobench.py` has RepoBench's
own data in the same form.

Three settings, RepoBench's, which are the kinds of question here:

- `cross-file-first`: the line is the first to use a class or function of another file, whose source is in the prompt
- `cross-file-random`: the line uses such a name again
- `in-file`: the line uses nothing of other files

    # Repo Name: package
    # Path: package/other.py
    class Snippet: ...

    # Path: package/file.py
    from .other import Snippet

    code before

The question is the last one to `TAIL` lines of that code, so that they stay raw: a line of code follows from those just
above it more than from anything else, as an answer in the tree task follows from the question. With them 0.187 of all
tokens are saved by `ltsc` and 0.323 by `inline`, of the prompt alone 0.192 and 0.332 (`python -m benchmarks.tasks`).
The answer is the next line without its indentation.

As in RepoBench a target line is code, not an import, a comment or a string, and neither trivial nor very long. Not as
there: a `def` or `class` line is no target, as its name is the author's free choice; lengths are counted in characters.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from metatok.tasks.base import Sample, exact_match
from metatok.tasks.packages import Module, Package, installed, is_unseen, uses

KINDS = ("cross-file-first", "cross-file-random", "in-file")
FORM = "python"  # of every prompt: its serialization

SHORTEST, LONGEST = 1400, 11_500  # characters of a prompt: about 500 to 4,000 tokens of the reader's tokenizer
TAIL = 6  # lines of code in a question, at most
CODE_SHARE = 0.5  # of a prompt for the file itself, where there are enough snippets for the rest
IMPORT_SHARE = 0.2  # of a prompt for import statements, at most
SMALLEST_PIECE = 200  # characters; no snippet is cut to less
TARGET = (8, 120)  # fewest and most characters of a target line
FULL = 0.7  # of the wanted length a prompt has at least, where there is a module that gives as much
ATTEMPTS = 400  # modules that are tried for one prompt
FEWEST_PACKAGES = 3  # on either side


# ---- targets

Place = tuple[Module, int, int]  # a definition: its module, its first line, and the line after its last


@dataclass(frozen=True)
class File:
    """A module that has targets.

    Attributes:
        targets: line numbers by kind.
        gold: for each cross-file target the definitions that it uses.
        places: the definitions that the module imports from its package and uses, each once.
    """

    module: Module
    targets: dict[str, list[int]]
    gold: dict[int, list[Place]]
    places: list[Place]

    def code(self) -> list[int]:
        """The lines that are not import statements of the module itself."""
        imports = {n for start, stop in self.module.imports for n in range(start, stop)}
        return [n for n in range(len(self.module.lines)) if n not in imports]


def analyse(package: Package, path: str) -> File | None:
    """The targets of one module; None for one that uses nothing of its package, or that cannot be parsed."""
    module = package.module(path)
    if module is None or not module.origins or "*" in module.origins:
        return None
    found: dict[str, Place] = {}
    for name, (source, original) in module.origins.items():
        place = package.definition(source, original)
        if place is not None and place[0] is not module:
            found[name] = place
    if not found:
        return None
    used = uses(module, package.modules)
    by_line: dict[int, list[str]] = {}
    for name, numbers in used.names.items():
        for number in numbers:
            by_line.setdefault(number, []).append(name)
    skipped = used.opaque.union(*(range(start, stop) for start, stop in module.imports))
    targets: dict[str, list[int]] = {kind: [] for kind in KINDS}
    gold: dict[int, list[Place]] = {}
    for number, text in enumerate(module.lines):
        if number in skipped or not is_target(text):
            continue
        names = by_line.get(number, [])
        cross = [name for name in names if name in found]
        if cross:
            first = any(used.names[name][0] == number for name in cross)
            targets["cross-file-first" if first else "cross-file-random"].append(number)
            gold[number] = [found[name] for name in cross]
        elif not names:
            targets["in-file"].append(number)
    places = list(dict.fromkeys(place for name, place in found.items() if name in used.names))
    return File(module, targets, gold, places) if places else None


def is_target(line: str) -> bool:
    """Whether a line may be asked for.

    >>> [is_target(line) for line in ("    return Path(name)", "else:", "# as above", "def main():", "import ast")]
    [True, False, False, False, False]
    """
    text = line.strip()
    if not TARGET[0] <= len(text) <= TARGET[1] or re.match(r"#|@|['\"]|(import|from|def|class|async def)\b", text):
        return False
    return len(re.findall(r"\w+|[^\w\s]", text)) >= 3 and re.search(r"[^\W\d]\w+", text) is not None


# ---- where files come from


@dataclass
class Side:
    """The packages of one side of the split; what was analysed stays in memory."""

    packages: list[Package]
    weights: list[float]
    _files: dict[tuple[str, str], File | None] = field(default_factory=dict, repr=False)

    def file(self, rng: random.Random) -> tuple[str, File | None]:
        """A random module and its package's name; None where the module has no targets."""
        package = rng.choices(self.packages, self.weights)[0]
        path = rng.choice(list(package.files))
        key = package.name, path
        if key not in self._files:
            self._files[key] = analyse(package, path)
        return package.name, self._files[key]


@lru_cache(maxsize=2)
def side(seen: bool) -> Side:
    """The packages of one side that have several modules.

    Raises:
        ValueError: there are too few of them.
    """
    packages = [p for p in installed() if is_unseen(p.name) != seen and len(p.files) > 4]
    if len(packages) < FEWEST_PACKAGES:
        raise ValueError(
            f"the repository task needs {FEWEST_PACKAGES} installed packages of permissive licence "
            f"{'to train on' if seen else 'held out from training'} and finds {len(packages)}; "
            "install more, for example with pip install 'metatok[train]'"
        )
    return Side(packages, [len(p.files) ** 0.5 for p in packages])


# ---- prompts


def write(package: str, file: File, code: list[str], gold: list[Place], rng: random.Random, characters: int) -> str:
    """A prompt of about so many characters: snippets, imports, and the end of the code.

    Args:
        code: lines of the file up to where the question begins.
        gold: definitions that must be there, cut where they are too long; others come in as there is room.
    """
    imports = _imports(file.module, int(IMPORT_SHARE * characters))
    room = characters - len(imports)
    ahead = _last_lines(code, int(CODE_SHARE * room))
    others = [place for place in file.places if place not in gold]
    rng.shuffle(others)
    snippets, left = [], room - len(ahead)
    for i, (module, start, stop) in enumerate([*gold, *others]):
        if left < SMALLEST_PIECE:
            break
        share = left // max(1, len(gold) - i)  # those that must be there share what room there is
        source = _first_lines("\n".join(module.lines[start:stop]), share)
        snippets.append(f"# Path: {module.path}\n{source}\n")
        left -= len(snippets[-1]) + 1
    if left > 0:  # few snippets: more of the file instead
        ahead = _last_lines(code, len(ahead) + left)
    rng.shuffle(snippets)
    parts = [f"# Repo Name: {package}", *snippets, f"# Path: {file.module.path}\n{imports}\n\n{ahead}"]
    return re.sub(r"\n{4,}", "\n\n\n", "\n".join(parts))


def _imports(module: Module, characters: int) -> str:
    """The import statements in order; where there are too many, those of other packages go first."""
    lines = module.lines
    statements = ["\n".join(lines[start:stop]) for start, stop in module.imports]
    own = [bool(re.match(rf"from (\.|{module.path.split('/')[0]}\b)", s)) for s in statements]
    kept: set[int] = set()
    for i in sorted(range(len(statements)), key=lambda i: not own[i]):
        if len(statements[i]) < characters:
            kept.add(i)
            characters -= len(statements[i]) + 1
    return "\n".join(statements[i] for i in sorted(kept))


def _first_lines(text: str, characters: int) -> str:
    """As many lines from the front as fit."""
    if len(text) <= characters:
        return text
    return text[: text.rfind("\n", 0, characters + 1)] if "\n" in text[: characters + 1] else text[:characters]


def _last_lines(lines: list[str], characters: int) -> str:
    """As many lines from the end as fit, without blank lines at either end."""
    kept: list[str] = []
    for line in reversed(lines):
        characters -= len(line) + 1
        if characters < 0:
            break
        kept.append(line)
    return _text(reversed(kept))


def _text(lines: Iterable[str]) -> str:
    return "\n".join(lines).strip("\n")


@dataclass(frozen=True)
class RepoTask:
    """The next line of a file; see the module's docstring."""

    name: str = "repo"
    kinds: tuple[str, ...] = KINDS
    serializations: tuple[str, ...] = (FORM,)

    def draw(self, rng: random.Random, *, size: float = 1.0, questions: int = 1, seen: bool = True) -> list[Sample]:
        """See `metatok.tasks.base.Task.draw`. The other questions are about lines soon after the first one's.

        Raises:
            ValueError: too few packages are installed.
        """
        source = side(seen)
        kind = rng.choice(KINDS)
        characters = round(SHORTEST + size * rng.random() * (LONGEST - SHORTEST))
        for attempt in range(ATTEMPTS):
            package, file = source.file(rng)
            if file is None or not file.targets[kind]:
                continue
            target = rng.choice(file.targets[kind])
            lines, code = file.module.lines, file.code()
            filled = [n for n in code if lines[n].strip()]
            at = filled.index(target)
            if at == 0:
                continue
            begin = at - rng.randint(1, min(TAIL, at))  # where the prompt ends and the questions begin
            start, near = filled[begin], set(filled[begin + 1 : begin + TAIL + 1])
            kinds = {n: k for k in KINDS for n in file.targets[k] if n in near}
            others = [n for n in kinds if n != target]
            asked = [target, *rng.sample(others, min(questions - 1, len(others)))]
            gold = list(dict.fromkeys(place for n in asked for place in file.gold.get(n, [])))
            prompt = write(package, file, [lines[n] for n in code if n < start], gold, rng, characters)
            # Where there is not enough of it, another module; in the end any.
            if len(prompt) < FULL * characters and attempt < ATTEMPTS // 2:
                continue
            return [
                Sample(prompt, _text(lines[m] for m in code if start <= m < n), lines[n].strip(), kinds[n], FORM, seen)
                for n in asked
            ]
        raise ValueError(f"the repository task finds no {kind} line in {ATTEMPTS} modules; install more packages")

    def matches(self, answer: str, truth: str) -> bool:
        """See `metatok.tasks.base.Task.matches`: up to white space, as RepoBench counts."""
        return exact_match(" ".join(answer.split()), " ".join(truth.split())) == 1.0

    def score(self, answer: str, truth: str) -> dict[str, float]:
        """RepoBench's scores: exact match up to white space, and edit similarity.

        >>> RepoTask().score("return  Path(name)", "return Path(name)")["exact_match"]
        1.0
        """
        from rapidfuzz import fuzz

        similarity = fuzz.ratio(answer.strip(), truth.strip()) / 100
        return {
            "exact_match": float(self.matches(answer, truth)),
            "edit_similarity": similarity,
        }


TASK = RepoTask()
