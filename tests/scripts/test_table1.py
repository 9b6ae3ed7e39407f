"""Table 1 by one command: tiny systems are trained and tested once for real; the rest is done on copies."""

import csv
import json
import math
import os
import shlex
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from conftest import write_data
from tiny_systems import FLAGS, register

import datasets
import models
import run_colorization
from datasets import loading
from datasets.pair_list import read_pairs
from datasets.scenes import TEST_SPLITS
from evaluation import comparison
from evaluation.statistics import bootstrap_interval
from evaluation.table1.layout import PAPER
from evaluation.table1.plot import apart, ticks_of
from evaluation.table1.results import PHOTOS, RowResult, differences, rows_of_output
from models.text import CaptionTokenizer
from scripts import correspondence, table1, user_study
from scripts.tabling import cost
from scripts.tabling import rows as table_rows
from scripts.tabling import runs as table_runs
from utils import options

NO_WORDS = SimpleNamespace(img_size=16, inputs=frozenset(), tokenizer=None, training_tokenizer=None)

SCENE_ROWS = ("lcoins", "wo_cl", "instcolorization_fusion")
PHOTO_ROWS = ("lcoins", "lcode", "instcolorization_full")
UPDATES, EPOCHS, BATCH = 6, 3, 4


@pytest.fixture(scope="module", autouse=True)
def _tiny():
    with pytest.MonkeyPatch.context() as monkeypatch:
        register(monkeypatch)
        monkeypatch.setattr(bootstrap_interval, "__defaults__", (None, 100, 0.95, 0))  # draws: a third of the time
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    data = write_data(tmp_path_factory.mktemp("data"), {"train": 10, "val": 2, "test": 4})
    pairs = json.loads((data / "cap-img-pairs_train.json").read_text())
    pairs.append(["2.jpg", "a blue box"])  # a second caption
    (data / "cap-img-pairs_train.json").write_text(json.dumps(pairs))
    assert correspondence.main([str(data / "cap-img-pairs_train.json"), str(data / "correspondence_train.json")]) == 0
    return data


def words_of(output: Path, *words: object, rows=SCENE_ROWS, flags=FLAGS) -> list[str]:
    budget = ["--updates", UPDATES, "--epochs", EPOCHS, "--batch_size", BATCH, "--test_scenes", 4, "--device", "cpu"]
    more = [word for word in words if word is not None]
    return [str(w) for w in ("--output_dir", output, *budget, "--rows", *rows, *more, "--", *flags)]


def call(output: Path, *words: object, status: int = 0, **more: object) -> None:
    assert table1.main(words_of(output, *words, **more)) == status


@pytest.fixture(scope="module")
def scenes(tmp_path_factory, _tiny):
    """Never changed by a test."""
    folder = tmp_path_factory.mktemp("scenes")
    call(folder, "--data", "scenes")
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory, data, _tiny):
    folder = tmp_path_factory.mktemp("photos")
    call(folder, "--data_path", data, rows=PHOTO_ROWS)
    return folder


@pytest.fixture
def copy(scenes, tmp_path):
    def link_checkpoints(source: str, target: str) -> None:  # replaced, never written into
        (os.link if source.endswith(".pth") else shutil.copy2)(source, target)

    return Path(shutil.copytree(scenes, tmp_path / "copy", copy_function=link_checkpoints))


@pytest.fixture
def started(monkeypatch):
    """The flags of every run that is started; instead of running it ends with status 3."""
    words = []
    monkeypatch.setattr(run_colorization, "run", lambda own: words.append(own) or 3)
    return words


def read_csv(file: Path) -> dict[tuple[str, str, str], dict[str, str]]:
    """(row, split, figure) -> the line, of one seed."""
    with file.open(newline="") as lines:
        found = list(csv.DictReader(lines))
    return {(line["row"], line["split"], line["figure"]): line for line in found}


def tables_of(text: str) -> list[dict[str, dict[str, str]]]:
    """Of each table: name of the row -> heading -> cell."""
    blocks = [block for block in text.split("\n\n") if block.startswith("|")]
    found = []
    for block in blocks:
        (_, *heads), _, *rows = ([cell.strip() for cell in line.split("|")[1:-1]] for line in block.splitlines())
        found.append({name: dict(zip(heads, cells, strict=True)) for name, *cells in rows})
    return found


