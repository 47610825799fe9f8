"""Where a run stands, and its checkpoints on disk."""

from __future__ import annotations

import logging
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..errors import ConfigError, OutputError

logger = logging.getLogger(__name__)


@dataclass
class Progress:
    """Position in a run; part of every checkpoint.

    Attributes:
        step: finished optimiser steps.
        epoch: epoch that is under way.
        batch: finished batches of that epoch.
        seconds: time spent in training, over all sessions of the run.
        losses: the latest of each term, for the card; not every step has all.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    seconds: float = 0.0
    losses: dict[str, float] = field(default_factory=dict)

    def state_dict(self) -> dict[str, Any]:
        """Return the position for Accelerate's checkpointing."""
        return asdict(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the position from a checkpoint."""
        for name, value in state.items():
            setattr(self, name, value)


def save_checkpoint(accelerator: Any, folder: Path, step: int, limit: int | None) -> Path:
    """Write `checkpoint-<step>` and remove the ones written longest ago beyond `limit`.

    Call it on every process: the state of each one's random generators is part of it. The folder
    gets its name when it is complete, so that an interrupted write never looks like a checkpoint.

    Args:
        accelerator: the Accelerator with everything registered.
        folder: where the checkpoints lie.
        step: number of the step.
        limit: how many to keep; None keeps all.

    Returns:
        The new checkpoint.

    Raises:
        OutputError: it cannot be written.
    """
    target, partial = folder / f"checkpoint-{step}", folder / f"partial-{step}"
    try:
        accelerator.save_state(str(partial))
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            if target.exists():
                shutil.rmtree(target)
            partial.rename(target)
            # By age and not by step: a run resumed from an earlier checkpoint writes lower steps.
            others = [path for path in list_checkpoints(folder) if path != target]
            others.sort(key=lambda path: path.stat().st_mtime)
            for old in others[: max(0, len(others) + 1 - limit)] if limit else ():
                shutil.rmtree(old)
    except OSError as error:
        raise OutputError(
            f"Cannot write {target}: {error}. Free some space or choose another --output_dir."
        ) from error
    accelerator.wait_for_everyone()
    logger.info("Saved %s", target)
    return target


def load_checkpoint(accelerator: Any, checkpoint: Path) -> None:
    """Restore everything that is registered with an Accelerator.

    Args:
        accelerator: the Accelerator with everything registered.
        checkpoint: a folder that `save_checkpoint` wrote. Optimiser and random states are pickles:
            open only checkpoints that you trust.

    Raises:
        ConfigError: the checkpoint is damaged or belongs to other networks.
    """
    random = checkpoint / f"random_states_{accelerator.process_index}.pkl"
    if checkpoint.is_dir() and not random.is_file():
        logger.warning("%s is missing: this run will not repeat an uninterrupted one", random)
    try:
        accelerator.load_state(str(checkpoint))
    except Exception as error:  # safetensors, pickle and torch have many of their own
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(
            f"Cannot resume from {checkpoint}: {reason}. It is damaged, or was written with other "
            "networks or options; resume with the options of that run, or start a new one."
        ) from error


def set_learning_rate(optimizer: Any, scheduler: Any, rate: float) -> None:
    """Let a resumed run have another learning rate than its checkpoint; the schedule goes on.

    Args:
        optimizer: prepared by Accelerate and restored.
        scheduler: its schedule, likewise.
        rate: the learning rate before the schedule.
    """
    schedule = scheduler.scheduler
    if all(base == rate for base in schedule.base_lrs):
        return
    for group, base in zip(optimizer.param_groups, schedule.base_lrs, strict=True):
        group["lr"] *= rate / base
        group["initial_lr"] = rate
    schedule.base_lrs = [rate for _ in schedule.base_lrs]
    schedule._last_lr = [group["lr"] for group in optimizer.param_groups]


def list_checkpoints(folder: Path) -> list[Path]:
    """Return the complete checkpoints in a folder, lowest step first."""
    found = [p for p in folder.glob("checkpoint-*") if p.name.rpartition("-")[2].isdigit()]
    return sorted(found, key=lambda p: int(p.name.rpartition("-")[2]))


def find_checkpoint(name: str | None, folder: Path) -> Path | None:
    """Resolve `--resume_from_checkpoint`.

    Args:
        name: `latest`, the name of a checkpoint in `folder`, a path, or None to start anew.
        folder: where the checkpoints lie.

    Returns:
        The checkpoint; None for a new run, and for `latest` when there is none yet.

    Raises:
        ConfigError: a named checkpoint does not exist, or a new run would mix its checkpoints with
            those of another.
    """
    existing = list_checkpoints(folder)
    if name is None:
        if existing:
            raise ConfigError(
                f"{folder} holds {existing[-1].name} of another run. Continue that one with "
                "--resume_from_checkpoint latest, or choose another --output_dir."
            )
        return None
    if name == "latest":
        return existing[-1] if existing else None
    for candidate in (Path(name), folder / name):
        if candidate.is_dir():
            return candidate
    there = ", ".join(p.name for p in existing) or "none"
    raise ConfigError(
        f"--resume_from_checkpoint {name!r} does not exist. Checkpoints in {folder}: {there}."
    )
