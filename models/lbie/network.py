"""LBIE's generator: an encoder, a recurrent attentive merger of image and words, a decoder.

B pictures; H, W side; h, w sides at a place; N_L words; T steps; C channels; K width of a word's state.
Modules are called after the tensors of the public file.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

_STAGES = {1: (2, 1), 2: (2, 1), 4: (3, 1), 5: (3, 2), 6: (3, 2), 7: (3, 1)}  # convolutions, dilation; no third stage


class Merged(NamedTuple):
    image: Tensor  # (B, C, h, w)
    attention: Tensor  # (B, N_L, h, w), the words' shares of each place


class Steps(NamedTuple):
    ab: Tensor  # (B, T, 2, H, W) in [-1, 1]
    weights: Tensor  # (B, T), the probability to end after each step; they sum to 1


class Merger(nn.Module):
    """Each place attends to the words, and a GRU-like gate takes what it reads into the image.

        a = softmax over words of v . tanh(U h + W w);  s = sum a w
        r, u = sigmoid(L [h ; s]);  c = relu(L' [r h ; s]);  h' = u h + (1 - u) c

    In several steps c is relu(L' [h ; r s]), as the paper's code has it.
    Differs: the public code lets padding take part in the softmax; here it does not, so that a caption's colours do not
    hang on its neighbours in a batch.
    """

    def __init__(self, channels: int, words: int, recurrent: bool) -> None:
        super().__init__()
        self.recurrent = recurrent
        self.U_h = nn.Conv2d(channels, channels, 1)
        self.W_h = nn.Linear(words, channels)
        self.logits_h = nn.Linear(channels, 1)
        self.gates = nn.Conv2d(channels + words, 2 * channels, 1)
        self.candidate = nn.Conv2d(channels + words, channels, 1)
        nn.init.ones_(self.gates.bias)

    def forward(self, image: Tensor, words: Tensor, mask: Tensor) -> Merged:
        """image: (B, C, h, w); words: (B, N_L, K); mask: (B, N_L) bool, True on real words."""
        places = self.U_h(image).permute(0, 2, 3, 1)[:, None]  # (B, 1, h, w, C)
        hidden = torch.tanh(places + self.W_h(words)[:, :, None, None])  # (B, N_L, h, w, C)
        scores = self.logits_h(hidden)[..., 0].float().masked_fill(~mask[:, :, None, None], float("-inf"))
        attention = scores.softmax(dim=1).to(image.dtype)
        read = torch.einsum("bnhw,bnk->bkhw", attention, words)
        reset, update = self.gates(torch.cat([image, read], dim=1)).sigmoid().chunk(2, dim=1)
        given = (image, reset * read) if self.recurrent else (reset * image, read)
        candidate = self.candidate(torch.cat(given, dim=1)).relu()
        return Merged(update * image + (1 - update) * candidate, attention)


class Generator(nn.Module):
    """instance_norm: the public code's BatchNorm, with the statistics of a batch of one, in training as in use."""

    def __init__(self, width: int, words: int, steps: int, instance_norm: bool = True) -> None:
        super().__init__()
        self.steps, norm = steps, batch_of_one if instance_norm else nn.BatchNorm2d
        c1, c2, c4 = width, 2 * width, 4 * width
        inputs = 1
        for stage, (count, dilation) in _STAGES.items():
            outputs = {1: c1, 2: c2}.get(stage, c4)
            for place in range(1, count + 1):
                conv = nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation)
                self.add_module(f"conv{stage}_{place}", _halving(conv) if stage <= 2 and place == 2 else conv)
                inputs = outputs
            self.add_module(f"bn{stage}", norm(outputs))
        self.merger = Merger(c4, words, recurrent=steps > 1)
        self.conv8_1, self.conv8_2, self.conv8_3 = _double(c4, c2), _conv(c2), _conv(c2)
        self.conv9_1, self.conv9_2, self.conv9_3 = _double(c2, c1), _conv(c1), _conv(c1)
        self.bn8, self.bn9 = norm(c2), norm(c1)
        self.conv9_color = nn.Conv2d(c1, 2 if steps == 1 else 3, 3, padding=1)  # ab, and the termination gate

    def encode(self, gray: Tensor) -> Tensor:
        """gray: (B, 1, H, W) in [-1, 1]. Returns (B, C, H / 4, W / 4)."""
        image = gray
        for stage, (count, _) in _STAGES.items():
            for place in range(1, count + 1):
                conv = getattr(self, f"conv{stage}_{place}")
                image = conv(pad(image, (0, 1, 0, 1)) if conv.stride == (2, 2) else image)
                image = image if (stage, place) == (7, 3) else image.relu()
            image = image if stage == 7 else getattr(self, f"bn{stage}")(image)
        return image

    def decode(self, image: Tensor) -> tuple[Tensor, Tensor | None]:
        """(B, C, h, w) -> ab (B, 2, 4 h, 4 w) in [-1, 1], and the gate's logit (B,); None in the released form."""
        image = self.bn7(image.relu())
        for layer in (self.conv8_1, self.conv8_2, self.conv8_3):
            image = layer(image).relu()
        image = self.bn8(image)
        for layer in (self.conv9_1, self.conv9_2, self.conv9_3):
            image = layer(image).relu()
        output = self.conv9_color(self.bn9(image))
        return output[:, :2].tanh(), None if self.steps == 1 else output[:, 2].mean(dim=(1, 2))

    def forward(self, gray: Tensor, words: Tensor, mask: Tensor) -> Steps:
        """words: (B, N_L, K); mask: (B, N_L) bool."""
        image, colored, gates = self.encode(gray), [], []
        for _ in range(self.steps):
            image = self.merger(image, words, mask).image
            ab, gate = self.decode(image)
            colored.append(ab)
            gates.append(gray.new_zeros(len(gray)) if gate is None else gate)
        return Steps(torch.stack(colored, dim=1), stick_breaking(torch.stack(gates, dim=1)))

    def last(self, gray: Tensor, words: Tensor, mask: Tensor) -> Tensor:
        """The ab of the last step alone, (B, 2, H, W): what is used, as published."""
        image = self.encode(gray)
        for _ in range(self.steps):
            image = self.merger(image, words, mask).image
        return self.decode(image)[0]


def stick_breaking(gates: Tensor) -> Tensor:
    """(B, T) logits to end after each step -> (B, T) float32 that sum to 1: the last step takes what is left."""
    end = gates.float().sigmoid()[:, :-1]
    goes_on = torch.cat([end.new_ones(len(end), 1), (1 - end).cumprod(dim=1)], dim=1)
    return goes_on * torch.cat([end, end.new_ones(len(end), 1)], dim=1)


def batch_of_one(channels: int) -> nn.InstanceNorm2d:
    return nn.InstanceNorm2d(channels, eps=1e-5, affine=True)


def _halving(conv: nn.Conv2d) -> nn.Conv2d:
    """With padding behind alone, which `encode` adds."""
    conv.stride, conv.padding, conv._reversed_padding_repeated_twice = (2, 2), (0, 0), [0, 0, 0, 0]
    return conv


def _double(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)


def _conv(channels: int) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, 3, padding=1)
