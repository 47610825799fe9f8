"""`examples/train.py` as people run it: artefacts, exact resume, precision, divergence."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from huggingface_hub import ModelCard
from PIL import Image, ImageOps
from safetensors.torch import load_file

from conftest import ASTRONAUT, DATA
from faces import EXAMPLES
from tps_portrait import TPSPortraitPipeline
from tps_portrait.hub.cards import render_style_card
from tps_portrait.hub.facts import read_facts
from tps_portrait.training.checkpoint import list_checkpoints

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "examples" / "train.py"
NETWORKS = ("model.safetensors", "model_1.safetensors", "model_2.safetensors")
HEADS = "model_3.safetensors"

Train = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven photos as people have them, without landmarks."""
    work = tmp_path_factory.mktemp("training")
    (work / "photos").mkdir()
    sources = (ASTRONAUT, DATA / "grace_hopper.jpg", DATA / "mona_lisa.jpg")
    for source in sources:
        picture = Image.open(source).convert("RGB")
        picture.save(work / "photos" / source.name)
        ImageOps.mirror(picture).save(work / "photos" / f"mirrored-{source.name}")
    Image.open(ASTRONAUT).rotate(10).save(work / "photos" / "turned.png")
    (work / "validation").mkdir()
    shutil.copy(ASTRONAUT, work / "validation")
    return work


@pytest.fixture(scope="module")
def train(work: Path) -> Train:
    """Run the script on a few pictures at 64 px; it must succeed unless told otherwise."""

    def run(
        output: str, *flags: object, launcher: tuple[str, ...] = (), fails: bool = False
    ) -> subprocess.CompletedProcess[str]:
        options = {
            "train_data_dir": EXAMPLES,
            "max_train_samples": 6,
            "photo_data_dir": work / "photos",
            "output_dir": work / output,
            "resolution": 64,
            "train_batch_size": 2,
            "reconstruction_steps": 1,
            "unaligned_every": 2,
            "invariance_every": 2,
            "logging_steps": 1,
        }
        words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        done = subprocess.run(
            [sys.executable, *launcher, str(SCRIPT), *words, "--cpu", *map(str, flags)],
            cwd=work,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode != 0) == fails, done.stderr
        return done

    return run


@pytest.fixture(scope="module")
def whole(work: Path, train: Train) -> Path:
    """Eight steps in one go; three batches an epoch, so step 4 lies in the second epoch."""
    flags = ("--max_train_steps", 8, "--checkpointing_steps", 2, "--checkpoints_total_limit", 3)
    validation = ("--validation_steps", 4, "--validation_data_dir", work / "validation")
    done = train(
        *("whole", *flags, *validation, "--report_to", "all", "--license", "cc0-1.0"),
        *("--style_name", "tiny"),
    )
    (work / "whole.log").write_text(done.stderr)
    return work / "whole"


def lines(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "losses.jsonl").read_text().splitlines()]


def same_weights(a: Path, b: Path) -> bool:
    left, right = load_file(a), load_file(b)
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


