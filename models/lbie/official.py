"""LBIE's public file: tensors of TensorFlow by their names there, in its layouts.

What PyTorch can load: a .pth or .safetensors file of {name: tensor}, as `tf.train.load_checkpoint` gives them.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

_GENERATOR, _DISCRIMINATOR = "generator/colornet/", "discriminator/"
KNOWN = f"{_GENERATOR}conv7_3/w"
_CONVOLUTIONS = [
    *(f"conv{stage}_{place}" for stage in (1, 2) for place in (1, 2)),
    *(f"conv{stage}_{place}" for stage in (4, 5, 6, 7, 8, 9) for place in (1, 2, 3)),
    "conv9_color",
]


def names() -> Iterator[tuple[str, str]]:
    """(our name, theirs) of the plain tensors, and of the merger's."""
    for conv in _CONVOLUTIONS:
        yield f"generator.{conv}.weight", f"{_GENERATOR}{conv}/w"
        yield f"generator.{conv}.bias", f"{_GENERATOR}{conv}/biases"
    for place in (1, 2, 4, 5, 6, 7, 8, 9):
        yield f"generator.bn{place}.weight", f"{_GENERATOR}bn{place}/gamma"
        yield f"generator.bn{place}.bias", f"{_GENERATOR}bn{place}/beta"
    for place in range(1, 6):
        yield f"discriminator.layer_{place}.weight", f"{_DISCRIMINATOR}layer_{place}/conv/filter"
    for place in (2, 3, 4):
        yield f"discriminator.norm_{place}.weight", f"{_DISCRIMINATOR}layer_{place}/batchnorm/scale"
        yield f"discriminator.norm_{place}.bias", f"{_DISCRIMINATOR}layer_{place}/batchnorm/offset"
    yield "discriminator.conv.weight", f"{_DISCRIMINATOR}conv/filter"
    for own, theirs in (("generator", _GENERATOR), ("discriminator", f"{_DISCRIMINATOR}layer_5/")):
        yield f"{own}.merger.U_h.weight", f"{theirs}RNN/attention/U_h/w"
        yield f"{own}.merger.U_h.bias", f"{theirs}RNN/attention/U_h/biases"
        for layer in ("W_h", "logits_h"):
            yield f"{own}.merger.{layer}.weight", f"{theirs}RNN/attention/{layer}/weights"
            yield f"{own}.merger.{layer}.bias", f"{theirs}RNN/attention/{layer}/biases"
        for layer in ("gates", "candidate"):
            yield f"{own}.merger.{layer}.weight", f"{theirs}{layer}/Linear/Matrix"
            yield f"{own}.merger.{layer}.bias", f"{theirs}{layer}/Linear/bias"


def read(content: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under our names, in our layouts; unknown ones keep theirs, so that loading names them."""
    table = {theirs: own for own, theirs in names()}
    found: dict[str, Tensor] = {}
    for name, tensor in content.items():
        if "basic_lstm_cell" in name:
            found |= _lstm(name, tensor)
        else:
            own = table.get(name, name)
            found[own] = _turned(tensor, matrix_of_conv=own.endswith(("gates.weight", "candidate.weight")))
    return found


def _turned(tensor: Tensor, matrix_of_conv: bool) -> Tensor:
    """Convolutions (height, width, in, out), transposed ones (height, width, out, in), matrices (in, out)."""
    if tensor.ndim == 4:
        return tensor.permute(3, 2, 0, 1).contiguous()
    if tensor.ndim == 2:
        return tensor.T[..., None, None].contiguous() if matrix_of_conv else tensor.T.contiguous()
    return tensor


def _lstm(name: str, tensor: Tensor) -> dict[str, Tensor]:
    """Gates i, j, f, o of inputs and state in one -> PyTorch's i, f, g, o, and its second bias of 0."""
    ending = "_reverse" if "/bw/" in name else ""
    i, j, f, o = tensor.chunk(4, dim=-1)
    turned = torch.cat([i, f, j, o], dim=-1)
    if tensor.ndim == 1:
        return {
            f"words.lstm.bias_ih_l0{ending}": turned,
            f"words.lstm.bias_hh_l0{ending}": torch.zeros_like(turned),
        }
    states = tensor.shape[1] // 4
    return {
        f"words.lstm.weight_ih_l0{ending}": turned[:-states].T.contiguous(),
        f"words.lstm.weight_hh_l0{ending}": turned[-states:].T.contiguous(),
    }
