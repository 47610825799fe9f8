"""What the app holds on disk: one temporary folder, out of which whatever is old is deleted."""

from __future__ import annotations

import os
import secrets
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread

_CHECKS = 10
_MOST_SECONDS_BETWEEN = 60.0


class Storage:
    """A temporary folder that goes when the app stops.

    Uploads and drawings lie in `cache`: each is deleted some time after its last use. What is in
    `work` belongs to trainings, which clean up after themselves.

    Args:
        seconds: how long a file is kept after its last use.

    Attributes:
        seconds: the same.
        cache: folder of uploads and drawings, which gradio serves.
        work: folder of trainings.
    """

    def __init__(self, seconds: float) -> None:
        self._root = TemporaryDirectory(prefix="tps-portrait-app-")
        self.seconds = seconds
        self.cache = Path(self._root.name, "cache")
        self.work = Path(self._root.name, "work")
        for folder in (self.cache, self.work):
            folder.mkdir()
        self._stays: set[Path] = set()
        self._held: dict[str, set[Path]] = {}
        self._stopped = Event()

    def result(self, name: str) -> Path:
        """A new place for a file that people may download."""
        folder = self.cache / secrets.token_hex(16)
        folder.mkdir(parents=True)
        return folder / name

    def hold(self, session: str, *uploads: str | None) -> None:
        """Keep uploads until `release`, however long that takes."""
        self._held[session] = {Path(upload) for upload in uploads if upload}

    def release(self, session: str) -> None:
        """Let what a session holds go as everything else does."""
        self.renew(*map(str, self._held.pop(session, ())))

    def renew(self, *uploads: str | None) -> None:
        """Note that uploads are used: the time that they are kept begins anew."""
        for upload in filter(None, uploads):
            with suppress(OSError):  # gone already, which whoever reads it reports
                os.utime(upload)

    def watch(self) -> None:
        """Delete from now on; what is there already, such as thumbnails, stays."""
        self._stays = set(self.cache.rglob("*"))
        Thread(target=self._watch, daemon=True).start()

    def close(self) -> None:
        """Delete everything."""
        self._stopped.set()
        self._root.cleanup()

    def sweep(self) -> None:
        """Delete what was not used for too long."""
        oldest = time.time() - self.seconds
        stay = self._stays.union(*list(self._held.values()))
        # Gradio's own `delete_cache` knows whole files only, not what is left of an upload that
        # broke off.
        for folder, folders, files in os.walk(self.cache, topdown=False):
            for path in (Path(folder, name) for name in (*files, *folders)):
                # Others come and go: whatever is gone or in use meanwhile is not ours to delete.
                with suppress(OSError):
                    state = path.stat()
                    if path in stay or max(state.st_mtime, state.st_ctime) > oldest:
                        continue
                    if path.is_dir():
                        path.rmdir()
                    else:
                        path.unlink()
                        path.parent.rmdir()  # named by what was in it

    def _watch(self) -> None:
        while not self._stopped.wait(min(self.seconds / _CHECKS, _MOST_SECONDS_BETWEEN)):
            self.sweep()
