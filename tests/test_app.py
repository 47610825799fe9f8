"""examples/app as a Space runs it: assembled, served, used over HTTP and in a real browser.

Needs gradio, for which `make test-app` makes an environment; the browser tests need Chromium.
With TPS_PORTRAIT_SCREENSHOTS=docs/assets they also write the pictures of the documentation.
"""

from __future__ import annotations

import base64
import io
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image, ImageChops, ImageStat

from app_server import APP, ROOT, Served, assemble, chromium, opened, serve, stop
from conftest import ASTRONAUT, DATA
from faces import EXAMPLES
from tps_portrait.hub.styles import bundled_styles

gradio_client = pytest.importorskip(
    "gradio_client", reason="gradio is not installed: `make test-app` runs these tests"
)

SCREENSHOTS = os.environ.get("TPS_PORTRAIT_SCREENSHOTS")


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The assembled Space, served."""
    work = tmp_path_factory.mktemp("space")
    served = serve(assemble(work / "space"), work / "files")
    yield served
    stop(served)


@pytest.fixture(scope="module")
def client(app: Served, tmp_path_factory: pytest.TempPathFactory) -> Any:
    downloads = tmp_path_factory.mktemp("downloads")
    return gradio_client.Client(app.url, verbose=False, download_files=str(downloads))


@pytest.fixture(scope="module")
def pictures() -> list[Path]:
    """Ten examples of a style; test data has no more, so they are taken from the examples."""
    return sorted(EXAMPLES.glob("*.jpg"))[:10]


def upload(path: Path) -> Any:
    return gradio_client.handle_file(str(path))


def distance(first: Image.Image, second: Image.Image) -> float:
    """Mean absolute difference in grey levels, at the smaller size."""
    second = second.convert("RGB").resize(first.size)
    return ImageStat.Stat(ImageChops.difference(first.convert("RGB"), second).convert("L")).mean[0]


class TestSpace:
    def test_front_matter(self) -> None:
        text = (APP / "README.md").read_text("utf-8")
        front = yaml.safe_load(text.split("---\n")[1])
        pins = dict(
            line.split("==")
            for line in (APP / "requirements.txt").read_text("utf-8").split()
            if "==" in line
        )
        assert front["sdk"] == "gradio"
        assert front["sdk_version"] == pins["gradio"]
        assert (APP / front["app_file"]).is_file()
        assert len(front["short_description"]) <= 60

    def test_every_requirement_is_pinned(self) -> None:
        lines = (APP / "requirements.txt").read_text("utf-8").splitlines()
        named = [line for line in lines if not line.startswith(("#", "--"))]
        assert all(re.fullmatch(r"[\w-]+==[\d.]+", line) for line in named)
        pyproject = (ROOT / "pyproject.toml").read_text("utf-8")
        block = pyproject.split("dependencies = [")[1].split("]")[0]
        needed = set(re.findall(r'"([\w-]+)', block))
        assert needed <= {line.split("==")[0] for line in named}

    def test_needs_only_its_own_folder(self, app: Served) -> None:
        code = "import tps_portrait; print(tps_portrait.__file__)"
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=app.folder, capture_output=True, text=True, check=True
        )
        assert Path(done.stdout.strip()).is_relative_to(app.folder)

    def test_refuses_to_overwrite(self, app: Served) -> None:
        command = [sys.executable, str(APP / "make_space.py"), str(app.folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert "exists already" in done.stderr


class TestOverHTTP:
    def test_draws_at_full_size(self, client: Any) -> None:
        style = bundled_styles()[0]
        pair, file = client.predict(upload(ASTRONAUT), style, 1.0, 0.0, api_name="/draw")
        photo, drawing = Image.open(ASTRONAUT), Image.open(file["value"])
        assert drawing.format == "PNG"
        assert drawing.size == photo.size
        assert distance(photo, drawing) > 3
        assert distance(photo, Image.open(pair[0])) < 3
        assert distance(drawing, Image.open(pair[1])) < 3

    def test_strength_and_geometry(self, client: Any) -> None:
        style, photo = bundled_styles()[0], Image.open(ASTRONAUT)
        _, none = client.predict(upload(ASTRONAUT), style, 0.0, 0.0, api_name="/draw")
        _, bent = client.predict(upload(ASTRONAUT), style, 0.0, 1.0, api_name="/draw")
        assert distance(photo, Image.open(none["value"])) == 0
        assert distance(photo, Image.open(bent["value"])) > 0.1

    def test_all_styles(self, client: Any) -> None:
        shown = client.predict(upload(ASTRONAUT), 1.0, 0.0, api_name="/all_styles")
        assert [item["caption"] for item in shown] == bundled_styles()

    @pytest.mark.parametrize(
        ("name", "content", "reason"),
        [
            ("letter.png", b"Dear Sir or Madam, " * 20, "not a picture"),
            ("cut.jpg", ASTRONAUT.read_bytes()[:9000], "cannot be drawn"),
            ("drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture"),
        ],
    )
    def test_refuses_what_is_no_picture(
        self, client: Any, tmp_path: Path, name: str, content: bytes, reason: str
    ) -> None:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(Exception, match=reason) as caught:
            client.predict(upload(tmp_path / name), bundled_styles()[0], 1.0, 0.0, api_name="/draw")
        assert "tmp" not in str(caught.value)

    def test_refuses_large_pictures(self, client: Any, tmp_path: Path) -> None:
        Image.new("L", (6000, 5000)).save(tmp_path / "poster.png")
        with pytest.raises(Exception, match="30 megapixels"):
            client.predict(
                upload(tmp_path / "poster.png"), bundled_styles()[0], 1.0, 0.0, api_name="/draw"
            )

    def test_refuses_large_files(self, client: Any, app: Served, tmp_path: Path) -> None:
        (tmp_path / "large.jpg").write_bytes(ASTRONAUT.read_bytes() + bytes(21_000_000))
        with pytest.raises(Exception, match=r"413|exceeds"):
            client.predict(
                upload(tmp_path / "large.jpg"), bundled_styles()[0], 1.0, 0.0, api_name="/draw"
            )
        assert all(path.stat().st_size < 20_000_000 for path in app.pictures())

    def test_asks_for_a_picture(self, client: Any) -> None:
        with pytest.raises(Exception, match="Choose a picture first"):
            client.predict(None, bundled_styles()[0], 1.0, 0.0, api_name="/draw")

    def test_refuses_small_sets_and_other_files(
        self, client: Any, pictures: list[Path], tmp_path: Path
    ) -> None:
        base = bundled_styles()[0]
        nine = [upload(path) for path in pictures[:9]]
        with pytest.raises(Exception, match="10 to 100 pictures"):
            client.predict(nine, base, 4, None, api_name="/train")
        (tmp_path / "notes.txt").write_text("not a face")
        with pytest.raises(Exception, match=r"notes\.txt is not a picture"):
            client.predict(
                [*nine, upload(tmp_path / "notes.txt")], base, 4, None, api_name="/train"
            )

    def test_keeps_no_pictures_of_a_training_that_cannot_start(
        self, client: Any, app: Served, pictures: list[Path], tmp_path: Path
    ) -> None:
        (tmp_path / "letter.png").write_bytes(b"Dear Sir or Madam, " * 20)
        files, photo = [upload(path) for path in pictures], upload(tmp_path / "letter.png")
        with pytest.raises(Exception, match="not a picture"):
            client.predict(files, bundled_styles()[0], 4, photo, api_name="/train")
        assert not trainings(app)

    def test_two_people_at_once_get_their_own(self, app: Served, tmp_path: Path) -> None:
        photos, jobs = (ASTRONAUT, DATA / "grace_hopper.jpg"), []
        people = [
            gradio_client.Client(app.url, verbose=False, download_files=str(tmp_path / photo.stem))
            for photo in photos
        ]
        for person, photo in zip(people, photos, strict=True):
            jobs.append(
                person.submit(upload(photo), bundled_styles()[0], 1.0, 0.0, api_name="/draw")
            )
        for photo, job in zip(photos, jobs, strict=True):
            _, file = job.result(timeout=120)
            drawing, expected = Image.open(file["value"]), Image.open(photo)
            assert drawing.size == expected.size
            assert 3 < distance(expected, drawing) < 60

    def test_trains(self, client: Any, app: Served, pictures: list[Path]) -> None:
        job = client.submit(
            [upload(path) for path in pictures], bundled_styles()[0], 4, None, api_name="/train"
        )
        status, _, pair, archive, *_ = job.result(timeout=300)
        assert status.startswith("Done: 4 steps")
        assert any("Looking for faces" in told[0] for told in job.outputs())
        assert len(pair) == 2
        assert Path(archive["value"]).stat().st_size > 1_000_000
        assert not trainings(app), "the pictures of the training were kept"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    yield from chromium()


@pytest.fixture
def page(browser: Any, app: Served) -> Iterator[Any]:
    yield from opened(browser, app)


def snap(page: Any, name: str) -> None:
    """Keep a picture for the documentation, if asked to."""
    if SCREENSHOTS:
        page.wait_for_timeout(1500)
        page.screenshot(
            path=str(ROOT / SCREENSHOTS / f"{name}.jpg"), type="jpeg", quality=85, full_page=True
        )


def trainings(app: Served) -> list[str]:
    """Folders of trainings; os.walk goes on where one is deleted meanwhile, rglob does not."""
    return [
        name for _, names, _ in os.walk(app.files) for name in names if name.startswith("style-")
    ]


def choose_photo(page: Any, path: Path) -> None:
    page.locator("#photo input[type=file]").set_input_files(str(path))


def copy_picture(page: Any, picture: Image.Image) -> None:
    """Put a picture on the clipboard, as other programs do."""
    data = io.BytesIO()
    picture.save(data, "PNG")
    page.evaluate(
        """async (url) => {
            const blob = await (await fetch(url)).blob();
            await navigator.clipboard.write([new ClipboardItem({"image/png": blob})]);
        }""",
        f"data:image/png;base64,{base64.b64encode(data.getvalue()).decode('ascii')}",
    )


def download(page: Any) -> Image.Image:
    """The drawing at full size."""
    with page.expect_download() as caught:
        page.locator("#download").click()
    return Image.open(caught.value.path())


def wait_for_another(page: Any, before: str | None) -> str:
    """Wait until another drawing than `before` is shown; returns what that is."""
    found = page.wait_for_function(
        """before => {
            const now = document.querySelectorAll("#slider img")[1]?.getAttribute("src");
            return now !== before && now;
        }""",
        arg=before,
    )
    return str(found.json_value())


class TestInChromium:
    def test_draws_compares_and_downloads(self, page: Any) -> None:
        assert page.locator("#thumbnails img").count() == len(bundled_styles())
        choose_photo(page, ASTRONAUT)
        shown = page.locator("#slider img")
        shown.nth(1).wait_for()
        assert download(page).size == Image.open(ASTRONAUT).size
        page.get_by_role("button", name="All styles").click()
        page.locator("#grid img").nth(len(bundled_styles()) - 1).wait_for()
        snap(page, "app-draw")

    def test_a_thumbnail_picks_its_style(self, page: Any) -> None:
        """And a photo that is there already is drawn again, in that style."""
        choose_photo(page, ASTRONAUT)
        shown = page.locator("#slider img")
        shown.nth(1).wait_for()
        before = shown.nth(1).get_attribute("src")
        last = bundled_styles()[-1]
        assert not page.get_by_role("radio", name=last).first.is_checked()
        page.locator("#thumbnails button").filter(has_text=last).click()
        wait_for_another(page, before)
        assert page.get_by_role("radio", name=last).first.is_checked()

    def test_the_strength_slider_draws_again(self, page: Any) -> None:
        choose_photo(page, ASTRONAUT)
        shown = page.locator("#slider img")
        shown.nth(1).wait_for()
        before = shown.nth(1).get_attribute("src")
        knob = page.get_by_label("number input for Strength: photo to drawing")
        knob.fill("0.3")
        knob.press("Enter")
        page.get_by_role("button", name="Draw", exact=True).click()
        wait_for_another(page, before)

    def test_pastes(self, page: Any) -> None:
        """By the keys and by the button, each over what is there already, and over the camera."""
        shown, source = None, page.locator("#photo")
        for side, how in ((256, "keys"), (240, "button"), (224, "keys"), (208, "camera")):
            photo = Image.open(ASTRONAUT).resize((side, side))
            copy_picture(page, photo)
            if how == "camera":
                source.get_by_label("Capture from camera").click()
            if how == "button":
                source.get_by_label("Paste from clipboard").click()
            else:
                page.keyboard.press("ControlOrMeta+V")
            shown = wait_for_another(page, shown)
            drawing = download(page)
            assert drawing.size == photo.size, how
            assert 3 < distance(photo, drawing) < 60, how

    def test_pasted_text_stays_text(self, page: Any) -> None:
        page.evaluate("navigator.clipboard.writeText('0.25')")
        knob = page.get_by_label("number input for Strength: photo to drawing")
        knob.fill("")
        page.keyboard.press("ControlOrMeta+V")
        assert knob.input_value() == "0.25"
        assert page.locator("#photo img").count() == 0

    def test_camera(self, page: Any) -> None:
        """Chromium's fake camera has no face in it: the frame is drawn as a whole."""
        page.locator("#photo").get_by_label("Capture from camera").click()
        page.locator("#photo").get_by_text("Click to Access Webcam").click()
        page.wait_for_function("document.querySelector('#photo video')?.videoWidth > 0")
        page.locator("#photo").get_by_label("capture photo").click()
        page.locator("#slider img").nth(1).wait_for()
        page.get_by_text("No face was found").first.wait_for()

    def test_refuses_a_text_file_politely(self, page: Any, tmp_path: Path) -> None:
        letter = tmp_path / "letter.png"
        letter.write_bytes(b"Dear Sir or Madam, " * 20)
        choose_photo(page, letter)
        page.get_by_text("is not a picture that can be read here").first.wait_for()
        assert page.get_by_text("Traceback").count() == 0

    def test_training_can_be_cancelled(self, page: Any, app: Served, pictures: list[Path]) -> None:
        page.get_by_role("tab", name="Train your own").click()
        page.locator("#pictures input[type=file]").set_input_files([str(p) for p in pictures])
        page.locator("#pictures tbody tr").nth(len(pictures) - 1).wait_for()
        page.locator("#train").click()
        page.locator("#status").get_by_text("Looking for faces").wait_for()
        assert trainings(app)
        if SCREENSHOTS:
            page.locator("#sheet img").wait_for(timeout=300_000)
            snap(page, "app-train")
        page.locator("#cancel").click()
        page.locator("#status").get_by_text("Cancelled").wait_for()
        deadline = time.monotonic() + 30
        while trainings(app) and time.monotonic() < deadline:
            page.wait_for_timeout(200)
        assert not trainings(app)

    def test_leaving_the_page_ends_the_training(
        self, page: Any, app: Served, pictures: list[Path]
    ) -> None:
        page.get_by_role("tab", name="Train your own").click()
        page.locator("#pictures input[type=file]").set_input_files([str(p) for p in pictures])
        page.locator("#pictures tbody tr").nth(len(pictures) - 1).wait_for()
        page.locator("#train").click()
        page.locator("#status").get_by_text("Looking for faces").wait_for()
        page.close()
        deadline = time.monotonic() + 60
        while trainings(app) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert not trainings(app)
