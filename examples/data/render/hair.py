"""Hair as sheets of locks: a patch of guide curves, drawn in flat tones with pointed ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from .canvas import Canvas
from .geometry import Array, Rig, resample, ribbon, spline
from .traits import Traits

ROWS, COLUMNS = 49, 72


@dataclass(frozen=True)
class Sheet:
    """A patch of hair in page pixels: ``grid[u, t]`` runs across the locks and along them."""

    grid: Array
    edge: Array  # (E, 2): u and the t at which the hair ends there
    band: tuple[float, float, float, float] | None = None  # u from, u to, t, thickness
    shade: float = 0.8  # the tone darkens beyond this t
    tilt: float = 0.0  # change of ``shade`` from u = 0 to u = 1
    strands: Array = field(default_factory=lambda: np.zeros((0, 3)))  # u, t from, t to

    def at(self, u: npt.ArrayLike, t: npt.ArrayLike) -> Array:
        """Page positions of patch coordinates (bilinear)."""
        ui = np.clip(np.asarray(u, float), 0, 1) * (ROWS - 1)
        ti = np.clip(np.asarray(t, float), 0, 1) * (COLUMNS - 1)
        ui, ti = np.broadcast_arrays(ui, ti)
        a, b = np.minimum(ui.astype(int), ROWS - 2), np.minimum(ti.astype(int), COLUMNS - 2)
        fu, ft = (ui - a)[..., None], (ti - b)[..., None]
        g = self.grid
        low = g[a, b] * (1 - ft) + g[a, b + 1] * ft
        high = g[a + 1, b] * (1 - ft) + g[a + 1, b + 1] * ft
        out: Array = low * (1 - fu) + high * fu
        return out

    def mass(self) -> Array:
        """Closed page outline of the whole patch."""
        span = np.linspace(0, 1, 50)
        e0, e1 = self.edge[0, 1], self.edge[-1, 1]
        return np.vstack(
            [
                self.at(span, 0.0 * span),
                self.at(1.0 + 0 * span, span * e1),
                self.at(self.edge[::-1, 0], self.edge[::-1, 1]),
                self.at(0.0 * span, span[::-1] * e0),
            ]
        )


def make_sheet(
    rig: Rig,
    keys: list[npt.ArrayLike],
    rng: np.random.Generator,
    *,
    side: float = -1.0,
    locks: int = 4,
    depth: float = 0.12,
    wave: float = 0.0,
    band: tuple[float, float, float, float] | None = None,
    shade: float = 0.8,
    tilt: float = 0.0,
    strands: int = 4,
    reach: tuple[float, float] = (0.1, 0.95),
) -> Sheet:
    """Build a sheet from key curves (head coordinates, drawn for the viewer's left side)."""
    curves = []
    for key in keys:
        points = np.array(key, float)
        points[:, 0] *= -side
        curves.append(resample(spline(points), COLUMNS))
    stack = np.stack(curves)  # (K, T, 2)
    at = np.linspace(0, len(keys) - 1, ROWS)
    low = np.minimum(at.astype(int), len(keys) - 2)
    f = (at - low)[:, None, None]
    grid = stack[low] * (1 - f) + stack[low + 1] * f
    if wave > 0:
        t = np.linspace(0, 1, COLUMNS)
        u = np.linspace(0, 1, ROWS)[:, None]
        phase = rng.uniform(0, 6)
        sway = np.sin(2 * np.pi * (2.3 * t + 0.35 * u) + phase) * np.clip((t - 0.25) * 2.2, 0, 1)
        grid[..., 0] += wave * sway
    page = rig.page(grid.reshape(-1, 2), 0.01).reshape(grid.shape)
    edge = lock_edge(rng, locks, depth)
    chosen = np.linspace(0.12, 0.9, strands) + rng.uniform(-0.05, 0.05, strands)
    lines = np.stack(
        [
            chosen,
            reach[0] + rng.uniform(0, 0.3, strands) * (reach[1] - reach[0]),
            reach[1] - rng.uniform(0, 0.25, strands) * (reach[1] - reach[0]),
        ],
        1,
    )
    return Sheet(page, edge, band, shade, tilt, lines)


def lock_edge(rng: np.random.Generator, locks: int, depth: float) -> Array:
    """Ends of the hair over u: ``locks`` pointed tips, ``depth`` deep in t."""
    if locks == 0 or depth == 0:
        return np.stack([np.linspace(0, 1, 40), np.ones(40)], 1)
    cuts = np.r_[0, np.cumsum(rng.uniform(0.5, 1.7, locks))]
    cuts /= cuts[-1]
    out = []
    for a, b in pairwise(cuts):
        tip, drop = rng.uniform(0.35, 0.75), rng.uniform(0.0, 0.45) * depth
        v = np.linspace(0, 1, 16, endpoint=False)
        d = np.where(v < tip, (tip - v) / tip, (v - tip) / (1 - tip))
        bow = np.where((v < tip) == (rng.random() < 0.5), 1.7, 0.85)
        out.append(np.stack([a + (b - a) * v, 1 - drop - (depth - drop) * d**bow], 1))
    out.append(np.array([[1.0, 1 - depth]]))
    return np.vstack(out)


def _teeth(rng: np.random.Generator, count: int, samples: int) -> Array:
    v = np.linspace(0, count, samples)
    height = rng.uniform(0.25, 1.0, count + 1)
    saw = np.abs((v % 1) - 0.5) * 2
    out: Array = saw * height[np.minimum(v.astype(int), count)]
    return out


def draw_sheet(canvas: Canvas, sheet: Sheet, t: Traits, rng: np.random.Generator) -> None:
    """Fill a sheet with its three tones, then ink its strands and outline."""
    mass = sheet.mass()
    canvas.outline(mass, 1.6, t.hair)  # no seam between neighbouring sheets
    canvas.fill(mass, t.hair)
    span = np.linspace(0, 1, 90)
    with canvas.clip(mass):
        if sheet.shade < 1:
            start = sheet.shade + sheet.tilt * (span - 0.5) + 0.2 * (_teeth(rng, 5, 90) - 0.5)
            area = np.vstack([sheet.at(span, start), sheet.at(span[::-1], 1.0 + 0 * span)])
            canvas.fill(area, t.hair_shadow)
        if sheet.band is not None:
            u0, u1, at, thick = sheet.band
            body = np.sin(np.pi * span) ** 0.7
            upper = at - thick * body * (0.35 + 0.3 * _teeth(rng, 4, 90))
            lower = at + thick * body * (0.35 + 0.65 * _teeth(rng, 6, 90))
            u = u0 + (u1 - u0) * span
            canvas.fill(
                np.vstack([sheet.at(u, upper), sheet.at(u[::-1], lower[::-1])]), t.hair_light
            )
        along = np.linspace(0, 1, 50)
        for u, t0, t1 in sheet.strands:
            line = sheet.at(u + 0.03 * along, t0 + (t1 - t0) * along)
            canvas.ink(line, 2.3, t.hair_line, 0.1, 0.0, 0.75)
    canvas.ink(np.vstack([mass[50:], mass[:1]]), 3.4, t.hair_line, 0.6, 0.6)


@dataclass(frozen=True)
class Lock:
    """One loose lock: a centre line in page pixels and its greatest width."""

    line: Array
    width: float


def draw_lock(canvas: Canvas, lock: Lock, t: Traits, shadow: bool = False) -> None:
    """Draw a loose lock as a pointed ribbon with an ink outline."""
    shape = ribbon(lock.line, np.array([0.5, 0.85, 1.0, 0.9, 0.62, 0.3, 0.0]) * lock.width)
    canvas.fill(shape, t.hair_shadow if shadow else t.hair)
    canvas.ink(shape[:60], 2.4, t.hair_line, 0.2)
    canvas.ink(shape[60:][::-1], 2.4, t.hair_line, 0.2)


def stray_locks(sheet: Sheet, rng: np.random.Generator, mess: float, scale: float) -> list[Lock]:
    """Locks that leave the outer edge (u = 1) of a sheet, pointed outward."""
    locks = []
    for t0 in np.sort(rng.uniform(0.12, 0.66, round(4 * mess))):
        length = rng.uniform(0.15, 0.27)
        line = sheet.at(np.linspace(0.84, 1.0, 12), np.linspace(t0, t0 + length, 12))
        out = line[-1] - sheet.at(0.8, t0 + length)
        out /= np.linalg.norm(out) + 1e-9
        away = np.linspace(0, 1, 12)[:, None] ** 1.8 * rng.uniform(7, 16) * scale
        locks.append(Lock(line + out * away, float(rng.uniform(13, 21) * scale)))
    return locks


def outline_points(v: float) -> Array:
    """Half silhouette of the hair over the skull, from the crown down the left, ``v`` thick."""
    half = [(0.0, -0.905 - v), (-0.25, -0.872 - v), (-0.447 - 0.7 * v, -0.73 - 0.6 * v)]
    half += [(-0.545 - 0.9 * v, -0.50), (-0.570 - 0.8 * v, -0.24)]
    return np.array(half)


def curls(
    canvas: Canvas, area: Array, rng: np.random.Generator, t: Traits, size: float, lit: Array
) -> None:
    """Fill ``area`` with small C-shaped strokes, light near ``lit`` and dark elsewhere."""
    lo, hi = area.min(0), area.max(0)
    step = size * 2.1
    with canvas.clip(area):
        for y in np.arange(lo[1], hi[1], step):
            for x in np.arange(lo[0], hi[0], step):
                centre = np.array([x, y]) + rng.uniform(-0.45, 0.45, 2) * step
                a = rng.uniform(0, 2 * np.pi) + np.linspace(0, rng.uniform(2.0, 3.6), 16)
                arc = centre + np.stack([np.cos(a), np.sin(a)], 1) * size * rng.uniform(0.5, 0.95)
                near = np.linalg.norm((centre - lit) / (90, 60)) < 1
                if rng.random() < (0.85 if near else 0.5):
                    tone = t.hair_light if near else t.hair_shadow
                    canvas.ink(arc, size * 0.45, tone)
