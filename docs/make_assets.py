"""Make the pictures of the README and the docs, from portraits that may be redistributed.

    python docs/make_assets.py                # needs the bundled style; writes docs/assets/

Sources: NASA astronaut portrait and Grace Hopper (US government, public domain), the Mona Lisa
(public domain), and our own CC0 renders. NOTICE names them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from tps_portrait import TPSAligner, TPSPortraitPipeline
from tps_portrait.ops.landmarks import apply_affine, crop_transform, invert_affine, to_normalized
from tps_portrait.ops.tps import identity_grid, warp
from tps_portrait.training.tracking import to_image

ROOT = Path(__file__).resolve().parents[1]
ASSETS = ROOT / "docs" / "assets"
PORTRAITS = {
    "astronaut": ROOT / "src/tps_portrait/assets/astronaut.jpg",
    "grace_hopper": ROOT / "tests/data/grace_hopper.jpg",
    "mona_lisa": ROOT / "tests/data/mona_lisa.jpg",
    "render": ROOT / "examples/data/photos/synthetic/00009.jpg",
}
GAP = 8


def face_crop(
    pipe: TPSPortraitPipeline, image: Image.Image, size: int
) -> tuple[Image.Image, torch.Tensor]:
    """Cut the largest face out, upright, with its landmarks in [-1, 1] of the crop."""
    pixels = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)
    face = pipe.landmarker.detect([pixels])[0][0]
    shape = (image.height, image.width)
    matrix = crop_transform(face.landmarks[None], shape)
    grid = apply_affine(matrix, identity_grid((size, size)).flatten(1, 2)).unflatten(
        1, (size, size)
    )
    crop = warp(pixels[None].float(), grid, padding_mode="reflection") / 127.5 - 1
    landmarks = apply_affine(invert_affine(matrix), to_normalized(face.landmarks[None], shape))
    return to_image(crop[0]), landmarks[0]


def beside(*pictures: Image.Image) -> Image.Image:
    """Put pictures of one height beside one another."""
    width = sum(p.width for p in pictures) + GAP * (len(pictures) - 1)
    sheet = Image.new("RGB", (width, pictures[0].height), "white")
    x = 0
    for picture in pictures:
        sheet.paste(picture, (x, 0))
        x += picture.width + GAP
    return sheet


def above(*pictures: Image.Image) -> Image.Image:
    """Put pictures of one width above one another."""
    height = sum(p.height for p in pictures) + GAP * (len(pictures) - 1)
    sheet = Image.new("RGB", (pictures[0].width, height), "white")
    y = 0
    for picture in pictures:
        sheet.paste(picture, (0, y))
        y += picture.height + GAP
    return sheet


def strip(pipe: TPSPortraitPipeline, size: int = 384) -> Image.Image:
    """Photos above their drawings."""
    crops = [face_crop(pipe, Image.open(path), size * 4 // 3)[0] for path in PORTRAITS.values()]
    drawn = [pipe(crop, on_no_face="ignore").images[0] for crop in crops]
    rows = [
        [p.resize((size, size), Image.Resampling.LANCZOS) for p in row] for row in (crops, drawn)
    ]
    return above(beside(*rows[0]), beside(*rows[1]))


def method_figure(pipe: TPSPortraitPipeline, size: int = 320) -> Image.Image:
    """Photo with landmarks | example with the warped grid | aligned example | drawing."""
    folder = ROOT / "examples/data/styles/animation"
    rows = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    row = rows[12]
    photo, p = face_crop(pipe, Image.open(PORTRAITS["astronaut"]), size)
    example = Image.open(folder / row["file_name"]).convert("RGB").resize((size, size))
    q = torch.tensor(row["landmarks"])
    aligner: TPSAligner = pipe.aligner
    pixels = torch.from_numpy(np.array(example)).permute(2, 0, 1)[None].float() / 127.5 - 1
    aligned = to_image(aligner.align(pixels, q[None], p[None])[0])
    grid = aligner.grid(q[None], p[None], (size, size))[0]
    drawing = pipe(photo.resize((512, 512)), on_no_face="ignore").images[0].resize((size, size))
    return beside(_dots(photo, p), _lines(_dots(example, q), grid), _dots(aligned, p), drawing)


def _dots(image: Image.Image, landmarks: torch.Tensor) -> Image.Image:
    image = image.copy()
    pen = ImageDraw.Draw(image)
    for x, y in ((landmarks + 1) / 2 * image.width).tolist():
        pen.ellipse((x - 2, y - 2, x + 2, y + 2), fill=(0, 190, 120))
    return image


def _lines(image: Image.Image, grid: torch.Tensor, step: int = 20) -> Image.Image:
    image = image.copy()
    pen = ImageDraw.Draw(image)
    points = (grid + 1) / 2 * image.width
    for k in range(step // 2, grid.shape[0], step):
        for line in (points[k], points[:, k]):
            pen.line([tuple(xy) for xy in line[::4].tolist()], fill=(40, 90, 200), width=1)
    return image


def main() -> None:
    """Write all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--style", default="animation")
    args = parser.parse_args()
    ASSETS.mkdir(parents=True, exist_ok=True)
    pipe = TPSPortraitPipeline.from_pretrained(args.style)
    strip(pipe).save(ASSETS / "strip.jpg", quality=90)
    method_figure(pipe).save(ASSETS / "method.jpg", quality=92)
    for name, path in PORTRAITS.items():
        photo = Image.open(path).convert("RGB")
        drawing = pipe(photo, on_no_face="ignore").images[0]
        beside(photo, drawing).save(ASSETS / f"{name}.jpg", quality=90)


if __name__ == "__main__":
    main()
