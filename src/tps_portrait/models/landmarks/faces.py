"""The description of one found face."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from . import topology as top


@dataclass(frozen=True, eq=False)
class Face:
    """One face in a picture; all tensors are float32 on the CPU.

    Pixel coordinates are (x, y) with x in [0, W] and y in [0, H]; the centre of pixel i is i + 0.5.
    Points may lie outside the picture where a face is cut off. "right" is the person's right.

    Attributes:
        box: `(4,)` x1, y1, x2, y2 around the mesh.
        score: probability of a face, in [0, 1].
        keypoints: `(6, 2)` right and left pupil, nose tip, mouth, right and left ear.
        landmarks: `(68, 2)` in iBUG order, 0-based.
        mesh: `(478, 3)` MediaPipe's face mesh with irises; z in pixels, smaller is nearer, 0
            near the centre of the head.
    """

    box: Tensor
    score: float
    keypoints: Tensor
    landmarks: Tensor
    mesh: Tensor

    @classmethod
    def from_mesh(cls, mesh: Tensor, score: float) -> Face:
        """Derive everything else from a mesh.

        Args:
            mesh: `(478, 3)` in pixels.
            score: probability of a face.

        Returns:
            The face.
        """
        mesh = mesh.detach().to("cpu", torch.float32)
        plane = mesh[:, :2]
        mouth = plane[list(top.INNER_LIPS)].mean(0, keepdim=True)
        ids = [top.RIGHT_PUPIL, top.LEFT_PUPIL, top.NOSE_TIP]
        keypoints = torch.cat((plane[ids], mouth, plane[list(top.EARS)]))
        return cls(
            box=torch.cat((plane.amin(0), plane.amax(0))),
            score=score,
            keypoints=keypoints,
            landmarks=plane[list(top.MESH_TO_68)],
            mesh=mesh,
        )
