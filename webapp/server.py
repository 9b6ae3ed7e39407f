"""The page as a server that starts, answers, and ends cleanly."""

import os
import secrets
import shutil
import socket
from pathlib import Path

import gradio as gr
import uvicorn
from fastapi import FastAPI
from gradio import networking

from inference import Colorizer
from utils.errors import InputError
from webapp.examples import EXAMPLES
from webapp.guard import Guard
from webapp.limits import Limits
from webapp.markup import style
from webapp.page import Page
from webapp.visits import Visits

LAST_ANSWERS = 5  # seconds that what is being answered has when the server ends
_SESSIONS = 1000  # browsers whose components' values Gradio keeps
_FONTS = ["system-ui", "sans-serif"]  # the visitor's own: none is fetched


class Server(uvicorn.Server):
    """When it ends it tells the pages' heartbeats so, answers which never end by themselves."""

    def __init__(self, config: uvicorn.Config, pages: gr.routes.App) -> None:
        super().__init__(config)
        self.pages = pages

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.pages.stop_event.set()
        await super().shutdown(sockets)


def serve(colorizer: Colorizer, about: str, limits: Limits, host: str, port: int, share: bool = False) -> None:
    """Until a signal comes; about: the network, for the visitor; port: 0 for any that is free; share: by a public link,
    too. Raises InputError where the address is taken, or no link can be had.
    """
    with listen(host, port) as listening:
        app, pages = build(colorizer, about, limits)
        config = uvicorn.Config(
            app, log_level="warning", ws="none", server_header=False, timeout_graceful_shutdown=LAST_ANSWERS
        )
        port = listening.getsockname()[1]
        print(f"http://{f'[{host}]' if ':' in host else host}:{port}", flush=True)
        if share:
            print(public_link(port), flush=True)
        Server(config, pages).run([listening])


def listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        raise InputError(f"--host {host} --port {port}: cannot be listened to ({error}); pass others") from error


def build(colorizer: Colorizer, about: str, limits: Limits) -> tuple[Guard, gr.routes.App]:
    """The application and Gradio's part of it. They write to GRADIO_TEMP_DIR, which has to be set before this module is
    imported, and to its neighbours in a folder that is nobody else's."""
    uploads = Path(os.environ["GRADIO_TEMP_DIR"])
    originals = uploads.with_name("originals")  # Gradio serves nothing outside of `uploads`
    pictures = uploads / "pictures"  # and the guard nothing outside of these
    pictures.mkdir(parents=True)
    originals.mkdir()
    shutil.copytree(EXAMPLES[0].path.parent, pictures / "examples")

    visits = Visits(colorizer, originals, pictures, limits.visitors)
    page = Page(visits, uploads, pictures / "examples", limits, about)
    blocks = page.blocks.queue(max_size=limits.waiting, default_concurrency_limit=limits.at_once, api_open=False)
    blocks.state_session_capacity = _SESSIONS
    blocks.has_launched = True  # from then on Gradio checks the paths that browsers send

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/health")
    async def health() -> dict[str, str | int]:
        waiting = blocks._queue.get_status().queue_size
        return {"status": "ok", "device": str(colorizer.device), "visitors": len(visits), "waiting": waiting}

    gr.mount_gradio_app(
        app,
        blocks,
        path="/",
        footer_links=[],
        run_history=False,
        show_error=False,
        max_file_size=limits.upload,
        blocked_paths=[str(originals)],
        ssr_mode=False,
        enable_monitoring=False,
        mcp_server=False,
        theme=gr.themes.Default(font=_FONTS, font_mono=["monospace"]),
        css=style(),
    )
    return Guard(app, uploads, pictures, limits.upload), app.routes[-1].app


def public_link(port: int) -> str:
    """By Gradio's service: who has it, sees the page from anywhere for some days."""
    try:
        return networking.setup_tunnel("127.0.0.1", port, secrets.token_urlsafe(32), None, None)
    except Exception as error:  # whatever the library makes of a missing network, program or permission
        raise InputError(f"--share: no public link ({error}); is this machine online? Leave --share out") from error
