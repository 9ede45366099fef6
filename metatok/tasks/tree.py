"""The tree task: a tree written out in one of the ways people paste trees, and a question about it.

The task is the paper's first (LTSC, arXiv 2506.00307, section 5): what a prompt says about a hierarchy is spread over
many lines that repeat each other's paths. Names are made up from an open vocabulary (`metatok.tasks.words`), so none of
them can be known by heart. Answers come from the tree itself, never from its text; the tests check them against parsers
of the text.

Three serializations:

- `manifest`: a line with the path of each node, the node first, and one with what it holds: `parser < core < app`,
  `parser: grammar, lexer`
- `ls`: the output of `ls -R` in a pipe
- `xml`: a directory export with the same two: `<entry dn="parser,core,app"/>`,
  `<member of="parser">grammar,lexer</member>`

Five kinds of question, the same words and forms of answer for every serialization: `parent of X`, `children of X`
(`a, b, c`, in the order of the text), `depth of X` (the root has depth 0), `path of X` (`X < parent < root`) and
`is X inside Y` (`yes` or `no`, equally often). What is not there is `none`: the parent of the root, children of a leaf.

A depth, and whether X is inside Y, are read from the path of X. That path is the working that a reader is trained to
write first, `X < parent < root: 2`, whatever form the prompt has: a model of few layers cannot follow and count a chain
within the one step that a `2` or a `yes` leaves it (Nye et al., "Show your work", arXiv 2112.00114). Only the answer is
scored.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from xml.sax.saxutils import escape

from metatok.tasks.base import Sample, exact_match
from metatok.tasks.words import coin, words

KINDS = ("parent", "children", "depth", "path", "inside")
MAX_DEPTH = 6
MAX_CHILDREN = 6
PATH, WORKED = " < ", ": "  # between the names of a path in an answer, and after one that is working
EMPTY_SHARE = 0.08  # of the questions for a parent or for children whose answer is `none`

EXTENSIONS = (
    (".py", ".py", ".toml", ".md"),
    (".ts", ".tsx", ".css", ".json"),
    (".rs", ".rs", ".toml"),
    (".java", ".java", ".xml"),
    (".yaml", ".json", ".txt", ".csv"),
    (".png", ".jpg", ".svg"),
    (".log", ".gz", ".log"),
)


@dataclass
class Node:
    """A node of a tree. Names are unique within a tree."""

    name: str
    parent: Node | None = None
    children: list[Node] = field(default_factory=list)

    @property
    def path(self) -> list[str]:
        """Names from this node to the root."""
        return [self.name, *(self.parent.path if self.parent else [])]


# ---- trees


def grow(rng: random.Random, nodes: int, *, seen: bool = True) -> list[Node]:
    """A random tree of this many nodes, the root first, each before its children, siblings in alphabetical order.

    >>> tree = grow(random.Random(3), 5)
    >>> [len(node.path) - 1 for node in tree]
    [0, 1, 2, 3, 4]
    """
    root = Node("")
    every = [root]
    bushy = rng.uniform(0.2, 0.8)  # of the new nodes that go to a node which has children already
    while len(every) < nodes:
        inner = [n for n in every if (n.children or n is root) and len(n.children) < MAX_CHILDREN]
        outer = [n for n in every if not n.children and len(n.path) <= MAX_DEPTH]
        parent = rng.choice(inner if inner and (rng.random() < bushy or not outer) else outer or every)
        node = Node("", parent)
        parent.children.append(node)
        every.append(node)
    for node, name in zip(every, _names(rng, every, seen), strict=True):
        node.name = name
    return _sorted(root)


def _sorted(root: Node) -> list[Node]:
    """The nodes in depth-first order, after putting siblings into alphabetical order."""
    root.children.sort(key=lambda node: node.name)
    return [root, *(node for child in root.children for node in _sorted(child))]


def _names(rng: random.Random, nodes: list[Node], seen: bool) -> list[str]:
    """A name for each node: all different, in one style a tree, leaves with extensions in some trees."""
    style = rng.choice(("kebab", "snake", "camel", "pascal", "plain"))
    coined = rng.choice((0.1, 0.3, 0.6))  # share of words that are not in any dictionary
    extensions = rng.choice(EXTENSIONS) if rng.random() < 0.5 else ()
    names: dict[str, None] = {}
    for node in nodes:
        while True:
            parts = [_word(rng, coined, seen)]
            if style != "plain":
                parts += [_word(rng, coined, True) for _ in range(rng.choice((0, 1, 1, 1, 2)))]
                rng.shuffle(parts)
            name = _styled(parts, style)
            if style == "plain" or rng.random() < 0.2:
                name += f"{'-' if style == 'kebab' else ''}{rng.randrange(1, 100)}"
            if extensions and not node.children:
                name += rng.choice(extensions)
            if name not in names:
                break
        names[name] = None
    return list(names)


def _word(rng: random.Random, coined: float, seen: bool) -> str:
    if rng.random() >= coined:
        return rng.choice(words(not seen))
    return coin(rng, not seen)


def _styled(parts: list[str], style: str) -> str:
    if style == "pascal":
        return "".join(part.capitalize() for part in parts)
    if style == "camel":
        return parts[0] + "".join(part.capitalize() for part in parts[1:])
    return ("_" if style == "snake" else "-").join(parts)


# ---- serializations


def manifest(tree: list[Node]) -> str:
    """A line a node, `leaf < parent < root`, and after that of a node that holds others `node: child, child`."""
    lines = []
    for node in tree:
        lines.append(" < ".join(node.path))
        if node.children:
            lines.append(f"{node.name}: {', '.join(child.name for child in node.children)}")
    return "\n".join(lines)


def ls(tree: list[Node]) -> str:
    """`ls -R root`, one entry a line, as it comes out of a pipe."""
    blocks = (
        "\n".join(["/".join(node.path[::-1]) + ":", *(c.name for c in node.children)]) for node in tree if node.children
    )
    return "\n\n".join(blocks)


def xml(tree: list[Node]) -> str:
    """A directory export: of each node its path, leaf first as directories write it, and its members."""
    lines = []
    for node in tree:
        lines.append(f'<entry dn="{escape(",".join(node.path))}"/>')
        if node.children:
            members = escape(",".join(child.name for child in node.children))
            lines.append(f'<member of="{escape(node.name)}">{members}</member>')
    return "\n".join(lines)


# Serialization, fewest and most nodes: such that most prompts have 150 to 700 tokens under the reader's tokenizer;
# of 300, 4 in 100 have fewer, 4 in 100 more, up to 1,000.
SERIALIZATIONS: dict[str, tuple[Callable[[list[Node]], str], int, int]] = {
    "manifest": (manifest, 8, 18),
    "ls": (ls, 15, 34),
    "xml": (xml, 6, 14),
}
SMALLEST = 4  # nodes of the trees that a curriculum begins with


# ---- questions


def ask(rng: random.Random, tree: list[Node], kind: str) -> tuple[str, str, str]:
    """A question of this kind about the tree, the working of its answer, and the answer.

    >>> ask(random.Random(0), grow(random.Random(3), 3), "depth")
    ('depth of glass92', 'glass92 < storage34: ', '1')
    """
    inner = [node for node in tree if node.children]
    empty = rng.random() < EMPTY_SHARE
    if kind == "parent":
        node = tree[0] if empty else rng.choice(tree[1:])
        return f"parent of {node.name}", "", node.parent.name if node.parent else "none"
    if kind == "children":
        node = rng.choice([n for n in tree if not n.children] if empty else inner)
        return f"children of {node.name}", "", ", ".join(child.name for child in node.children) or "none"
    if kind == "depth":
        # A level first, then a node of it: otherwise most questions would have the same answer.
        depth = rng.choice(sorted({len(node.path) - 1 for node in tree}))
        node = rng.choice([n for n in tree if len(n.path) - 1 == depth])
        return f"depth of {node.name}", _working(node), str(depth)
    if kind == "path":
        node = rng.choice(tree)
        return f"path of {node.name}", "", PATH.join(node.path)
    if kind == "inside":
        return _ask_inside(rng, tree, inner)
    raise ValueError(f"unknown kind of question {kind!r}; choose one of {', '.join(KINDS)}")


def _working(node: Node) -> str:
    return PATH.join(node.path) + WORKED


def _ask_inside(rng: random.Random, tree: list[Node], inner: list[Node]) -> tuple[str, str, str]:
    """Yes and no equally often, whether or not the node asked for holds others, which would give the answer away."""
    yes, holds = rng.random() < 0.5, rng.random() < 0.4
    for attempt in count():
        # Everything is inside the root, so it is seldom asked about. In a small tree not all can be had.
        outers = tree if attempt > 50 else inner[1:] if len(inner) > 1 and rng.random() < 0.9 else inner
        outer = rng.choice(outers)
        among = [
            node
            for node in tree
            if node is not outer and (outer.name in node.path) == yes and (bool(node.children) == holds or attempt > 25)
        ]
        if among:
            node = rng.choice(among)
            return f"is {node.name} inside {outer.name}", _working(node), "yes" if yes else "no"
    raise AssertionError("unreachable: of two nodes one is outside the other")


@dataclass(frozen=True)
class TreeTask:
    """Questions about trees; see the module's docstring."""

    name: str = "tree"
    kinds: tuple[str, ...] = KINDS
    serializations: tuple[str, ...] = tuple(SERIALIZATIONS)

    def draw(self, rng: random.Random, *, size: float = 1.0, questions: int = 1, seen: bool = True) -> list[Sample]:
        """See `metatok.tasks.base.Task.draw`.

        >>> sample, = TreeTask().draw(random.Random(2), size=0.0)
        >>> print(sample.prompt, sample.question, sample.answer, sep="\\n")
        KraibroUpper
        KraibroUpper: WarehouseRecovery
        WarehouseRecovery < KraibroUpper
        WarehouseRecovery: PindglomStetgail
        PindglomStetgail < WarehouseRecovery < KraibroUpper
        PindglomStetgail: VomlorRlxj.png
        VomlorRlxj.png < PindglomStetgail < WarehouseRecovery < KraibroUpper
        depth of WarehouseRecovery
        1
        """
        serialization = rng.choice(list(SERIALIZATIONS))
        write, fewest, most = SERIALIZATIONS[serialization]
        fewest, most = (round(SMALLEST + size * (n - SMALLEST)) for n in (fewest, most))
        tree = grow(rng, rng.randint(max(fewest, SMALLEST), max(most, SMALLEST + 2)), seen=seen)
        prompt = write(tree)
        asked: dict[str, Sample] = {}
        first = rng.randrange(len(KINDS))  # kinds take turns
        for i in range(first, first + questions):
            kind = KINDS[i % len(KINDS)]
            question, working, answer = ask(rng, tree, kind)
            asked.setdefault(question, Sample(prompt, question, answer, kind, serialization, seen, working))
        return list(asked.values())

    def matches(self, answer: str, truth: str) -> bool:
        """See `metatok.tasks.base.Task.matches`: up to white space at the ends, and after the working of a depth or of
        `inside`, whatever it says.

        >>> task = TreeTask()
        >>> task.matches("lexer < core < app: 2", "2"), task.matches("2", "2"), task.matches("lexer: core", "core")
        (True, True, False)
        """
        worked = truth in ("yes", "no") or truth.isdigit()
        return exact_match(answer.rpartition(WORKED)[2] if worked else answer, truth) == 1.0

    def score(self, answer: str, truth: str) -> dict[str, float]:
        """Exact match: 1.0 or 0.0.

        >>> TreeTask().score("lexer < core < app", "lexer < core < app")
        {'exact_match': 1.0}
        """
        return {"exact_match": float(self.matches(answer, truth))}


TASK = TreeTask()
