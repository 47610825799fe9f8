"""Face detection and landmarks: BlazeFace detectors and the attention face mesh in plain torch."""

from .configuration_landmarks import FaceLandmarkerConfig
from .faces import Face
from .modeling_landmarks import FaceLandmarker

__all__ = ["Face", "FaceLandmarker", "FaceLandmarkerConfig"]
