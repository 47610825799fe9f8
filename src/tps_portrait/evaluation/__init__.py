"""Measuring what draws portraits: fidelity, identity, geometry, stability, cost.

`evaluate` takes any function from pictures to drawings; the metrics are usable by themselves.
"""

from .cost import count_macs, count_parameters, median_milliseconds
from .distribution import FeatureComparison
from .evaluator import evaluate
from .faces import FaceSet, Stylize, find_face, read_faces, read_truth
from .geometry import landmark_error
from .groups import read_labels
from .html import write_report
from .identity import SAME_PERSON, align_face, embed_faces, identity_cosines
from .networks import MobileNetV2, SFace, load_network
from .record import Evaluation, EvaluationOptions
from .report import GroupResult, Metric, Report
from .similarity import feature_distance, pooled_features, psnr, ssim
from .skin import skin_colour
from .stability import flicker, motion_errors

__all__ = [
    "SAME_PERSON",
    "Evaluation",
    "EvaluationOptions",
    "FaceSet",
    "FeatureComparison",
    "GroupResult",
    "Metric",
    "MobileNetV2",
    "Report",
    "SFace",
    "Stylize",
    "align_face",
    "count_macs",
    "count_parameters",
    "embed_faces",
    "evaluate",
    "feature_distance",
    "find_face",
    "flicker",
    "identity_cosines",
    "landmark_error",
    "load_network",
    "median_milliseconds",
    "motion_errors",
    "pooled_features",
    "psnr",
    "read_faces",
    "read_labels",
    "read_truth",
    "skin_colour",
    "ssim",
    "write_report",
]
