"""What an evaluation found: metrics with their intervals, as JSON, Markdown and model-index."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .._numbers import ARROWS, interval_text, number_text
from .intervals import QUANTILES, bootstrap_mean, quantiles, wilson

Better = Literal["lower", "higher", ""]

SHARES = ("face_found", "identity_lost_sface")
"""Metrics that are shares: what is known of a picture is 1 or 0, and another metric tells more."""


@dataclass(frozen=True)
class Metric:
    """One number about a style.

    Attributes:
        name: what it is, with the network that it depends on.
        value: the number; the mean over pictures where it is measured on each.
        count: pictures it was measured on; 0 where it is no property of pictures.
        unit: of `value`, in words.
        better: which direction is better.
        interval: lower and upper end of the 95 % confidence interval.
        references: the same measured on something known, by what that is, to give `value` a scale.
        spread: the 5, 25, 50, 75 and 95 % quantiles over pictures.
    """

    name: str
    value: float
    count: int
    unit: str = ""
    better: Better = ""
    interval: tuple[float, float] | None = None
    references: Mapping[str, float] = field(default_factory=dict)
    spread: tuple[float, ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without what is not known."""
        found: dict[str, Any] = {"value": rounded(self.value), "count": self.count}
        if self.unit:
            found["unit"] = self.unit
        if self.better:
            found["better"] = self.better
        if self.interval is not None:
            found["interval_95"] = [rounded(end) for end in self.interval]
        if self.spread is not None:
            found["quantiles"] = {
                f"{q:g}": rounded(v) for q, v in zip(QUANTILES, self.spread, strict=True)
            }
        if self.references:
            found["references"] = {key: rounded(v) for key, v in self.references.items()}
        return found


@dataclass(frozen=True)
class GroupResult:
    """What was measured on a part of the photos.

    Attributes:
        aspect: what the parts differ in, such as `pose`.
        name: of the part.
        count: photos in it.
        metrics: means over its photos, by name.
    """

    aspect: str
    name: str
    count: int
    metrics: Mapping[str, Metric]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        metrics = {name: metric.to_dict() for name, metric in self.metrics.items()}
        return {
            "aspect": self.aspect,
            "name": self.name,
            "count": self.count,
            "metrics": metrics,
        }

    def row(self) -> list[str]:
        """The part as text: aspect, name, pictures, means with their intervals."""
        means = [
            f"`{m.name}` {number_text(m.value)}"
            + (f" ({interval_text(m.interval)})" if m.interval else "")
            for m in self.metrics.values()
        ]
        return [self.aspect, self.name, str(self.count), "; ".join(means)]


