"""Augmentation: landmarks follow pixels, seeds decide, 0 changes nothing, gradients pass."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from conftest import seeded
from faces import make_landmarks
from test_aligner import MARKS, blobs, centres, pixels
from tps_portrait.ops.landmarks import fit_similarity
from tps_portrait.ops.tps import identity_grid
from tps_portrait.training.augment import (
    DiscriminatorAugmentation,
    PhotoAugmentation,
    random_backgrounds,
    random_colour,
    random_deformation,
    random_gradients,
    random_hue,
    random_light,
    random_similarity,
    replace_background,
    step_back,
    without_rim,
)


def photos(count: int = 2, side: int = 64) -> Tensor:
    arrays = [torch.from_numpy(seeded(side, side, seed=seed)) for seed in range(count)]
    return torch.stack(arrays).permute(0, 3, 1, 2).float() / 127.5 - 1


class TestSimilarity:
    def test_landmarks_follow_the_pixels(self) -> None:
        torch.manual_seed(1)
        face = make_landmarks(4)
        marked = blobs(face[:, list(MARKS)])
        moved, landmarks = random_similarity(marked, face)
        inside = landmarks[:, list(MARKS)].abs().amax(-1) < 0.85
        assert inside.float().mean() > 0.8
        assert pixels(landmarks - face) > 10
        found = centres(moved)
        assert pixels((found - landmarks[:, list(MARKS)])[inside]) < 2

    def test_stays_in_its_range(self) -> None:
        torch.manual_seed(0)
        face = make_landmarks(1, spread=0.0).expand(200, -1, -1)
        _, landmarks = random_similarity(torch.zeros(200, 1, 4, 4), face)
        eyes = landmarks[:, 45] - landmarks[:, 36]
        scale = eyes.norm(dim=-1) / (face[:, 45] - face[:, 36]).norm(dim=-1)
        angle = torch.atan2(eyes[:, 1], eyes[:, 0])
        assert 0.85 < scale.min() < 0.9
        assert 1.1 < scale.max() < 1.2
        assert 0.15 < angle.abs().max() < 0.22

    def test_strength_0_is_the_identity(self) -> None:
        face, picture = make_landmarks(2), photos()
        moved, landmarks = random_similarity(picture, face, 0.0)
        torch.testing.assert_close(moved, picture, atol=1e-4, rtol=0)
        torch.testing.assert_close(landmarks, face)


class TestLight:
    def test_keeps_range_and_place(self) -> None:
        torch.manual_seed(0)
        changed = random_light(photos(8))
        assert changed.min() >= -1
        assert changed.max() <= 1
        assert not torch.allclose(changed, photos(8), atol=0.05)

    def test_strength_0_is_the_identity(self) -> None:
        torch.testing.assert_close(random_light(photos(), 0.0), photos(), atol=1e-3, rtol=0)


class TestColour:
    def test_follows_brightness_and_drops_colour(self) -> None:
        torch.manual_seed(0)
        picture = photos(64)[:1].expand(64, -1, -1, -1) * 0.5
        changed = random_colour(picture)
        pairs = zip(changed.mean(1).flatten(1), picture.mean(1).flatten(1), strict=True)
        assert min(torch.corrcoef(torch.stack(pair))[0, 1] for pair in pairs) > 0.95
        grey = (changed.amax(1) - changed.amin(1)).flatten(1).amax(1) < 1e-6
        assert 0 < grey.sum() < 32

    def test_strength_0_is_the_identity(self) -> None:
        torch.testing.assert_close(random_colour(photos(), 0.0), photos())

    def test_the_drawing_shall_keep_most_of_what_a_photo_cannot_tell(self) -> None:
        """Exposure and tint of a grey card go into the reference more than into the light."""
        torch.manual_seed(0)
        card = torch.full((256, 3, 16, 16), -0.4)
        followed = random_colour(card) - card
        even = torch.full((256, 3, 16, 16), -0.4)
        forgotten = (random_light(even) - even).mean((2, 3))
        assert followed.mean((2, 3)).std() > 1.5 * forgotten.std()


class TestBackground:
    def test_person_stays_and_background_goes(self) -> None:
        torch.manual_seed(0)
        masks = torch.zeros(2, 1, 64, 64)
        masks[..., 16:48] = 1
        changed = replace_background(photos(), masks, probability=1.0)
        assert torch.equal(changed[..., 16:48], photos()[..., 16:48])
        assert (changed - photos())[..., :16].abs().mean() > 0.1

    def test_no_rim_of_the_old_background_stays(self) -> None:
        """Of a dark head before a white wall, what is more wall than head goes with the wall."""
        torch.manual_seed(0)
        masks = torch.linspace(0, 1, 64).expand(8, 1, 64, 64)
        photo = (1 - 2 * masks).expand(-1, 3, -1, -1)
        changed = replace_background(photo, masks, probability=1.0)
        half = masks[0, 0, 0] < 0.5
        torch.manual_seed(0)
        scene = replace_background(photo, torch.zeros_like(masks), probability=1.0)
        assert torch.equal(changed[..., half], scene[..., half])
        whole = without_rim(masks)
        assert torch.equal(whole[masks == 0], masks[masks == 0])
        assert torch.equal(whole[masks == 1], masks[masks == 1])

    @pytest.mark.parametrize(("mask", "probability"), [(1.0, 1.0), (0.0, 0.0)])
    def test_nothing_to_replace(self, mask: float, probability: float) -> None:
        masks = torch.full((2, 1, 64, 64), mask)
        assert torch.equal(replace_background(photos(), masks, probability), photos())

    def test_made_up_backgrounds_differ(self) -> None:
        torch.manual_seed(0)
        scenes = random_backgrounds(4, (32, 48), torch.device("cpu"))
        assert scenes.shape == (4, 3, 32, 48)
        assert scenes.abs().max() <= 1
        assert (scenes[:3] - scenes[1:]).abs().mean() > 0.1


class TestPhotoAugmentation:
    def run(self, seed: int, strength: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
        torch.manual_seed(seed)
        masks = torch.ones(2, 1, 64, 64)
        masks[..., :8] = 0
        return PhotoAugmentation(strength)(photos(), make_landmarks(2), masks)

    def test_the_seed_decides(self) -> None:
        once, again, other = self.run(3), self.run(3), self.run(4)
        assert torch.equal(once[0], again[0])
        assert torch.equal(once[1], again[1])
        assert not torch.equal(once[0], other[0])
        assert not torch.equal(once[1], other[1])

    def test_strength_0_is_the_identity(self) -> None:
        picture, landmarks, even = self.run(3, 0.0)
        assert torch.equal(even, photos())
        assert torch.equal(picture, photos())
        assert torch.equal(landmarks, make_landmarks(2))

    def test_range_and_shape(self) -> None:
        picture, landmarks, even = self.run(5)
        assert picture.shape == (2, 3, 64, 64)
        assert landmarks.shape == (2, 68, 2)
        assert picture.abs().max() <= 1
        assert even.shape == picture.shape

    def test_even_light_has_the_geometry_of_the_photo(self) -> None:
        torch.manual_seed(0)
        checks = (torch.rand(8, 1, 16, 16) - 0.5).repeat_interleave(4, 2).repeat_interleave(4, 3)
        checks = checks.expand(-1, 3, -1, -1).contiguous()
        picture, _, even = PhotoAugmentation()(checks, make_landmarks(8), torch.ones(8, 1, 64, 64))
        a, b = (x.mean(1).flatten(1) for x in (picture, even))
        similar = [torch.corrcoef(torch.stack(pair))[0, 1] for pair in zip(a, b, strict=True)]
        assert min(similar) > 0.6
        assert (picture - even).abs().mean() > 0.05


class TestDiscriminatorAugmentation:
    def test_probability_0_is_the_identity(self) -> None:
        assert torch.equal(DiscriminatorAugmentation(0.0)(photos()), photos())

    def test_the_seed_decides(self) -> None:
        augment = DiscriminatorAugmentation(1.0)
        torch.manual_seed(0)
        once = augment(photos())
        torch.manual_seed(0)
        assert torch.equal(augment(photos()), once)
        assert not torch.equal(augment(photos()), once)

    def test_gradients_pass(self) -> None:
        torch.manual_seed(0)
        picture = photos().requires_grad_()
        DiscriminatorAugmentation(1.0)(picture).sum().backward()
        assert picture.grad is not None
        assert picture.grad.isfinite().all()
        assert (picture.grad.abs() > 0).float().mean() > 0.5

    def test_colour_is_moved_a_little_only(self) -> None:
        """Colour belongs to the style: a judge must see it."""
        torch.manual_seed(0)
        grey = torch.full((64, 3, 32, 32), 0.2)
        middle = DiscriminatorAugmentation(1.0)(grey).flatten(1).median(1).values
        assert (middle - 0.2).abs().max() < 0.2

    def test_whole_pictures_get_other_colours_too(self) -> None:
        torch.manual_seed(0)
        changed = DiscriminatorAugmentation(0.0, 1.0)(photos())
        assert (changed - photos()).abs().mean() > 0.02

    def test_colour_alone_leaves_every_pixel_in_its_place(self) -> None:
        torch.manual_seed(0)
        crops = {"mouth": photos()}
        found = DiscriminatorAugmentation(0.0, 1.0).recolour(crops)["mouth"]
        assert (found - crops["mouth"]).abs().mean() > 0.02
        torch.testing.assert_close(luma(found), luma(crops["mouth"]), atol=1e-4, rtol=0)


def luma(pictures: Tensor) -> Tensor:
    return (pictures * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(1)


class TestHue:
    def test_probability_0_is_the_identity(self) -> None:
        assert torch.equal(random_hue(photos(), 0.0), photos())

    def test_all_hues_come_as_often_and_saturations_of_their_range(self) -> None:
        torch.manual_seed(0)
        orange = torch.tensor([0.6, 0.0, -0.6]).view(1, 3, 1, 1).expand(400, 3, 2, 2)
        found = random_hue(orange, 1.0)
        assert (luma(found) - luma(orange)).abs().max() < 1e-4
        in_phase = found[:, 0] * 0.596 - found[:, 1] * 0.274 - found[:, 2] * 0.322
        quadrature = found[:, 0] * 0.211 - found[:, 1] * 0.523 + found[:, 2] * 0.312
        chroma = torch.hypot(in_phase, quadrature)[:, 0, 0]
        original = (0.6 * 0.596 + 0.6 * 0.322) ** 2 + (0.6 * 0.211 - 0.6 * 0.312) ** 2
        ratio = chroma / original**0.5
        assert 0.29 < ratio.min() < 0.35
        assert 1.45 < ratio.max() < 1.51
        angle = torch.atan2(quadrature, in_phase)[:, 0, 0]
        octants = ((angle / torch.pi + 1) * 4).long().clamp(0, 7).bincount(minlength=8)
        assert octants.min() > 25

    def test_grey_stays_grey(self) -> None:
        grey = torch.full((8, 3, 4, 4), 0.3)
        torch.testing.assert_close(random_hue(grey, 1.0), grey, atol=1e-3, rtol=0)

    def test_gradients_pass(self) -> None:
        picture = photos().requires_grad_()
        random_hue(picture, 1.0).square().sum().backward()
        assert picture.grad is not None
        assert picture.grad.isfinite().all()
        assert (picture.grad.abs() > 0).float().mean() > 0.9


class TestStepBack:
    def test_landmarks_follow_the_pixels(self) -> None:
        torch.manual_seed(0)
        face, side = make_landmarks(6), 128
        soft = F.interpolate(photos(6, 8) * 0.5, (side, side), mode="bicubic")
        moved, landmarks = step_back(soft, face, torch.ones(6, 1, side, side))
        # Where the similarity between the landmarks leads, the picture must be found again.
        forward = fit_similarity(face, landmarks)
        grid = F.affine_grid(forward, [6, 3, side, side], align_corners=False)
        again = F.grid_sample(moved, grid, align_corners=False)
        inner = (slice(None), slice(None), slice(8, -8), slice(8, -8))
        assert (again[inner] - soft[inner]).abs().mean() < 0.01
        assert (again[inner] - soft[inner]).abs().max() < 0.1

    def test_people_get_smaller_and_stand_at_the_foot(self) -> None:
        torch.manual_seed(0)
        face = make_landmarks(1, spread=0.0).expand(100, -1, -1)
        masks = torch.zeros(100, 1, 16, 16)
        _, landmarks = step_back(torch.zeros(100, 3, 16, 16), face, masks)
        eyes, before = ((x[:, 45] - x[:, 36]).norm(dim=-1) for x in (landmarks, face))
        scale = eyes / before
        assert 0.45 < scale.min() < 0.5
        assert 0.8 < scale.max() < 0.85
        foot = torch.tensor([0.0, 1.0])
        lowest = landmarks[:, 8] - scale[:, None] * (face[:, 8] - foot)
        torch.testing.assert_close(lowest[:, 1], torch.ones(100), atol=1e-4, rtol=0)
        assert landmarks.abs().max() < 1

    def test_the_scene_is_where_the_person_is_not(self) -> None:
        torch.manual_seed(0)
        black = torch.full((4, 3, 32, 32), -1.0)
        moved, _ = step_back(black, make_landmarks(4), torch.ones(4, 1, 32, 32))
        # The top row lies outside a picture that was shrunk to the foot of the frame.
        assert (moved[:, :, 0] > -0.99).any()
        assert (moved[:, :, -1].amin(-1) < -0.9).all()

    def test_happens_to_whole_batches_with_its_probability(self) -> None:
        torch.manual_seed(0)
        face = make_landmarks(2, spread=0.0)
        grey, matte = torch.zeros(2, 3, 32, 32), torch.ones(2, 1, 32, 32)
        augment = PhotoAugmentation(1.0, distance=0.5)
        eyes = [augment(grey, face, matte)[1] for _ in range(60)]
        sizes = torch.stack([(x[:, 45] - x[:, 36]).norm(dim=-1) for x in eyes])
        small = sizes < 0.8 * (face[:, 45] - face[:, 36]).norm(dim=-1)
        assert 0.15 < small.float().mean() < 0.6


class TestGradients:
    def test_have_any_colour_and_no_detail(self) -> None:
        torch.manual_seed(0)
        pictures = random_gradients(64, 96, device=torch.device("cpu"))
        assert pictures.shape == (64, 3, 96, 96)
        assert -1 <= pictures.min() < -0.95
        assert 0.95 < pictures.max() <= 1
        saturation = pictures.amax(1) - pictures.amin(1)
        assert saturation.mean() > 0.5
        assert (pictures[..., 1:] - pictures[..., :-1]).abs().max() < 0.05


class TestDeformation:
    def test_is_smooth_and_of_its_strength(self) -> None:
        torch.manual_seed(0)
        size = (64, 48)
        grid = random_deformation(8, size)
        assert grid.shape == (8, *size, 2)
        moved = grid - identity_grid(size)
        assert 0.01 < moved.abs().mean() < 0.2
        # No fold: going right in the result goes right in the source.
        assert (grid[:, :, 1:, 0] - grid[:, :, :-1, 0]).min() > 0
        assert (grid[:, 1:, :, 1] - grid[:, :-1, :, 1]).min() > 0

    def test_strength_0_is_the_identity(self) -> None:
        grid = random_deformation(1, (32, 32), strength=0.0)
        torch.testing.assert_close(grid, identity_grid((32, 32)), atol=1e-5, rtol=0)

    def test_items_of_a_batch_differ(self) -> None:
        torch.manual_seed(0)
        grid = random_deformation(2, (32, 32))
        assert (grid[0] - grid[1]).abs().mean() > 0.01
