"""Make the ten-second clip of the README: two photos under a moving camera, and their drawings.

    python docs/make_clip.py      # writes docs/assets/clip.mp4, clip.webp and clip.jpg

The photos are public domain (NOTICE names them); only the camera moves, and the light. Every frame
is drawn by `VideoStylizer` as a camera's would be. Needs the extra `video`.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tps_portrait import TPSPortraitPipeline
from tps_portrait.video import VideoStylizer

ROOT = Path(__file__).resolve().parents[1]
ASSETS = ROOT / "docs" / "assets"
SIDE = 360
RATE = 24
STYLE_FRAMES = 60


@dataclass(frozen=True)
class Scene:
    """A photo, where the camera looks, and the styles that draw it in turn.

    Attributes:
        photo: path.
        centre: (x, y) in pixels of the photo, around which the camera moves.
        side: of the middle view, in pixels of the photo.
        styles: names of bundled styles.
    """

    photo: Path
    centre: tuple[float, float]
    side: float
    styles: tuple[str, ...]


SCENES = (
    Scene(
        ROOT / "src/tps_portrait/assets/astronaut.jpg",
        (228.0, 190.0),
        320.0,
        ("animation", "watercolor"),
    ),
    Scene(ROOT / "tests/data/grace_hopper.jpg", (258.0, 230.0), 360.0, ("oil_paint", "ink_paint")),
)


def film(scene: Scene) -> Iterator[Image.Image]:
    """The frames of a scene: the camera pans, zooms and turns, and the light goes down and up."""
    with Image.open(scene.photo) as file:
        photo = file.convert("RGB")
    count = STYLE_FRAMES * len(scene.styles)
    for index in range(count):
        phase = 2 * math.pi * index / count
        zoom = scene.side * (1 + 0.1 * math.cos(phase)) / SIDE
        turn = math.radians(4) * math.sin(phase)
        x = scene.centre[0] + 14 * math.sin(2 * phase)
        y = scene.centre[1] + 8 * math.sin(phase)
        cosine, sine = zoom * math.cos(turn), zoom * math.sin(turn)
        middle = SIDE / 2
        matrix = (
            *(cosine, -sine, x - cosine * middle + sine * middle),
            *(sine, cosine, y - sine * middle - cosine * middle),
        )
        view = photo.transform(
            (SIDE, SIDE), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC
        )
        light = 0.92 + 0.12 * math.cos(2 * phase) * np.array([0.9, 1.0, 1.2])
        lit = np.asarray(view, dtype=np.float32) * light
        yield Image.fromarray(lit.round().clip(0, 255).astype(np.uint8))


def draw(scenes: Sequence[Scene]) -> Iterator[Image.Image]:
    """Photo and drawing side by side, frame by frame, with the style's name."""
    font = ImageFont.load_default(18)
    for scene in scenes:
        frames = list(film(scene))
        for index, style in enumerate(scene.styles):
            part = frames[index * STYLE_FRAMES : (index + 1) * STYLE_FRAMES]
            stylizer = VideoStylizer(TPSPortraitPipeline.from_pretrained(style))
            for photo, drawing in zip(part, stylizer(part, fps=RATE), strict=True):
                pair = Image.new("RGB", (2 * SIDE, SIDE))
                pair.paste(photo, (0, 0))
                pair.paste(drawing, (SIDE, 0))
                ImageDraw.Draw(pair).text(
                    (SIDE + 10, SIDE - 28),
                    style.replace("_", " "),
                    font=font,
                    fill="white",
                    stroke_width=2,
                    stroke_fill="black",
                )
                yield pair


def write_video(path: Path, frames: Sequence[Image.Image]) -> None:
    """Write H.264 that browsers play while it loads."""
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as out:
        stream = out.add_stream("libx264", rate=RATE, options={"crf": "21", "preset": "slow"})
        stream.width, stream.height = frames[0].size
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            out.mux(stream.encode(av.VideoFrame.from_image(frame)))
        out.mux(stream.encode(None))


def write_preview(path: Path, frames: Sequence[Image.Image]) -> None:
    """Write a picture that moves, for pages that show no video: smaller, every third frame."""
    small = [frame.resize((480, 240), Image.Resampling.LANCZOS) for frame in frames[::3]]
    milliseconds = 3000 // RATE
    small[0].save(
        path,
        save_all=True,
        append_images=small[1:],
        duration=milliseconds,
        loop=0,
        quality=60,
        method=4,
    )


def write_poster(path: Path, frames: Sequence[Image.Image]) -> None:
    """Write one frame of each style, two by two."""
    shown = frames[STYLE_FRAMES // 2 :: STYLE_FRAMES]
    width, height = shown[0].size
    poster = Image.new("RGB", (2 * width, 2 * height))
    for index, frame in enumerate(shown):
        poster.paste(frame, (index % 2 * width, index // 2 * height))
    poster.resize((width * 4 // 3, height * 4 // 3), Image.Resampling.LANCZOS).save(
        path, quality=85
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Write the clip, its preview and its poster.

    Args:
        argv: the arguments; those of the process by default.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--output_dir", type=Path, default=ASSETS)
    folder = parser.parse_args(argv).output_dir
    folder.mkdir(parents=True, exist_ok=True)
    frames = list(draw(SCENES))
    write_video(folder / "clip.mp4", frames)
    write_preview(folder / "clip.webp", frames)
    write_poster(folder / "clip.jpg", frames)
    for name in ("clip.mp4", "clip.webp", "clip.jpg"):
        print(f"{folder / name}: {(folder / name).stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