class TestArtefacts:
    def test_losses(self, whole: Path) -> None:
        log = lines(whole)
        assert [line["step"] for line in log] == list(range(1, 9))
        assert set(log[0]) == {
            *("step", "learning_rate", "reconstruction", "reconstruction_inverse"),
        }
        always = {"global", "local", "anchor", "d_global", "d_local"}
        assert always <= set(log[1])
        assert always | {"unaligned", "cycle", "cycle_example", "invariance"} <= set(log[2])
        assert all(abs(value) < 100 for line in log for value in line.values())
        assert json.loads((whole / "arguments.json").read_text())["resolution"] == 64

    def test_tensorboard(self, whole: Path) -> None:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = EventAccumulator(str(whole / "tensorboard")).Reload()
        assert {"global", "cycle", "learning_rate"} <= set(events.Tags()["scalars"])
        assert [event.step for event in events.Images("samples")] == [4, 8]
        logged = [event.value for event in events.Scalars("anchor")]
        expected = [line["anchor"] for line in lines(whole) if "anchor" in line]
        assert logged == pytest.approx(expected, rel=1e-5)

    def test_sample_grids(self, whole: Path) -> None:
        grids = sorted((whole / "samples").glob("*.png"))
        assert [path.name for path in grids] == ["step_000004.png", "step_000008.png"]
        assert Image.open(grids[0]).size == (4 * 64, 64)
        assert grids[0].read_bytes() != grids[1].read_bytes()

    def test_checkpoint_limit(self, whole: Path) -> None:
        kept = [path.name for path in list_checkpoints(whole / "checkpoints")]
        assert kept == ["checkpoint-4", "checkpoint-6", "checkpoint-8"]

    def test_style_can_be_used(self, whole: Path) -> None:
        pipe = TPSPortraitPipeline.from_pretrained(whole / "style")
        assert pipe.style == "tiny"
        drawn = pipe(Image.open(ASTRONAUT), face_size=128, size=256).images[0]
        assert drawn.size == (512, 512)
        assert np.asarray(drawn).std() > 1

    def test_style_is_the_average_and_not_the_last_weights(self, whole: Path) -> None:
        style = load_file(whole / "style" / "generator" / "model.safetensors")
        last = load_file(whole / "checkpoints" / "checkpoint-8" / "model.safetensors")
        assert style.keys() == last.keys()
        differences = [(style[key] - last[key]).abs().max() for key in style]
        assert 0 < max(differences) < 0.1

    def test_template_is_the_mean_face_of_the_examples(self, whole: Path) -> None:
        from tps_portrait.training.data import load_faces, template_of

        pipe = TPSPortraitPipeline.from_pretrained(whole / "style")
        expected = template_of(load_faces(EXAMPLES, 64, limit=6))
        torch.testing.assert_close(pipe.aligner.template.data, expected)

    def test_card(self, whole: Path) -> None:
        card = ModelCard.load(whole / "style" / "README.md")
        assert card.data.license == "cc0-1.0"
        assert "style:tiny" in card.data.tags
        for fact in ("| style | 6 | `animation` |", "| photos | 7 | `photos` |", "64 x 64"):
            assert fact in card.content
        assert "| invariance |" in card.content
        assert "](samples/astronaut.jpg)" in card.content
        assert "`unaligned_every` 2" in card.content
        assert "skin tone |  |  | not measured" in card.content

    def test_facts_make_the_same_card(self, whole: Path) -> None:
        style = whole / "style"
        facts = read_facts(style)
        assert facts is not None
        assert (facts.steps, facts.license, facts.examples[0].count) == (8, "cc0-1.0", 6)
        assert render_style_card(facts) == (style / "README.md").read_text()
        assert Image.open(style / "samples" / facts.samples[0].file).size == (1024, 512)
        assert Image.open(style / "thumbnail.jpg").size == (384, 384)

    def test_photos_without_landmarks_were_completed(self, work: Path, whole: Path) -> None:
        assert "7 faces found" in (work / "whole.log").read_text()

    def test_photos_without_a_licence_stay_out_of_the_style(self, work: Path, whole: Path) -> None:
        assert not (whole / "style" / "calibration").exists()
        assert "No photo goes along for calibration" in (work / "whole.log").read_text()


class TestResume:
    def test_equals_one_go_bit_for_bit(self, work: Path, whole: Path, train: Train) -> None:
        checkpoint = whole / "checkpoints" / "checkpoint-4"
        flags = ("--max_train_steps", 8, "--checkpointing_steps", 4)
        train("resumed", *flags, "--resume_from_checkpoint", checkpoint)
        for name in NETWORKS:
            assert same_weights(
                whole / "checkpoints" / "checkpoint-8" / name,
                work / "resumed" / "checkpoints" / "checkpoint-8" / name,
            ), name
        average = Path("style", "generator", "model.safetensors")
        assert same_weights(whole / average, work / "resumed" / average)
        assert lines(work / "resumed") == lines(whole)[4:]

    def test_with_gradient_accumulation(self, work: Path, train: Train) -> None:
        """One photo a batch: epochs of 7 batches and 4 steps, so step 5 lies in the second."""
        flags = ("--max_train_steps", 7, "--checkpointing_steps", 5, "--train_batch_size", 1)
        flags += ("--gradient_accumulation_steps", 2)
        train("accumulated", *flags)
        checkpoint = work / "accumulated" / "checkpoints" / "checkpoint-5"
        train("accumulated-on", *flags, "--resume_from_checkpoint", checkpoint)
        assert lines(work / "accumulated-on") == lines(work / "accumulated")[5:]
        average = Path("style", "generator", "model.safetensors")
        assert same_weights(work / "accumulated" / average, work / "accumulated-on" / average)

    def test_finished_run_does_not_train_on(self, work: Path, whole: Path, train: Train) -> None:
        before = (whole / "style" / "generator" / "model.safetensors").read_bytes()
        losses = json.loads((whole / "style" / "facts.json").read_text("utf-8"))["losses"]
        shutil.copytree(whole, work / "finished")
        train("finished", "--max_train_steps", 8, "--resume_from_checkpoint", "latest")
        after = (work / "finished" / "style" / "generator" / "model.safetensors").read_bytes()
        assert after == before
        assert len(lines(work / "finished")) == 8
        facts = json.loads((work / "finished" / "style" / "facts.json").read_text("utf-8"))
        assert facts["losses"] == losses != {}


