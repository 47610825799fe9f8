"""The output folder: whose it is, what was done in it, and what may be removed from it."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .._files import atomic_write, unique_name
from .._imagefolder import METADATA
from ..errors import OutputError
from .options import PrepareOptions
from .pictures import SourcePicture
from .records import Outcome

JOURNAL = ".prepare.jsonl"
_TOOL = "tps-portrait prepare"
# Raised when crops of the same picture come out differently than before.
_VERSION = 1


class Workspace:
    """An output folder with a journal, so that a second run does only what is new or changed.

    The journal is written line by line while pictures are examined, and in one piece at the end. A
    run that was cut off loses the pictures it was at, no more.

    Args:
        folder: the output folder; created when missing.
        label: what is prepared; the folder belongs to it from then on.
        options: the options; other ones than last time make everything new.

    Raises:
        OutputError: the folder holds something else, or cannot be written to.
    """

    def __init__(self, folder: Path, label: str, options: PrepareOptions) -> None:
        self.folder = folder
        self.outcomes: dict[str, Outcome] = {}
        self._stems: dict[str, str] = {}
        self._written: set[str] = set()
        self._header = {"tool": _TOOL, "source": label, "version": _VERSION}
        self._header["options"] = asdict(options)
        journal = folder / JOURNAL
        try:
            if journal.is_file():
                self._load(journal, label)
            elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
                raise OutputError(
                    f"{folder} exists and was not made by `prepare`; nothing in it is touched. "
                    "Choose a new or empty folder with -o."
                )
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(journal, self._lines())
        except OSError as error:
            if isinstance(error, OutputError):
                raise
            raise _cannot_write(folder, error) from error

    def stem(self, picture: str) -> str:
        """File name of a picture's first crop without the ending; see `assign`."""
        return self._stems[picture]

    def assign(self, pictures: Sequence[SourcePicture]) -> None:
        """Give every picture a file name of its own, the one from earlier runs if there is one."""
        names = {picture.name for picture in pictures}
        self._stems = {name: stem for name, stem in self._stems.items() if name in names}
        taken = {stem.lower() for stem in self._stems.values()}
        theirs = {path.name for path in self.folder.iterdir()} - self._written
        taken |= {name.split(".")[0].lower() for name in theirs}
        for name in sorted(names - set(self._stems)):
            base = re.sub(r"[/\\.]+", "-", name.rpartition(".")[0]).strip("-") or "picture"
            self._stems[name] = unique_name(base, taken)
        # Before the first crop, so that a run cut off later leaves no file of unknown origin.
        self._append({"stems": self._stems})

    def is_done(self, picture: SourcePicture) -> bool:
        """Whether a picture was examined, and has not changed since."""
        done = self.outcomes.get(picture.name)
        try:
            return done is not None and done.stamp == picture.stamp()
        except OSError:
            return False

    def record(self, outcome: Outcome) -> None:
        """Note what became of a picture."""
        self.outcomes[outcome.picture] = outcome
        self._written |= {crop.file_name for crop in outcome.crops}
        self._append(outcome.to_json())

    def finish(self, names: Iterable[str], rows: Sequence[Mapping[str, Any]]) -> None:
        """Write the metadata, and remove crops that no longer belong to the set.

        Fields that somebody added to the old rows, such as `mask`, are kept.

        Args:
            names: the pictures there are; all others are forgotten.
            rows: rows of the metadata.
        """
        present = set(names)
        self.outcomes = {name: self.outcomes[name] for name in sorted(present)}
        metadata = self.folder / METADATA
        old: dict[str, dict[str, Any]] = {}
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            for line in metadata.read_text(encoding="utf-8").split("\n"):
                row = json.loads(line)
                old[row["file_name"]] = row
        lines = []
        for row in rows:
            before = old.get(row["file_name"], {})
            same = before.get("landmarks") == row["landmarks"]
            lines.append(json.dumps({**before, **row} if same else row, ensure_ascii=False))
        try:
            write_whole(metadata, lines)
            kept = {row["file_name"] for row in rows}
            for name in self._written - kept:
                (self.folder / name).unlink(missing_ok=True)
            self._written = kept
            write_whole(self.folder / JOURNAL, self._lines())
        except OSError as error:
            raise _cannot_write(self.folder, error) from error

    def _lines(self) -> list[str]:
        lines: list[Mapping[str, Any]] = [self._header, {"stems": self._stems}]
        lines.append({"written": sorted(self._written)})
        lines += [outcome.to_json() for outcome in self.outcomes.values()]
        return [json.dumps(line) for line in lines]

    def _append(self, line: Mapping[str, Any]) -> None:
        try:
            with (self.folder / JOURNAL).open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise _cannot_write(self.folder, error) from error

    def _load(self, journal: Path, label: str) -> None:
        lines = []
        for line in journal.read_text(encoding="utf-8", errors="replace").splitlines():
            # A run that was killed may leave half a line.
            with contextlib.suppress(ValueError):
                lines.append(json.loads(line))
        lines = [line for line in lines if isinstance(line, dict)]
        header = lines[0] if lines else {}
        if header.get("tool") != _TOOL:
            raise OutputError(f"{journal} is damaged. Choose a new folder with -o.")
        if header.get("source") != label:
            raise OutputError(
                f"{self.folder} was prepared from {header.get('source')}, not from {label}. Choose "
                "another folder with -o."
            )
        reusable = json.dumps(header, sort_keys=True) == json.dumps(self._header, sort_keys=True)
        for line in lines[1:]:
            if "stems" in line:
                self._stems = dict(line["stems"])
            elif "written" in line:
                self._written |= set(line["written"])
            else:
                with contextlib.suppress(KeyError, TypeError, ValueError):
                    outcome = Outcome.from_json(line)
                    self._written |= {crop.file_name for crop in outcome.crops}
                    if reusable:
                        self.outcomes[outcome.picture] = outcome


def write_whole(path: Path, lines: Iterable[str]) -> None:
    """Write a text file in one piece: a failure leaves the old one.

    Raises:
        OSError: it cannot be written.
    """
    with atomic_write(path) as part:
        part.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _cannot_write(folder: Path, error: OSError) -> OutputError:
    return OutputError(
        f"Cannot write to {folder}: {error.strerror or error}. Choose another folder with -o."
    )
