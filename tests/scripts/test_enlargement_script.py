"""scripts/enlargement.py: the table says which enlargement is nearer the truth."""

import numpy as np
import skimage.data
import torch
from PIL import Image

from scripts import enlargement
from utils import color


def test_the_guided_enlargement_is_best_in_both_columns():
    photo = skimage.data.coffee()
    plain, guided = (enlargement.quality(photo, 64, enlargement.ENLARGEMENTS[n]) for n in ("bicubic", "guided (ours)"))
    assert guided[0] > plain[0] + 0.5 and guided[1] < 0.95 * plain[1]


def test_an_enlargement_that_returns_the_truth_has_no_error():
    photo = skimage.data.astronaut()[:64, :64]

    def truth(photo, _):
        return color.rgb_to_lab(torch.from_numpy(photo / np.float32(255)).permute(2, 0, 1)[None])[0, 1:].numpy()

    found = enlargement.quality(photo, 16, truth)
    assert found[0] > 55 and found[1] == 0


def test_photographs_without_colour_are_refused(tmp_path, capsys):
    Image.fromarray(skimage.data.camera()).save(tmp_path / "gray.png")
    assert enlargement.main([str(tmp_path / "gray.png")]) == 2
    assert "no photograph has colours" in capsys.readouterr().err
