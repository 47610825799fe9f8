"""The style generator."""

from .configuration_generator import StyleGeneratorConfig
from .modeling_generator import StyleGenerator

__all__ = ["StyleGenerator", "StyleGeneratorConfig"]
