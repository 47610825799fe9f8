"""A page of thumbnails: one file, which asks no server for anything."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from huggingface_hub import hf_hub_download

from .records import StyleInfo
from .remote import Token, endpoint
from .styles import THUMBNAIL

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --edge: color-mix(in srgb, currentColor 18%, transparent); }}
body {{ font: 16px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem;
  padding: 0 1rem; }}
h1 {{ font-size: 1.5rem; margin: 0; }}
p {{ margin: .25rem 0; }}
ul {{ display: grid; gap: 1.25rem; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr));
  list-style: none; padding: 0; margin: 1.5rem 0; }}
li {{ border: 1px solid var(--edge); border-radius: .75rem; overflow: hidden; }}
img, .none {{ aspect-ratio: 1; display: grid; object-fit: cover; place-items: center;
  width: 100%; }}
.none {{ background: var(--edge); font-size: 3rem; }}
div {{ padding: .75rem 1rem 1rem; }}
h2 {{ font-size: 1.1rem; margin: 0; }}
small {{ opacity: .75; }}
code {{ display: block; font-size: .8rem; margin-top: .5rem; overflow-wrap: anywhere; }}
</style>
</head>
<body>
<h1>{title}</h1>
<p><small>{subtitle}</small></p>
<ul>
{cards}
</ul>
</body>
</html>
"""

# An evaluation has a page of numbers; a card of the gallery has room for a few.
_HEADLINES = ("landmark_error", "identity_cosine_sface", "motion_error")
_MOST_SETS = 3

_CARD = """<li>{picture}<div><h2>{name}</h2>
<p><small>{facts}</small></p>
<p>{description}</p>
{results}<code>TPSPortraitPipeline.from_pretrained({id})</code></div></li>"""


def render_gallery(
    styles: Sequence[StyleInfo], pictures: Mapping[str, bytes], note: str = ""
) -> str:
    """Write a page with a card for each style.

    Args:
        styles: what to show, in this order.
        pictures: thumbnails by id, JPEG, PNG or WebP; a style without one gets its initial.
        note: shown below the title, such as why the Hub is left out.

    Returns:
        HTML that needs no other file and no network.
    """
    count = f"{len(styles)} style{'' if len(styles) == 1 else 's'}"
    return _PAGE.format(
        title="Portrait styles",
        subtitle=escape(". ".join(filter(None, (count, note.rstrip("."))))),
        cards="\n".join(_card(info, pictures.get(info.id)) for info in styles),
    )


def fetch_thumbnail(info: StyleInfo, token: Token = None) -> bytes | None:
    """Read the thumbnail of a style, through the cache if it lies on the Hub.

    Args:
        info: the style.
        token: of the Hub, for private styles.

    Returns:
        The file, `None` if there is none or it cannot be read.
    """
    if info.thumbnail is None:
        return None
    try:
        # A card may name any address or file; none but the style's own is read.
        if info.path is not None:
            return (info.path / THUMBNAIL).read_bytes()
        if not info.thumbnail.startswith(f"{endpoint()}/{info.id}/"):
            return None
        path = hf_hub_download(info.id, THUMBNAIL, revision=info.revision, token=token)
        return Path(path).read_bytes()
    except Exception:  # a gallery with a gap is better than none
        return None


def size_text(size: int | None) -> str:
    """Write a size in bytes as `2.0 MB`; empty if unknown."""
    return "" if size is None else f"{size / 1e6:.1f} MB"


def _card(info: StyleInfo, picture: bytes | None) -> str:
    counts = ((info.downloads, "downloads"), (info.likes, "likes"))
    facts = [info.source, info.license or "no licence", size_text(info.size)]
    facts += [f"{number} {what}" for number, what in counts if number]
    name = escape(info.name)
    if picture is None:
        shown = f'<span class="none">{escape(info.name[:1].upper() or "?")}</span>'
    else:
        data = base64.b64encode(picture).decode("ascii")
        shown = f'<img alt="A portrait drawn in the style {name}" src="data:{_kind(picture)};'
        shown += f'base64,{data}">'
    return _CARD.format(
        picture=shown,
        name=name,
        facts=escape(" · ".join(filter(None, facts))),
        description=escape(info.description),
        results="".join(f"<p><small>{escape(line)}</small></p>\n" for line in _results(info)),
        id=escape(repr(info.id)),
    )


def _results(info: StyleInfo) -> list[str]:
    """A line for each set of photos that the style was measured on."""
    lines = []
    for dataset in list(dict.fromkeys(metric.dataset for metric in info.metrics))[:_MOST_SETS]:
        found = [metric for metric in info.metrics if metric.dataset == dataset]
        known = [metric for metric in found if metric.type in _HEADLINES] or found
        numbers = [f"{m.name or m.type} {m.value:.3g}" for m in known[: len(_HEADLINES)]]
        lines.append(f"{dataset}: {', '.join(numbers)}" if dataset else ", ".join(numbers))
    return lines


def _kind(picture: bytes) -> str:
    if picture.startswith(b"\x89PNG"):
        return "image/png"
    return "image/webp" if picture[8:12] == b"WEBP" else "image/jpeg"
