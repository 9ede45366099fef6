"""Python packages installed on this machine whose licence is permissive, and what their modules define and import.

The source of the repository task (`repo.py`): real code that nobody has to download and that is never copied into this
repository. A package counts only where its own metadata says that it may be used so: `License-Expression`, else the
license classifiers, else the field `License`, else its licence file; what is unclear is left out. Python's standard
library is one more package, `python`. Vendored copies of other packages and tests are left out.

Nothing here knows of prompts or tokens. Modules are parsed when they are first asked for and stay in memory.

    python -m metatok.tasks.packages     # which packages count, which do not, and why
"""

from __future__ import annotations

import ast
import re
import sysconfig
import warnings
import zlib
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib.metadata import Distribution, distributions
from pathlib import Path

from metatok.tasks.words import UNSEEN_SHARE

# fmt: off
PERMISSIVE = frozenset({
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "CNRI-Python", "HPND", "ISC", "MIT",
    "MIT-0", "MIT-CMU", "PSF-2.0", "Python-2.0", "Unlicense", "Zlib", "ZPL-2.1",
})
# Words of free text that name a permissive licence, and words that name another one.
_GOOD = frozenset({"apache", "bsd", "cc0", "hpnd", "isc", "mit", "psf", "psfl", "unlicense", "zlib", "zpl"})
_OTHER = frozenset({
    "affero", "agpl", "cddl", "eclipse", "epl", "eupl", "gnu", "gpl", "lgpl", "mozilla", "mpl", "proprietary",
})
# Folders of copies of other packages, of tests, and of what the standard library itself calls dead.
SKIPPED = frozenset({
    "_vendor", "_vendored", "externals", "vendor", "vendored", "_distutils", "site-packages", "dist-packages",
    "test", "testing", "tests", "ensurepip", "idlelib", "lib2to3", "turtledemo",
})
# fmt: on
# What the permissive licences say, for metadata that holds a licence's text instead of its name.
_GRANTS = (
    "permission is hereby granted free of charge to any person obtaining",
    "redistribution and use in source and binary forms with or without modification are permitted",
    "permission to use copy modify and/or distribute this software for any purpose",
    "apache license version 2.0",
)

STANDARD_LIBRARY = "python"
LONGEST_FILE = 100_000  # bytes; longer modules are mostly generated


# ---- licences


def permissive_expression(expression: str) -> bool:
    """Whether an SPDX expression lets one choose permissive licences only; when in doubt, False.

    >>> [permissive_expression(e) for e in ("MIT", "MPL-2.0 AND (Apache-2.0 OR MIT)", "GPL-3.0-only OR MIT")]
    [True, False, True]
    """
    plain = re.sub(r"\s+WITH\s+\S+|[()]", "", expression)
    return all(
        any(name in PERMISSIVE for name in re.split(r"\s+OR\s+", part)) for part in re.split(r"\s+AND\s+", plain)
    )


def permissive_name(name: str) -> bool:
    """Whether a licence's name, as people write it, is one of a permissive licence and of no other.

    >>> [permissive_name(n) for n in ("The MIT License", "Apache 2.0", "MPL-2.0 AND MIT", "MIT, GPLv3", "see LICENSE")]
    [True, True, False, False, False]
    """
    words = _words(name)
    return bool(words & _GOOD) and not words & _OTHER


def permissive_text(text: str) -> bool:
    """Whether a licence's text grants what permissive licences grant, and does not speak of others."""
    plain = re.sub(r"[\s,]+", " ", text.lower())
    return any(grant in plain for grant in _GRANTS) and not _words(plain) & _OTHER


def _words(text: str) -> set[str]:
    """Names of licences among others, without their versions: of GPLv3 gpl."""
    return {re.sub(r"v$", "", word) for word in re.findall(r"cc0|[a-z]+", text.lower())}


