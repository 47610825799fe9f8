"""What became of each picture, in a form that can be written down and read again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Crop:
    """A face that can be used.

    Attributes:
        file_name: file of the crop in the output folder.
        landmarks: 68 points [x, y] in [-1, 1] of the crop, align_corners=False.
        side: side of the crop in pixels of the original picture.
        sharpness: see `quality.sharpness`.
        outside: share of the crop outside of the picture; there the border is continued.
        hashes: `quality.difference_hash` of the crop and of its mirror image.
        notes: what a user should know about it.
    """

    file_name: str
    landmarks: tuple[tuple[float, float], ...]
    side: float
    sharpness: float
    outside: float
    hashes: tuple[str, str]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class LeftOut:
    """A picture, or a face of one, that is not used.

    Attributes:
        picture: name of the picture.
        reason: a key of `REASONS`.
        detail: a sentence about this case.
    """

    picture: str
    reason: str
    detail: str


REASONS = {
    "unreadable": "unreadable",
    "no_face": "without a face",
    "several_faces": "with several faces",
    "too_small": "too small",
    "too_blurry": "too blurry",
    "cut_off": "cut off",
    "landmarks": "with unusable landmarks",
    "duplicate": "near-duplicates",
}
"""Why pictures are left out, in words for a summary."""


@dataclass(frozen=True)
class Outcome:
    """What became of one picture.

    Attributes:
        picture: its name.
        stamp: `SourcePicture.stamp` when it was examined.
        crops: the faces that can be used.
        left_out: what cannot.
    """

    picture: str
    stamp: str
    crops: tuple[Crop, ...] = ()
    left_out: tuple[LeftOut, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Outcome:
        """Read what `to_json` gave.

        Raises:
            KeyError, TypeError, ValueError: it was something else.
        """
        crops = tuple(
            Crop(
                **{
                    **crop,
                    "landmarks": tuple((float(x), float(y)) for x, y in crop["landmarks"]),
                    "hashes": tuple(crop["hashes"]),
                    "notes": tuple(crop["notes"]),
                }
            )
            for crop in data["crops"]
        )
        left_out = tuple(LeftOut(**item) for item in data["left_out"])
        return cls(str(data["picture"]), str(data["stamp"]), crops, left_out)
