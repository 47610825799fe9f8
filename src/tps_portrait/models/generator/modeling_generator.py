"""The generator: a small U-Net at 1/4 to 1/32 of the picture that folds to plain layers."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import ConfigError, InputImageError
from ...ops.activation import recoverable_tanh
from ...ops.blocks import ConvNorm, ResidualBlock, fuse_norms_
from ...ops.tps import identity_grid, resize_grid, warp
from ..base import PortraitPreTrainedModel
from .configuration_generator import StyleGeneratorConfig
from .noise import begins_with, make_noise

_STRIDE = 32


class StyleGenerator(PortraitPreTrainedModel):
    """Draws a picture in one style; with a sampling grid, in another face's geometry.

    A stride-4 patch stem, an encoder down to 1/32, a decoder with additive skips up to 1/4, and a
    head of two pixel shuffles with one thin layer between them. Any height and width from 32 px:
    the picture is padded to a multiple of 32 inside and cropped back. With `noise_channels`, a tile
    of fixed noise joins the stem; it is stored with the weights and repeats every 512 px.

    Source: feature alignment by TPS is arXiv 2211.15549 (the paper warps the generator's feature
    maps); the layer table is ours, as the paper publishes none.
    """

    config: StyleGeneratorConfig
    config_class = StyleGeneratorConfig
    noise: Tensor

    def __init__(self, config: StyleGeneratorConfig) -> None:
        super().__init__(config)
        c1, c2, c3, c4 = config.channels
        norm = config.norm
        self.stem = ConvNorm(3, c1, 4, 4, norm=norm, centre=False)
        self.down2 = ConvNorm(c1, c2, 3, 2, norm=norm)
        self.encoder2 = _stack(c2, config.encoder_blocks[0], norm)
        self.down3 = ConvNorm(c2, c3, 3, 2, norm=norm)
        self.encoder3 = _stack(c3, config.encoder_blocks[1], norm)
        self.down4 = ConvNorm(c3, c4, 3, 2, norm=norm)
        self.bottleneck = _stack(c4, config.bottleneck_blocks, norm)
        self.up3 = ConvNorm(c4, c3, 1, norm=norm, activation=False)
        self.decoder3 = _stack(c3, config.decoder_blocks[0], norm)
        self.up2 = ConvNorm(c3, c2, 1, norm=norm, activation=False)
        self.decoder2 = _stack(c2, config.decoder_blocks[1], norm)
        self.up1 = ConvNorm(c2, c1, 1, norm=norm, activation=False)
        self.decoder1 = ConvNorm(c1, config.head_channels, norm=norm)
        d1, d2 = config.detail_channels
        self.expand = ConvNorm(config.head_channels, 4 * d1, 1, norm=norm)
        self.detail = ConvNorm(d1, d2, norm=norm, centre=False)
        self.head = nn.Conv2d(d2, 12, 1)
        nn.init.normal_(self.head.weight, std=0.5 / d2**0.5)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]
        self.noise_is_cut = False
        self.from_noise: nn.Conv2d | None = None
        if config.noise_channels:
            self.from_noise = nn.Conv2d(config.noise_channels, c1, 1, bias=False)
            nn.init.normal_(self.from_noise.weight, std=0.05)
            # Loading gives a tensor the type that the constructor gave it.
            noise = make_noise(config.noise_channels).to(torch.get_default_dtype())
            self.register_buffer("noise", noise)
        self.post_init()

    def forward(
        self, pixel_values: Tensor, grid: Tensor | None = None, noise: Tensor | None = None
    ) -> Tensor:
        """Stylize pictures.

        Args:
            pixel_values: `(B, 3, H, W)`, RGB in [-1, 1], H and W at least 32.
            grid: `(B, h, w, 2)` backward sampling grid, (x, y) in [-1, 1] with
                align_corners=False, of any size: for each place of the *output*, where in the
                input it comes from. Every skip and the bottleneck are warped by it. `None` is the
                identity.
            noise: `(1 or B, noise_channels, h, w)` at 1/4 of the padded size, or 1 x 1, instead of
                the generator's own; of no use to one without `noise_channels`.

        Returns:
            `(B, 3, H, W)` RGB in [-1, 1].

        Raises:
            InputImageError: `pixel_values` is not `(B, 3, H, W)` or smaller than 32 px.
            ConfigError: `noise` has another shape.
        """
        _check_input(pixel_values)
        height, width = pixel_values.shape[-2:]
        pad_h, pad_w = -height % _STRIDE, -width % _STRIDE
        if pad_h or pad_w:
            pixel_values = F.pad(pixel_values, (0, pad_w, 0, pad_h), mode="replicate")
            if grid is not None:
                grid = _pad_grid(grid, (height, width), (pad_h, pad_w))
        skip1, skip2, skip3, x = self.encode(pixel_values, noise)
        if grid is not None:
            x, skip3, skip2, skip1 = (
                warp(f, resize_grid(grid, (f.shape[-2], f.shape[-1])))
                for f in (x, skip3, skip2, skip1)
            )
        x = self.decoder3(F.relu(_upsample(self.up3(x)) + skip3))
        x = self.decoder2(F.relu(_upsample(self.up2(x)) + skip2))
        x = self.decoder1(F.relu(_upsample(self.up1(x)) + skip1))
        x = self.detail(F.pixel_shuffle(self.expand(x), 2))
        x = F.pixel_shuffle(self.head(x), 2)
        sample = recoverable_tanh(x) if self.training else torch.tanh(x)
        return sample[..., :height, :width] if pad_h or pad_w else sample

    def encode(
        self, pixel_values: Tensor, noise: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return what skips and bottleneck hold of pictures.

        Args:
            pixel_values: `(B, 3, H, W)`, RGB in [-1, 1], H and W multiples of 32.
            noise: see `forward`.

        Returns:
            Features `(B, C, H / s, W / s)` for s = 4, 8, 16 and 32; C is in `config.channels`.

        Raises:
            ConfigError: `noise` has another shape.
        """
        skip1 = self.stem(pixel_values)
        if self.from_noise is not None:
            if noise is None:
                noise = self.tiled_noise((skip1.shape[-2], skip1.shape[-1]))
            else:
                _check_noise(noise, skip1, self.config.noise_channels)
            skip1 = skip1 + self.from_noise(noise.to(self.from_noise.weight.dtype))
        skip2 = self.encoder2(self.down2(skip1))
        skip3 = self.encoder3(self.down3(skip2))
        return skip1, skip2, skip3, self.bottleneck(self.down4(skip3))

    def tiled_noise(self, size: tuple[int, int]) -> Tensor:
        """The generator's own noise for a picture; of one that has `noise_channels`.

        Args:
            size: (height, width) of the stem's output: 1/4 of the picture's.

        Returns:
            `(1, noise_channels, height, width)`.
        """
        if self.noise_is_cut:
            return self.noise
        height, width = size
        side = self.noise.shape[-1]
        # Rounded up without negative numbers, which ONNX would divide toward 0.
        rows, columns = (height + side - 1) // side, (width + side - 1) // side
        return self.noise.repeat(1, 1, rows, columns)[..., :height, :width]

    def with_noise(self, channels: int) -> StyleGenerator:
        """Return a generator with this many channels of noise and otherwise the same weights.

        Args:
            channels: see `StyleGeneratorConfig`; 0 takes noise away.

        Returns:
            The generator itself if it has as many; else a copy. Channels that both have keep their
            weights, if they hold the same noise; the weights of others are new.
        """
        if self.config.noise_channels == channels:
            return self
        values = {**self.config.to_diff_dict(), "noise_channels": channels}
        copied = StyleGenerator(StyleGeneratorConfig.from_dict(values)).to(self.device, self.dtype)
        new = {key: value for key, value in copied.state_dict().items() if "noise" in key}
        kept = {key: value for key, value in self.state_dict().items() if "noise" not in key}
        copied.load_state_dict({**kept, **new})
        both = min(channels, self.config.noise_channels)
        if both and begins_with(copied.noise, self.noise[:, :both]):
            self._give_noise(copied, both)
        return copied.train(self.training)

    @torch.no_grad()
    def _give_noise(self, other: StyleGenerator, count: int) -> None:
        if self.from_noise is not None and other.from_noise is not None:
            other.from_noise.weight[:, :count].copy_(self.from_noise.weight[:, :count])
            other.noise[:, :count].copy_(self.noise[:, :count])

    @torch.no_grad()
    def with_silent_noise(self, other: StyleGenerator) -> StyleGenerator:
        """Return a copy with the noise of another generator that draws exactly what this one does.

        Args:
            other: a generator with more channels of noise, which begin with this one's;
                otherwise of the same kind.

        Raises:
            ConfigError: the other has no more noise, or this one's is not its beginning.
        """
        own = self.config.noise_channels
        if other.config.noise_channels <= own or (own and not begins_with(other.noise, self.noise)):
            raise ConfigError(
                "Silent noise is for a generator whose noise is the beginning of the other's; "
                f"they have {own} and {other.config.noise_channels} channels."
            )
        copied = self.with_noise(other.config.noise_channels)
        if copied.from_noise is not None:
            nn.init.zeros_(copied.from_noise.weight)
            copied.noise.copy_(other.noise)
            self._give_noise(copied, own)
        return copied

    def cut_noise_(self, size: tuple[int, int]) -> StyleGenerator:
        """Keep the noise of pictures of one size alone: formats of one size take it for a constant.

        Args:
            size: (height, width) of the pictures that will be drawn.

        Returns:
            The generator itself, which then draws pictures of that padded size only.
        """
        if self.from_noise is not None:
            height, width = ((side + -side % _STRIDE) // 4 for side in size)
            self.noise, self.noise_is_cut = self.tiled_noise((height, width)).clone(), True
        return self

    def fuse(self) -> StyleGenerator:
        """Return a copy for inference with every norm folded into its convolution.

        The copy has plain convolutions only; it cannot be trained or saved as a style, but it runs
        faster and exports cleanly. Results agree to 1e-4.
        """
        fused = copy.deepcopy(self).eval()
        fuse_norms_(fused)
        return fused.requires_grad_(False)


def _stack(channels: int, count: int, norm: str) -> nn.Sequential:
    return nn.Sequential(
        *(ResidualBlock(channels, norm=norm) for _ in range(count))  # type: ignore[arg-type]
    )


def _upsample(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def _pad_grid(grid: Tensor, size: tuple[int, int], pad: tuple[int, int]) -> Tensor:
    """Bring a grid to the padded picture: the same moves, continued outside."""
    (height, width), (pad_h, pad_w) = size, pad
    padded = (height + pad_h, width + pad_w)

    def identity(shape: tuple[int, int]) -> Tensor:
        return identity_grid(shape, dtype=grid.dtype, device=grid.device)

    moves = (resize_grid(grid, size) - identity(size)).permute(0, 3, 1, 2)
    moves = F.pad(moves, (0, pad_w, 0, pad_h), mode="replicate").permute(0, 2, 3, 1)
    # A move of one pixel is a smaller part of the padded picture.
    return identity(padded) + moves * grid.new_tensor([width / padded[1], height / padded[0]])


def _check_noise(noise: Tensor, features: Tensor, channels: int) -> None:
    batch, _, height, width = features.shape
    wanted = ((1, batch), (channels,), (1, height), (1, width))
    if noise.ndim != 4 or any(n not in sizes for n, sizes in zip(noise.shape, wanted, strict=True)):
        raise ConfigError(
            f"noise must be of shape (1 or {batch}, {channels}, {height}, {width}) here, a quarter "
            f"of the picture padded to multiples of {_STRIDE}, or 1 x 1; got {tuple(noise.shape)}. "
            "StyleGenerator.tiled_noise makes it."
        )


def _check_input(pixel_values: Tensor) -> None:
    if pixel_values.ndim != 4 or pixel_values.shape[1] != 3:
        raise InputImageError(
            f"StyleGenerator needs pixel_values of shape (B, 3, H, W), got "
            f"{tuple(pixel_values.shape)}. Convert the picture to RGB and add a batch axis."
        )
    if min(pixel_values.shape[-2:]) < 32:
        raise InputImageError(
            f"StyleGenerator needs pictures of at least 32x32 px, got "
            f"{pixel_values.shape[-1]}x{pixel_values.shape[-2]}. Enlarge the picture first."
        )
