"""Make the pictures of the README and the docs, from portraits that may be redistributed.

    python docs/make_assets.py        # draws with all bundled styles; writes docs/assets/
    python docs/make_assets.py --only styles samples
    python docs/make_assets.py --only curves --losses animation=runs/animation/losses.jsonl

`styles` is the figure with all styles, `samples` are the pictures of the cards (their names go into
the facts of each style; then run tools/render_cards.py), `thumbnails` the small pictures in the
folders of the bundled styles, `curves` the losses of a training, `readme` the others. `pairs`, what
styles make of rendered people beside the right drawings, needs the extra `render` and is made only
when asked for.

Sources: NASA astronaut portrait and Grace Hopper (US government, public domain), the Mona Lisa
(public domain), and our own CC0 renders. NOTICE names them.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from tps_portrait import DatasetError, FaceLandmarker, TPSAligner, TPSPortraitPipeline
from tps_portrait.hub.facts import Sample, read_facts, write_facts
from tps_portrait.hub.styles import (
    BUNDLED_FOLDER,
    THUMBNAIL,
    bundled_styles,
    shared_landmarks,
)
from tps_portrait.ops.landmarks import apply_affine, crop_transform, invert_affine, to_normalized
from tps_portrait.ops.tps import identity_grid, warp
from tps_portrait.training.tracking import to_image

ROOT = Path(__file__).resolve().parents[1]
ASSETS = ROOT / "docs" / "assets"
SYNTHETIC = ROOT / "examples/data/photos/synthetic"
PORTRAITS = {
    "astronaut": ROOT / "src/tps_portrait/assets/astronaut.jpg",
    "grace_hopper": ROOT / "tests/data/grace_hopper.jpg",
    "mona_lisa": ROOT / "tests/data/mona_lisa.jpg",
    "render": SYNTHETIC / "00009.jpg",
}
# The three portraits, and renders that differ in skin, age, hair and pose; the last is a hard case:
# turned away, curls over the brows, hard light.
SHOWN = {
    **{name: path for name, path in PORTRAITS.items() if name != "render"},
    "beard": SYNTHETIC / "00010.jpg",
    "dark_skin": SYNTHETIC / "00025.jpg",
    "freckles": SYNTHETIC / "00027.jpg",
    "hard_case": SYNTHETIC / "00011.jpg",
}
SAMPLES = {
    "astronaut": "Astronaut (photo: NASA, public domain)",
    "grace_hopper": "Grace Hopper (photo: US Navy, public domain)",
    "mona_lisa": "Mona Lisa (painting, public domain)",
    "dark_skin": "A rendered face (CC0)",
    "hard_case": "A rendered face, turned, in hard light (CC0)",
}
CELL = 288
PANELS = ("generators", "generators, the other terms", "discriminators")
ADVERSARIAL = ("global", "local", "unaligned")
STRIP = ("astronaut", "grace_hopper")
KINDS = ("readme", "styles", "samples", "thumbnails", "curves")
PAIR_SEEDS = (9000, 9005)
THUMBNAIL_SIDE, THUMBNAIL_BYTES = 256, 15_000
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


def drawings(
    styles: Sequence[str], landmarker: FaceLandmarker
) -> tuple[dict[str, Image.Image], dict[str, dict[str, Image.Image]]]:
    """Crops of the shown portraits, 512 px, and their drawings by style."""
    photos: dict[str, Image.Image] = {}
    drawn: dict[str, dict[str, Image.Image]] = {}
    for style in styles:
        pipe = TPSPortraitPipeline.from_pretrained(style, landmarks=landmarker)
        pipe.set_progress_bar_config(disable=True)
        if not photos:
            photos = {n: face_crop(pipe, Image.open(p), 512)[0] for n, p in SHOWN.items()}
        result = pipe(list(photos.values()), on_no_face="ignore")
        drawn[style] = dict(zip(photos, result.images, strict=True))
    return photos, drawn


def styles_figure(
    photos: dict[str, Image.Image], drawn: dict[str, dict[str, Image.Image]], cell: int = CELL
) -> Image.Image:
    """Portraits down; the photo and what every style makes of it across, with a line of names."""
    columns = {"photo": photos, **drawn}
    font = ImageFont.load_default(cell // 12)
    head = beside(*(Image.new("RGB", (cell, cell // 8), "white") for _ in columns))
    pen = ImageDraw.Draw(head)
    for index, name in enumerate(columns):
        middle = (index * (cell + GAP) + cell / 2, cell / 16)
        pen.text(middle, name.replace("_", " "), fill=(40, 40, 40), font=font, anchor="mm")
    rows = [
        beside(*(_small(pictures[portrait], cell) for pictures in columns.values()))
        for portrait in photos
    ]
    return above(head, *rows)


def pairs_figure(styles: Sequence[str], cell: int = 224) -> Image.Image:
    """A style a row, two people each: the rendered picture, its drawing, the right drawing."""
    sys.path.insert(0, str(ROOT))
    from examples.data.render.pairs import pair

    rows = []
    for style in styles:
        generator = TPSPortraitPipeline.from_pretrained(style).generator
        row = []
        for seed in PAIR_SEEDS:
            photo, right, _ = pair(style, seed)
            pixels = torch.from_numpy(photo).permute(2, 0, 1)[None].float() / 127.5 - 1
            with torch.inference_mode():
                drawn = to_image(generator(pixels)[0])
            row += [Image.fromarray(photo), drawn, Image.fromarray(right)]
        rows.append(beside(*(_small(picture, cell) for picture in row)))
    return above(*rows)


def _small(image: Image.Image, side: int) -> Image.Image:
    return image.convert("RGB").resize((side, side), Image.Resampling.LANCZOS)


def save_samples(
    style: str, photos: dict[str, Image.Image], drawn: dict[str, Image.Image], folder: Path
) -> list[Sample]:
    """Write a picture of photo and drawing for each sample of a card."""
    folder.mkdir(parents=True, exist_ok=True)
    samples = [Sample(f"{name}.jpg", caption) for name, caption in SAMPLES.items()]
    for name in SAMPLES:
        picture = beside(_small(photos[name], 384), _small(drawn[name], 384))
        picture.save(folder / f"{name}.jpg", quality=88)
    return samples


def small_jpeg(image: Image.Image, limit: int = THUMBNAIL_BYTES) -> bytes:
    """Write a picture as JPEG, in the best quality that takes no more than `limit` bytes."""
    for quality in range(90, 20, -2):
        data = io.BytesIO()
        image.save(data, "JPEG", quality=quality, optimize=True)
        if data.tell() <= limit:
            break
    return data.getvalue()


def plot_losses(log: Path, target: Path, *, points: int = 40) -> None:
    """Plot the losses of a training, generators and discriminators apart, smoothed.

    Args:
        log: losses.jsonl of the run.
        target: PNG.
        points: of each curve at most; a point is the mean of the lines around it.

    Raises:
        DatasetError: the file holds no losses.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    rows = [json.loads(line) for line in log.read_text("utf-8").splitlines() if line.strip()]
    names = list(dict.fromkeys(key for row in rows for key in row))
    names = [name for name in names if name not in ("step", "learning_rate")]
    if not names:
        raise DatasetError(f"{log} holds no losses; it must be the losses.jsonl of a training.")
    figure = Figure(figsize=(12, 4), layout="constrained")
    panels = dict(zip(PANELS, figure.subplots(1, len(PANELS), sharex=True), strict=True))
    for name in names:
        known = np.array([(row["step"], row[name]) for row in rows if name in row])
        parts = np.array_split(known, min(points, len(known)))
        curve = np.array([part.mean(0) for part in parts])
        kind = "discriminators" if name.startswith("d_") else "generators"
        if kind == "generators" and not name.startswith(ADVERSARIAL):
            kind = "generators, the other terms"
        panels[kind].plot(curve[:, 0], curve[:, 1], label=name, linewidth=1.4)
    for title, panel in panels.items():
        panel.set(title=title, xlabel="step")
        panel.grid(alpha=0.25)
        if panel.get_legend_handles_labels()[0]:
            panel.legend(fontsize=8, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.16))
    panels["generators"].set_ylabel("loss, unweighted, smoothed")
    panels["generators, the other terms"].set_yscale("log")
    target.parent.mkdir(parents=True, exist_ok=True)
    # Without the version of matplotlib, the same losses make the same file.
    figure.savefig(target, dpi=110, metadata={"Software": None})


