"""The discriminators: patches, shared eyes, spectral norm."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tps_portrait import PortraitDiscriminator, PortraitDiscriminatorConfig
from tps_portrait.models.discriminator import PatchDiscriminator


@pytest.fixture
def discriminator() -> PortraitDiscriminator:
    torch.manual_seed(0)
    config = PortraitDiscriminatorConfig(channels=(8, 8, 16), part_channels=(8, 16))
    return PortraitDiscriminator(config)


def crops(size: int = 32) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    names = ("right_eye", "left_eye", "nose", "mouth")
    return {name: torch.rand(2, 3, size, size, generator=generator) for name in names}


def test_judges_patches_at_three_scales(discriminator: PortraitDiscriminator) -> None:
    logits = discriminator(torch.rand(2, 3, 64, 64))
    assert list(logits) == ["global"]
    assert [tuple(scale.shape) for scale in logits["global"]] == [
        (2, 1, 32, 32),
        (2, 1, 16, 16),
        (2, 1, 8, 8),
    ]


def test_defaults_fit_a_training_of_64_px() -> None:
    judge = PortraitDiscriminator(PortraitDiscriminatorConfig())
    logits = judge(torch.rand(1, 3, 64, 64), crops(16))
    assert set(logits) == {"global", *crops()}
    assert all(scale.numel() for scales in logits.values() for scale in scales)


def test_parts_alone(discriminator: PortraitDiscriminator) -> None:
    assert set(discriminator(parts=crops())) == set(crops())


def test_nothing_to_judge(discriminator: PortraitDiscriminator) -> None:
    assert discriminator() == {}


def test_mirrored_eyes_share_weights(discriminator: PortraitDiscriminator) -> None:
    assert set(discriminator.parts) == {"eye", "nose", "mouth"}
    eye = crops()["left_eye"]
    discriminator.eval()
    logits = discriminator(parts={"left_eye": eye, "right_eye": eye.flip(-1)})
    assert torch.equal(logits["left_eye"][0], logits["right_eye"][0])
    unmirrored = discriminator(parts={"right_eye": eye})["right_eye"][0]
    assert not torch.allclose(unmirrored, logits["left_eye"][0])


def test_regions_can_be_left_out() -> None:
    config = PortraitDiscriminatorConfig(channels=(8, 8, 8), part_channels=(8,), regions=("mouth",))
    judge = PortraitDiscriminator(config)
    assert list(judge.parts) == ["mouth"]
    with pytest.raises(KeyError, match="nose"):
        judge(parts={"nose": torch.rand(1, 3, 32, 32)})


def test_gradients_reach_pictures_and_every_weight(discriminator: PortraitDiscriminator) -> None:
    picture, parts = torch.rand(1, 3, 64, 64, requires_grad=True), crops()
    logits = discriminator(picture, parts)
    sum(scale.square().sum() for scales in logits.values() for scale in scales).backward()
    assert picture.grad is not None
    assert picture.grad.abs().max() > 0
    for name, parameter in discriminator.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_spectral_norm_bounds_every_layer() -> None:
    """After some power iterations each layer has largest singular value 1, whatever its weights."""
    torch.manual_seed(0)
    judge = PatchDiscriminator([8, 16], heads=1)
    with torch.no_grad():
        for parameter in judge.parameters():
            parameter.mul_(50)
        for _ in range(60):
            judge(torch.rand(1, 3, 16, 16))
    judge.eval()
    for layer in [*judge.layers, *judge.heads]:
        largest = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)
        assert largest == pytest.approx(1.0, abs=0.02)


def test_spectral_norm_tracks_in_training_only(discriminator: PortraitDiscriminator) -> None:
    def vectors() -> list[Tensor]:
        return [buffer.clone() for buffer in discriminator.buffers()]

    picture, before = torch.rand(1, 3, 32, 32), vectors()
    assert before
    discriminator.eval()(picture)
    assert all(torch.equal(a, b) for a, b in zip(before, vectors(), strict=True))
    discriminator.train()(picture)
    assert not all(torch.equal(a, b) for a, b in zip(before, vectors(), strict=True))


def test_learns_to_tell_dark_from_bright(discriminator: PortraitDiscriminator) -> None:
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=5e-3)

    def judge(pictures: Tensor) -> Tensor:
        return torch.cat([scale.flatten() for scale in discriminator(pictures)["global"]])

    for _ in range(60):
        bright, dark = torch.rand(2, 3, 32, 32) * 0.5 + 0.5, torch.rand(2, 3, 32, 32) * 0.5 - 1
        loss = (1 - judge(bright)).relu().mean() + (1 + judge(dark)).relu().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert judge(torch.full((1, 3, 32, 32), 0.75)).mean() > 0.3
    assert judge(torch.full((1, 3, 32, 32), -0.75)).mean() < -0.3
