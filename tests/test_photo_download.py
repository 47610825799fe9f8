"""The script that fetches the studio portraits, against a real server on this machine."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps

from conftest import ASTRONAUT, DATA, load_script, serving
from tps_portrait.training.data import load_faces

PHOTOS = Path(__file__).parents[1] / "examples" / "data" / "photos"
HELD = "003"
"""Number of an identity of the London set that is held out; 002 is not."""


fetching = load_script(PHOTOS / "fetching.py")
figshare = load_script(PHOTOS / "figshare.py")
download = load_script(PHOTOS / "download.py")


@dataclass
class Mirror:
    """What the server holds, how it behaves, and what it was asked.

    Attributes:
        files: contents by path.
        cut: bytes after which an answer breaks off, one entry for each answer.
        ranges: whether it can send a part of a file.
        status: sent in place of 200.
        asked: `Range` headers of the requests for files.
    """

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    cut: list[int] = field(default_factory=list)
    ranges: bool = True
    status: int = 200
    asked: list[str | None] = field(default_factory=list)

    def put(self, name: str, body: bytes) -> Any:
        self.files[f"/{name}"] = body
        digest = hashlib.md5(body, usedforsecurity=False).hexdigest()
        return fetching.RemoteFile(name, len(body), digest, f"{self.address}/{name}")

    def list(self, article: int, version: int, *files: Any, terms: str = "CC BY 4.0") -> None:
        record = {
            "license": {"name": terms},
            "files": [
                {
                    "name": file.name,
                    "size": file.size,
                    "computed_md5": file.checksum,
                    "supplied_md5": "",
                    "download_url": file.url,
                    "is_link_only": False,
                }
                for file in files
            ],
        }
        place = f"/v2/articles/{article}/versions/{version}"
        self.files[place] = json.dumps(record).encode()


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    state = Mirror()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = state.files.get(self.path)
            if body is None:
                self.send_error(404)
                return
            if self.path.startswith("/v2/"):
                self._send(200, body, {})
                return
            wanted = self.headers.get("Range")
            state.asked.append(wanted)
            if wanted and state.ranges:
                start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])  # type: ignore[index]
                place = f"bytes {start}-{len(body) - 1}/{len(body)}"
                self._send(206, body[start:], {"Content-Range": place})
            else:
                self._send(state.status, body, {})

        def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            is_file = not self.path.startswith("/v2/")
            self.wfile.write(body[: state.cut.pop(0)] if is_file and state.cut else body)

    with serving(Handler) as state.address:
        yield state


BODY = bytes(range(256)) * 4000


class TestFetch:
    def test_whole_and_only_once(self, mirror: Mirror, tmp_path: Path) -> None:
        file = mirror.put("a.zip", BODY)
        seen: list[int] = []
        for _ in range(2):
            path = fetching.fetch(file, tmp_path / "new", progress=seen.append)
            assert path.read_bytes() == BODY
        assert mirror.asked == [None]
        assert seen == sorted(seen)
        assert seen[-1] == len(BODY)

    def test_goes_on_where_the_connection_broke(self, mirror: Mirror, tmp_path: Path) -> None:
        file = mirror.put("a.zip", BODY)
        mirror.cut = [300_000, 200_000]
        path = fetching.fetch(file, tmp_path, pause=0)
        assert path.read_bytes() == BODY
        assert mirror.asked == [None, "bytes=300000-", "bytes=500000-"]
        assert [p.name for p in tmp_path.iterdir()] == ["a.zip"]

    def test_goes_on_in_another_run(self, mirror: Mirror, tmp_path: Path) -> None:
        file = mirror.put("a.zip", BODY)
        mirror.cut = [400_000, 0, 0, 0]
        with pytest.raises(fetching.DownloadError, match="400000 of 1024000 bytes are kept"):
            fetching.fetch(file, tmp_path, attempts=3, pause=0)
        mirror.asked.clear()
        assert fetching.fetch(file, tmp_path, pause=0).read_bytes() == BODY
        assert mirror.asked == ["bytes=400000-"]

    def test_server_without_ranges(self, mirror: Mirror, tmp_path: Path) -> None:
        file = mirror.put("a.zip", BODY)
        mirror.ranges = False
        mirror.cut = [400_000]
        assert fetching.fetch(file, tmp_path, pause=0).read_bytes() == BODY
        assert mirror.asked == [None, "bytes=400000-"]

    def test_wrong_checksum_is_refused_and_fetched_anew(
        self, mirror: Mirror, tmp_path: Path
    ) -> None:
        file = mirror.put("a.zip", BODY)
        mirror.files["/a.zip"] = BODY[:-1] + b"!"
        with pytest.raises(fetching.DownloadError, match="is not the expected file"):
            fetching.fetch(file, tmp_path)
        assert not list(tmp_path.iterdir())
        mirror.files["/a.zip"] = BODY
        assert fetching.fetch(file, tmp_path).read_bytes() == BODY

    def test_folder_that_cannot_be_made(self, mirror: Mirror, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        file = mirror.put("a.zip", BODY)
        with pytest.raises(fetching.DownloadError, match="Cannot write to"):
            fetching.fetch(file, tmp_path / "file" / "new")

    def test_longer_than_listed(self, mirror: Mirror, tmp_path: Path) -> None:
        file = mirror.put("a.zip", BODY)
        mirror.files["/a.zip"] = BODY * 2
        with pytest.raises(fetching.DownloadError, match="is not the expected file"):
            fetching.fetch(file, tmp_path)

    def test_damaged_file_of_an_earlier_run_is_replaced(
        self, mirror: Mirror, tmp_path: Path
    ) -> None:
        file = mirror.put("a.zip", BODY)
        (tmp_path / "a.zip").write_bytes(BODY[:-1] + b"!")
        assert fetching.fetch(file, tmp_path).read_bytes() == BODY

    @pytest.mark.parametrize("status", [202, 403])
    def test_refusal(self, mirror: Mirror, status: int, tmp_path: Path) -> None:
        """figshare answers 202 where it suspects a robot."""
        file = mirror.put("a.zip", b"")
        file = fetching.RemoteFile(file.name, 5, file.checksum, file.url)
        mirror.status = status
        with pytest.raises(fetching.DownloadError, match=str(status)):
            fetching.fetch(file, tmp_path, attempts=1)


class TestListing:
    def test_other_licence_is_refused(self, mirror: Mirror) -> None:
        mirror.list(7, 1, terms="CC BY-NC 4.0")
        with pytest.raises(fetching.DownloadError, match="CC BY-NC"):
            figshare.list_files(7, 1, "CC BY 4.0", f"{mirror.address}/v2")

    def test_absent(self, mirror: Mirror) -> None:
        with pytest.raises(fetching.DownloadError, match="404"):
            figshare.list_files(7, 1, "CC BY 4.0", f"{mirror.address}/v2")

    def test_names_are_no_paths(self, mirror: Mirror) -> None:
        file = fetching.RemoteFile("../../a.zip", 1, "0", f"{mirror.address}/a.zip")
        mirror.list(7, 1, file)
        (found,) = figshare.list_files(7, 1, "CC BY 4.0", f"{mirror.address}/v2")
        assert found.name == "a.zip"


def _jpeg(path: Path, *, mirrored: bool = False) -> bytes:
    picture = ImageOps.scale(Image.open(path).convert("RGB"), 2.5)
    buffer = io.BytesIO()
    (ImageOps.mirror(picture) if mirrored else picture).save(buffer, format="JPEG")
    return buffer.getvalue()


def _zip(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as bundle:
        for name, body in members.items():
            bundle.writestr(name, body)
    return buffer.getvalue()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*.jpg")}


class TestScript:
    def test_from_the_records_to_the_training_set(
        self, mirror: Mirror, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A person who is held out is so with both pictures; 002 and 003f are not."""
        hopper, lisa = _jpeg(DATA / "grace_hopper.jpg"), _jpeg(DATA / "mona_lisa.jpg")
        neutral = {
            "neutral_front/002_03.jpg": _jpeg(ASTRONAUT),
            "neutral_front/002_03.tem": b"189 points",
            "__MACOSX/neutral_front/._002_03.jpg": b"junk",
            f"neutral_front/{HELD}_03.jpg": hopper,
        }
        smiling = {f"smiling_front/{HELD}_08.jpg": _jpeg(DATA / "grace_hopper.jpg", mirrored=True)}
        canada = {"x/003f.jpg": lisa, "x/003f_masculine.jpg": hopper}
        mirror.list(
            5047666,
            5,
            mirror.put("neutral_front.zip", _zip(neutral)),
            mirror.put("smiling_front.zip", _zip(smiling)),
            fetching.RemoteFile("neutral_left.zip", 9, "0", "http://127.0.0.1:9/never"),
        )
        mirror.list(4220517, 1, mirror.put("faces.zip", _zip(canada)))
        mirror.cut = [1000]
        flags = ["--no-mattes", "--out", str(tmp_path), "--downloads", str(tmp_path / "downloads")]
        assert download.main([*flags, "--api", f"{mirror.address}/v2"]) == 0
        assert "bytes=1000-" in mirror.asked
        assert "london-neutral: 2 of 102 pictures" in capsys.readouterr().out
        assert names(tmp_path / "studio") == {"london-neutral-002_03.jpg", "canada-003f.jpg"}
        assert names(tmp_path / "studio_heldout") == {
            f"london-neutral-{HELD}_03.jpg",
            f"london-smiling-{HELD}_08.jpg",
        }
        faces = load_faces(tmp_path / "studio", 64)
        assert {credit[-19:-12] for credit in faces.credits} == {"5047666", "4220517"}
        assert all(credit.endswith("(CC-BY-4.0)") for credit in faces.credits)
        card = (tmp_path / "studio_heldout" / "README.md").read_text("utf-8")
        assert card.startswith("---\nlicense: cc-by-4.0\n")
        assert "2 face crops of 1 people" in card

    def test_from_crops_with_landmarks(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A local copy may hold crops already: they are copied, not cut out once more."""
        pytest.importorskip("cv2")
        synthetic = PHOTOS / "synthetic"
        rows = [json.loads(line) for line in (synthetic / "metadata.jsonl").open()][7:9]
        source = tmp_path / "source"
        source.mkdir()
        for row, name in zip(
            rows, ("canada-003f.jpg", f"london-neutral-{HELD}_03.jpg"), strict=True
        ):
            shutil.copy(synthetic / row["file_name"], source / name)
            row["file_name"] = name
        (source / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        folders = ["--from", source, "--out", tmp_path, "--downloads", tmp_path / "downloads"]
        for is_new in (True, False):
            assert download.main(list(map(str, folders))) == 0
            printed = capsys.readouterr().out
            assert "2 are face crops with landmarks already" in printed
            assert ("1 mattes in" in printed) == is_new, "made once"
            (row,) = map(json.loads, (tmp_path / "studio" / "metadata.jsonl").open())
            assert row["landmarks"] == rows[0]["landmarks"]
            assert row["identity"] == "canada-003f"
            assert (tmp_path / "studio" / row["mask"]).is_file()
        kept = (tmp_path / "studio" / "canada-003f.jpg").read_bytes()
        assert kept == (source / "canada-003f.jpg").read_bytes()
        assert names(tmp_path / "studio_heldout") == {f"london-neutral-{HELD}_03.jpg"}

    def test_failures_say_what_to_do(self, mirror: Mirror, tmp_path: Path) -> None:
        flags = ["--no-mattes", "--out", tmp_path, "--downloads", tmp_path / "downloads"]
        command = [sys.executable, PHOTOS / "download.py", *flags, "--api", f"{mirror.address}/v2"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert done.stderr.startswith("error: ")
        assert "give their folder with --from" in done.stderr


class TestPieces:
    def test_split_goes_by_identity_alone(self) -> None:
        everyone = [f"london-{number:03d}" for number in range(1, 174)]
        share = sum(map(download.is_held_out, everyone)) / len(everyone)
        assert 0.12 < share < 0.28
        assert download.is_held_out(f"london-{HELD}")
        assert not download.is_held_out("london-002")

    def test_manipulated_versions_are_left_alone(self) -> None:
        assert download.find_set("003f.jpg")
        for name in ("003f_masc.jpg", "003fm.jpg", "003.jpg", "002_04.jpg", "003f.tem"):
            assert download.find_set(name) is None

    def test_two_originals_of_one_name(self, tmp_path: Path) -> None:
        archive = tmp_path / "faces.zip"
        archive.write_bytes(_zip({"original/003f.jpg": b"a", "manipulated/003f.jpg": b"b"}))
        with pytest.raises(fetching.DownloadError, match=r"manipulated/003f\.jpg"):
            download.unpack([archive], tmp_path / "unpacked")
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "003f.jpg").write_text(name)
        with pytest.raises(ValueError, match="not the same picture"):
            download.gather([tmp_path])

    def test_archive_cannot_write_elsewhere(self, tmp_path: Path) -> None:
        archive = tmp_path / "faces.zip"
        archive.write_bytes(_zip({"../../003f.jpg": b"a"}))
        download.unpack([archive], tmp_path / "in" / "unpacked")
        assert [p.name for p in tmp_path.rglob("003f.jpg")] == ["003f.jpg"]
        assert (tmp_path / "in" / "unpacked" / "faces" / "003f.jpg").is_file()

    def test_damaged_archive(self, tmp_path: Path) -> None:
        (tmp_path / "faces.zip").write_bytes(b"PK no zip")
        with pytest.raises(fetching.DownloadError, match="cannot be unpacked"):
            download.unpack([tmp_path / "faces.zip"], tmp_path / "unpacked")

    def test_nothing_of_the_sets(self, tmp_path: Path) -> None:
        shutil.copy(ASTRONAUT, tmp_path)
        with pytest.raises(ValueError, match=r"002_03\.jpg"):
            download.gather([tmp_path])
