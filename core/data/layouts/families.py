"""The families, and the skeleton that a group of four siblings shares."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from core.data.layouts.fonts import families, font_digest
from core.data.layouts.palette import COLOURS
from core.data.layouts.words import SCRIPTS, pick

GROUP_SIZE = 4


FRAMES = ("plain", "disc", "ring", "tile", "plain")


@dataclass(frozen=True)
class Faces:
    """Paths of the faces that a group is set in; the mono ones are Latin, the others cover the group's script."""

    text: str
    bold: str
    italic: str
    title: str
    mono: str
    mono_bold: str


def _faces(draws: np.ndarray, script: str) -> Faces:
    """Typefaces by four draws in 0..1: text, title, mono, and whether the title has a typeface of its own."""
    body, head = families("sans", "serif", script=script), families("sans", "serif", "display", script=script)
    fixed = families("mono")
    text, mono = body[int(draws[0] * len(body))], fixed[int(draws[2] * len(fixed))]
    title = head[int(draws[1] * len(head))] if draws[3] < 0.45 else text
    return Faces(text.regular, text.bold, text.italic, title.bold, mono.regular, mono.bold)


@dataclass(frozen=True)
class FamilySpec:
    """Proportions, backgrounds and optional parts of a family: `parts` maps a part to its probability."""

    aspects: tuple[float, ...]
    tones: tuple[str, ...]
    parts: dict[str, float]


FAMILY_SPECS: dict[str, FamilySpec] = {
    "id card": FamilySpec(
        (1.586, 1.42, 1.586),
        ("tint", "tint", "white", "pale"),
        {
            "rounded corners": 0.5,
            "picture": 0.35,
            "portrait": 1,
            "stripe": 0.4,
            "signature": 0.5,
            "chip": 0.25,
            "ghost portrait": 0.35,
            "flag": 0.4,
            "number bar": 0.3,
        },
    ),
    "passport": FamilySpec(
        (1.42, 1.35),
        ("tint", "pale", "tint"),
        {
            "picture": 0.35,
            "portrait": 1,
            "machine readable zone": 1,
            "ghost portrait": 0.4,
            "signature": 0.5,
            "flag": 0.2,
            "large emblem": 0.4,
        },
    ),
    "driving licence": FamilySpec(
        (1.586,),
        ("tint", "pale"),
        {
            "rounded corners": 0.5,
            "picture": 0.35,
            "portrait": 1,
            "flag": 0.6,
            "signature": 0.7,
            "class table": 0.5,
            "barcode": 0.3,
            "ghost portrait": 0.4,
        },
    ),
    "bank card": FamilySpec(
        (1.586, 1.586, 1.586, 1.586, 1.586, 0.63),
        ("vivid", "dark", "vivid", "dark", "silver", "pale"),
        {
            "rounded corners": 0.5,
            "chip": 0.85,
            "network mark": 0.9,
            "contactless sign": 0.5,
            "picture": 0.75,
            "hologram": 0.3,
            "cardholder": 0.8,
        },
    ),
    "invoice": FamilySpec(
        (0.707, 0.773),
        ("white", "white", "cream"),
        {"table": 1, "header band": 0.5, "total box": 0.8, "payment code": 0.35, "footer": 0.6, "side bar": 0.2},
    ),
    "receipt": FamilySpec(
        (0.5, 0.42, 0.62),
        ("white", "cream"),
        {"item list": 1, "barcode": 0.5, "payment code": 0.35, "header band": 0.3},
    ),
    "letter": FamilySpec(
        (0.707, 0.773),
        ("white", "cream", "white"),
        {"letterhead": 1, "signature": 0.8, "footer": 0.6, "side bar": 0.3, "stamp": 0.3, "header band": 0.35},
    ),
    "form": FamilySpec(
        (0.707, 0.773, 1.3),
        ("white", "white", "tint"),
        {"field boxes": 1, "tick boxes": 0.7, "photo box": 0.4, "stamp": 0.3},
    ),
    "ticket": FamilySpec(
        (2.3, 1.9, 2.7),
        ("vivid", "tint", "white", "dark"),
        {"stub": 0.8, "barcode": 0.6, "payment code": 0.3, "picture": 0.5, "perforation": 0.6},
    ),
    "certificate": FamilySpec(
        (1.414, 0.72, 1.3),
        ("cream", "pale", "white"),
        {"border": 1, "seal": 0.8, "signature": 0.9, "ribbon": 0.3, "large emblem": 0.3},
    ),
    "membership card": FamilySpec(
        (1.586,),
        ("vivid", "pale", "white", "dark"),
        {"rounded corners": 0.5, "barcode": 0.6, "picture": 0.6, "portrait": 0.5, "side bar": 0.4, "payment code": 0.2},
    ),
    "residence permit": FamilySpec(
        (1.586, 1.42),
        ("tint", "pale"),
        {
            "rounded corners": 0.5,
            "picture": 0.35,
            "portrait": 1,
            "machine readable zone": 0.6,
            "chip": 0.3,
            "stripe": 0.5,
            "fingerprint": 0.3,
            "signature": 0.4,
        },
    ),
    "transit card": FamilySpec(
        (1.586, 1.586, 0.63),
        ("vivid", "white", "dark", "pale"),
        {
            "rounded corners": 0.5,
            "picture": 0.65,
            "route map": 0.3,
            "colour band": 0.5,
            "contactless sign": 0.4,
            "chip": 0.25,
            "cardholder": 0.25,
        },
    ),
    "health insurance card": FamilySpec(
        (1.586,),
        ("white", "pale", "tint", "vivid"),
        {"rounded corners": 0.5, "chip": 0.6, "star ring": 0.3, "picture": 0.35, "signature": 0.3, "barcode": 0.3},
    ),
    "gift card": FamilySpec(
        (1.586,),
        ("vivid", "pale", "dark", "cream"),
        {
            "rounded corners": 0.5,
            "picture": 1,
            "ribbon": 0.3,
            "label": 0.45,
            "value": 0.6,
            "barcode": 0.4,
            "small print": 0.3,
        },
    ),
    "vehicle registration": FamilySpec(
        (1.414, 0.72, 1.586),
        ("tint", "pale", "tint", "cream"),
        {
            "field grid": 1,
            "number plate": 0.4,
            "header band": 0.4,
            "star ring": 0.25,
            "large emblem": 0.4,
            "stamp": 0.4,
            "barcode": 0.3,
        },
    ),
    "visa": FamilySpec(
        (1.5,),
        ("tint", "pale", "tint"),
        {"machine readable zone": 1, "portrait": 0.5, "large emblem": 0.5, "hologram": 0.5, "stamp": 0.2},
    ),
}


