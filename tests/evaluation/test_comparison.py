"""scripts/compare.py and evaluation/comparison.py."""

import contextlib
import csv
import json
import math
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from conftest import ROOT, write_data
from PIL import Image

import run_colorization
from evaluation import comparison
from evaluation.report import save_pictures
from scripts import compare

# A's PSNR is higher on a.jpg (both captions) and c.jpg, lower on b.jpg; equal on d.jpg
PAIRS = [("a.jpg", "a red car"), ("b.jpg", "a blue bus"), ("a.jpg", "red, a car"), ("c.jpg", "grass"), ("d.jpg", "sky")]
PSNR_A, PSNR_B = (24.0, 20.0, 26.0, 30.0, 22.0), (21.0, 21.0, 25.0, 23.0, 22.0)
LPIPS_A, LPIPS_B = (0.1, 0.3, 0.1, 0.1, 0.2), (0.2, 0.2, 0.2, 0.2, 0.2)
GRAY, A, B, TRUTH = 90, 10, 20, 200


def write_test(folder, shade=A, psnr=PSNR_A, lpips=LPIPS_A, pairs=PAIRS, gray=22.0, side=8, **columns):
    """The output folder of a test, by hand: flat pictures."""
    lists = {"model_psnr": psnr, "gray_psnr": [gray] * len(pairs), "model_lpips": lpips} | columns
    rows = []
    for i, (name, caption) in enumerate(pairs):
        output = f"{name[0]}_{i}.png"
        panels = (np.full((side, side, 3), value, np.uint8) for value in (GRAY, shade, TRUTH, 0))
        save_pictures(folder, output, *panels)
        rows.append({"index": i, "name": name, "output": output, "caption": caption})
        rows[-1] |= {column: values[i] for column, values in lists.items()}
    with (folder / "per_image.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder / "per_image.csv"


@pytest.fixture
def tested(tmp_path):
    return write_test(tmp_path / "a"), write_test(tmp_path / "b", B, PSNR_B, LPIPS_B)


def refusal(capsys, *words) -> str:
    """In an empty folder: the default output of an earlier call would be refused before what is asked about."""
    with TemporaryDirectory() as empty, contextlib.chdir(empty):
        assert compare.main([str(word) for word in words]) == 2
    return capsys.readouterr().err


def run(tested, output, *words) -> dict:
    assert compare.main([*map(str, tested), "--output", str(output), *map(str, words)]) == 0
    return json.loads((output / "compare.json").read_text())


def test_an_image_counts_once_however_many_captions_it_has(tested, tmp_path):
    summary = run(tested, tmp_path / "out")
    psnr = summary["metrics"]["psnr"]
    assert (summary["images"], summary["pairs"]) == (4, 5)
    assert (psnr["wins"], psnr["losses"], psnr["ties"]) == (2, 1, 1)
    assert psnr["a"] == pytest.approx(24.4) and psnr["b"] == pytest.approx(22.4)
    assert psnr["difference"]["mean"] == pytest.approx(2.0)
    assert psnr["sign_test_p"] == pytest.approx(1.0)  # 2 of 3


def test_less_lpips_wins(tested, tmp_path):
    lpips = run(tested, tmp_path / "out")["metrics"]["lpips"]
    assert lpips["difference"]["mean"] < 0
    assert (lpips["wins"], lpips["losses"], lpips["ties"]) == (2, 1, 1)


def test_pictures_without_boxes_are_left_out_of_the_error_inside_them(tmp_path, capsys):
    a = write_test(tmp_path / "a", model_box_error=(1.0, "", 3.0, "", 5.0))
    b = write_test(tmp_path / "b", model_box_error=(2.0, "", 3.0, "", 4.5))
    inside = run((a, b), tmp_path / "out", "--rank_by", "box_error")["metrics"]["box_error"]
    assert inside["a"] == 3.0 and inside["difference"]["mean"] == pytest.approx(-0.5 / 3)
    assert (inside["wins"], inside["losses"], inside["ties"]) == (1, 1, 0)  # a.jpg and d.jpg
    with (tmp_path / "out" / "compare.csv").open() as file:
        assert [row["name"] for row in csv.DictReader(file)] == ["a.jpg", "d.jpg"]
    run((a, b), tmp_path / "all")
    with (tmp_path / "all" / "compare.csv").open() as file:
        assert {row["name"]: row["box_error_difference"] for row in csv.DictReader(file)}["b.jpg"] == ""
    write_test(tmp_path / "b", model_box_error=(2.0, "", 3.0, 1.0, 4.5))
    assert "c.jpg ('grass'), column model_box_error: '' is no number" in refusal(
        capsys, a, b, "--output", tmp_path / "other"
    )


def test_the_interval_draws_whole_images():
    rng = np.random.default_rng(0)
    effect = rng.normal(size=30)
    apart = {
        captions: comparison.compare(
            np.repeat(effect, captions),
            np.zeros(30 * captions),
            np.repeat(np.arange(30), captions).astype(str),
            "higher",
        ).summary["difference"]
        for captions in (1, 5)
    }
    assert apart[1] == pytest.approx(apart[5])  # five captions that say the same tell no more than one
    half = 1.96 * effect.std() / math.sqrt(30)
    assert apart[1]["high"] - apart[1]["mean"] == pytest.approx(half, rel=0.15)


def test_the_sign_test_leaves_ties_out():
    a, b = np.array([1.0] * 9 + [0.0] + [5.0] * 7), np.array([0.0] * 9 + [1.0] + [5.0] * 7)
    summary = comparison.compare(a, b, [str(i) for i in range(17)], "higher").summary
    assert (summary["wins"], summary["losses"], summary["ties"]) == (9, 1, 7)
    assert summary["sign_test_p"] == pytest.approx(2 * (1 + 10) / 2**10)  # two-sided binomial


def test_equal_pictures_win_without_entering_a_mean(tmp_path):
    infinite = (math.inf, 20.0, math.inf, 30.0, math.inf)
    tested = (
        write_test(tmp_path / "a", psnr=infinite),
        write_test(tmp_path / "b", psnr=(21.0, 21.0, 25.0, 29.0, math.inf)),
    )
    summary = run(tested, tmp_path / "out")
    psnr = summary["metrics"]["psnr"]
    assert psnr["infinite"] == 3 and psnr["difference"]["mean"] == 0.0
    assert (psnr["wins"], psnr["losses"], psnr["ties"]) == (2, 1, 1)
    assert summary["most_different"][0] == {
        "name": "a.jpg", "caption": "a red car", "psnr": "inf", "lpips": 0.0,
    }  # fmt: skip


def test_rows_are_paired_by_image_and_caption_whatever_their_order(tested, tmp_path):
    order = (3, 1, 4, 2, 0)
    shuffled = write_test(
        tmp_path / "c", B, [PSNR_B[i] for i in order], [LPIPS_B[i] for i in order], [PAIRS[i] for i in order]
    )
    straight = run(tested, tmp_path / "out")["metrics"]
    assert run((tested[0], shuffled), tmp_path / "out2")["metrics"] == straight


def test_images_that_differ_most_come_first_on_the_page(tested, tmp_path):
    out = tmp_path / "out"
    summary = run(tested, out, "--show", 2, "--names", "ours<", "base")
    assert [image["name"] for image in summary["most_different"]] == ["c.jpg", "a.jpg"]
    assert summary["most_different"][1]["caption"] == "a red car"  # 3 dB, its other caption 1 dB
    page = (out / "index.html").read_text()
    assert page.index("c.jpg") < page.index("a.jpg") and "b.jpg" not in page and "ours&lt;" in page
    for heading, shade in zip("gabt", (GRAY, A, B, TRUTH), strict=True):
        assert f"index_files/00_{heading}.png" in page
        assert abs(np.asarray(Image.open(out / "index_files" / f"00_{heading}.png")).mean() - shade) < 2
    with (out / "compare.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["name"], row["captions"], float(row["psnr_difference"])) for row in rows] == [
        ("c.jpg", "1", 7.0), ("a.jpg", "2", 2.0), ("b.jpg", "1", -1.0), ("d.jpg", "1", 0.0),
    ]  # fmt: skip


def test_images_can_be_ranked_by_another_metric(tmp_path):
    tested = write_test(tmp_path / "a"), write_test(tmp_path / "b", lpips=(0.1, 0.3, 0.1, 0.1, 0.9))
    summary = run(tested, tmp_path / "out", "--rank_by", "lpips", "--show", 1)
    assert summary["most_different"][0]["name"] == "d.jpg"


def test_lists_that_differ_are_refused_by_their_first_row(tmp_path, capsys):
    a, b = write_test(tmp_path / "a"), write_test(tmp_path / "b", pairs=[*PAIRS[:2], ("a.jpg", "other"), *PAIRS[3:]])
    said = refusal(capsys, a, b)
    assert str(a) in said and "row 4" in said and "red, a car" in said and str(b) in said
    shorter = write_test(tmp_path / "c", pairs=PAIRS[:4])
    assert "row 6: d.jpg" in refusal(capsys, shorter, a)
    twice = write_test(tmp_path / "d", pairs=[*PAIRS[:4], PAIRS[3]])
    once = write_test(tmp_path / "e", pairs=PAIRS[:4])
    assert "c.jpg" in (said := refusal(capsys, twice, once)) and "2. time" in said


def test_a_metric_of_unknown_direction_is_refused(tmp_path, capsys):
    tested = [write_test(tmp_path / side, model_taste=[i] * 5) for i, side in enumerate("ab")]
    assert "more or less of 'taste'" in refusal(capsys, *tested)
    assert "taste" not in run(tested, tmp_path / "out", "--metrics", "psnr")["metrics"]


def test_where_neither_is_better_nobody_wins():
    summary = comparison.compare(np.zeros(5), np.ones(5), [*"abcde"], comparison.NEITHER).summary
    assert summary["wins"] is None and summary["difference"]["mean"] == -1.0


def test_a_metric_that_one_test_lacks_is_refused(tmp_path, capsys):
    a, b = write_test(tmp_path / "a"), write_test(tmp_path / "b", model_ssim=[0.5] * 5)
    said = refusal(capsys, a, b)
    assert str(a) in said and "'model_ssim'" in said and "--metrics psnr lpips" in said


def test_tests_against_other_truths_are_refused(tested, tmp_path, capsys):
    other = write_test(tmp_path / "c", gray=25.0)
    assert "22.00 and 25.00 dB on a.jpg" in refusal(capsys, tested[0], other)
    rounded = write_test(tmp_path / "d", gray=22.2)  # within what truncation on another device does
    run((tested[0], rounded), tmp_path / "out")
    larger = write_test(tmp_path / "e", side=16)
    assert "8x8, 16x16" in refusal(capsys, tested[0], larger, "--output", tmp_path / "out2")


def test_strips_that_are_gone_are_told(tested, tmp_path, capsys):
    for file in tested:
        for strip in (file.parent / "index_files").iterdir():
            strip.unlink()
    assert "has no picture of c.jpg; test again" in refusal(capsys, *tested, "--output", tmp_path / "out")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "has no column 'index'"),
        (b"index,name,output,caption,model_psnr\n", "holds no row"),
        (b"index,name,output,caption,model_psnr\n0,a.jpg,a.png\n", "row 2"),
        (b"index,name,output,caption,model_psnr\n0,a.jpg,a.png,red,1,2\n", "row 2"),
        (b"index,name,output,caption,model_psnr\n0,a.jpg,a.png,red,\n", "'' is no number"),
        (b"index,name,output,caption,model_psnr\n0,a.jpg,a.png,red,nan\n", "'nan' is no number"),
        (b"index,name,output,caption,figure\n0,a.jpg,a.png,red,1\n", "starts with 'model_'"),
        (b"\xff\xfe\x00", "cannot be read"),
    ],
)
def test_damaged_tables_are_refused_by_name(tmp_path, capsys, content, said):
    (tmp_path / "per_image.csv").write_bytes(content)
    told = refusal(capsys, tmp_path / "per_image.csv", tmp_path / "per_image.csv")
    assert told.startswith("compare.py: ") and str(tmp_path / "per_image.csv") in told and said in told


