"""The fast head over several ranks: memory a rank, time a step, the loss curve; prints one JSON line a number of ranks.

Usage: python -m tests.bench.ranks [--classes 1000000] [--rate 0.1] [--steps 20] [--ranks 1 2] [--threads 1]
       python -m tests.bench.ranks --classes 10000000 --rate 0.01 --steps 100 --ranks 1 --threads 2

Trained are class centres of width 256 (CosFace, scale 64, margin 0.4, windows, one moment a row) and a small network of
two layers before them, which sees noisy views of `--seen` classes' own vectors: a batch of 128 a step, the same for
every number of ranks. Memory is the peak of a rank's process less what it had before the head was made.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from typing import Any

import torch
from torch import nn

from core.loss.fast_partial_fc import FastPartialFC
from core.ranks import Ranks
from core.result import resident_mb
from tests.core.together import together

DIM, BATCH, LR = 256, 128, 1e-3


def train(ranks: Ranks, options: argparse.Namespace) -> dict[str, Any]:
    """Steps of network and head; losses, seconds and peak memory in MB (10^6 bytes)."""
    draws = torch.Generator().manual_seed(0)
    ids = torch.randperm(options.classes, generator=draws)[: options.seen]
    vectors = torch.randn(options.seen, DIM, generator=draws)
    torch.manual_seed(1)
    network = nn.Sequential(nn.Linear(DIM, DIM), nn.ReLU(), nn.Linear(DIM, DIM), nn.LayerNorm(DIM))
    optimizer = torch.optim.AdamW(network.parameters(), lr=LR)
    before, began = resident_mb(), time.perf_counter()
    head = FastPartialFC(DIM, options.classes, "cosface", 64.0, 0.4, options.rate, ranks=ranks)
    made = time.perf_counter() - began
    losses, seconds = [], []
    for _ in range(options.steps):
        started = time.perf_counter()
        chosen = torch.randint(options.seen, (BATCH,), generator=draws)
        views = vectors[chosen] + 0.5 * torch.randn(BATCH, DIM, generator=draws)
        part = ranks.part(BATCH).rows
        loss = head(network(views[part]), ids[chosen])
        loss.backward()
        for parameter in network.parameters():
            ranks.sum_(parameter.grad)  # type: ignore[arg-type]
        head.gradient_norm()
        head.step(10 * LR)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        seconds.append(time.perf_counter() - started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    return {
        "ranks": ranks.count, "classes": options.classes, "rate": options.rate, "sampled": head.num_sampled,
        "head_mb": round(peak - before, 1), "peak_mb": round(peak, 1), "made_s": round(made, 1),
        "step_ms": round(sorted(seconds)[len(seconds) // 2] * 1e3, 1), "steps": options.steps,
        "losses": [round(one, 5) for one in losses],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, default=1_000_000)
    parser.add_argument("--rate", type=float, default=0.1)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--seen", type=int, default=500, help="classes that batches are drawn from")
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--threads", type=int, default=1, help="of each rank")
    options = parser.parse_args()
    first: dict[str, Any] | None = None
    for count in options.ranks:
        facts = max(together(count, train, options, threads=options.threads), key=lambda one: one["head_mb"])
        if first is not None:
            facts["memory_of_first"] = round(facts["head_mb"] / first["head_mb"], 3)
            facts["largest_difference_of_loss"] = max(
                abs(a - b) for a, b in zip(facts["losses"], first["losses"], strict=True)
            )
        first = first or facts
        print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    main()
