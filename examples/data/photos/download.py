"""Build `studio` and `studio_heldout`: real portraits of consenting people, as training reads them.

    python examples/data/photos/download.py
    python examples/data/photos/download.py --from FOLDER

The pictures come from two sets by Lisa DeBruine and Benedict Jones, both under CC BY 4.0:

- Face Research Lab London Set (2017), https://doi.org/10.6084/m9.figshare.5047666: 102 people,
  frontal, neutral and smiling.
- Young Adult White Faces with Manipulated Versions (2017),
  https://doi.org/10.6084/m9.figshare.4220517: the 40 originals, frontal, neutral.

They are downloaded from figshare (an interrupted download goes on where it stopped, checksums are
compared) or read with `--from` from a folder that has the archives, the unpacked pictures, or face
crops that were made of them. `tps-portrait prepare` then cuts the faces out; crops that have
landmarks already are copied as they are. `mattes.py` cuts the people out for other backgrounds.

One identity in five is held out of training, the same ones on every machine: those whose name
("london-002", "canada-003f"), with "tps_portrait/" before it, has a SHA-256 that begins below 0.2,
read as a fraction. All pictures of a person go to the same side.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import zipfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fetching import DownloadError, RemoteFile, exit_status, fetch
from figshare import API, list_files
from tqdm import tqdm

from tps_portrait.errors import DatasetError
from tps_portrait.preparation import (
    PrepareOptions,
    SourcePicture,
    collect_pictures,
    prepare_pictures,
)

HERE = Path(__file__).resolve().parent
LICENSE = "CC BY 4.0"
HELD_OUT = 0.2
"""Share of the identities that are held out."""


@dataclass(frozen=True)
class PhotoSet:
    """Pictures of one kind from a figshare record.

    Attributes:
        key: how the pictures are called here.
        people: how the identities are called here; pictures of two sets may show the same people.
        credit: title and DOI.
        article: number of the record.
        version: its version.
        files: pattern of the files of the record that are needed.
        pictures: pattern of the pictures' names, here or in the record; groups: name and number.
        count: how many there are.
    """

    key: str
    people: str
    credit: str
    article: int
    version: int
    files: str
    pictures: str
    count: int


_LONDON = "Face Research Lab London Set, doi 10.6084/m9.figshare.5047666"
_CANADA = "Young Adult White Faces with Manipulated Versions, doi 10.6084/m9.figshare.4220517"
SETS = (
    PhotoSet(
        "london-neutral",
        "london",
        _LONDON,
        5047666,
        5,
        r"neutral_front\.zip",
        r"(?:london-neutral-)?((\d{3})_03)\.jpe?g",
        102,
    ),
    PhotoSet(
        "london-smiling",
        "london",
        _LONDON,
        5047666,
        5,
        r"smiling_front\.zip",
        r"(?:london-smiling-)?((\d{3})_08)\.jpe?g",
        102,
    ),
    # Names of the manipulated versions go on after the letter.
    PhotoSet(
        "canada",
        "canada",
        _CANADA,
        4220517,
        1,
        r".+\.(?:zip|jpe?g)",
        r"(?:canada-)?((\d{3}[fm]))\.jpe?g",
        40,
    ),
)


def is_held_out(identity: str) -> bool:
    """Whether a person is kept out of training; depends on the name alone."""
    digest = hashlib.sha256(f"tps_portrait/{identity}".encode()).hexdigest()
    return int(digest[:8], 16) / 2**32 < HELD_OUT


def download(folder: Path, api: str) -> None:
    """Fetch what is needed of both records.

    Raises:
        DownloadError: a file cannot be had or is damaged.
    """
    wanted: dict[str, RemoteFile] = {}
    listings: dict[int, list[RemoteFile]] = {}
    for photos in SETS:
        if photos.article not in listings:
            listings[photos.article] = list_files(photos.article, photos.version, LICENSE, api)
        files = [f for f in listings[photos.article] if re.fullmatch(photos.files, f.name)]
        if not files:
            raise DownloadError(
                f"https://doi.org/10.6084/m9.figshare.{photos.article} lists no file named "
                f"{photos.files}; it has {', '.join(f.name for f in listings[photos.article])}."
            )
        wanted.update((f"{photos.article}/{file.name}", file) for file in files)
    total = sum(file.size for file in wanted.values())
    with tqdm(total=total, unit="B", unit_scale=True, disable=None) as bar:
        before = 0
        for place, file in wanted.items():
            bar.set_postfix_str(file.name)

            def show(have: int, before: int = before) -> None:
                bar.update(before + have - bar.n)

            fetch(file, (folder / place).parent, progress=show)
            before += file.size
            bar.update(before - bar.n)


def unpack(archives: Iterable[Path], folder: Path) -> None:
    """Unpack the pictures of the sets; files that are there in the right size are left alone.

    Raises:
        DownloadError: an archive is damaged, or holds two pictures of one name.
    """
    for archive in archives:
        place = folder / archive.stem
        try:
            with zipfile.ZipFile(archive) as bundle:
                seen: dict[str, zipfile.ZipInfo] = {}
                for member in bundle.infolist():
                    # Only the end of the path is used: an archive cannot write elsewhere.
                    name = re.split(r"[/\\]", member.filename)[-1]
                    if "__MACOSX" in member.filename or not find_set(name):
                        continue
                    if name in seen and seen[name].CRC != member.CRC:
                        raise DownloadError(
                            f"{archive} holds {seen[name].filename} and {member.filename}. Unpack "
                            "the originals yourself and give their folder with --from."
                        )
                    seen[name] = member
                for name, member in seen.items():
                    target = place / name
                    if not target.is_file() or target.stat().st_size != member.file_size:
                        place.mkdir(parents=True, exist_ok=True)
                        part = target.with_name(f".{name}.part")
                        part.write_bytes(bundle.read(member))
                        part.replace(target)
        except (zipfile.BadZipFile, OSError) as error:
            raise DownloadError(f"{archive} cannot be unpacked ({error}).") from error


def find_set(name: str) -> tuple[PhotoSet, re.Match[str]] | None:
    """The set that a file belongs to by its name, if any."""
    for photos in SETS:
        match = re.fullmatch(photos.pictures, name, re.IGNORECASE)
        if match:
            return photos, match
    return None


def gather(folders: Sequence[Path]) -> list[SourcePicture]:
    """Find the pictures of the sets, name them, and say whose they are.

    Raises:
        DatasetError: there is none, or one name stands for two pictures.
    """
    found: dict[str, SourcePicture] = {}
    for folder in folders:
        # A folder of archives alone is no mistake.
        if not any(find_set(path.name) for path in folder.rglob("*")):
            continue
        for picture in collect_pictures(folder):
            match = find_set(picture.path.name)
            if match is None:
                continue
            photos, parts = match
            name = f"{photos.key}-{parts[1].lower()}.jpg"
            fields = {
                "source": photos.credit,
                "license": "CC-BY-4.0",
                "identity": f"{photos.people}-{parts[2].lower()}",
            }
            known = found.setdefault(
                name, SourcePicture(name, picture.path, fields, picture.landmarks)
            )
            if known.path != picture.path and _digest(known.path) != _digest(picture.path):
                raise DatasetError(
                    f"{known.path} and {picture.path} have the same name and are not the same "
                    "picture. Keep the original only."
                )
    if not found:
        raise DatasetError(
            f"No picture of the two sets in {', '.join(map(str, folders))}. Wanted are names such "
            "as 002_03.jpg, 002_08.jpg and 003f.jpg, or the archives with them."
        )
    return [found[name] for name in sorted(found)]


def build(
    pictures: Sequence[SourcePicture], out: Path, *, workers: int | None, mattes: bool
) -> dict[str, int]:
    """Prepare both sides of the split.

    Returns:
        Number of crops by folder.

    Raises:
        TPSPortraitError: see `prepare_pictures`.
    """
    # Neutral and smiling pictures of a person may be alike, and are wanted; the same file twice is
    # not.
    options = PrepareOptions(duplicates=0.0)
    counts = {}
    for name, held_out in (("studio", False), ("studio_heldout", True)):
        side = [p for p in pictures if is_held_out(str(p.fields["identity"])) == held_out]
        if not side:
            print(f"{name}: none of these people belongs to it")
            continue
        with tqdm(desc=name, unit="picture", disable=None) as bar:

            def show(done: int, total: int, bar: tqdm = bar) -> None:
                bar.total = total
                bar.update(done - bar.n)

            result = prepare_pictures(
                side,
                out / name,
                options,
                label=f"studio portraits of two figshare records: {name}",
                workers=workers,
                progress=show,
            )
        print(f"{out / name}: {result.summary()}")
        people = len({str(picture.fields["identity"]) for picture in side})
        counts[name] = len(result.crops)
        _write_card(out / name, name, counts[name], people)
    if mattes and "studio" in counts:
        _write_mattes(out / "studio")
    return counts


def _write_mattes(folder: Path) -> None:
    from mattes import write_mattes

    lines = (folder / "metadata.jsonl").read_text("utf-8").splitlines()
    masks = [json.loads(line).get("mask") for line in lines]
    if not all(mask and (folder / mask).is_file() for mask in masks):
        print(f"{write_mattes(folder)} mattes in {folder / 'masks'}")


def _write_card(folder: Path, name: str, crops: int, people: int) -> None:
    purpose = (
        "People held out of training, for validation and evaluation: never train on them."
        if name == "studio_heldout"
        else "Photos for training. The people in `studio_heldout` are not among them."
    )
    text = f"""---
