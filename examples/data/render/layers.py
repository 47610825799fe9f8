"""One portrait as separate layers: flat colours, lines and cast shadows, for the painted styles."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
import numpy.typing as npt
import skia

from . import clothes, eyes, face, hairstyles, mouth
from .canvas import Canvas, Colour, _argb, _path
from .geometry import PAGE, Array, Rig, shift, stroke
from .portrait import fit_rig, landmarks
from .strands import draw_strands
from .traits import Traits, sample_traits

Map = npt.NDArray[np.float32]
SKIN = ("neck", "ears", "head")


class LayerCanvas(Canvas):
    """Keeps every layer's flat colours and its lines on pages of their own."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.pages: dict[str, tuple[skia.Surface, skia.Surface]] = {}
        self._lines = self._canvas

    def layer(self, name: str) -> None:
        """Draw on the layer ``name`` from now on; layers lie in the order of first use."""
        if name not in self.pages:
            pair = (skia.Surface(self.size * 2, self.size * 2) for _ in range(2))
            self.pages[name] = (next(pair), next(pair))
            for surface in self.pages[name]:
                surface.getCanvas().clear(skia.ColorTRANSPARENT)
                surface.getCanvas().scale(self.size * 2 / PAGE, self.size * 2 / PAGE)
        self._canvas, self._lines = (s.getCanvas() for s in self.pages[name])

    def fill(self, polygon: Array, colour: Colour, alpha: float = 1.0, blur: float = 0.0) -> None:
        """Fill a closed polygon; it covers the lines drawn before on this layer."""
        super().fill(polygon, colour, alpha, blur)
        if alpha > 0.5:
            paint = skia.Paint(AntiAlias=True, Color=_argb(colour, alpha))
            paint.setBlendMode(skia.BlendMode.kDstOut)
            self._lines.drawPath(_path(polygon), paint)

    def ink(
        self,
        line: Array,
        width: float,
        colour: Colour,
        start: float = 0.0,
        end: float = 0.0,
        alpha: float = 1.0,
    ) -> None:
        """Draw a tapered stroke on the layer's page of lines."""
        paint = skia.Paint(AntiAlias=True, Color=_argb(colour, alpha))
        self._lines.drawPath(_path(stroke(line, width, start, end)), paint)

    def outline(self, polygon: Array, width: float, colour: Colour) -> None:
        """Draw a closed outline on the layer's page of lines."""
        keep, self._canvas = self._canvas, self._lines
        super().outline(polygon, width, colour)
        self._canvas = keep

    def strands(self, hair: hairstyles.Hair, t: Traits, rng: np.random.Generator) -> None:
        """Draw the hair over head and face."""
        draw_strands(self, hair, t, rng)

    @contextmanager
    def clip(self, *polygons: Array, outside: bool = False) -> Iterator[None]:
        """Restrict both pages of the layer to the inside (or outside) of each polygon."""
        operation = skia.ClipOp.kDifference if outside else skia.ClipOp.kIntersect
        pages = (self._canvas, self._lines)
        for page in pages:
            page.save()
            for polygon in polygons:
                page.clipPath(_path(polygon), operation, True)
        yield
        for page in pages:
            page.restore()


@dataclass
class Layer:
    """Colours in 0..1 (not premultiplied) and coverage of one layer's fills and lines."""

    colour: Map
    alpha: Map
    line_colour: Map
    line: Map


@dataclass
class Sketch:
    """Everything the painted styles know about one portrait."""

    size: int
    traits: Traits
    rig: Rig
    hair: hairstyles.Hair
    points: Array
    layers: dict[str, Layer] = field(default_factory=dict)
    cast: Map = field(default_factory=lambda: np.zeros((1, 1), np.float32))

    def visible(self, *names: str) -> Map:
        """Coverage of the named layers after all later layers have covered them."""
        out = np.zeros((self.size, self.size), np.float32)
        free = np.ones_like(out)
        for name in reversed(self.layers):
            alpha = self.layers[name].alpha
            if name in names:
                out += free * alpha
            free *= 1 - alpha
        return out

    def covered(self, name: str, *but: str) -> Map:
        """Share of each pixel that layers after ``name`` leave free."""
        free = np.ones((self.size, self.size), np.float32)
        for other in reversed(self.layers):
            if other == name:
                break
            if other not in but:
                free *= 1 - self.layers[other].alpha
        return free

    def person(self) -> Map:
        """Coverage of the whole figure."""
        return self.visible(*self.layers)


