"""scripts/compare.py on tests of scenes: hand-made answers of two systems and a third."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from evaluation import scene_comparison
from evaluation.report import STRIPS
from evaluation.statistics import bootstrap_interval
from evaluation.table1.results import LISTING
from scripts import compare

HEAD = "split,index,name,noun,color,answer,correct,error,gray_error,counter_correct,counter_error"
SCENES = [0, 0, 1, 2, 2, 2]
COLORS = ["red", "blue", "green", "red", "pink", "tan"]


def write_test(folder: Path, right: str, splits=("clear", "luminance"), left_out=(), noun="cup") -> Path:
    """right: of each instance of `clear` whether its colour is right, 1 or 0; elsewhere all are."""
    (folder / STRIPS).mkdir(parents=True)
    lines = [HEAD]
    for split in splits:
        for place, (scene, color, digit) in enumerate(zip(SCENES, COLORS, right, strict=True)):
            digit = digit if split == "clear" else "1"
            if place not in left_out:
                answer = color if digit == "1" else "brown"
                error = 5 - 3 * int(digit)
                own = f"{split},{scene},{split}_{scene}.png,{noun},{color},{answer},{digit == '1'},{error},20,True,4"
                lines.append(own)
            for ending in ("gray", "0"):
                Image.fromarray(np.full((8, 8, 3), scene, np.uint8)).save(
                    folder / STRIPS / f"{split}_{scene}_{ending}.png"
                )
    (folder / "per_instance.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_two_tests_of_scenes_are_compared_split_by_split(tmp_path, capsys):
    ours, theirs = write_test(tmp_path / "a", "110111"), write_test(tmp_path / "b", "101100")
    words = [ours, theirs, "--names", "ours", "theirs", "--output", tmp_path / "out"]
    assert compare.main(list(map(str, words))) == 0
    found = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert found["reference"] == "ours" and list(found["splits"]) == ["clear", "luminance"]
    accuracy = found["splits"]["clear"]["metrics"]["accuracy"]["theirs"]
    assert accuracy["a"] == pytest.approx(5 / 6) and accuracy["b"] == pytest.approx(3 / 6)
    values = torch.tensor([0.0, 1, -1, 0, 1, 1])
    assert accuracy["difference"] == bootstrap_interval(values, torch.tensor(SCENES))._asdict()
    assert (accuracy["wins"], accuracy["losses"], accuracy["ties"]) == (2, 1, 0)  # scenes 0 and 2; 1
    error = found["splits"]["clear"]["metrics"]["error"]["theirs"]
    assert error["difference"]["mean"] == pytest.approx(-1.0) and error["wins"] == 2  # lower is better
    with (tmp_path / "out" / "compare.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [(line["split"], line["index"]) for line in lines[:3]] == [("clear", "1"), ("clear", "2"), ("clear", "0")]
    said = capsys.readouterr().out
    assert "clear\n" in said and "ours less theirs [95 %]" in said and "scenes: ours wins" in said
    page = (tmp_path / "out" / "index.html").read_text()
    assert "ours and theirs on scenes" in page and "cup blue <b>(painted brown)</b>" in page
    assert len(list((tmp_path / "out" / STRIPS).iterdir())) == 2 * 3 * 3  # splits, scenes, gray and two tests


def test_the_output_of_table1_stands_for_its_rows_on_scenes(tmp_path):
    def reference(of, *words):
        call = [of, *words, "--output", tmp_path / "out", "--overwrite"]
        assert compare.main(list(map(str, call))) == 0
        return json.loads((tmp_path / "out" / "compare.json").read_text())

    rows = [{"row": name, "title": name.upper(), "seed": 0, "test": name} for name in ("lcode", "lcoins", "wo_ge")]
    for row, right in zip(rows, ("110111", "101100", "111111"), strict=True):
        write_test(tmp_path / row["test"], right)
    (tmp_path / LISTING).write_text(json.dumps({"scenes": rows, "photos": []}))
    found = reference(tmp_path)
    assert "<h1>LCOINS and 2 more on scenes</h1>" in (tmp_path / "out" / "index.html").read_text()
    assert found["reference"] == "LCOINS" and list(found["tests"]) == ["LCOINS", "LCODE", "WO_GE"]
    assert found["splits"]["clear"]["metrics"]["accuracy"]["WO_GE"]["difference"]["mean"] == pytest.approx(-0.5)
    photos = [{"row": "lcode", "title": "photographs'", "seed": 0, "test": "none"}]
    (tmp_path / LISTING).write_text(json.dumps({"scenes": rows, "photos": photos}))
    assert reference(tmp_path / "scenes", "--reference", "LCODE")["reference"] == "LCODE"


def test_only_instances_that_all_tests_have_count(tmp_path):
    folders = [
        write_test(tmp_path / "a", "111111"),
        write_test(tmp_path / "b", "000000", left_out=(1, 5)),  # as under a description of a lower level
        write_test(tmp_path / "c", "010101", splits=("clear",), left_out=(2,)),
    ]
    sources = [folder / "per_instance.csv" for folder in folders]
    compared = scene_comparison.compare_all(["a", "b", "c"], sources, ["accuracy"], seed=0)
    assert [len(rows) for rows in compared.rows] == [3, 3, 3]  # of scene 0 the first, of scene 2 two
    first, second = (own["clear"]["accuracy"].summary for own in compared.differences)
    assert first["difference"]["mean"] == 1.0 and second["difference"]["mean"] == pytest.approx(2 / 3)
    assert list(compared.differences[0]) == ["clear"]


def test_what_cannot_be_compared_is_refused_by_name(tmp_path, capsys):
    ours = write_test(tmp_path / "a", "111111")
    other = write_test(tmp_path / "b", "111111", noun="hat")
    photos = tmp_path / "c"
    photos.mkdir()
    (photos / "per_image.csv").write_text("index,name,output,caption,model_psnr\n0,a.png,a.png,a cup,20\n")
    broken = write_test(tmp_path / "d", "111111")
    text = (broken / "per_instance.csv").read_text()
    (broken / "per_instance.csv").write_text(text.replace("red,red,True", "red,red,perhaps"))
    silent = tmp_path / "e"  # as a test at the level scarce leaves it
    silent.mkdir()
    (silent / "per_instance.csv").write_text("split,index,name\n")
    for tests, more, message in (
        (
            (ours, silent),
            (),
            "e/per_instance.csv: has no column 'noun'; pass the per_instance.csv that --test writes, under captions"
            " that name colours (--level scarce names none)",
        ),
        ((ours, other), (), "b/per_instance.csv: tests of other scenes"),
        ((ours, photos), (), "c/per_image.csv: of scenes and of photographs; compare tests of one kind"),
        ((ours, broken), (), "column correct: 'perhaps' is no number"),
        ((ours, ours), ("--metrics", "psnr"), "--metrics psnr: of scenes, choose among accuracy"),
        ((ours, ours), ("--rank_by", "psnr"), "--rank_by psnr --show 3: rank by one of accuracy"),
    ):
        assert compare.main([*map(str, tests), "--output", str(tmp_path / "out"), *more]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "out" / "compare.json").exists()
