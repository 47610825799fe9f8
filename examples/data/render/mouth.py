"""Mouth and beards."""

from __future__ import annotations

import numpy as np

from .canvas import Canvas, Colour, mix, multiply
from .face import disc, head_shape, jaw_points
from .geometry import Array, Rig, mirror, shift, spline
from .traits import Traits


def mouth_points(t: Traits) -> Array:
    """Head positions ``(20, 2)`` of landmarks 48..67."""
    s, o, f = t.smile, t.mouth_open, t.lip_full
    half = 0.180 * t.mouth_width * (1 + 0.12 * s + 0.06 * o)
    y, up = 0.437, -0.034 * s + 0.002
    dip = 0.014 * s * (1 - o) - 0.004 * o
    thin = 1 - 0.22 * s * (0.5 + 0.5 * o)
    gap = 0.088 * o
    top, low = 0.040 * f * thin, 0.066 * f * thin
    upper_in = [(-0.27, y + 0.5 * dip - 0.2 * gap * 0.2), (0.0, y + dip)]
    a, b = upper_in[0][1], upper_in[1][1]
    outer = [
        (-1.0, y + up), (-0.60, a - 0.80 * top + 0.30 * up), (-0.24, b - 1.15 * top),
        (0.0, b - 0.92 * top), (0.24, b - 1.15 * top), (0.60, a - 0.80 * top + 0.30 * up),
        (1.0, y + up), (0.58, b + gap * 0.82 + 0.72 * low + 0.18 * up),
            (0.28, b + gap + 0.97 * low),
        (0.0, b + gap + low), (-0.28, b + gap + 0.97 * low),
        (-0.58, b + gap * 0.82 + 0.72 * low + 0.18 * up),
    ]  # fmt: skip
    bend = 0.20 * up
    inner = [
        (-0.94, y + 0.94 * up), (-0.34, b + bend), (0.0, b), (0.34, b + bend),
            (0.94, y + 0.94 * up),
        (0.34, b + bend + gap * 0.93 + 0.002), (0.0, b + gap + 0.002),
        (-0.34, b + bend + gap * 0.93 + 0.002),
    ]  # fmt: skip
    p = np.array(outer + inner, float)
    p[:, 0] *= half
    return p


def draw_mouth(canvas: Canvas, rig: Rig, t: Traits) -> None:
    """Draw lips, mouth opening with teeth, and the ink lines."""
    p = rig.page(mouth_points(t), 0.02)
    outer_up, outer_low = spline(p[:7]), spline(np.vstack([p[6:12], p[:1]]))
    inner_up, inner_low = spline(p[12:17]), spline(np.vstack([p[16:20], p[12:13]]))
    closed = t.mouth_open < 0.05
    strength = 1.0 if t.feminine else 0.75
    upper = np.vstack([outer_up, p[16:17], inner_up[::-1]])
    lower = np.vstack([inner_low[::-1], outer_low])
    canvas.fill(np.vstack([inner_low, outer_low[::-1]]), t.lip, strength)
    canvas.fill(upper, multiply(t.lip, (0.86, 0.76, 0.78)), strength)
    if t.feminine:
        with canvas.clip(np.vstack([lower])):
            glow = mix(t.lip, (255, 244, 238), 0.5)
            at = shift(p[18], 5.0 * t.light, 6.0)
            canvas.fill(at + disc(11, 2.4), glow, 0.8)
    if not closed:
        hole = np.vstack([inner_up, inner_low])
        canvas.fill(hole, (112, 40, 44))
        if t.mouth_open > 0.3:
            with canvas.clip(hole):
                tongue = shift(p[18], 0, 5.0) + disc(22 * t.mouth_width, 7)
                canvas.fill(tongue, (206, 104, 100))
                drop = (p[18, 1] - p[14, 1]) * 0.60
                teeth = np.vstack([shift(inner_up, 0, -3), (shift(inner_up, 0, drop))[::-1]])
                canvas.fill(teeth, (252, 250, 246))
        else:
            with canvas.clip(hole):
                canvas.fill(
                    np.vstack([shift(inner_up, 0, -3), (shift(inner_up, 0, 4))[::-1]]),
                    (244, 238, 232),
                )
    line = mix(t.line, (60, 20, 24), 0.4)
    canvas.ink(inner_up, 3.2 if closed else 2.8, line, 0.35, 0.35)
    if not closed:
        canvas.ink(inner_low, 2.0, line, 0.1, 0.1)
    for k, s in ((0, -1.0), (6, 1.0)):
        tick = p[k] + np.array([(-2.0 * s, 0.5), (1.5 * s, -0.4), (4.0 * s, 1.6 - 4 * t.smile)])
        canvas.ink(spline(tick), 2.5, line, 0.5)
        if t.smile > 0.5:
            fold = np.array([(0.150, 0.275), (0.205, 0.33), (0.238, 0.395), (0.24, 0.43)])
            fold[:, 0] = 0.02 + fold[:, 0] * (0.95 + 0.1 * t.smile)
            ink = spline(rig.page(fold * (s, 1.0)))
            canvas.ink(ink[20:] if t.age < 0.4 else ink, 1.7, t.line, alpha=0.7 * t.smile)
    canvas.ink(spline(p[7:12])[12:-12], 2.0, t.line, alpha=0.8)
    canvas.ink(outer_up[18:-18], 1.5, t.line, alpha=0.55 if t.feminine else 0.35)


