"""A network as an ONNX graph: onnxruntime gives PyTorch's numbers, and the same picture."""

import json
import sys
from functools import partial

import numpy as np
import onnx
import onnx_ir
import onnxruntime
import pytest
import torch
from conftest import ROOT, write_data
from PIL import Image
from transformers import BertConfig

import run_colorization
from datasets.batch import Batch
from inference import Colorizer, onnx_file
from inference.onnx_file import OnnxSystem
from inference.photo import from_image
from models import RELEASE_MODEL, SCENES_MODEL, create_model
from models.text import BERT_VOCABULARY, CaptionTokenizer, Words, without_marks
from scripts import colorize, export
from utils import color
from utils.errors import InputError

CHECKPOINT = ROOT / "checkpoints" / "scenes.safetensors"
CAPTIONS = ["a red ball on the left and a blue cup on the right", "a green box", ""]
GRAY = Image.fromarray(np.random.default_rng(2).integers(0, 256, (90, 130)).astype(np.uint8))
TOLERANCE = 1e-5  # of ab in [-1, 1]; the colours of a photograph have 8 bits


def marked():
    return without_marks(CaptionTokenizer.from_vocabulary(BERT_VOCABULARY))


def shallow(**overrides):
    """With what the paper's model has and the checkpoint's has not: InstanceNorm."""
    return create_model(SCENES_MODEL, marked(), depth=1, image_depth=1, normalize=True, **overrides)


def without_groups():
    return shallow(group_tokens=False)


