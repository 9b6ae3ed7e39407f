"""From captions and gray pictures to a file of masks: which object each phrase gets, form, resuming, errors."""

import functools
import json
import shutil

import huggingface_hub
import numpy as np
import pytest
import torch
from conftest import write_data
from PIL import Image
from tiny_networks import save_grounding_dino, save_sam

from datasets import build_dataset
from datasets.batch import Collate
from datasets.boxes import Box
from datasets.captioned_options import CaptionedOptions
from inference import hub_models
from inference.detection import gray_copy
from inference.grounding import PhraseDetector, Scored
from inference.mask_finder import MaskFinder, folders_of
from inference.segmentation import Segmenter
from scripts import find_masks
from utils.errors import InputError

SIZES = ((40, 30), (30, 44), (40, 30))  # of pictures: width, height


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """Folders of a detector and a segmenter."""
    folder = tmp_path_factory.mktemp("networks")
    return save_grounding_dino(folder / "grounding_dino"), save_sam(folder / "sam")


def pictures() -> list[Image.Image]:
    rng = np.random.default_rng(0)
    return [
        Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
        for size in SIZES
    ]


# ---- the networks


def test_phrases_of_several_pictures_are_found_as_of_each_alone(networks):
    detector = PhraseDetector(str(networks[0]), least_score=0.0)
    phrases = [["ball", "double decker bus"], [], ["hat", "green leaf", "hat", *(f"box no. {i}" for i in range(20))]]
    together = detector(pictures(), phrases)
    assert [list(one) for one in together] == [list(dict.fromkeys(own)) for own in phrases]
    for picture, own, expected in zip(pictures(), phrases, together, strict=True):
        (alone,) = detector([picture], [own])
        for phrase in own:
            assert 0 < len(alone[phrase]) == len(expected[phrase]) <= 12
            torch.testing.assert_close(alone[phrase], expected[phrase], atol=1e-5, rtol=1e-4)
            scores = [scored.score for scored in alone[phrase]]
            assert scores == sorted(scores, reverse=True)
            assert all(0 <= b.left < b.right <= 1 and 0 <= b.top < b.bottom <= 1 for _, b in alone[phrase])
    first, second = together[0].values()
    assert [scored.score for scored in first] != [scored.score for scored in second]
    (beyond,) = detector(pictures()[:1], [["box", "xylophone " * 30]])  # more tokens than the network reads
    assert beyond["box"] and not beyond["xylophone " * 30]
    few = PhraseDetector(str(networks[0]), least_score=0.68)(pictures(), phrases)
    assert 0 < sum(map(len, few[0].values())) < len(first) + len(second)


def test_a_phrase_is_scored_by_its_own_tokens(networks):
    """Against logits in which each token says another query."""
    detector = PhraseDetector(str(networks[0]), least_score=0.5)

    class Read(torch.nn.Module):
        config = detector.network.config

        def forward(self, input_ids, **_):
            logits = torch.full((1, 4, 16), -9.0)
            # [CLS] ball . double decker bus . hat . [SEP]
            for token, query in ((1, 2), (3, 0), (4, 0), (5, 0), (5, 3), (7, 1), (2, 3), (6, 3)):
                logits[0, query, token] = 9.0
            boxes = torch.tensor([[0.5, 0.5, 0.2 * (q + 1), 0.1] for q in range(4)])[None]
            return type("Output", (), {"logits": logits, "pred_boxes": boxes})

    detector.network = Read()
    (found,) = detector(pictures()[:1], [["ball", "double decker bus", "hat"]])
    widths = {phrase: [round(s.box.right - s.box.left, 3) for s in own] for phrase, own in found.items()}
    assert widths == {"ball": [0.6], "double decker bus": [0.2], "hat": [0.4]}


