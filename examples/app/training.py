"""A short training for one visitor: examples/train.py as a process in a folder of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from drawing import SAMPLE, preview
from limits import TRAIN_MINUTES, read_picture

import tps_portrait

HERE = Path(__file__).resolve().parent
# In a Space everything lies beside the app, see make_space.py; in the repository one folder up.
SCRIPT = next(p for p in (HERE / "train.py", HERE.parent / "train.py") if p.is_file())
PHOTOS = next(
    p for p in (HERE / "photos", HERE.parent / "data" / "photos" / "synthetic") if p.is_dir()
)
NETWORKS = next(p for p in (HERE / "networks", HERE.parent / "data" / "networks") if p.is_dir())
_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        state: `running`, `done`, `cancelled`, `late` or `failed`.
        step: optimiser steps taken.
        steps: steps to take.
        seconds: since the start.
        losses: latest values by name.
        sheet: latest sample sheet, or None.
        message: why it failed.
    """

    state: str
    step: int
    steps: int
    seconds: float
    losses: dict[str, float] = field(default_factory=dict)
    sheet: Path | None = None
    message: str = ""


class TrainingRun:
    """One run; use it as a context manager, which ends the process and removes the folder.

    Args:
        pictures: style pictures, checked.
        base: bundled style whose generator the run starts from.
        steps: optimiser steps.
        resolution: side of the training pictures in pixels.
        sample: a photo to draw in the sample sheets; the bundled one by default.

    Raises:
        UploadError: a picture is unusable, or no longer there.
    """

    def __init__(
        self,
        pictures: Sequence[Path],
        *,
        base: str,
        steps: int,
        resolution: int = 256,
        sample: Path | None = None,
    ) -> None:
        self.steps = steps
        self.folder = Path(tempfile.mkdtemp(prefix="style-"))
        self.style = self.folder / "run" / "style"
        try:
            self._gather(pictures, sample or SAMPLE)
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        every = max(2, steps // 12)
        flags = {
            "train_data_dir": self.folder / "pictures",
            "photo_data_dir": PHOTOS,
            "validation_data_dir": self.folder / "sample",
            "output_dir": self.folder / "run",
            "pretrained_model_name_or_path": base,
            # With judges that know drawings a style shows after some hundred steps.
            "training_networks": NETWORKS / "animation",
            "content_network": NETWORKS / "vgg16_conv3.safetensors",
            "content_weight": 3,
            "style_name": "my-style",
            "resolution": resolution,
            "train_batch_size": 1,
            "max_train_steps": steps,
            "reconstruction_steps": 0,
            "validation_steps": every,
            "logging_steps": max(1, steps // 100),
            "checkpointing_steps": steps + 1,
        }
        command = [sys.executable, str(SCRIPT)]
        command += [word for key, value in flags.items() for word in (f"--{key}", str(value))]
        source = str(Path(tps_portrait.__file__).parents[1])
        path = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")]))
        self._log = (self.folder / "log.txt").open("w", encoding="utf-8")
        self._started = time.monotonic()
        self._process = subprocess.Popen(
            command,
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1"},
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def __enter__(self) -> TrainingRun:
        return self

    def __exit__(self, *args: object) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def follow(self, cancelled: Event) -> Iterator[Progress]:
        """Report until the run has ended, been cancelled, or taken too long."""
        while self._process.poll() is None:
            if cancelled.wait(_POLL_SECONDS):
                yield self._progress("cancelled")
                return
            if time.monotonic() - self._started > TRAIN_MINUTES * 60:
                yield self._progress("late")
                return
            yield self._progress("running")
        if self._process.returncode == 0 and self.style.is_dir():
            yield self._progress("done")
        else:
            yield self._progress("failed")

    def _gather(self, pictures: Sequence[Path], sample: Path) -> None:
        for name in ("pictures", "sample"):
            (self.folder / name).mkdir()
        for index, picture in enumerate(pictures):
            # Scaled down and without metadata: no more is kept than the run needs.
            small = preview(read_picture(picture, picture.name).convert("RGB"), 1024)
            small.save(self.folder / "pictures" / f"{index:03d}.jpg", quality=95)
        preview(read_picture(sample).convert("RGB"), 1024).save(
            self.folder / "sample" / "sample.jpg"
        )

    def _progress(self, state: str) -> Progress:
        losses = self._losses()
        sheets = sorted((self.folder / "run" / "samples").glob("*.png"))
        if state == "running":
            sheets = sheets[:-1] if sheets and _fresh(sheets[-1]) else sheets
        return Progress(
            state,
            int(losses.pop("step", 0)),
            self.steps,
            time.monotonic() - self._started,
            losses,
            sheets[-1] if sheets else None,
            self._reason() if state == "failed" else "",
        )

    def _losses(self) -> dict[str, float]:
        path = self.folder / "run" / "losses.jsonl"
        for line in reversed(path.read_text("utf-8").splitlines() if path.is_file() else []):
            try:
                return dict(json.loads(line))
            except ValueError:  # being written
                continue
        return {}

    def _reason(self) -> str:
        lines = (self.folder / "log.txt").read_text("utf-8", errors="replace").splitlines()
        told = [line for line in lines if line.startswith("error: ")]
        text = told[-1].removeprefix("error: ") if told else "The training ended early."
        return text.replace(f"{self.folder}/", "")


def _fresh(path: Path) -> bool:
    """Whether a file may still be being written."""
    return time.time() - path.stat().st_mtime < 0.3
