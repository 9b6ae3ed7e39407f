"""From the resolved flags to the parts of a run. Nothing else reads the flags but `run_colorization.py`."""

import argparse
import logging
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml
from timm.optim import create_optimizer_v2, get_optimizer_info
from timm.scheduler import CosineLRScheduler
from timm.utils import ModelEmaV3
from torch.amp import GradScaler
from torch.utils.data import DataLoader

from augment import InputAndTarget, Luminance, LuminanceAugmentation
from datasets import Augmentation, CaptionedImages, SceneOptions, Scenes, build_dataset, build_loader
from engine import TrainState
from losses import ColorizationLoss
from models import text_config_to_json
from models.lcoins.network import LCoIns
from models.text import CaptionTokenizer
from utils import checkpoint, devices, distributed, files, options
from utils.errors import InputError
from utils.log import MetricLog

logger = logging.getLogger(__name__)
# Codes and the last layer, which optimizers of matrices (muon) leave to AdamW; for others it changes nothing.
NO_MATRICES = (
    *("text_encoder.encoder.embeddings.*", "upsampler.last.2.*"),
    *("text_encoder.bert_model.embeddings.*", "decoder.conv_upsample.c4.0.*"),
)
ENCODERS = ("image_encoder.vit.*", "text_encoder.encoder.*")
# Optimizers that change a tensor by its own gradient alone, so that processes can share the work; lamb is none of them.
SHARDABLE = ("adam", "adamw", "lion", "momentum", "muon", "nmuon", "sgd")
# Flags that may change when a run is resumed without making another run of it.
SAME_RUN = (
    *("config", "resume", "auto_resume", "finetune", "output_dir", "log_dir", "device", "num_workers"),
    *("print_freq", "save_every", "keep_checkpoints", "dist_eval", "eval_scenes", "compile", "grad_checkpointing"),
    *("image_encoder_weights", "text_encoder_weights", "lpips_net", "lpips_weights", "eval", "test"),
    *("fid_weights", "protocol", "obedience", "shard_optimizer", "input_size"),
)


# Flags that decide what the optimizer keeps of each tensor, so that a run cannot be resumed with others.
KEPT = ("opt", "freeze_encoders")


def prepare_output(args: argparse.Namespace) -> Path:
    """The output folder, found writable."""
    folder = Path(args.output_dir)

    def make() -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / ".writable"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise InputError(f"--output_dir {folder}: cannot be written ({error}); pass another folder") from error

    distributed.on_main(make)
    return folder


def save_flags(args: argparse.Namespace, folder: Path) -> None:
    """args.yaml: the flags of a run that is about to train, resolved; those without a value are left out."""
    given = {name: value for name, value in _plain(args).items() if value is not None}
    distributed.on_main(lambda: files.write_text(folder / "args.yaml", yaml.safe_dump(given)))


