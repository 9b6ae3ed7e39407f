"""Teach an image encoder what a ResNet-50 sees in photographs: its features, patch by patch, from gray pictures.

    python scripts/distill_image_encoder.py encoders/image.safetensors resnet50.pth PHOTOS... --output image.safetensors

The first file is what scripts/compact_encoders.py image wrote, the second a ResNet-50 in torchvision's names. The
teacher sees the photograph in colour at 224 pixels, the student its augmented luminance at --size. Every patch's token,
through a linear map that is thrown away afterwards, is to point where the teacher's features of its last two stages do
there: the loss is 1 less their cosine, after both stages were brought to mean 0 and deviation 1 per picture. No caption
and no label is read. --image_encoder_weights takes the result.
"""

import argparse
import math
import sys
from pathlib import Path

import numpy as np
import torch
import torchvision
from safetensors.torch import save_file
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, interpolate, layer_norm
from torch.utils.data import DataLoader, Dataset

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from augment import LuminanceAugmentation
from datasets.captioned_images import draw_crop, squash
from datasets.image_files import find_images, read_image
from models import PHOTOS_MODEL, create_model
from models import weights as pretrained
from utils.devices import AMP, AMP_HELP, autocast, choose, precision
from utils.errors import InputError
from utils.progress import progress

TEACHER_SIDE = 224  # pixels
CROP_SCALE = (0.4, 1.0)  # share of a photograph's area that a crop keeps
CAFFE_MEAN = (123.68, 116.779, 103.939)  # of RGB in [0, 255]
WARMUP = 0.05  # of the updates


def main(words: list[str] | None = None) -> int:
    options = parse(words)
    try:
        said = distil(options)
    except (InputError, OSError) as error:
        print(f"distill_image_encoder.py: {error}", file=sys.stderr)
        return 2
    print(f"{options.output}: {said}")
    return 0


