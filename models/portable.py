"""A network in use -> what a weights file of ours holds of it (utils/checkpoint.py)."""

from typing import Any

from models import RELEASE_MODEL, text_config_to_json
from models.lcoins.release_file import is_release
from models.restore import Network
from models.text import CaptionTokenizer
from utils import checkpoint, options


def architecture_of(network: Network, content: Any) -> dict[str, Any]:
    """What rebuilds `network`. content: of the file it was restored from, which says it unless it is the authors'."""
    if not is_release(content):
        return content["architecture"]
    return options.ARCHITECTURE | {
        "model": RELEASE_MODEL,
        "counter_color": False,
        "img_size": network.img_size,
        "text_config": text_config_to_json(network.text_config),
    }


def content_of(network: Network, tokenizer: CaptionTokenizer, architecture: dict[str, Any]) -> dict[str, Any]:
    """The content of a weights file; the tensors are the network's own, in their precision."""
    return {
        "format": checkpoint.FORMAT,
        "architecture": architecture,
        "tokenizer": tokenizer.to_json(),
        "model": network.state_dict(),
        "ema": None,
    }
