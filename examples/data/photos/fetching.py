"""Fetch files over HTTP: resumable, and only with the expected checksum."""

from __future__ import annotations

import hashlib
import http.client
import re
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tps_portrait.errors import TPSPortraitError

_AGENT = "tps_portrait-examples/1 (Python urllib)"
_TIMEOUT = 60.0
_CHUNK = 1 << 18


class DownloadError(RuntimeError):
    """A file cannot be had, or is not what it should be; the message says what to do."""


def exit_status(work: Callable[[], object]) -> int:
    """Do the work of a command; name the error that ends it and return the exit status."""
    try:
        work()
    except (TPSPortraitError, DownloadError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: interrupted; run again to go on", file=sys.stderr)
        return 130
    return 0


@dataclass(frozen=True)
class RemoteFile:
    """A file on a server.

    Attributes:
        name: its name, without folders.
        size: bytes.
        checksum: of its contents, in hexadecimal digits.
        url: where it is.
        algorithm: of the checksum, as `hashlib` calls it.
    """

    name: str
    size: int
    checksum: str
    url: str
    algorithm: str = "md5"


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
    if is_whole(file, target):
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
    if not is_whole(file, part):
        size, digest = part.stat().st_size, _digest(part, file.algorithm)
        part.unlink()
        raise DownloadError(
            f"{file.name} is not the expected file: {size} bytes with {file.algorithm} {digest}, "
            f"not {file.size} bytes with {file.checksum}. It was removed; run again to fetch it "
            "anew."
        )
    part.replace(target)
    return target


def open_url(url: str, headers: dict[str, str]) -> Any:
    """Ask a web server.

    Args:
        url: http or https.
        headers: of the request.

    Returns:
        The answer, to be read and closed.

    Raises:
        ValueError: the address is no web address.
        OSError: there is no answer, or none with a status of 200 or 206.
    """
    if not url.startswith(("https://", "http://")):
        raise ValueError(f"{url} is no web address")
    request = urllib.request.Request(url, headers={"User-Agent": _AGENT, **headers})
    response = urllib.request.urlopen(request, timeout=_TIMEOUT)
    if response.status not in (200, 206):
        response.close()
        raise OSError(f"the server answers {response.status} {response.reason}")
    return response


def is_whole(file: RemoteFile, path: Path) -> bool:
    """Whether a file is there, in the right size and with the right checksum."""
    return (
        path.is_file()
        and path.stat().st_size == file.size
        and _digest(path, file.algorithm) == file.checksum
    )


def _append(
    file: RemoteFile, part: Path, have: int, progress: Callable[[int], object] | None
) -> None:
    headers = {"Range": f"bytes={have}-"} if have else {}
    with open_url(file.url, headers) as response:
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


def _digest(path: Path, algorithm: str) -> str:
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
