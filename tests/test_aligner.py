"""The aligner moves what lies at landmarks to where it should go, and back."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from faces import make_landmarks
from tps_portrait import LandmarkError, TPSAligner, TPSAlignerConfig
from tps_portrait.models.aligner.modeling_aligner import FEATURES, REGIONS
from tps_portrait.ops.landmarks import apply_affine, fit_similarity, mean_face
from tps_portrait.ops.tps import identity_grid

SIZE = (256, 256)
# Far enough from one another that a blob is alone in its neighbourhood.
MARKS = (0, 4, 8, 12, 16, 19, 24, 30, 36, 45, 48, 54)


def blobs(landmarks: Tensor, size: tuple[int, int] = SIZE, sigma: float = 0.02) -> Tensor:
    """One channel a landmark, each with a smooth dot at it: `(B, N, H, W)`."""
    grid = identity_grid(size)[:, None]
    distance = (grid - landmarks[:, :, None, None]).square().sum(-1)
    return torch.exp(-distance / (2 * sigma**2))


def centres(pictures: Tensor) -> Tensor:
    """Where the dots are, `(B, N, 2)` normalised."""
    weight = pictures.clamp_min(0.05) - 0.05
    grid = identity_grid((pictures.shape[-2], pictures.shape[-1]))[:, None]
    return (weight[..., None] * grid).sum((2, 3)) / weight.sum((2, 3))[..., None]


def pixels(distance: Tensor) -> float:
    """Largest distance, in pixels of a picture of 512."""
    return float(distance.norm(dim=-1).max()) * 256


@pytest.fixture(scope="module")
def aligner() -> TPSAligner:
    return TPSAligner(TPSAlignerConfig())


class TestAlign:
    def test_moves_landmarks_onto_landmarks(self, aligner: TPSAligner) -> None:
        source, target = make_landmarks(3, 0), make_landmarks(3, 1)
        marks = list(MARKS)
        assert pixels(source[:, marks] - target[:, marks]) > 20
        moved = aligner.align(blobs(source[:, marks]), source, target)
        assert pixels(centres(moved) - target[:, marks]) < 1.5

    def test_batch_equals_single(self, aligner: TPSAligner) -> None:
        source, target = make_landmarks(3, 0), make_landmarks(3, 1)
        picture = torch.rand(3, 2, 64, 64)
        together = aligner.align(picture, source, target)
        alone = aligner.align(picture[1:2], source[1:2], target[1:2])
        torch.testing.assert_close(together[1:2], alone, atol=1e-5, rtol=0)

    @pytest.mark.parametrize("frame", ["face", "picture"])
    def test_identity(self, aligner: TPSAligner, frame: str) -> None:
        face, picture = make_landmarks(2), torch.rand(2, 3, 96, 80)
        same = aligner.align(picture, face, face, frame=frame)
        torch.testing.assert_close(same, picture, atol=2e-4, rtol=0)

    def test_inverse_brings_back(self, aligner: TPSAligner) -> None:
        source, target = make_landmarks(2, 3, spread=0.02), make_landmarks(2, 4, spread=0.02)
        picture = blobs(source[:, list(MARKS)])
        there = aligner.align(picture, source, target)
        back = aligner.align(there, target, source)
        assert pixels(centres(back) - source[:, list(MARKS)]) < 1.5
        assert (back - picture).abs().mean() < 0.2 * (there - picture).abs().mean()

    def test_similar_faces_follow_the_similarity_everywhere(self, aligner: TPSAligner) -> None:
        """`frame="face"`: between two faces that differ by a similarity, so does the map."""
        source = mean_face()[None]
        matrix = torch.tensor([[[0.9, -0.1, 0.05], [0.1, 0.9, -0.02]]])
        target = apply_affine(matrix, source)
        grid = aligner.grid(source, target, (64, 64))
        back = apply_affine(fit_similarity(target, source), identity_grid((64, 64)).flatten(1, 2))
        torch.testing.assert_close(grid.flatten(1, 2), back, atol=2e-3, rtol=0)

    def test_frame_of_the_picture_is_held(self, aligner: TPSAligner) -> None:
        source, target = make_landmarks(2, 0), make_landmarks(2, 1)
        corners = identity_grid((64, 64))[:, ::63, ::63]
        held = aligner.grid(source, target, (64, 64), frame="picture")[:, ::63, ::63]
        free = aligner.grid(source, target, (64, 64), frame="face")[:, ::63, ::63]
        assert (held - corners).abs().max() < 0.02
        assert (free - corners).abs().max() > 0.05

    def test_feature_maps_of_any_width(self, aligner: TPSAligner) -> None:
        source, target = make_landmarks(1, 0), make_landmarks(1, 1)
        features = torch.rand(1, 17, 12, 16)
        assert aligner.align(features, source, target).shape == features.shape

    def test_forward_is_align(self, aligner: TPSAligner) -> None:
        source, target = make_landmarks(1, 0), make_landmarks(1, 1)
        picture = torch.rand(1, 3, 32, 32)
        assert torch.equal(aligner(picture, source, target), aligner.align(picture, source, target))

    def test_gradients_reach_landmarks_and_picture(self, aligner: TPSAligner) -> None:
        source = make_landmarks(1, 0).requires_grad_()
        target = make_landmarks(1, 1).requires_grad_()
        picture = blobs(source.detach()[:, :3], (48, 48), 0.2).requires_grad_()
        aligner.align(picture, source, target).square().sum().backward()
        for leaf in (source, target, picture):
            assert leaf.grad is not None
            assert leaf.grad.isfinite().all()
            assert leaf.grad.abs().max() > 0

    @pytest.mark.parametrize("shape", [(68, 2), (1, 5, 2), (1, 68, 3)])
    def test_wrong_shape_is_an_error(self, aligner: TPSAligner, shape: tuple[int, ...]) -> None:
        face = make_landmarks(1)
        with pytest.raises(LandmarkError, match=r"target must be .*\(B, 68, 2\)"):
            aligner.grid(face, torch.zeros(shape), (32, 32))
        with pytest.raises(LandmarkError, match="source"):
            aligner.grid(torch.zeros(shape), face, (32, 32))

    def test_landmarks_that_define_no_map_are_an_error(self, aligner: TPSAligner) -> None:
        face = make_landmarks(2)
        broken = face.clone()
        broken[1, 8, 0] = torch.nan
        with pytest.raises(LandmarkError, match=r"target.*batch item 1 "):
            aligner.grid(face, broken, (32, 32))


class TestRegions:
    def test_crop_shows_its_region_in_the_middle(self, aligner: TPSAligner) -> None:
        face = make_landmarks(2)
        for name, index in REGIONS.items():
            crop = aligner.crop_regions(blobs(face[:, list(index)]), face)[name]
            assert crop.shape[-2:] == (64, 64)
            assert centres(crop).abs().max() < 0.9
            low, high = centres(crop).amin(1), centres(crop).amax(1)
            assert (low + high).abs().max() < 0.2

    def test_crops_are_upright(self, aligner: TPSAligner) -> None:
        turned = make_landmarks(1, spread=0.0)
        angle = torch.tensor(0.5)
        turn = torch.tensor([[angle.cos(), -angle.sin(), 0.0], [angle.sin(), angle.cos(), 0.0]])
        tilted = apply_affine(turn, turned)
        for name, index in REGIONS.items():
            straight = centres(aligner.crop_regions(blobs(turned[:, list(index)]), turned)[name])
            again = centres(aligner.crop_regions(blobs(tilted[:, list(index)]), tilted)[name])
            torch.testing.assert_close(again, straight, atol=0.05, rtol=0)

    def test_aligned_regions_fit_the_crops_of_the_target(self, aligner: TPSAligner) -> None:
        source, target = make_landmarks(2, 5), make_landmarks(2, 6)
        for name, index in REGIONS.items():
            wanted = centres(aligner.crop_regions(blobs(target[:, list(index)]), target)[name])
            raw = centres(aligner.crop_regions(blobs(source[:, list(index)]), source)[name])
            drawn = blobs(source[:, list(index)])
            aligned = centres(aligner.align_regions(drawn, source, target)[name])
            assert (aligned - wanted).norm(dim=-1).mean() < 0.03
            assert (aligned - wanted).norm(dim=-1).mean() < (raw - wanted).norm(dim=-1).mean()

    def test_closed_mouth_does_not_fill_its_crop(self, aligner: TPSAligner) -> None:
        face = make_landmarks(1)
        squeezed = face.clone()
        mouth = list(REGIONS["mouth"])
        middle = face[:, mouth].mean(1, keepdim=True)
        squeezed[:, mouth] = middle + 0.05 * (face[:, mouth] - middle)
        crop = aligner.crop_regions(blobs(squeezed[:, mouth], sigma=0.01), squeezed)["mouth"]
        assert centres(crop).abs().max() < 0.5

    def test_aligned_eyes_look_where_the_target_looks(self, aligner: TPSAligner) -> None:
        source, target = make_landmarks(2, 5), make_landmarks(2, 6)
        eyes = (slice(36, 42), slice(42, 48))
        middles = [torch.stack([x[:, e].mean(1) for e in eyes], 1) for x in (source, target)]
        width = (source[:, 39] - source[:, 36]).norm(dim=-1)[:, None, None]
        gaze = torch.tensor([0.06, 0.02]) * width
        pupils = (middles[0] - gaze, middles[1] + gaze)
        for index, name in enumerate(("right_eye", "left_eye")):
            one = slice(index, index + 1)
            drawn = blobs(pupils[0][:, one], sigma=0.01)
            wanted = centres(
                aligner.crop_regions(blobs(pupils[1][:, one], sigma=0.01), target)[name]
            )
            looking = centres(aligner.align_regions(drawn, source, target, pupils)[name])
            staring = centres(aligner.align_regions(drawn, source, target)[name])
            miss = (looking - wanted).norm(dim=-1)
            assert (miss < 0.5 * (staring - wanted).norm(dim=-1)).all()
            assert miss.max() < 0.05

    def test_aligned_lips_are_as_thick_as_the_target_s(self, aligner: TPSAligner) -> None:
        source, target = make_landmarks(2, 5), make_landmarks(2, 6)
        inner = [61, 62, 63, 65, 66, 67]
        for face, opening in ((source, 0.05), (target, 0.02)):
            face[:, inner[:3], 1] -= opening
            face[:, inner[3:], 1] += opening
            face[:, [50, 51, 52], 1] -= 0.05
            face[:, [56, 57, 58], 1] += 0.05
        drawn = blobs(source[:, [62, 66]], sigma=0.01)
        wanted = centres(
            aligner.crop_regions(blobs(target[:, [62, 66]], sigma=0.01), target)["mouth"]
        )
        aligned = centres(aligner.align_regions(drawn, source, target)["mouth"])
        assert (aligned - wanted).norm(dim=-1).max() < 0.1
        raw = centres(aligner.crop_regions(drawn, source)["mouth"])
        height, before = (x[:, 1, 1] - x[:, 0, 1] for x in (aligned, raw))
        asked = wanted[:, 1, 1] - wanted[:, 0, 1]
        assert ((height - asked).abs() < 0.4 * (before - asked).abs()).all()

    def test_masks_cover_eyes_and_mouth_and_nothing_else(self, aligner: TPSAligner) -> None:
        face = make_landmarks(2, 3)
        masks = aligner.feature_masks(face)
        assert masks.keys() == FEATURES.keys()
        for name, mask in masks.items():
            assert mask.shape == (2, 1, 64, 64)
            assert 0 <= mask.min() < mask.max() <= 1
            inside = aligner.crop_regions(blobs(face[:, list(FEATURES[name])], sigma=0.01), face)
            assert (inside[name] * mask).sum() > 0.9 * inside[name].sum()
            others = sorted(set(REGIONS[name]) - set(FEATURES[name]))
            if others:
                brow = aligner.crop_regions(blobs(face[:, others], sigma=0.01), face)
                assert (brow[name] * mask).sum() < 0.05 * brow[name].sum()

    def test_mask_of_a_closed_mouth_is_not_empty(self, aligner: TPSAligner) -> None:
        face = make_landmarks(1)
        mouth = list(REGIONS["mouth"])
        face[:, mouth, 1] = face[:, mouth, 1].mean(1, keepdim=True)
        assert aligner.feature_masks(face)["mouth"].mean() > 0.05

    def test_size_follows_the_configuration(self) -> None:
        small = TPSAligner(TPSAlignerConfig(region_size=24))
        face = make_landmarks(1)
        crops = small.crop_regions(torch.rand(1, 3, 64, 64), face)
        assert {tuple(crop.shape) for crop in crops.values()} == {(1, 3, 24, 24)}


class TestExaggerate:
    def test_strength_0_is_the_identity(self, aligner: TPSAligner) -> None:
        picture = torch.rand(1, 3, 32, 32)
        assert torch.equal(aligner.exaggerate(picture, make_landmarks(1), 0), picture)

    def test_strength_1_has_the_proportions_of_the_template(self, aligner: TPSAligner) -> None:
        face = make_landmarks(2, 7, spread=0.05)
        result = aligner.exaggerated_landmarks(face, 1.0)
        template = aligner.template.expand_as(face)
        laid = apply_affine(fit_similarity(result, template), result)
        torch.testing.assert_close(laid, template, atol=1e-4, rtol=0)

    def test_half_way_lies_between(self, aligner: TPSAligner) -> None:
        face = make_landmarks(1, 7)
        half, full = (aligner.exaggerated_landmarks(face, s) for s in (0.5, 1.0))
        torch.testing.assert_close(half, (face + full) / 2)

    def test_picture_follows_the_landmarks(self) -> None:
        aligner = TPSAligner(TPSAlignerConfig())
        template = mean_face()
        for eye in (slice(36, 42), slice(42, 48)):
            template[eye] = template[eye].mean(0) + 1.5 * (template[eye] - template[eye].mean(0))
        template[48:, 1] += 0.06
        aligner.template.data.copy_(template)
        face = make_landmarks(1, 12)
        marks = list(MARKS)
        moved = aligner.exaggerate(blobs(face[:, marks]), face, 1.0)
        wanted = aligner.exaggerated_landmarks(face, 1.0)[:, marks]
        assert pixels(face[:, marks] - wanted) > 8
        assert pixels(centres(moved) - wanted) < 3


class TestTemplate:
    def test_starts_as_the_mean_face(self, aligner: TPSAligner) -> None:
        assert torch.equal(aligner.template, mean_face())
        assert not aligner.template.requires_grad

    def test_is_saved_and_loaded(self, tmp_path: Path) -> None:
        aligner = TPSAligner(TPSAlignerConfig(border_points=2))
        aligner.template.data.copy_(make_landmarks(1, 9)[0])
        aligner.save_pretrained(tmp_path)
        again = TPSAligner.from_pretrained(tmp_path)
        assert torch.equal(again.template, aligner.template)
        assert again.config.border_points == 2
        assert again.device.type == "cpu"


def test_autocast_does_not_touch_coordinates(aligner: TPSAligner) -> None:
    """In bfloat16 a coordinate is off by up to a pixel of 256."""
    source, target = make_landmarks(2, 0), make_landmarks(2, 1)
    picture = torch.rand(2, 3, 64, 64)

    def run() -> list[Tensor]:
        aligned = aligner.align_regions(picture, source, target)
        return [
            aligner.grid(source, target, (64, 64)),
            *aligner.crop_regions(picture, source).values(),
            *aligned.values(),
            aligner.exaggerated_landmarks(source, 1.0),
        ]

    plain = run()
    with torch.autocast("cpu", torch.bfloat16):
        cast = run()
    assert all(torch.equal(a, b) for a, b in zip(plain, cast, strict=True))


@pytest.mark.parametrize("name", list(REGIONS))
def test_regions_are_whole_landmark_lists(name: str) -> None:
    assert len(set(REGIONS[name])) == len(REGIONS[name])
    assert max(REGIONS[name]) < 68
