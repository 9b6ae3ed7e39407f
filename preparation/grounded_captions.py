"""The sources of the multi-instance data set: MDETR's annotation JSON and Localized Narratives' JSON lines."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from preparation import colored_things
from preparation.caption_lists import Pair, check_name, check_source, short, tidy
from preparation.image_sources import coco_name
from preparation.json_stream import stream
from utils.errors import InputError
from utils.text_files import read_json_lines

MDETR_ORIGIN = (
    "mdetr_annotations.tar.gz (final_mixed_*, final_flickr_*, final_gqa_*, ...) from zenodo.org/record/4729015"
)
NARRATIVES_ORIGIN = "the *_localized_narratives*.jsonl files from google.github.io/localized-narratives"

RULES = colored_things.RULES | {
    "one_colored_box": "MDETR: no two boxes (IoU below 0.5) whose phrases hold different coloured things",
}
MAX_IOU = 0.5


class Judged(NamedTuple):
    pair: Pair
    rule: str | None  # of RULES, by which it is left out


def read_narratives(path: Path) -> Iterator[Judged]:
    """The captions of one file of Localized Narratives, in order. Raises InputError."""
    check_source(path, NARRATIVES_ORIGIN)
    for number, entry in read_json_lines(path, f"half-downloaded? expected {NARRATIVES_ORIGIN}"):
        where = f"{path}: line {number}"
        if not isinstance(entry, dict) or not {"dataset_id", "image_id", "caption"} <= entry.keys():
            raise InputError(f"{where} has no dataset_id, image_id and caption; expected {NARRATIVES_ORIGIN}")
        pair = Pair(_narrative_image(entry, where), tidy(entry["caption"], where))
        yield Judged(pair, colored_things.drop_rule(pair.caption))


def _narrative_image(entry: dict[str, Any], where: str) -> str:
    data_set, image = str(entry["dataset_id"]).lower(), str(entry["image_id"])
    if "coco" in data_set:
        name = f"coco_{image:0>12}.jpg"
    elif "ade" in data_set:
        name = f"{image}.jpg" if image.startswith("ADE_") else f"ADE_{image}.jpg"
    elif "flic" in data_set:
        name = f"flickr30k_{image}.jpg"
    elif "open" in data_set:
        name = f"openimages_{image}.jpg"
    else:
        raise InputError(f"{where}: unknown dataset_id {short(entry['dataset_id'])}; expected {NARRATIVES_ORIGIN}")
    return check_name(name, where)


class _Candidate(NamedTuple):
    pair: Pair
    caption: str  # as it stands in the file: the spans count its characters
    boxes: list[tuple[list[float], list[list[int]]]]  # (x, y, w, h) and the spans of the phrase


def read_mdetr(path: Path) -> Iterator[Judged]:
    """The captions of one annotation file of MDETR; those that stay come in its order. Raises InputError.

    The file is read in pieces, twice, as the largest has a gigabyte: captions, then the boxes of those that may stay.
    """
    candidates: dict[Any, _Candidate] = {}
    for image in stream(path, "images", MDETR_ORIGIN):
        pair, key = _mdetr_pair(image, path)
        rule = colored_things.drop_rule(pair.caption)
        if rule is not None:
            yield Judged(pair, rule)
        elif key in candidates:
            raise InputError(f"{path}: two images have the id {key!r}; take the file as it was published")
        else:
            candidates[key] = _Candidate(pair, image["caption"], [])
    for annotation in stream(path, "annotations", MDETR_ORIGIN):
        if not isinstance(annotation, dict) or not {"image_id", "bbox", "tokens_positive"} <= annotation.keys():
            what = f"annotation {short(annotation)} lacks image_id, bbox or tokens_positive"
            raise InputError(f"{path}: {what}; expected {MDETR_ORIGIN}")
        if annotation["image_id"] in candidates:
            candidates[annotation["image_id"]].boxes.append((annotation["bbox"], annotation["tokens_positive"]))
    for key, (pair, caption, boxes) in candidates.items():
        colored = two_colored_boxes(caption, boxes, f"{path}: image {key}")
        yield Judged(pair, None if colored else "one_colored_box")


def _mdetr_pair(image: Any, path: Path) -> tuple[Pair, Any]:
    where = f"{path}: image {short(image)}"
    if not isinstance(image, dict) or not {"id", "file_name", "caption"} <= image.keys():
        raise InputError(f"{where} lacks id, file_name or caption; expected {MDETR_ORIGIN}")
    name = check_name(image["file_name"], where)
    origin = str(image.get("data_source") or image.get("dataset_name")).lower()
    if name.startswith("COCO_") or "coco" in origin:
        name = f"coco_{coco_name(name)}"
    elif origin == "vg":
        name = f"vg_{name}"
    elif origin == "gqa":
        name = f"GQA_{name}"
    elif origin.startswith("flickr"):
        name = f"flickr30k_{name}"
    else:
        raise InputError(f"{where} is of an unknown data set {origin!r}; expected {MDETR_ORIGIN}")
    return Pair(name, tidy(image["caption"], where)), image["id"]


def two_colored_boxes(caption: str, boxes: list[tuple[list[float], list[list[int]]]], where: str) -> bool:
    """Whether two boxes that are not the same speak of two coloured things.

    boxes: (x, y, w, h) in pixels and the spans (start, end) of the box's phrase in the caption. A phrase holds a
    coloured thing if it holds the thing or its colour word.
    """
    mentions = colored_things.find(caption)
    things = colored_things.instances(mentions)
    number_of = [next(i for i, thing in enumerate(things) if mention.may_be(thing)) for mention in mentions]
    held = []
    for box, spans in boxes:
        try:
            x, y, w, h = (float(value) for value in box)
            phrases = [(int(start), int(end)) for start, end in spans]
        except (TypeError, ValueError) as error:
            raise InputError(f"{where}: a box is {short([box, spans])}; expected {MDETR_ORIGIN}") from error
        numbers = {
            number
            for number, mention in zip(number_of, mentions, strict=True)
            for start, end in (mention.thing_span, *mention.color_spans)
            if any(start < stop and first < end for first, stop in phrases)
        }
        held.append(((x, y, x + w, y + h), numbers))
    return any(
        numbers and others and len(numbers | others) >= 2 and _iou(box, other) < MAX_IOU
        for place, (box, numbers) in enumerate(held)
        for other, others in held[:place]
    )


def _iou(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Of two boxes (left, top, right, bottom)."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    common = max(width, 0.0) * max(height, 0.0)
    both = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common
    return common / both if both > 0 else 0.0
