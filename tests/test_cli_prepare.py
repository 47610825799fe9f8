"""`tps-portrait prepare`, run as a user would."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import ASTRONAUT, DATA
from tps_portrait.cli import main


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with a folder of pictures."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pictures").mkdir()
    shutil.copy(ASTRONAUT, "pictures")
    shutil.copy(DATA / "grace_hopper.jpg", "pictures")
    Path("pictures/broken.jpg").write_bytes(b"no picture")
    return tmp_path


def crops() -> dict[str, np.ndarray]:
    paths = Path("set").glob("*.jpg")
    return {path.name: np.asarray(Image.open(path), dtype=np.float32) for path in paths}


def test_in_processes_and_again_in_one(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--size", "96", "--source", "NASA and US Navy", "--license", "public domain"]
    command = ["prepare", "pictures", "-o", "set", *flags, "--workers"]
    assert main([*command, "2"]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("2 crops from 3 pictures\nleft out: 1 unreadable\n")
    assert "broken.jpg: the file" in captured.out
    assert captured.err == ""
    rows = [json.loads(line) for line in Path("set/metadata.jsonl").read_text().splitlines()]
    assert [row["file_name"] for row in rows] == ["astronaut.jpg", "grace_hopper.jpg"]
    assert {row["source"] for row in rows} == {"NASA and US Navy"}
    assert {row["license"] for row in rows} == {"public domain"}
    assert Path("set/contact_sheets/001.jpg").is_file()
    by_processes = crops()
    assert main([*command, "1"]) == 0
    assert "3 were known from an earlier run" in capsys.readouterr().out
    shutil.rmtree("set")
    assert main([*command, "1"]) == 0
    here = crops()
    assert here.keys() == by_processes.keys()
    # Another number of threads adds in another order: a grey value may be rounded differently.
    assert all(np.abs(here[name] - by_processes[name]).max() < 16 for name in here)
    assert all(np.abs(here[name] - by_processes[name]).mean() < 0.5 for name in here)


def test_options_reach_the_library(pictures: Path) -> None:
    flags = ["--size", "64", "--min-side", "300", "--format", "png", "--max-outside", "0.5"]
    flags += ["--min-sharpness", "0.3", "--duplicates", "0", "--faces", "single"]
    assert main(["prepare", "pictures", "-o", "set", "--workers", "1", *flags]) == 0
    report = json.loads(Path("set/report.json").read_text())
    assert report["left_out_by_reason"] == {"too_small": 1, "unreadable": 1}
    assert report["options"] == {
        "size": 64,
        "min_side": 300,
        "faces": "single",
        "min_sharpness": 0.3,
        "max_outside": 0.5,
        "duplicates": 0.0,
        "format": "png",
        "source": None,
        "license": None,
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent", "-o", "set"], "absent is no folder"),
        (["pictures", "-o", "pictures"], "originals are never touched"),
        (["pictures", "-o", "other"], "was not made by `prepare`"),
    ],
)
def test_errors(
    pictures: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("other").mkdir()
    Path("other/thesis.txt").write_text("years of work")
    assert main(["prepare", *arguments]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "-o/--output"),
        (["-o", "set", "--size", "8"], "from 32 to 8192"),
        (["-o", "set", "--workers", "0"], "from 1 to 256"),
        (["-o", "set", "--max-outside", "2"], "from 0 to 1"),
        (["-o", "set", "--faces", "some"], "invalid choice"),
    ],
)
def test_usage_errors(flags: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["prepare", "pictures", *flags])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
