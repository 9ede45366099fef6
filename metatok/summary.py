"""What compressing one text came to, as plain data that JSON can hold.

One function, used by `metatok stats --json` and by the app's endpoint alike, so that both say the same of the same
text. It measures and checks; it draws nothing and knows nothing of architectures (`compute.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from metatok.compute import quadratic_saving
from metatok.lz77 import bound
from metatok.tokenizer import compare

if TYPE_CHECKING:
    from metatok.codec import Compressed
    from metatok.tokenizer import Ids, MetaTokenizer


def summarize(
    tokenizer: MetaTokenizer, text: str, compressed: Compressed | None = None, *, ids: Ids | None = None
) -> dict[str, Any]:
    """The numbers of one compression, its checks and its phrases.

    Args:
        tokenizer: with its method and pool.
        text: the prompt.
        compressed: what `tokenizer.compress(text, …)` returned, if that was done already.
        ids: what `tokenizer.encode(text)` returned, if that was done already.

    Returns:
        - `original_tokens`, `compressed_tokens`, `dictionary_tokens`: counts of ids; the dictionary is part of the
          compressed sequence.
        - `saving`: 1 − compressed / original. `quadratic_saving`: 1 − (compressed / original)², the part of the
          attention cost that grows with the square of the length.
        - `bound`: `metatok.bound`, the ids that any grammar of these tokens has at least. `saving_of_possible`: how
          much of what any grammar could save at most is saved, (original − compressed) / (original − bound); None
          where nothing could be.
        - `exact`: did decompressing the ids, done in this call, give the original ids?
        - `round_trip_text`: does the tokenizer itself give the text back unchanged? `change`: if not, what changed.
        - `tokenizer`, `method`, `meta_tokens`: what did it.
        - `phrases`: one entry a meta-token, the most saving first. `meta` and `id` name it; `text` and `length` (in
          tokens) are what it stands for, fully expanded; `symbols` is how many ids its definition is written with;
          `uses` counts its occurrences, in the body and in other definitions; `saved` is how many ids longer the
          sequence would be without it, all else unchanged, see `phrase_saving`. It is negative for a link that
          only helps to write a longer phrase. Where phrases hold no phrases (`ltsc`, `flat`), the `saved` of all
          of them less two for the marks is `original_tokens - compressed_tokens`.

    Raises:
        ValueError: the text has a lone surrogate.

    >>> from metatok.tokenizer import MetaTokenizer
    >>> tokenizer = MetaTokenizer.from_pretrained("mistral:v3", method="flat")
    >>> result = summarize(tokenizer, "spam and eggs, spam and eggs, spam and eggs")
    >>> result["original_tokens"], result["compressed_tokens"], result["exact"]
    (14, 12, True)
    >>> result["phrases"][0]["text"], result["phrases"][0]["uses"], result["phrases"][0]["saved"]
    (' spam and eggs', 3, 4)
    """
    if ids is None:
        ids = tokenizer.encode(text)
    if compressed is None:
        compressed = tokenizer.codec.compress(ids)
    restored = tokenizer.codec.decompress(compressed.ids, max_length=len(ids))
    least = bound(ids)
    round_trip = compare(text, tokenizer.decode(ids))
    return {
        "original_tokens": len(ids),
        "compressed_tokens": len(compressed),
        "dictionary_tokens": compressed.dictionary_length,
        "saving": compressed.saving,
        "quadratic_saving": quadratic_saving(len(ids), len(compressed)),
        "bound": least,
        "saving_of_possible": (len(ids) - len(compressed)) / (len(ids) - least) if least < len(ids) else None,
        "exact": bool(np.array_equal(restored, ids)),
        "round_trip_text": round_trip.exact,
        "change": round_trip.change,
        "tokenizer": tokenizer.name,
        "method": tokenizer.method,
        "meta_tokens": tokenizer.meta_tokens,
        "phrases": _phrases(tokenizer, compressed),
    }


def phrase_saving(symbols: int, uses: int, *, inline: bool) -> int:
    """How many ids a phrase of N symbols with K occurrences saves.

    Written out it takes N·K ids. With a dictionary in front it takes one id an occurrence, and the head of its entry
    and its symbols once: 1 + N + K. Inline, the first occurrence is the head: N + K.

    >>> phrase_saving(3, 4, inline=False), phrase_saving(3, 4, inline=True)
    (4, 5)
    """
    return symbols * uses - (symbols + uses + (0 if inline else 1))


def _phrases(tokenizer: MetaTokenizer, compressed: Compressed) -> list[dict[str, Any]]:
    definitions, uses, inline = compressed.definitions, compressed.uses, tokenizer.method == "inline"
    written_out = compressed.phrases
    texts = tokenizer.fragments(list(written_out.values()))
    phrases = [
        {
            "meta": tokenizer.meta_name(meta),
            "id": meta,
            "text": text,
            "length": len(tokens),
            "symbols": len(definitions[meta]),
            "uses": uses[meta],
            "saved": phrase_saving(len(definitions[meta]), uses[meta], inline=inline),
        }
        for (meta, tokens), text in zip(written_out.items(), texts, strict=True)
    ]
    return sorted(phrases, key=lambda phrase: (-phrase["saved"], phrase["id"]))
