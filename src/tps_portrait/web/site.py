"""Puts the page, the runtime and the styles into one folder that any web server can serve."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from .._bundled import PORTRAIT
from .._files import atomic_write
from .._version import __version__
from ..errors import ModelFileError, OutputError
from ..export import LANDMARK_FILES
from ..export.sidecar import read_sidecar, sidecar_path, weights_hash
from ..pipeline import TPSPortraitPipeline
from .runtime import FILES

_PAGE = ("index.html", "page.css", "page.mjs", "worker.mjs", "follow.mjs", "portrait.mjs", "sw.js")
_NOTE = "built.json"
_GENERATED = ("files.js", _NOTE)


def page_folder() -> Path:
    """Folder of the page's own files: in the package, or `examples/web` of the source tree.

    Raises:
        ModelFileError: it is in neither.
    """
    here = Path(__file__).resolve()
    for folder in (here.parent / "page", here.parents[3] / "examples" / "web"):
        if all((folder / name).is_file() for name in _PAGE):
            return folder
    raise ModelFileError(
        "The files of the page are missing from this installation. Pass the folder examples/web of "
        "the source tree: tps-portrait web --page FOLDER"
    )


def build_site(
    folder: Path,
    styles: Sequence[str],
    *,
    runtime: Path,
    page: Path | None = None,
    report: Callable[[str], None] = lambda message: None,
) -> list[str]:
    """Write the page with everything that it needs; what is up to date is left alone.

    Models of styles that an earlier call wrote and this one does not want are removed.

    Styles are exported to ONNX, float32, for any size, and compared with PyTorch as every export
    is; so are the networks that find faces.

    Args:
        folder: where: a new or empty folder, or one that this function wrote.
        styles: bundled names, folders or Hub ids; the first is the one that the page begins with.
        runtime: folder with the files of onnxruntime-web, see `find_runtime`.
        page: folder of the page's own files; `page_folder()` by default.
        report: told what takes time.

    Returns:
        Names of the styles on the page.

    Raises:
        StyleNotFoundError: there is no such style.
        ExportError: packages are missing, or a style cannot be exported.
        OutputError: the folder holds something else, or cannot be written.
        ModelFileError: `page` lacks a file.
    """
    source = page_folder() if page is None else _complete(page)
    try:
        if folder.exists() and not (folder / _NOTE).is_file() and any(folder.iterdir()):
            raise OutputError(
                f"{folder} exists and holds something else; nothing in it is touched. Choose a new "
                "or empty folder."
            )
        folder.mkdir(parents=True, exist_ok=True)
        built = _Built(folder / _NOTE)
        for name in ("models", "runtime"):
            (folder / name).mkdir(exist_ok=True)
        for name in _PAGE:
            shutil.copyfile(source / name, folder / name)
        shutil.copyfile(PORTRAIT, folder / "example.jpg")
        for name in FILES:
            if not _same_size(runtime / name, folder / "runtime" / name):
                shutil.copyfile(runtime / name, folder / "runtime" / name)
        entries = _write_models(folder / "models", styles, built, report)
        built.forget_others(folder / "models", _model_files(entries))
        _write(folder / "styles.json", json.dumps(entries, indent=2))
        _write(folder / "files.js", _list_files(folder))
    except OSError as error:
        if isinstance(error, ModelFileError | OutputError):
            raise
        raise OutputError(f"Cannot write the page to {folder}: {error}") from error
    return [entry["name"] for entry in entries]


def _write_models(
    models: Path, styles: Sequence[str], built: _Built, report: Callable[[str], None]
) -> list[dict[str, str]]:
    entries = []
    for style in styles:
        pipe = TPSPortraitPipeline.from_pretrained(style)
        pipe.set_progress_bar_config(disable=True)
        name = "".join(c if c.isalnum() or c in "-_" else "-" for c in pipe.style or "style")
        path, key = models / f"{name}.onnx", weights_hash(pipe.generator)
        if not built.has(path, key):
            report(f"exporting {name} …")
            pipe.export("onnx", path, dynamic=True, size=256, io="float", layout="nchw")
            built.note(path, key)
        if style == styles[0]:
            faces = [models / f"{stem}.onnx" for stem in LANDMARK_FILES.values()]
            key = weights_hash(pipe.landmarker)
            if not all(built.has(face, key) for face in faces):
                report("exporting the networks that find faces …")
                pipe.export_landmarks("onnx", models)
                for face in faces:
                    built.note(face, key)
        title = (pipe.style or name).replace("_", " ").replace("-", " ").capitalize()
        entries.append({"name": name, "title": title, "file": path.name})
    return entries


def _model_files(entries: Sequence[dict[str, str]]) -> set[str]:
    return {entry["file"] for entry in entries} | {f"{n}.onnx" for n in LANDMARK_FILES.values()}


class _Built:
    """Remembers which weights the files of a folder were made from."""

    def __init__(self, note: Path) -> None:
        self.path = note
        try:
            found = json.loads(note.read_text("utf-8"))
            self.keys: dict[str, str] = {str(k): str(v) for k, v in found.items()}
        except (OSError, ValueError, AttributeError):
            self.keys = {}
        _write(note, json.dumps(self.keys, indent=2))

    def has(self, path: Path, key: str) -> bool:
        if self.keys.get(path.name) != f"{__version__} {key}" or not sidecar_path(path).is_file():
            return False
        try:
            read_sidecar(path)
        except ModelFileError:
            return False
        return True

    def note(self, path: Path, key: str) -> None:
        self.keys[path.name] = f"{__version__} {key}"
        _write(self.path, json.dumps(self.keys, indent=2))

    def forget_others(self, models: Path, wanted: set[str]) -> None:
        for name in self.keys.keys() - wanted:
            for path in (models / name, sidecar_path(models / name)):
                path.unlink(missing_ok=True)
            del self.keys[name]
        _write(self.path, json.dumps(self.keys, indent=2))


def _complete(page: Path) -> Path:
    for name in _PAGE:
        if not (page / name).is_file():
            raise ModelFileError(
                f"{page} lacks {name}. Pass a folder with all files of the page, such as "
                "examples/web of the source tree."
            )
    return page


def _list_files(folder: Path) -> str:
    """The script by which the service worker knows what to keep for use without a network."""
    digest, names = hashlib.sha256(), []
    for name, path in _files(folder):
        names.append(name)
        digest.update(f"{name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    facts = {"version": digest.hexdigest()[:16], "files": names}
    return f"self.SITE = {json.dumps(facts, indent=2)};\n"


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in _GENERATED:
            yield path.relative_to(folder).as_posix(), path


def _same_size(one: Path, other: Path) -> bool:
    return other.is_file() and one.stat().st_size == other.stat().st_size


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as staged:
        staged.write_text(text + "\n", "utf-8")