def log_of(folder: Path) -> dict:
    return json.loads((folder / "log.jsonl").read_text().splitlines()[-1])


# ---- what is written


def test_scenes_show_the_figures_of_the_tests(scenes):
    lines = read_csv(scenes / "table1.csv")
    accuracy, _, counter, _, ground, sharing, printed, costs = tables_of((scenes / "table1.md").read_text())
    for row in SCENE_ROWS:
        title = table_rows.row_of(row, "scenes").title
        metrics = json.loads((scenes / "scenes" / row / "seed0" / "test" / "metrics.json").read_text())
        for split in TEST_SPLITS:
            for key in ("accuracy", "counter_accuracy", "error"):
                line = lines[row, split, key]
                assert {part: float(line[part]) for part in ("mean", "low", "high")} == metrics[split][key]
            mean, low, high = (100 * metrics[split]["accuracy"][part] for part in ("mean", "low", "high"))
            assert accuracy[title][split] == f"{mean:.1f} [{low:.1f}, {high:.1f}]"
            assert counter[title][split].split()[0] == f"{100 * metrics[split]['counter_accuracy']['mean']:.1f}"
            assert ground[title][split].split()[0] == f"{100 * metrics[split]['ground_accuracy']['mean']:.1f}"
            assert accuracy["mixture"][split] == f"{100 * metrics[split]['references']['mixture']:.1f}"
        shared = metrics["instances"]["accuracy_by_sharing"]
        assert {n: float(cell.split()[0]) for n, cell in sharing[title].items() if cell != "-"} == {
            n: round(100 * figure["mean"], 1) for n, figure in shared.items()
        }
        run = scenes / "scenes" / row / "seed0"
        val = log_of(run / "stage3" if (run / "stage3").is_dir() else run)["val"]
        assert printed[title]["PSNR, dB (val)"] == f"{val['model']['psnr']:.3f}"
        assert costs[title]["updates"] == str(UPDATES) and costs[title]["batch"] == str(BATCH)
    assert ("lcoins", "clear", "ari") in lines
    assert ("wo_cl", "clear", "ari") not in lines  # nothing taught its groups
    assert printed["L-CoIns"]["paper, multi-instance: PSNR, dB"] == "24.823"
    assert costs["L-CoIns"]["starts from"] == "image encoder random, text encoder random"
    assert "Not there yet" not in (scenes / "table1.md").read_text()


def test_costs_are_those_of_the_checkpoint(scenes):
    *_, costs = tables_of((scenes / "table1.md").read_text())
    held = torch.load(scenes / "scenes" / "lcoins" / "seed0" / "checkpoint-last.pth", weights_only=True)["tensors"]
    system = models.create_model(models.SCENES_MODEL)
    assert costs["L-CoIns"]["parameters"] == f"{models.parameter_count(system):,}"
    assert held.keys() == system.state_dict().keys()
    gflop = {title: float(row["GFLOP an image"]) for title, row in costs.items()}
    assert 0 < gflop["L-CoIns"] == gflop["w/o CL"] < gflop["InstColorization, fusion"]
    assert all(float(row["images/s"]) > 0 and float(row["training, images/s"]) > 0 for row in costs.values())


