"""Light on a simulated photograph: gradient, shadow, fold, vignette, tint, glare, and moiré.

All but moiré are smooth, so they are multiplied together on a few cells and enlarged once. The
effects are Augraphy's (lighting gradient, shadow cast, reflected light, folding, moiré), whose own code takes 20 to
900 ms each; only the ideas are taken.
"""

from collections.abc import Callable

import numpy as np

from core.data.optics import between, resize

_CELLS = 32
_ROWS, _COLUMNS = (np.mgrid[0:_CELLS, 0:_CELLS].astype(np.float32) + 0.5) / _CELLS
# How often each effect is present in a photograph, independently of the others.
RATES = {
    "gradient": 0.55,
    "shadow": 0.25,
    "fold": 0.10,
    "vignette": 0.35,
    "tint": 0.25,
    "glare": 0.30,
    "moire": 0.12,
}
_WHITE = 262.0  # glare saturates the sensor, so that some of it is clipped
# Gains of red, green and blue under full tint, by kind of lamp, and how likely each is.
_LAMPS = (
    (0.50, (1.12, 1.00, 0.72)),  # incandescent
    (0.28, (0.84, 0.98, 1.14)),  # overcast sky, screens
    (0.22, (0.92, 1.06, 0.88)),  # fluorescent
)


def _across(rng: np.random.Generator) -> np.ndarray:
    """Distance along a random direction from the centre, in sides: (_CELLS, _CELLS)."""
    angle = 2 * np.pi * rng.random()
    across: np.ndarray = np.float32(np.cos(angle)) * (_COLUMNS - 0.5) + np.float32(np.sin(angle)) * (_ROWS - 0.5)
    return across


def gradient(rng: np.random.Generator, severity: float) -> np.ndarray:
    """Light that falls off to one side: gain (_CELLS, _CELLS)."""
    return 1 + between(rng, 0.05, 0.38) * severity * _across(rng)


def shadow(rng: np.random.Generator, severity: float) -> np.ndarray:
    """A soft, slightly bent edge of shade, as of the photographer's arm: gain (_CELLS, _CELLS)."""
    distance = _across(rng) - between(rng, -0.3, 0.4)
    distance += between(rng, -0.5, 0.5) * (_COLUMNS - 0.5) * (_ROWS - 0.5)
    edge = 1 / (1 + np.exp(-np.clip(distance / between(rng, 0.015, 0.08), -30, 30)))
    return 1 - between(rng, 0.12, 0.42) * severity * edge


def fold(rng: np.random.Generator, severity: float) -> np.ndarray:
    """Paper that was folded (one side of a line is lit, the other shaded) or curls up at an edge: gain."""
    vertical, tilt, curled = rng.random() < 0.5, between(rng, -0.08, 0.08), rng.random() < 0.4
    place, depth, sign = between(rng, 0.3, 0.7), between(rng, 0.07, 0.20), 1 if rng.random() < 0.5 else -1
    along, other = (_COLUMNS, _ROWS) if vertical else (_ROWS, _COLUMNS)
    if curled:
        edge = along if sign > 0 else 1 - along
        rise = np.exp(-(((edge + tilt * other) / between(rng, 0.10, 0.22)) ** 2))
        return 1 - 1.5 * depth * severity * rise
    distance = along - place + tilt * (other - 0.5)
    # tanh keeps the crease soft, the exponential lets the shading fade away from it.
    sides = np.tanh(distance / 0.03) * np.exp(-np.abs(distance) / between(rng, 0.12, 0.40))
    return 1 + severity * depth * (sign * sides - 0.35 * np.exp(-((distance / 0.03) ** 2)))


def vignette(rng: np.random.Generator, severity: float) -> np.ndarray:
    """A lens that darkens towards the corners, the document being part of the frame: gain (_CELLS, _CELLS)."""
    x, y = between(rng, 0.35, 0.65), between(rng, 0.35, 0.65)
    return 1 - between(rng, 0.06, 0.30) * severity * ((_COLUMNS - x) ** 2 + (_ROWS - y) ** 2)