def _beard_area(rig: Rig, t: Traits, grow: float) -> Array:
    jaw = jaw_points(t)
    low = np.clip((jaw[:, 1] - 0.2) / 0.4, 0, 1)
    jaw *= (1 + 0.015 * grow * low)[:, None]
    jaw[:, 1] += 0.03 * grow * low
    inner = [
        (0.512, -0.12),
        (0.485, 0.08),
        (0.45, 0.25),
        (0.36, 0.37),
        (0.235, 0.375),
        (0.11, 0.325),
        (0.0, 0.318),
    ]
    edge = np.array(inner + [(-x, y) for x, y in reversed(inner[:-1])])
    return np.vstack([spline(rig.page(jaw)), spline(rig.page(edge))])


def draw_beard(canvas: Canvas, rig: Rig, t: Traits) -> None:
    """Draw facial hair as flat shapes; to be called before the mouth."""
    if t.beard == "none":
        return
    colour: Colour = mix(t.hair_shadow, t.hair, 0.45)
    p = mouth_points(t)
    if t.beard == "stubble":
        grain = multiply(t.hair_shadow, (0.6, 0.6, 0.62))
        with canvas.clip(head_shape(rig, t)):
            canvas.fill(_beard_area(rig, t, 0.0), mix(t.skin_shadow, grain, 0.45), 0.45, 0.8)
        return
    lip = np.vstack([p[:7], p[7:12]]) * (1.03, 1.0)
    hole = spline(rig.page(lip, 0.02), closed=True)
    if t.beard == "full":
        area = _beard_area(rig, t, 1.0)
        with canvas.clip(hole, outside=True):
            canvas.fill(area, colour)
            with canvas.clip(area):
                side = -t.light
                dark = mirror(
                    [(-0.60, 0.0), (-0.40, 0.35), (-0.27, 0.60), (0.0, 0.76), (0.2, 0.9)], side
                )
                far = rig.page(mirror([(0.2, 1.1), (-0.9, 1.1), (-0.9, 0.0)], side))
                canvas.fill(np.vstack([spline(rig.page(dark)), far]), t.hair_shadow)
                for x in (-0.30, -0.18, -0.06, 0.08, 0.2, 0.31):
                    lock = [(x * 0.9, 0.60), (x * 0.86, 0.68), (x * 0.74, 0.77)]
                    canvas.ink(spline(rig.page(lock)), 1.8, t.hair_line, alpha=0.6)
        canvas.ink(area[: 16 * 14 + 1], 4.0, t.hair_line, 0.3, 0.3)
        return
    m = [(0.0, 0.318), (0.08, 0.312), (0.16, 0.345), (0.205, 0.425), (0.185, 0.445), (0.12, 0.405)]
    m += [(0.05, 0.388), (0.0, 0.392)]
    whole = np.array(m + [(-x, y) for x, y in reversed(m[1:-1])])
    with canvas.clip(hole, outside=True):
        canvas.fill(spline(rig.page(whole, 0.02), closed=True), colour)
        if t.beard == "goatee":
            drop = 0.088 * t.mouth_open
            g = [(-0.10, 0.56), (0.0, 0.545), (0.10, 0.56), (0.13, 0.68), (0.09, 0.79), (0.0, 0.83)]
            g += [(-0.09, 0.79), (-0.13, 0.68)]
            chin = spline(rig.page(shift(g, 0, drop * 0.6)), closed=True)
            canvas.fill(chin, colour)