def test_the_networks_see_no_colour(networks):
    shown = []
    detector, segmenter = PhraseDetector(str(networks[0]), least_score=0.0), Segmenter(str(networks[1]))
    for held in (detector, segmenter):
        read = held.processor.image_processor
        held.processor.image_processor = lambda images, read=read, **o: shown.append(images) or read(images, **o)
    detector(pictures(), [["ball"]] * 3)
    segmenter.embed(pictures())
    assert sum(map(len, shown)) == 6
    for image in (image for images in shown for image in images):
        red, green, blue = np.asarray(image).transpose(2, 0, 1)
        assert (red == green).all() and (green == blue).all() and np.ptp(red) > 50


def test_masks_have_their_picture_s_size_alone_and_together(networks):
    segmenter = Segmenter(str(networks[1]))
    together = segmenter.embed(pictures())
    boxes = [Box(0.1, 0.2, 0.6, 0.9), Box(0.5, 0.0, 1.0, 0.4), Box(0.1, 0.2, 0.6, 0.9)]
    for place, ((width, height), picture) in enumerate(zip(SIZES, pictures(), strict=True)):
        alone = segmenter.embed([picture])
        masks = segmenter.in_boxes(together, place, boxes)
        assert masks.shape == (3, height, width) and masks.dtype == bool
        assert (masks[0] == masks[2]).all()
        assert (masks != segmenter.in_boxes(alone, 0, boxes)).mean() < 0.01
        point = segmenter.at(together, place, 0.3, 0.6)
        assert point.shape == (height, width) and (point != segmenter.at(alone, 0, 0.3, 0.6)).mean() < 0.01


@torch.no_grad()
def test_boxes_and_points_are_those_of_transformers_own_processor(networks):
    """Which takes them in pixels of the picture."""
    segmenter = Segmenter(str(networks[1]))
    for (width, height), picture in zip(SIZES[:2], pictures()[:2], strict=True):
        embedded = segmenter.embed([picture])
        boxes = [Box(0.1, 0.2, 0.6, 0.9), Box(0.5, 0.0, 1.0, 0.4)]
        in_pixels = [[[x0 * width, y0 * height, x1 * width, y1 * height] for x0, y0, x1, y1 in boxes]]
        for asked, several, found in (
            ({"input_boxes": in_pixels}, False, segmenter.in_boxes(embedded, 0, boxes)),
            ({"input_points": [[[0.7 * width, 0.2 * height]]]}, True, segmenter.at(embedded, 0, 0.7, 0.2)[None]),
        ):
            read = segmenter.processor(images=[gray_copy(picture)], return_tensors="pt", **asked)
            sizes = [read.pop(name) for name in ("original_sizes", "reshaped_input_sizes")]
            read = {name: held.float() for name, held in read.items()}
            output = segmenter.network(**read, multimask_output=several)
            (masks,) = segmenter.processor.image_processor.post_process_masks(output.pred_masks, *sizes)
            best = output.iou_scores[0].argmax(dim=-1)
            expected = torch.stack([own[place] for own, place in zip(masks, best, strict=True)])
            assert expected.shape == found.shape and (expected.numpy() == found).all() and found.any()


# ---- which object each phrase gets


class Detected:
    """In the detector's place: the same objects in every picture."""

    def __init__(self, **objects: list[tuple[float, Box]]) -> None:
        self.objects = {name: [Scored(*one) for one in own] for name, own in objects.items()}

    def __call__(self, pictures, phrases):
        return [{phrase: self.objects.get(phrase, []) for phrase in own} for own in phrases]


class Rectangles:
    """In the segmenter's place: a box's mask is the box."""

    def embed(self, pictures):
        return [picture.size for picture in pictures]

    def in_boxes(self, embedded, place, boxes):
        width, height = embedded[place]
        masks = np.zeros((len(boxes), height, width), bool)
        for mask, box in zip(masks, boxes, strict=True):
            top, bottom = round(box.top * height), round(box.bottom * height)
            mask[top:bottom, round(box.left * width) : round(box.right * width)] = True
        return masks


LEFT, MIDDLE, RIGHT = Box(0, 0, 0.3, 1), Box(0.4, 0, 0.6, 1), Box(0.7, 0, 1, 1)


