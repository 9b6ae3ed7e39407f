"""InstColorization: against the original's numbers, its stages, its public files, batches against single pictures."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT, write_data
from parity import filled, fixture, keys
from PIL import Image
from processes import ranks

import models
import run_colorization
from datasets.batch import Batch
from datasets.boxes import Box, Boxes, cut
from datasets.image_files import squash
from inference import Colorizer
from inference.photo import from_image
from models.instcolorization import official as public_files
from models.instcolorization.config import STAGES
from models.instcolorization.fusion import WEIGHT_LAYERS, WeightGenerator
from models.instcolorization.network import PLACES
from models.instcolorization.system import chroma_loss
from models.restore import authors_of, named_in, restore
from scripts import colorize, export
from utils import checkpoint, color
from utils.errors import InputError

GAIN = 1.5
TINY = {"img_size": 16, "width": 4}
STRIDES = {1: 4, 2: 4, 4: 2, 8: 1}  # of the fixtures' features, by scale


@pytest.fixture(scope="module")
def public() -> dict[str, dict[str, torch.Tensor]]:
    """The authors' three files, filled by the fixtures' rule."""
    single, fusion = keys("instcolorization_full_and_instance"), keys("instcolorization_fusion")
    return {
        "latest_net_GComp.pth": filled(single, GAIN),
        "latest_net_G.pth": filled(single, GAIN, "instance."),
        "latest_net_GF.pth": filled(fusion, GAIN),
    }


def public_read(public: dict[str, dict[str, torch.Tensor]]) -> dict[str, dict[str, torch.Tensor]]:
    """As `checkpoint.load` gives the folder."""
    return {name: checkpoint.unwrap(tensors)[0] for name, tensors in public.items()}


@pytest.fixture(scope="module")
def official(public):
    """The official system."""
    return restore("the folder", public_read(public))[0].eval()


def thinned(feature: torch.Tensor, place: str) -> torch.Tensor:
    stride = STRIDES[PLACES[place]]
    return feature[:, :: feature.shape[1] // 8, ::stride, ::stride]


@torch.no_grad()
def test_one_network_is_the_original(official):
    held = fixture("instcolorization_single")
    given = held["gray"], held["hint"], held["mask"]
    for name in ("full", "instance"):
        network, found = getattr(official, name), {}
        ab = network.from_hints(*given, lambda place, feature, found=found: found.setdefault(place, feature))
        torch.testing.assert_close(ab, held[f"{name}_ab"], atol=1e-4, rtol=0)
        if name == "full":
            torch.testing.assert_close(
                network.model_class(found["conv8_3"])[:, ::23, ::2, ::2], held["full_class"], atol=2e-4, rtol=0
            )
            continue
        for place, feature in found.items():
            feature = feature.relu() if place.endswith("_up") else feature
            torch.testing.assert_close(thinned(feature, place), held[f"instance_{place}"], atol=1e-4, rtol=0)


def boxed(held: dict[str, torch.Tensor]) -> tuple[torch.Tensor, Boxes]:
    """The fixture's picture (3, S, S) and its boxes with their crops."""
    picture, size = Image.fromarray(held["rgb"].numpy()), int(held["size"])
    height, width = held["rgb"].shape[:2]
    sides = [Box(x0 / width, y0 / height, x1 / width, y1 / height) for x0, y0, x1, y1 in held["boxes"].tolist()]
    crops = [(box, squash(cut(picture, box), size)) for box in sides]
    return squash(picture, size), Boxes.of([crops], size)


@torch.no_grad()
def test_the_whole_path_with_boxes_is_the_original(official):
    held = fixture("instcolorization_fusion")
    rgb, boxes = boxed(held)
    batch = Batch.plain(rgb[None], [""], None, boxes).to(torch.device("cpu"))
    gray, ab = color.split(batch.rgb)
    torch.testing.assert_close(gray / 2, held["gray"], atol=1e-5, rtol=0)
    torch.testing.assert_close(ab, held["ab_true"], atol=1e-5, rtol=0)
    own = color.split(batch.boxes.crops)[0] / 2
    torch.testing.assert_close(own, held["instance_gray"], atol=1e-5, rtol=0)

    features, _ = official.instance.features(own)
    fused, found = official.fusion.fuse(gray / 2, features, boxes)
    for place, feature in fused.items():
        torch.testing.assert_close(thinned(feature, place), held[f"fused_{place}"], atol=1e-4, rtol=0)
    torch.testing.assert_close(found, held["fused_ab"], atol=1e-4, rtol=0)
    torch.testing.assert_close(official.colorize(batch).ab, held["fused_ab"], atol=1e-4, rtol=0)
    painted = color.to_uint8(color.colorize(gray, found), rounded=True)[0].permute(1, 2, 0)
    assert (painted.int() - held["fused_rgb"].int()).abs().max() <= 1
    masked = official.fusion.fuse(gray / 2, features, boxes, mask_padding=True)[1]
    torch.testing.assert_close(masked, held["fused_ab_padding_excluded"], atol=1e-4, rtol=0)
    plain = official.colorize(Batch.plain(rgb[None], [""], None).to(torch.device("cpu"))).ab
    torch.testing.assert_close(plain, held["no_box_ab"], atol=1e-4, rtol=0)


