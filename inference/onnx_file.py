"""A system as one ONNX graph, that onnxruntime computes without PyTorch's:

    gray (B, 1, S, S) float32 in [-1, 1], ids (B, N_L) int64, mask (B, N_L) bool, True on real words
        -> ab (B, 2, S, S) in [-1, 1], soft_assignment (B, N_G, N_I)

B (batch) and N_L (words, up to 80) are free; S is the system's own side. The file's metadata are those of a weights
file (utils/checkpoint.py): it carries its tokenizer. N_I image tokens; N_G regions (groups); P side of a token's patch.
"""

import logging
import math
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from datasets.batch import Batch
from models import Coloring, System
from models.text import MAX_WORDS, CaptionTokenizer, Words
from utils import checkpoint, color
from utils.devices import choose
from utils.errors import InputError, reason
from utils.files import temporary_folder
from utils.log import Bar, progress

INPUTS = {"gray": {0: "batch"}, "ids": {0: "batch", 1: "words"}, "mask": {0: "batch", 1: "words"}}  # their free sizes
OUTPUTS = ("ab", "soft_assignment")


class _Graph(nn.Module):
    def __init__(self, system: System) -> None:
        super().__init__()
        self.system = system

    def forward(self, gray: Tensor, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        coloring = self.system.from_gray(gray, Words(ids, mask))
        return coloring.ab, coloring.regions


def write(path: Path, system: System, int8: bool = False) -> None:
    """system: on the CPU; it is left in eval mode. Raises InputError.

    int8: the matrices of linear maps have 8 bits, a scale for each row, and so have the tokens while they go through
    them, by their own range each time (dynamic quantisation).
    """
    if not hasattr(system, "from_gray"):
        raise InputError(f"{path}: {system.name} cannot be written as ONNX; pass a folder for its weights")
    try:
        import onnxscript  # noqa: F401  torch.onnx needs it, and says so far less plainly
    except ImportError as error:
        raise InputError(f"{path}: ONNX files are written with onnxscript; pip install onnxscript") from error
    with progress(None, path.name, "step", total=2 + int8) as bar:
        _write(path, system, int8, bar)


def _write(path: Path, system: System, int8: bool, bar: Bar) -> None:
    program = _trace(system)
    bar.update()
    program.model.metadata_props.update(checkpoint.metadata(system.content()))
    for part in (program.model.graph, *program.model.graph):  # and every node of it
        part.metadata_props.clear()  # the tracer's notes: lines of source, and where they lie on this machine
    with temporary_folder(path) as folder:
        program.save(folder / path.name, external_data=False)
        bar.update()
        if int8:
            _quantize(folder / path.name)
            bar.update()
        os.replace(folder / path.name, path)


def _quantize(path: Path) -> None:
    try:
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ImportError as error:
        raise InputError(f"{path.name}: 8-bit files are written with onnxruntime; pip install onnxruntime") from error
    logging.disable(logging.WARNING)  # it recommends an optimisation that onnxruntime does by itself when it reads
    try:
        quantize_dynamic(path, path, ["MatMul", "Gemm"], per_channel=True, weight_type=QuantType.QInt8)
    finally:
        logging.disable(logging.NOTSET)


def _trace(system: System) -> torch.onnx.ONNXProgram:
    batch, words, side = 2, 7, system.img_size  # of the example; a free size must not be 1 in it
    example = torch.zeros(batch, 1, side, side), torch.ones(batch, words).long(), torch.ones(batch, words).bool()
    free = {"batch": torch.export.Dim("batch", min=1), "words": torch.export.Dim("words", min=1, max=MAX_WORDS)}
    sizes = {name: {axis: free[size] for axis, size in axes.items()} for name, axes in INPUTS.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # what transformers keeps while it is traced; names given twice
        # In two steps: by itself torch.onnx fixes, without a word, a size that some line of the network cannot keep
        # free. strict: such a line is len(tensor), unless the tracer reads the code itself.
        graph = torch.export.export(_Graph(system).eval(), example, dynamic_shapes=sizes, strict=True)
        return torch.onnx.export(
            graph, input_names=list(INPUTS), output_names=OUTPUTS, dynamic_shapes=INPUTS, dynamo=True, verbose=False
        )


def is_onnx(path: str) -> bool:
    return path.endswith(".onnx")


def read(path: str) -> "OnnxSystem":
    """A file that `write` wrote, to be computed on the CPU. Raises InputError for any other."""
    try:
        import onnxruntime
    except ImportError as error:
        raise InputError(f"{path}: ONNX files are computed by onnxruntime; pip install onnxruntime") from error
    if not os.path.isfile(path):
        raise InputError(f"{path}: no such file; scripts/export.py writes ONNX files")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        head = checkpoint.head_of(session.get_modelmeta().custom_metadata_map)
        if head is None or head["format"] not in (1, checkpoint.FORMAT):
            raise InputError(f"{path}: not an ONNX file of this program; pass one that scripts/export.py wrote")
        return OnnxSystem(session, CaptionTokenizer.from_json(head["tokenizer"]))
    except InputError:
        raise
    except Exception as error:  # whatever onnxruntime and tokenizers make of a damaged file
        raise InputError(
            f"{path}: not a readable ONNX file ({reason(error)}); it may be truncated: restore it"
        ) from error


def read_for_test(
    path: str, only_test: bool, device: str, amp: str, compile: bool, input_size: int | None
) -> "OnnxSystem":
    """For --eval and --test; the others are the flags. Raises InputError for what such a file cannot do."""
    if not only_test:
        raise InputError(f"{path}: an ONNX file learns nothing more; pass the checkpoint that it was made from")
    if amp not in ("auto", "none") or compile or choose(device, float64=True).type != "cpu":
        raise InputError(
            f"{path}: an ONNX file is computed on the CPU as it is; pass --device cpu --amp none --no-compile"
        )
    system = read(path)
    if input_size not in (None, system.img_size):
        raise InputError(f"--input_size {input_size}: {path} has {system.img_size} pixels for good")
    return system


@dataclass(frozen=True)
class OnnxConfig:
    img_size: int


class OnnxSystem(System):
    """An ONNX file in a system's place.

    Its graph is one piece: the image encoder's part of the work is not saved between captions. So what stands for the
    image tokens are the photograph's own patches, and for the language tokens the words' numbers; `decode` does all.
    """

    Config = OnnxConfig

    def __init__(self, session: Any, tokenizer: CaptionTokenizer) -> None:
        """session: an onnxruntime.InferenceSession of a file that `write` wrote."""
        super().__init__("onnx", OnnxConfig(session.get_inputs()[0].shape[2]), tokenizer)
        self.session = session
        self.patch = self.img_size // math.isqrt(session.get_outputs()[1].shape[2])

    def colorize(self, batch: Batch) -> Coloring:
        return self.decode(self.encode_image(batch.rgb), batch.words.ids, batch.words.mask)

    def encode_image(self, rgb: Tensor) -> Tensor:
        """rgb: (B, 3, S, S) in [0, 1]. Returns the patches of its luminance, (B, N_I, P * P)."""
        gray = color.normalize_luminance(color.luminance(rgb)).float()
        return pixel_unshuffle(gray, self.patch).flatten(2).transpose(1, 2)

    def encode_text(self, words: Words) -> Tensor:
        """Returns (B, N_L) int64, the words' numbers."""
        return words.ids

    def decode(self, image: Tensor, language: Tensor, word_mask: Tensor) -> Coloring:
        side = self.img_size // self.patch
        gray = pixel_shuffle(image.transpose(1, 2).unflatten(2, (side, side)), self.patch)
        given = {"gray": gray.numpy(), "ids": language.numpy(), "mask": word_mask.numpy()}
        ab, regions = map(torch.from_numpy, self.session.run(OUTPUTS, given))
        return Coloring(ab, regions=regions)

    def content(self) -> dict[str, Any]:
        raise InputError("an ONNX file cannot be saved in another form; pass the checkpoint that it was made from")
