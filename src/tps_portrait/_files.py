"""Files written in one piece, and names that do not collide."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def atomic_write(target: Path) -> Iterator[Path]:
    """Write a file in one piece: a failure leaves the old one, or none, and nothing beside it.

    Args:
        target: the file; one that exists is replaced when the block ends without an error.

    Yields:
        A path beside it, in a hidden name, to be written instead.

    Raises:
        OSError: the file cannot be put into place.
    """
    part = target.with_name(f".{target.name}.part")
    try:
        yield part
        os.replace(part, target)
    finally:
        with contextlib.suppress(OSError, ValueError):
            part.unlink(missing_ok=True)


def unique_name(name: str, taken: set[str]) -> str:
    """Number a name that is taken already.

    Args:
        name: the wish.
        taken: names in lower case, as not all file systems tell cases apart; the result is added.
    """
    unique, count = name, 1
    while unique.lower() in taken:
        count += 1
        unique = f"{name}-{count}"
    taken.add(unique.lower())
    return unique