@dataclass
class Report:
    """Everything that was measured about a style.

    Attributes:
        name: of the style.
        dataset: of the photos.
        pictures: names of the photos.
        metrics: by name, in the order of the tables.
        values: by metric, a value for each photo; `None` where it could not be measured.
        groups: means over parts of the photos, such as those of one skin tone.
        skipped: what was left out, with the reason.
        settings: how it was measured: sizes, seeds, counts, versions, the command.
    """

    name: str
    dataset: str
    pictures: list[str]
    metrics: dict[str, Metric] = field(default_factory=dict)
    values: dict[str, list[float | None]] = field(default_factory=dict)
    groups: list[GroupResult] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)

    def add(self, metric: Metric) -> None:
        """Enter a number.

        Args:
            metric: the number.
        """
        self.metrics[metric.name] = metric

    def add_values(
        self,
        name: str,
        values: Mapping[int, float],
        *,
        samples: int,
        seed: int,
        unit: str = "",
        better: Better = "",
        references: Mapping[str, float] | None = None,
    ) -> None:
        """Enter what was measured on single photos: their mean, its interval and the distribution.

        Args:
            name: of the metric.
            values: by index of the photo; nothing is entered when empty.
            samples: resamples of the bootstrap.
            seed: of the bootstrap.
            unit: in words.
            better: which direction is better.
            references: see `Metric`.
        """
        if not values:
            return
        numbers = list(values.values())
        self.values[name] = [values.get(index) for index in range(len(self.pictures))]
        self.add(
            Metric(
                name=name,
                value=sum(numbers) / len(numbers),
                count=len(numbers),
                unit=unit,
                better=better,
                interval=bootstrap_mean(numbers, samples=samples, seed=seed),
                references=references or {},
                spread=quantiles(numbers),
            )
        )

    def add_share(
        self, name: str, outcomes: Mapping[int, bool], *, unit: str, better: Better
    ) -> None:
        """Enter what did or did not happen on single photos: its share, with Wilson's interval.

        Args:
            name: of the metric, one of `SHARES`.
            outcomes: by index of the photo; nothing is entered when empty.
            unit: in words.
            better: which direction is better.
        """
        if not outcomes:
            return
        count, total = sum(outcomes.values()), len(outcomes)
        known = {index: float(outcome) for index, outcome in outcomes.items()}
        self.values[name] = [known.get(index) for index in range(len(self.pictures))]
        self.add(Metric(name, count / total, total, unit, better, interval=wilson(count, total)))

    def ranking(self, name: str) -> list[int]:
        """Photos from the worst to the best.

        Args:
            name: a metric measured on photos. Photos on which it was not are left out.

        Returns:
            Indices of photos.
        """
        values = self.values[name]
        known = [index for index, value in enumerate(values) if value is not None]
        higher = self.metrics[name].better == "higher"
        return sorted(known, key=lambda i: (values[i] or 0.0) * (1 if higher else -1))

    def overall_ranking(self) -> list[int]:
        """Photos from the worst to the best by their mean rank.

        Metrics count that have a direction and were measured on most photos. A photo that one
        could not be measured on, a face that was lost, is its last.

        Returns:
            Indices of all photos.
        """
        ranks = [0.0] * len(self.pictures)
        for name, values in self.values.items():
            missing = sum(value is None for value in values)
            # Counted once, in `landmark_error` and `identity_cosine_sface`.
            part = name.startswith("landmark_error_") or name in SHARES
            if part or not self.metrics[name].better or 2 * missing > len(values):
                continue
            for place, index in enumerate(self.ranking(name)):
                ranks[index] += missing + place
        return sorted(range(len(self.pictures)), key=lambda index: ranks[index])

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values."""
        pictures = [
            {
                "file_name": picture,
                **{
                    name: rounded(value)
                    for name, values in self.values.items()
                    if (value := values[index]) is not None
                },
            }
            for index, picture in enumerate(self.pictures)
        ]
        return {
            "name": self.name,
            "dataset": self.dataset,
            "metrics": {name: metric.to_dict() for name, metric in self.metrics.items()},
            "groups": [group.to_dict() for group in self.groups],
            "skipped": self.skipped,
            "settings": self.settings,
            "pictures": pictures,
        }

    def to_json(self) -> str:
        """Everything as JSON."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n"

    def to_markdown(self) -> str:
        """The metrics as a table, with what was left out and how it was measured."""
        lines = [
            f"# Evaluation of {self.name}",
            "",
            f"{len(self.pictures)} photos of `{self.dataset}`. Intervals: 95 %. "
            "Arrows point to the better side.",
            "",
            "| metric | value | interval | 5 to 95 % of pictures | pictures | for comparison |",
            "|---|---:|---|---|---:|---|",
        ]
        lines += [f"| {' | '.join(row)} |" for row in self.rows()]
        if self.groups:
            lines += ["", "| by | group | pictures | means |", "|---|---|---:|---|"]
            lines += [f"| {' | '.join(group.row())} |" for group in self.groups]
        if self.skipped:
            lines += ["", "Left out:", ""]
            lines += [f"- `{name}`: {reason}" for name, reason in self.skipped.items()]
        lines += ["", "How it was measured:", ""]
        lines += [f"- {key}: {value}" for key, value in self.settings.items()]
        return "\n".join(lines) + "\n"

    def rows(self) -> list[list[str]]:
        """The metrics as rows of text: name, value, interval, spread, pictures, references."""
        found = []
        for metric in self.metrics.values():
            unit = f" {metric.unit}" if metric.unit else ""
            spread = metric.spread
            references = [f"{what}: {number_text(v)}" for what, v in metric.references.items()]
            found.append(
                [
                    f"`{metric.name}`{ARROWS[metric.better]}",
                    f"{number_text(metric.value)}{unit}",
                    interval_text(metric.interval),
                    interval_text(None if spread is None else (spread[0], spread[-1])),
                    str(metric.count or ""),
                    "; ".join(references),
                ]
            )
        return found

    def to_model_index(self, *, revision: str | None = None) -> list[dict[str, Any]]:
        """The metrics in the form of `model-index` in the metadata of a model card on the Hub.

        Args:
            revision: of the photos, if they have one.

        Returns:
            What `huggingface_hub.model_index_to_eval_results` reads.
        """
        dataset: dict[str, Any] = {"name": self.dataset, "type": self.dataset}
        if revision is not None:
            dataset["revision"] = revision
        metrics = []
        for metric in self.metrics.values():
            entry: dict[str, Any] = {
                "type": metric.name,
                "value": rounded(metric.value),
                "name": metric.name.replace("_", " "),
            }
            if metric.interval is not None:
                entry["args"] = {"interval_95": [rounded(end) for end in metric.interval]}
            metrics.append(entry)
        task = {"type": "image-to-image", "name": "Portrait stylization"}
        return [
            {
                "name": self.name,
                "results": [{"task": task, "dataset": dataset, "metrics": metrics}],
            }
        ]


def rounded(value: float) -> float:
    """A number with six significant digits, whole numbers as they are.

    Args:
        value: any finite number.
    """
    return int(value) if float(value).is_integer() else float(f"{value:.6g}")