def test_photographs_show_the_figures_of_the_tests(photos):
    lines, text = read_csv(photos / "table1.csv"), (photos / "table1.md").read_text()
    printed, obeyed, apart, costs = tables_of(text)
    files = {row: photos / "photos" / row / "seed0" / "test" / "per_image.csv" for row in PHOTO_ROWS}
    values = {row: [float(r["model_psnr"]) for r in comparison.read_rows(file)] for row, file in files.items()}
    for row in PHOTO_ROWS:
        title, line = table_rows.row_of(row, "photos").title, lines[row, "", "psnr"]
        mean = sum(values[row]) / 4
        assert float(line["mean"]) == pytest.approx(mean) and float(line["low"]) <= mean <= float(line["high"])
        assert printed[title]["PSNR, dB"].split()[0] == f"{mean:.3f}"
        found = json.loads((files[row].parent / "metrics.json").read_text()).get("obedience")
        assert (found is None) == (row == "instcolorization_full") == (obeyed[title]["over another's"] == "-")
        if found is not None:
            gain = found["model"]["description_gain"]["empty"]["psnr"]["mean"]
            assert obeyed[title]["gain over no caption, dB"].split()[0] == f"{gain:.3f}"
        if row != "lcoins":
            less = sum(values["lcoins"]) / 4 - mean
            assert float(lines[row, "", "difference_psnr"]["mean"]) == pytest.approx(less)
            assert apart[title]["PSNR, dB"].split()[0] == f"{less:.3f}"
    assert apart["L-CoIns"]["PSNR, dB"] == "-"
    for row, (coco, many) in PAPER.items():
        assert len(coco) == len(many) == 3 and coco[0] > many[0] > 19 and row in table_rows.NAMES
    assert printed["L-CoDe"]["paper, extended COCO-Stuff: SSIM"] == "0.91657"
    assert printed["InstColorization, full"]["paper, extended COCO-Stuff: SSIM"] == "-"
    assert set(printed) == {"L-CoIns", "L-CoDe", "InstColorization, full", "ab = 0"} and len(costs) == 3


def test_the_plot_has_a_point_for_each_figure(scenes, photos):
    for folder, panels in ((scenes, 4), (photos, 4)):  # PSNR, SSIM, response, gain: no LPIPS here
        picture = ElementTree.fromstring((folder / "table1.svg").read_text())
        circles = [e for e in picture.iter() if e.tag.endswith("circle")]
        assert len(circles) == (3 * panels if folder == scenes else 3 * 2 + 2 * 2)
        width = float(picture.get("width"))
        assert all(0 < float(circle.get("cx")) < width for circle in circles)
        curves = [e for e in picture.iter() if e.tag.endswith("polyline")]
        assert [len(curve.get("points").split()) for curve in curves] == [EPOCHS] * (2 if folder == scenes else 3)
    log = [json.loads(line) for line in (photos / "photos" / "lcode" / "seed0" / "log.jsonl").read_text().splitlines()]
    (held,) = [row for row in json.loads((photos / "table1.json").read_text())["photos"] if row["row"] == "lcode"]
    assert held["training"]["curve"] == [[line["step"], line["val"]["model"]["psnr"]] for line in log]
    assert apart([5.0, 1.0, 5.5], 2.0, 10.0) == [5.0, 1.0, 7.0] and apart([9.0, 9.5], 2.0, 10.0) == [8.0, 10.0]
    assert ticks_of(0.0, 20.0) == [0, 10, 20] and ticks_of(24.1, 24.9) == [24.0, 24.5, 25.0]
    assert ticks_of(5.0, 5.0) == [4, 6] and ticks_of(0.0, 0.0) == [0, 0.5] and ticks_of(-1.0, 1.0) == [-1, 0, 1]


def test_the_page_shows_the_same_pictures_of_every_row(scenes, photos):
    page = (photos / "index.html").read_text()
    assert page.count("<figure>") == 4 and "table1.svg" in page
    for place in range(4):
        pictures = [(photos / f"index_files/photos_{place:02}_{number}.png").read_bytes() for number in range(5)]
        assert len({*pictures[1:4]}) == 3 and f"photos_{place:02}_4.png" in page  # gray, three rows, truth
    page = (scenes / "index.html").read_text()
    assert page.count("<figure>") == 3 * len(TEST_SPLITS)
    assert page.count("<img") == 1 + 4 * page.count("<figure>") and "(painted " in page
    assert all((scenes / src.split('"')[0]).is_file() for src in page.split('src="')[1:])


# ---- equal trainings


