"""Word-level systems by the command line: trained on scenes and photographs, resumed, tested, used, exported."""

import dataclasses
import json
import logging

import numpy as np
import pytest
import tiny_lcad
import torch
from conftest import write_data
from PIL import Image

import models
import run_colorization
from datasets import CaptionedOptions, SceneOptions, build_dataset
from datasets.batch import Batch
from datasets.words.color_phrases import propose
from datasets.words.correspondence import matrices
from inference import Colorizer
from inference.photo import from_image
from models.lcad.config import STAGES
from models.text import CaptionTokenizer
from models.vocabulary import from_captions, read_vectors, read_vocabulary
from scripts import correspondence, export
from utils import color
from utils.errors import InputError

WORDS = ["--vocabulary", "{list}"]
BACKBONE = ["--backbone_weights", "random"]
SYSTEMS = {
    "lbie_small": [*WORDS, "--word_vectors", "random"],
    "lcoder_small": ["--image_encoder_weights", "random", "--text_encoder_weights", "random"],
    "lcode_small": [*WORDS, *BACKBONE],
    "ml2018_small": [*WORDS, *BACKBONE, "--word_vectors", "random"],
    "xie2018_small": [*WORDS, *BACKBONE, "--word_vectors", "random"],
}


@pytest.mark.parametrize("name", SYSTEMS)
def test_by_the_command_line(name, tmp_path, capfd):
    data = write_data(tmp_path / "data", {"train": 4, "val": 1, "test": 2})
    pairs = data / "cap-img-pairs_train.json"
    out = ["--output_dir", str(tmp_path / "run")]
    words = ["--model", name, "--data_path", str(data), "--device", "cpu", "--num_workers", "0", "--batch_size", "2"]
    words += [word.format(list=pairs) for word in SYSTEMS[name]]
    words += ["--warmup_epochs", "0", "--input_size", "64", *out]
    if "correspondence" in run_colorization.models.system_of(name).inputs:
        assert run_colorization.run([*words, "--epochs", "1"]) == 2
        told = capfd.readouterr().err
        assert f"{data}/correspondence_train.json: not there" in told and "python scripts/correspondence.py" in told
        assert correspondence.main([str(pairs), str(data / "correspondence_train.json")]) == 0
    assert run_colorization.run([*words, "--epochs", "1"]) == 0
    assert run_colorization.run([*words, "--epochs", "2", "--auto_resume"]) == 0
    last = tmp_path / "run" / "checkpoint-last.pth"
    held = torch.load(last, weights_only=True)
    assert held["epoch"] == 2 and json.loads(held["tokenizer"])["model"]["type"] in ("WordLevel", "WordPiece")
    test = ["--finetune", str(last), "--data_path", str(data), "--device", "cpu", "--num_workers", "0", "--test"]
    assert run_colorization.run([*test, "--output_dir", str(tmp_path / "test")]) == 0
    assert json.loads((tmp_path / "test" / "metrics.json").read_text())["count"] == 2
    assert export.main([str(last), str(tmp_path / "it.safetensors"), "--dtype", "float32"]) == 0
    gray = from_image(Image.fromarray(np.full((20, 31), 120, np.uint8)))
    images = []
    for file in (last, tmp_path / "it.safetensors"):
        colorizer = Colorizer.from_checkpoint(file, "cpu", "none")
        (colored,) = colorizer.colorize(colorizer.encode(gray), ["a red zeppelin"], explain_words=True)
        assert colored.image.size == (31, 20) and len(colored.explanation.words) > 0
        images.append(np.asarray(colored.image))
    assert np.array_equal(*images)


