"""The exceptions a user of tps_portrait can meet.

Every message says what was wrong, with which input, and what to do about it. Each leaf also derives
from the built-in exception that fits it best, so that callers who do not know this library can
still catch `ValueError` or `OSError`.
"""

from __future__ import annotations


class TPSPortraitError(Exception):
    """Base class of everything this library raises on purpose."""


class InputImageError(TPSPortraitError, ValueError):
    """A picture cannot be read or has the wrong shape, type or values."""


class NoFaceError(InputImageError):
    """No face was found in a picture where one is required."""


class LandmarkError(TPSPortraitError, ValueError):
    """Landmarks or control points cannot define a warp: too few, doubled, collinear, not finite."""


class ConfigError(TPSPortraitError, ValueError):
    """A configuration or argument value is unknown or out of range."""


class ModelFileError(TPSPortraitError, OSError):
    """Model files are missing, of the wrong type, incomplete, or in a format that is not loaded."""


class StyleNotFoundError(TPSPortraitError, OSError):
    """No bundled style, folder or Hub repository has the requested name."""


class HubError(TPSPortraitError, OSError):
    """The Hub cannot be reached, refuses a request, or asks to wait."""


class DatasetError(TPSPortraitError, ValueError):
    """A training set is missing pictures, landmarks or columns."""


class OutputError(TPSPortraitError, OSError):
    """A result cannot be written."""


class ExportError(TPSPortraitError, RuntimeError):
    """A style cannot be converted, or the exported file does not draw as it should."""


class TrainingDivergedError(TPSPortraitError, RuntimeError):
    """A loss became NaN or exploded; the last good checkpoint was kept."""
