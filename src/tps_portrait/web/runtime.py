"""The files of onnxruntime-web that the page runs its networks with.

They are 42 MB and come from npm, by the user's own client with its settings, once and on request.
Nothing is loaded from other servers when the page is used, and each file has to be the one that was
tested.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from ..errors import ConfigError, ModelFileError, OutputError

PACKAGE = "onnxruntime-web"
VERSION = "1.30.0"

_HASHES = (
    "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
    "0730816731ce2cdfb06f273da065d4a1c7091eb9d1756a83b2916c8a89d015e2",
    "39f9f0894d478800487ed9f7dbe92618498db320cf55c8e3d89adff8dce658da",
)
_NAMES = (
    "ort.wasm.bundle.min.mjs",
    "ort-wasm-simd-threaded.wasm",
    "ort.webgpu.bundle.min.mjs",
    "ort-wasm-simd-threaded.asyncify.wasm",
)
FILES = dict(zip(_NAMES, _HASHES, strict=True))
"""Files by name, each with its SHA-256: for WebAssembly, and for WebGPU."""

_SETUP = "tps-portrait web --setup"


def cache_folder() -> Path:
    """Where this library keeps what the page needs."""
    root = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(root) / "tps_portrait" / "web"


def find_runtime(place: Path | None = None) -> Path:
    """Find the files, and check that they are those that were tested.

    Args:
        place: the folder `onnxruntime-web` of an npm installation, its `dist`, or a file that
            `npm pack` wrote; the folder that `fetch_runtime` filled by default.

    Returns:
        The folder with the files.

    Raises:
        ModelFileError: files are missing or others.
    """
    own = cache_folder() / f"{PACKAGE}-{VERSION}"
    if place is None:
        if not own.is_dir():
            raise ModelFileError(
                f"The page needs {PACKAGE} {VERSION}, which is not here yet. Fetch it through npm, "
                f"once: {_SETUP}"
            )
        return _checked(own)
    if place.is_file():
        return _unpack(place, own)
    return _checked(place / "dist" if (place / "dist").is_dir() else place)


def fetch_runtime() -> Path:
    """Fetch the package through npm, and keep what the page needs of it.

    Returns:
        The folder with the files.

    Raises:
        ConfigError: there is no npm, or it cannot fetch the package.
        ModelFileError: the package is not the one that was tested.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise ConfigError(
            f"npm is not installed. Install Node.js, or fetch the package on another machine by "
            f'"npm pack {PACKAGE}@{VERSION}" and pass the file: tps-portrait web --runtime FILE'
        )
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--pack-destination", folder]
        command += ["--loglevel", "error"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
        packed = next(Path(folder).glob("*.tgz"), None)
        if done.returncode or packed is None:
            reason = " ".join(done.stderr.split())[-300:] or f"status {done.returncode}"
            raise ConfigError(
                f"npm cannot fetch {PACKAGE} {VERSION} ({reason}). Try `npm ping`, or fetch it "
                f'elsewhere by "npm pack {PACKAGE}@{VERSION}": tps-portrait web --runtime FILE'
            )
        return _unpack(packed, cache_folder() / f"{PACKAGE}-{VERSION}")


def _unpack(packed: Path, folder: Path) -> Path:
    """Take the files out of what `npm pack` wrote, and put them into a folder all at once."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as staged:
            for name, content in _contents(packed):
                (Path(staged) / name).write_bytes(content)
            _checked(Path(staged))
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(staged, folder)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ModelFileError(
            f"{packed} is damaged or was not written by `npm pack` ({error}). Fetch it again: "
            f"{_SETUP}"
        ) from error
    except OSError as error:
        if isinstance(error, ModelFileError):
            raise
        raise OutputError(f"Cannot unpack {packed} into {folder}: {error}.") from error
    return folder


def _contents(packed: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(packed) as archive:
        for name in FILES:
            try:
                member = archive.extractfile(f"package/dist/{name}")
            except KeyError:
                member = None
            if member is not None:
                yield name, member.read()


def _checked(folder: Path) -> Path:
    for name, digest in FILES.items():
        path = folder / name
        if not path.is_file():
            raise ModelFileError(
                f"{folder} lacks {name} of {PACKAGE} {VERSION}. Fetch it again: {_SETUP}"
            )
        if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            raise ModelFileError(
                f"{path} is not the file of {PACKAGE} {VERSION} that was tested: its SHA-256 "
                f"differs. Fetch it again: {_SETUP}"
            )
    return folder
