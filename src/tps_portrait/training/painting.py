"""What paints photos for a generator to learn from: washes or strokes, as the style asks."""

from __future__ import annotations

import copy
from typing import Protocol

import torch
from torch import Tensor

from ..models.generator import StyleGenerator
from .arguments import TrainingArguments
from .data import FaceSet
from .paint_noise import CHANNELS_OF, check_channels
from .strokes import Strokes
from .washes import Washes


class Painter(Protocol):
    """Paints photos in the medium of a style."""

    def painted(
        self, pixel_values: Tensor, landmarks: Tensor, noise: Tensor | None, photo: Tensor
    ) -> Tensor:
        """Return a painted picture, see `Washes.painted`, for one."""

    def to(self, device: torch.device) -> Painter:
        """Return the same on another device."""


def make_painter(
    args: TrainingArguments, examples: FaceSet, start: StyleGenerator | None
) -> Painter | None:
    """Make the painter that a training asks for.

    Args:
        args: `washes` or `strokes` is above 0, or neither.
        examples: in the style; the paper of washes is theirs.
        start: the generator that the training begins with, for lines; it is copied.

    Returns:
        A painter, or None for a style without.
    """
    if args.washes:
        # The training goes on with the start itself.
        frozen = start and copy.deepcopy(start).eval().requires_grad_(False)
        return Washes.of_examples(args.washes, examples, frozen)
    return Strokes(args.strokes) if args.strokes else None


def check_noise(args: TrainingArguments, generator: StyleGenerator) -> None:
    """Refuse a generator whose noise lacks what the training asks for, before anything is read.

    Raises:
        ConfigError: `washes` or `strokes` is above 0, and the noise has too few channels.
    """
    for name in CHANNELS_OF:
        if getattr(args, name):
            check_channels(name, generator.config.noise_channels)
