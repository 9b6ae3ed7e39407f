"""A network as a folder: weights that `Colorizer.from_checkpoint` reads, and for readers a config and a model card.

The files have the names that the Hugging Face hub looks for. The weights file alone rebuilds the network, tokenizer
included (utils/checkpoint.py); config.json repeats what of it a reader may want to know.
"""

import json
import os
from pathlib import Path
from typing import Any, Self

import torch
from huggingface_hub import ModelHubMixin
from huggingface_hub.constants import CONFIG_NAME

from models import config_of
from utils import checkpoint
from utils.errors import InputError
from utils.files import temporary_folder

LIBRARY = "lcoins"
CARD = "README.md"
_FETCH = ("revision", "cache_dir", "force_download", "local_files_only", "token")  # of `hf_hub_download`
_CARD_TEXT = Path(__file__).with_name("model_card.md")


def write(folder: Path, content: dict[str, Any], dtype: torch.dtype) -> None:
    """content: a checkpoint's (utils/checkpoint.py). A model card that is there stays: somebody may have finished it.

    Raises InputError, with the folder as it was, where it holds something else or cannot be written.
    """
    with temporary_folder(folder) as new:
        check(folder)
        checkpoint.save_weights(new / checkpoint.WEIGHTS, content, dtype)
        config = _config(content, dtype)
        (new / CONFIG_NAME).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        (new / CARD).write_text(_card(config, (new / checkpoint.WEIGHTS).stat().st_size), encoding="utf-8")
        folder.mkdir(exist_ok=True)
        for file in new.iterdir():
            if file.name != CARD or not (folder / CARD).exists():
                os.replace(file, folder / file.name)


def check(folder: Path) -> None:
    """Raises InputError unless `folder` may be written: it is new, empty, or holds a network that was written here."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file; pass the name of a folder")
    held = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    if held and not checkpoint.is_weights_file(folder / checkpoint.WEIGHTS):
        raise InputError(f"{folder}: holds {held[0]} and no network of this program; pass a new or empty folder")


def _config(content: dict[str, Any], dtype: torch.dtype) -> dict[str, Any]:
    """What a reader may want to know. No name in it is an argument of Colorizer's: the hub's mixin would pass it on."""
    weights = checkpoint.averaged(content)
    return {
        "library_name": LIBRARY,
        "format": content["format"],
        "model": content["system"],
        **content["config"],
        "parameters": sum(tensor.numel() for tensor in weights.values()),
        "dtype": str(dtype).removeprefix("torch."),
    }


def _card(config: dict[str, Any], size: int) -> str:
    """size: of the weights file, in bytes."""
    usual = config_of(config["model"])
    without = [f"`--no-{name}`" for name, value in config.items() if value is False and getattr(usual, name, value)]
    return _CARD_TEXT.read_text(encoding="utf-8").format(
        library=LIBRARY,
        model=config["model"],
        ablations=f", {' '.join(without)}" if without else "",
        parameters=config["parameters"],
        side=config["img_size"],
        dtype=config["dtype"],
        megabytes=size / 1e6,
    )


class HubMixin(ModelHubMixin):
    """`from_pretrained`, `save_pretrained` and `push_to_hub` for a class with `from_checkpoint` and `content`.

    The first is `from_checkpoint` with the hub's own arguments, `revision` and the like.
    """

    def save_pretrained(self, save_directory: str | Path, **options: Any) -> str | None:
        """Checked before the hub's mixin begins, for it begins by taking a config.json away."""
        self.content()
        check(Path(save_directory))
        return super().save_pretrained(save_directory, **options)

    def _save_pretrained(self, save_directory: Path) -> None:
        """In the precision in which the network is in use: not a bit is lost."""
        write(save_directory, self.content(), torch.float32)

    @classmethod
    def _from_pretrained(cls, *, model_id: str, **options: Any) -> Self:
        """options: the hub's own for a download, the others of `from_checkpoint`."""
        fetch = {name: options.pop(name) for name in _FETCH}
        return cls.from_checkpoint(checkpoint.locate(model_id, **fetch), **options)
