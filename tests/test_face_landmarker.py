"""The face landmarker: parity with the original runtimes, and how it behaves on whole pictures."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors import safe_open
from torch import Tensor

from tps_portrait.errors import ConfigError, InputImageError, ModelFileError
from tps_portrait.models.landmarks import Face, FaceLandmarker, FaceLandmarkerConfig

ROOT = Path(__file__).resolve().parents[1]
WEIGHTS = ROOT / "src/tps_portrait/styles/_shared/landmarks"
REFERENCE = ROOT / "tests/data/face_reference.npz"
DRAWN = ROOT / "examples/data/styles/animation"
PICTURES = {
    "astronaut": ROOT / "src/tps_portrait/assets/astronaut.jpg",
    "grace_hopper": ROOT / "tests/data/grace_hopper.jpg",
    "mona_lisa": ROOT / "tests/data/mona_lisa.jpg",
}

sys.path.insert(0, str(ROOT / "tools"))
from convert_face_models import INPUTS, network_inputs  # noqa: E402


def load(path: Path) -> Tensor:
    """A picture as a uint8 tensor `(3, H, W)`."""
    return torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1)


def resized(image: Tensor, size: tuple[int, int]) -> Tensor:
    """An antialiased copy of another size."""
    out = F.interpolate(image[None].float(), size=size, mode="bilinear", antialias=True)
    return out[0].round().clamp(0, 255).byte()


def eye_distance(face: Face) -> float:
    """Between the outer eye corners, in pixels."""
    return float((face.landmarks[36] - face.landmarks[45]).norm())


@pytest.fixture(scope="module")
def landmarker() -> FaceLandmarker:
    """The bundled landmarker."""
    return FaceLandmarker.from_pretrained(WEIGHTS)


@pytest.fixture(scope="module")
def pictures() -> dict[str, Tensor]:
    """The public-domain portraits."""
    return {name: load(path) for name, path in PICTURES.items()}


@pytest.fixture(scope="module")
def faces(landmarker: FaceLandmarker, pictures: dict[str, Tensor]) -> dict[str, Face]:
    """The one face of each portrait, found one by one."""
    found = {name: landmarker.detect([image])[0] for name, image in pictures.items()}
    assert {name: len(some) for name, some in found.items()} == dict.fromkeys(pictures, 1)
    return {name: some[0] for name, some in found.items()}


class TestParity:
    """Against outputs of LiteRT and MediaPipe stored by tools/convert_face_models.py."""

    @pytest.fixture
    def stored(self) -> dict[str, np.ndarray]:
        """The stored outputs."""
        return dict(np.load(REFERENCE))

    @pytest.mark.parametrize("name", INPUTS)
    @pytest.mark.parametrize("kind", ["short", "full"])
    def test_detectors(
        self, landmarker: FaceLandmarker, stored: dict[str, np.ndarray], name: str, kind: str
    ) -> None:
        """Logits of all anchors, boxes and key points of the best."""
        image = torch.from_numpy(network_inputs(name)[kind].copy()).permute(2, 0, 1)[None]
        net = landmarker.short_range if kind == "short" else landmarker.full_range
        with torch.no_grad():
            scores, values = net(image / 127.5 - 1)
        np.testing.assert_allclose(scores[0], stored[f"{name}.{kind}.scores"], atol=1e-3)
        best = stored[f"{name}.{kind}.anchors"]
        np.testing.assert_allclose(values[0][best], stored[f"{name}.{kind}.values"], atol=1e-3)

    @pytest.mark.parametrize("name", INPUTS)
    def test_mesh(
        self, landmarker: FaceLandmarker, stored: dict[str, np.ndarray], name: str
    ) -> None:
        """All 478 points of a crop, in crop pixels, depth included."""
        image = torch.from_numpy(network_inputs(name)["mesh"].copy()).permute(2, 0, 1)[None]
        with torch.no_grad():
            output = landmarker(image / 255)
        np.testing.assert_allclose(output.mesh[0], stored[f"{name}.mesh"], atol=2e-3)
        assert output.presence.item() > 0.99

    @pytest.mark.parametrize("name", PICTURES)
    def test_whole_picture(
        self, faces: dict[str, Face], stored: dict[str, np.ndarray], name: str
    ) -> None:
        """The whole way against MediaPipe's, which crops and smooths a little differently."""
        expected = torch.from_numpy(stored[f"{name}.picture"])
        distance = (faces[name].mesh - expected)[:, :2].norm(dim=1) / eye_distance(faces[name])
        assert distance.mean() < 0.012
        assert distance.max() < 0.05


