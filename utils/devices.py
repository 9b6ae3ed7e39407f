"""Where the work is done, and in which precision."""

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from utils.errors import InputError

LARGE = 2**19  # weights of a linear map from which oneDNN is the faster


def choose(device: str) -> torch.device:
    """device: 'auto' (a GPU where there is one), 'cpu', 'cuda' or 'cuda:N'. Raises InputError where it is not there.

    On a GPU, attention is left to PyTorch's own kernels from here on: cuDNN plans its own anew for every new length of
    the captions, and the first step of each length takes a second instead of a tenth (seen on an H100).
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise InputError(f"--device {device}: unknown; pass auto, cpu, cuda or cuda:N") from error
    if chosen.type != "cuda":
        return chosen
    torch.backends.cuda.enable_cudnn_sdp(False)
    if (chosen.index or 0) >= torch.cuda.device_count():
        found = f"{torch.cuda.device_count()} GPU(s)" if torch.cuda.is_available() else "no GPU"
        raise InputError(f"--device {device}: PyTorch sees {found} here; pass --device cpu or auto")
    return chosen


def autocast(device: torch.device, amp: str) -> torch.autocast:
    """amp: 'bf16', 'fp16' or 'none'."""
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16, "none": torch.float32}[amp]
    return torch.autocast(device.type, dtype=dtype, enabled=amp != "none")


def linear_by_onednn(network: nn.Module) -> None:
    """Give the large linear maps of a frozen fp32 network on a CPU to oneDNN, where PyTorch has it; state dict and
    names stay.

    PyTorch itself does so in 16 bits only: in fp32 it takes MKL, which is slower on AMD's chips (docs/BENCHMARKS.md).
    The same sums in another order: the last digits differ.
    """
    if not torch.backends.mkldnn.is_available():
        return
    for parent in list(network.modules()):
        for name, module in parent.named_children():
            if type(module) is nn.Linear and module.weight.numel() >= LARGE:
                setattr(parent, name, _LinearByOneDNN(module))


class _LinearByOneDNN(nn.Module):
    def __init__(self, like: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = like.weight, like.bias

    def forward(self, x: Tensor) -> Tensor:
        if torch.compiler.is_compiling():  # or exporting
            return linear(x, self.weight, self.bias)
        return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")  # TorchInductor's call
