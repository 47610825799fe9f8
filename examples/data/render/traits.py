"""Chance decisions about one drawn person: who, in which mood, seen how."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .canvas import Colour, mix, multiply

SKINS: tuple[Colour, ...] = (
    (255, 232, 216), (252, 222, 200), (247, 211, 184), (240, 198, 165), (228, 180, 142),
    (212, 160, 120), (190, 136, 98), (160, 108, 76), (128, 84, 60), (98, 64, 48),
)  # fmt: skip
SKIN_SHARES = (0.10, 0.14, 0.15, 0.15, 0.12, 0.10, 0.08, 0.07, 0.05, 0.04)
HAIRS: dict[str, Colour] = {
    "black": (52, 46, 54), "soft_black": (70, 58, 60), "dark_brown": (84, 58, 46),
    "brown": (122, 80, 54), "chestnut": (146, 86, 54), "auburn": (168, 84, 52),
    "dark_blond": (186, 144, 90), "blond": (226, 188, 120), "grey": (150, 148, 152),
    "white": (222, 220, 220), "teal": (70, 150, 160), "rose": (214, 126, 148),
    "blue": (86, 110, 176),
}  # fmt: skip
IRISES: tuple[Colour, ...] = (
    (118, 64, 34), (94, 52, 32), (144, 86, 40), (150, 112, 48), (84, 136, 84), (70, 138, 186),
    (96, 130, 164),
)  # fmt: skip
FEMININE_HAIR = (
    "long_centre", "long_side", "long_wavy", "bob", "bob_fringe", "long_fringe", "ponytail",
    "bun", "pixie", "curly", "afro", "shoulder_wavy", "tucked", "swept_fringe", "scarf",
)  # fmt: skip
MASCULINE_HAIR = (
    "side_part", "crop", "quiff", "slick", "buzz", "spiky", "curly_short", "afro_short", "fringe",
    "medium_centre", "receding", "bald", "messy", "messy", "buzz",
)  # fmt: skip
CLOTHES: tuple[Colour, ...] = (
    (238, 238, 236), (70, 78, 98), (128, 150, 176), (176, 86, 78), (96, 128, 104), (214, 180, 120),
    (90, 90, 96), (150, 120, 160), (226, 160, 150), (60, 100, 130), (200, 206, 212), (54, 52, 60),
)  # fmt: skip


@dataclass(frozen=True)
class Traits:
    """Everything that a portrait's drawing functions need to know about the person."""

    feminine: bool
    age: float  # 0 young adult .. 1 old
    skin: Colour
    skin_shadow: Colour
    blush: Colour
    line: Colour
    hair_name: str
    hair: Colour
    hair_shadow: Colour
    hair_light: Colour
    hair_line: Colour
    hair_style: str
    iris: Colour
    brow: Colour
    lip: Colour
    cloth: Colour
    cloth_kind: str
    beard: str
    glasses: str
    extra: str
    light: float  # side the light comes from: +1 right, -1 left
    contrast: float  # 0 light from the front, thin shadows on both sides .. 1 from the side
    mess: float  # how many locks stray
    eye_size: float
    eye_tilt: float
    eye_open: float
    lid_fold: float  # 0 none .. 1 clear crease
    brow_weight: float
    brow_arch: float
    brow_lift: float
    nose_width: float
    nose_length: float
    mouth_width: float
    lip_full: float
    smile: float
    mouth_open: float
    jaw: float
    chin: float
    face_length: float
    gaze: tuple[float, float]
    yaw: float
    pitch: float


def _palette(rng: np.random.Generator, age: float) -> tuple[Colour, int, str]:
    tone = int(rng.choice(len(SKINS), p=SKIN_SHARES))
    skin = mix(SKINS[tone], SKINS[min(tone + 1, len(SKINS) - 1)], float(rng.uniform(0, 0.8)))
    if rng.random() < 0.035:
        name = str(rng.choice(["teal", "rose", "blue"]))
    elif age > 0.6 and rng.random() < 0.75:
        name = str(rng.choice(["grey", "white"]))
    elif tone >= 5:
        name = str(rng.choice(["black", "soft_black", "dark_brown"]))
    else:
        names = ["black", "soft_black", "dark_brown", "brown", "chestnut", "auburn"]
        names += ["dark_blond", "blond"]
        weights = [0.13, 0.1, 0.17, 0.17, 0.12, 0.09, 0.12, 0.10]
        name = str(rng.choice(names, p=weights))
    return skin, tone, name


def _mood(rng: np.random.Generator) -> tuple[float, float]:
    kind = rng.choice(
        ["neutral", "soft", "smile", "open", "parted"], p=[0.27, 0.3, 0.13, 0.23, 0.07]
    )
    ranges = {
        "neutral": ((0.0, 0.15), (0.0, 0.0)),
        "soft": ((0.3, 0.6), (0.0, 0.0)),
        "smile": ((0.7, 1.0), (0.0, 0.0)),
        "open": ((0.75, 1.0), (0.5, 1.0)),
        "parted": ((0.2, 0.4), (0.12, 0.25)),
    }
    smile, opening = ranges[str(kind)]
    return float(rng.uniform(*smile)), float(rng.uniform(*opening))


