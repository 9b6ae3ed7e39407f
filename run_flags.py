"""The flags that every run has, whatever its system and data set, and what they may be."""

import argparse
import os
from collections.abc import Mapping

from datasets.words.levels import LEVELS
from evaluation.protocol import PROTOCOLS
from utils import options
from utils.devices import AMP, AMP_HELP, DEVICE_HELP
from utils.errors import InputError

# Least and largest values.
BOUNDS = {
    **dict.fromkeys(
        ("batch_size", "update_freq", "epochs", "print_freq", "eval_every", "save_every", "seeds"), (1, None)
    ),
    **dict.fromkeys(("num_workers", "seed", "keep_checkpoints", "weight_decay", "linear_epochs"), (0, None)),
    **dict.fromkeys(("lr", "min_lr", "warmup_epochs"), (0, None)),
}


def build_parser(configs: Mapping[str, type]) -> argparse.ArgumentParser:
    """configs: name -> dataclass of its flags, of the chosen system and data set."""
    parser = options.Parser(
        prog="run_colorization.py",
        description="Train, evaluate and test systems of colorization by language and by instance.",
        allow_abbrev=False,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--config", default=None, help="YAML with any of these flags; the command line wins over it")
    _add_shared(parser)
    for name, config in configs.items():
        options.add_own(parser.add_argument_group(f"of {name}"), config)
    return parser


def _add_shared(parser: argparse.ArgumentParser) -> None:
    switch = argparse.BooleanOptionalAction

    add = parser.add_argument_group("model").add_argument
    add("--model", default=None, help="system and its numbers, a name of models/; the checkpoint's, or the paper's")
    add("--input_size", type=int, default=None, help="image side in pixels; the model's own if not given")
    add("--grad_checkpointing", action=switch, default=False, help="less memory for more time")

    add = parser.add_argument_group("data").add_argument
    add("--data_set", default="captioned_images", help="kind of data, captioned_images or scenes")
    add("--data_path", default=None, help="folder with cap-img-pairs_{train,val,test}.json and the images or shards")
    workers = min(4, os.cpu_count() or 1)
    add("--num_workers", type=int, default=workers, help="loader processes for each training process")

    add = parser.add_argument_group("optimisation").add_argument
    add("--batch_size", type=int, default=8, help="pairs per process and batch")
    add("--update_freq", type=int, default=1, help="batches per update of the weights")
    add("--epochs", type=int, default=80, help="passes over the training pairs")
    add("--lr", type=float, default=1e-5, help="highest learning rate")
    add("--min_lr", type=float, default=1e-6, help="learning rate at the end of the cosine")
    add("--warmup_epochs", type=float, default=5, help="epochs of linear warm-up, the first update having its share")
    add(
        "--linear_epochs",
        type=int,
        default=None,
        help="the rate is --lr until so many last epochs, in which it falls in a line; without: warm-up and cosine",
    )
    add("--opt", default="adamw", help="optimizer, a name of timm.optim")
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
    add(
        "--level",
        nargs="+",
        choices=LEVELS,
        default=["complete"],
        help="with --eval or --test: captions as they are, or with some or none of their colours told; several levels"
        " have a folder each, and a table compares them",
    )
    add("--seeds", type=int, default=1, help="the same: so many colourings of each, how much they vary among seeds")
    add("--fid_weights", default=None, help="Inception weights for FID, see evaluation/fid.py; no FID if not given")
    add(
        "--protocol",
        choices=PROTOCOLS,
        default="paper",
        help="of --eval and --test: the paper's, the same rounded, or at the photographs' own sizes",
    )

    add = parser.add_argument_group("run").add_argument
    add("--output_dir", default="output", help="folder for checkpoints, TensorBoard, logs and results")
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


def check(args: argparse.Namespace) -> None:
    """Values no run can use, before anything is built. Raises InputError."""
    options.check_bounds(args, BOUNDS)
    if not 0 < args.layer_decay <= 1:
        raise InputError(f"--layer_decay {args.layer_decay}: pass a factor above 0, at most 1")
    for name, default in (("protocol", "paper"), ("fid_weights", None), ("obedience", False)):
        if args.data_set == "scenes" and getattr(args, name) != default:
            raise InputError(f"--{name} {getattr(args, name)}: scenes are judged by their instances; leave it out")
    for name, default in (("obedience", False), ("level", ["complete"]), ("seeds", 1)):
        if getattr(args, name) != default and not (args.eval or args.test):
            raise InputError(f"--{name}: is part of an evaluation; pass --eval or --test with it")
    if len(set(args.level)) < len(args.level):
        raise InputError(f"--level {' '.join(args.level)}: names one twice; pass each once")
    if args.obedience and args.level != ["complete"]:
        raise InputError("--obedience: replaces colour words of complete captions; leave out --level or --obedience")
    if args.eval and args.test:
        raise InputError("--eval and --test: pass one of them (val split, test split)")
    if args.clip_grad is not None and args.clip_grad <= 0:
        raise InputError(f"--clip_grad {args.clip_grad}: a norm, pass more than 0")
