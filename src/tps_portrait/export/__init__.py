"""Styles as files for phones, browsers and other runtimes, each proven by running it.

A target is a module with `write` and `load`; the heavy packages are imported inside these. All
targets have an input `image` and an output `drawing` of the same form.
"""

from .exporter import TARGETS, ExportReport, export_generator, find_target, load_runner
from .options import ExportOptions, Target
from .runtime import ExportedGenerator

__all__ = [
    "TARGETS",
    "ExportOptions",
    "ExportReport",
    "ExportedGenerator",
    "Target",
    "export_generator",
    "find_target",
    "load_runner",
]
