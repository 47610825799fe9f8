"""Measured results of a style, and the `model-index` of its card that the Hub reads them from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .pins import plain_text


@dataclass(frozen=True)
class Metric:
    """A measured result of a style.

    Attributes:
        type: what was measured, such as `fid` or `landmark-error`.
        value: the result.
        dataset: the pictures it was measured on.
        name: how it is shown; `type` by default.
        interval: ends of the 95 % confidence interval.
        unit: of `value`.
        better: `lower` or `higher`.
        count: pictures it was measured on; 0 if it is no property of pictures.
        references: the same measured on something known, by what that is.
    """

    type: str
    value: float
    dataset: str
    name: str | None = None
    interval: tuple[float, float] | None = None
    unit: str = ""
    better: str = ""
    count: int = 0
    references: Mapping[str, float] = field(default_factory=dict)


def model_index(style: str, metrics: Sequence[Metric]) -> list[dict[str, Any]]:
    """Write results in the form of the Hub's `model-index`.

    Args:
        style: name of the style.
        metrics: the results.
    """
    results = []
    for dataset in dict.fromkeys(metric.dataset for metric in metrics):
        entries = [
            {"type": m.type, "value": m.value, "name": m.name or m.type, **_written(m.interval)}
            for m in metrics
            if m.dataset == dataset
        ]
        results.append(
            {
                "task": {"type": "image-to-image", "name": "Portrait stylization"},
                "dataset": {"type": dataset, "name": dataset},
                "metrics": entries,
            }
        )
    return [{"name": style, "results": results}]


def read_model_index(found: object) -> tuple[Metric, ...]:
    """Read what `model_index`, or anybody else, wrote.

    Args:
        found: value of `model-index` in the metadata of a card; whatever has another form is left
            out.

    Returns:
        Every result that is a number, in the order of the card, with the name of the set that it
        was measured on; empty where the card names none. Unit, count and references are no part of
        a model-index.
    """
    metrics = []
    for model in _dicts(found):
        for result in _dicts(model.get("results")):
            dataset = result.get("dataset")
            dataset = dataset if isinstance(dataset, dict) else {}
            measured_on = plain_text(dataset.get("name")) or plain_text(dataset.get("type")) or ""
            for entry in _dicts(result.get("metrics")):
                name, kind = plain_text(entry.get("name")), plain_text(entry.get("type"))
                if (value := _number(entry.get("value"))) is not None:
                    interval = _read(entry.get("args"))
                    metrics.append(Metric(kind or name or "?", value, measured_on, name, interval))
    return tuple(metrics)


def report_metrics(values: Mapping[str, Mapping[str, Any]], dataset: str) -> tuple[Metric, ...]:
    """Read the metrics of a report of `tps_portrait.evaluation`.

    Args:
        values: its `metrics`, by what was measured.
        dataset: the pictures it was measured on.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: it is not of this form.
    """
    return tuple(
        Metric(
            type=name,
            value=float(entry["value"]),
            dataset=dataset,
            name=name.replace("_", " "),
            interval=_pair(entry.get("interval_95")),
            unit=str(entry.get("unit", "")),
            better=str(entry.get("better", "")),
            count=int(entry.get("count", 0)),
            references={str(k): float(v) for k, v in (entry.get("references") or {}).items()},
        )
        for name, entry in values.items()
    )


def _pair(ends: Any) -> tuple[float, float] | None:
    if not ends:
        return None
    low, high = ends
    return float(low), float(high)


def _written(interval: tuple[float, float] | None) -> dict[str, Any]:
    return {"args": {"interval_95": list(interval)}} if interval else {}


def _read(arguments: object) -> tuple[float, float] | None:
    ends = arguments.get("interval_95") if isinstance(arguments, dict) else None
    numbers = [_number(end) for end in ends] if isinstance(ends, list) else []
    if len(numbers) != 2 or numbers[0] is None or numbers[1] is None:
        return None
    return numbers[0], numbers[1]


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:  # a card may hold a whole number of any length
        return None
    return number if math.isfinite(number) else None


def _dicts(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
