"""What an app does around the exported networks, in numpy: find faces, cut, draw, paste back.

Needs onnxruntime, numpy and Pillow only; no PyTorch. The files come from

    tps-portrait export --target onnx --dynamic --with-landmarks -o models/animation.onnx
    python examples/host/stylize.py me.jpg models/animation.onnx -o me-animation.png

Pictures are arrays (H, W, 3), uint8. Points are (x, y) in pixels; the centre of pixel i is i + 0.5.
`portrait.mjs` is the same in JavaScript. Unlike the Python package, this does not search large
pictures in tiles: faces smaller than about a tenth of the picture are not found.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

LINEAR, CUBIC = Image.Resampling.BILINEAR, Image.Resampling.BICUBIC


class Network:
    """An exported file in onnxruntime, fed as the JSON beside it says."""

    def __init__(self, path: Path, threads: int = 0) -> None:
        self.facts = json.loads(path.with_name(f"{path.name}.json").read_text("utf-8"))
        self.entry = self.facts["input"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )

    @property
    def size(self) -> tuple[int, int] | None:
        """(height, width) that the file takes, None if any."""
        first = self.entry["layout"].index("H")
        sides = self.entry["shape"][first : first + 2]
        return None if "height" in sides else tuple(sides)

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """Run one picture (H, W, 3), values from 0 to 255, and return the output without batch."""
        if self.entry["dtype"] == "uint8":
            x = np.rint(picture).clip(0, 255).astype(np.uint8)
        else:
            x = picture.astype(np.float32) / 127.5 - 1
        x = x if self.entry["layout"] == "NHWC" else x.transpose(2, 0, 1)
        return self.session.run(None, {"image": np.ascontiguousarray(x[None])})[0][0]

    def draw(self, picture: np.ndarray) -> np.ndarray:
        """Draw a picture of any size; what the file cannot take is shrunk and padded."""
        height, width = picture.shape[:2]
        step = self.facts.get("size_multiple", 32)
        box = self.size or (-(-height // step) * step, -(-width // step) * step)
        scale = min(1.0, box[0] / height, box[1] / width)
        inner = (max(1, round(height * scale)), max(1, round(width * scale)))
        x = resize(picture, inner)
        x = np.pad(x, ((0, box[0] - inner[0]), (0, box[1] - inner[1]), (0, 0)), "edge")
        y = self(x)
        y = y if self.entry["layout"] == "NHWC" else y.transpose(1, 2, 0)
        if y.dtype != np.uint8:
            y = np.rint((y + 1) * 127.5).clip(0, 255).astype(np.uint8)
        return resize(y[: inner[0], : inner[1]], (height, width))


class Stylizer:
    """Draws photos as the pipeline's face mode does.

    Args:
        model: the style's file; the face networks lie beside it.
        threads: of one run; 0 lets onnxruntime choose.
    """

    def __init__(self, model: Path, threads: int = 0) -> None:
        names = ("face-short", "face-full", "face-mesh")
        self.style = Network(model, threads)
        self.short, self.full, self.mesh = (
            Network(model.with_name(name + model.suffix), threads) for name in names
        )

    def __call__(self, photo: np.ndarray) -> np.ndarray:
        """Draw a photo (H, W, 3) uint8 with all its faces."""
        facts, size = self.style.facts, photo.shape[:2]
        side, margin = facts["face_size"], facts["face_crop"]["frame_margin"]
        if self.style.size is not None:
            side = min(self.style.size)
        crops = [self.crop_around(points) for points in self.find(photo)]
        crops.sort(key=lambda crop: crop[2])  # the largest face is pasted last
        # The frame is drawn at a scale at which lines are as thick as in the largest face.
        scale = side / crops[-1][2] if crops else 1.0
        scale = min(scale, facts["frame_size"] / max(size))
        height, width = (max(32, round(n * scale)) for n in size)
        frame = resize(photo, (height, width))
        frame = np.pad(frame, ((margin, margin), (margin, margin), (0, 0)), "edge")
        canvas = self.style.draw(frame)[margin:-margin, margin:-margin]
        canvas = resize(canvas, size).astype(np.float32)
        for crop in crops:
            face = self.style.draw(cut(photo, crop, side, smooth=False))
            self.paste(canvas, face, crop)
        return np.rint(canvas).clip(0, 255).astype(np.uint8)

    def find(self, photo: np.ndarray) -> list[np.ndarray]:
        """Find faces: 68 landmarks (68, 2) each."""
        found = self.detect(self.full, photo)
        for candidate in self.detect(self.short, photo):
            if not any(self.same(candidate[1], other[1]) for other in found):
                found.append(candidate)
        facts, faces, boxes = self.mesh.facts, [], []
        for _, values in sorted(found, key=lambda item: -item[0]):
            box = np.concatenate([values[0], values[1]])
            turn = values[3] - values[2]  # from the right eye to the left
            square = square_around(values[:2], turn, facts["crop_scale"])
            for _ in range(1 + facts["refinements"]):
                crop = cut(photo, square, self.mesh.size[0], smooth=True)
                numbers = self.mesh(crop)
                points = place(numbers[: facts["presence_row"], :2], square)
                left, right = points[facts["eye_line"]]
                square = square_around(points, right - left, facts["crop_scale"])
            eyes_nose = points[facts["eyes_nose_lips"]]
            mesh_points = np.concatenate([eyes_nose[:3], eyes_nose[3:].mean(0, keepdims=True)])
            away = np.linalg.norm(values[2:6] - mesh_points, axis=1).mean()
            low, high = points.min(0), points.max(0)
            box = np.stack([low, high])
            if (
                numbers[facts["presence_row"], 0] >= facts["presence_threshold"]
                and away / (high - low).max() <= facts["keypoint_tolerance"]
                and not any(self.same(box, other) for other in boxes)
            ):
                boxes.append(box)
                faces.append(points[facts["landmarks_68"]])
        return faces

    def detect(self, network: Network, photo: np.ndarray) -> list[tuple[float, np.ndarray]]:
        """Run a detector: scores, and (8, 2) for each: two corners of the box, six key points."""
        size, (height, width) = network.size[0], photo.shape[:2]
        scale = size / max(height, width)
        inner = (max(1, round(height * scale)), max(1, round(width * scale)))
        top, left = (size - inner[0]) // 2, (size - inner[1]) // 2
        view = np.zeros((size, size, 3), np.float32)
        small = resize(photo.astype(np.float32), inner, LINEAR)
        view[top : top + inner[0], left : left + inner[1]] = small
        rows = network(view)
        rows = rows[rows[:, 0] >= network.facts["score_threshold"]]
        rows = rows[np.argsort(-rows[:, 0], kind="stable")]
        ratio = np.array([width / inner[1], height / inner[0]])
        scores = rows[:, 0]
        values = (rows[:, 1:].reshape(-1, 8, 2) * size - [left, top]) * ratio
        merged: list[tuple[float, np.ndarray]] = []
        while len(scores):  # what overlaps becomes one weighted mean
            near = np.array([overlap(values[0, :2], other[:2]) > 0.3 for other in values])
            near[0] = True
            mean = np.average(values[near], axis=0, weights=scores[near])
            merged.append((float(scores[0]), mean))
            scores, values = scores[~near], values[~near]
        kept: list[tuple[float, np.ndarray]] = []
        for candidate in merged:
            if not any(self.same(candidate[1], other[1]) for other in kept):
                kept.append(candidate)
        return kept

    def same(self, first: np.ndarray, second: np.ndarray) -> bool:
        """Whether two boxes are one face: they overlap, or one holds most of the other."""
        first, second = first[:2], second[:2]
        smaller = min(area(first), area(second))
        threshold = self.full.facts["overlap_threshold"]
        return overlap(first, second) > threshold or shared(first, second) > 0.7 * smaller

    def crop_around(self, landmarks: np.ndarray) -> tuple[float, float, float, float]:
        """Centre x and y, side and angle of the crop around a face, framed as in training."""
        facts = self.style.facts["face_crop"]
        right, left = landmarks[36:42].mean(0), landmarks[42:48].mean(0)
        middle, axis = (right + left) / 2, left - right
        reach = np.linalg.norm(landmarks[48:60].mean(0) - middle) / facts["mouth_to_eyes"]
        distance = max(np.linalg.norm(axis), reach)  # eyes come together when a head turns
        side, angle = 2 * distance / facts["interocular"], math.atan2(axis[1], axis[0])
        x, y = (np.array(facts["eye_center"]) / 2) @ rotation(angle) * side
        return (float(middle[0] - x), float(middle[1] - y), float(side), angle)

    def paste(self, canvas: np.ndarray, face: np.ndarray, crop: tuple) -> None:
        """Lay a drawn face over the canvas (float, changed in place), fading toward its border."""
        x, y, side, angle = crop
        size = math.ceil(side)
        face = face if size >= len(face) else resize(face, (size, size))
        reach = side / 2 * (abs(math.cos(angle)) + abs(math.sin(angle)))
        height, width = canvas.shape[:2]
        x0, x1 = max(0, math.floor(x - reach)), min(width, math.ceil(x + reach))
        y0, y1 = max(0, math.floor(y - reach)), min(height, math.ceil(y + reach))
        if x0 >= x1 or y0 >= y1:
            return
        columns, rows = np.meshgrid(np.arange(x0, x1) + 0.5, np.arange(y0, y1) + 0.5)
        offset = np.stack([columns - x, rows - y], -1)
        inside = offset @ rotation(angle).T * (2 / side)  # the crop is from -1 to 1
        inner, outer = self.style.facts["face_crop"]["fade"]
        radius = (inside**4).sum(-1, keepdims=True) ** 0.25
        weight = ((outer - radius) / (outer - inner)).clip(0, 1)
        weight = weight * weight * (3 - 2 * weight)
        drawn = bicubic(face, (inside.clip(-1.5, 1.5) + 1) * (len(face) / 2))
        target = canvas[y0:y1, x0:x1]
        target += (drawn - target) * weight


def rotation(angle: float) -> np.ndarray:
    """`offset @ rotation` turns row vectors by the angle, from x toward y."""
    cos, sin = math.cos(angle), math.sin(angle)
    return np.array([[cos, sin], [-sin, cos]])


def square_around(points: np.ndarray, turn: np.ndarray, scale: float) -> tuple:
    """Centre x and y, side and angle of a turned square around points.

    Two points are the corners of an upright box.
    """
    angle = math.atan2(turn[1], turn[0])
    upright = len(points) == 2
    turned = points if upright else points @ rotation(angle).T
    low, high = turned.min(0), turned.max(0)
    centre = (low + high) / 2
    x, y = centre if upright else centre @ rotation(angle)
    return float(x), float(y), float((high - low).max() * scale), angle


def place(points: np.ndarray, square: tuple) -> np.ndarray:
    """Points in [0, 1] of a square (centre x and y, side, angle), in pixels of the picture."""
    x, y, side, angle = square
    return (points - 0.5) @ rotation(angle) * side + [x, y]


def cut(photo: np.ndarray, square: tuple, size: int, *, smooth: bool) -> np.ndarray:
    """Cut a turned square out of a photo; beyond the borders the border goes on.

    Smooth for the mesh, whose points depend on it; sharp for what is drawn.
    """
    x, y, side, angle = square
    step = side / size
    margin = (2 if smooth else 4) * step
    reach = side / 2 * (abs(math.cos(angle)) + abs(math.sin(angle))) + margin
    height, width = photo.shape[:2]
    x0 = min(max(math.floor(x - reach), 0), width - 1)
    y0 = min(max(math.floor(y - reach), 0), height - 1)
    x1 = max(min(math.ceil(x + reach), width), x0 + 1)
    y1 = max(min(math.ceil(y + reach), height), y0 + 1)
    patch = photo[y0:y1, x0:x1]
    if step > 1:  # shrink first, so that nothing aliases
        smaller = (max(1, round((y1 - y0) / step)), max(1, round((x1 - x0) / step)))
        exact = patch.astype(np.float32)  # landmarks notice even the rounding
        patch = resize(exact, smaller, LINEAR) if smooth else resize(patch, smaller)
    centres = (np.arange(size) + 0.5) / size
    points = place(np.stack(np.meshgrid(centres, centres), -1), square)
    ratio = [patch.shape[1] / (x1 - x0), patch.shape[0] / (y1 - y0)]
    return (bilinear if smooth else bicubic)(patch, (points - [x0, y0]) * ratio)


def resize(picture: np.ndarray, size: tuple[int, int], how: int = CUBIC) -> np.ndarray:
    """Resize to (height, width), antialiased; uint8 to uint8, float to float."""
    if picture.shape[:2] == tuple(size):
        return picture
    if picture.dtype != np.uint8:
        planes = [Image.fromarray(plane) for plane in picture.transpose(2, 0, 1)]
        return np.stack([plane.resize((size[1], size[0]), how) for plane in planes], -1)
    return np.asarray(Image.fromarray(picture).resize((size[1], size[0]), how))


def bilinear(picture: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Read a picture at points (h, w, 2); beyond the borders the border goes on."""
    return _sample(picture, points, lambda t: (1 - t, t))


