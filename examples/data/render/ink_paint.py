"""Ink wash portraits: tapered brush lines and bleeding grey washes on warm rice paper."""

from __future__ import annotations

import cv2
import numpy as np
import skia

from .brush import HIGH, LONG, ROWS, brush_tips, shader
from .canvas import Colour
from .geometry import Array, resample
from .hair import Sheet
from .hairstyles import Hair
from .layers import LayerCanvas, Map, Sketch, draw_sketch
from .media import blur, lighting, noise, skin_mask, step, streaks, warmth, wobble
from .relief import Relief, model_head
from .traits import Traits

STREAM = 13
PAPER = np.array([0.955, 0.932, 0.882], np.float32)
INK = np.array([0.075, 0.078, 0.090], np.float32)


def path_length(line: Array) -> float:
    """Length of a polyline."""
    return float(np.linalg.norm(np.diff(line, axis=0), axis=1).sum())


class InkCanvas(LayerCanvas):
    """Draws every line with a loaded brush: swelling, tapered, dry where it ran fast."""

    def __init__(self, size: int, rng: np.random.Generator) -> None:
        super().__init__(size)
        self._rng = rng
        self._tips = []
        for dry in (0.0, 0.5, 0.8):
            cover, _ = brush_tips(rng, dry, 2.2)
            self._tips.append(shader(cover, np.ones_like(cover)))
        self._fine, self._bold = False, 1.0

    def layer(self, name: str) -> None:
        """Switch layers; features are drawn with a fine, wet brush."""
        super().layer(name)
        self._fine = name in ("eyes", "nose", "mouth", "glasses")
        self._bold = 1.35 if name in ("clothes", "scarf", "hat", "hair", "back") else 1.0

    def ink(
        self,
        line: Array,
        width: float,
        colour: Colour,
        start: float = 0.0,
        end: float = 0.0,
        alpha: float = 1.0,
    ) -> None:
        """Draw one brush line."""
        if sum(colour) > 480:  # a highlight is paper
            return
        rng = self._rng
        length = path_length(line)
        if length < 2:
            return
        count = int(np.clip(length / 5, 8, 90))
        p = resample(line, count)
        t = np.linspace(0, 1, count)
        if self._fine or length < 40:
            swell = np.sin(np.pi * np.clip(t, 0.03, 0.97)) ** 0.55
            tip, scale, value = 0, 1.15, 0.96 * alpha
        else:
            swell = np.interp(t, [0, 0.06, 0.3, 0.75, 1], [0.5, 1.35, 0.42, 1.05, 0.06])
            swell = swell * (1 + 0.38 * np.sin(2 * np.pi * (t * length / 150 + rng.random())))
            if rng.random() < 0.4:
                p = p[::-1]
            tip = int(rng.choice([0, 1, 2], p=[0.2, 0.4, 0.4]))
            scale = rng.uniform(1.4, 3.1) * self._bold
            value = float(rng.uniform(0.75, 1.0)) * alpha**0.5
            p = p + 0.9 * np.cumsum(rng.normal(0, 0.12, p.shape), 0)
        taper = np.maximum(swell, np.where(t < 0.5, start, end) * 0.6)
        self.ribbon(p, width * scale * taper, tip, value)

    def ribbon(self, p: Array, widths: Array, tip: int, value: float) -> None:
        """Lay one brush mark along ``p``; ``tip`` 0 is wet, 1 and 2 are drier."""
        count = len(p)
        tangent = np.gradient(p, axis=0)
        tangent /= np.linalg.norm(tangent, axis=1, keepdims=True) + 1e-9
        normal = np.stack([-tangent[:, 1], tangent[:, 0]], 1) * widths[:, None] / 2
        corners = np.stack([p + normal, p - normal], 1).reshape(-1, 2)
        row = int(self._rng.integers(0, ROWS))
        u = np.repeat(np.linspace(8, LONG - 8, count), 2)
        v = np.tile([row * HIGH + 3.0, row * HIGH + HIGH - 3.0], count)
        mesh = skia.Vertices(
            skia.Vertices.VertexMode.kTriangleStrip_VertexMode,
            [skia.Point(x, y) for x, y in corners.tolist()],
            [skia.Point(x, y) for x, y in np.stack([u, v], 1).tolist()],
            [round(255 * min(value, 1.0)) << 24] * (2 * count),
        )
        paint = skia.Paint(Shader=self._tips[tip], AntiAlias=True)
        self._lines.drawVertices(mesh, paint, skia.BlendMode.kModulate)

    def strands(self, hair: Hair, t: Traits, rng: np.random.Generator) -> None:
        """Draw hair as broad dry strokes that follow the locks and leave the shine open."""
        depth = float(np.clip(1.2 - np.mean(t.hair) / 255, 0.25, 1.0))
        if hair.kind == "buzz":
            self.fill(hair.sheets[0].mass(), t.hair)
            return
        for lock in hair.strays + hair.loose:
            widths = np.interp(np.linspace(0, 1, 24), [0, 0.3, 1], [0.5, 0.9, 0.0]) * lock.width
            self.ribbon(resample(lock.line, 24), widths, 1, depth)
        for sheet in hair.sheets:
            self.fill(sheet.mass(), t.hair)  # covers the strokes of the sheets behind
            self._sheet(sheet, depth)
        if hair.cap is not None:
            self.fill(hair.cap, t.hair)
            self._curls(hair, depth)

    def _sheet(self, sheet: Sheet, depth: float) -> None:
        rng, mass = self._rng, sheet.mass()
        across, along = np.linspace(0, 1, 30), np.linspace(0, 1, 36)
        wide = path_length(sheet.at(across, 0.6 + 0 * across))
        long = path_length(sheet.at(0.5 + 0 * along, along))
        count = int(np.clip(wide / 5.5, 10, 64))
        shine = sheet.band[2] if sheet.band else 0.45
        for u in rng.permutation((np.arange(count) + rng.uniform(0.2, 0.8, count)) / count):
            end = float(np.interp(u, sheet.edge[:, 0], sheet.edge[:, 1]))
            spans = [(0.0, end)]
            lifts = long > 130 and 0.12 < u < 0.88 and rng.random() < 0.75
            if lifts:  # the brush skips the shine
                gap = rng.uniform(0.04, 0.12)
                spans = [(0.0, shine - gap), (shine + gap, end)]
            for t0, t1 in spans:
                if t1 - t0 < 0.08:
                    continue
                if long <= 130:  # short hair: strokes of uneven reach, from root or crown
                    t0, t1 = rng.uniform(0, 0.12), min(t1, rng.uniform(0.8, 1.1))
                    t0, t1 = (t0, t1) if rng.random() < 0.45 else (t1, t0)
                line = sheet.at(u + rng.normal(0, 0.015) * along, t0 + (t1 - t0) * along)
                body = np.interp(
                    along, [0, 0.15, 0.6, 1], [0.45, 1.0, 0.9, 0.15 if long <= 130 else 0.05]
                )
                tip = int(rng.choice([0, 1, 2], p=[0.15, 0.4, 0.45]))
                value = depth * rng.uniform(0.55, 1.0)
                reach = (6, 14) if long > 130 else (7, 13)
                self.ribbon(line, rng.uniform(*reach) * body, tip, value)
        for u in rng.uniform(0.03, 0.97, 7):  # a few firm hairs
            t0 = rng.uniform(0, 0.5)
            line = sheet.at(u + 0 * along, t0 + rng.uniform(0.25, 0.5) * along)
            self.ribbon(line, 2.6 * np.sin(np.pi * along) ** 0.5, 0, min(1.0, depth + 0.25))
        for side in (mass[50:100], mass[-50:]):  # the tips stay open
            self.ink(side, 2.2, (40, 40, 44), 0.2)

    def _curls(self, hair: Hair, depth: float) -> None:
        rng, cap = self._rng, hair.cap
        lo, hi = cap.min(0), cap.max(0)
        with self.clip(cap):
            for _ in range(int(np.ptp(cap, 0).prod() / (hair.curl**2 * 2.6))):
                centre = rng.uniform(lo, hi)
                turn = rng.uniform(0, 6.3) + np.linspace(0, rng.uniform(2.4, 4.6), 18)
                arc = np.stack([np.cos(turn), np.sin(turn)], 1) * hair.curl * rng.uniform(0.7, 1.4)
                lit = np.linalg.norm((centre - hair.lit) / (120, 90)) < 1
                if lit and rng.random() < 0.6:
                    continue
                body = np.interp(np.linspace(0, 1, 18), [0, 0.2, 1], [0.4, 1, 0.1])
                widths = hair.curl * rng.uniform(0.4, 0.8) * body
                value = depth * rng.uniform(0.35, 1.0)
                self.ribbon(centre + arc, widths, int(rng.integers(0, 3)), value)
        self.outline(cap, 2.2, (40, 40, 44))

    def outline(self, polygon: Array, width: float, colour: Colour) -> None:
        """Draw a closed outline in two to four brush lines that do not quite meet."""
        ring = resample(np.vstack([polygon, polygon[:1]]), 240)
        if self._fine:
            self.ink(ring, width, colour, 0.8, 0.8)
            return
        ring = np.roll(ring, int(self._rng.integers(0, 240)), 0)
        cuts = np.sort(self._rng.choice(np.arange(30, 210), 2, replace=False))
        for part in np.split(ring, cuts):
            if len(part) > 12:
                self.ink(part[:-2], width, colour, 0.2, 0.0)


