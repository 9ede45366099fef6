"""For programs: the part of the page that shows how to do from a program what was just done by hand."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import gradio as gr

from metatok.demo.explore import Explore
from metatok.demo.page import SETTLED
from metatok.demo.snippets import FILE, MAX_TEXT, client_snippet, curl_snippet, python_snippet
from metatok.views.keep import keep_ranges

# A long text stays in the browser, as a snippet reads it from a file; but for its parts that stay raw, whose places are
# counted on the server.
JAVASCRIPT = f"""(text, keep, numbers) => [
  keep || (text ?? "").length <= {MAX_TEXT} ? text : null, keep, numbers, location.origin + location.pathname
]"""

INFO = f"""
<p>The text as it is above, with the settings of the last result. One of more than {MAX_TEXT:,} characters is read from
a file {FILE}. What else this server offers to programs stands behind “Use via API”, at the end of the page.</p>
"""


def snippets(text: str | None, keep: str | None, numbers: dict[str, Any] | None, place: str) -> list[str]:
    """The three snippets for the last result; nothing where there is none.

    Args:
        text: None where it is too long to be written out.
        keep: the parts of it that stay raw, as `metatok.views.keep` has them.
        numbers: the last result's summary: tokenizer, method and pool are taken from it.
        place: the page's address, as the browser knows it.
    """
    if not numbers or urlsplit(place).scheme not in ("http", "https"):
        return ["", "", ""]
    try:
        parts = keep_ranges(keep, text or "")
    except ValueError:  # whoever compresses is told
        parts = []
    text = None if text is None or len(text) > MAX_TEXT else text
    url = place.rstrip("/")
    settings = (text, numbers["tokenizer"], numbers["method"], numbers["meta_tokens"], parts)
    return [client_snippet(*settings, url), curl_snippet(*settings, url), python_snippet(*settings)]


def programs_part(explore: Explore) -> None:
    """The components and events, inside a `gradio.Blocks` context."""
    with gr.Accordion("The same from a program", open=False, elem_id="programs") as accordion:
        gr.HTML(INFO, elem_classes="prose-line")
        boxes = [
            gr.Textbox(
                label=label,
                interactive=False,
                lines=5,
                max_lines=12,
                buttons=["copy"],
                elem_id=f"snippet-{name}",
                elem_classes="code",
            )
            for name, label in (
                ("client", "Python with gradio_client, asking this server"),
                ("curl", "curl, asking this server"),
                ("python", "Python with metatok itself, on your machine"),
            )
        ]
    place = gr.Textbox(visible=False)  # only its value counts, which the script gives
    # Opened while snippets are on their way, it asks again: those may come before the boxes are drawn.
    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "trigger_mode": "always_last"}
    gr.on([accordion.expand, explore.source.change], None, None, None, js=SETTLED, **quiet).then(
        snippets, [explore.text, explore.keep, explore.numbers, place], boxes, js=JAVASCRIPT, **quiet
    )
