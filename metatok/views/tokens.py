"""The token view: a text and its compressed sequence, coloured by phrase and linked with the dictionary.

What this file does: it turns one compression into plain data (`view_data`, `view_json`), and `token_view` makes the
Gradio component in which `tokens_*.js` and `tokens.css`, beside this file, draw that data. What it does not: no search,
no numbers about savings (`metatok.summary`), no steps of the walk (`walk.py`), no page around it (`metatok.demo`).

The value of the component is one JSON string. Gradio wraps nested values in deep proxies, which takes seconds
for 100,000 tokens; a string passes untouched. The template is constant and user text never enters it: Gradio
compiles templates as JavaScript, so `${…}` in a text would run. The scripts show text as text nodes only.

Positions go out in UTF-16 units, the only ones that JavaScript strings know.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from metatok.views.walk import walk

if TYPE_CHECKING:
    from metatok.codec import Compressed
    from metatok.tokenizer import MetaTokenizer

Int32 = NDArray[np.int32]

VIEW_TOKENS = 200_000
"""How much of a longer text is sent to the browser: some 3 MB, drawn in about a second."""

PHRASE_SYMBOLS = 80  # symbols of one definition that the dictionary shows
CHARACTER_TOKENS = 6  # tokens that share one character: it has four bytes at most, and some to spare

_HERE = Path(__file__).parent
CSS = (_HERE / "tokens.css").read_text(encoding="utf-8")
SCRIPTS = ("data", "panes", "strips", "dictionary", "links", "walk", "listen")  # in this order one function
JAVASCRIPT = "\n".join((_HERE / f"tokens_{name}.js").read_text(encoding="utf-8") for name in SCRIPTS)

# Constant, without user text. The ids are the ones that tests and other programs rely on.
TEMPLATE = """
<div class="view" data-tokens="" data-compressed="">
  <div class="strips" role="img" aria-label="">
    <span class="strip-name">before</span><div class="strip before"><div class="ticks"></div></div>
    <span class="strip-name">after</span><div class="strip after"><div class="ticks"></div></div>
  </div>
  <div class="tools" role="group" aria-label="How the tokens are shown">
    <button type="button" class="tool stack" aria-pressed="false">One above the other</button>
    <button type="button" class="tool spaces" aria-pressed="false">Whitespace</button>
    <button type="button" class="tool numbered" aria-pressed="false">Token ids</button>
    <button type="button" class="tool walk-open" aria-expanded="false">Step by step</button>
  </div>
  <section class="walk" aria-label="Step by step" hidden>
    <div class="walk-bar">
      <button type="button" class="walk-play">Play</button>
      <button type="button" class="walk-back" aria-label="previous step">‹</button>
      <span class="walk-at"></span>
      <button type="button" class="walk-next" aria-label="next step">›</button>
      <button type="button" class="walk-close" aria-label="stop and close">×</button>
      <p class="walk-say" role="status"></p>
    </div>
    <div class="walk-row" role="region" aria-label="The first tokens, step by step" tabindex="0"></div>
    <ul class="walk-book" aria-label="Written down so far"></ul>
  </section>
  <div class="caption">
    <p class="hint">
      Point at a token or a phrase to see what stands for it on the other side. Click a phrase to hold it. By keyboard:
      arrow keys choose in either text and in the dictionary, Enter holds, arrow keys step through its places,
      Esc lets go.
    </p>
    <div class="about" hidden>
      <span class="about-chip"></span>
      <span class="about-text" dir="auto"></span>
      <span class="about-numbers"></span>
      <span class="steps" hidden>
        <button type="button" class="previous" aria-label="previous place">‹</button>
        <output class="place"></output>
        <button type="button" class="next" aria-label="next place">›</button>
        <button type="button" class="release" aria-label="let go of this phrase">×</button>
      </span>
    </div>
  </div>
  <p class="spoken told" role="status"></p>
  <div class="panes">
    <section class="pane">
      <div class="head">
        <h2>Original <small class="original-count"></small></h2>
        <button type="button" class="keep-selection">Keep the selection raw</button>
      </div>
      <div class="text original" role="region" aria-label="Original text, coloured by phrase" tabindex="0">
      </div>
    </section>
    <section class="pane">
      <h2>Compressed <small class="compressed-count"></small></h2>
      <div class="text compressed" role="region" aria-label="Compressed sequence" tabindex="0"></div>
    </section>
    <section class="pane dictionary" id="dictionary" aria-label="Dictionary">
      <h2>Dictionary <small class="dictionary-count" role="status"></small></h2>
      <div class="find">
        <input type="search" class="search" aria-label="Search the dictionary" placeholder="Search" autocomplete="off">
      </div>
      <div class="columns" role="group" aria-label="Sort the dictionary">
        <button type="button" class="sort" data-by="phrase">phrase <span class="arrow"></span></button>
        <button type="button" class="sort" data-by="length">tokens <span class="arrow"></span></button>
        <button type="button" class="sort" data-by="uses"
          title="how often its meta-token is used, in other phrases, too">uses <span class="arrow"></span></button>
        <button type="button" class="sort" data-by="saved">saved <span class="arrow"></span></button>
      </div>
      <div class="entries">
        <ol class="list"></ol>
        <button type="button" class="more" hidden></button>
      </div>
    </section>
  </div>
