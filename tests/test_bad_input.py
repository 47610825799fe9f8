"""Whatever is wrong with an input: one of our exceptions, which says what, where and what to do."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from conftest import ASTRONAUT, seeded
from tps_portrait import (
    ConfigError,
    InputImageError,
    NoFaceError,
    TPSPortraitPipeline,
)
from tps_portrait.processing import loading, photo


def encoded(image: Image.Image, kind: str) -> bytes:
    """The bytes of a picture file."""
    buffer = BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


NAN = torch.full((3, 40, 40), 0.5)
NAN[1, 3, 7] = float("nan")

BAD_PICTURES: dict[str, tuple[object, str]] = {
    "missing file": ("/no/such/photo.jpg", r"'/no/such/photo.jpg' does not exist"),
    "name with a null byte": ("a\0b.jpg", "cannot be read|does not exist"),
    "not a picture": (42, "object of type int is no picture"),
    "nothing": (None, "object of type NoneType is no picture"),
    "other address": ("file:///etc/passwd", "only http and https"),
    "dead address": ("http://127.0.0.1:9/a.jpg", "cannot be downloaded.*Check the address"),
    "NaN tensor": (NAN, "holds 1 values that are NaN or infinite"),
    "infinite array": (np.full((40, 40, 3), np.inf), "holds 4800 values that are NaN or infinite"),
    "signed tensor": (
        torch.linspace(-1, 1, 4800).view(3, 40, 40),
        r"\[0, 1\]. Pass \(x \+ 1\) / 2",
    ),
    "large floats": (np.full((40, 40, 3), 200.0), r"from 200 to 200.*Pass x / 255"),
    "five channels": (torch.zeros(5, 40, 40), r"1 to 4 channels, got \(5, 40, 40\)"),
    "channels last in a tensor": (torch.zeros(40, 40, 3), r"x.permute\(2, 0, 1\)"),
    "channels first in an array": (np.zeros((3, 40, 40)), "np.moveaxis"),
    "one dimension": (np.zeros(40), r"got \(40,\)"),
    "integers": (torch.zeros(3, 40, 40, dtype=torch.int64), "values of type int64. Pass uint8"),
    "booleans": (np.zeros((40, 40), bool), "values of type bool"),
    "complex numbers": (np.zeros((40, 40), complex), "values of type complex128"),
    "strings": (np.array([["a"]]), "values of type str"),
    "objects": (np.array([[None]]), "values of type object"),
    "sparse tensor": (torch.zeros(3, 40, 40).to_sparse(), "layout torch.sparse_coo"),
    "tensor without values": (torch.zeros(3, 40, 40, device="meta"), "no values"),
    "empty tensor": (torch.zeros(3, 0, 40), r"is empty \(40x0 px\)"),
    "empty picture": (Image.new("RGB", (0, 40)), r"is empty \(0x40 px\)"),
    "small picture": (Image.new("RGB", (31, 40)), "31x40 px; both sides must be at least 32 px"),
    "huge array": (np.zeros((1, 1), np.uint8).repeat(70_000_000, 1), "at least 32 px"),
    "huge tensor": (torch.zeros(1, 1, 1).expand(3, 9000, 9000), "81 megapixels; at most 67"),
    "infinite grey levels": (Image.fromarray(np.full((40, 40), np.inf, np.float32)), "NaN"),
    "unknown grey scale": (Image.fromarray(np.full((40, 40), 1e6, np.float32)), "scale is unknown"),
}


class TestPictures:
    @pytest.mark.parametrize("case", BAD_PICTURES)
    def test_refused(self, pipe: TPSPortraitPipeline, case: str) -> None:
        picture, message = BAD_PICTURES[case]
        with pytest.raises(InputImageError, match=message):
            pipe(picture)

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("empty.jpg", b"", "is an empty file"),
            ("text.jpg", b"this is a text" * 50, "no picture in a format that can be read"),
            ("page.png", b"<html><body>404</body></html>", "no picture in a format"),
            ("drawing.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n", "no picture"),
        ],
    )
    def test_files_that_are_no_pictures(
        self, pipe: TPSPortraitPipeline, tmp_path: Path, name: str, content: bytes, message: str
    ) -> None:
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(InputImageError, match=message) as caught:
            pipe(path)
        assert name in str(caught.value)

    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"])
    @pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
    def test_truncated_file(
        self, pipe: TPSPortraitPipeline, tmp_path: Path, kind: str, share: float
    ) -> None:
        whole = encoded(Image.fromarray(seeded(200, 300)), kind)
        path = tmp_path / f"cut.{kind.lower()}"
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(InputImageError, match=r"cut\.\w+' (cannot be decoded|is no picture)"):
            pipe(path)

    def test_damaged_file(self, pipe: TPSPortraitPipeline, tmp_path: Path) -> None:
        data = bytearray(encoded(Image.fromarray(seeded(200, 300)), "PNG"))
        data[400:420] = bytes(20)
        (tmp_path / "bad.png").write_bytes(data)
        with pytest.raises(InputImageError, match="damaged or cut short"):
            pipe(tmp_path / "bad.png")

    @pytest.mark.parametrize("side", [8300, 20000, 60000])
    def test_decompression_bomb(self, pipe: TPSPortraitPipeline, tmp_path: Path, side: int) -> None:
        header = encoded(Image.new("1", (32, 32)), "PPM").split(b"\n", 2)
        path = tmp_path / "bomb.pbm"
        path.write_bytes(b"\n".join((header[0], f"{side} {side}".encode(), b"\0" * 100)))
        with pytest.raises(InputImageError, match=r"at most 67 megapixels|at most 67 are read"):
            pipe(path)

    def test_folder(self, pipe: TPSPortraitPipeline, tmp_path: Path) -> None:
        with pytest.raises(InputImageError, match="is a folder"):
            pipe(tmp_path)

    def test_address_without_a_picture(
        self, pipe: TPSPortraitPipeline, serve: Callable[[str, bytes], str]
    ) -> None:
        url = serve("/page", b"<html>not found</html>")
        with pytest.raises(InputImageError, match="no picture in a format"):
            pipe(url)
        with pytest.raises(InputImageError, match="404"):
            pipe(url + "/missing")

    def test_endless_download(
        self,
        pipe: TPSPortraitPipeline,
        serve: Callable[[str, bytes], str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        url = serve("/big", b"x" * 300_000)
        monkeypatch.setattr(loading, "MAX_DOWNLOAD", 100_000)
        with pytest.raises(InputImageError, match="larger than"):
            pipe(url)
        monkeypatch.setattr(loading, "MAX_DOWNLOAD", 1 << 20)
        monkeypatch.setattr(loading, "_DOWNLOAD_SECONDS", -1.0)
        with pytest.raises(InputImageError, match="took longer"):
            pipe(url)

    def test_no_face(self, pipe: TPSPortraitPipeline, no_face: Image.Image) -> None:
        with pytest.raises(NoFaceError, match=r'No face was found.*mode="frame"'):
            pipe(no_face, on_no_face="error")

    def test_limit_is_above_fifty_megapixels(self) -> None:
        assert photo.MAX_PIXELS > 50e6


class TestBatch:
    def test_the_others_still_come_out(
        self, pipe: TPSPortraitPipeline, no_face: Image.Image, tmp_path: Path
    ) -> None:
        cut = tmp_path / "cut.jpg"
        cut.write_bytes(ASTRONAUT.read_bytes()[:9000])
        pictures = [cut, ASTRONAUT, NAN, no_face, "/no/such.png", ASTRONAUT]
        with pytest.warns(UserWarning, match="Skipped: ") as warned:
            output = pipe(pictures, on_no_face="error", batch_size=2)
        assert all(w.filename == __file__ for w in warned)
        assert "Skipped: images[2], tensor of shape (3, 40, 40)" in str(warned[1].message)
        assert [image is None for image in output.images] == [1, 0, 1, 1, 1, 0]
        assert [index for index, _ in output.errors] == [0, 2, 3, 4]
        assert all(isinstance(error, InputImageError) for _, error in output.errors)
        assert all(f"images[{index}]" in str(error) for index, error in output.errors)
        assert [type(error) for _, error in output.errors].count(NoFaceError) == 1
        assert [len(faces) for faces in output.faces] == [0, 1, 0, 0, 0, 1]
        alone = pipe(ASTRONAUT).images[0]
        assert np.abs(np.asarray(alone).astype(int) - np.asarray(output.images[5])).max() <= 2

    def test_list_of_one(self, pipe: TPSPortraitPipeline) -> None:
        with pytest.warns(UserWarning, match="Skipped"):
            output = pipe(["/no/such.png"])
        assert output.images == [None]
        assert len(output.errors) == 1


class TestOptions:
    @pytest.mark.parametrize(
        "option",
        [
            {"strength": 1.5},
            {"strength": float("nan")},
            {"geometry_strength": -0.1},
            {"strength": "1"},
            {"mode": "portrait"},
            {"on_no_face": "skip"},
            {"output_type": "jpeg"},
            {"batch_size": 0},
            {"max_faces": 0},
            {"face_size": 16},
            {"size": 100.0},
            {"size": 100_000},
        ],
        ids=str,
    )
    def test_refused(self, pipe: TPSPortraitPipeline, option: dict[str, object]) -> None:
        with pytest.raises(ConfigError, match=next(iter(option))):
            pipe(Image.new("RGB", (40, 40)), **option)
