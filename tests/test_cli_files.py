"""Inputs and outputs of the command line: what is read, where it goes, what is never lost."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from tps_portrait import InputImageError, OutputError
from tps_portrait.cli.files import collect_inputs, plan_outputs, save_picture


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with some pictures and other files."""
    monkeypatch.chdir(tmp_path)
    for name in ("b.JPG", "a.png", ".hidden.png", "notes.txt", "deep/c.webp"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.touch()
    return tmp_path


class TestCollect:
    def test_folder_gives_its_pictures_in_order(self, folder: Path) -> None:
        assert collect_inputs(["photos"]) == ["photos/a.png", "photos/b.JPG"]

    def test_glob_goes_deep_and_keeps_order(self, folder: Path) -> None:
        assert collect_inputs(["photos/**/*"]) == [
            "photos/a.png",
            "photos/b.JPG",
            "photos/deep/c.webp",
        ]

    def test_each_picture_once(self, folder: Path) -> None:
        found = collect_inputs(["photos/b.JPG", "photos", f"{folder}/photos/a.png"])
        assert found == ["photos/b.JPG", "photos/a.png"]

    def test_named_files_and_urls_are_kept(self, folder: Path) -> None:
        named = ["photos/notes.txt", "absent.jpg", "https://example.org/a%20b.jpg?x=1"]
        assert collect_inputs(named) == named

    def test_existing_name_with_glob_characters(self, folder: Path) -> None:
        (folder / "me[1].png").touch()
        assert collect_inputs(["me[1].png"]) == ["me[1].png"]

    @pytest.mark.parametrize("item", ["empty", "photos/*.tiff"])
    def test_nothing_found(self, folder: Path, item: str) -> None:
        (folder / "empty").mkdir()
        with pytest.raises(InputImageError, match="holds no picture"):
            collect_inputs([item])

    @pytest.mark.parametrize("item", ["empty", "photos/*.tiff"])
    def test_nothing_found_among_others(self, folder: Path, item: str) -> None:
        (folder / "empty").mkdir()
        assert collect_inputs([item, "photos/a.png"]) == [item, "photos/a.png"]


class TestPlan:
    def test_file(self, folder: Path) -> None:
        (job,) = plan_outputs(["photos/a.png"], "new/deep/out.jpg", label="ink")
        assert job.target == Path("new/deep/out.jpg")
        assert job.target.parent.is_dir()

    @pytest.mark.parametrize("out", ["drawn", "drawn.d/", "photos"])
    def test_folder(self, folder: Path, out: str) -> None:
        jobs = plan_outputs(["photos/a.png", "photos/b.JPG"], out, label="ink", suffix=".jpg")
        assert [job.target for job in jobs] == [Path(out, "a-ink.jpg"), Path(out, "b-ink.jpg")]

    def test_names_stay_apart(self, folder: Path) -> None:
        sources = ["x/a.png", "x/A.jpg", "https://example.org/a.gif?size=2", "https://example.org/"]
        jobs = plan_outputs(sources, "drawn", label="ink")
        names = [job.target.name for job in jobs]
        assert names == ["a-ink.png", "A-ink-2.png", "a-ink-3.png", "portrait-ink.png"]

    def test_one_file_for_several(self, folder: Path) -> None:
        with pytest.raises(OutputError, match=r"2 pictures. Give a folder: -o out/"):
            plan_outputs(["photos/a.png", "photos/b.JPG"], "out.png", label="ink")

    def test_unknown_format(self, folder: Path) -> None:
        with pytest.raises(OutputError, match=r"\.mp4 is not a format"):
            plan_outputs(["photos/a.png"], "out.mp4", label="ink")

    @pytest.mark.parametrize("link", ["same", "symbolic", "hard", "spelling"])
    def test_input_is_never_overwritten(self, folder: Path, link: str) -> None:
        source, target = folder / "photos/a.png", folder / "out.png"
        if link == "same":
            target = source
        elif link == "symbolic":
            target.symlink_to(source)
        elif link == "hard":
            os.link(source, target)
        else:
            target = folder / "photos/deep/../a.png"
        with pytest.raises(OutputError, match="never overwritten"):
            plan_outputs([str(source)], str(target), label="ink", overwrite=True)

    def test_another_input_is_not_overwritten_either(self, folder: Path) -> None:
        (folder / "photos/a-ink.png").touch()
        with pytest.raises(OutputError, match="never overwritten"):
            plan_outputs(collect_inputs(["photos"]), "photos", label="ink", overwrite=True)

    def test_results_are_overwritten_only_on_request(self, folder: Path) -> None:
        (folder / "out.png").touch()
        with pytest.raises(OutputError, match="--overwrite"):
            plan_outputs(["photos/a.png"], "out.png", label="ink")
        assert plan_outputs(["photos/a.png"], "out.png", label="ink", overwrite=True)

    def test_no_name(self, folder: Path) -> None:
        with pytest.raises(OutputError, match="has no name"):
            plan_outputs(["photos/a.png"], "", label="ink")

    def test_name_that_is_too_long(self, folder: Path) -> None:
        (job,) = plan_outputs(["photos/a.png"], "x" * 300 + ".png", label="ink")
        with pytest.raises(OutputError, match=r"too long.*Choose another place"):
            save_picture(Image.new("RGB", (32, 32)), job.target)

    @pytest.mark.parametrize("out", ["photos/notes.txt/out.png", "/proc/nowhere/", "a\0b/"])
    def test_place_that_cannot_be_written(self, folder: Path, out: str) -> None:
        with pytest.raises(OutputError, match="Cannot write to"):
            plan_outputs(["photos/a.png"], out, label="ink")


class TestSave:
    @pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tiff", ".bmp", ".JPEG"])
    @pytest.mark.parametrize("mode", ["RGB", "RGBA"])
    def test_every_format(self, tmp_path: Path, suffix: str, mode: str) -> None:
        color = (200, 30, 60, 255)[: len(mode)]
        target = tmp_path / f"x{suffix}"
        save_picture(Image.new(mode, (16, 8), color), target)
        with Image.open(target) as image:
            assert image.size == (16, 8)
            assert image.convert("RGB").getpixel((8, 4)) == pytest.approx((200, 30, 60), abs=6)
        assert list(tmp_path.iterdir()) == [target]

    def test_transparent_becomes_white_where_it_must(self, tmp_path: Path) -> None:
        clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
        save_picture(clear, tmp_path / "x.jpg")
        with Image.open(tmp_path / "x.jpg") as image:
            assert image.getpixel((4, 4)) == (255, 255, 255)
        save_picture(clear, tmp_path / "x.png")
        with Image.open(tmp_path / "x.png") as image:
            assert image.getpixel((4, 4)) == (0, 0, 0, 0)

    def test_failure_keeps_the_old_file(self, tmp_path: Path) -> None:
        target = tmp_path / "x.webp"
        target.write_bytes(b"old")
        with pytest.raises(OutputError, match=r"Cannot write .*x\.webp"):
            save_picture(Image.new("RGB", (17000, 1)), target)
        assert target.read_bytes() == b"old"
        assert list(tmp_path.iterdir()) == [target]
