"""Where the files lie that come with the package."""

from __future__ import annotations

from pathlib import Path

STYLES = Path(__file__).parent / "styles"
"""A folder for each bundled style, and `_shared` for what they have in common."""

LANDMARKER = STYLES / "_shared" / "landmarks"
"""The face landmarker that styles without one of their own use."""

PORTRAIT = Path(__file__).parent / "assets" / "astronaut.jpg"
"""A photograph with one face, in the public domain."""