def test_every_row_gets_the_same_updates_of_the_same_batch(scenes, photos):
    for folder, kind, names in ((scenes, "scenes", SCENE_ROWS), (photos, "photos", PHOTO_ROWS)):
        for row in names:
            run = folder / kind / row / "seed0"
            stages = sorted(run.glob("stage*")) or [run]
            flags = [yaml.safe_load((stage / "args.yaml").read_text()) for stage in stages]
            assert sum(log_of(stage)["step"] for stage in stages) == UPDATES
            assert len(stages) == (3 if row == "instcolorization_fusion" else 1)
            assert {own["batch_size"] for own in flags} == {BATCH} and {own["seed"] for own in flags} == {0}
            assert {own["scenes" if kind == "scenes" else "epoch_pairs"] for own in flags} == {8}
    full, without = (yaml.safe_load((scenes / "scenes" / n / "seed0" / "args.yaml").read_text())
                     for n in ("lcoins", "wo_cl"))  # fmt: skip
    assert {key for key in full if full[key] != without[key]} == {"counter_color", "output_dir"}


def planned(tmp_path: Path, kind: str, data: Path, names=table_rows.NAMES) -> dict[str, list]:
    """Of every row the flags of its stages."""
    budget = table_runs.Budget(1200, 8, 12)
    found = {}
    for name in names:
        run = table_runs.plan(table_rows.row_of(name, kind), kind, 5, tmp_path, budget, str(data), [])
        found[name] = [run_colorization.parse(stage.flags) for stage in run.stages]
    return found


@pytest.mark.parametrize("kind", ["scenes", "photos"])
def test_all_rows_are_planned_alike(tmp_path, data, kind):
    found = planned(tmp_path, kind, data)
    assert {name: len(stages) for name, stages in found.items() if len(stages) > 1} == {
        "lcad": 4, "instcolorization_fusion": 3,
    }  # fmt: skip
    for stages in found.values():
        assert sum(args.epochs for args in stages) == 12 and {args.batch_size for args in stages} == {8}
        assert {args.scenes if kind == "scenes" else args.epoch_pairs for args in stages} == {800}
        if kind == "scenes":
            assert {args.scene_curriculum for args in stages} == {0}
        else:
            assert {(*args.crop_scale, args.flip, args.recolor) for args in stages} == {(0.5, 1.0, 0.5, 0.0)}
    args = found["lcode"][0]  # one of its config's epochs
    assert args.warmup_epochs == pytest.approx(12 / (40 if kind == "scenes" else 12))
    assert [args.epochs for args in found["instcolorization_fusion"]] == [9, 2, 1]
    assert [args.linear_epochs for args in found["instcolorization_fusion"]] == [4, 1, 1]
    if kind == "photos":
        assert args.vocabulary == str(data / "cap-img-pairs_train.json")


@pytest.mark.parametrize("kind", ["scenes", "photos"])
def test_the_order_of_the_pictures_hangs_on_no_system(tmp_path, data, kind):
    """Names, captions and pixels of two epochs, of every row that reads words."""
    names = [name for name in table_rows.NAMES if not name.startswith("instcolorization")]
    seen = {}
    for name, (args, *_) in planned(tmp_path, kind, data, names).items():
        inputs = models.system_of(args.model).inputs | ({"counter"} if name == "lcoins" else frozenset())
        given = options.pick(datasets.options_of(args.data_set), args)
        path = args.data_path if kind == "photos" else None
        dataset = datasets.build_dataset(given, path, "train", 16, True, inputs, args.seed)
        length = getattr(given, "epoch_pairs", 0)
        tokenizer = CaptionTokenizer.from_vocabulary()
        loader = loading.build_loader(dataset, tokenizer, 8, 0, True, seed=args.seed, epoch_length=length)
        seen[name] = []
        for epoch in range(2):
            loading.set_epoch(loader, epoch)
            order = list(loader.sampler)[:16]
            assert len(loader) == 100
            seen[name] += [(s.name, s.caption, s.rgb.sum().item()) for s in map(dataset.__getitem__, order)]
    assert all(samples == seen["lcoins"] for samples in seen.values())
    assert len({*seen["lcoins"]}) > 20


