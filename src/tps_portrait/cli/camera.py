"""`tps-portrait camera`: the camera's picture, drawn in a window as it comes."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, InputImageError
from . import video
from .drawing import add_drawing_options
from .runtime import load_pipeline, quiet_libraries

if TYPE_CHECKING:
    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]

_WINDOW = "tps-portrait"
_QUIT = (27, ord("q"))  # Escape, q


def add_parser(commands: _Commands, common: argparse.ArgumentParser) -> None:
    """Add the command and its options.

    Args:
        commands: the sub-parsers of `tps-portrait`.
        common: options that all commands have.
    """
    parser = commands.add_parser(
        "camera",
        parents=[common],
        help="draw the camera's picture in a window",
        description="Draw the camera's picture in a window as it comes. Escape or q ends it, the "
        "space bar shows the camera's own picture and back. Nothing is stored.",
    )
    parser.add_argument(
        "--camera",
        metavar="N",
        default="0",
        help="number of the camera, or a video file to play (default: 0)",
    )
    parser.add_argument(
        "--no-mirror", action="store_true", help="show the picture as others see you"
    )
    add_drawing_options(parser)
    video.add_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Draw until the window is closed.

    Args:
        options: the parsed command line.

    Returns:
        0.

    Raises:
        ConfigError: OpenCV is missing or has no windows, or there is no display.
        InputImageError: there is no such camera.
        StyleNotFoundError: there is no such style.
    """
    cv2 = _require_cv2()
    _check_display()
    with _camera(cv2, options.camera) as capture, _window(cv2):
        if not options.debug:
            quiet_libraries()
        stylizer = video.make_stylizer(load_pipeline(options.style, options.device), options)
        frames = _show(cv2, capture, stylizer, mirrored=not options.no_mirror)
    print(f"{frames} frames drawn")
    return 0


def _show(cv2: Any, capture: Any, stylizer: Any, *, mirrored: bool) -> int:
    import numpy as np
    import torch

    from ..processing import Photo

    drawing, frames, pace = True, 0, 0.0
    last = time.perf_counter()
    while True:
        found, bgr = capture.read()
        if not found:
            return frames
        if mirrored:
            bgr = cv2.flip(bgr, 1)
        if drawing:
            pixels = torch.from_numpy(np.ascontiguousarray(bgr[..., ::-1])).permute(2, 0, 1)
            drawn = stylizer.draw(Photo(pixels, None, "the camera's picture"), time.monotonic())
            bgr = np.ascontiguousarray(np.asarray(drawn.convert("pil"))[..., ::-1])
        cv2.imshow(_WINDOW, bgr)
        frames += 1
        now = time.perf_counter()
        pace = 0.9 * pace + 0.1 / max(now - last, 1e-6) if frames > 1 else 0.0
        last = now
        cv2.setWindowTitle(_WINDOW, f"{_WINDOW}: {pace:.1f} frames a second")
        key = cv2.waitKey(1) & 0xFF
        if key in _QUIT or cv2.getWindowProperty(_WINDOW, cv2.WND_PROP_VISIBLE) < 1:
            return frames
        if key == ord(" "):
            drawing = not drawing
            stylizer.reset()


def _require_cv2() -> Any:
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")  # it reports a missing camera by itself
    try:
        return import_module("cv2")
    except ImportError as error:
        raise ConfigError(
            f"The camera needs OpenCV, which cannot be imported ({error}). Install it: "
            'pip install "tps-portrait[camera]"'
        ) from error


def _check_display() -> None:
    """Look for a screen first: some builds of OpenCV end the process where there is none."""
    if sys.platform.startswith("linux") and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        raise ConfigError(
            "There is no display to open a window on: neither DISPLAY nor WAYLAND_DISPLAY is set. "
            "Run this on a desktop, or draw a recorded clip: tps-portrait stylize clip.mp4 -o "
            "drawn.mp4"
        )


@contextmanager
def _camera(cv2: Any, name: str) -> Iterator[Any]:
    capture = cv2.VideoCapture(int(name) if name.isdecimal() else name)
    try:
        if not capture.isOpened():
            what = f"Camera {name}" if name.isdecimal() else name
            raise InputImageError(
                f"{what} cannot be opened. Check that it is connected, that no other program uses "
                "it and that this one may, or choose another by --camera."
            )
        yield capture
    finally:
        capture.release()


@contextmanager
def _window(cv2: Any) -> Iterator[None]:
    try:
        cv2.namedWindow(_WINDOW, cv2.WINDOW_NORMAL)
    except cv2.error as error:
        raise ConfigError(
            "This build of OpenCV has no windows. Replace it: pip uninstall "
            'opencv-python-headless, then pip install "tps-portrait[camera]"'
        ) from error
    try:
        yield
    finally:
        cv2.destroyAllWindows()
