"""Real-time portrait stylization from about 100 style pictures, by thin-plate-spline alignment.

Public names are imported on first use (PEP 562), so that `import tps_portrait` costs nothing. After
it, `AutoConfig` and `AutoModel` of transformers know our model types, whichever was imported first.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import _transformers
from ._version import __version__

if TYPE_CHECKING:
    from .errors import (
        ConfigError,
        DatasetError,
        ExportError,
        HubError,
        InputImageError,
        LandmarkError,
        ModelFileError,
        NoFaceError,
        OutputError,
        StyleNotFoundError,
        TPSPortraitError,
        TrainingDivergedError,
    )
    from .hub import StyleInfo, list_styles, style_info
    from .models.aligner import TPSAligner, TPSAlignerConfig
    from .models.base import PortraitConfig, PortraitPreTrainedModel
    from .models.discriminator import PortraitDiscriminator, PortraitDiscriminatorConfig
    from .models.generator import StyleGenerator, StyleGeneratorConfig
    from .models.landmarks import Face, FaceLandmarker, FaceLandmarkerConfig
    from .pipeline import TPSPortraitPipeline, TPSPortraitPipelineOutput
    from .processing import PortraitImageProcessor
    from .video import VideoStylizer

_EXPORTS = {
    "errors": (
        "ConfigError",
        "DatasetError",
        "ExportError",
        "HubError",
        "InputImageError",
        "LandmarkError",
        "ModelFileError",
        "NoFaceError",
        "OutputError",
        "StyleNotFoundError",
        "TPSPortraitError",
        "TrainingDivergedError",
    ),
    "hub": ("StyleInfo", "list_styles", "style_info"),
    "models.base": ("PortraitConfig", "PortraitPreTrainedModel"),
    "models.aligner": ("TPSAligner", "TPSAlignerConfig"),
    "models.discriminator": ("PortraitDiscriminator", "PortraitDiscriminatorConfig"),
    "models.generator": ("StyleGenerator", "StyleGeneratorConfig"),
    "models.landmarks": ("Face", "FaceLandmarker", "FaceLandmarkerConfig"),
    "pipeline": ("TPSPortraitPipeline", "TPSPortraitPipelineOutput"),
    "processing": ("PortraitImageProcessor",),
    "video": ("VideoStylizer",),
}
_HOME = {name: module for module, names in _EXPORTS.items() for name in names}

__all__ = ["__version__", *sorted(_HOME)]


_transformers.register()


def __getattr__(name: str) -> Any:
    """Import a public name from its module on first use."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names for completion."""
    return list(__all__)
