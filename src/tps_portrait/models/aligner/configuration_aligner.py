"""Configuration of the TPS aligner."""

# No `from __future__ import annotations`: `@strict` does not check types that are strings.
from huggingface_hub.dataclasses import strict

from ..base import PortraitConfig

# Every second jaw point, brow ends and middles, nose, all of the eyes, the outer lips. The inner
# lips are left out: they coincide in a closed mouth, and would tear an open one.
_DEFAULT_CONTROL_POINTS = (
    *range(0, 17, 2),
    *(17, 19, 21, 22, 24, 26),
    *(27, 29, 30, 31, 33, 35),
    *range(36, 48),
    *range(48, 60),
)


@strict
class TPSAlignerConfig(PortraitConfig):
    """Which points drive the thin-plate splines, and how stiff those are.

    Args:
        control_points: indices into the 68-point layout (iBUG order, 0-based).
        border_points: points on each side of the frame that hold the rest of the picture in place.
        regularization: stiffness; 0 interpolates the landmarks exactly, larger values bend less.
            Of whole pictures in units of half a picture, of face regions in units of their crop.
        region_size: side of the square part crops, in pixels.
        region_margin: side of a part crop divided by the extent of its landmarks.
    """

    model_type = "tps_portrait_aligner"

    control_points: list[int] | tuple[int, ...] = _DEFAULT_CONTROL_POINTS
    border_points: int = 4
    regularization: float = 1e-3
    region_size: int = 64
    region_margin: float = 1.3

    def validate_points(self) -> None:
        """Check the points.

        Raises:
            ValueError: an index is outside 0..67, repeated, or there are fewer than three; another
                value is out of range.
        """
        points = list(self.control_points)
        if len(set(points)) != len(points) or len(points) < 3:
            raise ValueError("control_points must be three or more different indices")
        if min(points) < 0 or max(points) > 67:
            raise ValueError("control_points must lie in 0..67")
        if self.border_points < 0 or self.regularization < 0:
            raise ValueError("border_points and regularization must be >= 0")
        if self.region_size < 16 or self.region_margin < 1:
            raise ValueError("region_size must be >= 16 and region_margin >= 1")
