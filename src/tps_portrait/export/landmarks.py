"""The networks that find faces, as files: with them face mode runs on a device without PyTorch."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ConfigError, ModelFileError, OutputError
from ..models.landmarks import FaceLandmarker, topology
from ..models.landmarks.blazeface import BlazeFaceDetector
from ..models.landmarks.face_mesh import CROP_SIZE, AttentionMesh, MeshOutput
from .network import PortableFinder, to_inputs
from .options import ExportOptions, as_array
from .parity import compare_numbers
from .pictures import varied
from .targets import find_target, load_runner, read_facts
from .writer import Export, ExportReport, write_export

LANDMARK_FILES = {"short_range": "face-short", "full_range": "face-full", "mesh": "face-mesh"}
"""Names of the files, without their suffix, by network."""

# pnnx cannot convert how the mesh cuts out its regions.
_UNABLE = ("ncnn",)

_OUTPUT = "numbers"
_UNIT = "parts of the input square: (0, 0) is its upper left corner, (1, 1) its lower right"
_CANDIDATE = (
    *("probability", "x1", "y1", "x2", "y2"),
    *("right eye x", "right eye y", "left eye x", "left eye y", "nose x", "nose y"),
    *("mouth x", "mouth y", "right ear x", "right ear y", "left ear x", "left ear y"),
)


class CandidateNetwork(nn.Module):
    """A detector with its decoding inside.

    Args:
        detector: one of the two.
    """

    anchors: Tensor

    def __init__(self, detector: BlazeFaceDetector) -> None:
        super().__init__()
        self.detector = detector
        self.size = detector.size
        self.register_buffer("anchors", detector.anchors(torch.device("cpu")))

    def forward(self, image: Tensor) -> Tensor:
        """Predict candidates.

        Args:
            image: `(B, 3, size, size)` RGB in [-1, 1].

        Returns:
            `(B, anchors, 17)`: probability, box x1, y1, x2, y2, and six key points (x, y), all in
            [0, 1] of the square; see `BlazeFaceDetector.decode`.
        """
        scores, values = self.detector(image)
        values = values / self.size
        centre, half = values[..., :2] + self.anchors, values[..., 2:4] / 2
        points = values[..., 4:] + self.anchors.repeat(1, (values.shape[-1] - 4) // 2)
        probability = scores.clamp(-100, 100).sigmoid()[..., None]
        return torch.cat((probability, centre - half, centre + half, points), -1)


class MeshNetwork(nn.Module):
    """The attention mesh with one output.

    Args:
        mesh: the network.
    """

    size = CROP_SIZE

    def __init__(self, mesh: AttentionMesh) -> None:
        super().__init__()
        self.mesh = mesh

    def forward(self, image: Tensor) -> Tensor:
        """Predict the mesh.

        Args:
            image: `(B, 3, 192, 192)` RGB in [-1, 1].

        Returns:
            `(B, 479, 3)`: 478 points (x, y, z), x and y in [0, 1] of the square, z in the same
            unit; then the probability of a face, three times.
        """
        points, presence = self.mesh((image + 1) / 2)
        return torch.cat((points / CROP_SIZE, presence[:, None, None].expand(-1, 1, 3)), 1)


class ExportedMesh(nn.Module):
    """Places the mesh by an exported file, in the place of an `AttentionMesh`, on the CPU.

    Args:
        path: file `face-mesh` that `export_landmarks` wrote, with its JSON beside it.

    Raises:
        ModelFileError: the file or its JSON is missing, or it is another network.
        ExportError: the runtime is not installed or cannot load the file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__()
        path = Path(path)
        facts, target = read_facts(path)
        if facts.get("network") != "mesh":
            raise ModelFileError(f"{path} is not a face mesh. Pass the file face-mesh.")
        self._input: dict[str, Any] = facts["input"]
        # The layers are too small for threads.
        self._run = load_runner(target.name, path, threads=1)

    def forward(self, pixel_values: Tensor) -> MeshOutput:
        """Place the mesh; see `AttentionMesh.forward`."""
        pixels, last = self._input["dtype"] == "uint8", self._input["layout"] == "NHWC"
        x = (pixel_values * 255).round().to(torch.uint8) if pixels else pixel_values * 2 - 1
        images = as_array(x.permute(0, 2, 3, 1) if last else x)
        rows = [torch.from_numpy(self._run(image[None]))[0] for image in images]
        numbers = torch.stack(rows)
        return MeshOutput(numbers[:, :-1] * CROP_SIZE, numbers[:, -1, 0])