def test_missing_files_are_refused_by_name(tested, tmp_path, capsys):
    assert str(tmp_path / "no.csv") in refusal(capsys, tmp_path / "no.csv", tested[1])
    (tested[1].parent / "c_3.png").unlink()
    assert "c_3.png" in refusal(capsys, *tested, "--output", tmp_path / "out")
    assert "--rank_by ssim" in refusal(capsys, *tested, "--output", tmp_path / "out", "--rank_by", "ssim")


def test_nothing_is_written_over_unasked(tested, tmp_path, capsys):
    run(tested, tmp_path / "out")
    assert "--overwrite" in refusal(capsys, *tested, "--output", tmp_path / "out")
    run(tested, tmp_path / "out", "--overwrite")
    assert "holds one of the tests" in refusal(capsys, *tested, "--output", tested[1].parent, "--overwrite")


def test_a_real_test_is_compared(tmp_path):
    data = write_data(tmp_path / "data", {"test": 3})
    words = ["--device", "cpu", "--data_path", str(data), "--num_workers", "0", "--amp", "none", "--test"]
    start = ["--finetune", str(ROOT / "checkpoints" / "scenes.safetensors"), "--output_dir", str(tmp_path / "test")]
    assert run_colorization.run([*words, *start]) == 0
    file = tmp_path / "test" / "per_image.csv"
    metrics = run((file, file), tmp_path / "out")["metrics"]  # of known direction, every one
    assert {"psnr", "ssim"} <= {*metrics}
    for metric in metrics.values():
        assert metric["difference"] in (None, {"mean": 0.0, "low": 0.0, "high": 0.0}) and not metric["wins"]
