"""Examines one picture: finds its faces, cuts them out, and says what cannot be used."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from .._files import atomic_write
from .._imagefolder import SUFFIXES, read_landmarks
from ..errors import DatasetError, InputImageError, LandmarkError, OutputError
from ..models.landmarks import Face, FaceLandmarker
from ..ops.landmarks import CROP_EYE_CENTER, CROP_INTEROCULAR, eye_centers, to_pixels
from ..processing import load_photo
from ..processing.faces import FaceCrop, cut_face
from .options import PrepareOptions
from .pictures import SourcePicture
from .quality import difference_hash, outside, sharpness
from .records import Crop, LeftOut, Outcome

# A face this much smaller than the largest one is a bystander.
_PROMINENT = 0.5
# Framing of given crops, beyond which a note is made: eyes off their place, and eye distance.
_OFF_CENTRE, _SCALE = 0.2, 1.5
# Share outside of the picture, and enlargement, beyond which a note is made.
_NOTED_OUTSIDE, _NOTED_ENLARGEMENT = 0.03, 1.2


class UnusableError(Exception):
    """A picture or face is not used: `reason`, a key of `records.REASONS`, and a sentence."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class Examiner:
    """Makes crops of pictures, one at a time.

    Args:
        landmarker: gives what finds the faces; not called for crops that have landmarks.
        options: what is wanted.
        out: folder that the crops are written to.
    """

    def __init__(
        self, landmarker: Callable[[], FaceLandmarker], options: PrepareOptions, out: Path
    ) -> None:
        self.landmarker = landmarker
        self.options = options
        self.out = out

    def examine(self, picture: SourcePicture, stem: str) -> Outcome:
        """Write the crops of one picture.

        Args:
            picture: the picture; only read.
            stem: file name of its first crop, without the ending.

        Raises:
            OutputError: a crop cannot be written.
        """
        crops: list[Crop] = []
        left_out: list[LeftOut] = []
        try:
            stamp = picture.stamp()
        except OSError as error:
            gone = LeftOut(picture.name, "unreadable", f"it cannot be read ({error.strerror})")
            return Outcome(picture.name, "", (), (gone,))
        makers: Iterator[Callable[[], Crop]]
        try:
            pixels = _read(picture)
            if picture.landmarks is None:
                makers = self._found(pixels, stem)
            else:
                makers = iter([partial(self._given, picture, pixels, stem)])
            for make in makers:
                try:
                    crops.append(make())
                except UnusableError as error:
                    left_out.append(LeftOut(picture.name, error.reason, str(error)))
        except UnusableError as error:
            left_out.append(LeftOut(picture.name, error.reason, str(error)))
        return Outcome(picture.name, stamp, tuple(crops), tuple(left_out))

    def _found(self, pixels: Tensor, stem: str) -> Iterator[Callable[[], Crop]]:
        policy = self.options.faces
        faces = self.landmarker().detect([pixels])[0]
        if not faces:
            raise UnusableError("no_face", "no face found")
        sides = [float((face.box[2:] - face.box[:2]).max()) for face in faces]
        prominent = sum(side >= _PROMINENT * max(sides) for side in sides)
        if policy == "single" and prominent > 1:
            raise UnusableError("several_faces", f"{prominent} faces, and one is wanted")
        notes: tuple[str, ...] = ()
        if policy == "largest" and prominent > 1:
            notes = (f"{prominent} faces; the largest was taken",)
        for index, face in enumerate(faces if policy == "all" else faces[:1]):
            # Stems hold no dot, so that this name belongs to no other picture.
            file_name = f"{stem}.{index + 1}" if index else stem
            yield partial(self._cut, pixels, face, f"{file_name}.{self.options.format}", notes)

    def _cut(self, pixels: Tensor, face: Face, file_name: str, notes: tuple[str, ...]) -> Crop:
        size = (pixels.shape[1], pixels.shape[2])
        try:
            crop = FaceCrop.around(face.landmarks, size)
        except LandmarkError as error:
            raise UnusableError("no_face", f"no clear face found ({error})") from error
        self._check_side(crop.side)
        inner = face.landmarks[17:] / torch.tensor([size[1], size[0]])
        hidden = int(((inner < 0) | (inner > 1)).any(1).sum())
        if hidden:
            raise UnusableError(
                "cut_off", f"{hidden} landmarks of brows, eyes, nose or mouth lie off the picture"
            )
        share, sides = outside(crop, size)
        beyond = f"the crop leaves the picture by {share:.0%} ({', '.join(sides) or 'corners'})"
        if share > self.options.max_outside:
            raise UnusableError(
                "cut_off", f"{beyond}; at most {self.options.max_outside:.0%} are accepted"
            )
        if share > _NOTED_OUTSIDE:
            notes = (*notes, f"{beyond}; the border is continued there")
        if crop.side * _NOTED_ENLARGEMENT < self.options.size:
            notes = (*notes, f"enlarged {self.options.size / crop.side:.1f} times")
        square = cut_face(pixels, crop, self.options.size)
        landmarks = crop.crop_landmarks
        result = self._crop(file_name, square, landmarks, crop.side, share, notes)
        self._write(file_name, lambda part: _save(square, part, self.options.format))
        return result

    def _given(self, picture: SourcePicture, pixels: Tensor, stem: str) -> Crop:
        """Take a picture that is a crop with landmarks already."""
        height, width = pixels.shape[1:]
        landmarks = _given_landmarks(picture.landmarks)
        if abs(width - height) > 1:
            raise UnusableError(
                "landmarks",
                f"it has landmarks, but is no square crop ({width}x{height}); remove the field "
                "`landmarks` of its row to have the face found and cut out",
            )
        self._check_side(width)
        notes = _framing(landmarks)
        # Crops in formats that training does not read from a folder are written anew.
        if picture.path.suffix.lower() in SUFFIXES:
            file_name = stem + picture.path.suffix
            result = self._crop(file_name, pixels, landmarks, width, 0.0, notes)
            self._write(file_name, lambda part: shutil.copyfile(picture.path, part))
        else:
            file_name = f"{stem}.{self.options.format}"
            result = self._crop(file_name, pixels, landmarks, width, 0.0, notes)
            self._write(file_name, lambda part: _save(pixels, part, self.options.format))
        return result

    def _check_side(self, side: float) -> None:
        least = self.options.least_side
        if side < least:
            raise UnusableError(
                "too_small", f"the crop is {side:.0f} px wide; at least {least} are needed"
            )

    def _crop(
        self,
        file_name: str,
        face: Tensor,
        landmarks: Tensor,
        side: float,
        share: float,
        notes: tuple[str, ...],
    ) -> Crop:
        sharp = sharpness(face, landmarks)
        if sharp < self.options.min_sharpness:
            raise UnusableError(
                "too_blurry",
                f"sharpness {sharp:.2f}; at least {self.options.min_sharpness:g} is needed",
            )
        return Crop(
            file_name=file_name,
            landmarks=tuple((round(float(x), 4), round(float(y), 4)) for x, y in landmarks),
            side=round(float(side), 1),
            sharpness=round(sharp, 3),
            outside=round(share, 3),
            hashes=(difference_hash(face), difference_hash(face.flip(-1))),
            notes=notes,
        )

    def _write(self, file_name: str, save: Callable[[Path], object]) -> None:
        try:
            with atomic_write(self.out / file_name) as part:
                save(part)
        except OSError as error:
            raise OutputError(
                f"Cannot write {self.out / file_name}: {error.strerror or error}. Make room, or "
                "choose another folder with -o; what is finished is kept."
            ) from error


