"""Between a browser and the handlers: what it sends is checked, for it may be anything, and what keeps a handler from
its answer is told."""

import functools
import html
import logging
import math
from collections.abc import Callable
from typing import Any

import gradio as gr

from datasets.words.captions import check_caption
from utils.errors import InputError
from webapp.visit import Visit
from webapp.visit_files import NOTHING

logger = logging.getLogger(__name__)

FAULT = "That went wrong here, and the server's log says how. Try it again, or with another photograph or caption."
STALE = "The page and the server do not understand each other; load the page again."
STRONGEST = 2  # factor of the chroma

Values = dict[Any, Any]  # of components; those left out stay as they are


def told(*emptied: str) -> Callable[[Callable[..., Values]], Callable[..., Values]]:
    """Whatever keeps a handler from its answer is told to the visitor, and the page stays as it is, but for the
    components `emptied`; what no visitor can mend is logged, too."""

    def decorate(handler: Callable[..., Values]) -> Callable[..., Values]:
        @functools.wraps(handler)
        def telling(page: Any, *args: Any) -> Values:
            try:
                return handler(page, *args)
            except InputError as error:
                message = str(error)
            except Exception:  # of whichever library, or of ours
                logger.exception("page: %s", handler.__name__)
                message = FAULT
            gr.Warning(html.escape(message), duration=20)  # names of files stand in it
            return {getattr(page, name): None for name in emptied} or gr.skip()

        return telling

    return decorate


def known(visit: Visit | None) -> Visit:
    if visit is None:
        raise InputError(NOTHING)
    return visit


def place_of(visit: Visit, event: gr.EventData) -> tuple[float, float]:
    """Of a click on the map, in [0, 1]; the browser tells it in pixels of the preview."""
    index = event._data.get("index") if isinstance(event._data, dict) else None
    if not isinstance(index, list) or len(index) != 2 or not all(map(_is_number, index)):
        raise InputError(STALE)
    x, y = (min(max(place / side, 0.0), 1.0) for place, side in zip(index, visit.preview_size, strict=True))
    return x, y


def checked_caption(value: Any) -> str:
    """Without halves of characters, which a browser can send and no tokenizer takes."""
    if not isinstance(value, str):
        raise InputError(STALE)
    return check_caption(value.encode("utf-8", "replace").decode("utf-8"), "the caption")


def checked_strength(value: Any) -> float:
    if not _is_number(value) or not 0 <= value <= STRONGEST:
        raise InputError(f"The strength of the colours is between 0 and {STRONGEST}.")
    return float(value)


def checked_count(value: Any, most: int) -> int:
    if not _is_number(value) or value != int(value) or not 1 <= value <= most:
        raise InputError(STALE)
    return int(value)


def chosen(number: Any, count: int) -> int:
    """The place that was chosen in a list; the last where there are fewer."""
    return min(max(number, 0), count - 1) if type(number) is int else 0


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)
