"""The whole evaluation of whatever draws portraits."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ConfigError, ModelFileError
from ..models.landmarks import FaceLandmarker
from .faces import FaceSet, Stylize
from .groups import group_faces, measure_groups
from .measures import (
    measure_cost,
    measure_fidelity,
    measure_geometry,
    measure_identity,
    measure_skin,
    measure_stability,
    measure_truth,
)
from .networks import SFace, load_network
from .record import Evaluation, EvaluationOptions
from .report import Report


def evaluate(
    stylize: Stylize,
    photos: FaceSet,
    examples: FaceSet,
    *,
    landmarker: FaceLandmarker,
    truth: Mapping[int, Tensor] | None = None,
    generator: nn.Module | None = None,
    name: str = "style",
    options: EvaluationOptions | None = None,
    on_progress: Callable[[str], None] | None = None,
) -> Evaluation:
    """Draw photos and measure the drawings.

    Args:
        stylize: what draws: a list of `(3, S, S)` uint8 pictures in, drawings of the same size out.
        photos: what is drawn.
        examples: pictures in the style, best such that it was not trained on.
        landmarker: finds faces in photos and drawings; the other networks run where it is.
        truth: the right drawing of photos, by their index, as `read_truth` gives it.
        generator: the network whose cost is measured; its metrics are left out without it.
        name: of the style, for the report.
        options: how to measure.
        on_progress: told what comes next.

    Returns:
        The report and the pictures in it.

    Raises:
        ModelFileError: a network is missing, unless `options.skip_missing`.
        ConfigError: fewer than two photos or examples, or drawings of another size.
    """
    options = options or EvaluationOptions()
    if len(photos) < 2 or len(examples) < 2:
        raise ConfigError(
            f"An evaluation needs at least two photos and two examples, got {len(photos)} of "
            f"{photos.label} and {len(examples)} of {examples.label}."
        )
    report = Report(name=name, dataset=photos.label, pictures=list(photos.names))
    say = on_progress or (lambda step: None)
    mobile, sface = (
        _network(key, report, options, landmarker.device) for key in ("mobilenet_v2", "sface")
    )
    say("drawing")
    drawings = _draw(stylize, photos.images, options.batch_size)
    evaluation = Evaluation(report, photos, drawings, dict(truth or {}))
    say("fidelity")
    measure_fidelity(evaluation, examples, mobile, options)
    if truth:
        say("ground truth")
        measure_truth(evaluation, mobile, options)
    say("faces")
    found = measure_geometry(evaluation, landmarker, options)
    if isinstance(sface, SFace):
        say("identity")
        measure_identity(evaluation, sface, found, options)
    measure_skin(evaluation, found, options)
    report.groups = measure_groups(
        report, group_faces(photos), samples=options.samples, seed=options.seed
    )
    say("stability")
    measure_stability(evaluation, stylize, options)
    if generator is not None:
        say("cost")
        measure_cost(report, generator, photos.images[0].shape[-1], options)
    _settings(report, photos, examples, options)
    return evaluation


def _network(
    name: str, report: Report, options: EvaluationOptions, device: torch.device
) -> nn.Module | None:
    try:
        return load_network(name, options.networks).to(device)
    except ModelFileError as error:
        if not options.skip_missing:
            raise
        metrics = {
            "mobilenet_v2": (
                "kid_mobilenet_v2",
                "fid_mobilenet_v2",
                "feature_distance_mobilenet_v2",
            ),
            "sface": ("identity_cosine_sface", "identity_lost_sface"),
        }
        report.skipped.update(dict.fromkeys(metrics[name], str(error)))
        return None


def _draw(stylize: Stylize, images: list[Tensor], batch_size: int) -> list[Tensor]:
    drawings: list[Tensor] = []
    for start in range(0, len(images), batch_size):
        drawings += stylize(images[start : start + batch_size])
    for image, drawing in zip(images, drawings, strict=True):
        if drawing.shape != image.shape or drawing.dtype != torch.uint8:
            raise ConfigError(
                f"`stylize` must return {tuple(image.shape)} uint8 for such a picture, got "
                f"{tuple(drawing.shape)} {drawing.dtype}."
            )
    return drawings


def _settings(
    report: Report, photos: FaceSet, examples: FaceSet, options: EvaluationOptions
) -> None:
    chosen: dict[str, Any] = asdict(options)
    chosen["networks"] = str(options.networks)
    report.settings = {
        "photos": f"{len(photos)} of {photos.label}",
        "examples": f"{len(examples)} of {examples.label}",
        "size": photos.images[0].shape[-1],
        **chosen,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    for faces in (photos, examples):
        if faces.skipped:
            report.skipped[f"pictures of {faces.label}"] = "; ".join(faces.skipped)
