"""Hair painted strand by strand over the sheets of ``hair.py``, without ink lines."""

from __future__ import annotations

import numpy as np

from .canvas import Canvas, Colour, mix
from .geometry import Array, ribbon, stroke
from .hair import Sheet
from .hairstyles import Hair
from .traits import Traits


def _tone(t: Traits, value: float) -> Colour:
    """Colour of the hair for a value in [-1, 1]: shadow .. local colour .. light."""
    if value < 0:
        return mix(t.hair, t.hair_shadow, min(1.0, -value) * 1.15)
    return mix(t.hair, t.hair_light, min(1.0, value))


def _sheet(canvas: Canvas, sheet: Sheet, t: Traits, rng: np.random.Generator) -> None:
    mass = sheet.mass()
    canvas.fill(mass, t.hair)
    lo, hi = mass.min(0), mass.max(0)
    count = int(np.clip((hi - lo).prod() / 260, 90, 420))
    along = np.linspace(0, 1, 14)
    band = sheet.band or (0.2, 0.8, 0.45, 0.12)
    clumps = rng.uniform(-0.3, 0.3, 24)
    for _ in range(count):
        u, t0 = rng.uniform(0.01, 0.99), rng.uniform(-0.15, 0.85)
        end = float(np.interp(u, sheet.edge[:, 0], sheet.edge[:, 1])) + rng.uniform(-0.05, 0.03)
        t1 = min(t0 + rng.uniform(0.2, 0.55), end)
        if t1 - max(t0, 0) < 0.06:
            continue
        at = (max(t0, 0) + t1) / 2
        inside = band[0] < u < band[1]
        shine = np.exp(-(((at - band[2]) / 0.13) ** 2)) if inside else 0.0
        dark = np.clip((at - sheet.shade + 0.25 - sheet.tilt * (u - 0.5)) / 0.35, 0, 1)
        rim = max(0.0, 1 - min(u, 1 - u) / 0.10)
        value = 1.1 * shine - 1.0 * dark - 0.5 * rim + clumps[int(u * 24)] + rng.normal(0, 0.22)
        line = sheet.at(u + 0.03 * rng.normal() * along, max(t0, 0) + (t1 - max(t0, 0)) * along)
        width = rng.uniform(2.5, 7.0) if rng.random() < 0.7 else rng.uniform(1.2, 2.2)
        canvas.fill(stroke(line, width, 0.2, 0.0), _tone(t, value), 0.85)


def _curls(canvas: Canvas, cap: Array, hair: Hair, t: Traits, rng: np.random.Generator) -> None:
    canvas.fill(cap, t.hair)
    lo, hi = cap.min(0), cap.max(0)
    count = int((hi - lo).prod() / (hair.curl**2 * 0.9))
    with canvas.clip(cap):
        for _ in range(min(count, 900)):
            centre = rng.uniform(lo, hi)
            turn = rng.uniform(0, 2 * np.pi) + np.linspace(0, rng.uniform(2.2, 4.4), 14)
            arc = np.stack([np.cos(turn), np.sin(turn)], 1) * hair.curl * rng.uniform(0.5, 1.1)
            away = np.linalg.norm((centre - hair.lit) / (170, 150))
            value = 0.75 - 0.95 * away + rng.normal(0, 0.32)
            line = stroke(centre + arc, hair.curl * rng.uniform(0.25, 0.6), 0.1, 0.0)
            canvas.fill(line, _tone(t, value), 0.9)


def draw_strands(canvas: Canvas, hair: Hair, t: Traits, rng: np.random.Generator) -> None:
    """Draw the hair over head and face as many strands in the three tones."""
    if hair.kind == "buzz":
        canvas.fill(hair.sheets[0].mass(), mix(t.hair, t.hair_shadow, 0.45), 0.72)
        return
    shape = np.array([0.5, 0.85, 1.0, 0.9, 0.62, 0.3, 0.0])
    for lock in hair.strays:
        canvas.fill(ribbon(lock.line, shape * lock.width), mix(t.hair, t.hair_shadow, 0.4))
    for sheet in hair.sheets:
        _sheet(canvas, sheet, t, rng)
        canvas.outline(sheet.mass(), 2.6, t.hair_line)
    for lock in hair.loose:
        canvas.fill(ribbon(lock.line, shape * lock.width * 0.8), mix(t.hair, t.hair_shadow, 0.3))
    if hair.cap is not None:
        _curls(canvas, hair.cap, hair, t, rng)
        canvas.outline(hair.cap, 2.6, t.hair_line)
