"""Security grounds: fine line work in a tint over a gradient."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from core.data.layouts.canvas import Canvas, Colour, mix, text_mask
from core.data.layouts.fonts import families
from core.data.layouts.livery import Livery

_STEPS = np.linspace(0.0, 1.0, 48)


def _guilloche(canvas: Canvas, tint: Colour, d: np.ndarray) -> None:
    xs = _STEPS * canvas.width
    for k in range(int(9 + 8 * d[0])):
        phase = k * (0.15 + 0.5 * d[1])
        swing = np.sin(2 * np.pi * (1 + 3 * d[2]) * _STEPS + phase) + 0.6 * np.sin(
            2 * np.pi * (3 + 4 * d[3]) * _STEPS - phase
        )
        level = canvas.height * (0.5 + (0.9 * d[4]) * (k / 12 - 0.6))
        canvas.curve(xs, level + canvas.height * (0.06 + 0.14 * d[5]) * swing, tint)


def _rosette(canvas: Canvas, tint: Colour, d: np.ndarray) -> None:
    turn = np.linspace(0, 2 * np.pi, 120)
    x, y = canvas.width * (0.25 + 0.5 * d[0]), canvas.height * (0.3 + 0.4 * d[1])
    lobes = 3 + int(7 * d[2])
    for k in range(int(6 + 6 * d[3])):
        radius = canvas.height * (0.5 - 0.03 * k) * (1 + (0.15 + 0.35 * d[4]) * np.cos(lobes * turn + 0.35 * k))
        canvas.curve(x + radius * np.cos(turn), y + radius * np.sin(turn), tint)


def _hatch(canvas: Canvas, tint: Colour, d: np.ndarray) -> None:
    lean, pitch = (d[0] - 0.5) * 3, 5 + 8 * d[1]
    reach = abs(lean) * canvas.height
    for x in np.arange(-reach, canvas.width + reach, pitch):
        canvas.pen.line((x, 0, x + lean * canvas.height, canvas.height), fill=tint, width=1 + int(2.4 * d[2]))


def _honeycomb(canvas: Canvas, tint: Colour, d: np.ndarray) -> None:
    radius = 8 + 14 * d[0]
    sides = (3, 4, 6)[int(3 * d[1])]
    corner = 2 * np.pi * np.arange(sides) / sides + d[2]
    polygon = radius * np.stack((np.cos(corner), np.sin(corner)), axis=1)
    for row in range(int(canvas.height / (1.5 * radius)) + 2):
        for column in range(int(canvas.width / (1.75 * radius)) + 2):
            centre = ((column + 0.5 * (row % 2)) * 1.75 * radius, row * 1.5 * radius)
            canvas.shape(polygon + centre, None, tint)


def _rays(canvas: Canvas, tint: Colour, d: np.ndarray) -> None:
    centre = np.array((canvas.width * d[0], canvas.height * (0.2 + d[1])))
    count = 10 + int(24 * d[2])
    angles = 2 * np.pi * (np.arange(2 * count) / (2 * count) + d[3])
    tips = centre + 400 * np.stack((np.cos(angles), np.sin(angles)), axis=1)
    for k in range(count):
        canvas.shape(np.stack((centre, tips[2 * k], tips[2 * k + 1])), tint)


def _circles(canvas: Canvas, tint: Colour, d: np.ndarray) -> None:
    x, y = canvas.width * d[0], canvas.height * d[1]
    for radius in np.arange(8, 240, 7 + 9 * d[2]):
        canvas.pen.ellipse((x - radius, y - radius, x + radius, y + radius), outline=tint, width=1 + int(2.5 * d[3]))


def _dots(canvas: Canvas, tint: Colour, d: np.ndarray) -> None:
    pitch, radius = 9 + 9 * d[0], 1 + 2.2 * d[1]
    for row, y in enumerate(np.arange(0, canvas.height, pitch)):
        for x in np.arange((row % 2) * pitch / 2, canvas.width, pitch):
            canvas.pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=tint)


def cloud(canvas: Canvas, d: np.ndarray, cells: tuple[int, int]) -> Image.Image:
    """Smooth coverage made from the dials, so that it needs no generator of its own."""
    columns, rows = cells
    noise = np.resize(np.modf(d * 7919.0)[0], (rows, columns)) + 0.3 * np.modf(np.arange(rows * columns) * d[0] * 97)[
        0
    ].reshape(rows, columns)
    patch = Image.fromarray((noise / 1.3 * 255).astype(np.uint8))
    return patch.resize((canvas.width, canvas.height), Image.Resampling.BICUBIC)


def _marble(canvas: Canvas, tint: Colour, d: np.ndarray) -> None:
    canvas.image.paste(tint, (0, 0), cloud(canvas, d, (5 + int(5 * d[1]), 4 + int(4 * d[2]))))


def _spirograph(canvas: Canvas, tint: Colour, d: np.ndarray) -> None:
    lobes = 5 + int(9 * d[0])
    turn = np.linspace(0, 2 * np.pi, 40 * lobes)
    for k in range(1 + int(3 * d[1])):
        x, y = canvas.width * d[(2 + k) % 32], canvas.height * d[(6 + k) % 32]
        for ring in range(3):
            arm = (0.2 + 0.5 * d[9]) * (1 + 0.25 * ring)
            radius = canvas.height * (0.35 + 0.25 * d[(10 + k) % 32])
            xs = np.cos(turn) + arm * np.cos(lobes * turn + ring)
            ys = np.sin(turn) - arm * np.sin(lobes * turn + ring)
            canvas.curve(x + radius * xs, y + radius * ys, tint)


def _mesh(canvas: Canvas, tint: Colour, d: np.ndarray) -> None:
    """Two families of waves that cross, as on the ground of many identity cards."""
    across, down = _STEPS * canvas.width, _STEPS * canvas.height
    pitch, swing = 5 + 7 * d[0], 3 + 9 * d[1]
    for level in np.arange(-swing, canvas.height + swing, pitch):
        bend = 2 * np.pi * (1 + 3 * d[2]) * _STEPS + d[3] * level / 9
        canvas.curve(across, level + swing * np.sin(bend), tint)
    for level in np.arange(-swing, canvas.width + swing, pitch * (1 + 2 * d[4])):
        bend = 2 * np.pi * (1 + 2 * d[5]) * _STEPS + d[6] * level / 9
        canvas.curve(level + swing * np.sin(bend), down, tint)


def _microtext(canvas: Canvas, tint: Colour, livery: Livery) -> None:
    """The issuer's name over and over, in lines that climb."""
    d = livery.dials
    face = families("sans")[0].bold
    line = text_mask(f"{livery.title.upper()} ", face, 7 + int(9 * d[0]))
    height, width = line.shape
    lines = np.zeros((canvas.height, 2 * canvas.width + width), np.uint8)
    row = np.tile(line, (1, lines.shape[1] // width + 1))[:, : lines.shape[1]]
    for k, y in enumerate(range(0, canvas.height - height, height + int(10 * d[1]))):
        lines[y : y + height] = np.roll(row, int(k * width * d[2]), axis=1)
    stencil = Image.fromarray(lines).transform(
        canvas.image.size, Image.Transform.AFFINE, (1, 0, 0, 0.5 * (d[3] - 0.5), 1, 0), Image.Resampling.BILINEAR
    )
    canvas.image.paste(tint, (0, 0), stencil)


_GROUNDS: dict[str, Callable[[Canvas, Colour, np.ndarray], None]] = {
    "guilloche": _guilloche,
    "rosette": _rosette,
    "hatch": _hatch,
    "honeycomb": _honeycomb,
    "rays": _rays,
    "circles": _circles,
    "dots": _dots,
    "marble": _marble,
    "spirograph": _spirograph,
    "mesh": _mesh,
}


_TWO_INKS = frozenset({"guilloche", "rosette", "spirograph", "mesh"})


def draw_ground(canvas: Canvas, livery: Livery, strength: float) -> None:
    """Gradient, then line work whose contrast to the paper is `strength` in 0..1 (0: gradient only)."""
    turn = int(4 * livery.dials[31])
    corners = [livery.ground, mix(livery.ground, livery.ground_edge, 0.5), livery.ground_edge, livery.ground]
    canvas.shades(corners[turn:] + corners[:turn])
    if strength > 0:
        tint = mix(livery.ground, livery.second, strength)
        if livery.ground_kind == "microtext":
            _microtext(canvas, tint, livery)
            return
        _GROUNDS[livery.ground_kind](canvas, tint, livery.dials)
        if livery.ground_kind in _TWO_INKS and livery.dials[27] < 0.5:
            other = mix(livery.ground, livery.accent, 0.7 * strength)
            _GROUNDS[livery.ground_kind](canvas, other, np.roll(livery.dials, 11))
