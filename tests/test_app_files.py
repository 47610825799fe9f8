"""examples/app keeps no files: what lies on disk is gone in time, whatever became of it.

Needs gradio, for which `make test-app` makes an environment.
"""

from __future__ import annotations

import io
import json
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from app_server import Served, assemble, serve, stop, until
from conftest import ASTRONAUT
from tps_portrait.hub.styles import bundled_styles

pytest.importorskip("gradio", reason="gradio is not installed: `make test-app` runs these tests")
httpx = pytest.importorskip("httpx", reason="gradio is not installed, which brings it")


class Visitor:
    """Somebody whose page stays open: uploads once, draws the same upload again and again."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.http = httpx.Client(base_url=f"{served.url}/gradio_api", timeout=60)

    def upload(self, photo: Image.Image) -> Path:
        """Where the app keeps it."""
        data = io.BytesIO()
        photo.save(data, "PNG")
        (path,) = self.http.post("/upload", files={"files": ("me.png", data.getvalue())}).json()
        assert self.served.files in Path(path).parents
        return Path(path)

    def draw(self, upload: Path) -> tuple[str, Any]:
        """What became of it, such as `complete`, and what was told."""
        file = {"path": str(upload), "meta": {"_type": "gradio.FileData"}}
        data = {"data": [file, bundled_styles()[0], 1.0, 0.0]}
        event = self.http.post("/call/draw", json=data).json()["event_id"]
        told = self.http.get(f"/call/draw/{event}").text
        (kind,) = re.findall(r"event: (complete|error)", told)
        return kind, json.loads(told.rsplit("data: ", 1)[1])

    def pieces(self) -> list[Path]:
        """What lies outside the folders that whole files get."""
        return [path for path in self.served.pictures() if path.parent.name == "cache"]

    def break_off(self) -> None:
        """Begin an upload and go away in its middle."""
        address = self.http.base_url
        head = "POST /gradio_api/upload HTTP/1.1\r\nHost: app\r\nContent-Length: 90000\r\n"
        head += "Content-Type: multipart/form-data; boundary=cut\r\n\r\n"
        part = '--cut\r\nContent-Disposition: form-data; name="files"; filename="me.png"\r\n\r\n'
        with socket.create_connection((address.host, address.port)) as connection:
            connection.sendall((head + part).encode() + bytes(40_000))
            until(self.pieces, 20)


class TestKeepsNoFiles:
    """With three seconds in place of ten minutes."""

    KEPT = 3.0

    @pytest.fixture
    def app(self, tmp_path: Path) -> Iterator[Served]:
        settings = {"TPS_PORTRAIT_APP_KEEP_SECONDS": str(self.KEPT)}
        served = serve(assemble(tmp_path / "space"), tmp_path / "files", **settings)
        yield served
        stop(served)

    def test_deletes_what_is_not_used(self, app: Served) -> None:
        thumbnails = set(app.pictures())
        assert len(thumbnails) == len(bundled_styles())
        someone = Visitor(app)
        photo = Image.open(ASTRONAUT).resize((96, 96))
        someone.draw(someone.upload(photo.rotate(180)))  # loads the style, which takes time
        left = someone.upload(photo.rotate(90))
        used = someone.upload(photo)
        kind, (_, drawing) = someone.draw(used)
        assert kind == "complete"
        result = Path(drawing["value"]["path"])
        assert {left, used, result} < set(app.pictures())
        someone.break_off()
        assert someone.pieces()
        training = next(app.files.glob("*/work")) / "style-1" / "picture.jpg"
        training.parent.mkdir()
        training.touch()

        # Whatever was left goes, while a photo that is being worked with stays.
        began = time.monotonic()
        while time.monotonic() - began < 1.5 * self.KEPT:
            assert someone.draw(used)[0] == "complete"
            time.sleep(0.2)
        assert not left.exists()
        assert not result.exists()
        assert not someone.pieces()
        assert used.exists()

        until(lambda: set(app.pictures()) == thumbnails | {training}, 2 * self.KEPT)
        assert not used.parent.exists()
        assert "no longer here" in str(someone.draw(used))
        again = someone.upload(photo)
        assert again == used
        assert someone.draw(again)[0] == "complete"
        for thumbnail in thumbnails:
            assert someone.http.get(f"/file={thumbnail}").content == thumbnail.read_bytes()