def main(arguments: list[str] | None = None) -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--style", default="animation", help="style of the README's pictures")
    parser.add_argument("--only", nargs="+", choices=(*KINDS, "pairs"), default=KINDS)
    parser.add_argument(
        "--losses", nargs="+", default=[], metavar="STYLE=FILE", help="losses.jsonl of trainings"
    )
    parser.add_argument("--output", type=Path, default=ASSETS, help="folder of the pictures")
    args = parser.parse_args(arguments)
    args.output.mkdir(parents=True, exist_ok=True)
    if "curves" in args.only:
        for entry in args.losses:
            style, _, path = entry.rpartition("=")
            plot_losses(Path(path), args.output / f"curves_{style}.png")
    if "thumbnails" in args.only:
        for style in bundled_styles():
            pipe = TPSPortraitPipeline.from_pretrained(style)
            picture = small_jpeg(pipe.thumbnail(side=THUMBNAIL_SIDE))
            # In the package, or beside the other pictures of a trial run.
            folder = BUNDLED_FOLDER if args.output == ASSETS else args.output / "styles"
            (folder / style).mkdir(parents=True, exist_ok=True)
            (folder / style / THUMBNAIL).write_bytes(picture)
    if {"styles", "samples"} & set(args.only):
        landmarker = FaceLandmarker.from_pretrained(shared_landmarks())
        photos, drawn = drawings(bundled_styles(), landmarker)
        if "styles" in args.only:
            styles_figure(photos, drawn).save(args.output / "styles.jpg", quality=88)
            few = {name: photos[name] for name in STRIP}
            styles_figure(few, drawn).save(args.output / "strip.jpg", quality=90)
        for style in drawn if "samples" in args.only else ():
            samples = save_samples(style, photos, drawn[style], args.output / "styles" / style)
            facts = read_facts(BUNDLED_FOLDER / style)
            if facts is not None and args.output == ASSETS:
                write_facts(BUNDLED_FOLDER / style, replace(facts, samples=samples))
    if "pairs" in args.only:
        pairs_figure(bundled_styles()).save(args.output / "pairs.jpg", quality=88)
    if "readme" in args.only:
        readme_pictures(args.style, args.output)


def readme_pictures(style: str, folder: Path) -> None:
    """Write the pictures of one style in the README and the pages about the method."""
    pipe = TPSPortraitPipeline.from_pretrained(style)
    method_figure(pipe).save(folder / "method.jpg", quality=92)
    for name, path in PORTRAITS.items():
        photo = Image.open(path).convert("RGB")
        drawing = pipe(photo, on_no_face="ignore").images[0]
        beside(photo, drawing).save(folder / f"{name}.jpg", quality=90)


if __name__ == "__main__":
    main()
