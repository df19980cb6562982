"""Simulated captures: reproducible from the generator, harmless to their input, moderate in strength."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from core.data import capture as camera
from core.data import light, optics
from core.data.capture import capture, chroma_noise, white_noise
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
    errors = np.stack([optics.place_corners(rng, 100, 1.0) / 100 - square for _ in range(2000)])
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


def test_the_homography_takes_the_square_to_the_corners() -> None:
    target = np.array([(0, 0), (10, 0), (10, 10), (0, 10)], dtype=float)
    corners = np.array([(1, 2), (11, 1), (9, 12), (-1, 9)], dtype=float)
    a, b, c, d, e, f, g, h = optics.homography(corners, 10)
    for (x, y), expected in zip(target, corners, strict=True):
        depth = g * x + h * y + 1
        np.testing.assert_allclose(((a * x + b * y + c) / depth, (d * x + e * y + f) / depth), expected, atol=1e-9)


@pytest.mark.parametrize("size", [16, 33, 128])
def test_the_warp_agrees_with_pillow(size: int) -> None:
    rng = np.random.default_rng(4)
    page = render(3, 1, size)
    width = round(optics._MARGIN * size) + 1
    scene = optics._scene(page, rng, size, width)
    coefficients = optics.homography(optics.place_corners(rng, size, 1.0) + width, size)
    colours = scene.view(np.uint16).reshape(*scene.shape, 4)[..., :3].astype(np.uint8)
    expected = Image.fromarray(colours).transform(
        (size, size), Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BILINEAR
    )
    error = optics._warp(scene, coefficients, size) - optics.planes_of(expected)
    assert np.abs(error).max() < 20, "weights are in sixteenths of a pixel"
    assert np.abs(error).mean() < 1.5


def test_the_largest_corner_errors_stay_on_the_scene() -> None:
    size, margin = 64, round(optics._MARGIN * 64) + 1
    scene = np.full((size + 2 * margin, size + 2 * margin), 7, dtype=np.uint64)
    square = np.array([(0, 0), (1, 0), (1, 1), (0, 1)], dtype=float)
    for signs in np.ndindex(*[2] * 8):
        corners = square + 0.1 * (2 * np.array(signs).reshape(4, 2) - 1)
        optics._warp(scene, optics.homography(corners * size + margin, size), size)


def test_resize_and_box_blur_agree_with_pillow() -> None:
    page = Image.fromarray(render(3, 1, 96))
    planes = optics.planes_of(page)
    for side in (50, 140):
        expected = optics.planes_of(page.resize((side, side), Image.Resampling.BILINEAR))
        assert np.abs(optics.resize(planes, side, side) - expected).max() < 2
    for radius in (0.3, 1.0, 2.4):
        expected = optics.planes_of(page.filter(ImageFilter.BoxBlur(radius)))
        assert np.abs(optics.box_blur(planes, radius) - expected).max() < 2


def test_blurs_occur_at_their_rates() -> None:
    planes, rng = optics.planes_of(render(2, 3, 128)), np.random.default_rng(0)
    sharp = np.mean([np.array_equal(optics.focus(planes, rng, 1.0), planes) for _ in range(800)])
    assert abs(sharp - (1 - sum(optics.BLUR_RATES.values()))) < 0.06


@pytest.mark.parametrize("name", sorted(light.RATES))
def test_each_light_occurs_at_its_rate_and_changes_pixels(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for other in light.RATES:
        if other != name:
            monkeypatch.setitem(light.RATES, other, 0.0)
    rng, changes = np.random.default_rng(2), []
    for _ in range(1200):
        planes = np.full((3, 32, 32), 128, dtype=np.float32)
        light.illuminate(planes, rng, 1.0)
        light.moire(planes, rng, 1.0)
        assert np.isfinite(planes).all()
        changes.append(np.abs(planes - 128).mean())
    changed = np.array(changes) > 0
    assert abs(changed.mean() - light.RATES[name]) < 4 * np.sqrt(0.25 / len(changes))
    assert 1 < np.mean(np.array(changes)[changed]) < 50


def test_moire_is_a_faint_pattern_with_little_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(light.RATES, "moire", 1.0)
    for seed in range(40):
        planes = np.full((3, 64, 64), 128, dtype=np.float32)
        light.moire(planes, np.random.default_rng(seed), 1.0)
        assert 0.5 < planes.std() < 10
        assert np.ptp(planes) < 0.2 * 128
        assert 0 < np.ptp(planes.mean(axis=(1, 2))) < 4


def test_white_noise_has_unit_variance_and_independent_channels() -> None:
    for size in (128, 300, 640):
        noise = white_noise(size, np.random.default_rng(0)).reshape(3, -1)
        assert noise.dtype == np.float32
        assert abs(noise.mean()) < 0.03
        assert abs(noise.std() - 1) < 0.02
        assert np.abs(np.corrcoef(noise) - np.eye(3)).max() < (0.03 if size < 512 else 1)


def test_chroma_noise_has_no_brightness_and_is_smooth() -> None:
    for size in (64, 300):
        noise = chroma_noise(size, np.random.default_rng(1))
        assert noise.shape == (3, size, size)
        assert abs(noise.std() - 1) < 0.1
        assert np.abs(noise.mean(axis=0)).max() < 1e-4
        assert (noise[:, :, 1:] * noise[:, :, :-1]).mean() > 0.5


def test_chroma_noise_occurs_at_its_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera, "white_noise", lambda size, rng: np.zeros((3, size, size), np.float32))
    rng, changes = np.random.default_rng(5), []
    for _ in range(1000):
        planes = np.full((3, 16, 16), 128, dtype=np.float32)
        camera.grain(planes, rng, 1.0)
        changes.append(bool((planes != 128).any()))
    assert abs(np.mean(changes) - camera.CHROMA_RATE) < 0.06


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