def release():
    """The authors' architecture in small, which pads every caption to 80 words."""
    text = {"hidden_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 14}
    numbers = {"img_size": 48, "image_width": 24, "image_depth": 1, "image_heads": 3, "dim": 20, "depth": 2}
    numbers |= {"num_heads": 5, "num_groups": 4, "group_mixing": 6, "channels": (10, 8, 6, 5, 3)}
    return create_model(RELEASE_MODEL, marked(), **numbers, text_config=BertConfig(**text))


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """The repository's checkpoint, exported."""
    path = tmp_path_factory.mktemp("onnx") / "scenes.onnx"
    assert export.main([str(CHECKPOINT), str(path)]) == 0
    return path


@pytest.fixture(scope="module")
def pair(file):
    """PyTorch's and onnxruntime's Colorizer."""
    return Colorizer.from_checkpoint(CHECKPOINT, "cpu", "none"), Colorizer.from_checkpoint(file)


def written(path, make):
    """A network of `make` with random weights, and the graph that was written of it."""
    torch.manual_seed(0)
    system = make().eval().requires_grad_(False)
    onnx_file.write(path, system)
    return system, onnx_file.read(str(path))


def assert_alike(system, graph):
    """For one and three pictures, for captions of 1 to 80 words, padded."""
    side, generator = system.img_size, torch.Generator().manual_seed(0)
    assert graph.img_size == side
    for batch, length in ((1, 1), (1, 2), (3, 9), (1, 80), (3, 80)):
        rgb = torch.rand(batch, 3, side, side, generator=generator)
        ids = torch.randint(5, 4000, (batch, length), generator=generator)
        mask = torch.arange(length) < torch.tensor([[length], [1], [5]])[:batch]  # the first has no padding
        given = Batch.plain(rgb, [""] * batch, Words(ids, mask))
        with torch.no_grad():
            expected, found = system.colorize(given), graph.colorize(given)
        assert found.ab.shape == (batch, 2, side, side) and found.ab.std() > 1e-3
        torch.testing.assert_close(found.ab, expected.ab, atol=TOLERANCE, rtol=0)
        torch.testing.assert_close(found.regions, expected.regions, atol=TOLERANCE, rtol=0)


def test_the_checkpoint_gives_pytorch_s_numbers(pair):
    assert_alike(*(colorizer.system for colorizer in pair))


@pytest.mark.parametrize("make", [shallow, without_groups, release])
def test_random_weights_give_pytorch_s_numbers(make, tmp_path):
    network, graph = written(tmp_path / "network.onnx", make)
    assert_alike(network, graph)
    if make is release:  # a caption without marks may have no word at all
        none, rgb = torch.zeros(2, 0, dtype=torch.int64), torch.rand(2, 3, 48, 48)
        given = Batch.plain(rgb, ["", ""], Words(none, none.bool()))
        with torch.no_grad():
            expected = network.colorize(given).ab
        torch.testing.assert_close(graph.colorize(given).ab, expected, atol=TOLERANCE, rtol=0)


def test_the_file_is_plain_onnx_of_free_sizes(file):
    """What another program sees of it."""
    onnx.checker.check_model(str(file), full_check=True)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    given = {one.name: (one.shape, one.type) for one in session.get_inputs()}
    assert given == {
        "gray": (["batch", 1, 64, 64], "tensor(float)"),
        "ids": (["batch", "words"], "tensor(int64)"),
        "mask": (["batch", "words"], "tensor(bool)"),
    }
    found = {one.name: (one.shape, one.type) for one in session.get_outputs()}
    assert found == {
        "ab": (["batch", 2, 64, 64], "tensor(float)"),
        "soft_assignment": (["batch", 15, 64], "tensor(float)"),
    }
    held = session.get_modelmeta().custom_metadata_map
    head = json.loads(held["head"])
    assert CaptionTokenizer.from_json(head["tokenizer"])(CAPTIONS).ids.shape[0] == 3 and head["system"] == SCENES_MODEL
    assert [path.name for path in file.parent.iterdir()] == [file.name]  # no weights beside it
    assert str(ROOT).encode() not in file.read_bytes()


def test_the_same_picture(pair):
    for images in zip(*(colorizer(GRAY, CAPTIONS) for colorizer in pair), strict=True):
        one, other = (np.asarray(image).astype(int) for image in images)
        assert np.abs(one - other).max() <= 1 and (one != other).mean() < 0.01
        assert np.ptp(one, axis=2).max() > 20  # it has colours


def test_the_same_explanation(pair):
    explained = []
    for colorizer in pair:
        encoded = colorizer.encode(from_image(GRAY))
        explained.append(colorizer.colorize(encoded, CAPTIONS[:1], explain_words=True)[0])
    one, other = (colored.explanation for colored in explained)
    np.testing.assert_array_equal(one.groups, other.groups)
    np.testing.assert_allclose(one.soft, other.soft, atol=TOLERANCE)
    assert len(one.words) == len(other.words) == len(CAPTIONS[0].split())
    for own, same in zip(one.words, other.words, strict=True):
        np.testing.assert_allclose(own.change, same.change, atol=110 * 2 * TOLERANCE)
    assert explained[0].notes == explained[1].notes


def test_the_command_line_takes_the_file(file, tmp_path, capsys):
    GRAY.save(tmp_path / "gray.png")
    words = [str(tmp_path / "gray.png"), "--caption", CAPTIONS[0], "--output", str(tmp_path / "out.png")]
    assert colorize.main([*words, "--checkpoint", str(file)]) == 0
    expected = Colorizer.from_checkpoint(file)(GRAY, CAPTIONS[0])
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out.png").convert("RGB")), np.asarray(expected))
    for wrong in (["--amp", "bf16"], ["--compile"], ["--device", "cuda"]):
        assert colorize.main([*words, "--checkpoint", str(file), "--existing", "overwrite", *wrong]) == 2
        assert "an ONNX file is computed on the CPU as it is" in capsys.readouterr().err


def test_a_file_of_8_bits_is_smaller_and_gives_nearly_the_same_colours(file, tmp_path, capsys):
    path = tmp_path / "small.onnx"
    assert export.main([str(CHECKPOINT), str(path), "--dtype", "int8"]) == 0
    assert path.stat().st_size < 0.6 * file.stat().st_size
    kinds = {onnx.TensorProto.DataType.Name(t.data_type) for t in onnx.load(path).graph.initializer if len(t.dims) == 2}
    assert "INT8" in kinds
    for own, small in zip(*(Colorizer.from_checkpoint(p)(GRAY, CAPTIONS) for p in (file, path)), strict=True):
        difference = np.abs(np.asarray(own).astype(int) - np.asarray(small).astype(int))
        assert 0 < difference.mean() < 3  # of 255 levels
    assert export.main([str(CHECKPOINT), str(tmp_path / "out.safetensors"), "--dtype", "int8"]) == 2
    assert "--dtype int8: is for ONNX files" in capsys.readouterr().err


@pytest.mark.parametrize("harm", ["cut", "text", "tokenizer", "foreign", "missing"])
def test_a_file_that_is_not_ours_is_an_error_that_names_it(file, tmp_path, harm):
    path = tmp_path / "net.onnx"
    if harm == "cut":
        path.write_bytes(file.read_bytes()[:100_000])
    elif harm == "text":
        path.write_text("no graph")
    elif harm == "tokenizer":
        path.write_bytes(file.read_bytes().replace(b"WordPiece", b"WordStone"))
    elif harm == "foreign":
        value = partial(onnx.helper.make_tensor_value_info, elem_type=onnx.TensorProto.FLOAT, shape=[1])
        node = onnx.helper.make_node("Relu", ["x"], ["y"])
        graph = onnx.helper.make_graph([node], "foreign", [value("x")], [value("y")])
        opset = onnx.helper.make_opsetid("", 18)
        onnx.save(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=9), path)
    message = {"foreign": "not an ONNX file of this program", "missing": "no such file"}
    with pytest.raises(InputError, match=rf"net\.onnx: {message.get(harm, 'not a readable ONNX file')}"):
        Colorizer.from_checkpoint(path)


