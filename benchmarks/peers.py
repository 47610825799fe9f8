"""Generators of other portrait and cartoon projects, rebuilt from their published layer tables.

Random weights: they change neither MACs nor time. `latency.py` times them; run as a script, this
counts what they cost, without computing anything:

    python benchmarks/peers.py             # writes peers.json and its part of README.md
    python benchmarks/peers.py --report    # that part only
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def _block(
    inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1
) -> nn.Module:
    """Reflection padding, convolution, layer norm, leaky ReLU: the brick of AnimeGAN."""
    side = kernel // 2
    pad = (0, 1, 0, 1) if stride == 2 else (side, side, side, side)
    return nn.Sequential(
        nn.ReflectionPad2d(pad),
        nn.Conv2d(inputs, outputs, kernel, stride, bias=False, groups=groups),
        nn.GroupNorm(1, outputs),
        nn.LeakyReLU(0.2),
    )


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class InvertedResidual(nn.Module):
    """Inverted residual block of AnimeGANv2, expansion 2."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        middle = 2 * inputs
        self.body = nn.Sequential(
            _block(inputs, middle, 1),
            _block(middle, middle, 3, groups=middle),
            nn.Conv2d(middle, outputs, 1, bias=False),
            nn.GroupNorm(1, outputs),
        )
        self.same = inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Transform features."""
        y: Tensor = self.body(x)
        return x + y if self.same else y


class AnimeGANv2(nn.Module):
    """AnimeGANv2 (Chen et al., 2020; extends AnimeGAN, ISICA 2019)."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(
            *(_block(3, 32, 7), _block(32, 64, stride=2), _block(64, 64)),
            *(_block(64, 128, stride=2), _block(128, 128)),
            *(_block(128, 128), InvertedResidual(128, 256)),
            *(InvertedResidual(256, 256) for _ in range(3)),
            _block(256, 128),
        )
        self.middle = nn.Sequential(_block(128, 128), _block(128, 128))
        self.up = nn.Sequential(_block(128, 64), _block(64, 64), _block(64, 32, 7))
        self.out = nn.Conv2d(32, 3, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Draw `(B, 3, H, W)`."""
        x = self.middle(_double(self.down(x)))
        return torch.tanh(self.out(self.up(_double(x))))


class Bottleneck(nn.Module):
    """Residual block of AnimeGANv2's light generator: a quarter of the width inside."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = width // 4
        self.body = nn.Sequential(
            _block(width, inner, 1), _block(inner, inner), nn.Conv2d(inner, width, 1, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Transform features."""
        y: Tensor = x + self.body(x)
        return y


class AnimeGANv2Lite(nn.Module):
    """The light generator of AnimeGANv2, with additive skips."""

    def __init__(self) -> None:
        super().__init__()
        self.at_full = _block(3, 32, 7)
        self.at_half = nn.Sequential(_block(32, 32, stride=2), _block(32, 64))
        self.at_quarter = nn.Sequential(_block(64, 64, stride=2), _block(64, 128))
        self.at_eighth = nn.Sequential(
            _block(128, 64, stride=2), _block(64, 128), *(Bottleneck(128) for _ in range(4))
        )
        self.up = nn.ModuleList((_block(128, 128), _block(64, 64), _block(32, 32)))
        self.merge = nn.ModuleList((_block(128, 64), _block(64, 32), _block(32, 32, 7)))
        self.out = nn.Conv2d(32, 3, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Draw `(B, 3, H, W)`."""
        full = self.at_full(x)
        half = self.at_half(full)
        quarter = self.at_quarter(half)
        x = self.at_eighth(quarter)
        for skip, up, merge in zip((quarter, half, full), self.up, self.merge, strict=True):
            x = merge(up(_double(x)) + skip)
        return torch.tanh(self.out(x))


class Residual(nn.Module):
    """Two 3x3 convolutions around a shortcut, with or without instance norm."""

    def __init__(self, width: int, *, norm: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for last in (False, True):
            layers += [
                nn.ReflectionPad2d(1) if norm else nn.ZeroPad2d(1),
                nn.Conv2d(width, width, 3),
            ]
            layers += [nn.InstanceNorm2d(width)] if norm else []
            layers += [] if last else [nn.ReLU() if norm else nn.LeakyReLU(0.2)]
        self.body = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Transform features."""
        y: Tensor = x + self.body(x)
        return y


class CycleGAN(nn.Module):
    """The ResNet generator with nine blocks of CycleGAN (arXiv 1703.10593, appendix 7.2)."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(3, 64, 7)]
        layers += [nn.InstanceNorm2d(64), nn.ReLU()]
        for width in (64, 128):
            layers += [
                nn.Conv2d(width, 2 * width, 3, 2, 1),
                nn.InstanceNorm2d(2 * width),
                nn.ReLU(),
            ]
        layers += [Residual(256, norm=True) for _ in range(9)]
        for width in (256, 128):
            layers += [nn.ConvTranspose2d(width, width // 2, 3, 2, 1, 1)]
            layers += [nn.InstanceNorm2d(width // 2), nn.ReLU()]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(64, 3, 7), nn.Tanh()]
        self.body = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Draw `(B, 3, H, W)`."""
        y: Tensor = self.body(x)
        return y


def _plain(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Module:
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2), nn.LeakyReLU(0.2))


class WhiteBoxUNet(nn.Module):
    """The U-Net of White-box Cartoonization (Wang and Yu, CVPR 2020), also that of DCT-Net."""

    def __init__(self) -> None:
        super().__init__()
        self.at_full = _plain(3, 32, 7)
        self.at_half = nn.Sequential(_plain(32, 32, stride=2), _plain(32, 64))
        self.at_quarter = nn.Sequential(
            *(_plain(64, 64, stride=2), _plain(64, 128)),
            *(Residual(128, norm=False) for _ in range(4)),
            _plain(128, 64),
        )
        self.up_half = nn.Sequential(_plain(64, 64), _plain(64, 32))
        self.up_full = nn.Sequential(_plain(32, 32), nn.Conv2d(32, 3, 7, padding=3))

    def forward(self, x: Tensor) -> Tensor:
        """Draw `(B, 3, H, W)`."""
        full = self.at_full(x)
        half = self.at_half(full)
        x = self.up_half(_double(self.at_quarter(half)) + half)
        y: Tensor = self.up_full(_double(x) + full)
        return y


PEERS: dict[str, Callable[[], nn.Module]] = {
    "AnimeGANv2-type": AnimeGANv2,
    "CycleGAN resnet-9": CycleGAN,
    "White-box U-Net": WhiteBoxUNet,
    "AnimeGANv2-lite": AnimeGANv2Lite,
}
"""Networks by name; the last is the light one."""


def costs(sizes: list[int]) -> list[dict[str, Any]]:
    """Parameters of every network and of ours, and GMAC of a picture of each size; the least first.

    Shapes alone are followed through the networks, on the device `meta`.
    """
    from tps_portrait import StyleGenerator, StyleGeneratorConfig
    from tps_portrait.evaluation.cost import count_macs, count_parameters

    makers = {"ours": lambda: StyleGenerator(StyleGeneratorConfig()), **PEERS}
    rows = []
    for name, make in makers.items():
        network = make().eval().to("meta")
        gmacs = [round(count_macs(network, size) / 1e9, 4) for size in sizes]
        rows.append({"name": name, "parameters": count_parameters(network), "gmacs": gmacs})
    return sorted(rows, key=lambda row: row["gmacs"])


def main() -> None:
    """Count, and write the result file and the page."""
    # Not above: `latency_worker.py` imports this module, and measures memory.
    import result_pages

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512])
    options = result_pages.parse(parser, "peers")
    run = result_pages.Run("peers", "torch")
    run.write({"sizes": options.sizes, "rows": costs(options.sizes)}, options.output)


if __name__ == "__main__":
    main()
