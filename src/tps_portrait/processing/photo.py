"""A photo in memory, and everything that can be turned into one."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..errors import ConfigError, InputImageError

MAX_PIXELS = 1 << 26
"""Pictures above this many pixels (67 megapixels) are refused before they are decoded."""

MAX_SIDE = 1 << 13
"""Longest side at which a picture is drawn: a square of it has `MAX_PIXELS`."""

MIN_SIDE = 32
"""Pictures with a side below this many pixels are refused: the generator works at 1/32."""

ImageInput: TypeAlias = str | os.PathLike[str] | Image.Image | np.ndarray | Tensor
"""What a picture may be given as: path, http(s) address, PIL picture, array or tensor."""

OutputType: TypeAlias = Literal["pil", "np", "pt"]

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_TOLERANCE = 1e-2  # resampling overshoots 0 and 1 by about this much


@dataclass(frozen=True, eq=False)
class Photo:
    """An upright sRGB picture.

    Attributes:
        pixels: `(3, H, W)` RGB on the CPU, uint8, or float32 in [0, 1] where the source has more
            than 8 bits a channel. Any memory layout; never written to.
        alpha: `(H, W)` opacity of the same type, or `None` for a picture without transparency.
        name: how messages call it.
    """

    pixels: Tensor
    alpha: Tensor | None
    name: str

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[1], self.pixels.shape[2]

    def visible(self) -> Tensor:
        """What there is to see, `(3, H, W)` uint8: white where the picture is fully transparent.

        Cut-outs hide any colour under their transparent parts, black most often, which would be
        drawn as a dark edge.
        """
        pixels = to_uint8(self.pixels)
        return pixels if self.alpha is None else pixels.masked_fill(self.alpha == 0, 255)

    def convert(self, output_type: OutputType) -> Any:
        """Return the picture in the form a caller asked for.

        Args:
            output_type: `pil` for a PIL picture (RGB or RGBA), `np` for a float32 array (H, W, C),
                `pt` for a float32 tensor (C, H, W); the last two in [0, 1], C = 3 or 4.

        Raises:
            ConfigError: another `output_type`.
        """
        check_output_type(output_type)
        planes = self.pixels
        if self.alpha is not None:
            planes = torch.cat([planes, self.alpha[None]])
        if output_type == "pil":
            return Image.fromarray(to_uint8(planes).permute(1, 2, 0).contiguous().numpy())
        if planes.dtype == torch.uint8:
            planes = planes.float() / 255
        if output_type == "np":
            return planes.permute(1, 2, 0).numpy().copy()
        return planes.clone(memory_format=torch.contiguous_format)


def check_output_type(output_type: str) -> None:
    """Refuse unknown output types.

    Raises:
        ConfigError: not one of `pil`, `np` and `pt`.
    """
    if output_type not in ("pil", "np", "pt"):
        raise ConfigError(f"output_type must be 'pil', 'np' or 'pt', got {output_type!r}.")


def to_uint8(pixels: Tensor) -> Tensor:
    """Round float values in [0, 1] to the 256 levels; uint8 passes through."""
    if pixels.dtype == torch.uint8:
        return pixels
    return pixels.mul(255).round_().clamp_(0, 255).to(torch.uint8)


def describe(image: object) -> str:
    """Name an input for messages, without its contents."""
    if isinstance(image, str | os.PathLike):
        return repr(os.fspath(image))
    if isinstance(image, Image.Image):
        return f"{image.mode} picture of {image.width}x{image.height} px"
    if isinstance(image, np.ndarray | Tensor):
        kind = "array" if isinstance(image, np.ndarray) else "tensor"
        return f"{kind} of shape {tuple(image.shape)}, {str(image.dtype).removeprefix('torch.')}"
    return f"object of type {type(image).__name__}"


def check_size(size: tuple[int, int], name: str) -> None:
    """Refuse pictures that are empty, too small or too large.

    Args:
        size: (H, W).
        name: how the message calls the picture.

    Raises:
        InputImageError: a side is below `MIN_SIDE`, or there are more than `MAX_PIXELS` pixels.
    """
    height, width = size
    if height < 1 or width < 1:
        raise InputImageError(
            f"{name} is empty ({width}x{height} px). Pass a picture with content."
        )
    if min(size) < MIN_SIDE:
        raise InputImageError(
            f"{name} is {width}x{height} px; both sides must be at least {MIN_SIDE} px. Enlarge it."
        )
    if height * width > MAX_PIXELS:
        raise InputImageError(
            f"{name} is {width}x{height} px, {height * width / 1e6:.0f} megapixels; at most "
            f"{MAX_PIXELS / 1e6:.0f} are read, so that a small file cannot fill the memory. Make "
            "it smaller."
        )


def photo_from_array(array: np.ndarray, name: str) -> Photo:
    """Read an array (H, W) or (H, W, C), uint8 or uint16, or float in [0, 1]; C = 1 to 4.

    Args:
        array: the picture; 2 and 4 channels end in opacity.
        name: how messages call it.

    Raises:
        InputImageError: another shape or type, values that are not finite or out of range.
    """
    kinds = {"uint8", "uint16", "float16", "float32", "float64"}
    if array.dtype.name not in kinds:
        raise _wrong_type(name, array.dtype.name)
    if array.ndim not in (2, 3) or (array.ndim == 3 and not 1 <= array.shape[2] <= 4):
        raise _wrong_shape(
            name, tuple(array.shape), "an array", "(H, W) or (H, W, C)", "np.moveaxis(x, 0, -1)"
        )
    check_size(array.shape[:2], name)
    if array.dtype.name == "uint16":
        array = array.astype(np.float32) / np.float32(65535)
    tensor = torch.from_numpy(np.array(array, dtype=array.dtype.newbyteorder("="), order="C"))
    planes = tensor[None] if tensor.ndim == 2 else tensor.permute(2, 0, 1)
    return _photo_from_planes(planes, name)


def photo_from_tensor(tensor: Tensor, name: str) -> Photo:
    """Read a tensor (H, W) or (C, H, W), uint8, or float in [0, 1]; C = 1 to 4, on any device.

    Args:
        tensor: the picture; 2 and 4 channels end in opacity.
        name: how messages call it.

    Raises:
        InputImageError: another shape or type, values that are not finite or out of range.
    """
    if tensor.layout is not torch.strided or tensor.is_meta:
        kind = "no values (device meta)" if tensor.is_meta else f"layout {tensor.layout}"
        raise InputImageError(f"{name} has {kind}. Pass a dense tensor with values.")
    if tensor.dtype not in (torch.uint8, *_FLOATS):
        raise _wrong_type(name, str(tensor.dtype).removeprefix("torch."))
    if tensor.ndim not in (2, 3) or (tensor.ndim == 3 and not 1 <= tensor.shape[0] <= 4):
        raise _wrong_shape(
            name, tuple(tensor.shape), "a tensor", "(H, W) or (C, H, W)", "x.permute(2, 0, 1)"
        )
    check_size((tensor.shape[-2], tensor.shape[-1]), name)
    planes = tensor.detach().to("cpu", copy=True)
    return _photo_from_planes(planes[None] if planes.ndim == 2 else planes, name)


def _photo_from_planes(planes: Tensor, name: str) -> Photo:
    if planes.is_floating_point():
        planes = _checked_range(planes.float(), name)
    channels = planes.shape[0]
    alpha = planes[-1] if channels in (2, 4) else None
    colours = planes[:3] if channels >= 3 else planes[:1].expand(3, -1, -1)
    return Photo(colours, alpha, name)


def _checked_range(planes: Tensor, name: str) -> Tensor:
    bad = int((~planes.isfinite()).sum())
    if bad:
        raise InputImageError(
            f"{name} holds {bad} values that are NaN or infinite. Find out where they come from; "
            "`torch.nan_to_num` or `np.nan_to_num` replaces them."
        )
    low, high = (float(value) for value in torch.aminmax(planes))
    if low < -_TOLERANCE or high > 1 + _TOLERANCE:
        signed = low >= -1 - _TOLERANCE and high <= 1 + _TOLERANCE
        advice = "(x + 1) / 2" if signed else "x / 255"
        raise InputImageError(
            f"{name} has values from {low:.4g} to {high:.4g}; floating-point pictures must lie in "
            f"[0, 1]. Pass {advice}, or 8-bit values as uint8."
        )
    return planes.clamp_(0, 1)


def _wrong_type(name: str, dtype: str) -> InputImageError:
    return InputImageError(
        f"{name} has values of type {dtype}. Pass uint8 from 0 to 255, or floating point from 0 "
        "to 1."
    )


def _wrong_shape(
    name: str, shape: tuple[int, ...], kind: str, wanted: str, fix: str
) -> InputImageError:
    return InputImageError(
        f"{name}: {kind} for a picture must be {wanted} with 1 to 4 channels, got {shape}. If the "
        f"channels are at the other end, pass {fix}; pass several pictures as a list."
    )
