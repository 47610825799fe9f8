"""One photo on its way through the generator: what to draw, and how the drawings come together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from .faces import FaceCrop, bend_face, cut_face, paste_face
from .photo import Photo
from .resample import blend, resize, working_size

_GRID_SIZE = 256
# The generator pads with zeros and leaves a rim at the border of what it draws. The frame gets a
# margin that is cut away again; at a stride's width the drawing inside keeps its phase.
FRAME_MARGIN = 32


@dataclass(frozen=True, eq=False)
class Composition:
    """A photo, its face crops, and the size of its frame.

    The frame, the whole photo, is drawn first; each face is drawn on its own upright crop and laid
    over it. The frame is drawn at a scale at which its largest face is as large as in its crop, so
    that lines are equally thick on both sides of the seam.

    Attributes:
        photo: the photo, its geometry already changed.
        crops: the faces, largest first; none to draw the photo as a whole.
        face_size: side in pixels at which faces are drawn.
        frame: (height, width) at which the whole photo is drawn.
    """

    photo: Photo
    crops: tuple[FaceCrop, ...]
    face_size: int
    frame: tuple[int, int]

    @classmethod
    def plan(
        cls,
        photo: Photo,
        crops: Sequence[FaceCrop],
        *,
        face_size: int,
        frame_size: int,
        enlarge: bool = False,
    ) -> Composition:
        """Decide what to draw at which size.

        Args:
            photo: the photo.
            crops: its faces, largest first.
            face_size: side in pixels at which faces are drawn.
            frame_size: longest side in pixels at which the whole photo is drawn.
            enlarge: draw a photo without faces at `frame_size` also if it is smaller.

        Returns:
            The plan.
        """
        if crops:
            scale = face_size / max(crop.side for crop in crops)
        else:
            scale = frame_size / max(photo.size) if enlarge else 1.0
        frame = working_size(photo.size, scale, frame_size)
        return cls(photo, tuple(crops), face_size, frame)

    def inputs(self) -> list[Tensor]:
        """Pictures to be drawn: the frame with a margin, then the faces; `(3, h, w)` uint8."""
        visible = self.photo.visible()
        faces = [cut_face(visible, crop, self.face_size) for crop in self.crops]
        return [_with_margin(resize(visible, self.frame)), *faces]

    def result(self, drawings: Sequence[Tensor], strength: float) -> Photo:
        """Put the drawings together.

        Args:
            drawings: drawings of `inputs()`, in that order; `(3, h, w)` uint8.
            strength: share of the drawing in the result, the rest being the photo.

        Returns:
            A picture as large as the photo, with its opacity.
        """
        if strength == 0:
            return self.photo
        frame, *faces = drawings
        frame = frame[:, FRAME_MARGIN:-FRAME_MARGIN, FRAME_MARGIN:-FRAME_MARGIN]
        canvas = resize(frame, self.photo.size)
        if canvas is frame:
            canvas = frame.clone()
        # The largest face comes last, over what the crops of its neighbours show of it.
        for face, crop in reversed(list(zip(faces, self.crops, strict=True))):
            paste_face(canvas, face, crop)
        return replace(self.photo, pixels=blend(self.photo.pixels, canvas, strength))


def _with_margin(frame: Tensor) -> Tensor:
    """Continue the border of a picture `(3, h, w)` by `FRAME_MARGIN` pixels on each side."""
    margin = FRAME_MARGIN
    # Padding by PyTorch repeats no borders of uint8.
    wider = F.pad(frame, (margin,) * 4)
    wider[:, :, :margin] = wider[:, :, margin : margin + 1]
    wider[:, :, -margin:] = wider[:, :, -margin - 1 : -margin]
    wider[:, :margin] = wider[:, margin : margin + 1]
    wider[:, -margin:] = wider[:, -margin - 1 : -margin]
    return wider


def face_crops(landmarks: Sequence[Tensor], size: tuple[int, int]) -> list[FaceCrop]:
    """Frame the faces of a picture.

    Args:
        landmarks: `(68, 2)` in pixels for each face.
        size: (H, W) of the picture.

    Returns:
        The crops, largest first; faces outside of the picture are left out.
    """
    crops = []
    for points in landmarks:
        crop = FaceCrop.around(points, size)
        left, top, right, bottom = crop.bounds(size)
        if left < right and top < bottom:
            crops.append(crop)
    return sorted(crops, key=lambda crop: crop.side, reverse=True)


def bend_faces(
    photo: Photo, crops: Sequence[FaceCrop], warp: Callable[[Tensor, int], Tensor]
) -> Photo:
    """Change the geometry of every face of a photo, by one smooth warp for each.

    The photo itself is warped, before anything is cut or drawn: faces and frame agree, no seam can
    open, and lines are drawn after the change and stay crisp. Faces turned aside change less.

    Args:
        photo: the photo.
        crops: its faces.
        warp: gives for landmarks `(68, 2)` in the crop, normalised, and a size n the backward
            sampling grid `(n, n, 2)` of the crop.

    Returns:
        The warped photo; its opacity is warped alike.
    """
    planes = photo.pixels if photo.alpha is None else torch.cat([photo.pixels, photo.alpha[None]])
    for crop in crops:
        planes = bend_face(planes, crop, warp(crop.crop_landmarks, _GRID_SIZE))
    return replace(photo, pixels=planes[:3], alpha=None if photo.alpha is None else planes[3])
