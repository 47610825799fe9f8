"""Networks as they go into a file: norms folded, normalisation and layout inside."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import ExportError
from ..models.generator import StyleGenerator
from .options import ExportOptions


class PortableNetwork(nn.Module):
    """Wraps a generator in the input and output of an exported file.

    Args:
        network: maps `(B, 3, H, W)` in [-1, 1] to the same.
        options: `io` and `layout` of the file.
    """

    def __init__(self, network: nn.Module, options: ExportOptions) -> None:
        super().__init__()
        self.network = network
        self.pixels = options.io == "uint8"
        self.channels_last = options.layout == "nhwc"
        self.half_precision = False

    def forward(self, image: Tensor) -> Tensor:
        """Draw.

        Args:
            image: RGB, `(B, 3, H, W)` or `(B, H, W, 3)`; float32 in [-1, 1] or uint8.

        Returns:
            The drawing, in the shape and type of `image`.
        """
        x = image.permute(0, 3, 1, 2) if self.channels_last else image
        if self.pixels:
            x = x.float() / 127.5 - 1
        x = self.network(x.half()).float() if self.half_precision else self.network(x)
        return self.finish(x)

    def finish(self, x: Tensor) -> Tensor:
        """Give the drawing `(B, 3, H, W)` in [-1, 1] the type and layout of the file."""
        if self.pixels:
            x = ((x + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        return x.permute(0, 2, 3, 1).contiguous() if self.channels_last else x

    def halved(self) -> PortableNetwork:
        """Compute in float16 from here on; input and output keep their types."""
        self.network.half()
        self.half_precision = True
        return self


class PortableFinder(PortableNetwork):
    """Wraps a network that gives numbers and no picture: these stay float32, whatever the `io`."""

    def finish(self, x: Tensor) -> Tensor:
        """Return the numbers as they are."""
        return x


def fold(generator: nn.Module, size: tuple[int, int] | None = None) -> nn.Module:
    """Return a float32 copy of a generator on the CPU with all norms folded.

    Args:
        generator: a `StyleGenerator`.
        size: (height, width) of all pictures it will draw, if they have one.

    Raises:
        ExportError: it cannot be folded, for example because it is an exported file itself.
    """
    fuse = getattr(generator, "fuse", None)
    if fuse is None or not any(True for _ in generator.parameters()):
        raise ExportError(
            f"A {type(generator).__name__} cannot be exported. Load the style itself with "
            "TPSPortraitPipeline.from_pretrained."
        )
    folded: nn.Module = fuse()
    for module in folded.modules():
        if size and isinstance(module, StyleGenerator):
            module.cut_noise_(size)
    return folded.float().cpu().eval()


def to_input(pictures: Tensor, options: ExportOptions) -> Tensor:
    """Turn pixels into the input of an exported file.

    Args:
        pictures: `(B, 3, H, W)` uint8 RGB.
        options: `io` and `layout` of the file.
    """
    values = pictures if options.io == "uint8" else pictures.float() / 127.5 - 1
    return (values.permute(0, 2, 3, 1) if options.layout == "nhwc" else values).contiguous()


def to_inputs(pictures: list[Tensor], options: ExportOptions) -> list[Tensor]:
    """Batches of exactly the file's batch size; the last is filled up with the first pictures.

    Args:
        pictures: `(3, H, W)` uint8 RGB, all of one size.
        options: the form of the file.
    """
    count, size = len(pictures), options.batch_size
    return [
        to_input(torch.stack([pictures[(start + i) % count] for i in range(size)]), options)
        for start in range(0, count, size)
    ]
