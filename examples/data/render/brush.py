"""Batches of textured brush strokes: ribbons of triangles over Skia."""

from __future__ import annotations

import cv2
import numpy as np
import skia

from .geometry import Array
from .layers import Map

ROWS, LONG, HIGH = 6, 256, 32


def brush_tips(rng: np.random.Generator, dry: float = 0.0, coarse: float = 0.9) -> tuple[Map, Map]:
    """Six brush marks, one below the other: coverage and bristle height ``(6 * 32, 256)``.

    ``dry`` (0..1) opens the mark along its bristles towards the end; ``coarse`` is the bristle
    width in texels.
    """
    covers, heights = [], []
    u = np.linspace(0, 1, LONG)[None]
    v = np.linspace(-1, 1, HIGH)[:, None]
    for _ in range(ROWS):
        bristle = cv2.GaussianBlur(rng.standard_normal((HIGH, LONG)), (0, 0), 26, sigmaY=coarse)
        grain = rng.standard_normal((HIGH, LONG))
        bristle += 0.5 * cv2.GaussianBlur(grain, (0, 0), 60, sigmaY=0.556 * coarse)
        bristle /= bristle.std()
        ragged = 0.05 * bristle
        body = np.clip((u - 0.02 - np.abs(ragged)) / 0.05, 0, 1)
        body *= np.clip((0.99 - u - 0.06 * np.abs(bristle)) / 0.07, 0, 1)
        side = np.clip((1 - np.abs(v) ** 1.5 - 0.05 + 0.06 * bristle) / 0.40, 0, 1)
        open_ = np.clip(0.5 + (bristle + 1.6 - dry * (0.6 + 3.2 * u)) * 1.4, 0, 1)
        cover = body * side * (open_ if dry > 0 else np.clip(0.92 + 0.08 * bristle, 0, 1))
        ridge = 0.5 + 0.17 * bristle + 0.14 * np.abs(v) ** 4
        ridge = ridge + 0.10 * np.exp(-(((u - 0.93) / 0.05) ** 2))
        pad = np.zeros((HIGH, LONG))
        pad[2:-2, 1:-1] = cover[2:-2, 1:-1]
        covers.append(pad)
        heights.append(np.clip(ridge, 0, 1))
    return np.vstack(covers).astype(np.float32), np.vstack(heights).astype(np.float32)


def shader(cover: Map, value: Map) -> skia.Shader:
    """Texture of a brush mark: ``value`` as grey, ``cover`` as alpha."""
    rgba = np.repeat(value[..., None], 4, 2)
    rgba[..., 3] = cover
    pixels = np.ascontiguousarray(np.rint(rgba * 255).astype(np.uint8))
    image = skia.Image.fromarray(pixels, skia.kRGBA_8888_ColorType, copy=True)
    return image.makeShader(
        skia.TileMode.kClamp, skia.TileMode.kClamp, skia.SamplingOptions(skia.FilterMode.kLinear)
    )


class Brush:
    """Paints many strokes at once on a page of ``size`` pixels, colour and height together."""

    def __init__(self, size: int, rng: np.random.Generator, dry: float = 0.0) -> None:
        self.size = size
        cover, height = brush_tips(rng, dry)
        self._colour = shader(cover, np.ones_like(cover))
        self._height = shader(cover, height)
        self.pages = [skia.Surface(size, size) for _ in range(2)]
        for page in self.pages:
            page.getCanvas().clear(skia.ColorTRANSPARENT)

    def paint(
        self,
        lines: Array,
        widths: Array,
        colours: Array,
        rng: np.random.Generator,
        alpha: float = 1.0,
        taper: Array | None = None,
    ) -> None:
        """Paint strokes in order.

        Args:
            lines: ``(N, K, 2)`` centre lines in pixels.
            widths: ``(N,)`` full widths in pixels.
            colours: ``(N, 3)`` in 0..1.
            rng: chooses the brush mark of each stroke.
            alpha: opacity of the paint.
            taper: ``(K,)`` factors of the width along a stroke.
        """
        count, k = lines.shape[:2]
        tangent = np.gradient(lines, axis=1)
        tangent /= np.linalg.norm(tangent, axis=-1, keepdims=True) + 1e-9
        normal = np.stack([-tangent[..., 1], tangent[..., 0]], -1)
        half = widths[:, None, None] / 2 * (np.ones(k) if taper is None else taper)[None, :, None]
        corners = np.stack([lines + normal * half, lines - normal * half], 2)  # (N, K, 2, 2)
        row = rng.integers(0, ROWS, count)
        u = np.broadcast_to(np.linspace(1, LONG - 1, k)[None, :, None], (count, k, 2))
        v = np.stack([row * HIGH + 1.0, row * HIGH + HIGH - 1.0], -1)[:, None, :].repeat(k, 1)
        texture = np.stack([u, v], -1)
        argb = np.clip(np.rint(colours * 255), 0, 255).astype(np.int64)
        packed = (round(alpha * 255) << 24) | (argb[:, 0] << 16) | (argb[:, 1] << 8) | argb[:, 2]
        quad = np.arange(k - 1)[:, None] * 2 + np.array([0, 1, 2, 1, 3, 2])
        for a in range(0, count, 2500):
            b = min(a + 2500, count)
            index = (np.arange(b - a)[:, None] * (2 * k) + quad.ravel()).ravel().tolist()
            where = [skia.Point(x, y) for x, y in corners[a:b].reshape(-1, 2).tolist()]
            tex = [skia.Point(x, y) for x, y in texture[a:b].reshape(-1, 2).tolist()]
            tints = np.repeat(packed[a:b], 2 * k).tolist()
            white = [round(alpha * 255) << 24 | 0xFFFFFF] * len(tints)
            for page, mark, tint in zip(
                self.pages, (self._colour, self._height), (tints, white), strict=True
            ):
                mesh = skia.Vertices(
                    skia.Vertices.VertexMode.kTriangles_VertexMode, where, tex, tint, index
                )
                page.getCanvas().drawVertices(
                    mesh, skia.Paint(Shader=mark, AntiAlias=True), skia.BlendMode.kModulate
                )

    def read(self) -> tuple[Map, Map, Map]:
        """Colours ``(H, W, 3)``, coverage and bristle height so far."""
        out = []
        for page in self.pages:
            snapshot = page.makeImageSnapshot()
            rgba = snapshot.toarray(colorType=skia.kRGBA_8888_ColorType).astype(np.float32) / 255
            out.append(rgba)
        return out[0][..., :3], out[0][..., 3], out[1][..., 0] * out[1][..., 3]