def rice_paper(rng: np.random.Generator, size: int) -> tuple[Map, Map]:
    """Colour of the sheet ``(H, W, 3)`` and its fibre map of zero mean."""
    fibre = np.zeros((size, size), np.float32)
    for _ in range(150):
        a, bend = rng.uniform(0, np.pi), rng.uniform(-0.8, 0.8)
        start = rng.uniform(0, size, 2)
        turn = a + bend * np.linspace(0, 1, 12)
        path = start + np.cumsum(np.stack([np.cos(turn), np.sin(turn)], 1), 0) * size / 130
        cv2.polylines(
            fibre, [np.rint(path * 8).astype(np.int32)], False, float(rng.uniform(-1, 1)), 1,
            cv2.LINE_AA, 3,
        )  # fmt: skip
    grain = noise(rng, size, size / 3) * 0.5 + noise(rng, size, size / 12) * 0.4
    cloud = noise(rng, size, 5, 2)
    value = 1 + 0.008 * grain + 0.034 * blur(fibre, 0.6) + 0.010 * cloud
    return PAPER * value[..., None], noise(rng, size, size / 9) * 0.6 + blur(fibre, 0.8)


class Absorbent:
    """Unsized paper: washes spread along the fibres and dry with soft, dark-edged shapes."""

    def __init__(self, size: int, rng: np.random.Generator) -> None:
        self.rng, self.size, self.unit = rng, size, size / 512
        self.paper, self.fibre = rice_paper(rng, size)
        self.ink = np.zeros((size, size), np.float32)
        field = noise(rng, size, 7, 4)
        tide = np.exp(-((field / 0.10) ** 2)) + 0.7 * np.exp(-(((field - 1.1) / 0.08) ** 2))
        layered = 1.5 * step(-0.10, 0.10, field) + 0.9 * step(1.02, 1.18, field) - 1.0
        self.pools = 0.35 * field + 0.65 * layered + 0.7 * blur(tide, 0.7 * self.unit)
        self.pools = (self.pools - self.pools.mean()).astype(np.float32)

    def wash(
        self, mask: Map, grey: float | Map, bleed: float = 3.0, rim: float = 0.25, pool: float = 0.2
    ) -> None:
        """Lay a wash of density ``grey`` that creeps ``bleed`` pixels over the edge of ``mask``."""
        m = blur(wobble(mask, self.rng, 30, 0.6 * bleed * self.unit), bleed * self.unit)
        level = 0.42 + 0.06 * self.pools + 0.05 * self.fibre
        feather = step(-0.34, 0.34, m - level) * np.clip(m * 2.5, 0, 1)
        edge = np.clip(feather - blur(feather, 2.5 * self.unit), 0, 1)
        amount = feather * (1 + pool * self.pools + 0.05 * self.fibre) + 1.3 * rim * edge
        self.ink += np.clip(amount, 0, 2) * grey

    def line(self, cover: Map, density: float = 2.2) -> None:
        """Add brush lines; wet ink creeps a little into the fibres."""
        halo = blur(cover, 1.6 * self.unit) * (1 + 0.3 * self.fibre)
        self.ink += density * cover * (1 + 0.12 * self.pools) + 0.10 * np.clip(halo, 0, 1)

    def pixels(self, tint: Map) -> np.ndarray:
        """The dry picture, uint8 RGB; ``tint`` multiplies the paper with faint colour."""
        dark = 1 - np.exp(-np.clip(self.ink, 0, 6)[..., None])
        out = self.paper * tint * (1 - dark) + INK * dark
        return np.clip(np.rint(out * 255), 0, 255).astype(np.uint8)


