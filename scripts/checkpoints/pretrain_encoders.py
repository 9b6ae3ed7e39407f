"""Give encoders a start on Scenes, as the papers' have one by ImageNet (ViT, VGG-16, ResNet) and books (BERT).

    python scripts/checkpoints/pretrain_encoders.py --output_dir output/scenes/encoders

    OUTPUT/image_encoder.safetensors    of L-CoIns and L-CoDer: learnt to name every patch's object, and its place, in
                                        an augmented gray picture
    OUTPUT/text_encoder/                of both: learnt to fill in hidden words in two descriptions of a scene (BERT's
                                        own task) and to name the object of every colour word, and its place
    OUTPUT/vgg16_bn_small.safetensors   of L-CoDe and Xie2018: learnt what the image encoder did
    OUTPUT/resnet18.safetensors         of ML2018: the same

The first two name objects and places by the same fixed codes, so a patch and the colour word of its object begin alike:
what CLIP's two encoders learn from pairs; the others by a linear map that is not kept. None has seen a colour beside
its picture, and all see the scenes of `train` alone: no held-out colour-object pair. Training takes them by
--image_encoder_weights, --text_encoder_weights and --backbone_weights. What is there is not made again.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from safetensors.torch import save_file
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import PreTrainedTokenizerFast

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from augment import LuminanceAugmentation
from datasets.scenes import COLORS, PLACES, SHAPES, Scenes
from engine import attention_for_training
from evaluation.instance_metrics import patch_labels
from models import SCENES_MODEL, create_model
from models.layers.vgg import vgg16_features
from models.lcode.config import SMALL as LCODE
from models.ml2018 import BACKBONES, backbone_of
from models.ml2018 import SMALL as ML2018
from models.text import CaptionTokenizer
from models.word_system import imagenet
from utils.devices import autocast, avoid_slow_muon, precision
from utils.log import progress

STREAM = 10**8  # scenes of an epoch: pretraining never comes to the second
WARMUP = 200  # steps
KINDS = (len(SHAPES) + 1, len(PLACES) + 1)  # nouns and places, each with one more for the ground
CODE_SCALE = 2.0  # scores of nouns and places per dot product: features need not be codes alone
SIDE, PATCH = 64, 8  # pixels: of the square, and of what each of an encoder's tokens or features stands for
CPU = torch.device("cpu")
HIDDEN, HIDDEN_COLORS = 0.15, 0.3  # shares of the words: of all, BERT's; of the colour words, in addition


def main(arguments: list[str] | None = None) -> None:
    args = parse(arguments)
    args.output_dir.mkdir(parents=True, exist_ok=True)
    for name in args.parts:
        if (path := args.output_dir / name).exists():
            print(f"{path}: is there")
            continue
        torch.manual_seed(args.seed)
        with TemporaryDirectory(dir=args.output_dir) as unfinished:  # what is interrupted is made again
            written = Path(unfinished) / name
            pretrain, steps = PARTS[name]
            steps = steps if args.steps is None else args.steps
            learnt = pretrain(written, argparse.Namespace(**vars(args) | {"steps": steps}))
            written.rename(path)
        print(f"{path}: {learnt}")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output_dir", type=Path, required=True, help="folder for both encoders")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="these alone (default: all)")
    parser.add_argument("--steps", type=int, help="updates of each (default: 9000; convolutional ones learn in 3000)")
    parser.add_argument("--batch_size", type=int, default=32, help="scenes per update (default: 32)")
    parser.add_argument("--lr", type=float, default=1e-3, help="highest learning rate (default: 0.001)")
    parser.add_argument("--seed", type=int, default=0, help="of weights, scenes and noise (default: 0)")
    return parser.parse_args(arguments, argparse.Namespace(amp=precision("auto", CPU)))


def noun_and_place(features: Tensor) -> tuple[Tensor, ...]:
    """Scores (..., nouns + 1) and (..., places + 1) of features (..., W): dot products with orthonormal codes.

    The codes are drawn by a seed of their own: either encoder meets the same ones without meeting the other.
    """
    codes = torch.randn(sum(KINDS), features.shape[-1], generator=torch.Generator().manual_seed(0))
    codes = torch.linalg.qr(codes.T).Q * CODE_SCALE  # (W, nouns + places + 2)
    return (features @ codes).split(KINDS, dim=-1)


def pretrain_image_encoder(path: Path, args: argparse.Namespace) -> str:
    vit = create_model(SCENES_MODEL, drop_path=0.0).network.image_encoder.vit

    def scores(gray: Tensor) -> tuple[Tensor, ...]:
        return noun_and_place(vit.forward_features(gray.expand(-1, 3, -1, -1)).float())

    learnt = pretrain_on_patches(vit, scores, ["pos_embed"], path, args)
    save(vit, path)
    return learnt


def pretrain_vgg(path: Path, args: argparse.Namespace) -> str:
    return pretrain_backbone(vgg16_features(LCODE.width), 8 * LCODE.width, "features.", path, args)


def pretrain_resnet(path: Path, args: argparse.Namespace) -> str:
    return pretrain_backbone(backbone_of(ML2018.backbone), BACKBONES[ML2018.backbone], "", path, args)


def pretrain_backbone(backbone: nn.Module, channels: int, prefix: str, path: Path, args: argparse.Namespace) -> str:
    """backbone: (B, 3, S, S) -> (B, channels, S / 8, S / 8); prefix: of its tensors' names in the file."""
    model = nn.ModuleDict({"backbone": backbone, "head": nn.Conv2d(channels, sum(KINDS), 1)})

    def scores(gray: Tensor) -> tuple[Tensor, ...]:
        return model["head"](backbone(imagenet(gray))).float().flatten(2).transpose(1, 2).split(KINDS, dim=-1)

    learnt = pretrain_on_patches(model, scores, ["head.*"], path, args)
    save(backbone, path, prefix)
    return learnt


