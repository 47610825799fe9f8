"""Styles: bundled with the package, in folders, in the cache, on the Hub.

What needs the Hub's client is imported on first use, which keeps `tps-portrait --help` instant.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .styles import LIBRARY_NAME, bundled_styles, locate_style

if TYPE_CHECKING:
    from .listing import HubUnavailableWarning, list_styles, style_info
    from .metrics import Metric
    from .records import StyleInfo

_HOME = {
    "HubUnavailableWarning": "listing",
    "Metric": "metrics",
    "StyleInfo": "records",
    "list_styles": "listing",
    "style_info": "listing",
}

__all__ = [
    "HubUnavailableWarning",
    "LIBRARY_NAME",
    "Metric",
    "StyleInfo",
    "bundled_styles",
    "list_styles",
    "locate_style",
    "style_info",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its module on first use."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