def _hair(sheet: Absorbent, s: Sketch, lit: Map) -> None:
    """Hair as a broken dark wash: strands of wet and dry ink with paper shining through."""
    t = s.traits
    depth = float(np.clip(1.25 - np.mean(t.hair) / 255, 0.18, 1.1))
    for name in ("back", "beard", "hair"):
        if name not in s.layers:
            continue
        mask = s.visible(name)
        if name == "beard":
            stubble = t.beard == "stubble"
            sheet.wash(mask * (0.30 if stubble else 0.85), 0.5 * depth, 4.0, 0.0, 0.4)
            if not stubble:
                sheet.wash(mask, 0.5 * depth, 1.2, 0.2, 0.5)
                streak = step(-0.3, 1.4, streaks(sheet.rng, s.size) + 0.4 * sheet.pools)
                sheet.ink += 1.3 * depth * streak * blur(mask, 1.2 * sheet.unit)
            continue
        buzz = s.hair.kind == "buzz"
        sheet.wash(
            mask, (0.5 if buzz or name == "back" else 0.38) * depth, 2.0, 0.6, 0.15 if buzz else 0.4
        )
        if buzz:
            grain = noise(sheet.rng, s.size, s.size / 3) + 0.7 * streaks(sheet.rng, s.size)
            sheet.ink += 0.8 * depth * mask * step(0.0, 1.6, grain)
        dark = mask * step(0.62, 0.25, lit + 0.08 * sheet.pools)
        sheet.wash(dark, (0.4 if buzz else 0.9) * depth, 2.0, 0.3, 0.15 if buzz else 0.45)


