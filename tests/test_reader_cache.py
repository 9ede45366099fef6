"""The cache with room: the same keys and values as transformers' own, without copying them at each token."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from transformers.cache_utils import DynamicLayer  # noqa: E402

from metatok.reader import Reader  # noqa: E402
from metatok.reader.cache import ROOM, RoomyLayer, reader_cache  # noqa: E402

steps = st.one_of(
    st.tuples(st.just("update"), st.integers(1, 2 * ROOM)),
    st.tuples(st.just("crop"), st.integers(0, 2 * ROOM)),
    st.tuples(st.just("select"), st.integers(0, 2)),
    st.tuples(st.just("repeat"), st.just(2)),
    st.tuples(st.just("reset"), st.just(0)),
    st.tuples(st.just("copy"), st.just(0)),
)


@settings(max_examples=200, deadline=None)
@given(heads=st.integers(1, 3), width=st.integers(1, 4), script=st.lists(steps, max_size=12), seed=st.integers(0, 99))
def test_what_it_holds_is_what_transformers_holds(
    heads: int, width: int, script: list[tuple[str, int]], seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    layers = (RoomyLayer(), DynamicLayer())
    rows = 2
    for what, count in [("update", 3), *script, ("update", 1)]:
        held = layers[1].get_seq_length()
        if what == "update":
            keys, values = (torch.randn(rows, heads, count, width, generator=generator) for _ in range(2))
            given_back = [layer.update(keys, values) for layer in layers]
            assert all(torch.equal(*pair) for pair in zip(*given_back, strict=True))
        elif what == "select" and held:
            kept = torch.arange(rows)[min(count, rows - 1) :]
            rows = len(kept)
            for layer in layers:
                layer.batch_select_indices(kept)
        elif what == "repeat" and held and rows < 8:
            rows *= count
            for layer in layers:
                layer.batch_repeat_interleave(count)
        elif what == "crop" and held >= count:
            for layer in layers:
                layer.crop(-count)
        elif what == "reset":
            rows = 2
            for layer in layers:
                layer.reset()
        elif what == "copy":
            left, layers = layers[0], tuple(copy.deepcopy(layer) for layer in layers)
            if held:
                left.update(*(torch.zeros(rows, heads, 1, width) for _ in range(2)))  # which is of no concern to these
        assert layers[0].get_seq_length() == layers[1].get_seq_length()
        if layers[1].get_seq_length():
            assert torch.equal(layers[0].keys, layers[1].keys)
            assert torch.equal(layers[0].values, layers[1].values)


def test_a_token_is_written_where_it_stays() -> None:
    layer = RoomyLayer()
    layer.update(torch.zeros(1, 2, 1000, 4), torch.zeros(1, 2, 1000, 4))
    places = set()
    for _ in range(1000):
        layer.update(torch.ones(1, 2, 1, 4), torch.ones(1, 2, 1, 4))
        places.add(layer.keys.data_ptr())
    assert len(places) <= 1 + 6  # an eighth more each time it is full: 1,125 to 2,000 in six
    assert layer.keys.shape == (1, 2, 2000, 4)
    assert layer.keys.sum() == 2 * 1000 * 4


def test_readers_have_it(tiny_reader: Path) -> None:
    reader = Reader.from_pretrained(tiny_reader)
    assert [type(layer) for layer in reader_cache(reader).layers] == [
        RoomyLayer
    ] * reader.model.config.num_hidden_layers
