"""Procedural document templates. Fixed parts are the template's identity; fields are redrawn for each holder.

Consecutive templates come in groups of four siblings that share family and skeleton and differ by livery (emblem,
colours, title, art): without such near-duplicates a verification task over templates saturates.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from PIL import Image

from core.data.layouts import admission, bills, cards, entitlement, identity, official, papers
from core.data.layouts.canvas import Canvas
from core.data.layouts.families import FAMILY_SPECS, GROUP_SIZE, Skeleton, skeleton
from core.data.layouts.fonts import font_digest
from core.data.layouts.livery import Livery, livery
from core.data.layouts.slots import Slot, fill
from core.data.layouts.wording import article, clauses, facts

__all__ = ["FAMILIES", "GENERATOR_VERSION", "GROUP_SIZE", "caption", "describe", "font_digest", "render"]

# Raised whenever a template's pixels change, because caches and run keys carry it.
GENERATOR_VERSION: int = 3
FAMILIES: tuple[str, ...] = tuple(FAMILY_SPECS)
_LONG_SIDE = 256
_SIZES = (16, 1024)

_LAYOUTS: dict[str, Callable[[Canvas, Skeleton, Livery], list[Slot]]] = {
    "id card": identity.identity_card,
    "passport": identity.identity_card,
    "driving licence": identity.identity_card,
    "residence permit": identity.identity_card,
    "visa": official.visa,
    "vehicle registration": official.vehicle_registration,
    "bank card": cards.bank_card,
    "membership card": cards.membership_card,
    "transit card": entitlement.transit_card,
    "health insurance card": entitlement.health_card,
    "gift card": entitlement.gift_card,
    "invoice": bills.invoice,
    "receipt": bills.receipt,
    "letter": papers.letter,
    "form": papers.form,
    "ticket": admission.ticket,
    "certificate": admission.certificate,
}


def _check(seed: int, index: int, fields: int = 0) -> None:
    for name, value in (("seed", seed), ("index", index), ("fields", fields)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
            raise ValueError(f"{name} must be a non-negative integer, not {value!r}")


@lru_cache(maxsize=64)
def _template(seed: int, index: int, fonts: str) -> tuple[Image.Image, tuple[Slot, ...], bool]:
    """The fixed parts at about 256 pixels on the long side, and where the fields go, whether corners are rounded.

    `fonts` is the fonts' digest: with others in use a cached template would be stale.
    """
    shared = skeleton(seed, index // GROUP_SIZE)
    if shared.aspect >= 1:
        extent = (_LONG_SIDE, round(_LONG_SIDE / shared.aspect))
    else:
        extent = (round(_LONG_SIDE * shared.aspect), _LONG_SIDE)
    canvas = Canvas(Image.new("RGB", extent))
    slots = _LAYOUTS[shared.family](canvas, shared, livery(seed, index))
    return canvas.image, tuple(slots), "rounded corners" in shared.parts


def render(seed: int, index: int, size: int = 128, fields: int = 0) -> np.ndarray:
    """Draw template `index` of collection `seed` for holder `fields`: (size, size, 3) uint8 RGB.

    Equal arguments give equal bytes on every machine with equal fonts (`font_digest`) and Pillow. The document is
    drawn in its own proportions and squashed to a square, as the documented pipeline does with its images.
    Raises ValueError for a negative or non-integer seed, index or fields, or a size outside 16..1024 pixels.
    """
    _check(seed, index, fields)
    if isinstance(size, bool) or not isinstance(size, int | np.integer) or not _SIZES[0] <= size <= _SIZES[1]:
        raise ValueError(f"size must be an integer from {_SIZES[0]} to {_SIZES[1]} pixels, not {size!r}")
    fixed, slots, rounded = _template(int(seed), int(index), font_digest())
    canvas = Canvas(fixed.copy())
    fill(canvas, slots, np.random.default_rng([seed, 3, index, fields]))
    if rounded:
        canvas.round_corners()
    return np.array(canvas.image.resize((size, size), Image.Resampling.BILINEAR))


def describe(seed: int, index: int) -> dict[str, object]:
    """What template `index` shows: family, group, colours, emblem, title, parts, background, tone, script, sides.

    Raises ValueError for a negative or non-integer seed or index.
    """
    _check(seed, index)
    group = index // GROUP_SIZE
    return facts(group, skeleton(seed, group), livery(seed, index))


def caption(seed: int, index: int, rng: np.random.Generator) -> str:
    """An English caption made from `describe`; the family is always named, every other clause may be dropped.

    Raises ValueError for a negative or non-integer seed or index.
    """
    told = describe(seed, index)
    family, tone = str(told["family"]), str(told["tone"])
    lead = ("", "a scan of ", "a photo of ")[int(3 * rng.random())]
    lead += article(f"{tone} {family}" if rng.random() < 0.5 else family)
    written = clauses(told, livery(int(seed), int(index)).colours)
    # What tells siblings apart comes first, and is kept more often, because the text encoder reads few words.
    kept = [clause for k, clause in enumerate(written) if rng.random() < (0.7 if k < 4 else 0.35)]
    shown = [part for part in sorted(skeleton(int(seed), int(index) // GROUP_SIZE).parts) if rng.random() < 0.5]
    if shown:
        kept.append("showing " + " and ".join(shown[:3]))
    return ", ".join([lead, *kept])
