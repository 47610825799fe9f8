"""The contrast of CUT: its loss on cases known by hand, its heads, its place in a step."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from test_training_step import OFF, batch, networks, options, run
from tps_portrait import StyleGenerator, StyleGeneratorConfig
from tps_portrait.training.contrast import PatchContrast, contrast_loss, patch_nce
from tps_portrait.training.step import Batch, Networks, weighted_sum

__all__ = ["batch"]  # a fixture


ALONE = {**OFF, "contrast_weight": 3.0}


def unit(*shape: int) -> Tensor:
    return F.normalize(torch.randn(*shape), dim=-1)


def with_heads(seed: int = 0) -> Networks:
    nets = networks(seed)
    assert isinstance(nets.generator, StyleGenerator)
    return replace(nets, contrast=PatchContrast(nets.generator.config.channels))


class TestPatchNCE:
    def test_places_that_are_known_cost_nothing(self) -> None:
        places = torch.eye(64).expand(2, -1, -1)
        expected = math.log(1 + 63 * math.exp(-1 / 0.07))
        assert patch_nce(places, places).item() == pytest.approx(expected, abs=1e-5)
        assert expected < 1e-4

    def test_places_that_are_alike_cost_log_n(self) -> None:
        alike = unit(2, 1, 64).expand(-1, 50, -1)
        assert patch_nce(unit(2, 50, 64), alike).item() == pytest.approx(math.log(50), rel=1e-4)

    def test_unrelated_features_cost_about_log_n(self) -> None:
        torch.manual_seed(0)
        found = patch_nce(unit(2, 128, 4096), unit(2, 128, 4096)).item()
        assert found == pytest.approx(math.log(128), rel=0.05)

    def test_by_hand(self) -> None:
        """Cosines 0.6 with its own place and 0.8 with the other, for both queries."""
        keys = torch.eye(2)[None]
        queries = torch.tensor([[[0.6, 0.8], [0.8, 0.6]]])
        expected = math.log(1 + math.exp((0.8 - 0.6) / 0.5))
        assert patch_nce(queries, keys, 0.5).item() == pytest.approx(expected, rel=1e-5)

    def test_other_pictures_are_no_negatives(self) -> None:
        torch.manual_seed(0)
        queries, keys = unit(2, 16, 8), unit(2, 16, 8)
        apart = [patch_nce(queries[i : i + 1], keys[i : i + 1]).item() for i in range(2)]
        assert patch_nce(queries, keys).item() == pytest.approx(sum(apart) / 2, rel=1e-5)

    def test_only_queries_learn(self) -> None:
        queries, keys = unit(1, 8, 4).requires_grad_(), unit(1, 8, 4).requires_grad_()
        patch_nce(queries, keys).backward()
        assert queries.grad is not None
        assert queries.grad.abs().max() > 0
        assert keys.grad is None

    def test_half_precision_around_it_changes_nothing(self) -> None:
        torch.manual_seed(0)
        queries, keys = unit(1, 64, 256), unit(1, 64, 256)
        with torch.autocast("cpu", torch.bfloat16):
            inside = patch_nce(queries, keys)
        assert inside.dtype == torch.float32
        assert inside.item() == patch_nce(queries, keys).item()


class TestPatchContrast:
    def features(self) -> list[Tensor]:
        torch.manual_seed(0)
        return [torch.randn(2, 8, 24, 24), torch.randn(2, 16, 6, 6)]

    def test_the_same_features_are_found_and_others_are_not(self) -> None:
        features = self.features()
        heads = PatchContrast([8, 16])
        same = heads(features, features).item()
        others = heads([f.flip(-1, -2) for f in features], features).item()
        # 256 places at the larger scale, all 36 at the smaller; random ones do worse than to
        # guess, as they are sure of wrong places.
        guessed = (math.log(256) + math.log(36)) / 2
        assert same < 0.5 * guessed
        assert others > 0.9 * guessed

    def test_features_that_tell_nothing_cost_the_logarithm_of_the_places(self) -> None:
        flat = [torch.ones(2, 8, 24, 24), torch.ones(2, 16, 6, 6)]
        found = PatchContrast([8, 16])(flat, flat).item()
        assert found == pytest.approx((math.log(256) + math.log(36)) / 2, rel=1e-4)

    def test_heads_learn_by_the_drawing_alone(self) -> None:
        drawn = [f.requires_grad_() for f in self.features()]
        source = [f.detach().clone().requires_grad_() for f in drawn]
        heads = PatchContrast([8, 16])
        heads(drawn, source).backward()
        assert all(f.grad is not None and f.grad.abs().max() > 0 for f in drawn)
        assert all(f.grad is None for f in source)
        for name, parameter in heads.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.abs().max() > 0, name

    def test_scales_must_agree(self) -> None:
        with pytest.raises(ValueError, match="zip"):
            PatchContrast([8])(self.features(), self.features())


def test_features_are_those_that_the_decoder_gets(batch: Batch) -> None:
    generator = networks().generator
    found = generator.encode(batch.photo)
    assert [f.shape[-1] for f in found] == [16, 8, 4, 2]
    assert [f.shape[1] for f in found] == list(generator.config.channels)
    inputs: list[Tensor] = []
    hook = generator.up3.register_forward_hook(lambda _, given, __: inputs.append(given[0]))
    generator(batch.photo)
    hook.remove()
    assert torch.equal(inputs[0], found[3])


def test_noise_does_not_tell_places(batch: Batch) -> None:
    generator = StyleGenerator(StyleGeneratorConfig(noise_channels=2))
    heads = PatchContrast(generator.config.channels)

    def found() -> float:
        torch.manual_seed(1)
        return contrast_loss(heads, generator, batch.example, batch.photo).item()

    before, drawn = found(), generator(batch.photo)
    assert generator.from_noise is not None
    with torch.no_grad():
        generator.from_noise.weight.mul_(50)
    assert not torch.allclose(generator(batch.photo), drawn)
    assert found() == before


class TestStep:
    def test_terms(self, batch: Batch) -> None:
        g_terms, d_terms = run(with_heads(), batch, options(**ALONE))
        assert set(g_terms) == {"contrast", "contrast_example"}
        assert not d_terms
        total = weighted_sum(g_terms, options(**ALONE))
        mean = (g_terms["contrast"] + g_terms["contrast_example"]).item() / 2
        assert total.item() == pytest.approx(3 * mean, rel=1e-5)

    def test_photo_with_drawing_and_example_with_what_was_drawn_of_it(self, batch: Batch) -> None:
        nets = with_heads()
        torch.manual_seed(1)
        g_terms, _ = run(nets, batch, options(**ALONE))
        torch.manual_seed(1)
        for name, picture in (("contrast", batch.photo), ("contrast_example", batch.example)):
            wanted = contrast_loss(nets.contrast, nets.generator, nets.generator(picture), picture)
            assert g_terms[name].item() == pytest.approx(wanted.item(), rel=1e-5)

    def test_gradients_reach_the_drawing_the_encoder_and_the_heads(self, batch: Batch) -> None:
        nets, args = with_heads(), options(**ALONE)
        weighted_sum(run(nets, batch, args)[0], args).backward()
        for module in (nets.generator, nets.contrast):
            for name, parameter in module.named_parameters():
                assert parameter.grad is not None, name
                assert parameter.grad.isfinite().all(), name
        assert nets.generator.head.weight.grad.abs().max() > 0
        assert nets.generator.stem.conv.weight.grad.abs().max() > 0
        assert all(p.grad is None for p in nets.inverse.parameters())
        assert all(p.grad is None for p in nets.discriminator.parameters())

    def test_places_are_told_better_after_some_steps(self, batch: Batch) -> None:
        nets, args = with_heads(), options(**ALONE)
        learned = [*nets.generator.parameters(), *nets.contrast.parameters()]
        optimizer = torch.optim.Adam(learned, lr=2e-3)
        values = []
        for _ in range(12):
            terms, _ = run(nets, batch, args)
            optimizer.zero_grad()
            weighted_sum(terms, args).backward()
            optimizer.step()
            values.append(terms["contrast"].item())
        assert values[-1] < 0.7 * values[0]

    def test_weight_0_costs_nothing_and_draws_no_random_number(self, batch: Batch) -> None:
        nets = with_heads()
        calls = []
        nets.generator.register_forward_hook(lambda *_: calls.append(1))
        args = options(**{**OFF, "anchor_weight": 1.0})
        before = torch.random.get_rng_state()
        g_terms, _ = run(nets, batch, args)
        assert set(g_terms) == {"anchor"}
        assert len(calls) == 1
        assert torch.equal(torch.random.get_rng_state(), before)
