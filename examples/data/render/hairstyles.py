"""The hairstyles: each returns what lies behind the head and what lies over the face."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .canvas import Canvas, mix
from .geometry import Array, Rig, mirror, scallop, shift, spline
from .hair import (
    Lock,
    Sheet,
    curls,
    draw_lock,
    draw_sheet,
    make_sheet,
    outline_points,
    stray_locks,
)
from .traits import Traits

COVERS_EARS = (
    "long_centre", "long_side", "long_wavy", "long_fringe", "bob", "bob_fringe", "shoulder_wavy",
    "curly", "afro", "medium_centre", "swept_fringe", "scarf",
)  # fmt: skip
CURLY = ("curly", "curly_short", "afro", "afro_short")


@dataclass
class Hair:
    """The parts of a hairstyle, in page pixels."""

    back: list[Array] = field(default_factory=list)
    sheets: list[Sheet] = field(default_factory=list)
    strays: list[Lock] = field(default_factory=list)  # behind the sheets
    loose: list[Lock] = field(default_factory=list)  # over the face
    cap: Array | None = None  # one flat area of curls or stubble
    kind: str = "sheet"
    curl: float = 8.0
    hairline: bool = False
    lit: Array = field(default_factory=lambda: np.zeros(2))

    def masses(self) -> list[Array]:
        """Areas that throw a shadow on the skin."""
        return [s.mass() for s in self.sheets] + ([] if self.cap is None else [self.cap])


def _both(left: list[tuple[float, float]]) -> Array:
    p = np.array(left, float)
    q = p[::-1] * (-1, 1)
    return np.vstack([p, q[1:] if p[-1, 0] == 0 else q])


def _parted(
    rig: Rig, t: Traits, rng: np.random.Generator, part: float, v: float, kind: str
) -> list[Sheet]:
    """Two sheets that fall from a parting at x = ``part``."""
    sheets = []
    for side in (-1.0, 1.0):
        p = part if side < 0 else -part  # the parting as seen in left-hand coordinates
        top = outline_points(v)
        root = -0.58
        sweep_kind = {"bob": "long", "wavy": "long", "shoulder": "long"}.get(kind, kind)
        path = {
            "long": [(0.25, -0.555), (0.62, -0.41), (-0.455, -0.17), (-0.492, 0.12)],
            "short": [(0.25, -0.605), (0.62, -0.51), (-0.455, -0.34), (-0.487, -0.17)],
            "pixie": [(0.25, -0.49), (0.60, -0.35), (-0.44, -0.19), (-0.487, -0.04)],
            "medium": [(0.25, -0.555), (0.62, -0.40), (-0.45, -0.17), (-0.50, 0.06)],
        }[sweep_kind]  # fmt: skip
        # the first two x are shares of the way from the parting to the temple
        sweep = [(p + x * (-0.44 - p), y) for x, y in path[:2]] + path[2:]
        ends = {
            "long": ([(-0.515, 0.5), (-0.53, 1.2)], [(-0.62 - v, 0.05), (-0.67 - v, 0.5),
                (-0.70 - v, 1.2)]),
            "wavy": ([(-0.52, 0.5), (-0.50, 1.2)], [(-0.66 - v, 0.05), (-0.76 - v, 0.5),
                (-0.80 - v, 1.2)]),
            "shoulder": ([(-0.51, 0.42), (-0.47, 0.86)], [(-0.66 - v, 0.05), (-0.74 - v, 0.45),
                (-0.64 - v, 0.92)]),
            "bob": ([(-0.485, 0.32), (-0.42, 0.58)], [(-0.63 - v, 0.05), (-0.67 - v, 0.35),
                (-0.57 - v, 0.64)]),
            "medium": ([(-0.49, 0.2)], [(-0.615 - v, 0.02), (-0.57 - v, 0.26)]),
            "pixie": ([(-0.50, 0.10)], [(-0.60 - v, -0.04), (-0.545 - 0.5 * v, 0.14)]),
            "short": ([(-0.497, -0.05)], [(-0.565 - 0.4 * v, -0.10), (-0.535 - 0.2 * v, 0.0)]),
        }[kind]  # fmt: skip
        inner = [(p, root), *sweep, *ends[0]]
        start = (p * 0.8, -0.905 - v + 0.62 * (0.8 * p) ** 2)
        outer = [start, *[q for q in top.tolist() if q[0] < p * 0.8 - 0.06], *ends[1]]
        middle = None
        if kind in ("long", "wavy", "shoulder", "bob"):
            middle = [(p * 0.9, -0.78), (-0.30, -0.70), (-0.50, -0.34), (-0.555, 0.05)]
            middle += [
                tuple((np.array(a) + b) / 2) for a, b in zip(ends[0], ends[1][1:], strict=True)
            ]
        keys = [inner, middle, outer] if middle else [inner, outer]
        lit = side == t.light
        long = kind in ("long", "wavy", "shoulder")
        sheet = make_sheet(
            rig, keys, rng, side=side,
            locks={"long": 3, "wavy": 3, "shoulder": 3, "bob": 2, "short": 2}.get(kind, 3),
            depth={"long": 0.05, "bob": 0.07, "short": 0.05, "shoulder": 0.12}.get(kind, 0.16),
            wave={"wavy": 0.035, "shoulder": 0.03}.get(kind, 0.0),
            band=(0.15, 0.92, 0.24 if long else 0.40, 0.07 if long else 0.11),
            shade=0.68 if lit else 0.48,
            tilt=0.15,
            strands=5 if long else 4,
            reach=(0.02, 0.9),
        )  # fmt: skip
        sheets.append(sheet)
    return sheets if part >= 0 else sheets[::-1]


def _fringe(
    rig: Rig,
    rng: np.random.Generator,
    tip: float,
    v: float,
    locks: int,
    depth: float = 0.26,
    lean: float | None = None,
) -> Sheet:
    """A fringe that falls from the crown over the forehead to y = ``tip``, leaning sideways."""
    lean = float(rng.uniform(-0.07, 0.07)) if lean is None else lean
    keys = []
    for x in (-1.0, -0.5, 0.0, 0.5, 1.0):
        top = (0.16 * x, -0.905 - v + 0.02 * abs(x))
        mid = (0.40 * x + 0.3 * lean, -0.66 - 0.05 * (1 - abs(x)))
        keys.append([top, mid, (0.47 * x + lean, tip - 0.05 + 0.10 * abs(x) ** 2)])
    return make_sheet(
        rig, keys, rng, locks=locks, depth=depth, band=(0.08, 0.92, 0.42, 0.12), shade=0.86,
        strands=6, reach=(0.05, 0.85),
    )  # fmt: skip


def _updo(
    rig: Rig, t: Traits, rng: np.random.Generator, v: float, kind: str, recess: float = 0.0
) -> Sheet:
    """Hair that runs from the hairline back over the skull."""
    half = [(-0.516, 0.05), (-0.490, -0.20), (-0.440, -0.38), (-0.31, -0.53 - recess)]
    half += [(-0.15, -0.585 - 0.4 * recess), (0.0, -0.58)]
    line = _both(half)
    rim = _both([(-0.522, 0.055), *outline_points(v)[::-1].tolist()])
    hair, edge = spline(line), spline(rim)
    count = 25
    at = np.linspace(0, 1, count)
    h = np.stack([np.interp(at, np.linspace(0, 1, len(hair)), hair[:, k]) for k in (0, 1)], 1)
    s = np.stack([np.interp(at, np.linspace(0, 1, len(edge)), edge[:, k]) for k in (0, 1)], 1)
    lean = (0.05 if kind in ("quiff", "spiky") else 0.0) * rng.choice([-1, 1])
    mid = (h + s) / 2 + np.stack(
        [0.25 * (h[:, 0] - s[:, 0]) + lean * np.sin(np.pi * at), 0 * at], 1
    )
    keys = [
        [a, m, shift(b, 1.6 * lean * np.sin(np.pi * w), 0)]
        for a, m, b, w in zip(h, mid, s, at, strict=True)
    ]
    spiky = kind in ("quiff", "spiky")
    first, last = (0.2, 0.62) if t.light < 0 else (0.38, 0.8)
    return make_sheet(
        rig, keys, rng,
        locks=(11 if kind == "spiky" else 8) if spiky else 0,
        depth=(0.22 if kind == "spiky" else 0.10) if spiky else 0.0,
        band=None if kind == "buzz" else (first, last, 0.5, 0.14),
        shade=1.0 if kind == "buzz" else 0.84,
        tilt=0.75 * t.light,
        strands=0 if kind == "buzz" else 9,
        reach=(0.0, 0.9),
    )  # fmt: skip


def _cloud(rig: Rig, rng: np.random.Generator, kind: str, t: Traits) -> Hair:
    """Curls: a scalloped silhouette around the skull and a scalloped hairline."""
    outer_half, size = {
        "afro": ([(-0.50, 0.30), (-0.66, 0.28), (-0.80, 0.02), (-0.84, -0.32), (-0.74, -0.68),
            (-0.50, -0.95), (-0.2, -1.08), (0.0, -1.1)], 9.0),
        "afro_short": ([(-0.535, -0.02), (-0.60, -0.22), (-0.615, -0.5), (-0.52, -0.80),
            (-0.28, -0.98), (0.0, -1.02)], 6.5),
        "curly": ([(-0.52, 0.85), (-0.74, 0.70), (-0.80, 0.35), (-0.76, -0.05), (-0.70, -0.45),
            (-0.56, -0.80), (-0.28, -1.0), (0.0, -1.02)], 11.0),
        "curly_short": ([(-0.54, 0.02), (-0.62, -0.18), (-0.66, -0.45), (-0.57, -0.80),
            (-0.3, -1.0), (0.0, -1.03)], 9.5),
    }[kind]  # fmt: skip
    line = {
        "curly": [(-0.46, 0.80), (-0.49, 0.40), (-0.485, 0.0), (-0.45, -0.28), (-0.30, -0.47),
            (-0.1, -0.56), (0.0, -0.57)],
        "curly_short": [(-0.49, 0.0), (-0.475, -0.22), (-0.40, -0.38), (-0.22, -0.46),
            (0.0, -0.50)],
    }.get(kind, [(-0.495, 0.02), (-0.485, -0.22), (-0.43, -0.42), (-0.24, -0.55),
        (0.0, -0.575)])  # fmt: skip
    ring = rig.page(spline(_both(outer_half)))
    count = {"afro": 30, "afro_short": 34, "curly": 26, "curly_short": 19}[kind]
    length = np.r_[0, np.cumsum(np.linalg.norm(np.diff(ring, axis=0), axis=1))]
    cuts = np.cumsum(rng.uniform(0.75, 1.25, count))
    at = np.r_[0, cuts / cuts[-1]] * length[-1]
    knots = np.stack([np.interp(at, length, ring[:, k]) for k in (0, 1)], 1)
    bulge = 0.16 if kind == "afro_short" else 0.3
    outer = scallop(knots, bulge=bulge)
    inner_line = rig.page(spline(_both(line))[::-1])
    pick = np.linspace(
        0, len(inner_line) - 1, {"curly": 24, "curly_short": 13}.get(kind, 27)
    ).astype(int)
    inner = scallop(inner_line[pick], bulge=0.30 if "curly" in kind else 0.16)
    cap = np.vstack([outer, inner])
    lit = rig.page([(0.30 * t.light, -0.80)])[0]
    hair = Hair(cap=cap, kind="curl", curl=size, lit=lit)
    if kind in ("afro", "curly"):
        hair.back.append(np.vstack([outer, rig.page([(0.0, 0.25)])]))
    return hair


def _framing(rig: Rig, rng: np.random.Generator) -> list[Lock]:
    """Loose locks that fall from the hairline beside the face."""
    locks = []
    for side in (-1.0, 1.0):
        if rng.random() < 0.6:
            drop = rng.uniform(0.15, 0.55)
            line = [(-0.36, -0.50), (-0.46, -0.30), (-0.50, -0.05), (-0.475, 0.5 * drop)]
            line += [(-0.50 - rng.uniform(0, 0.03), drop)]
            locks.append(Lock(rig.page(spline(mirror(line, side))), float(rng.uniform(9, 17))))
    return locks


def build_hair(rig: Rig, t: Traits, rng: np.random.Generator) -> Hair:
    """Construct the hairstyle ``t.hair_style``."""
    style = t.hair_style
    part = float(rng.uniform(0.12, 0.24) * rng.choice([-1, 1]))
    v = float(rng.uniform(0.015, 0.075))
    if style in CURLY:
        return _cloud(rig, rng, style, t)
    if style in ("bald", "scarf"):
        return Hair()
    if style in ("buzz", "receding", "slick", "quiff", "spiky", "bun", "ponytail"):
        rise = {"buzz": -0.012, "receding": 0.0, "quiff": 0.075, "spiky": 0.085}.get(style, 0.01)
        recess = 0.10 if style == "receding" else float(rng.uniform(0, 0.035))
        hair = Hair(sheets=[_updo(rig, t, rng, rise, style, recess)])
        hair.kind = "buzz" if style == "buzz" else "sheet"
        if style == "bun":
            angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
            centre = (0.0, -0.99) if rng.random() < 0.5 else (0.50 * np.sign(part), 0.30)
            ring = np.stack([0.24 * np.cos(angle), 0.20 * np.sin(angle)], 1)
            hair.back.append(rig.page(ring + centre))
        if style == "ponytail":
            s = float(np.sign(part))
            tail = [(0.44, -0.10), (0.62, 0.0), (0.72, 0.3), (0.66, 0.7), (0.70, 1.2), (0.36, 1.2)]
            tail += [(0.40, 0.7), (0.42, 0.3)]
            hair.back.append(spline(rig.flat(np.array(tail) * (s, 1)), closed=True))
        if style in ("bun", "ponytail") or (style == "slick" and t.feminine):
            hair.loose = _framing(rig, rng)
        hair.hairline = style != "buzz"
        return hair
    hair = _falling(rig, t, rng, style, part, v)
    for sheet in hair.sheets[:2]:
        hair.strays += stray_locks(sheet, rng, t.mess, rig.scale)
    return hair


def _falling(
    rig: Rig, t: Traits, rng: np.random.Generator, style: str, part: float, v: float
) -> Hair:
    """The styles that fall from a parting or the crown."""
    hair = Hair()
    short_sides = _parted(rig, t, rng, 0.0, v, "short")
    if style in ("crop", "fringe"):
        tip = float(rng.uniform(-0.43, -0.38) if style == "crop" else rng.uniform(-0.33, -0.27))
        hair.sheets = [*short_sides, _fringe(rig, rng, tip, v, 6)]
    elif style == "messy":
        top = v + 0.03
        hair.sheets = [
            *_parted(rig, t, rng, 0.0, top + 0.01, "short"),
            _fringe(rig, rng, float(rng.uniform(-0.42, -0.36)), top, 5, 0.34, 0.16),
            _fringe(rig, rng, float(rng.uniform(-0.52, -0.46)), top + 0.01, 4, 0.42, -0.10),
        ]
    elif style == "tucked":
        hair.sheets = _parted(rig, t, rng, 0.8 * part, v, "short")
        w, low = float(rng.uniform(0.50, 0.62)), float(rng.uniform(0.75, 1.2))
        hair.back.append(
            rig.page(spline(_both([(-w + 0.1, low), (-w - 0.02, 0.5), (-0.555, 0.0), (0.0, -0.8)])))
        )
    elif style == "swept_fringe":
        hair.sheets = _parted(rig, t, rng, 1.2 * part, v + 0.01, "shoulder")
        hair.sheets.append(
            _fringe(rig, rng, float(rng.uniform(-0.33, -0.28)), v + 0.01, 5, 0.30, -0.8 * part)
        )
        hair.back.append(
            rig.page(_both([(-0.40, 0.84), (-0.54, 0.6), (-0.6, 0.1), (-0.45, -0.7), (0.0, -0.88)]))
        )
    elif style == "side_part":
        hair.sheets = _parted(rig, t, rng, part, v + 0.02, "short")
    elif style == "pixie":
        hair.sheets = _parted(rig, t, rng, 1.3 * part, v + 0.01, "pixie")
    elif style == "medium_centre":
        hair.sheets = _parted(rig, t, rng, 0.5 * part, v + 0.01, "medium")
    else:
        kinds = {
            "bob": "bob",
            "bob_fringe": "bob",
            "long_wavy": "wavy",
            "shoulder_wavy": "shoulder",
        }
        kind = kinds.get(style, "long")
        where = 0.3 * part if style in ("long_centre", "bob_fringe", "long_fringe") else part
        hair.sheets = _parted(rig, t, rng, where, v, kind)
        if style.endswith("fringe"):
            hair.sheets.append(_fringe(rig, rng, float(rng.uniform(-0.31, -0.26)), v, 7))
        low = {"bob": 0.55, "shoulder": 0.85}.get(kind, 1.2)
        wide = {"wavy": 0.70, "shoulder": 0.64}.get(kind, 0.60)
        back = _both(
            [
                (-wide + (0.06 if low > 1 else 0.22), low),
                (-wide + 0.05, 0.6 * low),
                (-wide, 0.1),
                (-0.6, -0.3),
                (-0.45, -0.7),
                (0.0, -0.9),
            ]
        )
        hair.back.append(rig.page(back))
    return hair


def draw_back(canvas: Canvas, hair: Hair, t: Traits) -> None:
    """Draw the hair behind head and neck."""
    for shape in hair.back:
        round_bun = t.hair_style in ("bun", "ponytail")
        canvas.fill(shape, t.hair if round_bun else t.hair_shadow)
        if round_bun:
            with canvas.clip(shape):
                canvas.fill(shift(shape, 9.0 * -t.light, 22.0), t.hair_shadow)
                middle, reach = shape.mean(0), np.ptp(shape, axis=0)
                for k in (-0.2, 0.02, 0.22):
                    arc = [(-0.4, k - 0.05), (0.0, k + 0.06), (0.4, k - 0.08)]
                    bend = middle + np.array(arc) * reach
                    if t.hair_style == "ponytail":
                        bend = (
                            middle + np.array([(k, -0.4), (k * 1.2 + 0.05, 0), (k, 0.45)]) * reach
                        )
                    canvas.ink(spline(bend), 2.2, t.hair_line, alpha=0.7)
        canvas.ink(np.vstack([shape, shape[:1]]), 3.4, t.hair_line, 0.6, 0.6)


def draw_front(canvas: Canvas, hair: Hair, t: Traits, rng: np.random.Generator) -> None:
    """Draw the hair over head and face."""
    if hair.kind == "buzz":
        mass = hair.sheets[0].mass()
        canvas.fill(mass, t.skin_shadow)
        canvas.fill(mass, mix(t.hair, t.hair_shadow, 0.45), 0.75)
        canvas.ink(np.vstack([mass[50:], mass[:1]]), 3.0, t.hair_line, 0.5, 0.5)
        return
    for lock in hair.strays:
        draw_lock(canvas, lock, t)
    for sheet in hair.sheets:
        draw_sheet(canvas, sheet, t, rng)
        if hair.hairline:
            canvas.ink(sheet.mass()[:50], 2.6, t.hair_line, 0.4, 0.4, 0.8)
    for lock in hair.loose:
        draw_lock(canvas, lock, t)
    if hair.cap is not None:
        canvas.fill(hair.cap, t.hair)
        curls(canvas, hair.cap, rng, t, hair.curl, hair.lit)
        canvas.outline(hair.cap, 3.0, t.hair_line)
