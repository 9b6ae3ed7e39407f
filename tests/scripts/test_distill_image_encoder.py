"""Distillation: the student turns toward the teacher's features, and the teacher is the network its file says."""

import pytest
import torch
import torchvision
from conftest import write_data

from models import PHOTOS_MODEL, create_model
from models import weights as pretrained
from scripts import distill_image_encoder
from scripts.distill_image_encoder import Teacher


@pytest.fixture(scope="module")
def resnet(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("teacher") / "resnet50.pth"
    network = torchvision.models.resnet50(weights=None)
    torch.save(network.state_dict(), path)
    return network.eval(), path


def test_the_student_comes_nearer_to_the_teacher_and_its_file_fits(resnet, tmp_path, capsys):
    photographs = write_data(tmp_path / "data", {"train": 4}) / "train"
    output = tmp_path / "new" / "image.safetensors"
    words = ["random", str(resnet[1]), str(photographs), "--output", str(output), "--size", "32", "--batch_size", "4"]
    assert (
        distill_image_encoder.main([*words, "--epochs", "4", "--lr", "1e-3", "--num_workers", "0", "--device", "cpu"])
        == 0
    )
    first, last = (float(part.split()[0]) for part in capsys.readouterr().out.split("teacher ")[1].split(", "))
    assert last > first + 0.2
    vit = create_model(PHOTOS_MODEL, img_size=64).image_encoder.vit
    assert "positions resampled" in pretrained.load_image_encoder(vit, str(output))


def test_the_teacher_gives_its_last_two_stages_where_they_are(resnet):
    network, path = resnet
    rgb = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    features = Teacher(path, caffe=False)(rgb, grid=4)
    assert features.shape == (1, 16, 3072)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    scaled = (rgb / 255 - mean[:, None, None]) / std[:, None, None]
    stem = network.maxpool(network.relu(network.bn1(network.conv1(scaled))))
    third = network.layer3(network.layer2(network.layer1(stem)))[0]  # (1024, 4, 4)
    wanted = (third - third.mean()) / third.std(correction=0)
    torch.testing.assert_close(features[0, :, :1024].T.unflatten(1, (4, 4)), wanted, atol=1e-3, rtol=1e-3)


def test_a_teacher_from_caffe_takes_bgr_and_strides_first(resnet):
    plain, caffe = (Teacher(resnet[1], caffe=caffe) for caffe in (False, True))
    assert plain.network.layer2[0].conv1.stride == (1, 1) and plain.network.layer2[0].conv2.stride == (2, 2)
    assert caffe.network.layer2[0].conv1.stride == (2, 2) and caffe.network.layer2[0].conv2.stride == (1, 1)
    seen = []
    caffe.network.conv1.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    caffe(torch.tensor([250, 10, 20], dtype=torch.uint8)[None, :, None, None].expand(1, 3, 64, 64), grid=2)
    torch.testing.assert_close(seen[0][0, :, 0, 0], torch.tensor([20 - 103.939, 10 - 116.779, 250 - 123.68]))


@pytest.mark.parametrize("what", ["teacher", "few"])
def test_what_cannot_teach_is_told(resnet, tmp_path, capsys, what):
    photographs = write_data(tmp_path / "data", {"train": 3}) / "train"
    teacher = resnet[1]
    if what == "teacher":
        teacher = tmp_path / "other.pth"
        torch.save({"a": torch.zeros(1)}, teacher)
    words = ["random", str(teacher), str(photographs), "--output", str(tmp_path / "image.safetensors"), "--size", "32"]
    assert distill_image_encoder.main([*words, "--device", "cpu", "--num_workers", "0", "--batch_size", "4"]) == 2
    assert ("is no ResNet-50" if what == "teacher" else "--batch_size 4: 3 photographs") in capsys.readouterr().err
