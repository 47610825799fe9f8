"""Pictures in, tensors out, and exactly back.

The modules import one another in this order: `photo`, `loading` and `resample`, `faces`,
`composition` and `image_processor`.
"""

from .composition import Composition, bend_faces, face_crops
from .image_processor import PortraitImageProcessor
from .loading import load_image, load_photo
from .photo import ImageInput, OutputType, Photo

__all__ = [
    "Composition",
    "ImageInput",
    "OutputType",
    "Photo",
    "PortraitImageProcessor",
    "bend_faces",
    "face_crops",
    "load_image",
    "load_photo",
]
