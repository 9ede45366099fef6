"""The page: paste a prompt, see what repeats, what is left of it and what that saves.

`build()` makes the page, `launch()` serves it; everything happens on the machine that serves it. A tab is one file,
with its components and events: `explore.py`, `savings.py`, `ask.py`, `compare.py`, `results.py`, `about.py`. What they
show is made by pure functions from plain data: `run.py` from text to result, `uploads.py` and `comparison.py` from a
file to Compare's rows, `cards.py` and `savings_cards.py` the numbers, and the token view and charts in `metatok.views`.
`page.py` holds the tabs, `theme.py` says how they look.

Importing this package imports neither gradio nor a tokenizer.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from typing import Any

import metatok

__all__ = ["LaunchError", "build", "launch"]

HEADER = """
<h1>metatok</h1>
<p>A prompt says many things more than once. metatok gives each repeated phrase a short name, such as
<span class="m">m7</span>, writes the phrase down one time, and uses the name from then on. Fewer tokens, cheaper
attention, and nothing is lost: the text can be rebuilt exactly.</p>
"""

# A tab that was chosen from the menu of those that found no room is moved into the row, and takes the focus with it to
# nowhere. Not before somebody used the page: a link opens a tab, too.
FOCUS_TAB = """() => void setTimeout(() => {
  if (document.activeElement === document.body && navigator.userActivation?.hasBeenActive)
    document.querySelector("[role=tab][aria-selected=true]")?.focus();
}, 100)"""

TITLE = "metatok: prompts without the repetition"
DEFAULT_PORT = 7860
MAX_WAITING = 500  # calls in the queue; one more is told that it is full

ENVIRONMENT = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    # Else each call that ends has pandas summarize the last 10,000 ones, for a page of statistics that is turned off.
    "GRADIO_ANALYTICS_CACHE_FREQUENCY": "1000000000",
    "GRADIO_ANALYTICS_MAX_EVENTS": "1",
    # Else torch's threads wait for each other in a loop that takes a core from all others, some hundred times a token.
    "OMP_WAIT_POLICY": "passive",
}
"""Settings of Gradio and of OpenMP, where the environment has none."""

SWITCH_SECONDS = 0.0001
"""How soon a thread that waits for the interpreter gets it. The reader gives it up at each operation of torch, some
hundred times a token, and would wait for Python's usual 5 ms each time while others compress."""


class LaunchError(RuntimeError):
    """The page cannot be served; the message is one sentence that says why and what to do."""


def build() -> Any:
    """The page as a `gradio.Blocks`, an example compressed; endpoints `compress`, `decompress`, `ask` and `compare`.

    Serve it with `launch`, which brings theme and style; `gradio.Blocks.launch` alone shows it unstyled.

    Raises:
        LaunchError: `GRADIO_SERVER_PORT` is no port, which Gradio would find out while it is imported.
    """
    _port_from_environment()
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import gradio as gr

    from metatok.demo.about import about_part
    from metatok.demo.ask import ask_part
    from metatok.demo.compare import compare_part
    from metatok.demo.endpoints import endpoints
    from metatok.demo.explore import explore
    from metatok.demo.page import Page
    from metatok.demo.programs import programs_part
    from metatok.demo.results import results_part
    from metatok.demo.savings import savings_part
    from metatok.demo.sessions import use_small_sessions
    from metatok.demo.share import share_part

    use_small_sessions()
    # What is uploaded and offered for download goes within an hour or two.
    with Page(title=TITLE, analytics_enabled=False, delete_cache=(3600, 3600)) as page:
        gr.HTML(HEADER, elem_id="header")
        connect_share = share_part()
        with gr.Tabs() as tabs:
            with gr.Tab("Explore", id="explore", elem_id="explore-tab"):
                explored = explore()
                programs_part(explored)
            with gr.Tab("Savings", id="savings", elem_id="savings-tab"):
                savings_part(explored)
            with gr.Tab("Ask", id="ask", elem_id="ask-tab") as tab:
                warm = ask_part()
            with gr.Tab("Compare", id="compare", elem_id="compare-tab"):
                compare_part(explored)
            with gr.Tab("Results", id="results", elem_id="results-tab"):
                results_part()
            with gr.Tab("About", id="about", elem_id="about-tab"):
                about_part()
        tab.select(warm, None, None, api_visibility="private", show_progress="hidden")
        tabs.change(None, None, None, js=FOCUS_TAB, api_visibility="private", show_progress="hidden")
        connect_share(explored, tabs, [tab.id for tab in tabs.children])
        endpoints()
    # Gradio would tell everybody in the queue their new place whenever somebody's turn ends: here every two seconds.
    return page.queue(status_update_rate=2, max_size=MAX_WAITING)


def launch(server_name: str | None = None, server_port: int | None = None, *, page: Any = None, **options: Any) -> Any:
    """Serve the page.

    Args:
        server_name: address to listen on; else `GRADIO_SERVER_NAME`, else 127.0.0.1.
        server_port: else `GRADIO_SERVER_PORT`, else 7860.
        page: what `build()` returned, if that was called already.
        options: as for `gradio.Blocks.launch`.

    Returns:
        What `gradio.Blocks.launch` returns: the app, its local address, its public address.

    Raises:
        LaunchError: the port is taken or is no port.
    """
    port = server_port if server_port is not None else _port_from_environment()
    if port is not None and not 0 < port < 65536:
        raise LaunchError(f"{port} is not a port; ports are 1 to 65535.")
    page = build() if page is None else page
    from metatok.demo import memory, sessions, theme

    sys.setswitchinterval(SWITCH_SECONDS)
    memory.give_back_large()
    metatok.warm_up()  # the first visitor shall not wait for compilers

    settings = {
        "theme": theme.theme(),
        "css": theme.css(),
        "run_history": False,  # else the browser keeps what people paste
        "footer_links": ["api"],
        "ssr_mode": False,  # the token view is made in the browser
        "enable_monitoring": False,
        "state_session_capacity": sessions.KEPT,
        # The endpoints as tools of the Model Context Protocol, where the extra `metatok[mcp]` is installed.
        "mcp_server": importlib.util.find_spec("mcp") is not None,
        "max_file_size": "6mb",  # Compare takes 5 MB, and says so itself of a file a little larger
        **options,
    }
    try:
        return page.launch(server_name=server_name, server_port=port, **settings)
    except OSError as error:
        if port is None or "empty port" not in str(error):
            raise LaunchError(f"The page cannot be served: {error}.") from error
        address = server_name or os.environ.get("GRADIO_SERVER_NAME")
        where = f", or {address} is no address of this machine" if address else ""
        how = "set GRADIO_SERVER_PORT to a free one" if server_port is None else "choose a free one"
        raise LaunchError(f"Port {port} is taken{where}; {how}, for example {port % 65535 + 1}.") from error


def _port_from_environment() -> int | None:
    """The port that was asked for, or None on a Space, where the platform arranges it with Gradio."""
    value = os.environ.get("GRADIO_SERVER_PORT", "")
    if not value:
        os.environ.pop("GRADIO_SERVER_PORT", None)  # empty: Gradio would fail to read it
        return None if os.environ.get("SPACE_ID") else DEFAULT_PORT
    if not value.isdecimal() or not 0 < int(value) < 65536:
        raise LaunchError(f"GRADIO_SERVER_PORT is {value!r}, which is not a port; ports are 1 to 65535.")
    return int(value)
