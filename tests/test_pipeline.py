"""The pipeline end to end, with tiny real generators and the bundled face landmarker."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from conftest import seeded, tiny_generator, tiny_pipeline
from tps_portrait import FaceLandmarker, TPSPortraitPipeline, TPSPortraitPipelineOutput
from tps_portrait.hub.styles import bundled_styles, shared_landmarks
from tps_portrait.processing.faces import FaceCrop


def levels(image: Image.Image) -> np.ndarray:
    """Pixels as integers that can be subtracted."""
    return np.asarray(image).astype(int)


class TestCall:
    def test_one_picture(self, pipe: TPSPortraitPipeline, astronaut: Image.Image) -> None:
        output = pipe(astronaut)
        assert isinstance(output, TPSPortraitPipelineOutput)
        (image,), (faces,) = output.images, output.faces
        assert image.mode == "RGB"
        assert image.size == astronaut.size
        assert len(faces) == 1
        assert faces[0].landmarks.shape == (68, 2)
        assert output.errors == []

    def test_tuple(self, pipe: TPSPortraitPipeline, no_face: Image.Image) -> None:
        images, faces, errors = pipe(no_face, mode="frame", return_dict=False)
        assert (len(images), faces, errors) == (1, [[]], [])

    def test_no_picture(self, pipe: TPSPortraitPipeline) -> None:
        assert pipe([]).images == []

    @pytest.mark.parametrize("kind", ["array", "tensor"])
    def test_batch_given_as_one_array(self, pipe: TPSPortraitPipeline, kind: str) -> None:
        stack = np.stack([seeded(64, 80, seed=s) for s in range(3)])
        batch = stack if kind == "array" else torch.from_numpy(stack).permute(0, 3, 1, 2)
        together = pipe(batch, mode="frame").images
        apart = [pipe(one, mode="frame").images[0] for one in stack]
        assert all(
            np.abs(levels(a) - levels(b)).max() <= 1 for a, b in zip(together, apart, strict=True)
        )

    def test_frame_mode_is_one_pass_of_the_generator(self, pipe: TPSPortraitPipeline) -> None:
        photo = seeded(96, 128)
        margin = np.pad(photo, ((32, 32), (32, 32), (0, 0)), mode="edge")
        values = pipe.image_processor.to_model(torch.from_numpy(margin).permute(2, 0, 1))
        with torch.no_grad():
            expected = pipe.image_processor.postprocess(pipe.generator(values[None]))[0]
        expected = expected.crop((32, 32, 160, 128))
        result = pipe(photo, mode="frame").images[0]
        assert np.abs(levels(result) - levels(expected)).max() <= 1

    def test_output_types(self, pipe: TPSPortraitPipeline, no_face: Image.Image) -> None:
        image, array, tensor = (
            pipe(no_face, mode="frame", output_type=kind).images[0] for kind in ("pil", "np", "pt")
        )
        assert array.shape == (160, 200, 3)
        assert tensor.shape == (3, 160, 200)
        assert np.array_equal((array * 255).round(), levels(image))
        assert np.array_equal(tensor.permute(1, 2, 0).numpy(), array)

    def test_deterministic(self, pipe: TPSPortraitPipeline, two_faces: Image.Image) -> None:
        first, second = (pipe(two_faces, geometry_strength=0.5).images[0] for _ in range(2))
        assert np.array_equal(levels(first), levels(second))

    def test_batches_agree_with_single_pictures(
        self, pipe: TPSPortraitPipeline, astronaut: Image.Image, two_faces: Image.Image
    ) -> None:
        pictures = [
            two_faces,
            astronaut,
            astronaut.resize((300, 300)),
            two_faces.crop((0, 0, 500, 400)),
        ]
        together = pipe(pictures, batch_size=3)
        assert [len(faces) for faces in together.faces] == [2, 1, 1, 1]
        for picture, result in zip(pictures, together.images, strict=True):
            apart = pipe(picture, batch_size=1).images[0]
            assert np.abs(levels(result) - levels(apart)).max() <= 2

    def test_faces_are_drawn_on_their_crops(
        self, pipe: TPSPortraitPipeline, two_faces: Image.Image
    ) -> None:
        drawn = pipe(two_faces)
        assert {float(face.landmarks[8, 0]) > 512 for face in drawn.faces[0]} == {False, True}
        whole = pipe(two_faces, mode="frame", size=64)
        one = pipe(two_faces, max_faces=1, size=64)
        assert len(one.faces[0]) == 1
        change = np.abs(levels(one.images[0]) - levels(whole.images[0])).max(-1)
        face = drawn.faces[0][0].box.int().tolist()
        assert change[face[1] : face[3], face[0] : face[2]].mean() > 5

    def test_narrow_small_and_large_pictures(self, pipe: TPSPortraitPipeline) -> None:
        for height, width in ((32, 32), (33, 71), (32, 2000), (1500, 40)):
            result = pipe(seeded(height, width), on_no_face="ignore").images[0]
            assert result.size == (width, height)

    def test_fifty_megapixels(self, pipe: TPSPortraitPipeline, astronaut: Image.Image) -> None:
        large = astronaut.resize((7080, 7080))
        output = pipe(large, strength=0.9)
        assert output.images[0].size == large.size
        assert len(output.faces[0]) == 1
        shrunk = levels(output.images[0].resize((256, 256)))
        small = levels(pipe(astronaut, strength=0.9).images[0].resize((256, 256)))
        assert np.abs(shrunk - small).mean() < 6


class TestStrength:
    @pytest.mark.parametrize("mode", ["face", "frame"])
    def test_zero_is_the_photo(
        self, pipe: TPSPortraitPipeline, astronaut: Image.Image, mode: str
    ) -> None:
        assert np.array_equal(
            levels(pipe(astronaut, strength=0, mode=mode).images[0]), levels(astronaut)
        )

    def test_zero_keeps_precision_and_hidden_colours(self, pipe: TPSPortraitPipeline) -> None:
        tensor = torch.rand(4, 40, 50)
        result = pipe(tensor, strength=0, output_type="pt", on_no_face="ignore").images[0]
        assert torch.equal(result, tensor)

    def test_between(self, pipe: TPSPortraitPipeline, astronaut: Image.Image) -> None:
        drawn = levels(pipe(astronaut).images[0])
        mixed = levels(pipe(astronaut, strength=0.25).images[0])
        assert np.abs(mixed - (0.75 * levels(astronaut) + 0.25 * drawn)).max() <= 0.51

    def test_opacity_is_kept(self, pipe: TPSPortraitPipeline, astronaut: Image.Image) -> None:
        cut_out = astronaut.copy()
        opacity = Image.fromarray(seeded(512, 512, channels=1))
        cut_out.putalpha(opacity)
        result = pipe(cut_out).images[0]
        assert result.mode == "RGBA"
        assert np.array_equal(levels(result)[..., 3], levels(opacity))


class TestGeometry:
    def test_moves_the_face_toward_the_template(
        self, pipe: TPSPortraitPipeline, astronaut: Image.Image
    ) -> None:
        before = pipe(astronaut, strength=0)
        after = pipe(astronaut, strength=0, geometry_strength=1.0)
        crop = FaceCrop.around(before.faces[0][0].landmarks, (512, 512))
        template = pipe.aligner.exaggerated_landmarks(crop.crop_landmarks[None], 1.0)[0]
        moved = pipe(after.images[0], strength=0).faces[0][0].landmarks
        inner = slice(17, 68)
        target = crop.to_picture(template)[inner]
        gap_before = (before.faces[0][0].landmarks[inner] - target).norm(dim=-1).mean()
        gap_after = (moved[inner] - target).norm(dim=-1).mean()
        assert gap_after < 0.6 * gap_before

    def test_leaves_the_rest_of_the_picture(
        self, pipe: TPSPortraitPipeline, astronaut: Image.Image
    ) -> None:
        output = pipe(astronaut, strength=0, geometry_strength=1.0)
        change = np.abs(levels(output.images[0]) - levels(astronaut)).max(-1)
        left, top, right, bottom = FaceCrop.around(output.faces[0][0].landmarks, (512, 512)).bounds(
            (512, 512)
        )
        assert change[top:bottom, left:right].max() > 20
        change[top:bottom, left:right] = 0
        assert not change.any()

    def test_works_in_frame_mode(self, pipe: TPSPortraitPipeline, astronaut: Image.Image) -> None:
        output = pipe(astronaut, mode="frame", strength=0.5, geometry_strength=0.5)
        plain = pipe(astronaut, mode="frame", strength=0.5)
        assert len(output.faces[0]) == 1
        assert plain.faces == [[]]
        assert np.abs(levels(output.images[0]) - levels(plain.images[0])).max() > 10


class TestNoFace:
    def test_warns_and_draws_the_whole(
        self, pipe: TPSPortraitPipeline, no_face: Image.Image
    ) -> None:
        with pytest.warns(UserWarning, match="No face was found in RGB picture of 200x160 px"):
            drawn = pipe(no_face).images[0]
        assert np.array_equal(levels(drawn), levels(pipe(no_face, mode="frame").images[0]))

    def test_ignore(self, pipe: TPSPortraitPipeline, no_face: Image.Image) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert pipe(no_face, on_no_face="ignore").images[0].size == (200, 160)


class TestNetwork:
    def test_folded_copy_is_kept_until_weights_change(self) -> None:
        pipe = tiny_pipeline()
        photo = seeded(64, 64)
        first, network = pipe(photo, mode="frame").images[0], pipe.inference_network()
        assert pipe.inference_network() is network
        with torch.no_grad():
            pipe.generator.head.bias += 0.3
        changed = pipe(photo, mode="frame").images[0]
        assert pipe.inference_network() is not network
        assert np.abs(levels(first) - levels(changed)).mean() > 5
        pipe.generator.load_state_dict(tiny_generator(0).state_dict())
        again = pipe(photo, mode="frame").images[0]
        assert np.array_equal(levels(first), levels(again))
        pipe.generator = tiny_generator(1)
        assert not np.array_equal(levels(first), levels(pipe(photo, mode="frame").images[0]))

    def test_type_is_that_of_the_generator(self, astronaut: Image.Image) -> None:
        pipe = tiny_pipeline()
        exact = levels(pipe(astronaut, geometry_strength=0.5).images[0])
        assert pipe.to(torch.bfloat16) is pipe
        assert pipe.dtype == pipe.generator.dtype == torch.bfloat16
        assert pipe.aligner.dtype == pipe.landmarker.dtype == torch.float32
        rough = levels(pipe(astronaut, geometry_strength=0.5).images[0])
        assert 0 < np.abs(rough - exact).mean() < 3
        pipe.to("cpu", torch.float32)
        assert pipe.dtype == torch.float32
        assert pipe.to(device="cpu").device == torch.device("cpu")

    def test_new_pipeline_is_in_evaluation_mode(self) -> None:
        pipe = TPSPortraitPipeline(tiny_generator().train(), tiny_pipeline().aligner)
        assert not pipe.generator.training
        assert pipe.image_processor.face_size == 512

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    def test_gpu_agrees_with_cpu(self, two_faces: Image.Image) -> None:
        pipe = tiny_pipeline()
        expected = levels(pipe(two_faces, geometry_strength=0.5).images[0])
        pipe.to("cuda")
        result = levels(pipe(two_faces, geometry_strength=0.5).images[0])
        assert np.abs(result - expected).mean() < 0.5
        assert pipe.landmarker.device.type == "cuda"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved tiny style."""
    folder = tmp_path_factory.mktemp("styles") / "tiny"
    pipe = tiny_pipeline(seed=3)
    with torch.no_grad():
        pipe.aligner.template[8, 1] += 0.1
    pipe.card = "# Tiny\n\nDraws badly.\n"
    pipe.save_pretrained(folder)
    return folder


