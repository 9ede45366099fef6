"""What the server keeps of a session, made small.

Gradio writes down the settings of every component for every new session, for links that restore a page as it was. A
call over plain HTTP is a session of its own, so that under load this takes more time than compressing, in the thread
that serves everybody, and memory that is held for thousands of sessions (`python -m benchmarks.load`). A session here
keeps what changed in it, and makes the whole list when somebody asks for such a link. What an endpoint got and
returned is not kept at all: no page shows it, and some 250 kB for each call were a gigabyte after five minutes of load.

A session also has a queue of messages, which Gradio keeps when all of them are delivered. It keeps 2,000 such queues
and drops the oldest, so that under load whoever waited longest for an answer lost the connection. `forget_finished`
drops those that are done with.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from gradio import state_holder
from gradio.components.api_component import Api

KEPT = 5_000
"""How many sessions are remembered, the latest used; some 11 kB each where nothing was stored in them."""

SPARED = 100
"""How many sessions that wait for nothing keep their queues: those that came last, which may be about to listen."""

EVERY = 100
"""How many calls of endpoints lie between two times of forgetting."""


class Session(state_holder.SessionState):
    """A `SessionState` whose `config_values` has the components that changed, until `components` is asked for."""

    def __init__(self, blocks: Any):
        super().__init__(SimpleNamespace(default_config=blocks.default_config, blocks={}))
        self._page = blocks

    def _update_value_in_config(self, key: int, value: Any) -> None:
        if not isinstance(self.blocks_config.blocks.get(key), Api):
            super()._update_value_in_config(key, value)

    @property
    def components(self) -> Iterator[dict[str, Any]]:
        for key, block in self.blocks_config.blocks.items():
            if key in self._page.blocks and key not in self.config_values:
                self.config_values[key] = self.blocks_config.config_for_block(key, [], block)
        return super().components


def forget_finished(page: Any) -> None:
    """Drop what Gradio holds of sessions that wait for nothing, but for the `SPARED` that came last.

    A session in which something is stored is that of an open page, and stays as it is: its browser may listen to the
    queue for what comes next. To be called in the thread of the event loop.

    Args:
        page: the running `gradio.Blocks`.
    """
    queue, sessions = page._queue, page.state_holder
    events = queue.pending_event_ids_session
    finished = [name for name, ids in events.items() if _is_over(queue, name, ids) and not _stores(sessions, name)]
    for name in finished[:-SPARED]:
        del events[name]
        queue.pending_messages_per_session.pop(name, None)
        with sessions.lock:
            sessions.session_data.pop(name, None)
            sessions.time_last_used.pop(name, None)


def _is_over(queue: Any, name: str, ids: set[str]) -> bool:
    """Whether a session with these events waits for nothing."""
    messages = queue.pending_messages_per_session.get(name)
    if messages is None:  # its client has gone, and Gradio keeps the ids of what ran then
        return not any(event in queue.event_ids_to_events for event in ids)
    return not ids and messages.empty()


def _stores(sessions: Any, name: str) -> bool:
    session = sessions.session_data.get(name)
    return session is not None and bool(session.state_data or session.config_values)


def use_small_sessions() -> None:
    """From here on, Gradio's sessions are of this kind."""
    state_holder.SessionState = Session
