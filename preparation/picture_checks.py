"""What can be wrong with the pictures of a folder in the layout of docs/DATA.md, each of them decoded once.

`preparation.duplicates` finds those that are there twice, from what is learnt here.
"""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from datasets.pictures.decode import decode_rgb
from datasets.pictures.formats import TooLarge
from datasets.pictures.picture_file import PictureFile
from preparation.data_checks import take_survey
from preparation.duplicates import HASH_SIDE, LOOK_SIDE, Place, perceptual_hash
from preparation.faults import Finding
from preparation.picture_copies import MIN_CHROMA, chroma
from utils.log import progress

MEASURED_SIDE = 2 * HASH_SIDE  # pixels; chroma and hash are taken from the picture squashed to this square
UNREAD = ("bad_list", "bad_pair", "bad_text", "bad_name", "missing_folder", "missing_file", "empty_file")
PLAIN_CONTRAST = 2.5  # standard deviation of gray levels in [0, 255] below which a picture shows nothing


class Picture(NamedTuple):
    """What `examine` learns of a file."""

    width: int
    height: int
    mode: str
    frames: int
    chroma: float  # of `picture_copies.chroma`: what the preparation drops is what is found here
    contrast: float  # standard deviation of the gray levels
    digest: bytes  # of the file
    hash: np.ndarray  # (64,) bool
    look: np.ndarray  # (LOOK_SIDE ** 2,) float16, gray levels


class Bounds(NamedTuple):
    """What a picture must keep to."""

    min_chroma: float = MIN_CHROMA  # CIE units
    min_side: int = 64  # pixels
    max_aspect: float = 4.0  # the longer side over the shorter


def examine(path: Path) -> Picture | tuple[str, str]:
    """Reads and decodes a file once. A picture, or the check that it fails and what the decoder said."""
    decoding, data = False, b""
    try:
        data = path.read_bytes()
        with PictureFile(data, str(path)) as file:
            decoding = True
            width, height, mode, frames = *file.size, file.mode, file.frames
            small = decode_rgb(file, at_least=(MEASURED_SIDE, MEASURED_SIDE))  # every byte of a JPEG, at reduced size
    except TooLarge as error:
        return "decompression_bomb", str(error)
    except Exception as error:  # of the system, of memory: the report is written whatever a file raises
        web = data[:200].lstrip().lower().startswith((b"<!doctype", b"<html"))
        page = " (it begins like a web page)" if web else ""
        words = str(error.__cause__ or error) or type(error).__name__
        return "truncated_image" if decoding else "unreadable_image", words + page
    square = small.convert("L").resize((MEASURED_SIDE, MEASURED_SIDE), Image.Resampling.BOX)
    gray = _reduced(np.asarray(square, np.float32), HASH_SIDE)
    return Picture(
        *(width, height, mode, frames),
        chroma=chroma(small),
        contrast=float(np.std(square)),
        digest=hashlib.blake2b(data, digest_size=16).digest(),
        hash=perceptual_hash(gray),
        look=_reduced(gray, LOOK_SIDE).ravel().astype(np.float16),
    )


def _reduced(square: np.ndarray, side: int) -> np.ndarray:
    """The means of the blocks: (S, S) -> (side, side)."""
    block = len(square) // side
    return square.reshape(side, block, side, block).mean(axis=(1, 3))


def examine_all(places: list[Place], workers: int) -> tuple[dict[Place, Picture], list[Finding]]:
    """What `examine` learns of the pictures, and what is wrong with the others. Decoders let go of Python's lock."""
    pictures, findings = {}, []
    with ThreadPoolExecutor(workers) as pool:
        results = pool.map(examine, [place.path for place in places])
        try:
            bar = progress(results, "decoding", "picture", total=len(places))
            for place, result in zip(places, bar, strict=True):
                if isinstance(result, Picture):
                    pictures[place] = result
                else:
                    findings.append(Finding(result[0], place.split, place.name, result[1]))
        finally:
            pool.shutdown(cancel_futures=True)  # after Ctrl-C the rest is not decoded
    return pictures, findings


def examine_other(root: Path, workers: int) -> tuple[dict[Place, Picture], list[Finding]]:
    """The same of a data set that is only compared: its faults matter where they keep a picture from it."""
    _, places, findings = take_survey(root)
    pictures, found = examine_all(places, workers)
    found += [finding for finding in findings if finding.check in UNREAD]
    return pictures, [one._replace(check="not_compared", name=str(root / one.split / one.name)) for one in found]


def check_picture(place: Place, picture: Picture, bounds: Bounds) -> list[Finding]:
    sides = (picture.width, picture.height)
    plain = picture.contrast < PLAIN_CONTRAST
    faults = {
        "no_chroma": picture.chroma < bounds.min_chroma and f"chroma {picture.chroma:.1f}",
        "plain_image": plain and f"standard deviation {picture.contrast:.2f} of 255",
        "tiny_image": min(sides) < bounds.min_side and f"{sides[0]}x{sides[1]}",
        "extreme_aspect": max(sides) > bounds.max_aspect * min(sides) and f"{sides[0]}x{sides[1]}",
        "animated": picture.frames > 1 and f"{picture.frames} frames",
        "odd_mode": picture.mode not in ("RGB", "L") and f"mode {picture.mode}",
    }
    found = ((check, detail) for check, detail in faults.items() if detail)
    return [Finding(check, place.split, place.name, detail, files=(place.path,)) for check, detail in found]
