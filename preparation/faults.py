"""The faults that `scripts/check_data.py` knows, and how many of each a fit folder may have."""

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

LISTS, CAPTIONS, PICTURES, EVALUATED = "lists", "captions", "pictures", "pictures of val and test"


class Check(NamedTuple):
    of: str  # what a share is a share of
    limit: float  # largest share that a fit folder has: 0 for an error, 1 for a warning that never fails
    meaning: str


CHECKS = {
    # read_pairs refuses these, or the pairs are not what the file says: errors
    "bad_list": Check(LISTS, 0, "a list that is no UTF-8 JSON of either form, or holds no pairs"),
    "repeated_name": Check(LISTS, 0, "an object that names an image twice: training refuses it"),
    "missing_folder": Check(LISTS, 0, "a list without the folder of its split"),
    "missing_list": Check(LISTS, 1, "the folder of a split without its list: nothing reads it"),
    "bad_pair": Check(CAPTIONS, 0, "an entry that is not an image name and a caption, two strings"),
    "bad_text": Check(CAPTIONS, 0, "a caption longer than any is read, or half a surrogate pair, which is no text"),
    "bad_name": Check(CAPTIONS, 0, "an image name that is empty or leaves its split's folder"),
    "empty_caption": Check(CAPTIONS, 0, "a caption without a word"),
    "no_caption": Check(CAPTIONS, 1, "an image that is listed with no captions: nothing reads it"),
    # captions
    "no_color": Check(CAPTIONS, 0.05, "a caption without a colour word: nothing to be learnt or judged"),
    "black_and_white": Check(
        CAPTIONS, 0.02, "a caption that speaks of a photo without colours and names no chromatic one"
    ),
    "long_caption": Check(CAPTIONS, 0.05, "a caption of more tokens than the network reads: its end is cut off"),
    "garbled_caption": Check(CAPTIONS, 0.01, "a caption with control or replacement characters"),
    "repeated_pair": Check(CAPTIONS, 1, "an image and a caption that were listed before: they count twice"),
    # files
    "missing_file": Check(PICTURES, 0, "a listed image that is not there, or is not a file"),
    "empty_file": Check(PICTURES, 0, "a listed image of 0 bytes"),
    "unreadable_image": Check(PICTURES, 0, "a listed image that is no picture"),
    "truncated_image": Check(PICTURES, 0, "a listed image that begins well and then cannot be decoded"),
    "decompression_bomb": Check(PICTURES, 0, "a listed image of more pixels than Pillow finds safe"),
    "unlisted_file": Check(PICTURES, 1, "a file that its split's list does not name: nothing reads it"),
    "case_clash": Check(PICTURES, 1, "names that are one on a file system which ignores case or Unicode forms"),
    # pictures
    "no_chroma": Check(PICTURES, 0.02, "a picture without chroma: it teaches gray"),
    "plain_image": Check(PICTURES, 0.01, "a picture of one shade: it shows nothing"),
    "tiny_image": Check(PICTURES, 1, "a picture with a side of few pixels: it is blurred when enlarged"),
    "extreme_aspect": Check(PICTURES, 1, "a picture so long that it is unrecognisable when squashed"),
    "animated": Check(PICTURES, 1, "a file of several frames: the first is read"),
    "odd_mode": Check(PICTURES, 1, "neither 8-bit RGB nor gray: converted, transparency lies on white"),
    # duplicates
    "exact_leak": Check(EVALUATED, 0, "a file that is also trained on: evaluation measures memory"),
    "near_leak": Check(EVALUATED, 0.02, "a picture that is trained on in another version"),
    "overlap": Check(PICTURES, 1, "a picture in two splits or data sets, but not both trained on and evaluated"),
    "exact_duplicate": Check(PICTURES, 1, "a file that is in its split under several names"),
    "near_duplicate": Check(PICTURES, 1, "a picture that is in its split in several versions"),
    "not_compared": Check(PICTURES, 1, "a picture of the other data set that cannot be read: its twin is not found"),
}


class Finding(NamedTuple):
    check: str
    split: str
    name: str  # of the image or file; "" where there is none
    detail: str
    caption: str = ""
    count: int = 1  # captions or pictures that it concerns
    files: tuple[Path, ...] = ()  # the pictures to look at


def judge(findings: list[Finding], totals: dict[str, int], limits: dict[str, float]) -> dict[str, dict[str, Any]]:
    """What every check came to: its Check, "count" of "total", and "severity", "error" where the folder is not fit,
    "warning", or "" where nothing was found.

    totals: number of LISTS, CAPTIONS, PICTURES, EVALUATED; limits: shares in [0, 1] that take the place of CHECKS'.
    """
    counts: Counter[str] = Counter()
    for finding in findings:
        counts[finding.check] += finding.count
    verdicts = {}
    for name, check in CHECKS.items():
        count, total, limit = counts[name], totals[check.of], limits.get(name, check.limit)
        severity = "error" if limit < 1 and count > limit * total else "warning" if count else ""
        verdicts[name] = check._asdict() | {"limit": limit, "count": count, "total": total, "severity": severity}
    return verdicts
