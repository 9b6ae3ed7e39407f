"""The groups of a coloured photograph: which one a place belongs to, and which words colour it.

H, W sides of a picture; G side of the grid of image tokens; N_G groups; S side of the network's square.
"""

import html
from collections import Counter
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from datasets.pictures.drawing import group_map, outline
from inference import Explanation, WordEffect
from webapp.palette import named

_MOST_WORDS = 8  # of a caption, in the list of those that colour a region


class Region(NamedTuple):
    group: int  # 0 ... N_G - 1
    share: float  # of the picture, 0 ... 1
    inside: NDArray  # (G, G) bool: the image tokens that belong to the group
    words: list[tuple[str, float]]  # what each word of the caption changes there, the most first; ab, CIE units


def region_at(explanation: Explanation, caption: str, x: float, y: float) -> Region:
    """The region at a place of the picture: x, y in [0, 1) from the top left. There has to be a group."""
    side = len(explanation.groups)
    row, column = (min(max(int(place * side), 0), side - 1) for place in (y, x))
    group = int(explanation.groups[row, column])
    inside = explanation.groups == group
    return Region(group, float(inside.mean()), inside, words_of(explanation.words, caption, inside))


def words_of(effects: list[WordEffect], caption: str, inside: NDArray) -> list[tuple[str, float]]:
    """Each word and its mean effect over the image tokens `inside` (G, G), the largest first. A word that the caption
    holds twice comes with the word behind it; marks are no words."""
    side = len(inside)
    counts = Counter(caption[effect.start : effect.end].lower() for effect in effects)
    words = []
    for effect in effects:
        word = caption[effect.start : effect.end]
        if not any(character.isalnum() for character in word):
            continue
        label = word if counts[word.lower()] == 1 else named(caption, effect.start, effect.end)
        per_token = cv2.resize(effect.change, (side, side), interpolation=cv2.INTER_AREA)
        words.append((label, float(per_token[inside].mean())))
    return sorted(words, key=lambda word: -word[1])


def draw_map(explanation: Explanation, gray: NDArray, region: Region | None) -> NDArray:
    """The groups as colours over the gray picture, (H, W, 3) uint8, with `region` outlined. gray: (H, W, 3)."""
    soft = explanation.soft
    picture = group_map(soft.reshape(len(soft), -1), gray).copy()
    if region is not None:
        height, width = gray.shape[:2]
        inside = cv2.resize(region.inside.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
        outline(picture, inside)
    return picture


def group_color(group: int, groups: int) -> str:
    """As the map shows it, "#rrggbb": over white, as a picture that is bright there."""
    soft = np.eye(groups, dtype=np.float32)[group][:, None]
    red, green, blue = group_map(soft, np.full((1, 1, 3), 255, np.uint8))[0, 0]
    return f"#{red:02x}{green:02x}{blue:02x}"


def words_table(region: Region, groups: int) -> str:
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
