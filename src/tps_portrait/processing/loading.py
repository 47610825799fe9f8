"""Reads pictures from files, web addresses and PIL, upright and in sRGB."""

from __future__ import annotations

import logging
import os
import re
import time
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from huggingface_hub.utils import get_session
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from ..errors import InputImageError
from .photo import (
    MAX_PIXELS,
    ImageInput,
    Photo,
    check_size,
    describe,
    photo_from_array,
    photo_from_tensor,
)

MAX_DOWNLOAD = 1 << 26
"""Bytes (64 MiB) after which a download is given up."""

_STALL_SECONDS = 15.0
_DOWNLOAD_SECONDS = 120.0
# Pillow would start Ghostscript for EPS and hand WMF to the system; the others are no photos.
_REFUSED_FORMATS = frozenset({"BUFR", "EPS", "FITS", "GRIB", "HDF5", "IPTC", "MPEG", "PCD", "WMF"})
_ADDRESS = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]*://")

_logger = logging.getLogger(__name__)


def load_image(image: ImageInput) -> Image.Image:
    """Read a picture as the pipeline sees it: upright, sRGB, 8 bits, RGB or RGBA.

    Args:
        image: see `load_photo`.

    Returns:
        A PIL picture, RGBA if the source has transparency.

    Raises:
        InputImageError: see `load_photo`.
    """
    picture: Image.Image = load_photo(image).convert("pil")
    return picture


def load_photo(image: ImageInput, name: str | None = None) -> Photo:
    """Read a picture from anything.

    EXIF rotation is applied; embedded colour profiles are converted to sRGB (a broken profile is
    ignored); of an animation the first frame is taken; grayscale, palette and CMYK become RGB;
    transparency is kept; more than 8 bits a channel are kept as float32.

    Args:
        image: a path; an http or https address, of at most 64 MiB; a PIL picture; an array (H, W)
            or (H, W, C), uint8 or uint16, or float in [0, 1]; or a tensor (H, W) or (C, H, W),
            uint8, or float in [0, 1]. C is 1 to 4.
        name: how messages call the picture; a description of it by default.

    Returns:
        The photo.

    Raises:
        InputImageError: the picture cannot be read, is smaller than 32 px, larger than 67
            megapixels, or has the wrong shape, type or values.
    """
    name = name or describe(image)
    if isinstance(image, Image.Image):
        check_size((image.height, image.width), name)
        return _decoded(image, name)
    if isinstance(image, np.ndarray):
        return photo_from_array(image, name)
    if isinstance(image, torch.Tensor):
        return photo_from_tensor(image, name)
    if isinstance(image, str) and _ADDRESS.match(image):
        return _opened(BytesIO(_download(image, name)), name)
    if isinstance(image, str | os.PathLike):
        return _opened(_checked_path(Path(image), name), name)
    raise InputImageError(
        f"{name} is no picture. Pass a path, an http(s) address, a PIL picture, an array or a "
        "tensor."
    )


def _checked_path(path: Path, name: str) -> Path:
    try:
        if path.is_dir():
            raise InputImageError(f"{name} is a folder and no picture. Pass the pictures in it.")
        if not path.exists():
            raise InputImageError(f"{name} does not exist. Check the path.")
        if not path.is_file():
            raise InputImageError(f"{name} is no regular file. Pass a picture file.")
        if path.stat().st_size == 0:
            raise InputImageError(f"{name} is an empty file (0 bytes). Copy or download it again.")
    except (OSError, ValueError) as error:
        if isinstance(error, InputImageError):
            raise
        raise InputImageError(f"{name} cannot be read: {error}. Check the path.") from error
    return path


