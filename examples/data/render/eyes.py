"""Eyes, brows and glasses."""

from __future__ import annotations

import numpy as np

from .canvas import Canvas, Colour, mix, multiply
from .geometry import Array, Rig, mirror, ribbon, shift, spline
from .traits import Traits

EYE_CENTRE = (-0.228, -0.060)


def _lids(t: Traits) -> tuple[Array, Array]:
    """Upper lid (outer to inner, 4 points) and lower lid (inner to outer) of the left-hand eye."""
    w, h = 0.104 * (0.55 + 0.45 * t.eye_size), t.eye_size * (1.0 - 0.10 * t.age) * t.eye_open
    squint = 1.0 - 0.14 * t.smile * (1 if t.mouth_open > 0.3 else 0.6)
    cx, cy = EYE_CENTRE
    up = 0.049 * h * (0.55 + 0.45 * squint)
    low = 0.037 * h * squint
    outer = (cx - w, cy + 0.004 - t.eye_tilt)
    inner = (cx + w, cy + 0.014)
    upper = np.array([outer, (cx - 0.55 * w, cy - up), (cx + 0.2 * w, cy - up * 1.08), inner])
    lower = np.array([inner, (cx + 0.28 * w, cy + low), (cx - 0.42 * w, cy + low * 1.02), outer])
    return upper, lower


def eye_landmarks(t: Traits) -> Array:
    """Head positions ``(12, 2)`` of landmarks 36..47."""
    upper, lower = _lids(t)
    left = np.vstack([upper, lower[1:3]])
    return np.vstack([left, mirror(left, 1.0)[[3, 2, 1, 0, 5, 4]]])


def _iris(canvas: Canvas, centre: Array, radius: float, t: Traits) -> None:
    angle = np.linspace(0, 2 * np.pi, 60)
    ring = np.stack([np.cos(angle), np.sin(angle)], 1)

    def disc(r: float, dx: float = 0.0, dy: float = 0.0, sy: float = 1.0) -> Array:
        out: Array = centre + (dx * radius, dy * radius) + ring * (r * radius, r * radius * sy)
        return out

    rim = mix(multiply(t.iris, (0.34, 0.32, 0.36)), (34, 20, 24), 0.4)
    canvas.fill(disc(1.0), rim)
    top, bottom = multiply(t.iris, (0.62, 0.58, 0.58)), mix(t.iris, (255, 214, 150), 0.18)
    high, low = shift(centre, 0, -0.7 * radius), shift(centre, 0, 0.8 * radius)
    canvas.gradient(disc(0.86), top, bottom, high, low)
    with canvas.clip(disc(0.86)):
        canvas.fill(
            disc(0.62, 0, 0.52, 0.55),
            mix(multiply(t.iris, (1.35, 1.3, 1.25)), (255, 226, 170), 0.28),
            0.85,
        )
    canvas.fill(disc(0.42), (26, 16, 20))
    canvas.fill(disc(0.27, 0.32 * t.light, -0.36), (255, 255, 255))
    canvas.fill(disc(0.12, -0.36 * t.light, 0.38), (255, 255, 255), 0.9)


def draw_eye(canvas: Canvas, rig: Rig, t: Traits, side: float) -> None:
    """Draw one eye; ``side`` is -1 for the viewer's left and +1 for the right."""
    upper_h, lower_h = _lids(t)
    upper = spline(rig.page(mirror(upper_h, side)))
    lower = spline(rig.page(mirror(lower_h, side)))
    shape = np.vstack([upper, lower])
    unit = rig.scale
    middle = (upper_h[1] + upper_h[2] + lower_h[1] + lower_h[2]) / 4
    white = mix((250, 249, 248), t.skin, 0.08)
    canvas.fill(shape, white)
    with canvas.clip(shape):
        gaze = np.array([t.gaze[0] + 0.02 * np.sign(t.yaw) * abs(t.yaw), t.gaze[1]]) * 0.3
        at = mirror(middle, side) + gaze + (-0.006 * side, -0.001)
        radius = 256 * unit * 0.059 * (0.6 + 0.4 * t.eye_size)
        _iris(canvas, rig.page(at)[0], radius, t)
        drop = np.vstack([shift(upper, 0, -12), shift(upper, 0, 4.6 * unit)[::-1]])
        canvas.fill(drop, (84, 66, 92), 0.34)
    lash: Colour = mix(t.line, (28, 18, 22), 0.75)
    weight = 5.4 if t.feminine else 4.5
    wing = np.array([[-0.017, -0.014 if t.feminine else -0.001]])
    lid = spline(rig.page(mirror(np.vstack([upper_h[:1] + wing, upper_h[1:]]), side)))
    if not t.feminine:
        lid = upper
    widths = np.array([0.35, 1.0, 0.95, 0.8, 0.62, 0.3]) * weight * unit
    canvas.fill(ribbon(lid - (0, 0.22 * weight), widths), lash)
    lower_line = rig.page(mirror(spline(lower_h)[14:], side))
    canvas.ink(lower_line, 1.7, mix(t.line, t.skin_shadow, 0.2), 0.1, 0.7)
    if t.lid_fold > 0:
        rise = np.array([(-0.004, -0.020), (0.004, -0.024), (0.0, -0.024), (-0.030, -0.022)])
        crease = spline(rig.page(mirror(upper_h + rise * (0.8 + 0.4 * t.lid_fold), side)))
        canvas.ink(crease[3:], 1.8, t.line, 0.2, 0.0, 0.85)
    if t.age > 0.45:
        bag = [(-0.295, 0.012), (-0.235, 0.032), (-0.165, 0.022)]
        canvas.ink(spline(rig.page(mirror(bag, side))), 1.5, t.line, alpha=0.25 + 0.4 * t.age)
        for dy in (0.0, 0.026):
            foot = [
                (-0.362, -0.055 + dy * 1.3),
                (-0.385, -0.050 + dy * 1.8),
                (-0.408, -0.04 + 2 * dy),
            ]
            canvas.ink(spline(rig.page(mirror(foot, side))), 1.4, t.line, alpha=0.7 * t.age)


