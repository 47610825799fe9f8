"""Puts one portrait together and reports its landmarks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from . import clothes, eyes, face, hairstyles, mouth, scene
from .canvas import Canvas
from .geometry import PAGE, Array, Rig, shift
from .traits import Traits, sample_traits

# Medians over frontal photo crops: midpoint of the eyes and distance of the outer eye corners.
EYE_MIDPOINT = (0.0, -0.060)
OUTER_EYE_DISTANCE = 0.663
STREAM = 68


def landmarks(rig: Rig, t: Traits) -> Array:
    """Page positions ``(68, 2)`` in the iBUG order."""
    nose, lift = face.nose_points(t)
    return np.vstack(
        [
            rig.page(face.jaw_points(t)),
            eyes.brow_landmarks(rig, t),
            rig.page(nose, lift),
            rig.page(eyes.eye_landmarks(t)),
            rig.page(mouth.mouth_points(t), 0.02),
        ]
    )


def fit_rig(t: Traits, rng: np.random.Generator) -> Rig:
    """Choose the similarity that frames the turned head like a photo crop."""
    rig = Rig(t.yaw, t.pitch, 1.0, 0.0, 0.0, 0.0)
    corners = rig.turn(eyes.eye_landmarks(t))
    distance = float(np.linalg.norm(corners[9] - corners[0]))
    scale = OUTER_EYE_DISTANCE / distance * float(np.exp(rng.normal(0, 0.025)))
    middle = (corners[:6].mean(0) + corners[6:].mean(0)) / 2 * scale
    target = np.array(EYE_MIDPOINT) + rng.normal(0, 0.012, 2)
    dx, dy = target - middle
    return replace(rig, scale=scale, roll=float(rng.normal(0, 0.012)), dx=float(dx), dy=float(dy))


def render(seed: int, size: int = 512) -> tuple[np.ndarray, Array, Traits]:
    """Draw the portrait of ``seed``.

    Returns:
        The picture ``(size, size, 3)`` uint8 RGB, the landmarks ``(68, 2)`` normalised to
        [-1, 1] (x = 2 * pixel / width - 1), and the traits drawn.
    """
    rng = np.random.default_rng([seed, STREAM])
    t = sample_traits(rng)
    rig = fit_rig(t, rng)
    canvas = Canvas(size)
    scene.draw_background(canvas, rng)
    hair = hairstyles.build_hair(rig, t, rng)
    draw_person(canvas, rig, t, hair, rng)
    return canvas.pixels(), landmarks(rig, t) * 2 / PAGE - 1, t


def draw_person(
    canvas: Canvas, rig: Rig, t: Traits, hair: hairstyles.Hair, rng: np.random.Generator
) -> None:
    """Draw the whole person in cels, from back to front."""
    hairstyles.draw_back(canvas, hair, t)
    clothes.draw_neck(canvas, rig, t)
    clothes.draw_clothes(canvas, rig, t)
    if t.hair_style not in hairstyles.COVERS_EARS:
        for side in (-1.0, 1.0):
            face.draw_ear(canvas, rig, t, side)
    face.draw_skin(canvas, rig, t)
    with canvas.clip(face.head_shape(rig, t)):
        for mass in hair.masses():
            canvas.fill(shift(mass, -4.0 * t.light * t.contrast, 9.0), t.skin_shadow)
    face.draw_wrinkles(canvas, rig, t)
    mouth.draw_beard(canvas, rig, t)
    mouth.draw_mouth(canvas, rig, t)
    face.draw_nose(canvas, rig, t)
    for side in (-1.0, 1.0):
        eyes.draw_eye(canvas, rig, t, side)
        eyes.draw_brow(canvas, rig, t, side)
    if t.beard != "full":
        face.draw_contour(canvas, rig, t)
    if t.hair_style in ("bald", "buzz", "receding"):
        skull = face.head_shape(rig, t)[16 * 14 :]
        canvas.ink(skull, 3.6, t.line, 0.6, 0.6)
    hairstyles.draw_front(canvas, hair, t, rng)
    if t.hair_style == "scarf":
        clothes.draw_scarf(canvas, rig, t)
    if t.glasses != "none":
        eyes.draw_glasses(canvas, rig, t)
    if t.extra in ("beanie", "headband"):
        clothes.draw_hat(canvas, rig, t)
