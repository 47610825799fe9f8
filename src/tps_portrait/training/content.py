"""Content: what must still be readable in the drawing (features of a fixed network).

Not in arXiv 2211.15549. The discriminators only ask for the look of the style; on 200 photos and a
few thousand steps they are satisfied by closed smiles and skin-coloured hair. A distance between
features of photo and drawing (Johnson et al., 2016) names what was lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ..errors import ModelFileError

# VGG-16 (Simonyan and Zisserman, 2014) up to conv3_3; None halves the size.
_LAYERS: tuple[tuple[str, int, int] | None, ...] = (
    ("conv1_1", 3, 64),
    ("conv1_2", 64, 64),
    None,
    ("conv2_1", 64, 128),
    ("conv2_2", 128, 128),
    None,
    ("conv3_1", 128, 256),
    ("conv3_2", 256, 256),
    ("conv3_3", 256, 256),
)
# An eye or a smile is lost in the whole picture, and is what a portrait is looked at for.
_REGIONS_WEIGHT = 2.0
# Mean of the pictures the network was trained on: blue, green, red, in [0, 255].
_MEAN = (103.939, 116.779, 123.68)


class ContentNetwork(nn.Module):
    """The trunk of VGG-16 up to conv3_3, frozen."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleDict(
            {entry[0]: nn.Conv2d(entry[1], entry[2], 3, padding=1) for entry in _LAYERS if entry}
        )
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False).eval()

    @classmethod
    def from_file(cls, path: str | Path) -> ContentNetwork:
        """Read the weights from a safetensors file with keys `conv1_1.weight` and so on.

        Raises:
            ModelFileError: the file is missing, is not safetensors, or holds other weights.
        """
        network = cls()
        try:
            weights = load_file(path)
            network.layers.load_state_dict({k: v.float() for k, v in weights.items()})
        except (OSError, SafetensorError, RuntimeError) as error:
            raise ModelFileError(
                f"Cannot read the content network {path}: {error}. examples/data/networks holds "
                "the one of this repository; --content_weight 0 trains without."
            ) from error
        return network

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Return features `(B, 256, H/4, W/4)` of pictures `(B, 3, H, W)` in [-1, 1]."""
        # Linear at the end: a rectifier would forgive what is missing.
        return self.stages(pixel_values)[-1]

    def stages(self, pixel_values: Tensor) -> list[Tensor]:
        """Return the features at the end of each stage.

        Args:
            pixel_values: `(B, 3, H, W)` in [-1, 1], H and W multiples of 4.

        Returns:
            `(B, 64, H, W)`, `(B, 128, H/2, W/2)`, both rectified, and `(B, 256, H/4, W/4)`.
        """
        x = (pixel_values.flip(1) + 1) * 127.5 - self.mean
        x = x.contiguous(memory_format=torch.channels_last)
        found = []
        for entry in _LAYERS:
            if entry is None:
                found.append(x)
                x = F.max_pool2d(x, 2)
                continue
            x = self.layers[entry[0]](x)
            x = x if entry[0] == "conv3_3" else F.relu(x)
        return [*found, x]


def content_loss(
    network: nn.Module,
    drawn: Tensor,
    photo: Tensor,
    drawn_regions: Mapping[str, Tensor],
    photo_regions: Mapping[str, Tensor],
    pooling: int = 2,
) -> Tensor:
    """Relative L1 between features of photo and drawing: whole in small, regions in full.

    The regions count twice.

    Args:
        network: a `ContentNetwork`.
        drawn: `(B, 3, H, W)` in [-1, 1].
        photo: `(B, 3, H, W)` in [-1, 1].
        drawn_regions: crops of `drawn`, `(B, 3, s, s)` by name; may be empty.
        photo_regions: the same crops of `photo`.
        pooling: whole pictures are averaged over so many pixels a side first. What is finer costs
            nothing, neither hair and pores that are lost nor bristles that are added; broad
            strokes cost much the same.

    Returns:
        Scalar; 0 for the photo itself, near 1 for another picture, near 3 with regions.
    """
    pairs = [(1.0, F.avg_pool2d(drawn, pooling), F.avg_pool2d(photo, pooling))]
    if drawn_regions:
        names = list(drawn_regions)
        pairs.append(
            (
                _REGIONS_WEIGHT,
                torch.cat([drawn_regions[name] for name in names]),
                torch.cat([photo_regions[name] for name in names]),
            )
        )
    values = []
    for weight, fake, real in pairs:
        with torch.no_grad():
            wanted = network(real)
        distance = (network(fake) - wanted).float().abs().mean() / wanted.float().abs().mean()
        values.append(weight * distance)
    return torch.stack(values).sum()
