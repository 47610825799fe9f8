"""The generator's noise: its tile, what grows from it, how it is stored and how it moves."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from conftest import tiny_generator
from tps_portrait import ConfigError, StyleGenerator, StyleGeneratorConfig
from tps_portrait.models.generator.noise import NOISE_CHANNELS, NOISE_SIDE, make_noise
from tps_portrait.ops.tps import identity_grid
from tps_portrait.training.arguments import TrainingArguments
from tps_portrait.training.step import Networks, warped_noise

NARROW = StyleGeneratorConfig(
    channels=(16, 16, 16, 16), encoder_blocks=(0, 0), bottleneck_blocks=1, head_channels=16
)


def noisy(channels: int = 3) -> StyleGenerator:
    torch.manual_seed(0)
    return StyleGenerator(NARROW).with_noise(channels).eval()


class TestTile:
    def test_channels_have_mean_0_and_deviation_1(self) -> None:
        noise = make_noise(4)
        assert noise.shape == (1, 4, NOISE_SIDE, NOISE_SIDE)
        torch.testing.assert_close(noise.mean((2, 3)), torch.zeros(1, 4), atol=1e-5, rtol=0)
        torch.testing.assert_close(noise.std((2, 3)), torch.ones(1, 4), atol=1e-5, rtol=0)

    def test_each_channel_is_coarser_than_the_one_before(self) -> None:
        noise = make_noise(4)
        slopes = (noise[..., 1:] - noise[..., :-1]).abs().mean((0, 2, 3)).tolist()
        assert slopes == sorted(slopes, reverse=True)
        assert slopes[0] > 4 * slopes[3]

    @pytest.mark.parametrize("axis", [2, 3])
    def test_edges_fit_each_other(self, axis: int) -> None:
        """From the last row to the first is a step like any other."""
        coarse = make_noise(4)[:, 3:]
        steps = (coarse - coarse.roll(1, axis)).abs().mean((0, 1, 5 - axis))
        assert steps[0] < 1.5 * steps[1:].max()
        assert steps[0] < 0.5

    @pytest.mark.parametrize("channels", [2, 6, 8, 16])
    def test_is_the_same_everywhere_and_always(self, channels: int) -> None:
        assert torch.equal(make_noise(channels), make_noise(channels))
        assert not torch.equal(make_noise(channels), make_noise(channels, seed=1))

    def test_more_channels_begin_with_the_same(self) -> None:
        whole = make_noise(16)
        for channels in range(1, 16):
            assert torch.equal(make_noise(channels), whole[:, :channels])

    def test_brush_marks_have_one_tone_and_two_sides(self) -> None:
        tone, across = make_noise(6)[0, 4:]
        grain = make_noise(1)[0, 0]
        even = [
            ((x[1:-1] - x[:-2]).abs() + (x[2:] - x[1:-1]).abs() < 1e-3).float().mean()
            for x in (tone, grain)
        ]
        assert even[0] > 0.15 > 0.01 > even[1], "inside of a mark nothing changes"
        # Seen across, one side is as much below the middle as the other above.
        assert (across > 0.5).float().mean() == pytest.approx(
            float((across < -0.5).float().mean()), abs=0.03
        )
        assert abs(float((tone * across).mean())) < 0.1

    @pytest.mark.parametrize("axis", [0, 1])
    def test_brush_marks_reach_over_the_edges(self, axis: int) -> None:
        tone = make_noise(6)[0, 4]
        steps = (tone - tone.roll(1, axis)).abs().mean(1 - axis)
        assert steps[0] < 1.5 * steps[1:].mean()

    def test_strokes_lie_along_their_directions(self) -> None:
        tones = make_noise(16)[0, 8::2]
        # x, down to the right, y, down to the left
        for index, step in enumerate(((0, 4), (3, 3), (4, 0), (3, -3))):
            alike = (tones * tones.roll(step, (1, 2))).mean((1, 2))
            assert alike.argmax() == index
            assert alike[index] > 0.2 + alike[(index + 2) % 4]

    @pytest.mark.parametrize("axis", [0, 1])
    def test_washes_are_broad_and_fit_at_the_edges(self, axis: int) -> None:
        noise = make_noise(8)[0]
        amount, rims = noise[6:]
        alike = (noise * noise.roll(8, 1 + axis)).mean((1, 2))
        assert alike[6] > 0.3 > 0.1 > alike[:2].abs().max(), "32 px off it is often the same blot"
        for channel in (amount, rims):
            steps = (channel - channel.roll(1, axis)).abs().mean(1 - axis)
            assert steps[0] < 1.5 * steps[1:].max()

    def test_rims_lie_where_washes_end(self) -> None:
        amount, rims = make_noise(8)[0, 6:]
        slope = (amount[1:-1, 2:] - amount[1:-1, :-2]).abs()
        slope = slope + (amount[2:, 1:-1] - amount[:-2, 1:-1]).abs()
        dried = rims[1:-1, 1:-1] > 1
        assert slope[dried].mean() > 1.5 * slope[~dried].mean()


class TestGenerator:
    def test_flat_photos_are_drawn_flat_only_without_it(self) -> None:
        torch.manual_seed(0)
        wall = torch.full((1, 3, 128, 128), 0.3)
        inner = slice(48, 80)
        with torch.no_grad():
            plain = StyleGenerator(NARROW).eval()(wall)[..., inner, inner]
            grainy = noisy()(wall)[..., inner, inner]
        # The head's patches of 4 pixels repeat, noise does not.
        flat, rough = ((x[..., 4:] - x[..., :-4]).abs().mean() for x in (plain, grainy))
        assert rough > 10 * flat

    def test_default_has_none(self) -> None:
        generator = tiny_generator()
        assert generator.config.noise_channels == 0
        assert not any("noise" in key for key in generator.state_dict())

    @pytest.mark.parametrize(
        ("channels", "most"),
        [(0, 0.9975e9), (4, 1.0e9), (6, 1.0005e9), (8, 1.0015e9), (16, 1.006e9)],
    )
    def test_hardly_adds_to_the_cost(self, channels: int, most: float) -> None:
        generator = StyleGenerator(StyleGeneratorConfig(noise_channels=channels)).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            generator(torch.zeros(1, 3, 512, 512))
        assert counter.get_total_flops() / 2 <= most

    def test_training_allows_as_many_channels(self) -> None:
        data = {"train_data_dir": "s", "photo_data_dir": ["p"]}
        TrainingArguments(**data, noise_channels=NOISE_CHANNELS)
        with pytest.raises(ConfigError, match="noise_channels"):
            TrainingArguments(**data, noise_channels=NOISE_CHANNELS + 1)

    def test_folded_draws_the_same(self) -> None:
        generator, photo = noisy(), torch.rand(1, 3, 64, 96) * 2 - 1
        with torch.no_grad():
            torch.testing.assert_close(generator.fuse()(photo), generator(photo), atol=1e-4, rtol=0)

    @pytest.mark.parametrize("channels", [3, 6, NOISE_CHANNELS])
    def test_is_stored_with_the_weights(self, tmp_path: Path, channels: int) -> None:
        generator, photo = noisy(channels), torch.rand(1, 3, 64, 64) * 2 - 1
        generator.noise.mul_(2)
        generator.save_pretrained(tmp_path)
        loaded = StyleGenerator.from_pretrained(tmp_path)
        assert torch.equal(loaded.noise, generator.noise)
        with torch.no_grad():
            assert torch.equal(loaded(photo), generator(photo))

    def test_repeats_in_large_pictures(self) -> None:
        tiled = noisy().tiled_noise((NOISE_SIDE + 40, 2 * NOISE_SIDE + 8))
        assert tiled.shape[-2:] == (NOISE_SIDE + 40, 2 * NOISE_SIDE + 8)
        assert torch.equal(tiled[..., NOISE_SIDE:, :40], tiled[..., :40, :40])
        assert torch.equal(tiled[..., 2 * NOISE_SIDE :], tiled[..., :8])

    def test_a_batch_is_drawn_as_its_pictures(self) -> None:
        generator, photos = noisy(), torch.rand(2, 3, 64, 64) * 2 - 1
        with torch.no_grad():
            torch.testing.assert_close(generator(photos)[1:], generator(photos[1:]))

    def test_other_noise_may_be_given(self) -> None:
        generator, photo = noisy(), torch.rand(1, 3, 64, 64) * 2 - 1
        own = generator.tiled_noise((16, 16))
        with torch.no_grad():
            assert torch.equal(generator(photo, noise=own), generator(photo))
            assert not torch.equal(generator(photo, noise=own.flip(-1)), generator(photo))

    @pytest.mark.parametrize("shape", [(1, 4, 16, 16), (1, 3, 16, 15), (3, 3, 16, 16), (3, 16, 16)])
    def test_noise_of_another_shape_is_refused(self, shape: tuple[int, ...]) -> None:
        generator, photos = noisy(), torch.zeros(2, 3, 64, 61)
        with pytest.raises(ConfigError, match=r"\(1 or 2, 3, 16, 16\)"):
            generator(photos, noise=torch.zeros(shape))

    def test_may_be_cut_to_one_size(self) -> None:
        generator, photo = noisy(), torch.rand(1, 3, 70, 90) * 2 - 1
        with torch.no_grad():
            whole = generator(photo)
            assert torch.equal(generator.cut_noise_((70, 90))(photo), whole)
        assert generator.noise.shape[-2:] == (96 // 4, 96 // 4)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_draws_in_half_precision(self, tmp_path: Path, dtype: torch.dtype) -> None:
        generator, photo = noisy(), torch.rand(1, 3, 64, 64) * 2 - 1
        generator.save_pretrained(tmp_path)
        half = StyleGenerator.from_pretrained(tmp_path, dtype=dtype)
        with torch.no_grad():
            exact = generator(photo)
            torch.testing.assert_close(half(photo.to(dtype)).float(), exact, atol=0.05, rtol=0)
            given = half(photo.to(dtype), noise=generator.noise[..., :16, :16])
            torch.testing.assert_close(given.float(), exact, atol=0.05, rtol=0)

    def test_silent_noise_changes_nothing(self) -> None:
        torch.manual_seed(1)
        plain, photo = StyleGenerator(NARROW).eval(), torch.rand(1, 3, 64, 64) * 2 - 1
        silent = plain.with_silent_noise(noisy())
        assert silent.config.noise_channels == 3
        assert silent.noise.equal(noisy().noise)
        with torch.no_grad():
            assert torch.equal(silent(photo), plain(photo))

    def test_silent_noise_joins_the_noise_that_it_begins_with(self) -> None:
        few, many, photo = noisy(4), noisy(6), torch.rand(1, 3, 64, 64) * 2 - 1
        silent = few.with_silent_noise(many)
        assert silent.config.noise_channels == 6
        with torch.no_grad():
            torch.testing.assert_close(silent(photo), few(photo), atol=1e-5, rtol=0)
            assert not torch.allclose(silent(photo), silent(photo, noise=torch.zeros(1, 6, 16, 16)))
        many.noise.copy_(many.noise.half().float())
        silent = few.with_silent_noise(many)
        with torch.no_grad():
            torch.testing.assert_close(silent(photo), few(photo), atol=1e-5, rtol=0)
        for shorter, longer in ((many, few), (few, few)):
            with pytest.raises(ConfigError, match="beginning of the other"):
                shorter.with_silent_noise(longer)
        few.noise.mul_(2)
        with pytest.raises(ConfigError, match="beginning of the other"):
            few.with_silent_noise(many)

    @pytest.mark.parametrize("channels", [-1, 17])
    def test_number_of_channels_is_checked(self, channels: int) -> None:
        with pytest.raises(Exception, match="noise_channels must be 0 to 16"):
            StyleGeneratorConfig(noise_channels=channels)


class TestWithNoise:
    def test_keeps_the_other_weights(self) -> None:
        torch.manual_seed(0)
        generator, photo = StyleGenerator(NARROW).eval(), torch.rand(1, 3, 64, 64) * 2 - 1
        grown = generator.with_noise(4)
        assert grown.config.noise_channels == 4
        assert list(grown.config.channels) == list(generator.config.channels)
        with torch.no_grad():
            assert not torch.equal(grown(photo), generator(photo))
            assert torch.equal(grown(photo, noise=torch.zeros(1, 4, 16, 16)), generator(photo))
            assert torch.equal(grown.with_noise(0)(photo), generator(photo))

    def test_keeps_what_was_learned_of_the_channels_that_stay(self) -> None:
        generator = noisy(4)
        for channels in (2, 6):
            other, both = generator.with_noise(channels), min(4, channels)
            assert other.from_noise is not None
            assert generator.from_noise is not None
            assert other.from_noise.weight[:, :both].equal(generator.from_noise.weight[:, :both])
        generator.noise.mul_(-1)
        other = generator.with_noise(6)
        assert other.from_noise is not None
        assert generator.from_noise is not None
        assert not other.from_noise.weight[:, :4].equal(generator.from_noise.weight)
        assert other.noise[:, :4].equal(-generator.noise)

    def test_same_number_is_the_same_generator(self) -> None:
        generator = noisy(2)
        assert generator.with_noise(2) is generator


class TestDeformation:
    """Strokes move with a deformed photo, else deformation invariance would forbid them."""

    def nets(self, generator: StyleGenerator) -> Networks:
        # Only the generator is asked for here.
        return Networks(generator, generator, generator, None)  # type: ignore[arg-type]

    def test_noise_is_warped_like_the_photo(self) -> None:
        generator = noisy()
        grid = identity_grid((64, 64)).repeat(2, 1, 1, 1)
        # Each place reads 8 pixels to the right: 2 places of the noise.
        grid[1, ..., 0] += 2 * 8 / 64
        warped, own = warped_noise(self.nets(generator), grid), generator.tiled_noise((16, 16))
        assert warped is not None
        torch.testing.assert_close(warped[:1], own, atol=1e-4, rtol=0)
        torch.testing.assert_close(warped[1:, ..., :-2], own[..., 2:], atol=1e-4, rtol=0)

    def test_wrappers_are_looked_through(self) -> None:
        grid = identity_grid((64, 64))
        compiled = torch.compile(noisy())
        assert warped_noise(self.nets(compiled), grid) is not None

    def test_without_noise_there_is_none(self) -> None:
        assert warped_noise(self.nets(tiny_generator()), identity_grid((64, 64))) is None