def test_epochs_of_some_pairs_go_on_in_one_order(data):
    given = datasets.CaptionedOptions(epoch_pairs=4)
    loader = datasets.build_train_loader(given, str(data), NO_WORDS, 2, 0, 3, False)
    orders = []
    for epoch in range(5):
        loading.set_epoch(loader, epoch)
        orders.append(list(loader.sampler))
        assert len(orders[-1]) == len(loader) * 2 == 4
    held = len(loader.dataset)  # 10: each once, no captions being read
    flat = [i for order in orders for i in order]
    assert sorted(flat[:held]) == sorted(flat[held:]) == list(range(held)) and flat[:held] != flat[held:]
    whole = datasets.build_train_loader(datasets.CaptionedOptions(), str(data), NO_WORDS, 2, 0, 3, False)
    assert list(whole.sampler) == flat[:held]
    loading.set_epoch(loader, 1, seen=2)
    assert list(loader.sampler) == orders[1][2:]


def test_stages_share_the_epochs_of_a_row():
    row = table_rows.row_of("lcad", "scenes")
    assert table_runs.divided(12, (6, 4, 2), row) == [6, 4, 2]
    assert table_runs.divided(12, (2500, 4687, 1250, 3125), row) == [3, 5, 1, 3]
    assert table_runs.divided(4, (100, 1, 1, 1), row) == [1, 1, 1, 1]
    with pytest.raises(table_runs.InputError, match=r"--epochs 3: lcad has 4 stages"):
        table_runs.divided(3, (1, 1, 1, 1), row)


# ---- again, in parts, on other machines


def test_a_second_call_runs_nothing(copy, started):
    before = (copy / "table1.csv").read_bytes()
    call(copy, "--data", "scenes")
    assert not started and (copy / "table1.csv").read_bytes() == before


def test_a_killed_row_goes_on_with_the_stage_that_was_not_whole(copy, started):
    run = copy / "scenes" / "instcolorization_fusion" / "seed0"
    (run / "test" / "index.html").unlink()
    for stage in ("stage2", "stage3"):
        (run / stage / "trained.txt").unlink()
    with pytest.raises(SystemExit) as stopped:
        call(copy, "--data", "scenes")
    ((*_, folder, resumes),) = started
    assert stopped.value.code == 3 and (folder, resumes) == (str(run / "stage2"), "--auto_resume")
    assert started[0][started[0].index("--finetune") + 1] == str(run / "stage1" / "checkpoint-last.pth")


def test_a_missing_test_is_made_again_alone(copy):
    before = {file: file.stat().st_mtime_ns for file in copy.glob("scenes/**/*") if file.is_file()}
    lines = read_csv(copy / "table1.csv")
    (copy / "scenes" / "wo_cl" / "seed0" / "test" / "index.html").unlink()
    call(copy, "--data", "scenes")
    changed = {str(file.relative_to(copy)) for file, time in before.items() if file.stat().st_mtime_ns != time}
    assert "scenes/wo_cl/seed0/test/metrics.json" in changed
    assert not [name for name in changed if "wo_cl/seed0/test" not in name and not name.endswith("flags.txt")]
    assert read_csv(copy / "table1.csv") == lines


def test_rows_are_spread_over_machines(tmp_path, started, capsys):
    with pytest.raises(SystemExit):
        call(tmp_path, "--data", "scenes", "--row", "wo_cl")
    assert [words[-2] for words in started] == [str(tmp_path / "scenes" / "wo_cl" / "seed0")]
    call(tmp_path, "--data", "scenes", "--row")
    said = "Not there yet: L-CoIns, seed 0, w/o CL, seed 0, InstColorization, fusion, seed 0."
    assert said in (tmp_path / "table1.md").read_text() and "not there yet, scenes" in capsys.readouterr().out


def test_the_table_is_of_what_is_there(copy, capsys):
    shutil.rmtree(copy / "scenes" / "lcoins")
    call(copy, "--data", "scenes", "--row", "wo_cl")
    text = (copy / "table1.md").read_text()
    accuracy, apart, *_ = tables_of(text)
    assert "Not there yet: L-CoIns, seed 0." in text and "L-CoIns" not in accuracy and "w/o CL" in accuracy
    assert {*apart["w/o CL"].values()} == {"-"}  # nothing to compare with


