"""A Hub of our own for tests: huggingface_hub is pointed at `hub_server`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from conftest import tiny_pipeline
from hub_server import HubServer
from tps_portrait.hub.publish import complete_card

OWNER = "hf_owner"
READER = "hf_reader"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    """A running Hub, empty; an empty cache; nobody is logged in."""
    server = HubServer()
    template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
    for name, value in (
        ("ENDPOINT", server.url),
        ("HUGGINGFACE_CO_URL_TEMPLATE", template),
        ("HF_HUB_CACHE", str(tmp_path / "cache")),
        ("HF_TOKEN_PATH", str(tmp_path / "token")),
        ("HF_HUB_DISABLE_XET", True),
        ("HF_HUB_OFFLINE", False),
    ):
        monkeypatch.setattr(constants, name, value)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    yield server
    server.stop()


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that somebody wanted to sleep; nobody sleeps long."""
    wanted: list[float] = []
    sleep = time.sleep

    def nap(seconds: float) -> None:
        wanted.append(seconds)
        sleep(min(seconds, 0.01))

    monkeypatch.setattr(time, "sleep", nap)
    return wanted


@pytest.fixture(scope="session")
def style_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What a published tiny style consists of, without pictures."""
    folder = tmp_path_factory.mktemp("published") / "ink"
    pipe = tiny_pipeline(seed=3)
    pipe.card = "# ink\n\nBlack ink on rough paper. It bleeds.\n"
    pipe.save_pretrained(folder)
    complete_card(folder, "owner/ink", license="cc-by-4.0")
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
