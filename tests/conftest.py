"""Shared by all tests: nothing reaches the network, nothing is written outside the test's own folder."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

# A shell starts its background jobs with Ctrl-C ignored, and so would be all that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Rendered pools are shared by the tests of a session and leave the user's own cache alone."""
    os.environ["DOCABLATE_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["HF_HOME"] = str(tmp_path_factory.mktemp("hub"))


def gradient(mode: str, size: tuple[int, int] = (64, 48)) -> Image.Image:
    """From black to white in reading order, one channel's step after the other's."""
    base = np.linspace(0, 255, size[0] * size[1] * 3, dtype=np.uint8).reshape(size[1], size[0], 3)
    return Image.fromarray(base).convert(mode)


def make_images(folder: Path, count: int, seed: int = 0, size: tuple[int, int] = (60, 40)) -> list[Path]:
    """`count` different images: random blocks of colour, so that each is its own document."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index in range(count):
        blocks = Image.fromarray(rng.integers(0, 255, (4, 6, 3), np.uint8))
        path = folder / f"image {index:03d}.png"
        blocks.resize(size, Image.Resampling.NEAREST).save(path)
        paths.append(path)
    return paths


@pytest.fixture
def image_folder(tmp_path: Path) -> Path:
    """A folder of 40 images."""
    make_images(tmp_path / "images", 40)
    return tmp_path / "images"
