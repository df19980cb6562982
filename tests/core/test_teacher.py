"""Teacher features: unit rows for every class, from the embedded teacher or the user's own."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from torch.nn import functional

from core import teacher
from core.config import RunConfig
from core.data.corpus_images import Captures
from core.data.expansion import take
from core.device import CPU
from core.errors import RunFailure, UserError
from core.inputs import teacher_fingerprint
from core.materials import load_materials
from core.model.weights import EMBEDDED
from core.precision import matmul_precision
from core.teacher import class_features, load_encoder
from core.teacher_cache import description_of, views_to_encode
from core.teacher_training import gate
from tests.core.test_trainer import tiny

TEACHER = Path(str(EMBEDDED / "teacher"))


def config(**distill: object) -> RunConfig:
    fields = {f"distill.{name}": value for name, value in {"kind": "cosine", **distill}.items()}
    return RunConfig().with_overrides({**fields, "data.expansion": 8, "data.image_size": 32})


@pytest.fixture
def pool() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (3, 32, 32, 3), np.uint8)


def test_every_class_has_a_unit_row(pool: np.ndarray) -> None:
    features = class_features(config(), pool)
    assert features.shape == (24, 256)
    assert torch.allclose(features.norm(dim=1), torch.ones(24), atol=1e-5)
    assert torch.equal(features, class_features(config(), pool))
    assert not torch.allclose(features[0], features[1])


@pytest.fixture
def views() -> np.ndarray:
    """Enough of them, expanded by 8, for two cores."""
    return np.random.default_rng(2).integers(0, 255, (101, 32, 32, 3), np.uint8)


@pytest.mark.parametrize("cores", [1, 3])
def test_all_cores_give_the_bits_of_one(
    cores: int, views: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    encode, images = load_encoder("procedural"), torch.from_numpy(views).permute(0, 3, 1, 2)
    one_by_one = [encode(take(images, ids, 8)) for ids in torch.arange(808).split(64)]
    told: list[int] = []
    at_work = config().with_overrides({"runtime.cache_dir": str(tmp_path)})
    features = class_features(at_work, views, lambda what, done, total: told.append(done))
    assert torch.equal(features, torch.cat(one_by_one))
    assert told == [*range(64, 808, 64), 808]


def test_an_interrupted_encoding_leaves_nothing_running(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    begun: list[int] = []

    def batch(ids: torch.Tensor) -> torch.Tensor:
        begun.append(int(ids[0]))
        time.sleep(0.01)
        return ids[:, None].float()

    def interrupted(what: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    before = set(threading.enumerate())
    with pytest.raises(KeyboardInterrupt):
        teacher._encoded(lambda rows: rows, batch, 64 * 1000, CPU, interrupted)
    assert set(threading.enumerate()) <= before
    assert 1 <= len(begun) < 100


def test_it_is_encoded_in_float32_whatever_was_set(
    pool: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[object] = []

    def settings() -> list[object]:
        return [torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32, torch.is_autocast_enabled("cpu")]

    def encoder(name: str, device: torch.device) -> Any:
        seen.append(device)
        return lambda images: seen.extend(settings()) or images.float().mean((2, 3))

    monkeypatch.setattr(teacher, "load_encoder", encoder)
    with matmul_precision("medium"), torch.autocast("cpu", dtype=torch.bfloat16):
        before = settings()
        class_features(config().with_overrides({"runtime.cache_dir": str(tmp_path)}), pool)
        assert settings() == before
    assert seen == [CPU, "highest", False, False]
    assert before == ["medium", True, True]


def test_no_model_is_kept(pool: np.ndarray, tmp_path: Path) -> None:
    """What nothing holds is gone at once, and not when Python looks for cycles: a GPU's memory is needed elsewhere."""

    def models() -> int:
        return sum(type(one) is open_clip.CLIP for one in gc.get_objects())

    before = models()
    gc.disable()
    try:
        class_features(config().with_overrides({"runtime.cache_dir": str(tmp_path)}), pool)
        assert models() == before
    finally:
        gc.enable()


def test_the_cache_tells_kinds_of_devices_apart_and_knows_the_cpus_as_ever(pool: np.ndarray) -> None:
    cpu, first, second = (
        description_of(config().with_overrides({"runtime.device": device}), pool, 8)
        for device in ("cpu", "cuda", "cuda:1")
    )
    pixels = hashlib.sha256(pool.tobytes()).hexdigest()
    assert cpu == f"teacher {teacher_fingerprint(config())} {pixels} 8"
    assert first == second == f"{cpu} cuda"


