"""What `scripts/check_data.py` found, as text and as one page that holds its pictures itself.

The report is the content of report.json, so every path in it is a string. Names and captions come from other people's
files: the template escapes whatever of them reaches the page.
"""

import base64
import io
from pathlib import Path
from typing import Any

import jinja2
from PIL import ImageOps

from datasets.image_files import read_image

THUMBNAIL = 160  # pixels, the longer side
EXAMPLES = 12  # findings of a check on the page
TWINS = 4  # pictures of a finding on the page
_PAGE = Path(__file__).with_suffix(".html")


def summary(report: dict[str, Any]) -> str:
    """The checks that found something, and the verdict; a line each."""
    lines = [
        f"{split}: {count['pictures']} pictures, {count['readable']} readable, {count['captions']} captions,"
        f" {count['two_colors']} with two or more colours"
        for split, count in report["splits"].items()
    ]
    for name, check in report["checks"].items():
        if check["severity"]:
            lines.append(f"{check['severity']:8}{name:20}{_amount(check)}: {check['meaning']}")
    lines.append(f"NOT FIT: {_errors(report)}" if _errors(report) else "fit")
    return "\n".join(lines)


def write_page(file: Path, report: dict[str, Any]) -> None:
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"amount": _amount, "share": _share, "thumbnail": _thumbnail}
    page = environment.from_string(_PAGE.read_text(encoding="utf-8")).render(
        **report, errors=_errors(report), examples=EXAMPLES, twins=TWINS
    )
    file.write_text(page, encoding="utf-8", errors="backslashreplace")  # a file's name need not be text


def _errors(report: dict[str, Any]) -> str:
    return ", ".join(name for name, check in report["checks"].items() if check["severity"] == "error")


def _share(check: dict[str, Any]) -> str:
    return f"{100 * check['count'] / check['total']:.2f} %" if check["total"] else ""


def _amount(check: dict[str, Any]) -> str:
    share = f" ({_share(check)})" if check["total"] else ""
    return f"{check['count']} of {check['total']} {check['of']}{share}"


def _thumbnail(file: str) -> str:
    """As the address of an <img>; "" where there is no picture."""
    stream = io.BytesIO()
    try:
        picture = read_image(Path(file), at_least=(THUMBNAIL, THUMBNAIL))
        ImageOps.contain(picture, (THUMBNAIL, THUMBNAIL)).save(stream, "JPEG", quality=80)
    except Exception:  # the report is written whatever a file raises; what it is, the checks have found
        return ""
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"