def _read(surface: skia.Surface, size: int) -> tuple[Map, Map]:
    premultiplied = surface.makeImageSnapshot().toarray(
        colorType=skia.kRGBA_8888_ColorType, alphaType=skia.kPremul_AlphaType
    )
    small = cv2.resize(premultiplied, (size, size), interpolation=cv2.INTER_AREA)
    rgba = small.astype(np.float32) / 255
    alpha = rgba[..., 3]
    return np.minimum(rgba[..., :3] / np.maximum(alpha, 1e-3)[..., None], 1), alpha


def flat_traits(t: Traits) -> Traits:
    """The same person without cel shadows on the skin."""
    return replace(t, skin_shadow=t.skin, contrast=0.0)


def draw_layers(canvas: LayerCanvas, s: Sketch, rng: np.random.Generator) -> None:
    """Draw the person of ``s`` on ``canvas``, from back to front."""
    rig, hair = s.rig, s.hair
    t = flat_traits(s.traits)
    if hair.back:
        canvas.layer("back")
        hairstyles.draw_back(canvas, hair, t)
    canvas.layer("neck")
    clothes.draw_neck(canvas, rig, t)
    canvas.layer("clothes")
    clothes.draw_clothes(canvas, rig, t)
    if t.hair_style not in hairstyles.COVERS_EARS:
        canvas.layer("ears")
        for side in (-1.0, 1.0):
            face.draw_ear(canvas, rig, t, side)
    canvas.layer("head")
    canvas.fill(face.head_shape(rig, t), t.skin)
    if t.beard != "full":
        face.draw_contour(canvas, rig, t)
    if t.hair_style in ("bald", "buzz", "receding"):
        canvas.ink(face.head_shape(rig, t)[16 * 14 :], 3.6, t.line, 0.6, 0.6)
    canvas.layer("wrinkles")
    face.draw_wrinkles(canvas, rig, t)
    if t.beard != "none":
        canvas.layer("beard")
        mouth.draw_beard(canvas, rig, t)
    canvas.layer("mouth")
    mouth.draw_mouth(canvas, rig, t)
    canvas.layer("nose")
    face.draw_nose(canvas, rig, t)
    canvas.layer("eyes")
    for side in (-1.0, 1.0):
        eyes.draw_eye(canvas, rig, t, side)
    canvas.layer("brows")
    for side in (-1.0, 1.0):
        eyes.draw_brow(canvas, rig, t, side)
    if t.hair_style not in ("bald", "scarf"):
        canvas.layer("hair")
        canvas.strands(hair, t, rng)
    if t.hair_style == "scarf":
        canvas.layer("scarf")
        clothes.draw_scarf(canvas, rig, t)
    if t.glasses != "none":
        canvas.layer("glasses")
        eyes.draw_glasses(canvas, rig, t)
    if t.extra in ("beanie", "headband"):
        canvas.layer("hat")
        clothes.draw_hat(canvas, rig, t)


def _cast_shadow(s: Sketch) -> Map:
    """Soft shadows that hair and hat throw on the face, and the head on the neck."""
    canvas = LayerCanvas(s.size)
    canvas.layer("face")
    t, rig = s.traits, s.rig
    head = face.head_shape(rig, t)
    with canvas.clip(head):
        for mass in s.hair.masses():
            canvas.fill(shift(mass, -5.0 * t.light, 10.0), (0, 0, 0), blur=3.0)
    canvas.layer("neck")
    canvas.fill(shift(head, -16.0 * t.light, 30.0), (0, 0, 0), blur=6.0)
    on_face, on_neck = (_read(pair[0], s.size)[1] for pair in canvas.pages.values())
    neck = s.visible("neck", "clothes", "back")
    return np.maximum(on_face * (1 - neck), on_neck * neck)


def draw_sketch(
    seed: int, size: int, stream: int, canvas: LayerCanvas | None = None
) -> tuple[Sketch, np.random.Generator]:
    """Draw the layers of the person of ``seed``; ``stream`` tells the styles' people apart."""
    rng = np.random.default_rng([seed, stream])
    t = sample_traits(rng)
    rig = fit_rig(t, rng)
    hair = hairstyles.build_hair(rig, t, rng)
    s = Sketch(size, t, rig, hair, landmarks(rig, t) * 2 / PAGE - 1)
    canvas = LayerCanvas(size) if canvas is None else canvas
    draw_layers(canvas, s, rng)
    for name, (fills, lines) in canvas.pages.items():
        s.layers[name] = Layer(*_read(fills, size), *_read(lines, size))
    s.cast = _cast_shadow(s)
    return s, rng
