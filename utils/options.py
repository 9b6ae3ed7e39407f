"""The command line: defaults < --config YAML < flags. An unknown key or flag is an error."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from utils.devices import AMP, AMP_HELP, DEVICE_HELP
from utils.errors import InputError
from utils.text_files import read_yaml

DEFAULT_MODEL = "colorization_vit_base_patch16_224_group_post"
PROTOCOLS = ("paper", "rounded", "full")  # of evaluation/protocol.py
ARCHITECTURE = {"model": DEFAULT_MODEL, "group_tokens": True, "grouping_attention": True, "counter_color": True}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:
        raise InputError(f"{message}; run_colorization.py --help lists the flags")


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """The resolved run. Raises InputError for an unknown flag or YAML key, or a value of the wrong form."""
    argv = sys.argv[1:] if argv is None else argv
    parser = build_parser()
    early, _ = _config_parser().parse_known_args(argv)
    config = [] if early.config is None else _config_argv(parser, early.config)
    args = parser.parse_args(config + argv)
    if args.finetune is None and args.resume is None:  # else the checkpoint decides on what is not given
        for name, default in ARCHITECTURE.items():
            if getattr(args, name) is None:
                setattr(args, name, default)
    _check(args)
    return args


def build_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="run_colorization.py",
        description="Train, evaluate and test L-CoIns: language-based colorization with instance awareness.",
        parents=[_config_parser()],
        allow_abbrev=False,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    switch = argparse.BooleanOptionalAction

    add = parser.add_argument_group("model").add_argument
    add("--model", default=None, help=f"architecture, a name of models/; the checkpoint's, or {DEFAULT_MODEL}")
    add("--input_size", type=int, default=None, help="image side in pixels; the model's own if not given")
    add("--drop_path", type=float, default=0.1, help="stochastic depth of the last blocks, a probability")
    add("--group_tokens", action=switch, default=None, help="--no-group_tokens: w/o GE of Table 1")
    add(
        "--grouping_attention",
        action=switch,
        default=None,
        help="--no-grouping_attention: w/o GA of Table 1",
    )
    add("--luminance_augmentation", action=switch, default=True, help="--no-luminance_augmentation: w/o LA of Table 1")
    add("--counter_color", action=switch, default=None, help="--no-counter_color: w/o CL of Table 1")
    add(
        "--image_encoder_weights",
        default=None,
        help="ViT to start from: a .pth or .safetensors file, a timm name, or 'random'",
    )
    add(
        "--text_encoder_weights",
        default=None,
        help="BERT-kind encoder to start from: a folder, a hub name, or 'random'",
    )
    add("--freeze_encoders", action=switch, default=False, help="neither encoder learns: a step costs half as much")
    add("--grad_checkpointing", action=switch, default=False, help="less memory for more time")

    add = parser.add_argument_group("data").add_argument
    add("--data_set", default="captioned_images", help="kind of data, a name of datasets/")
    add("--data_path", default=None, help="folder with cap-img-pairs_{train,val,test}.json and the images or shards")
    add(
        "--correspondence",
        default=None,
        help="object-colour pairs of the training captions (scripts/correspondence.py writes such a JSON), which every"
        " batch then holds; for systems that learn from them, L-CoIns does not",
    )
    add("--scenes", type=int, default=20000, help="of --data_set scenes: scenes in an epoch of training, all new")
    add("--eval_scenes", type=int, default=500, help="of --data_set scenes: scenes in each split of an evaluation")
    add("--scene_instances", type=int, nargs=2, default=(2, 5), help="fewest and most objects of a scene")
    add("--scene_colors", type=int, default=10, help="so many colours, from the palette's first")
    add("--scene_shapes", type=int, default=15, help="so many kinds of objects, from the first")
    add("--scene_curriculum", type=int, default=0, help="epochs that begin with the fewest objects, colours and kinds")
    add("--crop_scale", type=float, nargs=2, default=(0.5, 1.0), help="share of the area a random crop keeps, from to")
    add("--flip", type=float, default=0.5, help="probability of a horizontal flip where the caption can be mirrored")
    workers = min(4, os.cpu_count() or 1)
    add("--uncaptioned", default=None, help="folder of photographs that join the training with empty captions")
    add("--shuffle_window", type=int, default=0, help="pairs that are shuffled at a time, for a far disk; 0: all")
    add("--caption_dropout", type=float, default=0.0, help="probability that training shows an empty caption instead")
    add(
        "--recolor",
        type=float,
        default=0.0,
        help="probability that training shows a named colour as two others, in picture and captions alike",
    )
    add("--num_workers", type=int, default=workers, help="loader processes for each training process")
    add("--skip_unreadable", type=int, default=0, help="leave out at most so many broken training images, by name")

    add = parser.add_argument_group("optimisation").add_argument
    add("--batch_size", type=int, default=8, help="pairs per process and batch")
    add("--update_freq", type=int, default=1, help="batches per update of the weights")
    add("--epochs", type=int, default=80, help="passes over the training pairs")
    add("--lr", type=float, default=1e-5, help="highest learning rate")
    add("--min_lr", type=float, default=1e-6, help="learning rate at the end of the cosine")
    add("--warmup_epochs", type=float, default=5, help="epochs of linear warm-up, the first update having its share")
    add("--opt", default="adamw", help="optimizer, a name of timm.optim")
    add(
        "--muon_encoders",
        action=switch,
        default=True,
        help="with --opt muon or nmuon: the encoders too; --no-muon_encoders leaves them to AdamW, which is cheaper for"
        " large ones and gentler on pretrained ones",
    )
    add("--opt_betas", type=float, nargs=2, default=(0.99, 0.999), help="beta1 beta2 of AdamW")
    add("--weight_decay", type=float, default=0.05, help="of matrices; vectors and codes have none")
    add("--layer_decay", type=float, default=0.75, help="factor of the rate per layer down either encoder; 1: none")
    add("--clip_grad", type=float, default=None, help="largest norm of the gradient; none if not given")
    add("--model_ema", action=switch, default=False, help="keep and evaluate a moving average of the weights")
    add("--model_ema_decay", type=float, default=0.9999, help="its decay per step, reached gradually")
    add(
        "--amp",
        choices=AMP,
        default="auto",
        help=f"{AMP_HELP}; auto in --eval and --test: none, the same figures anywhere",
    )
    add("--compile", action=switch, default=False, help="torch.compile the network")
    add("--bf16_gradients", action=switch, default=False, help="several processes exchange gradients in bf16")
    add("--shard_optimizer", action=switch, default=False, help="several processes share the optimizer's state")
    add("--alpha", type=float, default=1.0, help="weight of the chroma loss, Eq. 16")
    add("--beta", type=float, default=-1e-4, help="weight of the counter-colour loss, Eq. 16; negative")
    add("--word_weight", type=float, default=4.0, help="with --recolor: weight of what the other colour word changes")

    add = parser.add_argument_group("evaluation").add_argument
    add("--eval", action=switch, default=False, help="evaluate --finetune or --resume on val, without training")
    add(
        "--test",
        action=switch,
        default=False,
        help="evaluate it on the test split and write pictures, tables and a page",
    )
    add("--dist_eval", action=switch, default=True, help="--no-dist_eval: one process evaluates alone; same figures")
    nets = ("vgg", "alex", "squeeze")
    add(
        "--lpips_net",
        choices=nets,
        default=None,
        help="LPIPS backbone, fetched where it is not cached; the paper's: vgg",
    )
    add(
        "--lpips_weights", default=None, help="its weights, a file with torchvision's names (of vgg if no net is named)"
    )
    add(
        "--obedience",
        action=switch,
        default=False,
        help="with --eval or --test: also whether words are obeyed, by eleven more colourings a pair",
    )
    add("--fid_weights", default=None, help="Inception weights for FID, see evaluation/fid.py; no FID if not given")
    add(
        "--protocol",
        choices=PROTOCOLS,
        default="paper",
        help="of --eval and --test: the paper's, the same rounded, or at the photographs' own sizes",
    )

    add = parser.add_argument_group("run").add_argument
    add("--output_dir", default="output", help="folder for checkpoints, logs and results")
    add("--log_dir", default=None, help="folder for TensorBoard; the output folder if not given")
    add("--eval_every", type=int, default=1, help="epochs from one evaluation on val, and its checkpoints, to the next")
    add("--finetune", default=None, help="checkpoint whose weights to start from, or to evaluate")
    add("--resume", default=None, help="checkpoint of an interrupted run to go on with")
    add("--auto_resume", action=switch, default=False, help="resume checkpoint-last.pth of the output folder, if any")
    add(
        "--save_every",
        type=int,
        default=None,
        help="updates between two checkpoints within an epoch; none if not given",
    )
    add("--keep_checkpoints", type=int, default=0, help="keep checkpoint-<epoch>.pth of so many last epochs as well")
    add("--seed", type=int, default=0, help="of weights, order and every draw")
    add("--device", default="auto", help=DEVICE_HELP)
    add("--print_freq", type=int, default=20, help="updates between two printed losses")
    return parser


def _config_parser() -> argparse.ArgumentParser:
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config", default=None, help="YAML with any of these flags; the command line wins over it")
    return parser


def _config_argv(parser: argparse.ArgumentParser, path: str) -> list[str]:
    """The YAML as command line words, so that argparse checks it like any flag."""
    try:
        content = read_yaml(Path(path), "pass a YAML file of 'flag: value' lines")
    except InputError as error:
        raise InputError(f"--config {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"--config {path}: holds no 'flag: value' lines")
    actions = {action.dest: action for action in parser._actions if action.dest not in ("help", "config")}
    words: list[str] = []
    for key, value in content.items():
        if key not in actions:
            raise InputError(f"--config {path}: unknown key {key!r}; its keys are the flags of run_colorization.py")
        words += _config_words(path, key, value, takes_value=actions[key].nargs != 0)
    return words


def _config_words(path: str, key: str, value: Any, takes_value: bool) -> list[str]:
    if takes_value == isinstance(value, bool) or isinstance(value, dict):
        wanted = "a value" if takes_value else "true or false"
        raise InputError(f"--config {path}: {key} is {value!r}; give it {wanted}")
    if not takes_value:
        return [f"--{key}" if value else f"--no-{key}"]
    if value is None:
        return []
    return [f"--{key}", *map(str, value)] if isinstance(value, list) else [f"--{key}={value}"]


def _check(args: argparse.Namespace) -> None:
    """Values no run can use, before anything is built."""
    for name in ("batch_size", "update_freq", "epochs", "print_freq", "eval_every", "scenes", "eval_scenes"):
        if getattr(args, name) < 1:
            raise InputError(f"--{name} {getattr(args, name)}: pass at least 1")
    for name in (
        "num_workers",
        "skip_unreadable",
        "seed",
        "scene_curriculum",
        "shuffle_window",
        "keep_checkpoints",
        "weight_decay",
        "lr",
        "min_lr",
        "warmup_epochs",
        "word_weight",
    ):
        if not getattr(args, name) >= 0:
            raise InputError(f"--{name} {getattr(args, name)}: pass 0 or more")
    if args.save_every is not None and args.save_every < 1:
        raise InputError(f"--save_every {args.save_every}: pass at least 1")
    for name in ("drop_path", "flip", "caption_dropout", "recolor"):
        if not 0 <= getattr(args, name) <= 1:
            raise InputError(f"--{name} {getattr(args, name)}: a probability, pass 0 to 1")
    low, high = args.crop_scale
    if not 0 < low <= high <= 1:
        raise InputError(f"--crop_scale {low} {high}: shares of the area, pass 0 < from <= to <= 1")
    if not 0 < args.layer_decay <= 1:
        raise InputError(f"--layer_decay {args.layer_decay}: pass a factor above 0, at most 1")
    for name, default in (("protocol", "paper"), ("fid_weights", None), ("obedience", False)):
        if args.data_set == "scenes" and getattr(args, name) != default:
            raise InputError(f"--{name} {getattr(args, name)}: scenes are judged by their instances; leave it out")
    if args.obedience and not (args.eval or args.test):
        raise InputError("--obedience: is part of an evaluation; pass --eval or --test with it")
    if args.eval and args.test:
        raise InputError("--eval and --test: pass one of them (val split, test split)")
    if args.clip_grad is not None and args.clip_grad <= 0:
        raise InputError(f"--clip_grad {args.clip_grad}: a norm, pass more than 0")
