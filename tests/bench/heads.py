"""One training step of the class head alone, ours against peers: interleaved, medians; prints one JSON line a setting.

Usage: python tests/bench/heads.py --classes 400000 --batch 128 [--threads 1] [--rounds 7]
       python tests/bench/heads.py --classes 400000 --batch 128 --memory "documented 0.1"

Forward, backward and optimiser step of CosFace (scale 64, margin 0.4) on random embeddings of width 256, float32.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from core.head_cost import peak_mb
from core.loss.fast_partial_fc import FastPartialFC
from core.loss.partial_fc import PartialFC

DIM, SCALE, MARGIN, LR = 256, 64.0, 0.4, 1e-3
RATE = 0.1
BLOCK = 1024  # rows that the bare products work on at once

Step = Callable[[], object]


def metric_learning(classes: int, x: torch.Tensor, y: torch.Tensor) -> Step:
    """pytorch-metric-learning's CosFaceLoss over all classes, with Adam."""
    from pytorch_metric_learning.losses import CosFaceLoss

    loss = CosFaceLoss(num_classes=classes, embedding_size=DIM, margin=MARGIN, scale=SCALE)
    optimizer = torch.optim.Adam(loss.parameters(), lr=LR)
    return lambda: stepped(loss(x, y), optimizer)


def linear(classes: int, x: torch.Tensor, y: torch.Tensor) -> Step:
    """Normalised linear layer and cross-entropy over all classes, with fused AdamW."""
    weight = nn.Parameter(torch.randn(classes, DIM) * 0.01)
    optimizer = torch.optim.AdamW([weight], lr=LR, fused=True)
    return lambda: stepped(F.cross_entropy(SCALE * F.linear(F.normalize(x), F.normalize(weight)), y), optimizer)


def documented(fused: bool) -> Callable[..., Step]:
    """The record's algorithm: top-k sample, dense gradient, AdamW on all centres: as PyTorch's default, or fused."""

    def make(classes: int, x: torch.Tensor, y: torch.Tensor) -> Step:
        head = PartialFC(DIM, classes, "cosface", SCALE, MARGIN, RATE)
        # None is PyTorch's own choice; False would also keep it from others that it may choose.
        optimizer = torch.optim.AdamW(head.parameters(), lr=LR, fused=fused or None)
        return lambda: stepped(head(x, y), optimizer)

    return make


def stepped(loss: torch.Tensor, optimizer: torch.optim.Optimizer) -> None:
    loss.backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def fast(sampler: str, update: str, rate: float, clip: bool = False) -> Callable[..., Step]:
    def make(classes: int, x: torch.Tensor, y: torch.Tensor) -> Step:
        head = FastPartialFC(
            DIM, classes, "cosface", SCALE, MARGIN, rate, sampler=sampler, update=update, weight_decay=1e-2
        )

        def step() -> None:
            head(x, y).backward()
            if clip:
                head.gradient_norm()
            head.step(LR)

        return step

    return make


def floor(sampler: str) -> Callable[..., Step]:
    """The three products of a step at rate 0.1, and its rows read and written once: what no implementation avoids."""

    def make(classes: int, x: torch.Tensor, y: torch.Tensor) -> Step:
        table, count, batch = torch.randn(classes, DIM), int(RATE * classes), len(x)
        powers, gradient = torch.empty(batch, count), torch.empty(BLOCK, DIM)
        rows = torch.empty(BLOCK, DIM)
        pulled, unit = torch.zeros(batch, DIM), x.detach()

        def step() -> None:
            ids = torch.randperm(classes)[:count].sort().values if sampler == "uniform" else None
            for start in range(0, count, BLOCK):
                stop = min(start + BLOCK, count)
                block = table[start:stop]
                if ids is not None:
                    block = torch.index_select(table, 0, ids[start:stop], out=rows[: stop - start])
                part = powers.view(-1)[start * batch : stop * batch].view(batch, stop - start)
                torch.mm(unit, block.T, out=part)
                pulled.addmm_(part, block)
            for start in range(0, count, BLOCK):
                stop = min(start + BLOCK, count)
                part = powers.view(-1)[start * batch : stop * batch].view(batch, stop - start)
                found = torch.mm(part.T, unit, out=gradient[: stop - start])
                if ids is None:
                    table[start:stop].copy_(found)
                else:
                    table.index_copy_(0, ids[start:stop], found)

        return step

    return make


CONTENDERS: dict[str, Callable[..., Step]] = {
    "fast 0.1": fast("windows", "row_scalar", RATE),
    "fast 0.1, clipped": fast("windows", "row_scalar", RATE, clip=True),
    "fast 0.1, uniform": fast("uniform", "row_scalar", RATE),
    "fast 0.1, both moments": fast("windows", "rows", RATE),
    "fast 1": fast("windows", "row_scalar", 1.0),
    "products and rows": floor("windows"),
    "products and rows, uniform": floor("uniform"),
    "documented 0.1": documented(fused=False),
    "documented 0.1, fused": documented(fused=True),
    "linear": linear,
    "metric-learning": metric_learning,
}


def batch_of(size: int, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(size, DIM, generator=generator).requires_grad_()
    return x, torch.randint(classes, (size,), generator=generator)


def times(classes: int, batch: int, rounds: int, names: list[str]) -> dict[str, float]:
    """Median milliseconds of a step by contender, turn by turn: in training a step follows one like it."""
    x, y = batch_of(batch, classes)
    steps = {name: CONTENDERS[name](classes, x, y) for name in names}
    repeats = min(20, max(1, 50_000 // classes))  # short steps are timed several at once
    for step in steps.values():
        step()
    seen: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(rounds):
        for name, step in steps.items():
            step()  # what the last contender left in the caches is not this one's
            started = time.perf_counter()
            for _ in range(repeats):
                step()
            seen[name].append((time.perf_counter() - started) / repeats * 1e3)
    return {name: statistics.median(values) for name, values in seen.items()}


def step_memory(name: str, classes: int, batch: int) -> float:
    """Peak MB of a step beyond what is held between steps: what a process needs for a moment (Linux)."""
    x, y = batch_of(batch, classes)
    step = CONTENDERS[name](classes, x, y)
    step()  # makes the optimiser's state
    peak = peak_mb(step, torch.device("cpu"))
    return (math.nan if peak is None else peak) + held_between(step) / 1e6


def held_between(step: Step) -> int:
    """Bytes that a fast head keeps for its next step: the step's, not the state's."""
    cells = [cell.cell_contents for cell in (getattr(step, "__closure__", None) or ())]
    return sum(cell.scratch_bytes for cell in cells if isinstance(cell, FastPartialFC))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, default=400_000)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="*", choices=list(CONTENDERS), default=list(CONTENDERS))
    parser.add_argument("--memory", choices=list(CONTENDERS))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    facts = {"classes": options.classes, "batch": options.batch, "threads": options.threads}
    if options.memory:
        found = {"memory_mb": {options.memory: step_memory(options.memory, options.classes, options.batch)}}
    else:
        found = {"ms": times(options.classes, options.batch, options.rounds, options.only)}
    print(json.dumps({**facts, **found}))


if __name__ == "__main__":
    main()
