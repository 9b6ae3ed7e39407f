"""Table 1, ours: two variants are trained and tested once for real, with tiny numbers; the rest is done on copies."""

import csv
import json
import os
import shutil
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

import run_colorization
from datasets.scenes import TEST_SPLITS
from evaluation.statistics import bootstrap_interval
from scripts import table1

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


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Never changed by a test."""
    folder = tmp_path_factory.mktemp("made")
    assert call(folder, *TWO) == 0
    return folder


@pytest.fixture
def copy(made, tmp_path):
    def link_checkpoints(source: str, target: str) -> None:  # they are large, and replaced, never written into
        (os.link if source.endswith(".pth") else shutil.copy2)(source, target)

    return Path(shutil.copytree(made, tmp_path / "copy", copy_function=link_checkpoints))


@pytest.fixture
def started(monkeypatch):
    """The flags of every run that is started; instead of running it ends with status 3."""
    words = []
    monkeypatch.setattr(run_colorization, "run", lambda own: words.append(own) or 3)
    return words


def read_csv(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def read_table(text: str) -> dict[str, dict[str, str]]:
    """name of the row -> heading -> cell."""
    (_, *headings), _, *rows = ([cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()
                                if line.startswith("| "))  # fmt: skip
    return {name: dict(zip(headings, cells, strict=True)) for name, *cells in rows}


def test_files_show_the_figures_of_the_tests(made):
    lines = read_csv(made / "table1.csv")
    assert [(line["variant"], line["split"]) for line in lines] == [
        (variant, split) for variant in ("full", "wo_ge") for split in TEST_SPLITS
    ]
    text = (made / "table1.md").read_text()
    rows = read_table(text)
    for line in lines:
        metrics = json.loads((made / line["variant"] / "seed0" / "scenes" / "metrics.json").read_text())[line["split"]]
        for key in ("accuracy", "counter_accuracy", "counter_drop", "error", "counter_error"):
            assert {part: float(line[f"{key}_{part}"]) for part in ("mean", "low", "high")} == metrics[key]
        for key in ("ari", "foreground_ari"):
            assert line[f"{key}_high"] == ("" if line["variant"] == "wo_ge" else str(metrics[key]["high"]))
        for name, value in metrics["references"].items():
            assert float(line[f"reference_{name}"]) == value
        mean, low, high = (100 * metrics["accuracy"][part] for part in ("mean", "low", "high"))
        row = rows[f"{line['split']}: {line['variant']}, seed 0"]
        assert row["accuracy, %"] == f"{mean:.1f} [{low:.1f}, {high:.1f}]"
        assert (row["ARI"] == "-") == (line["variant"] == "wo_ge")
        mixture = f"{100 * metrics['references']['mixture']:.1f}"
        assert rows[f"{line['split']}: mixture"]["accuracy, %"] == mixture
    assert text.splitlines()[2].startswith(f"`python scripts/table1.py --config {CONFIG} --output_dir {made}")


def test_variants_differ_in_their_flag_alone(made, started, tmp_path):
    full, ablated = (yaml.safe_load((made / name / "seed0" / "args.yaml").read_text()) for name in ("full", "wo_ge"))
    assert {key for key in full if full[key] != ablated[key]} == {"group_tokens", "output_dir"}
    with pytest.raises(SystemExit):
        call(tmp_path, "--seeds", "0", "3")
    folders = [f"{variant}/seed{seed}" for seed in (0, 3) for variant in table1.VARIANTS]
    runs = [table1.shlex.split((tmp_path / folder / "flags.txt").read_text()) for folder in folders]
    args = [vars(run_colorization.parse(run)) for run in runs]
    changed = [{key for key, value in own.items() if value != args[0][key]} for own in args]
    flags = (set(), {"group_tokens"}, {"grouping_attention"}, {"luminance_augmentation"}, {"counter_color"})
    assert changed == [{*flag} for flag in flags] + [{*flag, "seed"} for flag in flags]


def test_a_second_call_runs_nothing(copy, started):
    assert call(copy, *TWO) == 0 and not started


def test_a_missing_test_is_made_again_alone(copy):
    before = {file: file.stat().st_mtime_ns for file in copy.glob("*/seed0/**/*") if file.is_file()}
    lines = read_csv(copy / "table1.csv")
    (copy / "wo_ge" / "seed0" / "scenes" / "index.html").unlink()
    assert call(copy, *TWO) == 0
    changed = {file.relative_to(copy) for file, time in before.items() if file.stat().st_mtime_ns != time}
    assert Path("wo_ge/seed0/scenes/metrics.json") in changed and Path("wo_ge/seed0/checkpoint-last.pth") not in changed
    assert not any(file.is_relative_to("full/seed0/scenes") for file in changed)
    assert read_csv(copy / "table1.csv") == lines


def test_a_training_that_ends_otherwise_ends_the_table(tmp_path, started):
    with pytest.raises(SystemExit) as stopped:
        call(tmp_path, *TWO)
    ((*_, folder, resumes),) = started
    assert stopped.value.code == 3 and (folder, resumes) == (str(tmp_path / "full" / "seed0"), "--auto_resume")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([*FLAGS, "--lr", "0.5"], "--lr 0.5 --seed 0 now; pass the former"),
        ([*FLAGS, "--lrr", "0.5"], "--lrr"),
        ([*FLAGS, "--test"], "without eval, test and resume"),
        ([*FLAGS, "--data_set", "captioned_images"], "--data_set scenes"),
    ],
)
def test_other_flags_are_refused_by_name(made, started, capsys, flags, message):
    assert call(made, *TWO, flags=flags) == 2
    said = capsys.readouterr().err
    assert said.startswith("table1.py: ") and message in said and not started


def test_paired_difference_of_hand_made_answers(tmp_path):
    scenes = [0, 0, 1, 2, 2]

    def folder(name: str, *correct: int) -> Path:
        (tmp_path / name / "scenes").mkdir(parents=True)
        rows = [f"clear,{scene},{bool(right)}" for scene, right in zip(scenes, correct, strict=True)]
        text = "\n".join(["split,index,correct", "other,0,True", *rows]) + "\n"
        (tmp_path / name / "scenes" / "per_instance.csv").write_text(text)
        return tmp_path / name

    ours, theirs = folder("ours", 1, 1, 1, 0, 1), folder("theirs", 0, 0, 1, 1, 1)
    assert table1.difference(ours, ours, "clear") == "0.0 [0.0, 0.0]"
    values, groups = (table1.torch.tensor(x) for x in ([1.0, 1, 0, -1, 0], scenes))
    assert bootstrap_interval(values, groups).mean == pytest.approx(1 / 5)
    assert table1.difference(ours, theirs, "clear") == "20.0 [-50.0, 100.0]"  # scene 2 alone, scene 0 alone


def test_the_table_pairs_each_variant_with_the_full_model(made):
    rows = read_table((made / "table1.md").read_text())
    for split in TEST_SPLITS:
        metrics = [
            json.loads((made / name / "seed0" / "scenes" / "metrics.json").read_text()) for name in ("full", "wo_ge")
        ]
        full, ablated = (of[split]["accuracy"]["mean"] for of in metrics)
        assert rows[f"{split}: full, seed 0"]["accuracy, full less it"] == "-"
        cell = rows[f"{split}: wo_ge, seed 0"]["accuracy, full less it"]
        assert float(cell.split()[0]) == pytest.approx(100 * (full - ablated), abs=0.051)


def test_without_counter_colours_the_groups_mean_nothing(made):
    trained = table1.read_summaries("wo_cl", made / "full" / "seed0")
    assert all(summary["ari"] is None and summary["foreground_ari"] is None for summary in trained.values())