@pytest.mark.parametrize("name", ["onnxruntime", "onnxscript"])
def test_a_package_that_is_not_there_is_named(file, tmp_path, monkeypatch, capsys, name):
    monkeypatch.setitem(sys.modules, name, None)
    if name == "onnxruntime":
        with pytest.raises(InputError, match="pip install onnxruntime"):
            Colorizer.from_checkpoint(file)
    else:
        assert export.main([str(CHECKPOINT), str(tmp_path / "out" / "a.onnx")]) == 2
        assert "pip install onnxscript" in capsys.readouterr().err
        assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_the_former_file_whole(tmp_path, monkeypatch):
    class Program:
        def __init__(self):
            self.model = onnx_ir.Model(onnx_ir.Graph([], [], nodes=[]), ir_version=10)

        def save(self, path, external_data):
            path.write_bytes(b"half")
            raise OSError("No space left on device")

    monkeypatch.setattr(onnx_file, "_trace", lambda network: Program())
    path, network = tmp_path / "a.onnx", shallow()
    path.write_bytes(b"former")
    with pytest.raises(InputError, match=r"a\.onnx: cannot be written \(No space left on device\)"):
        onnx_file.write(path, network)
    assert [one.read_bytes() for one in tmp_path.iterdir()] == [b"former"]


def test_an_onnx_file_is_not_exported_again(file, tmp_path, capsys):
    assert export.main([str(file), str(tmp_path / "out")]) == 2
    assert "an ONNX file cannot be saved in another form" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_patches_are_the_photograph():
    session = type("Session", (), {"get_inputs": lambda self: [Shape([0, 1, 12, 12])]})()
    session.get_outputs = lambda: [None, Shape([0, 5, 9])]
    session.run = lambda outputs, given: (given["gray"], given["ids"])
    system, rgb = OnnxSystem(session, None), torch.rand(2, 3, 12, 12)
    gray = color.normalize_luminance(color.luminance(rgb))
    patches = system.encode_image(rgb)
    assert patches.shape == (2, 9, 16)
    torch.testing.assert_close(patches[0, 1], gray[0, 0, :4, 4:8].flatten(), rtol=0, atol=0)
    words = Words(torch.ones(2, 3).long(), torch.ones(2, 3).bool())
    assert torch.equal(system.decode(patches, system.encode_text(words), words.mask).ab, gray)


class Shape:
    def __init__(self, shape):
        self.shape = shape


def test_a_file_is_tested_like_its_checkpoint(file, tmp_path):
    data = write_data(tmp_path / "data", {"test": 5})
    found = {}
    for name, path in (("checkpoint", CHECKPOINT), ("onnx", file)):
        words = ["--finetune", str(path), "--data_path", str(data), "--output_dir", str(tmp_path / name)]
        words += ["--device", "cpu", "--test", "--obedience", "--batch_size", "2", "--num_workers", "0"]
        assert run_colorization.run(words) == 0
        found[name] = json.loads((tmp_path / name / "metrics.json").read_text())
    for metric in ("psnr", "ssim", "chroma_error", "colorfulness"):
        assert found["onnx"]["model"][metric] == pytest.approx(found["checkpoint"]["model"][metric], rel=1e-4)
    gains = [found[name]["obedience"]["model"]["description_gain"]["empty"]["psnr"]["mean"] for name in found]
    assert gains[0] == pytest.approx(gains[1], abs=1e-3)
    groups = [np.asarray(Image.open(tmp_path / name / "index_files" / "0.jpg")).astype(int) for name in found]
    assert np.abs(groups[0] - groups[1]).mean() < 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "learns nothing more"),
        (["--eval", "--amp", "bf16"], "computed on the CPU"),
        (["--eval", "--input_size", "32"], "64 pixels for good"),
    ],
)
def test_what_an_onnx_file_cannot_do_is_told(file, tmp_path, capsys, words, message):
    data = write_data(tmp_path / "data", {"train": 8, "val": 2})
    common = [
        "--finetune",
        str(file),
        "--data_path",
        str(data),
        "--output_dir",
        str(tmp_path / "out"),
        "--device",
        "cpu",
    ]
    assert run_colorization.run([*common, *words]) == 2
    assert message in capsys.readouterr().err
