"""Watercolours: transparent glazes with wet edges and granulation on rough white paper."""

from __future__ import annotations

import cv2
import numpy as np

from .geometry import Array
from .layers import Map, Sketch, draw_sketch
from .media import blur, lighting, noise, rough_paper, skin_mask, step, streaks, warmth, wobble
from .relief import model_head
from .traits import Traits

STREAM = 12
PAPER = np.array([0.985, 0.978, 0.960], np.float32)
WASHES = (
    (126, 164, 190), (150, 178, 150), (206, 176, 120), (196, 152, 150), (150, 144, 186),
    (118, 150, 150), (178, 172, 158), (110, 136, 176), (212, 160, 118), (140, 168, 176),
)  # fmt: skip


class Sheet:
    """A sheet of paper that takes glazes: light passes each one twice and none turns opaque."""

    def __init__(self, size: int, rng: np.random.Generator) -> None:
        self.rng, self.size, self.unit = rng, size, size / 512
        self.tooth = rough_paper(rng, size)
        self.light = np.zeros((size, size, 3), np.float32)  # optical density
        self.pools = noise(rng, size, 7, 3)

    def glaze(
        self,
        mask: Map,
        colour: Map,
        *,
        strength: Map | float = 1.0,
        rim: float = 0.5,
        grain: float = 0.10,
        pool: float = 0.16,
        ragged: float = 1.2,
        soft: float = 0.5,
    ) -> None:
        """Lay a transparent wash.

        Args:
            mask: where the water goes, 0..1.
            colour: the colour of the dry wash on white, ``(3,)`` or ``(H, W, 3)`` in 0..1.
            strength: amount of pigment.
            rim: extra pigment that gathers at the edge.
            grain: share that settles in the hollows of the paper.
            pool: uneven pigment within the wash.
            ragged: pixels by which the edge wanders.
            soft: blur of the edge in pixels; large values are wet-in-wet.
        """
        unit = self.unit
        if ragged > 0:
            mask = wobble(mask, self.rng, 26, ragged * unit)
        m = blur(mask, soft * unit)
        edge = np.clip(m - blur(m, 2.6 * unit), 0, 1) * 1.4 + 0.5 * np.clip(
            m - blur(m, 8 * unit), 0, 1
        )
        amount = m * (1 + pool * self.pools) + rim * edge * m
        amount = amount * (1 - grain * self.tooth * (0.4 + 0.6 * m)) * strength
        density = -np.log(np.clip(np.asarray(colour, np.float32), 0.02, 0.995))
        self.light += np.clip(amount, 0, 3)[..., None] * density

    def lift(self, mask: Map, share: float) -> None:
        """Take pigment off with a damp brush."""
        self.light *= 1 - share * np.clip(mask, 0, 1)[..., None]

    def pixels(self) -> np.ndarray:
        """The dry picture in side light, uint8 RGB."""
        slope = self.tooth - np.roll(self.tooth, (1, 1), (0, 1))
        out = PAPER * (1 + 0.012 * slope + 0.006 * self.tooth)[..., None] * np.exp(-self.light)
        return np.clip(np.rint(out * 255), 0, 255).astype(np.uint8)


def _rgb(colour: tuple[float, float, float]) -> Map:
    return np.clip(np.array(colour, np.float32) / 255, 0.03, 0.99)


def _background(sheet: Sheet, s: Sketch, rng: np.random.Generator) -> None:
    """A loose wash around the figure that bleeds into dry white paper."""
    size = s.size
    at = (np.arange(size, dtype=np.float32) + 0.5) / size * 2 - 1
    x, y = np.meshgrid(at, at)
    first, second = (_rgb(WASHES[int(k)]) for k in rng.choice(len(WASHES), 2, replace=False))
    side = s.traits.light
    reach = np.hypot(x / 1.05, (y + 0.15) / 1.15) + 0.17 * noise(rng, size, 4, 3)
    cover = step(1.22, 0.72, reach)
    away = 1 - 0.55 * step(-0.5, 0.9, x * side)  # thinner where the light comes from
    free = 1 - 0.92 * s.person()
    patches = step(-0.9, 0.9, noise(rng, size, 3, 3))
    light = first * 0.45 + 0.55
    sheet.glaze(cover * free, light, strength=0.9 * away, rim=0.8, pool=0.32, soft=2.5)
    strong = cover * patches * free
    sheet.glaze(strong, second * 0.6 + 0.4, strength=0.85 * away, rim=0.25, pool=0.35, soft=9)
    bloom = step(0.85, 1.0, noise(rng, size, 4, 3)) * cover * free
    sheet.glaze(bloom, first * 0.6 + 0.4, strength=0.5 * away, rim=1.6, pool=0.2, soft=1.2)
    sheet.lift(blur(bloom, 5 * s.size / 512), 0.25)
    drops = np.zeros((size, size), np.float32)
    for _ in range(int(rng.integers(3, 8))):
        px, py = rng.uniform(0.03, 0.97, 2) * size
        cv2.circle(drops, (int(px), int(py)), int(rng.integers(1, 4)), 1.0, -1, cv2.LINE_AA)
    sheet.glaze(drops * (1 - s.person()), second * 0.6 + 0.4, strength=0.6, rim=0.8)


