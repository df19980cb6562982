"""Procedural document templates. Fixed parts are the template's identity; fields are redrawn for each holder.

Consecutive templates come in groups of four siblings that share family and skeleton and differ by livery (emblem,
colours, title, art): without such near-duplicates a verification task over templates saturates.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from PIL import Image

from core.data.layouts import admission, bills, cards, identity, papers
from core.data.layouts.canvas import Canvas, font_digest
from core.data.layouts.families import FAMILY_SPECS, GROUP_SIZE, Skeleton, skeleton
from core.data.layouts.livery import Livery, livery
from core.data.layouts.slots import Slot, fill

__all__ = ["FAMILIES", "GENERATOR_VERSION", "GROUP_SIZE", "caption", "describe", "font_digest", "render"]

# Raised whenever a template's pixels change, because caches and run keys carry it.
GENERATOR_VERSION: int = 2
FAMILIES: tuple[str, ...] = tuple(FAMILY_SPECS)
_LONG_SIDE = 256
_SIZES = (16, 1024)

_LAYOUTS: dict[str, Callable[[Canvas, Skeleton, Livery], list[Slot]]] = {
    "id card": identity.identity_card,
    "passport": identity.identity_card,
    "driving licence": identity.identity_card,
    "residence permit": identity.identity_card,
    "bank card": cards.bank_card,
    "membership card": cards.membership_card,
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
def _template(seed: int, index: int) -> tuple[Image.Image, tuple[Slot, ...]]:
    """The fixed parts at about 256 pixels on the long side, and where the fields go."""
    shared = skeleton(seed, index // GROUP_SIZE)
    if shared.aspect >= 1:
        extent = (_LONG_SIDE, round(_LONG_SIDE / shared.aspect))
    else:
        extent = (round(_LONG_SIDE * shared.aspect), _LONG_SIDE)
    canvas = Canvas(Image.new("RGB", extent))
    slots = _LAYOUTS[shared.family](canvas, shared, livery(seed, index))
    return canvas.image, tuple(slots)


def render(seed: int, index: int, size: int = 128, fields: int = 0) -> np.ndarray:
    """Draw template `index` of collection `seed` for holder `fields`: (size, size, 3) uint8 RGB.

    Equal arguments give equal bytes on every machine with equal fonts (`font_digest`) and Pillow. The document is
    drawn in its own proportions and squashed to a square, as the documented pipeline does with its images.
    Raises ValueError for a negative or non-integer seed, index or fields, or a size outside 16..1024 pixels.
    """
    _check(seed, index, fields)
    if isinstance(size, bool) or not isinstance(size, int | np.integer) or not _SIZES[0] <= size <= _SIZES[1]:
        raise ValueError(f"size must be an integer from {_SIZES[0]} to {_SIZES[1]} pixels, not {size!r}")
    fixed, slots = _template(int(seed), int(index))
    canvas = Canvas(fixed.copy())
    fill(canvas, slots, np.random.default_rng([seed, 3, index, fields]))
    return np.array(canvas.image.resize((size, size), Image.Resampling.BILINEAR))


def describe(seed: int, index: int) -> dict[str, object]:
    """What template `index` shows: family, group, colours, emblem, title, subtitle, parts, tone, portrait side.

    Raises ValueError for a negative or non-integer seed or index.
    """
    _check(seed, index)
    shared, own = skeleton(seed, index // GROUP_SIZE), livery(seed, index)
    return {
        "family": shared.family,
        "group": index // GROUP_SIZE,
        "colours": own.colours,
        "emblem": own.emblem,
        "title": own.title,
        "subtitle": own.subtitle,
        "parts": tuple(sorted(shared.parts)),
        "art": own.art_kind if "picture" in shared.parts else own.ground_kind,
        "tone": shared.tone,
        "script": shared.script,
        "mirrored": shared.mirrored,
    }


def _article(words: str) -> str:
    return f"an {words}" if words[0] in "aeiou" else f"a {words}"


def caption(seed: int, index: int, rng: np.random.Generator) -> str:
    """An English caption made from `describe`; the family is always named, every other clause may be dropped.

    Raises ValueError for a negative or non-integer seed or index.
    """
    facts = describe(seed, index)
    family, tone, colours = str(facts["family"]), str(facts["tone"]), livery(int(seed), int(index)).colours
    lead = ("", "a scan of ", "a photo of ")[int(3 * rng.random())]
    lead += _article(f"{tone} {family}" if rng.random() < 0.5 else family)
    clauses = [
        "in " + " and ".join(dict.fromkeys(colours)),
        f"with {_article(str(facts['emblem']))} emblem",
        f"titled {facts['title']}",
        f"{facts['art']} background",
    ]
    kept = [clause for clause in clauses if rng.random() < 0.7]
    shown = [part for part in sorted(skeleton(int(seed), int(index) // GROUP_SIZE).parts) if rng.random() < 0.5]
    if shown:
        kept.append("showing " + " and ".join(shown[:3]))
    return ", ".join([lead, *kept])
