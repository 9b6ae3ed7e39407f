"""The Hugging Face hub's mixin on Colorizer. No request leaves the machine: a folder stands for the repository."""

import inspect
import json
import shutil

import huggingface_hub.hub_mixin
import numpy as np
import pytest
import torch
from conftest import ROOT
from huggingface_hub import HfApi, ModelHubMixin
from huggingface_hub.errors import LocalEntryNotFoundError
from PIL import Image

from inference import Colorizer
from scripts import export
from utils import checkpoint
from utils.errors import InputError

CHECKPOINT = ROOT / "checkpoints" / "scenes.safetensors"
CAPTION = "a green box under a yellow star"
GRAY = Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 60)).astype(np.uint8))
FILES = ["README.md", "config.json", "model.safetensors"]


def picture(colorizer) -> np.ndarray:
    return np.asarray(colorizer(GRAY, CAPTION))


@pytest.fixture(scope="module")
def colorizer():
    return Colorizer.from_checkpoint(CHECKPOINT, "cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub") / "out"
    assert export.main([str(CHECKPOINT), str(folder)]) == 0
    return folder


@pytest.fixture
def requests(monkeypatch, folder):
    """The hub with one repository, owner/name, which is `folder`; -> what was asked of it."""
    asked = []

    def download(repo_id, filename, **options):
        asked.append((repo_id, filename, options))
        if repo_id != "owner/name":
            raise LocalEntryNotFoundError("the hub cannot be reached")
        return str(folder / filename)

    monkeypatch.setattr(checkpoint, "hf_hub_download", lambda repo_id, filename, **o: download(repo_id, filename, **o))
    monkeypatch.setattr(
        huggingface_hub.hub_mixin,
        "hf_hub_download",
        lambda repo_id, filename, **o: download(repo_id=repo_id, filename=filename, **o),
    )
    return asked


def test_a_folder_is_read_by_the_mixin(folder, colorizer):
    again = Colorizer.from_pretrained(folder, device="cpu", amp="auto")
    assert isinstance(again, ModelHubMixin) and type(again) is Colorizer
    np.testing.assert_array_equal(picture(again), picture(colorizer))
    with pytest.raises(TypeError, match="devise"):
        Colorizer.from_pretrained(folder, devise="cpu")


def test_a_repository_is_read_by_name(requests, colorizer):
    np.testing.assert_array_equal(picture(Colorizer.from_checkpoint("owner/name", "cpu")), picture(colorizer))
    assert requests == [("owner/name", "model.safetensors", {})]
    again = Colorizer.from_pretrained("owner/name", revision="v2", token="secret", device="cpu")
    np.testing.assert_array_equal(picture(again), picture(colorizer))
    assert {filename for _, filename, _ in requests[1:]} == {"config.json", "model.safetensors"}
    assert all(options["revision"] == "v2" and options["token"] == "secret" for _, _, options in requests[1:])


def test_a_repository_that_cannot_be_had_is_named(requests):
    message = r"owner/other: neither a file nor a folder here, nor .* \(the hub cannot be reached\)"
    with pytest.raises(InputError, match=message):
        Colorizer.from_checkpoint("owner/other", "cpu")


def test_saved_is_what_is_in_use(tmp_path):
    """Every bit of it, though the file that it came from had half the precision."""
    colorizer = Colorizer.from_checkpoint(CHECKPOINT, "cpu")
    colorizer.system.network.group_tokens += 1e-7
    colorizer.save_pretrained(tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == FILES
    again = Colorizer.from_checkpoint(tmp_path / "out", "cpu")
    own, saved = colorizer.system.state_dict(), again.system.state_dict()
    assert own.keys() == saved.keys() and all(torch.equal(own[name], saved[name]) for name in own)
    assert again.tokenizer.to_json() == colorizer.tokenizer.to_json()
    np.testing.assert_array_equal(picture(again), picture(colorizer))


def test_what_is_pushed_is_a_folder_that_can_be_read(monkeypatch, colorizer, tmp_path):
    def upload(api, *, repo_id, folder_path, **options):
        shutil.copytree(folder_path, tmp_path / repo_id)
        return f"commit {options['commit_message']}"

    class Repository:
        repo_id = "owner/name"

    monkeypatch.setattr(HfApi, "create_repo", lambda api, **options: Repository)
    monkeypatch.setattr(HfApi, "upload_folder", upload)
    assert colorizer.push_to_hub("name", commit_message="one") == "commit one"
    pushed = tmp_path / "owner" / "name"
    assert sorted(path.name for path in pushed.iterdir()) == FILES
    np.testing.assert_array_equal(picture(Colorizer.from_checkpoint(pushed, "cpu")), picture(colorizer))


def test_the_config_says_nothing_that_the_mixin_would_pass_on(folder):
    config = json.loads((folder / "config.json").read_text())
    assert not config.keys() & inspect.signature(Colorizer).parameters.keys()


def test_a_stranger_s_folder_is_left_alone(tmp_path, colorizer):
    (tmp_path / "config.json").write_text("a stranger's")
    with pytest.raises(InputError, match=r"holds config\.json and no network of this program"):
        colorizer.save_pretrained(tmp_path)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["a stranger's"]
