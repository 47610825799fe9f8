"""Brings a style from the Hub into the cache: nothing but safetensors and settings, all checked.

Every load asks the Hub for the list of files first, so that a repository with pickles or code is
refused before anything of it is downloaded. A copy in the cache serves when the Hub does not.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError

from .._imagefolder import METADATA
from .._version import __version__
from ..errors import ConfigError, ModelFileError, StyleNotFoundError, TPSPortraitError
from .calibration import CALIBRATION, SUFFIXES
from .facts import FACTS
from .pins import Pin, read_card, read_pins, split_card, verify_files
from .remote import chain, explain, is_down, repository_facts, why_down
from .styles import COMPONENTS, CONFIG, INDEX, LIBRARY_NAME, README, THUMBNAIL, not_found

logger = logging.getLogger(__name__)

_PICKLES = frozenset(
    {
        *(".bin", ".ckpt", ".dill", ".h5", ".joblib", ".keras", ".npy", ".npz", ".pickle", ".pkl"),
        *(".pt", ".pth", ".t7"),
    }
)
_CODE = frozenset((".dll", ".dylib", ".ipynb", ".js", ".py", ".pyc", ".pyd", ".sh", ".so"))
_KEPT = ("cache_dir", "local_files_only", "revision", "token", "force_download")


def refuse_unsafe(paths: Iterable[str], name: str) -> None:
    """Refuse a style with files that can run code.

    Args:
        paths: of all its files.
        name: how the message calls the style.

    Raises:
        ModelFileError: there are pickles or programs among them.
    """
    paths = sorted(paths)
    pickles = [path for path in paths if PurePosixPath(path).suffix.lower() in _PICKLES]
    if pickles:
        raise ModelFileError(
            f"{name} is refused: it holds {_few(pickles)}, a format that can run code when opened. "
            "Only safetensors are loaded. Ask the author to remove it, or to publish the style "
            "anew with `push_to_hub`."
        )
    code = [path for path in paths if PurePosixPath(path).suffix.lower() in _CODE]
    if code:
        raise ModelFileError(
            f"{name} is refused: it holds code ({_few(code)}), and styles are data. Code from the "
            "Hub is never run; ask the author to keep it in a repository of its own."
        )


def refuse_remote_code(folder: Path, paths: Iterable[str], name: str) -> None:
    """Refuse settings that ask for code from the Hub.

    Args:
        folder: of the style.
        paths: of its files.
        name: how the message calls the style.

    Raises:
        ModelFileError: a JSON file has an `auto_map`.
    """
    for path in paths:
        if not path.endswith(".json"):
            continue
        try:
            values = json.loads((folder / path).read_text("utf-8"))
        except (OSError, ValueError):
            continue  # whoever reads the file next reports it
        if isinstance(values, dict) and ("auto_map" in values or "custom_pipelines" in values):
            raise ModelFileError(
                f"{name} is refused: {path} asks for code from the Hub (auto_map), which is never "
                "run. Ask the author to save the style with `TPSPortraitPipeline.save_pretrained`."
            )


def fetch_style(repo_id: str, options: Mapping[str, Any]) -> Path:
    """Bring a style from the Hub into the local cache, or find it there.

    Args:
        repo_id: `user/name`.
        options: what `from_pretrained` was given: `revision`, `variant`, `token`, `cache_dir`,
            `local_files_only`, `force_download`; others are ignored.

    Returns:
        The folder in the cache. Its files agree with the hashes in its card and on the Hub.

    Raises:
        StyleNotFoundError: the repository cannot be found or reached, and is not in the cache.
        HubError: the Hub refuses, asks to wait, or breaks off a download.
        ModelFileError: it holds no style, pickles, code, or files that differ from their hashes.
    """
    kept = {key: options[key] for key in _KEPT if options.get(key) is not None}
    variant = options.get("variant")
    if variant is not None and not isinstance(variant, str):
        raise ConfigError(f"variant must be a word such as fp16, got {variant!r}.")
    offline = bool(kept.pop("local_files_only", False)) or bool(constants.HF_HUB_OFFLINE)
    reason, stated = "It is not in the local cache, and the Hub was not asked.", {}
    if not offline:
        try:
            stated = _ask(repo_id, kept.get("revision"), kept.get("token"))
        except TPSPortraitError:
            raise
        except Exception as error:
            if not is_down(error):
                raise explain(error, f"load {repo_id}", repo_id, kept.get("revision")) from error
            offline = True
            reason = f"It is not in the local cache, and {why_down(error)}."
            logger.warning("Loading %s from the cache: %s.", repo_id, why_down(error))
    try:
        folder = _snapshot(repo_id, kept, variant, offline)
    except LocalEntryNotFoundError as error:
        # By name: not all versions of huggingface_hub have it.
        partly = any(type(cause).__name__ == "IncompleteSnapshotError" for cause in chain(error))
        if offline and partly:
            reason = reason.replace("It is not", "It is only partly", 1)
        elif not offline:
            raise explain(error, f"download {repo_id}", repo_id) from error
        raise StyleNotFoundError(not_found(repo_id, reason)) from error
    except Exception as error:
        raise explain(
            error,
            f"download {repo_id} (what has arrived is kept; run this again to go on)",
            repo_id,
            kept.get("revision"),
        ) from error
    paths = _files(folder)
    metadata, _ = split_card(read_card(folder) or "")
    used = [path for path in paths if path != README]
    pins = read_pins(metadata)
    verify_files(folder, pins, used, repo_id)
    verify_files(folder, stated, [path for path in used if path in stated.keys() - pins], repo_id)
    refuse_remote_code(folder, paths, repo_id)
    return folder


def _ask(repo_id: str, revision: str | None, token: Any) -> dict[str, Pin]:
    """Ask the Hub what a repository holds, and refuse what is no style.

    Returns:
        Hashes that the Hub states for large files, by path.
    """
    facts = repository_facts(repo_id, revision, token)
    files = {str(file["rfilename"]): file for file in facts.get("siblings") or ()}
    if INDEX not in files:
        raise ModelFileError(
            f"The Hub repository {repo_id} holds no style: there is no {INDEX} in it."
        )
    refuse_unsafe(files, f"The Hub repository {repo_id}")
    if not any(path.endswith(".safetensors") for path in files):
        raise ModelFileError(
            f"The Hub repository {repo_id} lacks safetensors weights, and nothing else is loaded. "
            "Ask its author to save them with safetensors."
        )
    large = {path: file["lfs"] for path, file in files.items() if file.get("lfs")}
    return {
        path: Pin(str(entry["sha256"]), int(entry["size"]))
        for path, entry in large.items()
        if entry.get("sha256") and entry.get("size")
    }


def _snapshot(repo_id: str, options: dict[str, Any], variant: str | None, offline: bool) -> Path:
    """Download what a pipeline reads: the landmarker's weights only if the style uses its own."""
    weights = f"model.{variant}.safetensors" if variant else "model.safetensors"
    parts = [part for part in COMPONENTS if part != "landmarks"]
    patterns = [INDEX, CONFIG, FACTS, README, THUMBNAIL]
    patterns += [f"{CALIBRATION}/{METADATA}", *(f"{CALIBRATION}/*{end}" for end in SUFFIXES)]
    patterns += [f"{part}/*.json" for part in COMPONENTS]
    patterns += [f"{part}/{weights}" for part in parts]
    common = {
        **options,
        "local_files_only": offline,
        "library_name": LIBRARY_NAME,
        "library_version": __version__,
    }
    folder = Path(snapshot_download(repo_id, allow_patterns=patterns, **common))
    try:
        index = json.loads((folder / INDEX).read_text("utf-8"))
    except (OSError, ValueError):
        return folder  # reported by `check_style`
    if isinstance(index, dict) and (index.get("landmarks") or [None])[0]:
        patterns.append(f"landmarks/{weights}")
        folder = Path(snapshot_download(repo_id, allow_patterns=patterns, **common))
    return folder


def _files(folder: Path) -> list[str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path.relative_to(folder).as_posix() for path in files)


def _few(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
