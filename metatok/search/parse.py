"""Minimal grammar parsing: given the phrases, write body and phrases in as few symbols as possible.

Carrascosa, Coste, Gallé and Infante-Lopez 2011, "The Smallest Grammar Problem as Constituents Choice and Minimal
Grammar Parsing": once it is decided which stretches of the sequence are phrases, the smallest grammar with these
phrases follows by a shortest path through the sequence, and one through each phrase, whose edges are the occurrences
of (shorter) phrases. A greedy search fixes occurrences when it finds a phrase; parsing anew frees them.

This module does not choose phrases: that is `metatok.search.saving` and `metatok.search.refine`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from metatok.grammar import Grammar
from metatok.kernels import njit
from metatok.repeats import find_lcp, interval_tree, number_symbols
from metatok.suffixes import sort_suffixes

Int32 = NDArray[np.int32]


class Parser:
    """Parses one sequence with any set of phrases.

    Args:
        ids: shape (n,), tokens.
        walls: shape (n,), True where a token must stay raw.
    """

    def __init__(self, ids: Int32, walls: NDArray[np.bool_]):
        text, names = number_symbols(ids)
        text[walls] = 0
        self.ids = ids
        self.sa, rank = sort_suffixes(text, len(names) - 1)
        lcp = find_lcp(text, self.sa, rank)
        self.depth, self.lo, self.hi, _, self.parent, self.leaf_parent = interval_tree(self.sa, lcp, len(text))

    def parse(self, grammar: Grammar, nested: bool) -> Grammar:
        """The smallest grammar of the sequence whose phrases are among those of `grammar`; unused ones are gone.

        Of equal ways the one with the longest phrase first is taken. Without `nested` only the body is parsed.
        """
        tree = (self.depth, self.lo, self.hi, self.parent, self.leaf_parent)
        while grammar.rules:
            lengths = grammar.expanded_lengths()
            begins = _first_places(grammar.body, grammar.phrases, grammar.starts, grammar.base, lengths)
            parts = _parse(self.ids, self.sa, *tree, begins, lengths, grammar.base, nested)
            grammar = Grammar(grammar.base, *parts)
            unused = grammar.uses() == 0
            if not unused.any():
                break
            grammar = grammar.without(unused)
        return grammar


@njit(cache=True, nogil=True)
def _first_places(body, phrases, starts, base, lengths):
    """Where in the sequence the first occurrence of each rule begins, or -1 for a rule that is not used."""
    rules = len(starts) - 1
    begins = np.full(rules, -1, dtype=np.int64)
    path = np.empty(rules + 1, dtype=np.int64)
    at = np.empty(rules + 1, dtype=np.int64)
    p = 0
    for i in range(len(body)):
        if body[i] < base:
            p += 1
            continue
        k = body[i] - base
        if begins[k] < 0:
            begins[k] = p
            top = 0
            path[0] = k
            at[0] = starts[k]
            q = p
            while top >= 0:
                if at[top] == starts[path[top] + 1]:
                    top -= 1
                    continue
                s = phrases[at[top]]
                at[top] += 1
                if s < base:
                    q += 1
                elif begins[s - base] >= 0:
                    q += lengths[s - base]
                else:
                    begins[s - base] = q
                    top += 1
                    path[top] = s - base
                    at[top] = starts[s - base]
        p += lengths[k]
    return begins


@njit(cache=True, nogil=True)
def _parse(ids, sa, depth, lo, hi, parent, leaf_parent, begins, lengths, base, nested):
    n = len(ids)
    rules = len(lengths)
    # The rules that begin at each position, shortest first: rules_at[slot[p] : slot[p + 1]].
    node = np.zeros(rules, dtype=np.int64)
    slot = np.zeros(n + 1, dtype=np.int64)
    for k in range(rules):
        if begins[k] < 0:
            continue
        v = leaf_parent[begins[k]]
        while depth[parent[v]] >= lengths[k]:
            v = parent[v]
        node[k] = v
        for r in range(lo[v], hi[v] + 1):
            slot[sa[r] + 1] += 1
    for p in range(n):
        slot[p + 1] += slot[p]
    fill = slot[:-1].copy()
    rules_at = np.empty(slot[n], dtype=np.int32)
    for k in np.argsort(lengths, kind="mergesort"):
        if begins[k] >= 0:
            for r in range(lo[node[k]], hi[node[k]] + 1):
                rules_at[fill[sa[r]]] = k
                fill[sa[r]] += 1

    cost = np.zeros(n + 1, dtype=np.int32)  # symbols from here to the end of the part
    choice = np.empty(n + 1, dtype=np.int32)
    out = np.empty(n + lengths.sum(), dtype=np.int32)
    starts = np.zeros(rules + 1, dtype=np.int64)
    size = 0
    body_size = 0
    for part in range(-1, rules):  # the body, then the phrases
        if part >= 0 and begins[part] < 0:
            starts[part + 1] = size - body_size
            continue
        begin = 0 if part < 0 else begins[part]
        end = n if part < 0 else begin + lengths[part]
        cost[end] = 0
        for p in range(end - 1, begin - 1, -1):
            best = 1 + cost[p + 1]
            rule = -1
            if part < 0 or nested:
                for i in range(slot[p], slot[p + 1]):
                    k = rules_at[i]
                    if p + lengths[k] > end or (part >= 0 and lengths[k] == end - begin):
                        break
                    if 1 + cost[p + lengths[k]] <= best:
                        best = 1 + cost[p + lengths[k]]
                        rule = k
            cost[p] = best
            choice[p] = rule
        p = begin
        while p < end:
            if choice[p] < 0:
                out[size] = ids[p]
                p += 1
            else:
                out[size] = base + choice[p]
                p += lengths[choice[p]]
            size += 1
        if part < 0:
            body_size = size
        else:
            starts[part + 1] = size - body_size
    return out[:body_size].copy(), out[body_size:size].copy(), starts
