"""Head, ears, nose and wrinkles."""

from __future__ import annotations

import numpy as np

from .canvas import Canvas, mix, multiply
from .geometry import JAW, Array, Rig, mirror, spline
from .traits import Traits

_SKULL = [(0.546, -0.30), (0.522, -0.52), (0.43, -0.725), (0.245, -0.862), (0.0, -0.895)]
SKULL = np.array(_SKULL + [(-x, y) for x, y in reversed(_SKULL[:-1])])


def jaw_points(t: Traits) -> Array:
    """Head positions ``(17, 2)`` of the face contour, landmarks 0..16."""
    p = JAW.copy()
    y = p[:, 1]
    low = np.clip((y - 0.1) / 0.5, 0, 1)
    angle = np.exp(-(((y - 0.52) / 0.16) ** 2))
    tip = np.clip((y - 0.62) / 0.16, 0, 1)
    p[:, 0] *= 1 - 0.035 * low + 0.06 * t.jaw * angle + (0.12 * t.chin + 0.06 * t.jaw) * tip
    if t.feminine:
        p[:, 0] *= 1 - 0.045 * low - 0.06 * tip
    p[:, 1] += (t.face_length + 0.018 * t.mouth_open) * low
    return p


def head_shape(rig: Rig, t: Traits) -> Array:
    """Closed page outline of face and skull."""
    return spline(rig.page(np.vstack([jaw_points(t), SKULL])), closed=True)


def face_line(rig: Rig, t: Traits) -> Array:
    """Page polyline of the contour from ear to ear (part of ``head_shape``)."""
    return head_shape(rig, t)[: 16 * 14 + 1]


def draw_ear(canvas: Canvas, rig: Rig, t: Traits, side: float) -> None:
    """Draw one ear, to be covered by the face."""
    near = side * rig.yaw < 0
    shift = np.array([0.15 * np.sin(rig.yaw) if near else 0.0, 0.0])
    outer = [(-0.50, -0.08), (-0.555, -0.125), (-0.615, -0.10), (-0.632, 0.0), (-0.612, 0.13)]
    outer += [(-0.58, 0.22), (-0.55, 0.275), (-0.515, 0.265), (-0.49, 0.2)]
    shape = spline(rig.page(mirror(outer, side) + shift))
    shade = side == -t.light and t.contrast > 0.2
    canvas.fill(shape, t.skin_shadow if shade else t.skin)
    inner = [(-0.545, -0.055), (-0.585, -0.06), (-0.597, 0.0), (-0.575, 0.11), (-0.548, 0.17)]
    bowl = [(-0.53, 0.02), (-0.56, 0.035), (-0.553, 0.09), (-0.535, 0.12)]
    dark = multiply(t.skin_shadow, (0.86, 0.8, 0.8)) if shade else t.skin_shadow
    well = spline(
        rig.page(mirror(np.vstack([inner, [(-0.51, 0.14), (-0.50, -0.03)]]), side) + shift)
    )
    canvas.fill(well, dark)
    canvas.ink(spline(rig.page(mirror(inner, side) + shift)), 2.0, t.line)
    canvas.ink(spline(rig.page(mirror(bowl, side) + shift)), 1.8, t.line)
    canvas.ink(shape, 3.2, t.line, 0.5, 0.5)
    if t.extra == "earring":
        centre = rig.page(mirror([(-0.548, 0.30)], side) + shift)[0]
        angle = np.linspace(0, 2 * np.pi, 40)
        ring = np.stack([np.cos(angle), np.sin(angle)], 1)
        canvas.fill(centre + ring * 5.2, t.line)
        canvas.fill(centre + ring * 3.6, (236, 200, 110))


def draw_skin(canvas: Canvas, rig: Rig, t: Traits) -> None:
    """Fill the head and paint the cel shadow, blush and forehead light."""
    head = head_shape(rig, t)
    canvas.fill(head, t.skin)
    with canvas.clip(head):
        for s in (-1.0, 1.0):
            spot = rig.page(mirror(np.array([-0.285, 0.19]) + disc(0.10, 0.062), s))
            canvas.fill(spot, t.blush, 0.15 if t.feminine else 0.09, blur=8)
        for s in (-1.0, 1.0):
            depth = t.contrast
            if s == t.light and t.contrast > 0.2:
                depth = -0.5 * t.contrast
            canvas.fill(rig.page(mirror(_side_shadow(t, depth), s)), t.skin_shadow)
            socket = [(-0.075, -0.15), (-0.16, -0.135), (-0.125, -0.085), (-0.10, -0.03)]
            socket += [(-0.052, 0.02), (-0.045, -0.06)]
            if s == -t.light:
                shape = rig.page(mirror(socket, s))
                middle = shape.mean(0)
                shape = middle + (shape - middle) * (0.72 + 0.28 * t.contrast)
                canvas.fill(spline(shape, closed=True), t.skin_shadow)
        lip = [(-0.085, 0.565), (0.0, 0.555), (0.085, 0.565), (0.045, 0.588), (-0.045, 0.588)]
        drop = np.array([0.0, 0.05 * t.mouth_open + 0.012 * (t.lip_full - 1)])
        canvas.fill(spline(rig.page(np.array(lip) + drop), closed=True), t.skin_shadow)


