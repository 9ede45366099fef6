"""The About part: what this is, why, its limits, how to cite it, where to find it. Versions are those that run."""

from __future__ import annotations

import json
import platform
from html import escape
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import metatok
from metatok.demo.tables import table_html
from metatok.links import OWNER, PAPER, PUBLISHED, REPOSITORY, SPACE
from metatok.reader.report import RESULTS

PACKAGES = ("numpy", "numba", "gradio", "plotly", "torch", "transformers", "tokenizers", "mistral-common", "tiktoken")
PROSE = ("prose.txt", "GPL-3")  # the plain prose among the benchmark's texts

WHAT = """
<h2>What it is</h2>
<p>Prompts repeat themselves: paths, tags, log lines, imports. metatok finds the phrases of tokens that come back,
replaces each occurrence with one new token, a <i>meta-token</i>, and writes the phrase down once, in the prompt itself.
The prompt gets shorter and nothing is lost: the tokens can be rebuilt exactly, and every result on this page was
checked so before it was shown.</p>
<h2>Why</h2>
<p>What a language model does before its first word, the prefill, costs compute and memory for every token of the
prompt, and attention costs grow with the square of the length. Methods that drop tokens make prompts shorter, too, but
what they drop is gone, and neither the model nor you can tell from the prompt what is missing. How often a reader is
right from each kind of prompt is under Results. The idea is the paper's below; the engine, three further methods that
save more, the reader and this page are this project's.</p>
"""

LIMITS = """
<h2>Limits</h2>
<ul>
<li><b>A model must be trained for it.</b> Meta-tokens mean nothing to a model that has not learned to read them, and
models behind an API cannot be taught. The small reader under Ask shows the way and is sometimes wrong; Results says
how often.</li>
<li><b>Text that does not repeat itself saves little.</b>{prose} Logs, listings and JSON save most, code is in
between.</li>
<li><b>Prompt caches.</b> Where a provider discounts a prefix that was sent before, changing that prefix by compression
can cost more than the shorter prompt saves. Savings has a switch for this.</li>
<li><b>The headline is the quadratic part.</b> Most of a prompt's compute grows with its length, not with the square of
it, unless the prompt is very long; Explore and Savings show both.</li>
<li><b>The answer is not shorter.</b> Only the prompt is; each word of an answer is made as before, from a smaller KV
cache.</li>
</ul>
"""

UNPUBLISHED = """
<code>{owner}</code> in an address is a placeholder: this copy is not published yet, and all but the first link lead
nowhere until it is. The notebooks are in its folder <code>notebooks</code>.
"""


def about_html(prose: str = "") -> str:
    """What, why and limits.

    Args:
        prose: a sentence with what plain prose saves, see `prose_saving`.
    """
    return WHAT + LIMITS.format(prose=f" {escape(prose)}" if prose else "")


def links_html() -> str:
    """Paper, repository, notebooks, Space; said to lead nowhere while they have no owner."""
    links = {
        "The paper: Lossless Token Sequence Compression via Meta-Tokens, arXiv 2506.00307": PAPER,
        "The repository: code, tests, benchmarks, weights of the reader": REPOSITORY,
        "The notebooks: each opens in Colab": f"{REPOSITORY}/tree/main/notebooks",
        "This page as a Space": SPACE,
    }
    items = "".join(
        f'<li><a href="{url}" target="_blank" rel="noopener">{escape(text)}</a></li>' for text, url in links.items()
    )
    note = "" if PUBLISHED else f"<p>{UNPUBLISHED.format(owner=escape(OWNER))}</p>"
    return f"<h2>Links</h2><ul>{items}</ul>{note}<p>Licence: Apache-2.0.</p>"


def bibtex() -> str:
    """The paper and this repository."""
    return f"""@article{{harvill2025lossless,
  title   = {{Lossless Token Sequence Compression via Meta-Tokens}},
  author  = {{Harvill, John and Fan, Ziwei and Wang, Hao and Sun, Yizhou and Ding, Hao and Huan, Luke and
             Deoras, Anoop}},
  journal = {{arXiv preprint arXiv:2506.00307}},
  year    = {{2025}}
}}

@software{{metatok,
  title   = {{metatok: lossless prompt compression that people can see and check}},
  author  = {{{{The metatok authors}}}},
  version = {{{metatok.__version__}}},
  url     = {{{REPOSITORY}}}
}}
"""


def prose_saving(folder: Path = RESULTS) -> str:
    """What plain prose saves, from the committed benchmark; empty where that is not there.

    >>> prose_saving(Path("/nowhere"))
    ''
    """
    try:
        rows: list[dict[str, Any]] = json.loads((folder / "engine.json").read_text(encoding="utf-8"))["peers"]["rows"]
        shares = sorted(row["inline"] for row in rows if row["text"] in PROSE)
        return f"Plain prose saved {100 * shares[0]:.0f} to {100 * shares[-1]:.0f} % here, by inline."
    except (OSError, ValueError, LookupError, TypeError):
        return ""


def versions() -> list[tuple[str, str]]:
    """Packages and what runs here; those that are missing are said to be."""
    found = [("metatok", metatok.__version__), ("Python", platform.python_version())]
    for package in PACKAGES:
        try:
            found.append((package, version(package)))
        except PackageNotFoundError:
            found.append((package, "not installed"))
    return found


def about_part() -> None:
    """The components, inside a `gradio.Blocks` context."""
    import gradio as gr

    gr.HTML(about_html(prose_saving()), elem_id="about-text", elem_classes="prose-page")
    gr.HTML(links_html(), elem_id="about-links", elem_classes="prose-page")
    gr.HTML("<h2>Citation</h2>", elem_classes="prose-page")
    text = bibtex()
    gr.Textbox(
        text,
        label="BibTeX",
        interactive=False,
        lines=text.count("\n") + 1,
        max_lines=24,  # where lines are broken
        buttons=["copy"],
        elem_id="about-bibtex",
        elem_classes="code",
    )
    table = table_html(["package", "version"], versions(), "Versions")
    gr.HTML(f"<h2>Versions</h2>{table}", elem_id="about-versions", elem_classes=["prose-page", "results"])
