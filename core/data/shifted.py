"""Shifted captures: mild photographs of documents with faults that training has never shown.

They stand for the conditions that nobody thought of: a model that has merely learnt the effects of `capture` and of
the documented augmentation does worse here than one that has learnt documents.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image

from core.data import damage, mishap
from core.data.capture import check_arguments, compress, expose, grain
from core.data.light import illuminate
from core.data.optics import crop, image_of, planes_of

# Raised whenever a shifted capture's pixels change, because caches and run keys carry it.
SHIFTED_VERSION: int = 1

Fault = Callable[[np.ndarray, np.random.Generator, float], np.ndarray]
_ON_PAPER: dict[str, Fault] = {
    "stain": damage.stain,
    "scribble": damage.scribble,
    "fading": damage.fading,
    "halftone": damage.halftone,
    "photocopy": damage.photocopy,
    "crumple": damage.crumple,
    "bend": damage.bend,
}
_ON_THE_WAY: dict[str, Fault] = {
    "finger": mishap.finger,
    "screen": mishap.screen,
    "drops": mishap.drops,
    "stripes": mishap.stripes,
    "overexposed": mishap.overexposed,
    "posterised": mishap.posterised,
    "flicker": mishap.flicker,
}
# The order in which they are applied: what happens to the paper comes before what happens to its picture.
SHIFTS: tuple[str, ...] = (*_ON_PAPER, *_ON_THE_WAY)
SECOND_RATE = 0.35  # chance of a second fault
_MILD = 0.45  # severity of the photograph itself


def draw_shifts(rng: np.random.Generator) -> tuple[str, ...]:
    """One fault, or two different ones, all equally likely, in the order of SHIFTS."""
    first, second, both = int(len(SHIFTS) * rng.random()), int((len(SHIFTS) - 1) * rng.random()), rng.random()
    chosen = {first, second + (second >= first)} if both < SECOND_RATE else {first}
    return tuple(SHIFTS[k] for k in sorted(chosen))


def shifted_view(
    image: np.ndarray, rng: np.random.Generator, size: int, severity: float, shifts: tuple[str, ...]
) -> np.ndarray:
    """A mild photograph of `image` with the named faults: (size, size, 3) uint8; arguments as of `shifted_capture`."""
    check_arguments(image, size, severity)
    unknown = set(shifts) - set(SHIFTS)
    if unknown:
        raise ValueError(f"unknown shifts {', '.join(sorted(unknown))}; choose from {', '.join(SHIFTS)}")
    # Two faults at full strength hide the document, so each of them is weakened.
    each = severity * (1.0 if len(shifts) < 2 else 0.8)
    size, mild = int(size), _MILD * severity
    on_paper = [name for name in shifts if name in _ON_PAPER]
    page = image
    if on_paper:
        if image.shape[:2] != (size, size):
            page = np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR))
        planes = planes_of(page)
        for name in on_paper:
            planes = _ON_PAPER[name](planes, rng, each)
        page = np.asarray(image_of(planes))
    planes = crop(page, rng, size, mild)
    illuminate(planes, rng, mild)
    for name in shifts:
        if name in _ON_THE_WAY:
            planes = _ON_THE_WAY[name](planes, rng, each)
    planes = expose(planes, rng, mild)
    grain(planes, rng, mild)
    return compress(planes, rng, mild)


def shifted_capture(image: np.ndarray, rng: np.random.Generator, size: int, severity: float = 1.0) -> np.ndarray:
    """Photograph `image` (H, W, 3) uint8 RGB mildly with one or two of SHIFTS: (size, size, 3) uint8.

    The photograph has the geometry, light and sensor of `capture` at 0.45 of the severity, without its blur and
    moiré. `severity` in (0, 1] scales the faults too; draws do not depend on it. All randomness comes from `rng`;
    the input is left as it is. Raises ValueError as `capture` does.
    """
    return shifted_view(image, rng, size, severity, draw_shifts(rng))
