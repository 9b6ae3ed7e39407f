"""Text files that a user hands over: JSON, JSON lines, CSV and YAML, each with one reader.

UTF-8 with or without a byte order mark, UTF-16 and UTF-32 with one; the line ends of every system (LF, CR LF, CR). All
raise InputError, which names the file, the line and the fault, and ends with the caller's remedy.
"""

import codecs
import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from utils.errors import InputError

_MARKS = {  # UTF-32's little-endian mark begins with UTF-16's, so it is looked for first
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_LINE_END = re.compile(r"\r\n|\r|\n")
_HEAD = 4096  # bytes that are looked at for a mark and for NUL bytes
_MERGE = "tag:yaml.org,2002:merge"  # the key "<<", which takes over the keys of another mapping


ObjectOf = Callable[[list[tuple[str, Any]]], Any]
"""Makes what stands for a JSON object of its (key, value) pairs."""


class Row(NamedTuple):
    """A record of a CSV file."""

    line: int  # where it begins, from 1
    cells: list[str]


def read_text(path: Path, remedy: str) -> str:
    """The whole text, its line ends as they stand."""
    with _told(path, remedy):
        data = path.read_bytes()
    encoding = _encoding(path, data[:_HEAD], remedy)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = _line(data[: error.start].decode(encoding, "replace"))
        raise InputError(
            f"{path}: cannot be read: line {line} {_not_in(encoding, data, error)}; save it as UTF-8"
        ) from error
    if "\0" in text:
        raise InputError(f"{path}: line {_line(text[: text.index(chr(0))])} holds a NUL, which is no text; {remedy}")
    return text


def read_json(path: Path, remedy: str, object_of: ObjectOf | None = None) -> Any:
    """object_of: by default a dict, and a key that stands twice is refused, of which other readers keep the last value
    alone."""
    return parse_json(read_text(path, remedy), str(path), remedy, object_of)


def parse_json(text: str, place: str, remedy: str, object_of: ObjectOf | None = None) -> Any:
    """`read_json` of a text that was read already; place: what it is called in messages."""
    try:
        return json.loads(text, object_pairs_hook=object_of or unique)
    except json.JSONDecodeError as error:
        start = max(text.rfind(end, 0, error.pos) for end in "\r\n")
        where = f"line {_line(text[: error.pos])}, column {error.pos - start}: {error.msg}"
        fault, cause = where if text.strip() else "it is empty", error
    except (ValueError, RecursionError) as error:  # a key that stands twice, a number of 5,000 digits; too deep
        fault, cause = str(error), error
    raise InputError(f"{place}: not valid JSON ({fault}); {remedy}") from cause


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these pairs. Raises ValueError where a key stands twice."""
    content = dict(pairs)
    if len(content) < len(pairs):
        again, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"the key {again!r} stands twice in one object")
    return content


def read_json_lines(path: Path, remedy: str) -> Iterator[tuple[int, Any]]:
    """(line, value) of every line that is not blank; the file may be larger than memory."""
    with _told(path, remedy):
        with path.open("rb") as file:
            encoding = _encoding(path, file.read(_HEAD), remedy)
        try:
            with path.open(encoding=encoding) as text:
                for number, line in enumerate(text, 1):
                    if line.strip():
                        yield number, parse_json(line, f"{path}: line {number}", remedy)
        except UnicodeDecodeError:
            read_text(path, remedy)  # finds the line, and raises
            raise


def read_csv(path: Path, remedy: str) -> list[Row]:
    """The records that hold something, by RFC 4180: cells between commas, quoted where they hold commas, quotes (twice)
    or line ends."""
    reader = csv.reader(io.StringIO(read_text(path, remedy), newline=""), strict=True)
    rows, line = [], 1
    try:
        for cells in reader:
            if any(cells):
                rows.append(Row(line, cells))
            line = reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"{path}: the record from line {line} on is no CSV ({error}); {remedy}") from error
    if rows and len(rows[0].cells) == 1 and (other := re.search(r"[;\t]", rows[0].cells[0])):
        raise InputError(f"{path}: its cells are separated by {other[0]!r}; save it with commas")
    return rows


def read_table(path: Path, columns: Sequence[str], remedy: str) -> list[dict[str, str]]:
    """The records of a CSV with a header, which has these columns, and perhaps more."""
    rows = read_csv(path, remedy)
    header = rows[0].cells if rows else []
    for column in columns:
        if column not in header:
            raise InputError(f"{path}: has no column {column!r}; {remedy}")
    again = next((column for column in header if header.count(column) > 1), None)
    if again is not None:
        raise InputError(f"{path}: has the column {again!r} twice; {remedy}")
    for line, cells in rows[1:]:
        if len(cells) != len(header):
            raise InputError(f"{path}, row {line}: has not the columns of the header; {remedy}")
    return [dict(zip(header, cells, strict=True)) for _, cells in rows[1:]]


def read_yaml(path: Path, remedy: str) -> Any:
    """Plain data; a key that stands twice in one mapping is refused."""
    try:
        return yaml.load(read_text(path, remedy), _UniqueLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: cannot be read as YAML ({' '.join(str(error).split())}); {remedy}") from error


class _UniqueLoader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE:
                if key.value in seen:
                    problem = f"the key {key.value!r} stands twice"
                    raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


@contextmanager
def _told(path: Path, remedy: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); {remedy}") from error


def _encoding(path: Path, head: bytes, remedy: str) -> str:
    for mark, encoding in _MARKS.items():
        if head.startswith(mark):
            return encoding
    if b"\0" in head:
        line = _line(head[: head.index(b"\0")].decode("latin-1"))
        raise InputError(
            f"{path}: line {line} holds a NUL byte: UTF-16 without a byte order mark, or no text; save it as UTF-8, or"
            f" {remedy}"
        )
    return "utf-8"


def _not_in(encoding: str, data: bytes, error: UnicodeDecodeError) -> str:
    """What is wrong with a line, in words: the byte, and the letter that it is in the encoding of old programs."""
    name = encoding.removesuffix("-sig").upper()
    if name != "UTF-8":
        return f"is no {name} ({error.reason})"
    byte = data[error.start : error.start + 1]
    letter = byte.decode("cp1252", "replace")
    guess = f", {letter!r} in Latin-1" if letter.isprintable() and letter != "\ufffd" else ""
    return f"is no UTF-8 (byte 0x{byte.hex()}{guess})"


def _line(before: str) -> int:
    """The number of the line that follows this text, from 1."""
    return 1 + len(_LINE_END.findall(before))
