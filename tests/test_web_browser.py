"""The page in a real Chromium: pictures, the camera, wrong files, no network, small screens.

`make test-web` brings what this needs: Playwright (the extra `browser`) and onnxruntime-web, which
`tps-portrait web --setup` fetches, too. Chromium is the system's.
With `TPS_PORTRAIT_SCREENSHOTS` set to a folder, screenshots are written there.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import shutil
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from conftest import ASTRONAUT
from readme_blocks import find_blocks
from tps_portrait import ModelFileError, PortraitImageProcessor, TPSPortraitPipeline
from tps_portrait.hub.styles import bundled_styles
from tps_portrait.web import build_site, find_runtime, make_server
from tps_portrait.web.runtime import cache_folder

playwright = pytest.importorskip(
    "playwright.sync_api", reason="Playwright is not installed: `make test-web` runs these tests"
)
pytest.importorskip("onnxscript", reason="the extra `onnx` is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
if CHROMIUM is None:
    pytest.skip("there is no Chromium; Debian: apt-get install chromium", allow_module_level=True)
ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "examples" / "host" / "node_modules" / "onnxruntime-web"
try:
    RUNTIME = find_runtime(PACKAGE if PACKAGE.is_dir() else None)
except ModelFileError as error:
    pytest.skip(f"{error} Or: make test-web", allow_module_level=True)

STYLE = bundled_styles()[0]
SIZE = 256
SECONDS = 90_000  # in milliseconds; this may be a slow and busy machine
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]


@pytest.fixture(scope="module")
def site() -> Path:
    """The page with one bundled style; kept between runs, as its export takes half a minute."""
    folder = cache_folder() / "test-site"
    build_site(folder, [STYLE], runtime=RUNTIME)
    return folder


@pytest.fixture
def server(site: Path) -> Iterator[ThreadingHTTPServer]:
    """The site on a free port."""
    with _running(site) as running:
        yield running


@contextlib.contextmanager
def _running(folder: Path) -> Iterator[ThreadingHTTPServer]:
    with make_server(folder, port=0) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium with a camera that plays the astronaut."""
    clip = tmp_path_factory.mktemp("camera") / "camera.y4m"
    _write_y4m(clip)
    with playwright.sync_playwright() as api:
        chromium = api.chromium.launch(
            executable_path=CHROMIUM, args=[*FLAGS, f"--use-file-for-fake-video-capture={clip}"]
        )
        yield chromium
        chromium.close()


@contextlib.contextmanager
def _visit(browser: Any, server: ThreadingHTTPServer, **options: Any) -> Iterator[Any]:
    """The page, ready; nothing may be asked of another address, and nothing may fail."""
    context = browser.new_context(viewport={"width": 1100, "height": 1000}, **options)
    tab = context.new_page()
    address = f"http://127.0.0.1:{server.server_port}/"
    asked: list[str] = []
    failures: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    tab.on("pageerror", lambda error: failures.append(str(error)))
    tab.goto(f"{address}?backend=wasm")
    tab.wait_for_selector("body[data-ready]", timeout=SECONDS)
    yield tab
    context.close()
    assert [url for url in asked if not url.startswith((address, "blob:", "data:"))] == []
    assert failures == []


@pytest.fixture
def page(browser: Any, server: ThreadingHTTPServer) -> Iterator[Any]:
    """The page without its service worker, which would load everything for each test."""
    with _visit(browser, server, service_workers="block") as tab:
        yield tab


@pytest.fixture
def app(browser: Any, site: Path, tmp_path: Path) -> Iterator[Any]:
    """A page with nothing but the module of docs/integrate.md, and what that asks for."""
    text = (ROOT / "docs" / "integrate.md").read_text("utf-8")
    [module] = [block.code for block in find_blocks(text) if block.language == "javascript"]
    folder = tmp_path / "app"
    folder.mkdir()
    for name in ("models", "portrait.mjs", "runtime"):
        (folder / name).symlink_to(site / name)
    (folder / "app.mjs").write_text(module, "utf-8")
    names = {"imports": {"onnxruntime-web": "./runtime/ort.wasm.bundle.min.mjs"}}
    (folder / "index.html").write_text(
        f'<!doctype html><script type="importmap">{json.dumps(names)}</script><canvas></canvas>'
    )
    context = browser.new_context()
    tab = context.new_page()
    with _running(folder) as server:
        tab.goto(f"http://127.0.0.1:{server.server_port}/")
        yield tab
        context.close()


