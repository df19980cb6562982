"""How long a run takes and how much memory: from measured rates where there are any, else a rough model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ablations import memory
from core.config import RunConfig
from core.config_sections import device_kind
from core.errors import UserError
from core.inputs import corpus_of
from core.store import Store

# Images per second of the embedder in training at 64 px on one CPU core (lcnet_050 and lcnet_100 measured, with AVX2;
# with AVX-512 some three times as fast). Rough on purpose: the store's own rates replace it after the first runs.
_RATE_64 = {"lcnet_050": 480.0, "lcnet_100": 200.0, "efficientnet_b0": 40.0}
_DEFAULT_RATE = 100.0
# The same at 128 px on a GPU of a data centre (lcnet_050 measured on an H200: 29,000), whose host can start no more
# steps of small images than so.
_GPU_RATE_128 = {"lcnet_050": 20_000.0, "lcnet_100": 10_000.0, "efficientnet_b0": 3_000.0}
_GPU_DEFAULT_RATE, _GPU_MOST = 3_000.0, 25_000.0
# Seconds of a step of the class head by S B D, S D and, where AdamW passes over all centres, C D: of C centres, S of
# them sampled, B embeddings of width D. Fitted to steps on one core of an EPYC without AVX-512, of 1,000 to 390,144
# centres and of 64 and 512 embeddings: within a half of each. GPUs' rates are of whole steps.
_HEAD = {"cpu": (1.7e-10, 1.5e-9, 2.8e-9), "cuda": (0.0, 0.0, 0.0)}
_LEAST_EMBEDDER = 0.25  # share of a measured step, however long its head is thought to take
# Views per second that a teacher encodes: the embedded one, and any other, which is taken for a ViT-B/32. Measured on
# one CPU core without AVX-512, at 128 px; of a GPU not measured, but what a ViT-B/32 takes of its float32 arithmetic.
_TEACHER_RATE = {"cpu": (300.0, 6.0), "cuda": (20_000.0, 3_000.0)}
# Of one core, a capture: of any size, and at 128 px; measured with five an identity at 64, 128 and 224 px.
_CAPTURE_SECONDS = (2.8e-3, 1.1e-3)
_SETUP_SECONDS = {"cpu": 3.0, "cuda": 15.0}
_EVAL_SPEEDUP = 3.0  # a forward pass alone against a training step


Rates = Mapping[tuple[str, str, int], float]  # measured views per second by (kind of device, backbone, image size)


@dataclass(frozen=True)
class Estimate:
    """Seconds on one process, and megabytes (10^6 bytes) of the host's memory that it takes at most."""

    seconds: float
    memory_mb: float


def estimate(config: RunConfig, rates: Rates) -> Estimate:
    """Estimate a run.

    Args:
        rates: of the store's runs.

    Raises:
        UserError: folders that cannot be used.
    """
    backbone, size = config.model.backbone, config.data.image_size
    kind = device_kind(config.runtime.device)
    rate = rates.get((kind, backbone, size)) or _guessed_rate(kind, backbone, size)
    views = config.distill.views
    rate /= _slower(kind, config.precision.mode)
    source, optim = corpus_of(config), config.optim
    points = min(config.eval.points, optim.steps)  # of which several may fall to one step
    captures = source.judged_count(config.eval.judged) + points * source.capture_count(source.validation)
    evaluation = captures / (_EVAL_SPEEDUP * rate)
    training = optim.steps * optim.batch_size * views / rate + head_seconds(config, kind)
    seconds = _SETUP_SECONDS[kind] + training + evaluation
    taken = memory.on_host(config, source, views * optim.batch_size, trains=kind == "cpu")
    return Estimate(round(seconds, 1), round(taken / 1e6))


def head_seconds(config: RunConfig, kind: str) -> float:
    """How long the class head takes in all steps of a run, on a device of that kind."""
    products, rows, passes = _HEAD[kind]
    sampled = config.loss.sample_rate * config.data.classes
    step = sampled * config.optim.batch_size * products + sampled * rows
    if config.loss.centre_update == "dense":
        step += config.data.classes * passes
    return config.optim.steps * step * config.model.embed_dim


def encoding_seconds(config: RunConfig, views: int) -> float:
    """How long the run's teacher takes for so many views: on one CPU core, or on a GPU."""
    embedded, other = _TEACHER_RATE[device_kind(config.runtime.device)]
    return views / (embedded if config.distill.teacher == "procedural" else other)


def drawing_seconds(captures: int, size: int) -> float:
    """How long so many simulated captures take one CPU core, shifted or not."""
    each, at_128 = _CAPTURE_SECONDS
    return captures * (each + at_128 * (size / 128) ** 2)


def _slower(kind: str, precision: str) -> float:
    """How many times as long a step of that precision takes, where it is emulated."""
    return 2.0 if precision == "fp16" and kind == "cpu" else 1.0


def _guessed_rate(kind: str, backbone: str, size: int) -> float:
    if kind == "cuda":
        return min(_GPU_RATE_128.get(backbone, _GPU_DEFAULT_RATE) * (128 / size) ** 2, _GPU_MOST)
    return _RATE_64.get(backbone, _DEFAULT_RATE) * (64 / size) ** 2


def measured_rates(store: Store) -> Rates:
    """Median views per second by (kind of device, backbone, image size) of the store's done runs.

    They are of the embedder, without what the class head is thought to take. A sample is two views where its clean
    image is embedded as well; of arithmetic that takes longer, what it would be without.
    """
    found: dict[tuple[str, str, int], list[float]] = {}
    for key in store.run_keys()[:200]:
        if store.state(key) != "done":
            continue
        try:
            result = store.result(key)
            config = RunConfig.model_validate(result["config"])
            if int(result["environment"].get("ranks", 1)) > 1:  # of several GPUs together
                continue
            kind = device_kind(str(result["environment"]["device"]))
            where = (kind, config.model.backbone, config.data.image_size)
            share = config.distill.views * _slower(kind, config.precision.mode)
            samples = config.optim.steps * config.optim.batch_size
            whole = samples / float(result["cost"]["samples_per_second"])
            embedder = max(whole - head_seconds(config, kind), _LEAST_EMBEDDER * whole)
            found.setdefault(where, []).append(share * samples / embedder)
        except (UserError, KeyError, TypeError, ValueError, ZeroDivisionError):
            continue
    return {where: sorted(rates)[len(rates) // 2] for where, rates in found.items()}
