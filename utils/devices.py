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


def linear_by_onednn(network: nn.Module, amp: str = "none") -> None:
    """Give linear maps of a frozen network on a CPU to oneDNN, where PyTorch has it; state dict and names stay.

    amp: of `autocast`. In fp32 PyTorch takes MKL, which is slower on AMD's chips (docs/BENCHMARKS.md); oneDNN gets the
    large maps, and the same sums in another order: the last digits differ. In bf16 PyTorch takes oneDNN itself, but
    rounds and reorders every weight in every call; here they are kept so, beside the fp32 ones: the same numbers for
    half as much memory more. Otherwise nothing changes.
    """
    bf16 = amp == "bf16"
    if amp == "fp16" or not torch.backends.mkldnn.is_available():
        return
    if bf16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return
    for parent in list(network.modules()):
        for name, module in parent.named_children():
            if type(module) is nn.Linear and (bf16 or module.weight.numel() >= LARGE):
                setattr(parent, name, _LinearByOneDNN(module, bf16))


class _LinearByOneDNN(nn.Module):
    def __init__(self, like: nn.Linear, bf16: bool) -> None:
        super().__init__()
        self.weight, self.bias = like.weight, like.bias
        self.kept = None
        if bf16:
            weight = torch.ops.mkldnn._reorder_linear_weight(like.weight.detach().bfloat16())
            self.kept = weight, None if like.bias is None else like.bias.detach().bfloat16()

    def forward(self, x: Tensor) -> Tensor:
        if torch.compiler.is_compiling():  # or exporting
            return linear(x, self.weight, self.bias)
        weight, bias = (self.weight, self.bias) if self.kept is None else self.kept
        x = x if self.kept is None else x.bfloat16()
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")  # TorchInductor's call
