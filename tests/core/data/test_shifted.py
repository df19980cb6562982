"""Shifted captures: reproducible, harmless to their input, different from training, and still recognisable."""

import os
import subprocess
import sys

import numpy as np
import pytest

from core.data import light
from core.data.augment import COLOURS
from core.data.blur import BLURS
from core.data.capture import capture
from core.data.documents import render
from core.data.noise import NOISES
from core.data.optics import BLUR_RATES
from core.data.shifted import SECOND_RATE, SHIFTS, draw_shifts, shifted_capture, shifted_view


def _structure(image: np.ndarray) -> np.ndarray:
    """Unit vector of a blurred, 8 x 8 version less its mean: what survives exposure and small shifts."""
    side = image.shape[0] // 8
    cells = image[: 8 * side, : 8 * side].astype(float).reshape(8, side, 8, side, 3).mean(axis=(1, 3))
    flat = (cells - cells.mean()).ravel()
    unit: np.ndarray = flat / max(np.linalg.norm(flat), 1e-9)
    return unit


def test_equal_generators_give_equal_bytes_and_the_next_draw_another_capture() -> None:
    image = render(1, 4, 64)
    rng = np.random.default_rng(5)
    first, second = shifted_capture(image, rng, 64), shifted_capture(image, rng, 64)
    assert np.array_equal(first, shifted_capture(image, np.random.default_rng(5), 64))
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, capture(image, np.random.default_rng(5), 64))


_DIGEST = """
import hashlib
import numpy as np
from core.data.capture import capture
from core.data.shifted import shifted_capture
rng, digest = np.random.default_rng(1), hashlib.sha256()
page = np.repeat(np.repeat(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8), 8, 0), 8, 1)
for _ in range(60):
    digest.update(capture(page, rng, 128).tobytes() + shifted_capture(page, rng, 128).tobytes())
print(digest.hexdigest())
"""


def test_bytes_do_not_depend_on_the_process_or_its_number_of_threads() -> None:
    digests = set()
    for threads in ("1", "2"):
        environment = {**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        done = subprocess.run(
            [sys.executable, "-c", _DIGEST], env=environment, capture_output=True, text=True, check=True, timeout=120
        )
        digests.add(done.stdout)
    assert len(digests) == 1


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize(("shape", "size"), [((64, 64), 64), ((190, 300), 97), ((1, 1), 16), ((20, 500), 128)])
def test_any_image_becomes_a_square_and_is_left_as_it_was(shift: str, shape: tuple[int, int], size: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    before = image.copy()
    image.setflags(write=False)
    for draw in range(3):
        shot = shifted_view(image, np.random.default_rng(draw), size, 1.0, (shift,))
        assert shot.shape == (size, size, 3)
        assert shot.dtype == np.uint8
        assert shot.flags.writeable
        shot[:] = 0
    assert np.array_equal(image, before)


def test_shifts_are_none_of_the_things_that_training_or_captures_show() -> None:
    assert len(SHIFTS) >= 8
    assert len(set(SHIFTS)) == len(SHIFTS)
    assert not set(SHIFTS) & {*COLOURS, *NOISES, *BLURS, *light.RATES, *BLUR_RATES}


def test_one_or_two_different_shifts_are_drawn_evenly() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_shifts(rng) for _ in range(6000)]
    assert all(len(set(names)) == len(names) in (1, 2) for names in drawn)
    assert all(list(names) == sorted(names, key=SHIFTS.index) for names in drawn)
    assert abs(np.mean([len(names) == 2 for names in drawn]) - SECOND_RATE) < 0.03
    counts = np.array([sum(name in names for names in drawn) for name in SHIFTS])
    assert counts.min() > 0.8 * counts.mean()
    assert counts.max() < 1.2 * counts.mean()


@pytest.mark.parametrize("shift", SHIFTS)
def test_each_shift_is_visible_and_leaves_the_document_recognisable(shift: str) -> None:
    documents = [render(2, 4 * k, 64) for k in range(24)]
    gallery = np.stack([_structure(document) for document in documents])
    changes, own, other = [], [], []
    for k, document in enumerate(documents):
        shot = shifted_view(document, np.random.default_rng(k), 64, 1.0, (shift,)).astype(float)
        changes.append(np.abs(shot - document).mean())
        likeness = gallery @ _structure(shot)
        own.append(likeness[k])
        other.append(np.delete(likeness, k).mean())
    assert np.mean(changes) > 8
    assert np.mean(own) > np.mean(other) + 0.3


@pytest.mark.parametrize("shift", SHIFTS)
def test_each_shift_changes_what_the_mild_photograph_alone_would_show(shift: str) -> None:
    from core.data.shifted import _ON_PAPER, _ON_THE_WAY

    fault = {**_ON_PAPER, **_ON_THE_WAY}[shift]
    planes = np.ascontiguousarray(render(2, 9, 64).transpose(2, 0, 1)).astype(np.float32)
    before = planes.copy()
    changes = []
    for severity in (0.1, 0.5, 1.0):
        states, change = [], []
        for seed in range(8):
            rng = np.random.default_rng(seed)
            faulty = fault(planes, rng, severity)
            assert faulty.dtype == np.float32
            assert np.isfinite(faulty).all()
            change.append(np.abs(np.clip(faulty, 0, 255) - planes).mean())
            states.append(rng.random())
        changes.append((np.mean(change), states))
    assert np.array_equal(planes, before)
    assert changes[0][0] < changes[1][0] < changes[2][0]
    assert changes[2][0] > 0.8
    assert changes[0][1] == changes[1][1] == changes[2][1], "draws depend on severity"


def test_severity_brings_a_shifted_capture_nearer_to_its_document() -> None:
    page = render(5, 3, 96)
    distances = [
        np.mean(
            [np.abs(shifted_capture(page, np.random.default_rng(k), 96, s).astype(float) - page) for k in range(40)]
        )
        for s in (0.05, 0.5, 1.0)
    ]
    assert distances[0] < 0.7 * distances[1] < 0.7 * distances[2]


@pytest.mark.parametrize(
    ("image", "size", "severity", "message"),
    [
        (np.zeros((8, 8), np.uint8), 64, 1.0, "uint8 array"),
        (np.zeros((8, 8, 3), np.float32), 64, 1.0, "uint8 array"),
        (np.zeros((0, 8, 3), np.uint8), 64, 1.0, "empty"),
        (np.zeros((8, 8, 3), np.uint8), 4, 1.0, "size"),
        (np.zeros((8, 8, 3), np.uint8), True, 1.0, "size"),
        (np.zeros((8, 8, 3), np.uint8), 64, 0.0, "severity"),
        (np.zeros((8, 8, 3), np.uint8), 64, float("nan"), "severity"),
    ],
)
def test_invalid_arguments_are_refused(image: np.ndarray, size: int, severity: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        shifted_capture(image, np.random.default_rng(0), size, severity)


def test_an_unknown_shift_is_refused() -> None:
    with pytest.raises(ValueError, match="sneeze"):
        shifted_view(np.zeros((8, 8, 3), np.uint8), np.random.default_rng(0), 32, 1.0, ("sneeze",))
