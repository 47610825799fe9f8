"""Each group of metrics, measured on drawings and entered into the report."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..errors import LandmarkError, ModelFileError
from ..models.landmarks import FaceLandmarker
from .cost import count_macs, count_parameters, median_milliseconds
from .distribution import FeatureComparison
from .faces import FaceSet, Stylize, find_face
from .geometry import landmark_error, landmarker_noise
from .identity import SAME_PERSON, embed_faces, identity_cosines
from .inception import inception_features, load_inception
from .networks import MobileNetV2, SFace
from .record import Evaluation, EvaluationOptions
from .report import Better, Metric, Report
from .similarity import feature_distance, pooled_features, psnr, ssim
from .skin import skin_colour
from .stability import flicker, motion_errors


def measure_fidelity(
    evaluation: Evaluation,
    examples: FaceSet,
    mobile: nn.Module | None,
    options: EvaluationOptions,
) -> None:
    """Measure KID and FID with every network at hand, beside those of the photos.

    Args:
        evaluation: the drawings; its report is added to.
        examples: pictures in the style.
        mobile: MobileNetV2; without it only Inception is tried.
        options: how to measure.
    """
    report = evaluation.report
    describers: dict[str, Callable[[list[Tensor]], Tensor]] = {}
    if isinstance(mobile, MobileNetV2):
        describers["mobilenet_v2"] = lambda images: pooled_features(
            mobile, images, batch_size=options.batch_size
        )
    try:
        inception = load_inception(options.networks)
        if mobile is not None:
            inception.to(next(mobile.parameters()).device)
        describers["inception_v3"] = lambda images: inception_features(
            inception, images, batch_size=options.batch_size
        )
    except ModelFileError as error:
        # The standard network is not to be had everywhere, so it is never asked for.
        reason = str(error)
        report.skipped.update({"kid_inception_v3": reason, "fid_inception_v3": reason})
    for network, describe in describers.items():
        wanted = describe(examples.images)
        drawn = FeatureComparison(describe(evaluation.drawings), wanted)
        before = FeatureComparison(describe(evaluation.photos.images), wanted)
        scale = {"kid": {"photos": before.kid()}, "fid": {"photos": before.fid()}}
        if len(wanted) >= 4:
            # Only of KID: FID would be larger just for having half the pictures.
            halves = FeatureComparison(wanted[::2], wanted[1::2])
            scale["kid"]["halves of the examples"] = halves.kid()
        for kind, value, ends in (
            ("kid", drawn.kid(), drawn.kid_interval),
            ("fid", drawn.fid(), drawn.fid_interval),
        ):
            report.add(
                Metric(
                    name=f"{kind}_{network}",
                    value=value,
                    count=len(evaluation.drawings),
                    better="lower",
                    interval=ends(samples=options.samples, seed=options.seed),
                    references=scale[kind],
                )
            )


def measure_truth(
    evaluation: Evaluation, mobile: nn.Module | None, options: EvaluationOptions
) -> None:
    """Measure SSIM, PSNR and feature distance to the right drawings.

    Args:
        evaluation: the drawings and the truth; its report is added to.
        mobile: MobileNetV2; without it there is no feature distance.
        options: how to measure.
    """
    measures: dict[str, tuple[Callable[[Tensor, Tensor], float], str, Better]] = {
        "ssim": (ssim, "", "higher"),
        "psnr": (psnr, "dB", "higher"),
    }
    if isinstance(mobile, MobileNetV2):
        network = mobile
        measures["feature_distance_mobilenet_v2"] = (
            lambda a, b: feature_distance(network, a, b),
            "",
            "lower",
        )
    for name, (measure, unit, better) in measures.items():
        pairs = evaluation.truth.items()
        photos = [measure(evaluation.photos.images[index], image) for index, image in pairs]
        evaluation.report.add_values(
            name,
            {index: measure(evaluation.drawings[index], image) for index, image in pairs},
            samples=options.samples,
            seed=options.seed,
            unit=unit,
            better=better,
            references={"photos": sum(photos) / len(photos)},
        )


def measure_geometry(
    evaluation: Evaluation, landmarker: FaceLandmarker, options: EvaluationOptions
) -> dict[int, Tensor]:
    """Find the faces of photos and drawings, and measure how far they are apart.

    Args:
        evaluation: the drawings; its report is added to.
        landmarker: finds the faces.
        options: how to measure.

    Returns:
        Landmarks `(68, 2)` of the photos that have any, normalised, by index: found, or else as
        the set gives them.
    """
    report, photos = evaluation.report, evaluation.photos
    landmarks: dict[int, Tensor] = {}
    errors: dict[int, dict[str, float]] = {}
    noise: dict[int, float] = {}
    sought: dict[int, bool] = {}
    for index, (image, drawing) in enumerate(zip(photos.images, evaluation.drawings, strict=True)):
        given = photos.landmarks[index]
        face = find_face(landmarker, image, given)
        known = given if face is None else face
        if known is not None:
            landmarks[index] = known
        if face is None:
            continue
        drawn = find_face(landmarker, drawing, face)
        sought[index] = drawn is not None
        if drawn is not None:
            errors[index] = landmark_error(drawn, face)
        mirrored = landmarker_noise(landmarker, image, face)
        if mirrored is not None:
            noise[index] = mirrored
    if not sought:
        report.skipped["landmark_error"] = "no face was found in any photo"
        return landmarks
    report.add_share("face_found", sought, unit="share", better="higher")
    for part in next(iter(errors.values()), {}):
        report.add_values(
            "landmark_error" if part == "all" else f"landmark_error_{part}",
            {index: found[part] for index, found in errors.items()},
            samples=options.samples,
            seed=options.seed,
            unit="% of inter-ocular",
            better="lower",
            references=(
                {"mirrored photos": sum(noise.values()) / len(noise)}
                if noise and part == "all"
                else {}
            ),
        )
    # Of every photo, to tell in its groups which are hard for the landmarker itself.
    report.add_values(
        "landmark_noise",
        noise,
        samples=options.samples,
        seed=options.seed,
        unit="% of inter-ocular",
    )
    return landmarks


def measure_identity(
    evaluation: Evaluation, sface: SFace, landmarks: dict[int, Tensor], options: EvaluationOptions
) -> None:
    """Measure whether drawings are taken for the people of the photos.

    Args:
        evaluation: the drawings; its report is added to.
        sface: the recognition network.
        landmarks: of the photos, by index; photos without are left out.
        options: how to measure.
    """
    report = evaluation.report
    if not landmarks:
        report.skipped["identity_cosine_sface"] = "no face was found in any photo"
        return
    places, points = list(landmarks), list(landmarks.values())
    # A drawing is in register with its photo. Its own landmarks would mix the landmarker's
    # trouble with drawings into the identity.
    photos, drawings = (
        embed_faces(sface, [images[i] for i in places], points, batch_size=options.batch_size)
        for images in (evaluation.photos.images, evaluation.drawings)
    )
    cosines, strangers = identity_cosines(photos, drawings)
    report.add_values(
        "identity_cosine_sface",
        dict(zip(places, cosines, strict=True)),
        samples=options.samples,
        seed=options.seed,
        better="higher",
        references={} if strangers is None else {"the other photos": strangers},
    )
    report.add_share(
        "identity_lost_sface",
        {index: cosine < SAME_PERSON for index, cosine in zip(places, cosines, strict=True)},
        unit=f"share below {SAME_PERSON}",
        better="lower",
    )


def measure_skin(
    evaluation: Evaluation, landmarks: dict[int, Tensor], options: EvaluationOptions
) -> None:
    """Measure how far drawings move the lightness and the colour of skin.

    Args:
        evaluation: the drawings; its report is added to.
        landmarks: of the photos, by index; photos without are left out.
        options: how to measure.
    """
    changes: dict[int, Tensor] = {}
    chroma: dict[int, float] = {}
    reason = "no cheek was found in any photo"
    for index, points in landmarks.items():
        try:
            before = skin_colour(evaluation.photos.images[index], points)
        except LandmarkError:
            continue  # both cheeks are cut off
        except ModuleNotFoundError as error:
            reason = f'{error}: pip install "tps-portrait[evaluate]"'
            break
        drawn = skin_colour(evaluation.drawings[index].to(before.device), points)
        changes[index] = drawn - before
        chroma[index] = float(before[1:].norm())
    if not changes:
        names = "skin_lightness_change", "skin_colour_error"
        evaluation.report.skipped.update(dict.fromkeys(names, reason))
        return
    evaluation.report.add_values(
        "skin_lightness_change",
        {index: float(change[0]) for index, change in changes.items()},
        samples=options.samples,
        seed=options.seed,
        unit="L*, above 0 is lighter",
    )
    evaluation.report.add_values(
        "skin_colour_error",
        {index: float(change.norm()) for index, change in changes.items()},
        samples=options.samples,
        seed=options.seed,
        unit="Delta E 1976",
        better="lower",
        references={"the photos in grey": sum(chroma.values()) / len(chroma)},
    )


def measure_stability(evaluation: Evaluation, stylize: Stylize, options: EvaluationOptions) -> None:
    """Measure the stability under motions and the flicker of clips.

    Args:
        evaluation: the drawings; its report is added to.
        stylize: what drew them.
        options: how to measure.
    """
    photos, drawings = evaluation.photos.images, evaluation.drawings
    moved: dict[int, float] = {}
    for index in _spread(len(photos), options.motion_photos):
        errors = motion_errors(stylize, photos[index], drawings[index])
        moved[index] = sum(errors) / len(errors)
    evaluation.report.add_values(
        "motion_error",
        moved,
        samples=options.samples,
        seed=options.seed,
        unit="of 255",
        better="lower",
    )
    clips = {
        index: flicker(stylize, photos[index], drawings[index], frames=options.frames)
        for index in _spread(len(photos), options.clips)
    }
    evaluation.report.add_values(
        "flicker",
        {index: value for index, (value, _) in clips.items()},
        samples=options.samples,
        seed=options.seed,
        unit="of 255",
        better="lower",
        references=(
            {"a still drawing": sum(still for _, still in clips.values()) / len(clips)}
            if clips
            else {}
        ),
    )


def measure_cost(
    report: Report, generator: nn.Module, size: int, options: EvaluationOptions
) -> None:
    """Count parameters and multiply-accumulates, and take the time.

    Args:
        report: is added to.
        generator: the network, where it shall run.
        size: side of the picture in pixels.
        options: how to measure.
    """
    report.add(Metric("parameters", count_parameters(generator), 0, better="lower"))
    report.add(Metric("macs", count_macs(generator, size), 0, f"at {size} px", "lower"))
    threads = torch.get_num_threads()
    device = next(generator.parameters()).device
    place = f"{threads} thread{'s' if threads > 1 else ''}" if device.type == "cpu" else str(device)
    time = median_milliseconds(generator, size, runs=options.runs)
    report.add(Metric("milliseconds", time, 0, f"ms at {size} px, {place}", "lower"))


def _spread(size: int, count: int) -> list[int]:
    """Up to `count` indices, evenly over `size`."""
    count = min(size, count)
    return [index * size // count for index in range(count)]
