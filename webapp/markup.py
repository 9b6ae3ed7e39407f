"""The page's own HTML and CSS. Whatever comes from a visitor is escaped."""

import html
from collections.abc import Sequence
from pathlib import Path

from webapp.palette import SWATCHES
from webapp.regions import Region, group_color

_LONGEST_NOTE = 300  # characters of a note that are shown
_MOST_WORDS = 8  # of a caption, in the list of those that colour a region


def style() -> str:
    """Of the page, and of a swatch for each colour."""
    chips = (f".{name}::before {{ background: {color} }}\n" for name, color in SWATCHES.items())
    return Path(__file__).with_name("style.css").read_text() + "".join(f".swatch{chip}" for chip in chips)


def notes(title: str, notes: Sequence[str]) -> str:
    """What the visitor is told of a result."""
    shortened = (note if len(note) <= _LONGEST_NOTE else note[:_LONGEST_NOTE] + " ..." for note in notes)
    items = "".join(f"<li>{html.escape(note)}</li>" for note in shortened)
    return f"<p>{html.escape(title)}</p><ul>{items}</ul>"


def words(region: Region, groups: int) -> str:
    """The region's group and its words, each with a bar as long as the colours change without it."""
    chip = f'<span class="chip" style="background:{group_color(region.group, groups)}"></span>'
    place = f"<p>{chip}Group {region.group + 1} of {groups}, {100 * region.share:.0f} % of the picture."
    if not region.words:
        return f"{place} No word colours it.</p>"
    most = max(region.words[0][1], 1e-6)
    rows = "".join(
        f'<tr><td>{html.escape(word)}</td><td><span class="bar" style="width:{100 * change / most:.0f}%"></span></td>'
        f"<td>{change:.1f}</td></tr>"
        for word, change in region.words[:_MOST_WORDS]
    )
    meaning = "How far its colours move when the network does not see a word (distance of ab):"
    return f"{place} {meaning}</p><table>{rows}</table>"
