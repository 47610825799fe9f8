"""The version, read by the build without importing the package, and those of other packages."""

from __future__ import annotations

from collections.abc import Iterable

__version__ = "0.1.0"


def installed_versions(names: Iterable[str]) -> dict[str, str]:
    """Versions of the distributions among `names` that are installed."""
    # Not above: this module is imported with the package, which should cost nothing.
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
