"""The `tps-portrait` command, run as a user would, with a tiny style of random weights."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

import tps_portrait
from conftest import ASTRONAUT, tiny_pipeline
from tps_portrait.cli import main, stylize


@pytest.fixture(scope="module")
def style(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a style that draws quickly, and badly."""
    folder = tmp_path_factory.mktemp("styles") / "tiny"
    tiny_pipeline().save_pretrained(folder)
    return str(folder)


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with a folder of two photos and a damaged one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    with Image.open(ASTRONAUT) as image:
        small = image.resize((192, 192))
    small.save("photos/a.png")
    small.crop((0, 0, 160, 192)).save("photos/c.jpg")
    data = ASTRONAUT.read_bytes()
    Path("photos/b.jpg").write_bytes(data[: len(data) // 3])
    Path("photos/notes.txt").write_text("not a picture")
    return tmp_path


def _pixels(path: str | Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


class TestUsage:
    def test_help_shows_examples(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as stop:
            main(["--help"])
        assert stop.value.code == 0
        assert "tps-portrait stylize me.jpg" in capsys.readouterr().out

    def test_entry_points(self) -> None:
        script = Path(sys.executable).with_name("tps-portrait")
        for command in ([str(script)], [sys.executable, "-m", "tps_portrait"]):
            done = subprocess.run([*command, "--version"], capture_output=True, text=True)
            assert done.stdout == f"tps-portrait {tps_portrait.__version__}\n"

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ([], "COMMAND"),
            (["stylize", "a.png"], "-o/--output"),
            (["stylize", "-o", "x.png"], "IN"),
            (["stylize", "a.png", "-o", "x.png", "--strength", "1.5"], "must be from 0 to 1"),
            (["stylize", "a.png", "-o", "x.png", "--strength", "nan"], "must be from 0 to 1"),
            (["stylize", "a.png", "-o", "x.png", "--strength", "much"], "invalid number"),
            (["stylize", "a.png", "-o", "x.png", "--size", "8"], "from 32 to 8192"),
            (["export", "--target", "pt2", "-o", "x.pt2", "--size", "64xtall"], "at least 32"),
            (["export", "--target", "pt2", "-o", "x.pt2", "--size", "100"], "multiples of 32"),
            (["export", "--target", "pt2", "-o", "x.pt2", "--batch", "0"], "at least 1"),
            (["stylize", "a.png", "-o", "x.png", "--size", "3.5"], "from 32 to 8192"),
            (["stylize", "a.png", "-o", "x.png", "--size", "9999999"], "from 32 to 8192"),
            (["stylize", "a.png", "-o", "x.png", "--mode", "nose"], "invalid choice"),
            (["paint"], "invalid choice"),
        ],
    )
    def test_usage_errors(
        self, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 2
        assert message in capsys.readouterr().err

    def test_interrupt(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def interrupt(inputs: list[str]) -> list[str]:
            raise KeyboardInterrupt

        monkeypatch.setattr(stylize, "collect_inputs", interrupt)
        assert main(["stylize", "a.png", "-o", "b.png"]) == 130
        assert "interrupted" in capsys.readouterr().err


class TestStylize:
    def test_one_file(self, style: str, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["stylize", "photos/a.png", "-o", "out/a.png", "--style", style]) == 0
        drawn, photo = _pixels("out/a.png"), _pixels("photos/a.png")
        assert drawn.shape == photo.shape
        assert np.abs(drawn.astype(int) - photo).mean() > 4
        captured = capsys.readouterr()
        assert captured.out == "photos/a.png -> out/a.png\n"
        assert captured.err == ""

    def test_folder_with_a_damaged_picture(
        self, style: str, photos: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["stylize", "photos", "-o", "out", "--style", style, "--format", "jpg"]) == 1
        assert sorted(path.name for path in Path("out").iterdir()) == ["a-tiny.jpg", "c-tiny.jpg"]
        assert _pixels("out/c-tiny.jpg").shape == (192, 160, 3)
        errors = capsys.readouterr().err.splitlines()
        assert len(errors) == 2
        assert errors[0].startswith("error: ")
        assert "photos/b.jpg" in errors[0]
        assert errors[1] == "1 of 3 pictures failed"

    def test_progress_bar_on_a_terminal(
        self, style: str, photos: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        terminal = _Terminal()
        monkeypatch.setattr(sys, "stderr", terminal)
        assert main(["stylize", "photos", "-o", "out", "--style", style]) == 1
        assert "3/3 [" in terminal.getvalue()

    @pytest.mark.parametrize("source", ["absent.jpg", "photos/notes.txt", "photos/b.jpg"])
    def test_a_bad_picture(
        self, style: str, photos: Path, source: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["stylize", source, "-o", "x.png", "--style", style]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: ")
        assert source in line
        assert not Path("x.png").exists()

    def test_side_by_side(self, style: str, photos: Path) -> None:
        flags = ["--side-by-side", "--style", style]
        assert main(["stylize", "photos/a.png", "-o", "x.png", *flags]) == 0
        sheet, photo = _pixels("x.png"), _pixels("photos/a.png")
        assert sheet.shape == (192, 384, 3)
        assert np.array_equal(sheet[:, :192], photo)
        assert not np.array_equal(sheet[:, 192:], photo)

    def test_strength_zero_is_the_photo(self, style: str, photos: Path) -> None:
        flags = ["--strength", "0", "--style", style]
        assert main(["stylize", "photos/a.png", "-o", "x.png", *flags]) == 0
        assert np.array_equal(_pixels("x.png"), _pixels("photos/a.png"))

    @pytest.mark.parametrize(
        "flags",
        [
            ["--mode", "frame"],
            ["--geometry-strength", "1"],
            ["--size", "96"],
            ["--face-size", "96"],
        ],
        ids=["mode", "geometry-strength", "size", "face-size"],
    )
    def test_options_reach_the_pipeline(self, style: str, photos: Path, flags: list[str]) -> None:
        assert main(["stylize", "photos/a.png", "-o", "plain.png", "--style", style]) == 0
        assert main(["stylize", "photos/a.png", "-o", "x.png", "--style", style, *flags]) == 0
        assert not np.array_equal(_pixels("x.png"), _pixels("plain.png"))

    def test_rotation_and_transparency_survive(self, style: str, photos: Path) -> None:
        with Image.open("photos/c.jpg") as image:
            turned = image.convert("RGBA")
        turned.putalpha(100)
        exif = Image.Exif()
        exif[0x0112] = 6
        turned.save("turned.png", exif=exif)
        flags = ["--side-by-side", "--style", style]
        assert main(["stylize", "turned.png", "-o", "x.png", *flags]) == 0
        sheet = _pixels("x.png")
        assert sheet.shape == (160, 384, 4)
        assert (sheet[..., 3] == 100).all()
        with Image.open("turned.png") as image:
            assert np.array_equal(sheet[:, :192], np.asarray(ImageOps.exif_transpose(image)))

    def test_picture_without_a_face_is_drawn_and_noted(
        self, style: str, photos: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        Image.linear_gradient("L").save("sky.png")
        assert main(["stylize", "sky.png", "-o", "x.png", "--style", style]) == 0
        assert Path("x.png").exists()
        assert "sky.png shows no face" in capsys.readouterr().err

    def test_web_address(
        self, style: str, photos: Path, serve: Callable[[str, bytes], str]
    ) -> None:
        url = serve("/portraits/a.png", Path("photos/a.png").read_bytes())
        absent = url.replace("a.png", "absent.png")
        assert main(["stylize", url, absent, "-o", "out", "--style", style]) == 1
        assert [path.name for path in Path("out").iterdir()] == ["a-tiny.png"]

    def test_output_is_checked_before_any_work(
        self, photos: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        place = "photos/notes.txt/x.png"
        assert main(["stylize", "photos/a.png", "-o", place, "--style", "no-such-style"]) == 1
        assert capsys.readouterr().err.startswith("error: Cannot write to photos/notes.txt")

    def test_missing_style(self, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
        arguments = ["stylize", "photos/a.png", "-o", "x.png", "--style", "./no-such-style"]
        assert main(arguments) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: ")
        assert "no-such-style" in line
        assert main([*arguments, "--debug"]) == 1
        assert "Traceback" in capsys.readouterr().err

    @pytest.mark.parametrize("device", ["toaster", "cuda:99", "meta"])
    def test_unusable_device(
        self, style: str, photos: Path, device: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        flags = ["--device", device, "--style", style]
        assert main(["stylize", "photos/a.png", "-o", "x.png", *flags]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert f"Device '{device}' cannot be used here" in line


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class TestDoctor:
    def test_json(self, style: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["doctor", "--json", "--style", style, "--device", "cpu"]) == 0
        report = json.loads(capsys.readouterr().out)
        assert report["tps_portrait"] == tps_portrait.__version__
        assert report["packages"]["torch"] == torch.__version__
        assert report["device"]["chosen"] == "cpu"
        test = report["self_test"]
        assert test["passed"]
        assert test["faces"] == 1
        assert 0 < test["best_seconds"] <= test["first_seconds"]

    def test_text(self, style: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["doctor", "--style", style]) == 0
        out = capsys.readouterr().out
        assert f"torch           {torch.__version__}\n" in out
        assert "self-test       passed: " in out

    def test_damaged_style_fails(
        self, style: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        broken = tmp_path / "broken"
        shutil.copytree(style, broken)
        (broken / "generator" / "model.safetensors").write_bytes(b"nothing")
        assert main(["doctor", "--style", str(broken)]) == 1
        assert "self-test       FAILED: " in capsys.readouterr().out
        assert main(["doctor", "--style", str(broken), "--json"]) == 1
        report = json.loads(capsys.readouterr().out)
        assert not report["self_test"]["passed"]
        assert "generator" in report["self_test"]["error"]
