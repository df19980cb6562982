"""What the machine can do: float32 products of the head's shapes, copying, gathering rows.

Usage: python tests/bench/limits.py [--threads 1]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch

BATCH, BLOCK, DIM, ROWS = 128, 1024, 256, 40_000


def seconds(work: Callable[[], object], rounds: int = 15) -> float:
    work()
    seen = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        seen.append(time.perf_counter() - started)
    return statistics.median(seen)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    unit, block, out = torch.randn(BATCH, DIM), torch.randn(BLOCK, DIM), torch.empty(BATCH, BLOCK)
    flops = 20 * 2 * BATCH * BLOCK * DIM
    for mode in ("highest", "medium"):
        torch.set_float32_matmul_precision(mode)
        rate = flops / seconds(lambda: [torch.mm(unit, block.T, out=out) for _ in range(20)]) / 1e9
        error = float((out.double() - unit.double() @ block.double().T).norm() / out.double().norm())
        print(f"{options.threads} thread(s), product {BATCH} x {BLOCK} x {DIM}, {mode}: {rate:,.0f} GFLOP/s, "
              f"relative error {error:.0e}")  # fmt: skip
    table, part = torch.randn(400_000, DIM), torch.empty(ROWS, DIM)
    ids = torch.randint(0, len(table), (ROWS,)).sort().values
    size = part.numel() * 4 / 1e9
    copied = size / seconds(lambda: part.copy_(table[:ROWS]))
    gathered = size / seconds(lambda: torch.index_select(table, 0, ids, out=part))
    print(f"{options.threads} thread(s), rows of {DIM} float32: copied {copied:.1f} GB/s, gathered {gathered:.1f} GB/s")


if __name__ == "__main__":
    main()
