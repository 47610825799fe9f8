"""The styles of the app, each loaded once, and what they draw."""

from __future__ import annotations

from pathlib import Path
from threading import Lock

from PIL import Image

import tps_portrait
from tps_portrait import FaceLandmarker, TPSPortraitPipeline, list_styles
from tps_portrait.hub.styles import bundled_styles, shared_landmarks

SAMPLE = Path(tps_portrait.__file__).parent / "assets" / "astronaut.jpg"
PREVIEW = 1280


class Studio:
    """All bundled styles with one face landmarker between them."""

    def __init__(self) -> None:
        self.names = bundled_styles()
        self._landmarks = FaceLandmarker.from_pretrained(shared_landmarks())
        self._pipelines: dict[str, TPSPortraitPipeline] = {}
        self._lock = Lock()

    def load(self, style: str | Path) -> TPSPortraitPipeline:
        """A pipeline for a style of the package or a folder."""
        pipe = TPSPortraitPipeline.from_pretrained(style, landmarks=self._landmarks)
        pipe.set_progress_bar_config(disable=True)
        return pipe

    def style(self, name: str) -> TPSPortraitPipeline:
        """A bundled style, loaded on first use."""
        with self._lock:
            if name not in self._pipelines:
                self._pipelines[name] = self.load(name)
            return self._pipelines[name]

    def thumbnails(self) -> list[tuple[Image.Image, str]]:
        """The picture that comes with each bundled style; nothing is drawn for it."""
        pictures = {style.id: style.thumbnail for style in list_styles(source="bundled")}
        return [(Image.open(pictures[name]).convert("RGB"), name) for name in self.names]


def draw(
    pipe: TPSPortraitPipeline,
    photo: Image.Image,
    strength: float = 1.0,
    geometry: float = 0.0,
) -> tuple[Image.Image, int]:
    """Draw a photo at its full size.

    Returns:
        The drawing, and how many faces were found; with none the picture is drawn as a whole.
    """
    result = pipe(photo, strength=strength, geometry_strength=geometry, on_no_face="ignore")
    return result.images[0], len(result.faces[0])


def preview(image: Image.Image, side: int = PREVIEW) -> Image.Image:
    """A picture small enough to look at in a page."""
    small = image.copy()
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    return small
