"""Neck, clothes, hats and head scarves."""

from __future__ import annotations

import numpy as np

from .canvas import Canvas, mix, multiply
from .face import jaw_points
from .geometry import Array, Rig, mirror, shift, spline
from .traits import Traits


def _neck(rig: Rig, t: Traits) -> Array:
    w = 0.315 if t.feminine else 0.395 + 0.02 * t.jaw
    left = [(-w + 0.04, 0.40), (-w, 0.62), (-w - 0.005, 0.80), (-w - 0.07, 0.92), (-w - 0.36, 1.04)]
    left += [(-1.15, 1.16), (-1.15, 1.4)]
    points = np.array(left + [(-x, y) for x, y in reversed(left)])
    points[:, 0] += 0.22 * np.sin(rig.yaw) * np.clip((0.95 - points[:, 1]) / 0.5, 0, 1)
    return points


def draw_neck(canvas: Canvas, rig: Rig, t: Traits) -> None:
    """Draw neck and shoulders with the shadow of the jaw."""
    points = _neck(rig, t)
    shape = rig.flat(np.vstack([spline(points[:6]), spline(points[8:])]))
    canvas.fill(shape, t.skin)
    with canvas.clip(shape):
        jaw = shift(rig.page(spline(jaw_points(t))), -9.0 * t.light * t.contrast, 30.0)
        canvas.fill(jaw, t.skin_shadow)
        side = -t.light
        band = mirror([(-0.9, 0.4), (-0.20, 0.4), (-0.23, 0.85), (-0.42, 1.2), (-0.9, 1.2)], side)
        if t.contrast > 0.2:
            canvas.fill(rig.flat(band), t.skin_shadow)
    for s in (-1.0, 1.0):
        cord = [(-0.22, 0.86), (-0.14, 0.98), (-0.06, 1.06)]
        canvas.ink(spline(rig.flat(mirror(cord, s))), 2.0, t.line, alpha=0.5)
        edge = rig.flat(spline(points[:6] if s < 0 else points[:-7:-1]))
        canvas.ink(edge, 3.6, t.line, 0.6, 0.6)


def draw_clothes(canvas: Canvas, rig: Rig, t: Traits) -> None:
    """Draw the collar and shoulders of the garment."""
    w = 0.315 if t.feminine else 0.395
    kind, base = t.cloth_kind, t.cloth
    dark = multiply(base, (0.78, 0.76, 0.80))
    line = mix(multiply(base, (0.4, 0.38, 0.4)), t.line, 0.4)
    dip = {"tee": 1.0, "vneck": 1.12, "shirt": 1.02, "hoodie": 1.0, "turtleneck": 0.76}.get(
        kind, 0.98
    )
    rise = {"turtleneck": 0.70, "hoodie": 0.86, "shirt": 0.86}.get(kind, 0.93)
    neckline = [(-w - 0.09, rise), (-0.5 * w, (rise + dip) / 2 + 0.03), (0.0, dip)]
    if kind == "vneck":
        neckline = [(-w - 0.12, rise), (-0.55 * w, rise + 0.1), (0.0, dip)]
    if kind == "turtleneck":
        neckline = [(-w - 0.015, rise), (-0.5 * w, rise + 0.05), (0.0, rise + 0.065)]
    shoulder = [(-1.2, 1.5), (-1.2, 1.10), (-w - 0.42, 1.005), (-w - 0.16, rise + 0.02)]
    if kind == "turtleneck":
        shoulder[2:] = [(-w - 0.36, 1.0), (-w - 0.06, 0.90)]
    left = spline(np.array(shoulder[1:] + neckline[:1]))
    low = spline(np.array(neckline + [(-x, y) for x, y in reversed(neckline[:-1])]))
    outline = np.vstack([left, low, left[::-1] * (-1, 1)])
    body = rig.flat(np.vstack([outline, [(1.3, 1.6), (-1.3, 1.6)]]))
    canvas.fill(body, base)
    side = -t.light
    with canvas.clip(body):
        shade = mirror([(-1.3, 0.5), (-0.50, 0.5), (-0.46, 0.9), (-0.72, 1.4), (-1.3, 1.4)], side)
        canvas.fill(rig.flat(spline(shade)), dark)
    canvas.ink(rig.flat(outline), 3.8, line, 0.8, 0.8)
    rim = rig.flat(shift(low, 0, 0.045))
    if kind in ("tee", "sweater", "vneck"):
        canvas.ink(rim, 2.2, line, 0.6, 0.6)
    for s in (-1.0, 1.0):
        if kind in ("shirt", "jacket"):
            flap = [
                (-w - 0.11, rise - 0.03),
                (-0.20, 0.97),
                (-0.02, 1.04),
                (-0.16, 1.17),
                (-0.42, 1.12),
            ]
            flap += [(-w - 0.17, 0.98)]
            shape = rig.flat(mirror(flap, s))
            canvas.fill(shape, dark if s == side else mix(base, (255, 255, 255), 0.18))
            canvas.ink(np.vstack([shape, shape[:1]]), 3.2, line, 0.8, 0.8)
        if kind == "hoodie":
            hood = [
                (-w - 0.07, 0.80),
                (-w - 0.19, 0.82),
                (-w - 0.24, 0.93),
                (-0.30, 1.08),
                (-0.02, 1.14),
            ]
            hood += [(-0.10, 1.03), (-0.26, 0.97), (-w - 0.02, 0.88)]
            shape = spline(rig.flat(mirror(hood, s)), closed=True)
            canvas.fill(shape, dark if s == side else base)
            canvas.ink(np.vstack([shape, shape[:1]]), 3.2, line, 0.8, 0.8)
    if kind == "turtleneck":
        for y in (0.05, 0.10):
            fold = rig.flat(shift(low * (1.01, 1.0), 0, y))
            canvas.ink(fold, 2.0, line, alpha=0.6)