def _skin(sheet: Sheet, s: Sketch, lit: Map, red: Map, cool: Map) -> None:
    """Three glazes: local colour, warm form, cool depth; then wet blushes."""
    unit = s.size / 512
    skin = skin_mask(s)
    t = s.traits
    local = _rgb(t.skin)
    dark = 1 - float(local.mean())
    under = np.clip(skin + s.visible("mouth", "nose", "wrinkles", "brows", "beard"), 0, 1)
    teeth = s.layers["mouth"].alpha * step(0.75, 0.9, s.layers["mouth"].colour.min(-1))
    under *= (1 - s.visible("eyes")) * (1 - teeth)
    pale = local ** (0.80 - 0.16 * dark)
    glow = 1 - 0.50 * step(0.80, 0.98, lit) * (1 - 0.5 * dark)
    sheet.glaze(under, pale, strength=glow, rim=0.35, pool=0.07, grain=0.07, soft=0.8)
    warm = np.clip(local * np.array([0.96, 0.83, 0.77], np.float32) + 0.02, 0, 0.98)
    form = step(0.62, 0.40, lit + 0.04 * sheet.pools) * under
    sheet.glaze(form, warm, strength=0.55 - 0.10 * dark, rim=0.55, pool=0.14, soft=1.6, ragged=2)
    deep = np.array([0.70, 0.56, 0.62], np.float32)
    depth = step(0.30, 0.10, lit + 0.05 * sheet.pools) * under
    sheet.glaze(depth, deep, strength=0.62 - 0.12 * dark, rim=0.45, pool=0.22, soft=1.2, ragged=1.6)
    cheek = np.array([0.94, 0.56, 0.50], np.float32)
    sheet.glaze(red * under, cheek, strength=0.36 + 0.4 * dark, rim=0, pool=0.25, soft=5 * unit)
    blue = np.array([0.76, 0.80, 0.86], np.float32)
    sheet.glaze(cool * under, blue, strength=0.45, rim=0, soft=5)


def _mass(sheet: Sheet, s: Sketch, name: str, local: Map, lit: Map) -> None:
    """Hair, clothes, hats and scarves: a light wash, then a darker one that leaves lights."""
    mask = s.visible(name)
    layer = s.layers[name]
    hair = name in ("hair", "back", "beard")
    tone = layer.colour.mean(-1) / max(float(local.mean()), 0.05)
    if hair:  # dark hair in glazes that never close to black
        dark = 1 - float(local.mean())
        local = np.clip(local * (1 - 0.18 * dark) + 0.12 * dark, 0, 0.97)
        local = local * np.array([1.0, 0.97, 0.98], np.float32)
    pale = local * 0.50 + 0.50 if not hair else local**0.50
    if name == "beard":
        stubble = s.traits.beard == "stubble"
        mask = blur(mask, (4.0 if stubble else 1.8) * s.size / 512)
        mask = mask * (1 if stubble else 0.82 + 0.18 * streaks(sheet.rng, s.size))
        mask = np.clip(mask * (0.85 + 0.3 * step(0.1, 0.6, 0.7 - lit)), 0, 1)
    shine = step(1.05, 1.45, blur(tone, 0.8)) if hair else 0.35 * step(0.72, 0.95, lit)
    sheet.glaze(
        mask, pale, strength=1 - 0.45 * np.clip(shine, 0, 1), rim=0.7, pool=0.25, ragged=1.8
    )
    second = mask * (1 - 0.85 * np.clip(shine, 0, 1))
    second *= step(0.98, 0.60, lit + 0.12 * sheet.pools) * 0.75 + 0.25
    if s.traits.beard == "stubble" and name == "beard":
        second *= 0.3
    sheet.glaze(second, local**0.8, strength=0.72, rim=0.5, pool=0.34, soft=1.2, ragged=2.2)
    shadow = mask * step(1.0, 0.72, tone) if hair else mask * step(0.45, 0.15, lit)
    cold = local**0.6 * np.array([0.88, 0.90, 1.0], np.float32)
    sheet.glaze(shadow, cold, strength=0.5, rim=0.5, pool=0.4, soft=0.7)


