"""What a prepared picture must be like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from ..errors import ConfigError

FacePolicy: TypeAlias = Literal["largest", "all", "single"]
"""Which faces of a picture are taken: the largest, every one, or one only where it is alone."""

CropFormat: TypeAlias = Literal["jpg", "png"]


@dataclass(frozen=True)
class PrepareOptions:
    """How pictures are cropped, and which are left out.

    Attributes:
        size: side of the crops in pixels.
        min_side: least side of the crop in the original picture, in pixels; half of `size` when
            `None`, as training has it.
        faces: which faces of a picture are taken; see `FacePolicy`.
        min_sharpness: least sharpness of the face, see `quality.sharpness`. Sharp photographs have
            0.6 to 1.1; 0.16 is a blur with a standard deviation of 1/85 of the crop. 0 takes all.
        max_outside: largest share of a crop that may lie outside of the picture, in [0, 1].
        duplicates: crops that differ in at most this share of their hash's bits, and in little of
            their landmarks, are near-duplicates; 0 finds exact copies only. Copies of a photograph
            at another size, quality or brightness differ by up to 0.06, other people by 0.15 and
            more, the same person with another expression by 0.05 and more.
        format: `jpg` (quality 95, full chroma) or `png`.
        source: where the pictures come from; written to every row that does not say so itself.
        license: their licence; likewise.

    Raises:
        ConfigError: a value is out of range.
    """

    size: int = 512
    min_side: int | None = None
    faces: FacePolicy = "largest"
    min_sharpness: float = 0.16
    max_outside: float = 0.25
    duplicates: float = 0.08
    format: CropFormat = "jpg"
    source: str | None = None
    license: str | None = None

    def __post_init__(self) -> None:
        if not 32 <= self.size <= 8192:
            raise ConfigError(f"size must be from 32 to 8192 pixels, got {self.size}.")
        if self.min_side is not None and self.min_side < 1:
            raise ConfigError(f"min_side must be at least 1 pixel, got {self.min_side}.")
        if self.faces not in get_args(FacePolicy):
            raise ConfigError(f"faces must be largest, all or single, got {self.faces!r}.")
        if self.format not in get_args(CropFormat):
            raise ConfigError(f"format must be jpg or png, got {self.format!r}.")
        if not self.min_sharpness >= 0:
            raise ConfigError(f"min_sharpness must be 0 or more, got {self.min_sharpness}.")
        for name in ("max_outside", "duplicates"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} must lie in [0, 1], got {getattr(self, name)}.")

    @property
    def least_side(self) -> int:
        """Least side of a crop in the original picture, in pixels."""
        return self.size // 2 if self.min_side is None else self.min_side
