"""Frames in, steady drawings out: `VideoStylizer`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor

from ..errors import ConfigError
from ..pipeline import TPSPortraitPipeline
from ..pipeline.portrait import check_options
from ..processing import Composition, ImageInput, OutputType, Photo, load_photo
from ..processing.image_processor import check_side
from ..processing.photo import check_output_type
from .tracking import FaceTracker

# The size at which a frame is drawn follows that of the face, but only in steps of this factor:
# another size is another drawing, and flickers.
_SIZE_STEP = 1.2


class VideoStylizer:
    """Draws the frames of a video one after the other.

    Faces are followed from frame to frame and their landmarks smoothed, so that crops, and with
    them the drawing, keep still. One frame is in memory at a time.

    Args:
        pipe: the style.
        mode: `face` draws every face on an upright crop over the drawn frame; `frame` draws the
            frame as a whole.
        strength: 1 is the drawing, 0 the frame.
        geometry_strength: moves each face toward the style's mean face.
        size: longest side in pixels at which whole frames are drawn; the style's by default.
        face_size: side in pixels at which faces are drawn; the style's by default.
        max_faces: draw the largest faces only.
        smoothing: smooth the landmarks by a One Euro filter.
        detect_every: frames between two detections; between, faces are followed.
        output_type: form of the drawings, see `TPSPortraitPipeline`.

    Raises:
        ConfigError: an option is not valid.
    """

    def __init__(
        self,
        pipe: TPSPortraitPipeline,
        *,
        mode: Literal["face", "frame"] = "face",
        strength: float = 1.0,
        geometry_strength: float = 0.0,
        size: int | None = None,
        face_size: int | None = None,
        max_faces: int | None = None,
        smoothing: bool = True,
        detect_every: int = 30,
        output_type: OutputType = "pil",
    ) -> None:
        check_options(strength, geometry_strength, mode, 1, max_faces, "ignore")
        check_output_type(output_type)
        self.pipe = pipe
        self.mode = mode
        self.strength = strength
        self.geometry_strength = geometry_strength
        self.output_type = output_type
        processor = pipe.image_processor
        self._sizes = {
            "face_size": check_side("face_size", face_size or processor.face_size),
            "frame_size": check_side("size", size or processor.frame_size),
            "enlarge": size is not None,
        }
        self.tracker = FaceTracker(
            pipe.landmarker,
            max_faces=max_faces,
            smoothing=smoothing,
            detect_every=detect_every,
        )
        self._held: tuple[tuple[int, int], tuple[int, int]] | None = None

    def __call__(
        self,
        frames: Iterable[ImageInput],
        *,
        fps: float = 30.0,
        times: Iterable[float] | None = None,
    ) -> Iterator[Any]:
        """Draw a clip, frame by frame, as it is iterated over.

        Args:
            frames: pictures of one size, in any form that the pipeline takes.
            fps: frames a second, where `times` is not given.
            times: the moment of each frame in seconds, for a variable frame rate.

        Yields:
            The drawing of each frame, in the form of `output_type`.

        Raises:
            ConfigError: `fps` is not positive, or `times` ends before `frames`.
            InputImageError: a frame cannot be read.
        """
        if not (math.isfinite(fps) and fps > 0):
            raise ConfigError(f"fps must be a positive number, got {fps!r}.")
        self.reset()
        moments = None if times is None else iter(times)
        for index, frame in enumerate(frames):
            moment = index / fps if moments is None else next(moments, None)
            if moment is None:
                raise ConfigError(f"times ends after {index} frames. Give one for each frame.")
            yield self.draw(load_photo(frame, f"frame {index}"), moment).convert(self.output_type)

    @torch.no_grad()
    def draw(self, photo: Photo, time: float) -> Photo:
        """Draw the next frame of the clip.

        Args:
            photo: the frame.
            time: of the frame, in seconds; later than the last one's.

        Returns:
            The drawing, as large as the frame.

        Raises:
            ModelFileError: the generator gives values that are not finite.
        """
        faces = []
        if self.mode == "face" or self.geometry_strength:
            faces = self.tracker.update(photo.visible(), time)
        plan = self.pipe._plan(
            photo,
            faces,
            self.geometry_strength,
            draw_faces=self.mode == "face",
            sizes=self._sizes,
            on_no_face="ignore",
        )
        if not self.strength:
            return plan.result([], 0)
        plan = replace(plan, frame=self._steady(plan))
        return plan.result(self.pipe._draw(plan.inputs(), 4), self.strength)

    def reset(self) -> None:
        """Forget the clip; the next frame is the first of another one."""
        self.tracker.reset()
        self._held = None

    def describe(self) -> str:
        """All options that change the drawing, in one line."""
        tracker = self.tracker
        return (
            f"mode={self.mode} strength={self.strength} geometry={self.geometry_strength} "
            f"sizes={self._sizes} max_faces={tracker.max_faces} smoothing={tracker.smoothing} "
            f"detect_every={tracker.detect_every} dtype={self.pipe.dtype}"
        )

    def state(self) -> dict[str, Tensor]:
        """All that the drawing of the next frame depends on, besides the frame; see `restore`."""
        return {**self.tracker.state(), "sizes": torch.tensor(self._held or ((0, 0), (0, 0)))}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on where another stylizer with the same options was.

        Args:
            state: what `state` returned there.
        """
        self.tracker.restore(state)
        photo, frame = state["sizes"].tolist()
        self._held = ((photo[0], photo[1]), (frame[0], frame[1])) if photo[0] else None

    def _steady(self, plan: Composition) -> tuple[int, int]:
        """(height, width) at which the frame is drawn: the last one while it fits."""
        if self._held is not None and self._held[0] == plan.photo.size:
            held = self._held[1]
            change = max(plan.frame) / max(held)
            if not plan.crops or 1 / _SIZE_STEP < change < _SIZE_STEP:
                return held
        self._held = plan.photo.size, plan.frame
        return plan.frame