</div>
"""


def view_data(
    tokenizer: MetaTokenizer,
    text: str,
    compressed: Compressed,
    *,
    phrases: Sequence[dict[str, Any]] | None = None,
    kept: Sequence[tuple[int, int]] = (),
    limit: int = VIEW_TOKENS,
) -> dict[str, Any]:
    """What the scripts draw, as plain data. Meta-tokens are numbered as people see them: m0, m1, …

    Args:
        tokenizer: the one that made `compressed`.
        text: the prompt.
        compressed: `tokenizer.compress(text)`.
        phrases: `metatok.summary.summarize(…)["phrases"]`, where at hand; the dictionary has its order.
        kept: the ranges of tokens that were kept raw, in order and apart.
        limit: how many tokens, and how many symbols of the compressed sequence, are shown.

    Returns:
        - `tokens`, `compressed`: how many there are in all, shown or not.
        - `text`: the shown part of the prompt, and `lengths`: UTF-16 units of each of its tokens. Tokens that
          share a character have length 0, but for the last of them, which has it.
        - `token_ids`: the ids of these tokens, `symbol_ids`: those of the shown symbols; int32, base64.
        - `kept`: start, stop of every range that was kept raw, flat, in tokens.
        - `spans`: start, stop, m of every outermost occurrence, flat, in tokens.
        - `raw`: the raw tokens of the compressed sequence as one text; `symbols`: the sequence, where n ≥ 0 is a
          raw token of n UTF-16 units and −1 − k is the id `vocab_size` + k: −1 and −2 the dictionary marks,
          −3 m0, −4 m1, …
        - `defines`: start, stop, m of every run of symbols that spells a definition, flat.
        - `phrases`: [m, length, uses, saved, [text or m, …], [offset, m, …]] of every phrase, the most saving
          first: its definition as it is written, and where it holds others, in tokens.
        - `walk`: see `metatok.views.walk`.
    """
    if phrases is None:
        from metatok.summary import summarize

        phrases = summarize(tokenizer, text, compressed)["phrases"]
    ids, ends = tokenizer.encode_with_offsets(text)
    first, vocab_size = tokenizer.codec.first_meta, tokenizer.codec.vocab_size
    shown = min(len(ids), limit)
    units = utf16_offsets(text, ends[:shown])
    if shown < len(ids):
        text = text[: int(ends[shown - 1]) if shown else 0]

    spans = compressed.spans[: np.searchsorted(compressed.spans[:, 0], shown)].copy()
    spans[:, 1] = np.minimum(spans[:, 1], shown)
    spans[:, 2] -= first

    sequence = compressed.ids[:limit]
    context = compressed.defines[:limit]
    pieces = _pieces(tokenizer, sequence, context)
    symbols = np.where(sequence < vocab_size, utf16_lengths(pieces), vocab_size - 1 - sequence)

    return {
        "tokens": len(ids),
        "compressed": len(compressed),
        "text": text,
        "lengths": np.diff(units, prepend=0).tolist(),
        "token_ids": _base64(ids[:shown]),
        "symbol_ids": _base64(sequence),
        "kept": [min(at, shown) for start, stop in kept if start < shown for at in (start, stop)],
        "spans": spans.ravel().tolist(),
        "raw": "".join(pieces),
        "symbols": symbols.tolist(),
        "defines": _runs(context, first),
        "phrases": _phrases(tokenizer, compressed, phrases),
        "walk": walk(tokenizer.codec, ids, kept),
    }


def view_json(tokenizer: MetaTokenizer, text: str, compressed: Compressed, **options: Any) -> str:
    """`view_data` as the JSON string that the component takes; with `<` escaped, it may stand in a page."""
    data = view_data(tokenizer, text, compressed, **options)
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def token_view(value: str | None = None, **options: Any) -> Any:
    """The Gradio component; its value is what `view_json` returns, or None for nothing yet.

    Args:
        options: as for `gradio.HTML`, such as `elem_id`.
    """
    import gradio as gr

    return gr.HTML(
        value,
        html_template=TEMPLATE,
        css_template=CSS,
        js_on_load=JAVASCRIPT,
        apply_default_css=False,
        **options,
    )


def utf16_offsets(text: str, ends: NDArray[np.integer]) -> NDArray[np.int64]:
    """Character offsets in `text` as offsets in UTF-16 units.

    >>> utf16_offsets("a🦜b", np.array([1, 2, 3])).tolist()
    [1, 3, 4]
    """
    places: NDArray[np.int64] = ends.astype(np.int64)
    if text.isascii():
        return places
    characters = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    before = np.concatenate(([0], np.cumsum(characters > 0xFFFF)))  # characters of two units in front of each
    return places + before[places]


def utf16_lengths(pieces: Sequence[str]) -> NDArray[np.int64]:
    """How many UTF-16 units each piece has.

    >>> utf16_lengths(["a", "", "🦜b"]).tolist()
    [1, 0, 3]
    """
    ends = np.cumsum(np.fromiter(map(len, pieces), np.int32, len(pieces)), dtype=np.int32)
    return np.diff(utf16_offsets("".join(pieces), ends), prepend=0)


def _base64(ids: Int32) -> str:
    """A third of the characters that JSON takes for them, and none of the time; little-endian."""
    return base64.b64encode(ids.astype("<i4").tobytes()).decode("ascii")


def _pieces(tokenizer: MetaTokenizer, sequence: Int32, context: Int32) -> list[str]:
    """The text of each id alone; of raw tokens that share a character the last has it. Meta-tokens have none.

    Tokens share a character only where they follow each other in the body or in one definition. What is left of
    a character that a phrase cuts apart is shown as U+FFFD, which is what it is.
    """
    raw = sequence < tokenizer.codec.vocab_size
    spelled = iter(tokenizer.pieces(sequence[raw]))
    pieces = [next(spelled) if is_raw else "" for is_raw in raw.tolist()]
    halves = [i for i, piece in enumerate(pieces) if "\ufffd" in piece]
    # A run of raw tokens ends where a definition begins or ends, and in front of a meta-token.
    ends = np.flatnonzero((np.diff(context, append=-3) != 0) | ~np.append(raw[1:], False)) + 1
    stops = ends[np.searchsorted(ends, halves, side="right")].tolist()
    ids = sequence.tolist()
    whole: dict[tuple[int, ...], str] = {}
    done = 0
    for start, stop in zip(halves, stops, strict=True):
        if start < done:
            continue
        for end in range(start + 2, min(stop, start + CHARACTER_TOKENS) + 1):
            key = tuple(ids[start:end])
            if key not in whole:
                whole[key] = tokenizer.fragment(key)
            if "\ufffd" not in whole[key]:
                pieces[start:end] = [""] * (end - start - 1) + [whole[key]]
                done = end
                break
    return pieces


def _runs(context: Int32, first: int) -> list[int]:
    """[start, stop, m, …] of the runs of equal meta-tokens in `context`.

    >>> _runs(np.array([-1, 102, 102, 103, -1]), 100)
    [1, 3, 2, 3, 4, 3]
    """
    bounds = np.concatenate(([0], np.flatnonzero(np.diff(context)) + 1, [len(context)]))
    starts, stops = bounds[:-1], bounds[1:]
    inside = context[starts[starts < len(context)]] >= first
    starts, stops = starts[: len(inside)][inside], stops[: len(inside)][inside]
    return np.stack((starts, stops, context[starts] - first), axis=1).ravel().tolist()


def _phrases(tokenizer: MetaTokenizer, compressed: Compressed, phrases: Sequence[dict[str, Any]]) -> list[list[Any]]:
    first = tokenizer.codec.first_meta
    expanded = compressed.phrases
    rows: list[list[Any]] = []
    for phrase in phrases:
        meta = phrase["id"]
        definition = compressed.definitions[meta]
        inner: list[int] = []
        if len(definition) != len(expanded[meta]):  # it holds meta-tokens
            offset = 0
            for symbol in definition:
                if symbol >= first:
                    inner += (offset, symbol - first)
                    offset += len(expanded[symbol])
                else:
                    offset += 1
        written = _spelled(definition[:PHRASE_SYMBOLS], first, tokenizer.fragment)
        if len(definition) > PHRASE_SYMBOLS:
            written.append("…")
        rows.append([meta - first, phrase["length"], phrase["uses"], phrase["saved"], written, inner])
    return rows


def _spelled(definition: Sequence[int], first: int, fragment: Callable[[Sequence[int]], str]) -> list[str | int]:
    """A definition as texts and numbers of meta-tokens, in turn as they come.

    >>> _spelled([1, 2, 105, 3], 100, lambda ids: "".join(map(str, ids)))
    ['12', 5, '3']
    """
    out: list[str | int] = []
    start = 0
    for i, symbol in enumerate(definition):
        if symbol >= first:
            if start < i:
                out.append(fragment(definition[start:i]))
            out.append(symbol - first)
            start = i + 1
    if start < len(definition):
        out.append(fragment(definition[start:]))
    return out
