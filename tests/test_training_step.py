"""One training step with real, small networks: terms, ablation, divergence, progress."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faces import EXAMPLES, make_landmarks
from test_discriminator import PortraitDiscriminator, PortraitDiscriminatorConfig
from tps_portrait import (
    StyleGenerator,
    StyleGeneratorConfig,
    TPSAligner,
    TPSAlignerConfig,
    TrainingDivergedError,
)
from tps_portrait.training.abstraction import simplify_photo
from tps_portrait.training.arguments import TrainingArguments
from tps_portrait.training.augment import DiscriminatorAugmentation
from tps_portrait.training.content import ContentNetwork, content_loss
from tps_portrait.training.data import load_faces, to_float
from tps_portrait.training.divergence import check_gradients, check_weights
from tps_portrait.training.losses import anchor_loss, grey, grid_loss, pattern_loss
from tps_portrait.training.pupils import locate_pupils
from tps_portrait.training.step import (
    Batch,
    Networks,
    _wanted,
    discriminator_terms,
    draw,
    generator_terms,
    reconstruction_terms,
    weighted_sum,
)
from tps_portrait.training.strokes import Strokes
from tps_portrait.training.texture import marks
from tps_portrait.training.washes import Washes
from tps_portrait.training.weights import LossWeights

OFF = {item.name: 0.0 for item in fields(LossWeights)}
ALL_G = {
    *("global", "local", "unaligned", "unaligned_local"),
    *("cycle", "cycle_example", "invariance", "anchor", "grid"),
}
ALL_D = {"d_global", "d_local", "d_unaligned", "d_unaligned_local"}


def options(**values: Any) -> TrainingArguments:
    return TrainingArguments(train_data_dir="s", photo_data_dir=["p"], **values)


def networks(seed: int = 0) -> Networks:
    torch.manual_seed(seed)
    narrow = StyleGeneratorConfig(
        channels=(16, 16, 16, 16), encoder_blocks=(0, 0), bottleneck_blocks=1, head_channels=16
    )
    judge = PortraitDiscriminatorConfig(channels=(8, 8, 16), part_channels=(8, 8))
    return Networks(
        StyleGenerator(narrow),
        StyleGenerator(narrow),
        PortraitDiscriminator(judge),
        TPSAligner(TPSAlignerConfig(region_size=16)),
    )


@pytest.fixture(scope="module")
def batch() -> Batch:
    """Two drawn portraits as photos, two others as examples."""
    faces = load_faces(EXAMPLES, 64, limit=4)
    pixels = to_float(faces.images)
    return Batch(pixels[:2], faces.landmarks[:2], pixels[2:], faces.landmarks[2:])


class Grey(nn.Module):
    """Draws without colours."""

    def forward(self, pixel_values: Tensor) -> Tensor:
        return grey(pixel_values)


def run(
    nets: Networks, batch: Batch, args: TrainingArguments, step: int = 0
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    augment = DiscriminatorAugmentation(0.0)
    drawings = draw(nets, batch, args, step)
    return (
        generator_terms(nets, batch, drawings, args, augment),
        discriminator_terms(nets, batch, drawings, args, augment),
    )


class TestTerms:
    def test_all_appear(self, batch: Batch) -> None:
        g_terms, d_terms = run(networks(), batch, options(r1_weight=1.0))
        assert set(g_terms) == ALL_G
        assert set(d_terms) == ALL_D | {"d_r1", "d_r1_local"}
        assert all(term.ndim == 0 and term.isfinite() for term in g_terms.values())

    @pytest.mark.parametrize("whole", [0.0, 1.0])
    def test_r1_smooths_judges_of_parts_too(self, batch: Batch, whole: float) -> None:
        nets = networks()
        args = options(r1_weight=50.0, global_adversarial_weight=whole)
        _, d_terms = run(nets, batch, args)
        assert ("d_r1" in d_terms) == bool(whole)
        penalty = d_terms["d_r1_local"]
        assert penalty > 0
        torch.testing.assert_close(weighted_sum({"d_r1_local": penalty}, args), 50 * penalty)
        penalty.backward()
        parts = [p.grad for p in nets.discriminator.parts.parameters()]
        assert any(grad is not None and grad.any() for grad in parts)

    @pytest.mark.parametrize(
        ("weight", "g_names", "d_names"),
        [
            ("global_adversarial_weight", {"global"}, {"d_global"}),
            ("local_adversarial_weight", {"local"}, {"d_local"}),
            ("unaligned_adversarial_weight", {"unaligned"}, {"d_unaligned"}),
            ("cycle_weight", {"cycle", "cycle_example"}, set()),
            ("invariance_weight", {"invariance"}, set()),
            ("anchor_weight", {"anchor"}, set()),
            ("grid_weight", {"grid"}, set()),
            ("pattern_weight", {"pattern"}, set()),
            ("evenness_weight", {"evenness"}, set()),
        ],
    )
    def test_each_alone(
        self, batch: Batch, weight: str, g_names: set[str], d_names: set[str]
    ) -> None:
        g_terms, d_terms = run(networks(), batch, options(**{**OFF, weight: 1.0}))
        assert set(g_terms) == g_names
        assert set(d_terms) == d_names

    @pytest.mark.parametrize(
        ("weight", "lost"),
        [
            ("global_adversarial_weight", {"global", "d_global"}),
            ("local_adversarial_weight", {"local", "d_local", "unaligned_local"}),
            ("unaligned_adversarial_weight", {"unaligned", "unaligned_local", "d_unaligned"}),
            ("cycle_weight", {"cycle", "cycle_example"}),
            ("invariance_weight", {"invariance"}),
            ("anchor_weight", {"anchor"}),
            ("grid_weight", {"grid"}),
        ],
    )
    def test_each_left_out(self, batch: Batch, weight: str, lost: set[str]) -> None:
        g_terms, d_terms = run(networks(), batch, options(**{weight: 0.0}))
        present = set(g_terms) | set(d_terms)
        assert not present & lost
        assert present >= (ALL_G | ALL_D) - lost - {"d_unaligned_local"}

    def test_the_grid_term_also_sees_pictures_without_detail(self, batch: Batch) -> None:
        args = options(**{**OFF, "grid_weight": 1.0})
        nets, augment = networks(), DiscriminatorAugmentation(0.0)
        drawings = draw(nets, batch, args, 0)
        assert drawings.plain_drawn is not None
        whole = generator_terms(nets, batch, drawings, args, augment)["grid"]
        drawings.plain_drawn = drawings.plain_drawn.mean((2, 3), keepdim=True).expand(1, 3, 64, 64)
        assert generator_terms(nets, batch, drawings, args, augment)["grid"] < whole
        without = draw(nets, batch, options(**{**OFF, "anchor_weight": 1.0}), 0)
        assert without.plain_drawn is None

    def test_without_alignment_examples_are_untouched(self, batch: Batch) -> None:
        nets = networks()
        real = draw(nets, batch, options(), 0)
        bare = draw(nets, batch, options(pixel_alignment=False, local_alignment=False), 0)
        assert bare.aligned_example is batch.example
        assert real.aligned_example is not None
        assert not real.aligned_example.equal(batch.example)
        cut = nets.aligner.crop_regions(batch.example, batch.example_landmarks)
        assert bare.aligned_regions.keys() == real.aligned_regions.keys() == cut.keys()
        for name, region in cut.items():
            assert bare.aligned_regions[name].equal(region)
            assert not real.aligned_regions[name].equal(region)

    def test_patterns_are_compared_with_eyes_that_look_the_same_way(self, batch: Batch) -> None:
        nets, args = networks(), options(pattern_weight=1.0)
        drawings = draw(nets, batch, args, 1)
        pupils = (
            locate_pupils(batch.example, batch.example_landmarks),
            locate_pupils(batch.photo, batch.photo_landmarks),
        )
        wanted = nets.aligner.align_regions(
            batch.example, batch.example_landmarks, batch.photo_landmarks, pupils
        )
        for name, region in wanted.items():
            assert drawings.aligned_regions[name].equal(region)
        g_terms, _ = run(nets, batch, args, 1)
        crops = nets.aligner.crop_regions(drawings.drawn, batch.photo_landmarks)
        masks = nets.aligner.feature_masks(batch.photo_landmarks)
        assert g_terms["pattern"].item() == pytest.approx(pattern_loss(crops, wanted, masks).item())

    def test_the_anchor_does_not_depend_on_other_weights(self, batch: Batch) -> None:
        anchors = [
            run(networks(), batch, options(local_adversarial_weight=local))[0]["anchor"].item()
            for local in (0.0, 2.0)
        ]
        assert anchors[0] == pytest.approx(anchors[1], rel=1e-5)
        drawings = draw(networks(), batch, options(), 1)
        whole = anchor_loss(drawings.drawn, batch.photo, 0.5, 1.0).item()
        assert anchors[0] > 1.05 * whole

    def test_open_and_closed_mouths_are_not_compared(self, batch: Batch) -> None:
        nets, args = networks(), options(**{**OFF, "pattern_weight": 1.0})
        opened = batch.photo_landmarks.clone()
        opened[:, 66, 1] += (opened[:, 54] - opened[:, 48]).norm(dim=-1)
        mismatched = replace(batch, photo_landmarks=opened)
        drawings = draw(nets, mismatched, args, 1)
        drawings.drawn.retain_grad()
        augment = DiscriminatorAugmentation(0.0)
        generator_terms(nets, mismatched, drawings, args, augment)["pattern"].backward()
        gradient = drawings.drawn.grad
        assert gradient is not None
        crops = nets.aligner.crop_regions(gradient.abs(), opened)
        assert crops["right_eye"].max() > 0
        assert crops["mouth"].max() == 0

    def test_without_feature_alignment_the_cycle_is_plain(self, batch: Batch) -> None:
        nets, args = networks(), options(feature_alignment=False)
        drawings = draw(nets, batch, args, 0)
        with torch.no_grad():
            returned = nets.inverse(nets.generator(batch.photo))
            redrawn = nets.generator(nets.inverse(batch.example))
        assert drawings.unaligned is None
        assert drawings.photo_returned is not None
        assert drawings.example_returned is not None
        assert torch.allclose(drawings.photo_returned, returned, atol=1e-5)
        assert torch.allclose(drawings.example_returned, redrawn, atol=1e-5)
        g_terms, d_terms = run(nets, batch, args)
        assert set(g_terms) == ALL_G - {"unaligned", "unaligned_local"}
        assert set(d_terms) == {"d_global", "d_local"}

    def test_content_compares_with_the_reference(self, batch: Batch) -> None:
        nets = replace(networks(), content=ContentNetwork())
        args = options(**{**OFF, "content_weight": 1.0}, content_network="given")
        drawings = draw(nets, batch, args, 0)
        even = replace(batch, reference=drawings.drawn.detach())
        augment = DiscriminatorAugmentation(0.0)
        terms = generator_terms(nets, batch, drawings, args, augment)
        ideal = generator_terms(nets, even, drawings, args, augment)
        assert set(terms) == set(ideal) == {"content"}
        assert ideal["content"] == 0 < terms["content"]
        again, coarse = (
            generator_terms(nets, batch, drawings, replace(args, content_pooling=n), augment)
            for n in (args.content_pooling, 8)
        )
        assert again["content"] == terms["content"] != coarse["content"] > 0

    @pytest.mark.parametrize("without_colour", [False, True])
    def test_with_abstraction_the_photo_is_simplified_first(
        self, batch: Batch, without_colour: bool
    ) -> None:
        nets = replace(networks(), content=ContentNetwork())
        weights = {"content_weight": 1.0, "anchor_weight": 1.0, "evenness_weight": 1.0}
        chroma = 0.0 if without_colour else 1.0
        args = options(**{**OFF, **weights}, content_network="given", anchor_chroma=chroma)
        reference = grey(batch.photo) if without_colour else batch.photo
        painted = simplify_photo(reference, batch.photo_landmarks, 4)
        drawings = replace(draw(nets, batch, args, 0), drawn=painted)
        augment = DiscriminatorAugmentation(0.0)
        terms = generator_terms(nets, batch, drawings, replace(args, abstraction=4), augment)
        assert set(terms) == {"content", "anchor", "evenness"}
        assert all(term < 1e-6 for term in terms.values())
        others = generator_terms(nets, batch, drawings, args, augment)
        assert all(term > 1e-4 for term in others.values())

    def test_with_washes_the_photo_is_painted_first(self, batch: Batch) -> None:
        washes = Washes(1.4, torch.tensor([1.0, 0.95, 0.9]).view(1, 3, 1, 1))
        nets = replace(networks(), content=ContentNetwork(), painter=washes)
        nets.generator = nets.generator.with_noise(8)
        weights = {"content_weight": 1.0, "anchor_weight": 1.0, "evenness_weight": 1.0}
        args = options(**{**OFF, **weights}, content_network="given", abstraction=4, resolution=128)
        under = simplify_photo(batch.photo, batch.photo_landmarks, 4)
        noise = nets.generator.tiled_noise((16, 16))
        painted = washes.painted(under, batch.photo_landmarks, noise, batch.photo)
        drawings = replace(draw(nets, batch, args, 0), drawn=painted)
        augment = DiscriminatorAugmentation(0.0)
        terms = generator_terms(nets, batch, drawings, args, augment)
        assert all(term < 1e-6 for term in terms.values())
        others = generator_terms(replace(nets, painter=None), batch, drawings, args, augment)
        assert all(others[name] > 1e-3 for name in ("content", "anchor"))

    def test_texture_is_that_of_the_aligned_example(self, batch: Batch) -> None:
        nets = replace(networks(), content=ContentNetwork())
        args = options(**{**OFF, "texture_weight": 1.0}, content_network="given", resolution=128)
        large = Batch(
            *(
                value if index % 2 else F.interpolate(value, scale_factor=2, mode="bilinear")
                for index, value in enumerate(
                    (batch.photo, batch.photo_landmarks, batch.example, batch.example_landmarks)
                )
            )
        )
        augment = DiscriminatorAugmentation(0.0)
        drawings = draw(nets, large, args, 0)
        assert set(generator_terms(nets, large, drawings, args, augment)) == {"texture"}
        aligned = nets.aligner.align(large.example, large.example_landmarks, large.photo_landmarks)
        drawings.drawn = aligned
        same = generator_terms(nets, large, drawings, args, augment)["texture"]
        drawings.drawn = large.example
        other = generator_terms(nets, large, drawings, args, augment)["texture"]
        assert 5 * same < other

    def test_texture_every_n_steps(self, batch: Batch) -> None:
        args = options(**{**OFF, "texture_weight": 1.0}, content_network="given", texture_every=3)
        found = [draw(networks(), batch, args, step).compare_texture for step in range(4)]
        assert found == [True, False, False, True]

    def test_smeared_edges_of_aligned_examples_are_not_judged(self, batch: Batch) -> None:
        """People who stand far off see past the edge of the example."""
        nets, args = networks(), options(**{**OFF, "global_adversarial_weight": 1.0})
        away = replace(batch, photo_landmarks=batch.photo_landmarks * 0.3)
        drawings = draw(nets, away, args, 0)
        visible = drawings.aligned_visible
        assert visible is not None
        assert 0.05 < visible.mean() < 0.6
        drawings.drawn.retain_grad()
        augment = DiscriminatorAugmentation(0.0)
        generator_terms(nets, away, drawings, args, augment)["global"].backward()
        gradient = drawings.drawn.grad
        assert gradient is not None
        assert (gradient * (1 - visible)).abs().max() == 0 < (gradient * visible).abs().max()
        before = discriminator_terms(nets, away, drawings, args, augment)["d_global"]
        assert drawings.aligned_example is not None
        drawings.aligned_example = drawings.aligned_example + (1 - visible)
        after = discriminator_terms(nets, away, drawings, args, augment)["d_global"]
        assert after.item() == pytest.approx(before.item(), abs=1e-4)

    def test_what_is_switched_off_is_not_computed(self, batch: Batch) -> None:
        nets = networks()
        calls = {"generator": 0, "inverse": 0, "discriminator": 0}

        def count(name: str) -> Any:
            def hook(*_: object) -> None:
                calls[name] += 1

            return hook

        for name in calls:
            getattr(nets, name).register_forward_hook(count(name))
        run(nets, batch, options(**{**OFF, "anchor_weight": 1.0}))
        assert calls == {"generator": 1, "inverse": 0, "discriminator": 0}
        run(nets, batch, options(**{**OFF, "cycle_weight": 1.0}))
        assert calls["inverse"] == 2

    def test_intervals(self, batch: Batch) -> None:
        args = options(unaligned_every=2, invariance_every=3)
        nets = networks()
        names = {step: set(run(nets, batch, args, step)[0]) for step in (1, 2, 3)}
        assert not names[1] & {"unaligned", "cycle", "invariance"}
        assert {"unaligned", "cycle"} <= names[2]
        assert "invariance" not in names[2]
        assert "invariance" in names[3]
        assert "unaligned" not in names[3]

    def test_discriminator_terms_leave_the_generator_alone(self, batch: Batch) -> None:
        nets = networks()
        _, d_terms = run(nets, batch, options())
        weighted_sum(d_terms, options()).backward()
        assert all(p.grad is None for p in nets.generator.parameters())
        assert all(p.grad is not None for p in nets.discriminator.parameters())

    def test_generator_terms_reach_every_weight_of_g_and_f(self, batch: Batch) -> None:
        nets = networks()
        g_terms, _ = run(nets, batch, options())
        weighted_sum(g_terms, options()).backward()
        for net in (nets.generator, nets.inverse):
            assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
        assert nets.aligner.template.grad is None

    def test_perfect_networks_have_no_cycle_loss(self, batch: Batch) -> None:
        """With G and F the identity, what comes back misses only what left the frame."""

        class Identity(torch.nn.Module):
            def forward(
                self, pixels: Tensor, grid: Tensor | None = None, noise: None = None
            ) -> Tensor:
                from tps_portrait.ops.tps import warp

                return pixels if grid is None else warp(pixels, grid)

        real = networks()
        nets = Networks(Identity(), Identity(), real.discriminator, real.aligner)
        ideal, _ = run(nets, batch, options())
        fresh, _ = run(real, batch, options())
        assert ideal["cycle"] < 0.2 * fresh["cycle"]
        assert ideal["cycle_example"] < 0.2 * fresh["cycle_example"]
        assert ideal["invariance"] == 0
        assert ideal["anchor"] == 0


class TestWeightedSum:
    def test_adds_with_weights(self) -> None:
        args = options(cycle_weight=2.0, unaligned_adversarial_weight=0.5)
        terms = {
            "cycle": torch.tensor(3.0),
            "unaligned": torch.tensor(4.0),
            "d_global": torch.tensor(1.0),
        }
        assert weighted_sum(terms, args).item() == pytest.approx(2 * 3 + 0.5 * 4 + 1)
        pattern = {"pattern": torch.tensor(3.0)}
        assert weighted_sum(pattern, options(pattern_weight=5.0)).item() == pytest.approx(15)

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 2e4])
    def test_diverged_loss_is_named(self, value: float) -> None:
        terms = {"local": torch.tensor(0.1), "cycle": torch.tensor(value, requires_grad=True)}
        with pytest.raises(TrainingDivergedError, match="The loss 'cycle' became"):
            weighted_sum(terms, options())

    def test_nan_in_the_networks_is_caught(self, batch: Batch) -> None:
        nets = networks()
        with torch.no_grad():
            nets.inverse.head.weight.fill_(torch.nan)
        g_terms, _ = run(nets, batch, options())
        with pytest.raises(TrainingDivergedError, match="'cycle'"):
            weighted_sum(g_terms, options())

    def test_gradients(self) -> None:
        check_gradients(torch.tensor(1e6), "anyone")
        with pytest.raises(TrainingDivergedError, match="gradients of the generators became nan"):
            check_gradients(torch.tensor(torch.nan), "the generators")

    def test_weights(self) -> None:
        good = torch.ones(3)
        check_weights([good, torch.zeros(0), torch.tensor(-9e3)])
        for bad in (torch.nan, torch.inf, -2e4):
            with pytest.raises(TrainingDivergedError, match="largest weight became"):
                check_weights([good, torch.tensor([1.0, bad])])


class TestProgress:
    def test_reconstruction_falls(self, batch: Batch) -> None:
        nets, args = networks(), options()
        parameters = [*nets.generator.parameters(), *nets.inverse.parameters()]
        optimizer = torch.optim.Adam(parameters, lr=3e-3)
        values = []
        for _ in range(20):
            terms = reconstruction_terms(nets, batch, args)
            optimizer.zero_grad()
            weighted_sum(terms, args).backward()
            optimizer.step()
            values.append({name: term.item() for name, term in terms.items()})
        for name in ("reconstruction", "reconstruction_inverse"):
            assert values[-1][name] < 0.7 * values[0][name]

    def test_with_abstraction_the_photo_is_repeated_in_patches(self, batch: Batch) -> None:
        nets = networks()
        nets.generator = nn.Identity()
        args = options(resolution=64, abstraction=2)
        painted = simplify_photo(batch.photo, batch.photo_landmarks, 2)
        terms = reconstruction_terms(nets, batch, args)
        assert terms["reconstruction"] == (painted - batch.photo).abs().mean() > 0
        smoothed = reconstruction_terms(nets, batch, replace(args, abstraction=0))
        assert terms["reconstruction"] != smoothed["reconstruction"]
        nets.generator = Grey()
        args = replace(args, anchor_chroma=0.0)
        for radius in (0, 2):
            colourless = replace(batch, reference=grey(batch.photo))
            terms, same = (
                reconstruction_terms(nets, one, replace(args, abstraction=radius))
                for one in (batch, colourless)
            )
            torch.testing.assert_close(terms["reconstruction"], same["reconstruction"])

    def test_washes_are_painted_where_the_generator_has_them_in_its_noise(
        self, batch: Batch
    ) -> None:
        nets = networks()
        nets.generator = nets.generator.with_noise(8)
        nets.painter = Washes(1.4, torch.ones(1, 3, 1, 1))
        nets.content = ContentNetwork()
        args = options(
            resolution=64, abstraction=2, content_weight=1.0, grid_weight=1.0, content_network="it"
        )
        noise = nets.generator.tiled_noise((16, 16))
        under = simplify_photo(batch.photo, batch.photo_landmarks, 2)
        wanted = nets.painter.painted(under, batch.photo_landmarks, noise, batch.photo)
        with torch.no_grad():
            drawn = nets.generator(batch.photo)
            terms = reconstruction_terms(nets, batch, args)
        torch.testing.assert_close(terms["reconstruction"], (drawn - wanted).abs().mean())
        # The way back starts from washes, too.
        back = (nets.inverse(wanted) - batch.photo).abs().mean()
        torch.testing.assert_close(terms["reconstruction_inverse"], back)
        assert terms["marks"] == (marks(drawn) - marks(wanted)).abs().mean() > 0
        assert terms["content"] == content_loss(nets.content, drawn, wanted, {}, {}) > 0
        assert terms["grid"] == grid_loss(drawn) > 0
        plain = reconstruction_terms(replace(nets, painter=None), batch, args)
        assert set(plain) == {"reconstruction", "reconstruction_inverse"}

    @pytest.mark.parametrize("channels", [8, 16])
    def test_painters_work_in_full_precision(self, batch: Batch, channels: int) -> None:
        nets = networks()
        nets.generator = nets.generator.with_noise(channels)
        nets.painter = Washes(1.4, torch.ones(1, 3, 1, 1)) if channels == 8 else Strokes(0.1)
        args = options(resolution=64, abstraction=2)
        whole = _wanted(nets, batch, args)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(_wanted(nets, batch, args), whole)

    def test_anchor_pulls_the_colour_to_the_photo(self, batch: Batch) -> None:
        nets, args = networks(), options(**{**OFF, "anchor_weight": 1.0})
        optimizer = torch.optim.Adam(nets.generator.parameters(), lr=3e-3)
        values = []
        for _ in range(20):
            terms, _ = run(nets, batch, args)
            optimizer.zero_grad()
            weighted_sum(terms, args).backward()
            optimizer.step()
            values.append(terms["anchor"].item())
        assert values[-1] < 0.7 * values[0]


def test_landmarks_outside_the_picture_do_not_break_a_step(batch: Batch) -> None:
    faces = make_landmarks(2) * 1.6 + 0.3
    moved = Batch(batch.photo, faces, batch.example, batch.example_landmarks)
    g_terms, d_terms = run(networks(), moved, options())
    assert all(term.isfinite() for term in {**g_terms, **d_terms}.values())