def _write_y4m(path: Path) -> None:
    """Fifteen frames of 320x240 in which the view moves to the side."""
    with Image.open(ASTRONAUT) as image:
        photo = image.convert("RGB")
    with path.open("wb") as file:
        file.write(b"YUV4MPEG2 W320 H240 F15:1 Ip A1:1 C420jpeg\n")
        for index in range(15):
            left = 20 + 2 * index
            frame = photo.resize((320, 240), box=(left, 0, left + 400, 300)).convert("YCbCr")
            planes = np.asarray(frame, np.float32)
            file.write(b"FRAME\n" + planes[..., 0].astype(np.uint8).tobytes())
            for channel in (1, 2):
                small = planes[..., channel].reshape(120, 2, 160, 2).mean((1, 3))
                file.write(small.round().astype(np.uint8).tobytes())


def _picture(tmp_path: Path, size: tuple[int, int] = (256, 192)) -> Path:
    """A PNG of (width, height) with a face."""
    path = tmp_path / "picture.png"
    with Image.open(ASTRONAUT) as image:
        image.convert("RGB").resize(size, box=(60, 10, 60 + 360, 10 + 270)).save(path)
    return path


def _open(page: Any, path: Path, shown: int = 1) -> None:
    page.set_input_files("#file", str(path))
    page.wait_for_selector(f'body[data-shown="{shown}"], #problem:not(:empty)', timeout=SECONDS)
    assert page.inner_text("#problem") == ""


def _drawing(page: Any) -> np.ndarray:
    """Pixels of the drawing's canvas."""
    return _decode(page.evaluate("document.getElementById('drawing').toDataURL('image/png')"))


def _decode(data: str) -> np.ndarray:
    with Image.open(io.BytesIO(base64.b64decode(data.split(",")[1]))) as image:
        return np.asarray(image.convert("RGB"))


def _python(path: Path, mode: str) -> np.ndarray:
    """What the library draws at the page's sizes."""
    sizes = PortraitImageProcessor(face_size=SIZE, frame_size=SIZE)
    pipe = TPSPortraitPipeline.from_pretrained(STYLE, image_processor=sizes)
    return np.asarray(pipe(str(path), mode=mode).images[0])


def _shoot(page: Any, name: str) -> None:
    folder = os.environ.get("TPS_PORTRAIT_SCREENSHOTS")
    if folder:
        page.screenshot(path=str(Path(folder) / name), type="jpeg", quality=85, full_page=True)


@pytest.mark.parametrize("size", [(256, 192), (244, 180), (400, 300)])
def test_a_whole_picture_equals_pythons(page: Any, tmp_path: Path, size: tuple[int, int]) -> None:
    path = _picture(tmp_path, size)
    page.select_option("#size", str(SIZE))
    page.select_option("#mode", "frame")
    _open(page, path)
    got, wanted = _drawing(page).astype(int), _python(path, "frame").astype(int)
    assert got.shape == wanted.shape == (size[1], size[0], 3)
    assert np.abs(got - wanted).max() <= 2
    with Image.open(path) as photo:
        assert np.abs(got - np.asarray(photo)).mean() > 4


def test_faces_equal_pythons(page: Any, tmp_path: Path) -> None:
    path = _picture(tmp_path)
    page.select_option("#size", str(SIZE))
    _open(page, path)
    assert page.inner_text("#status").endswith("Faces: 1.")
    difference = np.abs(_drawing(page).astype(int) - _python(path, "face"))
    assert difference.max() <= 2


def test_the_code_of_the_documentation_draws_as_python(app: Any, tmp_path: Path) -> None:
    path = _picture(tmp_path)
    drawn = app.evaluate(
        """async (content) => {
          const picture = new Image();
          picture.src = `data:image/png;base64,${content}`;
          await picture.decode();
          const canvas = document.querySelector("canvas");
          [canvas.width, canvas.height] = [picture.width, picture.height];
          canvas.getContext("2d", { willReadFrequently: true }).drawImage(picture, 0, 0);
          const { stylize } = await import("./app.mjs");
          await stylize(canvas);
          return canvas.toDataURL("image/png");
        }""",
        base64.b64encode(path.read_bytes()).decode(),
    )
    wanted = np.asarray(TPSPortraitPipeline.from_pretrained(STYLE)(str(path)).images[0])
    assert np.abs(_decode(drawn).astype(int) - wanted).max() <= 2


def test_threads_run_here(page: Any, tmp_path: Path) -> None:
    assert page.evaluate("crossOriginIsolated")
    _open(page, _picture(tmp_path))
    cores = page.evaluate("navigator.hardwareConcurrency")
    assert page.inner_text("#backend") == f"WebAssembly, {min(4, cores)} thread(s)"