def _features(sheet: Sheet, s: Sketch) -> None:
    """Eyes, lips and brows: small firm washes in their own colours."""
    eyes, mouth, brows = (s.layers[k] for k in ("eyes", "mouth", "brows"))
    firm = {"rim": 0.25, "pool": 0.10, "grain": 0.05, "ragged": 0.0, "soft": 0.35}
    sheet.glaze(eyes.alpha * s.covered("eyes", "glasses"), np.clip(eyes.colour, 0.05, 0.97), **firm)
    lips = mouth.alpha * s.covered("mouth", "glasses")
    skin = _rgb(s.traits.skin) ** 0.7  # already on the paper under the lips
    tint = np.clip(mouth.colour * 1.08 + 0.02, 0.05, 0.985) / skin
    sheet.glaze(lips, np.clip(tint, 0.05, 0.985), strength=1.15, **firm)
    sheet.glaze(
        brows.alpha * s.covered("brows", "glasses"),
        np.clip(brows.colour, 0.06, 0.9),
        strength=0.75, rim=0.3, pool=0.3, grain=0.12, ragged=0.8, soft=0.9,
    )  # fmt: skip


def _lines(sheet: Sheet, s: Sketch, rng: np.random.Generator) -> None:
    """Pencil lines that break off and a few firm brush accents."""
    unit = s.size / 512
    breaks = step(-1.0, 0.5, noise(rng, s.size, 9, 2))
    pencil = np.array([0.36, 0.33, 0.33], np.float32)
    for name, layer in s.layers.items():
        dark = layer.line * (1 - layer.line_colour.mean(-1)) * s.covered(name, "glasses")
        if name in ("eyes", "mouth", "nose", "glasses"):
            sheet.glaze(
                np.clip(dark * 1.25, 0, 1), np.clip(layer.line_colour * 0.9 + 0.05, 0.08, 0.9),
                strength=0.55 if name == "nose" else 0.8, rim=0, pool=0.25, grain=0.08,
                ragged=0.5, soft=0.5,
            )  # fmt: skip
        else:
            thin = np.clip((blur(dark, 0.6 * unit) - 0.25) * 1.5, 0, 1)
            share = 0.55 if name in ("head", "ears", "wrinkles") else 0.42
            thin = wobble(thin, rng, 8, 0.8 * unit) * breaks
            sheet.glaze(thin, pencil, strength=share, rim=0, grain=0.35, ragged=0.0, soft=0.4)


def render(seed: int, size: int = 512) -> tuple[np.ndarray, Array, Traits]:
    """Paint the portrait of ``seed`` in watercolour; returns as ``portrait.render`` does."""
    s, rng = draw_sketch(seed, size, STREAM)
    relief = model_head(s)
    lit = lighting(s, relief, 0.5, 0.9) * 0.9 + 0.1
    skin = skin_mask(s)
    lit = lit - 0.42 * s.cast * skin - 0.16 * relief.cavity * s.visible("head")
    red, cool = warmth(s, relief)
    sheet = Sheet(size, rng)
    _background(sheet, s, rng)
    _skin(sheet, s, lit, red, cool)
    t = s.traits
    local = {"hair": t.hair, "back": t.hair_shadow, "beard": t.hair_shadow}
    for name in ("back", "clothes", "beard", "hair", "scarf", "hat"):
        if name in s.layers:
            mask = s.layers[name].alpha[..., None]
            mean = (s.layers[name].colour * mask).sum((0, 1)) / max(float(mask.sum()), 1)
            own = _rgb(local[name]) if name in local else np.clip(mean, 0.04, 0.95)
            _mass(sheet, s, name, own.astype(np.float32), lit)
    _features(sheet, s)
    _lines(sheet, s, rng)
    return sheet.pixels(), s.points, t
