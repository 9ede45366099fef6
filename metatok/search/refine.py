"""Looking for a smaller grammar than the greedy one: the search behind `effort="max"`.

Starts from a grammar. Parsing anew and searching again take turns; one turn is what `effort="default"` does for
`inline` where the pool has too few meta-tokens for the phrases that were found. After that it goes on in steps. A step
writes out a random part of the rules, searches what became free for phrases that save, parses the sequence anew with
all phrases (`metatok.search.parse`) and drops what does not pay; the result is kept when it is not longer, and now and
then when it is one id longer. The steps are drawn from a fixed seed and counted, not timed, so that the same input
gives the same output everywhere.

This is large neighbourhood search over the constituents of Carrascosa et al. 2011, whose greedy (IRRMGP) and
exhaustive (ZZ) choices of phrases try one phrase at a time. docs/LOG.md tells what else was tried.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import numpy as np
from numpy.typing import NDArray

from metatok.grammar import Grammar, prune
from metatok.search.parse import Parser
from metatok.search.saving import search_saving

# Steps for up to 8,192 tokens; beyond they get fewer as each takes longer, so that the time stays below about a second.
STEPS = 350
DROPPED_IN_1000 = 400  # rules written out in a step: 25 to 50 % did about equally well, less is worse, see docs/LOG.md
LONGER_IN_100 = 4  # steps that may keep a result one id longer; falls to none at the end


def refine(
    grammar: Grammar,
    parser: Parser,
    walls: NDArray[np.bool_],
    *,
    nested: bool,
    overhead: int,
    fit: Callable[[Grammar], Grammar],
    cost: Callable[[Grammar], int],
    turns: int | None = None,
) -> Grammar:
    """A grammar that costs no more than `fit(grammar)`, and usually 1 to 3 % less.

    Args:
        grammar: of a sequence, as `metatok.search.saving.search_saving` gives it.
        parser: of that sequence.
        walls: the sequence's.
        nested, overhead: as for `search_saving`.
        fit: makes a grammar one that can be written: drops what does not pay or has no meta-token.
        cost: how many ids a fitted grammar is written with.
        turns: parse anew and search so many times and leave it at that; None: as long as it helps, then random steps.
    """

    def search(start: Grammar) -> Grammar:
        return search_saving(start, walls, nested=nested, overhead=overhead)

    def parse(start: Grammar) -> Grammar:
        return prune(parser.parse(start, nested), overhead)

    best = fit(grammar)
    for _ in count() if turns is None else range(turns):  # parse and search in turn, as long as it helps
        improved = fit(search(parse(best)))
        if cost(improved) >= cost(best):
            break
        best = improved

    rng = np.random.default_rng(0)
    steps = STEPS * 8192 // max(len(parser.ids), 8192) if turns is None and best.rules else 0
    current = best
    for step in range(steps):
        dropped = rng.integers(0, 1000, size=current.rules) < DROPPED_IN_1000
        changed = fit(parse(search(prune(current.without(dropped), overhead))))
        allowance = int(rng.integers(0, 100) * steps < LONGER_IN_100 * (steps - step))
        if cost(changed) <= cost(current) + allowance:
            current = changed
            if cost(current) < cost(best):
                best = current
    return best
