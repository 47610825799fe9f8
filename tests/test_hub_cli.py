"""`tps-portrait styles`, `push` and `pull`, against a Hub of our own."""

from __future__ import annotations

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from huggingface_hub import constants
from PIL import Image

from conftest import ASTRONAUT, tiny_pipeline
from hub_fixtures import OWNER, hub, naps, style_files
from hub_server import HubServer
from tps_portrait import TPSPortraitPipeline
from tps_portrait.cli import main
from tps_portrait.cli import styles as command
from tps_portrait.hub import listing
from tps_portrait.hub.download import fetch_style
from tps_portrait.hub.gallery import fetch_thumbnail, render_gallery
from tps_portrait.hub.metrics import Metric
from tps_portrait.hub.publish import complete_card
from tps_portrait.hub.records import StyleInfo
from tps_portrait.hub.styles import bundled_styles

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def jpeg() -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (8, 8), "teal").save(data, "JPEG")
    return data.getvalue()


def test_words_are_those_of_the_library() -> None:
    assert (command.SOURCES, command.SORTS) == (listing.SOURCES, listing.SORTS)


class TestStyles:
    def test_table(self, hub: HubServer, style_files: dict[str, bytes], capsys: Capture) -> None:
        hub.add("owner/ink", style_files, downloads=1234, likes=5)
        assert main(["styles"]) == 0
        output, errors = capsys.readouterr()
        (row,) = [line for line in output.splitlines() if "owner/ink" in line]
        assert re.split(r"\s{2,}", row.strip())[:6] == [
            *("owner/ink", "hub", "cc-by-4.0", "0.0 MB", "1,234", "5")
        ]
        assert all(name in output for name in bundled_styles())
        assert not errors

    def test_query(self, hub: HubServer, style_files: dict[str, bytes], capsys: Capture) -> None:
        hub.add("owner/ink", style_files)
        main(["styles", "ink", "--tag", "style:ink", "--author", "owner", "--sort", "name"])
        assert "owner/ink" in capsys.readouterr().out
        main(["styles", "no-such-style", "--source", "hub"])
        assert capsys.readouterr().out == "no style found\n"

    def test_json(self, hub: HubServer, style_files: dict[str, bytes], capsys: Capture) -> None:
        hub.add("owner/ink", style_files)
        main(["styles", "--json", "--source", "hub"])
        printed = json.loads(capsys.readouterr().out)
        assert printed["notes"] == []
        (entry,) = printed["styles"]
        assert (entry["id"], entry["license"], entry["source"]) == ("owner/ink", "cc-by-4.0", "hub")

    def test_json_has_every_evaluation(self, capsys: Capture) -> None:
        main(["styles", "--json", "--source", "bundled"])
        counts = []
        for entry in json.loads(capsys.readouterr().out)["styles"]:
            measured = {(metric["dataset"], metric["type"]) for metric in entry["metrics"]}
            sets = {dataset for dataset, _ in measured}
            counts.append(len(sets))
            assert len(measured) == len(entry["metrics"])
            assert {(dataset, "landmark_error") for dataset in sets} <= measured
        assert max(counts) >= 2

    def test_offline(
        self,
        hub: HubServer,
        style_files: dict[str, bytes],
        capsys: Capture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        hub.add("owner/ink", style_files)
        fetch_style("owner/ink", {})
        capsys.readouterr()
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        assert main(["styles", "--json"]) == 0
        output, errors = capsys.readouterr()
        assert errors == "note: Only bundled and cached styles are listed: HF_HUB_OFFLINE is set.\n"
        found = [style["source"] for style in json.loads(output)["styles"]]
        assert found == ["bundled"] * len(bundled_styles()) + ["cached"]
        assert main(["styles", "--source", "hub"]) == 1
        assert "error: Cannot list the styles on the Hub" in capsys.readouterr().err


class Page(HTMLParser):
    """What a page shows and asks for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.pictures: list[str] = []
        self.tags: list[str] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "img":
            self.pictures.append(dict(attrs)["src"] or "")

    def handle_data(self, data: str) -> None:
        self.text.append(data)


class TestGallery:
    def test_page(
        self,
        hub: HubServer,
        style_files: dict[str, bytes],
        jpeg: bytes,
        tmp_path: Path,
        capsys: Capture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        hub.add("owner/ink", {**style_files, "thumbnail.jpg": jpeg})
        hub.add("owner/secret", {**style_files, "thumbnail.jpg": jpeg}, private=True)
        monkeypatch.setenv("HF_TOKEN", OWNER)
        target = tmp_path / "gallery.html"
        assert main(["styles", "--source", "hub", "--gallery", str(target)]) == 0
        assert capsys.readouterr().out == f"2 styles -> {target}\n"
        text = target.read_text()
        page = Page(text)
        decoded = [base64.b64decode(src.partition("base64,")[2]) for src in page.pictures]
        assert decoded == [jpeg, jpeg]
        assert "http" not in text.replace("owner/", "")
        assert "TPSPortraitPipeline.from_pretrained('owner/ink')" in page.text
        assert main(["styles", "--source", "hub", "--gallery", str(target)]) == 1
        assert "exists. Choose another name" in capsys.readouterr().err

    def test_draws_what_is_missing(self, tmp_path: Path) -> None:
        tiny_pipeline().save_pretrained(tmp_path / "tiny")
        info = StyleInfo("tiny", "tiny", "folder", path=tmp_path / "tiny")
        picture = command._draw_thumbnail(info)
        assert picture is not None
        assert Image.open(io.BytesIO(picture)).size == (384, 384)
        broken = StyleInfo("broken", "broken", "folder", path=tmp_path)
        assert command._draw_thumbnail(broken) is None

    def test_few_numbers_of_many(self) -> None:
        def page(*metrics: Metric) -> str:
            info = StyleInfo("a", "a", "hub", metrics=metrics)
            return "".join(Page(render_gallery([info], {})).text)

        numbers = {"fid": 377.415, "landmark_error_jaw": 2.5, "landmark_error": 1.74142, "kid": 1}
        studio = [Metric(kind, value, "studio") for kind, value in numbers.items()]
        shown = page(*studio, Metric("landmark_error", 3.05, "wild", "landmark error"))
        assert "studio: landmark_error 1.74\nwild: landmark error 3.05\n" in shown
        assert not any(word in shown for word in ("1.74142", "jaw", "fid", "kid"))
        shown = page(*(Metric(f"own {index}", index, "") for index in range(9)))
        assert "\nown 0 0, own 1 1, own 2 2\n" in shown
        shown = page(*(Metric("fid", 1, f"set {index}") for index in range(9)))
        assert "set 2: fid 1" in shown
        assert "set 3" not in shown

    def test_nothing_is_taken_for_markup(self, jpeg: bytes) -> None:
        bad = '<script src="https://evil">\'"'
        measured = (Metric(bad, 1.0, bad),)
        info = StyleInfo(bad, bad, "hub", description=bad, license=bad, metrics=measured)
        for pictures in ({}, {bad: jpeg}):
            page = Page(render_gallery([info], pictures, note=bad))
            assert "script" not in page.tags
            assert "".join(page.text).count(bad) == 6

    def test_thumbnails_come_from_the_hub_only(
        self, hub: HubServer, style_files: dict[str, bytes], tmp_path: Path
    ) -> None:
        card = style_files["README.md"].replace(
            b"library_name", b"thumbnail: https://evil.example/x.jpg\nlibrary_name", 1
        )
        hub.add("owner/ink", {**style_files, "README.md": card})
        main(["styles", "--source", "hub", "--gallery", str(tmp_path / "gallery.html")])
        text = (tmp_path / "gallery.html").read_text()
        assert Page(text).pictures == []
        assert "evil" not in text

    def test_no_file_but_the_thumbnail_is_shown(self, jpeg: bytes, tmp_path: Path) -> None:
        secret, folder = tmp_path / "id_rsa", tmp_path / "style"
        secret.write_text("secret")
        folder.mkdir()
        info = StyleInfo("me/ink", "ink", "cached", path=folder, thumbnail=str(secret))
        assert fetch_thumbnail(info) is None
        (folder / "thumbnail.jpg").write_bytes(jpeg)
        assert fetch_thumbnail(info) == jpeg


class TestPushAndPull:
    def test_there_and_back(
        self, hub: HubServer, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        photo = tmp_path / "me.jpg"
        Image.open(ASTRONAUT).convert("RGB").resize((128, 128)).save(photo)
        folder = tmp_path / "style"
        pipe = tiny_pipeline(4, face_size=64)
        pipe.style = "ink"
        pipe.generator.half()
        pipe.save_pretrained(folder)
        (folder / "loss-curve.csv").write_text("1,2\n")
        metrics = [{"type": "fid", "value": 61.5, "dataset": "faces"}]
        (folder / "metrics.json").write_text(json.dumps(metrics))
        monkeypatch.setenv("HF_TOKEN", OWNER)
        arguments = ["push", str(folder), "owner/ink", "--samples", str(photo), "--private"]
        assert main(arguments) == 1
        assert "names no licence" in capsys.readouterr().err
        assert main([*arguments, "--license", "cc0-1.0", "-m", "Wet ink"]) == 0
        sha = hub.repos["owner/ink"].refs["main"]
        assert capsys.readouterr().out == f"{folder} -> {hub.url}/owner/ink/commit/{sha}\n"
        repo = hub.repos["owner/ink"]
        assert (repo.private, repo.messages[-1]) == (True, "Wet ink")
        files = repo.files("main")[1]
        assert not {"loss-curve.csv", "metrics.json"} & set(files)
        assert files["generator/model.safetensors"] == (
            (folder / "generator" / "model.safetensors").read_bytes()
        )
        assert repo.card["model-index"][0]["results"][0]["metrics"][0]["value"] == 61.5

        assert main(["pull", "owner/ink", "-o", str(tmp_path / "mine")]) == 0
        assert capsys.readouterr().out == f"owner/ink -> {tmp_path / 'mine'}\n"
        pulled = TPSPortraitPipeline.from_pretrained(tmp_path / "mine")
        assert pulled.style == "ink"
        assert not any(path.is_symlink() for path in (tmp_path / "mine").rglob("*"))
        assert main(["pull", "owner/ink", "-o", str(tmp_path / "mine")]) == 1
        assert "exists. Choose another folder" in capsys.readouterr().err
        monkeypatch.delenv("HF_TOKEN")
        assert main(["pull", "owner/ink", "--force"]) == 1
        assert "no such repository, or it is private" in capsys.readouterr().err

    def test_pull_into_the_cache(
        self, hub: HubServer, style_files: dict[str, bytes], tmp_path: Path, capsys: Capture
    ) -> None:
        files = {**style_files, "facts.json": b"{}"}
        for path, data in files.items():
            (tmp_path / "ink" / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "ink" / path).write_bytes(data)
        complete_card(tmp_path / "ink", "owner/ink")  # pins the hash of the facts too
        hub.add("owner/ink", {**files, "README.md": (tmp_path / "ink/README.md").read_bytes()})
        assert main(["pull", "owner/ink"]) == 0
        folder = Path(capsys.readouterr().out.strip().partition(" -> ")[2])
        assert (folder / "facts.json").read_bytes() == b"{}"
        assert (folder / "generator" / "model.safetensors").is_file()
        hub.stop()
        assert TPSPortraitPipeline.from_pretrained("owner/ink").style == "ink"

    def test_refused(self, hub: HubServer, tmp_path: Path, capsys: Capture) -> None:
        assert main(["pull", "animation"]) == 1
        assert "is on this computer already" in capsys.readouterr().err
        assert main(["push", str(tmp_path / "none"), "owner/ink"]) == 1
        assert "is no folder" in capsys.readouterr().err
        folder = tmp_path / "style"
        tiny_pipeline().save_pretrained(folder)
        (folder / "extra.pkl").write_bytes(b"x")
        assert main(["push", str(folder), "owner/ink", "--license", "mit"]) == 1
        assert "extra.pkl, a format that can run code" in capsys.readouterr().err
        assert not hub.log
