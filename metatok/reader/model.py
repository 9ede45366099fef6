"""A Llama, lean for training: the same mathematics and the same weights as transformers' `LlamaForCausalLM`.

What is different is what training a small model on a CPU needs: one compiled block for all layers, a mask that lets
several questions share a prompt, and logits only where the loss looks. `metatok.reader.export` gives the transformers
model.

`PhraseEmbedding` is the one thing the format does not ask for: the input embedding of a meta-token is its own vector
and, added to it, learned projections of the embeddings of its phrase's first four and last three tokens; what stands in
a phrase that is being defined has a projection of its meta-token's embedding added. So a phrase leads to its uses as
its uses lead to it. Some models have the ids before each one in its line added in the same way (see
`metatok.reader.written`). All is computed before the model and passed as `inputs_embeds`, so the model stays a plain
Llama.
"""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from metatok.reader.config import ModelConfig
from metatok.reader.data import RELATED, Batch, before_names

EPS = 1e-6
SLICES = 4  # of a sequence's positions, which attend one after the other
HIDDEN = -1e9  # added to a score it leaves no attention
PROJECTIONS = (0.5, 0.2, 0.0, 0.0, 0.2, 0.0, 0.0, 0.0)  # times the identity, where their projections start


def on(device: torch.device, array: NDArray[Any]) -> Tensor:
    """An array as a tensor there; a GPU copies it while the program goes on."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def _linear(x: Tensor, linear: nn.Linear) -> Tensor:
    """A linear map in the precision of x; weights are kept in float32."""
    return F.linear(x, linear.weight.to(x.dtype), None if linear.bias is None else linear.bias.to(x.dtype))


def _norm(x: Tensor, weight: Tensor, dtype: torch.dtype) -> Tensor:
    return (x * torch.rsqrt(x.square().mean(-1, keepdim=True) + EPS) * weight).to(dtype)


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary position embedding, dimensions j and j + n paired."""
    a, b = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-b, a), dim=-1) * sin


def _attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """What each head sees, (b, heads, t, d / heads). A CPU is fastest slice by slice: what is behind a slice is left
    out, and its scores stay in the cache."""
    if q.is_cuda:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    t = q.shape[2]
    ends = [t * (i + 1) // SLICES for i in range(SLICES)]
    seen = []
    for start, end in zip((0, *ends), ends, strict=False):
        scores = (q[:, :, start:end] @ k[:, :, :end].transpose(-1, -2)).float() * q.shape[-1] ** -0.5
        weights = torch.softmax(scores + mask[:, :, start:end, :end], dim=-1)
        seen.append(weights.to(q.dtype) @ v[:, :, :end])
    return torch.cat(seen, dim=2)


def visible(segment: Tensor) -> Tensor:
    """The attention mask to add to the scores, (b, 1, t, t): 0 where position i sees position j, else very negative.

    Position i sees what comes before it in the prompt (segment 0) and in its own segment.
    """
    t = segment.shape[1]
    before = torch.ones(t, t, dtype=torch.bool, device=segment.device).tril()
    seen = before & ((segment[:, None, :] == 0) | (segment[:, None, :] == segment[:, :, None]))
    return torch.zeros(seen.shape, device=segment.device).masked_fill_(~seen, HIDDEN)[:, None]


class Norm(nn.Module):
    """The weight of a root-mean-square norm."""

    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))


class Attention(nn.Module):
    """Causal self-attention's weights, named as in Llama."""

    def __init__(self, width: int):
        super().__init__()
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.o_proj = nn.Linear(width, width)


class FeedForward(nn.Module):
    """A gated feed-forward layer's weights, named as in Llama."""

    def __init__(self, width: int, inner: int):
        super().__init__()
        self.gate_proj = nn.Linear(width, inner, bias=False)
        self.up_proj = nn.Linear(width, inner, bias=False)
        self.down_proj = nn.Linear(inner, width, bias=False)