def test_seeds_have_lines_and_a_mean(copy):
    for row in ("lcoins", "wo_cl"):
        own = copy / "scenes" / row
        shutil.copytree(own / "seed0", own / "seed3")
        flags = (own / "seed3" / "flags.txt").read_text().replace("--seed 0", "--seed 3")
        (own / "seed3" / "flags.txt").write_text(flags)
    table = own / "seed3" / "test" / "per_instance.csv"
    table.write_text(table.read_text().replace("False", "True"))
    metrics = json.loads((own / "seed3" / "test" / "metrics.json").read_text())
    metrics["clear"]["accuracy"] = {"mean": 1.0, "low": 1.0, "high": 1.0}
    (own / "seed3" / "test" / "metrics.json").write_text(json.dumps(metrics))
    call(copy, "--data", "scenes", "--seeds", 0, 3, rows=("lcoins", "wo_cl"))
    accuracy, apart, *_ = tables_of((copy / "table1.md").read_text())
    assert list(accuracy)[3:6] == ["w/o CL, seed 0", "w/o CL, seed 3", "w/o CL, 2 seeds"]
    first = float(accuracy["w/o CL, seed 0"]["clear"].split()[0])
    assert accuracy["w/o CL, 2 seeds"]["clear"] == f"{(100 + first) / 2:.1f} [{first:.1f}, 100.0]"
    assert accuracy["w/o CL, seed 3"]["clear"] == "100.0 [100.0, 100.0]"
    assert apart["L-CoIns, 2 seeds"]["clear"] == "-" and float(apart["w/o CL, seed 3"]["clear"].split()[0]) < 0


def test_a_finished_run_stands_for_a_row(scenes, tmp_path, started):
    test = scenes / "scenes" / "lcoins" / "seed0" / "test"
    with pytest.raises(SystemExit):
        call(tmp_path, "--data", "scenes", "--done", f"lcoins={test}", rows=("lcoins", "wo_cl"))
    assert [words[-2] for words in started] == [str(tmp_path / "scenes" / "wo_cl" / "seed0")]
    call(tmp_path, "--data", "scenes", "--done", f"lcoins={test}", "--row", "lcoins", rows=("lcoins", "wo_cl"))
    accuracy, *_, costs = tables_of((tmp_path / "table1.md").read_text())
    wanted, *_ = tables_of((scenes / "table1.md").read_text())
    assert accuracy["L-CoIns"] == wanted["L-CoIns"] and costs["L-CoIns"]["parameters"] == "-"  # no checkpoint is there
    training = scenes / "scenes" / "wo_cl" / "seed0"
    with pytest.raises(SystemExit):
        call(tmp_path, "--data", "scenes", "--done", f"wo_cl={training}", "--row", "wo_cl", rows=("lcoins", "wo_cl"))
    flags = started[-1]
    assert "--test" in flags and flags[flags.index("--finetune") + 1] == str(training / "checkpoint-last.pth")
    assert flags[flags.index("--output_dir") + 1] == str(tmp_path / "scenes" / "wo_cl" / "seed0" / "test")


def test_rows_are_tested_under_captions_of_other_colours_too(photos, data, tmp_path):
    assert user_study.main(["captions", str(data), str(tmp_path / "replaced"), "--images", "2"]) == 0
    copy, rows = tmp_path / "copy", ("lcoins",)
    (copy / "photos").mkdir(parents=True)
    shutil.copytree(photos / "photos" / "lcoins", copy / "photos" / "lcoins")
    call(copy, "--data_path", data, "--replaced", tmp_path / "replaced", rows=rows)
    (found,) = rows_of_output(copy, (PHOTOS,), replaced=True)
    run = copy / "photos" / "lcoins" / "seed0"
    assert (found.title, found.test, found.replaced) == ("L-CoIns", run / "test", run / "replaced")
    captions = [row["caption"] for row in comparison.read_rows(found.replaced / "per_image.csv")]
    assert captions == [caption for _, caption in read_pairs(tmp_path / "replaced", "test")]
    assert rows_of_output(copy, (PHOTOS,)) == rows_of_output(copy / "photos", (PHOTOS,)) == [found]
    assert rows_of_output(tmp_path, (PHOTOS,)) is None


