"""What the design promises of the code as a whole."""

import ast
import dataclasses
import inspect
import re
import subprocess
from collections.abc import Iterable, Set
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

import datasets
import models
import run_colorization
import run_flags
from utils import options

# Rooms import those below them, never a room beside or above; inside a room, anything.
LEVELS = [
    {"scripts"},
    {"run_colorization", "webapp"},
    {"run_evaluation", "run_flags"},
    {"engine", "evaluation", "inference"},
    {"models", "preparation"},
    {"datasets"},
    {"losses", "augment"},
    {"utils"},
]
FOLDERS = ("models", "datasets", "preparation", "evaluation", "inference", "utils", "webapp", "scripts")
PRODUCT = [*ROOT.glob("*.py"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))]


def package_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("path", PRODUCT, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down_only(path):
    own = package_of(path)
    level = next(i for i, names in enumerate(LEVELS) if own in names)
    ours = {name for names in LEVELS for name in names}
    below = {name for names in LEVELS[level + 1 :] for name in names}
    assert (imported(path) & ours) - {own} <= below


@pytest.mark.parametrize("path", PRODUCT, ids=lambda p: str(p.relative_to(ROOT)))
def test_only_one_module_speaks_to_other_processes(path):
    uses = "torch.distributed" in path.read_text().replace("torch.distributed.run", "")
    assert not uses or path == ROOT / "utils" / "distributed.py"


ADDERS = {"add", "add_argument"}
HOLDERS = frozenset({"args", "asked", "options", "flags"})  # names of parsed flags


def read_flags(paths: Iterable[Path], holders: Set[str] = HOLDERS) -> set[str]:
    """What the code reads of parsed flags, by its syntax tree: args.NAME, self.args.NAME, getattr(args, "NAME")."""
    found = set()
    for node in (node for path in paths for node in ast.walk(ast.parse(path.read_text()))):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            owner = node.value
            if getattr(owner, "id", getattr(owner, "attr", None)) in holders:
                found.add(node.attr)
        elif isinstance(node, ast.Call) and getattr(node.func, "id", None) == "getattr":
            found |= {word.value for word in node.args[1:] if isinstance(word, ast.Constant)}
    return found


def modules_of(path: Path) -> set[Path]:
    """Our files that it imports from."""
    named = {node.module for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)}
    return {*PRODUCT} & {ROOT / f"{name.replace('.', '/')}.py" for name in named if name}


