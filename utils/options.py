"""The command line: defaults < --config YAML < flags. An unknown key or flag is an error.

Flags that every run has stand here. A system and a data set bring their own: the fields of a dataclass, made by
`number` and `setting`.
"""

import argparse
import dataclasses
import os
import sys
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from utils.devices import AMP, AMP_HELP, DEVICE_HELP
from utils.errors import InputError
from utils.text_files import read_yaml

PROTOCOLS = ("paper", "rounded", "full")  # of evaluation/protocol.py
LEVELS = ("complete", "partial", "scarce")  # of descriptions, see datasets/words/levels.py
# Flags that may change when a run is resumed without making another run of it.
SAME_RUN = (
    *("config", "resume", "auto_resume", "finetune", "output_dir", "device", "num_workers", "print_freq"),
    *("save_every", "keep_checkpoints", "dist_eval", "compile", "grad_checkpointing", "lpips_net", "lpips_weights"),
    *("eval", "test", "fid_weights", "protocol", "obedience", "shard_optimizer", "input_size"),
    *("level", "seeds"),
)
REFUSED = ("opt",)  # decide what the optimizer keeps of each tensor: a run cannot be resumed with others
# Least and largest values.
BOUNDS = {
    **dict.fromkeys(
        ("batch_size", "update_freq", "epochs", "print_freq", "eval_every", "save_every", "seeds"), (1, None)
    ),
    **dict.fromkeys(("num_workers", "seed", "keep_checkpoints", "weight_decay", "linear_epochs"), (0, None)),
    **dict.fromkeys(("lr", "min_lr", "warmup_epochs"), (0, None)),
}


def number(default: Any, help: str | None = None, fixed: bool = True, resume: str = "told") -> Any:
    """A field of a config on which a checkpoint decides. help: None for no flag; fixed: another makes another network,
    so none may be given; resume: as in `setting`."""
    return dataclasses.field(default=default, metadata={"help": help, "held": True, "fixed": fixed, "resume": resume})


def setting(default: Any, help: str, resume: str = "told", low: float | None = None, high: float | None = None) -> Any:
    """A field of a config that each run decides on anew. resume: what becomes of another value in a resumed run: it
    makes no difference ("free"), it is told, or it is "refused"; low, high: least and largest values."""
    bounds = (low, high) if low is not None else None
    return dataclasses.field(
        default=default, metadata={"help": help, "held": False, "fixed": False, "resume": resume, "bounds": bounds}
    )


class Family(NamedTuple):
    """A flag whose value brings flags of its own: --model, --data_set."""

    flag: str
    default: str
    names: Iterable[str]
    config: Callable[[str], type]  # name -> dataclass of its flags; raises InputError for an unknown name
    found: Callable[[argparse.Namespace], str | None] = lambda early: None  # the name that a file of the run decides on

    def choose(self, early: argparse.Namespace) -> str:
        return self.found(early) or getattr(early, self.flag) or self.default


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:
        raise InputError(f"{message}; run_colorization.py --help lists the flags")


def parse(argv: list[str] | None, families: Iterable[Family]) -> argparse.Namespace:
    """The resolved run. Raises InputError for an unknown flag or YAML key, or a value of the wrong form.

    Numbers of the system that are not given are None: its checkpoint or the model decides on them.
    """
    argv = sys.argv[1:] if argv is None else argv
    early, _ = _early_parser(families).parse_known_args(argv)
    content = {} if early.config is None else read_config(Path(early.config))
    for name, value in vars(early).items():
        if value is None and isinstance(content.get(name), str | bool):
            setattr(early, name, content[name])
    chosen = {family.choose(early): family for family in families}
    parser = build_parser({name: family.config(name) for name, family in chosen.items()})
    try:
        words = _config_words(parser, early.config, content)
        args = parser.parse_args(words + argv)
    except InputError as error:
        raise _owned(error, argv, content, families, chosen) from error
    for name, family in chosen.items():
        setattr(args, family.flag, name)
        _check_bounds(args, {field.name: field.metadata.get("bounds") for field in flags_of(family.config(name))})
    _check(args)
    return args


def flags_of(config: type) -> Iterator[dataclasses.Field]:
    """The fields of a dataclass that are flags."""
    return (field for field in dataclasses.fields(config) if field.metadata.get("help"))


def pick(config: type, args: argparse.Namespace) -> Any:
    """The dataclass with the flags' values."""
    return config(**{field.name: getattr(args, field.name) for field in flags_of(config)})


def parse_numbers(config: type, words: Iterable[str], flag: str) -> dict[str, Any]:
    """ "steps=10" and the like: the flags of a dataclass by name. Raises InputError naming `flag` and the word."""
    fields = {field.name: field for field in flags_of(config)}
    found: dict[str, Any] = {}
    for word in words:
        name, sign, value = word.partition("=")
        if name not in fields or not sign:
            raise InputError(f"{flag} {word}: pass NAME=VALUE, with a name of {', '.join(fields)}")
        parser = _Parser(add_help=False, allow_abbrev=False)
        _add_own(parser.add_argument_group(), config)
        yes_or_no = {"true": f"--{name}", "false": f"--no-{name}"}
        by_switch = isinstance(fields[name].default, bool)
        if by_switch and value not in yes_or_no:
            raise InputError(f"{flag} {word}: pass {name}=true or {name}=false")
        try:
            several = isinstance(fields[name].default, tuple)  # "1,2"
            plain_value = [f"--{name}", *value.split(",")] if several else [f"--{name}={value}"]
            args = parser.parse_args([yes_or_no[value]] if by_switch else plain_value)
        except InputError as error:
            raise InputError(f"{flag} {word}: {str(error).partition(';')[0]}; pass another value") from error
        found[name] = getattr(args, name)
    return found


