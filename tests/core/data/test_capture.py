"""Simulated captures: reproducible from the generator, harmless to their input, moderate in strength."""

import numpy as np
import pytest

from core.data.capture import _corners, _homography, _noise, capture
from core.data.documents import render


def _structure(image: np.ndarray) -> np.ndarray:
    """Unit vector of an 8 x 8 thumbnail less its mean: what survives exposure and small shifts."""
    cells = image[: image.shape[0] // 8 * 8, : image.shape[1] // 8 * 8].astype(float)
    cells = cells.reshape(8, cells.shape[0] // 8, 8, cells.shape[1] // 8, 3).mean(axis=(1, 3))
    flat = (cells - cells.mean()).ravel()
    return flat / np.linalg.norm(flat)


def test_equal_generators_give_equal_bytes_and_the_next_draw_another_capture() -> None:
    image = render(1, 4, 64)
    rng = np.random.default_rng(5)
    first, second = capture(image, rng, 64), capture(image, rng, 64)
    assert np.array_equal(first, capture(image, np.random.default_rng(5), 64))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("shape", [(64, 64), (190, 300), (300, 190), (20, 500), (1, 1)])
@pytest.mark.parametrize("size", [16, 64, 97])
def test_any_image_becomes_a_square_and_is_left_as_it_was(shape: tuple[int, int], size: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    before = image.copy()
    image.setflags(write=False)
    for draw in range(4):
        shot = capture(image, np.random.default_rng(draw), size)
        assert shot.shape == (size, size, 3)
        assert shot.dtype == np.uint8
        assert shot.flags.writeable
        shot[:] = 0
    assert np.array_equal(image, before)


def test_a_view_with_strides_is_an_image_too() -> None:
    image = render(1, 8, 64)
    flipped = image[:, ::-1]
    expected = capture(np.ascontiguousarray(flipped), np.random.default_rng(2), 64)
    assert np.array_equal(capture(flipped, np.random.default_rng(2), 64), expected)


def test_a_capture_is_nearer_to_its_document_than_to_others() -> None:
    documents = [render(2, 4 * k, 64) for k in range(30)]
    gallery = np.stack([_structure(document) for document in documents])
    rng = np.random.default_rng(1)
    hits = [int(np.argmax(gallery @ _structure(capture(documents[k % 30], rng, 64)))) == k % 30 for k in range(90)]
    assert np.mean(hits) > 0.75


def test_captures_vary_in_light_colour_and_sharpness() -> None:
    image = render(2, 12, 64)
    rng = np.random.default_rng(3)
    shots = np.stack([capture(image, rng, 64) for _ in range(60)]).astype(float)
    means = shots.mean(axis=(1, 2))
    edges = np.abs(np.diff(shots, axis=2)).mean(axis=(1, 2, 3))
    assert means.mean(axis=1).std() > 8
    assert (means - means.mean(axis=1, keepdims=True)).std(axis=0).max() > 3
    assert edges.max() > 1.8 * edges.min()
    assert np.all(shots.std(axis=(1, 2, 3)) > 6), "a capture with nothing left in it"


def test_corner_errors_stay_within_a_tenth_of_the_side() -> None:
    square = np.array([(0, 0), (1, 0), (1, 1), (0, 1)])
    rng = np.random.default_rng(0)
    errors = np.stack([_corners(rng, 100, 1.0) / 100 - square for _ in range(2000)])
    assert np.abs(errors).max() <= 0.1 + 1e-9
    assert 0.01 < errors.std() < 0.05
    assert np.abs(errors.mean(axis=(0, 1))).max() < 0.005


def test_severity_brings_a_capture_nearer_to_its_document_with_the_same_draws() -> None:
    page = render(5, 3, 96)
    distances = []
    for severity in (0.05, 0.5, 1.0):
        shots, states = [], []
        for seed in range(24):
            rng = np.random.default_rng(seed)
            shots.append(capture(page, rng, 96, severity).astype(float))
            states.append(rng.random())
        distances.append(np.abs(np.stack(shots) - page).mean())
        assert states == [_state_after(page, seed) for seed in range(24)]
    assert distances[0] < 0.6 * distances[1] < 0.6 * distances[2]


def _state_after(page: np.ndarray, seed: int) -> float:
    rng = np.random.default_rng(seed)
    capture(page, rng, 96)
    return rng.random()


@pytest.mark.parametrize("severity", [0, -1, 1.5, float("nan")])
def test_severity_outside_its_range_is_refused(severity: float) -> None:
    with pytest.raises(ValueError, match="severity"):
        capture(np.zeros((32, 32, 3), np.uint8), np.random.default_rng(0), 32, severity)


def test_the_homography_takes_corners_to_corners() -> None:
    target = np.array([(0, 0), (10, 0), (10, 10), (0, 10)], dtype=float)
    source = np.array([(1, 2), (11, 1), (9, 12), (-1, 9)], dtype=float)
    a, b, c, d, e, f, g, h = _homography(target, source)
    for (x, y), expected in zip(target, source, strict=True):
        depth = g * x + h * y + 1
        np.testing.assert_allclose(((a * x + b * y + c) / depth, (d * x + e * y + f) / depth), expected, atol=1e-9)


def test_noise_has_unit_variance_and_no_correlation_between_channels() -> None:
    noise = _noise((40000, 3), np.random.default_rng(0))
    assert noise.dtype == np.float32
    assert abs(noise.mean()) < 0.02
    assert abs(noise.std() - 1) < 0.01
    assert np.abs(np.corrcoef(noise.T) - np.eye(3)).max() < 0.02


@pytest.mark.parametrize(
    ("image", "size", "message"),
    [
        (np.zeros((8, 8), np.uint8), 64, "uint8 array"),
        (np.zeros((8, 8, 4), np.uint8), 64, "uint8 array"),
        (np.zeros((8, 8, 3), np.float32), 64, "uint8 array"),
        ([[0, 0, 0]], 64, "uint8 array"),
        (np.zeros((0, 8, 3), np.uint8), 64, "empty"),
        (np.zeros((8, 8, 3), np.uint8), 4, "size"),
        (np.zeros((8, 8, 3), np.uint8), 64.0, "size"),
        (np.zeros((8, 8, 3), np.uint8), True, "size"),
    ],
)
def test_invalid_arguments_are_refused(image: np.ndarray, size: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        capture(image, np.random.default_rng(0), size)
