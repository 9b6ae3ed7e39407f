"""A system in use: frozen, on its device, in its precision; what it reads of a photograph or a caption is read once.

N_I image tokens; C their width; S side of the network's square; R regions; G side of the grid of image tokens.
"""

import copy
from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datasets.batch import Batch
from inference.explanation import WordEffect, words_of
from models.system import System
from models.text import Words
from utils import color, devices
from utils.errors import InputError

KEPT_CAPTIONS = 64  # that are kept as the text encoder reads them


class FrozenSystem:
    def __init__(self, system: System, device: str, amp: str, compile: bool, copied: bool) -> None:
        """As `inference.Colorizer`."""
        self.device = devices.choose(device)
        self.amp = devices.precision(amp, self.device)
        if compile:
            devices.check_compiler(self.device)
        self.system = (copy.deepcopy(system) if copied else system).eval().requires_grad_(False).to(self.device)
        if self.device.type == "cpu":
            devices.linear_by_onednn(self.system, self.amp)
        maybe = torch.compile if compile else lambda function: function
        if self.system.reads_apart:
            steps = self.system.encode_image, self.system.encode_text, self.system.decode
            self._encode_image, self._encode_text, self._decode = map(maybe, steps)
        else:
            self._colorize = maybe(self.system.colorize)
        self._read = lru_cache(KEPT_CAPTIONS)(self._read_caption)

    @torch.no_grad()
    def see(self, photograph: Batch) -> Tensor | Batch:
        """photograph: of one picture, without a caption. Its tokens (1, N_I, C), for as many captions as one likes; the
        photograph itself where a system reads no image apart."""
        photograph = photograph.to(self.device)
        if not self.system.reads_apart:
            return photograph
        with devices.autocast(self.device, self.amp):
            return self._encode_image(photograph.rgb)

    def color(self, seen: Tensor | Batch, caption: str) -> tuple[NDArray, NDArray]:
        """seen: of `see`. Returns ab (2, S, S) in CIE units and the regions (R, G, G), float32. Raises InputError where
        ab is not finite."""
        return self._coloring(seen, caption, *self._read(caption))

    def word_effects(self, seen: Tensor | Batch, caption: str, ab: NDArray) -> list[WordEffect]:
        """ab: of `color`. The caption is read once for each of its words, with that word's tokens hidden from every
        attention."""
        words, _ = self._read(caption)
        if words is None:
            return []
        spans = self.system.tokenizer.tokenizer.encode(caption).offsets
        effects = []
        for first, last in words_of(caption):
            hidden = torch.tensor([first < end and start < last for start, end in spans])
            if not hidden.any():
                continue  # beyond what the text encoder takes, or of no token ("\u200b")
            rest = words.mask & ~hidden.to(self.device)
            without = ab
            if rest.any():
                others = Words(words.ids, rest)
                without, _ = self._coloring(seen, caption, others, self._encode_words(others))
            effects.append(WordEffect(first, last, np.linalg.norm(without - ab, axis=0)))
        return effects

    def _read_caption(self, caption: str) -> tuple[Words | None, Tensor | None]:
        """Its tokens, and what the text encoder says of them: the same for every photograph."""
        tokenizer = self.system.tokenizer
        words = None if tokenizer is None else tokenizer([caption]).to(self.device)
        return words, self._encode_words(words)

    @torch.no_grad()
    def _encode_words(self, words: Words | None) -> Tensor | None:
        if not self.system.reads_apart:
            return None
        with devices.autocast(self.device, self.amp):
            return self._encode_text(words)

    @torch.no_grad()
    def _coloring(
        self, seen: Tensor | Batch, caption: str, words: Words | None, language: Tensor | None
    ) -> tuple[NDArray, NDArray]:
        with devices.autocast(self.device, self.amp):
            if self.system.reads_apart:
                coloring = self._decode(seen, language, words.mask)
            else:
                coloring = self._colorize(replace(seen, captions=[caption], words=words))
        if not coloring.ab.isfinite().all():
            raise InputError("the network's ab is not finite; pass --amp none, or another checkpoint")
        ab = color.denormalize_ab(coloring.ab[0]).float().cpu().numpy()
        if coloring.regions is None:
            return ab, np.empty((0, 0, 0), np.float32)
        side = round(coloring.regions.shape[2] ** 0.5)
        return ab, coloring.regions[0].float().unflatten(1, (side, side)).cpu().numpy()
