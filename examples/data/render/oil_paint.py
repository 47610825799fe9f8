"""Oil portraits: modelled light, then brush strokes that follow the form, then impasto."""

from __future__ import annotations

import cv2
import numpy as np

from .brush import Brush
from .geometry import Array
from .layers import Layer, Map, Sketch, draw_sketch
from .media import blur, lighting, noise, skin_mask, step, warmth, wobble
from .relief import Relief, model_head
from .traits import Traits

STREAM = 11
GROUNDS = (
    (58, 42, 32), (48, 44, 38), (70, 58, 44), (52, 54, 48), (74, 50, 40), (44, 50, 54),
    (96, 82, 62), (66, 76, 72), (40, 34, 32), (92, 74, 68), (104, 92, 58), (72, 86, 96),
    (156, 142, 120), (128, 138, 140), (150, 120, 104), (120, 132, 104),
)  # fmt: skip
WARM_LIGHT = np.array([1.06, 1.0, 0.88], np.float32)


def _ground(s: Sketch, rng: np.random.Generator) -> Map:
    base = np.array(GROUNDS[int(rng.integers(0, len(GROUNDS)))], np.float32) / 255
    at = (np.arange(s.size) + 0.5) / s.size
    x, y = np.meshgrid(at, at)
    glow = np.exp(-(((x - 0.5 + 0.30 * s.traits.light) / 0.42) ** 2) - ((y - 0.42) / 0.5) ** 2)
    value = 0.72 + 0.75 * glow + 0.10 * noise(rng, s.size, 5, 2)
    other = base[[0, 2, 1]] * 0.4 + base * 0.6 + 0.02
    share = step(-1, 1, noise(rng, s.size, 4, 2))[..., None] * 0.7
    ground: Map = (base * (1 - share) + other * share) * value[..., None]
    return ground.astype(np.float32)


def _skin_tones(colour: Map, lit: Map, s: Sketch, relief: Relief) -> Map:
    """Local colour under light: warm lights, saturated turning edge, brown shadows."""
    red, cool = warmth(s, relief)
    local = colour * (1 + np.array([0.03, -0.13, -0.15], np.float32) * red[..., None])
    local *= 1 + np.array([-0.07, -0.01, 0.03], np.float32) * cool[..., None]
    grey = local.mean(-1, keepdims=True)
    local = grey + (local - grey) * 1.12
    shadow = local * np.array([0.47, 0.36, 0.33], np.float32) + 0.03
    middle = local * np.array([0.84, 0.72, 0.66], np.float32)
    light = local * np.array([1.0, 0.95, 0.89], np.float32)
    top = light * 1.04 + np.array([0.085, 0.08, 0.075], np.float32)
    v = lit[..., None]
    tones = shadow + (middle - shadow) * step(0.08, 0.44, v)
    tones += (light - tones) * step(0.38, 0.74, v)
    tones += (top - tones) * step(0.80, 0.99, v)
    return tones


def reference(s: Sketch, relief: Relief, ground: Map) -> tuple[Map, Map]:
    """The lit picture that the brush copies, and its light ``(H, W)``."""
    unit = s.size / 512
    lit = lighting(s, relief, 0.45, 0.85) * 0.90 + 0.12
    hidden = s.cast * skin_mask(s)
    lit = lit - 0.50 * hidden * step(-0.2, 0.6, lit) - 0.18 * relief.cavity * s.visible("head")
    out = ground
    for name, layer in s.layers.items():
        colour, alpha = layer.colour, layer.alpha
        v = lit[..., None]
        if name == "nose":  # its flat shapes are modelled by the relief
            out = _lines(out, s, name, layer)
            continue
        if name in ("neck", "ears", "head"):
            colour = _skin_tones(colour, lit * (0.90 if name != "head" else 1.0), s, relief)
        elif name in ("hair", "back", "brows", "beard"):
            colour = colour * (0.34 + (0.80 - 0.22 * colour) * step(-0.05, 1.0, v)) * WARM_LIGHT
            alpha = blur(alpha, (2.2 if name == "beard" else 0.9) * unit)
        elif name == "eyes":
            dim = 0.42 + 0.44 * step(-0.1, 0.8, blur(lit, 6 * unit)[..., None])
            colour = colour * dim * WARM_LIGHT
            glint = step(0.93, 0.99, layer.colour.min(-1))[..., None]
            colour = colour + (layer.colour - colour) * glint * 0.8
        elif name == "mouth":
            colour = colour * (0.50 + 0.55 * step(-0.1, 0.8, v)) * WARM_LIGHT
        elif name in ("clothes", "hat", "scarf"):
            grey = colour.mean(-1, keepdims=True)
            muted = (grey + (colour - grey) * 0.75) * 0.78 + 0.01
            colour = muted * (0.32 + 0.85 * step(-0.1, 0.95, v)) * WARM_LIGHT
        elif name == "glasses":
            continue  # painted last, over the finished face
        out = out + (colour - out) * alpha[..., None]
        out = _lines(out, s, name, layer)
    return np.clip(out, 0, 1).astype(np.float32), lit


