"""The public files of InstColorization: its authors' three, in a folder, and MMagic's one, which holds the same."""

from typing import Any

from torch import Tensor

from utils.checkpoint import unwrap
from utils.errors import InputError

# The authors' files and MMagic's prefixes -> our networks.
_FILES = {"latest_net_GComp.pth": "full", "latest_net_G.pth": "instance", "latest_net_GF.pth": "fusion"}
_PREFIXES = {"image_model.": "full", "instance_model.": "instance", "fusion_model.": "fusion"}
# Where the authors have a Sequential of one layer, MMagic has the layer.
_SINGLE = ("model8up", "model9up", "model10up", "model3short8", "model2short9", "model1short10", "model_class")
_UNUSED = "weight_layerout."  # of the fusion network: nothing ever calls it


def recognizes(content: Any) -> bool:
    """content: of a file, or of a folder: file name -> what it holds."""
    if not isinstance(content, dict):
        return False
    if any(name in content for name in _FILES):
        return True
    return any(str(name).startswith(tuple(_PREFIXES)) for name in _state_dict(content))


def read(content: dict[str, Any]) -> tuple[dict[str, dict[str, Tensor]], list[str]]:
    """Our networks' tensors by name, and what was adapted, in words. Raises InputError unless all three are there."""
    if any(name in content for name in _FILES):
        missing = [name for name in _FILES if not isinstance(content.get(name), dict)]
        if missing:
            raise InputError(f"the authors' folder lacks {missing[0]}; it needs {', '.join(_FILES)}")
        networks = {network: unwrap(content[name])[0] for name, network in _FILES.items()}
    else:
        held, _ = unwrap(_state_dict(content))
        networks = {
            network: {str(n).removeprefix(prefix): tensor for n, tensor in held.items() if str(n).startswith(prefix)}
            for prefix, network in _PREFIXES.items()
        }
        empty = [prefix for prefix, network in _PREFIXES.items() if not networks[network]]
        if empty:
            raise InputError(f"MMagic's file lacks {empty[0]}*; fetch it again")
    networks = {network: {_ours(n): tensor for n, tensor in own.items()} for network, own in networks.items()}
    unused = [name for name in networks["fusion"] if name.startswith(_UNUSED)]
    networks["fusion"] = {name: tensor for name, tensor in networks["fusion"].items() if name not in unused}
    return networks, [f"not needed: {len(unused)} tensors of {_UNUSED}*"] if unused else []


def _state_dict(content: dict[str, Any]) -> dict[str, Any]:
    return content["state_dict"] if isinstance(content.get("state_dict"), dict) else content


def _ours(name: str) -> str:
    layer, _, rest = str(name).partition(".")
    return f"{layer}.0.{rest}" if layer in _SINGLE and rest in ("weight", "bias") else str(name)
