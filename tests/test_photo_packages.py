"""The script that takes portraits out of registry packages, against a server on this machine."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from conftest import ASTRONAUT, DATA, load_script, serving
from tps_portrait.evaluation.faces import LABELS, read_faces

PHOTOS = Path(__file__).parents[1] / "examples" / "data" / "photos"
HOPPER = DATA / "grace_hopper.jpg"


fetching = load_script(PHOTOS / "fetching.py")
packages = load_script(PHOTOS / "packages.py")


@dataclass
class Registry:
    """What the server holds, by path: kind and contents; and what it was asked for."""

    address: str = ""
    files: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def registry() -> Iterator[Registry]:
    state = Registry()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append(self.path)
            if self.path not in state.files:
                self.send_error(404)
                return
            kind, body = state.files[self.path]
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with serving(Handler) as state.address:
        yield state


def tgz(**files: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as bundle:
        for name, body in files.items():
            entry = tarfile.TarInfo(f"package/{name}.jpg")
            entry.size = len(body)
            bundle.addfile(entry, io.BytesIO(body))
    return out.getvalue()


def wheel(**files: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as bundle:
        for name, body in files.items():
            bundle.writestr(f"package/{name}.jpg", body)
    return out.getvalue()


def entry(kind: str, name: str, archive: str, body: bytes, **pictures: Any) -> dict[str, Any]:
    """A package as the list has it; `pictures` have contents and a box."""
    return {
        "registry": kind,
        "name": name,
        "version": "1.0.0",
        "archive": archive,
        "size": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
        "pictures": [
            {
                "name": f"{key}.{'png' if box else 'jpg'}",
                "member": f"package/{key}.jpg",
                "sha256": hashlib.sha256(content).hexdigest(),
                "identity": key,
                **({"box": box} if box else {}),
            }
            for key, (content, box) in pictures.items()
        ],
    }


def one(tmp_path: Path, *entries: dict[str, Any]) -> Any:
    (tmp_path / "list.json").write_text(json.dumps(entries))
    return packages.read_list(tmp_path / "list.json")[0]


def test_the_list_and_its_labels_belong_together() -> None:
    pictures = [picture for package in packages.read_list() for picture in package.pictures]
    crops = {f"{Path(picture.name).stem}.jpg" for picture in pictures}
    labels = json.loads((PHOTOS / "wild_labels.json").read_text("utf-8"))
    assert len(crops) == len(pictures) > 80
    assert set(labels) == crops
    values = {key: {label[key] for label in labels.values()} for key in LABELS}
    assert values["skin_tone"] == {"light", "medium", "dark"}
    assert values["age"] == {"under 40", "40 to 60", "over 60"}
    assert values["pose"] == {"frontal", "three-quarter", "profile"}
    assert values["light"] == {"even", "side or low", "coloured"}
    assert values["colour"] == {"colour", "grey"}
    assert values["use"] == {"looked at before", "new"}
    assert all(set(label) == set(LABELS) for label in labels.values())
    for package in packages.read_list():
        assert package.registry in ("npm", "pypi")
        checksums = [package.sha256, *(picture.sha256 for picture in package.pictures)]
        assert all(re.fullmatch(r"[0-9a-f]{64}", checksum) for checksum in checksums)


def test_from_the_registries_to_crops(
    registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    astronaut, hopper = ASTRONAUT.read_bytes(), HOPPER.read_bytes()
    width, height = Image.open(HOPPER).size
    first, second = tgz(astronaut=astronaut, other=b"no picture"), wheel(hopper=hopper)
    npm = entry("npm", "@scope/kit", "scope-kit-1.0.0.tgz", first, astronaut=(astronaut, None))
    pypi = entry("pypi", "lib", "lib-1.0.0.whl", second, hopper=(hopper, [0, 0, width, height - 8]))
    gone = entry("npm", "gone", "gone-1.0.0.tgz", first, away=(astronaut, None))
    (tmp_path / "list.json").write_text(json.dumps([npm, pypi, gone]))
    told = {"dist": {"tarball": f"{registry.address}/files/kit.tgz"}}
    registry.files = {
        "/npm/@scope%2Fkit/1.0.0": ("application/json", json.dumps(told).encode()),
        "/files/kit.tgz": ("application/octet-stream", first),
        "/simple/lib/": ("text/html", b'<a href="../../files/lib-1.0.0.whl#sha256=0">lib</a>'),
        "/files/lib-1.0.0.whl": ("application/octet-stream", second),
    }
    out, downloads = tmp_path / "wild", tmp_path / "downloads"
    places = ["--list", str(tmp_path / "list.json"), "--out", str(out), "--workers", "1"]
    places += ["--downloads", str(downloads)]
    online = ["--npm", f"{registry.address}/npm/", "--index", f"{registry.address}/simple"]
    assert packages.main([*places, *online]) == 0
    said = capsys.readouterr()
    assert "2 of 3 portraits" in said.out
    assert "left out: gone 1.0.0 (npm)" in said.err
    assert "npm pack gone@1.0.0" in said.err
    rows = [json.loads(line) for line in (out / "metadata.jsonl").read_text().splitlines()]
    assert [(row["file_name"], row["identity"], row["source"]) for row in rows] == [
        ("astronaut.jpg", "astronaut", "@scope/kit 1.0.0 (npm), astronaut.jpg"),
        ("hopper.jpg", "hopper", "lib 1.0.0 (pypi), hopper.jpg"),
    ]
    assert all(row["license"].startswith("none stated") for row in rows)
    assert Image.open(downloads / "wild" / "hopper.png").size == (width, height - 8)
    assert "2 face crops of 2 people" in (out / "README.md").read_text()
    assert len(read_faces(out, 64)) == 2

    # Again, without the server: what was loaded is there, and nothing is examined anew.
    registry.asked.clear()
    before = {path: path.stat().st_mtime_ns for path in out.glob("*.jpg")}
    assert packages.main([*places, "--from", str(downloads)]) == 0
    assert not registry.asked
    assert {path: path.stat().st_mtime_ns for path in out.glob("*.jpg")} == before


def test_asks_an_index_of_either_form(registry: Registry, tmp_path: Path) -> None:
    package = one(tmp_path, entry("pypi", "lib", "lib-1.tar.gz", b"x"))
    listed = {"files": [{"filename": "lib-1.tar.gz", "url": "https://files.example/lib-1.tar.gz"}]}
    where = {"pypi": registry.address}
    registry.files["/lib/"] = (
        "application/vnd.pypi.simple.v1+json",
        json.dumps(listed).encode(),
    )
    assert packages.find_url(package, where) == "https://files.example/lib-1.tar.gz"
    registry.files["/lib/"] = ("text/html", b"<a href='../f/lib-1.tar.gz'>lib-1.tar.gz</a>")
    assert packages.find_url(package, where) == f"{registry.address}/f/lib-1.tar.gz"
    for page in (b"<a>none</a>", b'{"files": []}'):
        registry.files["/lib/"] = ("application/json" if page[:1] == b"{" else "text/html", page)
        with pytest.raises(fetching.DownloadError, match=r"does not give lib-1\.tar\.gz"):
            packages.find_url(package, where)


def test_takes_the_registries_that_are_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", "https://npm.example/")
    monkeypatch.setenv("PIP_INDEX_URL", "https://pip.example/simple")
    assert packages.configured_registries() == {
        "npm": "https://npm.example/",
        "pypi": "https://pip.example/simple",
    }
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", "file:///mirror")
    assert packages.configured_registries()["npm"] == packages.NPM


class TestRefusals:
    def test_name_that_leads_elsewhere(self, tmp_path: Path) -> None:
        bad = entry("npm", "kit", "kit.tgz", b"", **{"../face": (b"", None)})
        with pytest.raises(fetching.DownloadError, match="no name of a picture"):
            one(tmp_path, bad)

    def test_other_picture(self, tmp_path: Path) -> None:
        package = one(tmp_path, entry("npm", "kit", "kit.tgz", b"", face=(b"mine", None)))
        archive = tmp_path / "kit.tgz"
        archive.write_bytes(tgz(face=b"yours"))
        with pytest.raises(fetching.DownloadError, match=r"package/face\.jpg as it should be"):
            packages.take_out(package, archive, tmp_path / "out")
        assert not list((tmp_path / "out").iterdir())

    def test_link_in_an_archive(self, tmp_path: Path) -> None:
        (tmp_path / "secret").write_bytes(b"secret")
        link = tarfile.TarInfo("package/face.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "secret")
        with tarfile.open(tmp_path / "kit.tgz", "w:gz") as bundle:
            bundle.addfile(link)
        package = one(tmp_path, entry("npm", "kit", "kit.tgz", b"", face=(b"secret", None)))
        with pytest.raises(fetching.DownloadError, match="as it should be"):
            packages.take_out(package, tmp_path / "kit.tgz", tmp_path / "out")

    def test_damaged_archive(self, tmp_path: Path) -> None:
        package = one(tmp_path, entry("npm", "kit", "kit.tgz", b"", face=(b"", None)))
        (tmp_path / "kit.tgz").write_bytes(b"half")
        with pytest.raises(fetching.DownloadError, match="cannot be unpacked"):
            packages.take_out(package, tmp_path / "kit.tgz", tmp_path / "out")

    def test_nothing_at_hand(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        bad = entry("pypi", "lib", "lib-1.tar.gz", b"right", face=(b"", None))
        (tmp_path / "list.json").write_text(json.dumps([bad]))
        (tmp_path / "lib-1.tar.gz").write_bytes(b"wrong")
        words = ["--list", str(tmp_path / "list.json"), "--from", str(tmp_path)]
        assert packages.main(words) == 1
        said = capsys.readouterr().err
        assert "with the right checksum. Get it by downloading lib-1.tar.gz" in said
        assert "error: No package could be had" in said
