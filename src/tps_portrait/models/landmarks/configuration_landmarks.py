"""Configuration of the face landmarker."""

# No `from __future__ import annotations`: `@strict` does not check types that are strings.
from huggingface_hub.dataclasses import strict

from ..base import PortraitConfig


@strict
class FaceLandmarkerConfig(PortraitConfig):
    """How faces are searched and landmarked; the networks themselves have one fixed shape.

    Args:
        score_threshold: default of `FaceLandmarker.detect(threshold=...)`.
        overlap_threshold: detections that overlap more (intersection over union) are one face.
        tile_size: pictures with a longer side and no prominent face are also searched in
            overlapping square tiles of about this side, so that faces down to a tenth of it are
            found.
        tile_threshold: least score of a face found in tiles only; so many looks at small details
            find a false face sooner.
        max_tiles: most tiles along a side; beyond it the tiles grow.
        prominent_size: a face of at least this part of the longer side makes tiles unnecessary.
        crop_scale: side of a landmark crop divided by the face's box.
        refinements: landmark passes after the first, each in a crop placed by the landmarks before.
        presence_threshold: the mesh's own probability of a face below which a detection is
            dropped; it is near 1 for every real face.
        keypoint_tolerance: a detection is dropped when its eyes, nose and mouth are farther from
            the mesh's, on average and as a part of the face's larger side.
    """

    model_type = "tps_portrait_landmarker"

    score_threshold: float = 0.5
    overlap_threshold: float = 0.3
    tile_size: int = 640
    tile_threshold: float = 0.65
    max_tiles: int = 8
    prominent_size: float = 0.15
    crop_scale: float = 1.5
    refinements: int = 1
    presence_threshold: float = 0.98
    keypoint_tolerance: float = 0.3

    def validate_ranges(self) -> None:
        """Check the values.

        Raises:
            ValueError: a value is out of range.
        """
        for name in (
            "score_threshold",
            "overlap_threshold",
            "tile_threshold",
            "prominent_size",
            "presence_threshold",
        ):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"{name} must lie in [0, 1], got {value}")
        if self.keypoint_tolerance <= 0:
            raise ValueError("keypoint_tolerance must be > 0")
        if self.tile_size < 192 or self.max_tiles < 1:
            raise ValueError("tile_size must be >= 192 and max_tiles >= 1")
        if self.crop_scale < 1 or self.refinements < 0:
            raise ValueError("crop_scale must be >= 1 and refinements >= 0")
