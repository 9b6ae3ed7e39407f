"""Pictures with words: strips, grids and group maps.  H, W image side; N_G groups; N_I image tokens; uint8 RGB."""

import math
import textwrap
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

GAP = 6  # pixels between the pictures of a strip
_CAPTION_LINE = 16


def group_map(assignment: np.ndarray, gray: np.ndarray) -> np.ndarray:
    """The hard assignment as colours over the gray picture, (H, W, 3); the gray picture itself where N_G = 0.

    assignment: (N_G, N_I) of a square grid; gray: (H, W, 3). A group keeps its colour from picture to picture.
    """
    if assignment.shape[0] == 0:
        return gray
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
    drawn, thick = picture.copy(), max(2, min(height, width) // 200)
    for left, top, right, bottom in boxes:
        ends = (round(left * width), round(top * height)), (round(right * width) - 1, round(bottom * height) - 1)
        cv2.rectangle(drawn, *ends, (255, 140, 0), thick)
    if corner is not None:
        place = round(corner[0] * width), round(corner[1] * height)
        cv2.drawMarker(drawn, place, (255, 140, 0), cv2.MARKER_CROSS, 12 * thick, thick)
    return drawn


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
