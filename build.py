"""From the resolved flags to the parts of a run. Nothing else reads the flags but `run_colorization.py`."""

import argparse
import logging
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from timm.optim import create_optimizer_v2, get_optimizer_info
from timm.scheduler import CosineLRScheduler
from timm.utils import ModelEmaV3
from torch import nn
from torch.amp import GradScaler
from torch.utils.data import DataLoader

from augment import Luminance, LuminanceAugmentation
from datasets import Augmentation, CaptionedImages, SceneOptions, Scenes, build_dataset, build_loader
from engine import TrainState
from losses import ColorizationLoss
from models import create_model, text_config_from_json
from models.lcoins import LCoIns
from models.text_encoder import CaptionTokenizer
from utils import checkpoint, distributed, pretrained
from utils.errors import InputError
from utils.metrics import LPIPS, BackboneMissing, is_cached

logger = logging.getLogger(__name__)
# Codes and the last layer, which optimizers of matrices (muon) leave to AdamW; for others it changes nothing.
NO_MATRICES = ("text_encoder.encoder.embeddings.*", "upsampler.last.2.*")
ABLATIONS = ("group_tokens", "grouping_attention", "counter_color")  # of Table 1, those that change the network


def prepare_output(args: argparse.Namespace) -> Path:
    """The output folder, found writable; a training leaves its resolved flags there as args.yaml."""
    folder = Path(args.output_dir)

    def make() -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / ".writable"
            probe.touch()
            probe.unlink()
            if not (args.eval or args.test):
                (folder / "args.yaml").write_text(yaml.safe_dump(_plain(args)))
        except OSError as error:
            raise InputError(f"--output_dir {folder}: cannot be written ({error}); pass another folder") from error

    distributed.on_main(make)
    return folder


def read_start(args: argparse.Namespace, output_dir: Path) -> dict[str, Any] | None:
    """The checkpoint the run starts from, if any. --auto_resume becomes --resume where there is something to resume."""
    last = output_dir / "checkpoint-last.pth"
    if args.auto_resume and args.resume is None and last.is_file():
        args.resume = str(last)
    path = args.resume or args.finetune
    if path is None and (args.eval or args.test):
        raise InputError("--eval and --test need a checkpoint: pass --finetune FILE")
    start = None if path is None else checkpoint.read(path)
    if args.resume is not None and "optimizer" not in start:
        raise InputError(f"--resume {args.resume}: holds weights alone; start from them with --finetune")
    return start


def build_network(args: argparse.Namespace, start: dict[str, Any] | None) -> tuple[LCoIns, CaptionTokenizer]:
    """The network and its tokenizer: from the checkpoint, or with encoders from elsewhere as the flags say.

    Every rank draws the same weights, then noise of its own.
    """
    _seed(args.seed)
    overrides: dict[str, Any] = {name: getattr(args, name) for name in ABLATIONS} | {"drop_path": args.drop_path}
    if args.input_size is not None:
        overrides["img_size"] = args.input_size
    if start is None:
        network, tokenizer = _from_encoders(args, overrides)
    else:
        network, tokenizer = _from_checkpoint(args, start, overrides)
    network.set_grad_checkpointing(args.grad_checkpointing)
    if args.compile:
        network.compile()
    _seed(args.seed + distributed.rank())
    return network, tokenizer


def _from_checkpoint(
    args: argparse.Namespace, start: dict[str, Any], overrides: dict[str, Any]
) -> tuple[LCoIns, CaptionTokenizer]:
    path, held = args.resume or args.finetune, start["architecture"]
    checkpoint.check_architecture(path, start, {name: getattr(args, name) for name in ("model", *ABLATIONS)})
    if args.image_encoder_weights or args.text_encoder_weights:
        logger.info("the encoders are the checkpoint's: their own weights flags are not read")
    overrides = {"img_size": held["img_size"]} | overrides
    network = create_model(args.model, text_config=text_config_from_json(held["text_config"]), **overrides)
    for note in checkpoint.load_network(network, path, start, averaged=args.resume is None or args.eval or args.test):
        logger.info("%s", note)
    return network, CaptionTokenizer.from_json(start["tokenizer"])


