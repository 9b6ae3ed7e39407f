"""What Gradio keeps of an open page, bounded."""

import asyncio

import gradio as gr
import pytest
from fastapi import FastAPI
from gradio.data_classes import PredictBodyInternal
from starlette.requests import Request

from webapp.connections import Refused
from webapp.sessions import UNTOLD, Sessions

WAITING = 40


@pytest.fixture
def ended():
    return []


@pytest.fixture
def page(ended):
    """A Blocks with one button, whose handler has a text, a number and a state, and a step that is the browser's."""
    with gr.Blocks() as blocks:
        blocks.state = gr.State(delete_callback=ended.append)
        blocks.text, blocks.number, blocks.file = gr.Textbox(), gr.Number(), gr.File()
        blocks.button = gr.Button()
        inputs = [blocks.text, blocks.number, blocks.state]
        blocks.button.click(lambda *values: values, inputs, inputs).success(None, js="() => 1")
        blocks.file.upload(lambda file: None, blocks.file)
    return blocks.queue(max_size=WAITING)


@pytest.fixture
def sessions(page):
    app = FastAPI()
    gr.mount_gradio_app(app, page, "/")
    return Sessions(app.routes[-1].app, 8)


def event(page, session="abc", **more):
    data = ["a red ball", 1, None]
    return {
        "data": data,
        "event_data": None,
        "fn_index": 0,
        "trigger_id": page.button._id,
        "session_hash": session,
    } | more


def push(sessions, body, owner="192.0.2.7"):
    """Past the door into Gradio's queue, whose worker does not run here."""
    sessions.join(body, owner)
    scope = {"type": "http", "path": "/gradio_api/queue/join", "headers": [], "client": (owner, 1), "method": "POST"}
    request = Request(scope | {"query_string": b"", "server": ("a", 1), "scheme": "http"})
    inner = PredictBodyInternal(**body, request=request)
    assert asyncio.run(sessions.queue.push(inner, request, None))[0]


def status(sessions, body, owner="192.0.2.7"):
    with pytest.raises(Refused) as caught:
        sessions.join(body, owner)
    return caught.value.status


def test_an_event_of_the_page_is_let_in(page, sessions):
    push(sessions, event(page))
    sessions.check("abc")
    file = {"path": "/srv/a", "orig_name": "a.png", "size": 7, "meta": {"_type": "gradio.FileData"}}
    push(sessions, event(page, fn_index=2, data=[file], trigger_id=page.file._id, event_data="a"))
    for name in ("other", "", None, 7):
        with pytest.raises(Refused):
            sessions.check(name)


@pytest.mark.parametrize(
    "change",
    [
        *({"session_hash": name} for name in (None, 7, "", "a b", "x" * 33, "é", "a\n", ["a"])),
        *({"fn_index": number} for number in (None, 1, 3, -1, "0", True, 10**30, [0])),  # 1 is the browser's own
        *({"data": data} for data in (None, "abc", [], [1] * 4, [[], 1, None], [{"path": "/srv/a"}, 1, None])),
        {"data": [{"path": "/srv/a", "size": "x", "meta": {"_type": "gradio.FileData"}}, 1, None]},
        *({"trigger_id": trigger} for trigger in (10**6, -1, "5", [5], {})),
        *({"batched": True}, {"event_id": "x"}, {"simple_format": True}, {"request": {}}),
    ],
)
def test_no_other_event_is(page, sessions, change):
    assert status(sessions, event(page) | change) == 400
    assert status(sessions, [event(page)]) == status(sessions, None) == 400
    assert len(sessions) == 0


def test_events_that_nobody_listens_to_are_bounded(page, sessions):
    for _ in range(UNTOLD):
        push(sessions, event(page))
    assert status(sessions, event(page)) == 429
    sessions.join(event(page, "other"), "198.51.100.1")


def test_one_address_fills_half_of_the_queue(page, sessions):
    for number in range(WAITING // 2):
        push(sessions, event(page, f"s{number % 2}"))
    assert status(sessions, event(page, "s3")) == 503
    push(sessions, event(page, "s3"), owner="198.51.100.1")


def test_the_oldest_session_is_forgotten_with_all_that_gradio_keeps_of_it(page, sessions, ended):
    queue, states = sessions.queue, sessions.states
    push(sessions, event(page, "old"))
    states["old"][page.state._id] = "its visit"
    running = next(iter(queue.event_ids_to_events.values()))
    queue.active_jobs = [[running], None]
    push(sessions, event(page, "old"))
    for name in ("a", "b"):  # a quarter of eight for one address
        push(sessions, event(page, name))
    assert len(sessions) == 2 and ended == ["its visit"]
    for kept in (queue.pending_messages_per_session, queue.pending_event_ids_session, states.session_data):
        assert {*kept} == {"a", "b"}
    assert "old" not in states.time_last_used
    assert not running.alive and not [
        one for one in sessions._waiting() if one is not running and one.session_hash == "old"
    ]
    with pytest.raises(Refused):
        sessions.check("old")
    for number in range(9):
        push(sessions, event(page, f"s{number}"), owner=f"198.51.100.{number}")
    assert len(sessions) == len(states.session_data) == len(queue.pending_messages_per_session) == 8
