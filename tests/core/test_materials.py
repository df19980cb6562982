"""What a run reads: the drawn images as they are in the pool, and in memory once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from core import materials
from core.data import cache
from core.data.corpus_images import pool_images
from core.inputs import corpus_of
from core.materials import drawn_images, load_materials, prepare
from core.training_state import Trainer
from tests.core.test_trainer import tiny


def pool_of_tiny() -> np.ndarray:
    return pool_images(corpus_of(tiny()), 32, cache.cache_dir(None))


@pytest.mark.parametrize("piece", [1, 10_000, materials._PIECE])
def test_the_pool_is_the_drawn_images_in_the_order_drawn(piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(materials, "_PIECE", piece)
    loaded, whole = load_materials(tiny()).pool, pool_of_tiny()
    assert loaded.shape == (8, 3, 32, 32)
    assert loaded.is_contiguous()
    for place, image in enumerate(drawn_images(0, 12, 8)):
        assert np.array_equal(loaded[place].permute(1, 2, 0), whole[image])


# In a process of its own: what other tests gave back to the allocator is taken from there again, and not seen to grow.
GROWTH = """
import sys
from pathlib import Path
import numpy as np
from core import materials
from core.head_cost import status_mb
from tests.core.test_trainer import tiny

materials._PIECE = 1_000_000
materials.pool_images = lambda *_: np.load(sys.argv[1], mmap_mode="c")
materials.load_materials(tiny(data__image_size=128))  # so that captures are made, and all is imported
Path("/proc/self/clear_refs").write_text("5")  # let VmHWM begin anew
before = status_mb("VmRSS")
pool = materials.load_materials(tiny(data__image_size=128, data__pool=2000, data__images=int(sys.argv[2]))).pool
print((status_mb("VmHWM") - before) / (pool.nbytes / 1e6))
"""


@pytest.mark.parametrize("images", [2000, 1000])
def test_the_pool_is_in_memory_once(images: int, tmp_path: Path) -> None:
    path = tmp_path / "pool.npy"
    np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(2000, 128, 128, 3))
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pytest.skip("this system does not tell how much memory was taken at most")
    words = [sys.executable, "-c", GROWTH, str(path), str(images)]
    told = subprocess.run(words, capture_output=True, text=True, check=True, timeout=300)
    assert 0.9 < float(told.stdout) < 1.4


def test_training_reads_the_pool_where_it_was_loaded() -> None:
    loaded = load_materials(tiny())
    assert Trainer(tiny(), loaded).batches.pool is loaded.pool


def test_what_was_read_of_a_cached_array_is_read_again_when_it_was_let_go() -> None:
    whole = pool_of_tiny()
    before = whole.copy()
    cache.let_go(whole)
    assert np.array_equal(whole, before)
    whole[0] = 255 - whole[0]
    cache.let_go(whole)  # what was written is not of the cache
    assert np.array_equal(whole, before)
    cache.let_go(before)  # one of no file stays as it is
    assert np.array_equal(whole, before)


def test_who_prepares_makes_all_that_is_read_and_no_copy_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny(distill__kind="cosine", runtime__cache_dir=str(tmp_path))
    with monkeypatch.context() as patched:
        patched.setattr(materials, "_drawn_pool", lambda *_: pytest.fail("the pool was copied"))
        prepare(config)
    made = {path.name for path in tmp_path.glob("*.npy")}
    monkeypatch.setattr(materials, "_arrays", {})
    load_materials(config)
    assert made == {path.name for path in tmp_path.glob("*.npy")}
    assert {name.rpartition("-")[0] for name in made} == {"pool", "captures", "shifted-captures", "teacher"}
