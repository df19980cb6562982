"""All benchmarks as one page of ratios: `make bench`. Takes half an hour and 8 GB, on an otherwise idle machine.

Usage: python tests/bench/run.py [--out FILE] [--threads 1 2] [--small]

Contenders of a setting are timed in one process, turn by turn, and compared by their medians; the machine's own
limits are measured beside them. Milliseconds are of this machine, ratios travel better.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from ablations.executors.layout import ALLOCATOR
from core.result import environment

HERE = Path(__file__).resolve().parent
# glibc's default gives large blocks back at every step; both thresholds raised, freed memory is used again.
ALLOCATORS = {
    "default": {},
    "tuned": {"MALLOC_TRIM_THRESHOLD_": str(16 * 2**30), "MALLOC_MMAP_THRESHOLD_": str(8 * 2**30)},
}
PEERS = ("documented 0.1", "documented 0.1, fused", "linear", "metric-learning")
VARIANTS = ("fast 0.1, clipped", "fast 0.1, uniform", "fast 0.1, both moments")
FLOOR = "products and rows, uniform"


def call(script: str, *options: str, allocator: dict[str, str] | None = None) -> str:
    """Standard output of a benchmark in a process of its own."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    command = [sys.executable, str(HERE / script), *options]
    print("running", script, *options, file=sys.stderr, flush=True)
    done = subprocess.run(command, env={**inherited, **(allocator or {})}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{script} {' '.join(options)} failed:\n{done.stderr.strip()[-2000:]}")
    return done.stdout


def facts(script: str, *options: str, allocator: dict[str, str] | None = None) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(call(script, *options, allocator=allocator).splitlines()[-1])
    return found


def row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def table(header: list[str], rows: list[list[str]]) -> str:
    return "\n".join([row(header), row(["---:"] * len(header)), *(row(cells) for cells in rows)])


def heads(threads: list[int], small: bool) -> str:
    """How many times longer than the fast head's a peer's step takes, at each size."""
    settings = [(10_000, 128, "default")] if small else [
        (classes, batch, "default") for classes in (1_000, 10_000, 100_000, 400_000) for batch in (128, 512)
    ] + [(400_000, 128, "tuned")]  # fmt: skip
    peers, variants = [], []
    for count in threads:
        for classes, batch, allocator in settings:
            rounds = "3" if classes * batch > 10**8 else "7"
            options = ["--classes", str(classes), "--batch", str(batch), "--threads", str(count), "--rounds", rounds]
            # Two processes, so that the tables of all contenders fit into memory at once.
            ms, own = (
                facts("heads.py", *options, "--only", "fast 0.1", *names, allocator=ALLOCATORS[allocator])["ms"]
                for names in (("fast 1", "products and rows", *PEERS), (FLOOR, *VARIANTS))
            )
            setting = [f"{classes:,}", str(batch), str(count), allocator]
            times = [ms[name] / ms["fast 0.1"] for name in PEERS]
            peers.append([
                *setting, f"{ms['fast 0.1']:.1f} ms", *(f"{one:.1f}" for one in times),
                f"{ms['linear'] / ms['fast 1']:.1f}", f"{ms['fast 0.1'] / ms['products and rows']:.2f}",
            ])  # fmt: skip
            times = [own[name] / own["fast 0.1"] for name in VARIANTS]
            of_floor = own["fast 0.1, uniform"] / own[FLOOR]
            variants.append([*setting, *(f"{one:.2f}" for one in times), f"{of_floor:.2f}"])
    setting = ["classes", "batch", "threads", "allocator"]
    first = [
        *setting,
        "fast 0.1",
        *(f"{name} / fast" for name in PEERS),
        "linear / fast at rate 1",
        "fast / products and rows",
    ]
    second = [
        *setting,
        *(f"{name.removeprefix('fast 0.1, ')} / fast" for name in VARIANTS),
        "uniform / its products and rows",
    ]
    return f"{table(first, peers)}\n\nWhat options of the fast head cost:\n\n{table(second, variants)}"


def memory(small: bool) -> str:
    classes = "10000" if small else "400000"
    names = ("fast 0.1", "fast 0.1, clipped", *PEERS)
    found = [facts("heads.py", "--classes", classes, "--batch", "128", "--memory", name) for name in names]
    cells = [[name, f"{one['memory_mb'][name]:,.0f} MB"] for name, one in zip(names, found, strict=True)]
    return table([f"step at {int(classes):,} classes, batch 128", "memory beyond parameters and state"], cells)


def verification(threads: list[int], small: bool) -> str:
    count, whole = ("2000", "4000") if small else ("12000", "25000")
    calls = [(count, by, 1) for by in ("ours", "scikit-learn")] + [(whole, "ours", number) for number in threads]
    rows = []
    for size, by, number in calls:
        one = facts("verification.py", "--embeddings", size, "--by", by, "--threads", str(number))
        tpr = ", ".join(f"{value:.5f}" for value in one["found"])
        rows.append([size, by, str(number), f"{one['seconds']:.1f} s", f"{one['memory_mb']:,} MB", tpr])
    header = ["embeddings", "by", "threads", "time", "peak memory", "TPR at 1e-4, 1e-3, 1e-2, AUROC"]
    return table(header, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("reports/generated/bench.md"))
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--small", action="store_true", help="small sizes, to see that everything runs")
    options = parser.parse_args()
    made = environment("cpu", options.threads[0])
    limits = "\n".join(call("limits.py", "--threads", str(number)) for number in options.threads)
    loop = call("loop.py", *(["--steps", "3", "--rounds", "2"] if options.small else []), allocator=ALLOCATOR)
    parts = [
        "# Benchmarks",
        f"{made['hardware']}, torch {made['torch']}, code `{made['code']}`; float32, width 256, medians.",
        f"## Class heads\n\n{heads(options.threads, options.small)}",
        f"## Memory\n\n{memory(options.small)}",
        f"## Verification\n\n{verification(options.threads, options.small)}",
        f"## Training loop\n\n```\n{loop.strip()}\n```",
        f"## The machine\n\n```\n{limits.strip()}\n```",
    ]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    print("\n\n".join(parts))


if __name__ == "__main__":
    main()
