"""Fetch files of a figshare record: resumable, checksummed, and only under the expected licence.

The record is read through the public API (https://docs.figshare.com), which gives name, size, MD5
and address of every file of a version.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

API = "https://api.figshare.com/v2"
_AGENT = "tps_portrait-examples/1 (Python urllib)"
_TIMEOUT = 60.0
_CHUNK = 1 << 18


class DownloadError(RuntimeError):
    """A record or file cannot be had, or is not what it should be; the message says what to do."""


@dataclass(frozen=True)
class RemoteFile:
    """A file of a record.

    Attributes:
        name: its name, without folders.
        size: bytes.
        md5: MD5 of its contents, in hexadecimal digits.
        url: where it is.
    """

    name: str
    size: int
    md5: str
    url: str


def list_files(article: int, version: int, license_name: str, api: str = API) -> list[RemoteFile]:
    """List the files of one version of a record.

    Args:
        article: number of the record; the end of its DOI `10.6084/m9.figshare.<article>`.
        version: which version.
        license_name: the licence it must have, as figshare writes it.
        api: address of the API.

    Raises:
        DownloadError: the record cannot be read, or has another licence.
    """
    url = f"{api}/articles/{article}/versions/{version}"
    try:
        with _open(url, {"Accept": "application/json"}) as response:
            record = json.loads(response.read())
        found = record["license"]["name"]
        files = [
            RemoteFile(
                # A name could hold a path; only its end is used.
                name=re.split(r"[/\\]", str(entry["name"]))[-1],
                size=int(entry["size"]),
                md5=str(entry["computed_md5"] or entry["supplied_md5"]).lower(),
                url=str(entry["download_url"]),
            )
            for entry in record["files"]
            if not entry.get("is_link_only")
        ]
    except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException) as error:
        raise DownloadError(f"{url} cannot be read ({error}).") from error
    if found != license_name:
        raise DownloadError(
            f"{url} is under {found!r} and not {license_name!r} any more. Read its page before you "
            "use it."
        )
    return files


def fetch(
    file: RemoteFile,
    folder: Path,
    *,
    attempts: int = 5,
    pause: float = 2.0,
    progress: Callable[[int], object] | None = None,
) -> Path:
    """Download a file, going on where an earlier attempt or run stopped.

    Args:
        file: what to fetch.
        folder: where to put it; created when missing.
        attempts: give up after so many in a row that brought nothing.
        pause: seconds before the second attempt, doubled each time.
        progress: called with the number of bytes there are.

    Returns:
        The file, complete and with the right checksum.

    Raises:
        DownloadError: it cannot be had, or its checksum is wrong; then nothing of it is kept.
    """
    target = folder / file.name
    if target.is_file() and target.stat().st_size == file.size and _md5(target) == file.md5:
        return target
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DownloadError(f"Cannot write to {folder}: {error.strerror}.") from error
    part = folder / f"{file.name}.part"
    failures, reason = 0, "the connection ends early"
    while (have := part.stat().st_size if part.exists() else 0) < file.size:
        try:
            _append(file, part, have, progress)
        except (OSError, http.client.HTTPException) as error:
            reason = str(error) or type(error).__name__
        now = part.stat().st_size if part.exists() else 0
        # Also when a server starts from the front each time: that ends somewhere.
        failures = 0 if now > have else failures + 1
        if failures >= attempts:
            raise DownloadError(
                f"{file.url} cannot be downloaded: {reason}. {now} of {file.size} bytes are kept; "
                "run again to go on."
            )
        if failures:
            time.sleep(pause * 2 ** (failures - 1))
    size, digest = part.stat().st_size, _md5(part)
    if size != file.size or digest != file.md5:
        part.unlink()
        raise DownloadError(
            f"{file.name} is not what figshare lists: {size} bytes with MD5 {digest}, not "
            f"{file.size} bytes with {file.md5}. It was removed; run again to fetch it anew."
        )
    part.replace(target)
    return target


def _append(
    file: RemoteFile, part: Path, have: int, progress: Callable[[int], object] | None
) -> None:
    headers = {"Range": f"bytes={have}-"} if have else {}
    with _open(file.url, headers) as response:
        if have:
            start = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
            if response.status != 206 or start is None or int(start[1]) != have:
                have = 0  # the server sends all of it
        with part.open("ab") as out:
            out.truncate(have)
            while have <= file.size and (chunk := response.read(_CHUNK)):
                out.write(chunk)
                have += len(chunk)
                if progress is not None:
                    progress(have)


def _open(url: str, headers: dict[str, str]) -> Any:
    if not url.startswith(("https://", "http://")):
        raise ValueError(f"{url} is no web address")
    request = urllib.request.Request(url, headers={"User-Agent": _AGENT, **headers})
    response = urllib.request.urlopen(request, timeout=_TIMEOUT)
    if response.status not in (200, 206):
        response.close()
        raise OSError(f"the server answers {response.status} {response.reason}")
    return response


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
