"""The figures of an evaluation: of one image each, and their means.  B batch; images uint8 (B, 3, H, W)."""

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from evaluation.color_metrics import LabBytes, colorfulness_both
from evaluation.metrics import LPIPS, WindowSums, psnr
from evaluation.protocol import ROWS

COLOR_ROWS = ("model", "gray")  # the ceiling's colours are the truth's, but for rounding
FULL = ("psnr", "ssim", "lpips", "ciede2000", "chroma_error", "colorfulness", "colorfulness_absolute", "fid")


def figures(images: dict[str, Tensor], truth: Tensor, lpips: LPIPS | None) -> dict[str, Tensor]:
    """`{row}_{metric}` -> (B,) float64, each image of `images`, a batch for each of ROWS, against the truth.

    What one comparison needs of the truth serves the others. Colourfulness is of the prediction and of the truth.
    """
    found: dict[str, Tensor] = {}
    true_sums, true_lab = WindowSums(truth), LabBytes(truth)
    true_features = lpips.features(truth) if lpips is not None else None
    for row, image in images.items():
        found[f"{row}_psnr"], found[f"{row}_ssim"] = psnr(image, truth), WindowSums(image).ssim(true_sums)
        if lpips is not None:
            found[f"{row}_lpips"] = lpips.distance(lpips.features(image), true_features)
        if row in COLOR_ROWS:
            errors = LabBytes(image).errors(true_lab)
            found[f"{row}_ciede2000"], found[f"{row}_chroma_error"] = errors.ciede2000, errors.chroma_error
    for row, image in (("model", images["model"]), ("truth", truth)):
        found[f"{row}_colorfulness"], found[f"{row}_colorfulness_absolute"] = colorfulness_both(image)
    return found


def means(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """{row: {metric: mean}} over all pairs, and their count; `truth` has colourfulness alone.

    Metrics are per image, then averaged. A PSNR is infinite where two images are equal: such pairs are counted as
    `identical` and left out of the mean, which else would be infinite too. A mean over nothing is None; FID, which is
    of no single image, is None here.
    """
    summary: dict[str, Any] = {"count": len(rows)}
    for row in (*ROWS, "truth"):
        values = {metric: [r[f"{row}_{metric}"] for r in rows if f"{row}_{metric}" in r] for metric in FULL}
        finite = [value for value in values["psnr"] if math.isfinite(value)]
        summary[row] = {metric: _mean(of_metric) for metric, of_metric in (values | {"psnr": finite}).items()}
        summary[row]["identical"] = len(values["psnr"]) - len(finite)
    summary["truth"] = {metric: summary["truth"][metric] for metric in ("colorfulness", "colorfulness_absolute")}
    return summary


def _mean(values: list[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None
