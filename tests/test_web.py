"""`tps-portrait web` without a browser: the runtime's files, the site, the server."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import tarfile
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.error import HTTPError

import pytest

from conftest import tiny_pipeline
from tps_portrait import ConfigError, ModelFileError, OutputError
from tps_portrait.cli import main
from tps_portrait.export import LANDMARK_FILES
from tps_portrait.web import build_site, find_runtime, make_server, page_folder, runtime
from tps_portrait.web.site import _Built

ROOT = Path(__file__).parents[1]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the user."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def small_runtime(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Short files in place of onnxruntime-web's 42 MB, with their hashes."""
    files = {name: f"content of {name}".encode() for name in runtime.FILES}
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    monkeypatch.setattr(runtime, "FILES", hashes)
    return files


def _pack(path: Path, files: dict[str, bytes]) -> Path:
    """What `npm pack` writes."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in {"../evil": b"", **files}.items():
            member = tarfile.TarInfo(f"package/dist/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A site with a tiny style, and the messages while it was written."""
    pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
    pytest.importorskip("onnxscript", reason="the extra `onnx` is not installed")
    folder, style = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("s") / "my_style"
    ort, messages = tmp_path_factory.mktemp("ort"), []
    for name in runtime.FILES:
        (ort / name).write_bytes(name.encode())
    tiny_pipeline().save_pretrained(style)
    for _ in range(2):
        names = build_site(folder, [str(style)], runtime=ort, report=messages.append)
        assert names == ["my_style"]
    return folder, messages


