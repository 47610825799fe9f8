"""Folders of pictures become training sets: what is used, what is left out, and what a rerun does.

The measures behind it are tested in `test_preparation_pieces.py`.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageFilter, ImageOps

from conftest import ASTRONAUT, DATA, seeded
from tps_portrait import DatasetError
from tps_portrait.errors import ConfigError, OutputError
from tps_portrait.ops.landmarks import CROP_EYE_CENTER, CROP_INTEROCULAR, eye_centers
from tps_portrait.preparation import (
    Preparation,
    PrepareOptions,
    SourcePicture,
    prepare_folder,
    prepare_pictures,
    preparing,
)
from tps_portrait.training.data import load_faces

OPTIONS = PrepareOptions(size=128, source="a test", license="CC0-1.0")
HOPPER = DATA / "grace_hopper.jpg"


def rows_of(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "metadata.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def contents(folder: Path) -> dict[str, tuple[str, int]]:
    """Hash and time of change of every file."""
    return {
        path.relative_to(folder).as_posix(): (
            hashlib.sha256(path.read_bytes()).hexdigest(),
            path.stat().st_mtime_ns,
        )
        for path in folder.rglob("*")
        if path.is_file()
    }


def crops(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.suffix in (".jpg", ".png")}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as people have them."""
    folder = tmp_path_factory.mktemp("pictures")
    astronaut = Image.open(ASTRONAUT).convert("RGB")
    hopper = Image.open(HOPPER).convert("RGB")
    astronaut.save(folder / "astronaut.jpg")
    hopper.save(folder / "hopper.png")
    Image.open(DATA / "mona_lisa.jpg").save(folder / "lisa.webp", quality=95)
    (folder / "more").mkdir()
    copy = ImageOps.mirror(astronaut).resize((440, 440))
    copy.save(folder / "more" / "mirrored.jpg", quality=60)
    astronaut.filter(ImageFilter.GaussianBlur(4)).save(folder / "blurred.png")
    hopper.crop((150, 60, 360, 600)).save(folder / "tight.jpg")
    astronaut.resize((150, 150)).save(folder / "thumbnail.png")
    Image.fromarray(seeded(160, 200)).save(folder / "sky.bmp")
    (folder / "broken.jpg").write_bytes(ASTRONAUT.read_bytes()[:2000])
    (folder / "phone.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    (folder / "notes.txt").write_text("no picture")
    (folder / ".hidden.jpg").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def original(pictures: Path) -> dict[str, tuple[str, int]]:
    return contents(pictures)


@pytest.fixture(scope="module")
def prepared(
    pictures: Path,
    original: dict[str, tuple[str, int]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Preparation:
    return prepare_folder(pictures, tmp_path_factory.mktemp("sets") / "set", OPTIONS)


@pytest.fixture
def again(prepared: Preparation, pictures: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Copies of the pictures and of their finished set, to change."""
    source, out = tmp_path / "pictures", tmp_path / "set"
    shutil.copytree(pictures, source)  # copies times too
    shutil.copytree(prepared.folder, out)
    journal = out / ".prepare.jsonl"
    text = journal.read_text("utf-8")
    journal.write_text(text.replace(json.dumps(prepared.source), json.dumps(str(source))))
    return source, out


class TestResult:
    def test_takes_what_training_can_use_and_says_why_not(self, prepared: Preparation) -> None:
        assert [crop.file_name for _, crop in prepared.crops] == [
            "astronaut.jpg",
            "hopper.jpg",
            "lisa.jpg",
        ]
        assert {item.picture: item.reason for item in prepared.left_out} == {
            "blurred.png": "too_blurry",
            "broken.jpg": "unreadable",
            "more/mirrored.jpg": "duplicate",
            "phone.HEIC": "unreadable",
            "sky.bmp": "no_face",
            "thumbnail.png": "too_small",
            "tight.jpg": "cut_off",
        }
        details = {item.picture: item.detail for item in prepared.left_out}
        assert details["more/mirrored.jpg"] == "nearly the same as astronaut.jpg"
        assert "leaves the picture by" in details["tight.jpg"]
        assert "left" in details["tight.jpg"]
        assert "at least 64 are needed" in details["thumbnail.png"]
        assert prepared.pictures == prepared.examined == 10

    def test_is_what_training_reads(
        self, prepared: Preparation, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.INFO, "tps_portrait"):
            faces = load_faces(prepared.folder, 128)
        assert not caplog.text, "nothing to detect, nothing lost"
        assert len(faces) == 3
        assert faces.credits == ("a test (CC0-1.0)",)
        eyes = eye_centers(faces.landmarks)
        middle, axis = eyes.mean(1), eyes[:, 1] - eyes[:, 0]
        assert (middle - torch.tensor(CROP_EYE_CENTER)).abs().max() < 0.02
        assert (axis[:2].norm(dim=-1) - CROP_INTEROCULAR).abs().max() < 0.02
        assert (axis[:, 1] / axis[:, 0]).abs().max() < 0.02

    def test_is_what_training_would_have_cut_out_itself(
        self, prepared: Preparation, pictures: Path, tmp_path: Path
    ) -> None:
        for name in ("astronaut.jpg", "hopper.png"):
            shutil.copy(pictures / name, tmp_path)
        direct = load_faces(tmp_path, 128, minimum=2)
        faces = load_faces(prepared.folder, 128)
        assert (faces.landmarks[:2] - direct.landmarks).abs().max() < 1e-3
        assert (faces.images[:2].float() - direct.images.float()).abs().mean() < 3

    def test_report(self, prepared: Preparation) -> None:
        report = json.loads((prepared.folder / "report.json").read_text("utf-8"))
        assert report["pictures"] == 10
        assert report["crops"] == 3
        assert report["options"]["min_side"] == 64
        assert [row["file_name"] for row in report["used"]] == [
            row["file_name"] for row in rows_of(prepared.folder)
        ]
        assert report["left_out_by_reason"]["unreadable"] == 2
        assert len(report["left_out"]) == 7
        assert all(row["sharpness"] > 0.16 for row in report["used"])

    def test_summary(self, prepared: Preparation) -> None:
        text = prepared.summary(limit=3)
        assert text.startswith("3 crops from 10 pictures\nleft out: 2 unreadable, ")
        assert "1 near-duplicates" in text
        assert "… and 4 more, in report.json" in text

    def test_originals_are_untouched(
        self, prepared: Preparation, pictures: Path, original: dict[str, tuple[str, int]]
    ) -> None:
        assert contents(pictures) == original

    def test_nothing_usable(self, tmp_path: Path) -> None:
        source = tmp_path / "sky"
        source.mkdir()
        Image.fromarray(seeded(64, 64)).save(source / "sky.png")
        with pytest.raises(DatasetError, match=r"sky\.png: no face found"):
            prepare_folder(source, tmp_path / "out", OPTIONS)
        assert json.loads((tmp_path / "out" / "report.json").read_text())["crops"] == 0


class TestAgain:
    def test_does_nothing_twice(self, again: tuple[Path, Path]) -> None:
        source, out = again
        before = contents(out)
        result = prepare_folder(source, out, OPTIONS)
        assert result.examined == 0
        assert len(result.crops) == 3
        assert "10 were known from an earlier run" in result.summary()
        after = contents(out)
        assert {name: after[name] for name in crops(out)} == {
            name: before[name] for name in crops(out)
        }

    def test_new_changed_and_removed_pictures(self, again: tuple[Path, Path]) -> None:
        source, out = again
        turned = Image.open(source / "hopper.png").rotate(15).crop((40, 40, 480, 560))
        turned.save(source / "hopper.png")
        shutil.copy(HOPPER, source / "new.jpg")
        (source / "lisa.webp").unlink()
        done: list[tuple[int, int]] = []
        result = prepare_folder(
            source, out, OPTIONS, progress=lambda *numbers: done.append(numbers)
        )
        assert result.examined == 2
        assert done == [(1, 2), (2, 2)]
        # The two show the same photograph; the one that is larger in the picture is kept.
        assert len(crops(out)) == 2
        assert "astronaut.jpg" in crops(out)
        assert {row["file_name"] for row in rows_of(out)} == crops(out)

    def test_a_duplicate_steps_in_for_the_picture_it_repeats(
        self, again: tuple[Path, Path]
    ) -> None:
        source, out = again
        (source / "astronaut.jpg").unlink()
        result = prepare_folder(source, out, OPTIONS)
        assert result.examined == 0
        assert crops(out) == {"more-mirrored.jpg", "hopper.jpg", "lisa.jpg"}
        assert "duplicate" not in result.reasons()
        with Image.open(out / "more-mirrored.jpg") as crop:
            assert crop.size == (128, 128)

    def test_lost_crops_are_made_again_and_mattes_kept(self, again: tuple[Path, Path]) -> None:
        source, out = again
        rows = [{**row, "mask": f"masks/{row['file_name']}"} for row in rows_of(out)]
        (out / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        before = contents(out)["lisa.jpg"][0]
        (out / "lisa.jpg").unlink()
        prepare_folder(source, out, OPTIONS)
        assert contents(out)["lisa.jpg"][0] == before
        assert rows_of(out) == rows

    def test_other_options_make_everything_new(self, again: tuple[Path, Path]) -> None:
        source, out = again
        for name in ("broken.jpg", "sky.bmp", "tight.jpg", "lisa.webp"):
            (source / name).unlink()
        result = prepare_folder(source, out, replace(OPTIONS, size=96, format="png"))
        assert result.examined == 6
        assert crops(out) == {"astronaut.png", "hopper.png"}
        with Image.open(out / "hopper.png") as crop:
            assert crop.size == (96, 96)

    def test_goes_on_after_an_interruption(
        self, prepared: Preparation, pictures: Path, tmp_path: Path
    ) -> None:
        def stop(done: int, total: int) -> None:
            if done == 4:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            prepare_folder(pictures, tmp_path / "set", OPTIONS, progress=stop)
        with (tmp_path / "set" / ".prepare.jsonl").open("a") as journal:
            journal.write('{"picture": "tor')
        result = prepare_folder(pictures, tmp_path / "set", OPTIONS)
        assert result.examined == 6
        assert rows_of(tmp_path / "set") == rows_of(prepared.folder)


class TestPlaces:
    def test_foreign_folder_is_refused(self, pictures: Path, tmp_path: Path) -> None:
        (tmp_path / "thesis.txt").write_text("three years of work")
        with pytest.raises(OutputError, match="was not made by `prepare`"):
            prepare_folder(pictures, tmp_path, OPTIONS)
        assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]

    def test_set_of_other_pictures_is_refused(self, prepared: Preparation, tmp_path: Path) -> None:
        shutil.copy(ASTRONAUT, tmp_path)
        before = contents(prepared.folder)
        with pytest.raises(OutputError, match="was prepared from"):
            prepare_folder(tmp_path, prepared.folder, OPTIONS)
        assert contents(prepared.folder) == before

    def test_source_as_output_is_refused(self, pictures: Path) -> None:
        for out in (pictures, pictures.parent):
            with pytest.raises(OutputError, match="never touched"):
                prepare_folder(pictures, out, OPTIONS)

    def test_file_as_output_is_refused(self, pictures: Path, tmp_path: Path) -> None:
        (tmp_path / "set").write_text("a file")
        with pytest.raises(OutputError, match="nothing in it is touched"):
            prepare_folder(pictures, tmp_path / "set", OPTIONS)

    def test_output_inside_the_source_is_no_source(self, tmp_path: Path) -> None:
        shutil.copy(HOPPER, tmp_path)
        for _ in range(2):
            result = prepare_folder(tmp_path, tmp_path / "set", OPTIONS)
            assert result.pictures == 1

    @pytest.mark.parametrize("source", ["absent", "empty", "damaged"])
    def test_bad_source(self, source: str, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        (tmp_path / "damaged").mkdir()
        (tmp_path / "damaged" / "metadata.jsonl").write_text("[1, 2]\n")
        with pytest.raises(DatasetError, match=source):
            prepare_folder(tmp_path / source, tmp_path / "out", OPTIONS)
        assert not (tmp_path / "out").exists()


def test_processes_leave_interrupts_to_the_first() -> None:
    code = "import signal; print(signal.getsignal(signal.SIGINT) == signal.SIG_IGN)"
    before = signal.getsignal(signal.SIGINT)
    with preparing._deaf():
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "True\n"
    assert signal.getsignal(signal.SIGINT) == before


class TestNames:
    def test_no_two_pictures_share_a_file_and_none_changes_its_name(self, tmp_path: Path) -> None:
        source, out = tmp_path / "in", tmp_path / "out"
        (source / "b").mkdir(parents=True)
        faces = {"a.png": ASTRONAUT, "b/a.v2.jpg": HOPPER, "b-a-v2.jpg": DATA / "mona_lisa.jpg"}
        for name, path in faces.items():
            Image.open(path).convert("RGB").save(source / name)
        prepare_folder(source, out, OPTIONS)
        assert crops(out) == {"a.jpg", "b-a-v2.jpg", "b-a-v2-2.jpg"}
        before = contents(out)["a.jpg"]
        Image.open(HOPPER).convert("RGB").rotate(8).save(source / "a.jpg")
        prepare_folder(source, out, OPTIONS)
        assert contents(out)["a.jpg"] == before

    def test_gone_before_its_turn(self, tmp_path: Path) -> None:
        both = [SourcePicture("a.jpg", ASTRONAUT), SourcePicture("b.jpg", tmp_path / "b.jpg")]
        result = prepare_pictures(both, tmp_path / "out", OPTIONS, label="two")
        assert crops(tmp_path / "out") == {"a.jpg"}
        (gone,) = result.left_out
        assert (gone.picture, gone.reason) == ("b.jpg", "unreadable")
        shutil.copy(HOPPER, tmp_path / "b.jpg")
        with (tmp_path / "out" / ".prepare.jsonl").open("a") as journal:
            journal.write("5\n")
        again = prepare_pictures(both, tmp_path / "out", OPTIONS, label="two")
        assert (again.examined, len(again.crops)) == (1, 2)

    def test_same_name_twice(self, tmp_path: Path) -> None:
        twice = [SourcePicture("a.jpg", ASTRONAUT), SourcePicture("a.jpg", HOPPER)]
        with pytest.raises(DatasetError, match="same name"):
            prepare_pictures(twice, tmp_path / "out", label="two")


@pytest.mark.parametrize(
    ("policy", "expected", "reasons"),
    [
        ("largest", {"two.jpg"}, {}),
        ("all", {"two.jpg", "two.2.jpg"}, {}),
        ("single", {"one.jpg"}, {"several_faces": 1}),
    ],
)
def test_several_faces(
    policy: str,
    expected: set[str],
    reasons: dict[str, int],
    two_faces: Image.Image,
    tmp_path: Path,
) -> None:
    source = tmp_path / "in"
    source.mkdir()
    two_faces.save(source / "two.png")
    if policy == "single":
        shutil.copy(ASTRONAUT, source / "one.jpg")
    result = prepare_folder(source, tmp_path / "out", replace(OPTIONS, faces=policy))
    assert crops(tmp_path / "out") == expected
    assert result.reasons() == reasons
    noted = [note for _, crop in result.crops for note in crop.notes]
    assert noted == (["2 faces; the largest was taken"] if policy == "largest" else [])


class TestOptions:
    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            ({"size": 16}, "size"),
            ({"min_side": 0}, "min_side"),
            ({"faces": "some"}, "faces"),
            ({"format": "gif"}, "format"),
            ({"min_sharpness": float("nan")}, "min_sharpness"),
            ({"max_outside": 1.5}, "max_outside"),
            ({"duplicates": -0.1}, "duplicates"),
        ],
    )
    def test_out_of_range(self, wrong: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            PrepareOptions(**wrong)

    def test_workers(self, tmp_path: Path) -> None:
        pictures = [SourcePicture("a.jpg", ASTRONAUT)]
        with pytest.raises(ConfigError, match="workers"):
            prepare_pictures(pictures, tmp_path / "out", label="one", workers=0)