def test_boxes_on_a_grid_are_the_originals():
    held = fixture("instcolorization_fusion")
    tables = [(held["table_box"], held["table_width_height"], held["table_size"], held["table_info"])]
    size = (torch.tensor(held["rgb"].shape[:2][::-1]).expand(len(held["boxes"]), 2),)
    tables += [
        (held["boxes"], *size, held["size"].expand(len(held["boxes"])) // k, held[f"box_info_{k}"])
        for k in (1, 2, 4, 8)
    ]
    for pixels, sizes, sides, expected in tables:
        for box, (width, height), side, info in zip(
            *map(torch.Tensor.tolist, (pixels, sizes, sides, expected)), strict=True
        ):
            x0, y0, x1, y1 = box
            unit = torch.tensor([[x0 / width, y0 / height, x1 / width, y1 / height]], dtype=torch.float64)
            ((left, top, right, bottom),) = Boxes(unit, torch.zeros(1, dtype=torch.int64), torch.empty(0)).on_grid(
                side, side
            )
            assert [left, side - right, top, side - bottom, right - left, bottom - top] == info


def tiny(stage: str, seed: int = 0, **numbers) -> models.System:
    """A network of each stage up to this, with weights at which everything matters."""
    torch.manual_seed(seed)
    system = models.create_model(models.INSTCOLORIZATION, stage=stage, **TINY | numbers)
    for tensor in system.state_dict().values():
        if tensor.is_floating_point() and tensor.ndim > 1:
            tensor.normal_(std=1.2 / np.sqrt(tensor[0].numel()))
    return system.eval()


def some_boxes(counts: list[int], size: int = 16, seed: int = 0) -> Boxes:
    rng = np.random.default_rng(seed)
    sides = np.sort(rng.random((sum(counts), 2, 2)), axis=1).reshape(-1, 4)
    crops = torch.from_numpy(rng.integers(0, 256, (sum(counts), 3, size, size), dtype=np.uint8))
    return Boxes(torch.from_numpy(sides), torch.arange(len(counts)).repeat_interleave(torch.tensor(counts)), crops)


def pictures(count: int, size: int = 16) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(9).integers(0, 256, (count, 3, size, size), dtype=np.uint8))


def of_picture(boxes: Boxes, place: int) -> Boxes:
    own = boxes.picture == place
    return Boxes(boxes.sides[own], torch.zeros(int(own.sum()), dtype=torch.int64), boxes.crops[own])


@torch.no_grad()
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("stage", ["instance", "fusion"])
def test_a_batch_equals_picture_by_picture(stage, masked):
    system, rgb, boxes = tiny(stage, fusion_mask=masked), pictures(4), some_boxes([3, 0, 1, 11])
    host = torch.device("cpu")
    whole = system.colorize(Batch.plain(rgb, [""] * 4, None, boxes).to(host)).ab
    plain = system.colorize(Batch.plain(rgb, [""] * 4, None).to(host)).ab
    for place in range(4):
        one = Batch.plain(rgb[place : place + 1], [""], None, of_picture(boxes, place)).to(host)
        torch.testing.assert_close(system.colorize(one).ab[0], whole[place], atol=1e-5, rtol=0)
    torch.testing.assert_close(whole[1], plain[1])  # no box: the network of whole pictures alone
    assert all((whole[place] - plain[place]).abs().max() > 1e-3 for place in (0, 2, 3))


