"""Strokes: photos painted with a brush that follows the form, for a generator to begin with.

Not in arXiv 2211.15549. An oil painter's strokes run along cheeks, locks and folds. The noise of a
generator has strokes of four directions; at each place those are seen that lie along the form, and
where there is none the brush marks whose direction turns slowly. A network of convolutions can
learn that choice, and cannot make up strokes of its own. Forms are found with the structure tensor
(Förstner and Gülch, 1987), as painterly filters do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..models.generator.noise import (
    GRAIN_CHANNELS,
    STROKE_CHANNELS,
    STROKE_DIRECTIONS,
    WASH_CHANNELS,
)
from .abstraction import EYES_AND_MOUTH, WHOLE_FACE, room_around
from .blur import soften
from .paint_noise import noise_for

# Channels of brush marks, and of strokes in all directions: tones, positions across.
_MARK_TONE, _MARK_ACROSS = GRAIN_CHANNELS, GRAIN_CHANNELS + 1
_TONES = slice(WASH_CHANNELS, STROKE_CHANNELS, 2)
_ACROSS = slice(WASH_CHANNELS + 1, STROKE_CHANNELS, 2)
# Of what a stroke changes: light and dark, its lit edge, warm and cold.
_SHARES = (1.0, 0.5, 0.3)
# Pixels, of 512, that a form is averaged over before and after its slopes are taken; squared slope
# of what is no form.
_BEFORE, _AFTER, _NOTHING = 1.5, 6.0, 1e-5
# How strictly strokes are chosen by their direction.
_STRICT = 12
# Share of strokes that is left in the middle of a face.
_FACE = 0.5


@dataclass(frozen=True)
class Strokes:
    """How a photo looks in brush strokes.

    Attributes:
        contrast: what a standard deviation of strokes changes, of 2; about 0.12 for oil.
    """

    contrast: float

    def to(self, device: torch.device) -> Strokes:
        """Return itself: it has nothing on any device."""
        return self

    def painted(
        self, pixel_values: Tensor, landmarks: Tensor, noise: Tensor | None, photo: Tensor
    ) -> Tensor:
        """Return a picture in strokes.

        Args:
            pixel_values: `(B, 3, S, S)` in [-1, 1], S a multiple of 4: what to paint, as a rule
                the photo in patches (`simplify_photo`).
            landmarks: `(B, 68, 2)`, (x, y) in [-1, 1], pixel centres (`align_corners=False`).
            noise: `(1, channels, S / 4, S / 4)`, that of the generator which is to learn it;
                None if it has none.
            photo: not needed here.

        Returns:
            `(B, 3, S, S)` in [-1, 1], float32.

        Raises:
            ConfigError: the noise has no strokes.
        """
        noise = noise_for("strokes", noise)
        under, side = pixel_values.float(), pixel_values.shape[-1]
        weights, formless = along_the_form(under)
        tone = (weights * noise[:, _TONES]).sum(1, keepdim=True)
        across = (weights * noise[:, _ACROSS]).sum(1, keepdim=True)
        tone = tone + formless * noise[:, _MARK_TONE, None]
        across = across + formless * noise[:, _MARK_ACROSS, None]
        warm = (tone.abs() - 0.8) * under.new_tensor([1.0, 0.0, -1.0]).view(1, 3, 1, 1)
        room = room_around(landmarks, side, EYES_AND_MOUTH, 0.03, 0.2)
        face = _FACE + (1 - _FACE) * room_around(landmarks, side, WHOLE_FACE, 0.05, 0.5)
        # Black and white have little paint to spare.
        middle = 0.3 + 0.7 * (1 - under.mean(1, keepdim=True).square())
        light, edge, colour = (self.contrast * share for share in _SHARES)
        change = light * tone + edge * across + colour * warm
        return (under + room * face * middle * change).clamp(-1, 1)


def along_the_form(pixel_values: Tensor) -> tuple[Tensor, Tensor]:
    """Choose among the directions of strokes the one along which a picture changes least.

    Args:
        pixel_values: `(B, 3, S, S)` in [-1, 1].

    Returns:
        Weights of the directions, `(B, 4, S, S)`, and `(B, 1, S, S)` of none; together 1.
    """
    scale = pixel_values.shape[-1] / 512
    luma = soften(pixel_values.float().mean(1, keepdim=True), max(0.5, _BEFORE * scale))
    x, y = _slopes(luma)
    tensor = torch.cat([x * x - y * y, 2 * x * y, x * x + y * y], 1)
    tensor = soften(tensor, max(0.5, _AFTER * scale))
    # Twice the angle of the slope; strokes lie across it.
    strength = tensor[:, :2].norm(dim=1, keepdim=True)
    form = strength / (tensor[:, 2:] + _NOTHING / scale**2)
    cosine, sine = (-tensor[:, :2] / strength.clamp_min(1e-12)).split(1, 1)
    angles = 2 * math.pi / STROKE_DIRECTIONS * torch.arange(STROKE_DIRECTIONS, device=x.device)
    angles = angles.view(1, -1, 1, 1)
    # cos(a - b) ** 2 of the angles themselves.
    alike = (1 + cosine * angles.cos() + sine * angles.sin()) / 2
    weights = alike.pow(_STRICT / 2)
    return form * weights / weights.sum(1, keepdim=True), 1 - form


def _slopes(luma: Tensor) -> tuple[Tensor, Tensor]:
    wide = F.pad(luma, (1,) * 4, mode="replicate")
    return (
        (wide[..., 1:-1, 2:] - wide[..., 1:-1, :-2]) / 2,
        (wide[..., 2:, 1:-1] - wide[..., :-2, 1:-1]) / 2,
    )
