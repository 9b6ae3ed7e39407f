"""A network as one ONNX graph, that onnxruntime computes without PyTorch's:

    gray (B, 1, S, S) float32 in [-1, 1], ids (B, N_L) int64, mask (B, N_L) bool, True on real words
        -> ab (B, 2, S, S) in [-1, 1], soft_assignment (B, N_G, N_I)

B (batch) and N_L (words, up to 80) are free; S is the network's own side. The file's metadata are those of a weights
file (utils/checkpoint.py): it carries its tokenizer. N_I, N_G image and group tokens; P side of an image token's patch.
"""

import logging
import math
import os
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from models.restore import Network
from models.text import MAX_WORDS, CaptionTokenizer, Words
from utils import checkpoint
from utils.beside import beside
from utils.errors import InputError, reason
from utils.progress import Bar, progress

INPUTS = {"gray": {0: "batch"}, "ids": {0: "batch", 1: "words"}, "mask": {0: "batch", 1: "words"}}  # their free sizes
OUTPUTS = ("ab", "soft_assignment")


class OnnxColorization(NamedTuple):
    """What of a `models.lcoins.Colorization` the graph gives."""

    ab: Tensor
    soft_assignment: Tensor

    @property
    def assignment(self) -> Tensor:
        """A-hat of Eq. (11), (B, N_G, N_I), as outside training: each image token in its most similar group."""
        if self.soft_assignment.shape[1] == 0:
            return self.soft_assignment
        return torch.zeros_like(self.soft_assignment).scatter_(1, self.soft_assignment.argmax(1, keepdim=True), 1.0)


class _Graph(nn.Module):
    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, gray: Tensor, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        output = self.network(gray, Words(ids, mask))
        return output.ab, output.soft_assignment


def write(path: Path, network: Network, content: dict[str, Any], int8: bool = False) -> None:
    """network: on the CPU; it is left in eval mode. content: a checkpoint's, for the metadata. Raises InputError.

    int8: the matrices of linear maps have 8 bits, a scale for each row, and so have the tokens while they go through
    them, by their own range each time (dynamic quantisation).
    """
    try:
        import onnxscript  # noqa: F401  torch.onnx needs it, and says so far less plainly
    except ImportError as error:
        raise InputError(f"{path}: ONNX files are written with onnxscript; pip install onnxscript") from error
    with progress(None, path.name, "step", total=2 + int8) as bar:
        _write(path, network, content, int8, bar)


def _write(path: Path, network: Network, content: dict[str, Any], int8: bool, bar: Bar) -> None:
    program = _trace(network)
    bar.update()
    program.model.metadata_props.update(checkpoint.metadata(content))
    for part in (program.model.graph, *program.model.graph):  # and every node of it
        part.metadata_props.clear()  # the tracer's notes: lines of source, and where they lie on this machine
    with beside(path) as folder:
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


def _trace(network: Network) -> torch.onnx.ONNXProgram:
    batch, words, side = 2, 7, network.img_size  # of the example; a free size must not be 1 in it
    example = torch.zeros(batch, 1, side, side), torch.ones(batch, words).long(), torch.ones(batch, words).bool()
    free = {"batch": torch.export.Dim("batch", min=1), "words": torch.export.Dim("words", min=1, max=MAX_WORDS)}
    sizes = {name: {axis: free[size] for axis, size in axes.items()} for name, axes in INPUTS.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # what transformers keeps while it is traced; names given twice
        # In two steps: by itself torch.onnx fixes, without a word, a size that some line of the network cannot keep
        # free. strict: such a line is len(tensor), unless the tracer reads the code itself.
        graph = torch.export.export(_Graph(network).eval(), example, dynamic_shapes=sizes, strict=True)
        return torch.onnx.export(
            graph, input_names=list(INPUTS), output_names=OUTPUTS, dynamic_shapes=INPUTS, dynamo=True, verbose=False
        )


def read(path: str) -> tuple["OnnxNetwork", CaptionTokenizer]:
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
        held = session.get_modelmeta().custom_metadata_map
        if held.get("format") != str(checkpoint.FORMAT):
            raise InputError(f"{path}: not an ONNX file of this program; pass one that scripts/export.py wrote")
        return OnnxNetwork(session), CaptionTokenizer.from_json(held["tokenizer"])
    except InputError:
        raise
    except Exception as error:  # whatever onnxruntime and tokenizers make of a damaged file
        raise InputError(
            f"{path}: not a readable ONNX file ({reason(error)}); it may be truncated: restore it"
        ) from error


class OnnxNetwork(nn.Module):
    """An ONNX file in a network's place.

    Its graph is one piece: the image encoder's part of the work is not saved between captions. So what stands for the
    image tokens are the photograph's own patches, and for the language tokens the words' numbers; `colorize` does all.
    """

    def __init__(self, session: Any) -> None:
        """session: an onnxruntime.InferenceSession of a file that `write` wrote."""
        super().__init__()
        self.session = session
        self.img_size: int = session.get_inputs()[0].shape[2]
        image_tokens = session.get_outputs()[1].shape[2]
        self.patch = self.img_size // math.isqrt(image_tokens)

    def forward(self, gray: Tensor, words: Words) -> OnnxColorization:
        """gray: (B, 1, S, S) in [-1, 1]."""
        return self.colorize(self.encode_image(gray), self.encode_text(words), words.mask)

    def encode_image(self, gray: Tensor) -> Tensor:
        """gray: (B, 1, S, S) in [-1, 1]. Returns its patches, (B, N_I, P * P)."""
        return pixel_unshuffle(gray, self.patch).flatten(2).transpose(1, 2)

    def encode_text(self, words: Words) -> Tensor:
        """Returns (B, N_L) int64, the words' numbers."""
        return words.ids

    def colorize(self, image: Tensor, language: Tensor, word_mask: Tensor) -> OnnxColorization:
        """From what `encode_image` and `encode_text` gave; word_mask: (B, N_L) bool, True on real words."""
        side = self.img_size // self.patch
        gray = pixel_shuffle(image.transpose(1, 2).unflatten(2, (side, side)), self.patch)
        given = {"gray": gray.numpy(), "ids": language.numpy(), "mask": word_mask.numpy()}
        return OnnxColorization(*map(torch.from_numpy, self.session.run(OUTPUTS, given)))
