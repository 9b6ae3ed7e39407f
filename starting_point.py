"""What a run starts from: a checkpoint, the authors' released file, or encoders from elsewhere."""

import argparse
import logging
import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models import RELEASE_MODEL, create_model, text_config_from_json
from models.lcoins import LCoIns
from models.release import ReleasedLCoIns, without_marks
from models.release_file import from_release, is_release
from models.text_encoder import BERT_VOCABULARY, CaptionTokenizer
from utils import checkpoint, distributed, options, pretrained
from utils.errors import InputError

logger = logging.getLogger(__name__)
Network = LCoIns | ReleasedLCoIns


def read_start(args: argparse.Namespace, output_dir: Path) -> dict[str, Any] | None:
    """The checkpoint the run starts from, if any. --auto_resume becomes --resume where there is something to resume."""
    last = output_dir / "checkpoint-last.pth"
    if args.auto_resume and args.resume is None and last.is_file():
        args.resume = str(last)
    path = args.resume or args.finetune
    if path is None and (args.eval or args.test):
        raise InputError("--eval and --test need a checkpoint: pass --finetune FILE")
    start = None if path is None else checkpoint.load(path)
    if start is not None and not is_release(start):
        checkpoint.check_format(path, start)
    if args.resume is not None and (is_release(start) or "optimizer" not in start):
        raise InputError(f"--resume {args.resume}: holds no run of ours, but weights; start from them with --finetune")
    return start


def build_network(args: argparse.Namespace, start: dict[str, Any] | None) -> tuple[Network, CaptionTokenizer]:
    """The network and its tokenizer: from the checkpoint, or with encoders from elsewhere as the flags say.

    Fills the flags of the architecture that were not given. Every rank draws the same weights, then noise of its own.
    """
    _seed(args.seed)
    if start is None:
        network, tokenizer = _from_encoders(args)
    elif is_release(start):
        network, tokenizer = _from_release(args, start)
    else:
        network, tokenizer = _from_checkpoint(args, start)
    if args.model == RELEASE_MODEL and args.counter_color and not (args.eval or args.test):
        raise InputError(f"--model {RELEASE_MODEL}: has no features for Eq. 15; train it with --no-counter_color")
    network.set_grad_checkpointing(args.grad_checkpointing)
    if args.compile:
        network.compile()
    _seed(args.seed + distributed.rank())
    return network, tokenizer


def _from_checkpoint(args: argparse.Namespace, start: dict[str, Any]) -> tuple[Network, CaptionTokenizer]:
    path, held = args.resume or args.finetune, start["architecture"]
    missing = [name for name in (*options.ARCHITECTURE, "img_size", "text_config") if name not in held]
    if missing:
        raise InputError(f"{path}: its architecture lacks {missing[0]}; restore the file")
    given = {name: getattr(args, name) for name in options.ARCHITECTURE if getattr(args, name) is not None}
    checkpoint.check_architecture(path, start, given)
    for name in options.ARCHITECTURE:
        setattr(args, name, held[name])
    if args.image_encoder_weights or args.text_encoder_weights:
        logger.info("the encoders are the checkpoint's: their own weights flags are not read")
    try:
        overrides = {"img_size": held["img_size"], "text_config": text_config_from_json(held["text_config"])}
        network = create_model(args.model, **overrides | _overrides(args))
        tokenizer = CaptionTokenizer.from_json(start["tokenizer"])
    except InputError:
        raise
    except Exception as error:  # whatever timm, transformers and tokenizers make of damaged numbers
        raise InputError(f"{path}: its network or tokenizer cannot be built ({error}); restore the file") from error
    for note in checkpoint.load_network(network, path, start, averaged=args.resume is None or args.eval or args.test):
        logger.info("%s", note)
    return network, tokenizer


def _from_release(args: argparse.Namespace, start: dict[str, Any]) -> tuple[Network, CaptionTokenizer]:
    """--model may name the paper's architecture, as the authors' own command does: the file decides."""
    logger.info("%s: the authors' released architecture, %s", args.finetune, RELEASE_MODEL)
    args.model = RELEASE_MODEL
    for name in options.ARCHITECTURE:
        if getattr(args, name) is None:
            setattr(args, name, name != "counter_color")
    network = create_model(RELEASE_MODEL, **_overrides(args))
    weights, notes = from_release(start, network.img_size)
    checkpoint.load_fully(network, weights, args.finetune)
    for note in (f"{len(weights)} tensors from {args.finetune}", *notes):
        logger.info("%s", note)
    return network, without_marks(CaptionTokenizer.from_vocabulary(BERT_VOCABULARY))


def _overrides(args: argparse.Namespace) -> dict[str, Any]:
    flags = {name: getattr(args, name) for name in options.ARCHITECTURE if name != "model"}
    flags |= {"drop_path": args.drop_path}
    return flags if args.input_size is None else flags | {"img_size": args.input_size}


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


def _seed(seed: int) -> None:
    for seed_with in (random.seed, np.random.seed, torch.manual_seed):
        seed_with(seed)
