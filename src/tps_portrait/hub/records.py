"""What is known about a style, wherever it lies."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from .metrics import Metric, read_model_index
from .pins import own_metadata, plain_text, read_card, read_pins, split_card
from .remote import endpoint
from .styles import THUMBNAIL, read_style_config

Source = Literal["bundled", "folder", "cached", "hub"]

_STYLE_TAG = "style:"
_INDEXED = ("dataset", "type", "name", "value", "interval")
_NO_TEXT = ("#", "![", "|", "```", "<", "---", "- ")


@dataclass(frozen=True)
class StyleInfo:
    """A style that can be loaded with `TPSPortraitPipeline.from_pretrained(info.id)`.

    Attributes:
        id: bundled name, folder, or Hub id.
        name: what its author calls it.
        source: where it would be loaded from; `cached` is a Hub style of which a copy is here.
        description: one sentence, empty if nobody wrote it.
        license: identifier such as `apache-2.0`, `None` if the card names none.
        thumbnail: path or address of a picture, `None` if there is none.
        size: of its files in bytes, `None` if unknown.
        downloads: in the last month, as the Hub counts them; `None` if the Hub was not asked.
        likes: on the Hub; `None` if the Hub was not asked.
        tags: of the card and of the Hub.
        metrics: results, from the card's model-index; each names the set of photos that it was
            measured on in `dataset`.
        revision: commit on the Hub; of the copy, for `cached`.
        private: only its owner can see it.
        base: the style that its training began from, if its card tells.
        path: folder on this computer, `None` for `hub`.
        updated: time of the last change on the Hub, ISO 8601.
    """

    id: str
    name: str
    source: Source
    description: str = ""
    license: str | None = None
    thumbnail: str | None = None
    size: int | None = None
    downloads: int | None = None
    likes: int | None = None
    tags: tuple[str, ...] = ()
    metrics: tuple[Metric, ...] = ()
    revision: str | None = None
    private: bool = False
    base: str | None = None
    path: Path | None = None
    updated: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as values that JSON can hold."""
        values = asdict(self)
        values["tags"] = list(self.tags)
        values["metrics"] = [{key: getattr(m, key) for key in _INDEXED} for m in self.metrics]
        values["path"] = None if self.path is None else str(self.path)
        return values

    def matches(self, query: str) -> bool:
        """Tell whether every word of a query occurs in id, name, description or tags."""
        text = " ".join((self.id, self.name, self.description, *self.tags)).lower()
        return all(word in text for word in query.lower().split())


def from_folder(
    folder: Path, identifier: str, source: Source, revision: str | None = None
) -> StyleInfo:
    """Describe a style on this computer.

    Args:
        folder: with `model_index.json`.
        identifier: what it is loaded by.
        source: kind of place.
        revision: commit on the Hub, if it came from there.

    Raises:
        ModelFileError: its `config.json` is damaged.
    """
    metadata, body = split_card(read_card(folder) or "")
    config = read_style_config(folder, identifier)
    files = [path for path in folder.rglob("*") if path.is_file()]
    thumbnail = folder / THUMBNAIL
    return StyleInfo(
        id=identifier,
        name=plain_text(config.get("style")) or Path(identifier).name,
        source=source,
        description=_description(metadata) or _first_sentence(body),
        license=plain_text(metadata.get("license")),
        thumbnail=str(thumbnail) if thumbnail.is_file() else None,
        size=sum(path.stat().st_size for path in files),
        tags=_tags(metadata.get("tags")),
        metrics=read_model_index(metadata.get("model-index")),
        revision=revision,
        base=plain_text(config.get("base")),
        path=folder,
    )


def from_hub(facts: Mapping[str, Any]) -> StyleInfo:
    """Describe a style from what the Hub's API says about its repository.

    Args:
        facts: an entry of `/api/models`, with card metadata.
    """
    identifier = str(facts.get("id") or facts.get("modelId"))
    metadata = facts.get("cardData")
    metadata = metadata if isinstance(metadata, dict) else {}
    tags = tuple(dict.fromkeys((*_tags(metadata.get("tags")), *_tags(facts.get("tags")))))
    named = [tag.removeprefix(_STYLE_TAG) for tag in tags if tag.startswith(_STYLE_TAG)]
    files = {str(file.get("rfilename")): file for file in facts.get("siblings") or ()}
    sizes = [file["size"] for file in files.values() if file.get("size") is not None]
    sizes = sizes or [max(pin.size, 0) for pin in read_pins(metadata).values()]
    revision = plain_text(facts.get("sha"))
    picture = f"{endpoint()}/{identifier}/resolve/{revision or 'main'}/{THUMBNAIL}"
    return StyleInfo(
        id=identifier,
        name=named[0] if named else identifier.partition("/")[2],
        source="hub",
        description=_description(metadata),
        license=plain_text(metadata.get("license")),
        thumbnail=picture if THUMBNAIL in files else plain_text(metadata.get("thumbnail")),
        size=sum(sizes) if sizes else None,
        downloads=_count(facts.get("downloads")),
        likes=_count(facts.get("likes")),
        tags=tags,
        metrics=read_model_index(facts.get("model-index") or metadata.get("model-index")),
        revision=revision,
        private=bool(facts.get("private")),
        base=plain_text(own_metadata(metadata).get("base")),
        updated=plain_text(facts.get("lastModified")),
    )


def _description(metadata: Mapping[str, Any]) -> str:
    text = plain_text(own_metadata(metadata).get("description")) or ""
    return " ".join(text.split())


def _first_sentence(body: str) -> str:
    for block in re.split(r"\n\s*\n", body):
        text = " ".join(block.split())
        if text and not text.startswith(_NO_TEXT):
            return plain_text(re.split(r"(?<=[.!?])\s", text)[0]) or ""
    return ""


def _count(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _tags(value: object) -> tuple[str, ...]:
    return tuple(plain_text(tag) or "" for tag in value) if isinstance(value, list) else ()