def sample_traits(rng: np.random.Generator) -> Traits:
    """Draw the traits of one person from ``rng``."""
    feminine = bool(rng.random() < 0.52)
    age = float(rng.choice([rng.uniform(0, 0.35), rng.uniform(0.35, 1.0)], p=[0.7, 0.3]))
    skin, tone, hair_name = _palette(rng, age)
    hair = multiply(HAIRS[hair_name], (float(rng.uniform(0.93, 1.07)),) * 3)
    dark = tone / (len(SKINS) - 1)
    shadow = multiply(skin, (0.86 - 0.10 * dark, 0.72 - 0.02 * dark, 0.69 + 0.02 * dark))
    line = mix((88, 48, 40), (40, 22, 20), dark)
    smile, opening = _mood(rng)
    style = str(rng.choice(FEMININE_HAIR if feminine else MASCULINE_HAIR))
    if tone < 5 and style in ("afro", "afro_short"):
        style = "shoulder_wavy" if feminine else "messy"
    if style in ("receding", "bald") and age < 0.3:
        style = "quiff"
    beard = "none"
    dyed = hair_name in ("teal", "rose", "blue")
    if not feminine and not dyed and rng.random() < 0.5:
        beard = str(
            rng.choice(["stubble", "full", "goatee", "moustache"], p=[0.4, 0.3, 0.15, 0.15])
        )
    light_hair = sum(hair) > 420
    base = multiply(hair, (0.66, 0.60, 0.64) if light_hair else (0.66, 0.62, 0.68))
    glasses = "none"
    if rng.random() < 0.15:
        glasses = str(rng.choice(["round", "square", "thin"]))
    extra = "none"
    if rng.random() < 0.28:
        options = ["earring", "earring", "headband"] if feminine else ["beanie", "earring"]
        extra = str(rng.choice(options))
    if extra == "beanie" and style in ("spiky", "quiff", "curly_short", "afro_short", "messy"):
        style = "side_part"
    if style == "scarf":
        extra = "none"
    lip_tint: Colour = (206, 92, 92) if dark < 0.6 else (150, 72, 70)
    lip_share = float(rng.uniform(0.35, 0.65)) if feminine else float(rng.uniform(0.15, 0.28))
    kinds = ["tee", "vneck", "shirt", "hoodie", "turtleneck", "jacket", "sweater"]
    fold = float(rng.choice([0.0, 0.6, 1.0], p=[0.18, 0.3, 0.52]))
    return Traits(
        feminine=feminine,
        age=age,
        skin=skin,
        skin_shadow=shadow,
        blush=mix((238, 120, 106), (170, 66, 52), dark),
        line=line,
        hair_name=hair_name,
        hair=hair,
        hair_shadow=base,
        hair_light=mix(hair, (255, 240, 226), 0.36 if light_hair else 0.22),
        hair_line=mix(multiply(base, (0.5, 0.48, 0.5)), (40, 24, 22), 0.35),
        hair_style=style,
        iris=IRISES[int(rng.integers(0, 3 if tone >= 5 else len(IRISES)))],
        brow=mix(multiply(hair, (0.62, 0.56, 0.56)), line, 0.75 if dyed else 0.35),
        lip=mix(skin, lip_tint, lip_share),
        cloth=CLOTHES[int(rng.integers(0, len(CLOTHES)))],
        cloth_kind=str(rng.choice(kinds)),
        beard=beard,
        glasses=glasses,
        extra=extra,
        light=float(rng.choice([-1.0, 1.0])),
        contrast=float(rng.choice([rng.uniform(0.0, 0.12), rng.uniform(0.35, 1.0)], p=[0.6, 0.4])),
        mess=float(rng.beta(1.6, 1.8)),
        eye_size=float(rng.uniform(1.12, 1.32) + (0.04 if feminine else -0.02)),
        eye_open=float(rng.uniform(0.84, 0.93) if fold == 0 else rng.uniform(0.90, 1.04)),
        eye_tilt=float(rng.uniform(-0.006, 0.016)),
        lid_fold=fold,
        brow_weight=float(rng.uniform(0.022, 0.034) if feminine else rng.uniform(0.030, 0.046)),
        brow_arch=float(rng.uniform(0.01, 0.04) if feminine else rng.uniform(0.0, 0.025)),
        brow_lift=float(rng.uniform(-0.012, 0.02)),
        nose_width=float(rng.uniform(0.82, 1.05) + 0.14 * dark - (0.06 if feminine else 0.0)),
        nose_length=float(rng.normal(0, 0.015)),
        mouth_width=float(rng.uniform(0.9, 1.08)),
        lip_full=float(rng.uniform(0.8, 1.1) + 0.25 * dark + (0.1 if feminine else -0.1)),
        smile=smile,
        mouth_open=opening,
        jaw=float(rng.normal(-0.3 if feminine else 0.3, 0.55)),
        chin=float(rng.normal(0, 0.5)),
        face_length=float(rng.normal(0 if feminine else 0.01, 0.024)),
        gaze=(float(rng.normal(0, 0.05)), float(rng.normal(0, 0.03))),
        yaw=float(np.clip(rng.normal(0, 0.20), -0.5, 0.5)),
        pitch=float(np.clip(rng.normal(0, 0.06), -0.14, 0.14)),
    )
