"""What an evaluation measures: figures of one image each, and their means.  B batch; images uint8 (B, 3, H, W)."""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms.v2.functional import pil_to_tensor

from datasets import CaptionedImages, CaptionedOptions
from datasets.batch import Batch
from datasets.boxes import Box, Wanted, boxes_path, inside, read_boxes
from datasets.image_files import read_image
from datasets.words import color_words
from evaluation.color_metrics import color_errors, colorfulness_both
from evaluation.fid import FID
from evaluation.metrics import LPIPS, SSIM_WINDOW, BackboneMissing, is_cached, luminance_psnr, psnr, ssim
from evaluation.protocol import PAINTED, ROWS, Colorized, LabBatch, check_finite, colorized, pieces
from models import Coloring
from utils import color
from utils.devices import side_by_side
from utils.errors import InputError

logger = logging.getLogger(__name__)
COLOR_ROWS = ("model", "gray")  # the ceiling's colours are the truth's, but for rounding
STILL = ("gray_", "ceiling_", "truth_")  # figures of an image that no caption changes
FULL = ("psnr", "ssim", "lpips", "ciede2000", "chroma_error", "colorfulness", "colorfulness_absolute", "fid")
IN_BOXES = "box_error"  # `chroma_error` inside boxes, where there are any
LUMINANCE = "luminance_psnr"  # of a painted picture, against the luminance that was given


