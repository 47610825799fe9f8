"""Backgrounds, neck and clothes, hats."""

from __future__ import annotations

import numpy as np

from .canvas import Canvas, Colour, mix, multiply
from .face import jaw_points
from .geometry import PAGE, Array, Rig, blob, mirror, spline
from .traits import Traits

_FULL = np.array([(0, 0), (PAGE, 0), (PAGE, PAGE), (0, PAGE)], float)
NEUTRALS: tuple[Colour, ...] = (
    (244, 244, 243), (232, 234, 236), (214, 218, 222), (222, 216, 208), (198, 206, 216),
    (238, 232, 224), (180, 186, 192), (226, 232, 238),
)  # fmt: skip
PASTELS: tuple[Colour, ...] = (
    (206, 222, 232), (226, 206, 196), (208, 220, 200), (234, 220, 186), (212, 204, 222),
    (168, 192, 204), (222, 190, 182), (186, 204, 182), (128, 148, 168), (150, 132, 130),
)  # fmt: skip


def _rect(x0: float, y0: float, x1: float, y1: float) -> Array:
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], float)


def draw_background(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paint a quiet background: mostly flat or two-tone, at times simple painted shapes."""
    kind = rng.choice(["neutral", "pastel", "scene"], p=[0.46, 0.30, 0.24])
    pool = PASTELS if kind == "pastel" else NEUTRALS
    base = pool[int(rng.integers(0, len(pool)))]
    low = multiply(base, (0.93, 0.93, 0.95))
    angle = rng.uniform(0.3, 2.8)
    reach = np.array([np.cos(angle), np.sin(angle)]) * 300
    middle = np.array([256.0, 256.0])
    canvas.gradient(_FULL, mix(base, (255, 255, 255), 0.12), low, middle - reach, middle + reach)
    if kind != "scene":
        if rng.random() < 0.3:
            x = rng.uniform(60, 450)
            slope = rng.uniform(-120, 120)
            half = np.array([(x, 0), (PAGE, 0), (PAGE, PAGE), (x + slope, PAGE)])
            canvas.fill(half, multiply(base, (0.95, 0.95, 0.965)))
        return
    _SCENES[int(rng.integers(0, len(_SCENES)))](canvas, rng)


def _sky(canvas: Canvas, rng: np.random.Generator) -> None:
    top, low = (132, 180, 216), (206, 228, 236)
    canvas.gradient(_FULL, top, low, np.array([0.0, 0.0]), np.array([0.0, PAGE]))
    for _ in range(4):
        centre = rng.uniform((0, 40), (512, 420))
        cloud = blob(rng, centre, rng.uniform(34, 60), 8)
        cloud = (cloud - centre) * (1.9, 0.75) + centre
        canvas.fill(cloud + (0, 9), (214, 226, 236))
        canvas.fill(cloud, (248, 250, 250))


def _foliage(canvas: Canvas, rng: np.random.Generator) -> None:
    canvas.fill(_FULL, (206, 222, 190))
    for tone in ((176, 202, 158), (148, 182, 138), (122, 160, 122)):
        for _ in range(7):
            x = rng.choice([rng.uniform(-20, 150), rng.uniform(362, 532)])
            canvas.fill(blob(rng, (x, rng.uniform(0, 540)), rng.uniform(30, 62), 9), tone)


def _window(canvas: Canvas, rng: np.random.Generator) -> None:
    wall: Colour = (214, 204, 196) if rng.random() < 0.5 else (176, 184, 196)
    canvas.fill(_FULL, wall)
    x = float(rng.choice([-60, 320]))
    canvas.fill(_rect(x - 14, 26, x + 244, 374), multiply(wall, (0.82, 0.8, 0.8)))
    canvas.fill(_rect(x, 40, x + 230, 360), (234, 242, 244))
    canvas.fill(_rect(x, 240, x + 230, 360), (206, 224, 214))
    canvas.fill(_rect(x + 110, 40, x + 120, 360), multiply(wall, (0.82, 0.8, 0.8)))
    canvas.fill(_rect(x, 200, x + 230, 208), multiply(wall, (0.82, 0.8, 0.8)))


def _shelf(canvas: Canvas, rng: np.random.Generator) -> None:
    canvas.fill(_FULL, (122, 98, 84))
    tones: tuple[Colour, ...] = ((176, 120, 98), (150, 150, 138), (196, 172, 136), (112, 128, 138))
    for row in range(4):
        x = -10.0
        bottom = 128.0 * (row + 1) - 10
        while x < PAGE:
            wide, tall = rng.uniform(14, 34), rng.uniform(76, 108)
            tone = tones[int(rng.integers(0, 4))]
            canvas.fill(_rect(x, bottom - tall, x + wide - 2, bottom), tone)
            x += wide
        canvas.fill(_rect(0, bottom, PAGE, bottom + 10), (96, 76, 66))
    canvas.fill(_FULL, (236, 224, 210), 0.34)


def _hills(canvas: Canvas, rng: np.random.Generator) -> None:
    canvas.gradient(_FULL, (240, 214, 186), (250, 238, 220), np.zeros(2), np.array([0.0, 300.0]))
    for level, tone in ((250, (190, 190, 196)), (330, (158, 170, 172)), (420, (128, 148, 140))):
        x = np.linspace(-20, 532, 8)
        ridge = np.stack([x, level + rng.uniform(-40, 40, 8)], 1)
        canvas.fill(np.vstack([spline(ridge), [(540, 540), (-20, 540)]]), tone)


_SCENES = (_sky, _foliage, _window, _shelf, _hills)


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
        jaw = rig.page(spline(jaw_points(t))) + (-7.0 * t.light, 30.0)
        canvas.fill(jaw, t.skin_shadow)
        side = -t.light
        band = mirror([(-0.9, 0.4), (-0.20, 0.4), (-0.23, 0.85), (-0.42, 1.2), (-0.9, 1.2)], side)
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
    dip = {"tee": 1.0, "vneck": 1.12, "shirt": 1.02, "hoodie": 1.0, "turtleneck": 0.76}.get(kind, 0.98)
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
    rim = rig.flat(low + (0, 0.045))
    if kind in ("tee", "sweater", "vneck"):
        canvas.ink(rim, 2.2, line, 0.6, 0.6)
    for s in (-1.0, 1.0):
        if kind in ("shirt", "jacket"):
            flap = [(-w - 0.11, rise - 0.03), (-0.20, 0.97), (-0.02, 1.04), (-0.16, 1.17), (-0.42, 1.12)]
            flap += [(-w - 0.17, 0.98)]
            shape = rig.flat(mirror(flap, s))
            canvas.fill(shape, dark if s == side else mix(base, (255, 255, 255), 0.18))
            canvas.ink(np.vstack([shape, shape[:1]]), 3.2, line, 0.8, 0.8)
        if kind == "hoodie":
            hood = [(-w - 0.07, 0.80), (-w - 0.19, 0.82), (-w - 0.24, 0.93), (-0.30, 1.08), (-0.02, 1.14)]
            hood += [(-0.10, 1.03), (-0.26, 0.97), (-w - 0.02, 0.88)]
            shape = spline(rig.flat(mirror(hood, s)), closed=True)
            canvas.fill(shape, dark if s == side else base)
            canvas.ink(np.vstack([shape, shape[:1]]), 3.2, line, 0.8, 0.8)
    if kind == "turtleneck":
        for y in (0.05, 0.10):
            fold = rig.flat(low * (1.01, 1.0) + (0, y))
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
            canvas.fill(shape + (0, 15), dark)
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
        shade = mirror([(-0.9, -1.2), (-0.25, -1.2), (-0.36, -0.9), (-0.38, -0.3), (-0.9, -0.2)], side)
        canvas.fill(spline(rig.page(shade), closed=True), dark)
    canvas.outline(crown, 3.4, line)
    high = low * (1.02, 1.0) - (0, 0.17)
    cuff = np.vstack([spline(rig.page(high)), spline(rig.page(low))[::-1]])
    canvas.fill(cuff, mix(base, (255, 255, 255), 0.12))
    for x in np.linspace(-0.52, 0.52, 14):
        y = -0.43 + 0.13 * (x / 0.6) ** 2
        canvas.ink(rig.page(np.linspace((x, y - 0.14), (x, y - 0.03), 8)), 2.0, line, alpha=0.5)
    canvas.outline(cuff, 3.0, line)
