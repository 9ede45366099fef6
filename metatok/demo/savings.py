"""The Savings part: what fewer tokens are worth in FLOPs, memory, money and measured time.

Components and events. What people fill in is checked in `savings_form.py`; what is shown is made by `savings_cards.py`
and `metatok.views.cost_charts`; the measurement is `prefill.py`.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable
from typing import Any

import gradio as gr

from metatok.compute import DTYPE_BITS, PRESETS
from metatok.demo import savings_form as form
from metatok.demo.answers import notice_html
from metatok.demo.cards import BUG, message_html
from metatok.demo.explore import DEFAULT_ARCHITECTURE, Explore
from metatok.demo.page import SETTLED, if_working
from metatok.demo.prefill import measure
from metatok.demo.run import Refused
from metatok.demo.savings_cards import flops_html, kv_html, money_html
from metatok.views.charts import compute_figure
from metatok.views.cost_charts import money_figure, parts_figure

log = logging.getLogger(__name__)

INTRO = """
<p>What the shorter prompt is worth to a model that reads it: computed for any architecture, and measured with the
reader of this page. The model has to be trained to read meta-tokens. Answers are not counted: they cost the same.</p>
"""
CURVE = """
<p>Both axes are logarithmic. The blue curves are prompts that shrink by the same share as yours; the dots are your
prompt. Where the lines are steeper the quadratic part rules.</p>
"""
MONEY = """
<p>The prices are an example, with a tenth for cached reads and a quarter more for writes, as several providers charge:
put in yours. “Cache lost” is a prompt that is compressed as a whole for every request, so that a new ending changes
the tokens from the start. “Cache kept” takes it that the beginning is compressed by itself, once, and saves the same
share. Providers cache for minutes, and only beginnings of about a thousand tokens or more.</p>
"""
MEASURE = """
<p>The small reader of this page reads Explore’s text as it is and compressed by Explore’s method, each several times,
here and now. It counts tokens by its own tokenizer, so the numbers differ from those above.</p>
"""
DEFAULT_PRICES = {"Input": 3.0, "Cached read": 0.3, "Cache write": 3.75}
DEFAULT_USES = 20
DEFAULT_SHARE = 90


def savings_part(explore: Explore) -> None:
    """The components and events, inside a `gradio.Blocks` context.

    Args:
        explore: the Explore part, whose last result these numbers are about.
    """
    known = explore.numbers.value or {"original_tokens": 1000, "compressed_tokens": 730}
    raw, compressed = known["original_tokens"], known["compressed_tokens"]
    model = PRESETS[DEFAULT_ARCHITECTURE]

    gr.HTML(INTRO, elem_classes="prose-line")
    with gr.Row(elem_id="savings-choices"):
        before = gr.Number(raw, label="Tokens before", min_width=120, elem_id="savings-before")
        after = gr.Number(compressed, label="Tokens after", min_width=120, elem_id="savings-after")
        take = gr.Button("Take my text’s", size="sm", min_width=120, elem_id="savings-take")
        architecture = gr.Dropdown(
            [*PRESETS, form.OWN],
            value=DEFAULT_ARCHITECTURE,
            label="Model that reads",
            min_width=200,
            elem_id="savings-architecture",
        )
    *filled, gated = form.fields_of(model)
    with gr.Accordion("The model’s numbers", open=False, elem_id="savings-config"), gr.Row():
        fields: list[Any] = [
            gr.Number(value, label=label, min_width=130, elem_id=f"savings-{name.replace('_', '-')}")
            for (name, (label, _)), value in zip(form.FIELDS.items(), filled, strict=True)
        ]
        fields.append(gr.Checkbox(gated, label="Gated MLP", min_width=130, elem_id="savings-gated"))
    causal = gr.Checkbox(
        label="Count only the half of the attention matrix that a causal mask leaves, as kernels do that skip the rest",
        elem_id="savings-causal",
    )
    message = gr.HTML(elem_id="savings-message")

    shown = _compute(raw, compressed, DEFAULT_ARCHITECTURE, False)
    with gr.Row():
        with gr.Column(min_width=320):
            parts = gr.Plot(shown[1], label="Compute of the prefill, by part", elem_id="savings-parts-plot")
        with gr.Column(min_width=320):
            flops = gr.HTML(shown[0], elem_id="savings-flops", elem_classes="prose-line")
    with gr.Row():
        with gr.Column(min_width=320):
            curve = gr.Plot(shown[2], label="Compute of prompts up to a million tokens", elem_id="savings-curve")
            gr.HTML(CURVE, elem_classes="prose-line")
        with gr.Column(min_width=320):
            with gr.Row():
                dtype = gr.Dropdown(
                    list(DTYPE_BITS),
                    value="bfloat16",
                    label="Number format of the KV cache",
                    min_width=140,
                    elem_id="savings-dtype",
                )
                batch = gr.Number(1, label="Prompts at once", min_width=120, elem_id="savings-batch")
            kv_message = gr.HTML(elem_id="savings-kv-message")
            kv = gr.HTML(
                _memory(raw, compressed, DEFAULT_ARCHITECTURE, "bfloat16", 1)[0],
                elem_id="savings-kv",
                elem_classes="prose-line",
            )
    gr.HTML("<h2>Money</h2>", elem_classes="section")
    with gr.Row():
        price = [
            gr.Number(
                value,
                label=f"{name}, $ per million tokens",
                min_width=120,
                elem_id=f"savings-price-{name.split()[-1].lower()}",
            )
            for name, value in DEFAULT_PRICES.items()
        ]
    with gr.Row():
        cache = gr.Checkbox(True, label="Prompt cache", min_width=120, elem_id="savings-cache")
        uses = gr.Number(DEFAULT_USES, label="Times the beginning is used", min_width=120, elem_id="savings-uses")
        share = gr.Slider(
            0,
            100,
            DEFAULT_SHARE,
            step=1,
            label="Part of the prompt that is the same each time, %",
            min_width=240,
            elem_id="savings-share",
        )
    money_message = gr.HTML(elem_id="savings-money-message")
    bill = _bill(*[raw, compressed, *DEFAULT_PRICES.values(), True, DEFAULT_USES, DEFAULT_SHARE])
    with gr.Row():
        with gr.Column(min_width=320):
            money = gr.HTML(bill[0], elem_id="savings-money", elem_classes="prose-line")
            gr.HTML(MONEY, elem_classes="prose-line")
        with gr.Column(min_width=320):
            money_plot = gr.Plot(bill[1], label="Price of a prompt", elem_id="savings-money-plot")

    gr.HTML("<h2>Measured</h2>", elem_classes="section")
    gr.HTML(MEASURE, elem_classes="prose-line")
    with gr.Row(elem_id="savings-measuring"):
        button = gr.Button("Measure", variant="primary", min_width=120, elem_id="savings-measure")
        stop = gr.Button("Stop", min_width=120, elem_id="savings-stop")
    measured = gr.HTML(elem_id="savings-measured", elem_classes="prose-line")

    quiet = {"api_visibility": "private", "show_progress": "hidden"}
    latest = {**quiet, "trigger_mode": "always_last"}
    shape = [before, after, architecture]
    paid = [before, after, *price, cache, uses, share]

    def change(*components: Any) -> list[Any]:
        return [component.change for component in components]

    own = [field.input for field in fields]
    # The lengths change together, and by themselves with every prompt: they count when a person types one.
    typed = [before.input, after.input]
    computing = _guarded(_compute, 3), [*shape, causal, *fields], [message, flops, parts, curve]
    filling = _guarded(_memory, 1), [*shape, dtype, batch, *fields], [kv_message, kv]
    billing = _guarded(_bill, 2), paid, [money_message, money, money_plot]
    gr.on([*typed, *change(architecture), *own, causal.input], *computing, **latest)
    gr.on([*typed, *change(architecture, dtype, batch), *own], *filling, **latest)
    gr.on([*typed, *change(*paid[2:])], *billing, **latest)

    # A number that is changed makes the model one's own; a preset fills the numbers in.
    gr.on(own, lambda: form.OWN, None, architecture, **quiet)
    architecture.change(_fill, architecture, fields, **quiet)
    explore.architecture.change(lambda name: name, explore.architecture, architecture, **quiet)

    settled = explore.numbers.change(None, None, None, js=SETTLED, **quiet)
    for taking in (settled.then, take.click):
        taken = taking(_take, explore.numbers, [before, after], **latest)
        taken.then(*_at_once(computing, filling, billing), **latest)
    measuring = button.click(
        measure,
        [explore.text, explore.method],
        measured,
        concurrency_limit=1,
        concurrency_id="measure",
        **quiet,
    )
    stop.click(None, measured, measured, js=if_working(notice_html("Stopping …")), **quiet)
    stop.click(None, None, None, cancels=[measuring], **quiet)
    # Said once it has stopped: until then another click is not taken. `measure` itself does not fail.
    measuring.failure(None, measured, measured, js=if_working(notice_html("Stopped.")), **quiet)


def _compute(before: Any, after: Any, architecture: Any, causal: bool, *fields: Any) -> list[Any]:
    raw, compressed = form.lengths(before, after)
    model = form.architecture(architecture, *fields)
    return [
        flops_html(model, raw, compressed, causal=causal),
        parts_figure(model, raw, compressed, causal=causal),
        compute_figure(model, raw, compressed, causal=causal, overtaking=True),
    ]


def _memory(before: Any, after: Any, architecture: Any, dtype: str, batch: Any, *fields: Any) -> list[Any]:
    raw, compressed = form.lengths(before, after)
    model = form.architecture(architecture, *fields)
    prompts = form.whole("Prompts at once", batch, 1, form.MAX_COUNT)
    return [kv_html(model, raw, compressed, dtype=dtype, batch=prompts)]


def _bill(before: Any, after: Any, read: Any, cached: Any, write: Any, cache: Any, uses: Any, share: Any) -> list[Any]:
    raw, compressed = form.lengths(before, after)
    prices = form.prices(read, cached, write)
    times, held = form.reuse(raw, uses, share, cache)
    return [
        money_html(prices, raw, compressed, uses=times, cached=held),
        money_figure(prices, raw, compressed, uses=times, cached=held),
    ]


def _guarded(shown: Callable[..., list[Any]], outputs: int) -> Callable[..., list[Any]]:
    """A sentence in front of what `shown` returns: "", or what was wrong, and then what was shown stays."""

    def answer(*inputs: Any) -> list[Any]:
        try:
            return ["", *shown(*inputs)]
        except Refused as error:
            return [message_html(str(error)), *[gr.skip()] * outputs]
        except Exception:
            log.exception("computing the savings failed")
            return [message_html(BUG), *[gr.skip()] * outputs]

    return answer


def _at_once(*events: tuple[Callable[..., list[Any]], list[Any], list[Any]]) -> tuple[Any, list[Any], list[Any]]:
    """One event, as function, inputs and outputs, that does what several do, in one call instead of several."""

    def all_of_them(*inputs: Any) -> list[Any]:
        waiting = iter(inputs)
        return [value for shown, own, _ in events for value in shown(*itertools.islice(waiting, len(own)))]

    return all_of_them, [x for _, own, _ in events for x in own], [x for _, _, own in events for x in own]


def _fill(choice: str) -> list[Any]:
    return form.fields_of(PRESETS[choice]) if choice in PRESETS else [gr.skip()] * (len(form.FIELDS) + 1)


def _take(known: dict[str, Any] | None) -> list[Any]:
    return [known["original_tokens"], known["compressed_tokens"]] if known else [gr.skip(), gr.skip()]
