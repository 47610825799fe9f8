"""Faces from frame to frame: detected once, then followed and smoothed.

Coordinates are pixels (x, y) of the frame, the centre of pixel i at i + 0.5.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import ConfigError
from ..models.landmarks import Face, FaceLandmarker
from ..models.landmarks.detection import same_place
from ..ops.landmarks import eye_centers
from .one_euro import OneEuroFilter

_OVERLAP = 0.3  # intersection over union from which two boxes are one face
_MISSES = 3  # detections in a row that do not confirm a face until it is given up
# A face that moved by more than this many eye distances between two frames is not smoothed: the
# scene was cut, or another face came into its place.
_JUMP = 0.5


@dataclass
class _Track:
    """One face that is being followed.

    Attributes:
        face: as the network placed it in the last frame; the next crop is cut around it.
        smoother: filter of its mesh, `None` for none.
        misses: detections in a row that did not find it.
    """

    face: Face
    smoother: OneEuroFilter | None
    misses: int = 0

    def steady(self, time: float) -> Face:
        """Return the face with smoothed mesh, and all that follows from it."""
        if self.smoother is None:
            return self.face
        mesh, eyes = self.face.mesh, eye_centers(self.face.landmarks)
        scale = max(float((eyes[1] - eyes[0]).norm()), 1e-3)
        last = self.smoother.value
        if last is not None and float((mesh - last)[:, :2].norm(dim=1).mean()) > _JUMP * scale:
            self.smoother.reset()
        return Face.from_mesh(self.smoother(mesh, time, scale), self.face.score)


class FaceTracker:
    """Follows the faces of a video.

    The detector runs on the first frame, when a face is lost, every `detect_every` frames to find
    new faces, and every `search_every` frames while there is none. Between, the mesh network alone
    follows each face in a crop around its last landmarks, at about a fifth of the cost.

    Args:
        landmarker: finds and follows faces.
        detect_every: frames between two detections.
        search_every: frames between two detections while no face is known.
        max_faces: follow the largest faces only.
        smoothing: smooth the landmarks by a One Euro filter.

    Raises:
        ConfigError: a number is not a whole one of at least 1.
    """

    def __init__(
        self,
        landmarker: FaceLandmarker,
        *,
        detect_every: int = 30,
        search_every: int = 5,
        max_faces: int | None = None,
        smoothing: bool = True,
    ) -> None:
        for name, count in (
            ("detect_every", detect_every),
            ("search_every", search_every),
            ("max_faces", 1 if max_faces is None else max_faces),
        ):
            if not isinstance(count, int) or isinstance(count, bool) or count < 1:
                raise ConfigError(f"{name} must be a whole number of at least 1, got {count!r}.")
        self.landmarker = landmarker
        self.detect_every = detect_every
        self.search_every = search_every
        self.max_faces = max_faces
        self.smoothing = smoothing
        self.detections = 0
        self._tracks: list[_Track] = []
        self._since: int | None = None

    def reset(self) -> None:
        """Forget all faces; the next frame is that of another clip."""
        self._tracks, self._since, self.detections = [], None, 0

    def update(self, frame: Tensor, time: float) -> list[Face]:
        """Find the faces of the next frame.

        Args:
            frame: uint8 RGB `(3, H, W)`.
            time: of the frame, in seconds.

        Returns:
            The faces, largest first, with smoothed landmarks.

        Raises:
            InputImageError: the frame has another type or shape.
        """
        before = len(self._tracks)
        self._follow(frame)
        lost = len(self._tracks) < before
        wait = self.detect_every if self._tracks else self.search_every
        if self._since is None or lost or self._since + 1 >= wait:
            self._detect(frame)
        else:
            self._since += 1
        self._tracks.sort(key=lambda track: _area(track.face), reverse=True)
        self._tracks = self._tracks[: self.max_faces]
        return [track.steady(time) for track in self._tracks]

    def _follow(self, frame: Tensor) -> None:
        kept: list[_Track] = []
        for track in self._tracks:
            face = self.landmarker.track(frame, track.face)
            if face is None or not _visible(face, frame):
                continue
            # Of two tracks that have run together, the first, which was the larger, goes on.
            if not any(same_place(face.box, other.face.box, _OVERLAP) for other in kept):
                track.face = face
                kept.append(track)
        self._tracks = kept

    def _detect(self, frame: Tensor) -> None:
        found = self.landmarker.detect([frame], max_faces=self.max_faces)[0]
        self._since, self.detections = 0, self.detections + 1
        for track in self._tracks:
            track.misses += 1
        for face in found:
            known = [t for t in self._tracks if same_place(t.face.box, face.box, _OVERLAP)]
            for track in known:
                track.misses = 0
            if not known:
                self._tracks.append(_Track(face, OneEuroFilter() if self.smoothing else None))
        self._tracks = [track for track in self._tracks if track.misses < _MISSES]

    def state(self) -> dict[str, Tensor]:
        """Everything that the next frame depends on, as tensors; see `restore`."""
        since = -1 if self._since is None else self._since
        state = {"counts": torch.tensor([since, self.detections, len(self._tracks)])}
        for index, track in enumerate(self._tracks):
            state[f"{index}.mesh"] = track.face.mesh
            state[f"{index}.score"] = torch.tensor(track.face.score, dtype=torch.float64)
            state[f"{index}.misses"] = torch.tensor(track.misses)
            smoother = track.smoother
            if smoother and smoother.value is not None and smoother.speed is not None:
                state[f"{index}.value"] = smoother.value
                state[f"{index}.speed"] = smoother.speed
                state[f"{index}.time"] = torch.tensor(smoother.time, dtype=torch.float64)
        return {name: tensor.contiguous() for name, tensor in state.items()}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on where another tracker was.

        Args:
            state: what `state` returned there.
        """
        since, self.detections, count = (int(value) for value in state["counts"])
        self._since = None if since < 0 else since
        self._tracks = []
        for index in range(count):
            face = Face.from_mesh(state[f"{index}.mesh"], float(state[f"{index}.score"]))
            track = _Track(face, OneEuroFilter() if self.smoothing else None)
            track.misses = int(state[f"{index}.misses"])
            if track.smoother and f"{index}.value" in state:
                track.smoother.value = state[f"{index}.value"]
                track.smoother.speed = state[f"{index}.speed"]
                track.smoother.time = float(state[f"{index}.time"])
            self._tracks.append(track)


def _visible(face: Face, frame: Tensor) -> bool:
    """Whether at least a third of the face's box lies inside the frame."""
    low = face.box[:2].clamp(min=0)
    high = torch.minimum(face.box[2:], face.box.new_tensor([frame.shape[2], frame.shape[1]]))
    return float((high - low).clamp(min=0).prod()) > _area(face) / 3


def _area(face: Face) -> float:
    return float((face.box[2:] - face.box[:2]).prod())
