"""Cut pretrained encoders down to what a small colorizer can carry.

    python scripts/checkpoints/compact_encoders.py image vit_small.pth --layers 8 --patch 8 --output image.safetensors
    python scripts/checkpoints/compact_encoders.py text all-MiniLM-L6-v2/ --layers 4 --vocabulary 8192 --output text/ \\
        --captions DATA/cap-img-pairs_train.json

image: the first layers of a ViT in timm's names. LayerScale is folded into the matrices before it, which changes
    nothing; so is the scaling of its pictures by ImageNet's mean and deviation, ours being gray in [-1, 1]; the patches
    are resampled to another side; the class token is left out.
text: the first layers of a BERT, and of its vocabulary the characters, all colour words and the most frequent tokens of
    the captions. What is kept has the rows it had, so a caption of kept tokens reads as before.

--image_encoder_weights and --text_encoder_weights take the results.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from timm.data import IMAGENET_DEFAULT_MEAN as MEAN
from timm.data import IMAGENET_DEFAULT_STD as STD
from timm.layers import resample_patch_embed
from tokenizers import BertWordPieceTokenizer
from torch import Tensor
from transformers import AutoModel, AutoTokenizer, BertModel, PreTrainedTokenizerFast

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from datasets.words.color_words import VOCABULARY as COLOR_WORDS
from models.text import MAX_WORDS
from preparation.caption_lists import read_captions
from scripts.checkpoints.make_vocabulary import SPECIAL
from utils.errors import InputError, exit_status
from utils.log import progress


@exit_status
def main(words: list[str] | None = None) -> None:
    options = parse(words)
    print(f"{options.output}: {options.compact(options)}")


def parse(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    encoders = parser.add_subparsers(dest="encoder", required=True)
    image = encoders.add_parser("image")
    image.set_defaults(compact=compact_image)
    image.add_argument("source", type=Path, help="a .pth or .safetensors file of a ViT in timm's names")
    image.add_argument("--patch", type=int, help="side of a patch in pixels; the file's own if not given")
    text = encoders.add_parser("text")
    text.set_defaults(compact=compact_text)
    text.add_argument("source", help="folder in Hugging Face's layout, or a hub name")
    text.add_argument("--captions", nargs="+", type=Path, required=True, help="caption files, whose words are kept")
    text.add_argument("--vocabulary", type=int, default=8192, help="tokens to keep (default: 8192)")
    for encoder in (image, text):
        encoder.add_argument("--layers", type=int, required=True, help="so many of its layers, from the first")
        encoder.add_argument("--output", type=Path, required=True, help="file (image) or folder (text) to write")
    return parser.parse_args(words)


def compact_image(options: argparse.Namespace) -> str:
    weights = _read(options.source)
    own = {name for name in weights if name.startswith("blocks.")}
    depth = 1 + max((int(name.split(".")[1]) for name in own), default=-1)
    _check_layers(options.layers, depth, options.source)
    kept = {name: tensor for name, tensor in weights.items() if name not in own and name != "cls_token"}
    for layer in range(options.layers):
        block = {name: weights[name] for name in own if name.startswith(f"blocks.{layer}.")}
        for scale, matrix in (("ls1", "attn.proj"), ("ls2", "mlp.fc2")):
            gamma = block.pop(f"blocks.{layer}.{scale}.gamma", None)
            for part in ("weight", "bias") if gamma is not None else ():
                name = f"blocks.{layer}.{matrix}.{part}"
                block[name] = block[name] * (gamma[:, None] if part == "weight" else gamma)
        kept |= block
    patches, shift = "patch_embed.proj.weight", "patch_embed.proj.bias"
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    # A pixel p in [0, 1] is (x + 1) / 2 for us and (p - mean) / std for it.
    kept[shift] = kept[shift] + (kept[patches] * ((0.5 - mean) / std)).sum(dim=(1, 2, 3))
    kept[patches] = kept[patches] * (0.5 / std)
    if options.patch is not None and kept[patches].shape[-1] != options.patch:
        kept[patches] = resample_patch_embed(kept[patches], [options.patch, options.patch])
    options.output.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in kept.items()}, options.output)
    return f"{options.layers} of {depth} layers, patches of {kept[patches].shape[-1]}, {_millions(kept.values())}"


def _read(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever torch and safetensors make of other files
        raise InputError(f"{path}: not a readable weights file ({error}); pass a ViT's .pth or .safetensors") from error
    content = content.get("model", content)
    if "patch_embed.proj.weight" not in content:
        raise InputError(f"{path}: has no patch_embed.proj.weight; pass a ViT in timm's names")
    return content


def compact_text(options: argparse.Namespace) -> str:
    try:
        encoder, tokenizer = AutoModel.from_pretrained(options.source), AutoTokenizer.from_pretrained(options.source)
    except (OSError, ValueError) as error:
        raise InputError(f"{options.source}: cannot be loaded ({error}); pass a folder or a hub name") from error
    if not isinstance(encoder, BertModel):
        raise InputError(f"{options.source}: a {type(encoder).__name__}; pass a BERT with a WordPiece vocabulary")
    config = encoder.config
    _check_layers(options.layers, config.num_hidden_layers, options.source)
    captions = [caption for path in options.captions for _, caption in read_captions(path)]
    tokens = choose_tokens(tokenizer, captions, options.vocabulary)
    rows = torch.tensor(tokenizer.convert_tokens_to_ids(tokens))

    encoder.encoder.layer = encoder.encoder.layer[: options.layers]
    encoder.pooler = None
    with torch.no_grad():
        for name, kept in (("word_embeddings", rows), ("position_embeddings", torch.arange(MAX_WORDS))):
            table = getattr(encoder.embeddings, name)
            table.weight = torch.nn.Parameter(table.weight[kept].clone())
            table.num_embeddings = len(kept)
    positions = torch.arange(MAX_WORDS)[None]
    encoder.embeddings.position_ids, encoder.embeddings.token_type_ids = positions, torch.zeros_like(positions)
    config.num_hidden_layers, config.vocab_size, config.max_position_embeddings = options.layers, len(tokens), MAX_WORDS
    config.pad_token_id = tokens.index("[PAD]")

    options.output.mkdir(parents=True, exist_ok=True)
    encoder.save_pretrained(options.output)
    vocabulary = options.output / "vocab.txt"
    vocabulary.write_text("".join(f"{token}\n" for token in tokens), encoding="utf-8")
    pieces = BertWordPieceTokenizer(str(vocabulary), lowercase=True)
    PreTrainedTokenizerFast(tokenizer_object=pieces, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(
        options.output
    )
    return f"{options.layers} layers, {len(tokens)} tokens, {_millions(encoder.state_dict().values())}"


def choose_tokens(tokenizer: PreTrainedTokenizerFast, captions: list[str], size: int) -> list[str]:
    """The special tokens, the characters, the colour words' pieces, then the captions' tokens, the most frequent first;
    in the order of the old vocabulary."""
    held = tokenizer.get_vocab()
    needed = set(SPECIAL) | {token for token in held if len(token.removeprefix("##")) == 1 and token.isascii()}
    for word in COLOR_WORDS:
        needed |= set(tokenizer.tokenize(word))
    if len(needed) > size:
        raise InputError(f"--vocabulary {size}: characters and colour words alone are {len(needed)}; pass more")
    counted: Counter[str] = Counter()
    for caption in progress(captions, "tokens", "caption"):
        counted.update(tokenizer.tokenize(caption))
    frequent = [
        token for token, _ in sorted(counted.items(), key=lambda item: (-item[1], item[0])) if token not in needed
    ]
    return sorted(needed | set(frequent[: size - len(needed)]), key=held.__getitem__)


def _check_layers(asked: int, depth: int, source: object) -> None:
    if not 1 <= asked <= depth:
        raise InputError(f"--layers {asked}: {source} has {depth}; pass 1 to {depth}")


def _millions(tensors: Iterable[Tensor]) -> str:
    return f"{sum(tensor.numel() for tensor in tensors) / 1e6:.1f}M parameters"


if __name__ == "__main__":
    sys.exit(main())
