"""What compression saves, in words and tables: pure functions from numbers to HTML.

FLOPs and their parts, the KV cache, money. What words of a user get in here (a model's name) are escaped.
"""

from __future__ import annotations

from html import escape

from metatok.compute import (
    Architecture,
    Prices,
    break_even_saving,
    break_even_uses,
    compute_saving,
    crossover,
    kv_cache_bytes,
    prefill,
    prompt_cost,
    quadratic_saving,
)
from metatok.views.cost_charts import PARTS, PROMPTS, kept_tokens
from metatok.views.numbers import counted, dollars, percent, si, table_html

PAPER_SAVING = 0.27  # of the tokens, on tree-structure questions: the paper's headline


def flops_html(arch: Architecture, raw: int, compressed: int, *, causal: bool) -> str:
    """The prefill's parts, raw against compressed, where the quadratic part overtakes, and the paper's headline.

    >>> from metatok.compute import PRESETS
    >>> "26,625 tokens" in flops_html(PRESETS["Llama-3.1-8B"], 8000, 5840, causal=False)
    True
    """
    before, after = prefill(arch, raw, causal=causal), prefill(arch, compressed, causal=causal)
    names = {**PARTS, "logits": "logits of the last token", "quadratic": "quadratic part", "total": "total"}
    rows = []
    for name, label in names.items():
        x, y = getattr(before, name), getattr(after, name)
        if name == "quadratic":
            label += " (both n²)"
        rows.append((name, label, [si(x), si(y), percent(1 - y / x)]))
    table = table_html("FLOPs of the prefill", ["", "raw", "compressed", "saved"], rows)
    return table + _overtaking(arch, raw, causal) + _paper(arch, raw, compressed, causal)


def _overtaking(arch: Architecture, raw: int, causal: bool) -> str:
    length, name = crossover(arch, causal=causal), escape(arch.name)
    flops = prefill(arch, raw, causal=causal)
    share = percent(flops.quadratic / flops.total)
    if length is None:
        where = "never overtakes the rest, because its windows bound it"
    else:
        where = f'overtakes the rest at <b data-name="crossover">{length:,} tokens</b>'
    return f"<p>In {name} the quadratic part {where}. In this prompt it is {share} of the total.</p>"


def _paper(arch: Architecture, raw: int, compressed: int, causal: bool) -> str:
    shorter = round((1 - PAPER_SAVING) * raw)
    headline = compute_saving(arch, raw, shorter, causal=causal)
    part, whole = quadratic_saving(raw, compressed), compute_saving(arch, raw, compressed, causal=causal)
    fewer = f"{100 * PAPER_SAVING:.0f} % fewer tokens"
    return (
        f"<p>The paper’s headline is the quadratic part alone: {fewer} are 1 − {1 - PAPER_SAVING:.2f}² = "
        f"{100 * (1 - (1 - PAPER_SAVING) ** 2):.0f} % less of it. Of all that {escape(arch.name)} computes for a "
        f'prompt of {raw:,} tokens, {fewer} save <b data-name="headline">{percent(headline)}</b>. Here '
        f"{percent(1 - compressed / raw)} fewer tokens save {percent(part)} of the quadratic part and "
        f'<b data-name="whole">{percent(whole)}</b> of the total.</p>'
    )


def kv_html(arch: Architecture, raw: int, compressed: int, *, dtype: str, batch: int) -> str:
    """Memory of the KV cache, raw against compressed.

    >>> from metatok.compute import PRESETS
    >>> "1.07 GB" in kv_html(PRESETS["Llama-3.1-8B"], 8192, 4096, dtype="bfloat16", batch=1)
    True
    """
    x, y = (kv_cache_bytes(arch, n, dtype=dtype, batch=batch) for n in (raw, compressed))
    one = kv_cache_bytes(arch, 1, dtype=dtype)
    table = table_html(
        f"KV cache of {counted(batch, 'prompt')}, {dtype}",
        ["", "raw", "compressed", "saved"],
        [("kv", "memory", [si(x, "B"), si(y, "B"), percent(1 - y / x)])],
    )
    window = (
        f" {arch.windowed_layers} of its {arch.layers} layers keep no more than {arch.window:,} tokens."
        if arch.window is not None
        else ""
    )
    return (
        f"{table}<p>A token’s keys and values take {si(one, 'B')} in {escape(arch.name)}: {arch.layers:,} layers × 2 × "
        f"{arch.kv_heads:,} heads × {arch.head_dim:,} numbers.{window}</p>"
    )