def _download(url: str, name: str) -> bytes:
    if not url.lower().startswith(("http://", "https://")):
        raise InputImageError(f"{name}: only http and https addresses are opened.")
    data = bytearray()
    deadline = time.monotonic() + _DOWNLOAD_SECONDS
    try:
        with get_session().stream(
            "GET", url, follow_redirects=True, timeout=_STALL_SECONDS
        ) as response:
            response.raise_for_status()
            for chunk in response.iter_bytes(1 << 16):
                data += chunk
                if len(data) > MAX_DOWNLOAD:
                    raise InputImageError(
                        f"{name} is larger than {MAX_DOWNLOAD >> 20} MiB. Download it yourself and "
                        "pass the file."
                    )
                if time.monotonic() > deadline:
                    raise InputImageError(
                        f"{name} took longer than {_DOWNLOAD_SECONDS:.0f} s to download. Download "
                        "it yourself and pass the file."
                    )
    except InputImageError:
        raise
    except Exception as error:  # the HTTP library behind huggingface_hub is not ours to name
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputImageError(
            f"{name} cannot be downloaded: {reason}. Check the address and the connection."
        ) from error
    return bytes(data)


def _opened(source: Path | BytesIO, name: str) -> Photo:
    Image.init()
    try:
        with Image.open(
            source, formats=[f for f in Image.ID if f not in _REFUSED_FORMATS]
        ) as image:
            check_size((image.height, image.width), name)
            return _decoded(image, name)
    except InputImageError:
        raise
    except UnidentifiedImageError as error:
        raise InputImageError(
            f"{name} is no picture in a format that can be read. Convert it to JPEG or PNG."
        ) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputImageError(
            f"{name} has too many pixels ({error}); at most {MAX_PIXELS / 1e6:.0f} megapixels are "
            "read. Make it smaller."
        ) from error
    except OSError as error:
        raise _damaged(name, error) from error


def _decoded(image: Image.Image, name: str) -> Photo:
    try:
        image.load()
        return _from_pil(image, name)
    except InputImageError:
        raise
    except Exception as error:  # decoders raise almost anything on damaged data
        raise _damaged(name, error) from error


def _damaged(name: str, error: Exception) -> InputImageError:
    return InputImageError(
        f"{name} cannot be decoded ({error}); the file is damaged or cut short. Copy or download "
        "it again, or convert it to JPEG or PNG."
    )


def _from_pil(image: Image.Image, name: str) -> Photo:
    profile = image.info.get("icc_profile")
    image = _upright(image)
    mode = image.mode
    if mode in ("I", "F") or mode.startswith("I;16"):
        return photo_from_array(_grey_levels(np.asarray(image), name), name)
    alpha = None
    if image.has_transparency_data:
        if mode in ("La", "LA"):
            image = image.convert("LA")
            alpha, image = image.getchannel("A"), image.getchannel("L")
        else:
            image = image.convert("RGBA")
            alpha, image = image.getchannel("A"), image.convert("RGB")
    elif mode not in ("L", "CMYK", "RGB"):
        image = image.convert("L" if mode == "1" else "RGB")
    rgb = np.array(_in_srgb(image, profile))
    return Photo(
        torch.from_numpy(rgb).permute(2, 0, 1),
        None if alpha is None else torch.from_numpy(np.array(alpha)),
        name,
    )


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception as error:  # a broken EXIF block must not cost the picture
        _logger.debug("EXIF data ignored: %s", error)
        return image


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert L, RGB or CMYK to RGB in sRGB."""
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(BytesIO(profile))
            if "sRGB" not in (source.profile.profile_description or ""):
                target = ImageCms.createProfile("sRGB")
                converted = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
                if converted is not None:
                    return converted
        except (ImageCms.PyCMSError, ImportError, OSError, TypeError, ValueError) as error:
            _logger.debug("colour profile ignored: %s", error)
    return image.convert("RGB")


def _grey_levels(levels: np.ndarray, name: str) -> np.ndarray:
    """Scale 16-bit, 32-bit and floating-point grayscale to [0, 1]."""
    if not np.isfinite(levels).all():
        raise InputImageError(f"{name} holds values that are NaN or infinite. Export it again.")
    low, high = float(levels.min()), float(levels.max())
    is_float = levels.dtype.kind == "f"
    if low < 0 or high > (255 if is_float else 65535):
        raise InputImageError(
            f"{name} has grey levels from {low:.5g} to {high:.5g}, whose scale is unknown. Convert "
            "it to 8 or 16 bits a channel."
        )
    if is_float:
        top = 1.0 if high <= 1 else 255.0
    else:
        top = 65535.0 if levels.dtype.itemsize == 2 or high > 255 else 255.0
    return (levels.astype(np.float32) / np.float32(top)).clip(0, 1)
