"""What is known about a style: kept as `facts.json` in its folder, from which its card is made."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path, PurePath
from typing import Any, TypeVar

from ..errors import ModelFileError, OutputError
from .machine import package_versions
from .metrics import Metric, report_metrics
from .styles import locate_style

FACTS = "facts.json"
"""Name of the file in the folder of a style."""

ASPECTS = ("skin tone", "age", "pose", "accessories")
"""What a card always tells the limits by, if only that they were not measured."""

_Kind = TypeVar("_Kind")
Option = str | int | float | bool | None
"""Value of an option of a training."""


@dataclass(frozen=True)
class Collection:
    """A set of pictures that a style was trained on.

    Attributes:
        source: folder, or id of a dataset on the Hub.
        count: pictures used.
        hosted: `source` is an id on the Hub.
    """

    source: str
    count: int
    hosted: bool = False


@dataclass(frozen=True)
class Group:
    """Results on a part of the pictures, such as those of one skin tone.

    Attributes:
        aspect: what the pictures differ in, such as one of `ASPECTS`.
        name: what those of the group have in common.
        count: how many they are.
        metrics: the results.
    """

    aspect: str
    name: str
    count: int
    metrics: Sequence[Metric] = ()


@dataclass(frozen=True)
class Measurement:
    """An evaluation of a style on one set of photos.

    Attributes:
        dataset: name of the set.
        pictures: how many photos were drawn.
        command: what repeats it.
        hardware: of the machine.
        held_out: how the photos relate to those of the training; empty if nobody told.
        metrics: the results.
        groups: results on parts of the photos.
        skipped: what was not measured, with the reason.
    """

    dataset: str
    pictures: int
    command: str = ""
    hardware: str = ""
    held_out: str = ""
    metrics: Sequence[Metric] = ()
    groups: Sequence[Group] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Sample:
    """A picture with a photo at the left and its drawing at the right.

    Attributes:
        file: name of the file.
        caption: who is shown, and where the photo is from.
    """

    file: str
    caption: str


@dataclass(frozen=True)
class StyleFacts:
    """What a card tells about a style.

    Attributes:
        style: its name.
        license: its licence, an identifier of the Hub such as `apache-2.0`.
        examples: the style pictures.
        photos: the photos.
        steps: optimiser steps.
        resolution: side of the training pictures in pixels.
        batch_size: photos per optimiser step.
        seed: seed of the run.
        precision: `no`, `fp16` or `bf16`.
        hardware: see `hardware_name`.
        seconds: time spent in training.
        parameters: number of parameters of the generator.
        losses: last logged value of each loss.
        weights: weight of each loss.
        credits: origins and licences of the pictures.
        hub_id: repository of the style, if it has one.
        versions: versions of the packages; the installed ones by default.
        description: one sentence about the style.
        metrics: measured results that no `Measurement` holds, for the Hub's table.
        options: options of the training that differ from their defaults.
        history: how the weights came about if not in one run, a line for each stage.
        held_out: who was kept out of the training.
        measurements: the evaluations.
        samples: pictures with photo and drawing.
        intended_use: what the style is for, beyond what every card says.
        failures: what it draws badly, a line each.
        limits: what was seen, not measured, by aspect; see `ASPECTS`.
    """

    style: str
    license: str
    examples: Sequence[Collection]
    photos: Sequence[Collection]
    steps: int
    resolution: int
    batch_size: int
    seed: int
    precision: str
    hardware: str
    seconds: float
    parameters: int
    losses: Mapping[str, float]
    weights: Mapping[str, float]
    credits: Sequence[str] = ()
    hub_id: str | None = None
    versions: Mapping[str, str] = field(default_factory=package_versions)
    description: str = ""
    metrics: Sequence[Metric] = ()
    options: Mapping[str, Option] = field(default_factory=dict)
    history: Sequence[str] = ()
    held_out: str = ""
    measurements: Sequence[Measurement] = ()
    samples: Sequence[Sample] = ()
    intended_use: str = ""
    failures: Sequence[str] = ()
    limits: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """Everything as JSON, in the order of the attributes."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str, name: str = FACTS) -> StyleFacts:
        """Read what `to_json` wrote.

        Args:
            text: JSON.
            name: how messages call it.

        Raises:
            ModelFileError: it is no JSON, or not of this form.
        """
        try:
            return _made(cls, json.loads(text))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ModelFileError(
                f"{name} cannot be read ({error}). It must hold the facts of a style, as "
                "examples/train.py writes them."
            ) from error

    def with_report(self, report: Mapping[str, Any], held_out: str = "") -> StyleFacts:
        """Add an evaluation; it replaces an earlier one on a set of the same name.

        Args:
            report: what `tps_portrait.evaluation` writes as `metrics.json`.
            held_out: how the photos relate to those of the training.

        Raises:
            ModelFileError: the report is not of this form.
        """
        try:
            found = _measurement(report, held_out)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ModelFileError(
                f"The report is not one of examples/evaluate.py ({error!r})."
            ) from error
        kept = [item for item in self.measurements if item.dataset != found.dataset]
        return replace(self, measurements=(*kept, found))