def _read(picture: SourcePicture) -> Tensor:
    try:
        return load_photo(picture.path, "the file").visible()
    except InputImageError as error:
        raise UnusableError("unreadable", str(error)) from error


def _save(pixels: Tensor, path: Path, kind: str) -> None:
    image = Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())
    if kind == "png":
        image.save(path, format="PNG")
    else:
        image.save(path, format="JPEG", quality=95, subsampling=0)


def _given_landmarks(value: object) -> Tensor:
    try:
        return read_landmarks(value)
    except DatasetError as error:
        raise UnusableError("landmarks", str(error)) from error


def _framing(landmarks: Tensor) -> tuple[str, ...]:
    """Say where a given crop is not framed as training crops are."""
    eyes = eye_centers(landmarks)
    offset = float((eyes.mean(0) - torch.tensor(CROP_EYE_CENTER)).abs().max())
    scale = float((eyes[1] - eyes[0]).norm()) / CROP_INTEROCULAR
    if offset <= _OFF_CENTRE and 1 / _SCALE <= scale <= _SCALE:
        return ()
    middle = to_pixels(eyes.mean(0), (100, 100)).tolist()
    return (
        f"framed differently: eyes around {middle[0]:.0f}%, {middle[1]:.0f}% of the picture, their "
        f"distance {scale:.1f} times the usual",
    )
