"""Row `metrics` of scripts/benchmark.py: PSNR and SSIM of a batch beside scikit-image's loop over its images."""

import numpy as np
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from evaluation.metrics import psnr, ssim
from scripts.benchmark_timing import Figures, Seconds, ratio, threads, timed
from utils.side_by_side import side_by_side

BATCH, SIDE = 8, 224  # images in a batch, pixels of a side
CPU = torch.device("cpu")


def metrics_row(cores: int, repeats: int) -> Figures:
    """`evaluation.metrics` on one core and, as an evaluation calls it, on `cores`; scikit-image always on one. In turn.

    Both get uint8 images in the layout they like best; the figures agree to 1e-9 (tests/evaluation/test_metrics.py).
    """
    draw = np.random.default_rng(0)
    truth = draw.integers(0, 256, (BATCH, SIDE, SIDE, 3))
    images = np.clip(truth + draw.integers(-40, 41, truth.shape), 0, 255)
    truth, images = truth.astype(np.uint8), images.astype(np.uint8)
    a, b = (torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous() for pixels in (images, truth))

    def loop() -> None:
        for x, y in zip(images, truth, strict=True):
            peak_signal_noise_ratio(y, x, data_range=255)
            structural_similarity(x, y, channel_axis=2, data_range=255)

    def batch(place: slice = slice(None)) -> None:
        psnr(a[place], b[place])
        ssim(a[place], b[place])

    def ours() -> None:
        with threads(1):
            batch()

    def all_cores() -> None:
        with threads(cores):
            side_by_side(batch, [slice(i, i + 1) for i in range(BATCH)], CPU)

    seconds: Seconds = timed({"loop": loop, "ours": ours, "all_cores": all_cores}, repeats, CPU)
    return {
        "scikit_image_milliseconds_per_image": 1000 * min(seconds["loop"]) / BATCH,
        "one_core_milliseconds_per_image": 1000 * min(seconds["ours"]) / BATCH,
        "one_core_speedup": ratio(seconds["loop"], seconds["ours"]),
        "all_cores_speedup": ratio(seconds["loop"], seconds["all_cores"]),
    }
