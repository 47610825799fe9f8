"""Checkpoints and trackers: what a run leaves on disk."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from diffusers.optimization import get_scheduler
from PIL import Image
from torch import nn

from test_training_step import batch, networks
from tps_portrait import ConfigError, OutputError
from tps_portrait.training.checkpoint import (
    Progress,
    find_checkpoint,
    list_checkpoints,
    load_checkpoint,
    save_checkpoint,
    set_learning_rate,
)
from tps_portrait.training.step import Batch
from tps_portrait.training.tracking import (
    JSONLTracker,
    log_image,
    make_trackers,
    sample_grid,
    to_image,
)

__all__ = ["batch"]  # a fixture


@pytest.fixture(scope="module")
def accelerator() -> Accelerator:
    accelerator = Accelerator(cpu=True)
    model = accelerator.prepare(nn.Linear(2, 2))
    progress = Progress()
    accelerator.register_for_checkpointing(progress)
    accelerator.model, accelerator.progress = model, progress
    return accelerator


def names(folder: Path) -> list[str]:
    return [path.name for path in list_checkpoints(folder)]


class TestSave:
    def test_round_trip(self, accelerator: Accelerator, tmp_path: Path) -> None:
        model, progress = accelerator.model, accelerator.progress
        saved = Progress(7, 2, 3, 1.5, {"anchor": 2.0})
        progress.load_state_dict(saved.state_dict())
        weight = model.weight.detach().clone()
        path = save_checkpoint(accelerator, tmp_path, 7, None)
        with torch.no_grad():
            model.weight.zero_()
        progress.load_state_dict(Progress().state_dict())
        load_checkpoint(accelerator, path)
        assert torch.equal(model.weight, weight)
        assert progress == saved

    def test_limit_removes_what_was_written_longest_ago(
        self, accelerator: Accelerator, tmp_path: Path
    ) -> None:
        """A run that was resumed from an earlier checkpoint writes lower steps: they are newer."""
        for age, step in enumerate((100, 900, 200, 300)):
            path = save_checkpoint(accelerator, tmp_path, step, 2)
            os.utime(path, (1e9 + age, 1e9 + age))
            assert path.name in names(tmp_path)
            assert len(names(tmp_path)) <= 2
        assert names(tmp_path) == ["checkpoint-200", "checkpoint-300"]

    def test_no_limit(self, accelerator: Accelerator, tmp_path: Path) -> None:
        for step in (1, 2, 3):
            save_checkpoint(accelerator, tmp_path, step, None)
        assert names(tmp_path) == ["checkpoint-1", "checkpoint-2", "checkpoint-3"]

    def test_same_step_again(self, accelerator: Accelerator, tmp_path: Path) -> None:
        for _ in range(2):
            save_checkpoint(accelerator, tmp_path, 5, 1)
        assert names(tmp_path) == ["checkpoint-5"]
        assert not list(tmp_path.glob("partial-*"))

    def test_folder_that_cannot_be_written(self, accelerator: Accelerator, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(OutputError, match="checkpoint-1"):
            save_checkpoint(accelerator, tmp_path / "file", 1, None)


class TestLoad:
    @pytest.mark.parametrize("name", ["model.safetensors", "custom_checkpoint_0.pkl"])
    def test_damaged(self, accelerator: Accelerator, tmp_path: Path, name: str) -> None:
        path = save_checkpoint(accelerator, tmp_path, 1, None)
        (path / name).write_bytes(b"")
        with pytest.raises(ConfigError, match=r"Cannot resume from .*checkpoint-1"):
            load_checkpoint(accelerator, path)

    def test_missing_random_state_is_told(
        self, accelerator: Accelerator, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Accelerate passes over it in silence, when there are more processes than before."""
        path = save_checkpoint(accelerator, tmp_path, 1, None)
        (path / "random_states_0.pkl").unlink()
        with caplog.at_level(logging.WARNING, "tps_portrait"):
            load_checkpoint(accelerator, path)
        assert "will not repeat an uninterrupted one" in caplog.text

    def test_no_checkpoint(self, accelerator: Accelerator, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="Cannot resume"):
            load_checkpoint(accelerator, tmp_path)


class TestLearningRate:
    def restored(self, accelerator: Accelerator, rate: float) -> tuple[Any, Any]:
        """A linear schedule from 0.1 after four of its ten steps, resumed with another rate."""

        def make(rate: float) -> tuple[Any, Any]:
            optimizer = torch.optim.Adam([nn.Parameter(torch.ones(2))], lr=rate)
            schedule = get_scheduler("linear", optimizer, num_warmup_steps=0, num_training_steps=10)
            return accelerator.prepare(optimizer, schedule)

        old_optimizer, old_schedule = make(0.1)
        for _ in range(4):
            old_optimizer.step()
            old_schedule.step()
        optimizer, schedule = make(rate)
        optimizer.load_state_dict(old_optimizer.state_dict())
        schedule.load_state_dict(old_schedule.state_dict())
        set_learning_rate(optimizer, schedule, rate)
        return optimizer, schedule

    @pytest.mark.parametrize("rate", [0.1, 0.02])
    def test_schedule_goes_on_from_the_new_rate(
        self, accelerator: Accelerator, rate: float
    ) -> None:
        optimizer, schedule = self.restored(accelerator, rate)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(rate * 0.6)
        assert schedule.get_last_lr() == [optimizer.param_groups[0]["lr"]]
        optimizer.step()
        schedule.step()
        assert optimizer.param_groups[0]["lr"] == pytest.approx(rate * 0.5)