def _lines(out: Map, s: Sketch, name: str, layer: Layer) -> Map:
    """Turn ink lines into soft dark accents; outlines of masses all but vanish."""
    share = {"nose": 0.80, "mouth": 0.8, "eyes": 0.85, "wrinkles": 0.42}
    strength = share.get(name, 0.16 if name in ("hair", "back") else 0.28)
    dark = 1 - layer.line_colour.mean(-1)
    alpha = blur(layer.line * dark, 0.9 * s.size / 512)[..., None] * strength
    out = out * (1 - alpha * np.array([0.62, 0.76, 0.80], np.float32))
    if name == "nose":
        shine = blur(layer.line * (dark < 0.5), 1.6 * s.size / 512)[..., None]
        out = out + (1 - out) * shine * 0.3
    return out


def wear_glasses(out: Map, s: Sketch, lit: Map) -> Map:
    """Put the glasses of a sketch, which has some, over the finished face."""
    unit = s.size / 512
    wire, free = s.layers["glasses"], s.covered("glasses")
    thick = np.clip(blur(wire.line * free, 0.6 * unit) * 1.2, 0, 1)
    frame = wire.line_colour * 0.75
    out = out + (1 - out) * (0.4 * wire.alpha * free)[..., None]
    out = out + (frame - out) * thick[..., None]
    glint = np.roll(thick, round(-1.5 * unit), 0) * (1 - thick)
    return out + 0.16 * glint[..., None] * np.clip(lit, 0, 1)[..., None]


def flow_field(s: Sketch, relief: Relief, rng: np.random.Generator) -> Map:
    """Stroke angle at every pixel: along hair, across the form on skin, sweeping elsewhere."""
    size, unit = s.size, s.size / 512
    tensor = np.zeros((size, size, 2), np.float32)

    def put(angle: Map, mask: Map) -> None:
        nonlocal tensor
        new = np.stack([np.cos(2 * angle), np.sin(2 * angle)], -1)
        tensor += (new - tensor) * mask[..., None]

    put(0.9 * s.traits.light + 0.7 * noise(rng, size, 4), np.ones((size, size), np.float32))
    for name, layer in s.layers.items():
        soft = blur(layer.alpha, 9 * unit)
        gy, gx = np.gradient(soft)
        if name == "head":
            slope = blur(relief.normal, 4 * unit)
            put(np.arctan2(slope[..., 1], slope[..., 0]) + np.pi / 2 * 0.75, layer.alpha)
        elif name in ("neck", "clothes", "ears", "scarf", "hat"):
            put(np.arctan2(gy, gx) + np.pi / 2, layer.alpha)
        elif name in ("eyes", "brows", "mouth"):
            gy, gx = np.gradient(blur(layer.alpha, 2.5 * unit))
            put(np.arctan2(gy, gx) + np.pi / 2, np.clip(2 * blur(layer.alpha, 3 * unit), 0, 1))
        elif name in ("back", "beard"):
            put(np.full((size, size), np.pi / 2, np.float32), layer.alpha)
        elif name == "hair":
            put(np.arctan2(gy, gx) + np.pi / 2, layer.alpha)
            for sheet in s.hair.sheets:
                _sheet_flow(tensor, sheet.grid * unit)
            if s.hair.cap is not None:
                put(np.pi * noise(rng, size, 26), layer.alpha)
    tensor = blur(tensor, 3 * unit)
    return np.arctan2(tensor[..., 1], tensor[..., 0]) / 2


def _sheet_flow(tensor: Map, grid: Array) -> None:
    """Write the direction of a sheet's locks into the field, patch by patch."""
    g = grid[::6, ::6]
    for i in range(g.shape[0] - 1):
        for j in range(g.shape[1] - 1):
            corners = g[[i, i + 1, i + 1, i], [j, j, j + 1, j + 1]]
            d = g[i, j + 1] - g[i, j] + g[i + 1, j + 1] - g[i + 1, j]
            a = 2 * np.arctan2(d[1], d[0])
            value = (float(np.cos(a)), float(np.sin(a)))
            cv2.fillConvexPoly(tensor, np.rint(corners).astype(np.int32), value)


def _strokes(
    brush: Brush,
    picture: Map,
    angle: Map,
    mask: Map,
    rng: np.random.Generator,
    spacing: float,
    width: float,
    length: float,
    jitter: float,
    alpha: float = 1.0,
) -> None:
    """One pass of strokes: seeds on a jittered grid, lines along the field, sampled colours."""
    size = picture.shape[0]
    grid = np.arange(spacing / 2, size + spacing, spacing)
    seeds = np.stack(np.meshgrid(grid, grid), -1).reshape(-1, 2)
    seeds += rng.uniform(-0.6, 0.6, seeds.shape) * spacing
    cell = np.clip(seeds.astype(int), 0, size - 1)
    keep = rng.random(len(seeds)) < mask[cell[:, 1], cell[:, 0]]
    seeds, cell = seeds[keep], cell[keep]
    order = rng.permutation(len(seeds))
    seeds, cell = seeds[order], cell[order]
    k, points = 5, []
    at = seeds.copy()
    lengths = length * rng.uniform(0.6, 1.3, len(seeds))
    heading = np.zeros_like(at)
    for _ in range(k):
        points.append(at)
        here = np.clip(at.astype(int), 0, size - 1)
        a = angle[here[:, 1], here[:, 0]]
        d = np.stack([np.cos(a), np.sin(a)], 1)
        flip = (d * heading).sum(1) < 0
        d[flip] *= -1
        heading = d
        at = at + d * (lengths / (k - 1))[:, None]
    lines = np.stack(points, 1)
    lines += (seeds - lines.mean(1))[:, None]
    colours = picture[cell[:, 1], cell[:, 0]].astype(float)
    value = 1 + jitter * rng.normal(0, 1, (len(seeds), 1))
    colours = colours * value + 0.35 * jitter * rng.normal(0, 1, colours.shape) * colours.mean()
    widths = width * rng.uniform(0.7, 1.25, len(seeds))
    brush.paint(lines, widths, np.clip(colours, 0, 1), rng, alpha)


