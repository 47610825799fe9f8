"""examples/app, assembled and served as a Space."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
APP = ROOT / "examples" / "app"

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


@dataclass
class Served:
    """A running app."""

    url: str
    files: Path
    process: subprocess.Popen[str]
    folder: Path

    def pictures(self) -> list[Path]:
        """Everything that it holds on disk at the moment."""
        # Libraries may leave files of their own beside this folder; no picture is in those.
        folders = self.files.glob("tps-portrait-app-*")
        # Unlike `rglob`, `walk` bears it that the app deletes a folder meanwhile.
        walks = (step for folder in folders for step in os.walk(folder))
        return [Path(place, name) for place, _, names in walks for name in names]


def assemble(folder: Path) -> Path:
    """Write the Space as people publish it."""
    command = [sys.executable, str(APP / "make_space.py"), str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    return folder


def serve(space: Path, files: Path, **settings: str) -> Served:
    """Start the app of a Space on a free port and wait until it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    files.mkdir()
    environment = {
        **os.environ,
        "GRADIO_SERVER_PORT": str(port),
        "TMPDIR": str(files),
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        **settings,
    }
    # Its own copy of the library, whatever the tests run with.
    environment.pop("PYTHONPATH", None)
    process = subprocess.Popen(
        [sys.executable, "app.py"],
        cwd=space,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    told = []
    for line in process.stdout:
        told.append(line)
        if "Running on local URL" in line:
            break
    else:
        pytest.fail("".join(told))
    return Served(f"http://127.0.0.1:{port}", files, process, space)


def stop(served: Served) -> None:
    """Stop an app as hosts do, with SIGTERM, after which no file may be left."""
    served.process.send_signal(signal.SIGTERM)
    served.process.communicate(timeout=60)
    assert not served.pictures()


def until(happened: Callable[[], object], seconds: float) -> None:
    """Wait for something; it is an error if it does not happen in time."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def chromium() -> Iterator[Any]:
    """A browser, with a camera that has no face before it."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: `make test-app` has it"
    )
    if CHROMIUM is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                *("--no-sandbox", "--disable-gpu", "--use-fake-ui-for-media-stream"),
                "--use-fake-device-for-media-stream",
            ],
        )
        yield browser
        browser.close()


def opened(browser: Any, app: Served) -> Iterator[Any]:
    """The page of an app, in a browser of its own."""
    context = browser.new_context(
        viewport={"width": 1180, "height": 1000}, permissions=["clipboard-read", "clipboard-write"]
    )
    page = context.new_page()
    # A machine that is shared may hold a browser up for a minute; that says nothing of the app.
    page.set_default_timeout(180_000)
    # Nothing here asks when the page's last file has come: the button is there when it works.
    page.goto(app.url, wait_until="commit")
    page.get_by_role("button", name="Draw", exact=True).wait_for()
    yield page
    context.close()
