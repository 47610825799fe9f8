"""Finds styles: bundled with the package, in the cache, on the Hub."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from huggingface_hub import constants, scan_cache_dir
from huggingface_hub.errors import CacheNotFound

from ..errors import ConfigError, ModelFileError, StyleNotFoundError, TPSPortraitError
from .records import StyleInfo, from_folder, from_hub
from .remote import Token, explain, get_pages, is_down, repository_facts, why_down
from .styles import (
    BUNDLED_FOLDER,
    CONFIG,
    INDEX,
    LIBRARY_NAME,
    bundled_styles,
    locate_style,
    not_found,
    read_style_config,
)

SOURCES = ("all", "bundled", "cached", "hub")
SORTS = ("downloads", "likes", "updated", "name", "size")

_HUB_SORTS = {"downloads": "downloads", "likes": "likes", "updated": "lastModified"}
_PAGE = 100


class HubUnavailableWarning(UserWarning):
    """The Hub does not answer; what is on this computer is shown."""


def list_styles(
    query: str | None = None,
    author: str | None = None,
    tags: str | Sequence[str] | None = None,
    source: Literal["all", "bundled", "cached", "hub"] = "all",
    sort: Literal["downloads", "likes", "updated", "name", "size"] = "downloads",
    *,
    limit: int | None = 100,
    token: Token = None,
    cache_dir: str | os.PathLike[str] | None = None,
) -> list[StyleInfo]:
    """List styles that can be loaded.

    A Hub style with a copy in the cache is listed once, as `cached`, with the Hub's downloads and
    likes. With `source="all"`, a Hub that cannot be reached, is broken or asks to wait is left out
    with a `HubUnavailableWarning`.

    Args:
        query: words that must occur in id, name, description or tags. The Hub itself searches ids
            by it.
        author: user or organisation on the Hub; bundled styles have none.
        tags: that the style must have, such as `style:ink`.
        source: where to look.
        sort: largest, most or newest first; names in alphabetical order. Styles on this computer
            come before those that are only on the Hub.
        limit: most styles to ask the Hub for; `None` for all.
        token: of the Hub, to see private styles; the one that is logged in by default.
        cache_dir: cache to look into; that of huggingface_hub by default.

    Returns:
        One record for each style.

    Raises:
        HubError: with `source="hub"`, the Hub does not answer, refuses, or asks to wait.
        ConfigError: `source` or `sort` is not one of those above.
    """
    for name, word, allowed in (("source", source, SOURCES), ("sort", sort, SORTS)):
        if word not in allowed:
            raise ConfigError(f"{name} must be one of {', '.join(allowed)}, got {word!r}.")
    wanted = {tags} if isinstance(tags, str) else set(tags or ())
    found: dict[str, StyleInfo] = {}
    if source in ("all", "bundled") and author is None:
        for name in bundled_styles():
            found[name] = from_folder(BUNDLED_FOLDER / name, name, "bundled")
    if source in ("all", "cached"):
        found |= {info.id: info for info in cached_styles(cache_dir)}
    found = {
        key: info
        for key, info in found.items()
        if (query is None or info.matches(query))
        and wanted <= set(info.tags)
        and (author is None or info.id.partition("/")[0].lower() == author.lower())
    }
    if source in ("all", "hub"):
        try:
            for info in _hub_styles(query, author, wanted, sort, limit, token):
                copy = found.get(info.id)
                found[info.id] = info if copy is None else _merge(copy, info)
        except Exception as error:
            if source == "hub" or not is_down(error):
                raise explain(error, "list the styles on the Hub") from error
            warnings.warn(
                f"Only bundled and cached styles are listed: {why_down(error)}.",
                HubUnavailableWarning,
                stacklevel=2,
            )
    return sorted(found.values(), key=_sort_key(sort))


def style_info(
    style: str | os.PathLike[str],
    *,
    revision: str | None = None,
    token: Token = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
) -> StyleInfo:
    """Describe one style without loading or downloading it.

    Args:
        style: bundled name, folder, or Hub id.
        revision: branch, tag or commit on the Hub.
        token: of the Hub; the one that is logged in by default.
        cache_dir: cache to look into; that of huggingface_hub by default.
        local_files_only: do not ask the Hub.

    Returns:
        Its record. When the Hub does not answer, that of the copy in the cache.

    Raises:
        StyleNotFoundError: there is no such style.
        ModelFileError: the repository or folder holds no style.
        HubError: the Hub refuses or does not answer, and there is no copy in the cache.
    """
    place = locate_style(style)
    if isinstance(place, Path):
        bundled = place.parent == BUNDLED_FOLDER and place.name in bundled_styles()
        return from_folder(place, os.fspath(style), "bundled" if bundled else "folder")
    copies = [info for info in cached_styles(cache_dir, revision) if info.id == place]
    if local_files_only or constants.HF_HUB_OFFLINE:
        if copies:
            return copies[0]
        reason = "It is not in the local cache, and the Hub was not asked."
        raise StyleNotFoundError(not_found(place, reason))
    try:
        facts = repository_facts(place, revision, token)
    except Exception as error:
        if copies and is_down(error):
            return copies[0]
        raise explain(error, f"look up {place}", place, revision) from error
    if INDEX not in {file.get("rfilename") for file in facts.get("siblings") or ()}:
        raise ModelFileError(f"The Hub repository {place} holds no style: no {INDEX} is in it.")
    info = from_hub(facts)
    return _merge(copies[0], info) if copies else info


def base_of(start: str | os.PathLike[str] | None) -> str | None:
    """Name the base of a style whose training begins with the weights of another.

    All styles that go back to the same weights have the same base, however many trainings lie
    between, so that they can be mixed by weights.

    Args:
        start: bundled style, folder or Hub id; `None` if the training begins anew.

    Returns:
        The base of that style, or the style itself where it has none. A folder is named by its
        style and weights (`ink@3f2a…`): its path would say nothing elsewhere.

    Raises:
        StyleNotFoundError: there is no such style.
        ModelFileError: it is a folder without a style.
    """
    if start is None:
        return None
    place = locate_style(start)
    if isinstance(place, str):
        try:
            return style_info(place).base or place
        except TPSPortraitError:  # whoever loads the weights reports it
            return place
    config = read_style_config(place, os.fspath(start))
    if config.get("base") or place.parent == BUNDLED_FOLDER:
        return config.get("base") or place.name
    digest = hashlib.sha256()
    for path in sorted((place / "generator").glob("*.safetensors")):
        digest.update(path.read_bytes())
    return f"{config.get('style') or place.name}@{digest.hexdigest()[:12]}"


def cached_styles(
    cache_dir: str | os.PathLike[str] | None = None, revision: str | None = None
) -> list[StyleInfo]:
    """List the styles in the cache of huggingface_hub, in the revision that would be loaded.

    Args:
        cache_dir: of another cache.
        revision: branch, tag or commit; `main`, or else the newest, by default.
    """
    try:
        repositories = scan_cache_dir(cache_dir or constants.HF_HUB_CACHE).repos
    except (CacheNotFound, ValueError):
        return []
    found = []
    for repository in repositories:
        if repository.repo_type != "model":
            continue
        copies = sorted(repository.revisions, key=lambda copy: copy.last_modified, reverse=True)
        if revision is not None:
            copies = [c for c in copies if revision in c.refs or c.commit_hash == revision]
        copies.sort(key=lambda copy: "main" not in copy.refs)
        for copy in copies[:1]:
            folder = Path(copy.snapshot_path)
            ours = _read(folder / CONFIG).get("library_name") == LIBRARY_NAME
            if ours and (folder / INDEX).is_file():
                found.append(from_folder(folder, repository.repo_id, "cached", copy.commit_hash))
    return found


def _read(path: Path) -> Mapping[str, Any]:
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def _hub_styles(
    query: str | None,
    author: str | None,
    tags: Iterable[str],
    sort: str,
    limit: int | None,
    token: Token,
) -> Iterator[StyleInfo]:
    params = [("filter", LIBRARY_NAME), *(("filter", tag) for tag in sorted(tags))]
    params += [("sort", _HUB_SORTS.get(sort, "downloads"))]
    params += [("search", query)] if query else []
    params += [("author", author)] if author else []
    params += [("full", "true"), ("cardData", "true")]
    params += [("limit", str(_PAGE if limit is None else min(limit, _PAGE)))]
    for facts in islice(get_pages("/api/models", params, token), limit):
        yield from_hub(facts)


def _merge(copy: StyleInfo, info: StyleInfo) -> StyleInfo:
    """Add to the copy in the cache what only the Hub knows."""
    return replace(
        copy,
        downloads=info.downloads,
        likes=info.likes,
        tags=tuple(dict.fromkeys((*copy.tags, *info.tags))),
        private=info.private,
        updated=info.updated,
        thumbnail=copy.thumbnail or info.thumbnail,
    )


def _sort_key(sort: str) -> Callable[[StyleInfo], Any]:
    places = {"bundled": 0, "cached": 1}

    def key(info: StyleInfo) -> Any:
        number: Any = 0
        if sort == "updated":
            # Strings sort upward only: newest first by the complement of each character.
            number = tuple(-ord(letter) for letter in info.updated or "0")
        elif sort != "name":
            number = -(getattr(info, sort) or 0)
        return places.get(info.source, 2), number, info.name.lower(), info.id

    return key
