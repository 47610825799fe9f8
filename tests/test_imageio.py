"""Loading: every kind of picture becomes an upright sRGB photo."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from conftest import seeded
from tps_portrait.processing import load_image, load_photo


def saved(image: Image.Image, kind: str, **options: object) -> BytesIO:
    """A picture as an open PIL file."""
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    buffer.seek(0)
    return buffer


def rgb(photo_pixels: torch.Tensor) -> np.ndarray:
    """(3, H, W) to (H, W, 3)."""
    return photo_pixels.permute(1, 2, 0).numpy()


class TestSources:
    def test_path_string_pil_array_and_tensor_agree(self, tmp_path: Path) -> None:
        levels = seeded(40, 50)
        path = tmp_path / "a.png"
        Image.fromarray(levels).save(path)
        planes = torch.from_numpy(levels).permute(2, 0, 1)
        sources = (path, str(path), Image.open(path), levels, planes, levels / 255.0, planes / 255)
        for source in sources:
            photo = load_photo(source)
            assert photo.size == (40, 50)
            assert photo.alpha is None
            assert np.array_equal(np.asarray(photo.convert("pil")), levels)

    def test_http_address(self, serve: Callable[[str, bytes], str]) -> None:
        levels = seeded(40, 50)
        url = serve("/target", saved(Image.fromarray(levels), "PNG").getvalue())
        assert np.array_equal(rgb(load_photo(url).pixels), levels)
        assert load_photo(url.replace("/target", "/redirect")).size == (40, 50)

    def test_photo_does_not_share_memory_with_its_source(self) -> None:
        levels = seeded(40, 50)
        planes = torch.rand(3, 40, 50)
        array_photo, tensor_photo = load_photo(levels), load_photo(planes)
        before = tensor_photo.pixels.clone()
        levels[:] = 0
        planes.zero_()
        assert array_photo.pixels.any()
        assert torch.equal(tensor_photo.pixels, before)

    def test_array_with_negative_strides_and_read_only(self) -> None:
        levels = seeded(40, 50)
        levels.flags.writeable = False
        assert np.array_equal(rgb(load_photo(levels[:, ::-1]).pixels), levels[:, ::-1])

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
    def test_float_types(self, dtype: torch.dtype) -> None:
        planes = torch.rand(3, 32, 32).to(dtype)
        photo = load_photo(planes.requires_grad_())
        assert torch.equal(photo.pixels, planes.detach().float())

    def test_overshoot_of_resampling_is_clamped(self) -> None:
        photo = load_photo(torch.full((3, 32, 32), 1.004))
        assert photo.pixels.max() == 1


class TestModes:
    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM"])
    def test_formats(self, kind: str, tmp_path: Path) -> None:
        path = tmp_path / f"picture.{kind.lower()}"
        Image.fromarray(np.full((40, 50, 3), 128, np.uint8)).save(path, kind)
        assert load_photo(path).pixels.float().mean() == pytest.approx(128, abs=2)

    @pytest.mark.parametrize("angle", range(1, 9))
    def test_exif_rotation(self, angle: int) -> None:
        upright = Image.fromarray(seeded(40, 60))
        undo = {
            2: [Image.Transpose.FLIP_LEFT_RIGHT],
            3: [Image.Transpose.ROTATE_180],
            4: [Image.Transpose.FLIP_TOP_BOTTOM],
            5: [Image.Transpose.TRANSPOSE],
            6: [Image.Transpose.ROTATE_90],
            7: [Image.Transpose.TRANSVERSE],
            8: [Image.Transpose.ROTATE_270],
        }.get(angle, [])
        stored = upright
        for step in undo:
            stored = stored.transpose(step)
        exif = Image.Exif()
        exif[0x0112] = angle
        image = Image.open(saved(stored, "PNG", exif=exif.tobytes()))
        assert np.array_equal(np.asarray(load_image(image)), np.asarray(upright))

    @pytest.mark.filterwarnings("ignore:Corrupt EXIF")
    def test_broken_exif_costs_nothing(self) -> None:
        levels = seeded(40, 50)
        image = Image.open(saved(Image.fromarray(levels), "PNG", exif=b"Exif\x00\x00II*\x00junk"))
        assert np.array_equal(rgb(load_photo(image).pixels), levels)

    def test_grayscale_becomes_three_equal_channels(self) -> None:
        levels = seeded(40, 50, channels=1)
        for source in (Image.fromarray(levels), levels, levels[..., None], torch.tensor(levels)):
            pixels = rgb(load_photo(source).pixels)
            assert all(np.array_equal(pixels[..., c], levels) for c in range(3))

    @pytest.mark.parametrize("channels", [2, 4])
    def test_alpha_is_kept(self, channels: int) -> None:
        levels = seeded(40, 50, channels=channels)
        mode = {2: "LA", 4: "RGBA"}[channels]
        planes = torch.from_numpy(levels).permute(2, 0, 1)
        for source in (Image.open(saved(Image.fromarray(levels), "PNG")), levels, planes):
            photo = load_photo(source)
            assert photo.alpha is not None
            assert np.array_equal(photo.alpha.numpy(), levels[..., -1]), mode
            result = load_image(source)
            assert result.mode == "RGBA"
            expected = levels if channels == 4 else np.repeat(levels, (3, 1), axis=2)
            assert np.array_equal(np.asarray(result), expected)

    def test_sixteen_bits_keep_their_precision(self) -> None:
        levels = (np.arange(32 * 40, dtype=np.uint16) * 51).reshape(32, 40)
        image = Image.open(saved(Image.fromarray(levels), "PNG"))
        assert image.mode.startswith("I")
        for source in (image, levels):
            photo = load_photo(source)
            back = (photo.pixels[0].double() * 65535).round().numpy()
            assert np.array_equal(back, levels)
        assert load_image(image).getextrema() == ((0, 254),) * 3

    def test_floating_point_tiff(self) -> None:
        levels = np.linspace(0, 1, 32 * 40, dtype=np.float32).reshape(32, 40)
        image = Image.open(saved(Image.fromarray(levels), "TIFF"))
        assert image.mode == "F"
        assert np.allclose(load_photo(image).pixels[2].numpy(), levels)

    def test_palette_with_transparency(self) -> None:
        image = Image.new("P", (40, 40), 1)
        image.putpalette([0, 0, 0, 200, 30, 60, 10, 220, 90])
        image.paste(2, (0, 0, 20, 40))
        photo = load_photo(Image.open(saved(image, "PNG", transparency=2)))
        assert photo.alpha is not None
        assert photo.pixels[:, 5, 30].tolist() == [200, 30, 60]
        assert photo.alpha[5, 5] == 0
        assert photo.alpha[5, 30] == 255
        assert photo.visible()[:, 5, 5].tolist() == [255, 255, 255]

    def test_colour_key_transparency(self) -> None:
        image = Image.new("RGB", (40, 40), (10, 20, 30))
        image.paste((200, 100, 50), (0, 0, 20, 40))
        photo = load_photo(Image.open(saved(image, "PNG", transparency=(10, 20, 30))))
        assert photo.alpha is not None
        assert photo.alpha.unique().tolist() == [0, 255]
        assert photo.pixels[:, 0, 39].tolist() == [10, 20, 30]

    def test_first_frame_of_an_animation(self) -> None:
        frames = [Image.new("RGB", (40, 40), color) for color in ("red", "lime", "blue")]
        for kind in ("GIF", "WEBP", "PNG"):
            options = {"lossless": True} if kind == "WEBP" else {}
            animated = saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)
            pixels = load_photo(Image.open(animated)).pixels
            assert pixels[:, 20, 20].tolist() == [255, 0, 0], kind

    def test_cmyk_jpeg(self) -> None:
        red = Image.new("RGB", (40, 40), (220, 40, 40)).convert("CMYK")
        pixels = load_photo(Image.open(saved(red, "JPEG", quality=95))).pixels
        assert torch.allclose(pixels[:, 5, 5].float(), torch.tensor([220.0, 40, 40]), atol=4)

    def test_bilevel(self) -> None:
        image = Image.fromarray(seeded(40, 40, channels=1)).convert("1")
        assert load_photo(image).pixels.unique().tolist() == [0, 255]


def profile(name: str) -> bytes:
    """An ICC profile with swapped red and green, or the one of sRGB."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(name)).tobytes()


