"""The walk through find, count, replace, write down: every frame adds up, the last one is the compressed sequence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from metatok.codec import METHODS, Codec, Compressed
from metatok.tokenizer import MetaTokenizer
from metatok.views.walk import TOKENS, walk

LINES = "".join(f"/usr/share/doc/package-{i % 7}/changelog.Debian.gz {i}\n" for i in range(60))


@pytest.fixture(scope="module")
def ids() -> Any:
    return MetaTokenizer.from_pretrained("mistral:v3").encode(LINES)


def flat(row: list[Any]) -> list[int]:
    return [x for item in row for x in (flat(item) if isinstance(item, list) else [item])]


def as_ids(row: list[Any], ids: Any, codec: Codec) -> list[int]:
    return [int(ids[x]) if x >= 0 else codec.first_meta - 1 - x for x in flat(row)]


def compressed(codec: Codec, ids: Any, **options: Any) -> Compressed:
    return codec.compress(ids[:TOKENS], **options)


@pytest.mark.parametrize("method", METHODS)
def test_the_last_frame_is_the_compressed_sequence(ids: Any, method: Any) -> None:
    codec = Codec(32_768, 512, method)
    c = compressed(codec, ids)
    story = walk(codec, ids)
    assert (story["tokens"], story["compressed"]) == (TOKENS, len(c))
    written = as_ids(story["frames"][-1]["row"], ids, codec)
    assert written == [i for i in c.ids.tolist() if i not in (codec.dict_open, codec.dict_close)]
    assert f"{TOKENS} tokens have become {len(c)}" in story["frames"][-1]["say"]


@pytest.mark.parametrize("method", METHODS)
def test_every_frame_stands_for_the_text_and_its_sum_is_right(ids: Any, method: Any) -> None:
    codec = Codec(32_768, 512, method)
    phrases = {m - codec.first_meta: tokens for m, tokens in compressed(codec, ids).phrases.items()}
    frames = walk(codec, ids)["frames"]
    assert [f["act"] for f in frames[:5]] == ["start", "find", "count", "replace", "write"]
    length = TOKENS
    for frame in frames[:-1]:
        expanded = [t for x in flat(frame["row"]) for t in ([ids[x]] if x >= 0 else phrases[-1 - x])]
        assert np.array_equal(expanded, ids[:TOKENS])
        if frame["act"] == "count":
            groups = [item for item in frame["row"] if isinstance(item, list)]
            uses, size = len(groups), len(groups[0])
            assert all(len(group) == size for group in groups)
            assert frame["say"].startswith(f"Count: {uses} places of {size} tokens are {uses * size} tokens.")
            cost = size if method == "inline" else size + 1
            assert f"{uses + cost} in all, {uses * size - uses - cost} fewer" in frame["say"]
            length -= uses * (size - 1)
        if frame["act"] == "replace":
            assert len(frame["row"]) == length
        for m, symbols in frame["book"]:
            assert tuple(t for x in symbols for t in ([ids[x]] if x >= 0 else phrases[-1 - x])) == phrases[m]
    assert len(frames[-2]["book"]) == len(phrases)


def test_what_is_kept_raw_is_never_part_of_a_phrase(ids: Any) -> None:
    codec = Codec(32_768, 512, "nested")
    for frame in walk(codec, ids, kept=[(20, 60), (190, 260), (400, 410)])["frames"]:
        for kept in (range(20, 60), range(190, TOKENS)):
            assert [x for x in frame["row"] if not isinstance(x, list) and x in kept] == list(kept)


@pytest.mark.parametrize(("tokens", "what"), [([], "the 0 tokens"), ([1, 2, 3], "the 3 tokens")])
def test_where_nothing_pays_it_says_so(tokens: list[int], what: str) -> None:
    story = walk(Codec(10), np.array(tokens, np.int32))
    assert [frame["act"] for frame in story["frames"]] == ["start", "end"]
    assert what in story["frames"][-1]["say"]
    assert story["frames"][-1]["row"] == list(range(len(tokens)))
