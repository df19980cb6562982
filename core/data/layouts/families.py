"""The families, and the skeleton that a group of four siblings shares."""

from dataclasses import dataclass

import numpy as np

from core.data.layouts.palette import COLOURS
from core.data.layouts.words import SCRIPTS, pick

GROUP_SIZE = 4


FRAMES = ("plain", "disc", "ring", "tile", "plain")


_TEXT_FACES = (("sans", "sans-bold"), ("serif", "serif-bold"), ("stix", "stix-bold"), ("sans", "serif-bold"))


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
        {"portrait": 1, "flag": 0.6, "signature": 0.7, "class table": 0.5, "barcode": 0.3, "ghost portrait": 0.4},
    ),
    "bank card": FamilySpec(
        (1.586,),
        ("vivid", "dark", "vivid", "silver"),
        {
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
        {"barcode": 0.6, "picture": 0.6, "portrait": 0.5, "side bar": 0.4, "payment code": 0.2},
    ),
    "residence permit": FamilySpec(
        (1.586, 1.42),
        ("tint", "pale"),
        {"portrait": 1, "machine readable zone": 0.6, "chip": 0.3, "stripe": 0.5, "fingerprint": 0.3, "signature": 0.4},
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
    faces: tuple[str, str]
    script: str
    frame: str
    dials: np.ndarray
    base_colours: tuple[str, str]

    def flip(self, width: float, x: float, w: float) -> float:
        """The left edge of a box `w` wide on a document `width` wide, mirrored where the skeleton is."""
        return width - x - w if self.mirrored else x


def skeleton(seed: int, group: int) -> Skeleton:
    """The skeleton of a group of siblings."""
    rng = np.random.default_rng([seed, 1, group])
    family = pick(rng, tuple(FAMILY_SPECS))
    spec = FAMILY_SPECS[family]
    draws = rng.random(len(spec.parts))
    parts = frozenset(part for (part, chance), draw in zip(spec.parts.items(), draws, strict=True) if draw < chance)
    script = "latin" if rng.random() < 0.6 else pick(rng, SCRIPTS)
    faces = _TEXT_FACES[0] if script != "latin" else _TEXT_FACES[int(rng.random() * len(_TEXT_FACES))]
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
