"""What a test measures with: LPIPS, FID and the photographs at their own size, from flags."""

import argparse
import logging
from collections.abc import Callable

import torch
from torch import Tensor
from torchvision.transforms.v2.functional import pil_to_tensor

from datasets import CaptionedImages
from datasets.image_files import read_image
from evaluation.fid import FID
from evaluation.metrics import LPIPS, SSIM_WINDOW, BackboneMissing, is_cached
from utils.errors import InputError

logger = logging.getLogger(__name__)


def build_lpips(args: argparse.Namespace, device: torch.device) -> LPIPS | None:
    """None, and a word about it, where the backbone is missing: never a number from random weights.

    Nothing is fetched unless --lpips_net names it.
    """
    net = args.lpips_net or "vgg"
    if args.lpips_net is None and args.lpips_weights is None and not is_cached(net):
        logger.warning(
            "LPIPS is left out (null in the results): pass --lpips_net vgg to fetch it, or --lpips_weights FILE"
        )
        return None
    try:
        return LPIPS.load(net, args.lpips_weights).to(device)
    except BackboneMissing as error:
        logger.warning("LPIPS is left out (null in the results): %s", error)
        return None


def build_fid(args: argparse.Namespace, device: torch.device) -> FID | None:
    """None, and a word about it, where no weights are given."""
    if args.fid_weights is None:
        logger.info("FID is left out (null in the results): pass --fid_weights FILE")
        return None
    fid = FID.load(args.fid_weights).to(device)
    logger.info("FID in the features of %s", fid.name)
    return fid


def build_photograph(args: argparse.Namespace, dataset: CaptionedImages) -> Callable[[str], Tensor] | None:
    """Image name -> (3, H, W) uint8 at its own size, for --protocol full; None for the others, which need none."""
    if args.protocol != "full":
        return None

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
