"""The image processor: sizes at which a style draws, and pictures to network input and back."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import BaseImageProcessor
from transformers.image_processing_base import BatchFeature

from ..errors import ConfigError, InputImageError
from .loading import load_photo
from .photo import MAX_SIDE, MIN_SIDE, ImageInput, OutputType, Photo, check_output_type, to_uint8
from .resample import resize, working_size

# Keys that transformers writes into or passes to every image processor.
_SERVICE_KEYS = frozenset({"image_processor_type", "processor_class", "feature_extractor_type"})


class PortraitImageProcessor(BaseImageProcessor):
    """Prepares pictures for a `StyleGenerator` and turns its results back.

    A component of the pipeline, saved with the style: a style knows the size of the faces that it
    was trained on.

    Args:
        face_size: side in pixels at which a face crop is drawn; the side of the training pictures.
        frame_size: longest side in pixels at which a whole picture is drawn; the result is enlarged
            to the size of the photo.
        **kwargs: transformers' own keys; anything else is refused.

    Raises:
        ConfigError: a size is not a whole number from 32 to 8192, or a key is unknown.
    """

    model_input_names = ["pixel_values"]  # noqa: RUF012

    def __init__(self, face_size: int = 512, frame_size: int = 1536, **kwargs: Any) -> None:
        unknown = sorted(set(kwargs) - _SERVICE_KEYS)
        if unknown:
            raise ConfigError(
                f"PortraitImageProcessor has no setting {', '.join(map(repr, unknown))}. Its "
                "settings are: face_size, frame_size."
            )
        super().__init__(**kwargs)
        self.face_size = check_side("face_size", face_size)
        self.frame_size = check_side("frame_size", frame_size)

    def preprocess(
        self,
        images: ImageInput | list[ImageInput] | tuple[ImageInput, ...],
        size: int | None = None,
        return_tensors: str | None = "pt",
    ) -> BatchFeature:
        """Turn whole pictures into network input; calling the processor does the same.

        Args:
            images: one picture or several, see `load_photo`.
            size: longest side in pixels; `frame_size` by default. Small pictures stay as they are.
            return_tensors: `pt`, or `None` for a list of tensors of different sizes.

        Returns:
            `pixel_values`: `(B, 3, H, W)` float32 RGB in [-1, 1], or a list of `(3, H, W)`.

        Raises:
            InputImageError: a picture cannot be read, or `pt` is asked for and the sizes differ.
            ConfigError: `size` or `return_tensors` is not valid.
        """
        if return_tensors not in ("pt", None):
            raise ConfigError(f"return_tensors must be 'pt' or None, got {return_tensors!r}.")
        limit = self.frame_size if size is None else check_side("size", size)
        items = images if isinstance(images, list | tuple) else [images]
        inputs = [self.to_model(self.fit(load_photo(item), 1.0, limit)) for item in items]
        if return_tensors is None:
            return BatchFeature({"pixel_values": inputs})
        if len({tuple(values.shape) for values in inputs}) > 1:
            raise InputImageError(
                "The pictures have different sizes and cannot be one tensor. Resize them, or pass "
                "return_tensors=None for a list."
            )
        return BatchFeature({"pixel_values": torch.stack(inputs)})

    def postprocess(self, sample: Tensor, output_type: OutputType = "pil") -> list[Any]:
        """Turn network output into pictures, the exact inverse of `to_model`.

        Args:
            sample: `(B, 3, H, W)` RGB in [-1, 1], any float type and device.
            output_type: `pil`, `np` (float32 (H, W, 3) in [0, 1]) or `pt` (float32 (3, H, W) in
                [0, 1]).

        Raises:
            ConfigError: another `output_type`.
            InputImageError: `sample` is not `(B, 3, H, W)`.
        """
        check_output_type(output_type)
        if sample.ndim != 4 or sample.shape[1] != 3:
            raise InputImageError(
                f"sample must be a tensor (B, 3, H, W), got {tuple(sample.shape)}. Pass the result "
                "of a StyleGenerator."
            )
        values = (sample.detach().float().cpu().clamp(-1, 1) + 1) / 2
        if output_type == "pil":
            values = to_uint8(values)
        return [Photo(item, None, "result").convert(output_type) for item in values]

    def fit(self, photo: Photo, scale: float, limit: int) -> Tensor:
        """Resize a whole photo to the size at which it is drawn.

        Args:
            photo: the photo.
            scale: wanted magnification.
            limit: longest side in pixels.

        Returns:
            `(3, h, w)` uint8 RGB, both sides at least 32; white where the photo is transparent.
        """
        return resize(photo.visible(), working_size(photo.size, scale, limit))

    @staticmethod
    def to_model(pixels: Tensor) -> Tensor:
        """Network input in [-1, 1], float32, from uint8 pixels of any shape."""
        return (pixels / 127.5).sub_(1)

    @staticmethod
    def from_model(sample: Tensor) -> Tensor:
        """Pixels of any shape, uint8 on the CPU, from network output in [-1, 1]."""
        return (sample.float() + 1).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8).cpu()


def check_side(name: str, value: Any) -> int:
    """Refuse a size that is no whole number of pixels from `MIN_SIDE` to `MAX_SIDE`.

    Raises:
        ConfigError: the value is not valid.
    """
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or not MIN_SIDE <= value <= MAX_SIDE:
        raise ConfigError(
            f"{name} must be a whole number of pixels, at least {MIN_SIDE} and at most {MAX_SIDE}, "
            f"got {value!r}."
        )
    return value
