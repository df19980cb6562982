"""A grid of runs against independent processes: how much the executor costs. Prints one JSON line; takes ten minutes.

Usage: python tests/bench/grid.py [--runs 4] [--samples 12000] [--executors local ray] [--rounds 3]

The same runs (the quick preset's baseline, fewer samples, one thread, no report) are trained by as many independent
processes as there are cores, each of which calls `core.trainer.train` for its share and stores nothing, and by
`run --executor ...`, in turn. Efficiency is the processes' median time over the executor's. Data are made before.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ablations.executors.layout import ALLOCATOR, core_count

STUDY = "study: grid\ntitle: t\nquestion: q\nbaseline: a\narms:\n  a: {}\n  b: {loss.margin: 0.39}\n"
SMALL = ("optim.samples={samples}", "eval.identities=200", "eval.validation_identities=100", "eval.points=2")
TRAIN = """\
import sys
from ablations.options import choose
from ablations.planner import plan
from core.trainer import train
from core.store import Store
words, first, step = sys.argv[1:-2], int(sys.argv[-2]), int(sys.argv[-1])
chosen = choose(["grid.yaml"], "quick", "nothing", sets=words[1:], seeds=words[0], control=False)
for run in plan(chosen.request, chosen.store).runs[first::step]:
    train(run.config)
"""


def independent(folder: Path, words: list[str], environment: dict[str, str]) -> float:
    began, cores = time.perf_counter(), core_count()
    processes = [
        subprocess.Popen([sys.executable, "-c", TRAIN, *words, str(first), str(cores)], cwd=folder, env=environment)
        for first in range(cores)
    ]
    if any(process.wait() for process in processes):
        raise SystemExit("an independent process failed")
    return time.perf_counter() - began


def executed(folder: Path, name: str, words: list[str], environment: dict[str, str]) -> float:
    sets = [word for field in words[1:] for word in ("--set", field)]
    with tempfile.TemporaryDirectory(dir=folder) as store:
        command = [
            sys.executable, "-m", "ablations", "run", "grid.yaml", "--seeds", words[0], "--no-control", "--no-report",
            "--executor", name, *(["--jobs", str(core_count())] if name == "local" else []), "--store", store, *sets,
        ]  # fmt: skip
        began = time.perf_counter()
        subprocess.run(command, cwd=folder, env=environment, check=True, stderr=subprocess.DEVNULL)
        return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=4, help="an even number")
    parser.add_argument("--samples", type=int, default=12_000)
    parser.add_argument("--executors", nargs="+", default=["local", "ray"])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(root), **ALLOCATOR}
    words = [str(options.runs // 2), *(one.format(samples=options.samples) for one in SMALL)]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "grid.yaml").write_text(STUDY)
        environment["DOCABLATE_CACHE"] = str(folder / "cache")
        executed(folder, "local", [words[0], *words[1:], "optim.samples=128"], environment)  # makes the data
        seen: dict[str, list[float]] = {name: [] for name in ("independent", *options.executors)}
        for _ in range(options.rounds):
            seen["independent"].append(independent(folder, words, environment))
            for name in options.executors:
                seen[name].append(executed(folder, name, words, environment))
    medians = {name: statistics.median(times) for name, times in seen.items()}
    efficiency = {name: round(medians["independent"] / medians[name], 3) for name in options.executors}
    facts = {"runs": options.runs, "cores": core_count(), "seconds": {k: round(v, 1) for k, v in medians.items()}}
    print(json.dumps({**facts, "efficiency": efficiency}))


if __name__ == "__main__":
    main()
