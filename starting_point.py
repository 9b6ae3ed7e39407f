"""What a run starts from: a checkpoint, the authors' released file, or encoders from elsewhere."""

import argparse
import logging
from collections import Counter
from pathlib import Path
from typing import Any

import torch

from inference import onnx_file
from inference.onnx_file import OnnxNetwork
from models import RELEASE_MODEL, create_model
from models import weights as pretrained
from models.lcoins.release_file import is_release
from models.restore import Network, restore
from models.text import CaptionTokenizer
from utils import checkpoint, distributed, options, seeds
from utils.devices import check_compiler, choose, precision
from utils.errors import InputError

logger = logging.getLogger(__name__)
WORDS_TOGETHER = 8  # of compiled runs: captions are padded to a multiple of it, so that graphs are few


def read_start(args: argparse.Namespace, output_dir: Path) -> dict[str, Any] | None:
    """The checkpoint the run starts from, if any. --auto_resume becomes --resume where there is something to resume."""
    last = output_dir / "checkpoint-last.pth"
    if args.auto_resume and args.resume is None and last.is_file():
        args.resume = str(last)
    path = args.resume or args.finetune
    if path is None and (args.eval or args.test):
        raise InputError("--eval and --test need a checkpoint: pass --finetune FILE")
    if _is_onnx(path):
        _check_onnx(args, path)
        return None  # `build_network` reads it: it is no checkpoint
    start = None if path is None else checkpoint.load(path)
    if start is not None and not is_release(start):
        checkpoint.check_format(path, start)
    if args.resume is not None and (is_release(start) or "optimizer" not in start):
        raise InputError(f"--resume {args.resume}: holds no run of ours, but weights; start from them with --finetune")
    return start


def settle_machine(args: argparse.Namespace, start: dict[str, Any] | None, device: torch.device) -> None:
    """--amp auto becomes what the run uses: fp32 in --eval and --test, so that their figures are the same on every
    machine; what a resumed run has used; else what the device multiplies natively.

    Raises InputError where --compile is given and nothing can be compiled.
    """
    if args.compile:
        check_compiler(device)
    if args.amp == "auto" and (args.eval or args.test):
        args.amp = "none"
    elif args.amp == "auto" and args.resume is not None and start["run"].get("amp") is not None:
        args.amp = start["run"]["amp"]
        logger.info("--amp auto: %s, as %s was trained", args.amp, args.resume)
    args.amp = precision(args.amp, device)


def build_network(
    args: argparse.Namespace, start: dict[str, Any] | None
) -> tuple[Network | OnnxNetwork, CaptionTokenizer]:
    """The network and its tokenizer: from the checkpoint, or with encoders from elsewhere as the flags say.

    Fills the flags of the architecture that were not given. Every rank draws the same weights, then noise of its own.
    """
    seeds.seed_all(seeds.derive(args.seed, seeds.WEIGHTS))
    if _is_onnx(args.finetune):
        return _from_onnx(args)
    if start is None:
        network, tokenizer = _from_encoders(args)
    elif is_release(start):
        network, tokenizer = _from_release(args, start)
    else:
        network, tokenizer = _from_checkpoint(args, start)
    if args.model == RELEASE_MODEL and args.counter_color and not (args.eval or args.test):
        raise InputError(f"--model {RELEASE_MODEL}: has no features for Eq. 15; train it with --no-counter_color")
    network.set_grad_checkpointing(args.grad_checkpointing)
    if args.freeze_encoders:
        network.freeze_encoders()
    if args.compile:
        network.compile()
        tokenizer.pad_to_multiple_of(WORDS_TOGETHER)
    seeds.seed_all(seeds.derive(args.seed, seeds.NOISE, distributed.rank()))
    return network, tokenizer