class TestContrast:
    """The heads of `--contrast_weight` are trained and resumed with the rest, and stay behind."""

    def test_heads_learn_and_resume_bit_for_bit(self, work: Path, train: Train) -> None:
        flags = ("--contrast_weight", 1, "--reconstruction_steps", 0, "--checkpointing_steps", 1)
        flags += ("--max_train_steps", 3, "--checkpoints_total_limit", 3)
        train("contrast", *flags)
        kept = list_checkpoints(work / "contrast" / "checkpoints")
        heads = [load_file(path / HEADS) for path in kept]
        assert all((heads[2][key] != heads[0][key]).any() for key in heads[0])
        assert {"contrast", "contrast_example"} <= set(lines(work / "contrast")[0])

        train("contrast-on", *flags, "--resume_from_checkpoint", kept[1])
        last = Path("checkpoints", "checkpoint-3")
        for name in (*NETWORKS, HEADS):
            assert same_weights(work / "contrast" / last / name, work / "contrast-on" / last / name)
        assert lines(work / "contrast-on") == lines(work / "contrast")[2:]

        # The style and the networks for the next training are those of any other.
        style = load_file(work / "contrast" / "style" / "generator" / "model.safetensors")
        assert style.keys() == load_file(kept[2] / "model.safetensors").keys()
        folders = {path.name for path in (work / "contrast" / "networks").iterdir()}
        assert folders == {"inverse", "discriminator"}

    def test_without_it_there_are_none(self, whole: Path) -> None:
        checkpoint = whole / "checkpoints" / "checkpoint-8"
        assert {path.name for path in checkpoint.glob("*.safetensors")} == set(NETWORKS)


def test_washes_are_taught_over_the_lines_of_the_start(work: Path, train: Train) -> None:
    options = ("--pretrained_model_name_or_path", "animation", "--noise_channels", 8)
    options += ("--washes", 1.4, "--reconstruction_steps", 1, "--max_train_steps", 2)
    train("washed", *options)
    style = work / "washed" / "style"
    assert "`washes` 1.4" in (style / "README.md").read_text("utf-8")
    assert TPSPortraitPipeline.from_pretrained(style).generator.config.noise_channels == 8
    # Without a number of channels it is the start's, and washes find none.
    before = (work / "washed" / "losses.jsonl").read_text("utf-8")
    done = train("washed", *options[:2], "--washes", 1.4, fails=True)
    assert "--noise_channels 8" in done.stderr
    assert (work / "washed" / "losses.jsonl").read_text("utf-8") == before != ""


def test_a_share_of_the_start_is_in_what_is_written(work: Path, train: Train) -> None:
    options = ("--pretrained_model_name_or_path", "animation", "--noise_channels", 4)
    # So fast that weights move by far more than what half precision rounds.
    options += ("--max_train_steps", 2, "--seed", 3, "--learning_rate", 0.02)
    train("moved", *options)
    train("kept", *options, "--start_share", 0.75)
    assert lines(work / "moved") == lines(work / "kept")
    assert "`start_share` 0.75" in (work / "kept" / "style" / "README.md").read_text("utf-8")
    moved, kept = (
        TPSPortraitPipeline.from_pretrained(work / name / "style").generator
        for name in ("moved", "kept")
    )
    start = TPSPortraitPipeline.from_pretrained("animation").generator.with_silent_noise(moved)
    for one, other, old in zip(
        moved.parameters(), kept.parameters(), start.parameters(), strict=True
    ):
        torch.testing.assert_close(other, one.lerp(old, 0.75), atol=1e-3, rtol=1e-3)
    assert (moved.head.weight - start.head.weight).abs().max() > 0.01


