"""Cels: photos painted flat, in few tones and with drawn lines, for a generator to begin with.

Not in arXiv 2211.15549. A frame of an animated film has a lit and a shaded tone on each thing and
an edge between them, where a photo has a gradient. Tones go into layers here, as Winnemöller et
al. do it ("Real-time video abstraction", 2006, doi 10.1145/1141911.1142018), and colours stay with
their tone; lines, eyes and mouth are those that the start of a training draws, which has learned
them from the style's examples.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from kornia.filters import gaussian_blur2d
from torch import Tensor

from ..models.generator import StyleGenerator
from .abstraction import room_around
from .lines import dark_lines, in_layers

# How sharply layers end, their share against smooth tones, and how much they may change a colour.
_SHARPNESS, _LAYERED, _FACTORS = 3.0, 0.75, (0.6, 1.5)
# Pixels, of 512, that tones are averaged over before they go into layers: edges become smooth.
_SMOOTH = 1.5
# By how much colours are purer than in the photo; strength of lines.
_PURITY, _LINES = 1.15, 0.9
# Share of the start's own drawing in eyes and mouth.
_FEATURES_DRAWN = 0.8
_EYES_AND_MOUTH = slice(36, 68)


@dataclass(frozen=True)
class Cels:
    """How a photo looks as a frame of an animated film.

    Attributes:
        layers: tones from black to white, about 5.
        start: draws the lines, eyes and mouth; without, there are no lines.
    """

    layers: float
    start: StyleGenerator | None = None

    def to(self, device: torch.device) -> Cels:
        """Return the same on another device."""
        return self if self.start is None else replace(self, start=self.start.to(device))

    def painted(
        self, pixel_values: Tensor, landmarks: Tensor, noise: Tensor | None, photo: Tensor
    ) -> Tensor:
        """Return a picture in flat tones.

        Args:
            pixel_values: `(B, 3, S, S)` in [-1, 1], S a multiple of 4: what to paint, as a rule
                the photo in patches (`simplify_photo`).
            landmarks: `(B, 68, 2)`, (x, y) in [-1, 1], pixel centres (`align_corners=False`).
            noise: not needed here.
            photo: `(B, 3, S, S)` in [-1, 1], of which the start draws the lines.

        Returns:
            `(B, 3, S, S)` in [-1, 1], float32.
        """
        side = pixel_values.shape[-1]
        far = room_around(landmarks, side, _EYES_AND_MOUTH, 0.03, 0.14)
        colours = pixel_values.float() / 2 + 0.5
        width = max(0.5, _SMOOTH * side / 512)
        window = 2 * round(2 * width) + 1
        luma = gaussian_blur2d(_luma(colours), (window, window), (width, width), "replicate")
        # Whole numbers are the middles of layers.
        tones = (in_layers(self.layers * luma - 0.5, _SHARPNESS) + 0.5) / self.layers
        factor = (tones / (luma + 0.03)).clamp(*_FACTORS)
        colours = colours * (1 + _LAYERED * far * (factor - 1))
        luma = _luma(colours)
        colours = luma + _PURITY * (colours - luma)
        if self.start is not None:
            drawn = self.start(photo).float().clamp(-1, 1) / 2 + 0.5
            share = _FEATURES_DRAWN * (1 - far)
            colours = colours + share * (drawn - colours)
            colours = colours * torch.exp(-_LINES * (1 - share) * dark_lines(drawn, side))
        return 2 * colours.clamp(0, 1) - 1


def _luma(colours: Tensor) -> Tensor:
    weights = colours.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    return (colours * weights).sum(1, keepdim=True)