def _from_encoders(args: argparse.Namespace, overrides: dict[str, Any]) -> tuple[LCoIns, CaptionTokenizer]:
    image_source = _encoder_source("image_encoder_weights", args.image_encoder_weights, "vit_base_patch16_224.mae")
    text_source = _encoder_source("text_encoder_weights", args.text_encoder_weights, "bert-base-uncased")
    if text_source == pretrained.RANDOM:
        tokenizer = CaptionTokenizer.from_vocabulary()
    else:
        overrides = overrides | {"text_config": pretrained.text_config(text_source)}
        tokenizer = CaptionTokenizer.from_pretrained(text_source)
    network = create_model(args.model, **overrides)
    logger.info("%s", pretrained.load_image_encoder(network.image_encoder.vit, image_source))
    logger.info("%s", pretrained.load_text_encoder(network.text_encoder.encoder, text_source))
    return network, tokenizer


def _encoder_source(flag: str, source: str | None, paper: str) -> str:
    if source is None:
        raise InputError(
            f"--{flag} is not given, nor a checkpoint: pass a local file or folder, a hub name (the paper's: {paper}),"
            f" or '{pretrained.RANDOM}' to start from random weights"
        )
    return source


def build_train_loader(
    args: argparse.Namespace, network: LCoIns, tokenizer: CaptionTokenizer, device: torch.device
) -> DataLoader:
    augmentation = Augmentation(tuple(args.crop_scale), args.flip, args.counter_color)
    dataset = build_dataset(
        args.data_set, args.data_path, "train", _side(network), augmentation, args.seed, _scene_options(args)
    )
    broken = distributed.on_main(dataset.unreadable)
    if len(broken) > args.skip_unreadable:
        raise InputError(
            f"{dataset.folder}: {len(broken)} unreadable images, --skip_unreadable allows {args.skip_unreadable}:"
            f" {', '.join(broken[:20])}; restore them or allow more"
        )
    if broken:
        logger.warning("left out as unreadable (%d): %s", len(broken), ", ".join(broken))
        dataset.leave_out(broken)
    loader = build_loader(
        dataset,
        tokenizer,
        args.batch_size,
        args.num_workers,
        train=True,
        counter=args.counter_color,
        seed=args.seed,
        pin_memory=device.type == "cuda",
    )
    if len(loader) < args.update_freq:
        raise InputError(
            f"--update_freq {args.update_freq}: an epoch has {len(loader)} batches, so no update; pass fewer"
        )
    return loader


def build_eval_loader(args: argparse.Namespace, network: LCoIns, tokenizer: CaptionTokenizer, split: str) -> DataLoader:
    """Every pair of the split, none left out: a broken image is an error before anything is computed."""
    dataset = _eval_dataset(args, network, split)
    broken = distributed.on_main(dataset.unreadable)
    if broken:
        names = ", ".join(broken[:20])
        raise InputError(f"{dataset.folder}: {len(broken)} unreadable images: {names}; restore them or their pairs")
    return build_loader(dataset, tokenizer, args.batch_size, args.num_workers, train=False, shared=args.dist_eval)


def build_scenes(args: argparse.Namespace, network: LCoIns, split: str) -> Scenes | None:
    """The split's scenes with their masks; None where the data set is another."""
    return _eval_dataset(args, network, split) if args.data_set == "scenes" else None


def _eval_dataset(args: argparse.Namespace, network: LCoIns, split: str) -> CaptionedImages | Scenes:
    return build_dataset(args.data_set, args.data_path, split, _side(network), scenes=_scene_options(args))


def _scene_options(args: argparse.Namespace) -> SceneOptions:
    return SceneOptions(
        args.scenes,
        args.eval_scenes,
        tuple(args.scene_instances),
        args.scene_colors,
        args.scene_shapes,
        args.scene_curriculum,
    )


