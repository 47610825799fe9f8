"""Face crops, paste-back, geometry and the image processor, without a generator."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from conftest import seeded
from tps_portrait import ConfigError, InputImageError, LandmarkError, PortraitImageProcessor
from tps_portrait.ops.landmarks import CROP_EYE_CENTER, CROP_INTEROCULAR, eye_centers, mean_face
from tps_portrait.processing import Composition, Photo, bend_faces, face_crops, load_photo
from tps_portrait.processing.faces import FaceCrop, bend_face, cut_face, paste_face
from tps_portrait.processing.resample import blend, resize, sample, working_size


def face_at(x: float, y: float, side: float, degrees: float = 0.0) -> Tensor:
    """Landmarks (68, 2) in pixels of a mean face whose crop has this centre, side and turn."""
    turn = math.radians(degrees)
    rotation = torch.tensor([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    return mean_face() @ rotation * (side / 2) + torch.tensor([x, y])


def picture(height: int, width: int) -> Tensor:
    """Smooth seeded colours: (3, H, W) uint8."""
    return torch.from_numpy(seeded(height, width)).permute(2, 0, 1)


def difference(a: Tensor, b: Tensor) -> Tensor:
    """Largest difference of the channels at each pixel."""
    return (a.int() - b.int()).abs().amax(0)


class TestFaceCrop:
    @pytest.mark.parametrize("degrees", [0, 25, -90, 180])
    def test_puts_the_face_where_training_photos_have_it(self, degrees: float) -> None:
        crop = FaceCrop.around(face_at(300, 200, 180, degrees), (400, 600))
        eyes = eye_centers(crop.crop_landmarks)
        assert torch.allclose(eyes.mean(0), torch.tensor(CROP_EYE_CENTER), atol=1e-4)
        assert torch.allclose(eyes[1] - eyes[0], torch.tensor([CROP_INTEROCULAR, 0.0]), atol=1e-4)
        assert crop.side == pytest.approx(180, rel=0.01)

    def test_there_and_back(self) -> None:
        crop = FaceCrop.around(face_at(300, 200, 180, 33), (400, 600))
        points = torch.randn(50, 2)
        assert torch.allclose(crop.to_crop(crop.to_picture(points)), points, atol=1e-5)

    def test_head_turned_aside_is_not_cut_tighter(self) -> None:
        frontal = face_at(300, 200, 180)
        turned = frontal.clone()
        turned[:, 0] = 300 + (turned[:, 0] - 300) * 0.5
        ratio = FaceCrop.around(turned, (400, 600)).side / FaceCrop.around(frontal, (400, 600)).side
        assert 0.9 < ratio < 1.0

    def test_bounds_stay_inside_the_picture(self) -> None:
        crop = FaceCrop.around(face_at(20, 380, 180, 45), (400, 600))
        left, top, right, bottom = crop.bounds((400, 600))
        assert (left, bottom) == (0, 400)
        assert right > 100
        assert top < 300

    def test_faces_outside_are_left_out_and_the_largest_comes_first(self) -> None:
        faces = [face_at(100, 100, 60), face_at(300, 200, 150), face_at(2000, 100, 200)]
        crops = face_crops(faces, (400, 600))
        assert [round(crop.side) for crop in crops] == [150, 60]

    def test_coinciding_eyes(self) -> None:
        points = torch.full((68, 2), 50.0)
        with pytest.raises(LandmarkError, match="eyes coincide"):
            FaceCrop.around(points, (100, 100))


class TestCutAndPaste:
    def test_upright_crop_of_the_same_scale_is_a_copy(self) -> None:
        pixels = picture(400, 600)
        crop = FaceCrop(torch.tensor([[64.0, 0, 264], [0, 64.0, 164]]), mean_face())
        assert torch.equal(cut_face(pixels, crop, 128), pixels[:, 100:228, 200:328])

    def test_turned_crop(self) -> None:
        pixels = picture(400, 600)
        crop = FaceCrop(torch.tensor([[0.0, -64, 264], [64.0, 0, 164]]), mean_face())
        expected = pixels[:, 100:228, 200:328].rot90(1, (1, 2))
        assert difference(cut_face(pixels, crop, 128), expected).max() <= 1

    def test_large_face_is_averaged_and_does_not_alias(self) -> None:
        stripes = torch.zeros(3, 1024, 1024, dtype=torch.uint8)
        stripes[:, :, ::2] = 255
        crop = FaceCrop.around(face_at(512, 512, 900, 20), (1024, 1024))
        face = cut_face(stripes, crop, 64)
        assert (face.float() - 127.5).abs().max() < 12

    def test_border_is_continued(self) -> None:
        pixels = torch.zeros(3, 200, 200, dtype=torch.uint8)
        pixels[0], pixels[0, :, :20] = 10, 200
        crop = FaceCrop.around(face_at(0, 100, 120), (200, 200))
        face = cut_face(pixels, crop, 64)
        assert (face[0, :, :30] == 200).all()

    @pytest.mark.parametrize("degrees", [0, 12, -40])
    @pytest.mark.parametrize("side", [48, 128, 300])
    def test_undrawn_face_leaves_no_seam(self, side: int, degrees: float) -> None:
        pixels = picture(400, 600)
        crop = FaceCrop.around(face_at(310, 190, side, degrees), (400, 600))
        canvas = pixels.clone()
        paste_face(canvas, cut_face(pixels, crop, 128), crop)
        assert difference(canvas, pixels).max() <= 4
        assert difference(canvas, pixels).float().mean() < 0.2

    def test_drawn_face_covers_the_head_and_fades_before_the_border(self) -> None:
        canvas = torch.zeros(3, 400, 600, dtype=torch.uint8)
        crop = FaceCrop.around(face_at(310, 190, 200, 15), (400, 600))
        paste_face(canvas, torch.full((3, 128, 128), 255, dtype=torch.uint8), crop)
        inside = sample(canvas, crop.to_picture(crop.crop_landmarks)[None])
        assert (inside[:, 0, 17:68] > 0.99).all()
        edge = torch.linspace(-1, 1, 50)
        frame = torch.cat(
            [
                torch.stack(p, -1)
                for one in (-edge[-1:], edge[-1:])
                for p in ((edge, one.expand(50)), (one.expand(50), edge))
            ]
        )
        assert not sample(canvas, crop.to_picture(frame)[None]).any()
        steps = canvas[0].int().diff(dim=1).abs()
        assert steps.max() < 255 / 10

    def test_face_cut_off_by_the_picture(self) -> None:
        canvas = picture(200, 200)
        before = canvas.clone()
        crop = FaceCrop.around(face_at(195, 5, 150, 10), (200, 200))
        paste_face(canvas, cut_face(before, crop, 64), crop)
        assert difference(canvas, before).max() <= 6

    def test_large_pasted_face_is_worked_in_strips(self) -> None:
        pixels = resize(picture(400, 400), (2400, 2400))
        crop = FaceCrop.around(face_at(1200, 1100, 2200, 8), (2400, 2400))
        canvas = pixels.clone()
        paste_face(canvas, cut_face(pixels, crop, 512), crop)
        assert difference(canvas, pixels).max() <= 4


class TestGeometry:
    @staticmethod
    def shifted(amount: float, size: int = 64) -> Tensor:
        ticks = (torch.arange(size) * 2 + 1) / size - 1
        grid = torch.stack(torch.meshgrid(ticks, ticks, indexing="xy"), -1)
        return grid + torch.tensor([amount, 0.0])

    def test_identity_grid_changes_nothing(self) -> None:
        pixels = picture(300, 300)
        crop = FaceCrop.around(face_at(150, 150, 120, 20), (300, 300))
        assert difference(bend_face(pixels, crop, self.shifted(0)), pixels).max() <= 1

    def test_moves_the_face_and_nothing_outside_of_the_crop(self) -> None:
        pixels = picture(300, 300)
        crop = FaceCrop(torch.tensor([[60.0, 0, 150], [0, 60.0, 150]]), mean_face())
        bent = bend_face(pixels, crop, self.shifted(0.1))
        middle = slice(120, 180)
        assert difference(bent[:, middle, middle], pixels[:, middle, 126:186]).max() <= 2
        assert torch.equal(bent[:, :90], pixels[:, :90])
        assert torch.equal(bent[:, :, 210:], pixels[:, :, 210:])
        edge = difference(bent[:, :, 90:93], pixels[:, :, 90:93])
        assert edge.max() <= 3

    def test_strong_change_does_not_fold(self) -> None:
        ramp = torch.arange(300, dtype=torch.float32).expand(1, 300, 300) / 300
        crop = FaceCrop(torch.tensor([[60.0, 0, 150], [0, 60.0, 150]]), mean_face() * 60 + 150)
        bent = bend_face(ramp, crop, self.shifted(0.5))
        assert float(bent.diff(dim=2).min()) > 0
        assert float((bent - ramp).max()) > 0.01

    def test_face_turned_aside_keeps_its_geometry(self) -> None:
        pixels, profile = picture(300, 300), mean_face() * 60 + 150
        profile[30, 0] = profile[16, 0]  # the tip of the nose before the far cheek
        crop = FaceCrop(torch.tensor([[60.0, 0, 150], [0, 60.0, 150]]), profile)
        assert crop.facing == 0
        assert FaceCrop(crop.matrix, mean_face() * 60 + 150).facing > 0.9
        assert torch.equal(bend_face(pixels, crop, self.shifted(0.1)), pixels)

    def test_opacity_is_bent_alike(self) -> None:
        planes = picture(300, 300)
        photo = Photo(planes, planes[0].clone(), "test")
        crops = face_crops([face_at(150, 150, 120)], (300, 300))
        bent = bend_faces(photo, crops, lambda points, n: self.shifted(0.1, n))
        assert bent.alpha is not None
        assert torch.equal(bent.alpha, bent.pixels[0])
        assert difference(bent.pixels, planes).max() > 3


class TestResampling:
    @pytest.mark.parametrize(
        ("size", "scale", "expected"),
        [
            ((300, 400), 1.0, (300, 400)),
            ((300, 400), 2.0, (600, 800)),
            ((3000, 4000), 1.0, (768, 1024)),
            ((32, 4000), 1.0, (32, 1024)),
            ((300, 400), 0.01, (32, 32)),
            ((64, 60), 50.0, (1024, 960)),
        ],
    )
    def test_working_size(
        self, size: tuple[int, int], scale: float, expected: tuple[int, int]
    ) -> None:
        assert working_size(size, scale, 1024) == expected

    @pytest.mark.parametrize("size", [(30, 45), (200, 310)])
    def test_resize_agrees_with_pillow(self, size: tuple[int, int]) -> None:
        pixels = picture(100, 150)
        expected = np.asarray(
            Image.fromarray(pixels.permute(1, 2, 0).numpy()).resize(
                (size[1], size[0]), Image.Resampling.BICUBIC
            )
        )
        resized = resize(pixels, size).permute(1, 2, 0).numpy()
        assert np.abs(resized.astype(int) - expected).max() <= 2
        floats = resize(pixels.float() / 255, size)
        assert floats.min() >= 0
        assert np.abs(floats.permute(1, 2, 0).numpy() * 255 - expected).max() <= 2

    def test_blend(self) -> None:
        photo, drawing = picture(40, 50), picture(40, 50).flip(1)
        assert blend(photo, drawing, 0) is photo
        assert torch.equal(blend(photo, drawing, 1), drawing)
        half = (photo.float() + drawing.float()) / 2
        assert (blend(photo, drawing, 0.5).float() - half).abs().max() <= 0.51
        floats = blend(photo.float() / 255, drawing, 0.5)
        assert torch.allclose(floats * 255, half, atol=1e-3)


class TestComposition:
    def test_face_and_frame_are_drawn_at_one_scale(self) -> None:
        photo = load_photo(picture(800, 1000))
        crops = face_crops([face_at(500, 400, 400), face_at(800, 300, 200)], photo.size)
        plan = Composition.plan(photo, crops, face_size=128, frame_size=512)
        assert plan.frame == (256, 320)
        assert [tuple(x.shape) for x in plan.inputs()] == [(3, 320, 384)] + 2 * [(3, 128, 128)]

    def test_undrawn_composition_is_the_photo(self) -> None:
        photo = load_photo(picture(160, 200))
        crops = face_crops([face_at(100, 80, 64, 10)], photo.size)
        plan = Composition.plan(photo, crops, face_size=64, frame_size=512)
        inputs = plan.inputs()
        result = plan.result(inputs, 1.0)
        assert difference(result.pixels, photo.pixels).max() <= 3
        assert torch.equal(inputs[0][:, 32:-32, 32:-32], photo.pixels)
        assert plan.result([], 0.0).pixels is photo.pixels

    def test_transparent_parts_are_drawn_white(self) -> None:
        levels = seeded(64, 64, channels=4)
        levels[:20, :, 3], levels[20:, :, 3] = 0, 200
        photo = load_photo(levels)
        plan = Composition.plan(photo, [], face_size=64, frame_size=512)
        (drawing,) = plan.inputs()
        frame = drawing[:, 32:-32, 32:-32]
        assert (frame[:, :20] == 255).all()
        assert torch.equal(frame[:, 20:], photo.pixels[:, 20:])
        result = plan.result([drawing], 1.0)
        assert result.alpha is photo.alpha

    def test_margin_continues_the_border(self) -> None:
        photo = load_photo(picture(40, 50))
        (frame,) = Composition.plan(photo, [], face_size=64, frame_size=512).inputs()
        assert frame.shape == (3, 104, 114)
        assert torch.equal(frame[:, 32:72, 5], photo.pixels[:, :, 0])
        assert torch.equal(frame[:, 100, 32:82], photo.pixels[:, 39])


class TestImageProcessor:
    def test_saved_and_loaded(self, tmp_path: Path) -> None:
        PortraitImageProcessor(face_size=256, frame_size=2048).save_pretrained(tmp_path)
        stored = json.loads((tmp_path / "preprocessor_config.json").read_text())
        assert stored == {
            "face_size": 256,
            "frame_size": 2048,
            "image_processor_type": "PortraitImageProcessor",
        }
        loaded = PortraitImageProcessor.from_pretrained(tmp_path)
        assert (loaded.face_size, loaded.frame_size) == (256, 2048)

    @pytest.mark.parametrize(
        "settings", [{"face_sizes": 256}, {"face_size": 16}, {"frame_size": 512.0}]
    )
    def test_bad_settings(self, settings: dict[str, object]) -> None:
        with pytest.raises(ConfigError, match=next(iter(settings))):
            PortraitImageProcessor(**settings)

    def test_all_levels_survive_there_and_back(self) -> None:
        processor = PortraitImageProcessor()
        levels = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16).expand(3, 16, 16)
        values = processor.to_model(levels)
        assert (values.min(), values.max()) == (-1, 1)
        assert torch.equal(processor.from_model(values), levels)
        (image,) = processor.postprocess(values[None])
        assert np.array_equal(np.asarray(image), levels.permute(1, 2, 0).numpy())

    def test_call(self) -> None:
        processor = PortraitImageProcessor()
        images = [Image.fromarray(seeded(40, 50, seed=s)) for s in (0, 1)]
        values = processor(images)["pixel_values"]
        assert values.shape == (2, 3, 40, 50)
        back = processor.postprocess(values, "np")
        assert np.allclose(back[1] * 255, np.asarray(images[1]), atol=1e-3)
        small = processor(images[0], size=32, return_tensors=None)["pixel_values"]
        assert [tuple(x.shape) for x in small] == [(3, 32, 32)]
        with pytest.raises(InputImageError, match="different sizes"):
            processor([images[0], images[1].resize((60, 60))])
        with pytest.raises(ConfigError, match="return_tensors"):
            processor(images, return_tensors="tf")

    def test_bad_output(self) -> None:
        with pytest.raises(InputImageError, match=r"\(3, 8, 8\)"):
            PortraitImageProcessor().postprocess(torch.zeros(3, 8, 8))
        with pytest.raises(ConfigError, match="'jpeg'"):
            PortraitImageProcessor().postprocess(torch.zeros(1, 3, 8, 8), "jpeg")
