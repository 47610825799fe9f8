"""Makes a training set of a folder of pictures."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from pathlib import Path

import torch
from transformers.utils import logging

from .._bundled import LANDMARKER
from ..errors import ConfigError, DatasetError, OutputError
from ..models.landmarks import FaceLandmarker
from .duplicates import find_duplicates
from .examining import Examiner
from .options import PrepareOptions
from .pictures import SourcePicture, collect_pictures
from .records import Crop, LeftOut, Outcome
from .reporting import Preparation
from .sheets import write_sheets
from .workspace import Workspace

_MOST_WORKERS = 8

Progress = Callable[[int, int], None]
"""Called with how many pictures are done, and how many there are to do."""


def prepare_folder(
    folder: str | Path,
    out: str | Path,
    options: PrepareOptions | None = None,
    *,
    workers: int | None = 1,
    progress: Progress | None = None,
) -> Preparation:
    """Make a training set of all pictures in a folder and in the folders in it.

    Faces are found, turned upright and cut out as training wants them, with room for hair; what
    cannot be used and what is there twice is left out. The result holds the crops, their landmarks
    in `metadata.jsonl`, a `report.json` and contact sheets. A second run looks only at pictures
    that are new or have changed. The pictures themselves are only read.

    Args:
        folder: the pictures.
        out: the training set; a new or empty folder, or one that an earlier run made.
        options: what is wanted of the pictures.
        workers: number of processes; `None` for what is fastest here. With more than one, a script
            needs the usual `if __name__ == "__main__":`.
        progress: called as pictures are done.

    Returns:
        What became of each picture.

    Raises:
        DatasetError: there is no picture, or none can be used; the report is written all the same.
        OutputError: `out` is not ours, or cannot be written to.
        ConfigError: `workers` is below 1, or a process died.
    """
    source, target = Path(folder).resolve(), Path(out).resolve()
    if target == source or target in source.parents:
        raise OutputError(
            f"{out} holds the pictures themselves. Choose another folder with -o; originals are "
            "never touched."
        )
    pictures = collect_pictures(Path(folder), skip=target)
    return prepare_pictures(
        pictures, out, options, label=str(source), workers=workers, progress=progress
    )


def prepare_pictures(
    pictures: Sequence[SourcePicture],
    out: str | Path,
    options: PrepareOptions | None = None,
    *,
    label: str,
    workers: int | None = 1,
    progress: Progress | None = None,
) -> Preparation:
    """Make a training set of the pictures given; see `prepare_folder`.

    Args:
        pictures: the pictures; their names must differ.
        out: the training set.
        options: what is wanted of the pictures.
        label: what messages and the report call the pictures as a whole; must be the same for every
            run into the same folder.
        workers: number of processes; `None` for what is fastest here.
        progress: called as pictures are done.

    Returns:
        What became of each picture.

    Raises:
        DatasetError: there is no picture, two have the same name, or none can be used.
        OutputError: `out` is not ours, or cannot be written to.
        ConfigError: `workers` is below 1, or a process died.
    """
    options = options or PrepareOptions()
    if workers is not None and workers < 1:
        raise ConfigError(f"workers must be at least 1, got {workers}.")
    if not pictures:
        raise DatasetError(f"{label} holds no pictures.")
    by_name = {picture.name: picture for picture in pictures}
    if len(by_name) < len(pictures):
        raise DatasetError(f"{label}: two pictures have the same name.")
    space = Workspace(Path(out), label, options)
    space.assign(pictures)
    todo = [picture for picture in pictures if not space.is_done(picture)]
    _examine(space, todo, options, workers, progress)
    used, left_out = _select(space, by_name, options)
    # A crop left out as a duplicate last time may be wanted now, and files may have been removed.
    lost = {name for name, crop in used if not (space.folder / crop.file_name).is_file()}
    if lost:
        _examine(space, [by_name[name] for name in sorted(lost)], options, workers, None)
        used, left_out = _select(space, by_name, options)
    space.finish(by_name, [_row(by_name[name], crop, options) for name, crop in used])
    crops = [crop for _, crop in used]
    try:
        sheets = write_sheets(space.folder, crops)
        result = Preparation(
            folder=space.folder,
            source=label,
            pictures=len(pictures),
            examined=len(todo),
            crops=tuple(used),
            left_out=tuple(left_out),
            sheets=tuple(sheets),
        )
        report = result.write(options)
    except OSError as error:
        raise OutputError(
            f"Cannot write to {space.folder}: {error}. The crops and their landmarks are complete."
        ) from error
    if not crops:
        raise DatasetError(f"{label}: no picture can be used.\n{result.summary()}\nSee {report}.")
    return result


def _select(
    space: Workspace, pictures: dict[str, SourcePicture], options: PrepareOptions
) -> tuple[list[tuple[str, Crop]], list[LeftOut]]:
    """Sort the crops, and leave out duplicates."""
    crops = sorted(
        ((name, crop) for name in pictures for crop in space.outcomes[name].crops),
        key=lambda item: item[1].file_name,
    )
    left_out = [item for name in pictures for item in space.outcomes[name].left_out]
    replaced = find_duplicates([crop for _, crop in crops], options.duplicates)
    left_out += [
        LeftOut(crops[copy][0], "duplicate", f"nearly the same as {crops[original][0]}")
        for copy, original in replaced.items()
    ]
    used = [item for index, item in enumerate(crops) if index not in replaced]
    return used, sorted(left_out, key=lambda item: item.picture)


def _row(picture: SourcePicture, crop: Crop, options: PrepareOptions) -> dict[str, object]:
    row: dict[str, object] = {"file_name": crop.file_name}
    row["landmarks"] = [list(point) for point in crop.landmarks]
    defaults = {"source": options.source, "license": options.license}
    row.update({key: value for key, value in defaults.items() if value is not None})
    row.update(picture.fields)
    return row


def _examine(
    space: Workspace,
    pictures: Sequence[SourcePicture],
    options: PrepareOptions,
    workers: int | None,
    progress: Progress | None,
) -> None:
    if workers is None:
        # A process takes as long to start as ten pictures take to prepare.
        workers = min(_MOST_WORKERS, os.cpu_count() or 1, len(pictures) // 16)
    jobs = [(picture, space.stem(picture.name)) for picture in pictures]
    workers = min(workers, len(jobs))
    outcomes = (
        (_work(picture, stem, options, space.folder) for picture, stem in jobs)
        if workers <= 1
        else _in_processes(jobs, options, space.folder, workers)
    )
    for done, outcome in enumerate(outcomes, 1):
        space.record(outcome)
        if progress is not None:
            progress(done, len(jobs))


def _in_processes(
    jobs: Sequence[tuple[SourcePicture, str]], options: PrepareOptions, out: Path, workers: int
) -> Iterator[Outcome]:
    # A fork would copy the locks of torch's threads and hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=_start_worker) as pool:
        with _deaf():
            futures = [pool.submit(_work, picture, stem, options, out) for picture, stem in jobs]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool as error:
            raise ConfigError(
                "A process died, most likely for want of memory. Run again with fewer workers; "
                "what is finished is kept."
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    """Ignore interrupts; processes that start meanwhile ignore them from their first moment on.

    An interrupt is for the process that gives the orders; the others would print tracebacks.
    """
    if threading.current_thread() is not threading.main_thread():  # which alone may set handlers
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    # Every process would draw its own bar over those of the others.
    logging.disable_progress_bar()


def _work(picture: SourcePicture, stem: str, options: PrepareOptions, out: Path) -> Outcome:
    return Examiner(_landmarker, options, out).examine(picture, stem)


@lru_cache(maxsize=1)
def _landmarker() -> FaceLandmarker:
    return FaceLandmarker.from_pretrained(LANDMARKER)