class TestFind:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        for name in ("checkpoint-9", "checkpoint-10", "partial-11", "checkpoint-best"):
            (tmp_path / name).mkdir()
        return tmp_path

    def test_latest_is_the_highest_complete_step(self, folder: Path) -> None:
        assert find_checkpoint("latest", folder) == folder / "checkpoint-10"

    def test_latest_of_a_new_run(self, tmp_path: Path) -> None:
        assert find_checkpoint("latest", tmp_path / "none") is None

    def test_by_name_and_by_path(self, folder: Path) -> None:
        assert find_checkpoint("checkpoint-9", folder) == folder / "checkpoint-9"
        assert find_checkpoint(str(folder / "checkpoint-9"), folder / "other") is not None

    def test_missing_lists_what_is_there(self, folder: Path) -> None:
        with pytest.raises(ConfigError, match="checkpoint-9, checkpoint-10"):
            find_checkpoint("checkpoint-8", folder)

    def test_new_run_does_not_mix_with_another(self, folder: Path, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"checkpoint-10 .*--resume_from_checkpoint latest"):
            find_checkpoint(None, folder)
        assert find_checkpoint(None, tmp_path / "none") is None


class TestTrackers:
    def test_lines(self, tmp_path: Path) -> None:
        tracker = JSONLTracker(tmp_path / "run" / "losses.jsonl")
        tracker.store_init_configuration({"seed": 1, "folder": "x"})
        tracker.log({"global": 0.5}, step=10)
        tracker.log({"global": 0.25, "cycle": 1.0}, step=20)
        lines = [json.loads(line) for line in tracker.tracker.read_text().splitlines()]
        assert lines == [
            {"step": 10, "global": 0.5},
            {"step": 20, "global": 0.25, "cycle": 1.0},
        ]
        assert json.loads((tmp_path / "run" / "arguments.json").read_text())["seed"] == 1

    @pytest.mark.parametrize(
        ("step", "left"), [(0, []), (10, [10]), (25, [10, 20]), (99, [10, 20, 30])]
    )
    def test_rewind(self, tmp_path: Path, step: int, left: list[int]) -> None:
        tracker = JSONLTracker(tmp_path / "losses.jsonl")
        for number in (10, 20, 30):
            tracker.log({"global": 0.5}, step=number)
        with tracker.path.open("a") as file:
            file.write('{"step": 40, "glo')
        tracker.rewind(step)
        assert [json.loads(line)["step"] for line in tracker.path.read_text().splitlines()] == left

    def test_names(self, tmp_path: Path) -> None:
        kinds = {
            choice: [tracker.name for tracker in make_trackers(choice, tmp_path)]
            for choice in ("jsonl", "all", "none")
        }
        assert kinds == {"jsonl": ["jsonl"], "all": ["jsonl", "tensorboard"], "none": []}
        with pytest.raises(ConfigError, match="wandb"):
            make_trackers("wandb", tmp_path)

    def test_folder_that_cannot_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(OutputError, match="--output_dir"):
            make_trackers("jsonl", tmp_path / "file" / "run")


class TestSampleGrid:
    def test_four_columns(self, batch: Batch) -> None:
        nets = networks()
        image = sample_grid(nets, batch)
        assert image.size == (4 * 64, 2 * 64)
        pixels = np.asarray(image)
        photo = np.asarray(to_image(batch.photo[0]))
        assert np.array_equal(pixels[:64, :64], photo)
        drawn = np.asarray(to_image(nets.generator.eval()(batch.photo)[1].detach()))
        assert np.abs(pixels[64:, 128:192].astype(int) - drawn).max() <= 1

    def test_leaves_the_networks_as_they_were(self, batch: Batch) -> None:
        nets = networks()
        nets.generator.train()
        nets.inverse.eval()
        before = torch.random.get_rng_state()
        sample_grid(nets, batch)
        assert nets.generator.training
        assert not nets.inverse.training
        assert torch.equal(torch.random.get_rng_state(), before)

    def test_is_written(self, tmp_path: Path) -> None:
        path = log_image([], Image.new("RGB", (8, 8), (1, 2, 3)), 25, tmp_path / "samples")
        assert path.name == "step_000025.png"
        assert Image.open(path).getpixel((0, 0)) == (1, 2, 3)


def test_to_image_rounds_and_clips() -> None:
    values = torch.tensor([-2.0, -1.0, 0.0, 1.0, 3.0]).view(1, 1, 5).expand(3, 1, 5)
    assert np.asarray(to_image(values))[0, :, 0].tolist() == [0, 0, 128, 255, 255]