license: cc-by-4.0
task_categories:
  - image-to-image
tags:
  - portrait
  - face-landmarks
size_categories:
  - n<1K
---

# {name}

{crops} face crops of {people} people who agreed to the use of their pictures. {purpose}

Cut out of two sets by Lisa DeBruine and Benedict Jones, both under CC BY 4.0; cite them wherever
these pictures, or weights trained on them, are used:

- {_LONDON} (2017), version 5
- {_CANADA} (2017), version 1

Changes: faces turned upright, cut out and scaled to 512 x 512 pixels; landmarks and mattes added.

`metadata.jsonl` has `file_name`, `landmarks` (68 points [x, y] in [-1, 1], iBUG order, detected),
`source`, `license`, `identity` and, where there is a matte, `mask`. Written by
`examples/data/photos/download.py`.
"""
    (folder / "README.md").write_text(text, encoding="utf-8")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--from", dest="local", type=Path, metavar="FOLDER", help="read a local copy; no network"
    )
    parser.add_argument("--out", type=Path, default=HERE, help="where both folders go")
    parser.add_argument(
        "--downloads", type=Path, default=HERE / "downloads", help="where the archives are kept"
    )
    parser.add_argument("--no-mattes", action="store_true", help="leave the mattes out")
    parser.add_argument("--workers", type=int, help="processes (default: what is fastest)")
    parser.add_argument("--api", default=API, help="address of figshare's API, or of a mirror")
    options = parser.parse_args(argv)
    sys.path.append(str(HERE.parent))
    if not options.no_mattes:
        # Now, and not after an hour of downloading: says what to install if OpenCV is not there.
        import mattes  # noqa: F401
    return exit_status(lambda: run(options))


def run(options: argparse.Namespace) -> None:
    """Make the sets that the command line describes.

    Raises:
        DownloadError: a file cannot be had.
        TPSPortraitError: the pictures are not there or cannot be prepared.
    """
    try:
        if options.local is None:
            download(options.downloads, options.api)
        elif not options.local.is_dir():
            raise DatasetError(f"{options.local} is no folder.")
        source = options.local or options.downloads
        unpacked = options.downloads / "unpacked"
        archives = sorted(source.rglob("*.zip"))
        unpack(archives, unpacked)
        pictures = gather([source, unpacked] if archives else [source])
        found = Counter(match[0].key for p in pictures if (match := find_set(p.name)))
        print(", ".join(f"{s.key}: {found[s.key]} of {s.count} pictures" for s in SETS))
        given = sum(picture.landmarks is not None for picture in pictures)
        if given:
            print(f"{given} are face crops with landmarks already and are copied as they are")
        build(pictures, options.out, workers=options.workers, mattes=not options.no_mattes)
    except DownloadError as error:
        if options.local is not None:
            raise
        raise DownloadError(
            f"{error} If it stays so, download the archives with a browser from the pages above "
            "(--help) and give their folder with --from."
        ) from error


if __name__ == "__main__":
    sys.exit(main())