class TestFiles:
    """What is shipped, loaded and saved."""

    def test_weights_are_small_and_half(self) -> None:
        """At most 5 MB of float16 in one safetensors file."""
        file = WEIGHTS / "model.safetensors"
        assert file.stat().st_size < 5_000_000
        with safe_open(file, "pt") as tensors:
            assert {tensors.get_tensor(key).dtype for key in tensors.keys()} == {  # noqa: SIM118
                torch.float16
            }

    def test_always_float32(self, pictures: dict[str, Tensor], faces: dict[str, Face]) -> None:
        """Other types asked for at loading or later change nothing."""
        landmarker = FaceLandmarker.from_pretrained(WEIGHTS, dtype=torch.bfloat16)
        landmarker.half().to(torch.bfloat16)
        assert landmarker.dtype == torch.float32
        with torch.autocast("cpu", torch.bfloat16):
            face = landmarker.detect([pictures["mona_lisa"]])[0][0]
        torch.testing.assert_close(face.mesh, faces["mona_lisa"].mesh, rtol=0, atol=1e-3)

    def test_round_trip(self, landmarker: FaceLandmarker, tmp_path: Path) -> None:
        """Saving writes the very file that is shipped."""
        landmarker.save_pretrained(tmp_path)
        assert (tmp_path / "model.safetensors").read_bytes() == (
            WEIGHTS / "model.safetensors"
        ).read_bytes()
        written, shipped = (
            json.loads((folder / "config.json").read_text()) for folder in (tmp_path, WEIGHTS)
        )
        assert {**written, "transformers_version": ""} == {**shipped, "transformers_version": ""}

    def test_incomplete_weights_are_refused(
        self, landmarker: FaceLandmarker, tmp_path: Path
    ) -> None:
        """A missing tensor must not become noise."""
        state = {k: v for k, v in landmarker.state_dict().items() if k != "mesh.presence.bias"}
        landmarker.save_pretrained(tmp_path, state_dict=state)
        with pytest.raises(ModelFileError, match=r"mesh\.presence\.bias"):
            FaceLandmarker.from_pretrained(tmp_path)

    @pytest.mark.parametrize(
        "bad",
        [
            {"score_threshold": 1.5},
            {"tile_size": 64},
            {"max_tiles": 0},
            {"crop_scale": 0.5},
            {"refinements": -1},
            {"keypoint_tolerance": 0.0},
        ],
    )
    def test_configuration_is_checked(self, bad: dict[str, float]) -> None:
        """Values out of range are refused by name."""
        with pytest.raises(Exception, match=next(iter(bad))):
            FaceLandmarkerConfig(**bad)