def wide_gamut() -> bytes:
    """The sRGB profile, renamed, its red and green primaries exchanged."""
    data = bytearray(profile("sRGB"))
    count = int.from_bytes(data[128:132], "big")
    entries = {data[132 + 12 * i : 136 + 12 * i].decode(): 132 + 12 * i for i in range(count)}
    red, green = entries["rXYZ"], entries["gXYZ"]
    data[red : red + 4], data[green : green + 4] = b"gXYZ", b"rXYZ"
    start = int.from_bytes(data[entries["desc"] + 4 : entries["desc"] + 8], "big")
    size = int.from_bytes(data[entries["desc"] + 8 : entries["desc"] + 12], "big")
    text = bytes(data[start : start + size])
    for old, new in ((b"sRGB", b"wide"), ("sRGB".encode("utf-16-be"), "wide".encode("utf-16-be"))):
        text = text.replace(old, new)
    data[start : start + size] = text
    return bytes(data)


class TestColour:
    def test_embedded_profile_is_converted(self) -> None:
        image = Image.new("RGB", (40, 40), (250, 10, 20))
        photo = load_photo(Image.open(saved(image, "PNG", icc_profile=wide_gamut())))
        red, green, _ = photo.pixels[:, 0, 0].tolist()
        assert red < 60
        assert green > 200

    def test_profile_keeps_alpha(self) -> None:
        levels = seeded(40, 50, channels=4)
        photo = load_photo(
            Image.open(saved(Image.fromarray(levels), "PNG", icc_profile=wide_gamut()))
        )
        assert photo.alpha is not None
        assert np.array_equal(photo.alpha.numpy(), levels[..., 3])
        assert not np.array_equal(rgb(photo.pixels), levels[..., :3])

    @pytest.mark.parametrize("data", [b"no profile at all", profile("sRGB"), profile("sRGB")[:200]])
    def test_srgb_and_broken_profiles_change_nothing(self, data: bytes) -> None:
        levels = seeded(40, 50)
        image = Image.open(saved(Image.fromarray(levels), "PNG", icc_profile=data))
        assert np.array_equal(rgb(load_photo(image).pixels), levels)

    def test_profile_of_the_wrong_kind_is_ignored(self) -> None:
        levels = seeded(40, 50, channels=1)
        image = Image.open(saved(Image.fromarray(levels), "PNG", icc_profile=wide_gamut()))
        assert np.array_equal(load_photo(image).pixels[0].numpy(), levels)


class TestOutput:
    @pytest.mark.parametrize("channels", [3, 4])
    def test_types(self, channels: int) -> None:
        levels = seeded(40, 50, channels=channels)
        photo = load_photo(levels)
        array, tensor = photo.convert("np"), photo.convert("pt")
        assert array.shape == (40, 50, channels)
        assert array.dtype == np.float32
        assert tensor.shape == (channels, 40, 50)
        assert tensor.is_contiguous()
        assert np.array_equal((array * 255).round().astype(np.uint8), levels)
        assert np.array_equal(tensor.numpy(), array.transpose(2, 0, 1))
        assert np.array_equal(np.asarray(photo.convert("pil")), levels)