def figures(
    images: dict[str, Tensor],
    truth: Tensor,
    lpips: LPIPS | None,
    masks: Tensor | None = None,
    known: Mapping[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """`{row}_{metric}` -> (B,) float64, each image of `images`, a batch for each of `Colorized.compared`, against the
    truth.

    The truth's LPIPS features serve all comparisons. Colourfulness is of the prediction and of the truth. masks: (B, H,
    W) bool, the pixels inside boxes; known: those of STILL, where the same images were measured before.
    """
    found: dict[str, Tensor] = dict(known or {})
    true_features = lpips.features(truth) if lpips is not None else None
    for row, image in images.items():
        if known and f"{row}_" in STILL:
            continue
        found[f"{row}_psnr"], found[f"{row}_ssim"] = psnr(image, truth), ssim(image, truth)
        if lpips is not None:
            found[f"{row}_lpips"] = lpips.distance(lpips.features(image), true_features)
        if row in COLOR_ROWS:
            errors = color_errors(image, truth, masks)
            found[f"{row}_ciede2000"], found[f"{row}_chroma_error"] = errors.ciede2000, errors.chroma_error
            if masks is not None:
                found[f"{row}_{IN_BOXES}"] = errors.box_error
    if PAINTED in images:
        found[f"{PAINTED}_{LUMINANCE}"] = luminance_psnr(images[PAINTED], images["ceiling"])
    for row, image in (("model", images["model"]), *(() if known else (("truth", truth),))):
        found[f"{row}_colorfulness"], found[f"{row}_colorfulness_absolute"] = colorfulness_both(image)
    return found


class Measure:
    """The rows of a batch, for `engine.evaluate`.

    Predicted ab joined with the photograph's own L; truth and prediction go through Lab to bytes, as `protocol` says
    (`evaluation.protocol`; the paper's, Sec. 5, by default). A row holds index, name, caption and `{row}_{metric}` for
    the rows
      model    the system
      gray     ab = 0: doing nothing
      ceiling  the truth after the Lab round trip, against the photograph itself: what the protocol loses
      painted  the system's picture with its own luminance, where it paints one; with the PSNR of that luminance
      truth    colourfulness alone
    """

    def __init__(
        self,
        lpips: LPIPS | None = None,
        visits: Sequence[Callable[[Colorized], None]] = (),
        protocol: str = "paper",
        photograph: Callable[[str], Tensor] | None = None,
        boxes: dict[str, list[Box]] | None = None,
    ) -> None:
        """visits: called with everything this rank evaluates, for pictures; photograph: of `protocol.colorized`; boxes:
        of each image, by name."""
        self.lpips, self.visits, self.boxes = lpips, visits, boxes
        self.protocol, self.photograph = protocol, photograph
        self._known: dict[str, dict[str, Tensor]] = {}  # of each image, figures of STILL

    def __call__(self, batch: Batch, coloring: Coloring) -> list[dict[str, Any]]:
        """batch: its RGB in float64. Raises DivergedError where the ab is not finite."""
        check_finite(coloring.ab, batch.names)
        squashed = LabBatch.of(color.to_uint8(batch.rgb, rounded=True))
        colorize = partial(colorized, batch, squashed, coloring, self.protocol, self.photograph)
        rows: list[dict[str, Any]] = []
        device = batch.rgb.device
        for part, values in side_by_side(partial(self._measured, colorize), pieces(squashed, self.protocol), device):
            table = torch.stack(list(values.values()), dim=1).tolist()  # one wait for the device
            for index, name, caption, row in zip(part.indices, part.names, part.captions, table, strict=True):
                found = {key: value for key, value in zip(values, row, strict=True) if not math.isnan(value)}
                rows.append({"index": index, "name": name, "caption": caption} | found)
            for visit in self.visits:
                visit(part)
        return rows

    def _measured(self, colorize: Callable[[slice], Colorized], place: slice) -> tuple[Colorized, dict[str, Tensor]]:
        part, masks = colorize(place), None
        if self.boxes is not None:
            size = part.truth.shape[2:]
            masks = torch.stack([inside(self.boxes[name], *size) for name in part.names]).to(part.truth.device)
        if len(part.names) > 1:  # a GPU measures a batch at once
            return part, figures(part.compared(), part.truth, self.lpips, masks)
        (name,) = part.names
        found = figures(part.compared(), part.truth, self.lpips, masks, self._known.get(name))
        self._known[name] = {key: value for key, value in found.items() if key.startswith(STILL)}
        return part, found


def means(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """{row: {metric: mean}} over all pairs, and their count; `truth` has colourfulness alone.

    Metrics are per image, then averaged. A PSNR is infinite where two images are equal: such pairs are counted as
    `identical` and left out of the mean, which else would be infinite too. A mean over nothing is None; FID, which is
    of no single image, is None here.
    """
    summary: dict[str, Any] = {"count": len(rows)}
    painted = (PAINTED,) if any(f"{PAINTED}_psnr" in r for r in rows) else ()
    for row in (*ROWS, *painted, "truth"):
        more = [metric for metric in (IN_BOXES, LUMINANCE) if any(f"{row}_{metric}" in r for r in rows)]
        values = {m: [r[f"{row}_{m}"] for r in rows if f"{row}_{m}" in r] for m in (*FULL, *more)}
        finite = {m: [value for value in values[m] if math.isfinite(value)] for m in ("psnr", LUMINANCE) if m in values}
        summary[row] = {metric: _mean(of_metric) for metric, of_metric in (values | finite).items()}
        summary[row]["identical"] = len(values["psnr"]) - len(finite["psnr"])
    summary["truth"] = {metric: summary["truth"][metric] for metric in ("colorfulness", "colorfulness_absolute")}
    return summary


def _mean(values: list[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def summarize_subsets(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """`means` of the pairs whose captions hold a chromatic word, words of two or more colours, and, under the name of
    each basic colour, a word of it ("grey" is gray: `color_words.family`). Colours that no caption names are left out.
    """
    subsets: dict[str, list[dict[str, Any]]] = {"chromatic": [], "two_or_more_colors": []}
    subsets |= {name: [] for name in (*color_words.CHROMATIC, *color_words.ACHROMATIC)}
    for row in rows:
        caption = row["caption"]
        colors = {color_words.family(caption[start:end]) for start, end in color_words.find(caption)}
        held = {"chromatic": not colors.isdisjoint(color_words.CHROMATIC), "two_or_more_colors": len(colors) > 1}
        for name in subsets:
            if held.get(name, name in colors):
                subsets[name].append(row)
    return {name: means(held) for name, held in subsets.items() if held or name in ("chromatic", "two_or_more_colors")}


def build_lpips(net: str | None, weights: str | None, device: torch.device) -> LPIPS | None:
    """None, and a word about it, where the backbone is missing: never a number from random weights.

    Nothing is fetched unless --lpips_net names it.
    """
    if net is None and weights is None and not is_cached("vgg"):
        logger.warning(
            "LPIPS is left out (null in the results): pass --lpips_net vgg to fetch it, or --lpips_weights FILE"
        )
        return None
    try:
        return LPIPS.load(net or "vgg", weights).to(device)
    except BackboneMissing as error:
        logger.warning("LPIPS is left out (null in the results): %s", error)
        return None


def build_fid(weights: str | None, device: torch.device) -> FID | None:
    """None, and a word about it, where no weights are given."""
    if weights is None:
        logger.info("FID is left out (null in the results): pass --fid_weights FILE")
        return None
    fid = FID.load(weights).to(device)
    logger.info("FID in the features of %s", fid.name)
    return fid


def build_boxes(dataset: CaptionedImages, options: CaptionedOptions) -> dict[str, list[Box]] | None:
    """Of every image, for the error inside them; None where there is no file of them. Raises InputError."""
    path = boxes_path(dataset.folder.parent, dataset.folder.name)
    if not path.is_file():
        return None
    return read_boxes(path, [name for name, _ in dataset.pairs], Wanted(options.max_boxes, options.box_score))


def build_photograph(dataset: CaptionedImages) -> Callable[[str], Tensor]:
    """Image name -> (3, H, W) uint8 at its own size, for --protocol full."""

    def photograph(name: str) -> Tensor:
        image = read_image(dataset.image(name))
        if min(image.size) < SSIM_WINDOW:
            size = f"{image.width} x {image.height}"
            raise InputError(
                f"{dataset.folder / name}: {size} pixels are too few for SSIM; pass --protocol paper, or take its"
                " pairs out"
            )
        return pil_to_tensor(image)

    return photograph