class Block(nn.Module):
    """One layer. The residual stream is float32, products are in the dtype of `cos`."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.heads = config.heads
        self.self_attn = Attention(config.width)
        self.mlp = FeedForward(config.width, config.inner)
        self.input_layernorm = Norm(config.width)
        self.post_attention_layernorm = Norm(config.width)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor) -> Tensor:
        b, t, d = x.shape
        a = self.self_attn
        h = _norm(x, self.input_layernorm.weight, cos.dtype)
        q, k, v = (_linear(h, p).view(b, t, self.heads, -1).transpose(1, 2) for p in (a.q_proj, a.k_proj, a.v_proj))
        q, k = _rotate(q, cos, sin), _rotate(k, cos, sin)
        x = x + _linear(_attend(q, k, v, mask).transpose(1, 2).reshape(b, t, d), a.o_proj)
        h = _norm(x, self.post_attention_layernorm.weight, cos.dtype)
        m = self.mlp
        return x + _linear(F.silu(_linear(h, m.gate_proj)) * _linear(h, m.up_proj), m.down_proj)


class PhraseEmbedding(nn.Module):
    """Projections of the embeddings of `RELATED` ids, added to those of meta-tokens and of phrases written down; and of
    the `before` ids before each in its line, which are zero until `metatok.reader.mimetic` or training writes them."""

    def __init__(self, width: int, before: int = 0):
        super().__init__()
        self.before = before
        for name, scale in zip(RELATED, PROJECTIONS, strict=True):
            self.register_parameter(name, nn.Parameter(scale * torch.eye(width)))
        for name in before_names(before):
            self.register_parameter(name, nn.Parameter(torch.zeros(width, width)))

    def forward(self, embedded: Tensor, table: Tensor, phrases: Tensor) -> Tensor:
        """Input embeddings with those of related ids added.

        Args:
            embedded: (b, t, d), or any shape that ends in d.
            table: (vocabulary, d), the embedding of every id.
            phrases: (m, 1 + r), int64: an index into the positions of `embedded`, then the r `RELATED` ids, and
                those before where there are such, -1 where there is none. See `metatok.reader.data.phrase_rows`.
        """
        names = (*RELATED, *before_names(self.before))
        at, tokens = phrases[:, 0], F.pad(phrases[:, 1:], (0, 1 + len(names) - phrases.shape[1]), value=-1)
        rows = F.embedding(tokens.clamp(min=0), table) * (tokens >= 0).unsqueeze(-1).to(table.dtype)
        added = rows.flatten(1) @ torch.cat([self.get_parameter(name) for name in names])
        return embedded.view(-1, embedded.shape[-1]).index_add(0, at, added).view_as(embedded)


class LeanLlama(nn.Module):
    """The model in training."""

    cos: Tensor  # (positions, d / heads), of the rotary embedding
    sin: Tensor

    def __init__(self, config: ModelConfig, vocabulary: int, before: int = 0):
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(vocabulary, config.width)
        self.layers = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = Norm(config.width)
        self.phrases = PhraseEmbedding(config.width, before)
        half = config.width // config.heads // 2
        frequencies = config.rope_theta ** (-torch.arange(half, dtype=torch.float64) / half)
        angles = torch.arange(config.longest, dtype=torch.float64)[:, None] * frequencies.repeat(2)
        self.register_buffer("cos", angles.cos().float(), persistent=False)
        self.register_buffer("sin", angles.sin().float(), persistent=False)

    @property
    def blocks(self) -> list[Block]:
        """The layers, first one first."""
        return [layer for layer in self.layers if isinstance(layer, Block)]

    def embed(self, ids: Tensor, phrases: Tensor | None) -> Tensor:
        """Input embeddings (b, t, d); without `phrases` the plain form."""
        embedded = self.embed_tokens(ids)
        if phrases is None:
            return embedded
        result: Tensor = self.phrases(embedded, self.embed_tokens.weight, phrases)
        return result

    def forward(self, embedded: Tensor, segment: Tensor, position: Tensor, dtype: torch.dtype) -> Tensor:
        """The normed outputs of the last layer, (b, t, d) in `dtype`.

        Args:
            embedded: (b, t, d), float32, of `embed`.
            segment: (b, t), see `metatok.reader.data.Example`.
            position: (b, t), below `config.longest`.
            dtype: of the matrix products.
        """
        cos, sin = self.cos[position][:, None].to(dtype), self.sin[position][:, None].to(dtype)
        mask = visible(segment)
        if embedded.is_cuda:
            mask = mask.to(dtype)
        x = embedded
        for block in self.blocks:
            x = block(x, cos, sin, mask)
        return _norm(x, self.norm.weight, dtype)

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits over all ids, float32, of outputs of `forward`."""
        return (hidden @ self.embed_tokens.weight.to(hidden.dtype).T).float()

    def at(self, batch: Batch, dtype: torch.dtype) -> Tensor:
        """Logits (k, vocabulary), float32, at the k places of a batch that the loss looks at."""
        device = self.embed_tokens.weight.device
        ids, segment, position, phrases, where = (
            on(device, a) for a in (batch.ids, batch.segment, batch.position, batch.phrases, batch.where)
        )
        hidden = self(self.embed(ids, phrases), segment, position, dtype)
        return self.logits(hidden.flatten(0, 1)[where])
