"""Table 1, ours: two variants are trained and tested once for real, with tiny numbers; the rest is done on copies."""

import csv
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TextIO

import pytest
import yaml
from conftest import ROOT
from processes import ranks

from datasets.scenes import TEST_SPLITS
from evaluation.statistics import bootstrap_interval
from scripts import table1
from scripts.table1 import Result

CONFIG = str(ROOT / "configs" / "lcoins" / "smoke.yaml")
NUMBERS = {"scenes": 8, "eval_scenes": 4, "epochs": 1, "batch_size": 8}
FLAGS = [
    "--data_set",
    "scenes",
    "--device",
    "cpu",
    *(word for key, n in NUMBERS.items() for word in (f"--{key}", str(n))),
]
TWO = ("--variants", "full", "wo_ge")


def call(folder: Path, *words: str, flags: list[str] = FLAGS) -> int:
    return table1.main(["--config", CONFIG, "--output_dir", str(folder), *words, "--", *flags])


class Forked:
    """In the place of the module subprocess: a program is forked, and starts no Python of its own."""

    @staticmethod
    def run(command: list[str], stdout: TextIO, stderr: TextIO) -> subprocess.CompletedProcess:
        done = ranks(1, Path(command[1]), command[2:])
        stdout.write(done.stdout)
        stderr.write(done.stderr)
        return done


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Never changed by a test."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table1, "subprocess", Forked)
        assert call(folder, *TWO) == 0
    return folder