def save(module: nn.Module, path: Path, prefix: str = "") -> None:
    save_file({prefix + name: tensor.contiguous() for name, tensor in module.state_dict().items()}, path)


def pretrain_on_patches(
    model: nn.Module,
    scores_of: Callable[[Tensor], tuple[Tensor, ...]],
    no_matrices: list[str],
    path: Path,
    args: argparse.Namespace,
) -> str:
    """The noun and the place of every patch's object, or the ground, from the augmented gray picture.

    scores_of: gray (B, 1, S, S) in [-1, 1] to scores of nouns and of places, (B, N_I, .) each. Whole objects have a
    place: "at the top left" may begin left of the middle and end right of it. Returns what was learnt, in words.
    """
    augment = LuminanceAugmentation()
    scenes = Scenes("train", SIDE, STREAM, args.seed)

    def loss_and_accuracy(indices: range) -> tuple[Tensor, Tensor]:
        batch = scenes.render(indices)
        gray = augment(batch.rgb.float() / 255)
        owner = patch_labels(batch.masks, SIDE // PATCH)  # (B, N_I)
        with autocast(CPU, args.amp):
            found = scores_of(gray)
        loss, right = gray.new_zeros(()), []
        for kinds, values, score in zip(KINDS, (batch.shapes, batch.places), found, strict=True):
            wanted = torch.cat([values, torch.full((len(indices), 1), kinds - 1)], dim=1).gather(1, owner)  # (B, N_I)
            loss = loss + cross_entropy(score.flatten(0, 1), wanted.flatten())
            right.append(score.argmax(dim=2) == wanted)
        return loss, (right[0] & right[1])[owner < batch.shapes.shape[1]].float().mean()

    accuracy = fit(model, loss_and_accuracy, no_matrices, args, path.stem)
    return f"names object and place in {accuracy:.1%} of the objects' patches"


def pretrain_text_encoder(folder: Path, args: argparse.Namespace) -> str:
    """[CLS] a description [SEP] another of the same scene [SEP], some words hidden: which word stands at every hidden
    place and at every colour's, and which noun and place has that colour."""
    encoder = create_model(SCENES_MODEL).network.text_encoder.encoder
    model = nn.ModuleDict({"bert": encoder, "head": nn.Linear(encoder.config.hidden_size, encoder.config.vocab_size)})
    words = CaptionTokenizer.from_vocabulary().tokenizer
    mask_id, *marks = (words.token_to_id(mark) for mark in ("[MASK]", "[CLS]", "[SEP]", "[PAD]"))
    marks, colors = torch.tensor(marks), torch.tensor([words.token_to_id(color) for color in COLORS])
    scenes = Scenes("train", SIDE, STREAM, args.seed)

    def loss_and_accuracy(indices: range) -> tuple[Tensor, Tensor]:
        encoded = words.encode_batch(scenes.descriptions(indices))
        ids, kinds, mask = (
            torch.tensor([getattr(e, name) for e in encoded]) for name in ("ids", "type_ids", "attention_mask")
        )
        is_color = torch.isin(ids, colors)
        hidden = torch.rand(ids.shape) < torch.where(is_color, HIDDEN + HIDDEN_COLORS, HIDDEN)
        hidden &= ~torch.isin(ids, marks)
        with autocast(CPU, args.amp):
            shown = torch.where(hidden, mask_id, ids)
            features = encoder(input_ids=shown, token_type_ids=kinds, attention_mask=mask).last_hidden_state.float()
        asked = hidden | is_color
        scores, wanted = model["head"](features[asked]), ids[asked]
        loss = cross_entropy(scores, wanted)
        scene, place = is_color.nonzero(as_tuple=True)
        color = (ids[scene, place, None] == colors).int().argmax(dim=1)
        for score, owner in zip(noun_and_place(features[scene, place]), scenes.owners(indices), strict=True):
            loss = loss + cross_entropy(score, owner[scene, color])
        return loss, (scores.argmax(dim=-1) == wanted)[(hidden & is_color)[asked]].float().mean()

    accuracy = fit(model, loss_and_accuracy, ["bert.embeddings.*", "head.*"], args, "text encoder")
    encoder.save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]").save_pretrained(folder)
    return f"fills in {accuracy:.1%} of the hidden colours"


