"""What a style is: where it lies, which files it has, and what is checked before it is loaded."""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .._bundled import LANDMARKER, STYLES
from ..errors import ModelFileError, StyleNotFoundError

BUNDLED_FOLDER = STYLES
"""Package data: a folder for each bundled style, and `_shared` for what they have in common."""

LIBRARY_NAME = "tps-portrait"
"""The Hub's `library_name`, in cards and in `config.json`. The package in `model_index.json`, which
diffusers imports, is `tps_portrait`."""

FORMAT_VERSION = 1

README = "README.md"
INDEX = "model_index.json"
CONFIG = "config.json"
THUMBNAIL = "thumbnail.jpg"

_HUB_ID = re.compile(r"\w(?:[\w.-]*\w)?/\w(?:[\w.-]*\w)?")
_PIPELINE = "TPSPortraitPipeline"
COMPONENTS = {
    "generator": "StyleGenerator",
    "aligner": "TPSAligner",
    "image_processor": "PortraitImageProcessor",
    "landmarks": "FaceLandmarker",
}
"""Folders of a style, and the classes that are loaded from them."""


def bundled_styles() -> list[str]:
    """Names of the styles that come with the package, sorted."""
    return sorted(
        path.parent.name
        for path in BUNDLED_FOLDER.glob(f"*/{INDEX}")
        if not path.parent.name.startswith("_")
    )


def shared_landmarks() -> Path:
    """Folder of the face landmarker that styles without one of their own use."""
    return LANDMARKER


def locate_style(name: str | os.PathLike[str]) -> Path | str:
    """Find out what a style name means.

    Bundled names come first, then folders, then Hub ids (`user/name`). Nothing is downloaded.

    Args:
        name: bundled name, folder or Hub id.

    Returns:
        The folder, or the Hub id as a string.

    Raises:
        StyleNotFoundError: it is none of them; the message lists the bundled styles.
        ModelFileError: it is a file, or a folder without a style.
    """
    text = os.fspath(name)
    if text in bundled_styles():
        return BUNDLED_FOLDER / text
    path = Path(text).expanduser()
    if path.is_dir():
        if not (path / INDEX).is_file():
            raise ModelFileError(
                f"The folder {path} holds no style: there is no {INDEX} in it. Pass the folder "
                "that `save_pretrained` wrote."
            )
        return path
    if path.is_file():
        raise ModelFileError(
            f"{path} is a file; a style is a folder with {INDEX} and safetensors. Pass the folder."
        )
    if _HUB_ID.fullmatch(text):
        return text
    raise StyleNotFoundError(not_found(text))


def not_found(name: str, reason: str = "") -> str:
    """Message for a style that does not exist, with close matches and the bundled names.

    Args:
        name: what was asked for.
        reason: what was tried and failed, a sentence.
    """
    bundled = bundled_styles()
    close = difflib.get_close_matches(name.lower(), bundled, n=2, cutoff=0.5)
    parts = [f"There is no style {name!r}: no bundled style, no folder"]
    parts[0] += f" and no Hub repository that can be read. {reason}" if reason else "."
    if close:
        parts.append(f"Did you mean {' or '.join(map(repr, close))}?")
    parts.append(f"Bundled styles: {', '.join(bundled) or 'none'}.")
    parts.append("Other styles are given as a folder or as a Hub id, `user/name`.")
    return " ".join(parts)


def check_style(folder: Path, name: str) -> None:
    """Refuse a folder that is not a style of ours, before any of its classes is looked up.

    `model_index.json` names the classes to load; only our own are accepted, so that no other code
    can be asked for.

    Args:
        folder: a folder with a `model_index.json`.
        name: how messages call the style.

    Raises:
        ModelFileError: the index is damaged, belongs to another pipeline or names other classes, or
            the style was made for a newer version of this library.
    """
    index = _read_json(folder / INDEX, name)
    pipeline = index.get("_class_name")
    if pipeline != _PIPELINE:
        raise ModelFileError(
            f"{name} holds a {pipeline!r} and no {_PIPELINE}. Pass a style made with this library."
        )
    entries = {key: value for key, value in index.items() if isinstance(value, list)}
    for component in ("generator", *entries):
        entry, expected = entries.get(component), ["tps_portrait", COMPONENTS.get(component)]
        if entry != expected and (entry != [None, None] or component == "generator"):
            raise ModelFileError(
                f"{name} names {entry!r} as its {component}; only our own "
                f"{', '.join(COMPONENTS.values())} are loaded. Save the style again with "
                "`TPSPortraitPipeline.save_pretrained`."
            )
    version = read_style_config(folder, name).get("format_version", FORMAT_VERSION)
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise ModelFileError(
            f"{name} has format version {version!r}; this library reads up to {FORMAT_VERSION}. "
            "Update it: pip install -U tps-portrait"
        )


def read_style_config(folder: Path, name: str) -> dict[str, Any]:
    """Read the root `config.json` of a style; empty if there is none.

    Raises:
        ModelFileError: the file is damaged.
    """
    path = folder / CONFIG
    return _read_json(path, name) if path.is_file() else {}


def write_style_config(
    folder: Path, style: str, *, base: str | None = None, mix: Mapping[str, float] | None = None
) -> None:
    """Write the root `config.json`, which the Hub counts downloads by.

    Args:
        folder: the folder of the style.
        style: its name.
        base: the style whose weights its training began from.
        mix: the styles whose weights were averaged into it, with their shares.
    """
    values: dict[str, Any] = {
        "library_name": LIBRARY_NAME,
        "style": style,
        "format_version": FORMAT_VERSION,
    }
    values |= {key: value for key, value in (("base", base), ("mix", mix)) if value}
    (folder / CONFIG).write_text(json.dumps(values, indent=2) + "\n", "utf-8")


def _read_json(path: Path, name: str) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelFileError(
            f"{path.name} of {name} cannot be read: {error}. Download or save the style again."
        ) from error
    if not isinstance(values, dict):
        raise ModelFileError(f"{path.name} of {name} holds no settings. Save the style again.")
    return values
