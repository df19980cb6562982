"""Formula-driven patterns: reproducible, varied, one picture a class."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from core.data import patterns
from core.data.patterns import render_pattern


def test_same_bytes_in_a_fresh_process() -> None:
    cases = [(0, index, 48) for index in range(24)]
    digest = hashlib.sha256()
    for case in cases:
        digest.update(render_pattern(*case).tobytes())
    program = (
        "import hashlib; from core.data.patterns import render_pattern; d = hashlib.sha256()\n"
        f"for c in {cases}: d.update(render_pattern(*c).tobytes())\n"
        "print(d.hexdigest())"
    )
    fresh = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert fresh.stdout.strip() == digest.hexdigest()


def test_every_class_is_another_picture_with_something_in_it() -> None:
    images = [render_pattern(1, index, 32) for index in range(200)]
    assert all(image.shape == (32, 32, 3) and image.dtype == np.uint8 for image in images)
    assert len({image.tobytes() for image in images}) == 200
    assert min(image.reshape(-1, 3).std(axis=0).max() for image in images) > 3


def test_the_seed_matters() -> None:
    assert not np.array_equal(render_pattern(1, 0, 32), render_pattern(2, 0, 32))


def test_size_changes_the_scale_and_not_the_picture() -> None:
    for index in range(12):
        small, large = render_pattern(1, index, 40), render_pattern(1, index, 160)
        shrunk = large.reshape(40, 4, 40, 4, 3).mean(axis=(1, 3))
        assert np.abs(shrunk - small).mean() < 8


def test_kinds_occur_in_the_stated_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = [limit for limit, _ in patterns._KINDS]
    shares = np.diff([0.0, *limits[:-1], 1.0])
    counts = np.zeros(len(limits))

    def counting(position: int):
        def draw(rng: np.random.Generator, side: int):
            from PIL import Image

            counts[position] += 1
            return Image.new("RGB", (side, side))

        return draw

    monkeypatch.setattr(patterns, "_KINDS", tuple((limit, counting(k)) for k, limit in enumerate(limits)))
    for index in range(1000):
        render_pattern(0, index, 16)
    assert np.abs(counts / 1000 - shares).max() < 0.04
    assert shares[0] > 0.5


@pytest.mark.parametrize("kind", [kind for _, kind in patterns._KINDS])
def test_each_kind_draws_something_for_many_seeds(kind) -> None:
    for seed in range(40):
        image = np.asarray(kind(np.random.default_rng(seed), 64))
        assert image.shape == (64, 64, 3)
        assert image.max() > image.min()


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ((-1, 0, 64), "seed"),
        ((0, -1, 64), "index"),
        ((0, 1.0, 64), "index"),
        ((0, 0, 8), "size"),
        ((0, 0, True), "size"),
    ],
)
def test_invalid_arguments_are_named(arguments: tuple, name: str) -> None:
    with pytest.raises(ValueError, match=name):
        render_pattern(*arguments)
