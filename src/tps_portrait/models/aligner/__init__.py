"""The TPS aligner."""

from .configuration_aligner import TPSAlignerConfig
from .modeling_aligner import TPSAligner

__all__ = ["TPSAligner", "TPSAlignerConfig"]