def written_flags(path: Path) -> set[str]:
    """The flags that a script's parser is given, as its code names them."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in ADDERS:
            names = [word.value for word in node.args if isinstance(word, ast.Constant)]
            names = [name for name in names if isinstance(name, str) and name.startswith("--")]
            names = [word.value.value for word in node.keywords if word.arg == "dest"] or names
            found |= {names[0].removeprefix("--").replace("-", "_")} if names else set()
    return found


CONFIGS = [models.system_of(name).Config for name in models.MODELS] + [*datasets.DATA_SETS.values()]


def test_every_flag_is_read():
    """A check of its value (run_flags.py) is no use of a flag."""
    read = read_flags([ROOT / "run_colorization.py", ROOT / "run_evaluation.py", ROOT / "models" / "train_state.py"])
    own = {action.dest for action in run_flags.build_parser({})._actions} - {"help", "config"}
    assert own - read == set() and len(own) + 1 <= 45  # --config is read first


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.__name__)
def test_every_field_of_a_config_is_read(config):
    """As config.NAME or options.NAME, in its own room."""
    room = ROOT / Path(inspect.getfile(config)).relative_to(ROOT).parts[0]
    read = read_flags([path for path in PRODUCT if path.is_relative_to(room)], {"config", "options"})
    assert {field.name for field in dataclasses.fields(config)} - read == set()


@pytest.mark.parametrize("path", [path for path in PRODUCT if written_flags(path)], ids=lambda p: p.name)
def test_every_flag_of_a_script_is_read(path):
    if path.name not in ("options.py", "run_flags.py"):  # those are read where the test above looks
        near = modules_of(path) | {file for file in PRODUCT if path in modules_of(file)}
        assert written_flags(path) - read_flags({path, *near}) == set()


def test_the_reading_goes_by_the_syntax_tree(tmp_path):
    file = tmp_path / "code.py"
    file.write_text("args.eval_every\nself.flags.seed\nargs.amp = 'bf16'\ngetattr(args, 'opt')\n'args.lr'\nother.flip")
    assert read_flags([file]) == {"eval_every", "seed", "opt"}  # neither eval nor what is set, quoted or another's


@pytest.mark.parametrize("path", [path for path in PRODUCT if "amp" in written_flags(path)], ids=lambda p: p.name)
def test_precision_and_device_mean_the_same_in_every_command(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and any(isinstance(w, ast.Constant) and w.value == "--amp" for w in node.args):
            given = {word.arg: word.value for word in node.keywords}
            assert given["choices"].id == "AMP" and given["default"].value == "auto"


def test_no_module_that_threads_may_run_sets_the_warnings_of_the_process():
    """`catch_warnings` restores, from two threads at once, what the other had set: a filter stays for good."""
    once = {
        ROOT / "inference" / "onnx_file.py",
        ROOT / "evaluation" / "metrics.py",
    }  # an export, a network that is built
    words = ("catch_warnings", "simplefilter", "resetwarnings")
    assert {path for path in PRODUCT if any(word in path.read_text() for word in words)} == once


def test_every_flag_has_a_help_line():
    parser = run_flags.build_parser({config.__name__: config for config in CONFIGS[:1] + CONFIGS[-2:]})
    assert all(action.help for action in parser._actions)


@pytest.mark.parametrize("path", sorted((ROOT / "configs").rglob("*.yaml")), ids=lambda p: p.name)
def test_configs_resolve_and_open_with_their_command(path):
    args = run_colorization.parse(["--config", str(path)])
    text = path.read_text()
    assert text.startswith("#") and f"--config {path.relative_to(ROOT)}" in text
    for key, value in options.read_config(path).items():
        resolved = getattr(args, key)
        assert (list(resolved) if isinstance(value, list) else resolved) == value


def test_ablations_differ_from_the_paper_s_run_in_one_flag():
    paper = yaml.safe_load((ROOT / "configs" / "lcoins" / "paper.yaml").read_text())
    flags = {"ge": "group_tokens", "ga": "grouping_attention", "la": "luminance_augmentation", "cl": "counter_color"}
    for name, flag in flags.items():
        ablated = ROOT / "configs" / "lcoins" / f"wo_{name}.yaml"
        assert yaml.safe_load(ablated.read_text()) == {"base": "paper.yaml", flag: False}
        assert options.read_config(ablated) == paper | {flag: False}


DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
DOCUMENTS += [ROOT / "checkpoints" / "README.md", ROOT / "webapp" / "examples" / "README.md"]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_paths_and_flags_in_the_documents_exist(path):
    text = path.read_text()
    tracked = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    files = set(tracked.stdout.split())
    folders = {str(parent) for file in files for parent in Path(file).parents}
    folder = r"(?:checkpoints|configs|datasets|docs|evaluation|inference|models|preparation|scripts|tests|utils|webapp)"
    pattern = rf"(?<![\w/.{{])({folder}/[\w./*-]*\w|\w+\.(?:py|md|txt|toml))(?![\w{{])"
    for name in re.findall(pattern, text):
        known = name in files or name in folders or any(Path(file).match(name) for file in files)
        assert known, f"{path.name} names {name}"
    parser = run_flags.build_parser({config.__name__: config for config in CONFIGS[:1] + CONFIGS[-2:]})
    flags = {option for action in parser._actions for option in action.option_strings}
    own = {field.name for config in CONFIGS for field in options.flags_of(config)}
    flags |= {f"--{no}{name}" for name in own for no in ("", "no-")}
    for command in re.findall(r"run_colorization\.py((?:[^\n`]|\\\n)*)", text):
        for flag in re.findall(r"--[\w-]+", command):
            assert flag in flags, f"{path.name}: {flag}"


ENDINGS = {"py", "yaml", "json", "jsonl", "csv", "safetensors"}  # of file names, which have a dot as well


def defined(path: Path) -> set[str]:
    """Whatever a module or something in it defines, imports or sets."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(getattr(node, "id", getattr(node, "attr", None)))
        elif isinstance(node, ast.alias):
            names.add(node.asname or node.name)
    return names


def test_names_of_ours_that_words_point_to_exist():
    """`module.name`, in docstrings, comments and documents, where the module is one of ours."""
    modules = {path.relative_to(ROOT).with_suffix("").as_posix().removesuffix("/__init__"): path for path in PRODUCT}
    wrong = []
    for file in (*PRODUCT, *DOCUMENTS):
        for *place, name in (found.split(".") for found in re.findall(r"`([A-Za-z_][\w.]*\.\w+)`", file.read_text())):
            ours, whole = (
                [path for module, path in modules.items() if f"/{module}".endswith(f"/{'/'.join(parts)}")]
                for parts in (place, [*place, name])
            )
            if ours and not whole and name not in ENDINGS and not any(name in defined(path) for path in ours):
                wrong.append(f"{file.relative_to(ROOT)}: {'.'.join(place)}.{name}")
    assert wrong == []


def test_readme_gives_the_parameter_counts():
    text = (ROOT / "README.md").read_text()
    assert all(count in text for count in ("369,357,538", "5,207,666", "2,458,898", "27,253,234", "378,175,146"))


def test_every_checkpoint_that_ships_is_small_and_has_its_card():
    folder = ROOT / "checkpoints"
    cards = (folder / "README.md").read_text()
    # bytes, tokenizer included
    limits = {"scenes.safetensors": 30e6, "lcad_scenes.safetensors": 30e6, "photos.safetensors": 60e6}
    assert {path.name for path in folder.glob("*.safetensors")} == set(limits)
    for name, limit in limits.items():
        size = (folder / name).stat().st_size
        assert size <= limit and f"Model card: {name}" in cards and f"{size / 1e6:.1f} MB" in cards