def _brow(t: Traits) -> Array:
    lift, arch = -t.brow_lift - 0.01 * t.smile, t.brow_arch
    return np.array(
        [
            (-0.116, -0.203 + lift),
            (-0.200, -0.214 + lift - 0.5 * arch),
            (-0.285, -0.215 + lift - arch),
            (-0.362, -0.199 + lift - 0.7 * arch),
            (-0.430, -0.158 + lift),
        ]
    )


def _brow_shape(rig: Rig, t: Traits, side: float) -> Array:
    """Page polygon ``(120, 2)`` of a brow from the inner end; one long edge, then the other."""
    line = spline(rig.page(mirror(_brow(t), side)))
    widths = np.array([0.62, 0.95, 1.0, 0.92, 0.72, 0.42, 0.05]) * t.brow_weight * 256 * rig.scale
    return ribbon(line, widths)


def brow_landmarks(rig: Rig, t: Traits) -> Array:
    """Page positions ``(10, 2)`` of landmarks 17..26: five along each brow's upper edge."""
    points = []
    for side in (-1.0, 1.0):
        shape = _brow_shape(rig, t, side)
        one, other = shape[:60], shape[60:][::-1]
        upper = one if one[30, 1] < other[30, 1] else other
        picked = upper[[1, 15, 30, 44, 58]]
        points.append(picked[::-1] if side < 0 else picked)
    return np.vstack(points)


def draw_brow(canvas: Canvas, rig: Rig, t: Traits, side: float) -> None:
    """Draw one brow as a tapered flat shape."""
    canvas.fill(_brow_shape(rig, t, side), t.brow)


def draw_glasses(canvas: Canvas, rig: Rig, t: Traits) -> None:
    """Draw spectacles around the eyes."""
    frame: Colour = (46, 38, 42) if t.glasses != "thin" else (92, 66, 52)
    weight = {"round": 4.2, "square": 6.0, "thin": 3.0}[t.glasses]
    power = {"round": 2.0, "square": 3.6, "thin": 2.6}[t.glasses]
    size = {"round": (0.158, 0.142), "square": (0.172, 0.118), "thin": (0.165, 0.122)}[t.glasses]
    angle = np.linspace(0, 2 * np.pi, 80, endpoint=False)
    c, s = np.cos(angle), np.sin(angle)
    ring = np.stack(
        [np.sign(c) * np.abs(c) ** (2 / power), np.sign(s) * np.abs(s) ** (2 / power)], 1
    )
    for side in (-1.0, 1.0):
        lens = rig.page(mirror(np.array([-0.236, -0.035]) + ring * size, side), 0.05)
        with canvas.clip(lens):
            canvas.fill(lens, (236, 244, 255), 0.07)
            lo, hi = lens.min(0), lens.max(0)
            glint = np.array([(0.10, 0.0), (0.3, 0.0), (0.12, 1.0), (-0.08, 1.0)]) * (hi - lo) + lo
            canvas.fill(glint, (255, 255, 255), 0.22)
        canvas.outline(lens, weight, frame)
        arm = rig.page(mirror([(-0.40, -0.07), (-0.47, -0.08), (-0.55, -0.075)], side), 0.02)
        canvas.ink(spline(arm), weight, frame, 1.0, 0.8)
    bridge = [(-0.080, -0.055), (0.0, -0.078), (0.080, -0.055)]
    canvas.ink(spline(rig.page(bridge, 0.06)), weight, frame, 1.0, 1.0)
