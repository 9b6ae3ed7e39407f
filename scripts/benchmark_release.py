"""The row of scripts/benchmark.py about the authors' released architecture: what not computing all of it saves."""

import copy
from typing import Any

import torch
from torch import Tensor

from models import PAPER_MODEL, RELEASE_MODEL, create_model
from models.lcoins.release import ReleasedLCoIns
from models.text import Words
from scripts.benchmark_timing import Figures, count_gflop, ratio, timed
from utils.devices import autocast, linear_by_onednn, precision


def release_row(
    device: torch.device, amp: str, words: int, repeats: int, paper_model: str = PAPER_MODEL, **overrides: Any
) -> Figures:
    """One image and a caption of `words`, forward alone; overrides: of the released architecture.

    everything_time_ratio: the time with all of its layers computed, over ours; the colours are the same. The padding to
    80 words is computed in both, as the colours depend on it. paper_model_speedup: the same over the paper's model.
    bf16_speedup: the paper's model over itself in bf16. kept_weights_speedup, on a CPU: bf16 with weights that are
    rounded in every call, over bf16 with weights that are kept so. Both only where the device multiplies bf16.
    """
    released, paper = (create_model(name, **sizes) for name, sizes in ((RELEASE_MODEL, overrides), (paper_model, {})))
    released, paper = (network.to(device).eval() for network in (released, paper))
    bf16, rounding = (copy.deepcopy(paper).requires_grad_(False) for _ in range(2))
    if device.type == "cpu":  # as inference.Colorizer does
        linear_by_onednn(paper, amp)
        linear_by_onednn(bf16, "bf16")
    caption = Words(torch.arange(1000, 1000 + words)[None], torch.ones(1, words, dtype=torch.bool)).to(device)
    grays = {
        network: torch.zeros(1, 1, network.img_size, network.img_size, device=device) for network in (released, paper)
    }

    def ours() -> None:
        released(grays[released], caption)

    def everything() -> None:
        compute_everything(released, grays[released], caption)

    def in_bf16(network: torch.nn.Module) -> None:
        with autocast(device, "bf16"):
            network(grays[paper], caption)

    counted = {"ours": ours, "everything": everything}
    calls = counted | {"paper": lambda: paper(grays[paper], caption)}
    if precision("auto", device) == "bf16":
        calls["bf16"] = lambda: in_bf16(bf16)
    if "bf16" in calls and device.type == "cpu":
        calls["rounding"] = lambda: in_bf16(rounding)
    with torch.no_grad(), autocast(device, amp):
        seconds = timed(calls, repeats, device)
        gflop = {name: count_gflop(call) for name, call in counted.items()}
    return {
        "gflop": gflop["ours"],
        "everything_gflop": gflop["everything"],
        "everything_operation_ratio": gflop["everything"] / gflop["ours"],
        "everything_time_ratio": ratio(seconds["everything"], seconds["ours"]),
        "paper_model_speedup": ratio(seconds["everything"], seconds["paper"]),
        **({"bf16_speedup": ratio(seconds["paper"], seconds["bf16"])} if "bf16" in calls else {}),
        **({"kept_weights_speedup": ratio(seconds["rounding"], seconds["bf16"])} if "rounding" in calls else {}),
    }


def compute_everything(model: ReleasedLCoIns, gray: Tensor, words: Words) -> tuple[Tensor, Tensor]:
    """Every layer on every token, as a plain forward would: ab (B, 2, H, W) and the colour bins (B, H W, bins)."""
    decoder, up = model.decoder, model.decoder.conv_upsample
    image, language = model.encoder_to_decoder(model.encoder(gray)), model.text_encoder(words)
    modality, group = decoder.token_type_embeddings.weight, decoder.group_token.expand(len(image), -1, -1)
    z = torch.cat([image + modality[0], language + modality[1], group], dim=1)
    for block in decoder.blocks_poc:
        z = block(z, z.shape[1])
    image, _, group = z.split([image.shape[1], language.shape[1], group.shape[1]], dim=1)
    decoder.group_block(image, group)
    side = round(image.shape[1] ** 0.5)
    grid = decoder.head(decoder.norm(image)).transpose(1, 2).unflatten(2, (side, side))
    grid = up.c2(up.up2(up.c1(up.up1(grid).relu())).relu())
    ab = up.c4(up.up4(up.c3(up.up3(grid).relu())).relu())
    bins = up.c4_classify(up.up4_classify(up.c3_classify(up.up3_classify(grid).relu())).relu())
    return ab, up.classifier(bins.flatten(2).transpose(1, 2))
