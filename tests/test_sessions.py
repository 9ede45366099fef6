"""What the server keeps of a session: as little as it can, and all of it when it is asked for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("gradio")

import gradio as gr
from gradio.state_holder import SessionState

from metatok.demo.endpoints import offer
from metatok.demo.sessions import Session

ROOT = Path(__file__).parents[1]


@pytest.fixture
def blocks() -> gr.Blocks:
    with gr.Blocks() as page:
        gr.Textbox("a", label="A")
        gr.State([1])
        gr.Dropdown(["x", "y"], value="x")
    return page


def components(session: SessionState) -> dict[int, dict]:
    return {component["id"]: component for component in session.components}


def test_a_session_has_the_same_components_as_gradios_own(blocks: gr.Blocks) -> None:
    small, own = Session(blocks), SessionState(blocks)
    assert small.config_values == {}
    # Ids count on from whatever was built before.
    text, state, choice = (
        next(key for key, block in blocks.blocks.items() if isinstance(block, kind))
        for kind in (gr.Textbox, gr.State, gr.Dropdown)
    )
    for session in (small, own):
        session._update_value_in_config(text, "b")
        session[state] = [2]
        session[choice] = gr.Dropdown(["z"], value="z", render=False)
    assert set(small.config_values) == {text, state, choice}
    assert components(small) == components(own)
    assert components(small)[text]["props"]["value"] == "b"
    assert small[state] == [2]
    assert blocks.blocks[text].value == "a"


def test_what_an_endpoint_got_and_returned_is_not_kept(blocks: gr.Blocks) -> None:
    def many(n: int) -> list[int]:
        return [n] * n

    with blocks:
        offer(many)
    (result,) = blocks.fns[max(blocks.fns)].outputs
    session = Session(blocks)
    session._update_value_in_config(result._id, [7] * 7)
    assert session.config_values == {}
    assert result._id in session


def test_the_apps_sessions_are_of_this_kind() -> None:
    code = (
        "from metatok.demo import build; page = build(); from gradio.state_holder import StateHolder;"
        "holder = StateHolder(); page.state_session_capacity = 5; holder.set_blocks(page);"
        "print(type(holder['a']).__module__, len(holder['a'].config_values))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["metatok.demo.sessions", "0"]