def test_strokes_are_taught_to_a_new_generator(work: Path, train: Train) -> None:
    options = ("--noise_channels", 16, "--strokes", 0.1, "--reconstruction_steps", 1)
    train("stroked", *options, "--max_train_steps", 2)
    style = work / "stroked" / "style"
    assert "`strokes` 0.1" in (style / "README.md").read_text("utf-8")
    assert TPSPortraitPipeline.from_pretrained(style).generator.config.noise_channels == 16


def test_a_style_of_a_bundled_one_mixes_with_it_by_weights(work: Path, train: Train) -> None:
    """The start has a base of its own: all three go back to the same weights."""
    train("bent", "--max_train_steps", 1, "--pretrained_model_name_or_path", "ink_paint")
    pipe = TPSPortraitPipeline.from_pretrained(work / "bent" / "style")
    assert pipe.base == "animation"
    pipe.load_style("animation")
    mix = pipe.set_style({pipe.styles[0]: 0.5, "animation": 0.5})
    assert mix.method == "weights", mix.reason


class TestTrainingNetworks:
    def test_the_next_training_starts_with_them(
        self, work: Path, whole: Path, train: Train
    ) -> None:
        # no rate, no change: what comes out is what went in, at half precision
        rates = ("--learning_rate", 1e-12, "--discriminator_learning_rate", 1e-12)
        flags = ("--max_train_steps", 2, "--reconstruction_steps", 0, *rates)
        train("next", *flags, "--training_networks", whole / "networks")
        for name in ("inverse", "discriminator"):
            path = Path("networks", name, "model.safetensors")
            first, second = load_file(whole / path), load_file(work / "next" / path)
            assert first.keys() == second.keys()
            # The vectors of the spectral norm move in every step.
            trained = [key for key in first if not key.endswith(("_u", "_v"))]
            assert all((first[k] - second[k]).abs().max() < 1e-3 for k in trained)
            assert {first[key].dtype for key in trained} == {torch.float16}

    def test_another_folder_is_refused_before_any_step(self, work: Path, train: Train) -> None:
        done = train("refused", "--training_networks", work / "photos", fails=True)
        assert "has no folder 'inverse'" in done.stderr
        assert "leave the option out" in done.stderr


def test_accelerate_launch_with_bf16_and_yaml(work: Path, train: Train) -> None:
    config = {"mixed_precision": "bf16", "max_train_steps": 3, "pair_fraction": 0.5}
    (work / "bf16.yaml").write_text(yaml.safe_dump(config))
    launcher = ("-m", "accelerate.commands.launch", "--num_processes", "1", "--cpu")
    train("bf16", "--config", work / "bf16.yaml", launcher=launcher)
    assert [line["step"] for line in lines(work / "bf16")] == [1, 2, 3]
    weights = load_file(work / "bf16" / "style" / "generator" / "model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}
    assert "bf16" in (work / "bf16" / "style" / "README.md").read_text()


def test_divergence_keeps_the_last_good_checkpoint(work: Path, whole: Path, train: Train) -> None:
    """An absurd learning rate ruins the first step after the checkpoint."""
    good = work / "diverged" / "checkpoints" / "checkpoint-4"
    shutil.copytree(whole / "checkpoints" / "checkpoint-4", good)
    flags = ("--max_train_steps", 8, "--checkpointing_steps", 1, "--checkpoints_total_limit", 1)
    rates = ("--learning_rate", 1e30, "--discriminator_learning_rate", 1e30)
    done = train("diverged", *flags, *rates, "--resume_from_checkpoint", "latest", fails=True)
    assert list_checkpoints(work / "diverged" / "checkpoints") == [good]
    assert same_weights(
        good / "model.safetensors", whole / "checkpoints" / "checkpoint-4" / "model.safetensors"
    )
    assert not (work / "diverged" / "style").exists()
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "became" in errors[0]
    assert "checkpoint-4" in errors[0]
    assert "Traceback" not in done.stderr