@dataclass(frozen=True)
class Skeleton:
    """What the siblings of a group share; `dials` (32,) in 0..1 places and scales whatever a layout draws."""

    family: str
    aspect: float
    tone: str
    parts: frozenset[str]
    mirrored: bool
    faces: Faces
    script: str
    frame: str
    dials: np.ndarray
    base_colours: tuple[str, str]

    def flip(self, width: float, x: float, w: float) -> float:
        """The left edge of a box `w` wide on a document `width` wide, mirrored where the skeleton is."""
        return width - x - w if self.mirrored else x


def skeleton(seed: int, group: int) -> Skeleton:
    """The skeleton of a group of siblings."""
    return _skeleton(int(seed), int(group), font_digest())


@lru_cache(maxsize=256)
def _skeleton(seed: int, group: int, fonts: str) -> Skeleton:
    """`fonts` is the digest of those in use: with others, a skeleton names other faces."""
    rng = np.random.default_rng([seed, 1, group])
    family = pick(rng, tuple(FAMILY_SPECS))
    spec = FAMILY_SPECS[family]
    draws = rng.random(len(spec.parts))
    parts = frozenset(part for (part, chance), draw in zip(spec.parts.items(), draws, strict=True) if draw < chance)
    if {"barcode", "payment code"} <= parts and family == "receipt":
        parts -= {"barcode"}  # there is room for one code
    script = "latin" if rng.random() < 0.6 else pick(rng, SCRIPTS)
    faces = _faces(rng.random(4), script)
    names = tuple(COLOURS)
    return Skeleton(
        family=family,
        aspect=spec.aspects[int(rng.random() * len(spec.aspects))],
        tone=pick(rng, spec.tones),
        parts=parts,
        mirrored=bool(rng.random() < 0.35),
        faces=faces,
        script=script,
        frame=pick(rng, FRAMES),
        dials=rng.random(32),
        base_colours=(pick(rng, names), pick(rng, names)),
    )
