"""How to evaluate, and what an evaluation holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ..errors import ConfigError
from .faces import FaceSet
from .report import Report


@dataclass(frozen=True)
class EvaluationOptions:
    """How to measure.

    Attributes:
        networks: folder of the converted networks.
        skip_missing: leave out metrics whose network is missing, with the reason, instead of
            raising.
        batch_size: pictures drawn or described at a time.
        samples: resamples of the bootstrap.
        seed: of the bootstrap.
        motion_photos: photos on which stability under motions is measured, spread over the set.
        clips: photos that are made a moving clip.
        frames: frames of a clip, at least 2.
        runs: timed calls of the generator.
    """

    networks: str | Path = "runs/networks"
    skip_missing: bool = False
    batch_size: int = 4
    samples: int = 1000
    seed: int = 0
    motion_photos: int = 12
    clips: int = 4
    frames: int = 8
    runs: int = 9

    def __post_init__(self) -> None:
        """Refuse values out of range.

        Raises:
            ConfigError: a count is too small.
        """
        least = {"batch_size": 1, "samples": 1, "motion_photos": 0, "clips": 0, "frames": 2}
        for name, minimum in {**least, "runs": 1}.items():
            if getattr(self, name) < minimum:
                raise ConfigError(f"{name} must be at least {minimum}, got {getattr(self, name)}.")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Numbers and pictures of an evaluation.

    Attributes:
        report: the numbers.
        photos: what was drawn.
        drawings: `(3, S, S)` uint8 of each photo.
        truth: what drawings should be, by index of the photo.
    """

    report: Report
    photos: FaceSet
    drawings: list[Tensor]
    truth: Mapping[int, Tensor]
