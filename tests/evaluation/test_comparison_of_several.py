"""scripts/compare.py on more than two tests."""

import csv
import json

import numpy as np
import pytest
from PIL import Image
from test_comparison import GRAY, PAIRS, TRUTH, refusal, run, write_test

from evaluation import comparison
from evaluation.table1.results import LISTING

# a.jpg stands twice. Best on a.jpg: first; on b.jpg: second by 1; on c.jpg: third by 5; d.jpg: all alike
PSNR = {
    "first": (24.0, 20.0, 26.0, 20.0, 22.0),
    "second": (21.0, 22.0, 25.0, 23.0, 22.0),
    "third": (22.0, 21.0, 25.0, 28.0, 22.0),
}
SHADES = {"first": 10, "second": 20, "third": 30}


@pytest.fixture
def tested(tmp_path):
    return [write_test(tmp_path / name, SHADES[name], PSNR[name], (0.1,) * 5) for name in PSNR]


def test_each_is_compared_with_the_reference(tested, tmp_path):
    files = [tested[0], tested[1].parent, tested[2]]  # a folder will do
    summary = run(files, tmp_path / "out", "--names", *PSNR, "--reference", "second")
    psnr = summary["metrics"]["psnr"]
    assert summary["reference"] == "second" and list(psnr) == ["first", "third"]
    assert psnr["first"]["difference"]["mean"] == pytest.approx(np.mean(PSNR["second"]) - np.mean(PSNR["first"]))
    assert (psnr["first"]["wins"], psnr["first"]["losses"], psnr["first"]["ties"]) == (2, 1, 1)
    assert (psnr["third"]["wins"], psnr["third"]["losses"], psnr["third"]["ties"]) == (1, 2, 1)
    two = run([tested[1], tested[2]], tmp_path / "two")
    assert two["metrics"]["psnr"] == psnr["third"]
    with (tmp_path / "out" / "compare.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["c.jpg", "a.jpg", "b.jpg", "d.jpg"]  # 5, 2, 2, 0 from the reference
    assert float(rows[0]["psnr_difference_first"]) == 3.0 and float(rows[0]["psnr_difference_third"]) == -5.0


def test_each_shows_the_images_on_which_it_is_ahead_of_all(tested, tmp_path):
    out = tmp_path / "out"
    best = run(tested, out, "--names", *PSNR)["best"]
    assert {name: [image["name"] for image in images] for name, images in best.items()} == {
        "first": ["a.jpg"], "second": ["b.jpg"], "third": ["c.jpg"],
    }  # fmt: skip
    assert best["first"][0]["caption"] == "a red car"  # ahead by 2, under the other caption by 1
    shades = (GRAY, *SHADES.values(), TRUTH)
    for place in range(3):
        for heading, shade in zip("gabct", shades, strict=True):
            picture = np.asarray(Image.open(out / "index_files" / f"{place:02}_{heading}.png"))
            assert abs(picture.mean() - shade) < 2
    page = (out / "index.html").read_text()
    assert page.count("<figure>") == 3 and "d.jpg" not in page and "third: the 1 images" in page
    assert page.count("<table>") == 2
    assert run(tested, tmp_path / "lpips", "--rank_by", "lpips", "--names", *PSNR)["best"]["first"] == []


def test_the_lead_is_over_the_best_of_the_others_and_less_lpips_leads():
    names = [name for name, _ in PAIRS]
    apart = [
        comparison.compare(np.array(PSNR["first"]), np.array(PSNR[name]), names, comparison.HIGHER)
        for name in ("second", "third")
    ]
    best = comparison.best_images(apart, names, comparison.HIGHER, 5)
    assert best == [[(0, 1.5)], [(1, 1.0)], [(3, 5.0)]]  # a.jpg: 25 against 23 and 23.5
    assert comparison.best_images(apart, names, comparison.HIGHER, 0) == [[], [], []]
    least = comparison.best_images(apart, names, comparison.LOWER, 5)
    assert [[i for i, _ in own] for own in least] == [[3, 1], [0], []]
    infinite = comparison.compare(np.array([1.0, np.inf]), np.array([np.inf, np.inf]), ["a", "b"], comparison.HIGHER)
    assert comparison.best_images([infinite, infinite], ["a", "b"], comparison.HIGHER, 5) == [[], [], []]


def test_the_output_of_table1_stands_for_its_rows(tested, tmp_path, capsys):
    rows = [
        {"row": name, "title": f"the {name}", "seed": seed, "test": name} for name in PSNR for seed in (0, 1)
    ]  # a second seed is left out
    (tmp_path / LISTING).write_text(json.dumps({"scenes": [], "photos": rows}))
    assert run([tmp_path], tmp_path / "out")["reference"] == "the first"
    rows[-1]["row"] = rows[-2]["row"] = "lcoins"  # what stands for L-CoIns is the reference
    (tmp_path / LISTING).write_text(json.dumps({"scenes": [], "photos": rows}))
    assert run([tmp_path], tmp_path / "own")["reference"] == "the third"
    assert run([tested[0], tmp_path], tmp_path / "more")["reference"] == "the third"
    assert run([tmp_path], tmp_path / "other", "--reference", "the second")["reference"] == "the second"
    (tmp_path / LISTING).write_text(json.dumps({"scenes": [], "photos": []}))
    message = "has no row on photos or scenes; run scripts/table1.py with --data_path DATA or --data scenes"
    assert message in refusal(capsys, tmp_path, tested[0])
    (tmp_path / LISTING).write_text(json.dumps({"scenes": rows}))
    assert f"{tmp_path / LISTING}: is no list of rows" in refusal(capsys, tmp_path, tested[0])


def test_what_cannot_be_compared_is_refused(tested, tmp_path, capsys):
    assert "1 tests: pass two or more" in refusal(capsys, tested[0])
    assert "each of the 3 tests a name of its own" in refusal(capsys, *tested, "--names", "a", "b")
    assert "each of the 3 tests a name of its own" in refusal(capsys, *tested, "--names", "a", "b", "a")
    assert "--reference D: none of the tests; pass one of A, B, C" in refusal(capsys, *tested, "--reference", "D")
    shorter = write_test(tmp_path / "short", pairs=PAIRS[:4])
    assert "row 6: d.jpg" in refusal(capsys, *tested, shorter)
    other = write_test(tmp_path / "other", gray=25.0)
    assert "22.00 and 25.00 dB on a.jpg" in refusal(capsys, *tested[:2], other)
    neither = [write_test(tmp_path / f"n{i}", model_colorfulness=[i] * 5) for i in range(3)]
    assert "neither better nor worse" in refusal(capsys, *neither, "--rank_by", "colorfulness")