def licence(distribution: Distribution) -> tuple[bool, str]:
    """Whether the licence of a distribution is permissive, and by which words of its metadata."""
    metadata = distribution.metadata
    if "License-Expression" in metadata:
        expression = metadata["License-Expression"]
        return permissive_expression(expression), expression
    classifiers = [c.split(" :: ")[-1] for c in metadata.get_all("Classifier") or [] if c.startswith("License ::")]
    if classifiers:
        return all(map(permissive_name, classifiers)), "; ".join(classifiers)
    written = metadata["License"] or "" if "License" in metadata else ""
    if written.strip().upper() not in ("", "UNKNOWN"):
        short = len(written) < 80 and "\n" not in written.strip()
        return (permissive_name if short else permissive_text)(written), written.strip().splitlines()[0]
    for file in distribution.files or []:
        if re.match(r"(LICEN[CS]E|COPYING)", file.name, re.IGNORECASE) and ".dist-info" in str(file):
            try:
                text = Path(str(distribution.locate_file(file))).read_text(encoding="utf-8", errors="ignore")
            except OSError:  # listed, and not there
                continue
            return permissive_text(text), f"file {file.name}"
    return False, "no licence"


# ---- modules


@dataclass(frozen=True, eq=False)
class Module:
    """One file, parsed as far as others need it. Lines count from 0. Two are equal if they are the same object.

    Attributes:
        path: as in a repository, with slashes: `asyncio/locks.py`.
        imports: first line and the line after the last of each import statement of the module itself.
        definitions: name of each class and function of the module itself: its first line, decorators included, and
            the line after its last.
        origins: names that the module itself imports from its own package: the module they come from, and their name
            there.
    """

    path: str
    text: str
    imports: list[tuple[int, int]]
    definitions: dict[str, tuple[int, int]]
    origins: dict[str, tuple[str, str]]

    @property
    def lines(self) -> list[str]:
        """Without line breaks, split anew at each call."""
        return self.text.split("\n")


def parse(path: str, text: str, modules: Container[str]) -> Module:
    """Parse one file of a package.

    Args:
        modules: dotted names of what the package consists of; only imports from there are `origins`.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: Python cannot parse it.

    >>> module = parse("a/b.py", "from .c import D as E\\n\\nclass F(E): pass", {"a.b", "a.c"})
    >>> module.origins, module.definitions
    ({'E': ('a.c', 'D')}, {'F': (2, 3)})
    """
    module = Module(path, text, [], {}, {})
    for node in _tree(text).body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            module.imports.append((node.lineno - 1, node.end_lineno or node.lineno))
            if isinstance(node, ast.ImportFrom) and (source := _source(path, node)) in modules:
                module.origins.update({alias.asname or alias.name: (source, alias.name) for alias in node.names})
        elif isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            module.definitions[node.name] = (first - 1, node.end_lineno or node.lineno)
    return module


@dataclass(frozen=True)
class Uses:
    """What is used where in a module.

    Attributes:
        names: the lines on which each name of `Module.origins`, or one imported from the package further inside, is
            used, in order.
        opaque: lines of string literals of several lines, docstrings among them.
    """

    names: dict[str, list[int]]
    opaque: frozenset[int]


def uses(module: Module, modules: Container[str]) -> Uses:
    """Where a module uses what.

    >>> module = parse("a/b.py", "from .c import D\\n\\nx = D()\\ny = D", {"a.b", "a.c"})
    >>> uses(module, {"a.b", "a.c"}).names
    {'D': [2, 3]}
    """
    imported = set(module.origins)
    opaque: set[int] = set()
    seen: set[tuple[int, str]] = set()
    stack: list[ast.AST] = [_tree(module.text)]
    while stack:  # as `ast.walk`, several times as fast
        node = stack.pop()
        if isinstance(node, ast.Name):
            seen.add((node.lineno - 1, node.id))
            continue
        if isinstance(node, (ast.Constant, ast.JoinedStr)) and (node.end_lineno or 0) > node.lineno:
            opaque.update(range(node.lineno - 1, node.end_lineno or 0))
        elif isinstance(node, ast.ImportFrom) and _source(module.path, node) in modules:
            imported.update(alias.asname or alias.name for alias in node.names)
        for name in node._fields:
            value = getattr(node, name, None)
            if isinstance(value, list):
                stack += [item for item in value if isinstance(item, ast.AST)]
            elif isinstance(value, ast.AST) and value._fields:
                stack.append(value)
    names: dict[str, list[int]] = {}
    for line, name in sorted(seen):
        if name in imported:
            names.setdefault(name, []).append(line)
    return Uses(names, frozenset(opaque))


