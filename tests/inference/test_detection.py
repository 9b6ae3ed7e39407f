"""The detector: what it is shown, what of its findings is kept, and the file that scripts/detect_boxes.py writes."""

import json

import numpy as np
import pytest
import torch
from conftest import write_data
from PIL import Image
from torchvision.models.detection import maskrcnn_resnet50_fpn, maskrcnn_resnet50_fpn_v2

from datasets.boxes import Wanted, classes, read_boxes
from inference import detection
from inference.detection import Detector
from scripts import detect_boxes
from utils.errors import InputError


class Found:
    """In the place of the network: it finds the same in every picture, and keeps what it was shown."""

    def __init__(self, boxes: list[list[float]], scores: list[float], labels: list[int]) -> None:
        self.found = {"boxes": torch.tensor(boxes), "scores": torch.tensor(scores), "labels": torch.tensor(labels)}
        self.shown: list[torch.Tensor] = []

    def __call__(self, pictures: list[torch.Tensor]) -> list[dict[str, torch.Tensor]]:
        self.shown += pictures
        return [self.found]


@pytest.fixture
def found(monkeypatch) -> Found:
    boxes = [[0, 0, 20, 10], [10, 5, 40.5, 20], [5, 5, 6, 6], [7, 7, 7.0001, 9], [30, 0, 40, 20]]
    fake = Found(boxes, [0.71, 0.99, 0.69, 0.9, 0.8], [1, 18, 1, 1, 90])
    monkeypatch.setattr(Detector, "__init__", lambda self, *_: self.__dict__.update(network=fake, device="cpu"))
    return fake


def test_the_network_sees_gray_and_the_best_are_kept(found):
    rgb = np.zeros((20, 40, 3), np.uint8)
    rgb[:, 20:] = 200, 30, 90
    rows = Detector()(Image.fromarray(rgb))
    # the wide one is cut at the edge; the third is too uncertain, the fourth has no area
    assert rows == [
        [0.25, 0.25, 1.0, 1.0, 0.99, classes().index("dog")],
        [0.75, 0.0, 1.0, 1.0, 0.8, classes().index("toothbrush")],
        [0.0, 0.0, 0.5, 0.5, 0.71, classes().index("person")],
    ]
    assert Detector()(Image.fromarray(rgb), Wanted(most=1)) == rows[:1]
    (shown, _) = found.shown
    assert shown.shape == (3, 20, 40) and torch.equal(shown[0], shown[2])
    assert shown[0, 0, 0] == 0 and 0.4 < shown[0, 0, 30] < 0.5  # L of 200, 30, 90 is 43.6


def test_every_picture_has_its_row_and_an_interrupted_run_goes_on(found, tmp_path, capsys, monkeypatch):
    data = write_data(tmp_path / "data", {"train": 4, "val": 2})
    (data / "boxes_train.json.unfinished").write_text('{"0.jpg": []}')
    assert detect_boxes.main([str(data)]) == 0
    assert "boxes_train.json: 9 objects on 4 pictures" in capsys.readouterr().out
    assert len(found.shown) == 3 + 2 and not (data / "boxes_train.json.unfinished").exists()
    boxes = read_boxes(data / "boxes_train.json", [f"{i}.jpg" for i in range(4)], Wanted())
    assert [len(own) for own in boxes.values()] == [0, 3, 3, 3]

    monkeypatch.setattr(found, "shown", [])
    calls = iter([1, 2])
    monkeypatch.setattr(Detector, "__call__", lambda self, *_: [] if next(calls, None) else interrupt())
    with pytest.raises(KeyboardInterrupt):  # the third picture
        detect_boxes.main([str(data), "--splits", "train"])
    assert len(json.loads((data / "boxes_train.json.unfinished").read_text())) == 2
    assert detect_boxes.main([str(tmp_path)]) == 2
    assert "no train, val or test in it" in capsys.readouterr().err


def interrupt():
    raise KeyboardInterrupt


@pytest.mark.parametrize("given", ["fits", "another", "nothing"])
def test_weights_fit_whole_or_not_at_all(given, tmp_path, monkeypatch):
    path = tmp_path / "weights.pth"
    if given == "nothing":
        monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))

        def refuse(*_, **__):
            raise OSError("no network here")

        monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
        assert not detection.is_cached()
        with pytest.raises(InputError, match=r"no network here.*--detector_weights: maskrcnn_resnet50_fpn_v2"):
            Detector()
        return
    build = maskrcnn_resnet50_fpn_v2 if given == "fits" else maskrcnn_resnet50_fpn
    torch.manual_seed(0)
    torch.save(build(weights=None, weights_backbone=None).state_dict(), path)
    if given == "another":
        with pytest.raises(InputError, match=r"--detector_weights .*ResNet-50-FPN v2.*does not fit this network"):
            Detector(str(path))
        return
    detector = Detector(str(path), side=32)
    rows = detector(Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)), Wanted(3))
    assert len(rows) <= 3 and all(len(row) == 6 and 0 <= row[5] < 80 for row in rows)
