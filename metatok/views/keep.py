"""Parts of a text that stay raw: a person selects them, and the codec leaves them as they are.

What this file does: `keep_view` makes the Gradio component in which `keep.js`, beside this file, adds, lists and
removes parts; `keep_ranges` reads its value. What it does not: no compression, and no marks in the token view
(`tokens.py`).

The value is JSON, `[[start, stop], …]`, in UTF-16 units of the text as a text box has it, where the end of a line is
one unit however it was written. When the text is edited the browser moves the parts along, see `keep.js`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

_HERE = Path(__file__).parent
CSS = (_HERE / "keep.css").read_text(encoding="utf-8")
JAVASCRIPT = (_HERE / "keep.js").read_text(encoding="utf-8")

# Constant, without user text, as in tokens.py. The text box and the pane where text can be selected are named here.
TEMPLATE = """
<div class="keep" role="group" aria-label="Parts that stay raw"
     data-box="#text-input textarea" data-pane="#token-view .original">
  <div class="line">
    <button type="button" class="add">Keep the selection raw</button>
    <span class="hint">Select what must not be compressed, here or in the original below: an instruction, a question.
    </span>
  </div>
  <ul class="parts" aria-label="Parts that stay raw"></ul>
  <p class="said" role="status"></p>
</div>
"""

UNREADABLE = "The parts that stay raw could not be read; remove them and select them again."


def keep_view(**options: Any) -> Any:
    """The Gradio component; `input` is triggered when a part was added or removed.

    Args:
        options: as for `gradio.HTML`, such as `elem_id`.
    """
    import gradio as gr

    return gr.HTML(
        "",
        html_template=TEMPLATE,
        css_template=CSS,
        js_on_load=JAVASCRIPT,
        apply_default_css=False,
        **options,
    )


# Runs in the browser when the text has become another one: the parts move with it.
MOVE = """(text) => {
  document.querySelector('.keep[data-box]')?.move(text);
  return [];
}"""


def keep_ranges(value: str | None, text: str) -> list[tuple[int, int]]:
    """The value of the component as character ranges of `text`, in order.

    Raises:
        ValueError: it is none, or a part lies beyond the text; the message is a sentence.

    >>> keep_ranges("[[3, 6]]", "🦜\\r\\nspam")
    [(3, 6)]
    >>> keep_ranges("", "spam")
    []
    """
    if not value:
        return []
    try:
        ranges = json.loads(value)
        units = np.array(ranges, dtype=np.int64).reshape(-1, 2) if ranges else np.zeros((0, 2), np.int64)
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise ValueError(UNREADABLE) from None
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    widths = 1 + (codes > 0xFFFF).astype(np.int64)
    widths[1:][(codes[1:] == 10) & (codes[:-1] == 13)] = 0  # of CR LF
    ends = np.cumsum(widths)
    length = int(ends[-1]) if len(ends) else 0
    if (units < 0).any() or (units > length).any() or (units[:, 0] > units[:, 1]).any():
        raise ValueError(UNREADABLE)
    starts = np.searchsorted(ends, units[:, 0], side="right")
    stops = np.searchsorted(ends - widths, units[:, 1], side="left")
    return sorted(zip(starts.tolist(), stops.tolist(), strict=True))