def export_landmarks(
    landmarker: FaceLandmarker,
    target: str,
    folder: str | os.PathLike[str],
    options: ExportOptions | None = None,
    *,
    portraits: Sequence[Tensor],
) -> list[ExportReport]:
    """Write both face detectors and the face mesh, each with a JSON beside it.

    Their input is a square picture, of 128 pixels for the short-range detector and 192 for the
    others. The output is float32, fractions of that square. The JSON of each says what its numbers
    mean, and which thresholds the pipeline uses. `examples/host/` does with them what
    `FaceLandmarker.detect` does.

    Args:
        landmarker: the networks.
        target: as in `TARGETS`, but for ncnn.
        folder: where to write; see `LANDMARK_FILES` for the names.
        options: precision (`fp32` or `fp16`), `io` and `layout`; size and batch size are given by
            the networks. The format's usual ones by default.
        portraits: face crops `(3, H, W)` uint8, for the check.

    Returns:
        The three reports, in the order of `LANDMARK_FILES`.

    Raises:
        ConfigError: the target cannot hold what was asked for.
        ExportError: packages are missing, the conversion failed, or the numbers differ too much.
        OutputError: the files cannot be written.
    """
    kind, folder = find_target(target), Path(folder)
    if kind.name in _UNABLE:
        raise ConfigError(
            f"The converter to {kind.name} cannot convert the face mesh. Export the generator "
            "alone, and the face networks to onnx or litert."
        )
    if options is None:
        io, layout = kind.form("float", None)
        options = ExportOptions("fp32", io=io, layout=layout)
    if options.precision == "int8" or options.dynamic:
        raise ConfigError(
            "The face networks have a fixed size and are written in fp32 or fp16; int8 moves "
            "landmarks by pixels."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"Cannot write to {folder}: {error}. Choose a folder that can be written."
        ) from error
    clean = copy.deepcopy(landmarker).cpu().float().eval().requires_grad_(False)
    networks: dict[str, CandidateNetwork | MeshNetwork] = {
        "short_range": CandidateNetwork(clean.short_range),
        "full_range": CandidateNetwork(clean.full_range),
        "mesh": MeshNetwork(clean.mesh),
    }
    reports = []
    for name, network in networks.items():
        form = replace(options, size=(network.size, network.size), batch_size=1)
        pictures = varied(portraits, form.size)
        inputs = to_inputs(pictures, form)
        export = Export(
            network=PortableFinder(copy.deepcopy(network), form),
            reference=PortableFinder(network, form).eval(),
            options=form,
            checks=inputs,
            calibration=inputs[:1],
            compare=compare_numbers,
            source=network,
            output=_output_facts(network),
            facts=_facts(name, landmarker),
        )
        path = folder / f"{LANDMARK_FILES[name]}{kind.suffix}"
        reports.append(write_export(kind, path, export))
    return reports


def _output_facts(network: CandidateNetwork | MeshNetwork) -> dict[str, Any]:
    if isinstance(network, CandidateNetwork):
        rows = {"values": list(_CANDIDATE)}
        shape = [1, len(network.anchors), len(_CANDIDATE)]
    else:
        rows = {"values": ["x", "y", "z"]}
        shape = [1, topology.MESH_POINTS + 1, 3]
    return {"name": _OUTPUT, "shape": shape, "dtype": "float32", "unit": _UNIT, **rows}


def _facts(name: str, landmarker: FaceLandmarker) -> dict[str, Any]:
    """What a host must know beside the networks; the file of the mesh has the numbering."""
    config = landmarker.config
    facts: dict[str, Any] = {"network": name, "license": "apache-2.0"}
    if name != "mesh":
        return facts | {
            "score_threshold": config.score_threshold,
            "overlap_threshold": config.overlap_threshold,
            "crop_scale": config.crop_scale,
        }
    return facts | {
        "presence_row": topology.MESH_POINTS,
        "presence_threshold": config.presence_threshold,
        "keypoint_tolerance": config.keypoint_tolerance,
        "refinements": config.refinements,
        "crop_scale": config.crop_scale,
        "eye_line": list(topology.EYE_LINE),
        "eyes_nose_lips": [
            topology.RIGHT_PUPIL,
            topology.LEFT_PUPIL,
            topology.NOSE_TIP,
            *topology.INNER_LIPS,
        ],
        "landmarks_68": list(topology.MESH_TO_68),
    }
