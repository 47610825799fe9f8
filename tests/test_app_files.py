"""examples/app keeps no files: what lies on disk is gone in time, whatever became of it.

Needs gradio, for which `make test-app` makes an environment; the line of trainings needs Chromium.
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

from app_server import Served, assemble, chromium, opened, serve, stop, until
from conftest import ASTRONAUT
from faces import EXAMPLES
from tps_portrait.hub.styles import bundled_styles

gradio_client = pytest.importorskip(
    "gradio_client", reason="gradio is not installed: `make test-app` runs these tests"
)
httpx = pytest.importorskip("httpx", reason="gradio is not installed, which brings it")

KEPT = 5.0
"""Seconds in place of ten minutes."""


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


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    work = tmp_path_factory.mktemp("brief")
    settings = {"TPS_PORTRAIT_APP_KEEP_SECONDS": str(KEPT)}
    served = serve(assemble(work / "space"), work / "files", **settings)
    yield served
    stop(served)


@pytest.fixture(scope="module")
def thumbnails(app: Served) -> set[Path]:
    found = set(app.pictures())
    assert len(found) == len(bundled_styles())
    return found


class TestKeepsNoFiles:
    def test_deletes_what_is_not_used(self, app: Served, thumbnails: set[Path]) -> None:
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
        while time.monotonic() - began < 1.3 * KEPT:
            assert someone.draw(used)[0] == "complete"
            time.sleep(0.2)
        assert not left.exists()
        assert not result.exists()
        assert not someone.pieces()
        assert used.exists()

        until(lambda: set(app.pictures()) == thumbnails | {training}, 2 * KEPT)
        assert not used.parent.exists()
        training.unlink()
        assert "no longer here" in str(someone.draw(used))
        again = someone.upload(photo)
        assert again == used
        assert someone.draw(again)[0] == "complete"
        for thumbnail in thumbnails:
            assert someone.http.get(f"/file={thumbnail}").content == thumbnail.read_bytes()

    def test_waits_in_line_with_its_pictures(self, app: Served, thumbnails: set[Path]) -> None:
        """Longer than others are kept; when the training ends they go like all the others."""
        first, second = (sorted(EXAMPLES.glob("*.jpg"))[start:][:10] for start in (0, 10))
        someone = gradio_client.Client(app.url, verbose=False)
        given = [gradio_client.handle_file(str(path)) for path in first]
        long = someone.submit(given, bundled_styles()[0], 600, None, api_name="/train")
        until(lambda: list(app.files.rglob("style-*")), 60)
        for browser in chromium():
            for page in opened(browser, app):
                page.get_by_role("tab", name="Train your own").click()
                names = [str(path) for path in second]
                page.locator("#pictures input[type=file]").set_input_files(names)
                page.locator("#pictures tbody tr").nth(len(names) - 1).wait_for()
                page.locator("#train").click()
                page.wait_for_timeout(1500 * KEPT)
                waiting = {path.name for path in app.pictures()}
                assert {path.name for path in second} <= waiting
                assert not {path.name for path in first} & waiting
                someone.predict(api_name="/cancel")
                assert long.result(timeout=60)[0].startswith("Cancelled")
                page.locator("#status").get_by_text("Looking for faces").wait_for()
                page.locator("#cancel").click()
                page.locator("#status").get_by_text("Cancelled").wait_for()
                until(lambda: set(app.pictures()) == thumbnails, 60)
