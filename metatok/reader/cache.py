"""The keys and values that a reader keeps: transformers' cache, with room behind what it holds.

transformers' own concatenates: with each token everything before it is copied, of 3,000 tokens 74 MB in float32. Here a
layer is made with room, and anew when that is used up, so that a token's keys and values are written where they stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor
from transformers.cache_utils import DynamicCache, DynamicLayer

if TYPE_CHECKING:
    from metatok.reader.generate import Reader

ROOM = 64  # tokens at least, when a layer is made


class RoomyLayer(DynamicLayer):
    """What holds the same as `DynamicLayer`, for inference only; `keys` and `values` are views of larger tensors.

    What `update` gave is overwritten when more comes after a `crop`. So an answer that goes two ways from some place
    has a `deepcopy` for the second one; two that share tensors would write over each other.
    """

    keys: Tensor
    values: Tensor

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        self.keys, self.values = _extended(self.keys, key_states), _extended(self.values, value_states)
        return self.keys, self.values


def _extended(held: Tensor, more: Tensor) -> Tensor:
    """(n, h, t, d) and then (n, h, k, d), as a view of a tensor that has room behind it.

    Where `held` is one already, its strides tell: those of a tensor that is longer in t.
    """
    before = held.shape[2] if held.numel() else 0
    shape = (*more.shape[:2], before + more.shape[2], more.shape[3])
    room = held.stride(1) // held.shape[3] - before if before else 0
    if room < more.shape[2]:
        larger = more.new_empty((*shape[:2], shape[2] + max(ROOM, shape[2] // 8), shape[3]))
        if before:
            larger[:, :, :before] = held
    else:
        larger = held.as_strided((*shape[:2], before + room, shape[3]), held.stride())
    larger[:, :, before : shape[2]] = more
    return larger[:, :, : shape[2]]


def reader_cache(reader: Reader) -> DynamicCache:
    """An empty cache for one answer, or for a batch of them."""
    cache = DynamicCache(config=reader.model.config)
    cache.layers = [RoomyLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache
