"""The page as a server that starts, answers, and ends cleanly."""

import os
import secrets
import shutil
import socket
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import gradio as gr
import uvicorn
from fastapi import FastAPI
from gradio import networking

from inference import Colorizer
from inference.segmentation import Segmenter
from utils.errors import InputError
from webapp.connections import Connection, new_shares
from webapp.guard import Guard
from webapp.layout import FOLDER
from webapp.limits import Limits
from webapp.page import Page
from webapp.sessions import Sessions
from webapp.uploads import LIFETIME, UploadStore
from webapp.visits import Visits

SWITCHING = 5e-4  # seconds; Python's own is ten times that, and the loop waits for so long at each send and receive
LAST_ANSWERS = 5  # seconds that what is being answered has when the server ends
_TIDYING = 10  # ticks of the server, a tenth of a second each, between two looks for what waits too long
_FONTS = ["system-ui", "sans-serif"]  # the visitor's own: none is fetched


class Server(uvicorn.Server):
    """It ends what waits too long; when it ends itself it tells the pages' heartbeats so, answers which never end by
    themselves."""

    def __init__(self, config: uvicorn.Config, guard: Guard, pages: gr.routes.App) -> None:
        super().__init__(config)
        self.guard = guard
        self.pages = pages

    async def on_tick(self, counter: int) -> bool:
        if counter % _TIDYING == 0:
            now = time.monotonic()
            for connection in Connection.shares:
                if connection.overdue(now):
                    connection.end()
            self.guard.uploads.expire(now - LIFETIME)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.pages.stop_event.set()
        await super().shutdown(sockets)


def serve(
    colorizer: Colorizer,
    about: str,
    limits: Limits,
    host: str,
    port: int,
    share: bool = False,
    root_path: str = "",
    segmenter: Segmenter | None = None,
) -> None:
    """Until a signal comes; about: the network, for the visitor; port: 0 for any that is free; share: by a public link,
    too; root_path, segmenter: of `build`. Raises InputError where the address is taken, or no link can be had.
    """
    root_path = checked_root(root_path)
    with listen(host, port) as listening:
        guard, pages = build(colorizer, about, limits, root_path, segmenter)
        Connection.shares = new_shares()
        quiet = {"log_level": "error", "ws": "none", "server_header": False}
        config = uvicorn.Config(guard, http=Connection, timeout_graceful_shutdown=LAST_ANSWERS, **quiet)
        port = listening.getsockname()[1]
        print(f"http://{f'[{host}]' if ':' in host else host}:{port}", flush=True)
        if share:
            print(public_link(port), flush=True)
        sys.setswitchinterval(SWITCHING)
        Server(config, guard, pages).run([listening])


def listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        raise InputError(f"--host {host} --port {port}: cannot be listened to ({error}); pass others") from error


def checked_root(root_path: str) -> str:
    """Without a slash at its end. Raises InputError for what is neither a path nor an address."""
    parts = urlsplit(root_path)
    address = parts.scheme in ("http", "https") and bool(parts.netloc)
    path = not parts.scheme and not parts.netloc and root_path.startswith("/")
    if root_path and (not (address or path) or parts.query or parts.fragment or "//" in parts.path):
        raise InputError(
            f"--root_path {root_path}: pass a path, as /color, or an address, as https://example.org/color"
        )
    return root_path.rstrip("/")


def build(
    colorizer: Colorizer, about: str, limits: Limits, root_path: str = "", segmenter: Segmenter | None = None
) -> tuple[Guard, gr.routes.App]:
    """The application and Gradio's part of it. They write to GRADIO_TEMP_DIR, which has to be set before this module is
    imported, and to its neighbours in a folder that is nobody else's.

    root_path: where a proxy shows the page, without a slash at its end: /color, or https://example.org/color;
    segmenter: for systems that read masks.
    """
    uploads = Path(os.environ["GRADIO_TEMP_DIR"])
    originals = uploads.with_name("originals")  # Gradio serves nothing outside of `uploads`
    pictures = uploads / "pictures"  # and the guard nothing outside of these
    pictures.mkdir(parents=True)
    originals.mkdir()
    shutil.copytree(FOLDER, pictures / "examples")

    visits = Visits(colorizer, originals, pictures, limits.visitors, limits.disk, segmenter)
    store = UploadStore(uploads, limits.upload)
    page = Page(visits, store, pictures / "examples", limits, about)
    blocks = page.blocks.queue(max_size=limits.waiting, default_concurrency_limit=limits.at_once, api_open=False)
    blocks._queue.ANALYTICS_MAX_EVENTS = 1  # of which Gradio makes a table at every event
    blocks.state_session_capacity = 2 * limits.sessions  # `Sessions` forgets them earlier, and their visits
    blocks.has_launched = True  # from then on Gradio checks the paths that browsers send

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/health")
    async def health() -> dict[str, str | int]:
        waiting = blocks._queue.get_status().queue_size
        return {"status": "ok", "device": str(colorizer.device), "visitors": len(visits), "waiting": waiting}

    bounds = {"max_file_size": limits.upload, "blocked_paths": [str(originals)]}
    looks = {
        "theme": gr.themes.Default(font=_FONTS, font_mono=["monospace"]),
        "css_paths": [Path(__file__).with_name("style.css")],
    }
    left_out = dict.fromkeys(("run_history", "show_error", "ssr_mode", "enable_monitoring", "mcp_server"), False)
    gr.mount_gradio_app(app, blocks, "/", root_path=root_path, footer_links=[], **bounds, **looks, **left_out)
    pages = app.routes[-1].app
    sessions = Sessions(pages, limits.sessions)
    return Guard(app, store, pictures, sessions, urlsplit(root_path).path), pages


def public_link(port: int) -> str:
    """By Gradio's service: who has it, sees the page from anywhere for some days."""
    try:
        return networking.setup_tunnel("127.0.0.1", port, secrets.token_urlsafe(32), None, None)
    except Exception as error:  # whatever the library makes of a missing network, program or permission
        raise InputError(f"--share: no public link ({error}); is this machine online? Leave --share out") from error
