"""What a run leaves to look at: losses as JSON lines and in TensorBoard, sample grids as PNG."""

from __future__ import annotations

import json
import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.tracking import GeneralTracker, TensorBoardTracker
from PIL import Image
from torch import Tensor

from ..errors import ConfigError, OutputError
from .step import Batch, Networks


class JSONLTracker(GeneralTracker):
    """Accelerate tracker that appends `{"step": …, name: value, …}` lines to a file.

    Args:
        path: the file, usually `<output_dir>/losses.jsonl`.

    Raises:
        OutputError: the file cannot be written.
    """

    name = "jsonl"
    requires_logging_directory = False
    main_process_only = True

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        except OSError as error:
            raise OutputError(
                f"Cannot write {path}: {error}. Choose an --output_dir that can be written."
            ) from error

    @property
    def tracker(self) -> Path:
        """The file."""
        return self.path

    def rewind(self, step: int) -> None:
        """Drop the lines after `step`: a resumed run writes them again, a new one starts at 0."""
        if not self.path.is_file():
            return
        lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if _step_of(line) <= step]
        self.path.write_text("".join(kept), encoding="utf-8")

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Write the options of the run beside the losses."""
        target = self.path.with_name("arguments.json")
        target.write_text(json.dumps(values, indent=2, default=str) + "\n", encoding="utf-8")

    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Append one line."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")


def make_trackers(report_to: str, output_dir: Path) -> list[Any]:
    """Trackers for `Accelerator(log_with=…)`.

    Args:
        report_to: `jsonl`, `tensorboard`, `all` or `none`.
        output_dir: folder of the run.

    Raises:
        ConfigError: the name is unknown or the package is not installed.
    """
    if report_to not in {"jsonl", "tensorboard", "all", "none"}:
        raise ConfigError(
            f"--report_to {report_to!r} is unknown; use jsonl, tensorboard, all or none."
        )
    trackers: list[Any] = []
    if report_to in {"jsonl", "all"}:
        trackers.append(JSONLTracker(output_dir / "losses.jsonl"))
    if report_to in {"tensorboard", "all"}:
        if find_spec("tensorboard") is None:
            raise ConfigError("--report_to tensorboard needs it: pip install tensorboard.")
        trackers.append(TensorBoardTracker("tensorboard", str(output_dir)))
    return trackers


def _step_of(line: str) -> float:
    """Step of a logged line; infinite for one that an interrupted run left incomplete."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf


@torch.no_grad()
def sample_grid(nets: Networks, batch: Batch) -> Image.Image:
    """Rows of photo | aligned example | result | cycle.

    Args:
        nets: the networks; G in the state that shall be shown. They are left in training mode or
            not, as they were.
        batch: up to eight photos with an example each.

    Returns:
        One RGB picture.
    """
    x, p, y, q = batch.photo, batch.photo_landmarks, batch.example, batch.example_landmarks
    size = (x.shape[-2], x.shape[-1])
    training = [(net, net.training) for net in (nets.generator, nets.inverse)]
    for net, _ in training:
        net.eval()
    to_example, to_photo = nets.aligner.grid(p, q, size), nets.aligner.grid(q, p, size)
    columns = [
        x,
        nets.aligner.align(y, q, p),
        nets.generator(x),
        nets.inverse(nets.generator(x, to_example), to_photo),
    ]
    for net, mode in training:
        net.train(mode)
    rows = torch.cat([torch.cat([*column.float()], 1) for column in columns], 2)
    return to_image(rows)


def to_image(pixels: Tensor) -> Image.Image:
    """Turn `(3, H, W)` in [-1, 1] into a picture."""
    array = ((pixels.float().cpu().clamp(-1, 1) + 1) * 127.5).round().byte()
    return Image.fromarray(np.ascontiguousarray(array.permute(1, 2, 0).numpy()))


def log_image(trackers: list[Any], image: Image.Image, step: int, folder: Path) -> Path:
    """Write a sample grid as PNG, and to TensorBoard where it is on.

    Returns:
        The path of the PNG.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step_{step:06d}.png"
    image.save(path)
    for tracker in trackers:
        if getattr(tracker, "name", "") == "tensorboard":
            tracker.writer.add_image("samples", np.asarray(image), step, dataformats="HWC")
    return path