def render(seed: int, size: int = 512) -> tuple[np.ndarray, Array, Traits]:
    """Paint the portrait of ``seed`` in oil; returns as ``portrait.render`` does."""
    s, rng = draw_sketch(seed, size, STREAM)
    relief = model_head(s)
    ground = _ground(s, rng)
    ref, lit = reference(s, relief, ground)
    angle = flow_field(s, relief, rng)
    unit = size / 512
    person, skin = s.person(), skin_mask(s)
    features = s.visible("eyes", "mouth", "brows", "nose", "wrinkles")
    lines = sum(
        layer.line * s.covered(name)
        for name, layer in s.layers.items()
        if name in ("eyes", "mouth", "nose", "brows")
    )
    near = np.clip(blur(features + lines, 3.5 * unit) * 2.2, 0, 1)

    behind = Brush(size, rng)
    full = np.ones((size, size), np.float32)
    _strokes(behind, ground, angle, full, rng, 15 * unit, 34 * unit, 78 * unit, 0.10)
    back_colour, back_cover, back_height = behind.read()
    back = back_colour * back_cover[..., None] + ground * (1 - back_cover[..., None])
    back *= 1 - 0.22 * blur(person, 9 * unit)[..., None]

    brush = Brush(size, rng)
    inside = (person > 0.6).astype(np.float32)
    _strokes(brush, ref, angle, inside, rng, 8 * unit, 21 * unit, 44 * unit, 0.07)
    hair = s.visible("hair", "back", "beard")
    mid = np.clip(skin + hair, 0, 1) * inside
    _strokes(brush, ref, angle, mid, rng, 8.5 * unit, 16 * unit, 36 * unit, 0.075, 0.92)
    fine = np.clip(0.6 * hair + near, 0, 1) * inside
    _strokes(brush, ref, angle, fine, rng, 3.8 * unit, 3.6 * unit, 14 * unit, 0.035, 0.85)
    colour, cover, height = brush.read()
    out = colour * cover[..., None] + ref * (1 - cover[..., None])
    gy, gx = np.gradient(blur(ref.mean(-1), 1.2 * unit))
    border = np.clip(blur(np.hypot(gx, gy) * unit * 14, 2.0 * unit), 0, 0.6)
    crisp = np.clip(blur(features + 0.8 * lines, 1.2 * unit) * 1.3, 0, 1)
    keep = np.maximum(0.78 * crisp, border)
    out = out + (ref - out) * keep[..., None]
    edge = step(0.25, 0.75, blur(wobble(person, rng, 40, 1.3 * unit), 1.1 * unit))
    out = back + (out - back) * edge[..., None]
    height = back_height + (height * (1 - 0.6 * crisp) - back_height) * edge
    if "glasses" in s.layers:
        out = wear_glasses(out, s, lit)
    return _finish(out, height, lit * edge + 0.3 * (1 - edge), rng, unit), s.points, s.traits


def _finish(out: Map, height: Map, lit: Map, rng: np.random.Generator, unit: float) -> np.ndarray:
    """Light the paint relief from above left, add varnish."""
    size = out.shape[0]
    thick = blur(height, 1.5 * unit) * (0.75 + 0.35 * np.clip(lit, 0, 1))
    relief = (np.roll(thick, 2, 0) - np.roll(thick, -2, 0)) + (
        np.roll(thick, 2, 1) - np.roll(thick, -2, 1)
    )
    value = out.mean(-1)
    emboss = -relief * (0.14 + 0.34 * value)
    emboss = np.where(emboss > 0, emboss, 0.3 * emboss)  # glints more than furrows
    emboss = 0.11 * np.tanh(1.6 * emboss / 0.11)
    out = out * (1 + emboss[..., None] * 0.6) + np.clip(emboss, 0, 1)[..., None] * 0.25
    x = np.linspace(-1, 1, size)
    corner = np.clip(x[None] ** 2 + x[:, None] ** 2 - 0.6, 0, 2)[..., None]
    out = out * (1 - 0.16 * corner) * np.array([1.01, 0.995, 0.95], np.float32)
    return np.clip(np.rint(out * 255), 0, 255).astype(np.uint8)