@torch.no_grad()
def test_padding_takes_weight_in_other_boxes_unless_it_is_masked():
    layer = WeightGenerator(4).eval()
    for parameter in layer.parameters():
        parameter.zero_()  # every weight is exp(0)
    picture, instances = torch.full((1, 4, 8, 8), 5.0), torch.ones(8, 4, 8, 8)
    sides = torch.tensor([[0, 0, 0.5, 0.5], *[[0.5, 0.5, 1, 1]] * 7], dtype=torch.float64)
    boxes = Boxes(sides, torch.zeros(8, dtype=torch.int64), torch.empty(8, 3, 8, 8))
    faithful, masked = (layer(picture, instances, boxes, mask) for mask in (False, True))
    # in the first box: picture and its own instance, and, unmasked, the zeros of seven others
    torch.testing.assert_close(faithful[0, 0, 0, 0], torch.tensor((5 + 1) / 9))
    torch.testing.assert_close(masked[0, 0, 0, 0], torch.tensor((5 + 1) / 2))
    assert torch.equal(faithful[0, 0, 0, 6:], picture[0, 0, 0, 6:]) and torch.equal(
        masked[..., 0, 6], picture[..., 0, 6]
    )


def test_the_loss_is_a_huber_loss_in_units_of_ab():
    target = torch.zeros(3, 2, 2, 2)
    target[:2, 0, 0, 0] = 40 / 110  # the third is gray
    predicted = target.clone()
    predicted[0, 1] += 5 / 110  # 4.5 units of ab / 110 above the knee
    predicted[1, :, 1, 1] += 0.5 / 110  # 0.125 below it, at one of four pixels, in a and b
    predicted[2] += 1.0
    wanted = 10 * (4.5 / 110 + 2 * 0.125 / 110 / 4) / 3
    torch.testing.assert_close(chroma_loss(predicted, target, 10.0), torch.tensor(wanted))
    assert chroma_loss(predicted, target, 0.0) > 6


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_trains_its_own_part(stage):
    system = tiny(stage).train()
    boxes = some_boxes([2, 3]) if stage == "fusion" else None
    before = {name: tensor.clone() for name, tensor in system.state_dict().items()}
    learning = [p for p in system.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(learning, lr=0.1)
    system(Batch.plain(pictures(2), ["", ""], None, boxes).to(torch.device("cpu")))["total"].backward()
    assert all(parameter.grad is not None for parameter in learning)  # DDP waits for every one
    optimizer.step()
    changed = {name for name, tensor in system.state_dict().items() if not torch.equal(tensor, before[name])}
    prefixes = {"full": "full.", "instance": "instance.", "fusion": "fusion."}
    assert changed and all(name.startswith(prefixes[stage]) for name in changed)
    assert not any("model_class" in name for name in changed)
    if stage == "fusion":
        assert {name.split(".")[1] for name in changed} <= {*WEIGHT_LAYERS.values(), "model10", "model_out"}
    else:
        assert any("running_mean" in name for name in changed)


def test_each_stage_starts_from_the_one_before():
    full, instance = tiny("full", 1), tiny("instance", 2)
    notes = instance.load(full.state_dict(), "full.pth")
    assert "starts from the full one" in notes[0]
    assert torch.equal(instance.instance.model5[0].weight, full.full.model5[0].weight)
    with torch.no_grad():
        instance.instance.model5[0].weight.add_(1)
    fusion = tiny("fusion", 3)
    layer = fusion.fusion.weight_layer3.simple_bg_conv[0].weight.clone()
    fusion.load(instance.state_dict(), "instance.pth")
    assert torch.equal(fusion.instance.model5[0].weight, instance.instance.model5[0].weight)
    assert torch.equal(fusion.fusion.model5[0].weight, full.full.model5[0].weight)
    assert torch.equal(fusion.fusion.weight_layer3.simple_bg_conv[0].weight, layer)  # new, from random weights
    assert tiny("full", 4).load(fusion.state_dict(), "fusion.pth") == ["not needed: instance, fusion"]
    with pytest.raises(
        InputError, match=r"full.pth: is of the stage full; --stage fusion starts from the stage instance"
    ):
        tiny("fusion").load(full.state_dict(), "full.pth")
    with pytest.raises(InputError, match="--stage instance: starts from the stage full; pass its checkpoint"):
        models.system_of(models.INSTCOLORIZATION).from_scratch("x", instance.config)


def mmagic(public: dict[str, dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """The same as MMagic's file has it, without what it has not."""
    prefixes = {"latest_net_GComp.pth": "image_model.", "latest_net_G.pth": "instance_model."}
    prefixes["latest_net_GF.pth"] = "fusion_model."
    content = {}
    for name, prefix in prefixes.items():
        for key, tensor in public[name].items():
            layer, *rest = key.removeprefix("module.").split(".")
            single = rest[0] == "0" and (layer.endswith(("up", "class")) or "short" in layer)
            content[prefix + ".".join([layer, *(rest[1:] if single else rest)])] = tensor
    return content


def test_the_public_files_load_whole_or_not_at_all(public, official, tmp_path):
    folder = tmp_path / "coco_finetuned_mask_256_ffs"
    folder.mkdir()
    for name, tensors in public.items():
        torch.save(tensors, folder / name)
    content = checkpoint.load(checkpoint.locate(str(folder)))
    assert authors_of(content) == models.INSTCOLORIZATION and named_in(str(folder)) == (models.INSTCOLORIZATION, False)
    system, notes = restore(str(folder), content)
    assert "12 tensors of weight_layerout" in notes[1]
    for name, tensor in official.state_dict().items():
        assert torch.equal(tensor, system.state_dict()[name])

    single = mmagic(public)
    assert {name: list(tensor.shape) for name, tensor in single.items()} == keys("instcolorization_mmagic")
    wanted, _ = public_files.read(public_read(public))
    for content in (single, {"state_dict": single, "meta": {}}):
        assert authors_of(content) == models.INSTCOLORIZATION
        found, _ = public_files.read(content)
        assert all(found[part].keys() == wanted[part].keys() for part in STAGES)
        assert all(torch.equal(found[part][name], wanted[part][name]) for part in STAGES for name in wanted[part])
    whole = restore("folder", public_read(public), stage="full")[0]
    assert whole.stage == "full" and not hasattr(whole, "fusion")

    (folder / "latest_net_G.pth").unlink()
    with pytest.raises(InputError, match=r"the authors' folder lacks latest_net_G.pth"):
        restore(str(folder), checkpoint.load(str(folder)))
    with pytest.raises(InputError, match=r"1 missing \(first: model7.0.weight\)"):
        restore("file", {name: t for name, t in single.items() if name != "instance_model.model7.0.weight"})
    with pytest.raises(InputError, match=r"lacks instance_model"):
        restore("file", {name: t for name, t in single.items() if not name.startswith("instance_model.")})


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A data folder with boxes, and a function that runs the command line on it: its flags -> the output folder."""
    root = tmp_path_factory.mktemp("inst")
    data = write_data(root / "data", {"train": 6, "val": 3, "test": 3})
    for split in ("train", "val", "test"):
        names = sorted(path.name for path in (data / split).iterdir())
        boxes = {name: [[0.0, 0.0, 0.5, 0.5, 0.9, 0], [0.25, 0.5, 1.0, 1.0, 0.8, 2]] for name in names}
        boxes[names[1]] = []
        (data / f"boxes_{split}.json").write_text(json.dumps(boxes))
    flags = "--opt adam --layer_decay 1 --weight_decay 0 --linear_epochs 1 --lr 1e-3 --batch_size 2 --num_workers 0"
    common = ["--data_path", str(data), "--device", "cpu", "--amp", "none", *flags.split(), "--epochs", "1"]

    def run(folder: str, *words: str, processes: int = 0) -> Path:
        argv = [*common, "--output_dir", str(root / folder), *words]
        if processes:
            done = ranks(processes, ROOT / "run_colorization.py", argv)
            assert done.returncode == 0, done.stderr
        else:
            run_colorization.main(argv)
        return root / folder

    checkpoint.save_weights(root / "start.safetensors", tiny("full").content())
    full = run("full", "--finetune", str(root / "start.safetensors"))
    instance = run("instance", "--stage", "instance", "--finetune", str(full / "checkpoint-last.pth"))
    start = str(instance / "checkpoint-last.pth")
    run("fusion", "--stage", "fusion", "--finetune", start, "--linear_epochs", "0")
    return run, root


def test_the_stages_follow_each_other_by_their_commands(trained):
    run, root = trained
    held = torch.load(root / "fusion" / "checkpoint-last.pth", weights_only=True)
    assert held["stage"] == "fusion" and held["system"] == models.INSTCOLORIZATION and held["step"] == 2
    before = torch.load(root / "instance" / "checkpoint-last.pth", weights_only=True)["tensors"]
    assert all(torch.equal(held["tensors"][name], tensor) for name, tensor in before.items())

    start = str(root / "instance" / "checkpoint-last.pth")
    one = run("one", "--stage", "fusion", "--finetune", start, "--epochs", "2")
    two = run("two", "--stage", "fusion", "--finetune", start, "--epochs", "2", "--batch_size", "1", processes=2)
    resumed = run("fusion", "--auto_resume", "--epochs", "2", "--linear_epochs", "1")
    whole, parts, both = (
        torch.load(folder / "checkpoint-last.pth", weights_only=True)["tensors"] for folder in (one, resumed, two)
    )
    torch.testing.assert_close(both, whole, atol=1e-6, rtol=1e-5)
    assert whole.keys() == parts.keys() and all(torch.equal(whole[name], parts[name]) for name in whole)

    with pytest.raises(InputError, match=r"--stage full \(was fusion\)"):
        run("one", "--resume", str(one / "checkpoint-last.pth"), "--epochs", "2", "--stage", "full")


def test_each_stage_is_tested_and_used(trained, caplog):
    run, root = trained
    rows = {}
    for stage in STAGES:
        folder = run(f"test_{stage}", "--finetune", str(root / stage / "checkpoint-last.pth"), "--test")
        rows[stage] = list(csv.DictReader((folder / "per_image.csv").open()))
        assert len(rows[stage]) == 3 and (folder / "0.png").is_file()
    assert rows["full"][1]["model_psnr"] == rows["fusion"][1]["model_psnr"]  # no box
    assert rows["full"][0]["model_psnr"] != rows["fusion"][0]["model_psnr"] != rows["instance"][0]["model_psnr"]

    colorizer = Colorizer.from_checkpoint(root / "fusion" / "checkpoint-last.pth", "cpu", "none")
    photo = from_image(Image.open(root / "data" / "test" / "0.jpg"))
    boxes = [[0.0, 0.0, 0.5, 0.5, 0.9, 0]]
    (plain,), (boxed,) = (colorizer.colorize(colorizer.encode(photo, given), [""]) for given in (None, boxes))
    assert "is coloured as a whole: no boxes are given" in plain.notes[0]
    assert "1 objects, given, are coloured one by one" in boxed.notes[0]
    assert boxed.image.size == photo.upright().size and np.any(np.asarray(plain.image) != np.asarray(boxed.image))
    colorizer.detector = lambda picture: boxes
    (found,) = colorizer.colorize(colorizer.encode(photo), [""])
    assert "1 objects, found by the detector" in found.notes[0] and found.image.tobytes() == boxed.image.tobytes()
    assert export.main([str(root / "fusion" / "checkpoint-last.pth"), str(root / "inst.safetensors")]) == 0
    assert Colorizer.from_checkpoint(root / "inst.safetensors", "cpu").system.stage == "fusion"


def test_boxes_on_the_command_line_of_colorize(trained, tmp_path, capsys):
    _, root = trained
    checkpoint_file, photo = str(root / "fusion" / "checkpoint-last.pth"), str(root / "data" / "test" / "0.jpg")
    boxes = tmp_path / "boxes.json"
    boxes.write_text(json.dumps({"0.jpg": [[0.1, 0.1, 0.9, 0.9, 0.9, 0]]}))
    words = [photo, "--output", str(tmp_path / "out"), "--checkpoint", checkpoint_file, "--boxes", str(boxes)]
    assert colorize.main(words) == 0
    assert "0.jpg: 1 objects, given, are coloured one by one" in capsys.readouterr().err
    boxes.write_text(json.dumps({"1.jpg": []}))
    assert colorize.main([*words, "--existing", "overwrite"]) == 2
    assert f"--boxes {boxes}: has none for 0.jpg" in capsys.readouterr().err
    boxes.write_text(json.dumps({"0.jpg": [[0.9, 0.1, 0.1, 0.9, 0.9, 0]]}))
    assert colorize.main([*words, "--existing", "overwrite"]) == 2
    assert "0.jpg has a box [0.9, 0.1, 0.1, 0.9]; its sides are left < right" in capsys.readouterr().err


def test_scenes_with_favourite_colours_train_without_words(tmp_path):
    words = "--model instcolorization_small --data_set scenes --input_size 16 --scenes 8 --eval_scenes 4 --device cpu"
    words += " --scene_favorites 0.8 --num_workers 0 --batch_size 4 --epochs 1 --linear_epochs 1 --output_dir"
    run_colorization.main([*words.split(), str(tmp_path / "full")])
    start = ["--finetune", str(tmp_path / "full" / "checkpoint-last.pth"), "--stage", "instance"]
    run_colorization.main([*words.split(), str(tmp_path / "instance"), *start])
    (log,) = (json.loads(line) for line in (tmp_path / "instance" / "log.jsonl").read_text().splitlines()[-1:])
    assert "favorite" in log["val"]["instances"]["references"]
