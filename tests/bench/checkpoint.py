"""What checkpoints and syncs cost a run of the quick preset.

Blocks of steps that end with a checkpoint are timed in turn with blocks that do not: the difference is what a
checkpoint costs with all that follows from it, and there is one every `SAVE_EVERY` seconds at most. Then a whole run
goes into a store as a worker does it, with the time spent in writing checkpoints and in other syncs.

Usage: python tests/bench/checkpoint.py [--rounds 15] [--steps 30] [--set model.norm=bn ...]
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import yaml

from ablations.preset import load_preset
from core import checkpoint
from core.config import RunConfig
from core.inputs import run_key
from core.materials import load_materials
from core.precision import matmul_precision
from core.store import CHECKPOINT, Store
from core.trainer import train
from core.training_state import Trainer


class Timed:
    """A function with the seconds that it took."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function, self.seconds, self.calls = function, 0.0, 0

    def __call__(self, *arguments: Any) -> None:
        started = time.perf_counter()
        self._function(*arguments)
        self.seconds, self.calls = self.seconds + time.perf_counter() - started, self.calls + 1


def blocks(config: RunConfig, folder: Path, rounds: int, steps: int) -> None:
    """Wall and processor seconds of blocks of steps with and without a checkpoint at the end, in turn."""
    trainer = Trainer(config, load_materials(config))
    trainer.embedder.train()
    saver = checkpoint.Saver(folder / CHECKPOINT, "bench")
    taken: dict[tuple[str, bool], list[float]] = {(of, kept): [] for of in ("wall", "processor") for kept in (0, 1)}
    step = 0
    with matmul_precision(config.precision.mode):
        for turn in range(rounds + 1):
            for kept in (True, False) if turn % 2 else (False, True):
                wall, processor = time.perf_counter(), time.process_time()
                for _ in range(steps):
                    trainer.step(step % config.optim.steps)
                    step += 1
                if kept:
                    saver.save({"trainer": trainer.state()}, step, step)
                if turn:  # the first warms up
                    taken["wall", kept].append(time.perf_counter() - wall)
                    taken["processor", kept].append(time.process_time() - processor)
    size = saver.path.stat().st_size / 1e6
    for of in ("wall", "processor"):
        whole, without = (statistics.median(taken[of, kept]) for kept in (True, False))
        pairs = zip(taken[of, True], taken[of, False], strict=True)
        extra = statistics.median(one - other for one, other in pairs)
        print(
            f"{of:9s}: {steps} steps and a checkpoint of {size:.1f} MB {whole:.3f} s, without {without:.3f} s; "
            f"a checkpoint {1000 * extra:.0f} ms (median of pairs), {extra / checkpoint.SAVE_EVERY:.2%} of the time"
        )


def run(config: RunConfig, folder: Path) -> None:
    """A whole run into a store, and the shares of its checkpoints and of all other syncs."""
    saving, syncing, within = Timed(checkpoint._write), Timed(os.fsync), 0.0

    def write(*arguments: Any) -> None:
        nonlocal within
        before = syncing.seconds
        saving(*arguments)
        within += syncing.seconds - before

    store, key = Store(folder), run_key(config)
    original = checkpoint._write, os.fsync
    checkpoint._write, os.fsync = write, syncing
    started = time.perf_counter()
    try:
        store.begin(key, config.to_yaml())
        result = train(
            config, log=lambda curve: store.log(key, curve), checkpoint=store.path(key, CHECKPOINT)
        )  # fmt: skip
        store.finish(key, result.to_json(), result.scores)
    finally:
        checkpoint._write, os.fsync = original
    seconds = time.perf_counter() - started
    other = syncing.seconds - within
    both = saving.seconds + other
    print(
        f"a run of {seconds:.1f} s: {saving.calls} checkpoints {saving.seconds:.2f} s, other syncs {other:.2f} s, "
        f"together {both / seconds:.2%}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE")
    options = parser.parse_args()
    changes = {name: yaml.safe_load(value) for name, _, value in (one.partition("=") for one in options.set)}
    config = RunConfig().with_overrides({**load_preset("quick").set, **changes})
    torch.set_num_threads(config.runtime.threads)
    with tempfile.TemporaryDirectory(dir=".") as folder:
        blocks(config, Path(folder), options.rounds, options.steps)
        run(config, Path(folder))


if __name__ == "__main__":
    main()
