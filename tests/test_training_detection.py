"""Training sets without landmarks: faces are found and cut out, skipped pictures are named."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import pytest
import torch
from PIL import Image

from conftest import ASTRONAUT, DATA
from faces import make_picture
from tps_portrait import DatasetError
from tps_portrait.ops.landmarks import CROP_EYE_CENTER, eye_centers
from tps_portrait.training.data import load_faces
from tps_portrait.training.detection import _landmarker


@pytest.fixture(scope="module")
def portraits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as people have them: portraits of any size, and other things."""
    folder = tmp_path_factory.mktemp("pictures")
    astronaut = Image.open(ASTRONAUT).convert("RGB")
    astronaut.save(folder / "astronaut.jpg")
    Image.open(DATA / "grace_hopper.jpg").save(folder / "hopper.png")
    Image.open(DATA / "mona_lisa.jpg").save(folder / "lisa.JPG", format="JPEG")
    (folder / "more").mkdir()
    astronaut.rotate(20).crop((60, 0, 420, 360)).save(folder / "more" / "turned.webp")
    astronaut.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / "mirrored.bmp")
    make_picture(0, 128).save(folder / "landscape.png")
    astronaut.resize((90, 90)).save(folder / "thumbnail.png")
    (folder / "broken.jpg").write_bytes(b"not a picture")
    (folder / "notes.txt").write_text("not even meant as one")
    return folder


class TestDetection:
    def test_cuts_faces_and_names_what_it_skips(
        self, portraits: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.WARNING, "tps_portrait"):
            faces = load_faces(portraits, 128)
        assert set(faces.names) == {
            "astronaut.jpg",
            "hopper.png",
            "lisa.JPG",
            "mirrored.bmp",
            str(Path("more") / "turned.webp"),
        }
        assert faces.images.shape == (5, 3, 128, 128)
        assert faces.masks.shape == (5, 1, 128, 128)
        assert "5 faces found, 3 pictures skipped" in caplog.text
        assert "landscape.png: no face found" in caplog.text
        assert "thumbnail.png: the face is too small" in caplog.text
        assert "broken.jpg: the picture" in caplog.text
        assert "notes.txt" not in caplog.text

    def test_crops_are_upright_and_framed_as_the_photos(self, portraits: Path) -> None:
        eyes = eye_centers(load_faces(portraits, 128).landmarks)
        middle, axis = eyes.mean(1), eyes[:, 1] - eyes[:, 0]
        assert (middle - torch.tensor(CROP_EYE_CENTER)).abs().max() < 0.02
        assert torch.atan2(axis[:, 1], axis[:, 0]).abs().max() < 0.02

    def test_landmarks_fit_the_crop(self, portraits: Path) -> None:
        """Detecting again in the crop finds the same points."""
        faces = load_faces(portraits, 256)
        found = _landmarker().detect(faces.images, max_faces=1)
        again = torch.stack([face[0].landmarks for face in found]) / 128 - 1
        assert (again - faces.landmarks).norm(dim=-1).median() < 0.02

    def test_too_few_faces(self, portraits: Path) -> None:
        with pytest.raises(DatasetError) as caught:
            load_faces(portraits, 128, minimum=6)
        assert "5 faces found in 8 pictures, and at least 6 are needed" in str(caught.value)
        assert "landscape.png: no face found" in str(caught.value)

    def test_limit(self, portraits: Path) -> None:
        assert len(load_faces(portraits, 128, limit=2, minimum=1)) == 2

    def test_dataset_without_landmarks(self) -> None:
        """Bytes as a Hub dataset holds them, and a mask that has to follow the crop."""
        buffer = io.BytesIO()
        Image.open(ASTRONAUT).save(buffer, format="PNG")
        mask = Image.new("L", (512, 512), 0)
        mask.paste(255, (0, 0, 512, 120))
        rows = [{"image": {"bytes": buffer.getvalue(), "path": None}, "mask": mask}]
        faces = load_faces(rows, 96, minimum=1)
        assert len(faces) == 1
        assert (faces.masks[0, 0, 10] == 255).all()
        assert (faces.masks[0, 0, -1] == 0).all()
