"""A checkpoint -> the network it holds and its tokenizer: ours, a weights file of ours, or the authors'."""

from typing import Any

from models import RELEASE_MODEL, create_model, text_config_from_json
from models.lcoins.network import LCoIns
from models.lcoins.release import ReleasedLCoIns, without_marks
from models.lcoins.release_file import from_release, is_release
from models.text import BERT_VOCABULARY, CaptionTokenizer
from utils import checkpoint, options
from utils.errors import InputError

Network = LCoIns | ReleasedLCoIns


def restore(
    path: str, content: dict[str, Any], averaged: bool = True, **overrides: Any
) -> tuple[Network, CaptionTokenizer, list[str]]:
    """The network, on the CPU, its tokenizer, and in words what was loaded and adapted.

    content: of the file `path`, as `utils.checkpoint.load` gives it; averaged: take the moving average where there is
    one; overrides: of `models.create_model`, such as `img_size`. Raises InputError naming the file and the remedy.
    """
    if is_release(content):
        network = create_model(RELEASE_MODEL, **overrides)
        weights, notes = from_release(content, network.img_size)
        checkpoint.load_fully(network, weights, path)
        tokenizer = without_marks(CaptionTokenizer.from_vocabulary(BERT_VOCABULARY))
        return network, tokenizer, [f"{len(weights)} tensors from {path}", *notes]

    checkpoint.check_format(path, content)
    held = content["architecture"]
    missing = [name for name in (*options.ARCHITECTURE, "img_size", "text_config") if name not in held]
    if missing:
        raise InputError(f"{path}: its architecture lacks {missing[0]}; restore the file")
    try:
        numbers = {name: held[name] for name in (*options.ARCHITECTURE, "img_size")}
        numbers |= {"text_config": text_config_from_json(held["text_config"])} | overrides
        network = create_model(numbers.pop("model"), **numbers)
        tokenizer = CaptionTokenizer.from_json(content["tokenizer"])
    except InputError:
        raise
    except Exception as error:  # whatever timm, transformers and tokenizers make of damaged numbers
        raise InputError(f"{path}: its network or tokenizer cannot be built ({error}); restore the file") from error
    return network, tokenizer, checkpoint.load_network(network, path, content, averaged)
