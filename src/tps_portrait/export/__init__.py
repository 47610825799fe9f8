"""Styles as files for phones, browsers and other runtimes, each proven by running it.

A target is a module with `write` and `load`; the heavy packages are imported inside these. All
targets have an input `image`; a generator's output `drawing` has the same form.
"""

from .exporter import export_generator
from .landmarks import LANDMARK_FILES, ExportedMesh, export_landmarks
from .options import ExportOptions, Target
from .runtime import ExportedGenerator
from .targets import TARGETS, find_target, load_runner
from .writer import ExportReport

__all__ = [
    "LANDMARK_FILES",
    "TARGETS",
    "ExportOptions",
    "ExportReport",
    "ExportedGenerator",
    "ExportedMesh",
    "Target",
    "export_generator",
    "export_landmarks",
    "find_target",
    "load_runner",
]
