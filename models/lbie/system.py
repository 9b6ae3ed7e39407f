"""LBIE as a system.  B pictures; T steps of the merger; S side; K width of a word's state.

Differs, where paper and public code differ: docs/SYSTEMS.md.
"""

from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import binary_cross_entropy_with_logits

from datasets.batch import Batch
from models.layers.words import WordEncoder
from models.lbie import official
from models.lbie.config import LBIEConfig
from models.lbie.discriminator import Discriminator
from models.lbie.network import Generator, Steps
from models.system import Coloring
from models.text import CaptionTokenizer, Words
from models.vocabulary import read_vectors
from models.weights import load_fully
from models.word_system import WordSystem, split
from utils.devices import full_precision


class Networks(nn.Module):
    def __init__(self, config: LBIEConfig) -> None:
        super().__init__()
        states = 4 * config.width  # K
        self.words = WordEncoder(config.vocabulary_size, config.word_width, states // 2, drop=0.0)
        self.words.embedding.requires_grad_(config.learn_words)
        self.generator = Generator(config.width, states, config.steps, config.instance_norm)
        self.discriminator = Discriminator(config.discriminator_width, states)


class LBIE(WordSystem):
    """Generator and discriminator learn in one update, by one optimizer: neither's loss reaches the other's
    parameters. The published optimizer is the same for both, and Adam treats each parameter by itself."""

    Config = LBIEConfig
    of_authors: ClassVar = {"steps": 1}

    def __init__(self, name: str, config: LBIEConfig, tokenizer: CaptionTokenizer | None = None) -> None:
        super().__init__(name, config, tokenizer)
        self.networks = Networks(config)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        gray, ab = split(batch.rgb)
        ab = batch.asked(ab)
        words = batch.words.gathered()
        states, _ = self.networks.words(words)
        steps = self.networks.generator(gray, states, words.mask)
        real = self._judged(gray, ab[:, None], states.detach(), words.mask)
        fake = self._judged(gray, steps.ab.detach(), states.detach(), words.mask)
        seen = self._judged(gray, steps.ab, states, words.mask, frozen=True)
        with full_precision(batch.rgb.device):
            losses = self._losses(steps, ab, real, fake, seen)
        generator = self.config.gan_weight * losses["gan"] + self.config.l1_weight * losses["l1"]
        return losses | {"total": generator + losses["discriminator"]}

    def _judged(self, gray: Tensor, ab: Tensor, states: Tensor, mask: Tensor, frozen: bool = False) -> Tensor:
        """ab: (B, T, 2, S, S). Returns the discriminator's logits (B, T, h, w). frozen: gradients pass through it to
        ab, and change nothing of it."""
        count = ab.shape[1]
        given = [held.repeat_interleave(count, dim=0) for held in (gray, states, mask)]
        given.insert(1, ab.flatten(0, 1))
        discriminator = self.networks.discriminator
        held = {n: p.detach() for n, p in discriminator.named_parameters()} if frozen else {}
        return functional_call(discriminator, held, tuple(given))[:, 0].unflatten(0, (-1, count))

    def _losses(self, steps: Steps, ab: Tensor, real: Tensor, fake: Tensor, seen: Tensor) -> dict[str, Tensor]:
        """Of each step, weighted by the probability to end there; the gates learn from the generator's."""
        distance = (steps.ab.float() - ab[:, None]).abs().mean(dim=(2, 3, 4))  # (B, T)
        adversarial, as_real, as_fake = _entropy(seen, 1.0), _entropy(real, 1.0), _entropy(fake, 0.0)
        weights = steps.weights
        return {
            "l1": (weights * distance).sum(dim=1).mean(),
            "gan": (weights * adversarial).sum(dim=1).mean(),
            "discriminator": (as_real[:, 0] + (weights.detach() * as_fake).sum(dim=1)).mean(),
        }

    def colorize(self, batch: Batch) -> Coloring:
        self.tell_cut(batch.captions)
        words: Words = batch.words.gathered()
        states, _ = self.networks.words(words)
        return Coloring(self.networks.generator.last(split(batch.rgb)[0], states, words.mask))

    @classmethod
    def from_scratch(cls, name: str, config: LBIEConfig) -> Self:
        system = cls.with_vocabulary(name, config)
        vectors = read_vectors(config.word_vectors, system.tokenizer, config.word_width, config.learn_words)
        system.networks.words.start_from(vectors)
        return system

    @classmethod
    def recognizes(cls, content: Any) -> bool:
        return isinstance(content, dict) and official.KNOWN in content

    @classmethod
    def from_authors(cls, name: str, content: Any, config: LBIEConfig) -> tuple[Self, list[str]]:
        """The released form; the file lacks `vocabulary` and `word_vectors`."""
        system = cls.from_scratch(name, config)
        weights = official.read(content)
        embedding = system.networks.words.embedding.weight.detach()
        load_fully(system.networks, weights | {"words.embedding.weight": embedding}, "the authors' file")
        return system, [f"{len(content)} tensors of the authors' file; its word vectors are --word_vectors"]


def _entropy(logits: Tensor, target: float) -> Tensor:
    """Mean binary cross-entropy over a map, nats: (B, T, h, w) -> (B, T) float32."""
    logits = logits.float()
    return binary_cross_entropy_with_logits(logits, torch.full_like(logits, target), reduction="none").mean(dim=(2, 3))