def _from_checkpoint(args: argparse.Namespace, start: dict[str, Any]) -> tuple[Network, CaptionTokenizer]:
    path, held = args.resume or args.finetune, start["architecture"]
    given = {name: getattr(args, name) for name in options.ARCHITECTURE if getattr(args, name) is not None}
    averaged = args.resume is None or args.eval or args.test
    network, tokenizer, notes = restore(path, start, averaged, **_numbers(args))
    checkpoint.check_architecture(path, start, given)
    if args.image_encoder_weights or args.text_encoder_weights:
        logger.info("the encoders are the checkpoint's: their own weights flags are not read")
    for name in options.ARCHITECTURE:
        setattr(args, name, held[name])
    for note in notes:
        logger.info("%s", note)
    return network, tokenizer


def _is_onnx(path: str | None) -> bool:
    return path is not None and path.endswith(".onnx")


def _check_onnx(args: argparse.Namespace, path: str) -> None:
    """An ONNX file can be evaluated, on the CPU, as it is."""
    if args.resume is not None or not (args.eval or args.test):
        raise InputError(f"{path}: an ONNX file learns nothing more; pass the checkpoint that it was made from")
    if args.amp not in ("auto", "none") or args.compile or choose(args.device, float64=True).type != "cpu":
        raise InputError(
            f"{path}: an ONNX file is computed on the CPU as it is; pass --device cpu --amp none --no-compile"
        )


def _from_onnx(args: argparse.Namespace) -> tuple[OnnxNetwork, CaptionTokenizer]:
    network, tokenizer = onnx_file.read(args.finetune)
    if args.input_size not in (None, network.img_size):
        raise InputError(f"--input_size {args.input_size}: {args.finetune} has {network.img_size} pixels for good")
    return network, tokenizer


def _from_release(args: argparse.Namespace, start: dict[str, Any]) -> tuple[Network, CaptionTokenizer]:
    """--model may name the paper's architecture, as the authors' own command does: the file decides."""
    logger.info("%s: the authors' released architecture, %s", args.finetune, RELEASE_MODEL)
    args.model = RELEASE_MODEL
    for name in options.ARCHITECTURE:
        if getattr(args, name) is None:
            setattr(args, name, name != "counter_color")
    network, tokenizer, notes = restore(args.finetune, start, **_overrides(args))
    for note in notes:
        logger.info("%s", note)
    return network, tokenizer


def _overrides(args: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(args, name) for name in options.ARCHITECTURE if name != "model"} | _numbers(args)


def _numbers(args: argparse.Namespace) -> dict[str, Any]:
    size = {} if args.input_size is None else {"img_size": args.input_size}
    return {"drop_path": args.drop_path} | size


def _from_encoders(args: argparse.Namespace) -> tuple[Network, CaptionTokenizer]:
    if args.model == RELEASE_MODEL:
        raise InputError(f"--model {RELEASE_MODEL}: is for the authors' checkpoint; pass that file by --finetune")
    image_source = _encoder_source("image_encoder_weights", args.image_encoder_weights, "vit_base_patch16_224.mae")
    text_source = _encoder_source("text_encoder_weights", args.text_encoder_weights, "bert-base-uncased")
    overrides = _overrides(args)
    if text_source == pretrained.RANDOM:
        tokenizer = CaptionTokenizer.from_vocabulary()
    else:
        overrides |= {"text_config": pretrained.text_config(text_source)}
        tokenizer = CaptionTokenizer.from_pretrained(text_source)
    network = create_model(args.model, **overrides)
    logger.info("%s", pretrained.load_image_encoder(network.image_encoder.vit, image_source))
    logger.info("%s", pretrained.load_text_encoder(network.text_encoder.encoder, text_source))
    loaded = ("image_encoder.vit.", "text_encoder.encoder.")
    new = Counter(name.split(".")[0] for name in network.state_dict() if not name.startswith(loaded))
    logger.info("new, from random weights: %s", ", ".join(f"{part} ({count} tensors)" for part, count in new.items()))
    return network, tokenizer


def _encoder_source(flag: str, source: str | None, paper: str) -> str:
    if source is None:
        raise InputError(
            f"--{flag} is not given, nor a checkpoint: pass a local file or folder, a hub name (the paper's: {paper}),"
            f" or '{pretrained.RANDOM}' to start from random weights"
        )
    return source