def build_train_loader(
    args: argparse.Namespace, network: LCoIns, tokenizer: CaptionTokenizer, device: torch.device
) -> DataLoader:
    augmentation = Augmentation(
        tuple(args.crop_scale), args.flip, args.counter_color, args.caption_dropout, args.recolor
    )
    dataset = build_dataset(
        args.data_set,
        args.data_path,
        "train",
        network.img_size,
        augmentation,
        args.seed,
        _scene_options(args),
        args.correspondence,
        args.uncaptioned,
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
        shuffle_window=args.shuffle_window,
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
    return build_dataset(args.data_set, args.data_path, split, network.img_size, scenes=_scene_options(args))


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
    if args.shard_optimizer and args.opt not in SHARDABLE:
        raise InputError(f"--shard_optimizer: not with --opt {args.opt}; pass one of {', '.join(SHARDABLE)}")
    devices.avoid_slow_muon(device)
    extra = {"betas": tuple(args.opt_betas)} if kind.has_betas else {}
    if kind.opt_class is torch.optim.AdamW:
        extra["fused"] = True  # one kernel for all tensors
    create = partial(create_optimizer_v2, opt=args.opt, lr=args.lr, **extra)
    optimizer = create(
        network,
        weight_decay=args.weight_decay,
        layer_decay=args.layer_decay,
        fallback_list=NO_MATRICES + (() if args.muon_encoders else ENCODERS),
        fallback_no_weight_decay=True,
    )
    if args.shard_optimizer:
        optimizer = distributed.shard(optimizer, create)
    warmup = round(args.warmup_epochs * updates)
    schedule = CosineLRScheduler(
        optimizer,
        t_initial=max(1, args.epochs * updates - warmup),
        lr_min=args.min_lr,
        warmup_t=warmup,
        warmup_lr_init=args.lr / (warmup + 1),  # update k of the warm-up has k / (warmup + 1) of --lr: none has 0
        warmup_prefix=True,
        t_in_epochs=False,
    )
    return TrainState(
        network=network,
        model=distributed.wrap(network, device, args.bf16_gradients),
        ema=ModelEmaV3(network, decay=args.model_ema_decay, use_warmup=True) if args.model_ema else None,
        optimizer=optimizer,
        schedule=schedule,
        scaler=GradScaler(device.type, enabled=args.amp == "fp16"),
    )


def build_prepare(args: argparse.Namespace) -> InputAndTarget:
    prepare = InputAndTarget(LuminanceAugmentation() if args.luminance_augmentation else Luminance())
    if args.compile:
        prepare.compile()
    return prepare


def build_criterion(args: argparse.Namespace) -> ColorizationLoss:
    known = args.recolor > 0 and args.counter_color  # what counter captions ask for
    if args.recolor > 0 and args.word_weight > 0 and not args.counter_color:
        logger.warning("--recolor without counter captions (w/o CL): L_word compares the two, and is left out")
    return ColorizationLoss(args.alpha, args.beta, args.word_weight if known else 0.0)


def checkpoint_content(
    args: argparse.Namespace, state: TrainState, tokenizer: CaptionTokenizer, log: MetricLog
) -> dict[str, Any]:
    """What `checkpoint.save` writes; every rank takes part, for the random states and the means of the epoch."""
    architecture = {name: getattr(args, name) for name in options.ARCHITECTURE} | {
        "img_size": state.network.img_size,
        "text_config": text_config_to_json(state.network.text_config),
    }
    return {
        "format": checkpoint.FORMAT,
        "architecture": architecture,
        "tokenizer": tokenizer.to_json(),
        "model": state.network.state_dict(),
        "ema": None if state.ema is None else state.ema.module.state_dict(),
        "optimizer": distributed.optimizer_state(state.optimizer),
        "scaler": state.scaler.state_dict(),
        "step": state.step,
        "epoch": state.epoch,
        "seen": state.seen,
        "best": state.best,
        "rng": distributed.gather_objects(checkpoint.rng_states()),
        "log": distributed.gather_objects(log.state()),
        "run": _plain(args),
    }


def resume(state: TrainState, start: dict[str, Any], args: argparse.Namespace, log: MetricLog) -> None:
    """Everything but the network's tensors, which `build_network` filled. Says what the resumed run cannot keep.

    The flags given now take effect, those of rates and decay included; what cannot, raises InputError.
    """
    if state.ema is not None and start["ema"] is None:
        raise InputError(f"{args.resume}: holds no moving average; resume it with --no-model_ema")
    _check_kept(args, start, state.network.img_size)
    before, now = len(start["rng"]), distributed.world_size()
    try:
        distributed.load_optimizer_state(state.optimizer, start["optimizer"])
        if start["scaler"]:  # else it was no run in fp16, and a new scale is looked for
            state.scaler.load_state_dict(start["scaler"])
        state.step, state.epoch, state.seen, state.best = (start[name] for name in ("step", "epoch", "seen", "best"))
        if before == now:
            checkpoint.set_rng_states(start["rng"][distributed.rank()])
        log.restore(start["log"])
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(
            f"{args.resume}: the state of its run does not fit ({error}); resume it with the flags of its args.yaml, or"
            " start from its weights with --finetune"
        ) from error
    if state.ema is not None:
        checkpoint.load_fully(state.ema.module, start["ema"], args.resume)
    log.forget_after(state.epoch)
    if before != now:
        logger.warning(
            "%s was written by %d process(es), not %d: no sample of its epoch is repeated or left out, but noise is"
            " drawn anew, and a batch of all processes holds %d samples",
            args.resume,
            before,
            now,
            now * args.batch_size,
        )
    run, own = start["run"], _plain(args)
    changed = [
        f"--{name} {own[name]} (was {run.get(name)})"
        for name in own
        if name not in SAME_RUN and run.get(name) != own[name]
    ]
    if changed:
        logger.warning("resumed as another run: %s", ", ".join(changed))
    logger.info("resumed %s: %d of %d epochs, %d steps done", args.resume, state.epoch, args.epochs, state.step)


def _check_kept(args: argparse.Namespace, start: dict[str, Any], img_size: int) -> None:
    """InputError for flags that the optimizer's state of a checkpoint would not fit."""
    kept = KEPT + (("muon_encoders",) if "muon" in args.opt else ())
    run = {name: start["run"].get(name, getattr(args, name)) for name in kept}
    changed = [f"--{name} {getattr(args, name)} (was {run[name]})" for name in kept if run[name] != getattr(args, name)]
    if img_size != start["architecture"]["img_size"]:
        changed.append(f"--input_size {img_size} (was {start['architecture']['img_size']})")
    if changed:
        raise InputError(
            f"{args.resume}: its optimizer does not fit {', '.join(changed)}; resume it with the flags of its"
            " args.yaml, or start from its weights with --finetune"
        )


def _plain(args: argparse.Namespace) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in vars(args).items()}
