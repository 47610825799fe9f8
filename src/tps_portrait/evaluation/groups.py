"""Parts of a set of photos, by pose and by what is told about the people, measured apart."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from ..errors import DatasetError
from .faces import LABELS, FaceSet
from .intervals import bootstrap_mean, wilson
from .report import SHARES, GroupResult, Metric, Report

METRICS = (
    "face_found",
    "landmark_error",
    "landmark_noise",
    "identity_cosine_sface",
    "identity_lost_sface",
    "skin_lightness_change",
    "skin_colour_error",
    "ssim",
)
"""What is compared between the parts, as far as it was measured."""

_TURNED = 0.2


def read_labels(path: str | Path, photos: FaceSet) -> list[dict[str, str]]:
    """Read what is told about the people of a set in a file of its own.

    Skin tone and age are told by people and not measured here: the colour of a photo is mostly
    that of its light.

    Args:
        path: JSON, `{file name: {"skin_tone": …, "age": …, "pose": …, …}}`, of which anything
            may be missing; see `LABELS`.
        photos: the set; what its metadata tell stays where the file tells nothing.

    Returns:
        For each photo what is told.

    Raises:
        DatasetError: the file cannot be read, is not of this form, or names no photo of the set.
    """
    try:
        told = json.loads(Path(path).read_text("utf-8"))
        found = {
            str(name): {key: str(value) for key, value in labels.items()}
            for name, labels in told.items()
        }
    except (OSError, ValueError, AttributeError) as error:
        raise DatasetError(
            f"{path} cannot be read ({error}). It must hold an object of labels for each file name."
        ) from error
    unknown = {key for labels in found.values() for key in labels} - set(LABELS)
    if unknown:
        raise DatasetError(
            f"{path} has the labels {', '.join(sorted(unknown))}; known are {', '.join(LABELS)}."
        )
    if not found.keys() & set(photos.names):
        raise DatasetError(f"{path} names no photo of {photos.label}, such as {photos.names[0]!r}.")
    before = photos.labels or [{}] * len(photos)
    return [
        {**labels, **found.get(name, {})} for name, labels in zip(photos.names, before, strict=True)
    ]


def group_faces(photos: FaceSet) -> list[dict[str, str]]:
    """Say to which part of the set each photo belongs.

    Args:
        photos: the set.

    Returns:
        For each photo, the name of its part by aspect, such as `skin tone`: what its labels tell,
        and where they do not tell the pose, `pose` of its landmarks.
    """
    found = []
    told = photos.labels or [{}] * len(photos)
    for landmarks, labels in zip(photos.landmarks, told, strict=True):
        seen = {} if landmarks is None else {"pose": pose(landmarks)}
        found.append({key.replace("_", " "): value for key, value in {**seen, **labels}.items()})
    return found


def measure_groups(
    report: Report, groups: Sequence[Mapping[str, str]], *, samples: int, seed: int
) -> list[GroupResult]:
    """Average what was measured on single photos over the parts of their set.

    Args:
        report: with the values of the photos.
        groups: see `group_faces`.
        samples: resamples of the bootstrap.
        seed: of the bootstrap.

    Returns:
        A result for each part, by aspect and name.
    """
    found = []
    for aspect, part in sorted({pair for photo in groups for pair in photo.items()}):
        inside = [index for index, photo in enumerate(groups) if photo.get(aspect) == part]
        metrics = {}
        for name in (name for name in METRICS if name in report.values):
            known = [value for i in inside if (value := report.values[name][i]) is not None]
            if known:
                whole = report.metrics[name]
                metrics[name] = Metric(
                    name=name,
                    value=sum(known) / len(known),
                    count=len(known),
                    unit=whole.unit,
                    better=whole.better,
                    interval=(
                        wilson(round(sum(known)), len(known))
                        if name in SHARES
                        else bootstrap_mean(known, samples=samples, seed=seed)
                    ),
                )
        found.append(GroupResult(aspect, part, len(inside), metrics))
    return found


def pose(landmarks: Tensor) -> str:
    """Whether a face looks at the camera or aside, by where the nose lies between the jaw's ends.

    Args:
        landmarks: (68, 2), (x, y) in any unit.

    Returns:
        `frontal`, or `turned` where the tip of the nose is a fifth of half the jaw's width off the
        middle, at roughly 20 degrees.
    """
    ends = landmarks[[0, 16]]
    across = ends[1] - ends[0]
    place = 2 * float(((landmarks[30] - ends.mean(0)) * across).sum() / across.square().sum())
    return "turned" if abs(place) > _TURNED else "frontal"
