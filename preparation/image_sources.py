"""The sources of multi-instance pictures: how the lists name a picture, and the file it has where it comes from.

A list's name is the source, "_" and the source's own name: coco_000000317935.jpg, vg_2354786.jpg, GQA_2394666.jpg (a
picture of Visual Genome), openimages_7d810125c03ce7a2.jpg, flickr30k_7421349720.jpg. ADE20K's own names begin so
already: ADE_train_00015332.jpg.
"""

from typing import NamedTuple

from utils.errors import InputError


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


def source_of(image: str, where: str) -> str:
    """The key of SOURCES that the name begins with, or InputError."""
    source = image.partition("_")[0]
    if source not in SOURCES or not image.removeprefix(source + "_"):
        raise InputError(
            f"{where}: the image {image!r} begins with no source; expected one of {', '.join(SOURCES)} and _"
        )
    return source


def file_names(image: str) -> list[str]:
    """The names that the picture may have in its source's folders, the likeliest first."""
    source, _, own = image.partition("_")
    if source == "ADE":
        return [image]
    if source == "coco":
        return [own, f"COCO_train2014_{own}", f"COCO_val2014_{own}"]
    return [own]


def coco_name(file_name: str) -> str:
    """COCO's name of 2017 for a file of any year: COCO_train2014_000000581857.jpg -> 000000581857.jpg."""
    return file_name.rpartition("_")[2]


def same_picture(image: str) -> str:
    """A key that is equal for names of one file: GQA's pictures are Visual Genome's, a bare name is COCO's."""
    source, _, own = image.partition("_")
    if source not in SOURCES:
        return f"coco_{coco_name(image)}"
    return f"vg_{own}" if source == "GQA" else image