def tint(rng: np.random.Generator, severity: float) -> np.ndarray:
    """Coloured light, in a third of the cases from one side: gain (3, _CELLS, _CELLS)."""
    draw, lamp = rng.random(), _LAMPS[-1][1]
    for share, gains in _LAMPS:
        if draw < share:
            lamp = gains
            break
        draw -= share
    strength = np.full_like(_ROWS, between(rng, 0.3, 1.0) * severity)
    side = _across(rng)
    if rng.random() < 1 / 3:
        strength *= np.clip(0.5 + side, 0, 1)
    return 1 + (np.array(lamp, dtype=np.float32) - 1)[:, None, None] * strength


def glare(rng: np.random.Generator, severity: float) -> np.ndarray:
    """An elongated reflection of a lamp: the share of white mixed in, (_CELLS, _CELLS) in 0..1."""
    x, y, angle = rng.random(), rng.random(), np.pi * rng.random()
    along, across = between(rng, 0.10, 0.35), between(rng, 0.05, 0.14)
    u = np.cos(angle) * (_COLUMNS - x) + np.sin(angle) * (_ROWS - y)
    v = -np.sin(angle) * (_COLUMNS - x) + np.cos(angle) * (_ROWS - y)
    return between(rng, 0.25, 0.8) * severity * np.exp(-((u / along) ** 2 + (v / across) ** 2))


_GAINS: dict[str, Callable[[np.random.Generator, float], np.ndarray]] = {
    "gradient": gradient,
    "shadow": shadow,
    "fold": fold,
    "vignette": vignette,
    "tint": tint,
}


def illuminate(planes: np.ndarray, rng: np.random.Generator, severity: float) -> None:
    """Apply every drawn effect but moiré to planes (3, S, S), in place."""
    size = planes.shape[-1]
    gain: np.ndarray | None = None
    for name, effect in _GAINS.items():
        if rng.random() < RATES[name]:
            field = effect(rng, severity)
            gain = field if gain is None else gain * field
    share = np.minimum(glare(rng, severity), 1) if rng.random() < RATES["glare"] else None
    if share is not None:
        gain = 1 - share if gain is None else gain * (1 - share)
    if gain is not None:
        planes *= resize(gain.astype(np.float32), size, size)
    if share is not None:
        planes += resize((_WHITE * share).astype(np.float32), size, size)


def moire(planes: np.ndarray, rng: np.random.Generator, severity: float) -> None:
    """Beats between the sensor's grid and a screen's or fine print's, in place on planes (3, S, S).

    Two gratings of 3 to 16 periods a side, bent a little as by perspective, under a slow envelope. Red and blue
    photosites are offset from green ones, hence the slight colour. Amplitude: 3 to 9 % of the light.
    """
    if rng.random() >= RATES["moire"]:
        return
    size = planes.shape[-1]
    axis = np.linspace(-0.5, 0.5, size, dtype=np.float32)
    x, y = axis[None, :], axis[:, None]
    amplitude, fringe = between(rng, 0.03, 0.09) * severity, between(rng, 0.3, 1.3)
    first, second = 2 * np.pi * rng.random(), between(rng, 0.2, 0.8)
    bend, phases = rng.normal(0, 3, (2, 3)).astype(np.float32), 2 * np.pi * rng.random(4)
    envelope = 0.65 + 0.35 * np.cos(between(rng, 2, 7) * (x * np.cos(first) + y * np.sin(first)) + phases[2])
    pattern = np.zeros_like(planes)
    offsets = np.array((-fringe, 0, fringe), dtype=np.float32)[:, None, None]
    for k, share in enumerate((1.0, second)):
        angle, turns = first + k * between(rng, 0.6, 1.6), 2 * np.pi * between(rng, 3, 16)
        phase = np.float32(turns * np.cos(angle)) * x + np.float32(turns * np.sin(angle)) * y
        phase += bend[k, 0] * x * x + bend[k, 1] * x * y + bend[k, 2] * y * y + np.float32(phases[k])
        pattern += np.float32(share) * np.cos(phase + offsets)
    pattern *= (amplitude / (1 + second) * envelope).astype(np.float32)
    pattern += 1
    planes *= pattern
