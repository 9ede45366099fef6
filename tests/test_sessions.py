"""What the server keeps of a session: as little as it can, and all of it when it is asked for."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip("gradio")

import gradio as gr
import httpx
from gradio import state_holder
from gradio.state_holder import SessionState

from metatok.demo.endpoints import offer
from metatok.demo.page import Page
from metatok.demo.sessions import EVERY, SPARED, Session, forget_finished

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


@pytest.fixture
def small_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_holder, "SessionState", Session)


@pytest.mark.usefixtures("small_sessions")
def test_sessions_that_wait_for_nothing_are_forgotten_and_no_others() -> None:
    with Page() as page:
        state = gr.State([1])
    server, _, _ = page.launch(prevent_thread_lock=True, quiet=True)
    queue, sessions = page._queue, server.state_holder

    def join(name: str, *waiting: str, message: bool = False) -> None:
        queue.pending_messages_per_session[name] = asyncio.Queue()
        queue.pending_event_ids_session[name] = set(waiting)
        if message:
            queue.pending_messages_per_session[name].put_nowait("a message")
        sessions[name]

    try:
        join("waits", "event")
        join("has a message", message=True)
        join("stores")
        sessions["stores"][state._id] = [2]
        join("has gone", "ended event")
        del queue.pending_messages_per_session["has gone"]
        done = [f"done {i}" for i in range(SPARED + 5)]
        for name in done:
            join(name)
        forget_finished(page)
        left = {"waits", "has a message", "stores", *done[5:]}
        assert set(queue.pending_messages_per_session) == set(queue.pending_event_ids_session) == left
        assert set(sessions.session_data) == set(sessions.time_last_used) == left
        assert sessions["stores"][state._id] == [2]
    finally:
        page.close()


@pytest.mark.usefixtures("small_sessions")
def test_many_calls_leave_nothing_behind_and_one_that_waits_meanwhile_is_answered() -> None:
    """Gradio drops the oldest of 2,000 queues of messages, here of 250, whoever waits for them."""
    go_on = threading.Event()

    def wait() -> str:
        go_on.wait(60)
        return "at last"

    with Page() as page:
        offer(double)
        offer(wait)
    page.launch(prevent_thread_lock=True, quiet=True)
    queue = page._queue
    queue.pending_messages_per_session.max_size = most = 2 * SPARED + 50
    try:
        with httpx.Client(base_url=page.local_url, trust_env=False, timeout=60) as http:

            def call(name: str, *inputs: int) -> str:
                event = http.post(f"gradio_api/call/{name}", json={"data": inputs}).json()["event_id"]
                return http.get(f"gradio_api/call/{name}/{event}").text

            with ThreadPoolExecutor(1) as threads:
                waiting = threads.submit(call, "wait")
                while not queue.event_ids_to_events:
                    time.sleep(0.01)
                for i in range(most + 50):
                    assert f"data: [{2 * i}]" in call("double", i)
                assert not waiting.done()
                go_on.set()
                assert "at last" in waiting.result()
        for kept in (
            queue.pending_messages_per_session,
            queue.pending_event_ids_session,
            page.state_holder.session_data,
        ):
            assert len(kept) <= SPARED + EVERY + 1
    finally:
        go_on.set()
        page.close()


def double(n: int) -> int:
    return 2 * n


def test_the_apps_sessions_are_of_this_kind() -> None:
    code = (
        "from metatok.demo import build; page = build(); from gradio.state_holder import StateHolder;"
        "holder = StateHolder(); page.state_session_capacity = 5; holder.set_blocks(page);"
        "print(type(holder['a']).__module__, len(holder['a'].config_values))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["metatok.demo.sessions", "0"]
