"""Training on a GPU: samples per second of a preset and its variants, what a step is made of, and what bounds it.

Usage: python tests/bench/gpu.py [--preset standard] [--set FIELD=VALUE ...] [--steps 50] [--rounds 5] [--device cuda]

Pixels are random: how fast a step is does not depend on them, and nothing has to be drawn first. Variants are timed in
turns, in one process, by their medians; the device is waited for at both ends of a turn alone. One line of JSON each.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from ablations.preset import load_preset
from ablations.words import parse_sets
from core.batches import Batches
from core.config import RunConfig
from core.data.corpus_images import Captures
from core.device import CPU, wait
from core.materials import Materials
from core.model.captured import Captured
from core.precision import matmul_precision
from core.result import environment
from core.training_state import Trainer
from core.verification import verify

WARM_UP = 10  # steps before any is timed: allocator, cuDNN's choice of kernels, compilation
VARIANTS: dict[str, dict[str, Any]] = {
    "the preset": {},
    "not captured": {},
    "fast head": {"loss.sampler": "windows", "loss.centre_update": "row_scalar"},
    "all classes": {"loss.sample_rate": 1.0},
    "fast head, all classes": {"loss.sample_rate": 1.0, "loss.centre_update": "row_scalar"},
    "bf16": {"precision.mode": "bf16"},
    "no augmentation": {"data.augment": "none"},
    "photographed": {"data.augment": "photographed"},
    "compiled, captured": {},
}


def trainer_of(config: RunConfig, variant: str) -> Trainer:
    data = config.data
    pool = torch.randint(0, 256, (data.images, 3, data.image_size, data.image_size), dtype=torch.uint8)
    unread = cast(Captures, None)  # nothing is judged here
    trainer = Trainer(config, Materials(pool, None, unread, unread, None, {}, {}))
    trainer.embedder.train()
    if isinstance(trainer.forward, Captured):
        if variant == "not captured":
            trainer.forward = trainer.forward.eager
        if variant == "compiled, captured":
            trainer.forward.eager = cast(nn.Module, torch.compile(trainer.forward.eager))
    return trainer


def seconds(work: Callable[[], object], steps: int, device: torch.device) -> float:
    """Of one of `steps` calls."""
    wait(device)
    started = time.perf_counter()
    for _ in range(steps):
        work()
    wait(device)
    return (time.perf_counter() - started) / steps


class Stepper:
    """One variant in training, step after step; its memory is that of its first steps, before others are there."""

    def __init__(self, config: RunConfig, variant: str = "") -> None:
        self.config, self.device = config, torch.device(config.runtime.device)
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            before = torch.cuda.memory_allocated(self.device)
        started = time.perf_counter()
        self.trainer, self.done = trainer_of(config, variant), 0
        for _ in range(WARM_UP):
            self.step()
        wait(self.device)
        self.ready_s = time.perf_counter() - started
        cuda = self.device.type == "cuda"
        self.peak_mb = (torch.cuda.max_memory_allocated(self.device) - before) / 1e6 if cuda else None

    def step(self) -> None:
        with matmul_precision(self.config.precision.mode):
            self.trainer.step(self.done % self.config.optim.steps)
        self.done += 1


def parts(stepper: Stepper, steps: int) -> dict[str, float]:
    """Milliseconds of each part of a step, by itself."""
    trainer, config, device = stepper.trainer, stepper.config, stepper.device
    batch = config.optim.batch_size
    batches = Batches(config, trainer.batches.pool, trainer.part, ahead=False)
    one = batches.next()
    images, classes = one.images, one.classes
    embeddings = torch.randn(batch, config.model.embed_dim, device=device, requires_grad=True)

    def embed() -> None:
        trainer.forward(images, batch)[0].square().mean().backward()

    def head() -> None:
        trainer.head(embeddings, classes).backward()
        trainer.head.zero_grad(set_to_none=True)
        if hasattr(trainer.head, "skip"):
            trainer.head.skip()

    found = {}
    with matmul_precision(config.precision.mode):
        for name, work in {"data": batches.next, "embedder": embed, "head": head}.items():
            work()
            found[name] = 1e3 * seconds(work, steps, device)
    trainer.optimizer.zero_grad(set_to_none=True)
    return found


def profile(stepper: Stepper, steps: int) -> dict[str, Any]:
    """How many kernels a step starts, for what share of the time any runs, and which take longest."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiler

    each = seconds(stepper.step, steps, stepper.device)  # the profiler itself makes steps longer
    with profiler(activities=[ProfilerActivity.CUDA]) as seen:
        for _ in range(steps):
            stepper.step()
        wait(stepper.device)
    kernels = [one for one in seen.key_averages() if one.self_device_time_total]
    busy = sum(one.self_device_time_total for one in kernels) / steps / 1e3
    longest = sorted(kernels, key=lambda one: -one.self_device_time_total)[:12]
    return {
        "kernels a step": sum(one.count for one in kernels) / steps, "kernels' ms": busy, "ms": 1e3 * each,
        "busy": busy / (1e3 * each),
        "longest": {one.key[:90]: round(one.self_device_time_total / steps / 1e3, 3) for one in longest},
    }  # fmt: skip


def verification(count: int, device: torch.device) -> dict[str, float]:
    """Seconds to compare all pairs of `count` embeddings of width 256, on the device and on the CPU."""
    rng = np.random.default_rng(0)
    embeddings, identities = rng.normal(size=(count, 256)), np.arange(count) // 5
    found = {}
    for where in dict.fromkeys((device, CPU)):
        verify(embeddings[:1000], identities[:1000], device=where)  # libraries are loaded by the first use
        found[f"{where.type} s"] = seconds(partial(verify, embeddings, identities, device=where), 1, where)
    return found


def told(what: str, facts: Mapping[str, Any]) -> None:
    rounded = {name: round(value, 3) if isinstance(value, float) else value for name, value in facts.items()}
    print(json.dumps({"what": what, **rounded}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="standard")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--pairs-of", type=int, default=25_000, help="embeddings of which all pairs are compared")
    parser.add_argument("--only", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    options = parser.parse_args()
    base = RunConfig().with_overrides(
        {**load_preset(options.preset).set, **parse_sets(options.set), "runtime.device": options.device}
    )
    told("machine", environment(options.device, torch.get_num_threads()))
    steppers: dict[str, Stepper] = {}
    for name in options.only:
        try:
            steppers[name] = Stepper(base.with_overrides(VARIANTS[name]), name)
            told(f"{name}, made", {"s": steppers[name].ready_s, "peak MB": steppers[name].peak_mb})
        except Exception as error:  # what one variant lacks, others may have
            told(name, {"failed": f"{type(error).__name__}: {error}"[:500]})
    rates: dict[str, list[float]] = {name: [] for name in steppers}
    for _ in range(options.rounds):
        for name, stepper in steppers.items():
            each = seconds(stepper.step, options.steps, stepper.device)
            rates[name].append(stepper.config.optim.batch_size / each)
    for name, stepper in steppers.items():
        middle = statistics.median(rates[name])
        spread = max(rates[name]) - min(rates[name])
        told(name, {"samples/s": middle, "spread": spread, **parts(stepper, options.steps)})
    told("verification", verification(options.pairs_of, torch.device(options.device)))
    if options.device.startswith("cuda"):
        for name in ("the preset", "fast head"):
            if name in steppers:
                told(f"{name}, profiled", profile(steppers[name], min(options.steps, 20)))


if __name__ == "__main__":
    main()
