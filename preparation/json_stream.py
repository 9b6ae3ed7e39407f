"""A JSON object of a gigabyte, read in little memory: the elements of one of its lists, one after the other."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from preparation.caption_lists import check_source
from utils.errors import InputError
from utils.text_files import open_text, unique

_CHUNK = 1 << 20  # characters


def stream(path: Path, wanted: str, origin: str) -> Iterator[Any]:
    """The elements of the list `wanted`; the file is read to its end. InputError names it and `origin`, its source."""
    check_source(path, origin)
    found = False
    with open_text(path, f"expected {origin}") as file:
        text = _Window(file)
        try:
            text.expect("{")
            while text.peek() != "}":
                key = text.value()
                text.expect(":")
                if text.peek() != "[":
                    text.value()
                else:
                    found |= key == wanted
                    yield from (element for element in text.elements() if key == wanted)
                if text.peek() == ",":
                    text.expect(",")
        except UnicodeDecodeError:  # `open_text` names the line
            raise
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"{path}: no whole JSON file ({error}); it ends at {path.stat().st_size:,} bytes: half-downloaded?"
                f" expected {origin}"
            ) from error
    if not found:
        raise InputError(f'{path}: holds no list "{wanted}"; expected {origin}')


class _Window:
    """The part of a JSON text that is in memory."""

    def __init__(self, file: Any) -> None:
        self.file, self.text, self.place, self.ended = file, "", 0, False
        self.decoder = json.JSONDecoder(object_pairs_hook=unique)

    def _more(self) -> None:
        piece = self.file.read(max(_CHUNK, len(self.text) - self.place))  # doubles: a large value costs linear time
        self.ended = not piece
        self.text, self.place = self.text[self.place :] + piece, 0

    def peek(self) -> str:
        """The next character that is no space."""
        while True:
            while self.place < len(self.text) and self.text[self.place] in " \t\r\n":
                self.place += 1
            if self.place < len(self.text):
                return self.text[self.place]
            if self.ended:
                raise ValueError("it ends in the middle")
            self._more()

    def expect(self, character: str) -> None:
        if self.peek() != character:
            raise ValueError(f"{self.text[self.place]!r} where {character!r} should stand")
        self.place += 1

    def value(self) -> Any:
        """The next whole value. One that reaches to the window's end may go on behind it."""
        self.peek()
        while True:
            try:
                value, end = self.decoder.raw_decode(self.text, self.place)
            except json.JSONDecodeError:
                if self.ended:
                    raise
            else:
                if end < len(self.text) or self.ended:
                    self.place = end
                    return value
            self._more()

    def elements(self) -> Iterator[Any]:
        self.expect("[")
        while self.peek() != "]":
            yield self.value()
            if self.peek() == ",":
                self.expect(",")
        self.expect("]")
