"""Washes: photos painted in transparent layers on paper, as the first thing a generator is taught.

Not in arXiv 2211.15549. Watercolor and ink are not opaque: what is light is bare paper, what is
dark is more paint. A hundred examples and some hundred adversarial steps do not teach a network
that was trained on photos to leave their tones; a picture of how this photo would look in washes
does. Density is what is painted with here (paint lets exp(-density) of the light through, Beer and
Lambert), as in Bousseau et al., "Interactive watercolor rendering with temporal coherence and
abstraction", 2006, doi 10.1145/1124728.1124751: layers, darker rims, pigment that flows apart and
settles in the grain. The paper is that of the examples, lines are those that the start draws, blots
and grain those of the generator's own noise, so that it can learn where they lie.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ..models.generator import StyleGenerator
from ..models.generator.noise import MARK_CHANNELS
from .abstraction import EYES_AND_MOUTH, WHOLE_FACE, room_around
from .blur import soften
from .data import FaceSet, to_float
from .lines import dark_lines, in_layers
from .paint_noise import noise_for

# Channels of blots and of their rims.
_BLOT, _RIM = MARK_CHANNELS, MARK_CHANNELS + 1
# Examples that are asked for their paper, and the share of their pixels that are taken for it.
_ASKED, _BARE = 100, 0.05
# Densities below which the paper stays bare, and by how much colours are purer than in the photo.
_TOE, _PURITY = 0.15, 1.2
# Layers from white to the darkest, how sharply they end, and their share against smooth tones.
_LAYERS, _SHARPNESS, _LAYERED = 4.5, 2.5, 0.5
# What a standard deviation of blots, of their rims and of grain changes of the density; what
# grain changes of the paper.
_BLOTS, _RIMS, _GRAIN, _TOOTH = 0.22, 0.08, 0.09, 0.012
# Width in pixels of the dark rim of a wash, of 512, and its strength.
_EDGE_WIDTH, _EDGE = 4, 0.8
# Strength of lines.
_LINES = 0.7
# Share of the start's own drawing in eyes and mouth.
_FEATURES_DRAWN = 0.7
# Share of the blots that is left in the middle of a face.
_FACE = 0.3


@dataclass(frozen=True)
class Washes:
    """How a photo looks in washes.

    Attributes:
        density: the darkest that paint gets, exp(-density) of the paper; about 1.4 for watercolor,
            2.6 for ink.
        paper: colour of bare paper, `(1, 3, 1, 1)` in [0, 1].
        start: draws the lines; no lines without.
    """

    density: float
    paper: Tensor
    start: StyleGenerator | None = None

    @classmethod
    def of_examples(
        cls, density: float, examples: FaceSet, start: StyleGenerator | None = None
    ) -> Washes:
        """Take the paper from style examples: the mean colour of their lightest twentieth."""
        # A hundred of a large set tell the paper.
        chosen = torch.linspace(0, len(examples) - 1, min(len(examples), _ASKED)).round().long()
        small = [F.adaptive_avg_pool2d(to_float(examples.images[i, None]), 64) for i in chosen]
        colours = torch.cat(small) / 2 + 0.5
        colours = colours.movedim(1, -1).reshape(-1, 3)
        luma = colours @ colours.new_tensor([0.299, 0.587, 0.114])
        paper = colours[luma >= luma.quantile(1 - _BARE)].mean(0)
        return cls(density, paper.view(1, 3, 1, 1), start)

    def to(self, device: torch.device) -> Washes:
        """Return the same on another device."""
        start = self.start if self.start is None else self.start.to(device)
        return replace(self, paper=self.paper.to(device), start=start)

    def painted(
        self, pixel_values: Tensor, landmarks: Tensor, noise: Tensor | None, photo: Tensor
    ) -> Tensor:
        """Return a picture in washes.

        Args:
            pixel_values: `(B, 3, S, S)` in [-1, 1], S a multiple of 4: what to paint, as a rule
                the photo in patches (`simplify_photo`).
            landmarks: `(B, 68, 2)`, (x, y) in [-1, 1], pixel centres (`align_corners=False`).
            noise: `(1, channels, S / 4, S / 4)`, that of the generator which is to learn it;
                None if it has none.
            photo: `(B, 3, S, S)` in [-1, 1], of which the start draws the lines.

        Returns:
            `(B, 3, S, S)` in [-1, 1], float32.

        Raises:
            ConfigError: the noise has no washes.
        """
        noise = noise_for("washes", noise)
        side = photo.shape[-1]
        grain = 0.7 * noise[:, 0:1] + 0.3 * noise[:, 1:2]
        blots, rims = noise[:, _BLOT, None], noise[:, _RIM, None]
        far = room_around(landmarks, side, EYES_AND_MOUTH, 0.03, 0.12)
        face = _FACE + (1 - _FACE) * room_around(landmarks, side, WHOLE_FACE, 0.03, 0.6)
        under = pixel_values.float() / 2 + 0.5
        lines: Tensor | float = 0.0
        if self.start is not None:
            drawn = self.start(photo).float().clamp(-1, 1) / 2 + 0.5
            under = under + _FEATURES_DRAWN * (1 - far) * (drawn - under)
            lines = _LINES * (1 - _FEATURES_DRAWN * (1 - far)) * dark_lines(drawn, side)
        density = self._density(under)
        mean = density.mean(1, keepdim=True)
        layer = self.density / _LAYERS
        layered = layer * in_layers(mean / layer, _SHARPNESS)
        density = density * (1 + _LAYERED * far * (layered / (mean + 1e-3) - 1))
        mean = density.mean(1, keepdim=True)
        rim = (mean - soften(mean, _EDGE_WIDTH * side / 512)).clamp_min(0)
        flow = 1 + face * (_BLOTS * blots + _RIMS * rims) + _GRAIN * grain
        density = density * (flow.clamp_min(0.2) + _EDGE * face * rim / (mean + 1e-3))
        return self._on_paper(density + lines, 1 + _TOOTH * grain)

    def _density(self, colours: Tensor) -> Tensor:
        """Density of each colour, `(B, 3, H, W)`, of pictures in [0, 1]."""
        density = -colours.clamp(0.02, 1).log()
        mean = density.mean(1, keepdim=True)
        density = (mean + _PURITY * (density - mean)).clamp_min(0)
        # Thin paint is a little thinner everywhere, and leaves the lightest places bare.
        mean = density.mean(1, keepdim=True)
        return density * (0.72 + 0.1 * self.density) * (1 - torch.exp(-((mean / _TOE) ** 2)))

    def _on_paper(self, density: Tensor, paper: Tensor | float = 1.0) -> Tensor:
        density = self.density * torch.tanh(density / self.density)
        return 2 * (self.paper * paper * torch.exp(-density)).clamp(0, 1) - 1
