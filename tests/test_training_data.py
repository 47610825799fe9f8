"""Training sets: folders, `datasets` objects, detection, friendly reports, pairing."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from faces import make_landmarks, make_picture, write_faces, write_metadata
from tps_portrait import DatasetError
from tps_portrait.ops.landmarks import (
    apply_affine,
    fit_similarity,
    flip_landmarks,
)
from tps_portrait.training.data import (
    FaceSet,
    PairDataset,
    load_faces,
    pairing_energy,
    template_of,
    to_float,
)


def face_set(count: int, seed: int = 0, side: int = 16) -> FaceSet:
    """Faces whose picture shows their number in its left half."""
    images = torch.zeros(count, 3, side, side, dtype=torch.uint8)
    images[..., : side // 2] = torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1) + 1
    names = tuple(f"face-{i}" for i in range(count))
    masks = torch.full((count, 1, side, side), 255, dtype=torch.uint8)
    return FaceSet(images, make_landmarks(count, seed), names, masks)


def memory_rows(count: int) -> list[dict[str, Any]]:
    landmarks = make_landmarks(count).tolist()
    return [{"image": make_picture(i), "landmarks": landmarks[i]} for i in range(count)]


class TestFolder:
    def test_reads_pictures_and_landmarks(self, tmp_path: Path) -> None:
        rows = write_faces(tmp_path, 3, side=64)
        faces = load_faces(tmp_path, 64)
        assert faces.names == ("face-0.png", "face-1.png", "face-2.png")
        assert faces.images.dtype == torch.uint8
        expected = np.asarray(Image.open(tmp_path / "face-1.png"))
        assert np.array_equal(faces.images[1].permute(1, 2, 0).numpy(), expected)
        torch.testing.assert_close(faces.landmarks[2], torch.tensor(rows[2]["landmarks"]))
        assert (faces.masks == 255).all()
        assert faces.credits == ("test",)

    def test_resizes(self, tmp_path: Path) -> None:
        write_faces(tmp_path, 1, side=100)
        faces = load_faces(tmp_path, 64)
        assert faces.images.shape == (1, 3, 64, 64)
        original = torch.from_numpy(np.array(Image.open(tmp_path / "face-0.png"))).float()
        assert abs(faces.images.float().mean() - original.mean()) < 2

    def test_limit(self, tmp_path: Path) -> None:
        write_faces(tmp_path, 5)
        assert len(load_faces(tmp_path, 64, limit=2)) == 2

    def test_train_subfolder(self, tmp_path: Path) -> None:
        write_faces(tmp_path / "train", 2)
        assert len(load_faces(tmp_path, 64)) == 2

    def test_names_of_columns(self, tmp_path: Path) -> None:
        rows = write_faces(tmp_path, 2)
        for row in rows:
            row["points"] = row.pop("landmarks")
        write_metadata(tmp_path, rows)
        assert len(load_faces(tmp_path, 64, landmarks_column="points")) == 2

    def test_mask_column(self, tmp_path: Path) -> None:
        rows = write_faces(tmp_path, 2)
        (tmp_path / "masks").mkdir()
        matte = Image.new("L", (64, 64), 0)
        matte.paste(255, (16, 0, 48, 64))
        matte.save(tmp_path / "masks" / "face-1.png")
        rows[1]["mask"] = "masks/face-1.png"
        write_metadata(tmp_path, rows)
        masks = load_faces(tmp_path, 64).masks
        assert (masks[0] == 255).all()
        assert (masks[1, 0, :, 16:48] == 255).all()
        assert (masks[1, 0, :, :16] == 0).all()

    def test_rotation_in_exif_is_applied(self, tmp_path: Path) -> None:
        rows = write_faces(tmp_path, 1)
        picture = Image.new("RGB", (64, 64), (0, 0, 0))
        picture.paste((255, 255, 255), (0, 0, 32, 64))
        exif = Image.Exif()
        exif[0x0112] = 3  # upside down
        picture.save(tmp_path / "face-0.png", exif=exif)
        write_metadata(tmp_path, rows)
        image = load_faces(tmp_path, 64).images[0]
        assert (image[..., :30] == 0).all()
        assert (image[..., 34:] == 255).all()

    def test_picture_without_metadata_is_named(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        write_faces(tmp_path, 2)
        make_picture(9).save(tmp_path / "stranger.png")
        with caplog.at_level(logging.WARNING, "tps_portrait"):
            assert len(load_faces(tmp_path, 64)) == 2
        assert "1 pictures have no line in metadata.jsonl" in caplog.text
        assert "stranger.png" in caplog.text

    def test_origins_are_collected(self, tmp_path: Path) -> None:
        rows = write_faces(tmp_path, 3)
        rows[0].update(source="London set", license="CC-BY-4.0")
        rows[1].update(source="London set", license="CC-BY-4.0")
        del rows[2]["source"]
        write_metadata(tmp_path, rows)
        assert load_faces(tmp_path, 64).credits == ("London set (CC-BY-4.0)",)


class TestBadRows:
    def test_all_are_reported_together_with_their_files(self, tmp_path: Path) -> None:
        rows = write_faces(tmp_path, 8)
        good = rows[7]["landmarks"]
        Image.new("RGB", (64, 80)).save(tmp_path / "face-0.png")
        (tmp_path / "face-1.png").write_bytes(b"no picture")
        (tmp_path / "face-2.png").unlink()
        rows[3]["landmarks"] = good[:67]
        rows[4]["landmarks"] = [[300 + 200 * x, 300 + 200 * y] for x, y in good]
        rows[5]["landmarks"] = [[-x, y] for x, y in good]
        rows[6]["landmarks"] = [[float("nan"), 0.0], *good[1:]]
        write_metadata(tmp_path, rows)
        with pytest.raises(DatasetError) as caught:
            load_faces(tmp_path, 64)
        message = str(caught.value)
        assert "7 of 8 pictures cannot be used" in message
        for line in (
            "face-0.png: the picture is 64x80; training needs square face crops",
            "face-1.png: the picture",
            "face-2.png: the picture does not exist",
            "face-3.png: landmarks has shape (67, 2), not (68, 2)",
            "face-4.png: landmarks must be normalised to [-1, 1]; they look like pixels",
            "face-5.png: landmarks: the eyes are swapped",
            "face-6.png: landmarks are not all finite",
        ):
            assert line in message
        assert "face-7.png" not in message

    @pytest.mark.parametrize("value", [None, "text", {"x": 1}, [[1, 2], [3]], [["a", "b"]] * 68, 5])
    def test_landmarks_that_are_none(self, tmp_path: Path, value: object) -> None:
        rows = write_faces(tmp_path, 2)
        rows[1]["landmarks"] = value
        write_metadata(tmp_path, rows)
        with pytest.raises(DatasetError, match=r"face-1\.png: .*landmarks"):
            load_faces(tmp_path, 64)

    def test_long_reports_are_cut(self, tmp_path: Path) -> None:
        rows = write_faces(tmp_path, 30)
        for row in rows:
            row["landmarks"] = []
        write_metadata(tmp_path, rows)
        with pytest.raises(DatasetError, match="… and 10 more"):
            load_faces(tmp_path, 64)

    def test_damaged_mask(self, tmp_path: Path) -> None:
        rows = write_faces(tmp_path, 1)
        rows[0]["mask"] = "gone.png"
        write_metadata(tmp_path, rows)
        with pytest.raises(DatasetError, match=r"face-0\.png: the mask"):
            load_faces(tmp_path, 64)

    @pytest.mark.parametrize("line", ["{", "[]", '"text"', "5", '{"landmarks": []}'])
    def test_damaged_metadata_names_the_line(self, tmp_path: Path, line: str) -> None:
        write_faces(tmp_path, 1)
        with (tmp_path / "metadata.jsonl").open("a") as file:
            file.write(line + "\n")
        with pytest.raises(DatasetError, match=r"metadata\.jsonl, line 2"):
            load_faces(tmp_path, 64)

    def test_line_separators_inside_of_a_field(self, tmp_path: Path) -> None:
        rows = write_faces(tmp_path, 2)
        rows[0]["source"] = "two\u2028lines"
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (tmp_path / "metadata.jsonl").write_text(text, "utf-8")
        assert len(load_faces(tmp_path, 64)) == 2

    def test_metadata_that_is_no_text(self, tmp_path: Path) -> None:
        (tmp_path / "metadata.jsonl").write_bytes(b"\xff\xfe\xff")
        with pytest.raises(DatasetError, match=r"metadata\.jsonl cannot be read"):
            load_faces(tmp_path, 64)

    @pytest.mark.parametrize("content", [None, ""])
    def test_empty_folder(self, tmp_path: Path, content: str | None) -> None:
        if content is not None:
            (tmp_path / "metadata.jsonl").write_text(content)
        with pytest.raises(DatasetError, match="holds no pictures"):
            load_faces(tmp_path, 64)

    def test_neither_folder_nor_dataset(self, tmp_path: Path) -> None:
        with pytest.raises(DatasetError, match="neither a folder nor a dataset"):
            load_faces(tmp_path / "missing", 64)

    @pytest.mark.parametrize("source", [5, [], None])
    def test_no_rows_at_all(self, source: object) -> None:
        with pytest.raises(DatasetError):
            load_faces(source, 64)


class TestDatasets:
    def dataset(self, count: int = 3) -> datasets.Dataset:
        rows = memory_rows(count)
        columns = {name: [row[name] for row in rows] for name in rows[0]}
        return datasets.Dataset.from_dict(columns).cast_column("image", datasets.Image())

    def check(self, faces: FaceSet, count: int = 3) -> None:
        assert len(faces) == count
        assert faces.names[1] == "row 1"
        expected = np.asarray(make_picture(1))
        assert np.array_equal(faces.images[1].permute(1, 2, 0).numpy(), expected)
        torch.testing.assert_close(faces.landmarks[1], make_landmarks(count)[1])

    def test_map_style(self) -> None:
        self.check(load_faces(self.dataset(), 64))

    def test_streaming(self) -> None:
        self.check(load_faces(self.dataset().to_iterable_dataset(), 64))

    def test_streaming_stops_at_the_limit(self) -> None:
        def endless() -> Any:
            while True:
                yield memory_rows(1)[0]

        assert len(load_faces(datasets.IterableDataset.from_generator(endless), 64, limit=3)) == 3

    def test_torch_format(self) -> None:
        self.check(load_faces(self.dataset().with_format("torch"), 64))

    def test_undecoded_pictures(self) -> None:
        dataset = self.dataset().cast_column("image", datasets.Image(decode=False))
        self.check(load_faces(dataset, 64))

    def test_split_of_a_dict(self) -> None:
        splits = datasets.DatasetDict({"train": self.dataset(), "test": self.dataset(2)})
        self.check(load_faces(splits, 64))
        assert len(load_faces(splits, 64, split="test")) == 2
        with pytest.raises(DatasetError, match="no split 'validation'; there are train, test"):
            load_faces(splits, 64, split="validation")

    def test_imagefolder(self, tmp_path: Path) -> None:
        """What `datasets` reads from a folder is what we read from it."""
        write_faces(tmp_path / "set", 3)
        theirs = datasets.load_dataset(
            "imagefolder", data_dir=str(tmp_path / "set"), cache_dir=str(tmp_path / "cache")
        )
        a, b = load_faces(theirs, 64), load_faces(tmp_path / "set", 64)
        assert torch.equal(a.images, b.images)
        torch.testing.assert_close(a.landmarks, b.landmarks)
        assert a.credits == b.credits

    def test_rows_in_memory(self) -> None:
        self.check(load_faces(memory_rows(3), 64))

    def test_no_picture_column(self) -> None:
        with pytest.raises(DatasetError, match="no column 'photo'; there are image, landmarks"):
            load_faces(memory_rows(2), 64, image_column="photo")

    def test_bytes_that_are_no_picture(self) -> None:
        rows = memory_rows(1)
        rows[0]["image"] = {"bytes": b"text", "path": None}
        with pytest.raises(DatasetError, match="row 0: "):
            load_faces(rows, 64)


class TestFaceSet:
    def test_take_and_add(self) -> None:
        faces = face_set(4)
        both = faces.take([2, 0]) + faces.take([3])
        assert both.names == ("face-2", "face-0", "face-3")
        assert both.images[:, 0, 0, 0].tolist() == [3, 1, 4]
        assert torch.equal(both.landmarks, faces.landmarks[[2, 0, 3]])

    def test_to_float(self) -> None:
        pixels = torch.tensor([0, 255], dtype=torch.uint8)
        assert to_float(pixels).tolist() == [-1, 1]


class TestPairing:
    def test_is_deterministic(self) -> None:
        a, b = (PairDataset(face_set(5), face_set(7, 1), seed=3) for _ in range(2))
        for index in (4, 0, 2):
            first, again = a[index], b[index]
            assert all(torch.equal(first[key], again[key]) for key in first)

    def test_epoch_and_seed_choose_others(self) -> None:
        photos, examples = face_set(20), face_set(12, 1)

        def choices(seed: int, epoch: int) -> list[int]:
            dataset = PairDataset(photos, examples, seed=seed)
            dataset.set_epoch(epoch)
            return [int(dataset[i]["example"].max()) for i in range(20)]

        assert choices(0, 0) != choices(0, 1)
        assert choices(0, 0) != choices(1, 0)
        assert choices(2, 3) == choices(2, 3)

    def test_prefers_low_bending_energy(self) -> None:
        photos, examples = face_set(6), face_set(20, 1)
        dataset = PairDataset(photos, examples, pair_fraction=0.2)
        assert dataset.partners.shape == (6, 8)
        both = torch.cat([examples.landmarks, flip_landmarks(examples.landmarks)])
        energy = pairing_energy(photos.landmarks, both)
        for row, kept in zip(energy, dataset.partners, strict=True):
            left_out = [i for i in range(40) if i not in kept.tolist()]
            assert row[kept].max() <= row[left_out].min()

    def test_open_mouths_go_with_open_mouths(self) -> None:
        """Every second face has its mouth open; nothing else tells the pairs apart."""

        def opened(faces: FaceSet) -> FaceSet:
            landmarks = faces.landmarks.clone()
            landmarks[:, 60:68, 1] = landmarks[:, [60, 64], 1].mean(1, keepdim=True)
            landmarks[::2, 61:64, 1] -= 0.05
            landmarks[::2, 65:68, 1] += 0.05
            return FaceSet(faces.images, landmarks, faces.names, faces.masks)

        photos, examples = opened(face_set(6)), opened(face_set(10, 1))
        partners = PairDataset(photos, examples, pair_fraction=0.5).partners % 10
        for index, row in enumerate(partners):
            assert set((row % 2).tolist()) == {index % 2}

    def test_landmarks_and_mask_go_with_the_mirrored_picture(self) -> None:
        photos, examples = face_set(8), face_set(8, 1)
        dataset = PairDataset(photos, examples, pair_fraction=1.0)
        mirrored = 0
        for index in range(8):
            row = dataset[index]
            flipped = bool(row["photo"][0, 0, 0] == 0)
            mirrored += flipped
            expected = photos.landmarks[index]
            expected = flip_landmarks(expected[None])[0] if flipped else expected
            assert torch.equal(row["photo_landmarks"], expected)
            number = int(row["example"].max()) - 1
            expected = examples.landmarks[number]
            turned = bool(row["example"][0, 0, 0] == 0)
            expected = flip_landmarks(expected[None])[0] if turned else expected
            assert torch.equal(row["example_landmarks"], expected)
        assert 0 < mirrored < 8

    def test_a_face_and_its_mirror_image_find_each_other(self) -> None:
        """The only fitting example is mirrored: photo and example must look the same way."""
        photos = face_set(3)
        examples = FaceSet(
            photos.images.flip(-1), flip_landmarks(photos.landmarks), photos.names, photos.masks
        )
        dataset = PairDataset(photos, examples, pair_fraction=1e-9)
        for index in range(3):
            row = dataset[index]
            assert torch.equal(row["photo"], row["example"])
            torch.testing.assert_close(row["photo_landmarks"], row["example_landmarks"])


class TestEnergy:
    def test_zero_for_similar_faces(self) -> None:
        face = make_landmarks(1)
        moved = apply_affine(torch.tensor([[[0.8, -0.2, 0.1], [0.2, 0.8, 0.0]]]), face)
        other = make_landmarks(1, 5, spread=0.1)
        energy = pairing_energy(face, torch.cat([moved, other]))
        assert energy[0, 0].abs() < 1e-5
        assert energy[0, 1] > 1e-3

    def test_chunks_do_not_matter(self) -> None:
        photos, examples = make_landmarks(3), make_landmarks(4, 1)
        whole = pairing_energy(photos, examples)
        torch.testing.assert_close(pairing_energy(photos, examples, chunk=5), whole)


def test_template_is_symmetric_and_has_the_style_s_proportions() -> None:
    examples = face_set(6)
    template = template_of(examples)
    torch.testing.assert_close(flip_landmarks(template[None])[0], template, atol=1e-4, rtol=0)
    laid = apply_affine(fit_similarity(template[None], examples.landmarks), template[None])
    assert (laid - examples.landmarks).norm(dim=-1).mean() < 0.05