class TestRuntime:
    def test_from_a_packed_file_then_from_the_cache(
        self, cache: Path, tmp_path: Path, small_runtime: dict[str, bytes]
    ) -> None:
        packed = _pack(tmp_path / "ort.tgz", small_runtime)
        folder = find_runtime(packed)
        assert folder.is_relative_to(cache)
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == small_runtime
        packed.unlink()
        assert find_runtime() == folder

    def test_from_an_npm_installation(
        self, tmp_path: Path, small_runtime: dict[str, bytes]
    ) -> None:
        (tmp_path / "dist").mkdir()
        for name, content in small_runtime.items():
            (tmp_path / "dist" / name).write_bytes(content)
        assert find_runtime(tmp_path) == tmp_path / "dist"

    def test_missing_says_how_to_get_it(
        self, cache: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["web"]) == 1
        assert "tps-portrait web --setup" in capsys.readouterr().err

    def test_other_content_is_refused(
        self, cache: Path, tmp_path: Path, small_runtime: dict[str, bytes]
    ) -> None:
        name = "ort-wasm-simd-threaded.wasm"
        packed = _pack(tmp_path / "ort.tgz", {**small_runtime, name: b"evil"})
        with pytest.raises(ModelFileError, match="SHA-256"):
            find_runtime(packed)
        with pytest.raises(ModelFileError, match="not here yet"):
            find_runtime()
        lacking = {key: value for key, value in small_runtime.items() if key != name}
        with pytest.raises(ModelFileError, match=f"lacks {name}"):
            find_runtime(_pack(tmp_path / "lacking.tgz", lacking))

    def test_damaged_package(
        self, cache: Path, tmp_path: Path, small_runtime: dict[str, bytes]
    ) -> None:
        whole = _pack(tmp_path / "ort.tgz", {**small_runtime, "more": os.urandom(4096)})
        for content in (whole.read_bytes()[:-2000], whole.read_bytes()[:40], b"words", b""):
            (tmp_path / "bad.tgz").write_bytes(content)
            with pytest.raises(ModelFileError, match="Fetch it again"):
                find_runtime(tmp_path / "bad.tgz")
        assert list(cache.rglob("*.wasm")) == []

    def test_without_npm(
        self,
        cache: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        assert main(["web", "--setup"]) == 1
        assert "npm is not installed" in capsys.readouterr().err


class TestPage:
    def test_needs_nothing_from_elsewhere(self) -> None:
        """The policy allows this origin only, and no file names another one."""
        page = page_folder()
        policy = re.search(r'content="(default-src[^"]*)"', (page / "index.html").read_text())
        assert policy is not None
        sources = {word for rule in policy[1].split("; ") for word in rule.split()[1:]}
        assert sources == {"'self'", "'wasm-unsafe-eval'", "blob:", "data:", "'none'"}
        for path in page.iterdir():
            if path.suffix in {".html", ".css", ".mjs", ".js"}:
                assert "http://" not in path.read_text("utf-8"), path
                assert "https://" not in path.read_text("utf-8"), path

    def test_every_control_has_a_name(self) -> None:
        html = (page_folder() / "index.html").read_text("utf-8")
        labelled = set(re.findall(r'<label for="(\w+)"', html))
        for tag, attributes in re.findall(r"<(input|select)\b([^>]*)>", html):
            name = re.search(r'id="(\w+)"', attributes)
            assert name is not None
            before = html[: html.index(f'id="{name[1]}"')]
            inside = before.rfind("<label") > before.rfind("</label>")
            assert "aria-label=" in attributes or name[1] in labelled or inside, tag
        assert 'role="status"' in html
        assert 'role="alert"' in html
        assert '<html lang="en">' in html
        assert "width=device-width" in html


class TestSite:
    def test_has_all_files_and_lists_them(self, made: tuple[Path, list[str]]) -> None:
        folder, messages = made
        styles = json.loads((folder / "styles.json").read_text())
        assert styles == [{"name": "my_style", "title": "My style", "file": "my_style.onnx"}]
        text = (folder / "files.js").read_text().removeprefix("self.SITE = ")
        facts = json.loads(text.rstrip().removesuffix(";"))
        on_disk = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
        assert set(facts["files"]) == on_disk - {"files.js", "built.json"}
        models = {"my_style", *LANDMARK_FILES.values()}
        assert {f"models/{name}.onnx" for name in models} <= on_disk
        assert {"index.html", "portrait.mjs", "sw.js", "example.jpg"} <= on_disk
        # The second time, nothing had to be made again.
        assert messages == [
            "exporting my_style …",
            "exporting the networks that find faces …",
        ]

    def test_nothing_of_others_is_touched(
        self, made: tuple[Path, list[str]], tmp_path: Path
    ) -> None:
        folder = shutil.copytree(made[0], tmp_path / "site")
        mine = folder / "models" / "thesis.onnx"
        mine.write_text("years of work")
        built = _Built(folder / "built.json")
        kept = {"my_style.onnx"}
        built.forget_others(folder / "models", kept)
        names = {path.name for path in (folder / "models").iterdir()}
        assert names == {"my_style.onnx", "my_style.onnx.json", "thesis.onnx"}
        assert set(_Built(folder / "built.json").keys) == kept

    def test_folder_of_others_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "models").mkdir()
        (tmp_path / "models" / "mine.onnx").write_text("years of work")
        with pytest.raises(OutputError, match="nothing in it is touched"):
            build_site(tmp_path, [], runtime=tmp_path)
        assert [path.name for path in tmp_path.rglob("*.*")] == ["mine.onnx"]

    def test_page_that_lacks_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "index.html").write_text("")
        with pytest.raises(ModelFileError, match=r"lacks page\.css"):
            build_site(tmp_path / "out", [], runtime=tmp_path, page=tmp_path)
        assert not (tmp_path / "out").exists()

    def test_browser_that_leaves_is_no_error(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with make_server(tmp_path, port=0) as server:
            for error in (ConnectionResetError(), BrokenPipeError(), KeyError("bug")):
                try:
                    raise error
                except Exception:
                    server.handle_error(None, ("127.0.0.1", 1))
        assert capsys.readouterr().err.count("Traceback") == 1

    def test_is_served_with_the_headers_for_threads(self, made: tuple[Path, list[str]]) -> None:
        with make_server(made[0], port=0) as server:
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            address = f"http://127.0.0.1:{server.server_port}/"
            try:
                with urllib.request.urlopen(address) as answer:
                    assert b"Draw a portrait" in answer.read()
                    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
                    assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
                for name, kind in (
                    ("page.mjs", "text/javascript; charset=utf-8"),
                    ("runtime/ort-wasm-simd-threaded.wasm", "application/wasm"),
                ):
                    with urllib.request.urlopen(address + name) as answer:
                        assert answer.headers["Content-Type"] == kind
                for name in ("models/", "absent", "../../etc/passwd", "%2e%2e/%2e%2e/etc/passwd"):
                    with pytest.raises(HTTPError, match="404"):
                        urllib.request.urlopen(address + name)
            finally:
                server.shutdown()
                thread.join()

    def test_port_in_use(self, tmp_path: Path) -> None:
        with make_server(tmp_path, port=0) as server, pytest.raises(ConfigError, match="--port"):
            make_server(tmp_path, port=server.server_port)

    def test_command_writes_a_folder_for_any_server(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        small_runtime: dict[str, bytes],
    ) -> None:
        calls: list[Callable[..., object] | list[str]] = []

        def build(folder: Path, styles: list[str], **_: object) -> list[str]:
            calls.append(styles)
            return styles

        monkeypatch.setattr("tps_portrait.web.build_site", build)
        packed = _pack(tmp_path / "ort.tgz", small_runtime)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        assert main(["web", "--runtime", str(packed), "-o", str(tmp_path / "out")]) == 0
        from tps_portrait.hub.styles import bundled_styles

        assert calls == [bundled_styles()]
        assert ", ".join(bundled_styles()) in capsys.readouterr().out
