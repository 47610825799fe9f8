"""Where a run stands, and its checkpoints on disk."""

from __future__ import annotations

import logging
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import ConfigError

logger = logging.getLogger(__name__)


@dataclass
class Progress:
    """Position in a run; part of every checkpoint.

    Attributes:
        step: finished optimiser steps.
        epoch: epoch that is under way.
        batch: finished batches of that epoch.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0

    def state_dict(self) -> dict[str, int]:
        """Return the position for Accelerate's checkpointing."""
        return asdict(self)

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Take the position from a checkpoint."""
        for name, value in state.items():
            setattr(self, name, value)


def save_checkpoint(accelerator: Any, folder: Path, step: int, limit: int | None) -> Path:
    """Write `checkpoint-<step>` and remove the oldest beyond `limit`.

    Call it on every process: the state of each one's random generators is part of it. The folder
    gets its name when it is complete, so that an interrupted write never looks like a checkpoint.

    Args:
        accelerator: the Accelerator with everything registered.
        folder: where the checkpoints lie.
        step: number of the step.
        limit: how many to keep; None keeps all.

    Returns:
        The new checkpoint.
    """
    target, partial = folder / f"checkpoint-{step}", folder / f"partial-{step}"
    accelerator.save_state(str(partial))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        if target.exists():
            shutil.rmtree(target)
        partial.rename(target)
        for old in list_checkpoints(folder)[: -limit if limit else 0]:
            shutil.rmtree(old)
    accelerator.wait_for_everyone()
    logger.info("Saved %s", target)
    return target


def list_checkpoints(folder: Path) -> list[Path]:
    """Return the complete checkpoints in a folder, oldest first."""
    found = [p for p in folder.glob("checkpoint-*") if p.name.rpartition("-")[2].isdigit()]
    return sorted(found, key=lambda p: int(p.name.rpartition("-")[2]))


def find_checkpoint(name: str, folder: Path) -> Path | None:
    """Resolve `--resume_from_checkpoint`.

    Args:
        name: `latest`, the name of a checkpoint in `folder`, or a path.
        folder: where the checkpoints lie.

    Returns:
        The checkpoint; None for `latest` when there is none yet.

    Raises:
        ConfigError: a named checkpoint does not exist.
    """
    existing = list_checkpoints(folder)
    if name == "latest":
        return existing[-1] if existing else None
    for candidate in (Path(name), folder / name):
        if candidate.is_dir():
            return candidate
    there = ", ".join(p.name for p in existing) or "none"
    raise ConfigError(
        f"--resume_from_checkpoint {name!r} does not exist. Checkpoints in {folder}: {there}."
    )