def plain(args: argparse.Namespace) -> dict[str, Any]:
    """As a checkpoint and args.yaml hold them."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in vars(args).items()}


def build_parser(configs: Mapping[str, type]) -> argparse.ArgumentParser:
    """configs: name -> dataclass of its flags, of the chosen system and data set."""
    parser = _Parser(
        prog="run_colorization.py",
        description="Train, evaluate and test systems of colorization by language and by instance.",
        allow_abbrev=False,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--config", default=None, help="YAML with any of these flags; the command line wins over it")
    _add_shared(parser)
    for name, config in configs.items():
        _add_own(parser.add_argument_group(f"of {name}"), config)
    return parser


def _add_own(group: argparse._ArgumentGroup, config: type) -> None:
    hints = typing.get_type_hints(config)
    for field in flags_of(config):
        default = None if field.metadata["held"] else field.default
        kinds = [kind for kind in typing.get_args(hints[field.name]) or (hints[field.name],) if kind is not type(None)]
        given: dict[str, Any] = {"default": default, "help": field.metadata["help"]}
        if kinds == [bool]:
            given["action"] = argparse.BooleanOptionalAction
        else:
            given["type"] = kinds[0]
            if isinstance(field.default, tuple):
                given["nargs"] = len(field.default)
        group.add_argument(f"--{field.name}", **given)


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


def _early_parser(families: Iterable[Family]) -> argparse.ArgumentParser:
    """What decides on the other flags."""
    parser = _Parser(add_help=False, allow_abbrev=False)
    for name in ("config", "finetune", "resume", "output_dir", *(family.flag for family in families)):
        parser.add_argument(f"--{name}")
    parser.add_argument("--auto_resume", action=argparse.BooleanOptionalAction)
    return parser


def read_config(path: Path) -> dict[str, Any]:
    """A YAML of 'flag: value' lines over the one that its `base:` names, which lies beside it; `flag: null` takes one
    of its lines out. Raises InputError."""
    moved = [] if path.exists() else sorted(path.parent.glob(f"*/{path.name}"))
    remedy = f"pass {moved[0]}" if moved else "pass a YAML file of 'flag: value' lines"
    try:
        content = read_yaml(path, remedy)
    except InputError as error:
        raise InputError(f"--config {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"--config {path}: holds no 'flag: value' lines")
    base = content.pop("base", None)
    whole = content if base is None else read_config(path.parent / str(base)) | content
    return {key: value for key, value in whole.items() if value is not None}


def _config_words(parser: argparse.ArgumentParser, path: str | None, content: dict[str, Any]) -> list[str]:
    """The YAML as command line words, so that argparse checks it like any flag."""
    actions = {action.dest: action for action in parser._actions if action.dest not in ("help", "config")}
    words: list[str] = []
    for key, value in content.items():
        if key not in actions:
            raise InputError(f"--config {path}: unknown key {key!r}; its keys are the flags of run_colorization.py")
        words += _config_word(path, key, value, takes_value=actions[key].nargs != 0)
    return words


def _config_word(path: str | None, key: str, value: Any, takes_value: bool) -> list[str]:
    if takes_value == isinstance(value, bool) or isinstance(value, dict):
        wanted = "a value" if takes_value else "true or false"
        raise InputError(f"--config {path}: {key} is {value!r}; give it {wanted}")
    if not takes_value:
        return [f"--{key}" if value else f"--no-{key}"]
    if value is None:
        return []
    return [f"--{key}", *map(str, value)] if isinstance(value, list) else [f"--{key}={value}"]


def _owned(
    error: InputError,
    argv: list[str],
    content: dict[str, Any],
    families: Iterable[Family],
    chosen: Mapping[str, Family],
) -> InputError:
    """The error, or, where a given flag is that of a system or data set that was not chosen, one that names it."""
    given = {word.removeprefix("--").removeprefix("no-").split("=")[0] for word in argv if word.startswith("--")}
    known = {field.name for name, family in chosen.items() for field in flags_of(family.config(name))}
    for family in families:
        for name in family.names:
            for field in flags_of(family.config(name)):
                if field.name in given | content.keys() and field.name not in known:
                    (own,) = (mine for mine, its in chosen.items() if its is family)
                    return InputError(
                        f"--{field.name}: a flag of --{family.flag} {name}, not of {own}; leave it out, or pass that"
                        f" {family.flag}"
                    )
    return error


def _check_bounds(args: argparse.Namespace, bounds: Mapping[str, tuple[float, float | None] | None]) -> None:
    for name, bound in bounds.items():
        value = getattr(args, name)
        if bound is None or value is None:
            continue
        low, high = bound
        if not low <= value <= (value if high is None else high):
            said = "pass 0 or more" if low == 0 else f"pass at least {low}"
            raise InputError(f"--{name} {value}: {'a probability, pass 0 to 1' if high == 1 else said}")


def _check(args: argparse.Namespace) -> None:
    """Values no run can use, before anything is built."""
    _check_bounds(args, BOUNDS)
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