def draw_hat(canvas: Canvas, rig: Rig, t: Traits) -> None:
    """Draw a beanie or a headband over the hair."""
    base = t.cloth if sum(t.cloth) < 640 else (176, 86, 78)
    dark = multiply(base, (0.76, 0.74, 0.78))
    line = mix(multiply(base, (0.35, 0.33, 0.36)), t.line, 0.4)
    if t.extra == "headband":
        arc = [(-0.60, -0.40), (-0.50, -0.62), (-0.28, -0.77), (0.0, -0.81)]
        upper = np.array(arc + [(-x, y) for x, y in reversed(arc[:-1])])
        lower = upper * (0.985, 1.0) + (0, 0.10)
        shape = np.vstack([spline(rig.page(upper)), spline(rig.page(lower))[::-1]])
        canvas.fill(shape, base)
        with canvas.clip(shape):
            canvas.fill(shift(shape, 0, 15), dark)
        canvas.outline(shape, 2.8, line)
        return
    rim = [(-0.60, -0.30), (-0.45, -0.37), (-0.22, -0.42), (0.0, -0.43)]
    low = np.array(rim + [(-x, y) for x, y in reversed(rim[:-1])])
    dome = [(-0.63, -0.48), (-0.62, -0.70), (-0.50, -0.95), (-0.26, -1.09), (0.0, -1.12)]
    top = np.array(dome + [(-x, y) for x, y in reversed(dome[:-1])])
    crown = np.vstack([spline(rig.page(top)), spline(rig.page(low))[::-1]])
    canvas.fill(crown, base)
    side = -t.light
    with canvas.clip(crown):
        shade = mirror(
            [(-0.9, -1.2), (-0.25, -1.2), (-0.36, -0.9), (-0.38, -0.3), (-0.9, -0.2)], side
        )
        canvas.fill(spline(rig.page(shade), closed=True), dark)
    canvas.outline(crown, 3.4, line)
    high = low * (1.02, 1.0) - (0, 0.17)
    cuff = np.vstack([spline(rig.page(high)), spline(rig.page(low))[::-1]])
    canvas.fill(cuff, mix(base, (255, 255, 255), 0.12))
    for x in np.linspace(-0.52, 0.52, 14):
        y = -0.43 + 0.13 * (x / 0.6) ** 2
        canvas.ink(rig.page(np.linspace((x, y - 0.14), (x, y - 0.03), 8)), 2.0, line, alpha=0.5)
    canvas.outline(cuff, 3.0, line)


def draw_scarf(canvas: Canvas, rig: Rig, t: Traits) -> None:
    """Draw a head scarf that frames the face and covers hair, ears and neck."""
    base = t.cloth if sum(t.cloth) > 300 else (150, 120, 160)
    dark, line = (
        multiply(base, (0.78, 0.76, 0.80)),
        mix(multiply(base, (0.36, 0.34, 0.36)), t.line, 0.4),
    )
    half = [(-0.86, 1.3), (-0.66, 0.92), (-0.60, 0.55), (-0.635, 0.1), (-0.62, -0.35)]
    half += [(-0.50, -0.74), (-0.26, -0.93), (0.0, -0.965)]
    brow = [(0.47, -0.33), (0.29, -0.53), (0.0, -0.585), (-0.29, -0.53), (-0.47, -0.33)]
    hole = np.vstack([jaw_points(t) * (0.955, 0.985), brow])
    outer = np.array(half + [(-x, y) for x, y in reversed(half[:-1])])
    shape, opening = spline(rig.page(outer)), spline(rig.page(hole), closed=True)
    with canvas.clip(opening, outside=True):
        canvas.fill(shape, base)
        with canvas.clip(shape):
            canvas.fill(shift(opening, -6.0 * t.light, 26.0), dark)
            side = -t.light
            edge = [
                (-0.50, -1.0),
                (-0.55, -0.4),
                (-0.53, 0.1),
                (-0.50, 0.5),
                (-0.40, 0.8),
                (-0.5, 1.3),
            ]
            far = [(-1.2, 1.3), (-1.2, -1.0)]
            canvas.fill(rig.page(np.vstack([spline(mirror(edge, side)), mirror(far, side)])), dark)
            folds = [[(-0.40, 0.62), (-0.24, 0.84), (0.05, 0.94), (0.34, 0.88)]]
            folds += [[(0.46, 0.52), (0.36, 0.76), (0.12, 0.98), (-0.30, 1.1)]]
            folds += [[(-0.10, -0.93), (-0.33, -0.70), (-0.50, -0.35), (-0.55, 0.0)]]
            folds += [[(0.20, -0.90), (0.42, -0.62), (0.53, -0.25), (0.55, 0.2)]]
            for fold in folds:
                canvas.ink(spline(rig.page(fold)), 2.4, line, alpha=0.7)
        canvas.ink(shape, 3.6, line, 0.6, 0.6)
    canvas.outline(opening, 3.0, line)