def _skin(sheet: Absorbent, s: Sketch, relief: Relief, lit: Map) -> None:
    """Pale washes for the local tone, the turning form and the depths."""
    skin = skin_mask(s)
    under = np.clip(skin + s.visible("mouth", "nose", "wrinkles", "brows", "beard"), 0, 1)
    tone = float(np.clip(1.0 - np.mean(s.traits.skin) / 255, 0.05, 0.75))
    teeth = s.layers["mouth"].alpha * step(0.75, 0.9, s.layers["mouth"].colour.min(-1))
    under *= 1 - teeth
    sheet.wash(under * (1 - s.visible("eyes")), 0.70 * max(tone - 0.21, 0.0), 1.2, 0.15, 0.10)
    form = under * step(0.58, 0.30, lit + 0.02 * sheet.pools)
    sheet.wash(form, 0.14 + 0.16 * tone, 2.0, 0.7, 0.13)
    depth = under * step(0.24, 0.02, lit + 0.02 * sheet.pools)
    sheet.wash(depth, 0.18 + 0.16 * tone, 1.6, 0.6, 0.13)
    sheet.ink -= 0.5 * sheet.ink * under * step(0.90, 0.99, lit) * 0.6


def _cloth(sheet: Absorbent, s: Sketch, lit: Map) -> None:
    """Clothes, hats and scarves: one broad wash and a darker fold, the lit side left open."""
    for name in ("clothes", "scarf", "hat"):
        if name not in s.layers:
            continue
        mask, layer = s.visible(name), s.layers[name]
        mean = float((layer.colour.mean(-1) * layer.alpha).sum() / max(layer.alpha.sum(), 1))
        grey = 0.14 + 0.95 * (1 - mean) ** 1.2
        sheet.wash(mask, grey * (1 - 0.7 * step(0.6, 0.95, lit)), 3.5, 0.5, 0.4)
        sheet.wash(mask * step(0.55, 0.2, lit), 0.8 * grey, 3.0, 0.4, 0.4)


