"""The pipeline: a style, loaded and saved as a folder, that draws photos."""

from .base import StylePipeline
from .portrait import TPSPortraitPipeline, TPSPortraitPipelineOutput

__all__ = ["StylePipeline", "TPSPortraitPipeline", "TPSPortraitPipelineOutput"]
