"""Numbers of an evaluation as text, the same in its report and in the card of a style."""

from __future__ import annotations

from collections.abc import Sequence

ARROWS = {"lower": " ↓", "higher": " ↑", "": ""}
"""What follows the name of a metric, by its better side."""


def number_text(value: float) -> str:
    """Write a finite number with about four digits."""
    if float(value).is_integer() and abs(value) >= 1000:
        return f"{int(value):,}"
    return f"{value:.4f}" if abs(value) < 0.1 else f"{value:.4g}"


def interval_text(ends: Sequence[float] | None) -> str:
    """Write both ends of an interval; empty if there is none."""
    return "" if ends is None else f"{number_text(ends[0])} to {number_text(ends[1])}"
