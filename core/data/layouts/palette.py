"""Named colours, and the grounds that they tint."""

import colorsys

import numpy as np

from core.data.layouts.canvas import Colour, mix

# Hue, saturation and value; a livery moves a little around them.
COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.99, 0.80, 0.78),
    "maroon": (0.97, 0.75, 0.45),
    "orange": (0.07, 0.85, 0.92),
    "gold": (0.12, 0.65, 0.82),
    "yellow": (0.15, 0.75, 0.95),
    "olive": (0.19, 0.60, 0.50),
    "green": (0.34, 0.70, 0.58),
    "teal": (0.48, 0.75, 0.52),
    "cyan": (0.53, 0.65, 0.85),
    "blue": (0.60, 0.75, 0.75),
    "navy": (0.63, 0.75, 0.38),
    "purple": (0.76, 0.60, 0.60),
    "magenta": (0.87, 0.70, 0.72),
    "pink": (0.93, 0.40, 0.92),
    "brown": (0.06, 0.60, 0.45),
    "grey": (0.60, 0.06, 0.52),
    "black": (0.60, 0.10, 0.13),
    "silver": (0.58, 0.05, 0.78),
}


def rgb(name: str, jitter: np.ndarray) -> Colour:
    hue, saturation, value = COLOURS[name]
    red, green, blue = colorsys.hsv_to_rgb(
        (hue + 0.03 * (jitter[0] - 0.5)) % 1,
        min(1.0, saturation * (0.85 + 0.3 * jitter[1])),
        min(1.0, value * (0.85 + 0.3 * jitter[2])),
    )
    return int(red * 255), int(green * 255), int(blue * 255)


def ground_colours(tone: str, first: Colour, second: Colour, blend: float) -> tuple[Colour, Colour]:
    """Colours of the ground at its centre and towards its edge."""
    paper = (252, 251, 248)
    if tone == "white":
        return paper, mix(paper, first, 0.06)
    if tone == "cream":
        cream = (247, 240, 222)
        return cream, mix(cream, first, 0.10)
    if tone == "pale":
        return mix(paper, first, 0.18), mix(paper, second, 0.22)
    if tone == "tint":
        return mix(paper, first, 0.35), mix(paper, second, 0.25 + 0.25 * blend)
    if tone == "silver":
        return mix((205, 208, 212), first, 0.15), mix((150, 153, 160), first, 0.2)
    if tone == "dark":
        return mix(first, (12, 12, 16), 0.75), mix(second, (12, 12, 16), 0.6)
    return first, mix(first, second, 0.4 + 0.5 * blend)
