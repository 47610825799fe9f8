"""Jitter of landmarks, crops and drawings in video, with and without tracking and smoothing.

The clip is synthetic, so that the truth is known: the bundled photograph, at rest for a while and
then moving, turning and coming nearer along smooth curves, seen by a noisy sensor. Motion is undone
from the landmarks that were found; what is left is error. `jitter` is the root mean square of its
change from frame to frame, `lag` the mean length of its slow part (seven frames) in motion, both
in percent of the distance between the eyes. `crop` is the jitter of the face crop's centre, and of
its side, in percent of the side. `flicker` is the mean change of the drawn face from frame to
frame, in levels of 255, at rest: landmarks are found in the noisy frames, and the same frame
without noise is drawn, so that only the landmarks can move it.

    python benchmarks/video.py             # writes video.json and its part of README.md
    python benchmarks/video.py --report    # that part only
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

import result_pages
import tps_portrait
from tps_portrait import TPSPortraitPipeline
from tps_portrait.models.landmarks import Face, FaceLandmarker
from tps_portrait.ops.landmarks import apply_affine, eye_centers, invert_affine
from tps_portrait.processing import face_crops
from tps_portrait.processing.photo import Photo
from tps_portrait.video import FaceTracker, VideoStylizer

PHOTO = Path(tps_portrait.__file__).parent / "assets" / "astronaut.jpg"
SIDE = 320
FPS = 30


def motion(index: int, rest: int) -> Tensor:
    """Similarity (2, 3) from pixels of the clip's frame to pixels of the photograph."""
    t = max(0, index - rest) / FPS
    angle = math.radians(8) * math.sin(2 * math.pi * 0.5 * t)
    scale = 1.1 * (1 + 0.1 * math.sin(2 * math.pi * 0.4 * t))
    x = 225 + 30 * math.sin(2 * math.pi * 0.6 * t)
    y = 150 + 12 * math.sin(2 * math.pi * 0.8 * t)
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    middle = SIDE / 2
    return torch.tensor(
        [
            [cos, -sin, x - cos * middle + sin * middle],
            [sin, cos, y - sin * middle - cos * middle],
        ],
        dtype=torch.float32,
    )


def film(count: int, rest: int, noise: float, seed: int) -> list[Tensor]:
    """Frames uint8 (3, SIDE, SIDE)."""
    photo, rng = Image.open(PHOTO).convert("RGB"), np.random.default_rng(seed)
    frames = []
    for index in range(count):
        a = motion(index, rest).flatten().tolist()
        seen = photo.transform((SIDE, SIDE), Image.Transform.AFFINE, a, Image.Resampling.BICUBIC)
        pixels = np.asarray(seen, np.float32) + rng.normal(0, noise, (SIDE, SIDE, 3))
        frames.append(
            torch.from_numpy(pixels.round().clip(0, 255).astype(np.uint8)).permute(2, 0, 1)
        )
    return frames


def find(way: str, landmarker: FaceLandmarker, frames: list[Tensor]) -> tuple[list[Face], float]:
    """The face in each frame, and the milliseconds a frame took."""
    tracker = FaceTracker(landmarker, smoothing=way == "followed, smoothed", max_faces=1)
    faces, start = [], time.process_time()
    for index, frame in enumerate(frames):
        if way == "detected in each frame":
            found = landmarker.detect([frame], max_faces=1)[0]
        else:
            found = tracker.update(frame, index / FPS)
        if not found:
            raise SystemExit(f"frame {index}: the face was lost ({way})")
        faces.append(found[0])
    return faces, (time.process_time() - start) * 1e3 / len(frames)