def _side_shadow(t: Traits, depth: float) -> Array:
    """Shadow of the left half in head coordinates: a rim at depth 0, a broad plane at 1."""
    broad = [(-0.40, -0.75), (-0.455, -0.45), (-0.43, -0.22), (-0.42, -0.04), (-0.455, 0.08)]
    broad += [(-0.44, 0.18), (-0.36, 0.34), (-0.30, 0.50), (-0.235, 0.63), (-0.10, 0.735)]
    broad += [(0.06, 0.775), (0.16, 0.82)]
    rim = [(-0.45, -0.78), (-0.515, -0.45), (-0.505, -0.22), (-0.500, -0.04), (-0.507, 0.08)]
    rim += [(-0.497, 0.18), (-0.445, 0.36), (-0.375, 0.52), (-0.285, 0.64), (-0.16, 0.745)]
    rim += [(-0.06, 0.80), (0.0, 0.86)]
    edge = np.array(rim) + (np.array(broad) - np.array(rim)) * depth
    edge[:, 0] *= jaw_points(t)[3, 0] / -0.462
    return np.vstack([spline(edge), [(0.1, 1.2), (-0.95, 1.0), (-0.95, -0.9)]])


def disc(rx: float, ry: float) -> Array:
    """Ellipse outline with half axes ``rx`` and ``ry`` about the origin."""
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    return np.stack([rx * np.cos(angle), ry * np.sin(angle)], 1)


def draw_contour(canvas: Canvas, rig: Rig, t: Traits) -> None:
    """Ink the jaw and, for an uncovered scalp, the skull."""
    canvas.ink(face_line(rig, t), 4.2, t.line, 0.35, 0.35)


def nose_points(t: Traits) -> tuple[Array, Array]:
    """Head positions and dome lifts of landmarks 27..35."""
    n, w = t.nose_length, t.nose_width
    points = [(0, -0.097), (0, 0.009 + n / 3), (0, 0.111 + 2 * n / 3), (0, 0.178 + n)]
    points += [(-0.100 * w, 0.243 + n), (-0.052 * w, 0.268 + n), (0, 0.279 + n)]
    points += [(0.052 * w, 0.268 + n), (0.100 * w, 0.243 + n)]
    lift = np.array([0.0, 0.04, 0.08, 0.12, 0.05, 0.07, 0.08, 0.07, 0.05])
    return np.array(points), lift


def draw_nose(canvas: Canvas, rig: Rig, t: Traits) -> None:
    """Draw the nose: a shadow side, the base line with nostrils, the wings."""
    points, lift = nose_points(t)
    w, n, side = t.nose_width, t.nose_length, -t.light
    shade = [(-0.028, -0.03), (-0.030, 0.10), (-0.020, 0.185 + n), (-0.035, 0.225 + n)]
    shade += [(-0.095 * w, 0.243 + n), (-0.112 * w, 0.205 + n), (-0.075, 0.15 + n), (-0.052, 0.06)]
    lifts = [0.03, 0.08, 0.12, 0.10, 0.05, 0.04, 0.04, 0.03]
    if t.contrast > 0.2:
        canvas.fill(spline(rig.page(mirror(shade, side), lifts), closed=True), t.skin_shadow)
    under = [(-0.085 * w, 0.25 + n), (0, 0.262 + n), (0.085 * w, 0.25 + n), (0.03, 0.298 + n)]
    under += [(-0.03, 0.298 + n)]
    canvas.fill(spline(rig.page(under, 0.06), closed=True), t.skin_shadow)
    base = spline(rig.page(points[4:], lift[4:]))
    canvas.ink(base[8:-7], 2.6, t.line, 0.1, 0.1)
    for s in (-1.0, 1.0):
        hole = [(-0.070 * w, 0.252 + n), (-0.050 * w, 0.244 + n), (-0.026 * w, 0.258 + n)]
        canvas.ink(spline(rig.page(mirror(hole, s), 0.07)), 4.4, t.line)
        wing = [(-0.103 * w, 0.196 + n), (-0.116 * w, 0.225 + n), (-0.100 * w, 0.243 + n)]
        wing += [(-0.080 * w, 0.249 + n)]
        canvas.ink(spline(rig.page(mirror(wing, s), [0.03, 0.04, 0.05, 0.06])), 2.3, t.line, 0, 0.3)
    bridge = [(-0.050, -0.085), (-0.036, -0.01), (-0.034, 0.06)]
    canvas.ink(spline(rig.page(mirror(bridge, side), [0.0, 0.05, 0.08])), 2.0, t.line, 0.2)
    shine = [(0.012, 0.14 + n), (0.018, 0.165 + n), (0.015, 0.185 + n)]
    light = mix(t.skin, (255, 250, 240), 0.55)
    canvas.ink(spline(rig.page(mirror(shine, side), 0.12)), 4.5, light)


def draw_wrinkles(canvas: Canvas, rig: Rig, t: Traits) -> None:
    """Draw the few clean lines of an older face."""
    if t.age < 0.4:
        return
    alpha = min(0.9, 0.2 + 0.7 * t.age)
    for s in (-1.0, 1.0):
        fold = [(-0.130, 0.235), (-0.185, 0.30), (-0.215, 0.36), (-0.228, 0.415)]
        canvas.ink(spline(rig.page(mirror(fold, s))), 2.0, t.line, alpha=alpha)
        cheek = [(-0.30, 0.42), (-0.295, 0.49), (-0.27, 0.55)]
        canvas.ink(spline(rig.page(mirror(cheek, s))), 1.7, t.line, alpha=0.6 * alpha)
    for k, y in enumerate((-0.36, -0.42)):
        brow = [
            (-0.20, y + 0.01),
            (-0.08, y - 0.004),
            (0.06, y + 0.003),
            (0.18 - 0.04 * k, y - 0.004),
        ]
        canvas.ink(spline(rig.page(brow)), 1.7, t.line, alpha=0.6 * alpha)