def _tree(text: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about escapes in the strings of others
        return ast.parse(text)


def _source(path: str, node: ast.ImportFrom) -> str:
    """The module that a `from` import names, dotted, seen from the file at this path."""
    here = path.removesuffix(".py").split("/")
    base = here[: len(here) - node.level] if node.level else []
    return ".".join([*base, *([node.module] if node.module else [])])


def module_name(path: str) -> str:
    """
    >>> module_name("asyncio/locks.py"), module_name("asyncio/__init__.py")
    ('asyncio.locks', 'asyncio')
    """
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@dataclass(frozen=True)
class Package:
    """An installed distribution, or the standard library. `files` are its modules by path, in order of path."""

    name: str
    version: str
    licence: str
    files: dict[str, Path]
    _parsed: dict[str, Module | None] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def modules(self) -> dict[str, str]:
        """Paths by dotted name."""
        return {module_name(path): path for path in self.files}

    def module(self, path: str) -> Module | None:
        """The parsed file, or None where Python cannot parse it."""
        if path not in self._parsed:
            try:
                text = self.files[path].read_text(encoding="utf-8")
                self._parsed[path] = parse(path, text, self.modules)
            except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
                self._parsed[path] = None
        return self._parsed[path]

    def definition(self, source: str, name: str) -> tuple[Module, int, int] | None:
        """Where the class or function `name`, as the module `source` has it, is defined: module, first line, end.

        Follows imports inside the package; None for what is no class or function of the package.
        """
        for _ in range(6):  # hops; imports can go round in circles
            module = self.module(self.modules[source]) if source in self.modules else None
            if module is None:
                return None
            if name in module.definitions:
                return module, *module.definitions[name]
            if name not in module.origins:
                return None
            source, name = module.origins[name]
        return None


# ---- packages


def is_unseen(name: str) -> bool:
    """Whether a package is held out from training, by a hash of its name.

    Digits at the end do not count: `httpx2` is a later `httpx`. The standard library is seen: the reader's tokenizer
    is trained on it.

    >>> is_unseen("httpx") == is_unseen("httpx2"), is_unseen("python")
    (True, False)
    """
    stem = name.rstrip("0123456789")
    return name != STANDARD_LIBRARY and zlib.crc32(stem.encode()) % 1000 < 1000 * UNSEEN_SHARE


@lru_cache(maxsize=1)
def installed() -> tuple[Package, ...]:
    """The packages that count, in order of name."""
    return tuple(package for package, permissive in _all() if permissive and package.files)


def _all() -> Iterator[tuple[Package, bool]]:
    """Every installed package once, in order of name, and whether its licence is permissive."""
    named: dict[str, Distribution] = {}
    for distribution in distributions():
        name = distribution.metadata["Name"]
        if name:  # the first of a name is the one that an import finds
            named.setdefault(re.sub(r"[-_.]+", "-", name).lower(), distribution)
    named.pop("metatok", None)
    for name, distribution in sorted(named.items()):
        permissive, words = licence(distribution)
        listed = ((str(file), file) for file in distribution.files or [] if (file.size or 0) <= LONGEST_FILE)
        files = {path: Path(str(distribution.locate_file(file))) for path, file in sorted(listed) if _usable(path)}
        yield Package(name, distribution.version, words, files), permissive
    library = Path(sysconfig.get_paths()["stdlib"])
    paths = sorted(file.relative_to(library).as_posix() for file in library.rglob("*.py"))
    files = {path: library / path for path in paths if _usable(path)}
    files = {path: file for path, file in files.items() if file.is_file() and file.stat().st_size <= LONGEST_FILE}
    yield Package(STANDARD_LIBRARY, sysconfig.get_python_version(), "PSF-2.0", files), True


def _usable(path: str) -> bool:
    """Whether a file is Python that one can import, no test and nothing vendored.

    >>> [_usable(path) for path in ("rich/text.py", "rich/tests/text.py", "pip/_vendor/rich/text.py", "../bin/x.py")]
    [True, False, False, False]
    """
    return re.fullmatch(r"(\w+/)*\w+\.py", path) is not None and not SKIPPED & set(path.split("/"))


def main() -> int:
    """Print what is used and what is not."""
    for package, permissive in _all():
        side = ("unseen" if is_unseen(package.name) else "seen") if permissive and package.files else "–"
        print(f"{side:6}  {package.name:28} {package.version:16} {len(package.files):5} files  {package.licence[:60]}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
