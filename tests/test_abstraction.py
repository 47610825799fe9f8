"""What is left out of a photo before drawings are compared with it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from faces import EXAMPLES
from tps_portrait.training.abstraction import kuwahara, room_around, simplify_photo
from tps_portrait.training.data import FaceSet, load_faces, to_float


@pytest.fixture(scope="module")
def photos() -> FaceSet:
    return load_faces(EXAMPLES, 128, limit=3)


def at(picture: Tensor, landmarks: Tensor) -> Tensor:
    """Values of a `(1, H, W)` picture at the pixels of landmarks."""
    side = picture.shape[-1]
    pixels = ((landmarks + 1) * side / 2 - 0.5).round().long().clamp(0, side - 1)
    return picture[0, pixels[:, 1], pixels[:, 0]]


class TestKuwahara:
    def test_flat_stays_flat_up_to_the_border(self) -> None:
        picture = torch.tensor([0.3, -0.5, 0.9]).view(1, 3, 1, 1).expand(1, 3, 32, 48)
        torch.testing.assert_close(kuwahara(picture, 4), picture, atol=1e-5, rtol=0)

    def test_texture_goes_and_edges_stay(self) -> None:
        torch.manual_seed(0)
        edge = torch.full((1, 3, 64, 64), -0.5)
        edge[..., 32:] = 0.5
        noise = 0.03 * torch.randn(1, 3, 64, 64)
        painted = kuwahara(edge + noise, 4)
        assert (painted - edge)[..., 4:24].std() < 0.4 * noise.std()
        assert painted[..., 32].mean() > 0.4
        assert painted[..., 31].mean() < -0.4

    def test_a_line_thinner_than_a_patch_goes(self) -> None:
        picture = torch.zeros(1, 1, 64, 64)
        picture[..., 32] = -1
        assert kuwahara(picture, 6)[..., 32].mean() > -0.2

    def test_is_symmetric(self) -> None:
        torch.manual_seed(0)
        picture = torch.rand(2, 3, 32, 32)
        painted = kuwahara(picture, 3)
        for change in (lambda x: x.mT, lambda x: x.flip(-1), lambda x: x.rot90(1, (-2, -1))):
            torch.testing.assert_close(
                kuwahara(change(picture), 3), change(painted), atol=1e-4, rtol=0
            )

    def test_pictures_of_a_batch_do_not_mix(self) -> None:
        torch.manual_seed(0)
        pictures = torch.rand(3, 3, 24, 24)
        alone = torch.cat([kuwahara(p[None], 3) for p in pictures])
        torch.testing.assert_close(kuwahara(pictures, 3), alone, atol=1e-5, rtol=0)

    def test_a_radius_of_nothing_is_refused(self) -> None:
        with pytest.raises(ValueError, match="at least 1 pixel; got 0"):
            kuwahara(torch.zeros(1, 3, 8, 8), 0)

    def test_gradients_follow_a_call_without_any(self) -> None:
        picture = torch.rand(1, 3, 16, 16)
        with torch.inference_mode():
            kuwahara(picture, 5)
        leaf = picture.requires_grad_()
        kuwahara(leaf, 5).sum().backward()
        assert leaf.grad is not None
        assert leaf.grad.isfinite().all()

    def test_autocast_does_not_make_it_coarse(self) -> None:
        torch.manual_seed(0)
        picture = torch.rand(1, 3, 24, 24)
        with torch.autocast("cpu", torch.bfloat16):
            painted = kuwahara(picture.bfloat16().float(), 3)
        assert painted.dtype == torch.float32
        torch.testing.assert_close(painted, kuwahara(picture.bfloat16().float(), 3))


class TestSimplifyPhoto:
    def test_eyes_and_lips_stay_and_the_rest_is_painted(self, photos: FaceSet) -> None:
        photo = to_float(photos.images)
        simple, painted = simplify_photo(photo, photos.landmarks, 4), kuwahara(photo, 4)
        kept, gone = ((simple - other).abs().amax(1, keepdim=True) for other in (photo, painted))
        for one, other, landmarks in zip(kept, gone, photos.landmarks, strict=True):
            assert at(one, landmarks[36:68]).max() < 0.05
            assert at(other, landmarks[:17]).max() < 1e-6
            assert one.mean() > 3 * at(one, landmarks[36:68]).mean()

    def test_stays_in_range(self, photos: FaceSet) -> None:
        simple = simplify_photo(to_float(photos.images), photos.landmarks, 3)
        assert simple.shape == photos.images.shape
        assert simple.abs().max() <= 1 + 1e-5


def test_room_around_landmarks(photos: FaceSet) -> None:
    features = slice(17, 68)
    room = room_around(photos.landmarks, 64, features, 0.08, 0.35)
    assert room.shape == (3, 1, 64, 64)
    for picture, landmarks in zip(room, photos.landmarks, strict=True):
        assert at(picture, landmarks[36:68]).max() < 0.2
        assert picture[0, 0, 0] == picture[0, 0, -1] == 1
        assert 0 < picture.mean() < 1
    wider = room_around(photos.landmarks, 64, features, 0.2, 0.6)
    assert (wider <= room).all()
    torch.testing.assert_close(
        room_around(photos.landmarks[1:2], 64, features, 0.08, 0.35), room[1:2]
    )
