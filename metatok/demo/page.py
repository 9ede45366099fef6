"""The `gradio.Blocks` that holds the page."""

from __future__ import annotations

import json
from typing import Any

import gradio as gr
from gradio.components.api_component import Api
from gradio.exceptions import InvalidPathError

from metatok.demo.sessions import EVERY, forget_finished

SETTLED = """() => new Promise((done) => setTimeout(() => {
  const later = window.requestIdleCallback ?? ((go) => setTimeout(go, 200));
  later(() => done([]), { timeout: 2000 });
}, 100))"""
"""Runs in the browser before what reads the page after a change, or follows from it elsewhere.

Gradio tells that a State has changed before the components that changed with it have their new values, and that a tab
was chosen before the tabs are drawn again. And what people look at shall be painted first: with all that follows at
once, 100,000 tokens took 1.2 s from the click and not 0.65 s (`python -m benchmarks.startup`)."""


def if_working(status: str) -> str:
    """Runs in the browser when Stop is clicked, and when that has ended the work: from what a status says to `status`,
    if it says that work goes on, with an ellipsis.

    The work ends at its next look, which can take a second or two. It may be done by then and its result be shown;
    so what is shown decides, and not that somebody clicked.
    """
    return f"(shown) => String(shown).includes('…') ? {json.dumps(status)} : shown"


class Iterators(dict[str, Any]):
    """Gradio's running generators by event, from which it takes one twice where two requests to cancel it wait for each
    other, as after two clicks on Stop; the second had been an internal error."""

    def __delitem__(self, event: str) -> None:
        self.pop(event, None)


class Page(gr.Blocks):
    """A `gradio.Blocks` whose endpoints have defaults over plain HTTP too, and which refuses the server's files.

    What an endpoint returns is plain data and goes out as it is; Gradio would look for files in it, three times,
    through all phrases of a long prompt.

    `POST /gradio_api/call/NAME` takes arguments by position, and Gradio wants all of them there; for fewer it
    answers without a reason and writes what it got, a user's text, into the log. Clients and `call/v2` fill
    defaults in by themselves. An input that poses as an upload but names a file of the server's is refused by Gradio,
    with a traceback in the log; here with a sentence.
    """

    calls = 0  # of endpoints, so far

    def validate_inputs(self, block_fn: Any, inputs: list[Any]) -> None:
        missing = block_fn.inputs[len(inputs) :]
        inputs.extend(block.value for block in missing if isinstance(block, Api))
        super().validate_inputs(block_fn, inputs)

    async def preprocess_data(self, *inputs: Any, **options: Any) -> Any:
        if not isinstance(self.app.iterators, Iterators):
            self.app.iterators = Iterators(self.app.iterators)
        try:
            return await super().preprocess_data(*inputs, **options)
        except InvalidPathError as error:
            sentence = "An input names a file on the server; send the text itself, or upload the file."
            raise gr.Error(sentence, print_exception=False) from error

    async def postprocess_data(self, block_fn: Any, predictions: Any, state: Any) -> list[Any]:
        if _is_endpoint(block_fn):
            return [predictions]
        processed: list[Any] = await super().postprocess_data(block_fn, predictions, state)
        return processed

    async def process_api(self, block_fn: Any, *arguments: Any, **options: Any) -> dict[str, Any]:
        function = self.fns[block_fn] if isinstance(block_fn, int) else block_fn
        if _is_endpoint(function):
            options["root_path"] = None  # what the addresses of files would be completed with
            self.calls += 1
            if self.calls % EVERY == 0:
                forget_finished(self)
        result: dict[str, Any] = await super().process_api(block_fn, *arguments, **options)
        return result


def _is_endpoint(block_fn: Any) -> bool:
    return len(block_fn.outputs) == 1 and isinstance(block_fn.outputs[0], Api)
