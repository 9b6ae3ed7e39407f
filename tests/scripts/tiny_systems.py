"""Systems of the least widths there are, in the places of their small siblings: trained in a second."""

from dataclasses import replace

import pytest

import models
from models.instcolorization import SMALL as SMALL_INSTCOLORIZATION
from models.instcolorization import InstColorization
from models.layers.bert import SMALL_BERT
from models.lcode import SMALL as SMALL_LCODE
from models.lcode import LCoDe
from models.lcoins import SCENES as SMALL_LCOINS
from models.lcoins import LCoIns

__all__ = ["InstColorization", "LCoDe", "LCoIns"]

SIZE = 32
TEXT = SMALL_BERT | {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
_WIDTHS = {"image_width": 16, "image_depth": 1, "image_heads": 2, "text_config": TEXT, "dim": 16, "depth": 1}
LCOINS = replace(SMALL_LCOINS, **_WIDTHS, img_size=SIZE, num_heads=2, num_groups=3, channels=(4, 4, 4, 4))
LCODE = replace(SMALL_LCODE, img_size=SIZE, width=2, word_width=8)
INSTCOLORIZATION = replace(SMALL_INSTCOLORIZATION, img_size=SIZE, width=2)
# On scenes and photographs alike.
FLAGS = ["--amp", "none", "--input_size", str(SIZE), "--num_workers", "0"]
FLAGS += ["--image_encoder_weights", "random", "--text_encoder_weights", "random", "--backbone_weights", "random"]
FLAGS += ["--eval_scenes", "2"]


def register(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(models.MODELS, models.SCENES_MODEL, ("tiny_systems", "LCoIns", "LCOINS"))
    monkeypatch.setitem(models.MODELS, "lcode_small", ("tiny_systems", "LCoDe", "LCODE"))
    small = ("tiny_systems", "InstColorization", "INSTCOLORIZATION")
    monkeypatch.setitem(models.MODELS, "instcolorization_small", small)
