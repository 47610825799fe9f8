"""Turns folders of pictures into training sets: face crops with landmarks, and a report.

The modules import one another in this order: `options` and `quality`, `pictures`, `records`,
`examining` and `duplicates`, `workspace` and `sheets`, `reporting`, `preparing`.
"""

from .options import FacePolicy, PrepareOptions
from .pictures import SourcePicture, collect_pictures
from .preparing import prepare_folder, prepare_pictures
from .records import Crop, LeftOut, Outcome
from .reporting import Preparation

__all__ = [
    "Crop",
    "FacePolicy",
    "LeftOut",
    "Outcome",
    "Preparation",
    "PrepareOptions",
    "SourcePicture",
    "collect_pictures",
    "prepare_folder",
    "prepare_pictures",
]
