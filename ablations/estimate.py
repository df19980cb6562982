"""How long a run takes and how much memory: from measured rates where there are any, else a rough model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from core.config import RunConfig
from core.errors import UserError
from core.store import Store

# Images per second in training at 64 px on one CPU core (lcnet_050 and lcnet_100 measured, with AVX2; with
# AVX-512 some three times as fast). Rough on purpose: the store's own rates replace it after the first runs.
_RATE_64 = {"lcnet_050": 480.0, "lcnet_100": 200.0, "efficientnet_b0": 40.0}
_DEFAULT_RATE = 100.0
# The same at 128 px on a GPU of a data centre (lcnet_050 measured on an H200: 29,000), whose host can start no more
# steps of small images than so.
_GPU_RATE_128 = {"lcnet_050": 20_000.0, "lcnet_100": 10_000.0, "efficientnet_b0": 3_000.0}
_GPU_DEFAULT_RATE, _GPU_MOST = 3_000.0, 25_000.0
# Views per second that a teacher encodes: the embedded one, and any other, which is taken for a ViT-B/32. Measured on
# one CPU core without AVX-512, at 128 px; of a GPU not measured, but what a ViT-B/32 takes of its float32 arithmetic.
_TEACHER_RATE = {"cpu": (300.0, 6.0), "cuda": (20_000.0, 3_000.0)}
_SETUP_SECONDS = {"cpu": 3.0, "cuda": 15.0}
_EVAL_SPEEDUP = 3.0  # a forward pass alone against a training step
_BASE_MB = 650.0  # interpreter, torch, timm
# Float32 weight, and by `loss.centre_update` gradient and two moments, two moments, or neither.
_BYTES_PER_CENTRE_VALUE = {"dense": 16, "rows": 12, "row_scalar": 4}
_ACTIVATION_MB_64 = 2.0  # per image of a batch at 64 px


Rates = Mapping[tuple[str, str, int], float]  # measured samples per second by (kind of device, backbone, image size)


@dataclass(frozen=True)
class Estimate:
    """Seconds on one process, resident megabytes."""

    seconds: float
    memory_mb: float


def device_kind(device: str) -> str:
    """`cuda:1` -> `cuda`, without PyTorch, which takes seconds to import."""
    return device.partition(":")[0]


def estimate(config: RunConfig, rates: Rates) -> Estimate:
    """Estimate a run.

    Args:
        rates: of the store's runs.
    """
    backbone, size = config.model.backbone, config.data.image_size
    kind = device_kind(config.runtime.device)
    rate = rates.get((kind, backbone, size)) or _guessed_rate(kind, backbone, size)
    views = 2 if config.distill.clean_view else 1
    if config.precision.mode == "fp16" and kind == "cpu":
        rate /= 2
    tests = 2 if config.eval.shifted else 1
    captured = tests * config.eval.identities + config.eval.points * config.eval.validation_identities
    evaluation = captured * config.eval.captures / (_EVAL_SPEEDUP * rate)
    seconds = _SETUP_SECONDS[kind] + config.optim.samples * views / rate + evaluation
    scale = (size / 64) ** 2
    per_value = _BYTES_PER_CENTRE_VALUE[config.loss.centre_update]
    centres = config.data.classes * config.model.embed_dim * per_value / 1e6
    pixels = (config.data.images + captured * config.eval.captures) * size * size * 3 / 1e6
    memory = _BASE_MB + centres + pixels + views * config.optim.batch_size * _ACTIVATION_MB_64 * scale
    return Estimate(round(seconds, 1), round(memory))


def encoding_seconds(config: RunConfig, views: int) -> float:
    """How long the run's teacher takes for so many views: on one CPU core, or on a GPU."""
    embedded, other = _TEACHER_RATE[device_kind(config.runtime.device)]
    return views / (embedded if config.distill.teacher == "procedural" else other)


def _guessed_rate(kind: str, backbone: str, size: int) -> float:
    if kind == "cuda":
        return min(_GPU_RATE_128.get(backbone, _GPU_DEFAULT_RATE) * (128 / size) ** 2, _GPU_MOST)
    return _RATE_64.get(backbone, _DEFAULT_RATE) * (64 / size) ** 2


def measured_rates(store: Store) -> Rates:
    """Median samples per second by (kind of device, backbone, image size) of the store's done runs."""
    found: dict[tuple[str, str, int], list[float]] = {}
    for key in store.run_keys()[:200]:
        if store.state(key) != "done":
            continue
        try:
            result = store.result(key)
            config = result["config"]
            if int(result["environment"].get("ranks", 1)) > 1:  # of several GPUs together
                continue
            kind = device_kind(str(result["environment"]["device"]))
            where = (kind, config["model"]["backbone"], config["data"]["image_size"])
            found.setdefault(where, []).append(float(result["cost"]["samples_per_second"]))
        except (UserError, KeyError, TypeError, ValueError):
            continue
    return {where: sorted(rates)[len(rates) // 2] for where, rates in found.items()}
