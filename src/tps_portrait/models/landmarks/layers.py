"""The convolution and residual block that all vendored face networks are made of."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SameConv2d(nn.Conv2d):
    """Convolution with TensorFlow's "SAME" padding, which is asymmetric for stride 2."""

    def forward(self, input: Tensor) -> Tensor:
        """Convolve.

        Args:
            input: `(B, C, H, W)`.

        Returns:
            `(B, C_out, ceil(H / stride), ceil(W / stride))`.
        """
        pads: list[int] = []
        for size, kernel, stride in zip(
            reversed(input.shape[2:]),
            reversed(self.kernel_size),
            reversed(self.stride),
            strict=True,
        ):
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            pads += [total // 2, total - total // 2]
        if pads[::2] == pads[1::2]:  # convolutions pad evenly by themselves, without a copy
            padding = (pads[2], pads[0])
            return F.conv2d(
                input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups
            )
        return super().forward(F.pad(input, pads))


class BlazeBlock(nn.Module):
    """Residual block of depthwise and pointwise convolutions (BlazeFace, arXiv 1907.05047).

    Channels that the output has more than the input are zero in the shortcut, and a stride of 2 is
    a 2x2 maximum there.

    Args:
        channels: input channels.
        out_channels: output channels, at least `channels`.
        stride: 1 or 2.
        middle: channels between two depthwise-pointwise pairs; `None` for a single pair.
        prelu: learned negative slopes instead of ReLU.
    """

    def __init__(
        self,
        channels: int,
        out_channels: int,
        stride: int = 1,
        *,
        middle: int | None = None,
        prelu: bool = False,
    ) -> None:
        super().__init__()
        widths = [channels, out_channels] if middle is None else [channels, middle, out_channels]
        layers: list[nn.Module] = []
        for index, (width, after) in enumerate(pairwise(widths)):
            if index:
                layers.append(nn.ReLU())
            layers += [
                SameConv2d(width, width, 3, stride if index == 0 else 1, groups=width),
                nn.Conv2d(width, after, 1),
            ]
        self.branch = nn.Sequential(*layers)
        self.activation = nn.PReLU(out_channels) if prelu else nn.ReLU()
        self.stride = stride
        self.extra = out_channels - channels

    def forward(self, features: Tensor) -> Tensor:
        """Add the branch to the shortcut and activate.

        Args:
            features: `(B, channels, H, W)`, even sizes for stride 2.

        Returns:
            `(B, out_channels, H / stride, W / stride)`.
        """
        shortcut = F.max_pool2d(features, 2) if self.stride == 2 else features
        if self.extra:
            shortcut = F.pad(shortcut, (0, 0, 0, 0, 0, self.extra))
        activated: Tensor = self.activation(shortcut + self.branch(features))
        return activated


def channels_last_rows(maps: list[Tensor], values: int) -> Tensor:
    """Flatten prediction maps into one row an anchor, in TensorFlow's (row, column, channel) order.

    Args:
        maps: tensors `(B, anchors_per_cell * values, h, w)`.
        values: numbers an anchor.

    Returns:
        `(B, anchors, values)`.
    """
    rows = [m.permute(0, 2, 3, 1).reshape(m.shape[0], -1, values) for m in maps]
    return torch.cat(rows, dim=1)