def test_what_is_still_to_be_encoded(tmp_path: Path) -> None:
    cached = {"runtime__cache_dir": str(tmp_path)}
    distilled = tiny(distill__kind="cosine", **cached)
    assert views_to_encode(tiny(**cached)) == 0
    assert views_to_encode(tiny(distill__kind="cosine", distill__teacher="random", **cached)) == 0
    load_materials(tiny(**cached))  # the pool alone
    assert views_to_encode(distilled) == 12 * 24
    load_materials(distilled)
    assert views_to_encode(distilled) == 0
    assert views_to_encode(distilled.with_overrides({"data.expansion": 8})) == 12 * 8
    assert views_to_encode(distilled.with_overrides({"runtime.device": "cuda"})) == 12 * 24


def test_rows_of_a_run_are_of_the_images_that_it_drew() -> None:
    materials = load_materials(tiny(distill__kind="cosine"))
    assert materials.teacher is not None
    some = torch.tensor([0, 30, 100, 191])
    expected = load_encoder("procedural")(take(materials.pool, some, 24))
    torch.testing.assert_close(materials.teacher[some], expected, rtol=1e-4, atol=1e-5)


def test_random_teacher_knows_nothing_of_the_images(pool: np.ndarray) -> None:
    a = class_features(config(teacher="random"), pool)
    b = class_features(config(teacher="random"), 255 - pool)
    assert torch.equal(a, b)
    assert not torch.equal(a, class_features(config(teacher="random").with_overrides({"seed": 1}), pool))


def test_fingerprints_follow_content(tmp_path: Path) -> None:
    assert teacher_fingerprint(RunConfig()) == "none"
    assert teacher_fingerprint(config(weight=0)) == "none"
    copied = shutil.copytree(TEACHER, tmp_path / "mine")
    embedded, own = (teacher_fingerprint(config(teacher=name)) for name in ("procedural", str(copied)))
    assert embedded.split(":")[1] == own.split(":")[1]
    assert (embedded.split(":")[0], own.split(":")[0]) == ("procedural", "file")
    settings = copied / "open_clip_config.json"
    settings.write_text(settings.read_text().replace("0.5", "0.25"))
    assert teacher_fingerprint(config(teacher=str(copied))) != own


def test_a_teacher_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="open_clip folder"):
        teacher_fingerprint(config(teacher=str(tmp_path)))
    (tmp_path / "broken.pt").write_bytes(b"not weights")
    with pytest.raises(RunFailure) as caught:
        load_encoder(str(tmp_path / "broken.pt"))
    assert caught.value.kind == "bad_weights"
    with pytest.raises(UserError, match=r"distill\.teacher=openai"):
        teacher_fingerprint(config(teacher="openai"))


def test_a_file_beside_its_configuration_is_not_taken_for_another_architecture(tmp_path: Path) -> None:
    copied = shutil.copytree(TEACHER, tmp_path / "mine")
    weights = (copied / "open_clip_model.safetensors").rename(copied / "open_clip_pytorch_model.bin")
    with pytest.raises(UserError, match=r"open_clip_pytorch_model\.bin' would be read as OpenAI's.* beside it"):
        teacher_fingerprint(config(teacher=str(weights)))
    (copied / "open_clip_config.json").unlink()
    assert teacher_fingerprint(config(teacher=str(weights))).startswith("file:")


@pytest.mark.parametrize("way", ["bicubic", "bilinear"])
def test_images_are_resized_as_the_model_asks(way: str, tmp_path: Path, pool: np.ndarray) -> None:
    copied = shutil.copytree(TEACHER, tmp_path / "mine")
    settings = json.loads((copied / "open_clip_config.json").read_text())
    settings["preprocess_cfg"]["interpolation"] = way
    (copied / "open_clip_config.json").write_text(json.dumps(settings))
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{copied}")
    with torch.no_grad():
        expected = model.eval().encode_image(torch.stack([preprocess(Image.fromarray(image)) for image in pool]))
    found = load_encoder(str(copied))(torch.from_numpy(pool).permute(0, 3, 1, 2))
    assert float(functional.cosine_similarity(found, expected).min()) > 0.9995


def test_gate_of_identical_captures_is_perfect() -> None:
    images = np.random.default_rng(1).integers(0, 255, (4, 64, 64, 3), np.uint8).repeat(2, axis=0)
    assert gate(str(TEACHER), Captures(images, np.arange(4).repeat(2)))["auroc"] == 1