def test_scenes_give_their_pairs_and_classes():
    inputs = frozenset({"correspondence", "labels"})
    scenes = build_dataset(SceneOptions(scenes=8), None, "train", 32, True, inputs=inputs)
    seen = scenes.render(range(8))
    for place, sample in enumerate(scenes.__getitems__(range(8))):
        words = sample.caption.split()
        named = int(seen.named[place].sum() + seen.background_named[place])
        assert len(sample.correspondence) == named and all(words[c - 1].strip(",") for _, c in sample.correspondence)
        for k, mask in enumerate(seen.masks[place]):
            assert (sample.labels[mask] == seen.shapes[place, k]).all()
        assert (sample.labels[seen.background_mask[place]] == 15 + seen.background[place]).all()
    plain = build_dataset(SceneOptions(scenes=8), None, "val", 32, inputs=inputs)
    assert plain.correspondence is None and plain[0].labels is None


def test_label_maps_follow_the_crop_and_the_flip(tmp_path):
    data = write_data(tmp_path, {"train": 2})
    (data / "labels_train").mkdir()
    with Image.open(data / "train" / "0.jpg") as picture:
        width, height = picture.size
    columns = np.tile((np.arange(width) >= width // 2).astype(np.uint8) * 7, (height, 1))
    Image.fromarray(columns).save(data / "labels_train" / "0.png")
    options = CaptionedOptions(crop_scale=(1.0, 1.0), flip=1.0)
    given = build_dataset(options, str(data), "train", 16, True, inputs=frozenset({"labels"}))
    first, second = given[0], given[1]
    assert "right" in first.caption and set(first.labels[:, :7].unique().tolist()) == {7}
    assert set(first.labels[:, 9:].unique().tolist()) == {0} and set(second.labels.unique().tolist()) == {255}
    Image.new("RGB", (width, height)).save(data / "labels_train" / "0.png")
    with pytest.raises(InputError, match=r"0.png: is RGB; a map of classes is an 8-bit picture"):
        given[0]


def test_unknown_words_and_empty_captions_have_a_token():
    tokenizer = CaptionTokenizer.of_words(["[PAD]", "[UNK]", "red", "car"], 3)
    words = tokenizer(["A RED-car zeppelin flies", "", "car"])
    assert words.ids.tolist() == [[1, 2, 3], [1, 0, 0], [3, 0, 0]] and words.mask.sum(1).tolist() == [3, 1, 1]
    assert tokenizer([""]).ids.tolist() == [[1]]
    again = CaptionTokenizer.from_json(tokenizer.to_json())
    assert again.limit == 3 and torch.equal(again(["red red red car"]).ids, torch.tensor([[2, 2, 2]]))
    assert tokenizer.cut(["red car red car", "red"]) == 1
    public = CaptionTokenizer.of_words(["the", "red"], 3)  # a list of others, without an unknown word
    assert public(["red zeppelin"]).ids.tolist() == [[1, 0]]


def small(name, **numbers):
    """At 32 pixels, from nothing, in use."""
    flags = dict(zip(SYSTEMS[name][::2], SYSTEMS[name][1::2], strict=True))
    given = {flag.removeprefix("--"): "scenes" if flag == "--vocabulary" else word for flag, word in flags.items()}
    torch.manual_seed(0)
    config = models.config_of(name, **given, img_size=32, **numbers)
    return models.system_of(name).from_scratch(name, config).eval()


@pytest.mark.parametrize("name", [*SYSTEMS, *(f"lcad_small {stage}" for stage in STAGES)])
def test_a_recoloured_photograph_teaches_as_the_one_that_its_caption_asks_for(name):
    name, _, stage = name.partition(" ")
    system = tiny_lcad.tiny(stage) if stage else small(name)
    shape, captions = (3, 1, system.img_size, system.img_size), ["a red car", "a blue bus", "a green car"]
    gray, own, asked = torch.rand(shape) * 0.4 - 0.2, torch.zeros(3, 2, *shape[2:]), torch.full((2, 2), 0.1)
    asked = torch.stack([asked, -asked], dim=1)[:, :, :, None, None].expand(2, 2, 2, *shape[2:])  # within sRGB
    pairs = [propose(caption) for caption in captions]
    encodings = system.tokenizer.tokenizer.encode_batch(captions)
    correspondence = matrices(captions, pairs, [encoding.offsets for encoding in encodings])
    batch = Batch.plain(color.colorize(gray, own), captions, system.tokenizer(captions))
    batch = dataclasses.replace(batch, correspondence=correspondence)
    shown = color.colorize(gray, torch.stack([asked[0, 0], own[1], asked[1, 0]]))
    batches = batch, dataclasses.replace(batch, recolored=asked, recolored_at=torch.tensor([0, 2]))
    found = []
    for given in (*batches, dataclasses.replace(batch, rgb=shown)):
        torch.manual_seed(1)
        with torch.no_grad():
            found.append(system(given))
    plain, recolored, expected = found
    close = {"rtol": 2e-5, "atol": 1e-6}
    torch.testing.assert_close(recolored, expected, **close)
    with pytest.raises(AssertionError):
        torch.testing.assert_close(plain, expected, **close)


LIMITS = {"lbie": 77, "lcoder": 20, "lcode": 15, "ml2018": 80, "xie2018": 20}  # words, as published


@pytest.mark.parametrize("name", LIMITS)
def test_captions_beyond_the_limit_are_cut_and_said_once(name, caplog):
    assert models.config_of(name).limit == LIMITS[name]
    system = small(f"{name}_small", limit=4)
    rgb, captions = torch.rand(3, 32, 32).expand(2, -1, -1, -1), ["a red car beside a blue bus", "a red car beside"]
    assert system.tokenizer(captions).mask.sum(dim=1).tolist() == [4, 4]
    with caplog.at_level(logging.WARNING), torch.no_grad():
        for _ in range(2):
            ab = system.colorize(Batch.plain(rgb, captions, system.tokenizer(captions))).ab
    assert [record.message for record in caplog.records] == [
        f"captions of more than 4 words are cut: {name}_small reads no more"
    ]
    torch.testing.assert_close(ab[0], ab[1])  # nothing behind the cut is read


def test_vocabularies_are_read_or_refused(tmp_path):
    assert from_captions(["a red car", "Red, a!", "a dog"]) == ["[PAD]", "[UNK]", "a", "red"]
    data = write_data(tmp_path, {"train": 8})
    assert "red" in read_vocabulary(str(data / "cap-img-pairs_train.json"))
    scenes = read_vocabulary("scenes")
    assert {"purple", "hat", "striped", "in", "front"} < set(scenes) and len(scenes) < 120
    file = tmp_path / "words.txt"
    for text, message in (("pad\nred\nred", "has 'red' twice"), ("pad", "has 1 words")):
        file.write_text(text)
        with pytest.raises(InputError, match=message):
            read_vocabulary(str(file))
    with pytest.raises(InputError, match=r"--vocabulary .*nothing.txt"):
        read_vocabulary(str(tmp_path / "nothing.txt"))
    with pytest.raises(InputError, match=r"pass a cap-img-pairs_<split>.json"):
        read_vocabulary(str(tmp_path / "list.json"))


def test_word_vectors_are_read_or_refused(tmp_path):
    tokenizer, file = CaptionTokenizer.of_words(["[PAD]", "[UNK]", "red", "car"], 3), tmp_path / "glove.txt"
    file.write_text("the 1 2\nred 3 4\n")
    vectors, found = read_vectors(str(file), tokenizer, 2)
    assert vectors.tolist() == [[0, 0], [0, 0], [3, 4], [0, 0]] and found.tolist() == [False, False, True, False]
    with pytest.raises(InputError, match="'red' has 2 numbers; this model's have 3"):
        read_vectors(str(file), tokenizer, 3)
    file.write_text("dog 1 2\n")
    with pytest.raises(InputError, match="has none of the 4 words"):
        read_vectors(str(file), tokenizer, 2)
    with pytest.raises(InputError, match="--word_vectors is not given"):
        read_vectors(None, tokenizer, 2)
    assert read_vectors("random", tokenizer, 2) is None
    with pytest.raises(InputError, match="pass --learn_words, or a file of vectors"):
        read_vectors("random", tokenizer, 2, learn=False)
