"""Video: steady drawings of clips and of the camera.

The modules import one another in this order: `one_euro`, `tracking`, `stylizer`, `reading`,
`segments`, `transcoding`. Only the last three need PyAV, the extra `video`.
"""

from .one_euro import OneEuroFilter
from .stylizer import VideoStylizer
from .tracking import FaceTracker

__all__ = ["FaceTracker", "OneEuroFilter", "VideoStylizer"]
