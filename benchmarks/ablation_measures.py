"""What `ablation.py` measures of a generator."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from tps_portrait import FaceLandmarker, StyleGenerator
from tps_portrait.evaluation import (
    Evaluation,
    EvaluationOptions,
    FaceSet,
    Report,
    evaluate,
    load_network,
    read_faces,
    read_truth,
)
from tps_portrait.evaluation.measures import measure_truth
from tps_portrait.hub.styles import shared_landmarks

ROOT = Path(__file__).resolve().parents[1]
SHOWN = (
    ROOT / "src" / "tps_portrait" / "assets" / "astronaut.jpg",
    ROOT / "tests" / "data" / "grace_hopper.jpg",
    ROOT / "tests" / "data" / "mona_lisa.jpg",
)
TRUTH = "ssim"
"""The metric that a result measured before there were pairs does not have."""


@torch.inference_mode()
def draw(generator: StyleGenerator, pictures: Sequence[Tensor]) -> list[Tensor]:
    """Draw square pictures `(3, S, S)` uint8."""
    drawn = generator(torch.stack(list(pictures)).float() / 127.5 - 1)
    return list(((drawn.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8))


def spread(faces: FaceSet, count: int) -> FaceSet:
    """At most `count` pictures, evenly over a set."""
    count = min(count, len(faces))
    chosen = [index * len(faces) // count for index in range(count)]
    parts = ([values[i] for i in chosen] for values in (faces.names, faces.images, faces.landmarks))
    return FaceSet(faces.label, *parts, skipped=faces.skipped)


def portraits(landmarker: FaceLandmarker, side: int, folder: Path) -> FaceSet:
    """The portraits that may be shown, which no training saw."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in SHOWN:
        shutil.copy(path, folder)
    return read_faces(folder, side, landmarker=landmarker)


def measure(
    style: str,
    generator: Path,
    work: Path,
    *,
    shown: Path,
    count: int,
    side: int,
    options: EvaluationOptions,
) -> dict[str, Any]:
    """Evaluate a generator on `count` held-out photos; draw the portraits that may be shown."""
    net = _load(generator)
    landmarker = FaceLandmarker.from_pretrained(shared_landmarks())
    held_out = read_faces(work / "data" / "held_out", side)
    examples = read_faces(work / "data" / f"{style}-held_out", side)
    report = evaluate(
        partial(draw, net),
        spread(held_out, count),
        examples,
        landmarker=landmarker,
        name=shown.stem,
        options=options,
    ).report
    portrayed = portraits(landmarker, side, work / "portraits")
    sheets = [torch.cat(portrayed.images, 2), torch.cat(draw(net, portrayed.images), 2)]
    for name, sheet in zip((work / "portraits.png", shown), sheets, strict=True):
        Image.fromarray(sheet.permute(1, 2, 0).numpy()).save(name)
    return {metric.name: metric.to_dict() for metric in report.metrics.values()}


def measure_pairs(
    style: str, generator: Path, work: Path, *, side: int, options: EvaluationOptions
) -> dict[str, Any]:
    """Compare drawings of rendered people with the drawings that the renderer makes of them."""
    folder = work / "data" / f"{style}-pairs"
    photos = read_faces(folder / "rendered", side)
    truth = read_truth(folder / "truth", photos, side)
    drawings = draw(_load(generator), photos.images)
    report = Report(name=style, dataset=photos.label, pictures=list(photos.names))
    mobile = load_network("mobilenet_v2", options.networks)
    measure_truth(Evaluation(report, photos, drawings, truth), mobile, options)
    return {metric.name: metric.to_dict() for metric in report.metrics.values()}


def _load(generator: Path) -> StyleGenerator:
    return StyleGenerator.from_pretrained(generator, dtype=torch.float32).eval().fuse()