class TestDetect:
    """Whole pictures."""

    def test_face_is_consistent(self, pictures: dict[str, Tensor], faces: dict[str, Face]) -> None:
        """Types, shapes and the relations between the parts of a face."""
        for name, face in faces.items():
            shapes = [tuple(t.shape) for t in (face.box, face.keypoints, face.landmarks, face.mesh)]
            assert shapes == [(4,), (6, 2), (68, 2), (478, 3)]
            assert all(
                t.dtype == torch.float32 and t.device.type == "cpu"
                for t in (face.box, face.keypoints, face.landmarks, face.mesh)
            )
            assert 0.5 <= face.score <= 1
            x, y = face.landmarks.T
            assert x.min() >= face.box[0]
            assert x.max() <= face.box[2]
            right, left, nose, mouth = face.keypoints[:4]
            assert right[0] < nose[0] < left[0], name
            assert max(right[1], left[1]) < nose[1] < mouth[1] < y[8], name
            for pupil, lids in ((right, slice(36, 42)), (left, slice(42, 48))):
                assert x[lids].min() < pupil[0] < x[lids].max()
            height, width = pictures[name].shape[1:]
            assert face.landmarks.min() > 0
            assert (face.landmarks < torch.tensor([width, height])).all()

    @pytest.mark.parametrize("number", [0, 25, 50, 75])
    def test_drawn_faces(self, landmarker: FaceLandmarker, number: int) -> None:
        """Drawings with exact landmarks: found once, the points within 5 % of the eye distance."""
        row = json.loads((DRAWN / "metadata.jsonl").read_text().splitlines()[number])
        image = load(DRAWN / row["file_name"])
        (found,) = landmarker.detect([image])
        assert len(found) == 1
        size = torch.tensor([image.shape[2], image.shape[1]])
        exact = (torch.tensor(row["landmarks"]) + 1) / 2 * size
        error = (found[0].landmarks - exact).norm(dim=1) / eye_distance(found[0])
        assert error.mean() < 0.06
        assert error[36:].mean() < 0.03

    @pytest.mark.parametrize("name", ["coffee", "cat", "brick", "gravel", "rocket", "colorwheel"])
    def test_nothing_in_pictures_without_a_face(
        self, landmarker: FaceLandmarker, name: str
    ) -> None:
        """A cup, a cat, textures, a rocket, a disc."""
        data = pytest.importorskip("skimage.data")
        image = np.array(getattr(data, name)())
        image = image if image.ndim == 3 else np.stack([image] * 3, -1)
        assert landmarker.detect([torch.from_numpy(image).permute(2, 0, 1)]) == [[]]

    def test_nothing_in_blank_and_noise(self, landmarker: FaceLandmarker) -> None:
        """The smallest and odd shapes, flat and noisy."""
        noise = torch.randint(
            0, 256, (3, 200, 77), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
        )
        blank = torch.full((3, 32, 32), 128, dtype=torch.uint8)
        strip = torch.zeros((3, 32, 900), dtype=torch.uint8)
        assert landmarker.detect([noise, blank, strip]) == [[], [], []]
        assert landmarker.detect([]) == []

    def test_group_with_small_faces(
        self, landmarker: FaceLandmarker, pictures: dict[str, Tensor], faces: dict[str, Face]
    ) -> None:
        """Nine faces of 50 to 65 px in a 1500 px picture, each where it was put."""
        canvas = torch.full((3, 1150, 1500), 120, dtype=torch.uint8)
        expected = []
        for index in range(9):
            name = list(pictures)[index % 3]
            source = pictures[name]
            height = (300, 180, 350)[index % 3]
            scale = height / source.shape[1]
            small = resized(source, (height, round(source.shape[2] * scale)))
            x, y = 60 + 480 * (index % 3), 30 + 370 * (index // 3)
            canvas[:, y : y + height, x : x + small.shape[2]] = small
            expected.append(faces[name].landmarks * scale + torch.tensor([x, y]))
        (found,) = landmarker.detect([canvas])
        assert len(found) == 9
        sizes = [float((f.box[2:] - f.box[:2]).prod()) for f in found]
        assert sizes == sorted(sizes, reverse=True)
        for points in expected:
            nearest = min(found, key=lambda f: float((f.landmarks - points).norm()))
            error = (nearest.landmarks - points).norm(dim=1).mean()
            assert error < 0.08 * float((points[36] - points[45]).norm())
        (two,) = landmarker.detect([canvas], max_faces=2)
        assert [f.box.tolist() for f in two] == [f.box.tolist() for f in found[:2]]

    @pytest.mark.parametrize("degrees", [-35, 20])
    def test_tilted_head(
        self,
        landmarker: FaceLandmarker,
        pictures: dict[str, Tensor],
        faces: dict[str, Face],
        degrees: int,
    ) -> None:
        """The landmarks turn with the picture."""
        image = pictures["grace_hopper"]
        height, width = image.shape[1:]
        turned = np.asarray(
            Image.fromarray(image.permute(1, 2, 0).numpy()).rotate(
                degrees, Image.Resampling.BICUBIC
            )
        )
        (found,) = landmarker.detect([torch.from_numpy(turned.copy()).permute(2, 0, 1)])
        angle = math.radians(degrees)
        turn = torch.tensor(
            [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
        )
        centre = torch.tensor([width / 2, height / 2])
        expected = (faces["grace_hopper"].landmarks - centre) @ turn + centre
        error = (found[0].landmarks - expected).norm(dim=1).mean()
        assert error < 0.03 * eye_distance(faces["grace_hopper"])

    def test_batch_equals_one_by_one(
        self, landmarker: FaceLandmarker, pictures: dict[str, Tensor], faces: dict[str, Face]
    ) -> None:
        """Mixed sizes, a faceless one among them, twice in another order."""
        blank = torch.zeros((3, 48, 90), dtype=torch.uint8)
        names = list(pictures)
        batch = [pictures[names[0]], blank, pictures[names[1]], pictures[names[2]]]
        results = landmarker.detect(batch)
        assert [len(some) for some in results] == [1, 0, 1, 1]
        for name, some in zip(names, (results[0], results[2], results[3]), strict=True):
            torch.testing.assert_close(some[0].mesh, faces[name].mesh, rtol=0, atol=1e-3)
            assert some[0].score == pytest.approx(faces[name].score, abs=1e-5)

    def test_one_tensor_as_batch(
        self, landmarker: FaceLandmarker, pictures: dict[str, Tensor], faces: dict[str, Face]
    ) -> None:
        """`(B, 3, H, W)` is a sequence of pictures."""
        results = landmarker.detect(pictures["mona_lisa"][None])
        torch.testing.assert_close(results[0][0].mesh, faces["mona_lisa"].mesh, rtol=0, atol=1e-3)

    @pytest.mark.parametrize(
        ("bad", "message"),
        [
            (torch.zeros(3, 64, 64), r"images\[1\].*uint8.*float32"),
            (torch.zeros(4, 64, 64, dtype=torch.uint8), r"images\[1\].*\(4, 64, 64\)"),
            (torch.zeros(64, 64, dtype=torch.uint8), r"images\[1\]"),
            (torch.zeros(3, 31, 64, dtype=torch.uint8), r"images\[1\].*64x31.*32"),
            (np.zeros((64, 64, 3), np.uint8), r"images\[1\].*ndarray"),
        ],
    )
    def test_bad_pictures_are_named(
        self, landmarker: FaceLandmarker, bad: object, message: str
    ) -> None:
        """The message says which picture and why."""
        good = torch.zeros((3, 64, 64), dtype=torch.uint8)
        with pytest.raises(InputImageError, match=message):
            landmarker.detect([good, bad])  # type: ignore[list-item]

    def test_bad_arguments(self, landmarker: FaceLandmarker) -> None:
        """Thresholds and counts out of range."""
        image = torch.zeros((3, 64, 64), dtype=torch.uint8)
        with pytest.raises(ConfigError, match="threshold"):
            landmarker.detect([image], threshold=1.1)
        with pytest.raises(ConfigError, match="max_faces"):
            landmarker.detect([image], max_faces=0)

    def test_threshold_and_score(
        self, landmarker: FaceLandmarker, pictures: dict[str, Tensor], faces: dict[str, Face]
    ) -> None:
        """A threshold above the score drops the face, one below keeps it."""
        image, score = pictures["astronaut"], faces["astronaut"].score
        assert landmarker.detect([image], threshold=min(1.0, score + 0.01)) == [[]]
        assert len(landmarker.detect([image], threshold=score - 0.01)[0]) == 1

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    def test_gpu_agrees(self, pictures: dict[str, Tensor], faces: dict[str, Face]) -> None:
        """Pictures on the CPU and on the GPU; results always on the CPU."""
        landmarker = FaceLandmarker.from_pretrained(WEIGHTS).to("cuda")
        images = [pictures["astronaut"], pictures["mona_lisa"].cuda()]
        for name, some in zip(("astronaut", "mona_lisa"), landmarker.detect(images), strict=True):
            assert some[0].mesh.device.type == "cpu"
            torch.testing.assert_close(some[0].mesh, faces[name].mesh, rtol=0, atol=0.2)


class TestTrack:
    """Following a face through frames."""

    def test_moved_face(
        self, landmarker: FaceLandmarker, pictures: dict[str, Tensor], faces: dict[str, Face]
    ) -> None:
        """The landmarks move with the picture, as precisely as when detected anew."""
        shift = torch.tensor([11.0, -7.0])
        frame = pictures["grace_hopper"].roll((-7, 11), (1, 2))
        face = landmarker.track(frame, faces["grace_hopper"])
        assert face is not None
        error = (face.landmarks - shift - faces["grace_hopper"].landmarks).norm(dim=1).mean()
        assert error < 0.02 * eye_distance(face)
        assert 0.98 <= face.score <= 1

    def test_lost_face(
        self, landmarker: FaceLandmarker, pictures: dict[str, Tensor], faces: dict[str, Face]
    ) -> None:
        """A cut to something else loses the face."""
        blank = torch.full_like(pictures["astronaut"], 90)
        assert landmarker.track(blank, faces["astronaut"]) is None
