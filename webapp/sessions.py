"""Pages that are open in browsers, as Gradio's queue knows them, bounded: by itself it forgets hardly any of them.

A session has a name that its browser chose, messages that wait for the browser, and values of the components.
"""

import re
from typing import Any

import gradio as gr
from gradio.data_classes import FileData
from gradio.queueing import Event

from webapp.connections import Refused
from webapp.limits import Share, Shares, owner_at

UNTOLD = 16  # events of a session whose end its browser has not taken; the page has three at a time
_EACH = 4  # the part of the sessions, and of the queue, that one visitor may have is one in so many
_NAME = re.compile(r"\w{1,32}", re.ASCII)
_KEYS = {"data", "event_data", "fn_index", "trigger_id", "session_hash"}  # of an event as the page sends it


class Sessions:
    def __init__(self, pages: gr.routes.App, most: int) -> None:
        """pages: Gradio's application; most: sessions at a time."""
        self.blocks = pages.get_blocks()
        self.queue = self.blocks._queue
        self.states = pages.state_holder
        self._triggers = {target for handler in self.blocks.fns.values() for target, _ in handler.targets}
        self._shares: Shares[str] = Shares(Share(max(1, most // _EACH)), Share(most), self._forget)

    def __len__(self) -> int:
        return len(self._shares)

    def check(self, name: Any) -> None:
        """Of the streams: only who joined the queue is listened to. Raises Refused."""
        if not isinstance(name, str) or name not in self._shares:
            raise Refused(404, "no such session")

    def join(self, body: Any, owner: str) -> None:
        """An event that is to be queued; it is one of the page's own. Raises Refused."""
        self._check_event(body)
        name = body["session_hash"]
        if len(self.queue.pending_event_ids_session.get(name, ())) >= UNTOLD:
            raise Refused(429, "too many requests that nobody waits for; load the page again")
        own = sum(owner_at(event.request.client.host) == owner for event in self._waiting())
        if own >= max(UNTOLD // 2, self.queue.max_size // 2):
            raise Refused(503, "busy")
        self._shares.hold(name, owner)

    def _check_event(self, body: Any) -> None:
        if not isinstance(body, dict) or not body.keys() <= _KEYS or not isinstance(body.get("data"), list):
            raise Refused(400, "no event of this page")
        name, number, trigger = body.get("session_hash"), body.get("fn_index"), body.get("trigger_id")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise Refused(400, "no name of a session")
        handler = self.blocks.fns.get(number) if type(number) is int else None
        if handler is None or handler.fn is None or len(body["data"]) != len(handler.inputs):
            raise Refused(400, "no event of this page")
        if trigger is not None and (type(trigger) is not int or trigger not in self._triggers):
            raise Refused(400, "no event of this page")
        if not all(map(_is_value, body["data"])):
            raise Refused(400, "no event of this page")

    def _waiting(self) -> list[Event]:
        return [event for queue in self.queue.event_queue_per_concurrency_id.values() for event in queue.queue]

    def _forget(self, name: str) -> None:
        """Everything of it, and the visit."""
        for event in self._waiting():
            if event.session_hash == name:
                self.queue.event_queue_per_concurrency_id[event.concurrency_id].queue.remove(event)
                self.queue.event_ids_to_events.pop(event._id, None)
        for events in self.queue.active_jobs:
            for event in events or ():
                if event.session_hash == name:
                    event.alive = False  # nothing is sent to it
        self.queue.pending_messages_per_session.pop(name, None)
        self.queue.pending_event_ids_session.pop(name, None)
        self.states.delete_state(name)
        self.states.session_data.pop(name, None)
        self.states.time_last_used.pop(name, None)


def _is_value(value: Any) -> bool:
    """Of a component of this page: a number, a text, or a file that was uploaded."""
    if not isinstance(value, dict):
        return value is None or isinstance(value, str | int | float)
    try:
        FileData.model_validate(value, context={"validate_meta": True})
    except ValueError:
        return False
    return True
