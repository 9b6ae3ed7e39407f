"""The sources of the multi-instance data set: MDETR's annotation JSON, Localized Narratives' JSON lines, and pictures.

A list names a picture by its source, "_" and the source's own name: coco_000000317935.jpg, vg_2354786.jpg,
GQA_2394666.jpg (a picture of Visual Genome), openimages_7d810125c03ce7a2.jpg, flickr30k_7421349720.jpg. ADE20K's own
names begin so already: ADE_train_00015332.jpg.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from preparation import colored_things
from preparation.caption_lists import Pair, check_keys, check_name, check_source, read_json, short, tidy
from utils.errors import InputError
from utils.text_files import read_json_lines, unique

MDETR_ORIGIN = (
    "mdetr_annotations.tar.gz (final_mixed_*, final_flickr_*, final_gqa_*, ...) from zenodo.org/record/4729015"
)
NARRATIVES_ORIGIN = "the *_localized_narratives*.jsonl files from google.github.io/localized-narratives"

RULES = colored_things.RULES | {
    "one_colored_box": "MDETR: no two boxes (IoU below 0.5) whose phrases hold different coloured things",
}
MAX_IOU = 0.5
_KEPT = {"images", "id", "file_name", "caption", "data_source", "dataset_name"}  # keys of MDETR's file
_KEPT |= {"annotations", "image_id", "bbox", "tokens_positive"}


class Source(NamedTuple):
    flag: str  # of the folders with its pictures
    origin: str


SOURCES = {
    "coco": Source("--coco", "COCO: train2017.zip and val2017.zip (or those of 2014) from cocodataset.org"),
    "vg": Source("--vg", "Visual Genome: images.zip and images2.zip from homes.cs.washington.edu/~ranjay/visualgenome"),
    "GQA": Source("--gqa", "GQA: images.zip from cs.stanford.edu/people/dorarad/gqa (the pictures of Visual Genome)"),
    "openimages": Source("--openimages", "Open Images V6 from storage.googleapis.com/openimages/web"),
    "flickr30k": Source("--flickr30k", "Flickr30k from shannon.cs.illinois.edu/DenotationGraph, by request"),
    "ADE": Source("--ade", "ADE20K (ADEChallengeData2016.zip) from groups.csail.mit.edu/vision/datasets/ADE20K"),
}


def source_of(image: str) -> str:
    """The key of SOURCES that the name begins with, or InputError."""
    source = image.partition("_")[0]
    if source not in SOURCES or not image.removeprefix(source + "_"):
        known = ", ".join(SOURCES)
        raise InputError(f"the lists: the image {image!r} begins with no source; expected one of {known} and _")
    return source


def file_names(image: str) -> list[str]:
    """The names that the picture may have in its source's folders, the likeliest first."""
    source, _, own = image.partition("_")
    if source == "coco":
        return [own, f"COCO_train2014_{own}", f"COCO_val2014_{own}"]
    return [image] if source == "ADE" else [own]


def coco_name(file_name: str) -> str:
    """COCO's name of 2017 for a file of any year: COCO_train2014_000000581857.jpg -> 000000581857.jpg."""
    return file_name.rpartition("_")[2]


def same_picture(image: str) -> str:
    """A key that is equal for names of one file: GQA's pictures are Visual Genome's, a bare name is COCO's."""
    source, _, own = image.partition("_")
    if source not in SOURCES:
        return f"coco_{coco_name(image)}"
    return f"vg_{own}" if source == "GQA" else image


Judged = tuple[Pair, str | None]
"""A pair, and the rule of RULES by which it is left out."""


def read_narratives(path: Path) -> Iterator[Judged]:
    """The captions of one file of Localized Narratives, in order. Raises InputError."""
    check_source(path, NARRATIVES_ORIGIN)
    for number, entry in read_json_lines(path, f"half-downloaded? expected {NARRATIVES_ORIGIN}"):
        where = f"{path}: line {number}"
        check_keys(entry, ("dataset_id", "image_id", "caption"), where, f"expected {NARRATIVES_ORIGIN}")
        pair = Pair(_narrative_image(entry, where), tidy(entry["caption"], where))
        yield pair, colored_things.drop_rule(pair.caption)


def _narrative_image(entry: dict[str, Any], where: str) -> str:
    data_set, image = str(entry["dataset_id"]).lower(), str(entry["image_id"])
    names = {  # a part of the data set's name: the list's name of its picture
        "coco": f"coco_{image:0>12}.jpg",
        "ade": f"{image}.jpg" if image.startswith("ADE_") else f"ADE_{image}.jpg",
        "flic": f"flickr30k_{image}.jpg",
        "open": f"openimages_{image}.jpg",
    }
    for part, name in names.items():
        if part in data_set:
            return check_name(name, where)
    raise InputError(f"{where}: unknown dataset_id {short(entry['dataset_id'])}; expected {NARRATIVES_ORIGIN}")


def read_mdetr(path: Path) -> Iterator[Judged]:
    """The captions of one annotation file of MDETR; those that stay come in its order. Raises InputError.

    The largest file has a gigabyte and is read whole: of its objects only what is needed is kept.
    """
    content = read_json(path, MDETR_ORIGIN, lambda pairs: {k: v for k, v in unique(pairs).items() if k in _KEPT})
    for wanted in ("images", "annotations"):
        if not isinstance(content, dict) or not isinstance(content.get(wanted), list):
            raise InputError(f'{path}: holds no list "{wanted}"; expected {MDETR_ORIGIN}')
    candidates: dict[Any, tuple[Pair, str, list]] = {}  # pair, caption as it stands in the file, boxes
    for image in content["images"]:
        pair, key = _mdetr_pair(image, path)
        rule = colored_things.drop_rule(pair.caption)
        if rule is not None:
            yield pair, rule
        elif key in candidates:
            raise InputError(f"{path}: two images have the id {key!r}; take the file as it was published")
        else:
            candidates[key] = pair, image["caption"], []
    for annotation in content["annotations"]:
        keys = ("image_id", "bbox", "tokens_positive")
        check_keys(annotation, keys, f"{path}: an annotation", f"expected {MDETR_ORIGIN}")
        if annotation["image_id"] in candidates:
            candidates[annotation["image_id"]][2].append((annotation["bbox"], annotation["tokens_positive"]))
    for key, (pair, caption, boxes) in candidates.items():
        colored = two_colored_boxes(caption, boxes, f"{path}: image {key}")
        yield pair, None if colored else "one_colored_box"


def _mdetr_pair(image: Any, path: Path) -> tuple[Pair, Any]:
    where = f"{path}: image {short(image)}"
    check_keys(image, ("id", "file_name", "caption"), f"{path}: an image", f"expected {MDETR_ORIGIN}")
    name = check_name(image["file_name"], where)
    origin = str(image.get("data_source") or image.get("dataset_name")).lower()
    if name.startswith("COCO_") or "coco" in origin:
        name = f"coco_{coco_name(name)}"
    elif origin in ("vg", "gqa"):
        name = f"{'vg' if origin == 'vg' else 'GQA'}_{name}"
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