def find(captions: list[str], **objects: list[tuple[float, Box]]) -> dict[str, np.ndarray]:
    (found,) = MaskFinder(Detected(**objects), Rectangles())([Image.new("RGB", (100, 100))], [captions])
    return {one.phrase: one.mask for one in found}


def columns(mask: np.ndarray) -> tuple[int, int]:
    inside = np.nonzero(mask.any(axis=0))[0]
    return int(inside[0]), int(inside[-1]) + 1


def test_things_of_one_noun_have_the_best_objects_from_left_to_right():
    found = find(
        ["a red car", "a green car beside a red car, and a hat"],
        car=[(0.9, RIGHT), (0.8, LEFT), (0.7, MIDDLE)],
    )
    assert {name: columns(mask) for name, mask in found.items()} == {"green car": (0, 30), "red car": (70, 100)}


def test_a_phrase_without_an_object_has_no_mask():
    assert list(find(["a red car and a blue hat", "two dogs"], hat=[(0.9, LEFT)])) == ["blue hat"]
    assert find(["two dogs"]) == {} and find(["a red car"]) == {}


def test_long_phrases_come_first_so_that_none_is_found_in_another():
    found = find(["a red car", "a red fire car"], car=[(0.9, LEFT)], **{"fire car": [(0.9, LEFT)]})
    assert list(found) == ["red fire car", "red car"]


def test_of_two_phrases_of_a_caption_with_one_object_the_less_certain_goes():
    boxes = {"car": [(0.6, LEFT)], "bus": [(0.7, LEFT)]}
    assert list(find(["a red car and a blue bus"], **boxes)) == ["blue bus"]
    assert sorted(find(["a red car", "a blue bus"], **boxes)) == ["blue bus", "red car"]  # two names of one thing


def test_a_part_has_its_place_in_the_whole():
    dress, bag = Box(0, 0, 0.5, 1), Box(0.1, 0.2, 0.3, 0.4)
    found = find(["a woman in a red dress with a blue bag"], dress=[(0.5, dress)], bag=[(0.9, bag)])
    assert found["blue bag"].sum() == 20 * 20 and found["red dress"].sum() == 50 * 100 - 20 * 20
    assert not (found["blue bag"] & found["red dress"]).any()


def test_what_vanishes_in_a_small_square_is_left_out():
    thin = Box(0.5, 0.5, 0.504, 1)
    caption = ["a red pole and a blue car"]
    boxes = {"pole": [(0.9, thin)], "car": [(0.9, LEFT)]}
    (found,) = MaskFinder(Detected(**boxes), Rectangles())([Image.new("RGB", (1000, 1000))], [caption])
    assert [one.phrase for one in found] == ["blue car"]


def test_two_images_of_one_stem_have_folders_of_their_own():
    assert folders_of(["a.jpg", "a.png", "b/a.jpg", "c.jpg"]) == {
        "a.jpg": "a.jpg",
        "a.png": "a.png",
        "b/a.jpg": "b/a",
        "c.jpg": "c",
    }


# ---- the script


@pytest.fixture
def data(tmp_path):
    return write_data(tmp_path / "data", {"train": 1, "val": 1, "test": 4})


def run(data, networks, *flags) -> int:
    dino, sam = map(str, networks)
    words = [str(data), "--grounding_dino", dino, "--sam", sam, "--device", "cpu", "--least_score", "0.01", *flags]
    return find_masks.main(words)


def instances(data):
    dataset = build_dataset(CaptionedOptions(), str(data), "test", 16, inputs=frozenset({"instances"}))
    batch = Collate(None)([dataset[index] for index in range(len(dataset))])
    spans = zip(batch.instances.picture.tolist(), batch.instances.spans.tolist(), strict=True)
    return [(place, batch.captions[place][start:end]) for place, (start, end) in spans], batch.instances.masks


