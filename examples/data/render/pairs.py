"""Pairs of a photo-like picture and the drawing of the same person, in register.

``python -m examples.data.render.pairs STYLE OUT --count 24 --seed 9000``
"""

from __future__ import annotations

import argparse
from pathlib import Path
from types import ModuleType

import numpy as np

from . import ink_paint, oil_paint, portrait, scene, watercolor
from .canvas import Canvas
from .files import make_row, save_picture
from .geometry import Array
from .layers import Map, Sketch, draw_sketch
from .media import blur
from .relief import model_head

PAINTED: dict[str, ModuleType] = {
    "watercolor": watercolor,
    "oil_paint": oil_paint,
    "ink_paint": ink_paint,
}
STYLES = ("animation", *PAINTED)
JPEG_QUALITY = 92
LENS_BLUR = 14.0


def pair(style: str, seed: int, size: int = 512) -> tuple[np.ndarray, np.ndarray, Array]:
    """Render one person twice.

    The photo-like picture has the form, colours and light of the lit reference of the oil
    portraits, and the drawing's background out of focus.

    Args:
        style: one of `STYLES`; each has people of its own.
        seed: of the person.
        size: side in pixels.

    Returns:
        Photo and drawing ``(size, size, 3)`` uint8 RGB, and the landmarks of both ``(68, 2)`` in
        [-1, 1] (x = 2 * pixel / width - 1).
    """
    if style == "animation":
        sketch, rng = draw_sketch(seed, size, portrait.STREAM)
        canvas = Canvas(size)
        scene.draw_background(canvas, rng)
        portrait.draw_person(canvas, sketch.rig, sketch.traits, sketch.hair, rng)
        drawing = canvas.pixels()
    else:
        drawing = PAINTED[style].render(seed, size)[0]
        sketch, _ = draw_sketch(seed, size, PAINTED[style].STREAM)
    return _photo(sketch, drawing), drawing, sketch.points


def _photo(s: Sketch, drawing: np.ndarray) -> np.ndarray:
    relief = model_head(s)
    picture, lit = oil_paint.reference(s, relief, _behind(s, drawing))
    if "glasses" in s.layers:
        picture = oil_paint.wear_glasses(picture, s, lit)
    return np.clip(np.rint(picture * 255), 0, 255).astype(np.uint8)


def _behind(s: Sketch, drawing: np.ndarray) -> Map:
    """The background of a drawing out of focus, with nothing of the person in it."""
    unit = s.size / 512
    # Rims and outlines reach a few pixels beyond the figure.
    free = (blur(s.person(), 4 * unit) < 0.02).astype(np.float32)[..., None]
    seen = drawing.astype(np.float32) / 255 * free
    sigma = LENS_BLUR * unit
    # Wider and wider blurs reach what is hidden behind the person.
    behind = np.zeros_like(seen)
    share = np.zeros_like(free)
    for wider in (1, 3, 9):
        near = blur(seen, wider * sigma)
        weight = blur(free, wider * sigma).reshape(free.shape)
        added = (1 - share) * np.clip(weight * 4, 0, 1)
        behind += added * near / np.maximum(weight, 1e-4)
        share += added
    mean = seen.sum((0, 1)) / max(float(free.sum()), 1.0)
    filled: Map = (behind + (1 - share) * mean).astype(np.float32)
    return filled


def write_pairs(style: str, out: Path, seeds: range, size: int = 512) -> None:
    """Write ``rendered`` and ``truth``, two imagefolders with the same file names, to ``out``.

    Args:
        style: one of `STYLES`.
        out: folder; made where it is missing.
        seeds: of the people.
        size: side in pixels.

    Raises:
        OSError: a picture cannot be written.
    """
    rows = []
    folders = out / "rendered", out / "truth"
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        photo, drawing, points = pair(style, seed, size)
        name = f"{style}-{seed:06d}.jpg"
        for folder, picture in zip(folders, (photo, drawing), strict=True):
            save_picture(picture, folder / name, JPEG_QUALITY)
        rows.append(make_row(name, points, seed))
    for folder in folders:
        (folder / "metadata.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")


def main() -> None:
    """Render pairs of photo and drawing, for evaluation with ground truth."""
    parser = argparse.ArgumentParser(prog="examples.data.render.pairs", description=main.__doc__)
    parser.add_argument("style", choices=STYLES)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--seed", type=int, default=9000, help="first seed")
    parser.add_argument("--size", type=int, default=512, help="side in pixels")
    args = parser.parse_args()
    if args.count < 1 or args.seed < 0 or args.size < 64:
        parser.error("--count must be at least 1, --seed at least 0, --size at least 64")
    write_pairs(args.style, args.out, range(args.seed, args.seed + args.count), args.size)
    print(f"{args.count} pairs in {args.out}")


if __name__ == "__main__":
    main()