def figures(faces: list[Face], truth: Tensor, rest: int) -> dict[str, float]:
    """Jitter and lag; `truth` is (68, 2) in the photograph."""
    errors, crops = [], []
    for index, face in enumerate(faces):
        to_frame = invert_affine(motion(index, rest))
        errors.append(face.landmarks - apply_affine(to_frame, truth))
        crop = face_crops([face.landmarks], (SIDE, SIDE))[0]
        ideal = face_crops([apply_affine(to_frame, truth)], (SIDE, SIDE))[0]
        shift = crop.to_picture(torch.zeros(1, 2)) - ideal.to_picture(torch.zeros(1, 2))
        crops.append(torch.cat([shift[0], torch.tensor([crop.side - ideal.side])]) / ideal.side)
    eyes = eye_centers(faces[0].landmarks)
    error = torch.stack(errors) / (eyes[1] - eyes[0]).norm()
    crop_error = torch.stack(crops)

    def change(values: Tensor) -> float:
        return 100 * float(values.diff(dim=0).square().sum(-1).mean().sqrt())

    still = error[10:rest].mean(0)
    moving = (error[rest + 3 :] - still).unfold(0, 7, 1).mean(-1)
    return {
        "jitter at rest": change(error[10:rest]),
        "jitter in motion": change(error[rest:]),
        "lag": 100 * float(moving.norm(dim=-1).mean()),
        "crop centre": change(crop_error[10:rest, :2]),
        "crop side": change(crop_error[10:rest, 2:]),
    }


class Found:
    """Stands in for a tracker: gives the faces that were found before."""

    def __init__(self, faces: list[Face]) -> None:
        self.faces = iter(faces)

    def update(self, frame: Tensor, time: float) -> list[Face]:
        """The face of the next frame."""
        return [next(self.faces)]


def flicker(pipe: TPSPortraitPipeline, frame: Tensor, faces: list[Face]) -> float:
    """Mean change of the drawn face from frame to frame, in levels."""
    stylizer = VideoStylizer(pipe, size=SIDE)
    stylizer.tracker = Found(faces)  # type: ignore[assignment]
    drawn = []
    for index in range(len(faces)):
        pixels = stylizer.draw(Photo(frame, None, "frame"), index / FPS).pixels
        drawn.append(pixels[:, SIDE // 4 : -SIDE // 4, SIDE // 4 : -SIDE // 4].float())
    return float(torch.stack(drawn).diff(dim=0).abs().mean())


def main() -> None:
    """Measure, and write the result file and the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--rest", type=int, default=60, help="frames at rest in the beginning")
    parser.add_argument("--noise", type=float, default=6.0, help="of the sensor, in levels")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--style", default="animation")
    parser.add_argument("--drawn", type=int, default=24, help="frames of the flicker, 0 for none")
    parser.add_argument("--threads", type=int, default=1)
    options = result_pages.parse(parser, "video")
    run = result_pages.Run("video", "torch")
    torch.set_num_threads(options.threads)

    pipe = TPSPortraitPipeline.from_pretrained(options.style)
    frames = film(options.frames, options.rest, options.noise, options.seed)
    photo = torch.from_numpy(np.array(Image.open(PHOTO).convert("RGB"))).permute(2, 0, 1)
    truth = pipe.landmarker.detect([photo], max_faces=1)[0][0].landmarks
    rows = []
    for way in ("detected in each frame", "followed", "followed, smoothed"):
        faces, milliseconds = find(way, pipe.landmarker, frames)
        found = {**figures(faces, truth, options.rest), "ms a frame": milliseconds}
        if options.drawn:
            (clean,) = film(1, 1, 0.0, 0)
            still = faces[10 : min(10 + options.drawn, options.rest)]
            found["flicker"] = flicker(pipe, clean, still)
        rows.append({"landmarks": way, **{name: round(value, 4) for name, value in found.items()}})
    chosen = ("frames", "rest", "noise", "seed", "style", "drawn", "threads")
    settings = {name: getattr(options, name) for name in chosen}
    run.write({"settings": {**settings, "side": SIDE, "fps": FPS}, "rows": rows}, options.output)


if __name__ == "__main__":
    main()