class TestFolder:
    def test_files(self, saved: Path) -> None:
        files = {path.relative_to(saved).as_posix() for path in saved.rglob("*") if path.is_file()}
        assert files == {
            "README.md",
            "aligner/config.json",
            "aligner/model.safetensors",
            "config.json",
            "generator/config.json",
            "generator/model.safetensors",
            "image_processor/preprocessor_config.json",
            "model_index.json",
        }
        assert json.loads((saved / "config.json").read_text()) == {
            "library_name": "tps-portrait",
            "style": "tiny",
            "format_version": 1,
        }
        index = json.loads((saved / "model_index.json").read_text())
        assert index["generator"] == ["tps_portrait", "StyleGenerator"]
        assert index["landmarks"] == [None, None]
        assert str(saved) not in json.dumps(index)

    def test_round_trip_is_exact(self, saved: Path, tmp_path: Path, astronaut: Image.Image) -> None:
        pipe = TPSPortraitPipeline.from_pretrained(saved)
        original = tiny_pipeline(seed=3)
        original.aligner.load_state_dict(pipe.aligner.state_dict())
        expected = original(astronaut, geometry_strength=0.7).images[0]
        assert np.array_equal(
            levels(pipe(astronaut, geometry_strength=0.7).images[0]), levels(expected)
        )
        pipe.save_pretrained(tmp_path / "again")
        for path in saved.rglob("*"):
            if path.is_file():
                copied = tmp_path / "again" / path.relative_to(saved)
                assert copied.read_bytes() == path.read_bytes(), path.name

    def test_half_precision_variant(
        self, saved: Path, tmp_path: Path, astronaut: Image.Image
    ) -> None:
        pipe = TPSPortraitPipeline.from_pretrained(saved)
        pipe.save_pretrained(tmp_path, variant="fp16")
        assert pipe.dtype == torch.float32
        stored = load_file(tmp_path / "generator" / "model.fp16.safetensors")
        assert {value.dtype for value in stored.values()} == {torch.float16}
        loaded = TPSPortraitPipeline.from_pretrained(tmp_path, variant="fp16")
        assert loaded.dtype == torch.float32
        for name, value in loaded.generator.state_dict().items():
            assert torch.equal(value, pipe.generator.state_dict()[name].half().float()), name
        assert torch.equal(loaded.aligner.template, pipe.aligner.template)
        half = TPSPortraitPipeline.from_pretrained(tmp_path, variant="fp16", dtype=torch.float16)
        assert half.dtype == torch.float16
        assert half.aligner.dtype == torch.float32
        loaded.save_pretrained(tmp_path / "again", variant="fp16")
        twice = TPSPortraitPipeline.from_pretrained(tmp_path / "again", variant="fp16")
        assert np.array_equal(
            levels(loaded(astronaut).images[0]), levels(twice(astronaut).images[0])
        )

    def test_components_can_be_given(self, saved: Path, tmp_path: Path) -> None:
        generator = tiny_generator(7)
        landmarks = FaceLandmarker.from_pretrained(shared_landmarks())
        pipe = TPSPortraitPipeline.from_pretrained(saved, generator=generator, landmarks=landmarks)
        assert pipe.generator is generator
        assert pipe.landmarker is landmarks
        pipe.save_pretrained(tmp_path)
        index = json.loads((tmp_path / "model_index.json").read_text())
        assert index["landmarks"] == ["tps_portrait", "FaceLandmarker"]
        again = TPSPortraitPipeline.from_pretrained(tmp_path)
        assert isinstance(again.landmarks, FaceLandmarker)
        assert again.landmarker is again.landmarks

    def test_card_and_name_are_kept(self, saved: Path, tmp_path: Path) -> None:
        pipe = TPSPortraitPipeline.from_pretrained(str(saved))
        assert (pipe.style, pipe.card) == ("tiny", "# Tiny\n\nDraws badly.\n")
        assert pipe.name_or_path == str(saved)
        pipe.style = "renamed"
        pipe.save_pretrained(tmp_path)
        assert (tmp_path / "README.md").read_text() == pipe.card
        assert TPSPortraitPipeline.from_pretrained(tmp_path).style == "renamed"

    def test_loads_from_the_hub_cache(self, saved: Path, tmp_path: Path) -> None:
        repository, commit = tmp_path / "models--somebody--ink", "0123456789abcdef" * 2 + "01234567"
        shutil.copytree(saved, repository / "snapshots" / commit)
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text(commit)
        pipe = TPSPortraitPipeline.from_pretrained(
            "somebody/ink", cache_dir=tmp_path, local_files_only=True
        )
        assert pipe.name_or_path == "somebody/ink"
        assert (pipe.style, pipe.card) == ("tiny", (saved / "README.md").read_text())
        weights = tiny_generator(3).state_dict()
        assert all(torch.equal(v, weights[k]) for k, v in pipe.generator.state_dict().items())

    def test_loads_in_a_fresh_process_without_network(self, saved: Path, tmp_path: Path) -> None:
        code = (
            "import sys; from tps_portrait import TPSPortraitPipeline as P\n"
            "import torch; x = torch.linspace(0, 1, 3 * 48 * 48).reshape(3, 48, 48)\n"
            "y = P.from_pretrained(sys.argv[1])(x, mode='frame', output_type='np').images[0]\n"
            "import numpy; numpy.save(sys.argv[2], y)"
        )
        target = tmp_path / "result.npy"
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_ENDPOINT": "http://127.0.0.1:9"}
        subprocess.run(
            [sys.executable, "-c", code, str(saved), str(target)], check=True, env=environment
        )
        ramp = torch.linspace(0, 1, 3 * 48 * 48).reshape(3, 48, 48)
        pipe = TPSPortraitPipeline.from_pretrained(saved)
        expected = pipe(ramp, mode="frame", output_type="np").images[0]
        # Kernels are chosen anew in each process; a tie may be rounded the other way.
        np.testing.assert_allclose(np.load(target), expected, rtol=0, atol=1.01 / 255)


class TestBundled:
    def test_names(self) -> None:
        assert all(not name.startswith("_") for name in bundled_styles())

    @pytest.mark.parametrize("name", bundled_styles())
    def test_style(self, name: str, astronaut: Image.Image, tmp_path: Path) -> None:
        pipe = TPSPortraitPipeline.from_pretrained(name)
        assert pipe.style == name
        result = pipe(astronaut)
        assert len(result.faces[0]) == 1
        image = levels(result.images[0])
        assert np.abs(image - levels(astronaut)).mean() > 5
        assert image.std() > 20
        pipe.save_pretrained(tmp_path)
        again = TPSPortraitPipeline.from_pretrained(tmp_path)
        assert np.array_equal(levels(again(astronaut).images[0]), image)

    @pytest.mark.parametrize("name", bundled_styles())
    def test_card(self, name: str) -> None:
        assert "license:" in (TPSPortraitPipeline.from_pretrained(name).card or "")