def read_facts(folder: Path) -> StyleFacts | None:
    """Read the facts of a style.

    Args:
        folder: of the style.

    Returns:
        The facts, `None` if its author told none.

    Raises:
        ModelFileError: they are damaged.
    """
    path = folder / FACTS
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ModelFileError(f"{path} cannot be read: {error}.") from error
    return StyleFacts.from_json(text, str(path))


def write_facts(folder: Path, facts: StyleFacts) -> None:
    """Write the facts of a style.

    Args:
        folder: of the style.
        facts: what is known.

    Raises:
        OutputError: the file cannot be written.
    """
    try:
        (folder / FACTS).write_text(facts.to_json(), "utf-8")
    except OSError as error:
        raise OutputError(
            f"Cannot write {folder / FACTS}: {error}. Choose a folder that can be written."
        ) from error


def history_from(start: str | None) -> tuple[str, ...]:
    """Tell in a line what a training began from.

    Args:
        start: bundled style, folder or Hub id; `None` if it began anew.
    """
    if start is None:
        return ()
    place = locate_style(start)
    facts = read_facts(place) if isinstance(place, Path) else None
    steps = f", which had {facts.steps:,} steps of training" if facts else ""
    name = PurePath(start).name if isinstance(place, Path) else start
    return (f"Began with the generator of `{name}`{steps}.", "Then the training described above.")


_NESTED: dict[str, type[Any]] = {
    "examples": Collection,
    "photos": Collection,
    "metrics": Metric,
    "groups": Group,
    "measurements": Measurement,
    "samples": Sample,
}


def _made(kind: type[_Kind], values: Mapping[str, Any]) -> _Kind:
    """Make a dataclass of what JSON holds; unknown and missing names are TypeErrors."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        nested = _NESTED.get(key)
        if nested is not None:
            found[key] = tuple(_made(nested, entry) for entry in value)
        else:
            found[key] = tuple(value) if isinstance(value, list) else value
    wanted = {item.name: item.type for item in fields(kind)}  # type: ignore[arg-type]
    for key, value in found.items():
        if wanted.get(key) == "Sequence[str]" and not isinstance(value, tuple):
            raise TypeError(f"{key} must be a list of lines")
    return kind(**found)


def _measurement(report: Mapping[str, Any], held_out: str) -> Measurement:
    dataset, settings = str(report["dataset"]), report.get("settings") or {}
    return Measurement(
        dataset=dataset,
        pictures=len(report["pictures"]),
        command=_without_paths(str(settings.get("command") or "")),
        hardware=str(settings.get("hardware") or ""),
        held_out=held_out,
        metrics=report_metrics(report["metrics"], dataset),
        groups=tuple(
            Group(
                str(group["aspect"]),
                str(group["name"]),
                int(group["count"]),
                report_metrics(group["metrics"], dataset),
            )
            for group in report.get("groups") or ()
        ),
        skipped={
            str(name): str(reason)
            for name, reason in (report.get("skipped") or {}).items()
            if not name.startswith("pictures of ")  # they name files of the user
        },
    )


def _without_paths(command: str) -> str:
    """Shorten absolute paths to their last name: full ones tell about a machine, not a set."""
    words = [PurePath(w).name if PurePath(w).is_absolute() else w for w in shlex.split(command)]
    return shlex.join(words)
