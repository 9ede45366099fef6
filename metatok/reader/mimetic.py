"""Mimetic initialisation: heads that look back, match and copy from the first step on.

A small transformer trained from nothing must first invent "find this token earlier, copy what follows" (induction,
Olsson et al. 2022), and does not within the budget of a small run. Here it is written into the weights, in the manner
of Trockman and Kolter 2023 ("Mimetic Initialization of Self-Attention Layers"):

- Layer 0, three heads look back by 1, 2 and 3 positions. A constant key, rotated by RoPE, and a constant query make a
  score that peaks at a fixed distance; both come from the biases. They write the token that they see, through a random
  map A, into the subspaces U₁, U₂ and U₃.
- Layer 1, four heads match and copy (`MATCHES`): the query is the token itself through A, or what layer 0 wrote of
  those before it; the key is what layer 0 wrote; both on the slowly rotating dimensions only, where distance hardly
  counts. A match of w x with w x one place further on finds what follows w x whatever stands between: the answer to a
  question that ends in a name, where the prompt has `name < answer`. The value is the token itself through an
  orthonormal map Q, and Qᵀ writes it back, which with tied embeddings raises its logit.
- Where embeddings are made of the ids before each one in its line, too (`match_lines`), two heads of layers 1 and 2
  match those: what stands k before the query with what stands k + 1 before the key.
- Every other output projection starts small, so that these heads are heard.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from metatok.reader.model import LeanLlama

QUIET = 0.1  # scale of all output projections but the ones written here
BLIND = 0.05  # scale of layer 0's queries and keys: what they see hardly matters
REACH = 80.0  # c², the height of the look-back peak before the scale 1/√dh
SLOW = 0.0015  # RoPE frequencies below this rotate too little to blur a match over some hundred positions
SHARP = 14.0  # scale of the matching queries
COPY = 0.5  # scale of the copied token
LINE, LINE_SHARP = 0.7, 1.5  # scales of the ids before one in its embedding, and of queries and keys that match them

LOOK_BACK = (1, 2, 3)  # positions, heads 0, 1 and 2 of layer 0
# Heads of layer 1: pairs of how far before the query, and before the key, the tokens stand that must be the same.
MATCHES = (
    ((0, 1),),  # x … x y: copy y
    ((0, 1), (1, 2)),  # w x … w x y
    ((1, 2), (2, 3)),  # w x , … w x < y: what follows w x, whatever stands between
    ((1, 3),),  # x , … x : \n y
)


@torch.no_grad()
def initialise(model: LeanLlama, generator: torch.Generator) -> None:
    """Initialise all weights, and then the four heads.

    Raises:
        ValueError: for a model with fewer than two layers or two heads.
    """
    c = model.config
    if c.layers < 2 or c.heads < len(MATCHES):
        raise ValueError(f"the initialisation needs two layers of {len(MATCHES)} heads, not {c.layers} of {c.heads}")
    d, dh = c.width, c.width // c.heads
    n = dh // 2
    frequencies = c.rope_theta ** (-torch.arange(n) / n)

    def normal(*shape: int, std: float) -> Tensor:
        return torch.randn(*shape, generator=generator) * std

    model.embed_tokens.weight.copy_(normal(*model.embed_tokens.weight.shape, std=d**-0.5))
    for block in model.blocks:
        a, m = block.self_attn, block.mlp
        for linear in (a.q_proj, a.k_proj, a.v_proj, a.o_proj):
            linear.weight.copy_(normal(d, d, std=d**-0.5))
            linear.bias.zero_()
        for linear in (m.gate_proj, m.up_proj):
            linear.weight.copy_(normal(c.inner, d, std=d**-0.5))
        m.down_proj.weight.copy_(normal(d, c.inner, std=c.inner**-0.5))
        a.o_proj.weight.mul_(QUIET)
        m.down_proj.weight.mul_(QUIET)

    # Each look-back head writes into a subspace of its own, as wide as layer 1 can match on.
    slow = (frequencies < SLOW).nonzero()[:, 0]
    places = torch.cat((slow, slow + n))  # dimensions of a head that rotate slowly
    k = len(places)
    if len(LOOK_BACK) * k > d:
        raise ValueError(f"the initialisation needs a width of {len(LOOK_BACK) * k}, not {d}")
    written = torch.linalg.qr(normal(d, len(LOOK_BACK) * k, std=1.0))[0].T.view(len(LOOK_BACK), k, d)  # U₁, U₂, U₃
    read = normal(k, d, std=d**-0.5)  # A

    first = model.blocks[0].self_attn
    reach = math.sqrt(REACH)
    for head, offset in enumerate(LOOK_BACK):
        rows = slice(head * dh, (head + 1) * dh)
        first.q_proj.weight[rows] *= BLIND
        first.k_proj.weight[rows] *= BLIND
        first.k_proj.bias[rows] = torch.cat((torch.full((n,), reach), torch.zeros(n)))
        angle = offset * frequencies
        first.q_proj.bias[rows] = reach * torch.cat((angle.cos(), -angle.sin()))
        first.v_proj.weight[rows] = 0
        first.v_proj.weight[rows][:k] = read
        first.o_proj.weight[:, rows] = 0
        first.o_proj.weight[:, rows][:, :k] = written[head].T / math.sqrt(k)

    # What a query or a key can be: the token itself (deaf to what layer 0 wrote), or one of those before it.
    subspaces = written.reshape(-1, d)
    parts = [read - read @ subspaces.T @ subspaces, *written]
    second = model.blocks[1].self_attn
    copied = torch.linalg.qr(normal(d, d, std=1.0))[0]
    for head, pairs in enumerate(MATCHES):
        rows = slice(head * dh, (head + 1) * dh)
        query, key = torch.zeros(dh, d), torch.zeros(dh, d)
        for i, (asked, found) in enumerate(pairs):
            share = slice(i, None, len(pairs))
            query[places[share]] = parts[asked][share]
            key[places[share]] = parts[found][share]
        second.q_proj.weight[rows] = SHARP * query
        second.k_proj.weight[rows] = key
        second.v_proj.weight[rows] = copied[rows]
        second.o_proj.weight[:, rows] = COPY * copied[rows].T
    if model.phrases.before:
        match_lines(model, generator)


@torch.no_grad()
def match_lines(model: LeanLlama, generator: torch.Generator) -> None:
    """Write the ids before each one into its embedding, and let two heads of layers 1 and 2 match them, too.

    Each of the `before` ids goes through one random map A into a subspace of its own. What the heads match already
    stays: of the places that they see, those with more ids alike before them get a higher score. So this serves a model
    that was trained without, as well; its loss is back after some hundred steps.
    """
    c, before = model.config, model.phrases.before
    d, dh = c.width, c.width // c.heads
    n, k = dh // 2, d // (2 * before)
    slow = (c.rope_theta ** (-torch.arange(n) / n) < SLOW).nonzero()[:, 0]
    places = torch.cat((slow, slow + n))

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    read = normal(k, d) * d**-0.5  # A
    written = torch.linalg.qr(normal(d, before * k))[0].T.view(before, k, d)
    for i in range(before):
        model.phrases.get_parameter(f"before_{i + 1}").copy_(LINE * read.T @ written[i])
    for block in model.blocks[1:3]:
        for head in range(2):
            rows = places + head * dh
            for i in range(before - 1):
                mixed = LINE_SHARP * normal(len(places), k) * len(places) ** -0.5
                block.self_attn.q_proj.weight[rows] += mixed @ written[i]
                block.self_attn.k_proj.weight[rows] += mixed @ written[i + 1]
