"""Where the work is done, and in which precision."""

import torch

from utils.errors import InputError


def choose(device: str) -> torch.device:
    """device: 'auto' (a GPU where there is one), 'cpu', 'cuda' or 'cuda:N'. Raises InputError where it is not there."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise InputError(f"--device {device}: unknown; pass auto, cpu, cuda or cuda:N") from error
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        found = f"{torch.cuda.device_count()} GPU(s)" if torch.cuda.is_available() else "no GPU"
        raise InputError(f"--device {device}: PyTorch sees {found} here; pass --device cpu or auto")
    return chosen


def autocast(device: torch.device, amp: str) -> torch.autocast:
    """amp: 'bf16', 'fp16' or 'none'."""
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16, "none": torch.float32}[amp]
    return torch.autocast(device.type, dtype=dtype, enabled=amp != "none")
