"""The data that comes with the examples, and the page that says how to prepare more."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from PIL import Image, ImageOps

from conftest import ASTRONAUT, DATA
from readme_blocks import find_blocks, run_block
from tps_portrait.ops.landmarks import to_pixels
from tps_portrait.training.data import load_faces

EXAMPLES = Path(__file__).parents[1] / "examples" / "data"
SYNTHETIC = EXAMPLES / "photos" / "synthetic"
CARDED = [SYNTHETIC, *sorted(path for path in (EXAMPLES / "styles").iterdir() if path.is_dir())]


def rows_of(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]


def test_synthetic_photos_are_complete() -> None:
    rows = rows_of(SYNTHETIC)
    assert len(rows) == 34
    assert sorted(p.name for p in SYNTHETIC.glob("*.jpg")) == [row["file_name"] for row in rows]
    assert {row["license"] for row in rows} == {"CC0-1.0"}
    assert len({row["seed"] for row in rows}) == 34
    faces = load_faces(SYNTHETIC, 64)
    assert len(faces) == 34
    assert faces.credits == ("tps_portrait renders of CC0 MakeHuman heads (CC0-1.0)",)


@pytest.mark.parametrize("folder", CARDED, ids=lambda folder: folder.name)
def test_dataset_card_describes_the_set(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`datasets` reads the features from the card and refuses data that differ from them."""
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    rows = rows_of(folder)
    card = yaml.safe_load((folder / "README.md").read_text("utf-8").split("---\n")[1])
    assert {row["license"] for row in rows} == {card["license"].upper()}
    assert card["dataset_info"]["splits"] == [{"name": "train", "num_examples": len(rows)}]
    found = datasets.load_dataset(str(folder), cache_dir=str(tmp_path), split="train")
    named = [feature["name"] for feature in card["dataset_info"]["features"]]
    assert list(found.features) == named
    assert found[0]["landmarks"] == rows[0]["landmarks"]
    assert found[0]["image"].size[0] == found[0]["image"].size[1]


def test_preparing_pictures_as_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The Python block of the page turns a folder of portraits into a training set."""
    (tmp_path / "photos").mkdir()
    for source in (ASTRONAUT, DATA / "grace_hopper.jpg", DATA / "mona_lisa.jpg"):
        picture = ImageOps.scale(Image.open(source).convert("RGB"), 2.5)
        picture.save(tmp_path / "photos" / source.name)
    (block,) = (
        block
        for block in find_blocks((EXAMPLES / "README.md").read_text("utf-8"))
        if block.language == "python"
    )
    monkeypatch.chdir(tmp_path)
    run_block(block, tmp_path, {})
    assert capsys.readouterr().out.startswith("3 crops from 3 pictures\n")
    prepared = load_faces("training-set", 128)
    assert len(prepared) == 3
    assert prepared.credits == ("my camera",)


class TestMattes:
    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """Three renders before one plain colour, as a studio has it."""
        pytest.importorskip("cv2")
        folder = tmp_path_factory.mktemp("mattes")
        rows = rows_of(SYNTHETIC)[7:10]
        for row in rows:
            shutil.copy(SYNTHETIC / str(row["file_name"]), folder)
        (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return folder

    def run(self, folder: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(EXAMPLES / "mattes.py"), str(folder)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def test_person_is_white_and_background_black(self, folder: Path) -> None:
        done = self.run(folder)
        assert done.returncode == 0, done.stderr
        assert "3 mattes" in done.stdout
        assert [row["mask"] for row in rows_of(folder)] == [
            f"masks/{Path(str(row['file_name'])).stem}.png" for row in rows_of(folder)
        ]
        faces = load_faces(folder, 256)
        for mask, landmarks in zip(faces.masks[:, 0], faces.landmarks, strict=True):
            inner = to_pixels(landmarks[17:], (256, 256)).long()
            assert (mask[inner[:, 1], inner[:, 0]] > 200).float().mean() > 0.95
            assert (mask[:20, :20] < 50).all()
            assert (mask[:20, -20:] < 50).all()
            assert 0.2 < (mask > 127).float().mean() < 0.85

    def test_again_gives_the_same(self, folder: Path) -> None:
        self.run(folder)
        before = {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        self.run(folder)
        after = {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        assert after == before

    def test_folder_without_metadata(self, folder: Path, tmp_path: Path) -> None:
        done = self.run(tmp_path)
        assert done.returncode != 0
        assert done.stderr.startswith("error: ")
        assert "metadata.jsonl" in done.stderr
