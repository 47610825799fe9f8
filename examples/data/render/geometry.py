"""Curves, tapered strokes and the 2.5-D head rig.

Head coordinates: x right, y down, the frame of a frontal photo crop is [-1, 1].
Page coordinates: pixels of a 512 x 512 page, x right, y down.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
PAGE = 512.0
DOME_DEPTH = 0.40
DOME_RADIUS = 0.68

# Right half of a mean frontal face in the iBUG layout; the left half is its mirror image.
_JAW = [(-0.525, -0.135), (-0.528, 0.09), (-0.516, 0.206), (-0.462, 0.445), (-0.417, 0.539)]
_JAW += [(-0.362, 0.613), (-0.232, 0.728), (-0.098, 0.79), (0.0, 0.80)]
JAW = np.array(_JAW + [(-x, y) for x, y in reversed(_JAW[:-1])])


def spline(points: npt.ArrayLike, closed: bool = False, steps: int = 14) -> Array:
    """Sample a centripetal Catmull-Rom curve through ``points`` ``(N, 2)``.

    Returns ``(M, 2)``; every control point is one of the samples (each ``steps`` apart).
    """
    p = np.asarray(points, float)
    if closed:
        p = np.vstack([p[-1], p, p[0], p[1]])
    else:
        p = np.vstack([2 * p[0] - p[1], p, 2 * p[-1] - p[-2]])
    knots = np.sqrt(np.linalg.norm(np.diff(p, axis=0), axis=1)) + 1e-6
    u = np.linspace(0, 1, steps, endpoint=False)[:, None]
    out = []
    for i in range(len(p) - 3):
        d0, d1, d2 = knots[i : i + 3]
        p0, p1, p2, p3 = p[i : i + 4]
        m1 = (p2 - p1) + d1 * ((p1 - p0) / d0 - (p2 - p0) / (d0 + d1))
        m2 = (p2 - p1) + d1 * ((p3 - p2) / d2 - (p3 - p1) / (d1 + d2))
        out.append(
            (2 * u**3 - 3 * u**2 + 1) * p1
            + (u**3 - 2 * u**2 + u) * m1
            + (-2 * u**3 + 3 * u**2) * p2
            + (u**3 - u**2) * m2
        )
    if not closed:
        out.append(p[-2:-1])
    return np.vstack(out)


def resample(line: Array, count: int) -> Array:
    """Place ``count`` points at equal arc length along the polyline ``line``."""
    length = np.r_[0, np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))]
    at = np.linspace(0, length[-1], count)
    return np.stack([np.interp(at, length, line[:, k]) for k in (0, 1)], 1)


def mirror(points: npt.ArrayLike, side: float) -> Array:
    """Return ``points`` drawn for the viewer's left side, flipped where ``side`` is positive."""
    p = np.array(points, float)
    p[..., 0] *= -side
    return p


def shift(points: npt.ArrayLike, dx: float, dy: float) -> Array:
    """Return ``points`` moved by (dx, dy)."""
    return np.asarray(points, float) + np.array([dx, dy])


def stroke(line: Array, width: float, start: float = 0.0, end: float = 0.0) -> Array:
    """Outline polygon of a pen stroke along ``line``.

    Args:
        line: ``(N, 2)`` polyline in page pixels.
        width: greatest width of the stroke in page pixels.
        start, end: width at either end as a share of ``width``.
    """
    p = resample(line, max(12, min(420, len(line))))
    t = np.linspace(0, 1, len(p))
    tangent = np.gradient(p, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True) + 1e-9
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], 1)
    body = np.sin(np.pi * np.clip(t, 0, 1)) ** 0.6
    half = width / 2 * np.maximum(body, np.where(t < 0.5, start, end))
    half = np.maximum(half, 0.2)[:, None]
    return np.vstack([p + normal * half, (p - normal * half)[::-1]])


def ribbon(line: Array, widths: npt.ArrayLike) -> Array:
    """Polygon along ``line`` whose full width follows ``widths`` (any number of knots)."""
    p = resample(line, 60)
    w = np.asarray(widths, float)
    half = np.interp(np.linspace(0, 1, 60), np.linspace(0, 1, len(w)), w)[:, None] / 2
    tangent = np.gradient(p, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True) + 1e-9
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], 1)
    return np.vstack([p + normal * half, (p - normal * half)[::-1]])


def blob(rng: np.random.Generator, centre: npt.ArrayLike, radius: float, bumps: int) -> Array:
    """Closed cloud outline of ``bumps`` scallops around ``centre``."""
    angle = np.linspace(0, 2 * np.pi, bumps, endpoint=False) + rng.uniform(0, 6)
    r = radius * rng.uniform(0.85, 1.1, bumps)
    ring = np.asarray(centre) + np.stack([np.cos(angle), np.sin(angle)], 1) * r[:, None]
    return scallop(ring, closed=True, bulge=0.35)


def scallop(points: Array, closed: bool = False, bulge: float = 0.3) -> Array:
    """Join consecutive ``points`` by arcs that bulge to the left of the direction of travel."""
    ends = np.vstack([points, points[:1]]) if closed else points
    t = np.linspace(0, 1, 12, endpoint=False)[:, None]
    arcs = []
    for a, b in pairwise(ends):
        chord = b - a
        normal = np.array([chord[1], -chord[0]])
        arcs.append(a + chord * t + normal * bulge * np.sin(np.pi * t) ** 0.8)
    return np.vstack([*arcs, ends[-1:]])


@dataclass(frozen=True)
class Rig:
    """Maps head coordinates to the page: turn of a domed head, then a similarity."""

    yaw: float
    pitch: float
    scale: float
    roll: float
    dx: float
    dy: float

    def turn(self, points: npt.ArrayLike, lift: npt.ArrayLike = 0.0) -> Array:
        """Turn head points ``(N, 2)``, raised by ``lift`` over the dome, by yaw and pitch."""
        p = np.asarray(points, float).reshape(-1, 2)
        x, y = p[:, 0], p[:, 1]
        fall = np.clip((y + 0.35) / -0.65, 0, 1)
        z = DOME_DEPTH * np.clip(1 - (x / DOME_RADIUS) ** 2, 0, 1) * (1 - 0.8 * fall**2)
        z = z * np.clip((1.15 - y) / 0.35, 0.0, 1.0) + np.asarray(lift)
        return np.stack([x + np.sin(self.yaw) * z, y + np.sin(self.pitch) * (z - 0.2)], 1)

    def page(self, points: npt.ArrayLike, lift: npt.ArrayLike = 0.0) -> Array:
        """Project head points ``(N, 2)`` to page pixels."""
        return self.flat(self.turn(points, lift))

    def flat(self, points: npt.ArrayLike) -> Array:
        """Map points that do not turn with the head (neck, clothes) to page pixels."""
        p = np.asarray(points, float).reshape(-1, 2) * self.scale
        c, s = np.cos(self.roll), np.sin(self.roll)
        p = p @ np.array([[c, s], [-s, c]]) + (self.dx, self.dy)
        return (p + 1) * PAGE / 2
