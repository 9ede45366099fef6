"""Links that restore the page: what the address carries, and what comes of it.

The state is the part of the address behind the `#`, as `key=value&…` with the keys `tab`, `example` or `text`,
`keep`, `tokenizer`, `method`, `pool` and `model`; `keep=3-6.10-20` are the parts of the text that stay raw, in UTF-16
units. A browser keeps that part to itself: a pasted text is in no server's log
just because the page was opened. `share.js` writes it, `state` reads it, and as anybody can write a link, `state`
believes nothing: a link with one wrong value restores nothing and gets a sentence.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import gradio as gr

from metatok.compute import PRESETS
from metatok.demo.cards import message_html
from metatok.demo.examples import Example, examples
from metatok.demo.explore import AS_MANY_AS_PAY, POOLS, Explore, about_html
from metatok.demo.page import SETTLED
from metatok.demo.run import MAX_BYTES, Refused, check_choices, is_path
from metatok.views.keep import keep_ranges

MAX_LINK = 6_000
"""Characters of a link, the text in it percent-encoded; mail and chat programs break longer ones."""

_PARTS = re.compile(r"\d{1,8}-\d{1,8}(\.\d{1,8}-\d{1,8}){,999}", re.ASCII)
POOL_NAMES = {"all" if size == AS_MANY_AS_PAY else str(size): size for size in POOLS}
JAVASCRIPT = Path(__file__).with_name("share.js").read_text(encoding="utf-8")


@dataclass(frozen=True)
class State:
    """What a link says; None where it says nothing.

    `about` is the example's line, "" for a text of one's own; `keep` is as `metatok.views.keep` has it.
    """

    tab: str | None = None
    text: str | None = None
    about: str | None = None
    tokenizer: str | None = None
    method: str | None = None
    pool: int | str | None = None
    model: str | None = None
    keep: str | None = None


def state(fragment: Any, tabs: Sequence[str], prepared: Sequence[Example]) -> State:
    """The state that a link's part behind the `#` asks for.

    Args:
        fragment: of any length; unknown keys are ignored, the last of several values counts.
        tabs: the ids of the page's tabs.
        prepared: the examples.

    Raises:
        Refused: it is no such part, or a value in it is wrong; with a sentence.

    >>> state("method=ltsc&pool=all&text=a%0Ab", ["explore"], []).text
    'a\\nb'
    """
    if not isinstance(fragment, str) or len(fragment) > 3 * MAX_BYTES:
        raise Refused("This link is too long.")
    try:
        fragment.encode()  # what a browser sends has no lone surrogates; a program's may
        asked = dict(parse_qsl(fragment, keep_blank_values=True, errors="strict", max_num_fields=100))
    except ValueError as error:
        raise Refused("This link is damaged: what it says is not text.") from error

    tab = _one_of("tab", asked.get("tab"), tabs)
    method = asked.get("method")
    tokenizer = asked.get("tokenizer")
    check_choices("any" if tokenizer is None else tokenizer, "inline" if method is None else method, None)
    if tokenizer is not None and not for_link(tokenizer):
        raise Refused(f"{tokenizer[:80]!r} is no tokenizer that a link can ask for; a folder is chosen by hand.")
    pool = _one_of("pool", asked.get("pool"), list(POOL_NAMES))
    model = _one_of("model", asked.get("model"), list(PRESETS))
    text, about = asked.get("text"), None
    if text is not None:
        about = ""
        if len(text.encode("utf-8")) > MAX_BYTES:
            raise Refused(f"The text in this link has more than the {MAX_BYTES / 1e6:.0f} MB that are taken here.")
    elif (name := asked.get("example")) is not None:
        by_name = {example.path.stem: example for example in prepared}
        _one_of("example", name, list(by_name))
        text, about = by_name[name].text, about_html(by_name[name])
    if (keep := asked.get("keep")) is not None:
        if text is None or not _PARTS.fullmatch(keep):
            raise Refused(f"What should stay raw, {keep[:80]!r}, are no parts of a text.")
        keep = json.dumps([[int(unit) for unit in part.split("-")] for part in keep.split(".")])
        try:
            keep_ranges(keep, text)
        except ValueError as error:
            raise Refused("What should stay raw is no part of the text, or lies beyond its end.") from error
    return State(tab, text, about, tokenizer, method, None if pool is None else POOL_NAMES[pool], model, keep)


def for_link(tokenizer: str | None) -> str:
    """The tokenizer as a link may ask for it; nothing for one that is chosen by hand, a folder on this machine.

    >>> for_link("mistral:v3"), for_link("./tokenizer")
    ('mistral:v3', '')
    """
    name = (tokenizer or "").strip()
    return name if len(name) <= 200 and name.isprintable() and not is_path(name) else ""


def share_part() -> Callable[[Explore, Any, Sequence[str]], None]:
    """The button and where its link appears, inside a `gradio.Blocks` context.

    Returns:
        What makes it work once the rest is there: it takes `Explore`, the `gradio.Tabs`, and the ids of its tabs.
    """
    button = gr.Button("Share", size="sm", min_width=0, elem_id="share")
    link = gr.HTML(elem_id="share-link")

    def connect(explore: Explore, tabs: Any, names: Sequence[str]) -> None:
        prepared = examples()
        chosen = [explore.tokenizer, explore.method, explore.meta_tokens, explore.architecture]
        tokenizer = gr.Textbox(for_link(explore.tokenizer.value), visible=False)
        choices = [explore.text, tokenizer, *chosen[1:], explore.keep]
        parts = gr.State(None)
        restored = [explore.message, tabs, explore.text, explore.about, *chosen, parts]
        settings = {
            "max": MAX_LINK,
            "all": AS_MANY_AS_PAY,
            "examples": {example.path.stem: fingerprint(example.text) for example in prepared},
        }
        script = JAVASCRIPT.replace("SETTINGS", json.dumps(settings))
        quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}

        def restore(fragment: str) -> list[Any]:
            try:
                found = state(fragment, names, prepared)
            except Refused as error:
                sentence = f"This link could not be restored, so the page is as it opens. {error}"
                return [message_html(sentence), *[gr.skip()] * (len(restored) - 1)]
            opened = None if found.tab is None else gr.Tabs(selected=found.tab)
            values = [
                opened,
                found.text,
                found.about,
                found.tokenizer,
                found.method,
                found.pool,
                found.model,
                found.keep,
            ]
            return ["", *(gr.skip() if value is None else value for value in values)]

        explore.tokenizer.change(for_link, explore.tokenizer, tokenizer, trigger_mode="always_last", **quiet)
        button.click(None, choices, link, js=f"{script}.share", **quiet)
        changes = [explore.source.change, explore.architecture.change, tokenizer.change, tabs.change]
        gr.on(changes, None, None, None, js=SETTLED, **quiet).then(
            None, [link, *choices], link, js=f"{script}.follow", **quiet
        )
        fragment = gr.Textbox(visible=False)  # only its value counts, which the script gives
        page = gr.context.Context.root_block
        opened = page.load(restore, fragment, restored, js=f"{script}.opened", **quiet)
        settled = opened.then(None, None, None, js=SETTLED, **quiet)  # parts are of the text that is in the box
        kept = settled.then(lambda parts: gr.skip() if parts is None else parts, parts, explore.keep, **quiet)
        kept.then(None, explore.message, None, js=f"{script}.compress", **quiet)

    return connect


def fingerprint(text: str) -> str:
    """Length and FNV-1a hash of a text in UTF-16 units: enough to tell which example it is, as `share.js` does.

    >>> fingerprint("a🦜")
    '3-3062711294'
    """
    units = memoryview(text.encode("utf-16-le")).cast("H")
    value = 0x811C9DC5
    for unit in units:
        value = (value ^ unit) * 0x01000193 & 0xFFFFFFFF
    return f"{len(units)}-{value}"


def _one_of(name: str, value: str | None, known: Sequence[str]) -> str | None:
    if value is not None and value not in known:
        raise Refused(f"There is no {name} {value[:80]!r}; there are {', '.join(known)}.")
    return value
