"""The command line: defaults < --config YAML < flags. An unknown key or flag is an error.

Flags that every run has are in run_flags.py. A system and a data set bring their own: the fields of a dataclass,
made by `number` and `setting`.
"""

import argparse
import dataclasses
import sys
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from utils.errors import InputError
from utils.text_files import read_yaml


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


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:
        raise InputError(f"{message}; run_colorization.py --help lists the flags")


def parse(
    argv: list[str] | None,
    families: Iterable[Family],
    build_parser: Callable[[Mapping[str, type]], argparse.ArgumentParser],
) -> argparse.Namespace:
    """The resolved run. build_parser: of the chosen names and the dataclasses of their flags. Raises InputError for an
    unknown flag or YAML key, or a value of the wrong form.

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
        check_bounds(args, {field.name: field.metadata.get("bounds") for field in flags_of(family.config(name))})
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
        parser = Parser(add_help=False, allow_abbrev=False)
        add_own(parser.add_argument_group(), config)
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


def add_own(group: argparse._ArgumentGroup, config: type) -> None:
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


def _early_parser(families: Iterable[Family]) -> argparse.ArgumentParser:
    """What decides on the other flags."""
    parser = Parser(add_help=False, allow_abbrev=False)
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


def check_bounds(args: argparse.Namespace, bounds: Mapping[str, tuple[float, float | None] | None]) -> None:
    for name, bound in bounds.items():
        value = getattr(args, name)
        if bound is None or value is None:
            continue
        low, high = bound
        if not low <= value <= (value if high is None else high):
            said = "pass 0 or more" if low == 0 else f"pass at least {low}"
            raise InputError(f"--{name} {value}: {'a probability, pass 0 to 1' if high == 1 else said}")