def test_the_file_is_one_that_data_sets_read_in_any_batch(data, networks, capsys):
    assert run(data, networks, "--batch_size", "3") == 0
    together = json.loads((data / "masks_test.json").read_text())
    assert "masks_test.json: " in capsys.readouterr().out and not (data / "masks_train.json").exists()
    assert list(together) == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"] and together["1.jpg"] == []  # "two dogs run"
    assert together["0.jpg"] == [["red ball", "0/0.png"]]
    assert Image.open(data / "masks_test" / "0" / "0.png").size == Image.open(data / "test" / "0.jpg").size
    names, masks = instances(data)
    assert names[0] == (0, "red ball") and {place for place, _ in names} <= {0, 2, 3} and masks.any()
    shutil.rmtree(data / "masks_test")
    (data / "masks_test.json").unlink()
    assert run(data, networks, "--splits", "test") == 0
    assert json.loads((data / "masks_test.json").read_text()) == together
    assert (instances(data)[1] != masks).float().mean() < 0.01


def test_it_goes_on_where_it_was_and_past_a_broken_picture(data, networks, capsys):
    (data / "masks_test.json.unfinished").write_text('{"0.jpg": []}')
    (data / "test" / "2.jpg").write_bytes(b"no picture")
    assert run(data, networks, "--splits", "test", "--batch_size", "4") == 1
    found = json.loads((data / "masks_test.json").read_text())
    assert list(found) == ["0.jpg", "1.jpg", "3.jpg"] and found["0.jpg"] == [] and found["3.jpg"]
    assert "2.jpg" in capsys.readouterr().err
    Image.new("L", (42, 40), 90).save(data / "test" / "2.jpg")
    assert run(data, networks, "--splits", "test") == 0
    assert "2.jpg" in json.loads((data / "masks_test.json").read_text())
    assert not (data / "masks_test.json.unfinished").exists()


def test_what_cannot_be_begun_is_told(data, networks, tmp_path, capsys):
    for words, said in (
        ([str(tmp_path / "none")], "no val or test in it"),
        ([str(data), "--batch_size", "0"], "--batch_size 0: pass 1 or more"),
        ([str(data), "--grounding_dino", str(networks[1])], "holds a network of the kind sam, not grounding-dino"),
        ([str(data), "--grounding_dino", str(networks[0]), "--sam", str(tmp_path)], r"`hf download facebook/sam-vit-b"),
    ):
        assert find_masks.main([*words, "--device", "cpu"]) == 2
        assert said in capsys.readouterr().err


def test_what_was_fetched_is_found_in_the_cache(tmp_path, monkeypatch):
    snapshot = tmp_path / "models--facebook--sam-vit-base" / "snapshots" / "1a2b"
    snapshot.mkdir(parents=True)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("1a2b")
    cache = functools.partial(huggingface_hub.try_to_load_from_cache, cache_dir=tmp_path)
    monkeypatch.setattr(hub_models, "try_to_load_from_cache", cache)
    (snapshot / "config.json").touch()
    assert hub_models.cached_folder("facebook/sam-vit-base") is None  # not whole
    (snapshot / "model.safetensors").touch()
    assert hub_models.cached_folder("facebook/sam-vit-base") == str(snapshot)


def test_a_hub_that_is_out_of_reach_and_a_folder_that_is_not_whole_are_told(networks, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert hub_models.cached_folder("nobody/no-such-network") is None
    with pytest.raises(
        InputError, match=r"--sam nobody/no-such-network: .*`hf download facebook/sam-vit-base --local-dir FOLDER`"
    ):
        Segmenter("nobody/no-such-network")
    from safetensors.torch import load_file, save_file

    shutil.copytree(networks[1], tmp_path / "sam")
    weights = load_file(tmp_path / "sam" / "model.safetensors")
    weights.pop("mask_decoder.iou_token.weight")
    save_file(weights, tmp_path / "sam" / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=r"lacks 1 tensors .*mask_decoder.iou_token.weight.*fetch it again"):
        Segmenter(str(tmp_path / "sam"))