def build_state(args: argparse.Namespace, network: LCoIns, updates: int, device: torch.device) -> TrainState:
    """updates: of the weights, per epoch."""
    try:
        kind = get_optimizer_info(args.opt)
    except ValueError as error:
        raise InputError(f"--opt {args.opt}: unknown; pass a name of timm.optim, such as adamw") from error
    options = {"betas": tuple(args.opt_betas)} if kind.has_betas else {}
    if kind.opt_class is torch.optim.AdamW:
        options["fused"] = True  # one kernel for all tensors
    optimizer = create_optimizer_v2(
        network,
        opt=args.opt,
        lr=args.lr,
        weight_decay=args.weight_decay,
        layer_decay=args.layer_decay,
        fallback_list=NO_MATRICES,
        fallback_no_weight_decay=True,
        **options,
    )
    schedule = CosineLRScheduler(
        optimizer,
        t_initial=max(1, args.epochs * updates - round(args.warmup_epochs * updates)),
        lr_min=args.min_lr,
        warmup_t=round(args.warmup_epochs * updates),
        warmup_prefix=True,
        t_in_epochs=False,
    )
    return TrainState(
        network=network,
        model=distributed.wrap(network, device),
        ema=ModelEmaV3(network, decay=args.model_ema_decay, use_warmup=True) if args.model_ema else None,
        optimizer=optimizer,
        schedule=schedule,
        scaler=GradScaler(device.type, enabled=args.amp == "fp16"),
    )


def build_augmentation(args: argparse.Namespace) -> nn.Module:
    return LuminanceAugmentation() if args.luminance_augmentation else Luminance()


def build_criterion(args: argparse.Namespace) -> ColorizationLoss:
    return ColorizationLoss(args.alpha, args.beta)


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


def checkpoint_content(args: argparse.Namespace, state: TrainState, tokenizer: CaptionTokenizer) -> dict[str, Any]:
    """What `checkpoint.save` writes; every rank takes part, for the random states."""
    architecture = {name: getattr(args, name) for name in ("model", *ABLATIONS)} | {
        "img_size": _side(state.network),
        "text_config": state.network.text_encoder.encoder.config.to_json_string(use_diff=False),
    }
    return {
        "format": checkpoint.FORMAT,
        "architecture": architecture,
        "tokenizer": tokenizer.to_json(),
        "model": state.network.state_dict(),
        "ema": None if state.ema is None else state.ema.module.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "scaler": state.scaler.state_dict(),
        "step": state.step,
        "epoch": state.epoch,
        "best": state.best,
        "rng": distributed.gather_objects(checkpoint.rng_states()),
        "run": _plain(args),
    }


def resume(state: TrainState, start: dict[str, Any], args: argparse.Namespace) -> None:
    """Everything but the network's tensors, which `build_network` filled."""
    state.optimizer.load_state_dict(start["optimizer"])
    state.scaler.load_state_dict(start["scaler"])
    state.step, state.epoch, state.best = start["step"], start["epoch"], start["best"]
    if state.ema is not None:
        if start["ema"] is None:
            raise InputError(f"{args.resume}: holds no moving average; resume it with --no-model_ema")
        checkpoint.load_fully(state.ema.module, start["ema"], args.resume)
    if len(start["rng"]) == distributed.world_size():
        checkpoint.set_rng_states(start["rng"][distributed.rank()])
    else:
        logger.warning(
            "%s was written by %d process(es), not %d: order and noise are drawn anew",
            args.resume,
            len(start["rng"]),
            distributed.world_size(),
        )
    logger.info("resumed %s: %d of %d epochs, %d steps done", args.resume, state.epoch, args.epochs, state.step)


def _side(network: LCoIns) -> int:
    return network.image_encoder.vit.patch_embed.img_size[0]


def _seed(seed: int) -> None:
    for seed_with in (random.seed, np.random.seed, torch.manual_seed):
        seed_with(seed)


def _plain(args: argparse.Namespace) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in vars(args).items()}
