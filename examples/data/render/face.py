"""Head, ears, nose, mouth, wrinkles and beards."""

from __future__ import annotations

import numpy as np

from .canvas import Canvas, Colour, mix, multiply
from .geometry import JAW, Array, Rig, mirror, spline
from .traits import Traits

SKULL = np.array(
    [(0.546, -0.30), (0.522, -0.52), (0.43, -0.725), (0.245, -0.862), (0.0, -0.895)]
    + [(-0.245, -0.862), (-0.43, -0.725), (-0.522, -0.52), (-0.546, -0.30)]
)


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
    shade = side == -t.light
    canvas.fill(shape, t.skin_shadow if shade else t.skin)
    inner = [(-0.545, -0.055), (-0.585, -0.06), (-0.597, 0.0), (-0.575, 0.11), (-0.548, 0.17)]
    bowl = [(-0.53, 0.02), (-0.56, 0.035), (-0.553, 0.09), (-0.535, 0.12)]
    dark = multiply(t.skin_shadow, (0.86, 0.8, 0.8)) if shade else t.skin_shadow
    well = spline(rig.page(mirror(np.vstack([inner, [(-0.51, 0.14), (-0.50, -0.03)]]), side) + shift))
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
    side = -t.light
    with canvas.clip(head):
        for s in (-1.0, 1.0):
            spot = rig.page(mirror(np.array([-0.285, 0.19]) + _disc(0.10, 0.062), s))
            canvas.fill(spot, t.blush, 0.20 if t.feminine else 0.12, blur=8)
        edge = [(-0.40, -0.75), (-0.455, -0.45), (-0.43, -0.22), (-0.42, -0.04), (-0.455, 0.08)]
        edge += [(-0.44, 0.18), (-0.36, 0.34), (-0.30, 0.50), (-0.235, 0.63), (-0.10, 0.735)]
        edge += [(0.06, 0.775), (0.16, 0.82)]
        curve = spline(rig.page(mirror(edge, side)))
        outside = rig.page(mirror([(0.1, 1.2), (-0.95, 1.0), (-0.95, -0.9)], side))
        canvas.fill(np.vstack([curve, outside]), t.skin_shadow)
        socket = [(-0.075, -0.15), (-0.16, -0.135), (-0.125, -0.085), (-0.10, -0.03), (-0.052, 0.02)]
        socket += [(-0.045, -0.06)]
        canvas.fill(spline(rig.page(mirror(socket, side)), closed=True), t.skin_shadow)
        lip = [(-0.085, 0.565), (0.0, 0.555), (0.085, 0.565), (0.045, 0.588), (-0.045, 0.588)]
        drop = np.array([0.0, 0.05 * t.mouth_open + 0.012 * (t.lip_full - 1)])
        canvas.fill(spline(rig.page(np.array(lip) + drop), closed=True), t.skin_shadow)


def _disc(rx: float, ry: float) -> Array:
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
        (1.0, y + up), (0.58, b + gap * 0.82 + 0.72 * low + 0.18 * up), (0.28, b + gap + 0.97 * low),
        (0.0, b + gap + low), (-0.28, b + gap + 0.97 * low),
        (-0.58, b + gap * 0.82 + 0.72 * low + 0.18 * up),
    ]  # fmt: skip
    bend = 0.20 * up
    inner = [
        (-0.94, y + 0.94 * up), (-0.34, b + bend), (0.0, b), (0.34, b + bend), (0.94, y + 0.94 * up),
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
            at = (p[66] if len(p) > 66 else p[18]) + (5.0 * t.light, 6.0)
            canvas.fill(at + _disc(11, 2.4), glow, 0.8)
    if not closed:
        hole = np.vstack([inner_up, inner_low])
        canvas.fill(hole, (112, 40, 44))
        if t.mouth_open > 0.3:
            with canvas.clip(hole):
                tongue = p[18] + (0, 5.0) + _disc(22 * t.mouth_width, 7)
                canvas.fill(tongue, (206, 104, 100))
                drop = (p[18, 1] - p[14, 1]) * 0.60
                teeth = np.vstack([inner_up - (0, 3), (inner_up + (0, drop))[::-1]])
                canvas.fill(teeth, (252, 250, 246))
        else:
            with canvas.clip(hole):
                canvas.fill(np.vstack([inner_up - (0, 3), (inner_up + (0, 4))[::-1]]), (244, 238, 232))
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
        brow = [(-0.20, y + 0.01), (-0.08, y - 0.004), (0.06, y + 0.003), (0.18 - 0.04 * k, y - 0.004)]
        canvas.ink(spline(rig.page(brow)), 1.7, t.line, alpha=0.6 * alpha)


def _beard_area(rig: Rig, t: Traits, grow: float) -> Array:
    jaw = jaw_points(t)
    low = np.clip((jaw[:, 1] - 0.2) / 0.4, 0, 1)
    jaw *= (1 + 0.015 * grow * low)[:, None]
    jaw[:, 1] += 0.03 * grow * low
    inner = [(0.512, -0.12), (0.485, 0.08), (0.45, 0.25), (0.36, 0.37), (0.235, 0.375), (0.11, 0.325), (0.0, 0.318)]
    edge = np.array(inner + [(-x, y) for x, y in reversed(inner[:-1])])
    return np.vstack([spline(rig.page(jaw)), spline(rig.page(edge))])


def draw_beard(canvas: Canvas, rig: Rig, t: Traits) -> None:
    """Draw facial hair as flat shapes; to be called before the mouth."""
    if t.beard == "none":
        return
    colour: Colour = mix(t.hair_shadow, t.hair, 0.45)
    p = mouth_points(t)
    if t.beard == "stubble":
        with canvas.clip(head_shape(rig, t)):
            canvas.fill(_beard_area(rig, t, 0.0), mix(t.skin_shadow, t.hair_shadow, 0.45), 0.45, 0.8)
        return
    lip = np.vstack([p[48 - 48 : 7], p[7:12]]) * (1.03, 1.0) + (0, 0.004)
    hole = spline(rig.page(lip, 0.02), closed=True)
    if t.beard == "full":
        area = _beard_area(rig, t, 1.0)
        with canvas.clip(hole, outside=True):
            canvas.fill(area, colour)
            with canvas.clip(area):
                side = -t.light
                dark = mirror([(-0.60, 0.0), (-0.40, 0.35), (-0.27, 0.60), (0.0, 0.76), (0.2, 0.9)], side)
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
            chin = spline(rig.page(np.array(g) + (0, drop * 0.6)), closed=True)
            canvas.fill(chin, colour)
