"""Painted backgrounds."""

from __future__ import annotations

import numpy as np

from .canvas import Canvas, Colour, mix, multiply
from .geometry import PAGE, Array, blob, shift, spline

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
    kind = rng.choice(["neutral", "pastel", "scene"], p=[0.52, 0.29, 0.19])
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
        canvas.fill(shift(cloud, 0, 9), (214, 226, 236))
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