def fit(
    model: nn.Module,
    loss_and_accuracy: Callable[[range], tuple[Tensor, Tensor]],
    no_matrices: list[str],
    args: argparse.Namespace,
    title: str,
) -> float:
    """Muon with warm-up and cosine; returns the mean accuracy of the last tenth of the steps."""
    avoid_slow_muon(CPU)
    optimizer = create_optimizer_v2(
        model, opt="nmuon", lr=args.lr, weight_decay=0.05, momentum=0.95, betas=(0.9, 0.98), fallback_list=no_matrices
    )
    warmup = min(WARMUP, args.steps // 10)
    schedule = CosineLRScheduler(
        optimizer,
        args.steps,
        lr_min=args.lr / 50,
        warmup_t=warmup,
        warmup_lr_init=args.lr / (warmup + 1),  # the first update learns too
        t_in_epochs=False,
    )
    model.train()
    accuracies: list[Tensor] = []
    for step in (bar := progress(range(args.steps), title, "step")):
        schedule.step_update(step)
        with attention_for_training(CPU, args.amp):
            loss, accuracy = loss_and_accuracy(range(step * args.batch_size, (step + 1) * args.batch_size))
            loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        accuracies.append(accuracy)
        if step % 50 == 0:
            bar.set_postfix(loss=f"{loss.item():.3f}", accuracy=f"{accuracy.item():.2f}", refresh=False)
    last = accuracies[-max(1, args.steps // 10) :]
    return torch.stack(last).nanmean().item()


PARTS = {  # how, and by how many updates
    "image_encoder.safetensors": (pretrain_image_encoder, 9000),
    "text_encoder": (pretrain_text_encoder, 9000),
    "vgg16_bn_small.safetensors": (pretrain_vgg, 3000),
    "resnet18.safetensors": (pretrain_resnet, 3000),
}


if __name__ == "__main__":
    main()