@pytest.fixture
def copy(made, tmp_path):
    def link_checkpoints(source: str, target: str) -> None:  # they are large, and replaced, never written into
        (os.link if source.endswith(".pth") else shutil.copy2)(source, target)

    return Path(shutil.copytree(made, tmp_path / "copy", copy_function=link_checkpoints))


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Instead of run_colorization.py: ends with status 3, or by a signal where `signalled` is there."""
    file = tmp_path / "program.py"
    file.write_text(
        "import json, os, pathlib, sys\n"
        "here = pathlib.Path(__file__).parent\n"
        "(here / 'words.json').write_text(json.dumps(sys.argv[1:]))\n"
        "print('the reason', file=sys.stderr, flush=True)\n"
        "os.kill(os.getpid(), 9) if (here / 'signalled').exists() else sys.exit(3)\n"
    )
    monkeypatch.setattr(table1, "PROGRAM", file)
    return file


def read_csv(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def results(folder: Path, *words: str) -> dict[str, list[Result]]:
    runs = table1.plan(table1.parse_arguments(["--config", CONFIG, "--output_dir", str(folder), *words, "--", *FLAGS]))
    return {run.variant: [table1.read_result(run)] for run in runs}


def sections(text: str) -> dict[str, dict[str, list[str]]]:
    """heading -> name of the row -> cells."""
    found = {}
    for part in text.split("\n## ")[1:]:
        rows = [line.strip("| ").split(" | ") for line in part.splitlines() if line.startswith("| ")][2:]
        found[part.splitlines()[0]] = {name: cells for name, *cells in rows}
    return found


def test_files_show_the_figures_of_the_tests(made):
    lines = read_csv(made / "table1.csv")
    assert [(line["variant"], line["split"]) for line in lines] == [
        (variant, split) for variant in ("full", "wo_ge") for split in TEST_SPLITS
    ]
    text = (made / "table1.md").read_text()
    tables = sections(text)
    for line in lines:
        metrics = json.loads((made / line["variant"] / "seed0" / "scenes" / "metrics.json").read_text())[line["split"]]
        for key in ("accuracy", "counter_accuracy", "counter_drop", "error", "counter_error"):
            assert {part: float(line[f"{key}_{part}"]) for part in ("mean", "low", "high")} == metrics[key]
        for key in ("ari", "foreground_ari"):
            assert line[f"{key}_high"] == ("" if line["variant"] == "wo_ge" else str(metrics[key]["high"]))
        for name, value in metrics["references"].items():
            assert float(line[f"reference_{name}"]) == value
        place = TEST_SPLITS.index(line["split"])
        mean, low, high = (100 * metrics["accuracy"][part] for part in ("mean", "low", "high"))
        assert (
            tables["accuracy: accuracy, %"][f"{line['variant']}, seed 0"][place]
            == f"{mean:.1f} [{low:.1f}, {high:.1f}]"
        )
        assert tables["accuracy: accuracy, %"]["mixture"][place] == f"{100 * metrics['references']['mixture']:.1f}"
    assert set(tables["ari: ARI"]["wo_ge, seed 0"]) == {"-"} and "-" not in tables["ari: ARI"]["full, seed 0"]
    assert text.splitlines()[2].startswith(f"`python scripts/table1.py --config {CONFIG} --output_dir {made}")


def test_variants_differ_in_their_flag_alone(made):
    full, ablated = (yaml.safe_load((made / name / "seed0" / "args.yaml").read_text()) for name in ("full", "wo_ge"))
    assert {key for key in full if full[key] != ablated[key]} == {"group_tokens", "output_dir"}
    asked = ["--config", CONFIG, "--output_dir", str(made), "--seeds", "0", "3", "--", *FLAGS]
    runs = table1.plan(table1.parse_arguments(asked))
    assert [run.name for run in runs[4:7]] == ["wo_cl, seed 0", "full, seed 3", "wo_ge, seed 3"]
    changed = [{key for key, value in vars(run.args).items() if value != vars(runs[0].args)[key]} for run in runs]
    flags = (set(), {"group_tokens"}, {"grouping_attention"}, {"luminance_augmentation"}, {"counter_color"})
    assert changed[:5] == [{*flag, *({"output_dir"} if flag else ())} for flag in flags]
    assert changed[5:] == [{*flag, "seed", "output_dir"} for flag in flags]


def test_a_second_call_runs_nothing(copy, program, capsys):
    assert call(copy, *TWO) == 0
    said = [line.split("  ", 1)[1] for line in capsys.readouterr().out.splitlines()]
    assert said[:4] == [f"{name}, seed 0: is {what}" for name in ("full", "wo_ge") for what in ("trained", "tested")]
    assert not (program.parent / "words.json").exists()


def test_a_missing_test_is_made_again_alone(copy, monkeypatch):
    monkeypatch.setattr(table1, "subprocess", Forked)
    before = {file: file.stat().st_mtime_ns for file in copy.glob("*/seed0/**/*") if file.is_file()}
    lines = read_csv(copy / "table1.csv")
    (copy / "wo_ge" / "seed0" / "scenes" / "metrics.json").unlink()
    assert call(copy, *TWO) == 0
    changed = {file.relative_to(copy) for file, time in before.items() if file.stat().st_mtime_ns != time}
    folder = Path("wo_ge/seed0")
    assert {folder / "run.log", folder / "scenes" / "metrics.json"} <= changed
    assert all(file == folder / "run.log" or file.is_relative_to(folder / "scenes") for file in changed)
    assert read_csv(copy / "table1.csv") == lines


def test_an_unfinished_training_goes_on_and_its_tests_are_out_of_date(copy, program, capsys):
    folder = copy / "wo_ge" / "seed0"
    line = json.loads((folder / "log.jsonl").read_text())
    (folder / "log.jsonl").write_text(json.dumps(line | {"epoch": 0}) + "\n")
    with pytest.raises(SystemExit) as stopped:
        call(copy, *TWO)
    words = json.loads((program.parent / "words.json").read_text())
    assert "--auto_resume" in words and "--test" not in words and words[words.index("--output_dir") + 1] == str(folder)
    assert not (folder / "scenes" / "metrics.json").exists() and (copy / "full/seed0/scenes/metrics.json").exists()
    said = capsys.readouterr().err
    assert stopped.value.code == 3 and "wo_ge, seed 0: the training" in said and str(folder / "run.log") in said
    assert (folder / "run.log").read_text().endswith("the reason\n")


def test_a_signal_is_a_failure_too(tmp_path, program):
    (tmp_path / "signalled").touch()
    with pytest.raises(SystemExit) as stopped:
        call(tmp_path / "new", *TWO)
    assert stopped.value.code == 137


@pytest.mark.parametrize(
    ("words", "flags", "message"),
    [
        ([], [*FLAGS, "--lr", "0.5"], "full/seed0/args.yaml: --lr 0.001 there, 0.5 now"),
        ([], [*FLAGS, "--opt_betas", "0.5", "0.6"], "--opt_betas [0.9"),
        ([], [*FLAGS, "--seed=4"], "--seed=4"),
        ([], [*FLAGS, "--lrr", "0.5"], "--lrr"),
        ([], [*FLAGS, "--eval"], "given ['--eval']"),
        ([], [*FLAGS, "--data_set", "captioned_images"], "--data_set scenes"),
        (["--configs", "other/full.yaml"], FLAGS, "'full', 'wo_ge', 'full'"),
    ],
)
def test_other_flags_are_refused_by_name(made, program, capsys, words, flags, message):
    assert call(made, *TWO, *words, flags=flags) == 2
    said = capsys.readouterr().err
    assert said.startswith("table1.py: ") and message in said
    assert not (program.parent / "words.json").exists()


def hand_made(file: Path, answers: list[tuple[int, str, bool]], split: str = "clear") -> Result:
    """answers: scene, colour, correct."""
    rows = [f"{split},{scene},cup,{color},{correct}" for scene, color, correct in answers]
    file.write_text("\n".join(["split,index,noun,color,correct", *rows]) + "\n")
    return Result(None, {}, table1.read_correct(file), [])


def test_paired_difference_of_hand_made_answers(tmp_path):
    colors = ["red", "blue", "red", "red", "green"]  # scenes 0, 0, 1, 2, 2
    scenes = [0, 0, 1, 2, 2]

    def system(*correct: int, colors: list[str] = colors) -> Result:
        answers = list(zip(scenes, colors, map(bool, correct), strict=True))
        return hand_made(tmp_path / "per_instance.csv", answers)

    ours, theirs = system(1, 1, 1, 0, 1), system(0, 0, 1, 1, 1)
    itself = table1.paired_difference([ours], [ours], "clear")
    assert itself == {"mean": 0.0, "low": 0.0, "high": 0.0}
    difference = table1.paired_difference([ours], [theirs], "clear")
    values, groups = (table1.torch.tensor(x) for x in ([1.0, 1, 0, -1, 0], scenes))
    assert difference == bootstrap_interval(values, groups)._asdict() and difference["mean"] == pytest.approx(1 / 5)
    assert (difference["low"], difference["high"]) == (-0.5, 1.0)  # scene 2 alone, scene 0 alone
    seeds = table1.paired_difference([ours, theirs], [theirs], "clear")
    assert seeds == bootstrap_interval(values / 2, groups)._asdict()
    assert table1.paired_difference([ours], [system(0, 0, 1, 1, 1, colors=colors[::-1])], "clear") is None


def test_the_table_pairs_each_variant_with_the_full_model(made):
    variants = results(made, *TWO)
    same = variants | {"twin": [variants["full"][0]]}
    tables = sections(table1.markdown(same, "command"))["accuracy of full less the row's, paired, points"]
    assert list(tables) == ["wo_ge", "twin"] and set(tables["twin"]) == {"0.0 [0.0, 0.0]"}
    for split, cell in zip(TEST_SPLITS, tables["wo_ge"], strict=True):
        means = [variants[name][0].scenes[split]["accuracy"]["mean"] for name in ("full", "wo_ge")]
        assert float(cell.split()[0]) == pytest.approx(100 * (means[0] - means[1]), abs=0.051)


def test_several_seeds_have_a_row_of_their_mean_and_range(made):
    (result,) = results(made, "--variants", "full")["full"]
    seeds = []
    for seed, mean in enumerate((0.25, 0.5)):
        accuracy = {"mean": mean, "low": mean - 0.1, "high": mean + 0.3}
        scenes = {split: summary | {"accuracy": accuracy} for split, summary in result.scenes.items()}
        seeds.append(result._replace(run=result.run._replace(name=f"full, seed {seed}"), scenes=scenes))
    rows = sections(table1.markdown({"full": seeds}, "command"))["accuracy: accuracy, %"]
    assert list(rows) == ["full, seed 0", "full, seed 1", "full, mean of 2", "mixture", "chance"]
    assert set(rows["full, seed 0"]) == {"25.0 [15.0, 55.0]"} and set(rows["full, mean of 2"]) == {"37.5 [25.0, 50.0]"}


def test_without_counter_colours_the_groups_mean_nothing(made):
    (run,) = table1.plan(
        table1.parse_arguments(["--config", CONFIG, "--output_dir", str(made), "--variants", "wo_cl", "--", *FLAGS])
    )
    trained = table1.read_result(run._replace(folder=made / "full" / "seed0"))
    assert all(summary["ari"] is None and summary["foreground_ari"] is None for summary in trained.scenes.values())