def test_a_dry_run_tells_speed_and_hours(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(table1, "TRIED", 1)
    call(tmp_path / "none", "--data", "scenes", "--dry_run", rows=("lcode", "instcolorization_fusion"))
    lines = {line[:44].strip(): line[44:].split() for line in capsys.readouterr().out.splitlines()}
    assert [name for name in lines if name.startswith("scenes: Inst")] == [
        f"scenes: InstColorization, fusion {stage}" for stage in ("full", "instance", "fusion")
    ]
    _, rate, updates, hours = lines["scenes: L-CoDe"]
    assert updates == "6" and float(hours) == pytest.approx(6 * BATCH / float(rate) / 3600, abs=0.006)
    assert not (tmp_path / "none").exists()


def test_a_training_by_several_processes_is_counted_whole(tmp_path):
    """Of which args.yaml has the pictures of one process. 8 updates of 16 at 4 a second, then 4 of 16 at 2."""
    (tmp_path / "args.yaml").write_text("batch_size: 8\nupdate_freq: 1\n")
    lines = [{"step": 8, "images_per_second": 4}, {"step": 12, "images_per_second": 2, "val": {"model": {"psnr": 20}}}]
    (tmp_path / "log.jsonl").write_text("".join(f"{json.dumps(line | {'update_images': 16})}\n" for line in lines))
    found = cost.of_training([tmp_path])
    assert (found["updates"], found["batch_size"], found["val"]["psnr"]) == (12, 16, 20)
    assert found["hours"] == pytest.approx(64 / 3600) and found["images_per_second"] == 3.0
    (tmp_path / "log.jsonl").write_text(json.dumps(lines[0]))
    with pytest.raises(
        table_runs.InputError, match=r"log\.jsonl: a line without update_images.*--done ROW=FOLDER/test"
    ):
        cost.of_training([tmp_path])


# ---- bad input


@pytest.mark.parametrize(
    ("words", "flags", "message"),
    [
        (["--data", "scenes"], [*FLAGS, "--lr", "0.5"], "--lr 0.5 --seed 0 now; pass the former"),
        (["--data", "scenes"], [*FLAGS, "--lrr", "0.5"], "-- --lrr: no row knows it"),
        (["--data", "scenes"], [*FLAGS, "--epochs", "5"], "-- --epochs: is decided for every row alike"),
        (["--data", "scenes"], ["5"], "each begins with --"),
        ([], FLAGS, "pass --data scenes, or --data_path DATA"),
        (["--data", "scenes", "--updates", 7], FLAGS, "epochs of equal length do not give them; pass --updates 6"),
        (["--data", "scenes", "--epochs", 2], FLAGS, "instcolorization_fusion has 3 stages"),
        (["--data", "scenes", "--batch_size", 0], FLAGS, "--batch_size 0: pass at least 1"),
        (["--data", "scenes", "--rows", "lcoins", "lcoimns"], FLAGS, "--rows lcoimns: unknown"),
        (["--data", "scenes", "--rows", "lcoins", "lcoins"], FLAGS, "name each row once"),
        (["--data", "scenes", "--rows", "lcoins=x.yaml"], FLAGS, "a name of your own"),
        (["--data", "scenes", "--rows", "own=x.yaml"], FLAGS, "x.yaml"),
        (["--data", "scenes", "--row", "lbie"], FLAGS, "--row lbie: none of --rows"),
        (["--data", "scenes", "--done", "lbie=x"], FLAGS, "--done lbie=x: write ROW=FOLDER"),
        (["--data", "scenes", "--done", "lcoins=x"], FLAGS, "--done lcoins=x: holds neither a test"),
        (
            ["--data", "scenes", "--rows", "lcode", "--dry_run"],
            [*FLAGS, "--backbone_weights", "no/such/file.pth"],
            "lcode: --backbone_weights no/such/file.pth: not there; make it as",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_by_name(scenes, started, capsys, words, flags, message):
    call(scenes, *words, flags=flags, status=2)
    said = capsys.readouterr().err
    assert said.startswith("table1.py: ") and message in said and not started


def test_a_folder_that_lacks_what_a_row_needs_is_refused_before_any_training(tmp_path, started, capsys):
    data = write_data(tmp_path / "data", {"train": 8, "val": 2})
    call(tmp_path / "out", "--data_path", data, rows=("lcoins",), status=2)
    assert f"{data}/cap-img-pairs_test.json: not there; pass a folder with a test split" in capsys.readouterr().err
    write_data(data / "more", {"test": 2})
    shutil.move(data / "more" / "test", data / "test")
    shutil.move(data / "more" / "cap-img-pairs_test.json", data)
    call(tmp_path / "out", "--data_path", data, rows=("lcoins", "lcoder"), status=2)
    assert (
        "correspondence_train.json: not there; write it with: python scripts/correspondence" in capsys.readouterr().err
    )
    call(tmp_path / "out", "--data_path", data, rows=("lcoins", "instcolorization_fusion"), status=2)
    assert (
        f"boxes_train.json: not there; write it with: python scripts/detect_boxes.py {data}" in capsys.readouterr().err
    )
    assert not started
    with pytest.raises(SystemExit):  # the rows that are asked for alone need it
        call(tmp_path / "out", "--data_path", data, "--row", "lcoins", rows=("lcoins", "lcoder"))


def test_encoders_that_are_not_there_are_told_before_any_training(tmp_path, started, capsys):
    missing = [*FLAGS, "--image_encoder_weights", "output/nothing/here.safetensors"]
    call(tmp_path, "--data", "scenes", rows=("instcolorization_full", "lcoins"), flags=missing, status=2)
    said = capsys.readouterr().err
    assert "lcoins: --image_encoder_weights output/nothing/here.safetensors: not there; make it as" in said
    assert "-- --image_encoder_weights random" in said and not started
    with pytest.raises(SystemExit):
        call(tmp_path, "--data", "scenes", rows=("instcolorization_full",), flags=missing)


def test_flags_go_to_the_runs_that_know_them(tmp_path, data):
    budget = table_runs.Budget(12, 4, 3)
    common = shlex.split("--image_encoder_weights random --no-flip --beta -2e-4")
    for name, wanted in (("lcoins", ["--image_encoder_weights", "random", "--beta", "-2e-4"]), ("lcode", [])):
        args = run_colorization.parse(["--config", table_rows.row_of(name, "scenes").configs[0]])
        assert table_runs.known_flags(args, common) == wanted
    run = table_runs.plan(table_rows.row_of("lcoins", "scenes"), "scenes", 0, tmp_path, budget, None, common[:2])
    assert run_colorization.parse(run.stages[0].flags).image_encoder_weights == "random"


# ---- figures


def test_paired_difference_of_hand_made_answers(tmp_path):
    scenes = [0, 0, 1, 2, 2]

    def tested(name: str, *correct: int, more: str = "") -> RowResult:
        (tmp_path / name).mkdir(parents=True)
        answers = enumerate(zip(scenes, correct, strict=True))
        rows = [f"clear,{scene},a.png,cup,{place},{bool(right)},True,1,1" for place, (scene, right) in answers]
        text = (
            "\n".join(["split,index,name,noun,color,correct,counter_correct,error,counter_error", *rows]) + f"\n{more}"
        )
        (tmp_path / name / "per_instance.csv").write_text(text)
        return RowResult(name, name, 0, tmp_path / name)

    ours, theirs = (
        tested("ours", 1, 1, 1, 0, 1, more="clear,3,a.png,cup,red,True,True,1,1\n"),
        tested("theirs", 0, 0, 1, 1, 1),
    )
    assert differences("scenes", ours, ours)["clear", "accuracy"] == {"mean": 0.0, "low": 0.0, "high": 0.0}
    values, groups = (torch.tensor(x) for x in ([1.0, 1, 0, -1, 0], scenes))
    apart = differences("scenes", ours, theirs)  # scene 3 is in one test alone
    assert apart["clear", "accuracy"] == bootstrap_interval(values, groups)._asdict()
    assert math.isclose(apart["clear", "accuracy"]["mean"], 1 / 5)
    assert ("instances", "accuracy") not in apart and apart["clear", "counter_accuracy"]["mean"] == 0.0
