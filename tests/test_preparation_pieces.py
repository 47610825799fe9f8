"""The parts of `prepare`: sharpness, framing, near-duplicates, given crops, contact sheets."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageFilter
from torch import Tensor

from faces import EXAMPLES, make_landmarks
from tps_portrait import DatasetError
from tps_portrait.ops.landmarks import flip_landmarks, mean_face
from tps_portrait.preparation import Crop, PrepareOptions, collect_pictures, prepare_folder
from tps_portrait.preparation.duplicates import find_duplicates
from tps_portrait.preparation.quality import difference_hash, outside, sharpness
from tps_portrait.preparation.sheets import draw_sheet
from tps_portrait.processing.faces import FaceCrop

SYNTHETIC = EXAMPLES.parents[1] / "photos" / "synthetic"
OPTIONS = PrepareOptions(size=128)


def pixels(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)


def rows_of(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]


def bits_apart(first: str, second: str) -> float:
    return (int(first, 16) ^ int(second, 16)).bit_count() / 512


@pytest.fixture(scope="module")
def faces() -> list[tuple[Image.Image, Tensor]]:
    """Five of the drawn and five of the rendered pictures, with their landmarks."""
    found = []
    for folder in (EXAMPLES, SYNTHETIC):
        for row in rows_of(folder)[:5]:
            picture = Image.open(folder / str(row["file_name"])).convert("RGB").resize((256, 256))
            found.append((picture, torch.tensor(row["landmarks"])))
    return found


class TestSharpness:
    def test_falls_with_blur_past_the_limit(self, faces: list[tuple[Image.Image, Tensor]]) -> None:
        for picture, landmarks in faces:
            values = [
                sharpness(pixels(picture.filter(ImageFilter.GaussianBlur(sigma))), landmarks)
                for sigma in (0, 1, 2, 8)
            ]
            assert values == sorted(values, reverse=True)
            assert values[0] > 0.5
            assert values[3] < OPTIONS.min_sharpness < values[1]

    def test_background_does_not_count(self, faces: list[tuple[Image.Image, Tensor]]) -> None:
        picture, landmarks = faces[0]
        soft = picture.filter(ImageFilter.GaussianBlur(5))
        points = (landmarks[17:] + 1) * 128
        box = [int(v) for v in (*points.amin(0) - 4, *points.amax(0) + 4)]
        soft.paste(picture.crop(box), box[:2])
        sharp = sharpness(pixels(picture), landmarks)
        assert sharpness(pixels(soft), landmarks) == pytest.approx(sharp, rel=0.02)

    def test_even_surface(self) -> None:
        grey = torch.full((3, 200, 200), 90, dtype=torch.uint8)
        assert sharpness(grey, mean_face()) < 0.05

    def test_landmarks_off_the_picture(self, faces: list[tuple[Image.Image, Tensor]]) -> None:
        assert np.isfinite(sharpness(pixels(faces[0][0]), mean_face() + 1.8))


class TestOutside:
    @pytest.mark.parametrize(
        ("offset", "share", "sides"),
        [
            ((0, 0), 0.0, {}),
            ((50, 0), 0.25, {"left": 0.25}),
            ((0, -100), 0.5, {"bottom": 0.5}),
            ((50, 100), 0.625, {"left": 0.25, "top": 0.5}),
        ],
    )
    def test_share(self, offset: tuple[int, int], share: float, sides: dict[str, float]) -> None:
        """A crop of 200 px in the middle of a picture of 200 px, moved."""
        matrix = torch.tensor([[100.0, 0, 100 - offset[0]], [0, 100.0, 100 - offset[1]]])
        crop = FaceCrop(matrix, mean_face())
        assert outside(crop, (200, 200)) == (pytest.approx(share), pytest.approx(sides))


class TestHash:
    def test_other_faces_are_far_and_copies_near(
        self, faces: list[tuple[Image.Image, Tensor]]
    ) -> None:
        hashes = [difference_hash(pixels(picture)) for picture, _ in faces]
        for index, (picture, _) in enumerate(faces):
            darker = ImageEnhance.Brightness(picture).enhance(0.85)
            for copy in (picture.resize((150, 150)), darker, picture.convert("L")):
                near = bits_apart(difference_hash(pixels(copy)), hashes[index])
                assert near <= OPTIONS.duplicates
            others = hashes[:index] + hashes[index + 1 :]
            assert min(bits_apart(hashes[index], other) for other in others) > 0.12


class TestDuplicates:
    def crop(self, name: str, landmarks: Tensor, digits: str, **changes: object) -> Crop:
        points = tuple((float(x), float(y)) for x, y in landmarks)
        whole = Crop(name, points, 400.0, 0.7, 0.0, (digits * 128, "5" * 128))
        return replace(whole, **changes)  # type: ignore[arg-type]

    def test_keeps_the_best_one(self) -> None:
        face = mean_face()
        small = self.crop("a", face, "0", side=300.0)
        soft = self.crop("b", face, "0", sharpness=0.5)
        best = self.crop("c", face, "0")
        twin = self.crop("d", face, "0")
        assert find_duplicates([small, soft, best, twin], 0.05) == {0: 2, 1: 2, 3: 2}
        assert find_duplicates([best], 0.05) == {}

    def test_a_smile_is_no_copy(self) -> None:
        """Two pictures of one person hash alike; another mouth is something to learn from."""
        smile = mean_face()
        smile[48:55, 0] *= 1.25
        first, second = self.crop("a", mean_face(), "0"), self.crop("b", smile, "0")
        assert find_duplicates([first, second], 0.08) == {}

    def test_hash_decides_for_equal_landmarks(self) -> None:
        first, second = self.crop("a", mean_face(), "0"), self.crop("b", mean_face(), "1")
        assert find_duplicates([first, second], 0.24) == {}
        assert find_duplicates([first, second], 0.25) == {1: 0}

    def test_mirrored(self) -> None:
        face = make_landmarks(1)[0]
        first = self.crop("a", face, "0", hashes=("0" * 128, "3" * 128))
        second = self.crop("b", flip_landmarks(face), "3", hashes=("3" * 128, "0" * 128))
        assert find_duplicates([first, second], 0.0) == {1: 0}


def test_what_is_passed_over_is_not_read(tmp_path: Path) -> None:
    """Neither pictures nor the metadata of an output folder and of hidden ones."""
    for folder in (".cache", "out"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "metadata.jsonl").write_text("damaged")
        (tmp_path / folder / "crop.png").touch()
    (tmp_path / "me.png").touch()
    (picture,) = collect_pictures(tmp_path, skip=tmp_path / "out")
    assert picture.name == "me.png"
    with pytest.raises(DatasetError, match=r"out/metadata\.jsonl, line 1"):
        collect_pictures(tmp_path)


class TestGivenCrops:
    @pytest.fixture
    def source(self, tmp_path: Path) -> Path:
        """Crops with landmarks, as a style set has them, with a matte."""
        folder = tmp_path / "in"
        (folder / "masks").mkdir(parents=True)
        rows = rows_of(SYNTHETIC)[:4]
        for row in rows:
            shutil.copy(SYNTHETIC / str(row["file_name"]), folder)
            Image.new("L", (64, 64)).save(folder / "masks" / str(row["file_name"]))
        rows[1]["landmarks"] = (torch.tensor(rows[1]["landmarks"]) * 192 + 192).tolist()
        rows[2]["landmarks"] = flip_landmarks(torch.tensor(rows[2]["landmarks"])).tolist()[:60]
        Image.open(folder / "00003.jpg").crop((0, 0, 384, 300)).save(folder / "00003.jpg")
        (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return folder

    def test_are_copied_with_what_is_known_of_them(self, source: Path, tmp_path: Path) -> None:
        result = prepare_folder(source, tmp_path / "out", PrepareOptions(license="ours"))
        assert (tmp_path / "out" / "00000.jpg").read_bytes() == (source / "00000.jpg").read_bytes()
        assert rows_of(tmp_path / "out") == rows_of(source)[:1], "with seed, source and licence"
        assert {item.picture: item.detail.split(":")[0] for item in result.left_out} == {
            "00001.jpg": "landmarks must be normalised to [-1, 1]; they look like pixels",
            "00002.jpg": "landmarks has shape (60, 2), not (68, 2)",
            "00003.jpg": "it has landmarks, but is no square crop (384x300); remove the field "
            "`landmarks` of its row to have the face found and cut out",
        }

    def test_odd_framing_is_noted(self, tmp_path: Path) -> None:
        row = rows_of(SYNTHETIC)[0]
        picture = Image.open(SYNTHETIC / "00000.jpg")
        wide = Image.new("RGB", (768, 768), (90, 90, 90))
        wide.paste(picture, (192, 192))
        (tmp_path / "in").mkdir()
        wide.save(tmp_path / "in" / "00000.png")
        landmarks = (torch.tensor(row["landmarks"]) / 2).tolist()
        text = json.dumps({"file_name": "00000.png", "landmarks": landmarks})
        (tmp_path / "in" / "metadata.jsonl").write_text(text + "\n")
        options = PrepareOptions(min_sharpness=0)
        ((_, crop),) = prepare_folder(tmp_path / "in", tmp_path / "out", options).crops
        (note,) = crop.notes
        assert note.startswith("framed differently: eyes around 50%,")

    def test_rows_of_a_set_with_splits(self, source: Path) -> None:
        """`train/metadata.jsonl` counts for `train/`, and mattes are no pictures."""
        pictures = collect_pictures(source.parent)
        assert [picture.name for picture in pictures] == [f"in/0000{i}.jpg" for i in range(4)]
        assert all("seed" in picture.fields for picture in pictures)


class TestSheet:
    def test_draws_landmarks_captions_and_frames(self, tmp_path: Path) -> None:
        rows = rows_of(SYNTHETIC)[:9]
        shown = [
            Crop(
                file_name=str(row["file_name"]),
                landmarks=tuple((float(x), float(y)) for x, y in row["landmarks"]),  # type: ignore[attr-defined]
                side=384.0,
                sharpness=0.5,
                outside=0.0,
                hashes=("0", "0"),
                notes=("look",) if index == 8 else (),
            )
            for index, row in enumerate(rows)
        ]
        sheet = np.asarray(draw_sheet(SYNTHETIC, shown)).astype(int)
        assert sheet.shape == (2 * 214 + 6, 8 * 198 + 6, 3)
        amber = (abs(sheet - (240, 170, 40)).sum(-1) < 12).sum(1)
        assert amber[:200].max() < 30
        assert amber[216:].max() > 150
        # The person's right eye is marked warm, the left one cool.
        right, left = (
            sheet[6:198, 6:198][
                tuple(
                    slice(int(v.min()), int(v.max()) + 1)
                    for v in ((np.array(shown[0].landmarks)[eye] + 1) * 96).T[::-1]
                )
            ]
            for eye in (slice(36, 42), slice(42, 48))
        )
        assert (right[..., 0] - right[..., 2] > 100).any()
        assert (left[..., 2] - left[..., 0] > 100).any()
