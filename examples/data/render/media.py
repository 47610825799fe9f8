"""Tools shared by the painted styles: noise, papers, blending and the modelled light."""

from __future__ import annotations

import cv2
import numpy as np

from .layers import SKIN, Map, Sketch
from .relief import Relief, inflate


def noise(rng: np.random.Generator, size: int, cells: float, octaves: int = 1) -> Map:
    """Smooth noise ``(size, size)`` of zero mean and unit deviation.

    ``cells`` blobs fit across the picture; each further octave is half as large and as strong.
    """
    out = np.zeros((size, size), np.float32)
    for k in range(octaves):
        n = int(np.clip(round(cells * 2**k), 2, size))
        grain = rng.standard_normal((n + 3, n + 3)).astype(np.float32)
        big = cv2.resize(grain, None, fx=size / n, fy=size / n, interpolation=cv2.INTER_CUBIC)
        out += big[:size, :size] * 0.5**k
    out -= out.mean()
    return out / max(float(out.std()), 1e-6)


def blur(image: Map, sigma: float) -> Map:
    """Gaussian blur; ``sigma`` in pixels of the image."""
    out: Map = cv2.GaussianBlur(image, (0, 0), max(sigma, 0.05))
    return out


def step(low: float, high: float, x: Map) -> Map:
    """Smooth step from 0 at ``low`` to 1 at ``high``."""
    s = np.clip((x - low) / (high - low), 0, 1)
    return s * s * (3 - 2 * s)


def streaks(rng: np.random.Generator, size: int) -> Map:
    """Short upright streaks, like hairs of a beard; zero mean, unit deviation."""
    hairs = cv2.GaussianBlur(noise(rng, size, size / 2.6), (0, 0), 0.6, sigmaY=9 * size / 512)
    return hairs / float(hairs.std())


def wobble(image: Map, rng: np.random.Generator, cells: float, reach: float) -> Map:
    """Shift every pixel by smooth noise of about ``reach`` pixels."""
    size = image.shape[0]
    grid = np.arange(size, dtype=np.float32)
    x = grid[None, :] + reach * noise(rng, size, cells, 2)
    y = grid[:, None] + reach * noise(rng, size, cells, 2)
    out: Map = cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return out


def rough_paper(rng: np.random.Generator, size: int) -> Map:
    """Height of cold-pressed paper: zero mean, unit deviation."""
    height = noise(rng, size, size / 7) + 0.8 * noise(rng, size, size / 4)
    height += 0.5 * noise(rng, size, size / 14) + 0.35 * noise(rng, size, size / 2)
    return height / float(height.std())


def lighting(s: Sketch, relief: Relief, height: float = 0.5, front: float = 0.75) -> Map:
    """Lambert term in [-1, 1] for the whole figure: modelled head, rounded everything else."""
    light, unit = s.traits.light, s.size / 512
    v = np.array([0.62 * light, -height, front])
    v /= np.linalg.norm(v)

    def pillow(mask: Map, width: float, depth: float) -> Map:
        return (inflate(mask, width * unit, depth) @ v).astype(np.float32)

    out = pillow(s.person(), 26, 1.2)
    for name, layer in s.layers.items():
        if name in ("neck", "clothes"):
            value = pillow(layer.alpha, 22, 1.6)
        elif name in ("ears", "back"):
            value = pillow(layer.alpha, 6, 1.0)
        elif name in ("hair", "hat", "scarf"):
            whole = np.maximum(layer.alpha, s.layers["head"].alpha)
            value = 0.6 * pillow(whole, 24, 2.2) + 0.4 * pillow(layer.alpha, 7, 1.2)
        elif name == "head":
            value = relief.lit(light, height, front)
        else:
            continue
        out += (value - out) * layer.alpha
    return out


def skin_mask(s: Sketch) -> Map:
    """Visible skin."""
    return s.visible(*(name for name in SKIN if name in s.layers))


def warmth(s: Sketch, relief: Relief) -> tuple[Map, Map]:
    """Maps of the face's red (cheeks, nose, ears, chin) and cool (jaw, sockets) zones in 0..1."""
    t = s.traits
    red = 0.9 * relief.spot(0.30, 0.17, 0.15, 0.11) + 0.75 * relief.spot(0, 0.21, 0.10, 0.07)
    red += 0.35 * relief.spot(0, 0.68, 0.11, 0.07) + 0.3 * relief.spot(0.2, 0.02, 0.12, 0.03)
    if "ears" in s.layers:
        red += 0.6 * s.visible("ears")
    cool = 0.6 * relief.spot(0.12, -0.07, 0.06, 0.06) + 0.4 * relief.spot(0.25, 0.58, 0.16, 0.12)
    if not t.feminine:
        cool += 0.35 * relief.spot(0, 0.60, 0.30, 0.17, both=False)
    return np.clip(red, 0, 1), np.clip(cool, 0, 1)
