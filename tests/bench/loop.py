"""The training loop against the bare backbone: samples per second in one run, interleaved, medians.

Usage: python tests/bench/loop.py [--steps 40] [--rounds 7] [--threads 1]
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from torch import nn

from ablations.preset import load_preset
from core.config import RunConfig
from core.materials import load_materials
from core.model.embedder import Embedder
from core.precision import matmul_precision
from core.training_state import Trainer


def bare_step(config: RunConfig, stock: bool) -> tuple[nn.Module, torch.optim.Optimizer, torch.Tensor]:
    """Embedder, optimiser and a fixed batch: forward, backward and AdamW, nothing else."""
    embedder = Embedder(config.model, config.data.image_size, 0)
    if stock:  # timm's own depthwise convolutions
        for module in embedder.modules():
            if isinstance(module, nn.Conv2d):
                module.__class__ = nn.Conv2d
    embedder.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(embedder.parameters(), lr=1e-4, fused=True)
    size = config.data.image_size
    images = torch.rand(config.optim.batch_size, 3, size, size).contiguous(memory_format=torch.channels_last)
    return embedder, optimizer, images


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    config = RunConfig().with_overrides(load_preset("quick").set)
    trainer = Trainer(config, load_materials(config))
    trainer.embedder.train()
    bare = {
        "bare backbone and head": bare_step(config, False),
        "the same, timm's convolutions": bare_step(config, True),
    }
    rates: dict[str, list[float]] = {"training loop": [], **{name: [] for name in bare}}
    with matmul_precision(config.precision.mode):
        for index in range(options.rounds + 1):
            if index == 1:
                trainer.clock.seconds.clear()  # the first round warms up
            started = time.perf_counter()
            for step in range(options.steps):
                trainer.step(step % config.optim.steps)
            timed = {"training loop": time.perf_counter() - started}
            for name, (embedder, optimizer, images) in bare.items():
                started = time.perf_counter()
                for _ in range(options.steps):
                    embedder(images).square().mean().backward()
                    optimizer.step()
                    optimizer.zero_grad(set_to_none=True)
                timed[name] = time.perf_counter() - started
            if index:
                for name, seconds in timed.items():
                    rates[name].append(options.steps * config.optim.batch_size / seconds)
    medians = {name: statistics.median(values) for name, values in rates.items()}
    print(f"batch {config.optim.batch_size}, {config.data.image_size} px, {options.threads} thread(s)")
    for name, rate in medians.items():
        print(f"{name:32s} {rate:8.0f} samples/s   loop / this = {medians['training loop'] / rate:.2f}")
    print("shares of the loop:", {part: f"{share:.1%}" for part, share in trainer.clock.shares().items()})


if __name__ == "__main__":
    main()
