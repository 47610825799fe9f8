"""Pictures and tiny styles that several test files share."""

from __future__ import annotations

import importlib.util
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image

import tps_portrait
from tps_portrait import (
    PortraitImageProcessor,
    StyleGenerator,
    StyleGeneratorConfig,
    TPSAligner,
    TPSAlignerConfig,
    TPSPortraitPipeline,
)

DATA = Path(__file__).parent / "data"
ASTRONAUT = Path(tps_portrait.__file__).parent / "assets" / "astronaut.jpg"


def load_script(path: Path) -> ModuleType:
    """Import a script of the repository, once; scripts beside it find it by its name."""
    if path.stem in sys.modules:
        return sys.modules[path.stem]
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Run a server on this machine, without its log; gives its address."""
    quiet = type("Quiet", (handler,), {"log_message": lambda *args: None})
    server = ThreadingHTTPServer(("127.0.0.1", 0), quiet)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def tiny_generator(seed: int = 0) -> StyleGenerator:
    """A real generator with few weights, which draws quickly and badly."""
    torch.manual_seed(seed)
    config = StyleGeneratorConfig(
        channels=(8, 8, 8, 8),
        encoder_blocks=(0, 0),
        bottleneck_blocks=1,
        decoder_blocks=(0, 0),
        head_channels=8,
    )
    return StyleGenerator(config).eval()


def tiny_pipeline(
    seed: int = 0, *, face_size: int = 128, frame_size: int = 256
) -> TPSPortraitPipeline:
    """A pipeline around a tiny generator, with the bundled face landmarker."""
    processor = PortraitImageProcessor(face_size=face_size, frame_size=frame_size)
    pipe = TPSPortraitPipeline(tiny_generator(seed), TPSAligner(TPSAlignerConfig()), processor)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def seeded(height: int, width: int, *, channels: int = 3, seed: int = 0) -> np.ndarray:
    """Smooth seeded noise without a face: (H, W) or (H, W, C) uint8."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (8, 8, channels), dtype=np.uint8)
    planes = [
        np.asarray(Image.fromarray(small[..., c]).resize((width, height), Image.Resampling.BICUBIC))
        for c in range(channels)
    ]
    return planes[0] if channels == 1 else np.stack(planes, -1)


# Read at the start: a fixture of a module or a session may have run a command before a test begins.
LEVELS = {
    name: logging.getLogger(name).level for name in ("tps_portrait", "transformers", "diffusers")
}


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    """Undo that commands quiet the libraries of this process."""
    yield
    for name, level in LEVELS.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture(scope="session")
def pipe() -> TPSPortraitPipeline:
    """A tiny pipeline that tests only call."""
    return tiny_pipeline()


@pytest.fixture(scope="session")
def astronaut() -> Image.Image:
    """One face, 512x512."""
    return Image.open(ASTRONAUT).convert("RGB")


@pytest.fixture(scope="session")
def two_faces(astronaut: Image.Image) -> Image.Image:
    """Two faces of different size, 812x512."""
    hopper = Image.open(DATA / "grace_hopper.jpg").convert("RGB").resize((300, 351))
    sheet = Image.new("RGB", (812, 512), (140, 140, 150))
    sheet.paste(astronaut, (0, 0))
    sheet.paste(hopper, (512, 161))
    return sheet


@pytest.fixture(scope="session")
def no_face() -> Image.Image:
    """Smooth noise, 200x160."""
    return Image.fromarray(seeded(160, 200))


@pytest.fixture
def serve() -> Iterator[Callable[[str, bytes], str]]:
    """Serve bytes over http on this machine; calling it gives their address."""
    pages: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/redirect":
                self.send_response(302)
                self.send_header("Location", "/target")
                self.end_headers()
                return
            body = pages.get(self.path)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

    with serving(Handler) as address:

        def add(path: str, body: bytes) -> str:
            pages[path] = body
            return f"{address}{path}"

        yield add
