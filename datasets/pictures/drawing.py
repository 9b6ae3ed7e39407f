"""Pictures with words: strips, grids and group maps.  H, W image side; N_G groups; N_I image tokens; uint8 RGB."""

import math
import textwrap
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

GAP = 6  # pixels between the pictures of a strip
_CAPTION_LINE = 16
_OUTLINE = 0.004  # width of an outline, in longer sides of the picture; white, with black of as much around it
_ORANGE = (255, 140, 0)


def group_map(assignment: np.ndarray, gray: np.ndarray) -> np.ndarray:
    """The hard assignment as colours over the gray picture, (H, W, 3).

    assignment: (N_G, N_I) of a square grid, of one group at least; gray: (H, W, 3). A group keeps its colour from
    picture to picture.
    """
    side = math.isqrt(assignment.shape[1])
    labels = assignment.argmax(axis=0).reshape(side, side).astype(np.uint8)
    height, width = gray.shape[:2]
    labels = cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST)
    hues = (np.arange(assignment.shape[0]) * 180 / assignment.shape[0]).astype(np.uint8)  # OpenCV: hue in [0, 180)
    hsv = np.stack([hues, np.full_like(hues, 200), np.full_like(hues, 255)], axis=1)[None]  # (1, N_G, 3)
    colors = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0]
    return cv2.addWeighted(colors[labels], 0.5, gray, 0.5, 0)


def boxed(
    picture: np.ndarray, boxes: Sequence[Sequence[float]], corner: tuple[float, float] | None = None
) -> np.ndarray:
    """The picture (H, W, 3) with frames around boxes, left, top, right, bottom in [0, 1], and a cross at a corner."""
    height, width = picture.shape[:2]
    drawn = picture.copy()
    for left, top, right, bottom in boxes:
        ends = (round(left * width), round(top * height)), (round(right * width) - 1, round(bottom * height) - 1)
        cv2.rectangle(drawn, *ends, _ORANGE, _thick(picture))
    if corner is not None:
        cross(drawn, corner)
    return drawn


def cross(picture: np.ndarray, corner: tuple[float, float]) -> None:
    """Drawn into the picture (H, W, 3), at x, y in [0, 1]."""
    height, width = picture.shape[:2]
    place, thick = (round(corner[0] * width), round(corner[1] * height)), _thick(picture)
    cv2.drawMarker(picture, place, _ORANGE, cv2.MARKER_CROSS, 12 * thick, thick)


def _thick(picture: np.ndarray) -> int:
    return max(2, min(picture.shape[:2]) // 200)


def outline(picture: np.ndarray, inside: np.ndarray) -> None:
    """Drawn into the picture (H, W, 3), around inside (H, W) bool."""
    contours, _ = cv2.findContours(inside.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    thickness = max(1, round(_OUTLINE * max(picture.shape[:2])))
    for shade, times in ((0, 3), (255, 1)):
        cv2.drawContours(picture, contours, -1, (shade,) * 3, times * thickness)


def labelled(picture: np.ndarray, labels: Sequence[tuple[str, tuple[float, float]]]) -> np.ndarray:
    """The picture (H, W, 3) with words, white on black: each with the middle of its lower edge, x, y in pixels, moved
    into the picture where it would stick out."""
    height, width = picture.shape[:2]
    image = Image.fromarray(picture)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=max(11, max(height, width) // 48))
    for text, (x, y) in labels:
        _, _, wide, high = draw.textbbox((0, 0), text, font=font)
        left, top = max(min(x - wide / 2, width - wide), 0), max(min(y - high, height - high), 0)
        draw.rectangle((left - 2, top, left + wide + 2, top + high + 2), fill="black")
        draw.text((left, top), text, fill="white", font=font)
    return np.array(image)


def strip(images: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures (H, W, 3) of one size side by side on white."""
    gap = np.full((images[0].shape[0], GAP, 3), 255, np.uint8)
    return np.concatenate([part for image in images for part in (image, gap)][:-1], axis=1)


def captioned_grid(rows: Sequence[Sequence[tuple[np.ndarray, str]]], scale: int, lines: int = 3) -> np.ndarray:
    """Rows of (picture (H, W, 3), caption), the captions wrapped to so many lines below their pictures."""
    height, width = (side * scale for side in rows[0][0][0].shape[:2])
    cell_height = height + lines * _CAPTION_LINE + GAP
    columns = max(len(row) for row in rows)
    sheet = Image.new("RGB", (columns * (width + GAP) - GAP, len(rows) * cell_height), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=13)
    for y, row in enumerate(rows):
        for x, (picture, caption) in enumerate(row):
            corner = x * (width + GAP), y * cell_height
            sheet.paste(Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC), corner)
            wrapped = textwrap.wrap(caption, int(width / font.getlength("n")), max_lines=lines, placeholder=" ...")
            below = corner[0], corner[1] + height + 2
            draw.multiline_text(below, "\n".join(wrapped), fill="black", font=font, spacing=1)
    return np.asarray(sheet)
