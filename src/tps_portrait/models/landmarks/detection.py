"""From pictures to boxes: views of a picture, candidates in each, and their merging."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .blazeface import BlazeFaceDetector
from .cropping import Square, letterbox

_CHUNK = 32


@dataclass(frozen=True)
class View:
    """A part of a picture that a detector looks at.

    Attributes:
        item: index of the picture.
        box: x1, y1, x2, y2 in whole pixels.
        inner: for each side of the box in that order, whether it cuts through the picture.
    """

    item: int
    box: tuple[int, int, int, int]
    inner: tuple[bool, bool, bool, bool] = (False, False, False, False)


@dataclass(frozen=True)
class Candidate:
    """A detection in picture pixels (the centre of pixel i is i + 0.5), on the CPU.

    Attributes:
        score: probability.
        values: `(8, 2)`: two box corners, then the six key points.
    """

    score: float
    values: Tensor

    @property
    def keypoints(self) -> Tensor:
        """Six (x, y)."""
        return self.values[2:]

    @property
    def box(self) -> Tensor:
        """x1, y1, x2, y2."""
        return self.values[:2].flatten()

    def square(self, scale: float) -> Square:
        """The crop for the mesh: around the box, turned so that the eyes are level.

        Args:
            scale: side of the crop divided by the larger side of the box.
        """
        (cx, cy), (w, h) = (
            self.values[:2].mean(0).tolist(),
            (self.values[1] - self.values[0]).tolist(),
        )
        dx, dy = (self.values[3] - self.values[2]).tolist()
        return Square(cx, cy, max(w, h) * scale, math.atan2(dy, dx))


def tiles(item: int, height: int, width: int, tile: int, most: int) -> list[View]:
    """Overlapping square views that cover a large picture; none for a small one.

    Args:
        item: index of the picture.
        height: picture height in pixels.
        width: picture width in pixels.
        tile: wanted side; a picture whose longer side is at most this has no tiles.
        most: most tiles along the longer side.

    Returns:
        The views.
    """
    longest = max(height, width)
    if longest <= tile:
        return []
    # Neighbours share a third, so that a face of up to a third of a tile is whole in one of them.
    count = min(most, math.ceil((longest / tile - 1 / 3) / (2 / 3)))
    side = min(math.ceil(longest / (count * 2 / 3 + 1 / 3)), longest)
    xs, ys = _starts(width, side), _starts(height, side)
    views = []
    for y in ys:
        for x in xs:
            box = (x, y, min(x + side, width), min(y + side, height))
            inner = (box[0] > 0, box[1] > 0, box[2] < width, box[3] < height)
            views.append(View(item, box, inner))
    return views


def _starts(length: int, side: int) -> list[int]:
    if length <= side:
        return [0]
    count = math.ceil((length / side - 1 / 3) / (2 / 3) - 1e-6)
    return [round(i * (length - side) / (count - 1)) for i in range(count)] if count > 1 else [0]


def search(
    detector: BlazeFaceDetector, images: list[Tensor], views: list[View], threshold: float
) -> list[list[Candidate]]:
    """Run a detector over views.

    Args:
        detector: one of the two.
        images: `(3, H, W)` uint8 pictures on the detector's device.
        views: what to look at.
        threshold: least probability.

    Returns:
        For every view its candidates after weighted non-maximum suppression, best first.
    """
    found: list[list[Candidate]] = []
    for start in range(0, len(views), _CHUNK):
        chunk = views[start : start + _CHUNK]
        pairs = [
            letterbox(images[v.item][:, v.box[1] : v.box[3], v.box[0] : v.box[2]], detector.size)
            for v in chunk
        ]
        logits, raw = detector(torch.stack([view for view, _ in pairs]))
        scores, values = (t.cpu() for t in detector.decode(logits, raw))
        for index, (view, (_, frame)) in enumerate(zip(chunk, pairs, strict=True)):
            keep = scores[index] >= threshold
            corner = frame[0] + frame.new_tensor(view.box[:2])
            placed = values[index][keep].unflatten(-1, (-1, 2)) * frame[1] + corner
            merged = weighted_suppression(scores[index][keep], placed)
            found.append([c for c in merged if not _is_cut(c, view)])
    return found


def _is_cut(candidate: Candidate, view: View) -> bool:
    """Whether an inner edge of the view cuts the face; a neighbouring view has all of it."""
    (x1, y1), (x2, y2) = candidate.values[:2].tolist()
    near = 0.05 * max(x2 - x1, y2 - y1)
    left, top, right, bottom = view.box
    gaps = (x1 - left, y1 - top, right - x2, bottom - y2)
    return any(inner and gap < near for inner, gap in zip(view.inner, gaps, strict=True))


def weighted_suppression(scores: Tensor, values: Tensor, overlap: float = 0.3) -> list[Candidate]:
    """Merge overlapping detections of one view into their score-weighted mean.

    Source: BlazeFace, arXiv 1907.05047, section 3.4.

    Args:
        scores: `(n,)`.
        values: `(n, 8, 2)`, two box corners and six key points.
        overlap: intersection over union from which two detections are one face.

    Returns:
        The merged candidates, best first; each has the best score of its group.
    """
    order = scores.argsort(descending=True, stable=True)
    scores, values = scores[order], values[order]
    merged = []
    while len(scores):
        together = box_overlap(values[0, :2].flatten(), values[:, :2].flatten(1)) > overlap
        together[0] = True
        weights = scores[together][:, None, None]
        mean = (values[together] * weights).sum(0) / weights.sum()
        merged.append(Candidate(float(scores[0]), mean))
        scores, values = scores[~together], values[~together]
    return merged


def unique(candidates: list[Candidate], overlap: float) -> list[Candidate]:
    """Drop what other views found again.

    Args:
        candidates: of one picture, from several views of one detector.
        overlap: intersection over union above which the worse of two is dropped; so is one that
            lies for the most part inside a better one.

    Returns:
        The kept candidates, best first.
    """
    kept: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda c: -c.score):
        if not any(same_place(candidate.box, other.box, overlap) for other in kept):
            kept.append(candidate)
    return kept


def combine(precise: list[Candidate], rough: list[Candidate], overlap: float) -> list[Candidate]:
    """Join the unique candidates of two detectors.

    Args:
        precise: of the detector that places faces better: these places are kept.
        rough: of the other one, which adds faces, and its score where it is higher.
        overlap: as for `unique`.

    Returns:
        The candidates of one picture, best first.
    """
    joined = list(precise)
    for candidate in rough:
        twins = [i for i, c in enumerate(joined) if same_place(c.box, candidate.box, overlap)]
        if not twins:
            joined.append(candidate)
        elif candidate.score > joined[twins[0]].score:
            joined[twins[0]] = replace(joined[twins[0]], score=candidate.score)
    return sorted(joined, key=lambda c: -c.score)


def same_place(first: Tensor, second: Tensor, overlap: float) -> bool:
    """Whether two boxes `(4,)` are one face: they overlap, or one holds most of the other."""
    low, high = torch.maximum(first[:2], second[:2]), torch.minimum(first[2:], second[2:])
    shared = (high - low).clamp(min=0).prod()
    smaller = torch.minimum(_area(first), _area(second))
    return bool(box_overlap(first, second[None])[0] > overlap or shared > 0.7 * smaller)


def box_overlap(box: Tensor, boxes: Tensor) -> Tensor:
    """Intersection over union.

    Args:
        box: `(4,)` x1, y1, x2, y2.
        boxes: `(n, 4)`.

    Returns:
        `(n,)` in [0, 1].
    """
    low, high = torch.maximum(box[:2], boxes[:, :2]), torch.minimum(box[2:], boxes[:, 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    return shared / (_area(box) + _area(boxes) - shared).clamp(min=1e-9)


def _area(box: Tensor) -> Tensor:
    return (box[..., 2:] - box[..., :2]).clamp(min=0).prod(-1)