@pytest.mark.parametrize("mode", ["face", "frame"])
def test_camera_runs_for_five_seconds(page: Any, mode: str) -> None:
    page.select_option("#mode", mode)
    page.click("#camera")
    page.wait_for_selector("body[data-shown]", timeout=SECONDS)
    counts, views = [], []
    for _ in range(5):
        page.wait_for_timeout(1000)
        counts.append(int(page.inner_text("#frames")))
        views.append(_drawing(page))
    assert counts[4] > counts[2] > counts[0], counts
    assert float(page.inner_text("#milliseconds")) > 0
    assert float(page.inner_text("#rate")) > 0
    assert any(not np.array_equal(views[0], view) for view in views[1:])
    if mode == "face":
        assert page.evaluate("document.body.dataset.faces") == "1"
    page.click("#camera")
    assert page.inner_text("#status") == "The camera is off."
    page.wait_for_timeout(500)
    stopped = page.inner_text("#frames")
    page.wait_for_timeout(1000)
    assert page.inner_text("#frames") == stopped


def test_what_is_no_picture_gets_a_message(page: Any, tmp_path: Path) -> None:
    for name, content in (("notes.txt", b"not a picture"), ("broken.png", b"\x89PNG\r\n\x1a\n")):
        (tmp_path / name).write_bytes(content)
        page.set_input_files("#file", str(tmp_path / name))
        page.wait_for_selector("#problem:not(:empty)", timeout=SECONDS)
        assert page.inner_text("#problem").startswith("That is not a picture")
    Image.new("RGB", (8, 8)).save(tmp_path / "tiny.png")
    page.set_input_files("#file", str(tmp_path / "tiny.png"))
    page.wait_for_selector("#problem:has-text('32 is the least')", timeout=SECONDS)
    _open(page, _picture(tmp_path))  # and the page goes on


def test_a_picture_can_be_dropped(page: Any, tmp_path: Path) -> None:
    content = base64.b64encode(_picture(tmp_path).read_bytes()).decode()
    page.evaluate(
        """(content) => {
          const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
          const data = new DataTransfer();
          data.items.add(new File([bytes], "picture.png", { type: "image/png" }));
          const stage = document.getElementById("stage");
          const options = { dataTransfer: data, bubbles: true, cancelable: true };
          stage.dispatchEvent(new DragEvent("drop", options));
        }""",
        content,
    )
    page.wait_for_selector('body[data-shown="1"]', timeout=SECONDS)


def test_works_without_a_network_after_the_first_visit(
    browser: Any, server: ThreadingHTTPServer, tmp_path: Path
) -> None:
    with _visit(browser, server) as page:
        page.wait_for_selector("body[data-offline]", timeout=SECONDS)
        server.shutdown()
        server.server_close()
        page.context.set_offline(True)
        page.reload()
        page.wait_for_selector("body[data-ready]", timeout=SECONDS)
        _open(page, _picture(tmp_path))
        assert page.evaluate("crossOriginIsolated")


def test_keyboard_alone(page: Any, tmp_path: Path) -> None:
    """Every control is reached by Tab in the order of the page; arrows move the split."""
    _open(page, _picture(tmp_path))
    page.evaluate("document.activeElement.blur()")
    reached = []
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id"))
        if reached[-1] == "save":
            break
    assert reached == ["file", "camera", "example", "style", "mode", "size", "split", "save"]
    page.focus("#split")
    page.keyboard.press("Home")
    assert page.evaluate("getComputedStyle(drawing).clipPath") == "inset(0px 0px 0px 0%)"
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert page.get_attribute("#split", "aria-valuetext") == "3 percent picture"
    assert page.evaluate("getComputedStyle(drawing).clipPath") == "inset(0px 0px 0px 3%)"


def test_names_for_a_screen_reader(page: Any) -> None:
    for role, name in (
        ("button", "Use the camera"),
        ("button", "Show an example"),
        ("combobox", "Style"),
        ("combobox", "Draw"),
        ("combobox", "Pixels"),
        ("button", "Save the drawing"),
    ):
        assert page.get_by_role(role, name=name).count() == 1, name
    assert page.get_by_label("Choose a picture").count() == 1
    assert page.get_by_role("status").count() == 1
    assert page.get_by_role("heading", name="Draw a portrait").count() == 1


def test_saves_the_drawing(page: Any, tmp_path: Path) -> None:
    _open(page, _picture(tmp_path))
    with page.expect_download() as download:
        page.click("#save")
    saved = tmp_path / "saved.png"
    download.value.save_as(saved)
    assert download.value.suggested_filename.endswith(f"-{STYLE}.png")
    assert np.array_equal(np.asarray(Image.open(saved).convert("RGB")), _drawing(page))


@pytest.mark.parametrize("name", ["desktop", "phone"])
def test_layout(page: Any, name: str) -> None:
    """Nothing sticks out to the side, and fingers find the controls; see also the pictures."""
    if name == "phone":
        page.set_viewport_size({"width": 390, "height": 844})
    page.click("#example")
    page.wait_for_selector('body[data-shown="1"]', timeout=SECONDS)
    width = page.viewport_size["width"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for control in ("label[for=file]", "#camera", "#style", "#mode", "#size", "#split", "#save"):
        box = page.locator(control).bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        assert box["height"] >= 44, control
    _shoot(page, f"web-{name}.jpg")
