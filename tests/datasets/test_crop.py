"""Random crops against torchvision, and a whole training sample against Pillow's and torchvision's plain calls."""

import json

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from datasets.captioned_images import CaptionedImages
from datasets.captioned_options import CaptionedOptions
from datasets.image_files import draw_crop, squash
from datasets.words.mirror import mirror

SCALE, RATIO = (0.3, 0.9), [3 / 4, 4 / 3]


def test_crops_are_torchvisions_own_and_its_generator_stays():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    drawn = [draw_crop(61, 47, SCALE, seed) for seed in range(20)]
    assert torch.equal(torch.rand(3), expected)
    for seed, crop in enumerate(drawn):
        torch.manual_seed(seed)
        assert crop == v2.RandomResizedCrop.get_params(torch.empty(1, 47, 61), list(SCALE), RATIO)
    assert len(set(drawn)) == 20


def test_squash_is_pillows_resize():
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (31, 43, 3), dtype=np.uint8))
    box = (2.5, 1.0, 40.0, 29.5)
    expected = F.pil_to_tensor(image.resize((17, 17), Image.Resampling.BILINEAR, box=box))
    assert torch.equal(squash(image, 17, box), expected) and squash(image, 17, box).is_contiguous()


@pytest.mark.parametrize("kind", ["plain.jpg", "turned.jpg", "turned.png", "gray.png", "clear.png", "large.jpg"])
def test_a_training_sample_is_that_of_the_plain_calls(tmp_path, kind):
    draw, size = np.random.default_rng(1), 24
    small = Image.fromarray(draw.integers(0, 256, (5, 6, 3), dtype=np.uint8))
    picture = small.resize((600, 440) if kind == "large.jpg" else (75, 61), Image.Resampling.BICUBIC)
    picture = {"gray.png": picture.convert("L"), "clear.png": picture.convert("RGBA")}.get(kind, picture)
    exif = Image.Exif()
    if kind.startswith("turned"):
        exif[0x0112] = 6
    (tmp_path / "train").mkdir()
    file, caption = tmp_path / "train" / kind, "a red ball on the left"
    picture.save(file, exif=exif)
    (tmp_path / "cap-img-pairs_train.json").write_text(json.dumps([[kind, caption]]))
    dataset = CaptionedImages(tmp_path, "train", size, CaptionedOptions(SCALE, 0.5), seed=3)

    for epoch in range(4):
        dataset.epoch = epoch
        draw = np.random.default_rng((3, epoch, 0))
        plain = ImageOps.exif_transpose(Image.open(file)).convert("RGB")
        width, height = plain.size
        torch.manual_seed(int(draw.integers(2**63)))
        top, left, h, w = v2.RandomResizedCrop.get_params(torch.empty(1, height, width), list(SCALE), RATIO)
        shrink = min(w, h) / size
        if kind in ("plain.jpg", "large.jpg") and shrink > 1:
            reduced = Image.open(file)
            reduced.draft("RGB", (int(width / shrink), int(height / shrink)))
            plain = reduced.convert("RGB")
            assert kind == "plain.jpg" or plain.width < width
        x, y = plain.width / width, plain.height / height
        box = (left * x, top * y, (left + w) * x, (top + h) * y)
        rgb = F.pil_to_tensor(plain.resize((size, size), Image.Resampling.BILINEAR, box=box))
        flipped = draw.random() < 0.5
        sample = dataset[0]
        assert sample.caption == (mirror(caption) if flipped else caption)
        assert torch.equal(sample.rgb, F.horizontal_flip(rgb) if flipped else rgb)
