"""Where the work is done, and in which precision."""

import logging
import os
import platform
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any

import torch
from timm.optim import muon
from torch import Tensor, nn
from torch.nn.functional import linear

from utils.errors import InputError

logger = logging.getLogger(__name__)
AMP = ("auto", "bf16", "fp16", "none")
AMP_HELP = "mixed precision; auto: bf16 or fp16 where the device multiplies it natively, none (fp32) elsewhere"
DEVICE_HELP = "auto (a GPU where there is one), cpu, cuda, cuda:N or mps"
SLOWER = 55  # times that bf16 matrix products take of fp32's on a CPU without bf16 instructions (docs/BENCHMARKS.md)
_NEWTON_SCHULZ = muon.zeropower_via_newtonschulz
LARGE = 2**19  # weights of a linear map from which oneDNN is the faster
_KNOWN = re.compile(r"cpu|mps|cuda(:\d+)?")
# What ONEDNN_MAX_CPU_ISA may say that leaves oneDNN no bf16 instructions.
_NO_BF16 = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI")


def choose(device: str, float64: bool = False) -> torch.device:
    """device: 'auto' (a GPU where there is one), 'cpu', 'cuda', 'cuda:N' or 'mps'; float64: it must compute in it, as
    training and evaluation do, which Apple's GPUs cannot. Raises InputError where it is not there.

    On CUDA, attention is left to PyTorch's own kernels from here on: cuDNN plans its own anew for every new length of
    the captions, and the first step of each length takes a second instead of a tenth (seen on an H100).
    """
    if device == "auto":
        mps = not float64 and _mps_works()
        device = "cuda" if torch.cuda.is_available() else "mps" if mps else "cpu"
    if not _KNOWN.fullmatch(device):
        raise InputError(f"--device {device}: unknown; pass auto, cpu, cuda, cuda:N or mps")
    if device == "mps" and float64:
        raise InputError("--device mps: training and evaluation compute in float64, which it lacks; pass cpu or cuda")
    if device == "mps" and not _mps_works():
        raise InputError("--device mps: PyTorch finds no working Apple GPU here; pass --device cpu or auto")
    chosen = torch.device(device)
    if chosen.type == "cuda":
        torch.backends.cuda.enable_cudnn_sdp(False)
        if (chosen.index or 0) >= torch.cuda.device_count():
            found = f"{torch.cuda.device_count()} GPU(s)" if torch.cuda.is_available() else "no GPU"
            raise InputError(f"--device {device}: PyTorch sees {found} here; pass --device cpu or auto")
    return chosen


@cache
def _mps_works() -> bool:
    """On a virtual machine Apple's GPU may be seen and yet fail at the first product."""
    if not torch.backends.mps.is_available():
        return False
    try:
        ones = torch.ones(2, 2, device="mps")
        return (ones @ ones).sum().item() == 8
    except RuntimeError:
        return False


def precision(amp: str, device: torch.device) -> str:
    """What `amp`, one of AMP, becomes on the device: 'bf16', 'fp16' or 'none'. 'auto' is decided by the instructions.

    What 'auto' becomes is logged once; so is the price of 'bf16' on a CPU without its instructions, as a warning.
    """
    native = "none"
    if device.type == "cuda":
        native = "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "fp16"
    elif device.type == "cpu" and cpu_has_bf16():
        native = "bf16"
    if amp == "auto":
        _say_once(logging.INFO, f"--amp auto: {native}, by the instructions of this {device.type.upper()}")
        return native
    if amp == "bf16" and device.type == "cpu" and native != "bf16":
        _say_once(
            logging.WARNING,
            "--amp bf16: this CPU has no bf16 instructions (AVX-512 BF16, AMX BF16 or Arm BF16), so that its"
            f" products take about {SLOWER} times as long as in fp32; --amp auto or none is the fast one",
        )
    return amp


@cache
def _say_once(level: int, message: str) -> None:
    logger.log(level, "%s", message)


def cpu_has_bf16() -> bool:
    """Whether this CPU has instructions for bf16 products, and oneDNN, PyTorch's library for them, may use them.

    ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 make a newer x86 CPU act as an older one.
    """
    if not torch.backends.mkldnn.is_available() or not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return False
    if platform.machine().lower() in ("aarch64", "arm64"):
        return True  # oneDNN has asked the CPU; on x86 it says so of any AVX-512, which only emulates bf16
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA") or "ALL"
    if limit.upper() in _NO_BF16 or torch.backends.cpu.get_cpu_capability() != "AVX512":
        return False
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def avoid_slow_muon(device: torch.device) -> None:
    """timm's muon multiplies matrices in bf16, whatever --amp says, and takes no other: from here on, in this process,
    in fp32 if `device` is a CPU without bf16 instructions."""
    slow = device.type == "cpu" and not cpu_has_bf16()
    muon.zeropower_via_newtonschulz = partial(_NEWTON_SCHULZ, dtype=torch.float32) if slow else _NEWTON_SCHULZ


@cache
def check_compiler(device: torch.device) -> None:
    """Compile one addition. Raises InputError where PyTorch cannot compile: it needs a C++ compiler, on CPU and GPU."""
    try:
        torch.compile(lambda x: x.sin() + 1)(torch.zeros(8, device=device))
    except Exception as error:
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise InputError(
            f"--compile: PyTorch cannot compile here ({reason.strip()}); install a C++ compiler (Debian's package g++),"
            " or leave --compile out"
        ) from error


def autocast(device: torch.device, amp: str) -> torch.autocast:
    """amp: 'bf16', 'fp16' or 'none'."""
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16, "none": torch.float32}[amp]
    return torch.autocast(device.type, dtype=dtype, enabled=amp != "none")


def full_precision(device: torch.device) -> torch.autocast:
    """Autocast off: around colour spaces and losses, within a training step that has it on."""
    return torch.autocast(device.type, enabled=False)


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


def side_by_side(function: Callable[[Any], Any], items: Sequence[Any], device: torch.device) -> list[Any]:
    """[function(item) for item in items], without gradients; on a CPU each item on one core, as many at once as PyTorch
    has threads: an operation on one small image is over before a second core has joined it. Autocast does not reach
    `function` there."""
    threads = torch.get_num_threads()
    call = torch.no_grad()(function)
    if device.type != "cpu" or threads == 1 or len(items) < 2:
        return [call(item) for item in items]
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(call, items))
    finally:
        torch.set_num_threads(threads)  # a part of what the workers set holds for all threads