def money_html(prices: Prices, raw: int, compressed: int, *, uses: int, cached: int) -> str:
    """What prompts cost, and whether compression costs more than it saves.

    Args:
        prices: in dollars per million tokens.
        raw, compressed: lengths of the prompt in tokens; 1 or more.
        uses: how often the prompt is sent.
        cached: tokens at the beginning of the raw prompt that are the same each time and cached; 0 for no cache.

    >>> prices = Prices(3.0, 0.3, 3.75)
    >>> "<b>Compression costs more than it saves</b> from 2 uses on" in money_html(
    ...     prices, 10_000, 7_300, uses=20, cached=9_000)
    True
    """
    rows = [("raw", "raw", raw, 0), ("compressed", "compressed", compressed, 0)]
    if cached:
        kept = kept_tokens(raw, compressed, cached)
        rows = [
            ("raw", "raw, nothing cached", raw, 0),
            ("cached", "raw, its beginning cached", raw, cached),
            ("lost", "compressed as a whole, cache lost", compressed, 0),
            ("kept", "compressed, its beginning by itself, cache kept", compressed, kept),
        ]
    costs = {name: prompt_cost(prices, tokens, uses=uses, cached=held) for name, _, tokens, held in rows}
    against = costs["cached" if cached else "raw"]
    cells = [
        (
            name,
            label,
            [dollars(PROMPTS * costs[name] / uses), "—" if costs[name] == against else _change(costs[name], against)],
        )
        for name, label, *_ in rows
    ]
    times = f", each beginning used {counted(uses, 'time')}" if cached else ""
    compared = "against the raw prompt, cached" if cached else "against the raw prompt"
    table = table_html(f"Input of {PROMPTS:,} prompts{times}", ["", "cost", compared], cells)
    return f"<p>{_verdict(prices, raw, compressed, uses, cached)}</p>{table}"


def _verdict(prices: Prices, raw: int, compressed: int, uses: int, cached: int) -> str:
    saving = percent(1 - compressed / raw)
    if not prices.input:
        return "Input that is read anew is free at these prices, so compression saves no money."
    if not cached:
        return f"Nothing is cached, so {saving} fewer tokens cost {saving} less, however often the prompt is sent."
    share = cached / raw
    first = break_even_uses(prices, raw, compressed, cached=cached)
    needed = break_even_saving(prices, uses=uses, cached_share=share)
    if first is None:
        limit = share * (1 - prices.cached_read / prices.input)
        return (
            "<b>Compression saves money</b> however often the beginning is used, even if it breaks the cache: it "
            f"saves {saving} of the tokens, and {percent(limit)} is enough for any number of uses."
        )
    start = "from the first use on" if first == 1 else f"from {counted(first, 'use')} on"
    here = (
        f"At {counted(uses, 'use')} it "
        + ("would have to save more than " if uses >= first else "needs to save more than ")
        + f"{percent(max(needed, 0.0))} of the tokens, and it saves {saving}."
    )
    return (
        f"<b>Compression costs more than it saves</b> {start}, if it breaks the cache: the raw prompt’s beginning "
        f"is then read for {dollars(prices.cached_read)} a million tokens, and the whole compressed prompt for "
        f"{dollars(prices.input)}. {here}"
    )


def _change(cost: float, against: float) -> str:
    if not against:
        return "more"
    change = cost / against - 1
    return f"{percent(abs(change))} {'more' if change > 0 else 'less'}"
