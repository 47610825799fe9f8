"""A thin layer over Skia: polygons, pen strokes, clips and gradients in page pixels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import skia

from .geometry import PAGE, Array, stroke

Colour = tuple[float, float, float]


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """Blend two RGB colours (0..255); ``share`` is the weight of ``b``."""
    r, g, bl = (x + (y - x) * share for x, y in zip(a, b, strict=True))
    return (r, g, bl)


def multiply(a: Colour, b: Colour) -> Colour:
    """Multiply a colour (0..255) by factors."""
    r, g, bl = (min(255.0, x * y) for x, y in zip(a, b, strict=True))
    return (r, g, bl)


def _argb(colour: Colour, alpha: float) -> int:
    r, g, b = (int(np.clip(round(c), 0, 255)) for c in colour)
    return int(skia.Color(r, g, b, round(255 * alpha)))


def _path(*polygons: Array, close: bool = True) -> skia.Path:
    builder = skia.PathBuilder()
    for polygon in polygons:
        builder.addPolygon([skia.Point(float(x), float(y)) for x, y in polygon], close)
    return builder.detach()


class Canvas:
    """Draws antialiased shapes on a square page of ``size`` output pixels."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._surface = skia.Surface(size * 2, size * 2)
        self._canvas = self._surface.getCanvas()
        self._canvas.scale(size * 2 / PAGE, size * 2 / PAGE)

    def fill(self, polygon: Array, colour: Colour, alpha: float = 1.0, blur: float = 0.0) -> None:
        """Fill a closed polygon; ``blur`` softens its edge (page pixels)."""
        paint = skia.Paint(AntiAlias=True, Color=_argb(colour, alpha))
        if blur > 0:
            paint.setMaskFilter(skia.MaskFilter.MakeBlur(skia.kNormal_BlurStyle, blur))
        self._canvas.drawPath(_path(polygon), paint)

    def gradient(
        self, polygon: Array, first: Colour, last: Colour, start: Array, end: Array
    ) -> None:
        """Fill a polygon with a linear gradient from ``start`` to ``end``."""
        shader = skia.GradientShader.MakeLinear(
            [skia.Point(*map(float, start)), skia.Point(*map(float, end))],
            [_argb(first, 1), _argb(last, 1)],
        )
        self._canvas.drawPath(_path(polygon), skia.Paint(AntiAlias=True, Shader=shader))

    def ink(
        self,
        line: Array,
        width: float,
        colour: Colour,
        start: float = 0.0,
        end: float = 0.0,
        alpha: float = 1.0,
    ) -> None:
        """Draw a tapered pen stroke along a polyline."""
        self.fill(stroke(line, width, start, end), colour, alpha)

    def outline(self, polygon: Array, width: float, colour: Colour) -> None:
        """Draw an even outline around a closed polygon."""
        paint = skia.Paint(
            AntiAlias=True,
            Color=_argb(colour, 1),
            Style=skia.Paint.kStroke_Style,
            StrokeWidth=width,
            StrokeJoin=skia.Paint.kRound_Join,
        )
        self._canvas.drawPath(_path(polygon), paint)

    @contextmanager
    def clip(self, *polygons: Array, outside: bool = False) -> Iterator[None]:
        """Restrict drawing to the inside (or outside) of each polygon."""
        self._canvas.save()
        operation = skia.ClipOp.kDifference if outside else skia.ClipOp.kIntersect
        for polygon in polygons:
            self._canvas.clipPath(_path(polygon), operation, True)
        yield
        self._canvas.restore()

    def pixels(self) -> np.ndarray:
        """Return the page as ``(size, size, 3)`` uint8 RGB (2 x 2 box filter)."""
        rgba = self._surface.makeImageSnapshot().toarray(colorType=skia.kRGBA_8888_ColorType)
        rgb = rgba[..., :3].astype(np.float32)
        rgb = rgb.reshape(self.size, 2, self.size, 2, 3).mean((1, 3))
        return np.clip(np.rint(rgb), 0, 255).astype(np.uint8)