def _features(sheet: Absorbent, s: Sketch) -> None:
    eyes, mouth, brows = (s.layers[k] for k in ("eyes", "mouth", "brows"))
    free = s.covered("eyes", "glasses")
    value = eyes.colour.mean(-1)
    sheet.ink += eyes.alpha * free * np.clip(-np.log(np.clip(value, 0.05, 1)) - 0.08, 0, 3) * 0.95
    lips = mouth.alpha * s.covered("mouth", "glasses")
    value = mouth.colour.mean(-1)
    sheet.ink += lips * np.clip(-np.log(np.clip(value, 0.12, 1)) - 0.12, 0, 3) * 0.55
    hairs = brows.alpha * s.covered("brows", "glasses")
    pale = float(np.clip(1.3 - np.mean(s.traits.brow) / 255, 0.35, 1.0))
    sheet.wash(hairs, 1.25 * pale, 0.7, 0.2, 0.5)


def render(seed: int, size: int = 512) -> tuple[np.ndarray, Array, Traits]:
    """Paint the portrait of ``seed`` in ink; returns as ``portrait.render`` does."""
    brush = np.random.default_rng([seed, STREAM, 1])
    s, rng = draw_sketch(seed, size, STREAM, InkCanvas(size, brush))
    relief = model_head(s)
    lit = lighting(s, relief, 0.5, 0.9) * 0.9 + 0.1
    skin = skin_mask(s)
    lit = lit - 0.42 * s.cast * skin - 0.16 * relief.cavity * s.visible("head")
    sheet = Absorbent(size, rng)
    at = (np.arange(size, dtype=np.float32) + 0.5) / size * 2 - 1
    x, y = np.meshgrid(at, at)
    if rng.random() < 0.75:  # a pale wash behind the shadow side
        side = -s.traits.light * rng.uniform(0.35, 0.65)
        cloud = np.hypot((x - side) / 0.62, (y - rng.uniform(-0.2, 0.3)) / 0.85)
        cloud = step(1.05, 0.45, cloud + 0.20 * noise(rng, size, 4, 3))
        free = 1 - s.person()
        sheet.wash(cloud * free, float(rng.uniform(0.07, 0.20)), 7, 0.5, 0.35)
    _skin(sheet, s, relief, lit)
    _cloth(sheet, s, lit)
    _hair(sheet, s, lit)
    _features(sheet, s)
    for name, layer in s.layers.items():
        if name == "beard":
            continue
        fine = name in ("eyes", "mouth", "nose", "glasses")
        cover = layer.line * s.covered(name, "glasses")
        share = 2.2 if fine else (1.0 if name == "wrinkles" else 2.3)
        sheet.line(cover, share)
    red, _ = warmth(s, relief)
    lips = blur(s.visible("mouth") * (s.layers["mouth"].colour.min(-1) < 0.72), 1.2 * size / 512)
    blush = np.clip(0.16 * red * skin + 0.55 * lips, 0, 1)[..., None]
    tint = 1 - blush * np.array([0.06, 0.36, 0.34], np.float32)
    return sheet.pixels(tint), s.points, s.traits
