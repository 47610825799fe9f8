"""Numbers on the command line, with their limits."""

from __future__ import annotations

import argparse
from collections.abc import Callable


def number(low: float, high: float) -> Callable[[str], float]:
    """Make the `type` of an option that takes a number.

    Args:
        low: the least that is taken.
        high: the most.
    """

    def parse(text: str) -> float:
        value = float(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"must be from {low:g} to {high:g}, got {text}")
        return value

    parse.__name__ = "number"
    return parse


def whole(low: int, high: int | None = None) -> Callable[[str], int]:
    """Make the `type` of an option that takes a whole number.

    Args:
        low: the least that is taken, 0 or more.
        high: the most; no limit by default.
    """
    limits = f"of at least {low}" if high is None else f"from {low} to {high}"

    def parse(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= (int(text) if high is None else high):
            raise argparse.ArgumentTypeError(f"must be a whole number {limits}, got {text}")
        return int(text)

    return parse
