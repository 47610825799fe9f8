"""Styles: bundled with the package, in folders, on the Hub."""

from .styles import bundled_styles, locate_style

__all__ = ["bundled_styles", "locate_style"]
