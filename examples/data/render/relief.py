"""A height field of the head, its normals, and maps of the face in head coordinates."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .face import SKULL, jaw_points
from .geometry import Rig, spline
from .layers import Map, Sketch
from .mouth import mouth_points
from .traits import Traits


def _smooth(low: float, high: float, x: Map) -> Map:
    s = np.clip((x - low) / (high - low), 0, 1)
    return s * s * (3 - 2 * s)


@dataclass(frozen=True)
class Relief:
    """Head coordinates of every pixel and the normals of the modelled head."""

    x: Map
    y: Map
    normal: Map  # (H, W, 3): right, down, towards the viewer
    cavity: Map  # 0 open .. 1 hollow

    def spot(self, x: float, y: float, rx: float, ry: float, both: bool = True) -> Map:
        """Gaussian spot at (x, y), on both sides of the face when ``both``."""
        dx = np.abs(self.x) - abs(x) if both else self.x - x
        return np.exp(-((dx / rx) ** 2) - ((self.y - y) / ry) ** 2)

    def lit(self, light: float, height: float = 0.5, front: float = 0.75) -> Map:
        """Lambert term in [-1, 1] of a light from the side ``light`` and from above."""
        v = np.array([0.62 * light, -height, front])
        v /= np.linalg.norm(v)
        return (self.normal @ v).astype(np.float32)


def head_coordinates(rig: Rig, size: int) -> tuple[Map, Map]:
    """Head coordinates of the pixel centres, by fixed-point inversion of the rig."""
    half = size // 2
    at = (np.arange(half) + 0.5) * 2 / half - 1
    page = np.stack(np.meshgrid(at, at), -1).reshape(-1, 2)
    c, s = np.cos(rig.roll), np.sin(rig.roll)
    flat = (page - (rig.dx, rig.dy)) @ np.array([[c, -s], [s, c]]) / rig.scale
    p = flat.copy()
    for _ in range(5):
        tip = 0.11 * np.exp(-((p[:, 0] / 0.09) ** 2) - ((p[:, 1] - 0.16) / 0.12) ** 2)
        p += 0.9 * (flat - rig.turn(p, tip))
    grid = p.reshape(half, half, 2).astype(np.float32)
    full = cv2.resize(grid, (size, size), interpolation=cv2.INTER_LINEAR)
    return full[..., 0], full[..., 1]


def _height(x: Map, y: Map, t: Traits) -> Map:
    contour = np.vstack([[(0.0, -0.895)], SKULL[:4][::-1] * (-1, 1), jaw_points(t)[:9]])
    line = spline(contour)
    order = np.argsort(line[:, 1])
    level = np.linspace(-1.2, 1.1, 400)
    width = np.interp(level, line[order, 1], -line[order, 0], left=0.0, right=0.0)
    width = np.convolve(np.pad(width, 12, "edge"), np.hanning(25) / np.hanning(25).sum(), "valid")
    half = np.interp(y, level, width + 0.02).astype(np.float32)
    half += 0.05 * np.exp(-(((y - 0.78) / 0.16) ** 2))  # a round, not a pointed, chin
    u = np.clip(np.abs(x) / np.maximum(half, 0.05), 0, 1)
    middle = (y + 0.05) / 1.02
    z = 0.50 * (1 - u**2.3) ** 0.55 * np.sqrt(np.clip(1 - 0.7 * middle**2, 0.05, 1))
    ax, n = np.abs(x), t.nose_length
    w = t.nose_width

    def g(x0: float, y0: float, rx: float, ry: float) -> Map:
        out: Map = np.exp(-(((ax - x0) / rx) ** 2) - ((y - y0) / ry) ** 2)
        return out

    s = np.clip((y + 0.14) / (0.33 + n), 0, 1)
    end = 1 - _smooth(0.195 + n, 0.285 + n, y)
    ridge = 0.015 * _smooth(-0.25, -0.05, y) + 0.10 * s**1.2
    z += ridge * np.exp(-((x / (0.040 + 0.035 * s * w)) ** 2)) * end
    z += 0.040 * g(0, 0.205 + n, 0.055 * w, 0.05) + 0.040 * g(0.078 * w, 0.228 + n, 0.036, 0.036)
    z -= 0.050 * g(0.205, -0.085, 0.15, 0.065) + 0.030 * g(0.092, -0.070, 0.05, 0.065)
    z += 0.034 * g(0.228, -0.062, 0.085, 0.055)
    z += 0.030 * g(0.24, -0.20, 0.20, 0.06)
    z += (0.035 + 0.025 * t.smile) * g(0.285, 0.15 - 0.02 * t.smile, 0.13, 0.11)
    z -= (0.022 + 0.02 * t.age) * g(0.36, 0.40, 0.10, 0.14)
    drop = 0.088 * t.mouth_open
    z += 0.040 * g(0, 0.42 + 0.4 * drop, 0.17, 0.13)
    corner = mouth_points(t)[6]
    z -= 0.016 * g(corner[0] + 0.015, corner[1], 0.030, 0.035)
    z += 0.010 * g(0, 0.405, 0.10, 0.022) + 0.020 * g(0, 0.485 + drop, 0.10, 0.03)
    z -= 0.022 * g(0, 0.565 + drop, 0.11, 0.030)
    z += 0.040 * g(0, 0.68 + drop * 0.6, 0.12 + 0.02 * t.jaw, 0.08)
    z -= 0.020 * g(0.45, -0.30, 0.09, 0.16)
    z += 0.016 * g(0.20, -0.45, 0.2, 0.14)
    a, b = np.array([0.125, 0.235 + n]), np.array([0.225, 0.41])
    k = np.clip(((ax - a[0]) * (b - a)[0] + (y - a[1]) * (b - a)[1]) / ((b - a) ** 2).sum(), 0, 1)
    fold = np.hypot(ax - a[0] - k * (b - a)[0], y - a[1] - k * (b - a)[1])
    depth = 0.004 + 0.009 * t.smile + 0.010 * t.age
    z -= depth * np.exp(-((fold / 0.028) ** 2))
    return z.astype(np.float32)


def model_head(s: Sketch) -> Relief:
    """Model the head of ``s``: a turned egg with nose, sockets, cheeks, muzzle and chin."""
    x, y = head_coordinates(s.rig, s.size)
    z = _height(x, y, s.traits)
    z = z * np.cos(s.rig.yaw) - x * np.sin(s.rig.yaw) * 0.55
    fine = cv2.GaussianBlur(z, (0, 0), 1.6 * s.size / 512)
    step = 2 / s.size / s.rig.scale
    dy, dx = np.gradient(fine, step)
    normal = np.stack([-dx, -dy, np.full_like(dx, 0.9)], -1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    wide = cv2.GaussianBlur(z, (0, 0), 11 * s.size / 512)
    cavity = np.clip((wide - fine) * 22, 0, 1)
    return Relief(x, y, normal.astype(np.float32), cavity.astype(np.float32))


def inflate(mask: Map, width: float, depth: float = 1.0) -> Map:
    """Normals ``(H, W, 3)`` of a pillow-shaped ``mask``, rounded over ``width`` pixels."""
    small = cv2.resize(mask, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    near, far = (cv2.GaussianBlur(small, (0, 0), width * k / 2) for k in (1.0, 2.2))
    soft = cv2.resize(near + 0.5 * far, mask.shape[::-1], interpolation=cv2.INTER_CUBIC)
    dy, dx = np.gradient(soft * width * depth)
    normal = np.stack([-dx, -dy, np.ones_like(dx)], -1)
    return (normal / np.linalg.norm(normal, axis=-1, keepdims=True)).astype(np.float32)