def parse(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("student", help="weights of the photographs' model's ViT to start from, or 'random'")
    parser.add_argument("teacher", type=Path, help="ResNet-50 in torchvision's names")
    parser.add_argument("photographs", type=Path, nargs="+", help="folders of photographs")
    parser.add_argument("--output", type=Path, required=True, help="safetensors file to write")
    parser.add_argument(
        "--caffe",
        action="store_true",
        help="the teacher came from Caffe, as Keras' does: it takes BGR less its mean, and strides in the first 1x1",
    )
    parser.add_argument("--size", type=int, default=64, help="side of the student's square in pixels (default: 64)")
    parser.add_argument("--epochs", type=int, default=4, help="passes over the photographs (default: 4)")
    parser.add_argument("--batch_size", type=int, default=64, help="photographs per update (default: 64)")
    parser.add_argument("--lr", type=float, default=3e-4, help="highest learning rate (default: 3e-4)")
    parser.add_argument("--amp", choices=AMP, default="auto", help=AMP_HELP)
    parser.add_argument("--num_workers", type=int, default=2, help="loader processes (default: 2)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: auto)")
    parser.add_argument("--seed", type=int, default=0, help="of crops, order and noise (default: 0)")
    return parser.parse_args(words)


class Crops(Dataset):
    """Random crops of photographs, mirrored at random: (3, TEACHER_SIDE, TEACHER_SIDE) uint8."""

    def __init__(self, folders: list[Path], seed: int) -> None:
        self.paths = [path for folder in folders for path in find_images(folder)]
        self.seed, self.epoch = seed, 0

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor:
        draw = np.random.default_rng((self.seed, self.epoch, index))
        image = read_image(self.paths[index])
        top, left, height, width = draw_crop(*image.size, CROP_SCALE, int(draw.integers(2**63)))
        rgb = squash(image, TEACHER_SIDE, box=(left, top, left + width, top + height))
        return rgb.flip(-1) if draw.random() < 0.5 else rgb


class Teacher(nn.Module):
    """ResNet-50's last two stages as one grid of features per picture."""

    def __init__(self, path: Path, caffe: bool) -> None:
        super().__init__()
        network = torchvision.models.resnet50(weights=None)
        try:
            network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        except Exception as error:  # whatever torch makes of other files
            raise InputError(f"{path}: is no ResNet-50 in torchvision's names ({str(error)[:200]})") from error
        if caffe:
            for stage in (network.layer2, network.layer3, network.layer4):
                stage[0].conv1.stride, stage[0].conv2.stride = stage[0].conv2.stride, stage[0].conv1.stride
        self.network, self.caffe = network.eval().requires_grad_(False), caffe
        mean, std = (CAFFE_MEAN, (1.0,) * 3) if caffe else (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD)
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("std", torch.tensor(std)[:, None, None])

    @torch.no_grad()
    def forward(self, rgb: Tensor, grid: int) -> Tensor:
        """rgb: (B, 3, H, W) uint8. Returns (B, grid * grid, 3072): 1024 channels of stage 3, 2048 of stage 4."""
        network, scaled = self.network, (rgb.float() / (1 if self.caffe else 255) - self.mean) / self.std
        stem = network.maxpool(network.relu(network.bn1(network.conv1(scaled.flip(1) if self.caffe else scaled))))
        third = network.layer3(network.layer2(network.layer1(stem)))
        stages = []
        for features in (third, network.layer4(third)):
            at_grid = interpolate(features.float(), size=(grid, grid), mode="bilinear", antialias=True)
            stages.append(layer_norm(at_grid, at_grid.shape[1:]))
        return torch.cat(stages, dim=1).flatten(2).transpose(1, 2)


def distil(options: argparse.Namespace) -> str:
    """What was done, in words; the student's weights are written at the end."""
    torch.manual_seed(options.seed)
    device = choose(options.device)
    options.amp = precision(options.amp, device)
    vit = create_model(PHOTOS_MODEL, img_size=options.size).image_encoder.vit
    pretrained.load_image_encoder(vit, options.student)
    teacher = Teacher(options.teacher, options.caffe).to(device)
    crops = Crops(options.photographs, options.seed)
    loader = DataLoader(crops, options.batch_size, shuffle=True, drop_last=True, num_workers=options.num_workers)
    if len(loader) == 0:
        raise InputError(
            f"--batch_size {options.batch_size}: {len(crops)} photographs fill no batch; pass a smaller one"
        )
    model = nn.ModuleDict({"vit": vit, "head": nn.Linear(vit.embed_dim, 3072)}).to(device).train()
    augment, grid = LuminanceAugmentation().to(device), vit.patch_embed.grid_size[0]
    updates = options.epochs * len(loader)
    optimizer = create_optimizer_v2(model, opt="adamw", lr=options.lr, weight_decay=0.05)
    warmup = math.ceil(WARMUP * updates)
    schedule = CosineLRScheduler(optimizer, updates, lr_min=options.lr / 100, warmup_t=warmup, t_in_epochs=False)
    cosines: list[float] = []
    for epoch in range(options.epochs):
        crops.epoch = epoch
        for rgb in (bar := progress(loader, f"epoch {epoch + 1}/{options.epochs}", "batch")):
            rgb = rgb.to(device)
            with autocast(device, options.amp):
                wanted = teacher(rgb, grid)
                small = interpolate(rgb.float() / 255, size=(options.size,) * 2, mode="bilinear", antialias=True)
                tokens = vit.forward_features(augment(small).expand(-1, 3, -1, -1))
                found = model["head"](tokens)
            loss = 1 - cosine_similarity(found.float(), wanted, dim=2).mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step_update(len(cosines) + 1)
            cosines.append(1 - loss.item())
            bar.set_postfix(cosine=f"{cosines[-1]:.3f}", refresh=False)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.cpu().contiguous() for name, tensor in vit.state_dict().items()}, options.output)
    last = cosines[-max(1, len(cosines) // 10) :]
    return f"{updates} updates, mean cosine to the teacher {cosines[0]:.3f} at first, {np.mean(last):.3f} at the end"


if __name__ == "__main__":
    sys.exit(main())