def bicubic(picture: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Read a picture at points (h, w, 2), sharper."""

    def weights(t: np.ndarray) -> tuple:
        a = -0.75

        def near(s: np.ndarray) -> np.ndarray:
            return ((a + 2) * s - (a + 3)) * s * s + 1

        def far(s: np.ndarray) -> np.ndarray:
            return ((s - 5) * s + 8) * s * a - 4 * a

        return far(t + 1), near(t), near(1 - t), far(2 - t)

    return _sample(picture, points, weights)


def _sample(picture: np.ndarray, points: np.ndarray, weights) -> np.ndarray:
    height, width = picture.shape[:2]
    points = points.astype(np.float32) - np.float32(0.5)
    x, y = points[..., 0].clip(0, width - 1), points[..., 1].clip(0, height - 1)
    column, row = np.floor(x).astype(np.int32), np.floor(y).astype(np.int32)
    across, down = weights((x - column)[..., None]), weights((y - row)[..., None])
    first = 1 - len(across) // 2
    result = np.zeros((*points.shape[:2], 3), np.float32)
    for j, weight in enumerate(down):
        i = (row + first + j).clip(0, height - 1)
        line = sum(
            part * picture[i, (column + first + k).clip(0, width - 1)]
            for k, part in enumerate(across)
        )
        result += weight * line
    return result


def area(box: np.ndarray) -> float:
    """Area of a box given by two corners."""
    return float(np.maximum(box[1] - box[0], 0).prod())


def shared(first: np.ndarray, second: np.ndarray) -> float:
    """Area that two boxes share."""
    low, high = np.maximum(first[0], second[0]), np.minimum(first[1], second[1])
    return area(np.stack([low, high]))


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Intersection over union of two boxes."""
    both = shared(first, second)
    return both / max(area(first) + area(second) - both, 1e-9)


def main() -> None:
    """Draw one photo."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photo", type=Path)
    parser.add_argument("model", type=Path, help="animation.onnx, the face networks beside it")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    with Image.open(options.photo) as image:
        photo = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    Image.fromarray(Stylizer(options.model)(photo)).save(options.output)


if __name__ == "__main__":
    main()
